"""Who may import whom, as a table.

The house has rooms. Decisions (model, planning) know nothing of the world; the rooms that touch
it (host, sources, target, transfer, …) know nothing of each other; app alone joins them; the
surfaces (cli, daemon, web) know only app and the nouns they print.
"""

from __future__ import annotations

import ast
import sys

import pytest
from source_tree import Module, product

BY_NAME = "cli/verbs.py"  # the one module that imports others, of its own room, by their names
NOUNS = {"model", "errors"}
EDGES = NOUNS | {"host"}
PRINTED = NOUNS | {"app", "planning", "profile"}

# A room, and the other rooms it may import from. A room that is not here may not exist.
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "errors": set(),
    "model": {"errors"},
    "planning": NOUNS,
    "profile": NOUNS,
    "host": NOUNS,
    "sources": EDGES,
    "transports": EDGES,
    "transfer": EDGES,
    "target": EDGES,
    "convert": EDGES,
    "history": EDGES,
    "agent": set(),
    "cycle": NOUNS | {"planning"},
    "failover": NOUNS | {"planning"},
    "app": NOUNS
    | {"planning", "profile", "host", "sources", "transports", "transfer", "target"}
    | {"convert", "history", "agent", "cycle", "failover"},
    "cli": PRINTED | {"daemon"},  # `standby serve` is a command
    "daemon": PRINTED | {"web"},  # it offers what web shows
    "web": PRINTED,
    "__main__": {"cli"},
}

# A library, and the only rooms that may import it.
MAY_USE: dict[str, set[str]] = {
    "libvirt": {"host", "sources", "target"},
    "libvirt_qemu": {"host", "sources"},
    "paramiko": {"host"},
    "qemu": {"host"},
    "subprocess": {"host"},
    "nbd": {"transfer", "transports", "sources", "target"},
    "jinja2": {"host", "web"},
    "pydantic": {"profile", "web"},
    "yaml": {"profile"},
    "sqlalchemy": {"history"},
    "apscheduler": {"daemon"},
    "typer": {"cli"},
    "rich": {"cli"},
}

STANDARD_LIBRARY_ONLY = {"errors", "model", "planning", "cycle", "failover", "agent"}

# Pure rooms get every moment and every fact as an argument.
PURE = {"errors", "model", "planning"}
IMPURE_LIBRARIES = {
    "asyncio", "concurrent", "ctypes", "fcntl", "ftplib", "glob", "http", "io", "logging",
    "mmap", "multiprocessing", "os", "pathlib", "pty", "random", "secrets", "select",
    "selectors", "shutil", "signal", "smtplib", "socket", "sqlite3", "ssl", "subprocess",
    "tempfile", "threading", "time", "urllib",
}  # fmt: skip


def violations(modules: list[Module]) -> list[str]:
    """Every import that the tables forbid, as `path:line: what is wrong`."""
    found = []
    for module in modules:
        if module.room not in MAY_IMPORT:
            found.append(f"{module.path}: room {module.room!r} is not in the table")
            continue
        for line, name in module.imports():
            problem = _room_problem(module, name) or _library_problem(module, name)
            if problem:
                found.append(f"{module.path}:{line}: {problem}")
    return found


def _room_problem(module: Module, name: str) -> str | None:
    package, _, rest = name.partition(".")
    if package != "standby":
        return None
    room = rest.partition(".")[0]
    if room == module.room or room in MAY_IMPORT[module.room]:
        return None
    return f"{module.room} imports {room}"


def _library_problem(module: Module, name: str) -> str | None:
    library = name.partition(".")[0]
    ours = library == "standby"
    if library in MAY_USE and module.room not in MAY_USE[library]:
        return f"{module.room} uses {library}"
    harmless = name.startswith(("importlib.resources", "importlib.metadata"))
    if library in {"importlib", "runpy", "pkgutil"} and not harmless and module.path != BY_NAME:
        return f"{module.room} hides its imports behind {library}"
    if module.room in PURE and library in IMPURE_LIBRARIES:
        return f"{module.room} is pure and uses {library}"
    standard = library in sys.stdlib_module_names
    if module.room in STANDARD_LIBRARY_ONLY and not ours and not standard:
        return f"{module.room} uses {library}, outside the standard library"
    return None


def test_what_is_imported_by_name_is_of_the_same_room() -> None:
    (verbs,) = [module for module in product() if module.path == BY_NAME]
    named = [
        node.args[0]
        for node in ast.walk(verbs.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "import_module"
    ]
    assert len(named) == 2
    for name in named:
        assert isinstance(name, ast.JoinedStr)
        assert isinstance(name.values[0], ast.Constant)
        assert str(name.values[0].value) == "standby.cli."


def test_the_house_keeps_its_rules() -> None:
    assert violations(product()) == []


def test_the_whole_house_was_read() -> None:
    assert {"errors", "model", "planning"} <= {module.room for module in product()}


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_the_table_names_only_rooms_that_it_describes(room: str) -> None:
    assert set(MAY_IMPORT) >= MAY_IMPORT[room]
    assert room not in MAY_IMPORT[room]


@pytest.mark.parametrize(
    ("path", "source", "problem"),
    [
        ("model/disk.py", "from standby.host.ssh import Ssh", "1: model imports host"),
        ("model/disk.py", "import standby.planning.health", "1: model imports planning"),
        ("planning/a.py", "from standby import host", "1: planning imports host"),
        ("planning/a.py", "from ..target import store", "1: planning imports target"),
        ("planning/a.py", "def f():\n    import os.path", "2: planning is pure and uses os"),
        ("planning/a.py", "import pydantic", "1: planning uses pydantic"),
        ("model/disk.py", "import numpy", "1: model uses numpy, outside the standard library"),
        ("sources/a.py", "from standby.target import store", "1: sources imports target"),
        ("target/a.py", "from standby.planning import space", "1: target imports planning"),
        ("transfer/a.py", "import subprocess", "1: transfer uses subprocess"),
        ("cycle/a.py", "from standby.target.store import Store", "1: cycle imports target"),
        ("cli/a.py", "import libvirt", "1: cli uses libvirt"),
        ("cli/a.py", "from standby.host import ssh", "1: cli imports host"),
        ("daemon.py", "from paramiko import SSHClient", "1: daemon uses paramiko"),
        ("agent/a.py", "from standby.errors import StandbyError", "1: agent imports errors"),
        ("host/a.py", "import importlib", "1: host hides its imports behind importlib"),
        (
            "host/a.py",
            "if TYPE_CHECKING:\n    from standby.profile import root",
            "2: host imports profile",
        ),
        ("attic/a.py", "", " room 'attic' is not in the table"),
    ],
)
def test_a_broken_rule_is_found_and_located(path: str, source: str, problem: str) -> None:
    assert violations([Module(path, source)]) == [f"{path}:{problem}"]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("model/disk.py", "from __future__ import annotations\nfrom . import names"),
        ("planning/a.py", "from zoneinfo import ZoneInfo\nfrom standby.errors import FixRequest"),
        ("host/a.py", "import subprocess, paramiko\nfrom standby.host import ssh"),
        ("app.py", "from standby.host import ssh\nfrom standby.target.store import Store"),
        ("cli/run.py", "import typer\nfrom standby.app import App"),
        ("profile/a.py", "from importlib.resources import files\nimport yaml"),
        ("cli/a.py", "from importlib.metadata import version"),
    ],
)
def test_what_the_rules_allow_is_not_reported(path: str, source: str) -> None:
    assert violations([Module(path, source)]) == []

"""What the documents say can be done: commands exist, links lead somewhere, keys are valid."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import typer.main
import yaml
from configuration_files import PROFILE, loaded, write_root
from source_tree import Module, product

from lab.cli import _parser as lab_parser
from lab.demo_site import CONFIGURATION, LIMIT, MACHINE, STANDBY, commands_to_play_with
from standby.cli.main import app
from standby.model.machine import MachineIdentity
from standby.model.manifest import Manifest
from standby.model.names import PointName
from standby.model.point import BootPoint, Consistency, Standing, Way
from standby.profile import Configuration, survey
from standby.profile.manager import ManagerFile
from standby.profile.profile_file import ProfileFile
from standby.target.layout import cycle_pidfile
from standby.target.manifest_format import write_manifest

CHECKOUT = Path(__file__).parents[2]
PYTHON = CHECKOUT / ".venv/bin/python"
SKIPPED = {".venv", ".git", "keys", ".vagrant"}
GENERATED = "docs/profile-reference.md"

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
SHELL_OPERATOR = re.compile(r"&&|\|\||[|;<>&]")
KEY = re.compile(r"[a-z_]+(?:\.[a-z_0-9]+)+")
PLACE = re.compile(r"(?:[\w.-]+/)+[\w.-]*")

MESSAGE = re.compile(r"(?:: |`|then )standby ((?:[a-z]+ ?)(?:[\w~.-]+ ?)*)")

SECTIONS = set(ProfileFile.model_fields)
FILE_ENDINGS = (".db", ".json")  # history.db, schedule.json: files, though sections are called so
MANAGER_KEYS = set(ManagerFile.model_fields)


@dataclass(frozen=True)
class Document:
    """One Markdown file of the repository."""

    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def blocks(self) -> list[tuple[str, str]]:
        """Language and content of every fenced block."""
        return FENCE.findall(self.text)

    @property
    def inline(self) -> list[str]:
        """Everything between single backticks."""
        return INLINE.findall(FENCE.sub("", self.text))

    def commands(self, program: str) -> Iterator[list[str]]:
        """Words of every command of a program, in blocks at the start of a line, or inline."""
        lines = [line for _, block in self.blocks for line in block.splitlines()]
        for line in [*lines, *self.inline]:
            for part in SHELL_OPERATOR.split(_without_comment(line)):
                if part.strip().startswith(f"{program} "):
                    yield shlex.split(part)[len(program.split()) :]


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s)#.*", "", line)


def documents() -> list[Document]:
    found = sorted(CHECKOUT.rglob("*.md"))
    return [Document(path) for path in found if not SKIPPED & {*path.parts}]


every_document = pytest.mark.parametrize(
    "document", documents(), ids=lambda document: str(document.path.relative_to(CHECKOUT))
)


class Refused(Exception):
    """The command line does not take this."""


def accept(words: list[str]) -> None:
    """Let `standby` parse a command line, and do nothing; raises Refused.

    Words in capitals stand for what the reader puts in. A command alone is a mention of it.
    """
    command = typer.main.get_command(app)
    given = [word for word in words if word not in {"…", "..."}]
    if _is_mention(command, given):
        return
    _do_nothing(command)
    try:
        command.main(given, prog_name="standby")
    except SystemExit as end:
        if end.code:
            raise Refused(f"standby {shlex.join(words)}") from end


def _is_mention(command: Any, words: list[str]) -> bool:
    for word in words:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            return False
    return True


def _do_nothing(command: Any) -> None:
    command.callback = None
    for inner in getattr(command, "commands", {}).values():
        _do_nothing(inner)


@every_document
def test_every_command_shown_is_one_of_the_command_line(document: Document) -> None:
    for words in document.commands("standby"):
        accept(words)


def test_the_commands_of_the_readme_are_found() -> None:
    found = [words[0] for words in README.commands("standby")]
    assert {"profile", "check", "run", "points", "revert", "mount"} <= set(found)


@pytest.mark.parametrize(
    "line", ["prtect web1", "run web1 --ful", "points web1 x", "profile sho web1", "revert web1"]
)
def test_a_command_that_is_none_is_noticed(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Refused):
        accept(line.split())
    assert "Usage" in capsys.readouterr().err


def test_every_example_of_the_help_can_be_typed() -> None:
    shown = 0
    for command in _all_commands(typer.main.get_command(app)):
        for line in re.findall(r"standby [^&\n]+", command.epilog or ""):
            accept(shlex.split(SHELL_OPERATOR.split(line)[0])[1:])
            shown += 1
    assert shown > 5


def _all_commands(command: Any) -> Iterator[Any]:
    inner = getattr(command, "commands", {}).values()
    for each in inner:
        yield from _all_commands(each)
    if not inner:
        yield command


def test_every_command_that_a_message_names_exists() -> None:
    """Remedies such as "list them: standby points", and what docstrings show to readers."""
    named = [words for module in product() for words in _commands_named(module)]
    for words in named:
        _follow(words)
    assert len(named) > 20


def test_a_message_with_a_wrong_command_is_noticed() -> None:
    for words in (["prtect", "X"], ["run", "X", "--fulll"]):
        with pytest.raises(Refused):
            _follow(words)


def _commands_named(module: Module) -> Iterator[list[str]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.JoinedStr):
            parts = (it.value if isinstance(it, ast.Constant) else "X" for it in node.values)
            text = "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        for found in MESSAGE.findall(text):
            yield found.split()


def _follow(words: list[str]) -> None:
    """Go down to the command that the first words name; raises Refused, for its options too."""
    command, rest = typer.main.get_command(app), list(words)
    while hasattr(command, "commands") and rest:
        if rest[0] not in command.commands:
            raise Refused(f"standby {' '.join(words)}")
        command = command.commands[rest.pop(0)]
    options = {option for it in command.params for option in it.opts}
    unknown = [word for word in rest if word.startswith("--") and word.strip(".") not in options]
    if unknown:
        raise Refused(f"standby {' '.join(words)}: {unknown}")


@every_document
def test_every_command_of_the_lab_shown_exists(document: Document) -> None:
    for program in ("python -m lab", ".venv/bin/python -m lab"):
        for words in document.commands(program):
            if "--help" not in words:
                lab_parser().parse_args(words)


@every_document
def test_every_make_target_shown_exists(document: Document) -> None:
    rules = re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    for words in document.commands("make"):
        assert [word for word in words if "=" not in word and word not in rules] == []


@every_document
def test_every_link_leads_somewhere(document: Document) -> None:
    for target in LINK.findall(FENCE.sub("", document.text)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = document.path.parent / name if name else document.path
        assert file.exists(), target
        if anchor:
            assert anchor in _anchors(file), target


def _anchors(file: Path) -> set[str]:
    headings = HEADING.findall(FENCE.sub("", file.read_text()))
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@every_document
def test_every_file_of_the_repository_that_is_named_exists(document: Document) -> None:
    top = {path.name for path in CHECKOUT.iterdir() if path.is_dir()} - SKIPPED
    for text in document.inline:
        for place in PLACE.findall(text):
            if text.startswith(place) and place.split("/")[0] in top - {"profiles", "standby"}:
                assert (CHECKOUT / place).exists(), place


@every_document
def test_every_key_shown_is_a_key_of_the_profile(document: Document) -> None:
    if document.path == CHECKOUT / GENERATED:
        pytest.skip("generated from the keys themselves")
    known = set(re.findall(r"`([a-z_.]+)`", (CHECKOUT / GENERATED).read_text()))
    for text in document.inline:
        key = text.partition(":")[0]
        if key.endswith(FILE_ENDINGS):
            continue
        if KEY.fullmatch(key) and key.split(".")[0] in SECTIONS - {"standby"}:
            assert key in known, text


@every_document
def test_every_part_of_a_profile_shown_is_valid(document: Document, tmp_path: Path) -> None:
    for number, (language, block) in enumerate(document.blocks):
        if language not in {"yaml", "yml"}:
            continue
        content = yaml.safe_load(block)
        root = tmp_path / str(number)
        if "address" in content:
            write_root(root, {"hosts/shown.yaml": block, "profiles/web1.yaml": PROFILE})
            Configuration(root).host("shown")
        elif content.keys() <= MANAGER_KEYS:
            Configuration(write_root(root, {"manager.yaml": block})).manager()
        else:
            profile = f"policy: shown\n{PROFILE}"
            loaded(root, {"policies/shown.yaml": block, "profiles/web1.yaml": profile})


def test_the_first_vm_of_the_readme_gets_a_valid_profile(tmp_path: Path) -> None:
    """Type the lines up to the first that contacts a host."""
    (block,) = (block for _, block in README.blocks if "standby profile new" in block)
    offline = block.partition("standby check")[0]
    assert offline != block
    path = f"{PYTHON.parent}:{os.environ['PATH']}"
    environment = {"HOME": str(tmp_path), "PATH": path, "EDITOR": "true"}
    subprocess.run(["bash", "-euc", offline], env=environment, check=True, cwd=tmp_path)
    (profile,) = survey(Configuration(tmp_path / ".config/standby"))
    assert (profile.name, profile.standby_name) == ("web1", "web1-standby")
    assert profile.source_host.address is not None


@pytest.mark.parametrize("document", documents(), ids=lambda it: it.path.name)
def test_shells_read_the_manifest_as_shown(document: Document, tmp_path: Path) -> None:
    """`sed` and `grep` lines that read standby.json find the points in a real one."""
    lines = [it for _, block in document.blocks for it in block.splitlines()]
    readers = [it for it in lines if it.startswith("sed ") and "standby.json" in it]
    (tmp_path / "standby.json").write_text(_manifest())
    for line in readers:
        done = subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        names = re.findall(r"V\d{8}_\d{6}", done.stdout)
        expected = [str(point) for point in POINTS]
        assert names == (expected[:1] if "whole" in line else expected), line


def test_the_readme_names_the_pidfile_of_a_merge_that_is_in_the_way() -> None:
    (pattern,) = re.findall(r"kill \$\(cat /srv/standby/web1-standby/(\S+)\)", README.text)
    assert PurePosixPath(cycle_pidfile("merge", 17)).match(pattern)


POINTS = [PointName.at(datetime(2026, 11, 22, 3, minute, tzinfo=UTC)) for minute in (56, 57)]
README = Document(CHECKOUT / "README.md")


def _manifest() -> str:
    points = tuple(
        BootPoint(name, Way.SEED, "first copy", Consistency.CRASH, (), 0, name.moment, standing=it)
        for name, it in zip(POINTS, (Standing.WHOLE, Standing.GIVEN_UP), strict=True)
    )
    return write_manifest(Manifest("web1-standby", MachineIdentity("web1", ""), "t", points=points))


def test_the_labs_own_configuration_is_what_the_demo_says_of_it() -> None:
    (profile,) = survey(Configuration(CONFIGURATION))
    assert (profile.name, profile.standby_name) == (MACHINE, STANDBY)
    assert profile.boot_points.limit == LIMIT


def test_the_commands_to_play_with_after_the_demo_exist() -> None:
    lines = [shlex.split(line) for line in commands_to_play_with("demo")]
    labs = [words for words in lines if words[:3] == [".venv/bin/python", "-m", "lab"]]
    for words in labs:
        options = lab_parser().parse_args(words[3:])
        command = getattr(options, "command", [])
        if ".venv/bin/standby" in command:
            accept(command[command.index(".venv/bin/standby") + 1 :])
    assert len(labs) > 5

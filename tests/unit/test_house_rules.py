"""Habits that keep the product safe and readable, checked where a machine can."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from statistics import median

import pytest
from source_tree import Module, product

LONGEST_FUNCTION = 60  # lines, so that it fits a screen
LONGEST_FILE = 600
MEDIAN_FUNCTION = 12
MARKUP = re.compile(r"</?[a-z][\w:-]*(\s[^<>]*)?/?>")
ARGUMENT = "{}"  # stands for whatever an f-string puts in

PROCESS_STARTERS = {
    "os.system", "os.popen", "os.posix_spawn", "os.posix_spawnp", "os.fork", "os.forkpty",
    "pty.spawn", "asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell",
    "loop.subprocess_exec", "loop.subprocess_shell",
}  # fmt: skip
NEVER = {
    "os.system": "a string as a command",
    "os.popen": "a string as a command",
    "subprocess.getoutput": "a string as a command",
    "subprocess.getstatusoutput": "a string as a command",
    "asyncio.create_subprocess_shell": "a string as a command",
    "paramiko.AutoAddPolicy": "host keys unchecked",
    "paramiko.WarningPolicy": "host keys unchecked",
    "AutoAddPolicy": "host keys unchecked",
    "WarningPolicy": "host keys unchecked",
}

Finding = tuple[int, str]


def catching_too_much(module: Module) -> Iterator[Finding]:
    """Handlers that would also swallow what nobody thought of."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = _names(node.type)
        if node.type is None or "Exception" in caught:
            yield node.lineno, "catches every error"
        if "BaseException" in caught and not _raises_again(node):
            yield node.lineno, "swallows even cancellation"


def unsafe_calls(module: Module) -> Iterator[Finding]:
    """Commands made of strings, and host keys taken unseen."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.keyword) and node.arg == "shell":
            yield node.lineno, "shell="
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in NEVER:
            yield node.lineno, NEVER[ast.unparse(node)]
        if isinstance(node, ast.Constant) and "StrictHostKeyChecking=no" in str(node.value):
            yield node.lineno, "host keys unchecked"


def processes_outside_host(module: Module) -> Iterator[Finding]:
    """Starting a process anywhere but at the edge to the host."""
    if module.room == "host":
        return
    for node in ast.walk(module.tree):
        started = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        if started in PROCESS_STARTERS or re.match(r"os\.(exec|spawn)[lv]", started):
            yield node.lineno, f"starts a process: {started}"
    for line, name in module.imports():
        if name.partition(".")[0] == "subprocess":
            yield line, "starts processes"


def markup_by_hand(module: Module) -> Iterator[Finding]:
    """XML or HTML put together from strings, where nothing would be escaped."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.JoinedStr) and MARKUP.search(_shape(node)):
            yield node.lineno, "markup in an f-string"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add):
            sides = [side for side in (node.left, node.right) if _text(side)]
            if any(MARKUP.search(_text(side)) for side in sides):
                yield node.lineno, "markup put together"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            text = _text(node.func.value)
            if node.func.attr == "format" and MARKUP.search(text):
                yield node.lineno, "markup in format()"


def templates_without_escaping(module: Module) -> Iterator[Finding]:
    """A template environment that does not escape, or forgives what is not defined."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call) or not ast.unparse(node.func).endswith("Environment"):
            continue
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if given.get("autoescape") != "True":
            yield node.lineno, "templates without autoescape=True"
        if not given.get("undefined", "").endswith("StrictUndefined"):
            yield node.lineno, "templates that forgive undefined names"


def too_long(module: Module) -> Iterator[Finding]:
    """Functions that do not fit a screen, files that have more than one reason to change."""
    lines = module.source.count("\n")
    if lines > LONGEST_FILE:
        yield 1, f"{lines} lines"
    for node in _functions(module):
        if _length(node) > LONGEST_FUNCTION:
            yield node.lineno, f"{node.name} has {_length(node)} lines"


RULES: list[Callable[[Module], Iterator[Finding]]] = [
    catching_too_much,
    unsafe_calls,
    processes_outside_host,
    markup_by_hand,
    templates_without_escaping,
    too_long,
]


def _names(node: ast.expr | None) -> set[str]:
    if node is None:
        return set()
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return {ast.unparse(part).removeprefix("builtins.") for part in parts}


def _raises_again(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(n, ast.Raise) and n.exc is None for n in ast.walk(handler))


def _shape(node: ast.JoinedStr) -> str:
    parts = (p.value if isinstance(p, ast.Constant) else ARGUMENT for p in node.values)
    return "".join(map(str, parts))


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _functions(module: Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [node for node in ast.walk(module.tree) if isinstance(node, kinds)]


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("check", RULES, ids=lambda rule: rule.__name__)
def test_the_product_keeps_the_rule(check: Callable[[Module], Iterator[Finding]]) -> None:
    found = [f"{m.path}:{line}: {what}" for m in product() for line, what in check(m)]
    assert found == []


def test_one_module_alone_renders_templates() -> None:
    renderers = {
        module.path
        for module in product()
        for _, name in module.imports()
        if name.partition(".")[0] == "jinja2"
    }
    assert len(renderers) <= 1, renderers


def test_half_of_all_functions_are_short() -> None:
    lengths = [_length(node) for module in product() for node in _functions(module)]
    assert median(lengths) < MEDIAN_FUNCTION


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("try:\n    f()\nexcept Exception:\n    pass", "catches every error"),
        ("try:\n    f()\nexcept:\n    raise", "catches every error"),
        ("try:\n    f()\nexcept (OSError, Exception) as e:\n    raise", "catches every error"),
        ("try:\n    f()\nexcept BaseException:\n    pass", "swallows even cancellation"),
        ("run(command, shell=True)", "shell="),
        ("import os\nos.system('ls')", "a string as a command"),
        ("client.set_missing_host_key_policy(paramiko.AutoAddPolicy())", "host keys unchecked"),
        ("from paramiko import AutoAddPolicy\np = AutoAddPolicy()", "host keys unchecked"),
        ("argv = ['-o', 'StrictHostKeyChecking=no']", "host keys unchecked"),
        ("import subprocess", "starts processes"),
        ("from subprocess import run", "starts processes"),
        ("import os\nos.execvp('ls', ['ls'])", "starts a process: os.execvp"),
        ("xml = f'<name>{name}</name>'", "markup in an f-string"),
        ("xml = f'<disk name=\"{name}\"/>'", "markup in an f-string"),
        ("xml = '<name>' + name + '</name>'", "markup put together"),
        ("xml = '<name>%s</name>' % name", "markup put together"),
        ("xml = '<name>{}</name>'.format(name)", "markup in format()"),
        ("jinja2.Environment(undefined=StrictUndefined)", "templates without autoescape=True"),
        ("jinja2.Environment(autoescape=True)", "templates that forgive undefined names"),
        ("x = 1\n" * 601, "601 lines"),
        ("def f():\n" + "    x = 1\n" * 60, "f has 61 lines"),
    ],
)
def test_a_broken_rule_is_found(source: str, what: str) -> None:
    module = Module("target/a.py", source)
    assert what in {finding for rule in RULES for _, finding in rule(module)}


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    f()\nexcept (OSError, ValueError):\n    pass",
        "try:\n    f()\nexcept BaseException:\n    undo()\n    raise",
        "text = f'{name} <{address}>, {count} < {limit}'",
        "usage = 'standby revert <standby>'",
        "total = '<one>'",
        "jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)",
        "def f():\n" + "    x = 1\n" * 59,
    ],
)
def test_what_is_allowed_is_not_reported(source: str) -> None:
    assert [finding for rule in RULES for finding in rule(Module("target/a.py", source))] == []

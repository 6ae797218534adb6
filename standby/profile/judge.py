"""What is wrong with a tree, in words that name the key, the value found and what is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import TYPE_CHECKING

from pydantic import ValidationError

from standby.profile.file_kind import FileKind
from standby.profile.layers import node_at, plain
from standby.profile.mistakes import PathInFile, Plain
from standby.profile.schema import JsonSchema, at, in_words, json_schema, known_keys, model_of

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from standby.profile.document import Branch

_LONGEST_QUOTE = 60
_KEY_MARK = "[key]"  # pydantic's: it is the key that is wrong, not its value
# A value below these keys may be a secret written in the wrong place: it is never repeated.
_SECRET_KEYS = frozenset({"password", "passphrase"})
_MAY_HOLD_SECRETS = frozenset({"url"})


class Fault(Enum):
    """What kind of mistake it is; layers and complete profiles are held to different ones."""

    WRONG = "wrong"  # an unknown key or a value that is not allowed
    MISSING = "missing"  # a required key
    IMPOSSIBLE = "impossible"  # keys that exclude each other


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a tree. `involved` are the paths that contradict each other."""

    fault: Fault
    path: PathInFile
    wrong: str
    allowed: str = ""
    involved: tuple[PathInFile, ...] = ()


def judge(kind: FileKind, tree: Branch) -> tuple[Finding, ...]:
    """Return everything that is wrong with a file of `kind`, or with layers put together."""
    try:
        model_of(kind).model_validate(plain(tree))
    except ValidationError as error:
        schema = json_schema(kind)
        errors = error.errors(include_url=False)
        return tuple(_finding(schema, tree, it) for it in errors if not _follows(it, errors))
    return ()


def _follows(details: ErrorDetails, errors: list[ErrorDetails]) -> bool:
    """Tell whether a list seems too short only because entries of it are wrong."""
    depth = len(details["loc"])
    return details["type"] == "too_short" and any(
        len(other["loc"]) > depth and other["loc"][:depth] == details["loc"] for other in errors
    )


def _finding(schema: JsonSchema, tree: Branch, details: ErrorDetails) -> Finding:
    path = _path(tree, details["loc"])
    if _SECRET_KEYS.intersection(path[:-1]):
        return _secret(path, details)
    match details["type"]:
        case "extra_forbidden":
            return _unknown(schema, path)
        case "impossible":
            return _impossible(tree, path, details)
        case "not_worded":
            return _not_worded(tree, path, details)
    fault = Fault.MISSING if details["type"] == "missing" else Fault.WRONG
    return Finding(fault, path, _found(tree, path, details), _allowed(schema, path))


def _found(tree: Branch, path: PathInFile, details: ErrorDetails) -> str:
    match details["type"]:
        case "missing":
            return "is missing"
        case "not_allowed":
            return details["msg"]
    return _described(tree, path)


def _described(tree: Branch, path: PathInFile) -> str:
    if path[-1] in _MAY_HOLD_SECRETS:
        return "is not of its kind"
    return f"found {describe(_value(tree, path))}"


def _path(tree: Branch, location: tuple[int | str, ...]) -> PathInFile:
    """Leave out what pydantic adds to a path: the branch of a union, the mark of a key."""
    path: PathInFile = ()
    for part in map(str, location):
        here = (*path, part)
        if node_at(tree, here) is not None or not (part == _KEY_MARK or part.startswith("<")):
            path = here
    return path


def _value(tree: Branch, path: PathInFile) -> Plain:
    node = node_at(tree, path)
    return None if node is None else plain(node)


def _secret(path: PathInFile, details: ErrorDetails) -> Finding:
    fault = Fault.MISSING if details["type"] == "missing" else Fault.WRONG
    depth = next(depth for depth, key in enumerate(path, 1) if key in _SECRET_KEYS)
    return Finding(
        fault, path[:depth], "does not say where the secret is", "{file: PATH} or {env: NAME}"
    )


def _unknown(schema: JsonSchema, path: PathInFile) -> Finding:
    known = known_keys(schema, path[:-1])
    near = get_close_matches(path[-1], known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return Finding(Fault.WRONG, path, f"unknown key{hint}", ", ".join(known))


def _impossible(tree: Branch, path: PathInFile, details: ErrorDetails) -> Finding:
    context = details["ctx"]
    involved = tuple((*path, *key.split(".")) for key in context["keys"])
    # What is not there may come from a file that cannot be read.
    complete = all(node_at(tree, key) is not None for key in involved)
    fault = Fault.IMPOSSIBLE if complete else Fault.MISSING
    return Finding(fault, path, details["msg"], context["allowed"], involved)


def _not_worded(tree: Branch, path: PathInFile, details: ErrorDetails) -> Finding:
    if details["loc"][-1] == _KEY_MARK:
        return Finding(Fault.WRONG, path, "the key itself is not allowed", details["msg"])
    return Finding(Fault.WRONG, path, _described(tree, path), details["msg"])


def _allowed(schema: JsonSchema, path: PathInFile) -> str:
    node = at(schema, path)
    return in_words(schema, node) if node is not None else ""


def describe(value: Plain) -> str:
    """Say what kind of value was found, and a short one itself."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        short = value if len(value) <= _LONGEST_QUOTE else value[:_LONGEST_QUOTE] + "…"
        return f"the text {short!r}"
    return "a mapping" if isinstance(value, dict) else "a list"

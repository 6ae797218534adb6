"""Contradictions between the parts of a profile that no single section can see."""

from __future__ import annotations

from collections.abc import Iterator

from standby.model.names import SAFE_NAME_RULE, is_safe_name
from standby.profile.document import Branch, Leaf
from standby.profile.dormant import Identifier
from standby.profile.hosts import HostSettings
from standby.profile.layers import find, node_at
from standby.profile.mistakes import Mistake, PathInFile, dotted

_STANDBY_NAME = ("standby", "name")
_DOMAIN = ("source", "domain")
_UUID = ("standby", "uuid")


def default_standby_name(profile: str) -> str:
    """Return the name of a profile's standby where the profile gives none."""
    return f"{profile}-standby"


def contradictions(
    profile: str, tree: Branch, source: HostSettings | None, target: HostSettings | None
) -> Iterator[Mistake]:
    """Yield what the sound values of a profile make impossible; hosts are None when unknown."""
    name = _text(tree, _STANDBY_NAME) or default_standby_name(profile)
    if not is_safe_name(name):
        yield _at(tree, _STANDBY_NAME, f"the default {name!r} is no safe name", SAFE_NAME_RULE)
    if source is None or target is None or source.address != target.address:
        return
    same = f"{source.name} holds both the machine and its standby"
    if name == _text(tree, _DOMAIN):
        yield _at(tree, _STANDBY_NAME, f"{same}: {name!r} is the machine's name", "another name")
    if _text(tree, _UUID) == Identifier.KEEP.value:
        yield _at(tree, _UUID, f"{same}: they cannot have the same UUID", Identifier.NEW.value)


def _text(tree: Branch, path: PathInFile) -> str | None:
    node = node_at(tree, path)
    return node.value if isinstance(node, Leaf) and isinstance(node.value, str) else None


def _at(tree: Branch, path: PathInFile, wrong: str, allowed: str) -> Mistake:
    return Mistake(find(tree, path).node.mark, dotted(path), wrong, allowed)

"""Trees of several files, laid over each other; every value keeps the place it came from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce

from standby.profile.document import Branch, Document, Leaf, Listing, Node
from standby.profile.mistakes import Mistake, PathInFile, Plain, dotted

# Mappings whose keys exclude each other: the upper layer's replaces the lower one's whole.
_REPLACED_WHOLE: tuple[PathInFile, ...] = (
    ("source", "disks"),
    ("target", "storage"),
    ("standby", "networks", "*"),
)
_NETWORKS = ("standby", "networks")
_LARGE_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")


@dataclass(frozen=True, slots=True)
class Found:
    """What a tree has at a path; `depth` keys of the path lead to `node`."""

    node: Node
    depth: int


def plain(node: Node) -> Plain:
    """Return the tree's values without their places."""
    if isinstance(node, Leaf):
        return node.value
    if isinstance(node, Listing):
        return [plain(item) for item in node.items]
    return {key: plain(entry) for key, entry in node.entries.items()}


def find(root: Node, path: PathInFile) -> Found:
    """Return the node at `path`, or the deepest one on the way to it."""
    node = root
    for depth, key in enumerate(path):
        below = _below(node, key)
        if below is None:
            return Found(node, depth)
        node = below
    return Found(node, len(path))


def node_at(root: Node, path: PathInFile) -> Node | None:
    """Return the node at `path`, or None."""
    found = find(root, path)
    return found.node if found.depth == len(path) else None


def _below(node: Node, key: str) -> Node | None:
    if isinstance(node, Branch):
        return node.entries.get(key)
    if isinstance(node, Listing) and key.isdigit() and int(key) < len(node.items):
        return node.items[int(key)]
    return None


def merge(layers: Iterable[Branch]) -> Branch:
    """Lay trees over each other, lowest first; the place of a mapping is its uppermost one."""
    return reduce(lambda lower, upper: _over(lower, upper, ()), layers)


def _over(lower: Branch, upper: Branch, path: PathInFile) -> Branch:
    entries = dict(lower.entries)
    for key, node in upper.entries.items():
        below = entries.get(key)
        here = (*path, key)
        if isinstance(node, Branch) and isinstance(below, Branch) and not _is_whole(here):
            entries[key] = _over(below, node, here)
        else:
            entries[key] = node
    return Branch(entries, upper.mark)


def _is_whole(path: PathInFile) -> bool:
    return any(
        len(path) == len(whole)
        and all(pattern in {"*", key} for pattern, key in zip(whole, path, strict=True))
        for whole in _REPLACED_WHOLE
    )


def without(root: Branch, path: PathInFile) -> Branch:
    """Return the tree without what stands at `path`."""
    key, *rest = path
    entries = dict(root.entries)
    below = entries.get(key)
    if rest and isinstance(below, Branch):
        entries[key] = without(below, tuple(rest))
    else:
        entries.pop(key, None)
    return replace(root, entries=entries)


def with_empty_sections(document: Document, sections: Iterable[PathInFile]) -> Document:
    """Take a section with nothing below its key for an empty mapping, which overrides nothing."""
    root = document.root
    for path in sections:
        node = node_at(root, path)
        if isinstance(node, Leaf) and node.value is None:
            root = _with(root, path, Branch({}, node.mark))
    return replace(document, root=root)


def with_plain_macs(document: Document) -> Document:
    """Write MAC addresses in small letters, so that layers meet and none stands twice."""
    networks = node_at(document.root, _NETWORKS)
    if not isinstance(networks, Branch) or all(key == key.lower() for key in networks.entries):
        return document
    entries: dict[str, Node] = {}
    mistakes = list(document.mistakes)
    for key, node in networks.entries.items():
        plain_key = key.lower() if _LARGE_MAC.fullmatch(key) else key
        if plain_key in entries:
            wrong = f"stands twice, first in line {entries[plain_key].mark.line}"
            mistakes.append(Mistake(node.mark, dotted((*_NETWORKS, key)), wrong, "once"))
        entries.setdefault(plain_key, node)
    root = _with(document.root, _NETWORKS, replace(networks, entries=entries))
    return replace(document, root=root, mistakes=tuple(mistakes))


def _with(root: Branch, path: PathInFile, node: Branch) -> Branch:
    key, *rest = path
    below = root.entries[key]
    new = _with(below, tuple(rest), node) if rest and isinstance(below, Branch) else node
    return replace(root, entries={**root.entries, key: new})

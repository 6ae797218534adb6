"""Findings about trees, turned into mistakes at lines of files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from standby.profile.document import Branch, read_document
from standby.profile.file_kind import FileKind
from standby.profile.judge import Fault, Finding, judge
from standby.profile.keys import section_paths
from standby.profile.layers import find, node_at, with_empty_sections, with_plain_macs, without
from standby.profile.mistakes import Mark, Mistake, PathInFile, dotted
from standby.profile.schema import PROFILE_ONLY


@dataclass(frozen=True, slots=True)
class Layer:
    """One file, judged by itself. `refused` are the paths whose values are wrong.

    Unless `readable`, what it would have said is not known.
    """

    root: Branch
    mistakes: tuple[Mistake, ...] = ()
    refused: tuple[PathInFile, ...] = ()
    readable: bool = True

    @classmethod
    def unread(cls, file: Path) -> Layer:
        """Return what stands for a file that is not there, though it should be."""
        return cls(Branch({}, Mark(file, 1)), readable=False)


def read_layer(kind: FileKind, file: Path) -> Layer:
    """Read a profile, a policy or defaults.yaml and judge it; what is missing may come later."""
    document = with_empty_sections(with_plain_macs(read_document(file)), section_paths(kind))
    tree = document.root
    findings = [finding for finding in judge(kind, tree) if finding.fault is Fault.WRONG]
    if kind is FileKind.SHARED:
        findings += _profile_only(tree)
    return Layer(
        tree,
        (*document.mistakes, *(mistake_of(tree, finding) for finding in findings)),
        tuple(finding.path for finding in findings),
        document.readable,
    )


def _profile_only(tree: Branch) -> Iterator[Finding]:
    for path in PROFILE_ONLY:
        if node_at(tree, path) is not None:
            yield Finding(Fault.WRONG, path, "names one machine", "in a profile only")


def sound_part(tree: Branch, layers: Iterable[Layer]) -> Branch:
    """Return the merged `tree` without the values that were found wrong in their layer."""
    for layer in layers:
        for path in layer.refused:
            wrong = node_at(layer.root, path)
            merged = node_at(tree, path)
            if merged is not None and wrong is not None and merged.mark == wrong.mark:
                tree = without(tree, path)
    return tree


def mistakes_of_whole(tree: Branch, layers: Sequence[Layer]) -> list[Mistake]:
    """Return what is missing or impossible in the sound part of layers put together.

    Nothing is said of keys that were refused in their layer, nor of missing ones when a file
    that may hold them could not be read: one mistake, one message.
    """
    faults = set(Fault) if all(layer.readable for layer in layers) else {Fault.IMPOSSIBLE}
    refused = {path for layer in layers for path in layer.refused}
    order = [layer.root.mark.file for layer in layers]
    return [
        placed(tree, finding, order)
        for finding in judge(FileKind.PROFILE, tree)
        if finding.fault in faults and not _concerns(finding, refused)
    ]


def _concerns(finding: Finding, refused: set[PathInFile]) -> bool:
    return any(
        path[:depth] in refused
        for path in (finding.path, *finding.involved)
        for depth in range(1, len(path) + 1)
    ) or any(path[: len(involved)] == involved for path in refused for involved in finding.involved)


def placed(tree: Branch, finding: Finding, order: Sequence[Path]) -> Mistake:
    """Place a finding in one of the files of a tree, given lowest first.

    A contradiction is placed at the key of the uppermost file: that one made it.
    """
    written = [path for path in finding.involved if node_at(tree, path) is not None]
    if not written:
        return mistake_of(tree, finding)

    def height(path: PathInFile) -> int:
        return max(order.index(mark.file) for mark in marks_below(tree, path))

    return mistake_of(tree, finding, max(written, key=height))


def marks_below(tree: Branch, path: PathInFile) -> Iterator[Mark]:
    """Yield the places of the value at `path` and of all that it holds."""
    node = node_at(tree, path)
    if node is None:
        return
    yield node.mark
    if isinstance(node, Branch):
        for key in node.entries:
            yield from marks_below(tree, (*path, key))


def mistake_of(tree: Branch, finding: Finding, path: PathInFile | None = None) -> Mistake:
    """Place a finding at the line of its key, or of the nearest mapping that should hold it."""
    place = path or finding.path
    mark = find(tree, place).node.mark
    return Mistake(mark, dotted(place), finding.wrong, finding.allowed)

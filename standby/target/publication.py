"""Publication: the one atomic rename that makes a new manifest visible."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from standby.errors import CommandFailed, Overtaken, RepairStore, StandbyError, TransferFailed
from standby.host.interface import Host
from standby.model.manifest import Manifest
from standby.target import programs
from standby.target.layout import StandbyDirectory
from standby.target.manifest_format import write_manifest

# Flushing what a seed wrote can take minutes on slow storage; nothing is wrong until then.
_PUBLISH_S: Final = 1800.0


@dataclass(frozen=True, slots=True)
class Moves:
    """Files to put in place (from, to) and paths to flush, relative, before the rename."""

    files: tuple[tuple[str, str], ...] = ()
    flush: tuple[str, ...] = ()


NOTHING_TO_MOVE: Final = Moves()


def publish_manifest(
    host: Host,
    directory: StandbyDirectory,
    manifest: Manifest,
    expected_generation: int,
    moves: Moves = NOTHING_TO_MOVE,
) -> None:
    """Flush, move into place, and replace the manifest, in this order.

    Raises Overtaken when the manifest on the host has another generation than expected.
    """
    text = write_manifest(manifest).encode()
    words = [word for pair in moves.files for word in pair]
    argv = (
        *("bash", "-c", programs.PUBLISH, "standby-publish", directory.path),
        *(str(expected_generation), hashlib.sha256(text).hexdigest(), *words, "--", *moves.flush),
    )
    try:
        host.run(argv, timeout=_PUBLISH_S, stdin=text)
    except CommandFailed as error:
        raise _why(error, f"standby directory {directory.path} on {host.name}") from error


def drop(host: Host, directory: StandbyDirectory, generation: int, paths: Sequence[str]) -> None:
    """Delete relative paths for good. Raises Overtaken like a publication."""
    if not paths:
        return
    argv = ("sh", "-c", programs.DROP, "standby-drop", directory.path, str(generation), *paths)
    try:
        host.run(argv, timeout=_PUBLISH_S)
    except CommandFailed as error:
        raise _why(error, f"standby directory {directory.path} on {host.name}") from error


def _why(error: CommandFailed, subject: str) -> StandbyError:
    match error.status:
        case programs.STATUS_OVERTAKEN:
            return Overtaken(
                subject,
                "another manager took over while we worked",
                "our own generation in the manifest",
                "nothing was published; run again",
            )
        case programs.STATUS_TORN:
            return TransferFailed(subject, "the manifest did not arrive whole")
        case programs.STATUS_DAEMON_ALIVE:
            return RepairStore(
                subject, "a storage daemon of this cycle has not ended", "no writer left"
            )
    return error

"""Publication: the one atomic rename that makes a new manifest visible."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from standby.errors import CommandFailed, RepairStore, StandbyError, TransferFailed
from standby.host.interface import Host
from standby.model.manifest import Manifest
from standby.target import programs
from standby.target.layout import StandbyDirectory
from standby.target.manifest_format import write_manifest
from standby.target.writer import no_space, overtaken

# Flushing what a seed wrote can take minutes on slow storage; nothing is wrong until then.
_PUBLISH_S: Final = 1800.0


@dataclass(frozen=True, slots=True)
class Moves:
    """Files to flush and put in place (from, to), then paths to flush, relative, before the rename.

    What is put in place needs its directories among the latter.
    """

    files: tuple[tuple[str, str], ...] = ()
    flush: tuple[str, ...] = ()


NOTHING_TO_MOVE: Final = Moves()


NO_MANIFEST: Final = ""


def publish_manifest(
    host: Host,
    directory: StandbyDirectory,
    manifest: Manifest,
    replaced: str,
    moves: Moves = NOTHING_TO_MOVE,
) -> str:
    """Flush, move into place, and replace the manifest, in this order; return its text.

    `replaced` is the text of the manifest that is replaced, NO_MANIFEST for the first one. Raises
    Overtaken when the one on the host is another.
    """
    text = write_manifest(manifest)
    words = [word for pair in moves.files for word in pair]
    argv = (
        *("bash", "-c", programs.PUBLISH, "standby-publish", directory.path),
        *(digest_of(replaced), digest_of(text), *words, "--", *moves.flush),
    )
    try:
        host.run(argv, timeout=_PUBLISH_S, stdin=_encoded(text))
    except CommandFailed as error:
        raise _why(error, host, directory) from error
    return text


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def digest_of(text: str) -> str:
    """Return the SHA-256 of a manifest's text as the programs compare it; "none" for none."""
    return hashlib.sha256(_encoded(text)).hexdigest() if text else "none"


def _why(error: CommandFailed, host: Host, directory: StandbyDirectory) -> StandbyError:
    subject = f"standby directory {directory.path} on {host.name}"
    match error.status:
        case programs.STATUS_OVERTAKEN:
            return overtaken(host, directory)
        case programs.STATUS_TORN:
            return TransferFailed(subject, "the manifest did not arrive whole")
        case programs.STATUS_DAEMON_ALIVE:
            return RepairStore(
                subject, "a storage daemon of this cycle has not ended", "no writer left"
            )
    return no_space(error, subject) or error

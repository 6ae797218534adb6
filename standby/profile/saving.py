"""Putting a changed profile in its place: whole or not at all, and never over somebody else's."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from standby.errors import FixProfile, TryLater


def replace_profile(file: Path, new: Path, before: bytes) -> None:
    """Give a profile the content of `new`, atomically; mode, owner, a link to it stay as they are.

    Raises TryLater when it no longer holds `before`, FixProfile when it cannot be written.
    """
    place = file.resolve()
    remedy = f"what you wrote is kept: {new}"
    try:
        if place.read_bytes() != before:
            raise TryLater(str(file), "somebody else has changed it meanwhile", "", remedy)
        _replace(place, new.read_bytes())
    except OSError as error:
        wrong = f"cannot be written: {error.strerror}"
        raise FixProfile(str(file), wrong, "", remedy) from error


def _replace(place: Path, text: bytes) -> None:
    # Hidden: whoever reads the directory meanwhile does not take it for a profile.
    descriptor, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text)
            stream.flush()
            _dress(stream.fileno(), place)
            os.fsync(stream.fileno())
        new.replace(place)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    _sync_directory(place.parent)


def _dress(descriptor: int, place: Path) -> None:
    status = place.stat()
    with suppress(PermissionError):  # a file of somebody else that we may replace becomes ours
        os.fchown(descriptor, status.st_uid, status.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode))


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

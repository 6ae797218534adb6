"""The manager's private directory for sockets: gone with the manager."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from standby.errors import GrantAccess

_LONGEST: Final = 60
"""Bytes of a directory's path. A socket's address holds 108 (unix(7)), ssh adds a random suffix
of 17 to a control socket's name while it makes it, and our names are shorter than 30."""

_OWNED: Final = ".owned"


class RuntimeDirectory:
    """A directory of mode 0700 that lives as long as this object.

    Its owner holds a lock in it, so that what a killed manager left is known from what
    another uses, in whatever PID namespace that runs, and is removed by the next.
    """

    def __init__(self) -> None:
        base = _base()
        with _exclusive(base):
            _remove_stale(base)
            self.path = Path(tempfile.mkdtemp(prefix="m", dir=base))
            self._lock = _locked(self.path / _OWNED)
        self._numbers = count(1)  # threads ask: no two may get the same

    def new_path(self, kind: str) -> Path:
        """Return a path in it that was never given out before; `kind` is a short word."""
        return self.path / f"{kind}{next(self._numbers)}"

    def close(self) -> None:
        """Remove it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _base() -> Path:
    """Return our directory below the user's runtime directory, or below the temporary one."""
    user = os.geteuid()
    given = os.environ.get("XDG_RUNTIME_DIR")
    places = [Path(given)] if given else []
    places += [Path("/run/user") / str(user), *([Path("/run")] if user == 0 else [])]
    for place in places:
        base = place / "standby"
        if place.is_dir() and os.access(place, os.W_OK) and _fits(base):
            return _private(base)
    return _private(Path(tempfile.gettempdir()) / f"standby-{user}")


def _fits(base: Path) -> bool:
    return len(os.fsencode(base)) + len("/m12345678") <= _LONGEST


def _private(base: Path) -> Path:
    """Make `base` ours alone; raise GrantAccess when somebody else made it."""
    with suppress(FileExistsError):
        base.mkdir(mode=0o700)
    found = base.lstat()
    if not base.is_dir() or base.is_symlink() or found.st_uid != os.geteuid():
        raise GrantAccess(str(base), f"belongs to user {found.st_uid}", "a directory of ours")
    base.chmod(0o700)
    return base


@contextmanager
def _exclusive(base: Path) -> Generator[None]:
    # Held while a directory is made and locked, lest another manager takes it for stale.
    descriptor = os.open(base / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _locked(path: Path) -> int | None:
    """Return a descriptor that holds the lock on `path`, or None when another holds it."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_stale(base: Path) -> None:
    for directory in base.glob("m*"):
        with suppress(OSError):
            descriptor = _locked(directory / _OWNED)
            if descriptor is not None:
                shutil.rmtree(directory, ignore_errors=True)
                os.close(descriptor)

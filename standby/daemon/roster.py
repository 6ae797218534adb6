"""The profiles of a configuration root as they last were good, and what changed since.

Looking costs a few thousand stat(2) calls at most; only what changed is read. A profile that
cannot be read as it is now stays as it was, and is named. So are all of them when their directory
cannot be read, has vanished, or was emptied at once, as when a file system is not mounted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from standby.app.live import BrokenProfile
from standby.errors import StandbyError
from standby.profile import Configuration, Profile
from standby.profile.root import SUFFIX, Layout

_Signature = tuple[int, int, int]  # when it was changed, size, inode


@dataclass(frozen=True, slots=True)
class Changes:
    """What a look found: profiles that are new or other than before, and names that are gone."""

    profiles: tuple[Profile, ...] = ()
    removed: frozenset[str] = frozenset()
    settings: bool = False  # those of the manager may be others


@dataclass
class Roster:
    """All profiles of a root. Used by one thread at a time, but for `profile` and the reports."""

    root: Path
    problem: str = ""
    _profiles: dict[str, Profile] = field(default_factory=dict)
    _broken: dict[str, BrokenProfile] = field(default_factory=dict)
    _own: dict[str, _Signature] = field(default_factory=dict)
    _shared: dict[str, _Signature] = field(default_factory=dict)
    _settings: _Signature | None = None

    def profile(self, name: str) -> Profile:
        """Return a profile as it last was good."""
        return self._profiles[name]

    def names(self) -> frozenset[str]:
        """Return the names of all that were good once and are not gone."""
        return frozenset(self._profiles)

    def broken(self) -> tuple[BrokenProfile, ...]:
        """Return the profiles that cannot be read as they are now."""
        found = self._broken.copy()  # another thread may mend one meanwhile
        return tuple(found[name] for name in sorted(found))

    def look(self, *, sure: bool = False) -> Changes:
        """Look for changes and read what changed; `sure`: even if all profiles are gone."""
        layout = Layout(self.root)
        try:
            own = _signatures(layout.profiles.directory)
            shared = self._shared_files(layout)
            settings = _signature(layout.root / f"manager{SUFFIX}")
        except OSError as error:
            self.problem = f"{error.filename}: cannot be read ({error.strerror}); {_GO_ON}"
            return Changes()
        if not own and len(self._own) > 1 and not sure:
            self.problem = f"{layout.profiles.directory}: all profiles are gone; {_GO_ON}, {_SURE}"
            return Changes()
        self.problem = ""
        is_new, self._settings = settings != self._settings, settings
        return Changes(*self._take(own, shared), is_new)

    def _shared_files(self, layout: Layout) -> dict[str, _Signature]:
        found = {
            f"{directory}/{name}": signature
            for directory in (layout.policies.directory, layout.hosts.directory)
            if directory.exists()
            for name, signature in _signatures(directory).items()
        }
        defaults = _signature(layout.defaults)
        return found if defaults is None else {**found, str(layout.defaults): defaults}

    def _take(
        self, own: dict[str, _Signature], shared: dict[str, _Signature]
    ) -> tuple[tuple[Profile, ...], frozenset[str]]:
        others = shared != self._shared
        changed = [name for name in own if others or own[name] != self._own.get(name)]
        removed = frozenset(self._own) - frozenset(own)
        self._own, self._shared = own, shared
        for name in removed:
            self._profiles.pop(name, None)
            self._broken.pop(name, None)
        return tuple(self._read(changed)), removed

    def _read(self, names: Iterable[str]) -> Iterable[Profile]:
        configuration = Configuration(self.root)
        for name in sorted(names):
            try:
                profile = configuration.profile(name)
            except StandbyError as error:
                self._broken[name] = BrokenProfile(name, str(error), name in self._profiles)
                continue
            self._profiles[name] = profile
            self._broken.pop(name, None)
            yield profile


_GO_ON = "the profiles go on as they were"
_SURE = "until a reload says that it is meant so"


def _signatures(directory: Path) -> dict[str, _Signature]:
    with os.scandir(directory) as entries:
        ours = [it for it in entries if it.name.endswith(SUFFIX) and not it.name.startswith(".")]
        found: Mapping[str, _Signature | None] = {
            it.name.removesuffix(SUFFIX): _signature(Path(it.path)) for it in ours
        }
    return {name: it for name, it in found.items() if it is not None}


def _signature(file: Path) -> _Signature | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

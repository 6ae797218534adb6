"""All files of a configuration root looked through at once, without contacting a host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from standby.profile.effective import Profile
from standby.profile.loader import Configuration
from standby.profile.mistakes import Mark, Mistake, ProfileMistakes
from standby.profile.root import SUFFIX, Shelf

_Claim = tuple[str, str, str]  # address of the KVM host, storage there, name of the standby


def survey(configuration: Configuration) -> tuple[Profile, ...]:
    """Load every profile; raise ProfileMistakes with all mistakes of all files, used or not."""
    layout = configuration.layout
    mistakes = [
        *(
            it
            for shelf in (layout.profiles, layout.policies, layout.hosts)
            for it in _unread(shelf)
        ),
        *_unused_files(configuration),
        *configuration.manager_mistakes(),
    ]
    profiles = []
    for name in configuration.profile_names():
        try:
            profiles.append(configuration.profile(name))
        except ProfileMistakes as error:
            mistakes += error.mistakes
    mistakes += _claimed_twice(profiles)
    if mistakes:
        raise ProfileMistakes.of(f"configuration {layout.root}", mistakes)
    return tuple(profiles)


def _unread(shelf: Shelf) -> Iterator[Mistake]:
    for file in shelf.strangers():
        yield Mistake(Mark(file, 1), "", "is never read", f"NAME{SUFFIX} with a safe name")


def _unused_files(configuration: Configuration) -> Iterator[Mistake]:
    layout = configuration.layout
    shared = [layout.policies.file(name) for name in layout.policies.names()]
    for file in (layout.defaults, *shared):
        if file.exists():
            yield from configuration.shared_layer(file).mistakes
    for name in layout.hosts.names():
        host = configuration.judged_host(name)
        yield from host.mistakes if host is not None else ()


def _claimed_twice(profiles: list[Profile]) -> Iterator[Mistake]:
    claims: dict[_Claim, Path] = {}
    for profile in profiles:
        claim = (
            str(profile.target_host.address),
            str(profile.target.storage),
            profile.standby_name,
        )
        first = claims.setdefault(claim, profile.file)
        if first != profile.file:
            wrong = f"the standby {profile.standby_name} there is that of {first}"
            yield Mistake(Mark(profile.file, 1), "standby.name", wrong, "another name")

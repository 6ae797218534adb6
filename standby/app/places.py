"""From what somebody typed to one standby: a profile, or `HOST/name-or-UUID` without one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from standby.app.domain import dormant_domain
from standby.app.session import Session
from standby.app.wiring import directory_of
from standby.errors import FixProfile, FixRequest, StandbyError
from standby.host.interface import Host
from standby.model.manifest import Manifest
from standby.profile import Profile, StoragePool, is_profile_file
from standby.profile.recorded import recorded_profile
from standby.target.domain_interface import DormantDomain
from standby.target.layout import StandbyDirectory
from standby.target.pools import pool_directory
from standby.target.search import Found, find_standbys, storages_known_to


@dataclass(frozen=True, slots=True)
class Place:
    """Where one standby lies, and the profile that says how its machine is protected."""

    called: str  # what commands take: the profile's name, or HOST/NAME
    profile: Profile  # from the configuration, or as the manifest recorded it
    host: Host
    directory: StandbyDirectory

    @property
    def domain(self) -> DormantDomain:
        """The dormant domain."""
        return dormant_domain(self.host, self.profile, self.directory)

    @property
    def where(self) -> str:
        """Where it is, for people."""
        return f"{self.directory.path} on {self.host.name}"


def locate(session: Session, standby: str) -> Place:
    """Return the place of the standby that `standby` means.

    A profile's name, the path of its file, or what needs no profile, since the host is asked:
    `HOST/name-or-UUID`, or `HOST/` and the absolute path of the standby's directory. Raises
    FixProfile, FixRequest.
    """
    host, slash, name = standby.partition("/")
    if slash and not is_profile_file(standby):
        return _search(session, host, name.rstrip("/") or name)
    return place_of(session, session.profile(standby))


def place_of(session: Session, profile: Profile) -> Place:
    """Return the place of a profile's standby."""
    host = session.kvm_host(profile)
    return Place(profile.name, profile, host, directory_of(host, profile))


def found_on(session: Session, host_name: str, storages: Sequence[str]) -> tuple[Found, ...]:
    """Return the standbys of a host: in `storages`, where profiles say, where libvirt knows any."""
    host = session.host(session.configuration.host(host_name))
    known = storages_known_to(host.libvirt())
    return find_standbys(host, [*storages, *known, *_storages_of_profiles(session, host_name)])


def recorded_place(session: Session, host_name: str, found: Found) -> Place:
    """Return the place of a standby by its manifest alone. Raises RepairStore if damaged."""
    if isinstance(found.manifest, StandbyError):
        raise found.manifest
    host = session.host(session.configuration.host(host_name))
    profile = recorded_profile(found.manifest.profile, f"{found.directory.manifest} on {host_name}")
    profile = replace(profile, target_host=session.configuration.host(host_name))
    called = f"{host_name}/{found.manifest.standby}"
    return Place(called, _with_known_source(session, profile), host, found.directory)


def _search(session: Session, host_name: str, wanted: str) -> Place:
    parent = [str(PurePosixPath(wanted).parent)] if wanted.startswith("/") else []
    found = found_on(session, host_name, parent)
    named = [it for it in found if wanted in _names(it)]
    if len(named) == 1:
        return recorded_place(session, host_name, named[0])
    if named:
        raise FixRequest(
            f"standby {wanted} on {host_name}",
            f"there are {len(named)}: {_paths(named)}",
            "a name or UUID that only one has",
            f"take the UUID of its domain: standby vms {host_name}",
        )
    raise FixRequest(
        f"standby {wanted}",
        f"not found on {host_name}",
        f"one of those there: {_paths(found) or 'none'}",
        f"if no profile and no libvirt knows its storage: {host_name}/ and its directory's path",
    )


def _names(found: Found) -> Iterator[str]:
    yield found.directory.path
    if isinstance(found.manifest, Manifest):
        yield found.manifest.standby
        yield found.manifest.machine.uuid
        if found.manifest.domain is not None:
            yield found.manifest.domain.uuid


def _paths(found: Iterable[Found]) -> str:
    return ", ".join(it.directory.path for it in found)


def _with_known_source(session: Session, profile: Profile) -> Profile:
    """Reach the source as the configuration says today, where it knows that host."""
    try:
        source = session.configuration.host(profile.source_host.name)
    except FixProfile:
        return profile
    return replace(profile, source_host=source)


def _storages_of_profiles(session: Session, host_name: str) -> Iterator[str]:
    """Yield where profiles keep standbys on a host; a profile with mistakes says nothing."""
    configuration = session.configuration
    for name in configuration.profile_names():
        try:
            profile = configuration.profile(name)
            if profile.target_host.name == host_name:
                yield _storage_directory(session, profile)
        except StandbyError:
            continue


def _storage_directory(session: Session, profile: Profile) -> str:
    storage = profile.target.storage
    if isinstance(storage, StoragePool):
        return pool_directory(session.kvm_host(profile).libvirt(), storage.pool)
    return str(storage)

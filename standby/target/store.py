"""One standby's directory on the KVM host, while its lock is held.

The store keeps no state of its own beyond the manifest it last published: whatever it has to
know it looks up on the host. Everything that changes the manifest goes through `_publish`.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Final

from standby.errors import CommandFailed, RepairStore, StandbyError
from standby.host.interface import Host
from standby.host.outcome import file_failure
from standby.model.extent import NbdEndpoint
from standby.model.machine import MachineDefinition
from standby.model.manifest import JsonObject, Manifest
from standby.model.names import PointName
from standby.model.observation import (
    DomainFound,
    HeadObservation,
    HeadUse,
    TargetObservation,
    User,
)
from standby.model.plan import CyclePlan, DiskPlan, HeadMove
from standby.model.point import BootPoint, Delta
from standby.model.seed import ImageFound, UnfinishedSeed
from standby.target import layout, programs
from standby.target.domain_interface import DormantDomain
from standby.target.filesystems import require_promises
from standby.target.head import Heads, Variables
from standby.target.healing import Healing
from standby.target.incoming import Incoming, files_of, serve_incoming, useless_files
from standby.target.layout import StandbyDirectory
from standby.target.listing import Listing, manifest_of, parse_listing
from standby.target.lock import Absent, StoreLock, hold_lock
from standby.target.mending import DeltaMending, Rebuilding, mending, rebuilding
from standby.target.merging import UNLIMITED, MergeSpeed, merge_pair
from standby.target.publication import (
    NO_MANIFEST,
    NOTHING_TO_MOVE,
    Moves,
    publish_manifest,
)
from standby.target.qcow2 import Allocation
from standby.target.seed_images import copied_image, find_image
from standby.target.users import Images, parse_images, point_of_file, unexpected_users
from standby.target.writer import Writer

log = logging.getLogger(__name__)

_LOOK_S: Final = 120.0
_CHECK_S: Final = 1800.0  # of images: all their metadata is read


def make_directory(host: Host, directory: StandbyDirectory) -> None:
    """Make the skeleton of a standby's directory; harmless when it is there."""
    host.run(("sh", "-c", programs.MAKE_DIRECTORY, "standby-make", directory.path), timeout=_LOOK_S)


def look(
    host: Host, directory: StandbyDirectory, program: str = programs.OBSERVE
) -> Listing | None:
    """Look at a standby's directory without its lock; None when there is none."""
    argv = ("sh", "-c", program, "standby-observe", directory.path)
    done = host.run(argv, timeout=_LOOK_S, accept=frozenset({0, 73}))
    if done.status:
        return None
    return parse_listing(done.text, f"{directory.path} on {host.name}")


def read_definition(host: Host, directory: StandbyDirectory, name: PointName) -> MachineDefinition:
    """Read what, besides disks, makes the machine at a point."""
    folder = directory / layout.point_directory(name)
    xml = host.read_file(f"{folder}/{layout.DEFINITION}") or b""
    return MachineDefinition(
        xml.decode(),
        nvram=host.read_file(f"{folder}/{layout.NVRAM}"),
        tpm=host.read_file(f"{folder}/{layout.TPM}") if b"<tpm" in xml else None,
    )


@contextmanager
def open_store(
    host: Host,
    directory: StandbyDirectory,
    domain: DormantDomain,
    first: Manifest | None,
    allocation: Allocation = Allocation.THIN,
    speed: MergeSpeed = UNLIMITED,
    profile: JsonObject | None = None,
) -> Generator[KvmStore]:
    """Take the lock, raise the generation, end what a predecessor left running.

    `first` is the manifest of a directory that has none yet; without it such a directory is an
    error. `profile`, the effective one, is kept in the manifest. Raises TryLater when another
    manager works on it, UseOtherStorage, RepairStore.
    """
    with hold_lock(host, directory, Absent.MADE if first else Absent.REFUSED) as lock:
        listing = look(host, directory, programs.TAKE_UP)
        where = f"{directory.manifest} on {host.name}"
        if listing:
            require_promises(listing.filesystem, directory.path, listing.mounted_with)
        begun = replace(first, token=first.token or secrets.token_hex(4)) if first else None
        before = Healing(host, directory, listing, begun).manifest() if listing else None
        manifest = before or _first_manifest(begun, where)
        work = Work(host, directory, domain, lock, allocation, speed)
        if profile is not None:
            manifest = manifest.with_profile(profile)
        replaced = listing.manifest if listing and before else NO_MANIFEST
        lock.require()
        yield KvmStore(work, manifest.taken_over(), replaced, _unhealed(listing, where))


def _unhealed(listing: Listing | None, where: str) -> Listing | None:
    """Return a listing that still holds: healing a manifest sets files aside."""
    try:
        return listing if listing and manifest_of(listing, where) else None
    except RepairStore:
        return None


def observe_unlocked(
    host: Host, directory: StandbyDirectory, domain: DormantDomain
) -> TargetObservation | None:
    """Look at a standby without its lock; None when there is no manifest."""
    listing = look(host, directory)
    if listing is None:
        return None
    manifest = manifest_of(listing, f"{directory.manifest} on {host.name}")
    return observe_target(domain, listing, manifest) if manifest else None


@dataclass(frozen=True, slots=True)
class Work:
    """What the store works with."""

    host: Host
    directory: StandbyDirectory
    domain: DormantDomain
    lock: StoreLock
    allocation: Allocation
    speed: MergeSpeed


class KvmStore:
    """The store of one standby. Made by `open_store`."""

    def __init__(
        self, work: Work, manifest: Manifest, replaced: str, listing: Listing | None
    ) -> None:
        """Publish `manifest`, ours from now on, in place of `replaced`, a manifest's text.

        `listing` was made under the lock.
        """
        self._host = work.host
        self._directory = work.directory
        self._domain = work.domain
        self._lock = work.lock
        self._allocation = work.allocation
        self._speed = work.speed
        self._manifest = manifest
        self._text = publish_manifest(work.host, work.directory, manifest, replaced)
        self._writer = Writer(work.host, work.directory, manifest.generation)
        self._heads = Heads(self._writer, work.domain)
        self._first = listing  # until somebody asks
        self._seen = listing  # the last look, while what it says of heads and space holds
        self._kept: tuple[PointName, MachineDefinition] | None = None  # the last that we published

    @property
    def directory(self) -> StandbyDirectory:
        """Where it lies."""
        return self._directory

    @property
    def manifest(self) -> Manifest:
        """The manifest as last published by us."""
        return self._manifest

    def observe(self) -> TargetObservation:
        """Look at directory, head and domain; change nothing."""
        listing, self._first = self._first or self._look(), None
        return observe_target(self._domain, listing, self._manifest)

    def available(self) -> int:
        """Return the free bytes of the storage, as of the last look."""
        return (self._seen or self._look()).available

    def require_lock(self) -> None:
        """Raise Overtaken when the lock is no longer held."""
        self._lock.require()

    def discard(self, debris: Sequence[str]) -> None:
        """Remove what an interrupted run left; a head that somebody opened meanwhile stays."""
        self._first = self._seen = None
        heads = frozenset(path for path in debris if layout.point_of_head(path))
        self._writer.drop([path for path in debris if path not in heads])
        for head in sorted(heads):
            self._heads.retire(head)

    @contextmanager
    def incoming(self, plan: CyclePlan) -> Generator[Incoming]:
        """Make the new deltas and serve them; on failure all but first copies are removed."""
        numbered = self._manifest.with_delta_numbers_used(len(plan.capture.disks))
        try:
            with serve_incoming(self._writer, plan, self._allocation) as incoming:
                self._manifest = numbered
                yield incoming
        except BaseException as error:
            # The space has to be free again; the error that brought us here goes on.
            self._first = self._seen = None
            useless = useless_files(plan, self._writer.generation, error)
            self._forgive(lambda: self._writer.drop(useless))
            raise

    def find_image(self, path: str) -> ImageFound:
        """Look at an image that is not ours. Raises UseOtherImage, GrantAccess, TryLater."""
        return find_image(self._host, path)

    def copied_image(
        self, plan: DiskPlan, image: ImageFound
    ) -> AbstractContextManager[tuple[NbdEndpoint, NbdEndpoint]]:
        """Copy an image to begin from; yield where it is read and where its table is written."""
        return copied_image(self._writer, plan, image, self._allocation)

    def spoilt(self, seeds: Sequence[UnfinishedSeed]) -> tuple[UnfinishedSeed, ...]:
        """Return the interrupted first copies that nobody can go on with. Raises Overtaken."""
        words = [file for seed in seeds for file in seed.files]
        found = self._writer.run(
            programs.CHECK_SEEDS, "standby-seeds", *words, timeout=_CHECK_S
        ).splitlines()
        return tuple(seed for seed in seeds if seed.image in found)

    def publish(self, plan: CyclePlan, point: BootPoint, definition: MachineDefinition) -> None:
        """Make the new point visible, whole, by one atomic rename. Raises Overtaken."""
        self._lock.require()
        folder = layout.point_directory(point.name)
        self._keep_definition(folder, definition)
        disks, generation = plan.capture.disks, self._writer.generation
        files = tuple(move for disk in disks for move in files_of(disk, generation).moves)
        moves = Moves(
            files=files,
            flush=(layout.DELTAS, layout.INCOMING, folder, layout.POINTS),
        )
        self._publish(self._manifest.of_machine(plan.machine).with_point(point), moves)
        self._kept = (point.name, definition)

    @property
    def writer(self) -> Writer:
        """What changes the directory while nobody has taken over."""
        return self._writer

    def give_up(self, files: Sequence[str]) -> None:
        """Remove files that nobody needs, if that can be done now."""
        self._first = self._seen = None
        self._forgive(lambda: self._writer.drop(files))

    def take_seed(
        self, seed: Manifest, definition: MachineDefinition, moves: Sequence[tuple[str, str]]
    ) -> None:
        """Publish the only boot point of another manifest, its files being in incoming/."""
        folder = layout.point_directory(seed.points[0].name)
        self._keep_definition(folder, definition)
        flush = (layout.DELTAS, layout.INCOMING, folder, layout.POINTS)
        self._publish(self._manifest.with_seed(seed), Moves(tuple(moves), flush))

    def stamp(self, moment: datetime) -> None:
        """Record that the newest point was still true at `moment` (UTC)."""
        self._publish(self._manifest.stamped(moment))

    def change(self, changed: Manifest) -> None:
        """Publish a manifest that is a transition of ours: a pin, a revert."""
        self._publish(changed)

    def move_head(self, move: HeadMove) -> None:
        """Let the dormant domain boot the point it should; define it if it is not there."""
        if move is HeadMove.LEAVE:
            return
        point = self._head_point()
        if point is None:
            return
        if move is HeadMove.SET_ASIDE:
            self._heads.require_stopped()
            # Disks that were sealed to it while the head ran open with nothing else.
            self._domain.keep_tpm(self._directory / f"{layout.HEAD}/{layout.TPM}")
            self._heads.set_aside()
            self._seen = None
        # Nobody but us moves heads while we hold the lock.
        listing = self._seen or self._look()
        if self._heads.stands_on(point, listing) and self._is_defined():
            return
        definition = self._read_definition(point.name)
        variables = self._domain.takes_variables(definition, point)
        self._first = self._seen = None
        self._heads.stand_on(point, listing, Variables.COPIED if variables else Variables.FRESH)
        defined = self._domain.define(definition, point, self._manifest.domain)
        if definition.tpm is not None:
            defined = replace(defined, due=not self._place_tpm(definition, point.name))
        if defined != self._manifest.domain:
            self._publish(self._manifest.with_domain(defined))

    def users(self) -> Sequence[User]:
        """List who stands on files of this store besides its own chain and dormant head."""
        listing, images = self._look(), self._images()
        return (
            *unexpected_users(images, self._manifest, listing.head),
            *mounted(listing),
            *self._foreign_domains(listing),
        )

    def merge(self, older: PointName, progress: Callable[[str, int, int], None]) -> None:
        """Merge the point above `older` down into it. May be killed at any moment.

        The mark comes first, the file of the younger goes last; in between, every file says
        the truth about every surviving point, and doing it all again does no harm.
        """
        self._lock.require()
        self._first = self._seen = None
        self._publish(self._manifest.giving_up(older))
        work = merge_pair(self._writer, self._manifest, older, progress, self._speed)
        work.commit()
        work.rebase(self._images())
        merged = self._manifest.merged(older, work.stored())
        obsolete = sorted(self._manifest.files() - merged.files())
        self._publish(merged)
        self._writer.drop([*obsolete, layout.point_directory(older)])

    def mending(self, delta: Delta) -> AbstractContextManager[DeltaMending]:
        """Make ready to mend a delta in place. Raises Overtaken."""
        self._lock.require()
        return mending(self._writer, delta)

    def rebuilding(self, delta: Delta) -> AbstractContextManager[Rebuilding]:
        """Make ready to make a delta's table of digests anew. Raises Overtaken."""
        self._lock.require()
        return rebuilding(self._writer, delta)

    # ---- how --------------------------------------------------------------------------

    def _look(self) -> Listing:
        listing = look(self._host, self._directory)
        if listing is None:
            raise CommandFailed(self._directory.path, "the directory is gone", "a standby")
        self._seen = listing
        return listing

    def _images(self) -> Images:
        argv = ("sh", "-c", programs.READ_HEADERS, "standby-headers", self._directory.path)
        return parse_images(self._host.run(argv, timeout=_LOOK_S).text, self._directory.path)

    def _publish(self, manifest: Manifest, moves: Moves = NOTHING_TO_MOVE) -> None:
        self._lock.require()
        self._text = publish_manifest(self._host, self._directory, manifest, self._text, moves)
        self._manifest = manifest

    def _place_tpm(self, definition: MachineDefinition, name: PointName) -> bool:
        """Give the domain's TPM a point's state, unless it runs on what it has meanwhile."""
        if self._domain.is_active():
            log.warning("%s: the standby was started; its TPM is left alone", self._directory.path)
            return False
        state = self._directory / f"{layout.point_directory(name)}/{layout.TPM}"
        self._domain.place_tpm(definition, state)
        return True

    def _head_point(self) -> BootPoint | None:
        reverted = self._manifest.reverted_to
        return self._manifest.point(reverted) if reverted else self._manifest.newest

    def _is_defined(self) -> bool:
        known = self._manifest.domain
        return known is not None and not known.due and self._domain.found() is DomainFound.OURS

    def _keep_definition(self, folder: str, definition: MachineDefinition) -> None:
        self._keep(folder, layout.DEFINITION, definition.domain_xml.encode())
        if definition.nvram is not None:
            self._keep(folder, layout.NVRAM, definition.nvram)
        if definition.tpm is not None:
            self._keep(folder, layout.TPM, definition.tpm)

    def _keep(self, folder: str, name: str, data: bytes) -> None:
        argv = ("sh", "-c", programs.KEEP_FILE, "standby-keep", self._directory / folder, name)
        try:
            self._host.run(argv, timeout=_LOOK_S, stdin=data)
        except CommandFailed as error:
            raise file_failure(error, f"{self._directory / folder}/{name}") from error

    def _read_definition(self, name: PointName) -> MachineDefinition:
        if self._kept is not None and self._kept[0] == name:
            return self._kept[1]
        return read_definition(self._host, self._directory, name)

    def _foreign_domains(self, listing: Listing) -> Sequence[User]:
        inside = f"{self._directory.path}/"
        own = {f"{layout.HEAD}/", f"{listing.head}/"}
        users = []
        for path in self._domain.files_in_use():
            relative = path.removeprefix(inside)
            if relative == path or any(relative.startswith(prefix) for prefix in own):
                continue
            users.append(User(f"a domain that uses {relative}", self._point_of(relative)))
        return users

    def _point_of(self, relative: str) -> PointName | None:
        return layout.point_of_head(str(PurePosixPath(relative).parent)) or point_of_file(
            self._manifest, relative
        )

    @staticmethod
    def _forgive(action: Callable[[], None]) -> None:
        try:
            action()
        except StandbyError:
            return  # the next cycle removes it as debris


def _first_manifest(first: Manifest | None, where: str) -> Manifest:
    if first is None:
        raise RepairStore(where, "no manifest", "a standby", "make it: standby run PROFILE")
    return first


def mounted(listing: Listing) -> Sequence[User]:
    """Return the read-only exports of points; their pidfiles name the point."""
    found = (path for path in listing.files if layout.point_of_mount(path))
    return [User(f"a read-only export ({path})", layout.point_of_mount(path)) for path in found]


def kept_heads(listing: Listing) -> Sequence[User]:
    """Return the heads that were run and set aside; their directories name the point."""
    kept = (path for path in listing.directories if path.startswith(f"{layout.KEPT}/"))
    return [User(path, point) for path in sorted(kept) if (point := layout.point_of_head(path))]


def observe_target(
    domain: DormantDomain, listing: Listing, manifest: Manifest
) -> TargetObservation:
    """Say what a look at the directory and the domain means."""
    use = _head_use(listing, domain)
    return TargetObservation(
        manifest=manifest,
        head=HeadObservation(use, layout.point_of_head(listing.head) if listing.head else None),
        domain=domain.found(),
        available=listing.available,
        debris=listing.debris(manifest),
        unfinished=listing.unfinished(),
        users=(*mounted(listing), *kept_heads(listing)),
        clock=listing.clock,
    )


def _head_use(listing: Listing, domain: DormantDomain) -> HeadUse:
    if domain.is_active():
        return HeadUse.RUNNING
    if not listing.head:
        return HeadUse.ABSENT
    return HeadUse.RAN if listing.head_was_written else HeadUse.DORMANT

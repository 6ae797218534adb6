"""One standby's directory on the KVM host, while its lock is held.

The store keeps no state of its own beyond the manifest it last published: whatever it has to
know it looks up on the host. Everything that changes the manifest goes through `_publish`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from standby.errors import CommandFailed, StandbyError
from standby.host.interface import Host
from standby.model.extent import NbdEndpoint
from standby.model.machine import MachineDefinition
from standby.model.manifest import Manifest
from standby.model.names import PointName
from standby.model.observation import TargetObservation, User
from standby.model.plan import CyclePlan, DiskPlan, HeadMove
from standby.model.point import BootPoint, Delta
from standby.model.seed import ImageFound, UnfinishedSeed
from standby.target import layout, programs
from standby.target.definitions import Definitions
from standby.target.domain_interface import DormantDomain
from standby.target.dormant_machine import DormantMachine
from standby.target.head import Heads
from standby.target.incoming import Incoming, files_of, serve_incoming, useless_files
from standby.target.layout import StandbyDirectory
from standby.target.listing import Listing
from standby.target.lock import StoreLock
from standby.target.looking import look, mounted, observe_target
from standby.target.mending import DeltaMending, Rebuilding, mending, rebuilding
from standby.target.merging import MergeSpeed, merge_pair
from standby.target.publication import NOTHING_TO_MOVE, Moves, publish_manifest
from standby.target.qcow2 import Allocation
from standby.target.seed_images import copied_image, find_image, own_image
from standby.target.standing import read_images, users_by_domains
from standby.target.users import unexpected_users
from standby.target.writer import Writer

_CHECK_S: Final = 1800.0  # of images: all their metadata is read


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
        self._definitions = Definitions(work.host, work.directory)
        self._dormant = DormantMachine(self._heads, work.domain, self._definitions)
        self._first = listing  # until somebody asks
        self._seen = listing  # the last look, while what it says of heads and space holds

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
        """Look at an image that a first copy begins from.

        One that is not ours has an absolute path; ours are named as in the manifest. Raises
        UseOtherImage, GrantAccess, TryLater.
        """
        if path in self._manifest.files():
            return own_image(self._directory, self._manifest, path)
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
        folder = self._definitions.keep(point.name, definition)
        disks, generation = plan.capture.disks, self._writer.generation
        files = tuple(move for disk in disks for move in files_of(disk, generation).moves)
        moves = Moves(files, flush=(layout.DELTAS, layout.INCOMING, folder, layout.POINTS))
        self._publish(self._manifest.of_machine(plan.machine).with_point(point), moves)

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
        folder = self._definitions.keep(seed.points[0].name, definition)
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
        point = self._head_point()
        if move is HeadMove.LEAVE or point is None:
            return
        known = self._manifest.domain
        # Nobody but us moves heads while we hold the lock.
        listing = self._seen or self._look()
        if move is not HeadMove.SET_ASIDE and self._dormant.stands_on(point, listing, known):
            return
        self._first = self._seen = None
        defined = self._dormant.stand_on(point, listing, known, move)
        if defined != self._manifest.domain:
            self._publish(self._manifest.with_domain(defined))

    def head_is_open(self) -> bool:
        """Tell whether somebody has the head open, by whatever domain or program."""
        return self._heads.is_open(self._look())

    def users(self) -> Sequence[User]:
        """List who stands on files of this store besides its own chain and dormant head."""
        listing, images = self._look(), read_images(self._host, self._directory)
        return (
            *unexpected_users(images, self._manifest, listing.head),
            *self._heads.left_behind(listing),
            *mounted(listing),
            *users_by_domains(self._domain, self._directory, self._manifest, listing.head),
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
        work.rebase(read_images(self._host, self._directory))
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

    def _publish(self, manifest: Manifest, moves: Moves = NOTHING_TO_MOVE) -> None:
        self._lock.require()
        self._text = publish_manifest(self._host, self._directory, manifest, self._text, moves)
        self._manifest = manifest
        if moves.files:
            self._first = None  # it does not know what was put in place

    def _head_point(self) -> BootPoint | None:
        reverted = self._manifest.reverted_to
        return self._manifest.point(reverted) if reverted else self._manifest.newest

    @staticmethod
    def _forgive(action: Callable[[], None]) -> None:
        try:
            action()
        except StandbyError:
            return  # the next cycle removes it as debris

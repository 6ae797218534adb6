"""The head: what the dormant domain boots.

`head` is a link to a directory that holds one fresh overlay per disk and the firmware
variables, all of one point. Turning the link is one rename, so a standby never boots disks of
two points, and the domain's definition names the same paths for ever.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Final

from standby.errors import StandbyStarted
from standby.model.observation import User
from standby.model.point import BootPoint
from standby.target import layout, programs
from standby.target.domain_interface import DormantDomain
from standby.target.layout import StandbyDirectory
from standby.target.listing import Listing
from standby.target.qcow2 import NewImage
from standby.target.writer import Writer

log = logging.getLogger(__name__)

_HEAD_S: Final = 120.0
# A start runs the host's hook scripts before it opens images.
_START_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.2


class _State(Enum):
    """What became of a head's images; the exit statuses of programs.PROBE_HEAD."""

    FRESH = 0
    OPEN = 77
    WRITTEN = 78


class Variables(Enum):
    """What firmware variables a head gets."""

    COPIED = "the machine's own"
    FRESH = "none: libvirt makes them at the start"


class Heads:
    """The heads of one standby."""

    def __init__(self, writer: Writer, domain: DormantDomain) -> None:
        self._writer = writer
        self._directory = writer.directory
        self._domain = domain

    @property
    def directory(self) -> StandbyDirectory:
        """The standby's directory."""
        return self._directory

    def stands_on(self, point: BootPoint, listing: Listing) -> bool:
        """Tell whether the head is there and stands on `point`."""
        return layout.point_of_head(listing.head) == point.name and listing.head_exists

    def stand_on(self, point: BootPoint, listing: Listing, variables: Variables) -> None:
        """Let the head be a fresh overlay on `point`. One that was run is kept under kept/.

        Raises StandbyStarted when the standby was started meanwhile: then the link is as it
        was, since that machine writes to the old head.
        """
        directory = layout.head_directory(point.name, listing.next_head_number())
        with self._standing(directory, point, variables) as old:
            state = self._state_when_nobody_starts(old) if old else _State.FRESH
            if state is _State.OPEN:
                self._run(programs.TURN_HEAD, "standby-turn", old)
                raise self._started()
        if old:
            # Since the link names another nobody opens it any more: what was seen still holds.
            self._retire(old, state)

    def _state_when_nobody_starts(self, head: str) -> _State:
        """Return what became of the old head, once no start is under way that looked at it.

        The link names another already, whose images are locked: such a start uses the old one, or
        has to fail. One that neither ends nor fails counts as using it.
        """
        end = time.monotonic() + _START_S
        while (state := self._state(head)) is not _State.OPEN and self._domain.is_active():
            if time.monotonic() > end:
                return _State.OPEN
            time.sleep(_LOOK_EVERY_S)
        return state

    def _started(self) -> StandbyStarted:
        return StandbyStarted(
            f"standby in {self._directory.path}",
            "was started while its head was to be moved",
            "a dormant standby",
            "nothing is lost: the head is as it was; stop the standby to let it move",
        )

    def is_untouched(self) -> bool:
        """Tell whether nobody has run the head that the link names, nor runs it."""
        return self._state(layout.HEAD) is _State.FRESH

    def is_open(self, listing: Listing) -> bool:
        """Tell whether somebody has the head open, by whatever domain or program."""
        head = self._relative(listing.head)
        return bool(head) and self._state(head) is _State.OPEN

    def left_behind(self, listing: Listing) -> Iterator[User]:
        """Yield the heads that the link does not name, and that somebody runs or ran.

        They are still in their place where they were open when they were to be retired.
        """
        named = self._relative(listing.head)
        for head in sorted(filter(layout.is_head, listing.directories)):
            if head != named and self._state(head) is not _State.FRESH:
                yield User(head, layout.point_of_head(head))

    def retire(self, head: str) -> None:
        """Remove a head that the link does not name; if somebody wrote to it, keep it.

        One that lies elsewhere is somebody's, and stays where it is.
        """
        head = self._relative(head)
        self._retire(head, self._state(head))

    def _relative(self, head: str) -> str:
        """Return where a head lies in the directory: a link made by hand may name it in full."""
        return head.removeprefix(f"{self._directory.path}/")

    def _retire(self, head: str, state: _State) -> None:
        if not head.startswith(f"{layout.HEADS}/"):
            log.warning("head %s is not booted any more; it stays", head)
            return
        match state:
            case _State.FRESH:
                self._writer.drop([head])
            case _State.WRITTEN:
                self._run(programs.KEEP_HEAD, "standby-keep", head)
            case _State.OPEN:
                log.warning("%s is open somewhere and stays", self._directory / head)

    def _state(self, head: str) -> _State:
        argv = ("sh", "-c", programs.PROBE_HEAD, "standby-probe", self._directory.path, head)
        accept = frozenset(state.value for state in _State)
        return _State(self._writer.host.run(argv, timeout=_HEAD_S, accept=accept).status)

    @contextmanager
    def _standing(self, directory: str, point: BootPoint, variables: Variables) -> Generator[str]:
        """Make a head and let the link name it; yield what it named before.

        Until the context is left no machine can open the new head.
        """
        made_as = f"{directory}{layout.UNFINISHED_HEAD}"
        words = [word for image in _images(made_as, point) for word in image.words]
        nvram = f"{layout.point_directory(point.name)}/{layout.NVRAM}"
        copied = nvram if variables is Variables.COPIED else ""
        with self._writer.held(
            programs.STAND_HEAD,
            "standby-head",
            *(directory, copied, *words),
            ready=b"turned",
            timeout=_HEAD_S,
        ) as held:
            before = held.read_line(_HEAD_S)
            yield self._relative((before or b"").decode("utf-8", "surrogateescape"))

    def _run(self, program: str, name: str, *words: str) -> str:
        return self._writer.run(program, name, *words, timeout=_HEAD_S)


def _images(directory: str, point: BootPoint) -> Iterator[NewImage]:
    for delta in point.deltas:
        file = f"{directory}/{delta.disk}.qcow2"
        yield NewImage(file, layout.head_backing_reference(delta), delta.size)
    for blank in point.blanks:
        yield NewImage(f"{directory}/{blank.disk}.qcow2", None, blank.size)

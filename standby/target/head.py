"""The head: what the dormant domain boots.

`head` is a link to a directory that holds one fresh overlay per disk and the firmware
variables, all of one point. Turning the link is one rename, so a standby never boots disks of
two points, and the domain's definition names the same paths for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from enum import Enum
from typing import Final

from standby.errors import StandbyStarted
from standby.model.point import BootPoint
from standby.target import layout, programs
from standby.target.domain_interface import DormantDomain
from standby.target.layout import StandbyDirectory
from standby.target.listing import Listing
from standby.target.qcow2 import NewImage
from standby.target.writer import Writer

log = logging.getLogger(__name__)

_HEAD_S: Final = 120.0


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
        """Let the head be a fresh overlay on `point`, unless it is one already.

        Raises StandbyStarted when the standby was started meanwhile: then the link is as it
        was, since that machine writes to the old head.
        """
        if self.stands_on(point, listing):
            return
        directory = layout.head_directory(point.name, listing.next_head_number())
        old = self._relative(self._stand(directory, point, variables))
        state = self._state(old) if old else _State.FRESH
        if old and self._is_used(state, directory):
            self._run(programs.TURN_HEAD, "standby-turn", old)
            raise StandbyStarted(
                f"standby in {self._directory.path}",
                "was started while its head was to be moved",
                "a dormant standby",
                "nothing is lost: the point is published; stop the standby to let the head move",
            )
        if old:
            # Once the link names another nobody opens it any more: what was seen still holds.
            self._retire(old, state)

    def _is_used(self, old: _State, new: str) -> bool:
        """Tell whether the standby was started on its old head; on the new one it may run."""
        if old is _State.OPEN:
            return True
        return self._domain.is_active() and self._state(new) is not _State.OPEN

    def set_aside(self) -> None:
        """Keep the head that somebody ran under kept/; the link names nothing then."""
        self._run(programs.KEEP_HEAD, "standby-keep", "")

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

    def _stand(self, directory: str, point: BootPoint, variables: Variables) -> str:
        """Make a head and let the link name it; return what it named before."""
        made_as = f"{directory}{layout.UNFINISHED_HEAD}"
        words = [word for image in _images(made_as, point) for word in image.words]
        nvram = f"{layout.point_directory(point.name)}/{layout.NVRAM}"
        copied = nvram if variables is Variables.COPIED else ""
        return self._run(programs.STAND_HEAD, "standby-head", directory, copied, *words).strip()

    def _run(self, program: str, name: str, *words: str) -> str:
        return self._writer.run(program, name, *words, timeout=_HEAD_S)


def _images(directory: str, point: BootPoint) -> Iterator[NewImage]:
    for delta in point.deltas:
        file = f"{directory}/{delta.disk}.qcow2"
        yield NewImage(file, layout.head_backing_reference(delta), delta.size)
    for blank in point.blanks:
        yield NewImage(f"{directory}/{blank.disk}.qcow2", None, blank.size)

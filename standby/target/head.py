"""The head: what the dormant domain boots.

`head` is a link to a directory that holds one fresh overlay per disk and the firmware
variables, all of one point. Turning the link is one rename, so a standby never boots disks of
two points, and the domain's definition names the same paths for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from standby.errors import StopStandbyFirst
from standby.host.interface import Host
from standby.model.point import BootPoint
from standby.target import layout, programs
from standby.target.domain_interface import DormantDomain
from standby.target.layout import StandbyDirectory
from standby.target.listing import Listing
from standby.target.qcow2 import NewImage

_HEAD_S: Final = 120.0


class Heads:
    """The heads of one standby."""

    def __init__(self, host: Host, directory: StandbyDirectory, domain: DormantDomain) -> None:
        self._host = host
        self._directory = directory
        self._domain = domain

    def stand_on(self, point: BootPoint, listing: Listing) -> None:
        """Let the head be a fresh overlay on `point`. The old one was never written to.

        Raises StopStandbyFirst when the standby was started meanwhile: then the link is as it
        was, since that machine writes to the old head.
        """
        if layout.point_of_head(listing.head) == point.name and listing.head_exists:
            return
        directory = layout.head_directory(point.name, listing.next_head_number())
        self._make(directory, point, listing)
        old = self._turn(directory)
        if old and (self._domain.is_active() or self.in_use([old])):
            self._turn(old)
            raise StopStandbyFirst(
                f"standby in {self._directory.path}",
                "was started while its head was to be moved",
                "a dormant standby",
                "nothing is lost: the point is published; stop the standby to let the head move",
            )
        if old:
            self._remove(old)

    def set_aside(self) -> None:
        """Keep the head that somebody ran under kept/; the link names nothing then."""
        program = """
set -eu
cd "$1"; old=$(readlink head); rm -f head
mv -T -- "$old" "kept/${old#heads/}"
sync heads kept .
"""
        self._run(program, "standby-keep")

    def in_use(self, heads: Sequence[str]) -> Collection[str]:
        """Return those of these heads that have an image open somewhere."""
        return {head for head in heads if not self._is_free(head)}

    def _is_free(self, head: str) -> bool:
        argv = ("sh", "-c", programs.PROBE_HEADS, "standby-probe", self._directory.path, head)
        accept = frozenset({0, programs.STATUS_HEAD_IN_USE})
        return self._host.run(argv, timeout=_HEAD_S, accept=accept).status == 0

    def _make(self, directory: str, point: BootPoint, listing: Listing) -> None:
        nvram = f"{layout.point_directory(point.name)}/{layout.NVRAM}"
        images = (
            NewImage(
                f"{directory}/{delta.disk}.qcow2",
                layout.head_backing_reference(delta),
                delta.size,
            )
            for delta in point.deltas
        )
        words = [word for image in images for word in image.words]
        variables = nvram if nvram in listing.files else ""
        self._run(programs.MAKE_HEAD, "standby-head", directory, variables, *words)

    def _turn(self, directory: str) -> str:
        return self._run(programs.TURN_HEAD, "standby-turn", directory).strip()

    def _remove(self, directory: str) -> None:
        self._host.run(("rm", "-rf", "--", self._directory / directory), timeout=_HEAD_S)

    def _run(self, program: str, name: str, *words: str) -> str:
        argv = ("sh", "-c", program, name, self._directory.path, *words)
        return self._host.run(argv, timeout=_HEAD_S).text

"""The story that the demo tells, chapter by chapter. Every claim is checked where it is made."""

import time

from lab import guest as guest_image
from lab.demo_machine import DATA, CycleRecord, Machine, last_hook, start_of
from lab.demo_proof import compare, differences
from lab.demo_screen import Screen, readable
from lab.demo_site import LIMIT, MACHINE, STANDBY, Site
from lab.lab import Lab
from lab.layout import HostName
from lab.linuxguest import LinuxGuest

STORAGE_BYTES = 2 << 30
INCREMENTS = 5
PATIENCE = 240.0
"""Seconds that a guest may take to answer or to end; on a busy machine 15 become 100."""
_FILE_KIB = 1024
_TRIED = "tried-on-the-standby"
_SHOWN_DIGITS = 16
_MOSTLY = 0.25
"""An increment of a few files sends less than this share of the seed."""


class Story:
    """Everything the demo does between a lab that is not there yet and the summary."""

    def __init__(self, lab: Lab, screen: Screen) -> None:
        self._lab = lab
        self._screen = screen
        self._check = screen.check
        self._site = Site(lab, screen)
        self._machine = Machine(lab.guest(HostName.SOURCE, MACHINE), screen)
        self._cycles: list[CycleRecord] = []
        self._source_start = ""
        self._answered: list[float] = []

    def tell(self, parent: int | None) -> None:
        """Tell it all; the lab ends with the process `parent`, if one is given."""
        with self._screen.chapter("A lab of two KVM hosts, and a small Linux on one of them"):
            self._build(parent)
        with self._screen.chapter("Protect it: a profile, and the first boot point"):
            self._seed()
        with self._screen.chapter("The guest writes, cycles follow: only changes travel"):
            for number in range(1, INCREMENTS + 1):
                self._increment(number)
        with self._screen.chapter(f"The boot points: at most {LIMIT}, older ones merged"):
            self._list_points()
        middle, newest = self._cycles[-2], self._cycles[-1]
        with self._screen.chapter("Back in time: the standby boots an earlier point"):
            self._go_back_to(middle, newest)
        with self._screen.chapter("And forward again: nothing was lost"):
            self._go_forward_to(newest)

    # ---- set-up --------------------------------------------------------------------------

    def _build(self, parent: int | None) -> None:
        with self._screen.waiting("two hosts and a manager, in namespaces of their own"):
            self._lab.up(storage_bytes=STORAGE_BYTES, with_parent=parent)
        with self._screen.waiting("the guest's disk: built from packages once, then cached"):
            guest_image.build()
        machine = self._lab.define_guest(MACHINE)
        self._screen.command("source#", ("virsh", "start", MACHINE))
        machine.start()
        with self._screen.waiting("its guest agent"):
            seconds = machine.wait_for_agent(PATIENCE)
        self._screen.say(f"{MACHINE} answers {seconds:.1f} s after power-on.")
        self._source_start = start_of(machine)

    def _seed(self) -> None:
        self._site.write_configuration()
        self._site.run(HostName.MANAGER, "standby", "run", MACHINE, "--dry-run")
        self._machine.write("report-0", _FILE_KIB)
        seed = self._cycle("report-0")
        self._check("the first boot point is a seed", holds=seed.made == "seed", found=seed.made)

    # ---- cycles --------------------------------------------------------------------------

    def _increment(self, number: int) -> None:
        name = f"report-{number}"
        self._machine.write(name, number * _FILE_KIB)
        record = self._cycle(name)
        seed, least = self._cycles[0], number * _FILE_KIB << 10
        self._check(
            f"increment {number} sent {readable(record.sent)}: what changed,"
            f" not the {readable(seed.sent)} of the seed",
            holds=record.made == "incremental" and least <= record.sent < seed.sent * _MOSTLY,
            found=f"{record.made}, {record.sent} bytes",
        )
        self._check(
            f"{len(self._left())} boot points are there, the newest",
            holds=self._names() == self._left(),
            found=f"{self._names()}, not {self._left()}",
        )

    def _cycle(self, written: str) -> CycleRecord:
        """Run one cycle and record what the machine held when it began."""
        files, before = self._machine.files(), self._left()
        begun = time.monotonic()
        self._site.run(HostName.MANAGER, "standby", "run", MACHINE)
        seconds = time.monotonic() - begun
        points = self._site.manifest()["points"]
        names, newest = [point["name"] for point in points], points[-1]
        record = CycleRecord(
            point=newest["name"],
            made=newest["made"],
            written=written,
            files=files,
            sent=newest["sent"],
            stored=sum(delta["stored"] for delta in newest["deltas"]),
            seconds=seconds,
            merged=tuple(name for name in before if name not in names),
        )
        self._check(
            f"{record.point} is new and application-consistent",
            holds=newest["consistency"] == "application" and record.point not in before,
            found=f"{record.point}, {newest['consistency']}; before: {before}",
        )
        self._cycles.append(record)
        return record

    def _list_points(self) -> None:
        self._site.run(HostName.MANAGER, "standby", "points", MACHINE)
        listed = self._site.ask("points", MACHINE)
        names = [point["name"] for point in listed["points"]]
        merged = [name for cycle in self._cycles for name in cycle.merged]
        self._check(
            f"of {len(self._cycles)} boot points {LIMIT} are left, the others merged into them",
            holds=names == self._left() and merged == [it.point for it in self._cycles[:-LIMIT]],
            found=f"{names}; merged: {merged}",
        )

    # ---- failover ------------------------------------------------------------------------

    def _go_back_to(self, middle: CycleRecord, newest: CycleRecord) -> None:
        self._site.run(HostName.MANAGER, "standby", "revert", MACHINE, middle.point)
        chosen = self._site.manifest()["reverted_to"]
        self._check(
            f"the standby was reverted to {middle.point}",
            holds=chosen == middle.point,
            found=str(chosen),
        )
        self._start_standby()
        self._prove(middle, absent=newest.written)
        self._screen.say("Somebody tries something on it:")
        Machine(self._site.standby, self._screen).write(_TRIED, _FILE_KIB)
        self._stop_standby()

    def _go_forward_to(self, newest: CycleRecord) -> None:
        kept = self._site.kept_heads()
        self._site.run(HostName.MANAGER, "standby", "revert", MACHINE, "latest")
        self._check(
            "all boot points are still there",
            holds=self._names() == self._left(),
            found=str(self._names()),
        )
        self._check(
            "what was tried is set aside under kept/, not deleted",
            holds=self._site.kept_heads() == kept + 1,
            found=f"{self._site.kept_heads()} kept heads, {kept} before",
        )
        self._start_standby()
        self._prove(newest, absent=_TRIED)
        self._stop_standby()
        self._site.run(HostName.MANAGER, "standby", "show", MACHINE)
        self._check_the_source()

    def _start_standby(self) -> None:
        begun = time.monotonic()
        self._site.run(HostName.KVM, "virsh", "start", STANDBY)
        with self._screen.waiting("the guest agent in the standby"):
            self._site.standby.wait_for_agent(PATIENCE)
        self._answered.append(time.monotonic() - begun)
        self._screen.say(f"{STANDBY} answers {self._answered[-1]:.1f} s after virsh start.")

    def _stop_standby(self) -> None:
        self._screen.command("kvm#", ("virsh", "shutdown", STANDBY))
        with self._screen.waiting("the end of the standby's system"):
            self._site.standby.shut_down(PATIENCE)

    def _prove(self, record: CycleRecord, absent: str) -> None:
        """Read from inside the running standby what it is, and compare with the record."""
        standby = self._site.standby
        self._screen.typed(f"{STANDBY}#", "find /data -type f -exec sha256sum {} +")
        compared = compare(record.files, standby.files(DATA))
        self._screen.table(
            (f"in {DATA}", "sha256 as written", "sha256 in the standby", ""),
            [(it.name, _short(it.recorded), _short(it.found), it.verdict.value) for it in compared],
        )
        self._check(
            f"the {len(record.files)} files of {record.point} are there, bit for bit, and no other",
            holds=not differences(compared),
            found=differences(compared),
        )
        found = [it.name for it in compared if it.found]
        self._check(
            f"{record.written} is there, {absent} is not",
            holds=record.written in found and absent not in found,
            found=str(found),
        )
        self._check_origin(standby)

    def _check_origin(self, standby: LinuxGuest) -> None:
        hook = last_hook(standby)
        self._check(
            "this disk was captured after its freeze hook had run, before it was thawed",
            holds=hook == "freeze",
            found=hook,
        )
        self._check(
            "this is a start of its own, not the machine itself",
            holds=start_of(standby) != self._source_start,
        )

    def _check_the_source(self) -> None:
        machine = self._machine.guest
        frozen = machine.agent("guest-fsfreeze-status")
        self._check(
            f"{MACHINE} itself ran on through all of it: same start, thawed, all its files",
            holds=start_of(machine) == self._source_start
            and frozen == "thawed"
            and self._machine.files() == self._cycles[-1].files,
            found=frozen,
        )

    # ---- summary -------------------------------------------------------------------------

    def summarise(self) -> None:
        """Show times and bytes."""
        with self._screen.chapter("Summary"):
            self._screen.table(
                ("boot point", "made", "after", ">sent", ">delta", ">took", "merged away"),
                [_row(record) for record in self._cycles],
            )
            chapters = [(it.title, f"{it.seconds:.1f} s") for it in self._screen.chapters]
            total = ("in all", f"{self._screen.seconds:.1f} s")
            self._screen.table(("chapter", ">took"), [*chapters, total])
            self._say_bytes()

    def _say_bytes(self) -> None:
        sent, seed = sum(it.sent for it in self._cycles), self._cycles[0].sent
        self._screen.say(
            f"Sent {readable(sent)} in {len(self._cycles)} cycles; that many full copies would"
            f" have been {readable(seed * len(self._cycles))}. The standby with its {LIMIT} boot"
            f" points takes {readable(self._site.stored_bytes())} on the KVM host."
        )
        answers = " and ".join(f"{seconds:.1f} s" for seconds in self._answered)
        self._screen.say(f"From virsh start to an answering system: {answers}.")

    def _names(self) -> list[str]:
        """Return the names of the boot points that the KVM host has."""
        return [point["name"] for point in self._site.manifest()["points"]]

    def _left(self) -> list[str]:
        """Return the names of the boot points that must be left."""
        return [cycle.point for cycle in self._cycles[-LIMIT:]]


def _row(record: CycleRecord) -> tuple[str, ...]:
    return (
        record.point,
        record.made,
        record.written,
        readable(record.sent),
        readable(record.stored),
        f"{record.seconds:.1f} s",
        ", ".join(record.merged) or "-",
    )


def _short(digest: str) -> str:
    """Return what of a SHA-256 fits a table; compared are all digits."""
    return digest[:_SHOWN_DIGITS] or "-"

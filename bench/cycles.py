"""Whole cycles beside virtnbdbackup, libvirt's bare calls, and a plain pipe through SSH."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

from bench.run import ROUNDS, Benchmark, Measured, in_turns
from bench.site import GIB, MIB, PYTHON, Site, site
from lab import BlockGuest
from lab.waiting import wait_until
from tests.integration.nbd_servers import nbdkit

_DISK = GIB
_CHANGE = 8 * MIB
_BACKUPS = Path("/srv/standby/backups")
_patterns = cycle(range(1, 255))  # a byte to write, another one each time


def full(place: Path) -> Measured:
    """Seed to a published point, by the daemon; against a full backup by virtnbdbackup."""
    with site("kvm") as here:
        guest = _filled(here)
        profile = here.protect(guest)

        def ours() -> float:
            seconds = _command(here, profile)
            here.forget_standby(profile, guest)
            return 1 / seconds

        with here.serving():
            wait_until(here.lab.path("kvm", here.state / "control.sock").exists, "the daemon", 60)
            _require_asked(here, profile, guest)
            return _in_seconds(in_turns(ours, lambda: _full_backup(here, guest, place.name)))


def full_by_hand(place: Path) -> Measured:
    """Seed to a published point, by the command line alone, all of it cold."""
    with site("kvm") as here:
        guest = _filled(here)

        def ours() -> float:
            profile = here.protect(guest)
            seconds = _command(here, profile)
            here.forget(profile, guest)
            return 1 / seconds

        return _in_seconds(in_turns(ours, lambda: _full_backup(here, guest, place.name)))


def _require_asked(here: Site, profile: str, guest: BlockGuest) -> None:
    """Make sure that the daemon does what is asked of the command, and warm it up."""
    _command(here, profile)
    here.forget_standby(profile, guest)
    if "ended: published" not in (here.lab.home / "daemon.log").read_text():
        raise RuntimeError("the daemon was not asked")


def _full_backup(here: Site, guest: BlockGuest, name: str) -> float:
    """Return the speed of a full backup by virtnbdbackup."""
    seconds = _backup(here, guest, "full", name)
    here.lab.exec("kvm", ["rm", "-rf", str(_BACKUPS)])
    here.forget_checkpoints(guest)
    return 1 / seconds


def unchanged(_: Path) -> Measured:
    """Find that nothing changed, by a warm manager; against virtnbdbackup -l inc."""
    return _increments(lambda _guest: None)


def changed(_: Path) -> Measured:
    """Publish 8 MiB of changes, by a warm manager; against virtnbdbackup -l inc."""
    return _increments(lambda guest: guest.write(64 * MIB, _CHANGE, next(_patterns)))


def unchanged_beside_libvirt(_: Path) -> Measured:
    """Find that nothing changed; against the calls of libvirt that no cycle can do without."""
    with site("kvm") as here:
        ours, theirs = _filled(here), _filled(here)
        profile = here.protect(ours)
        here.cycle(profile)
        here.order("libvirt alone", "local", theirs.name)
        return _in_seconds(
            in_turns(
                lambda: 1 / _seconds(here.cycle(profile)),
                lambda: 1 / _seconds(here.order("libvirt alone", "local", theirs.name)),
            )
        )


def unchanged_over_ssh(_: Path) -> Measured:
    """Find that nothing changed, by a warm manager that reaches both hosts by SSH."""
    with site("manager") as here:
        profile = here.protect(_filled(here, host="source"))
        here.cycle(profile)
        here.cycle(profile)
        return Measured(statistics.median(_seconds(here.cycle(profile)) for _ in range(ROUNDS)))


def over_ssh(_: Path) -> Measured:
    """1 GiB of random data by the SSH transport; against ssh HOST cat > /dev/null."""
    with site("manager") as here:
        place = here.lab.storage("kvm")
        file, socket = place / "random.raw", str(place / "random.sock")
        here.lab.exec("kvm", ["dd", "if=/dev/urandom", f"of={file}", "bs=1M", "count=1024"])
        server = ["qemu-nbd", "-r", "-t", "-e", "8", "-f", "raw", "-k", socket, str(file)]
        with here.lab.popen("kvm", server) as process:
            sink = here.lab.home / "null.sock"
            with nbdkit(sink, "null", str(GIB)):
                shell = ["sh", "-c", f"ssh root@kvm cat {file} >/dev/null"]

                def theirs() -> float:
                    begun = time.monotonic()
                    here.lab.exec("manager", shell)
                    return GIB / 1e6 / (time.monotonic() - begun)

                def ours() -> float:
                    return GIB / 1e6 / _seconds(here.order("fetch", "kvm", socket, str(sink)))

                ours()
                measured = in_turns(ours, theirs)
            process.kill()
        return measured


def eight_at_once(_: Path) -> Measured:
    """Increments of 8 machines side by side; against one after the other. 8 MiB each."""
    with site("kvm") as here:
        guests = [here.guest(256 * MIB) for _ in range(8)]
        profiles = [here.protect(guest) for guest in guests]
        here.order("side by side", profiles, 1)

        def run(at_once: int) -> float:
            for guest in guests:
                guest.write(0, _CHANGE, next(_patterns))
            return 1 / _seconds(here.order("side by side", profiles, at_once))

        return _in_seconds(in_turns(lambda: run(8), lambda: run(1)))


def _increments(change: Callable[[BlockGuest], None]) -> Measured:
    with site("kvm") as here:
        protected, backed_up = _filled(here), _filled(here)
        profile = here.protect(protected)
        here.cycle(profile)
        _backup(here, backed_up, "full", backed_up.name)

        def ours() -> float:
            change(protected)
            return 1 / _seconds(here.cycle(profile))

        def theirs() -> float:
            change(backed_up)
            return 1 / _backup(here, backed_up, "inc", backed_up.name)

        ours()
        return _in_seconds(in_turns(ours, theirs))


def _filled(here: Site, host: str = "kvm") -> BlockGuest:
    """Return a guest with 1 GiB of data that does not compress."""
    guest = here.guest(_DISK, host=host)
    guest.destroy()
    image = str(guest.disks[0].path)
    raw = str(here.lab.storage(host) / "seed.raw")
    here.lab.exec(host, ["dd", "if=/dev/urandom", f"of={raw}", "bs=1M", "count=1024"])
    here.lab.exec(host, ["qemu-img", "convert", "-n", "-f", "raw", "-O", "qcow2", raw, image])
    here.lab.exec(host, ["rm", raw])
    guest.start()
    return guest


def _command(here: Site, profile: str) -> float:
    program = str(Path(PYTHON).with_name("standby"))
    argv = ["env", f"STANDBY_STATE={here.state}", program, "--config", str(here.root)]
    begun = time.monotonic()
    here.lab.exec("kvm", [*argv, "run", profile], limit=600)
    return time.monotonic() - begun


def _backup(here: Site, guest: BlockGuest, level: str, name: str) -> float:
    argv = ["virtnbdbackup", "-d", guest.name, "-l", level, "-o", str(_BACKUPS / name)]
    begun = time.monotonic()
    here.lab.exec("kvm", argv, limit=600)
    return time.monotonic() - begun


def _seconds(answer: dict[str, float]) -> float:
    return answer["seconds"]


def _in_seconds(measured: Measured) -> Measured:
    """Turn speeds of 1/s into seconds; the ratio stays that of the speeds."""
    baseline = None if measured.baseline is None else 1 / measured.baseline
    return Measured(1 / measured.value, baseline, measured.ratio)


BENCHMARKS = (
    Benchmark(
        "full_cycle_vs_virtnbdbackup",
        "a first cycle of 1 GiB of random data, asked of the daemon, to a published point",
        "virtnbdbackup -l full",
        "s",
        "ratio >= 2.0",
        full,
    ),
    Benchmark(
        "full_cycle_by_hand_vs_virtnbdbackup",
        "the same without a daemon: a process that loads and opens everything for this one cycle",
        "virtnbdbackup -l full",
        "s",
        None,
        full_by_hand,
    ),
    Benchmark(
        "nochange_cycle_local",
        "a cycle of a warm manager that finds nothing changed, all on one host",
        "virtnbdbackup -l inc",
        "s",
        "value <= 0.4",
        unchanged,
    ),
    Benchmark(
        "nochange_cycle_vs_libvirt",
        "a cycle of a warm manager that finds nothing changed, all on one host",
        "backupBegin, abortJob, checkpointDelete",
        "s",
        None,
        unchanged_beside_libvirt,
    ),
    Benchmark(
        "nochange_cycle_ssh",
        "a cycle of a warm manager that finds nothing changed, both hosts over SSH",
        "",
        "s",
        "value <= 1.0",
        unchanged_over_ssh,
    ),
    Benchmark(
        "changed_8m_cycle_local",
        "a cycle of a warm manager with 8 MiB changed, all on one host",
        "virtnbdbackup -l inc",
        "s",
        "value <= 0.6",
        changed,
    ),
    Benchmark(
        "ssh_vs_pipe",
        "1 GiB of random data over the SSH transport",
        "ssh HOST cat FILE > /dev/null",
        "MB/s",
        "ratio >= 0.9",
        over_ssh,
    ),
    Benchmark(
        "eight_at_once",
        "increments of 8 machines, 8 MiB each, side by side in one manager",
        "one after the other",
        "s",
        "ratio >= 1.5",
        eight_at_once,
    ),
)

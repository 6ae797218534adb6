"""A first copy carried on a medium: exact, checked, and the changes since then follow it."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support import KIB, MIB, Protect, Protection, Scribbler
from support_cli import CommandLine
from support_traces import checkpoints, expect_no_traces

from lab.waiting import wait_until
from standby.model.point import Way

MEDIUM = Path("/srv/medium")
ARRIVED = Path("/srv/standby/arrived")


class Carrier:
    """Somebody with a medium."""

    def __init__(self, protection: Protection, cli: CommandLine) -> None:
        self.protection = protection
        self.cli = cli
        self._root = protection.lab.path("manager", MEDIUM)
        self._arrived = protection.lab.path("kvm", ARRIVED)
        protection.lab.exec("manager", ["mkdir", "-p", str(MEDIUM)])

    @property
    def written(self) -> Path:
        """What lies on the medium of this standby."""
        return self._root / f"{self.protection.name}-standby"

    @property
    def there(self) -> Path:
        """The same on the KVM host."""
        return self._arrived / f"{self.protection.name}-standby"

    def export(self) -> dict[str, object]:
        """Export, and keep what the point must hold."""
        now = self.protection.copy()
        done: dict[str, object] = self.cli.json("export-seed", self.protection.name, str(MEDIUM))
        self.protection.kept[str(done["point"])] = now
        return done

    def carry(self) -> None:
        """Carry it to the KVM host."""
        self._arrived.mkdir(exist_ok=True)
        shutil.copytree(self.written, self.there)

    def take_in(self) -> None:
        """Import it."""
        self.cli.run("import-seed", self.protection.name, str(ARRIVED))

    def refused(self) -> str:
        """Try to import it."""
        return self.cli.fails("import-seed", self.protection.name, str(ARRIVED), status=1)

    def clean(self) -> None:
        """Throw both away."""
        shutil.rmtree(self._root, ignore_errors=True)
        shutil.rmtree(self._arrived, ignore_errors=True)


@pytest.fixture
def carrier(protect: Protect, cli: CommandLine) -> Iterator[Carrier]:
    """Two disks with something on them, and a medium."""
    protection = protect(16 * MIB, 6 * MIB)
    Scribbler(3).scribble(protection.guest, (16 * MIB, 6 * MIB))
    carrier = Carrier(protection, cli)
    yield carrier
    carrier.clean()


@pytest.mark.long
def test_a_seed_on_a_medium_is_the_first_boot_point_and_only_changes_follow_it(
    carrier: Carrier, cli: CommandLine
) -> None:
    protection = carrier.protection
    done = carrier.export()
    # Meanwhile: nothing but the waiting is there, and cycles say so.
    shown = cli.json("show", protection.name)
    assert shown["state"] == "waiting for seed"
    assert shown["awaits"]["checkpoint"] == done["checkpoint"]
    assert str(MEDIUM) in cli.run("show", protection.name).stdout
    assert "waiting for seed" in cli.run("list").stdout
    for words in (("run",), ("run", "--full"), ("resync",), ("run", "--dry-run")):
        said = cli.fails(words[0], protection.name, *words[1:], status=75)
        assert "waiting for seed" in said
        assert "--give-up" in said
    assert protection.points == ()
    # What is written while it travels follows as an incremental.
    protection.write("vda", "write -P 0x77 3M 64k", "write -z 5M 64k")
    carrier.carry()
    carrier.take_in()
    assert protection.points == (done["point"],)
    protection.expect_exact()
    protection.expect_head_on(str(done["point"]))
    cli.run("verify", protection.name, "--all")
    assert cli.json("show", protection.name)["awaits"] is None
    report = protection.cycle()
    assert (report.way, report.data) == (Way.INCREMENTAL, 64 * KIB)
    protection.expect_exact()
    carrier.clean()
    expect_no_traces(protection)


@pytest.mark.long
def test_a_seed_whose_checkpoint_was_lost_is_resynced(carrier: Carrier) -> None:
    protection = carrier.protection
    done = carrier.export()
    (checkpoint,) = checkpoints(protection)
    assert checkpoint == done["checkpoint"]
    guest = protection.guest.name
    protection.lab.virsh("source", "checkpoint-delete", guest, checkpoint)
    carrier.carry()
    carrier.take_in()
    protection.write("vda", "write -P 0x77 3M 64k")
    report = protection.cycle()
    assert (report.way, report.data) == (Way.RESYNC, 64 * KIB)
    protection.expect_exact()


def damage(file: Path, place: int) -> None:
    with file.open("r+b") as opened:
        opened.seek(place)
        byte = opened.read(1)
        opened.seek(place)
        opened.write(bytes([byte[0] ^ 1]))


@pytest.mark.long
def test_a_damaged_medium_is_refused_and_what_is_damaged_is_named(carrier: Carrier) -> None:
    protection = carrier.protection
    carrier.export()
    carrier.carry()
    image = carrier.there / "deltas/vda.0001.qcow2"
    whole = carrier.there.with_suffix(".whole")
    shutil.copytree(carrier.there, whole)
    last = image.stat().st_size - 1
    machine = next(carrier.there.glob("points/*/machine.xml")).relative_to(carrier.there)
    for name, place, said in (
        ("deltas/vda.0001.qcow2", 0, "deltas/vda.0001.qcow2 from 0 MiB to 4 MiB"),
        ("deltas/vda.0001.qcow2", last, f"vda.0001.qcow2 from {last >> 22 << 2} MiB"),
        ("deltas/vdb.0002.digests", 4096, "vdb.0002.digests from 0 MiB"),
        ("standby.json", 400, "damaged"),
        (str(machine), 20, str(machine)),
        ("checksums/vda.0001.qcow2.sha256", 3, "checksums/vda.0001.qcow2.sha256"),
        ("SHA256SUMS", 3, "damaged"),
    ):
        damage(carrier.there / name, place)
        assert said in carrier.refused(), name
        assert protection.points == ()
        assert not list((protection.store / "incoming").iterdir())
        shutil.rmtree(carrier.there)
        shutil.copytree(whole, carrier.there)
    for missing in ("SHA256SUMS", "deltas/vda.0001.qcow2", "deltas/vdb.0002.digests"):
        (carrier.there / missing).rename(carrier.there / "away")
        carrier.refused()
        (carrier.there / "away").rename(carrier.there / missing)
    with image.open("r+b") as opened:
        opened.truncate(last)
    assert "vda.0001.qcow2 from" in carrier.refused()
    shutil.rmtree(carrier.there)
    whole.rename(carrier.there)
    carrier.take_in()
    protection.expect_exact()
    assert protection.cycle().way is Way.INCREMENTAL


@pytest.mark.long
def test_waiting_can_be_given_up_and_the_next_cycle_sends_the_seed(
    carrier: Carrier, cli: CommandLine
) -> None:
    protection = carrier.protection
    carrier.export()
    cli.run("import-seed", protection.name, "--give-up")
    report = protection.cycle()
    assert report.way is Way.SEED
    protection.expect_exact()
    carrier.carry()
    assert "already" in cli.fails("import-seed", protection.name, str(ARRIVED), status=2)
    assert protection.cycle().way is Way.INCREMENTAL
    carrier.clean()
    expect_no_traces(protection)


@pytest.mark.long
def test_an_interrupted_export_goes_on_and_a_finished_one_is_not_overwritten(
    carrier: Carrier, cli: CommandLine
) -> None:
    protection = carrier.protection
    name = protection.name
    with cli.started("-v", "export-seed", name, str(MEDIUM)) as process:
        wait_until(
            lambda: bool(list(carrier.written.glob("incoming/*.seed-*"))), "an image", 30, 0.001
        )
        process.kill()
    assert "waiting for seed" in cli.fails("run", name, status=75)
    lock = MEDIUM / f"{name}-standby/lock"
    protection.lab.exec("manager", ["flock", "-w", "45", str(lock), "true"])
    done = carrier.export()
    assert done["point"]
    assert "already" in cli.fails("export-seed", name, str(MEDIUM), status=2)
    carrier.carry()
    carrier.take_in()
    protection.expect_exact()
    assert protection.cycle().way is Way.INCREMENTAL


@pytest.mark.long
def test_exports_and_imports_killed_at_any_moment_leave_a_seed_that_is_taken_in(
    carrier: Carrier, cli: CommandLine
) -> None:
    protection, chances = carrier.protection, random.Random(5)
    medium, standby = MEDIUM / f"{protection.name}-standby", protection.directory
    for host, directory, words in (
        ("manager", medium, ("export-seed", protection.name, str(MEDIUM))),
        ("kvm", standby, ("import-seed", protection.name, str(ARRIVED))),
    ):
        for _ in range(6):
            with cli.started(*words) as process, suppress(subprocess.TimeoutExpired):
                process.wait(chances.uniform(0.3, 2.5))
            protection.lab.run(host, ["flock", "-w", "45", str(directory / "lock"), "true"])
        if host == "manager":
            if not (carrier.written / "SHA256SUMS").exists():
                carrier.export()
            carrier.carry()
    if not protection.points:
        carrier.take_in()
    protection.kept[protection.points[0]] = protection.copy()  # nobody wrote since
    protection.expect_exact()
    cli.run("verify", protection.name, "--all")
    protection.guest.write(0, 4 * KIB, 0x66)
    assert protection.cycle().way is Way.INCREMENTAL
    protection.expect_exact()
    carrier.clean()
    expect_no_traces(protection)


@pytest.mark.long
def test_a_seed_of_another_machine_is_refused(carrier: Carrier, protect: Protect) -> None:
    carrier.export()
    carrier.carry()
    other = Carrier(protect(6 * MIB), carrier.cli)
    carrier.there.rename(other.there)
    assert "of machine" in other.refused()
    assert other.protection.points == ()
    other.protection.cycle()
    other.protection.expect_exact()

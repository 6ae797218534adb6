"""Publication: nothing is visible before it is flushed, and one rename makes everything visible."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from standby.errors import (
    CommandFailed,
    Overtaken,
    RepairStore,
    StandbyError,
    TransferFailed,
    TryLater,
)
from standby.model.plan import HeadMove
from standby.target import programs
from standby.target.incoming import Incoming
from standby.target.publication import publish_manifest
from tests.integration.nbd_servers import wait_until
from tests.integration.store_world import KIB, MIB, Change, World

SHIM = """#!/bin/sh
number=$(( $(cat '{count}') + 1 )); echo "$number" > '{count}'
printf '%s\\n' "{name} $*" >> '{log}'
[ "$number" != "$(cat '{last}')" ] || {{ kill -KILL "$PPID"; exit 1; }}
[ "{name}" != "$(cat '{failing}')" ] || exit 1
exec '{real}' "$@"
"""


@dataclass(frozen=True)
class Shims:
    """Programs that the shell finds instead of the real ones, which they write down and run."""

    place: Path

    @property
    def calls(self) -> list[str]:
        """What was run since the last `begin`."""
        return (self.place / "log").read_text().splitlines()

    def begin(self, *, kill_at: int = 0, failing: str = "") -> None:
        """Begin to count: kill whoever calls the `kill_at`-th program, fail the one named."""
        for name, content in (
            ("count", "0"),
            ("log", ""),
            ("last", str(kill_at)),
            ("failing", failing),
        ):
            (self.place / name).write_text(content)


@pytest.fixture
def shims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shims:
    place = tmp_path / "shims"
    place.mkdir()
    files = {name: place / name for name in ("count", "log", "last", "failing")}
    for name in ("mv", "sync", "ln", "rm", "mkdir", "qemu-img"):
        shim = place / name
        shim.write_text(SHIM.format(name=name, real=shutil.which(name), **files))
        shim.chmod(stat.S_IRWXU)
    made = Shims(place)
    made.begin()
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    return made


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A standby with two points."""
    made = World(tmp_path)
    made.publish(Change("vda", 0, MIB, 1), Change("vdb", 0, 512, 1), sizes=SIZES)
    made.publish(Change("vda", 0, 512, 2))
    return made


SIZES = {"vda": MIB, "vdb": MIB}


def text_of(world: World) -> str:
    return (world.path / "standby.json").read_text()


def test_everything_is_flushed_before_the_rename_that_makes_it_visible(
    world: World, shims: Shims
) -> None:
    with world.opened() as store:
        shims.begin()
        world.publish_in(store, [Change("vda", 512, 512, 3)], move=HeadMove.LEAVE)
    calls = [call for call in shims.calls if call.startswith(("mv", "sync"))]
    visible = calls.index("mv -T standby.json.new standby.json")
    before, after = calls[:visible], calls[visible + 1 :]
    point = world.manifest.points[-1]
    files = {f for delta in point.deltas for f in (delta.file, delta.digests)}
    moves = [call.split() for call in before if call.startswith("mv") and "incoming/" in call]
    assert {move[-1] for move in moves} == files
    first, last = (before.index(" ".join(move)) for move in (moves[0], moves[-1]))
    flushed = {path for call in before[:first] if "sync" in call for path in call.split()}
    assert {move[2] for move in moves} <= flushed
    (flush,) = [call.split() for call in before[last:] if "points" in call and "sync" in call]
    assert {"deltas", "incoming", "points", f"points/{point.name}"} <= set(flush)
    assert before[-1] == "sync standby.json.new"
    assert after[0] == "sync ."


def test_what_could_not_be_flushed_is_not_published(world: World, shims: Shims) -> None:
    before = text_of(world)
    with world.opened() as store:
        opened = text_of(world)
        shims.begin(failing="sync")
        with pytest.raises(CommandFailed):
            world.publish_in(store, [Change("vda", 512, 512, 3)])
        assert text_of(world) == opened != before
    shims.begin()
    newest = world.publish(Change("vda", 512, 512, 4))
    world.expect_exact()
    world.expect_head(newest)
    world.expect_tidy()


@pytest.mark.parametrize("every", [29, pytest.param(1, marks=pytest.mark.long)])
def test_a_shell_killed_on_the_kvm_host_at_any_program_leaves_whole_points(
    world: World, shims: Shims, tmp_path: Path, every: int
) -> None:
    saved, contents = tmp_path / "saved", dict(world.kept)
    shutil.copytree(world.path, saved, symlinks=True)
    number = 3
    while True:
        shims.begin(kill_at=number)
        with suppress(StandbyError):
            world.publish(Change("vda", 512, 4 * KIB, 3), Change("vdb", 0, 512, 0))
            world.merge(1)
        killed = len(shims.calls) >= number
        shims.begin()
        world.expect_exact()
        if not killed:
            break
        newest = world.publish(Change("vda", 0, 512, 4))
        world.merge(2)
        world.expect_exact()
        world.expect_head(newest)
        world.expect_tidy()
        shutil.rmtree(world.path)
        shutil.copytree(saved, world.path, symlinks=True)
        world.kept = dict(contents)
        number += every
    assert number > 20


def publish_by_hand(world: World, text: bytes, claimed: bytes) -> int:
    """Run the publishing program with a manifest of which only `text` arrives."""
    digests = (hashlib.sha256(d).hexdigest() for d in (text_of(world).encode(), claimed))
    argv = ["bash", "-c", programs.PUBLISH, "publish", str(world.path), *digests, "--"]
    return subprocess.run(argv, input=text, check=False, capture_output=True).returncode


@pytest.mark.parametrize("arrives", [0, 1, 100, -1])
def test_a_manifest_that_arrives_torn_is_refused(world: World, arrives: int) -> None:
    before = text_of(world)
    whole = before.replace('"next_delta": 5', '"next_delta": 6').encode()
    assert publish_by_hand(world, whole[:arrives], whole) == programs.STATUS_TORN
    assert text_of(world) == before
    assert publish_by_hand(world, whole, whole) == 0
    assert text_of(world) == whole.decode()


def test_a_manager_whose_manifest_was_replaced_publishes_nothing(world: World) -> None:
    with world.opened() as store:
        behind = text_of(world)
        stolen = replace(store.manifest, generation=store.manifest.generation + 1)
        publish_manifest(world.host, world.directory, stolen, behind)
        before = text_of(world)
        for act in (
            lambda: store.stamp(store.manifest.points[-1].true_at),
            lambda: world.publish_in(store, [Change("vda", 0, 512, 9)]),
            lambda: store.move_head(HeadMove.SET_ASIDE),
            lambda: store.discard(["deltas/vda.0001.qcow2"]),
            lambda: store.merge(world.points[0], lambda *_: None),
        ):
            with pytest.raises(Overtaken):
                act()
            assert text_of(world) == before
    world.expect_exact()
    newest = world.publish(Change("vda", 0, 512, 10))
    world.expect_exact()
    world.expect_head(newest)


def test_nothing_is_published_while_a_daemon_may_still_write(world: World) -> None:
    before = text_of(world)
    with world.opened() as store:
        plan = world.plan(store)
        with pytest.raises(RepairStore, match="has not ended"), store.incoming(plan):
            store.stamp(plan.point.moment)
    assert text_of(world) != before  # opening raised the generation, no more
    world.expect_exact()
    world.publish(Change("vda", 0, 512, 10))
    world.expect_tidy()


def test_a_storage_daemon_that_dies_while_it_writes_is_noticed(world: World) -> None:
    with world.opened() as store:
        plan = world.plan(store)
        with store.incoming(plan) as incoming:
            incoming.require_alive()
            (pidfile,) = (world.path / "run").glob("cycle-incoming.*.pid")
            os.kill(int(pidfile.read_text()), signal.SIGKILL)
            wait_until(lambda: not _lives(incoming))


def _lives(incoming: Incoming) -> bool:
    try:
        incoming.require_alive()
    except TransferFailed as error:
        return "storage daemon" not in error.subject
    return True


def test_of_two_managers_one_is_told_who_has_the_lock(world: World) -> None:
    with world.opened(), pytest.raises(TryLater, match=f"pid {os.getpid()}"), world.opened():
        pass
    with world.opened():
        pass


def test_a_pid_that_somebody_else_was_given_is_not_killed(world: World) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        (world.path / "run/cycle-incoming.1.pid").write_text(f"{bystander.pid}\n")
        (world.path / "run/cycle-merge.1.pid").write_text("")
        with world.opened():
            assert bystander.poll() is None
            assert not list((world.path / "run").iterdir())
    finally:
        bystander.kill()
        bystander.wait()

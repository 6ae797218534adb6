"""Whatever happens round after round, each point is exact and its table is the table of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from standby.errors import TransferFailed
from standby.model.digest import BLOCK
from standby.transfer import (
    Changed,
    CopyResult,
    Differing,
    DiskCopy,
    Everything,
    RateLimit,
    Scope,
    ZeroPolicy,
    copy_disks,
    verify_disk,
)
from tests.integration.digest_chain import Chain, serve, table_of
from tests.integration.nbd_servers import (
    KIB,
    MIB,
    add_bitmap,
    content,
    create,
    qemu_io,
    qemu_nbd,
    run,
)

MOST = 3 * MIB
Command = tuple[str, int, int, int]


@dataclass(frozen=True)
class Round:
    """What happens to the source, and how it is brought over."""

    commands: list[Command]
    grows: int  # sectors
    scope: str
    killed: bool  # a first try ends with a crash of the KVM host's daemon
    merges: list[int]  # which pairs, counted round the chain


@dataclass
class World:
    """The source, the chain of its points, and what each must read as."""

    place: Path
    size: int
    source: Path = field(init=False)
    chain: Chain = field(init=False)
    states: list[bytes] = field(default_factory=list)
    tracked: bool = False

    def __post_init__(self) -> None:
        self.source = create(self.place / "source.qcow2", self.size)
        self.chain = Chain(self.place)

    def live(self, happening: Round) -> None:
        if self.states:
            self._grow(happening.grows * 512)
        apply(self.source, self.size, happening.commands)
        scope = self._scope(happening.scope)
        if happening.killed:
            self._crash(scope)
        self._expect_little(scope, self._copy(scope))
        if self.tracked:
            run("qemu-img", "bitmap", "--remove", self.source, "b")
        add_bitmap(self.source, "b")
        self.tracked = True
        for number in happening.merges:
            if len(self.states) > 1:
                older = number % (len(self.states) - 1)
                self.chain.merge(older)
                del self.states[older]
        self.expect_exact()

    def _grow(self, grown: int) -> None:
        """Let the disk grow at a moment at which nothing has changed."""
        self.size += grown
        run("qemu-img", "bitmap", "--remove", self.source, "b")
        run("qemu-img", "resize", "-q", self.source, str(self.size))
        add_bitmap(self.source, "b")

    def _scope(self, wanted: str) -> Scope:
        if not self.states or wanted == "everything":
            return Everything()
        return Differing() if wanted == "differing" else Changed("qemu:dirty-bitmap:b")

    def _crash(self, scope: Scope) -> None:
        """Kill the daemon at the first sign of progress; what it wrote is debris."""
        with suppress(TransferFailed):  # unless there was nothing to do
            self._attempt(scope, midway=True)
        pair = self.chain.pairs.pop()
        pair.image.unlink()
        pair.table.unlink()

    def _copy(self, scope: Scope) -> CopyResult:
        result = self._attempt(scope, midway=False)
        self.states.append(content(self.source))
        return result

    def _attempt(self, scope: Scope, *, midway: bool) -> CopyResult:
        pair = self.chain.add(self.size)
        bitmap = "b" if isinstance(scope, Changed) else None
        first = len(self.chain.pairs) == 1
        zeroes = ZeroPolicy.LEAVE_OUT if first else ZeroPolicy.WRITE
        with ExitStack() as opened:
            reader = opened.enter_context(qemu_nbd(self.source, bitmap=bitmap))
            writer = opened.enter_context(serve(pair))
            copy = DiskCopy(
                "vda", reader.endpoint, writer.image, scope, zeroes, digests=writer.digests
            )
            told = Once(writer.server.kill) if midway else None
            limit = RateLimit(2 * MIB) if midway else None
            (result,) = copy_disks([copy], limiter=limit, progress=told)
            assert verify_disk(writer.disk).damaged == ()
        return result

    def _expect_little(self, scope: Scope, result: CopyResult) -> None:
        """Nothing is sent that the point below has already."""
        if isinstance(scope, Everything):
            return
        below, now = (state.ljust(self.size, b"\0") for state in self.states[-2:])
        different = [
            at
            for at in range(0, self.size, BLOCK)
            if below[at : at + BLOCK] != now[at : at + BLOCK]
        ]
        lengths = {at: min(BLOCK, self.size - at) for at in different}
        data = sum(length for at, length in lengths.items() if any(now[at : at + BLOCK]))
        assert (result.data_bytes, result.zero_bytes) == (data, sum(lengths.values()) - data)

    def expect_exact(self) -> None:
        for pair, state in zip(self.chain.pairs, self.states, strict=True):
            image, table = pair.content()
            assert image == state
            assert table == table_of(state)


class Once:
    """A progress callback that acts at the first byte that is done."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act: Callable[[], object] | None = act

    def __call__(self, _disk: str, done: int, _total: int) -> None:
        if done and self._act is not None:
            act, self._act = self._act, None
            act()


def apply(image: Path, size: int, commands: list[Command]) -> None:
    lines = []
    for verb, pattern, place, wanted in commands:
        start = min(place, size - 1)
        lines.append(f"{verb.format(pattern)} {start} {min(wanted, size - start)}")
    if lines:
        qemu_io(image, *lines)


lengths = st.one_of(
    st.integers(1, 8 * KIB), st.integers(1, MIB), st.sampled_from([64 * KIB, 256 * KIB])
)
places = st.one_of(
    st.integers(0, MOST),
    st.integers(0, MOST // (64 * KIB)).map(lambda block: block * 64 * KIB),
)
# Two patterns only: what was there before comes back often.
verbs = st.sampled_from(
    ["write -P {}", "write -P {}", "write -P 0", "write -z", "write -z -u", "discard"]
)
commands = st.lists(st.tuples(verbs, st.sampled_from([17, 34]), places, lengths), max_size=6)
rounds = st.builds(
    Round,
    commands,
    st.one_of(st.just(0), st.just(0), st.integers(1, 512)),
    st.sampled_from(["changed", "changed", "changed", "differing", "everything"]),
    st.sampled_from([False, False, False, True]),
    st.lists(st.integers(0, 5), max_size=2),
)
sizes = st.integers(1, MOST // 512).map(lambda sectors: sectors * 512)


def play(size: int, happenings: list[Round]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory), size)
        for happening in happenings:
            world.live(happening)


relaxed = settings(deadline=None, suppress_health_check=list(HealthCheck))


@settings(relaxed, max_examples=12)
@given(sizes, st.lists(rounds, min_size=2, max_size=5))
def test_every_point_and_its_table_are_exact(size: int, happenings: list[Round]) -> None:
    play(size, happenings)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(relaxed, max_examples=200)
@given(sizes, st.lists(rounds, min_size=3, max_size=8))
def test_every_point_and_its_table_are_exact_for_long(size: int, happenings: list[Round]) -> None:
    play(size, happenings)

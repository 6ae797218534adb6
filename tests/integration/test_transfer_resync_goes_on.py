"""An interrupted resync goes on: what its overlay and its table say after it is the source."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from standby.errors import TransferFailed
from standby.transfer import (
    BLOCK,
    CopyResult,
    Differing,
    DiskCopy,
    Everything,
    Unfinished,
    ZeroPolicy,
    copy_disks,
)
from tests.integration.digest_chain import Chain, Pair, serve, table_of_file
from tests.integration.nbd_servers import content, nbdkit, run

MIB = 1024 * 1024
SIZE = 768 * MIB  # three spans


class Resync:
    """A source, the newest boot point of it, and an overlay on that."""

    def __init__(self, place: Path) -> None:
        self.raw = place / "source.raw"
        self._place = place
        with self.raw.open("wb") as file:
            for start in range(0, SIZE, 8 * MIB):
                file.seek(start)
                file.write(os.urandom(MIB))
            file.truncate(SIZE)
        chain = Chain(place)
        self.copy(chain.add(SIZE), Everything())
        self.pair = chain.add(SIZE)

    def copy(
        self, pair: Pair, scope: Everything | Differing | Unfinished, crash_after: int | None = None
    ) -> CopyResult | None:
        """Copy; None when the daemon was killed after so many bytes."""
        policy = ZeroPolicy.LEAVE_OUT if isinstance(scope, Everything) else ZeroPolicy.WRITE
        socket = self._place / "s.sock"
        with nbdkit(socket, "file", self.raw) as reader, serve(pair) as writer:

            def kill(_disk: str, moved: int, _total: int) -> None:
                if crash_after is not None and moved >= crash_after:
                    writer.server.kill()

            copy = DiskCopy(
                "vda", reader.endpoint, writer.image, scope, policy, digests=writer.digests
            )
            try:
                (result,) = copy_disks([copy], progress=kill)
            except TransferFailed:
                return None
        return result

    def change(self, seed: int, blocks: int = 200) -> dict[int, bytes]:
        """Change blocks at random, holes among them; return what they held."""
        rnd, before = random.Random(seed), {}
        with self.raw.open("r+b") as file:
            for _ in range(blocks):
                place = rnd.randrange(SIZE // BLOCK) * BLOCK
                file.seek(place)
                before.setdefault(place, file.read(BLOCK))
                file.seek(place)
                file.write(bytes(BLOCK) if rnd.random() < 0.2 else rnd.randbytes(BLOCK))
        return before

    def put_back(self, blocks: dict[int, bytes]) -> None:
        with self.raw.open("r+b") as file:
            for place, data in blocks.items():
                file.seek(place)
                file.write(data)

    def expect_exact(self) -> None:
        run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", self.raw, self.pair.image)
        assert content(self.pair.table) == table_of_file(self.raw)


@pytest.fixture
def resync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Resync:
    """Every span is stored as soon as it is done."""
    monkeypatch.setattr("standby.transfer.table._STORE_EVERY", 0.0)
    monkeypatch.setattr("standby.transfer.engine._REPORT_EVERY", 0.0)
    return Resync(tmp_path)


def test_an_interrupted_resync_sends_only_what_is_missing(resync: Resync) -> None:
    resync.change(1, blocks=1500)
    assert resync.copy(resync.pair, Differing(), crash_after=SIZE * 3 // 4) is None
    result = resync.copy(resync.pair, Unfinished())
    assert result is not None
    assert result.unchanged_bytes >= 48 * MIB  # at least one of three spans was stored
    resync.expect_exact()


SEEDS = [5, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2, 3, 4, 6, 7))]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_overwritten_by_an_interrupted_resync_is_not_taken_for_unchanged(
    resync: Resync, seed: int
) -> None:
    """B is written over A, the daemon dies, and the source is A again."""
    rnd = random.Random(seed)
    before = resync.change(seed)
    resync.copy(resync.pair, Differing(), crash_after=rnd.randrange(SIZE))
    resync.put_back(before)
    again = resync.change(100 + seed, blocks=40)
    resync.copy(resync.pair, Unfinished(), crash_after=rnd.randrange(SIZE))
    resync.put_back(again)
    assert resync.copy(resync.pair, Unfinished()) is not None
    resync.expect_exact()

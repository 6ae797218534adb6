"""Round after round of arbitrary changes, every overlay shows its round's state exactly."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from standby.transfer import Changed, DiskCopy, Everything, ZeroPolicy, copy_disks
from tests.integration.nbd_servers import (
    KIB,
    MIB,
    add_bitmap,
    content,
    create,
    qemu_io,
    qemu_nbd,
    run,
    storage_daemon,
)

MOST = 3 * MIB

lengths = st.one_of(
    st.integers(1, 8 * KIB), st.integers(1, MIB), st.sampled_from([64 * KIB, 256 * KIB])
)
places = st.one_of(
    st.integers(0, MOST),
    st.integers(0, MOST // (64 * KIB)).map(lambda block: block * 64 * KIB),
)
verbs = st.sampled_from(["write -P {}", "write -P {}", "write -P 0", "write -z", "write -z -u"])
writes = st.tuples(verbs, st.integers(1, 255), places, lengths)
discards = st.tuples(st.just("discard"), st.just(0), places, lengths)
changes = st.lists(st.one_of(writes, writes, discards), max_size=6)
sizes = st.integers(MIB // 512, MOST // 512).map(lambda sectors: sectors * 512)
clusters = st.sampled_from([4 * KIB, 64 * KIB, 2 * MIB])


def apply(image: Path, size: int, commands: list[tuple[str, int, int, int]]) -> None:
    lines = []
    for verb, pattern, place, wanted in commands:
        start = min(place, size - 1)
        lines.append(f"{verb.format(pattern)} {start} {min(wanted, size - start)}")
    if lines:
        qemu_io(image, *lines)


def move(source: Path, target: Path, *, bitmap: str | None) -> None:
    scope = Everything() if bitmap is None else Changed(f"qemu:dirty-bitmap:{bitmap}")
    zeroes = ZeroPolicy.LEAVE_OUT if bitmap is None else ZeroPolicy.WRITE
    with qemu_nbd(source, bitmap=bitmap) as reader, storage_daemon(target, writable=True) as writer:
        copy_disks([DiskCopy("vda", reader.endpoint, writer.endpoint, scope, zeroes)])


@pytest.mark.long
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sizes, clusters, st.lists(changes, min_size=2, max_size=4))
def test_every_overlay_of_a_chain_shows_its_own_round(
    size: int, cluster: int, rounds: list[list[tuple[str, int, int, int]]]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        source = create(place / "source.qcow2", size, options=f"cluster_size={cluster}")
        states: list[bytes] = []
        overlays: list[Path] = []
        for number, commands in enumerate(rounds):
            apply(source, size, commands)
            below = overlays[-1] if overlays else None
            overlays.append(create(place / f"{number}.qcow2", size, backing=below))
            move(source, overlays[-1], bitmap=f"b{number - 1}" if number else None)
            states.append(content(source))
            if number:
                run("qemu-img", "bitmap", "--remove", source, f"b{number - 1}")
            add_bitmap(source, f"b{number}")
        assert [content(overlay) for overlay in overlays] == states

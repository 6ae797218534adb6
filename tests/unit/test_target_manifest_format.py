"""The manifest as text: read back as it was, refused when it is damaged, readable by a shell."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from standby.errors import RepairStore
from standby.model.digest import DigestAlgorithm
from standby.model.machine import MachineIdentity
from standby.model.manifest import FAILOVERS, AwaitedSeed, DefinedDomain, Manifest
from standby.model.names import PointName
from standby.model.pause import Pause
from standby.model.point import (
    Base,
    BlankDisk,
    BootPoint,
    Consistency,
    Delta,
    Standing,
    Way,
)
from standby.model.spoilt import SpoiltDisk
from standby.target import programs
from standby.target.manifest_format import read_manifest, write_manifest

TEXTS = st.text(max_size=30)
SIZES = st.integers(0, 1 << 60)
MOMENTS = st.integers(0, 4_000_000_000).map(lambda s: datetime.fromtimestamp(s, UTC))
DELTAS = st.builds(Delta, TEXTS, TEXTS, SIZES, SIZES, st.sampled_from(Base))
RANGES = st.lists(st.tuples(SIZES, SIZES), min_size=1, max_size=3).map(tuple)
SPOILT = st.builds(SpoiltDisk, TEXTS, RANGES)
POINTS = st.builds(
    BootPoint,
    name=MOMENTS.map(PointName),
    made=st.sampled_from(Way),
    reason=TEXTS,
    consistency=st.sampled_from(Consistency),
    deltas=st.lists(DELTAS, max_size=3).map(tuple),
    sent=SIZES,
    true_at=MOMENTS,
    checkpoint=st.none() | TEXTS,
    blanks=st.lists(st.builds(BlankDisk, TEXTS, SIZES), max_size=2).map(tuple),
    definition=TEXTS,
    pinned=st.booleans(),
    standing=st.sampled_from(Standing),
    spoilt=st.lists(SPOILT, max_size=2).map(tuple),
)
MANIFESTS = st.builds(
    Manifest,
    standby=TEXTS,
    machine=st.builds(MachineIdentity, TEXTS, TEXTS),
    token=TEXTS,
    generation=st.integers(0, 10**9),
    domain=st.none() | st.builds(DefinedDomain, TEXTS, TEXTS, st.booleans(), TEXTS, TEXTS),
    digests=st.sampled_from(DigestAlgorithm),
    next_delta=st.integers(1, 10**6),
    reverted_to=st.none() | MOMENTS.map(PointName),
    awaits=st.none() | st.builds(AwaitedSeed, TEXTS, MOMENTS, st.none() | TEXTS),
    paused=st.none() | st.builds(Pause, MOMENTS, st.none() | MOMENTS, TEXTS, TEXTS),
    failover=st.none() | st.sampled_from(sorted(FAILOVERS, key=lambda it: it.value)),
    profile=st.dictionaries(TEXTS, TEXTS | st.integers() | st.lists(TEXTS), max_size=3),
    points=st.lists(POINTS, max_size=4).map(tuple),
)
MOMENT = datetime(2026, 11, 22, 3, 56, tzinfo=UTC)
MANIFEST = Manifest(
    "web",
    MachineIdentity("web", "6b21cf23-6d2c-4ef4-9c0c-0f1c3f6a7c11"),
    "0a1b2c3d",
    7,
    points=tuple(
        BootPoint(
            PointName(MOMENT + timedelta(hours=hour)),
            Way.INCREMENTAL,
            "changes since the newest point",
            Consistency.FILESYSTEM,
            (Delta("vda", f"deltas/vda.{hour + 1:04}.qcow2", 1 << 30, 4096),),
            4096,
            MOMENT,
        )
        for hour in range(3)
    ),
)


@given(MANIFESTS)
@example(MANIFEST)
def test_a_manifest_is_read_back_as_it_was(manifest: Manifest) -> None:
    assert read_manifest(write_manifest(manifest), "x") == manifest


@given(MANIFESTS)
def test_a_shell_can_read_the_generation_and_each_point_from_a_line(manifest: Manifest) -> None:
    lines = write_manifest(manifest).split("\n")
    assert lines.count(f'  "generation": {manifest.generation},') == 1
    assert sum(line.startswith('    {"name": "V') for line in lines) == len(manifest.points)


def test_the_fence_reads_the_generation_that_stands_there(tmp_path: Path) -> None:
    directory = tmp_path
    (directory / "standby.json").write_text(write_manifest(MANIFEST))
    for generation, status in (("7", 0), ("6", 76), ("70", 76), ("", 76)):
        argv = ["sh", "-c", programs.DROP, "drop", str(directory), generation, "nothing"]
        assert subprocess.run(argv, check=False).returncode == status, generation


@pytest.mark.parametrize("cut", range(0, len(write_manifest(MANIFEST)) - 1, 7))
def test_a_manifest_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(RepairStore, match="the manifest of web"):
        read_manifest(write_manifest(MANIFEST)[:cut], "the manifest of web")


@given(st.data())
def test_damage_never_passes_for_a_fact(data: st.DataObject) -> None:
    text = write_manifest(MANIFEST)
    place = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:place] + data.draw(st.characters()) + text[place + 1 :]
    try:
        assert read_manifest(damaged, "x") == MANIFEST
    except RepairStore:
        return  # never any other error


def test_who_edits_a_manifest_by_hand_leaves_its_checksum_out() -> None:
    edited = write_manifest(MANIFEST).replace('"pinned": false', '"pinned": true')
    with pytest.raises(RepairStore, match="checksum"):
        read_manifest(edited, "x")
    without = re.sub(r',\n  "checksum": .*', "", edited)
    assert all(point.pinned for point in read_manifest(without, "x").points)


def test_a_manifest_from_before_there_were_pauses_is_read() -> None:
    older = re.sub(r'\n  "(paused|failover)": .*', "", write_manifest(MANIFEST))
    assert '"paused"' not in older
    assert read_manifest(re.sub(r',\n  "checksum": .*', "", older), "x") == MANIFEST


def test_a_shell_reads_from_a_line_that_a_standby_is_paused() -> None:
    paused = MANIFEST.with_pause(Pause(MOMENT, reason='the "array", rebuilt', by="eve@manager"))
    assert '\n  "role": "paused",\n' in write_manifest(paused)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 2),
        ("version", None),
        ("generation", float("inf")),
        ("generation", "seven"),
        ("machine", []),
        ("points", {}),
        ("points", [{}]),
        ("reverted_to", "V20269999_999999"),
        ("domain", {"unknown": "key"}),
        ("digests", "md5"),
        ("next_delta", None),
        ("paused", {"since": "yesterday", "until": None, "reason": "", "by": ""}),
        ("paused", {"since": None}),
        ("failover", "protected"),
    ],
)
def test_a_value_that_cannot_be_is_refused(key: str, value: object) -> None:
    document = json.loads(write_manifest(MANIFEST))
    del document["checksum"]
    read_manifest(json.dumps(document), "x")
    document[key] = value
    with pytest.raises(RepairStore):
        read_manifest(json.dumps(document), "x")


@pytest.mark.parametrize("text", ["", "null", "[]", "7", '"text"', "{" * 100_000, "[" * 100_000])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(RepairStore):
        read_manifest(text, "x")

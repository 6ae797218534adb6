"""A power cut at any flush leaves every boot point that was published before it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.power import in_namespaces

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")


@pytest.mark.parametrize(
    ("seed", "cuts"), [(1, 8), *(pytest.param(n, 60, marks=pytest.mark.long) for n in (2, 3))]
)
@pytest.mark.timeout(900)
def test_what_was_published_before_a_power_cut_is_whole(
    tmp_path: Path, seed: int, cuts: int
) -> None:
    done = in_namespaces(tmp_path / "power", seed, cuts)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all points whole" in done.stdout

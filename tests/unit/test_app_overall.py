"""All transfers of a process share one limit, which the manager's settings give."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from configuration_files import PROFILE, write_root

from standby.app.session import Session, no_progress
from standby.app.wiring import transfer_of
from standby.model.digest import DigestAlgorithm
from standby.model.window import RateByDay
from standby.profile import ProfileMistakes
from standby.transfer.rate import RateLimit

MIB = 1 << 20
LIMITED = {"manager.yaml": "bandwidth: 10MiB/s\n", "profiles/web1.yaml": PROFILE}


def session(root: Path, files: dict[str, str]) -> Session:
    return Session(write_root(root, files))


def beside(made: Session) -> Session:
    return made.beside(progress=no_progress, cancel=threading.Event())


def test_runs_beside_each_other_share_what_the_settings_allow(tmp_path: Path) -> None:
    made = session(tmp_path, LIMITED)
    profile = made.profile("web1")
    limits = [transfer_of(beside(made), profile, DigestAlgorithm.BLAKE3).limiter for _ in range(2)]
    assert limits[0] is not None
    assert limits[0] is limits[1]
    assert limits[0].wait_before(10 * MIB) == 0
    assert limits[1] is not None
    assert limits[1].wait_before(1) > 0.5


def test_a_profiles_own_limit_holds_besides(tmp_path: Path) -> None:
    slow = PROFILE + "transfer: {bandwidth: 1MiB/s}\n"
    made = session(tmp_path, {**LIMITED, "profiles/slow.yaml": slow})
    limit = transfer_of(made, made.profile("slow"), DigestAlgorithm.BLAKE3).limiter
    assert limit is not None
    assert limit.wait_before(MIB) == 0
    assert 0.5 < limit.wait_before(1) <= 1  # and not 0.1, as the limit of all would have it
    other = made.overall.of(made.configuration)
    assert 0 < other.wait_before(1) < 0.5  # it counted, too


def test_new_settings_hold_for_what_is_under_way(tmp_path: Path) -> None:
    made = session(tmp_path, LIMITED)
    limit = transfer_of(made, made.profile("web1"), DigestAlgorithm.BLAKE3).limiter
    made.overall.follow(RateByDay())
    assert limit is not None
    assert limit.piece > 1 << 30


def test_wrong_settings_are_said_unless_good_ones_are_known(tmp_path: Path) -> None:
    files = {**LIMITED, "manager.yaml": "bandwidth: fast\n"}
    made = session(tmp_path, files)
    with pytest.raises(ProfileMistakes, match=r"manager\.yaml:1: bandwidth"):
        transfer_of(made, made.profile("web1"), DigestAlgorithm.BLAKE3)
    made.overall.follow(RateByDay(5 * MIB))
    limit = transfer_of(made, made.profile("web1"), DigestAlgorithm.BLAKE3).limiter
    assert limit is not None
    assert limit.piece == RateLimit(5 * MIB).piece

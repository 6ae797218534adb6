"""The state directory of a daemon: for its owner, and for the group that may ask."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from standby.daemon.instance import make_state_directory
from standby.errors import GrantAccess


def test_a_group_that_the_daemon_is_not_in_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refused)
    with pytest.raises(GrantAccess) as caught:
        make_state_directory(tmp_path / "state", "root")
    assert caught.value.subject == "daemon.socket_group"
    assert "usermod --append --groups root" in caught.value.remedy


def test_without_a_group_it_is_the_owners_alone(tmp_path: Path) -> None:
    make_state_directory(tmp_path / "state", None)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700

"""One configuration root is chosen, in a known order."""

from __future__ import annotations

from pathlib import Path

import pytest

from standby.errors import FixProfile
from standby.profile.root import find_root, place_for_first


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / ".config/standby").mkdir(parents=True)
    return home


def test_the_root_named_on_the_command_line_wins(tmp_path: Path, home: Path) -> None:
    named, other = tmp_path / "named", tmp_path / "other"
    named.mkdir()
    other.mkdir()
    assert find_root(named, {"STANDBY_CONFIG": str(other)}, home) == named
    assert find_root(None, {"STANDBY_CONFIG": str(other)}, home) == other
    assert find_root(None, {"STANDBY_CONFIG": ""}, home) == home / ".config/standby"
    assert find_root(None, {}, home) == home / ".config/standby"


def test_a_named_root_that_is_not_there_is_never_replaced_by_another(
    tmp_path: Path, home: Path
) -> None:
    gone = tmp_path / "gone"
    with pytest.raises(FixProfile, match=str(gone)):
        find_root(gone, {}, home)
    with pytest.raises(FixProfile, match=str(gone)):
        find_root(None, {"STANDBY_CONFIG": str(gone)}, home)


def test_a_root_that_is_a_file_is_refused(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(FixProfile):
        find_root(file, {}, home)


def test_the_first_profile_goes_to_the_root_in_use_or_to_the_users_own(
    tmp_path: Path, home: Path
) -> None:
    gone = tmp_path / "gone"
    assert place_for_first(gone, {}, home) == gone
    assert place_for_first(None, {"STANDBY_CONFIG": str(gone)}, home) == gone
    assert place_for_first(None, {}, home) == home / ".config/standby"

"""The runtime directory: private, short, and gone with its manager."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from standby.errors import GrantAccess
from standby.host.runtime import RuntimeDirectory

ROOT = Path(__file__).parents[2]
LIVE = """
import time
from standby.host.runtime import RuntimeDirectory
kept = RuntimeDirectory()
print(kept.path, flush=True)
time.sleep(1000)
"""


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # A short name: the directory of a test is too long to hold sockets.
    short = Path("/tmp") / f"standby-test-{tmp_path.parent.name[-6:]}-{id(tmp_path)}"  # noqa: S108
    short.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short))
    yield short  # type: ignore[misc]
    subprocess.run(("rm", "-rf", "--", short), check=True)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_private_and_removed_when_closed(base: Path) -> None:
    with RuntimeDirectory() as made:
        assert made.path.is_relative_to(base)
        assert mode(made.path) == mode(made.path.parent) == 0o700
        (made.path / "file").write_text("x")
    assert not made.path.exists()


def test_two_are_different_and_paths_are_never_given_twice() -> None:
    with RuntimeDirectory() as one, RuntimeDirectory() as other:
        assert one.path != other.path
        paths = [one.new_path("s") for _ in range(100)]
        assert len(set(paths)) == 100


def test_what_a_killed_manager_left_is_removed_by_the_next() -> None:
    process = subprocess.Popen(
        (sys.executable, "-c", LIVE), stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert process.stdout is not None
    left = Path(process.stdout.readline().strip())
    (left / "socket").touch()
    with RuntimeDirectory():
        assert (left / "socket").exists(), "a living manager's directory is left alone"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with RuntimeDirectory():
        assert not left.exists()


def test_a_socket_in_it_has_a_short_enough_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    with RuntimeDirectory() as made:
        longest = f"{made.new_path('control')}.{'X' * 16}"
        assert len(longest) < 108


def test_a_base_that_is_a_link_to_elsewhere_is_refused(base: Path, tmp_path: Path) -> None:
    (base / "standby").symlink_to(tmp_path)
    with pytest.raises(GrantAccess):
        RuntimeDirectory()


def test_a_base_that_others_may_enter_is_closed_to_them(base: Path) -> None:
    (base / "standby").mkdir(mode=0o755)
    (base / "standby").chmod(0o777)
    with RuntimeDirectory():
        assert mode(base / "standby") == 0o700

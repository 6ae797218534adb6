"""Where a boot point cannot be mounted is said in words, whatever the system calls it."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from standby.app.export import ExportedDisk
from standby.app.mount import mounted
from standby.app.session import Session
from standby.errors import FixRequest

DISK = ExportedDisk("vda", 512, "nbd+unix:///vda?socket=/run/s")


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    nothing = SimpleNamespace(host=lambda _: None)
    return cast("Session", SimpleNamespace(host=lambda _: None, configuration=nothing))


def test_a_file_is_no_directory(session: Session, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for place in (file, file / "below"):
        with pytest.raises(FixRequest, match="cannot be used"), mounted(session, [DISK], place):
            pass


def test_a_mount_whose_program_died_is_no_empty_directory(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(_: Path) -> bool:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr(Path, "exists", dead)
    with pytest.raises(FixRequest, match="not connected"), mounted(session, [DISK], tmp_path):
        pass

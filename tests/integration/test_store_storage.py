"""A store is not opened where locks do not hold, whatever was checked before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from standby.errors import UseOtherStorage
from tests.integration.store_world import World

STAT = """#!/bin/sh
case "$*" in *%T*) echo {kind};; *) exec /usr/bin/stat "$@";; esac
"""
FINDMNT = """#!/bin/sh
echo {options}
"""


@pytest.mark.parametrize(
    ("kind", "options", "found"),
    [
        ("smb2", "rw,vers=3.1.1", "SMB"),
        ("nfs", "rw,vers=3,local_lock=none", "NFS version 3"),
        ("nfs", "rw,vers=4.2,local_lock=all", "local_lock=all"),
    ],
)
def test_storage_whose_locks_do_not_hold_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, options: str, found: str
) -> None:
    world = World(tmp_path)
    mount(tmp_path, monkeypatch, kind, options)
    with pytest.raises(UseOtherStorage, match=found), world.opened():
        pass
    assert not (world.path / "standby.json").exists()


def test_nfs_version_4_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    mount(tmp_path, monkeypatch, "nfs", "rw,vers=4.2,local_lock=none")
    with world.opened():
        assert (world.path / "standby.json").exists()


def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, options: str) -> None:
    """Let the host's programs say that the storage is of that kind, mounted like that."""
    place = tmp_path / "programs"
    place.mkdir()
    for name, text in (
        ("stat", STAT.format(kind=kind)),
        ("findmnt", FINDMNT.format(options=options)),
    ):
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")

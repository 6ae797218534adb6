"""The state directory of a daemon: for its owner, and for the group that may ask."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from standby.daemon.control import _bound
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


def test_who_finds_the_socket_can_connect(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    found, over = threading.Event(), threading.Event()
    refused: list[OSError] = []

    def look() -> None:
        while not over.is_set():
            if path.exists():
                found.set()
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(0.0)  # nobody takes the connections: they fill up
                    try:
                        client.connect(str(path))
                    except ConnectionRefusedError as error:
                        refused.append(error)
                    except (FileNotFoundError, BlockingIOError):
                        continue

    looking = threading.Thread(target=look)
    looking.start()
    servers = []
    for _ in range(40):
        servers.append(_bound(path, None))
        found.wait(0.001)
        path.unlink()
    over.set()
    looking.join()
    for server in servers:
        server.close()
    assert refused == []
    assert list(tmp_path.iterdir()) == []

"""The lab of the fault suite: it is broken again and again, so nobody else shares it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from support_manager import ManagerHost

from lab import Lab

STORAGE_BYTES = 2 << 30


@pytest.fixture(scope="session")
def managers() -> Iterator[ManagerHost]:
    """Managers on a lab of their own."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    lab = Lab(f"c{os.getpid()}")
    lab.up(storage_bytes=STORAGE_BYTES, with_parent=os.getpid())
    host = ManagerHost(lab)
    yield host
    host.close()
    lab.down()

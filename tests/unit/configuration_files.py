"""A small configuration root for tests: its files, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from standby.profile import Mistake, Profile, ProfileMistakes, load

PROFILE = """\
source: {type: libvirt, host: hv1, domain: web1}
target: {host: kvm1, storage: /srv/standby}
"""
HOSTS = {"hosts/hv1.yaml": "address: root@hv1\n", "hosts/kvm1.yaml": "address: root@kvm1\n"}


def write_root(root: Path, files: Mapping[str, str]) -> Path:
    """Write two hosts and `files`, named by their paths below the root."""
    for name, text in {**HOSTS, **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return root


def loaded(root: Path, files: Mapping[str, str], name: str = "web1") -> Profile:
    """Load a profile of a root made of `files`."""
    return load(write_root(root, files), name)


def mistakes(root: Path, files: Mapping[str, str], name: str = "web1") -> tuple[Mistake, ...]:
    """Return everything that is wrong with a profile of a root made of `files`."""
    with pytest.raises(ProfileMistakes) as caught:
        loaded(root, files, name)
    return caught.value.mistakes


def only_mistake(root: Path, files: Mapping[str, str], name: str = "web1") -> Mistake:
    """Return the one thing that is wrong."""
    found = mistakes(root, files, name)
    assert len(found) == 1, "\n".join(map(str, found))
    return found[0]


def shown(root: Path, mistake: Mistake) -> str:
    """Render a mistake with its file as a path below the root."""
    return str(mistake).replace(f"{root}/", "")

"""The kinds of files below a configuration root."""

from __future__ import annotations

from enum import Enum


class FileKind(Enum):
    """What a file holds."""

    PROFILE = "profile"
    SHARED = "shared"  # defaults.yaml and the policies: a profile's keys, none required
    HOST = "host"
    MANAGER = "manager"

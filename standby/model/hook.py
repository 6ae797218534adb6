"""Scripts that an administrator has run around a cycle."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum


class HookMoment(Enum):
    """When a script runs."""

    BEFORE_CAPTURE = "before_capture"
    AFTER_CAPTURE = "after_capture"  # even if the capture failed
    AFTER_PUBLISH = "after_publish"
    AFTER_FAILURE = "after_failure"


class HookPlace(Enum):
    """Where a script runs."""

    MANAGER = "manager"
    SOURCE_HOST = "source_host"  # over SSH, on the hypervisor host
    GUEST = "guest"  # in the machine itself, through its guest agent


class OnHookFailure(Enum):
    """What the failure of a script means for the cycle."""

    ABORT = "abort"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True)
class Hook:
    """One script: a command as an argument list, with its time limit."""

    moment: HookMoment
    place: HookPlace
    command: tuple[str, ...]
    limit: timedelta = timedelta(minutes=5)
    on_failure: OnHookFailure = OnHookFailure.ABORT

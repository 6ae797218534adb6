"""Keys of a profile that name scripts to run around a cycle."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from standby.model.hook import Hook, HookMoment, HookPlace, OnHookFailure
from standby.profile.kinds import Duration, Word, bounded
from standby.profile.section import Section
from standby.profile.units import parse_duration


class Script(Section):
    """One script."""

    place: HookPlace = Field(
        description="Where it runs. `manager`: on the management host. `source_host`: on the "
        "machine's host. `guest`: in the machine itself, through its guest agent.",
        examples=["guest"],
    )
    command: Annotated[tuple[Word, ...], Field(min_length=1)] = Field(
        description="Program and arguments, each a word of its own; no shell reads them. The "
        "environment says more: `STANDBY_PROFILE`, `STANDBY_MOMENT`, `STANDBY_RUN`, "
        "`STANDBY_POINT`, `STANDBY_ERROR`.",
        examples=[["/usr/local/sbin/flush", "--all"]],
    )
    limit: Annotated[Duration, bounded(parse_duration, "1s", "1d")] = Field(
        default=timedelta(minutes=5),
        description="The script is ended after this time, which counts as a failure. From 1s to "
        "1d.",
        examples=["30s"],
    )
    on_failure: OnHookFailure = Field(
        default=OnHookFailure.ABORT,
        description="What a failure means. `abort`: the cycle fails. `continue`: it is said, and "
        "the cycle goes on.",
        examples=["continue"],
    )

    def hook(self, moment: HookMoment) -> Hook:
        """Return it as the cycle takes it."""
        return Hook(moment, self.place, self.command, self.limit, self.on_failure)


def _example(place: str, *command: str) -> list[list[dict[str, object]]]:
    return [[{"place": place, "command": list(command)}]]


class Scripts(Section):
    """Scripts that run around a cycle, in the order given. None runs while the guest is frozen."""

    before_capture: tuple[Script, ...] = Field(
        default=(),
        description="Before the capture, and before the guest is frozen.",
        examples=_example("guest", "/usr/local/sbin/flush", "--all"),
    )
    after_capture: tuple[Script, ...] = Field(
        default=(),
        description="After the capture has begun and the guest is thawed, even if it failed.",
        examples=_example("guest", "/usr/local/sbin/go-on"),
    )
    after_publish: tuple[Script, ...] = Field(
        default=(),
        description="After a boot point was published.",
        examples=_example("manager", "/usr/local/bin/tell", "published"),
    )
    after_failure: tuple[Script, ...] = Field(
        default=(),
        description="After a cycle has failed. Its own failure is only said.",
        examples=_example("manager", "/usr/local/bin/tell", "failed"),
    )

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """All scripts as the cycle takes them."""
        return tuple(self._hooks())

    def _hooks(self) -> Iterator[Hook]:
        for moment in HookMoment:
            scripts: tuple[Script, ...] = getattr(self, moment.value)
            yield from (script.hook(moment) for script in scripts)

"""Keys that hold our work back, so that everything else goes on: rates by time of day, priority."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Discriminator, Field, StrictInt, Tag

from standby.model.priority import NICEST, InputOutputClass, Priority
from standby.model.window import RateByDay
from standby.profile.kinds import Rate, Window, bounded, not_allowed
from standby.profile.section import Section
from standby.profile.units import parse_rate

BY_DAY_EXAMPLE = [{"window": "08:00-18:00", "rate": "10MiB/s"}, {"rate": "100MiB/s"}]
_SLOWEST = "1KiB/s"


class RatePart(Section):
    """The rate of a part of the day."""

    window: Window | None = Field(
        default=None,
        description="The part of the day: in a profile by the clock of `schedule.timezone`, in "
        "`manager.yaml` by the management host's. Null, in the last entry only: the rest of the "
        "day.",
        examples=["08:00-18:00"],
    )
    rate: Annotated[Rate, bounded(parse_rate, _SLOWEST)] | None = Field(
        default=None,
        description="Bytes or bits in a second. Null: no limit.",
        examples=["10MiB/s"],
    )


def _rest_comes_last(parts: tuple[RatePart, ...]) -> tuple[RatePart, ...]:
    if any(part.window is None for part in parts[:-1]):
        raise not_allowed("an entry without a window is not the last: those below never hold")
    return parts


def _tag(value: object) -> str:
    return "<by day>" if isinstance(value, list | tuple) else "<rate>"


Bandwidth = (
    Annotated[
        Annotated[Rate, bounded(parse_rate, _SLOWEST), Tag("<rate>")]
        | Annotated[
            tuple[RatePart, ...], Field(min_length=1), AfterValidator(_rest_comes_last),
            Tag("<by day>"),
        ],
        Discriminator(_tag),
    ]
    | None
)  # fmt: skip
"""One rate, or rates by time of day, the first entry whose window the clock is in; or no limit."""


def rate_by_day(bandwidth: int | tuple[RatePart, ...] | None) -> RateByDay:
    """Return what a bandwidth key says."""
    if not isinstance(bandwidth, tuple):
        return RateByDay(bandwidth)
    rest = next((part.rate for part in bandwidth if part.window is None), None)
    windows = tuple((part.window, part.rate) for part in bandwidth if part.window is not None)
    return RateByDay(rest, windows)


class Limits(Section):
    """How readily what we start on any host gives way to everything else there."""

    nice: StrictInt = Field(
        default=0,
        ge=0,
        le=NICEST,
        description="Niceness of every process that we start for this machine, at either end: 0 "
        "as everything else, 19 the most patient (nice(1)).",
        examples=[10],
    )
    input_output: InputOutputClass = Field(
        default=InputOutputClass.NORMAL,
        description="Class of their input and output (ionice(1)). `normal`: as the host decides. "
        "`best_effort`: with the lowest of its levels. `idle`: only when nobody else reads or "
        "writes; a busy disk can hold that up for long. Without effect where the disk's scheduler "
        "knows no classes.",
        examples=["idle"],
    )

    @property
    def priority(self) -> Priority:
        """Both as the hosts take them."""
        return Priority(self.nice, self.input_output)

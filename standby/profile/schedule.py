"""Keys of a profile that say when its cycles run, and how old the newest boot point may be."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, tzinfo
from typing import Annotated, Self

from pydantic import Field, model_validator

from standby.model import schedule as plans
from standby.profile.kinds import (
    ClockTime,
    DateOfMonth,
    Duration,
    LastMoment,
    Moment,
    NowOrMoment,
    Zone,
    bounded,
)
from standby.profile.section import Section, impossible
from standby.profile.units import parse_duration
from standby.profile.zone import local_zone

_SHORTEST, _LONGEST = "5s", "366d"
_WHOLE_DAY = timedelta(days=1)

Period = Annotated[Duration, bounded(parse_duration, _SHORTEST, _LONGEST)]


class Times(Section):
    """The runs of a day that has any: one, or one every so often within a window."""

    at: ClockTime | None = Field(
        default=None,
        description="One run, at this time. Excludes `from`, `to` and `repeat`.",
        examples=["03:00"],
    )
    begins: ClockTime | None = Field(
        default=None,
        alias="from",
        description="The first run of a window.",
        examples=["22:00"],
    )
    ends: ClockTime | None = Field(
        default=None,
        alias="to",
        description="No run of the window is at or after this time. One not later than `from` is "
        "that of the next day: a window may cross midnight, and from 00:00 to 00:00 is all day.",
        examples=["06:00"],
    )
    repeat: Period | None = Field(
        default=None,
        description="Time between the runs of a window, counted from its beginning. From 5s.",
        examples=["30m"],
    )

    @model_validator(mode="after")
    def _at_or_window(self) -> Self:
        allowed = "`at` alone, or `from`, `to` and `repeat` together"
        window = {"from": self.begins, "to": self.ends, "repeat": self.repeat}
        given = [key for key, value in window.items() if value is not None]
        lacking = [key for key in window if key not in given]
        if self.at is not None and given:
            raise impossible(f"at and {given[0]} are both set", allowed, "at", *given)
        if self.at is None and not given:
            raise impossible("no time of the day is set", allowed, "at")
        if given and lacking:
            raise impossible(f"{given[0]} stands there without {lacking[0]}", allowed, *given)
        if self.repeat is not None and self.repeat >= self._length():
            raise impossible(
                "the window is over before the second run", "a shorter repeat, or `at`", "repeat"
            )
        return self

    def _length(self) -> timedelta:
        day = date.min
        begins, ends = (datetime.combine(day, it or time()) for it in (self.begins, self.ends))
        return (ends - begins) % _WHOLE_DAY or _WHOLE_DAY

    @property
    def planned_times(self) -> plans.TimesOfDay:
        """The times as planning takes them."""
        if self.at is not None:
            return plans.TimesOfDay(self.at)
        return plans.TimesOfDay(self.begins or time(), self.ends, self.repeat)


class Weekly(Times):
    """Runs on days of the week."""

    days: Annotated[tuple[plans.Weekday, ...], Field(min_length=1)] = Field(
        default=tuple(plans.Weekday),
        description="Days of the week. A run after midnight belongs to the day its window began.",
        examples=[["mon", "tue", "wed", "thu", "fri"]],
    )


class Monthly(Times):
    """Runs on dates of the month."""

    dates: Annotated[tuple[DateOfMonth, ...], Field(min_length=1)] = Field(
        description="Dates, 1 to 31, or `last`. A month that lacks one has no run for it: "
        "`standby schedule` says which.",
        examples=[[1, 15, "last"]],
    )


class Effective(Section):
    """The time in which a schedule holds."""

    begins: Moment | None = Field(
        default=None,
        alias="from",
        description="No run before this. Null: from now on.",
        examples=["2027-01-01"],
    )
    ends: LastMoment | None = Field(
        default=None,
        alias="until",
        description="No run at or after this; a date alone means the end of that day. Null: "
        "without an end.",
        examples=["2027-12-31"],
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.begins is not None and self.ends is not None and self.begins >= self.ends:
            raise impossible("from is not before until", "an earlier from", "until", "from")
        return self


class Schedule(Section):
    """When cycles run. All entries hold together; those that meet are one run."""

    every: Period | None = Field(
        default=None,
        description="All the time, so far apart; profiles are spread over the period. From 5s. "
        "How often data moves is not how many boot points are kept: that is `boot_points`.",
        examples=["15m"],
    )
    weekly: tuple[Weekly, ...] = Field(
        default=(),
        description="Runs on days of the week: one, or one every so often within a window.",
        examples=[
            [{"at": "03:00"}],
            [{"days": ["fri", "sat"], "from": "22:00", "to": "06:00", "repeat": "30m"}],
        ],
    )
    monthly: tuple[Monthly, ...] = Field(
        default=(),
        description="Runs on dates of the month: one, or one every so often within a window.",
        examples=[[{"dates": [1, "last"], "at": "04:30"}]],
    )
    once: tuple[NowOrMoment, ...] = Field(
        default=(),
        description="Single runs: `now`, as soon as the daemon sees it, or a time.",
        examples=[["2026-12-24 22:00"], ["now"]],
    )
    on_event: tuple[plans.SourceEvent, ...] = Field(
        default=(),
        description="A run whenever this happens to the machine. After `shutdown` and `crash` its "
        "final state is captured.",
        examples=[["shutdown", "crash"]],
    )
    effective: Effective = Field(
        default_factory=Effective, description="The time in which the schedule holds."
    )
    timezone: Zone | None = Field(
        default=None,
        description="IANA name of the zone whose clocks are meant everywhere in this section, "
        "and in the windows of this profile. Null: the management host's. A time that clocks "
        "jump over in spring is the moment after the jump; one that they show twice in autumn is "
        "the first of the two.",
        examples=["Europe/Berlin"],
    )
    missed: plans.MissedRuns = Field(
        default=plans.MissedRuns.ONCE,
        description="What becomes of runs that were due while the manager was down. `once`: one "
        "run makes up for all of them. `skip`: nothing.",
        examples=["skip"],
    )
    application_every: Period | None = Field(
        default=None,
        description="Time between two application-consistent boot points: the first cycle in each "
        "such time makes one. The cycles between make crash-consistent ones, and do not freeze the "
        "guest. Needs `source.consistency: application`. Null: each of them is one.",
        examples=["4h"],
    )
    seed_at: Moment | None = Field(
        default=None,
        description="The schedule does not begin the first copy before this time. Null: at its "
        "first run.",
        examples=["2026-12-24 22:00"],
    )

    @property
    def zone(self) -> tzinfo:
        """The zone whose clocks are meant; without one of its own ours."""
        return self.timezone or local_zone()

    def planned(self) -> plans.Schedule:
        """Return the schedule as planning takes it."""
        return plans.Schedule(
            zone=self.zone,
            entries=self._entries(),
            begins=self.effective.begins,
            ends=self.effective.ends,
            missed=self.missed,
            application_every=self.application_every,
            seed_at=self.seed_at,
        )

    def _entries(self) -> tuple[plans.Entry, ...]:
        return (
            *(() if self.every is None else (plans.Every(self.every),)),
            *(plans.Weekly(frozenset(it.days), it.planned_times) for it in self.weekly),
            *(plans.Monthly(frozenset(it.dates), it.planned_times) for it in self.monthly),
            *(plans.Once(it) for it in self.once),
            *((plans.OnEvent(frozenset(self.on_event)),) if self.on_event else ()),
        )


class Rpo(Section):
    """How old the newest boot point may be."""

    target: Period | None = Field(
        default=None,
        description="Age of the newest boot point above which health is no longer normal. Null: "
        "what the schedule promises.",
        examples=["30m"],
    )

"""Keys of a profile that say how many boot points are kept, and which."""

from __future__ import annotations

from typing import Self

from pydantic import Field, StrictInt, model_validator

from standby.model import keep as planned
from standby.profile.kinds import Duration
from standby.profile.section import Section, impossible


class Tiers(Section):
    """Tiers of boot points: the older, the fewer."""

    all: Duration | None = Field(
        default=None,
        description="Keep every boot point younger than this; thinned first when `limit` is "
        "reached.",
        examples=["1h"],
    )
    hourly: StrictInt = Field(
        default=0,
        ge=0,
        le=planned.LARGEST_LIMIT,
        description="Keep the newest boot point of each of so many hours (UTC): the last that "
        "have any.",
        examples=[12],
    )
    daily: StrictInt = Field(
        default=0,
        ge=0,
        le=planned.LARGEST_LIMIT,
        description="Keep the newest boot point of each of so many days (UTC): the last that "
        "have any.",
        examples=[7],
    )
    weekly: StrictInt = Field(
        default=0,
        ge=0,
        le=planned.LARGEST_LIMIT,
        description="Keep the newest boot point of each of so many weeks (UTC): the last that "
        "have any.",
        examples=[4],
    )
    monthly: StrictInt = Field(
        default=0,
        ge=0,
        le=planned.LARGEST_LIMIT,
        description="Keep the newest boot point of each of so many months (UTC): the last that "
        "have any.",
        examples=[6],
    )

    def tiers(self) -> tuple[planned.Tier, ...]:
        """Return the tiers that are set."""
        ages = () if self.all is None else (planned.KeepAll(self.all),)
        counts = ((period, getattr(self, period.value)) for period in planned.Period)
        return (*ages, *(planned.KeepOnePer(period, count) for period, count in counts if count))


class BootPoints(Section):
    """How many boot points are kept, and which."""

    limit: StrictInt = Field(
        default=planned.DEFAULT_LIMIT,
        ge=planned.SMALLEST_LIMIT,
        le=planned.LARGEST_LIMIT,
        description="When a cycle leaves more boot points than this, two neighbours are merged: "
        "the two oldest, or those that `keep` can spare.",
        examples=[30],
    )
    keep: Tiers | None = Field(
        default=None,
        description="Tiers of boot points, thinning out with age, all within `limit`. "
        "Null: no tiers, the oldest go first.",
        examples=[{"all": "1h", "hourly": 12, "daily": 7, "weekly": 4}],
    )

    @model_validator(mode="after")
    def _tiers_fit(self) -> Self:
        if problem := planned.fits(self.kept):
            most = planned.LARGEST_LIMIT
            raise impossible(
                problem, f"fewer in the tiers, or a higher limit, up to {most}", "keep", "limit"
            )
        return self

    @property
    def kept(self) -> planned.Keep:
        """The limit and the tiers as planning takes them."""
        return planned.Keep(self.limit, self.keep.tiers() if self.keep is not None else ())

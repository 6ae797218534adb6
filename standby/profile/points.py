"""Keys of a profile that say how many boot points are kept, and which."""

from __future__ import annotations

from typing import Self

from pydantic import Field, StrictInt, model_validator

from standby.profile.kinds import Duration
from standby.profile.section import Section, impossible

MOST_POINTS = 64  # reads slow down with the depth of a chain; hundreds need another layout
DEFAULT_POINTS = 22


class Keep(Section):
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
        le=MOST_POINTS,
        description="Keep the newest boot point of this many hours.",
        examples=[12],
    )
    daily: StrictInt = Field(
        default=0,
        ge=0,
        le=MOST_POINTS,
        description="Keep the newest boot point of this many days.",
        examples=[7],
    )
    weekly: StrictInt = Field(
        default=0,
        ge=0,
        le=MOST_POINTS,
        description="Keep the newest boot point of this many weeks.",
        examples=[4],
    )
    monthly: StrictInt = Field(
        default=0,
        ge=0,
        le=MOST_POINTS,
        description="Keep the newest boot point of this many months.",
        examples=[6],
    )

    @property
    def most_points(self) -> int:
        """The most boot points that the tiers, without `all`, can ask for at one moment.

        The newest point is the newest of its hour, day, week and month: it counts once.
        """
        tiers = (self.hourly, self.daily, self.weekly, self.monthly)
        return 1 + sum(count - 1 for count in tiers if count)


class BootPoints(Section):
    """How many boot points are kept, and which."""

    limit: StrictInt = Field(
        default=DEFAULT_POINTS,
        ge=1,
        le=MOST_POINTS,
        description="When a cycle leaves more boot points than this, two neighbours are merged: "
        "the two oldest, or those that `keep` can spare.",
        examples=[30],
    )
    keep: Keep | None = Field(
        default=None,
        description="Tiers of boot points, thinning out with age, all within `limit`. "
        "Null: no tiers, the oldest go first.",
        examples=[{"all": "1h", "hourly": 12, "daily": 7, "weekly": 4}],
    )

    @model_validator(mode="after")
    def _tiers_fit(self) -> Self:
        if self.keep is not None and self.keep.most_points > self.limit:
            needed = self.keep.most_points
            raise impossible(
                f"the tiers need {needed} boot points, and the limit is {self.limit}",
                f"fewer points in the tiers, or a limit of {needed} or more (up to {MOST_POINTS})",
                "keep",
                "limit",
            )
        return self

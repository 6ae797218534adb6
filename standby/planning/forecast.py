"""How much room the boot points asked for will take. An estimate, from those there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from standby.model.keep import Keep
from standby.model.point import BootPoint, Way


@dataclass(frozen=True, slots=True)
class Forecast:
    """Room for `points` boot points, in bytes.

    `each` is what every point but the oldest takes, on average of the `measured` there are;
    None before there are any.
    """

    points: int
    oldest: int
    each: int | None
    measured: int

    @property
    def total(self) -> int | None:
        """Bytes of all of them, None when that cannot be told yet."""
        return None if self.each is None else self.oldest + (self.points - 1) * self.each


def forecast(points: Sequence[BootPoint], keep: Keep, next_way: Way, next_bytes: int) -> Forecast:
    """Estimate the room for as many points as `keep` allows. Points oldest first.

    `next_bytes` is the most that the next point takes: the whole machine when it is a seed.
    """
    if not points:
        return Forecast(keep.limit, next_bytes, None, 0)
    changes = [_stored(point) for point in points[1:] if point.made is not Way.SEED]
    if not changes and next_way is Way.INCREMENTAL:
        changes = [next_bytes]
    each = sum(changes) // len(changes) if changes else None
    return Forecast(keep.limit, _stored(points[0]), each, len(changes))


def _stored(point: BootPoint) -> int:
    return sum(delta.stored for delta in point.deltas)

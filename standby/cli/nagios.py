"""What monitoring systems read: the output of a Nagios plugin, and its exit status.

By the Monitoring Plugins' guidelines: a line of text, performance data after a bar, then a line
for each machine that is not well. Thresholds of the lag are the RPO targets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING

from standby.errors import StandbyError
from standby.model.health import Health

if TYPE_CHECKING:
    from standby.app.inspect import NotSeen, StandbyLook


class PluginStatus(Enum):
    """Exit statuses of a plugin."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_STATUS = {
    Health.NORMAL: PluginStatus.OK,
    Health.WARNING: PluginStatus.WARNING,
    Health.CRITICAL: PluginStatus.CRITICAL,
    Health.UNKNOWN: PluginStatus.UNKNOWN,
}
# The gravest first: a machine of which nobody knows may hide a worse one than a warning.
_GRAVEST = (Health.CRITICAL, Health.UNKNOWN, Health.WARNING, Health.NORMAL)


def plugin_output(looks: Sequence[StandbyLook | NotSeen]) -> tuple[str, PluginStatus]:
    """Return the output and the exit status for all of some standbys."""
    counts = Counter(it.condition.health for it in looks)
    worst = next((it for it in _GRAVEST if counts[it]), Health.UNKNOWN)
    status = _STATUS[worst]
    summary = ", ".join(f"{counts[it]} {it.value.lower()}" for it in _GRAVEST if counts[it])
    ill = [it for place in _GRAVEST[:-1] for it in looks if it.condition.health is place]
    text = f"STANDBY {status.name} - {summary or 'no standbys'}"
    if ill:
        text += f"; {_clean(_line(ill[0]))}"
    numbers = " ".join(_numbers(looks, counts))
    return "\n".join([f"{text} | {numbers}", *(_clean(_line(it)) for it in ill)]), status


def plugin_failure(error: StandbyError) -> tuple[str, PluginStatus]:
    """Return what a plugin says that could not look at all."""
    return f"STANDBY UNKNOWN - {_clean(str(error))}", PluginStatus.UNKNOWN


def _line(look: StandbyLook | NotSeen) -> str:
    reasons = "; ".join(it.text for it in look.condition.reasons) or "nobody could look"
    return f"{_called(look)} {look.condition.health.value.upper()}: {reasons}"


def _numbers(looks: Sequence[StandbyLook | NotSeen], counts: Counter[Health]) -> Iterator[str]:
    for health in reversed(_GRAVEST):
        yield f"{health.value.lower()}={counts[health]};;;0;{len(looks)}"
    for look in looks:
        yield from _numbers_of(look)


def _numbers_of(look: StandbyLook | NotSeen) -> Iterator[str]:
    # The classes live behind the application, which --help does without.
    from standby.app.inspect import StandbyLook  # noqa: PLC0415

    name = _called(look).replace("'", "''").replace("=", "_")
    if not isinstance(look, StandbyLook):
        if look.lag is not None:
            yield f"'{name} lag'={int(look.lag.total_seconds())}s;;;0"
        return
    if look.age is not None:
        target = look.facts.target
        most = int(target.most.total_seconds()) if target else ""
        yield f"'{name} lag'={int(look.age.total_seconds())}s;{most};;0"
    yield f"'{name} points'={len(look.manifest.points)};{look.merges.keep.limit};;0"
    yield f"'{name} stored'={look.stored}B;;;0"
    yield f"'{name} free'={look.target.available}B;;;0"


def _called(look: StandbyLook | NotSeen) -> str:
    from standby.app.inspect import StandbyLook  # noqa: PLC0415

    return look.place.called if isinstance(look, StandbyLook) else look.called


def _clean(text: str) -> str:
    """Leave out what ends the text of a plugin."""
    return " ".join(text.replace("|", "/").split())

"""How runs end that could not say so themselves."""

from __future__ import annotations

from datetime import datetime

from standby.app.orders import Ended, failed
from standby.daemon.active import Active
from standby.errors import StandbyError
from standby.model.run import Run


def ended_by(active: Active, error: StandbyError, now: datetime) -> Ended:
    """Return the end of a run that an error ended before it was recorded."""
    order, place = active.order, active.place
    run = Run(
        order.id,
        order.profile,
        order.kind,
        order.cause,
        active.begun,
        place.source_host,
        place.kvm_host,
    )
    return Ended(failed(run, error, now), error=error)


def died(active: Active, now: datetime) -> Ended:
    """Return the end of a run whose thread has left nothing but a trace in the log."""
    error = StandbyError(
        f"run {active.order.id}",
        "ended by a mistake of this program",
        remedy="the log of the daemon has a trace: please report it",
    )
    return ended_by(active, error, now)

"""One run under way: what it tells is put together until nothing more can come."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Final

from standby.app.orders import failed
from standby.cycle.interfaces import Moved
from standby.cycle.report import Phase
from standby.errors import Retry, StandbyError
from standby.model.names import PointName
from standby.model.plan import CyclePlan
from standby.model.point import BootPoint
from standby.model.run import Amounts, Failure, Run, RunPhase, RunResult

_KEPT_EVERY_S: Final = 1.0  # what a kill may take of the phases of a run under way
_AMOUNTS_EVERY_S: Final = 30.0  # and of what it moved


class RunRecorder:
    """Listens to one run. A cycle tells it everything itself; other work says what it did."""

    def __init__(
        self, run: Run, now: Callable[[], datetime], progress: Callable[[Run], None]
    ) -> None:
        """`progress` keeps what is known of the run so far."""
        self.run = run
        self.phase: tuple[str, datetime] | None = None  # under way; read by other threads too
        self._asked = run.reason
        self._good = RunResult.DONE
        self._now = now
        self._progress = progress
        self._kept = time.monotonic()

    # ---- a cycle tells -----------------------------------------------------------------

    def planned(self, plan: CyclePlan) -> None:
        """Take what will be done, and why."""
        reason = "; ".join(filter(None, (self._asked, plan.reason)))
        self.run = replace(self.run, way=plan.way, reason=reason)

    def moving(self, moved: Moved) -> None:
        """Take what was moved so far: all that is known of a transfer that fails."""
        amounts = Amounts(moved.read, moved.data, self.run.amounts.stored, moved.changed)
        self.run = replace(self.run, amounts=amounts)
        self._keep_now_and_then(_AMOUNTS_EVERY_S)

    def replicated(self, plan: CyclePlan, point: BootPoint, moved: Moved) -> None:
        """Take the point that was published, or found still true."""
        made = point.name == plan.point
        self._good = RunResult.PUBLISHED if made else RunResult.STILL_TRUE
        stored = sum(delta.stored for delta in point.deltas) if made else 0
        amounts = Amounts(moved.read, moved.data, stored, moved.changed)
        self.run = replace(self.run, point=point.name, amounts=amounts)

    def merged(self, older: PointName) -> None:
        """Take a point that was merged away."""
        self.run = replace(self.run, merged=(*self.run.merged, older))

    def begins(self, phase: Phase) -> None:
        """Take a phase that begins."""
        self.phase = phase.value, self._now()

    def ends(self, phase: Phase, seconds: float) -> None:
        """Take a phase that ended, well or badly."""
        name, begun = self.phase or (phase.value, self._now())
        self.phase = None
        ended = RunPhase(name, begun, seconds)
        self.run = replace(self.run, phases=(*self.run.phases, ended))
        self._keep_now_and_then(_KEPT_EVERY_S)

    def _keep_now_and_then(self, every: float) -> None:
        if time.monotonic() - self._kept >= every:
            self._progress(self.run)
            self._kept = time.monotonic()

    # ---- other work tells --------------------------------------------------------------

    def done(self, point: PointName | None = None, amounts: Amounts | None = None) -> None:
        """Take what work that is no cycle did; None: nothing, or what a cycle told already."""
        self._good = RunResult.DONE
        self.run = replace(
            self.run, point=point or self.run.point, amounts=amounts or self.run.amounts
        )

    def fails(self, failure: Failure) -> None:
        """Take what is wrong although the work came to its end."""
        self.run = replace(self.run, failure=failure)

    # ---- the end -----------------------------------------------------------------------

    @contextmanager
    def ending(self) -> Generator[None]:
        """Let the run end as what is inside ends; its error goes on."""
        try:
            yield
        except StandbyError as error:
            self.run = failed(self.run, error, self._end_of_run())
            raise
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            result = RunResult.CANCELLED if stopped else RunResult.FAILED
            self._end(result, _unforeseen(self.run, error))
            raise
        found = RunResult.FAILED if self.run.failure else self._good
        self._end(found, self.run.failure)

    def _end(self, result: RunResult, failure: Failure | None) -> None:
        self.run = replace(self.run, ended=self._end_of_run(), result=result, failure=failure)

    def _end_of_run(self) -> datetime:
        return max(self._now(), self.run.begun)  # clocks may be set back meanwhile


def _unforeseen(run: Run, error: BaseException) -> Failure:
    return Failure(
        type(error).__name__,
        f"run {run.id}",
        str(error) or "ended in the midst of its work",
        "",
        "the next run begins from what it finds",
        Retry.LATER,
    )

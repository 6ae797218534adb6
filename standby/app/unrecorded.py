"""Runs that nobody records: for tests and benchmarks, and until there is a history."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from standby.app.orders import failed, new_id
from standby.app.session import WallClock
from standby.cycle.interfaces import Moved
from standby.cycle.report import Phase
from standby.errors import StandbyError
from standby.model.names import PointName
from standby.model.plan import CyclePlan
from standby.model.point import BootPoint
from standby.model.run import Amounts, Cause, Run, RunKind, RunResult
from standby.profile import Profile


@dataclass
class PlainRecorder:
    """Knows what a run did, and writes it nowhere."""

    run: Run

    def planned(self, plan: CyclePlan) -> None:
        """Take what will be done."""
        self.run = replace(self.run, way=plan.way, reason=plan.reason)

    def replicated(self, plan: CyclePlan, point: BootPoint, moved: Moved) -> None:
        """Take what was."""
        result = RunResult.PUBLISHED if point.name == plan.point else RunResult.STILL_TRUE
        amounts = Amounts(sent=moved.data)
        self.run = replace(self.run, point=point.name, result=result, amounts=amounts)

    def merged(self, older: PointName) -> None:
        """Take what was merged away."""
        self.run = replace(self.run, merged=(*self.run.merged, older))

    def begins(self, phase: Phase) -> None:
        """Pass over a phase."""

    def ends(self, phase: Phase, seconds: float) -> None:
        """Pass over its end."""


class Unrecorded:
    """Records nothing."""

    trouble = ""

    @contextmanager
    def run(
        self, profile: Profile, kind: RunKind, cause: Cause, reason: str = "", run_id: str = ""
    ) -> Generator[PlainRecorder]:
        """Follow one run."""
        clock = WallClock()
        recorder = PlainRecorder(
            Run(
                run_id or new_id(),
                profile.name,
                kind,
                cause,
                clock.now(),
                profile.source_host.name,
                profile.target_host.name,
                reason=reason,
            )
        )
        try:
            yield recorder
        except StandbyError as error:
            recorder.run = failed(recorder.run, error, clock.now())
            raise
        recorder.run = replace(recorder.run, ended=clock.now())

"""A run that the daemon does and this command follows."""

from __future__ import annotations

import logging
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from standby.cli.stopping import stop_interrupts
from standby.cli.work import Report
from standby.errors import Cancelled, StandbyError
from standby.model.run import RunKind

if TYPE_CHECKING:
    from standby.app.client import DaemonClient
    from standby.app.control import Answer, RunOver
    from standby.app.reports import CycleReport

# What the daemon says of phases looks as if they were ours.
_phases = logging.getLogger("standby.cycle")

_LOOK_EVERY_S = 0.1


def run_in_daemon(
    daemon: DaemonClient, profile: str, kind: RunKind, report: Report, cancel: threading.Event
) -> CycleReport:
    """Have the daemon run a profile; return its report, or raise the run's error.

    When `cancel` is set, somebody pressed Ctrl-C: on a terminal he is asked what he means.
    """
    following = _Following(daemon, profile, kind, report)
    thread = threading.Thread(target=following.follow, name="following", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_LOOK_EVERY_S)
        if cancel.is_set() and thread.is_alive():
            cancel.clear()
            following.stop()
    return following.result()


@dataclass
class _Following:
    daemon: DaemonClient
    profile: str
    kind: RunKind
    report: Report
    run: str = ""
    _over: RunOver | None = None
    _error: StandbyError | None = None
    _asked: bool = field(default=False)

    def follow(self) -> None:
        """Follow the run to its end; in a thread of its own."""
        from standby.app.control import AskRun  # noqa: PLC0415 - loaded by whoever found a daemon

        try:
            self._over = self.daemon.run(AskRun(self.profile, self.kind), self._hear)
        except StandbyError as error:
            self._error = error

    def _hear(self, answer: Answer) -> None:
        from standby.app.control import PhaseOver, Progress, RunBegins  # noqa: PLC0415 - likewise

        match answer:
            case RunBegins(run):
                self.run = run
            case Progress(what, done, total):
                self.report(what, done, total)
            case PhaseOver(phase, seconds):
                _phases.info("profile=%s phase=%s seconds=%.3f", self.profile, phase, seconds)

    def stop(self) -> None:
        """Cancel the run if that is wanted; raise Cancelled if it shall go on without us."""
        if not self._asked and sys.stdin.isatty() and not self._is_to_stop():
            raise Cancelled(
                self.run or self.profile, "goes on in the daemon", remedy="see: standby watch"
            )
        self._asked = True
        try:
            self.daemon.cancel(self.run or self.profile)
        except StandbyError as error:
            _phases.info("profile=%s is not stopped: %s", self.profile, error)

    def _is_to_stop(self) -> bool:
        try:
            with stop_interrupts():
                return typer.confirm("The daemon does this run. Stop it?", err=True)
        except (typer.Abort, KeyboardInterrupt):
            typer.echo(err=True)
            return True  # Ctrl-C again

    def result(self) -> CycleReport:
        """Return what came of it."""
        if self._error is not None:
            raise self._error
        if self._over is None or self._over.report is None:
            raise StandbyError(self.profile, "the daemon said nothing of the run")
        return self._over.report

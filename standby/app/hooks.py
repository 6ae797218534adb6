"""The scripts of a profile: run where they belong, contained, and what they say in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from standby.app.session import Session
from standby.app.wiring import source_of
from standby.cycle.report import Phase
from standby.errors import Cancelled, ExitStatus, RepairScript, StandbyError
from standby.host.outcome import shown
from standby.host.scripts import Script, ScriptEnding, run_script
from standby.model.hook import Hook, HookMoment, HookPlace, OnHookFailure
from standby.model.plan import CyclePlan
from standby.model.point import BootPoint
from standby.profile import Profile

log = logging.getLogger("standby.scripts")

Wanted = Callable[[], bool]
RunScript = Callable[[Script, Wanted], ScriptEnding | None]
"""Runs a script somewhere; None when there is nothing to run it in."""
PhaseOf = Callable[[Phase, str], AbstractContextManager[None]]

# What was prepared for a capture is undone, and a failure is told, though nobody wants the run.
_ALWAYS_WANTED: Final = frozenset({HookMoment.AFTER_CAPTURE, HookMoment.AFTER_FAILURE})
_NOT_BEGUN: Final = ScriptEnding(0, "", 0, late=False, unwanted=True)
# Somebody else works on the standby, or somebody asked us to stop: no failure.
_NO_FAILURE: Final = frozenset({ExitStatus.TRY_LATER, ExitStatus.CANCELLED})


@dataclass
class ProfileHooks:
    """The scripts of one profile during one run. Their failures are told where they happen."""

    hooks: Sequence[Hook]
    places: Mapping[HookPlace, RunScript]
    about: Mapping[str, str]  # what the environment of every script says of the run
    phase: PhaseOf
    wanted: Wanted
    _point: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def around_capture(self, plan: CyclePlan) -> Generator[None]:
        """Run what comes before a capture and, whatever happens, what comes after it."""
        self._point = {"STANDBY_POINT": str(plan.point), "STANDBY_WAY": plan.way.value}
        try:
            self._run(HookMoment.BEFORE_CAPTURE)
            yield
        except BaseException as error:
            self._run_though_failed(HookMoment.AFTER_CAPTURE, error)
            raise
        self._run(HookMoment.AFTER_CAPTURE)

    def after_publish(self, point: BootPoint) -> None:
        """Run what comes after a publication."""
        self._point["STANDBY_POINT"] = str(point.name)
        self._run(HookMoment.AFTER_PUBLISH)

    @contextmanager
    def around_run(self) -> Generator[None]:
        """Run what comes after a failure, when what is inside fails; the error goes on."""
        try:
            yield
        except StandbyError as error:
            if error.exit_status not in _NO_FAILURE:
                self._run_though_failed(HookMoment.AFTER_FAILURE, error)
            raise

    def _run_though_failed(self, moment: HookMoment, error: BaseException) -> None:
        """Run scripts when there is an error already, which counts for more than theirs."""
        try:
            self._run(moment, error)
        except StandbyError as another:
            self._tell([another])

    def _run(self, moment: HookMoment, error: BaseException | None = None) -> None:
        """Run the scripts of a moment; raise the first failure that means the run's.

        Before a capture none runs after one that failed; else each has its turn.
        """
        hooks = [hook for hook in self.hooks if hook.moment is moment]
        if not hooks:
            return
        environment = {**self.about, **_ABSENT, **self._point, **_of_the_moment(moment, error)}
        with self.phase(Phase.SCRIPTS, f"moment={moment.value}"):
            failures = self._failures(hooks, environment)
            first = next(failures, None)
            if first is None:
                return
            if moment is not HookMoment.BEFORE_CAPTURE:
                self._tell(failures)
            raise first

    def _failures(
        self, hooks: Iterable[Hook], environment: Mapping[str, str]
    ) -> Generator[StandbyError]:
        for hook in hooks:
            try:
                self._run_one(hook, environment)
            except Cancelled as stopped:
                yield stopped
                return
            except StandbyError as failure:
                if hook.on_failure is OnHookFailure.ABORT:
                    yield failure
                else:
                    self._tell([failure])

    def _tell(self, failures: Iterable[StandbyError]) -> None:
        for failure in failures:
            log.warning("profile=%s %s", self.about["STANDBY_PROFILE"], failure)

    def _run_one(self, hook: Hook, environment: Mapping[str, str]) -> None:
        script = Script(hook.command, environment, hook.limit.total_seconds())
        wanted = _always if hook.moment in _ALWAYS_WANTED else self.wanted
        ending = self.places[hook.place](script, wanted) if wanted() else _NOT_BEGUN
        if ending is None:
            log.info("%s: not run: the machine does not run", _name(hook))
            return
        _log(hook, ending)
        if ending.unwanted:
            raise Cancelled(_name(hook), "stopped", remedy="the next cycle runs it again")
        if not ending.is_good:
            raise _failure(hook, ending)


def hooks_of(session: Session, profile: Profile, phase: PhaseOf, run_id: str = "") -> ProfileHooks:
    """Return the scripts of a profile, for one run."""
    places: dict[HookPlace, RunScript] = {
        HookPlace.MANAGER: lambda *script: run_script(session.manager_host(), *script),
        HookPlace.SOURCE_HOST: lambda *script: run_script(session.source_host(profile), *script),
        HookPlace.GUEST: source_of(session, profile).run_inside,
    }
    about = {
        "STANDBY_PROFILE": profile.name,
        "STANDBY_RUN": run_id,
        "STANDBY_NAME": profile.standby_name,
        "STANDBY_MACHINE": profile.source.domain,
        "STANDBY_SOURCE_HOST": profile.source_host.name,
        "STANDBY_KVM_HOST": profile.target_host.name,
    }
    wanted = partial(_not, session.cancel.is_set)
    return ProfileHooks(profile.scripts.hooks, places, about, phase, wanted)


# Every variable is there at every moment, so that `set -u` is no trap.
_ABSENT: Final = {"STANDBY_POINT": "", "STANDBY_WAY": ""}


def _of_the_moment(moment: HookMoment, error: BaseException | None) -> dict[str, str]:
    return {
        "STANDBY_MOMENT": moment.value,
        "STANDBY_ERROR": " ".join(str(error).split()) if error else "",
        "STANDBY_ERROR_TYPE": type(error).__name__ if error else "",
    }


def _log(hook: Hook, ending: ScriptEnding) -> None:
    log.info("%s: status %d", _name(hook), ending.status)
    if ending.output:
        log.info("%s: printed:\n%s", _name(hook), ending.output)
    if ending.left:
        log.warning("%s: ended what it left running: %d processes", _name(hook), ending.left)


def _failure(hook: Hook, ending: ScriptEnding) -> RepairScript:
    last = ending.output.rpartition("\n")[2] or "it printed nothing"
    found = f"ended with status {ending.status}: {last}"
    if ending.late:
        found = f"no end within its limit of {hook.limit.total_seconds():g} s: {last}"
    return RepairScript(_name(hook), found, "status 0", "see what it printed in the run's log")


def _name(hook: Hook) -> str:
    place = hook.place.value.replace("_", " ")
    return f"script {hook.moment.value} on {place}: {shown(hook.command)}"


def _always() -> bool:
    return True


def _not(question: Callable[[], bool]) -> bool:
    return not question()

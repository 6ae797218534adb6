"""`standby watch`: what the daemon does now, with progress, rate and time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live as LiveDisplay
from rich.text import Text

from standby.cli.asked import required_daemon
from standby.cli.options import ConfigOption, JsonOption
from standby.cli.output import PIPED_WIDTH, local, print_json, readable_age, table_of
from standby.cli.work import looking
from standby.model.amount import readable
from standby.model.pause import Then

if TYPE_CHECKING:
    from standby.app.live import Live, LiveRun, LiveStep, LiveWait

EPILOG = "Example: standby watch; in a script: standby watch --json"

_PERCENT = 100
_RUNS = ("profile", "run", "why", "since", "phase", "of", "progress", "rate", "left")
_WAITS = ("profile", "why", "due for", "behind its RPO")


def watch(
    context: typer.Context,
    *,
    every: Annotated[
        float, typer.Option("--every", min=0.2, metavar="SECONDS", help="How often to look.")
    ] = 1.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the daemon does now, until Ctrl-C; in a pipe or as JSON once.

    Exit status 75: no daemon runs these profiles.
    """
    from standby.app.encoding import encode  # noqa: PLC0415 - 0.1 s that --help does not need

    with looking(context, config) as session:
        daemon = required_daemon(session)
        if as_json:
            print_json(encode(daemon.live(everything=True)))
        elif not sys.stdout.isatty():
            Console(width=PIPED_WIDTH).print(shown(daemon.live()))
        else:
            with LiveDisplay(auto_refresh=False, screen=True) as display:
                while True:
                    display.update(shown(daemon.live()), refresh=True)
                    time.sleep(every)


def shown(live: Live) -> RenderableType:
    """Return a table of what runs, one of what waits, and what is wrong."""
    head = f"{local(live.at)}  daemon {live.pid} since {local(live.since)}, {live.root}"
    if live.stopping:
        head += ", stopping"
    runs = [row for run in live.running for row in _rows(run, live)]
    waits = [_wait(wait, live) for wait in live.waiting]
    parts: list[RenderableType] = [Text(head)]
    parts.append(table_of("running", _RUNS, runs) if runs else Text("nothing runs"))
    if waits:
        parts.append(table_of("waiting", _WAITS, waits))
    parts += [Text(f"wrong: {problem}") for problem in problems_of(live)]
    return Group(*parts)


def _rows(run: LiveRun, live: Live) -> Iterator[tuple[str, ...]]:
    """Yield a row for each disk or merge of a run; the first one says what run it is."""
    phase = ", ".join(filter(None, (run.phase, "stopping" if run.stopping else "", _then(run))))
    why = f"{run.kind.value}, {run.cause.value}"
    names = (run.profile, run.id, why, readable_age(live.at - run.begun), phase)
    steps = [_step(step) for step in run.steps] or [("", "", "", "")]
    for number, step in enumerate(steps):
        yield (*(names if number == 0 else ("",) * len(names)), *step)


def _then(run: LiveRun) -> str:
    """Say what somebody asked for that begins when the run is over."""
    match run.then:
        case Then.PAUSED:
            return "pausing after this run"
        case Then.RESUMED:
            return "resuming after this run"
    return ""


def _step(step: LiveStep) -> tuple[str, str, str, str]:
    percent = _PERCENT * step.done // max(step.total, 1)
    rate = f"{readable(int(step.rate))}/s" if step.rate else ""
    left = readable_age(step.left) if step.left and step.done < step.total else ""
    return step.what, f"{percent} % of {readable(step.total)}", rate, left


def _wait(wait: LiveWait, live: Live) -> tuple[str, str, str, str]:
    behind = "no boot point" if wait.behind is None else f"{wait.behind:.1f} times"
    why = f"{wait.kind.value}, {wait.cause.value}"
    return wait.profile, why, readable_age(live.at - wait.due), behind


def problems_of(live: Live) -> Iterator[str]:
    """Yield what is wrong with the daemon and its profiles."""
    yield from live.problems
    for broken in live.broken:
        kept = "the version before goes on" if broken.keeps_older else "it is not protected"
        yield f"{broken.found} ({kept})"

"""What a daemon and who asks it say to each other: one JSON object a line, over a UNIX socket."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final, Self

import standby.errors
from standby.app.encoding import decode, encode
from standby.app.live import Live
from standby.cycle.report import CycleReport
from standby.errors import FixRequest, StandbyError
from standby.model.run import Run, RunKind

VERSION: Final = 1
SOCKET_NAME: Final = "control.sock"
LONGEST_LINE: Final = 4 << 20  # bytes; a status of ten thousand profiles is shorter


@dataclass(frozen=True, slots=True)
class AskLive:
    """Say what runs; `everything`: also what comes next for each machine."""

    everything: bool = False


@dataclass(frozen=True, slots=True)
class AskRun:
    """Run a profile now, and tell how it goes on and ends."""

    profile: str
    kind: RunKind = RunKind.CYCLE


@dataclass(frozen=True, slots=True)
class AskCancel:
    """Stop the run of a profile, or the run of an id."""

    run: str


class UnderWay(Enum):
    """What becomes of the run that is under way when a pause is asked for."""

    ENDS = "ends"  # by itself
    IS_CANCELLED = "is cancelled"


@dataclass(frozen=True, slots=True)
class AskPause:
    """Let no run of a profile begin by itself until a moment, or until somebody resumes.

    The pause begins when the run that is under way is over.
    """

    profile: str
    until: datetime | None = None
    reason: str = ""
    run: UnderWay = UnderWay.ENDS


@dataclass(frozen=True, slots=True)
class AskResume:
    """End the pause of a profile."""

    profile: str


@dataclass(frozen=True, slots=True)
class AskReload:
    """Read what changed in the configuration."""


@dataclass(frozen=True, slots=True)
class RunBegins:
    """The run that was asked for begins."""

    id: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one transfer or merge of it is; bytes."""

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class PhaseOver:
    """A phase of it is over."""

    phase: str
    seconds: float


@dataclass(frozen=True, slots=True)
class RunOver:
    """It is over, and was good."""

    run: Run
    report: CycleReport | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What was asked for is done; `text` says what, for people.

    `after` is the run at whose end it will be done, "" when it is.
    """

    text: str
    after: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """An error; `kinds` are the names of its type and of those that this one is a kind of."""

    kinds: tuple[str, ...]
    subject: str
    found: str
    expected: str = ""
    remedy: str = ""

    @classmethod
    def of(cls, error: StandbyError) -> Self:
        """Return an error as it travels."""
        names = [it.__name__ for it in type(error).__mro__ if issubclass(it, StandbyError)]
        return cls(tuple(names), error.subject, error.found, error.expected, error.remedy)

    @property
    def error(self) -> StandbyError:
        """The error, of the nearest type that is known here."""
        known = [vars(standby.errors)[kind] for kind in self.kinds if kind in _ERRORS]
        make: type[StandbyError] = known[0] if known else StandbyError
        return make(self.subject, self.found, self.expected, self.remedy)


Ask = AskLive | AskRun | AskCancel | AskPause | AskResume | AskReload
Answer = Live | RunBegins | Progress | PhaseOver | RunOver | Done | Refused

_KINDS: Final[dict[str, type]] = {
    kind.__name__: kind
    for kind in (AskLive, AskRun, AskCancel, AskPause, AskResume, AskReload, Live, RunBegins,
                 Progress, PhaseOver, RunOver, Done, Refused)
}  # fmt: skip
_ERRORS: Final = {
    name
    for name, it in vars(standby.errors).items()
    if isinstance(it, type) and issubclass(it, StandbyError)
}


def socket_path(state: Path) -> Path:
    """Return where the daemon of a state directory listens."""
    return state / SOCKET_NAME


def line_of(message: Ask | Answer) -> bytes:
    """Return a message as it travels."""
    plain = {"version": VERSION, "message": type(message).__name__, "fields": encode(message)}
    return json.dumps(plain, ensure_ascii=False).encode() + b"\n"


def message_of(line: bytes) -> Any:  # noqa: ANN401 - one of Ask or Answer; the callers look
    """Return the message of a line. Raises FixRequest when there is none in it."""
    try:
        plain = json.loads(line)
        version, kind, fields = plain["version"], _KINDS[plain["message"]], plain["fields"]
    except (ValueError, KeyError, TypeError) as error:
        raise FixRequest("control socket", f"no message: {line[:80]!r}") from error
    if version != VERSION:
        raise FixRequest(
            "control socket",
            f"speaks version {version}",
            f"version {VERSION}",
            "use the same standby for the daemon and the command",
        )
    return decode(kind, fields)

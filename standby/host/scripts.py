"""Running an administrator's script so that it cannot get out of hand.

A script may print without end, hang, or leave processes in the background. So it runs below a
small POSIX shell program that keeps only the last part of its output, ends it at its time
limit, and at its end ends whatever it left. Processes are known by a mark in their environment,
which those inherit that have left the script's session, and which services do not have that a
service manager was asked to start. The program holds the limit by itself: it needs nobody who
is still connected.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from standby.errors import CommandTimedOut, ReachHost
from standby.host.interface import Held, Host

MOST_OUTPUT: Final = 64 << 10
"""Bytes kept of what a script prints: the last ones."""
GRACE_S: Final = 20.0
"""Seconds that the program may need to end everything and to say so, its limit having passed."""
LOOK_S: Final = 0.5
"""Seconds between two questions whether a script is still wanted."""

_START_S: Final = 30.0
_LAST_LINE: Final = re.compile(rb"status (\d+) left (\d+)\s*")
_ENDED_BY_LIMIT: Final = frozenset({124, 137, 143})  # timeout(1): TERM; KILL; TERM by busybox

_FUNCTIONS: Final = r"""
marked() { grep -lsxzF -- "$1=$mark" /proc/[0-9]*/environ | tr -cd '0-9\n'; }
sweep() {
  variable=$1 signal=TERM
  found=$(marked "$variable"); set -- $found; echo "left $#"
  for try in 1 2 3 4 5 6 7 8; do
    [ -n "$found" ] || return 0
    kill -"$signal" $found 2>/dev/null
    sleep 1; signal=KILL
    found=$(marked "$variable")
  done
}
"""

# Arguments: mark, seconds, bytes of output to keep, then as of env(1). Descriptor 3 carries what
# is told about the script, 4 its output; it has neither. Who reads its output would wait for ever
# for a process that has thrown away its environment: so he is marked, too.
RUN: Final = (
    _FUNCTIONS
    + r"""
mark=$1 limit=$2 kept=$3; shift 3
cd /
exec 4>&1
told=$(
  exec 3>&1
  {
    timeout -k 5 "$limit" env "STANDBY_SCRIPT=$mark" "$@" </dev/null 3>&- 4>&-
    echo "status $?" >&3
    sweep STANDBY_SCRIPT >&3
  } 2>&1 | env "STANDBY_OUTPUT=$mark" tail -c "$kept" 3>&- >&4 4>&- &
)
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  [ -n "$(marked STANDBY_OUTPUT)" ] || break
  sleep 0.1 2>/dev/null || sleep 1
done
sweep STANDBY_OUTPUT >/dev/null
echo; echo "$mark" $told
"""
)

# Arguments: mark. Ends a script; the program that runs it then says how it ended.
END: Final = (
    _FUNCTIONS
    + r"""
mark=$1
sweep STANDBY_SCRIPT >/dev/null
"""
)


@dataclass(frozen=True, slots=True)
class Script:
    """A command with what its environment has besides the host's own. `limit` in seconds."""

    command: Sequence[str]
    environment: Mapping[str, str]
    limit: float
    mark: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def argv(self) -> tuple[str, ...]:
        """The program that contains the script."""
        settings = (f"{name}={value}" for name, value in self.environment.items())
        # Through a shell of its own, so that env(1) takes no command for a setting.
        script = (*settings, "sh", "-c", 'exec "$@"', "script", *self.command)
        limit = str(max(round(self.limit), 1))
        return ("sh", "-c", RUN, "standby-script", self.mark, limit, str(MOST_OUTPUT), *script)

    @property
    def end_argv(self) -> tuple[str, ...]:
        """The program that ends the script before its time."""
        return ("sh", "-c", END, "standby-script-end", self.mark)


@dataclass(frozen=True, slots=True)
class ScriptEnding:
    """How a script ended: its status, the last of its output, and what it left running.

    `late` when its limit had passed, `unwanted` when it was ended because nobody wanted it any
    more.
    """

    status: int
    output: str
    left: int
    late: bool
    unwanted: bool

    @property
    def is_good(self) -> bool:
        """Whether it did what it should, and nobody ended it."""
        return self.status == 0 and not self.late and not self.unwanted


class Deadline:
    """When a script has to have ended, and whether it is still wanted."""

    def __init__(self, script: Script, wanted: Callable[[], bool]) -> None:
        self._script = script
        self._wanted = wanted
        self._begun = time.monotonic()
        self.unwanted = False

    @property
    def late(self) -> bool:
        """Whether its limit has passed."""
        return time.monotonic() - self._begun >= self._script.limit

    def ends_now(self) -> bool:
        """Tell, once, that the script is to be ended because nobody wants it any more."""
        if self.unwanted or self._wanted():
            return False
        self.unwanted = True
        self._begun = time.monotonic() - self._script.limit  # it has the grace from now on
        return True

    def require_hope(self, where: str) -> None:
        """Raise CommandTimedOut when even the containing program is overdue."""
        if time.monotonic() - self._begun < self._script.limit + GRACE_S:
            return
        raise CommandTimedOut(
            where,
            f"no end of the script {self._script.command[0]}, {GRACE_S:g} s after its limit of "
            f"{self._script.limit:g} s",
            "an end",
        )

    def ending(self, told: bytes, where: str) -> ScriptEnding:
        """Read what the containing program printed. Raise ReachHost when it did not finish."""
        output, _, last = told.rpartition(b"\n" + self._script.mark.encode() + b" ")
        told_of = _LAST_LINE.fullmatch(last)
        if told_of is None:
            raise ReachHost(
                where,
                f"connection lost during the script {self._script.command[0]}",
                "an answer to its end",
                "there it runs on to its end or its limit",
            )
        status, left = (int(number) for number in told_of.groups())
        late = self.late and status in _ENDED_BY_LIMIT and not self.unwanted
        return ScriptEnding(status, _text(output), left, late, self.unwanted)


def run_script(host: Host, script: Script, wanted: Callable[[], bool]) -> ScriptEnding:
    """Run a script on a host to its end, at the longest to its limit.

    It is ended when `wanted` says no. Raises ReachHost, GrantAccess, CommandTimedOut.
    """
    deadline = Deadline(script, wanted)
    held = host.hold(script.argv, ready=b"", timeout=_START_S)
    try:
        return deadline.ending(_listen(host, held, script, deadline), host.name)
    finally:
        held.close()


def _listen(host: Host, held: Held, script: Script, deadline: Deadline) -> bytes:
    told = bytearray()
    while True:
        try:
            line = held.read_line(LOOK_S)
        except CommandTimedOut:
            if deadline.ends_now():
                host.run(script.end_argv, timeout=GRACE_S)
            deadline.require_hope(host.name)
            continue
        if line is None:
            return bytes(told)
        told += line + b"\n"


def _text(output: bytes) -> str:
    """Return output as a log may hold it: nothing that moves a terminal's cursor."""
    cut = len(output) >= MOST_OUTPUT
    told = output.decode("utf-8", "replace").rstrip("\n")
    text = "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in told
    )
    return f"[only the last {MOST_OUTPUT >> 10} KiB are kept]\n{text}" if cut else text

"""Argument lists that bind a command's life to a time limit and to its standard input.

A process that was started over SSH is told nothing when its connection ends. So commands run
below a small POSIX shell program that watches its own standard input: when that ends, because
the connection was closed or the manager died, the command is ended. Pure: lists in, lists out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from standby.errors import FixRequest

KILL_AFTER_S: Final = 5
"""Seconds from TERM to KILL for a command that does not end."""

# Messages are read by us, hence the locale; administrators' programs are not on the PATH of an
# ordinary user, hence the additions to it.
_SURROUNDINGS: Final = """
LC_ALL=C.UTF-8; export LC_ALL; unset LANGUAGE
PATH="${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin"; export PATH
"""

# Arguments: as of timeout(1). The command gets no input. timeout(1) makes its own process
# group, passes TERM on to it, and follows with KILL.
_BOUND: Final = (
    _SURROUNDINGS
    + """
exec 3<&0
timeout "$@" </dev/null 3<&- &
child=$!
( read -r _ <&3; kill -TERM "$child" ) >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait "$child"; status=$?
kill "$watch" 2>/dev/null
exit "$status"
"""
)

# Arguments: as of timeout(1). The command reads the input itself, so nobody watches it.
_FED: Final = _SURROUNDINGS + 'exec timeout "$@"\n'

_PLAIN: Final = _SURROUNDINGS + 'exec "$@"\n'

# Arguments: seconds of silence allowed, then as of timeout(1). `read -t` is not POSIX, so a
# timeout(1) limits each read. A reader that is left when the command has ended by itself ends
# with the input.
_LEASHED: Final = (
    _SURROUNDINGS
    + """
silence=$1; shift
exec 3<&0
timeout "$@" </dev/null 3<&- &
child=$!
( while timeout "$silence" sh -c 'read -r beat' <&3; do :; done; kill -TERM "$child" ) \\
  >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait "$child"; status=$?
kill "$watch" 2>/dev/null
exit "$status"
"""
)


def bound(argv: Sequence[str], limit: float) -> tuple[str, ...]:
    """Return the command that runs `argv` for at most `limit` seconds, or until input ends."""
    return _program(_BOUND, "--kill-after", str(KILL_AFTER_S), _seconds(limit), *_checked(argv))


def fed(argv: Sequence[str], limit: float) -> tuple[str, ...]:
    """Return the command that runs `argv`, which reads its input, for at most `limit` seconds."""
    return _program(_FED, "--kill-after", str(KILL_AFTER_S), _seconds(limit), *_checked(argv))


def plain(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the command that runs `argv` in our locale and PATH, without any limit."""
    return _program(_PLAIN, *_checked(argv))


def leashed(argv: Sequence[str], silence: float) -> tuple[str, ...]:
    """Return a command for `Host.hold` that runs `argv`, which knows nothing of heartbeats.

    It ends `argv` when its input ends or brings no line for `silence` seconds (0: however
    long it is silent).
    """
    limits = (_seconds(silence), "--kill-after", str(KILL_AFTER_S), "0")
    return _program(_LEASHED, *limits, *_checked(argv))


def _program(text: str, *arguments: str) -> tuple[str, ...]:
    return ("sh", "-c", text, "leash", *arguments)


def _seconds(limit: float) -> str:
    return f"{limit:.3f}"


def _checked(argv: Sequence[str]) -> Sequence[str]:
    """Refuse what no operating system can pass on: it would arrive as something else."""
    if not argv or any("\0" in word for word in argv):
        raise FixRequest("command", repr(tuple(argv)), "a program and arguments without null bytes")
    return argv

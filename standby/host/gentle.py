"""Argument lists that make a command give way to everything else on its host. Pure.

Children inherit both niceness and class, so what a command starts gives way as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from standby.model.priority import NO_PRIORITY, InputOutputClass, Priority

# Arguments: niceness, what ionice(1) is told, then the command. -t: a kernel that knows no
# classes, or forbids them, is no reason to fail; nor is a host without ionice.
_GENTLE: Final = """
nice=$1 class=$2 level=$3; shift 3
if [ "$class" != 0 ] && command -v ionice >/dev/null 2>&1
then set -- ionice -t -c "$class" -n "$level" "$@"
fi
exec nice -n "$nice" "$@"
"""
_CLASSES: Final = {
    InputOutputClass.NORMAL: ("0", "0"),
    InputOutputClass.BEST_EFFORT: ("2", "7"),  # 7 is the lowest level
    InputOutputClass.IDLE: ("3", "7"),  # the level counts for nothing
}


def gentle(argv: Sequence[str], priority: Priority) -> tuple[str, ...]:
    """Return the command that runs `argv` with this priority."""
    if priority == NO_PRIORITY:
        return tuple(argv)
    own = (str(priority.nice), *_CLASSES[priority.input_output])
    return ("sh", "-c", _GENTLE, "gentle", *own, *argv)

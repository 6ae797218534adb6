"""How readily what we start gives way to everything else on a host."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

NICEST = 19


class InputOutputClass(Enum):
    """Classes of ionice(1)."""

    NORMAL = "normal"  # as the host decides
    BEST_EFFORT = "best_effort"  # with the lowest of its levels
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Priority:
    """`nice` as nice(1) takes it: 0 as everything else, 19 the most patient."""

    nice: int = 0
    input_output: InputOutputClass = InputOutputClass.NORMAL


NO_PRIORITY = Priority()
GIVES_WAY = Priority(NICEST, InputOutputClass.IDLE)  # takes what others leave

"""What the surfaces print of the rooms they do not know."""

from __future__ import annotations

from standby.cycle.report import CycleReport, Outcome, PhaseTime

__all__ = ["CycleReport", "Outcome", "PhaseTime"]

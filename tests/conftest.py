"""What all tests have in common."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No test is one of speed: what a machine is busy with besides must not make one fail.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

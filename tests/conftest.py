"""What holds for all tests: none fails because a machine is busy."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("standby", deadline=None)
settings.load_profile("standby")

"""What the libraries we use may say in the logs."""

from __future__ import annotations

import logging
from enum import Enum
from typing import Final

_LIBRARIES: Final = ("paramiko", "qemu.qmp")


class Chatter(Enum):
    """How much the libraries say."""

    # What goes wrong in them is raised to us as an error; they log it as well, with traces.
    NONE = logging.CRITICAL + 1
    ALL = logging.DEBUG


def set_chatter(chatter: Chatter) -> None:
    """Let the libraries log everything, QMP messages among it, or nothing."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(chatter.value)

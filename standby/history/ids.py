"""Ids of runs: short enough to type, and no two alike by chance."""

from __future__ import annotations

import secrets
from typing import Final

ID_LENGTH: Final = 8
_LETTERS: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # without those taken for another


def new_id() -> str:
    """Return an id that nobody had before, but for a chance of one in a million million."""
    return "".join(secrets.choice(_LETTERS) for _ in range(ID_LENGTH))


def is_beginning_of_id(text: str) -> bool:
    """Tell whether an id may begin so."""
    return 0 < len(text) <= ID_LENGTH and set(text) <= set(_LETTERS)

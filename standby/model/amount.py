"""Amounts of bytes as people read them."""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024


def readable(size: int) -> str:
    """Write a size for people: 1.2 GiB."""
    amount, unit = float(size), _UNITS[0]
    for unit in _UNITS:
        if amount < _STEP or unit == _UNITS[-1]:
            break
        amount /= _STEP
    return f"{size} B" if unit == _UNITS[0] else f"{amount:.1f} {unit}"

"""Frozen nouns as JSON and back, by their type hints: for what travels between our processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from standby.errors import FixRequest
from standby.model.names import PointName
from standby.profile.mistakes import Plain

Noun = TypeVar("Noun")


def encode(value: object) -> Plain:
    """Return a noun as JSON has it: seconds for spans of time, ISO 8601 for moments."""
    if isinstance(value, Enum):
        return encode(value.value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, datetime | timedelta | PointName | Path):
        return _encoded_single(value)
    if is_dataclass(value):
        return {it.name: encode(getattr(value, it.name)) for it in fields(value)}
    raise TypeError(f"{type(value).__name__} does not travel")


def _encoded_single(value: datetime | timedelta | PointName | Path) -> Plain:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.total_seconds() if isinstance(value, timedelta) else str(value)


def decode(kind: type[Noun], plain: Plain) -> Noun:
    """Return the noun of a kind that JSON stands for. Raises FixRequest when it is none.

    Fields that are not known are passed over: a newer one of us may have sent them.
    """
    try:
        made: Noun = _decoded(kind, plain)
    except (TypeError, ValueError, KeyError) as error:
        raise FixRequest(kind.__name__, f"cannot be understood: {error}") from error
    return made


def _decoded(kind: Any, plain: Plain) -> Any:  # noqa: ANN401 - of whatever kind
    origin, inner = get_origin(kind), get_args(kind)
    if origin in {Union, UnionType}:
        wanted = [it for it in inner if it is not NoneType]
        return None if plain is None else _decoded(wanted[0], plain)
    if origin is tuple:
        return tuple(_decoded(inner[0], item) for item in _list(plain))
    if is_dataclass(kind) and kind is not PointName:
        return _dataclass(kind, plain)
    return _single(kind, plain)


def _dataclass(kind: Any, plain: Plain) -> Any:  # noqa: ANN401 - of whatever kind
    if not isinstance(plain, dict):
        raise TypeError(f"{kind.__name__} is no mapping")
    hints = _hints(kind)
    return kind(**{key: _decoded(hints[key], item) for key, item in plain.items() if key in hints})


def _single(kind: Any, plain: Plain) -> Any:  # noqa: ANN401 - of whatever kind
    if kind in _FROM_TEXT:
        return _FROM_TEXT[kind](str(plain))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(plain)
    if kind is float and type(plain) is int:
        return float(plain)
    if type(plain) is not kind:
        raise TypeError(f"{plain!r} is no {kind.__name__}")
    return plain


_FROM_TEXT: dict[Any, Callable[[str], object]] = {
    PointName: PointName.parse,
    datetime: datetime.fromisoformat,
    timedelta: lambda text: timedelta(seconds=float(text)),
    Path: Path,
}


def _list(plain: Plain) -> list[Plain]:
    if not isinstance(plain, list):
        raise TypeError(f"{plain!r} is no list")
    return plain


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)

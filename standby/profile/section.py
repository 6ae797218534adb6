"""What all mappings of a configuration file have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer
from pydantic_core import PydanticCustomError

_K = TypeVar("_K")
_V = TypeVar("_V")


class Section(BaseModel):
    """A mapping of known keys, never changed once read."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def impossible(wrong: str, allowed: str, *keys: str) -> PydanticCustomError:
    """Make the error of `keys` of one section that exclude each other."""
    return PydanticCustomError(
        "impossible", "{wrong}", {"wrong": wrong, "allowed": allowed, "keys": list(keys)}
    )


class ReadOnly(Mapping[_K, _V]):
    """A mapping that cannot be changed; unlike mappingproxy it can be copied and pickled."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Mapping[_K, _V]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, key: _K) -> _V:
        return self._entries[key]

    def __iter__(self) -> Iterator[_K]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"ReadOnly({self._entries!r})"


def _entries_of(mapping: Mapping[_K, _V]) -> dict[_K, _V]:
    return dict(mapping)


READ_ONLY = (AfterValidator(ReadOnly), PlainSerializer(_entries_of))

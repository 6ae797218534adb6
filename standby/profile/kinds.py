"""The kinds of values that keys take: how each is read, shown and described.

A kind raises one of three errors: `wrong_kind`, when the value is not even text; `not_allowed`,
with what is wrong; `not_worded`, with what would be allowed. Otherwise what is allowed is the
kind's title, which the JSON Schema, the reference and the mistakes share.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from standby.model.names import SAFE_NAME, SAFE_NAME_RULE, is_safe_name
from standby.model.window import DailyWindow
from standby.profile import units

_LONGEST_PATH = 1024  # a quarter of what Linux takes: room for the names below it
_FROM_YAML = (str, int, float, list, dict, type(None))

ALL_NICS = "all"


def _text_of(value: object) -> str:
    return str(value)  # before 2.9, pydantic takes no built-in type for a serializer


AS_TEXT = PlainSerializer(_text_of, return_type=str)


def not_allowed(wrong: str) -> PydanticCustomError:
    """Make the error of a value that a kind does not take; it never repeats a secret."""
    return PydanticCustomError("not_allowed", "{wrong}", {"wrong": wrong})


def parsed(parse: Callable[[str], object]) -> BeforeValidator:
    """Make the annotation of text that `parse` reads; its ValueError says what is wrong."""

    def read(value: object) -> object:
        if not isinstance(value, _FROM_YAML):
            return value  # made by code: it has its type already
        if not isinstance(value, str):
            raise PydanticCustomError("wrong_kind", "wrong kind")
        try:
            return parse(value)
        except ValueError as error:
            raise not_allowed(str(error)) from error

    return BeforeValidator(read)


def worded(
    title: str, pattern: str = "", check: Callable[[str], bool] | None = None
) -> tuple[BeforeValidator, WithJsonSchema]:
    """Make the annotations of text that fits `pattern` and `check`, called `title`."""
    expression = re.compile(pattern)

    def read(value: object) -> str:
        fits = isinstance(value, str) and (not pattern or expression.fullmatch(value))
        if not fits or (check is not None and not check(str(value))):
            raise PydanticCustomError("not_worded", "{allowed}", {"allowed": title})
        return str(value)

    return BeforeValidator(read), described(title, pattern)


def bounded(parse: Callable[[str], timedelta | int], least: str, most: str = "") -> AfterValidator:
    """Make the annotation of quantities from `least` to `most`, both as a file has them."""
    lowest = parse(least)
    highest = parse(most) if most else None
    allowed = f"{least} to {most}" if most else f"{least} or more"

    def within(value: Any) -> Any:  # noqa: ANN401 - what `parse` returns
        if value < lowest or (highest is not None and value > highest):
            raise PydanticCustomError("not_worded", "{allowed}", {"allowed": allowed})
        return value

    return AfterValidator(within)


def described(title: str, pattern: str = "") -> WithJsonSchema:
    """Make the annotation that describes a value as text called `title`."""
    schema: dict[str, Any] = {"type": "string", "title": title}
    if pattern:
        schema["pattern"] = f"^(?:{pattern})$"
    return WithJsonSchema(schema)


def _absolute(text: str) -> PurePosixPath:
    path = PurePosixPath(_printable(text))
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{text!r} is not an absolute path without '..'")
    if path == PurePosixPath("/"):
        raise ValueError("'/' is a whole system, not a place of ours")
    return path


def _local(text: str) -> Path:
    if '"' in text:  # ssh_config has no way to write it
        raise ValueError(f"{text!r} holds a quotation mark")
    path = Path(_printable(text))
    if path.parts[:1] == ("~",):
        return Path.home().joinpath(*path.parts[1:])
    return Path(_absolute(text))


def _printable(text: str) -> str:
    if not text or not text.isprintable() or len(text) > _LONGEST_PATH:
        raise ValueError(f"{text[:_LONGEST_PATH]!r} is not a path")
    return text


Duration = Annotated[
    timedelta,
    parsed(units.parse_duration),
    PlainSerializer(units.format_duration, return_type=str),
    described(f"duration: {units.DURATION_EXAMPLES}", units.DURATION_PATTERN),
]
Size = Annotated[
    int,
    parsed(units.parse_size),
    PlainSerializer(units.format_size, return_type=str),
    described(f"size: {units.SIZE_EXAMPLES}", units.SIZE_PATTERN),
]
Rate = Annotated[
    int,
    parsed(units.parse_rate),
    PlainSerializer(units.format_rate, return_type=str),
    described(f"rate: {units.RATE_EXAMPLES}", units.RATE_PATTERN),
]
Window = Annotated[
    DailyWindow,
    parsed(units.parse_window),
    AS_TEXT,
    described(f"part of the day: {units.WINDOW_EXAMPLES}", units.WINDOW_PATTERN),
]
ReservedSpace = Annotated[
    units.Reserve,
    parsed(units.Reserve.parse),
    AS_TEXT,
    described("size such as 2GiB, or share such as 5%", units.RESERVE_PATTERN),
]
SafeName = Annotated[str, *worded(SAFE_NAME_RULE, SAFE_NAME.pattern, is_safe_name)]
DomainName = Annotated[  # every UUID is a safe name
    str,
    *worded(
        f"UUID of a domain, or its name if that is {SAFE_NAME_RULE}",
        SAFE_NAME.pattern,
        is_safe_name,
    ),
]
BridgeName = Annotated[  # IFNAMSIZ is 16, with its end mark
    str,
    *worded(
        "name of a bridge, up to 15 letters, digits, '_', '.', '-'",
        r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}",
    ),
]
MachineType = Annotated[
    str,
    *worded("machine type of QEMU, such as pc-q35-7.2", r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"),
]
DiskName = Annotated[
    str, *worded("target name of a disk in the domain, such as vda", r"[a-z][a-z0-9]{0,15}")
]
NicKey = Annotated[
    str,
    *worded(
        "all, a NIC's number counted from 0, or its MAC address",
        rf"{ALL_NICS}|0|[1-9][0-9]{{0,2}}|[0-9A-Fa-f]{{2}}(:[0-9A-Fa-f]{{2}}){{5}}",
    ),
]
EnvironmentName = Annotated[
    str, *worded("name of an environment variable", r"[A-Za-z_][A-Za-z0-9_]{0,127}")
]
Title = Annotated[
    str,
    *worded(
        "one line of text, up to 200 characters, without blanks at its ends",
        r"\S|\S[^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,198}\S",
    ),
]
RemotePath = Annotated[
    PurePosixPath,
    parsed(_absolute),
    AS_TEXT,
    described("absolute path", "/.+"),
]
LocalPath = Annotated[
    Path,
    parsed(_local),
    AS_TEXT,
    described("path on the management host, absolute or beginning with ~/", "[/~].+"),
]

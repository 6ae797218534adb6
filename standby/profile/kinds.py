"""The kinds of values that keys take: how each is read, shown and described.

A kind raises one of three errors: `wrong_kind`, when the value is not even text; `not_allowed`,
with what is wrong; `not_worded`, with what would be allowed. Otherwise what is allowed is the
kind's title, which the JSON Schema, the reference and the mistakes share.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, time, timedelta
from pathlib import Path, PurePosixPath
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from standby.model.names import SAFE_NAME, SAFE_NAME_RULE, is_safe_name
from standby.model.schedule import LAST_DATE
from standby.model.window import DailyWindow
from standby.profile import units

_LONGEST_PATH = 1024  # a quarter of what Linux takes: room for the names below it
_FROM_YAML = (str, int, float, list, dict, type(None))

ALL_NICS = "all"
NOW = "now"
LAST = "last"
_LONGEST_MONTH = 31


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


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{text!r} is no time zone that this machine knows") from error


def _date_of_month(value: object) -> int:
    if value in {LAST, LAST_DATE}:
        return LAST_DATE
    if isinstance(value, int) and 1 <= value <= _LONGEST_MONTH:
        return value
    raise PydanticCustomError("wrong_kind", "wrong kind")


def _or_last(date: int) -> int | str:
    return LAST if date == LAST_DATE else date


def _now_or_moment(text: str) -> datetime | None:
    return None if text == NOW else units.parse_moment(text)


def _or_now(moment: datetime | None) -> str:
    return NOW if moment is None else units.format_moment(moment)


def _web_address(text: str) -> bool:
    """Tell whether text is an address of a web server that holds no password."""
    try:
        parts = urlsplit(text)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return known and text.isascii() and text.isprintable() and "@" not in parts.netloc


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
ClockTime = Annotated[
    time,
    parsed(units.parse_clock),
    PlainSerializer(units.format_clock, return_type=str),
    described(f"time of the day: {units.CLOCK_EXAMPLES}", units.CLOCK_PATTERN),
]
_A_MOMENT = described(f"time: {units.MOMENT_EXAMPLES}", units.MOMENT_PATTERN)
Moment = Annotated[
    datetime,
    parsed(units.parse_moment),
    PlainSerializer(units.format_moment, return_type=str),
    _A_MOMENT,
]
LastMoment = Annotated[
    datetime,
    parsed(units.parse_last_moment),
    PlainSerializer(units.format_moment, return_type=str),
    _A_MOMENT,
]
DateOfMonth = Annotated[
    int,
    BeforeValidator(_date_of_month),
    PlainSerializer(_or_last),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1, "maximum": _LONGEST_MONTH}, {"const": LAST}]}
    ),
]
NowOrMoment = Annotated[
    datetime | None,
    parsed(_now_or_moment),
    PlainSerializer(_or_now, return_type=str),
    described(f"{NOW}, or a time: {units.MOMENT_EXAMPLES}", f"{NOW}|{units.MOMENT_PATTERN}"),
]
Zone = Annotated[
    ZoneInfo,
    parsed(_zone),
    AS_TEXT,
    described(
        "time zone such as Europe/Berlin or UTC", r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*"
    ),
]
Word = Annotated[str, *worded("word of a command, without null bytes", r"[^\x00]+")]
MailAddress = Annotated[
    str,
    *worded(
        "address of e-mail, such as ops@example.org",
        r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?",
    ),
]
WebAddress = Annotated[
    str, *worded("http:// or https:// address without a password", "https?://.+", _web_address)
]
GroupName = Annotated[str, *worded("name of a group of users", r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")]
UserName = Annotated[
    str, *worded("name that a server knows a user by, without blanks", r"[!-~]{1,255}")
]
ServerName = Annotated[
    str, *worded("name or address of a server", r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?")
]
ListenAddress = Annotated[
    tuple[str, int],
    parsed(units.parse_listen),
    PlainSerializer(units.format_listen, return_type=str),
    described(f"address and port: {units.LISTEN_EXAMPLES}", units.LISTEN_PATTERN),
]

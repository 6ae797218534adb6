"""Durations, sizes and rates as people write them, and back.

Numbers are whole and units are always written, so that nothing is guessed: 90s, 1h30m, 64MiB,
50MiB/s. Every parser raises ValueError with a sentence that says what is wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from ipaddress import ip_address

from standby.model.window import DailyWindow

_SECONDS = {"w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile("".join(f"(?:([0-9]{{1,9}}){unit})?" for unit in _SECONDS))
_BYTES = {
    "B": 1,
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGTP", 1)},
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("kMGTP", 1)},
}
_BITS = {"bit": 1, "kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9}
_QUANTITY = re.compile(r"([0-9]{1,19}) ?([A-Za-z]+)")
_PERCENT = re.compile(r"([0-9]{1,3}) ?%")
_ROUND_UNITS = ("PiB", "TiB", "GiB", "MiB", "KiB", "PB", "TB", "GB", "MB", "kB")
_LARGEST_DURATION = timedelta(days=36525)  # a hundred years, far inside timedelta's range
_LARGEST_SIZE = 2**63 - 1  # what a file offset holds
_HUNDRED_PERCENT = 100

_WINDOW = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")

_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_MOMENT = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?: {_CLOCK.pattern})?")
_LISTEN = re.compile(r"(?:([0-9.]+)|\[([0-9A-Fa-f:.]+)\]):([0-9]{1,5})")
_HIGHEST_PORT = 65535
_YEARS = range(1970, 9000)  # far inside of what a datetime holds, in any zone

DURATION_PATTERN = f"(?=.){_DURATION.pattern}"
SIZE_PATTERN = f"[0-9]{{1,19}} ?({'|'.join(_BYTES)})"
RATE_PATTERN = f"[0-9]{{1,19}} ?({'|'.join((*_BYTES, *_BITS))})/s"
RESERVE_PATTERN = f"{SIZE_PATTERN}|[0-9]{{1,2}} ?%"
DURATION_EXAMPLES = "30s, 5m, 1h, 7d, 4w or 1h30m"
SIZE_EXAMPLES = "512MiB, 20GiB or 20GB"
WINDOW_PATTERN = _WINDOW.pattern
WINDOW_EXAMPLES = "19:00-06:00 or 12:00-13:30"
RATE_EXAMPLES = "50MiB/s or 400Mbit/s"
LISTEN_PATTERN = _LISTEN.pattern
LISTEN_EXAMPLES = "127.0.0.1:9750 or [::1]:9750"
CLOCK_PATTERN = _CLOCK.pattern
CLOCK_EXAMPLES = "03:00 or 22:30"
MOMENT_PATTERN = _MOMENT.pattern
MOMENT_EXAMPLES = "2026-12-24 22:00 or 2026-12-24"


def parse_window(text: str) -> DailyWindow:
    """Read a part of the day such as 19:00-06:00."""
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise ValueError(_unreadable(text, "part of the day", WINDOW_EXAMPLES))
    hour, minute, last_hour, last_minute = (int(number) for number in match.groups())
    return DailyWindow(time(hour, minute), time(last_hour, last_minute))


def parse_clock(text: str) -> time:
    """Read a time of the day such as 22:30."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise ValueError(_unreadable(text, "time of the day", CLOCK_EXAMPLES))
    return time(int(match[1]), int(match[2]))


def format_clock(clock: time) -> str:
    """Write a time of the day so that parse_clock reads the same."""
    return f"{clock:%H:%M}"


def parse_moment(text: str) -> datetime:
    """Read a time that some zone's clocks show, such as 2026-12-24 22:00; a date: its beginning."""
    if _MOMENT.fullmatch(text) is None:
        raise ValueError(_unreadable(text, "time", MOMENT_EXAMPLES))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no date of the calendar") from error
    if moment.year not in _YEARS:
        raise ValueError(f"{text!r} is too far away")
    return moment


def parse_last_moment(text: str) -> datetime:
    """Read the same; a date alone: its end."""
    moment = parse_moment(text)
    return moment if ":" in text else moment + timedelta(days=1)


def format_moment(moment: datetime) -> str:
    """Write a time so that parse_moment and parse_last_moment read the same."""
    return f"{moment:%Y-%m-%d %H:%M}"


def parse_listen(text: str) -> tuple[str, int]:
    """Read an IP address of this machine and a port, such as 127.0.0.1:9750."""
    match = _LISTEN.fullmatch(text)
    if match is None:
        raise ValueError(_unreadable(text, "address and port", LISTEN_EXAMPLES))
    address, port = ip_address(match[1] or match[2]), int(match[3])
    if not 0 < port <= _HIGHEST_PORT:
        raise ValueError(f"port {port} does not exist")
    return str(address), port


def format_listen(address: tuple[str, int]) -> str:
    """Write an address and a port so that parse_listen reads the same."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_duration(text: str) -> timedelta:
    """Read a duration such as 30s, 5m, 1h30m, 4w."""
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(_unreadable(text, "duration", DURATION_EXAMPLES))
    seconds = sum(
        int(count) * unit
        for count, unit in zip(match.groups(), _SECONDS.values(), strict=True)
        if count is not None
    )
    duration = timedelta(seconds=min(seconds, 10**12))
    if duration > _LARGEST_DURATION:
        raise ValueError(f"{text!r} is longer than a hundred years")
    return duration


def format_duration(duration: timedelta) -> str:
    """Write a duration of whole seconds so that parse_duration reads the same."""
    rest = int(duration.total_seconds())
    words = []
    for unit, seconds in _SECONDS.items():
        count, rest = divmod(rest, seconds)
        if count:
            words.append(f"{count}{unit}")
    return "".join(words) or "0s"


def parse_size(text: str) -> int:
    """Read a size such as 64MiB (1024s) or 64MB (1000s); return bytes."""
    return _quantity(text, _BYTES, "size", SIZE_EXAMPLES)


def format_size(size: int) -> str:
    """Write a size in bytes so that parse_size reads the same."""
    for unit in _ROUND_UNITS:
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"


def parse_rate(text: str) -> int:
    """Read a rate such as 50MiB/s or 400Mbit/s; return bytes in a second."""
    quantity, slash, second = text.partition("/")
    if not slash or second != "s":
        raise ValueError(_unreadable(text, "rate", RATE_EXAMPLES))
    unit = quantity.lstrip("0123456789 ")
    if unit in _BITS:
        return _quantity(quantity, _BITS, "rate", RATE_EXAMPLES) // 8
    return _quantity(quantity, _BYTES, "rate", RATE_EXAMPLES)


def format_rate(rate: int) -> str:
    """Write bytes in a second so that parse_rate reads the same."""
    return format_size(rate) + "/s"


@dataclass(frozen=True, slots=True)
class Reserve:
    """Space that stays free: a number of bytes, or a share of the file system."""

    size: int = 0  # bytes
    percent: int = 0

    @classmethod
    def parse(cls, text: str) -> Reserve:
        """Read a size, or a percentage such as 10%."""
        match = _PERCENT.fullmatch(text)
        if match is None:
            return cls(size=parse_size(text))
        percent = int(match[1])
        if percent >= _HUNDRED_PERCENT:
            raise ValueError(f"{text!r} leaves no room to use")
        return cls(percent=percent)

    def bytes_of(self, capacity: int) -> int:
        """Return what must stay free, in bytes, of a file system of `capacity` bytes."""
        return self.size + capacity * self.percent // _HUNDRED_PERCENT

    def __str__(self) -> str:
        return f"{self.percent}%" if self.percent else format_size(self.size)


def _quantity(text: str, units: dict[str, int], what: str, examples: str) -> int:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in units:
        raise ValueError(_unreadable(text, what, examples))
    quantity = int(match[1]) * units[match[2]]
    if quantity > _LARGEST_SIZE:
        raise ValueError(f"{text!r} is larger than any disk can be")
    return quantity


def _unreadable(text: str, what: str, examples: str) -> str:
    if text.isdigit():
        return f"{text!r} has no unit ({examples})"
    return f"{text!r} is not a {what} ({examples})"

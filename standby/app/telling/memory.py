"""What was told, kept in a file so that a manager that begins anew tells nothing twice.

The file is a cache: without it, or when it cannot be read, what is wrong is told once more.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from standby.model.notice import News
from standby.planning.news import Told, Voice

log = logging.getLogger("standby.news")

VERSION: Final = 1
_PAUSE_S: Final = 1.0  # between two writes
_WRITE_S: Final = 5.0  # that the last one may take


@dataclass
class Memory:
    """What was told of each machine, and when digests were sent. May be shared by threads."""

    file: Path
    _told: dict[str, Told] = field(default_factory=dict)
    _digests: dict[News, datetime] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _dirty: bool = False
    _closed: bool = False
    _thread: threading.Thread | None = None

    @classmethod
    def load(cls, file: Path) -> Memory:
        """Read what was told; what cannot be read is begun anew."""
        memory = cls(file)
        try:
            memory._read(json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            log.warning("%s: begun anew, what was told may be told again: %s", file, error)
            memory._told, memory._digests = {}, {}
        return memory

    def told(self, profile: str) -> Told:
        """Return what was told of a machine."""
        with self._changed:
            return self._told.get(profile, Told())

    def remember(self, profile: str, told: Told) -> None:
        """Note what was told of a machine; a thread writes it soon."""
        with self._changed:
            if self._told.get(profile) != told:
                self._told[profile] = told
                self._write_soon()

    def digest_sent(self, news: News) -> datetime | None:
        """Return when the last digest of its kind was sent, UTC."""
        with self._changed:
            return self._digests.get(news)

    def remember_digest(self, news: News, at: datetime) -> None:
        """Note when a digest was sent; a thread writes it soon."""
        with self._changed:
            self._digests[news] = at
            self._write_soon()

    def close(self) -> None:
        """Write what is not written yet."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_WRITE_S)

    def _write_soon(self) -> None:
        self._dirty = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, daemon=True, name="news memory")
            self._thread.start()
        self._changed.notify()

    def _write(self) -> None:
        """Write what changes, several changes at once: a storage that hangs delays nobody else."""
        while True:
            with self._changed:
                while not self._dirty:
                    if self._closed:
                        return
                    self._changed.wait()
                text = json.dumps(self._as_json(), indent=1)
                self._dirty = False
            self._write_file(text)
            with self._changed:
                if not self._closed:
                    self._changed.wait(_PAUSE_S)

    def _write_file(self, text: str) -> None:
        new = self.file.with_name(f"{self.file.name}.new")
        try:
            new.write_text(text, encoding="utf-8")
            os.replace(new, self.file)  # noqa: PTH105 - the rename is the point
        except OSError as error:
            log.warning("%s: not written, what was told may be told again: %s", self.file, error)

    def _as_json(self) -> dict[str, object]:
        return {
            "version": VERSION,
            "digests": {news.value: at.isoformat() for news, at in self._digests.items()},
            "machines": {
                profile: {topic: _voice_as_json(voice) for topic, voice in told.voices.items()}
                for profile, told in self._told.items()
            },
        }

    def _read(self, data: Mapping[str, Any]) -> None:
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']}")
        self._digests = {News(n): _moment(at) for n, at in data["digests"].items()}
        self._told = {
            profile: Told({topic: _voice(voice) for topic, voice in voices.items()})
            for profile, voices in data["machines"].items()
        }


def _voice_as_json(voice: Voice) -> dict[str, object]:
    return {
        "open": voice.is_open,
        "since": _text(voice.since),
        "count": voice.count,
        "last_bad": _text(voice.last_bad),
        "spoken": _text(voice.spoken),
        "gap": voice.gap.total_seconds(),
        "kinds": {kind: _text(at) for kind, at in voice.kinds},
    }


def _voice(data: Mapping[str, Any]) -> Voice:
    return Voice(
        bool(data["open"]),
        _maybe(data["since"]),
        int(data["count"]),
        _maybe(data["last_bad"]),
        _maybe(data["spoken"]),
        timedelta(seconds=data["gap"]),
        tuple((kind, _moment(at)) for kind, at in data["kinds"].items()),
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _maybe(text: str | None) -> datetime | None:
    return None if text is None else _moment(text)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)

"""The manifest as text, and back.

One JSON document with a fixed key order, one point to a line, so that a POSIX shell with sed
can read it on the day the manager is dead. Moments are UTC, ISO 8601 with a trailing Z. The last
entry is the SHA-256 of all lines above it, so that no damage passes for a fact; who has to edit
the file by hand leaves it out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from standby.errors import FixRequest, RepairStore, UseOtherVersion
from standby.model.digest import DigestAlgorithm
from standby.model.machine import MachineIdentity
from standby.model.manifest import (
    FAILOVERS,
    MANIFEST_VERSION,
    AwaitedSeed,
    DefinedDomain,
    Manifest,
)
from standby.model.names import PointName
from standby.model.pause import Pause
from standby.model.point import (
    SPOILT,
    Base,
    BlankDisk,
    BootPoint,
    Consistency,
    Delta,
    Standing,
    Way,
)
from standby.model.spoilt import SpoiltDisk
from standby.model.state import State

_CHECKSUM: Final = '  "checksum": '
_KEYS: Final = frozenset(
    {
        *("version", "generation", "standby", "role", "machine", "token", "domain", "digests"),
        *("next_delta", "reverted_to", "awaits", "paused", "failover"),
        *("profile", "points", "checksum"),
    }
)


_UNREADABLE: Final = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
    FixRequest,
)


def write_manifest(manifest: Manifest) -> str:
    """Return the manifest as text; `read_manifest` gives back an equal one."""
    head: list[tuple[str, object]] = [
        ("version", MANIFEST_VERSION),
        ("generation", manifest.generation),
        ("standby", manifest.standby),
        ("role", manifest.role.value),  # for people and shells; derived, never read back
        ("machine", {"name": manifest.machine.name, "uuid": manifest.machine.uuid}),
        ("token", manifest.token),
        ("domain", _domain_record(manifest.domain)),
        ("digests", manifest.digests.value),
        ("next_delta", manifest.next_delta),
        ("reverted_to", str(manifest.reverted_to) if manifest.reverted_to else None),
        ("awaits", _awaited_record(manifest.awaits)),
        ("paused", _pause_record(manifest.paused)),
        ("failover", manifest.failover.value if manifest.failover else None),
        ("profile", dict(manifest.profile)),
    ]
    lines = [f'  "{key}": {_compact(value)},' for key, value in head]
    points = [f"    {_compact(_point_record(point))}" for point in manifest.points]
    body = ",\n".join(points)
    text = "\n".join(["{", *lines, '  "points": [', *([body] if body else []), "  ],", ""])
    return f'{text}{_CHECKSUM}"{_checksum(text)}"\n}}\n'


def read_manifest(text: str, where: str) -> Manifest:
    """Read a manifest; `where` names it in errors.

    Raises RepairStore when the text is damaged, UseOtherVersion when another version wrote it:
    what is as it was written, and not to be understood, is not damage and must not be healed.
    """
    try:
        document = json.loads(text)
        _require_unchanged(text, document)
    except _UNREADABLE as error:
        raise _damaged(where, error) from error
    try:
        _require_known(document)
        return _manifest(document)
    except _UNREADABLE as error:
        ours = document.get("version") == MANIFEST_VERSION
        if ours and "checksum" not in document:  # edited by hand, or damaged just there
            raise _damaged(where, error) from error
        raise UseOtherVersion(
            where,
            f"manifest of another version ({error})",
            f"version {MANIFEST_VERSION}, as this program writes it",
            "use the version of standby that wrote it; nothing was changed",
        ) from error


def _damaged(where: str, error: Exception) -> RepairStore:
    return RepairStore(
        where,
        f"damaged manifest ({error!r})",
        "a whole JSON document",
        "the next cycle keeps it aside and goes on by its copy: standby run PROFILE",
    )


def _require_unchanged(text: str, document: Mapping[str, object]) -> None:
    if not isinstance(document, dict):
        raise TypeError("no object")
    above, _, _ = text.partition(_CHECKSUM)
    if "checksum" in document and document["checksum"] != _checksum(above):
        raise ValueError("its checksum is that of another text")


def _require_known(document: Mapping[str, object]) -> None:
    if document["version"] != MANIFEST_VERSION:
        raise ValueError(f"version {document['version']}")
    if unknown := set(document) - _KEYS:
        raise ValueError(f"unknown entries {sorted(unknown)}")


def _checksum(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=True)


def _domain_record(domain: DefinedDomain | None) -> Mapping[str, object] | None:
    if domain is None:
        return None
    record = {"uuid": domain.uuid, "digest": domain.digest, "became": domain.became}
    owed: dict[str, object] = {"due": True} if domain.due else {}
    if domain.lacks_tpm:
        owed["lacks_tpm"] = domain.lacks_tpm
    return {**record, **owed}


def _awaited_record(awaited: AwaitedSeed | None) -> Mapping[str, str | None] | None:
    if awaited is None:
        return None
    return {
        "medium": awaited.medium,
        "since": _moment_text(awaited.since),
        "checkpoint": awaited.checkpoint,
    }


def _awaited(record: Mapping[str, Any] | None) -> AwaitedSeed | None:
    if record is None:
        return None
    return AwaitedSeed(record["medium"], _moment(record["since"]), record["checkpoint"])


def _pause_record(pause: Pause | None) -> Mapping[str, str | None] | None:
    if pause is None:
        return None
    return {
        "since": _moment_text(pause.since),
        "until": _moment_text(pause.until) if pause.until else None,
        "reason": pause.reason,
        "by": pause.by,
    }


def pause_told(text: str) -> tuple[Pause | None, ...]:
    """Return what a text that is damaged elsewhere says of a pause; nothing when it does not."""
    line = re.search(r'^  "paused": (null|\{.*\}),$', text, re.MULTILINE)
    try:
        return () if line is None else (_pause(json.loads(line[1])),)
    except _UNREADABLE:
        return ()


def _pause(record: Mapping[str, Any] | None) -> Pause | None:
    if record is None:
        return None
    until = record["until"]
    return Pause(
        since=_moment(record["since"]),
        until=None if until is None else _moment(until),
        reason=record["reason"],
        by=record["by"],
    )


def _failover(word: str | None) -> State | None:
    state = None if word is None else State(word)
    if state not in {None, *FAILOVERS}:
        raise ValueError(f"{word!r} is no state of a failover")
    return state


def _point_record(point: BootPoint) -> Mapping[str, object]:
    return {
        "name": str(point.name),
        "standing": point.standing_word,
        "pinned": point.pinned,
        "made": point.made.value,
        "reason": point.reason,
        "consistency": point.consistency.value,
        "true_at": _moment_text(point.true_at),
        "checkpoint": point.checkpoint,
        "definition": point.definition,
        "blanks": [{"disk": blank.disk, "size": blank.size} for blank in point.blanks],
        "spoilt": [
            {"disk": it.disk, "ranges": [list(block) for block in it.ranges]} for it in point.spoilt
        ],
        "sent": point.sent,
        "deltas": [
            {
                "disk": d.disk,
                "file": d.file,
                "size": d.size,
                "stored": d.stored,
                "base": d.base.value,
                "image": d.image,
            }
            for d in point.deltas
        ],
    }


def _manifest(document: Mapping[str, Any]) -> Manifest:
    reverted_to = document["reverted_to"]
    return Manifest(
        standby=document["standby"],
        machine=MachineIdentity(document["machine"]["name"], document["machine"]["uuid"]),
        token=document["token"],
        generation=int(document["generation"]),
        domain=DefinedDomain(**document["domain"]) if document["domain"] else None,
        digests=DigestAlgorithm(document["digests"]),
        next_delta=int(document["next_delta"]),
        reverted_to=PointName.parse(reverted_to) if reverted_to else None,
        profile=document["profile"],
        awaits=_awaited(document.get("awaits")),
        paused=_pause(document.get("paused")),
        failover=_failover(document.get("failover")),
        points=tuple(_point(record) for record in _list(document["points"])),
    )


def _point(record: Mapping[str, Any]) -> BootPoint:
    return BootPoint(
        name=PointName.parse(record["name"]),
        standing=_standing(record["standing"]),
        spoilt=tuple(_spoilt(it) for it in _list(record.get("spoilt", []))),
        pinned=bool(record["pinned"]),
        made=Way(record["made"]),
        reason=record["reason"],
        consistency=Consistency(record["consistency"]),
        true_at=_moment(record["true_at"]),
        checkpoint=record["checkpoint"],
        definition=record["definition"],
        blanks=tuple(BlankDisk(b["disk"], int(b["size"])) for b in _list(record["blanks"])),
        sent=int(record["sent"]),
        deltas=tuple(_delta(delta) for delta in _list(record["deltas"])),
    )


def _delta(record: Mapping[str, Any]) -> Delta:
    return Delta(
        disk=record["disk"],
        file=record["file"],
        size=int(record["size"]),
        stored=int(record["stored"]),
        base=Base(record["base"]),
        image=record.get("image", ""),
    )


def _standing(word: str) -> Standing:
    return Standing.WHOLE if word == SPOILT else Standing(word)


def _spoilt(record: Mapping[str, Any]) -> SpoiltDisk:
    ranges = tuple((int(start), int(end)) for start, end in _list(record["ranges"]))
    return SpoiltDisk(record["disk"], ranges)


def _list(value: object) -> list[Any]:
    """Refuse what would pass for an empty list: files that no point names are removed."""
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    return value


def _moment_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)

"""Messages as JSON for webhooks. What stands here is a format that others read: only add to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final

from standby.model.health import Condition
from standby.model.run import Failure, Run
from standby.planning.digests import Digest, MachineDigest
from standby.planning.news import Message
from standby.profile.mistakes import Plain

VERSION: Final = 1


def message_json(message: Message) -> bytes:
    """Write a message about one machine."""
    return _document(
        {
            "version": VERSION,
            "news": message.news.value if message.news else "test",
            "text": message.subject,
            "profile": message.profile,
            "at": _time(message.at),
            "since": _time(message.since),
            "failures": message.failures,
            "run": _run(message.run) if message.run else None,
            "health": _health(message.condition),
        }
    )


def digest_json(digest: Digest) -> bytes:
    """Write a digest."""
    return _document(
        {
            "version": VERSION,
            "news": digest.news.value,
            "text": digest.subject,
            "since": _time(digest.since),
            "at": _time(digest.until),
            "machines": [_machine(machine) for machine in digest.machines],
        }
    )


def _run(run: Run) -> Plain:
    return {
        "id": run.id,
        "kind": run.kind.value,
        "cause": run.cause.value,
        "result": run.result.value,
        "begun": _time(run.begun),
        "ended": _time(run.ended),
        "way": run.way.value if run.way else None,
        "reason": run.reason,
        "point": str(run.point) if run.point else None,
        "sent_bytes": run.amounts.sent,
        "error": _error(run.failure) if run.failure else None,
    }


def _error(failure: Failure) -> Plain:
    return {
        "type": failure.kind,
        "subject": failure.subject,
        "found": failure.found,
        "expected": failure.expected,
        "remedy": failure.remedy,
    }


def _health(condition: Condition | None) -> Plain:
    if condition is None:
        return None
    return {
        "health": condition.health.value,
        "reasons": [
            {
                "concern": it.concern.value,
                "severity": it.severity.value,
                "text": it.text,
                "remedy": it.remedy,
            }
            for it in condition.reasons
        ],
    }


def _machine(machine: MachineDigest) -> Plain:
    return {
        "profile": machine.profile,
        "health": _health(machine.condition),
        "good_cycles": machine.good,
        "failed_cycles": machine.failed,
        "sent_bytes": machine.sent,
        "newest": _time(machine.newest),
        "last_failure": machine.failure,
    }


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _document(value: Plain) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")

"""Messages as mail: what is said, in words; the templates say how it looks."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Final

from standby.host.rendering import render
from standby.model.amount import readable
from standby.model.health import Condition, Health
from standby.model.notice import News
from standby.model.run import Run
from standby.planning.digests import Digest, MachineDigest
from standby.planning.durations import readable_duration
from standby.planning.news import Message

_LONGEST_SUBJECT: Final = 150  # characters; the message says all of it
_UNKNOWN_COLOUR: Final = "#888888"
_COLOURS: Final = {
    Health.NORMAL: "#2e7d32",
    Health.WARNING: "#ef8e00",
    Health.CRITICAL: "#c62828",
    Health.UNKNOWN: _UNKNOWN_COLOUR,
}
_NEWS_COLOURS: Final = {
    News.FAILURE: _COLOURS[Health.CRITICAL],
    News.WARNING: _COLOURS[Health.WARNING],
    News.RECOVERY: _COLOURS[Health.NORMAL],
    News.SUCCESS: _COLOURS[Health.NORMAL],
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known, with its name."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that speaks against a machine's health."""

    severity: str
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as its template takes it."""

    headline: str
    colour: str
    facts: tuple[Fact, ...]
    reasons: tuple[Reason, ...]
    ending: str


@dataclass(frozen=True, slots=True)
class DigestRow:
    """One machine as the digest's template takes it."""

    profile: str
    health: str
    colour: str
    cycles: str
    sent: str
    newest: str
    failure: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class DigestLetter:
    """A digest as its template takes it."""

    headline: str
    period: str
    machines: tuple[DigestRow, ...]


@dataclass(frozen=True, slots=True)
class Envelope:
    """From whom to whom, and when (UTC)."""

    sender: str
    receiver: str
    at: datetime


def message_mail(message: Message, envelope: Envelope, zone: tzinfo) -> EmailMessage:
    """Write a message about one machine; times are shown in `zone`."""
    letter = Letter(
        headline=_clean(message.subject),
        colour=_NEWS_COLOURS[message.news] if message.news else _UNKNOWN_COLOUR,
        facts=tuple(_facts(message, zone)),
        reasons=_reasons(message.condition),
        ending=_ending(message),
    )
    return _mail("message", letter, letter.headline, envelope)


def digest_mail(digest: Digest, envelope: Envelope, zone: tzinfo) -> EmailMessage:
    """Write a digest; times are shown in `zone`."""
    letter = DigestLetter(
        headline=_clean(digest.subject),
        period=f"{_time(digest.since, zone)} to {_time(digest.until, zone)}",
        machines=tuple(_row(machine, zone) for machine in digest.machines),
    )
    return _mail("digest", letter, letter.headline, envelope)


def _mail(
    template: str, letter: Letter | DigestLetter, subject: str, envelope: Envelope
) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = f"[standby] {_shortened(' '.join(subject.split()))}"
    mail["From"] = envelope.sender
    mail["To"] = envelope.receiver
    mail["Date"] = format_datetime(envelope.at)
    mail["Message-ID"] = make_msgid(domain=platform.node() or "localhost")
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answering machine answers
    mail.set_content(render(f"mail/{template}.txt.j2", {"letter": letter}))
    html = render(f"mail/{template}.html.j2", {"letter": letter})
    mail.add_alternative(html, subtype="html")
    return mail


def _facts(message: Message, zone: tzinfo) -> Iterator[Fact]:
    yield Fact("machine", message.profile)
    if message.run is not None:
        yield from _facts_of_run(message.run, zone)
    if message.since is not None:
        lasted = readable_duration(message.at - message.since)
        yield Fact("since", f"{_time(message.since, zone)} ({lasted})")
    if message.failures > 1:
        yield Fact("failures", f"{message.failures} in a row")
    if message.condition is not None:
        yield Fact("health", message.condition.health.value)
    yield Fact("manager", platform.node())


def _facts_of_run(run: Run, zone: tzinfo) -> Iterator[Fact]:
    yield Fact("run", f"{run.id}: {run.kind.value}, {run.result.value}, begun by {run.cause.value}")
    yield Fact("begun", _time(run.begun, zone))
    if run.duration is not None:
        yield Fact("took", readable_duration(run.duration))
    if run.point is not None:
        yield Fact("point", str(run.point))
    if run.amounts.sent:
        yield Fact("sent", readable(run.amounts.sent))
    if run.failure is not None:
        yield Fact(
            "error", _clean(f"{run.failure.kind}: {run.failure.subject}: {run.failure.found}")
        )
        if run.failure.expected:
            yield Fact("expected", _clean(run.failure.expected))
        if run.failure.remedy:
            yield Fact("next step", _clean(run.failure.remedy))


def _ending(message: Message) -> str:
    if message.run is None:
        return ""
    return f"The run's whole log: standby log {message.run.id}"


def _row(machine: MachineDigest, zone: tzinfo) -> DigestRow:
    cycles = machine.good + machine.failed
    return DigestRow(
        profile=machine.profile,
        health=machine.health.value,
        colour=_COLOURS[machine.health],
        cycles=f"{machine.good} of {cycles} cycles good" if cycles else "no cycles",
        sent=readable(machine.sent),
        newest=_time(machine.newest, zone) if machine.newest else "none in this time",
        failure=_clean(machine.failure),
        reasons=_reasons(machine.condition),
    )


def _reasons(condition: Condition | None) -> tuple[Reason, ...]:
    if condition is None:
        return ()
    return tuple(
        Reason(it.severity.value, _clean(it.text), _clean(it.remedy)) for it in condition.reasons
    )


def _time(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S %z}"


def _clean(text: str) -> str:
    """Leave out what is no text: error messages quote bytes that came from anywhere."""
    return "".join(c if c.isprintable() else " " for c in text)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_SUBJECT else f"{text[: _LONGEST_SUBJECT - 1]}…"

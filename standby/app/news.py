"""The newsroom: hears of runs and of health, decides what is told, and has it sent.

Nobody waits for it: what it hears is put where threads take it from, and nothing is raised. What
could not be sent is said in our log and in that of the run which it was about.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final

from standby.app.session import Session
from standby.app.telling.memory import Memory
from standby.app.telling.outbox import Delivery
from standby.app.telling.post import Postman, PostOffice
from standby.errors import StandbyError
from standby.model.health import Condition
from standby.model.notice import News, Receivers, Webhook
from standby.model.run import Run
from standby.planning.digests import (
    Digest,
    DigestTimes,
    MachineDigest,
    digest_of,
    is_due,
    worst_first,
)
from standby.planning.news import Message, Told, news_of_health, news_of_run
from standby.profile import Profile
from standby.profile.manager import ManagerSettings
from standby.profile.zone import local_zone

log = logging.getLogger("standby.news")

MEMORY_FILE: Final = "news.json"

RunsSince = Callable[[str, datetime], Iterable[Run]]
"""Yields the runs of a profile that began since a moment, UTC. May raise StandbyError."""
Decide = Callable[[Told, datetime], tuple[tuple[Message, ...], Told]]


def no_runs(_profile: str, _since: datetime) -> Iterable[Run]:
    """Know of no runs."""
    return ()


class Newsroom:
    """Tells people. May be used by several threads; `close` it at the end."""

    def __init__(
        self,
        session: Session,
        state_directory: Path,
        settings: ManagerSettings,
        runs_since: RunsSince = no_runs,
        zone: tzinfo | None = None,
    ) -> None:
        self._session = session
        self._state = state_directory
        self._times = DigestTimes(settings.digest_at, settings.digest_weekday)
        self._runs_since = runs_since
        self._zone = zone or local_zone()
        self._memory = Memory.load(state_directory / MEMORY_FILE)
        self._postman = Postman(settings.mail, self._zone)
        self._office = PostOffice(self._lost)
        self._lock = threading.Lock()
        self._conditions: dict[str, Condition] = {}
        self._receivers: dict[str, Receivers] = {}

    @property
    def waiting(self) -> int:
        """How many messages have not been sent yet."""
        return self._office.waiting

    def use(self, settings: ManagerSettings) -> None:
        """Go by other settings from now on."""
        self._times = DigestTimes(settings.digest_at, settings.digest_weekday)
        self._postman = replace(self._postman, server=settings.mail)

    def tell(
        self, run: Run, condition: Condition | None = None, receivers: Receivers | None = None
    ) -> None:
        """Hear of a run that has ended, with its machine's health as it is then.

        Without `receivers` the profile is asked; if it is broken, what it said before holds.
        """

        def decide(told: Told, now: datetime) -> tuple[tuple[Message, ...], Told]:
            return news_of_run(run, condition, told, now)

        self._hear(run.profile, condition, receivers, decide)

    def notice(
        self, profile: str, condition: Condition, receivers: Receivers | None = None
    ) -> None:
        """Hear of a machine's health though no run has just ended."""

        def decide(told: Told, now: datetime) -> tuple[tuple[Message, ...], Told]:
            return news_of_health(profile, condition, told, now)

        self._hear(profile, condition, receivers, decide)

    def digest(self, now: datetime, receivers: Mapping[str, Receivers] | None = None) -> None:
        """Send the digests that are due; ask as often as you like. `now` is UTC.

        `receivers` by profile; without them the profiles are read. Writing digests takes a while,
        and has a thread of its own.
        """
        for news in (News.DAILY, News.WEEKLY):
            last = self._memory.digest_sent(news)
            if last is None:  # what was before we began is not ours to tell
                self._memory.remember_digest(news, now)
            elif is_due(news, last, now.astimezone(self._zone), self._times):
                self._memory.remember_digest(news, now)
                threading.Thread(
                    target=self._send_digests,
                    args=(news, last, now, receivers),
                    daemon=True,
                    name=f"{news.value} digests",
                ).start()

    def close(self, limit: timedelta) -> None:
        """Send what can be sent within a time; what cannot is said to be lost."""
        self._office.close(limit)
        self._memory.close()

    def _hear(
        self,
        profile: str,
        condition: Condition | None,
        receivers: Receivers | None,
        decide: Decide,
    ) -> None:
        with self._lock:
            if condition is not None:
                self._conditions[profile] = condition
            messages, told = decide(self._memory.told(profile), self._session.clock.now())
            self._memory.remember(profile, told)
        if not messages:
            return
        for delivery in self._postman.of_messages(messages, self._known(profile, receivers)):
            self._office.put(delivery)

    def _known(self, profile: str, receivers: Receivers | None) -> Receivers:
        if receivers is None:
            try:
                receivers = self._session.profile(profile).notify.receivers
            except StandbyError as error:
                log.warning("profile=%s: told to whom it named before: %s", profile, error)
                return self._receivers.get(profile, Receivers())
        self._receivers[profile] = receivers
        return receivers

    def _send_digests(
        self,
        news: News,
        since: datetime,
        until: datetime,
        receivers: Mapping[str, Receivers] | None,
    ) -> None:
        known = receivers if receivers is not None else self._all_receivers()
        machines: dict[str, MachineDigest] = {}

        def digest(profiles: Sequence[str]) -> Digest:
            for profile in profiles:
                if profile not in machines:
                    machines[profile] = self._machine(profile, since)
            return Digest(news, since, until, worst_first(machines[it] for it in profiles))

        for address, profiles in _by_address(known, news).items():
            self._office.put(self._postman.digest_by_mail(digest(profiles), address))
        for webhook, profiles in _by_webhook(known, news).items():
            self._office.put(self._postman.digest_by_webhook(digest(profiles), webhook))

    def _machine(self, profile: str, since: datetime) -> MachineDigest:
        condition = self._conditions.get(profile)
        try:
            return digest_of(profile, self._runs_since(profile, since), condition)
        except StandbyError as error:
            log.warning("profile=%s: the digest knows of no runs: %s", profile, error)
            return digest_of(profile, (), condition)

    def _all_receivers(self) -> Mapping[str, Receivers]:
        try:
            names = self._session.configuration.profile_names()
        except StandbyError as error:
            log.warning("digests go to whom profiles named before: %s", error)
            return dict(self._receivers)
        return {name: self._known(name, None) for name in names}

    def _lost(self, delivery: Delivery, why: str) -> None:
        log.error("not sent: %s: %s", delivery.about, why)
        if delivery.run_id:
            _note(self._state / "logs", delivery.run_id, f"not sent: {delivery.about}: {why}")


@dataclass(frozen=True, slots=True)
class Trial:
    """How a trial message went: `error` is None when it was taken."""

    receiver: str
    error: StandbyError | None


def send_trials(session: Session, profile: Profile, settings: ManagerSettings) -> Iterator[Trial]:
    """Send a trial message to each receiver of a profile, one after another."""
    message = Message(None, profile.name, session.clock.now())
    postman = Postman(settings.mail, local_zone())
    receivers = profile.notify.receivers
    for mail in receivers.mail:
        yield _try(mail.address, postman.by_mail(message, mail))
    for webhook in receivers.webhooks:
        delivery = postman.by_webhook(message, webhook)
        yield _try(delivery.destination, delivery)


def _try(receiver: str, delivery: Delivery) -> Trial:
    try:
        delivery.send()
    except StandbyError as error:
        return Trial(receiver, error)
    return Trial(receiver, None)


def _by_address(known: Mapping[str, Receivers], news: News) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for profile, receivers in known.items():
        for mail in receivers.mail:
            if news in mail.news:
                found.setdefault(mail.address, []).append(profile)
    return found


def _by_webhook(known: Mapping[str, Receivers], news: News) -> dict[Webhook, list[str]]:
    found: dict[str, tuple[Webhook, list[str]]] = {}
    for profile, receivers in known.items():
        for webhook in receivers.webhooks:
            if news in webhook.news:
                found.setdefault(webhook.identity, (webhook, []))[1].append(profile)
    return dict(found.values())


def _note(logs: Path, run_id: str, text: str) -> None:
    """Add a line to the log of a run, if it has one."""
    file = logs / run_id[:2] / f"{run_id}.log"
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    with suppress(OSError):
        if file.exists():
            with file.open("a", encoding="utf-8") as stream:
                stream.write(f"{now} ERROR {text}\n")

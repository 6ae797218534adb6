"""What is told to people who do not look: which news, and by which way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum


class News(Enum):
    """What a message is about."""

    FAILURE = "failure"
    RECOVERY = "recovery"  # the first good run after failures
    WARNING = "warning"  # health became worse without a failed run
    SUCCESS = "success"
    DAILY = "daily"  # digests of all machines that a receiver has
    WEEKLY = "weekly"


@dataclass(frozen=True, slots=True)
class MailTo:
    """A receiver of e-mail."""

    address: str
    news: frozenset[News] = frozenset({News.FAILURE, News.RECOVERY, News.WARNING})


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver of JSON by HTTP POST.

    `url` gives the address when it is needed: it may be a secret, and then `reference` says where
    it stands. Two of one `identity` are the same receiver.
    """

    identity: str = field(repr=False)
    url: Callable[[], str] = field(compare=False, repr=False)
    reference: str = ""
    news: frozenset[News] = frozenset({News.FAILURE, News.RECOVERY, News.WARNING})

    @classmethod
    def at(cls, url: str, news: frozenset[News]) -> Webhook:
        """Return a receiver whose address is no secret."""
        return cls(url, lambda: url, news=news)


@dataclass(frozen=True, slots=True)
class Receivers:
    """Everybody who is told about one machine."""

    mail: tuple[MailTo, ...] = field(default=())
    webhooks: tuple[Webhook, ...] = field(default=())

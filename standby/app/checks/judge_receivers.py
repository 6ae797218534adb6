"""Whether those who are told about a machine can be, and no secret lies open for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from standby.app.checks.finding import MANAGER, About, Finding, Fix, Topic
from standby.errors import FixProfile
from standby.host.webhook import destination
from standby.model.notice import Webhook

# Long, and neither a word nor a number: what chat servers put into an address.
_TOKEN: Final = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_-]{16,}")


def judge_receivers(webhooks: tuple[Webhook, ...]) -> Iterator[Finding]:
    """Look at the addresses of webhooks; nothing is sent."""
    about = About(MANAGER, Topic.RECEIVERS)
    for webhook in webhooks:
        if webhook.reference:
            yield from _readable(webhook, about)
        elif holds_token(webhook.url()):
            yield about.warning(
                f"the address of {destination(webhook.url())} seems to hold a secret, and stands "
                "in the manifest on the KVM host",
                Fix("keep it in a file of mode 0600: notify.webhooks: url: {file: PATH}"),
            )


def holds_token(url: str) -> bool:
    """Tell whether a part of an address looks like a secret made at random."""
    parts = urlsplit(url)
    words = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
    return any(_TOKEN.fullmatch(word) for word in words)


def _readable(webhook: Webhook, about: About) -> Iterator[Finding]:
    try:
        webhook.url()
    except FixProfile as error:
        yield about.warning(
            f"a webhook will be told nothing: {error.subject} {error.found}", Fix(error.remedy)
        )

"""What a check says of those who are told about a machine."""

from __future__ import annotations

import pytest

from standby.app.checks.finding import Severity
from standby.app.checks.judge_receivers import holds_token, judge_receivers
from standby.errors import FixProfile
from standby.model.notice import News, Webhook

ALL = frozenset(News)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://hooks.example.org/services/T024BE7LD/B1F3/k3yW0rdThatNobodyKnows", True),
        ("https://chat.example.org/hook?token=0a1b2c3d4e5f60718293", True),
        ("https://chat.example.org/hooks/standby", False),
        ("https://chat.example.org/hooks/machines-of-the-office", False),
        ("https://chat.example.org/hooks/20261122035600000000", False),
    ],
)
def test_an_address_that_seems_to_hold_a_secret_is_told_from_others(
    url: str, *, expected: bool
) -> None:
    assert holds_token(url) is expected


def test_a_secret_in_the_profile_is_a_warning_that_does_not_show_it() -> None:
    (found,) = judge_receivers((Webhook.at("https://chat.example.org/0a1b2c3d4e5f60718293", ALL),))
    assert found.severity is Severity.WARNING
    assert "https://chat.example.org" in found.found
    assert "0a1b" not in found.found


def test_a_reference_that_leads_nowhere_is_a_warning() -> None:
    def gone() -> str:
        raise FixProfile("secret file /x", "cannot be read: No such file or directory")

    (found,) = judge_receivers((Webhook("secret file /x", gone, "secret file /x", ALL),))
    assert found.severity is Severity.WARNING
    assert "secret file /x cannot be read" in found.found


def test_one_that_can_be_read_is_no_matter() -> None:
    webhook = Webhook("x", lambda: "https://h/0a1b2c3d4e5f60718293", "secret file /x", ALL)
    assert not list(judge_receivers((webhook,)))

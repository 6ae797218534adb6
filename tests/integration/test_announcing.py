"""What a daemon tells by itself: runs as they end, health as it is seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from standby.app.announcing import Announcer
from standby.app.inspect import NotSeen
from standby.app.observatory import Observatory
from standby.app.session import Session
from standby.errors import ReachHost
from standby.model.health import Concern, Condition, Health, Problem, Severity
from standby.model.run import Cause, Run, RunKind, RunResult
from standby.profile import Profile
from standby.profile.manager import ManagerSettings
from tests.integration.host_sshd import until
from tests.integration.news_servers import Posts, web
from tests.unit.configuration_files import PROFILE, write_root

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
LATE = Problem(Concern.RPO, Severity.CRITICAL, "3 h behind", "look")


class Profiles:
    """The profiles in effect."""

    def __init__(self, *profiles: Profile) -> None:
        self.known = {profile.name: profile for profile in profiles}

    def names(self) -> frozenset[str]:
        return frozenset(self.known)

    def profile(self, name: str) -> Profile:
        return self.known[name]


class Sky(Observatory):
    """Is not looked at; notes whether somebody wants to."""

    wanted = False

    def start(self) -> None:
        self.wanted = True


@pytest.fixture
def posts() -> Iterator[tuple[Posts, int]]:
    posts = Posts()
    with web(posts) as port:
        yield posts, port


def world(tmp_path: Path, port: int, news: str) -> tuple[Announcer, Sky, Profiles]:
    hook = f"notify: {{webhooks: [{{url: 'http://127.0.0.1:{port}/', news: {news}}}]}}\n"
    root = write_root(tmp_path / "root", {"profiles/web1.yaml": PROFILE + hook})
    session = Session(root)
    profiles = Profiles(session.profile("web1"))
    sky = Sky(session, profiles, lambda _: ())
    settings = ManagerSettings(tmp_path)
    return Announcer(session, settings, profiles, sky), sky, profiles


def run(result: RunResult, profile: str = "web1") -> Run:
    return Run("k3f", profile, RunKind.CYCLE, Cause.SCHEDULE, NOON, ended=NOON, result=result)


def test_runs_and_what_is_seen_of_health_are_told(tmp_path: Path, posts: tuple[Posts, int]) -> None:
    told, port = posts
    announcer, sky, profiles = world(tmp_path, port, "[success, warning, recovery]")
    announcer.start()
    assert sky.wanted
    announcer.hear(run(RunResult.PUBLISHED))
    (listener,) = sky.seen
    error = ReachHost("kvm1", "no answer")
    for condition in (Condition(Health.CRITICAL, (LATE,)), Condition(Health.NORMAL)):
        listener(NotSeen("web1", error, NOON, condition, profiles.profile("web1")))
    assert until(lambda: len(told.bodies) == 3)
    assert sorted(json.loads(it)["news"] for it in told.bodies) == [
        "recovery",
        "success",
        "warning",
    ]
    announcer.close(timedelta(seconds=10))


def test_nobody_looks_when_nobody_is_told_of_health(
    tmp_path: Path, posts: tuple[Posts, int]
) -> None:
    announcer, sky, _ = world(tmp_path, posts[1], "[failure]")
    announcer.start()
    assert not sky.wanted
    announcer.close(timedelta(0))


def test_a_machine_whose_profile_is_gone_is_nobodys_news(
    tmp_path: Path, posts: tuple[Posts, int]
) -> None:
    announcer, _, _ = world(tmp_path, posts[1], "[failure]")
    announcer.hear(run(RunResult.LOST, "gone"))
    announcer.hear(run(RunResult.LOST))
    assert until(lambda: len(posts[0].bodies) == 1)
    assert json.loads(posts[0].bodies[0])["profile"] == "web1"
    announcer.close(timedelta(0))

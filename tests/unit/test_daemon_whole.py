"""A whole daemon in this process: asked through its socket, stopped by signals; runs are held."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from configuration_files import PROFILE, write_root
from daemon_world import PATIENCE_S

from lab.waiting import wait_until
from standby.app.client import DaemonClient
from standby.app.control import (
    Answer,
    AskPause,
    AskReload,
    AskResume,
    AskRun,
    RunBegins,
    UnderWay,
    socket_path,
)
from standby.app.glance import Glance
from standby.app.live import Live
from standby.app.merge_places import MergePlaces
from standby.app.observatory import Profiles
from standby.app.orders import Ended, Order, Runner, RunWatch, failed
from standby.app.source_events import Happened, Listener, Sighted
from standby.daemon.clock import SystemClock
from standby.daemon.instance import Instance
from standby.daemon.memory import Memory
from standby.daemon.serve import MEMORY_FILE, Daemon
from standby.errors import Cancelled, FixProfile, FixRequest, ReachHost, TryLater
from standby.model.pause import Pause, Then
from standby.model.run import Cause, Run, RunResult
from standby.model.schedule import SourceEvent
from standby.profile import Profile
from standby.profile.manager import ManagerSettings

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@dataclass
class HeldWork:
    """Work whose runs end when they are let go or, if they heed it, cancelled."""

    heeds_cancel: bool = True
    go: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    watches: list[RunWatch] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)
    paused: Pause | None = None
    listeners: tuple[Listener, ...] = ()
    happened: Happened | None = None
    sighted: Sighted | None = None
    closed: bool = False

    def runner(self, profile: Callable[[str], Profile], merges: MergePlaces) -> Runner:
        del profile, merges
        return self

    def run(self, order: Order, watch: RunWatch) -> Ended:
        self.watches.append(watch)
        self.begun.set()
        watch.phase("transfer", None)
        watch.progress("vda", 1, 2)
        for _ in range(int(PATIENCE_S / 0.02)):
            if self.go.wait(0.02) or (self.heeds_cancel and watch.cancel.is_set()):
                break
        self.begun.clear()
        begun = Run(order.id, order.profile, order.kind, order.cause, NOW)
        if watch.cancel.is_set():
            error = Cancelled(order.profile, "stopped")
            return Ended(failed(begun, error, NOW), error=error)
        return Ended(Run(**{**_fields(begun), "ended": NOW, "result": RunResult.PUBLISHED}))

    def events(self, happened: Happened, sighted: Sighted) -> HeldWork:
        self.happened, self.sighted = happened, sighted
        return self

    def listen_for(self, listeners: Collection[Listener]) -> None:
        self.listeners = tuple(listeners)

    def look(self, profile: Profile) -> Glance:
        del profile
        return Glance(NOW, self.paused)

    def pause(self, profile: Profile, until: datetime | None, reason: str, who: str) -> Pause:
        del profile
        self.paused = Pause(NOW, until, reason, who)
        return self.paused

    def resume(self, profile: Profile, who: str) -> Pause | None:
        del profile, who
        before, self.paused = self.paused, None
        return before

    def cancelled(self, profile: Profile, who: str) -> None:
        self.noted.append(f"{profile.name} cancelled by {who}")

    def use(self, settings: ManagerSettings) -> None:
        del settings

    def attach(self, profiles: Profiles, live: Callable[[], Live]) -> None:
        del profiles, live

    def start(self) -> None:
        """Nothing goes on all the time."""

    def hear(self, run: Run) -> None:
        del run

    def problems(self) -> tuple[str, ...]:
        return ("runs are not recorded: disk full",)

    def close(self) -> None:
        self.closed = True


def _fields(run: Run) -> dict[str, object]:
    return {name: getattr(run, name) for name in Run.__dataclass_fields__}


@dataclass
class House:
    root: Path
    state: Path
    work: HeldWork = field(default_factory=HeldWork)
    limit: str = "30s"

    @property
    def client(self) -> DaemonClient:
        return DaemonClient(socket_path(self.state))

    def _answers(self) -> bool:
        try:
            return self.client.live() is not None
        except ReachHost:
            return False

    def serve(self, visit: Callable[[DaemonClient], None], stops: int = 1) -> None:
        """Run the daemon in this thread while `visit` goes on in another, then stop it."""
        problems: list[BaseException] = []

        def visiting() -> None:
            try:
                # The socket is there before anybody listens, and before signals are heeded.
                wait_until(self._answers, "the daemon", 20, 0.01)
                visit(self.client)
            except BaseException as error:
                problems.append(error)
                raise
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                if stops > 1:  # two at once would be one
                    wait_until(lambda: self.client.live().stopping, "the stop", 20, 0.02)
                    os.kill(os.getpid(), signal.SIGTERM)

        (self.root / "manager.yaml").write_text(f"daemon: {{stop_limit: {self.limit}}}\n")
        settings = ManagerSettings(self.state)
        me = Instance(os.getpid(), self.root, NOW)
        thread = threading.Thread(target=visiting)
        daemon = Daemon(me, settings, self.work, SystemClock())
        # A daemon that fails is gone when it is told to stop: that must not end the tests.
        before = signal.signal(signal.SIGTERM, lambda *_: None)
        thread.start()
        try:
            daemon.run()
        finally:
            thread.join()
            signal.signal(signal.SIGTERM, before)
        assert not problems, problems
        assert self.work.closed


@pytest.fixture
def house(tmp_path: Path) -> House:
    root = write_root(tmp_path / "root", {"profiles/web1.yaml": PROFILE})
    (tmp_path / "state").mkdir()
    return House(root, tmp_path / "state")


def begin(house: House, client: DaemonClient) -> threading.Thread:
    """Ask for a run in a thread, and wait until it is under way."""

    def ask() -> None:
        with suppress(Cancelled, TryLater):
            client.run(AskRun("web1"), lambda _: None)

    # One that is never answered, its daemon being gone, must not keep the tests from ending.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    assert house.work.begun.wait(PATIENCE_S)
    return thread


def test_a_stop_lets_a_run_end_by_itself(house: House) -> None:
    def visit(client: DaemonClient) -> None:
        begin(house, client)
        threading.Timer(0.3, house.work.go.set).start()

    house.serve(visit)
    assert not house.work.watches[0].cancel.is_set()
    assert not house.work.begun.is_set()


def test_a_run_that_does_not_end_is_cancelled_within_the_limit(house: House) -> None:
    house.limit = "1s"
    house.serve(lambda client: _nothing(begin(house, client)))
    assert house.work.watches[0].cancel.is_set()
    assert not house.work.begun.is_set()


def test_a_run_that_does_not_even_heed_that_is_left_behind(house: House) -> None:
    house.limit = "1s"
    house.work.heeds_cancel = False
    house.serve(lambda client: _nothing(begin(house, client)))
    assert house.work.begun.is_set()
    house.work.go.set()


def test_a_second_signal_cancels_at_once(house: House) -> None:
    house.limit = "1h"
    house.serve(lambda client: _nothing(begin(house, client)), stops=2)
    assert house.work.watches[0].cancel.is_set()


def test_what_runs_is_shown_and_cancelled_and_noted(house: House) -> None:
    def visit(client: DaemonClient) -> None:
        begin(house, client)
        (run,) = client.live().running
        assert (run.profile, run.phase) == ("web1", "transfer")
        assert [(step.what, step.done, step.total) for step in run.steps] == [("vda", 1, 2)]
        assert "disk full" in client.live().problems[0]
        with pytest.raises(TryLater, match="under way"):
            client.run(AskRun("web1"), lambda _: None)
        assert run.id in client.cancel(run.id)
        wait_until(lambda: not client.live().running, "its end", 20, 0.02)
        with pytest.raises(TryLater):
            client.cancel("web1")

    house.serve(visit)
    assert len(house.work.noted) == 1
    assert f"process {os.getpid()}" in house.work.noted[0]


def test_a_run_is_followed_from_its_beginning(house: House) -> None:
    house.work.go.set()
    told: list[Answer] = []
    house.serve(lambda client: _nothing(client.run(AskRun("web1"), told.append)))
    assert isinstance(told[0], RunBegins)


def test_a_run_by_hand_is_never_that_of_an_older_version(house: House) -> None:
    def visit(client: DaemonClient) -> None:
        (house.root / "profiles/web1.yaml").write_text(PROFILE + "nonsense: 1\n")
        with pytest.raises(FixProfile, match="nonsense"):
            client.run(AskRun("web1"), lambda _: None)
        with pytest.raises(FixProfile, match="there is none"):
            client.run(AskRun("web9"), lambda _: None)
        (house.root / "profiles/web9.yaml").write_text(PROFILE)
        house.work.go.set()
        client.run(AskRun("web9"), lambda _: None)

    house.serve(visit)


def test_a_paused_machine_is_left_alone_until_it_is_resumed(house: House) -> None:
    (house.root / "profiles/web1.yaml").write_text(PROFILE + "schedule: {every: 5s}\n")
    house.work.go.set()

    def visit(client: DaemonClient) -> None:
        assert "moved" in client.do(AskPause("web1", None, "the storage is moved"))
        count = len(house.work.watches)
        client.run(AskRun("web1"), lambda _: None)  # by hand it runs
        assert len(house.work.watches) == count + 1
        assert "resumed" in client.do(AskResume("web1"))
        assert "was not paused" in client.do(AskResume("web1"))
        wait_until(lambda: len(house.work.watches) > count + 1, "a run by itself", 20, 0.1)

    house.serve(visit)


def test_a_pause_is_taken_at_once_and_written_when_the_run_is_over(house: House) -> None:
    (house.root / "profiles/web1.yaml").write_text(PROFILE + "schedule: {every: 5s}\n")

    def visit(client: DaemonClient) -> None:
        begin(house, client)
        (run,) = client.live().running
        done = client.done(AskPause("web1", None, "the storage is moved"))
        assert (done.after, house.work.paused) == (run.id, None)
        assert client.live().running[0].then is Then.PAUSED
        os.kill(os.getpid(), signal.SIGHUP)
        house.work.go.set()
        wait_until(lambda: house.work.paused is not None, "the pause", 20, 0.02)
        assert client.live(everything=True).outlooks[0].then is None

    house.serve(visit)
    assert len(house.work.watches) == 1
    assert house.work.paused is not None
    assert house.work.paused.reason == "the storage is moved"


def test_a_pause_taken_back_during_the_run_is_never_written(house: House) -> None:
    def visit(client: DaemonClient) -> None:
        begin(house, client)
        client.do(AskPause("web1"))
        assert "will not be paused" in client.do(AskResume("web1"))
        house.work.go.set()
        wait_until(lambda: not client.live().running, "its end", 20, 0.02)

    house.serve(visit)
    assert house.work.paused is None


def test_a_pause_may_stop_the_run_that_is_under_way(house: House) -> None:
    def visit(client: DaemonClient) -> None:
        begin(house, client)
        assert "asked to stop" in client.do(AskPause("web1", run=UnderWay.IS_CANCELLED))
        wait_until(lambda: house.work.paused is not None, "the pause", 20, 0.02)

    house.serve(visit)
    assert house.work.watches[0].cancel.is_set()
    assert len(house.work.noted) == 1


def test_a_daemon_that_is_stopped_writes_the_pause_it_promised(house: House) -> None:
    house.limit = "1s"

    def visit(client: DaemonClient) -> None:
        begin(house, client)
        client.do(AskPause("web1"))

    house.serve(visit)
    assert house.work.paused is not None


def test_a_pause_that_is_over_as_it_begins_is_refused_at_once(house: House) -> None:
    def visit(client: DaemonClient) -> None:
        begin(house, client)
        with pytest.raises(FixRequest, match="has passed"):
            client.do(AskPause("web1", NOW.replace(year=2020)))
        house.work.go.set()

    house.serve(visit)


def test_what_happens_to_a_machine_begins_a_run(house: House) -> None:
    (house.root / "profiles/web1.yaml").write_text(PROFILE + "schedule: {on_event: [shutdown]}\n")

    def visit(client: DaemonClient) -> None:
        wait_until(lambda: bool(house.work.listeners), "a listener", 20, 0.02)
        (listener,) = house.work.listeners
        assert (listener.profile.name, listener.events) == ("web1", {SourceEvent.SHUTDOWN})
        assert house.work.happened is not None
        house.work.happened("web1", SourceEvent.SHUTDOWN)
        assert house.work.begun.wait(PATIENCE_S)
        assert client.live().running[0].cause is Cause.EVENT
        house.work.go.set()

    house.serve(visit)


@pytest.mark.parametrize("lost", ["directory", "file"])
def test_profiles_that_cannot_be_read_at_the_start_are_not_forgotten(
    house: House, lost: str
) -> None:
    memory = Memory.read(house.state / MEMORY_FILE)
    memory.see("web1", NOW)
    memory.see("removed", NOW)
    memory.save()
    if lost == "directory":
        (house.root / "profiles").rename(house.root / "away")
    else:
        (house.root / "profiles/web1.yaml").write_text("nonsense: 1\n")
    house.serve(lambda client: _nothing(client.live()))
    again = Memory.read(house.state / MEMORY_FILE)
    assert again.seen("web1") == NOW
    assert (again.seen("removed") is None) is (lost == "file")


def test_a_reload_with_wrong_settings_is_over_too(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE_S)

        def visit(_client: DaemonClient) -> None:
            while not manager.recv(999).startswith(b"READY=1"):
                pass
            (house.root / "manager.yaml").write_text("nonsense: 1\n")
            os.kill(os.getpid(), signal.SIGHUP)
            while not manager.recv(999).startswith(b"RELOADING=1"):
                pass
            assert manager.recv(999).startswith(b"READY=1")

        house.serve(visit)


def test_a_reload_takes_in_what_changed_and_says_what_is_wrong(house: House) -> None:
    def visit(client: DaemonClient) -> None:
        (house.root / "profiles/web2.yaml").write_text(PROFILE)
        (house.root / "manager.yaml").write_text("at_once: {runs: none}\n")
        assert client.do(AskReload()) == "2 profiles"
        assert any("manager.yaml stays as it was" in it for it in client.live().problems)

    house.serve(visit)


def _nothing(_: object) -> None:
    """Take a result that nobody needs."""

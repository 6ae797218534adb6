"""Connections to libvirt and the meaning of its errors, on the driver that lives in the process."""

from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import libvirt
import pytest

from lab.waiting import wait_until
from standby.app.orders import failed
from standby.errors import (
    AwaitHypervisor,
    FreeSpace,
    GrantAccess,
    InstallPrograms,
    ReachHost,
    RepairSource,
    Retry,
    TryLater,
)
from standby.host.libvirt import (
    LibvirtConnection,
    Life,
    connect,
    libvirt_calls,
    lifecycle,
    system_uri,
    translate,
)
from standby.model.health import Severity
from standby.model.run import Cause, Run, RunKind
from standby.planning.problems_runs import GRAVE_STREAK, failed_runs
from standby.planning.retries import after, next_retry


@pytest.fixture
def connection() -> Any:
    made = connect("test:///default", "kvm: libvirt")
    yield made
    made.close()


def test_an_unknown_domain_asks_to_repair_the_source(connection: Any) -> None:
    with (
        pytest.raises(RepairSource, match="Domain not found") as caught,
        libvirt_calls("profile web"),
    ):
        connection.lookupByName("no-such-domain")
    assert caught.value.subject == "profile web"


def test_another_error_of_libvirt_keeps_its_words(connection: Any) -> None:
    with pytest.raises(AwaitHypervisor, match="already running"), libvirt_calls("test"):
        connection.lookupByName("test").create()


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (libvirt.VIR_ERR_NO_MEMORY, "out of memory"),
        (libvirt.VIR_ERR_INTERNAL_ERROR, "cannot fork child process: Cannot allocate memory"),
    ],
)
def test_a_host_without_free_memory_may_have_some_later(code: int, found: str) -> None:
    error = libvirt.libvirtError("failed")
    error.err = (code, libvirt.VIR_FROM_QEMU, found, libvirt.VIR_ERR_ERROR, "", "", "", -1, -1)
    meant = translate(error, "web1")
    assert (type(meant), meant.retry) == (FreeSpace, Retry.LATER)


def test_an_absent_daemon_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(ReachHost):
        connect(system_uri(str(tmp_path / "no-socket")), "kvm: libvirt")


def test_a_daemon_that_hangs_is_unreachable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("standby.host.libvirt._OPEN_S", 0.3)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "sock"))
        silent.listen()
        wanted = LibvirtConnection("kvm")
        with pytest.raises(ReachHost, match="no answer within"):
            wanted.get(lambda: system_uri(str(tmp_path / "sock")))
        assert wanted.get(lambda: "test:///default").getHostname()
        wanted.close()


def test_a_connection_that_was_closed_is_unreachable(connection: Any) -> None:
    closed = connect("test:///default", "kvm")
    domain = closed.lookupByName("test")
    closed.close()
    del domain
    with pytest.raises(ReachHost), libvirt_calls("kvm"):
        closed.getHostname()
    assert connection.getHostname()


def made(code: int, domain: int) -> libvirt.libvirtError:
    error = libvirt.libvirtError("made by a test")
    error.err = (code, domain, "made by a test", 2, None, None, None, -1, -1)
    return error


@pytest.mark.parametrize(
    ("code", "origin", "kind"),
    [
        (libvirt.VIR_ERR_AUTH_FAILED, libvirt.VIR_FROM_REMOTE, GrantAccess),
        (libvirt.VIR_ERR_ACCESS_DENIED, libvirt.VIR_FROM_QEMU, GrantAccess),
        (libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_RPC, ReachHost),
        (libvirt.VIR_ERR_RPC, libvirt.VIR_FROM_RPC, ReachHost),
        (libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_FROM_RPC, ReachHost),
        (libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_FROM_QEMU, AwaitHypervisor),
        (libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_QEMU, AwaitHypervisor),
        (libvirt.VIR_ERR_OPERATION_FAILED, libvirt.VIR_FROM_DOMAIN, AwaitHypervisor),
        (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_FROM_QEMU, RepairSource),
        (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_FROM_QEMU, RepairSource),
        (libvirt.VIR_ERR_OPERATION_TIMEOUT, libvirt.VIR_FROM_QEMU, TryLater),
        (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_FROM_QEMU, InstallPrograms),
    ],
)
def test_every_kind_of_error_names_its_remedy(code: int, origin: int, kind: type) -> None:
    assert type(translate(made(code, origin), "kvm")) is kind


def test_a_full_disk_is_named_whatever_libvirt_calls_the_error() -> None:
    error = made(libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_FROM_QEMU)
    error.err = (*error.err[:2], "cannot write: No space left on device", *error.err[3:])
    assert type(translate(error, "kvm")) is FreeSpace


def test_what_libvirt_does_not_name_is_tried_again_and_is_not_critical_at_once() -> None:
    error = translate(made(libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_QEMU), "hv1: vm web1")
    begun = Run("k3f7", "web1", RunKind.CYCLE, Cause.SCHEDULE, datetime(2026, 11, 26, tzinfo=UTC))
    run = failed(begun, error, begun.begun)
    trouble = after(run, None)
    assert trouble is not None
    assert next_retry(trouble, None) == begun.begun + timedelta(minutes=1)
    (problem,) = failed_runs([run], None)
    assert problem.severity is Severity.WARNING
    assert "journalctl" in problem.remedy
    (problem,) = failed_runs([run] * GRAVE_STREAK, None)
    assert problem.severity is Severity.CRITICAL


def test_a_cached_connection_is_the_same_until_it_dies() -> None:
    cached = LibvirtConnection("kvm")
    first = cached.get(lambda: "test:///default")
    assert cached.get(lambda: "test:///default") is first
    first.close()
    second = cached.get(lambda: "test:///default")
    assert second is not first
    assert second.isAlive()
    cached.close()


def test_the_life_of_a_domain_can_be_watched_and_then_no_more(connection: Any) -> None:
    seen: list[Life] = []
    others: list[Life] = []
    news = threading.Condition()

    def note(life: Life) -> None:
        with news:
            seen.append(life)
            news.notify()

    def wait(count: int) -> None:
        with news:
            assert news.wait_for(lambda: len(seen) >= count, 10)

    domain = connection.lookupByName("test")
    with lifecycle(connection, domain, note):
        domain.suspend()
        wait(1)
        domain.resume()
        wait(2)
        domain.destroy()
        wait(3)
        domain.create()
        wait(4)
    expected = [Life.SUSPENDED, Life.RESUMED, Life.STOPPED, Life.STARTED]
    assert seen == expected
    domain.suspend()
    with lifecycle(connection, domain, others.append):
        domain.resume()
        wait_until(lambda: Life.RESUMED in others, "news", 10)
    assert seen == expected


def test_libvirt_prints_nothing(connection: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RepairSource), libvirt_calls("test"):
        connection.lookupByName("no-such-domain")
    assert capfd.readouterr() == ("", "")


def test_a_socket_with_strange_characters_stands_quoted_in_the_address() -> None:
    assert system_uri(None) == "qemu:///system"
    assert system_uri("/a b&c") == "qemu+unix:///system?socket=/a%20b%26c"

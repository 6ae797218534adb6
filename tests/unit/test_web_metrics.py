"""Figures by HTTP: only them, made anew now and then, whoever asks and however he behaves."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse

import pytest

from standby.errors import FixProfile, ReachHost
from standby.web.metrics import Figures, MetricsServer

LOCAL = "127.0.0.1"


class Maker:
    """Counts how often figures are made; fails when told to."""

    def __init__(self) -> None:
        self.made = 0
        self.clock = 0.0
        self.broken = False

    def __call__(self) -> str:
        if self.broken:
            raise ReachHost("kvm1", "a secret of ours")
        self.made += 1
        return f"standby_profiles {self.made}\n"


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
def server(maker: Maker) -> Iterator[MetricsServer]:
    with MetricsServer((LOCAL, 0), Figures(maker, lambda: maker.clock)) as listening:
        yield listening


def ask(server: MetricsServer, path: str = "/metrics", how: str = "GET") -> HTTPResponse:
    connection = HTTPConnection(LOCAL, server.port, timeout=10)
    connection.request(how, path)
    return connection.getresponse()


def test_figures_are_told_in_the_format_of_prometheus(server: MetricsServer) -> None:
    answer = ask(server)
    assert answer.status == 200
    assert answer.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.read() == b"standby_profiles 1\n"
    assert "Python" not in (answer.getheader("Server") or "")


def test_who_asks_often_gets_the_same_again(server: MetricsServer, maker: Maker) -> None:
    assert [ask(server).read() for _ in range(3)] == [b"standby_profiles 1\n"] * 3
    maker.clock = 6.0
    assert ask(server, "/metrics?x=1").read() == b"standby_profiles 2\n"


def test_a_head_tells_the_length_alone(server: MetricsServer) -> None:
    answer = ask(server, how="HEAD")
    assert answer.getheader("Content-Length") == "19"
    assert answer.read() == b""


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metrics/../../etc/passwd"])
def test_there_is_nothing_else(server: MetricsServer, path: str) -> None:
    assert ask(server, path).status == 404


@pytest.mark.parametrize("how", ["POST", "DELETE", "BREW"])
def test_nobody_changes_anything(server: MetricsServer, how: str) -> None:
    assert ask(server, how=how).status == 501


def test_figures_that_cannot_be_made_are_an_error_and_the_next_ones_may_be_there(
    server: MetricsServer, maker: Maker
) -> None:
    maker.broken = True
    answer = ask(server)
    assert answer.status == 500
    assert b"secret" not in answer.read()
    maker.broken = False
    assert ask(server).status == 200


def test_those_who_say_nothing_keep_nobody_else_from_asking_for_long(
    server: MetricsServer,
) -> None:
    silent = [socket.create_connection((LOCAL, server.port)) for _ in range(8)]
    assert ask(server).status == 200
    more = [socket.create_connection((LOCAL, server.port)) for _ in range(40)]
    for each in (*silent, *more):
        each.close()
    while True:  # places become free as the hang-ups are seen
        try:
            assert ask(server).status == 200
        except OSError:
            continue
        break


def test_a_port_that_is_taken_is_said(server: MetricsServer, maker: Maker) -> None:
    with pytest.raises(FixProfile, match=f"port {server.port}"):
        MetricsServer((LOCAL, server.port), Figures(maker))

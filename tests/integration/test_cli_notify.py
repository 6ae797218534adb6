"""`standby notify test`: whether messages reach people, as each server answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from standby.cli.main import main
from tests.integration.news_servers import Mailbox, Posts, free_port, smtp, web
from tests.unit.configuration_files import PROFILE, write_root


def use(monkeypatch: pytest.MonkeyPatch, root: Path, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["standby", "--config", str(root), *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def configuration(directory: Path, mail_port: int, notify: str) -> Path:
    manager = (
        f"mail: {{host: 127.0.0.1, port: {mail_port}, security: none, "
        "sender: standby@example.org}\n"
    )
    files = {"profiles/web1.yaml": f"{PROFILE}notify: {notify}\n", "manager.yaml": manager}
    return write_root(directory, files)


def test_each_receiver_is_sent_a_trial_and_its_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mailbox, posts = Mailbox(), Posts(answers=[200, 404])
    with smtp(mailbox) as mail_port, web(posts) as web_port:
        hook = f"http://127.0.0.1:{web_port}/hook"
        notify = f"{{mail: [{{to: ops@example.org}}], webhooks: [{{url: '{hook}'}}]}}"
        root = configuration(tmp_path, mail_port, notify)
        assert use(monkeypatch, root, "notify", "test", "web1") == 0
        said = capsys.readouterr().out.splitlines()
        assert said == ["ops@example.org: sent", f"webhook http://127.0.0.1:{web_port}: sent"]
        assert use(monkeypatch, root, "notify", "test", "web1", "--json") == 1
        answers = json.loads(capsys.readouterr().out)
    assert [it["error"] is None for it in answers] == [True, False]
    assert "404" in answers[1]["error"]
    assert mailbox.mail[0]["Subject"] == "[standby] web1: a trial: messages arrive"
    assert json.loads(posts.bodies[0])["news"] == "test"


def test_a_mail_server_that_is_down_is_told_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    root = configuration(tmp_path, port, "{mail: [{to: ops@example.org}]}")
    assert use(monkeypatch, root, "notify", "test", "web1") == 1
    assert f"ops@example.org: not sent: mail server 127.0.0.1:{port}" in capsys.readouterr().out


def test_a_profile_that_names_nobody_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = configuration(tmp_path, 25, "{}")
    assert use(monkeypatch, root, "notify", "test", "web1") == 0
    assert "names nobody" in capsys.readouterr().err

"""`standby profile edit` changes a profile whole or not at all, and never into a wrong one."""

from __future__ import annotations

import os
import pty
import select
import stat
import sys
from pathlib import Path

import pytest
from configuration_files import PROFILE, loaded, write_root
from typer.testing import CliRunner, Result

from standby.app.editing import Edited, Outcome, edit_profile, editor_of
from standby.cli.main import app
from standby.errors import FixProfile, FixRequest, InstallPrograms, StandbyError, TryLater
from standby.profile import ProfileMistakes

BETTER = PROFILE + "boot_points: {limit: 3}\n"
WRONG = PROFILE + "boot_points: {limit: many}\n"
_PATIENCE_S = 10.0


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(copies))
    return write_root(tmp_path / "root", {"profiles/web1.yaml": PROFILE})


def copies(root: Path) -> list[Path]:
    return list((root.parent / "copies").rglob("*.yaml"))


def editor(root: Path, *texts: str, status: int = 0, also: str = "") -> tuple[str, ...]:
    """An editor that writes one text at each of its starts, the last one again and again."""
    for number, text in enumerate(texts):
        (root.parent / f"text{number}").write_text(text)
    script = root.parent / "editor"
    last = len(texts) - 1
    script.write_text(
        "#!/bin/sh\n"
        f"cd {root.parent}; n=$(cat turn 2>/dev/null || echo 0)\n"
        f'[ ! -e text$n ] || cat text$n > "$1"\n'
        f"echo $((n < {last} ? n + 1 : {last})) > turn\n"
        f"{also}\nexit {status}\n"
    )
    script.chmod(0o755)
    return (str(script),)


def edited(root: Path, command: tuple[str, ...], again: int = 0) -> tuple[Edited, list[str]]:
    """Edit web1, and so many times again. Return the mistakes shown too."""
    shown: list[str] = []

    def ask(mistakes: ProfileMistakes) -> bool:
        shown.extend(mistake.path for mistake in mistakes.mistakes)
        return len(shown) <= again

    return edit_profile(root, "web1", command, ask), shown


def text_of(root: Path) -> str:
    return (root / "profiles/web1.yaml").read_text()


def test_a_sound_edit_takes_the_profiles_place(root: Path) -> None:
    found, _ = edited(root, editor(root, BETTER))
    assert found.outcome is Outcome.REPLACED
    assert loaded(root, {"profiles/web1.yaml": text_of(root)}).boot_points.limit == 3
    assert [file.name for file in (root / "profiles").iterdir()] == ["web1.yaml"]
    assert not copies(root)


def test_mistakes_are_shown_and_edited_again_before_anything_is_replaced(root: Path) -> None:
    found, shown = edited(root, editor(root, WRONG, WRONG, BETTER), again=2)
    assert found.outcome is Outcome.REPLACED
    assert shown == ["boot_points.limit", "boot_points.limit"]
    assert text_of(root) == BETTER


def test_who_gives_up_leaves_the_profile_as_it_was_and_keeps_what_he_wrote(root: Path) -> None:
    found, shown = edited(root, editor(root, WRONG))
    assert (found.outcome, shown) == (Outcome.LEFT, ["boot_points.limit"])
    assert text_of(root) == PROFILE
    assert found.copy is not None
    assert found.copy.read_text() == WRONG


def test_an_edit_that_changes_nothing_touches_nothing(root: Path) -> None:
    file = root / "profiles/web1.yaml"
    before = file.stat()
    found, _ = edited(root, editor(root, PROFILE))
    assert found.outcome is Outcome.UNCHANGED
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not copies(root)


def test_a_profile_with_mistakes_can_be_mended(root: Path) -> None:
    write_root(root, {"profiles/web1.yaml": WRONG})
    found, _ = edited(root, editor(root, BETTER))
    assert found.outcome is Outcome.REPLACED


def test_a_policy_holds_in_the_copy_too(root: Path) -> None:
    write_root(root, {"policies/gold.yaml": "boot_points: {limit: 9}\n"})
    found, _ = edited(root, editor(root, f"policy: gold\n{PROFILE}"))
    assert found.outcome is Outcome.REPLACED


def test_mode_and_a_link_stay(root: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.yaml"
    file = root / "profiles/web1.yaml"
    file.rename(kept)
    kept.chmod(0o640)
    file.symlink_to(kept)
    edited(root, editor(root, BETTER))
    assert file.is_symlink()
    assert kept.read_text() == BETTER
    assert stat.S_IMODE(kept.stat().st_mode) == 0o640


def test_what_somebody_else_wrote_meanwhile_is_not_lost(root: Path) -> None:
    file = root / "profiles/web1.yaml"
    with pytest.raises(TryLater) as caught:
        edited(root, editor(root, BETTER, also=f"echo '# mine' >> {file}"))
    assert file.read_text() == PROFILE + "# mine\n"
    (copy,) = copies(root)
    assert copy.read_text() == BETTER
    assert str(copy) in str(caught.value)


def test_an_editor_that_fails_replaces_nothing(root: Path) -> None:
    with pytest.raises(FixRequest, match="status 3"):
        edited(root, editor(root, BETTER, status=3))
    assert text_of(root) == PROFILE


def test_a_missing_editor_or_profile_is_said(root: Path) -> None:
    with pytest.raises(InstallPrograms, match=r"\$EDITOR"):
        edited(root, ("/no/such/editor",))
    with pytest.raises(FixProfile):
        edit_profile(root, "web2", ("true",), lambda _: False)
    assert not copies(root)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, ("vi",)),
        ({"EDITOR": "nano"}, ("nano",)),
        ({"EDITOR": "nano", "VISUAL": "code --wait"}, ("code", "--wait")),
        ({"EDITOR": " ", "VISUAL": ""}, ("vi",)),
    ],
)
def test_the_editor_is_the_users(environment: dict[str, str], words: tuple[str, ...]) -> None:
    assert editor_of(environment) == words


def test_an_editor_that_cannot_be_understood_is_said() -> None:
    with pytest.raises(FixRequest):
        editor_of({"EDITOR": "'vi"})


def command(root: Path, name: str, editor_words: tuple[str, ...]) -> Result:
    arguments = ["--config", str(root), "profile", "edit", name]
    return CliRunner().invoke(app, arguments, env={"VISUAL": editor_words[0]})


def test_the_command_says_what_it_did(root: Path) -> None:
    result = command(root, "web1", editor(root, BETTER))
    assert (result.exit_code, result.stdout) == (0, f"changed: {root}/profiles/web1.yaml\n")


def test_without_a_terminal_nobody_is_asked_and_the_status_tells(root: Path) -> None:
    result = command(root, "web1", editor(root, WRONG))
    assert result.exit_code == 2
    assert "boot_points.limit" in result.output
    assert "is as it was" in result.output
    assert isinstance(result.exception, SystemExit | StandbyError)


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        (b"y\n", 0, "changed: "),
        (b"\n", 0, "changed: "),
        (b"n\n", 2, "what you wrote is kept"),
        (b"\x03", 2, "what you wrote is kept"),
        (b"\x04", 2, "what you wrote is kept"),
    ],
    ids=["yes", "return", "no", "ctrl-c", "ctrl-d"],
)
def test_at_a_terminal_mistakes_are_shown_and_the_question_asked(
    root: Path, answer: bytes, status: int, told: str
) -> None:
    """The editor gets the terminal, too: with a wrong text first, then a better one."""
    words = ["standby", "--config", str(root), "profile", "edit", "web1"]
    child, terminal = pty.fork()
    if child == 0:
        environment = {**os.environ, "VISUAL": editor(root, WRONG, BETTER)[0]}
        os.execve(sys.executable, [sys.executable, "-m", *words], environment)  # noqa: S606
    screen = b""
    while chunk := _read(terminal, b"Edit again?" in screen, answer):
        asked, screen = b"Edit again?" in screen, screen + chunk
        if b"Edit again?" in screen and not asked:
            os.write(terminal, answer)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == status, screen.decode()
    os.close(terminal)
    assert b"boot_points.limit" in screen
    assert told in screen.decode()
    assert text_of(root) == (PROFILE if status else BETTER)


def _read(terminal: int, asked: bool, answer: bytes) -> bytes:
    """Read what is shown. Who is not heard says it again, as people do.

    Python looks for signals before it waits for a line: one that comes in between waits too.
    """
    while not select.select([terminal], [], [], _PATIENCE_S)[0]:
        if asked:
            os.write(terminal, answer)
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""

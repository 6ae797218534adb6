"""Who records a run: alive as long as the process is, whatever numbers processes have."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from standby.history.owners import Owner, Recorder, Records, is_alive, recorder_of
from standby.host.processes import this_process


def test_an_owner_is_alive_until_the_context_is_left(tmp_path: Path) -> None:
    with Owner(tmp_path / "recorders") as owner:
        assert is_alive(tmp_path / "recorders", owner.name)
    assert not is_alive(tmp_path / "recorders", owner.name)
    assert list((tmp_path / "recorders").iterdir()) == []


def test_two_owners_of_one_process_are_two(tmp_path: Path) -> None:
    with Owner(tmp_path) as first:
        with Owner(tmp_path) as second:
            assert first.name != second.name
        assert is_alive(tmp_path, first.name)
        assert not is_alive(tmp_path, second.name)


def test_threads_that_record_their_first_runs_at_once_do_not_wait_for_each_other(
    tmp_path: Path,
) -> None:
    for number in range(50):
        owner = Owner(tmp_path / str(number))
        barrier = threading.Barrier(4)

        def hold(owner: Owner = owner, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(20)
            owner.hold()

        threads = [threading.Thread(target=hold, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)
        owner.release()


def test_an_owner_says_which_process_it_is_and_what_ends_with_it(tmp_path: Path) -> None:
    with Owner(tmp_path, Records.ONE_RUN) as owner:
        expected = Recorder(this_process(), Records.ONE_RUN, tmp_path / owner.name)
        assert recorder_of(tmp_path, owner.name) == expected
        (tmp_path / owner.name).write_text("{")  # one that is just being written, or a stranger's
        assert recorder_of(tmp_path, owner.name) is None
    assert recorder_of(tmp_path, owner.name) is None


def test_a_killed_process_is_dead_and_its_file_goes(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\nfrom standby.history.owners import Owner\n"
        "with Owner(pathlib.Path(sys.argv[1])) as owner:\n"
        "    print(owner.name, flush=True)\n    sys.stdin.read()\n"
    )
    argv = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert is_alive(tmp_path, name)
        process.kill()
        process.wait()
        assert not is_alive(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_an_owner_whose_file_somebody_removed_holds_it_anew(tmp_path: Path) -> None:
    with Owner(tmp_path) as owner:
        (tmp_path / owner.name).unlink()
        assert not is_alive(tmp_path, owner.name)
        owner.hold()
        assert is_alive(tmp_path, owner.name)


@pytest.mark.parametrize("name", ["", "..", "../x", "nobody", "/etc/passwd"])
def test_nobody_is_not_alive_and_no_other_file_is_touched(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").touch()
    directory = tmp_path / "recorders"
    directory.mkdir()
    assert not is_alive(directory, name)
    assert (tmp_path / "x").exists()

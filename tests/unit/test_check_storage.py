"""Storage: what its type promises, who may go there, how much room there is."""

from __future__ import annotations

import stat
from itertools import product

import pytest
from check_facts import GIB, MIB, host_facts, storage_facts

from standby.app.checks.finding import Finding, Severity
from standby.app.checks.judge_storage import (
    Room,
    judge_space,
    judge_trial,
    judge_type,
    judge_way,
)
from standby.app.checks.libvirt_facts import Owner
from standby.app.checks.storage_facts import (
    Door,
    Step,
    Trial,
    parse_storage,
    parse_trial,
    refusal_of,
)
from standby.errors import CommandFailed

PRINTED = """\
standby absent
obstacle /srv/standby/x
below /srv
type ext2/ext3
mount /srv
options rw,relatime
space 1048576 4194304 65536
context unconfined_u:object_r:var_t:s0
step drwxr-xr-x 0 0 /srv
step drwxr-x---+ 0 64055 /
"""
QEMU = Owner(64055, 108)


def severities(findings: object) -> list[Severity]:
    return [finding.severity for finding in findings]  # type: ignore[attr-defined]


def test_a_look_at_a_storage_is_read_as_it_was_printed() -> None:
    facts = parse_storage("/srv/standby", PRINTED, "kvm1")
    assert (facts.below, facts.exists, facts.obstacle) == ("/srv", False, "/srv/standby/x")
    assert (facts.available, facts.total, facts.inodes) == (1048576, 4194304, 65536)
    assert facts.options == ("rw", "relatime")
    assert facts.standby is Door.ABSENT
    assert facts.steps == (
        Step("drwxr-xr-x", 0, 0, "/srv"),
        Step("drwxr-x---+", 0, 64055, "/"),
    )
    assert [step.has_acl for step in facts.steps] == [False, True]


def test_a_file_system_that_counts_no_inodes_is_no_surprise() -> None:
    text = PRINTED.replace("4194304 65536", "4194304 -")
    assert parse_storage("/srv/standby", text, "kvm1").inodes is None


@pytest.mark.parametrize("lost", ["below", "type", "space", "standby"])
def test_a_look_that_is_not_whole_is_refused(lost: str) -> None:
    text = "\n".join(line for line in PRINTED.splitlines() if not line.startswith(f"{lost} "))
    with pytest.raises(CommandFailed):
        parse_storage("/srv/standby", text, "kvm1")


@pytest.mark.parametrize(
    ("filesystem", "options", "severity"),
    [
        ("ext2/ext3", ("rw",), Severity.OK),
        ("xfs", ("rw",), Severity.OK),
        ("btrfs", ("rw",), Severity.OK),
        ("zfs", ("rw",), Severity.OK),
        ("xfs", ("ro",), Severity.PROBLEM),
        ("smb2", ("rw",), Severity.PROBLEM),
        ("cifs", ("rw",), Severity.PROBLEM),
        ("msdos", ("rw",), Severity.PROBLEM),
        ("exfat", ("rw",), Severity.PROBLEM),
        ("v9fs", ("rw",), Severity.PROBLEM),
        ("tmpfs", ("rw",), Severity.WARNING),
        ("overlayfs", ("rw",), Severity.WARNING),
        ("fuseblk", ("rw",), Severity.WARNING),
        ("nfs", ("rw", "vers=4.2", "local_lock=none"), Severity.NOTE),
        ("nfs", ("rw", "vers=4.1"), Severity.NOTE),
        ("nfs", ("rw", "vers=3", "local_lock=none"), Severity.PROBLEM),
        ("nfs", ("rw",), Severity.PROBLEM),
        ("nfs", ("rw", "vers=4.2", "local_lock=all"), Severity.PROBLEM),
        ("nfs", ("rw", "vers=4.2", "local_lock=flock"), Severity.PROBLEM),
    ],
)
def test_what_a_type_promises_decides(
    filesystem: str, options: tuple[str, ...], severity: Severity
) -> None:
    facts = storage_facts(filesystem=filesystem, options=options)
    (finding,) = judge_type(facts, host_facts())
    assert finding.severity is severity
    assert bool(str(finding.fix)) is (severity is not Severity.OK)


def test_a_file_in_the_way_hides_all_else() -> None:
    (finding,) = judge_type(storage_facts(obstacle="/srv/standby", filesystem="smb2"), host_facts())
    assert finding.severity is Severity.PROBLEM
    assert "/srv/standby" in finding.found


def trial(**changes: object) -> Trial:
    return Trial(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tried", "severity"),
    [
        (trial(flush=3), Severity.OK),
        (trial(flush=500), Severity.OK),
        (trial(flush=501), Severity.WARNING),
        (trial(broken=("a", "b")), Severity.PROBLEM),
        (trial(refused="No space left on device"), Severity.PROBLEM),
    ],
)
def test_what_was_tried_decides(tried: Trial, severity: Severity) -> None:
    findings = list(judge_trial(storage_facts(), tried, host_facts()))
    assert severities(findings) == [severity] * max(1, len(tried.broken))


@pytest.mark.parametrize(
    ("refused", "below", "user", "fix"),
    [
        ("Permission denied", "/srv/standby", "ann", "sudo chown ann /srv/standby"),
        ("Permission denied", "/srv", "ann", "sudo install -d -o ann -m 0711 /srv/standby"),
        ("Read-only file system", "/srv/standby", "root", "mount -o remount,rw /srv"),
        ("Read-only file system", "/srv/standby", "ann", "sudo mount -o remount,rw /srv"),
        ("No space left on device", "/srv/standby", "root", ""),
        (
            "Permission denied",
            "/srv/standby",
            "root",
            "",
        ),  # root_squash: nothing to be done from here
    ],
)
def test_a_storage_that_refuses_names_the_way_in(
    refused: str,
    below: str,
    user: str,
    fix: str,
) -> None:
    facts = storage_facts(below=below)
    host = host_facts(user=user, login=user)
    (finding,) = judge_trial(facts, Trial(refused=refused), host)
    assert finding.fix.command == fix
    assert str(finding.fix)


def test_the_last_words_of_mktemp_say_why() -> None:
    words = "mktemp: failed to create directory via template ‘/s/.standby-check.XXXXXXXX’: No way"  # noqa: RUF001 - as it prints
    error = CommandFailed("kvm1", "bash ended with status 73", stderr=words)
    assert refusal_of(error) == "No way"


def test_a_trial_is_read_as_it_was_printed() -> None:
    text = "broken flock does not work\nflush 12\nbroken there are no symbolic links\n"
    assert parse_trial(text) == Trial(
        broken=("flock does not work", "there are no symbolic links"), flush=12
    )


def test_every_mode_lets_in_whom_the_kernel_would() -> None:
    for bits, uid, gid in product(range(0o1000), (1, 2), (1, 2)):
        step = Step(stat.filemode(stat.S_IFDIR | bits), 1, 1, "/d")
        decides = 0o100 if uid == 1 else 0o010 if gid == 1 else 0o001
        assert step.lets_in(uid, gid) is bool(bits & decides), (step, uid, gid)
        assert step.lets_in(0, 0)


@pytest.mark.parametrize("mode", ["drwxrwxrwt", "drwxrws--x"])
def test_sticky_and_set_group_bits_do_not_hide_the_way(mode: str) -> None:
    assert Step(mode, 0, 0, "/tmp").lets_in(5, 5)  # noqa: S108 - a name only


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_the_first_directory_that_stops_qemu_is_named(closed: int) -> None:
    paths = ("/srv/a/b", "/srv/a", "/srv")
    steps = [Step("drwxr-xr-x", 0, 0, path) for path in paths]
    steps[closed] = Step("drwx------", 0, 0, paths[closed])
    (finding,) = judge_way(storage_facts(steps=tuple(steps)), host_facts(), QEMU)
    assert finding.severity is Severity.PROBLEM
    assert finding.fix.command == f"chmod o+x {paths[closed]}"


def test_where_an_acl_decides_nothing_is_claimed() -> None:
    steps = (Step("drwx------+", 0, 0, "/srv"),)
    assert severities(judge_way(storage_facts(steps=steps), host_facts(), QEMU)) == [Severity.NOTE]


def test_an_open_way_and_an_unknown_user_are_not_mentioned() -> None:
    assert list(judge_way(storage_facts(), host_facts(), QEMU)) == []
    steps = (Step("drwx------", 0, 0, "/srv"),)
    assert list(judge_way(storage_facts(steps=steps), host_facts(), None)) == []


ROOM = Room(needed=10 * GIB, reserve=256 * MIB, purpose="the first copy", whole=20 * GIB)


@pytest.mark.parametrize(
    ("available", "severity"),
    [
        (0, Severity.PROBLEM),
        (10 * GIB + 256 * MIB - 1, Severity.PROBLEM),
        (10 * GIB + 256 * MIB, Severity.NOTE),
        (20 * GIB - 1, Severity.NOTE),
        (20 * GIB, Severity.OK),
    ],
)
def test_room_is_told_with_its_numbers(available: int, severity: Severity) -> None:
    (finding,) = judge_space("kvm1", storage_facts(available=available), ROOM)
    assert finding.severity is severity
    assert "10.2 GiB needed for the first copy" in finding.found


def test_what_is_missing_is_told_to_the_byte_class() -> None:
    (finding,) = judge_space("kvm1", storage_facts(available=8 * GIB), ROOM)
    assert "free 2.2 GiB" in finding.fix.words


def test_few_inodes_are_a_warning_besides() -> None:
    findings: list[Finding] = list(judge_space("kvm1", storage_facts(inodes=999), ROOM))
    assert severities(findings) == [Severity.OK, Severity.WARNING]
    assert severities(judge_space("kvm1", storage_facts(inodes=None), ROOM)) == [Severity.OK]

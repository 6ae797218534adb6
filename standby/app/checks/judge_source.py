"""What the facts of the machine on its source host mean. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from standby.app.checks.finding import About, Finding, Fix, Topic
from standby.app.checks.host_facts import HostFacts
from standby.app.checks.source_facts import SOCKETS, Access, AgentFacts, ImageFacts
from standby.errors import FreeSpace, GrantAccess
from standby.model.amount import readable
from standby.model.disk import DiskLeftOut, ImageFormat, SourceDisk
from standby.model.machine import PowerState
from standby.model.observation import ScratchSpace, SourceObservation
from standby.model.point import Consistency
from standby.sources.libvirt_vm.scratch import require_room
from standby.sources.libvirt_vm.settings import WithoutAgent

_LITTLE: Final = 10  # percent of the disks that may be overwritten during a capture
_CHANNEL: Final = (
    "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
)
_GUEST: Final = "the guest"
_OUR_SOCKETS: Final = "standby-"


def judge_machine(host: str, seen: SourceObservation, boots: str | None) -> Iterator[Finding]:
    """Say which machine it is and what of it is left out; `boots` is the disk it boots from."""
    about = About(host, Topic.MACHINE)
    size = readable(sum(disk.size for disk in seen.disks))
    names = ", ".join(disk.name for disk in seen.disks)
    name = f"{seen.identity.name} ({seen.power.value}, UUID {seen.identity.uuid})"
    if not seen.disks:
        yield about.problem(f"{name} has no disk to capture", Fix("look at source.disks"))
    else:
        yield about.ok(f"{name}: {names}, {size}")
    for left_out in seen.left_out:
        yield _left_out(About(host, Topic.DISKS), left_out, boots)


def _left_out(about: About, disk: DiskLeftOut, boots: str | None) -> Finding:
    told = f"{disk.name} is left out: {disk.because.value}"
    if disk.name == boots:
        return about.warning(
            f"{told}; the machine boots from it, so the standby will not boot",
            Fix("take it in: source.disks"),
        )
    return about.note(told)


def judge_image(
    host: str, disk: SourceDisk, image: ImageFacts, power: PowerState, login: str
) -> Finding:
    """Say whether one disk can be captured, and tracked."""
    about = About(host, Topic.DISKS)
    told = f"{disk.name}: {disk.path} ({disk.image_format.value}, {readable(disk.size)})"
    raw = disk.image_format is ImageFormat.RAW
    if image.access is Access.FAILED:
        return about.problem(f"{told} cannot be read: {_last_words(image.complaint)}")
    if image.access is Access.NONE or (image.access is Access.READ and not raw):
        return _closed(about, told, image, power, login)
    if raw:
        return about.warning(
            f"{told}: a raw image cannot keep track of changes: every cycle reads all of it, and"
            " sends what differs",
            about.run_here(
                f"qemu-img convert -p -O qcow2 {disk.path} {disk.path}.qcow2",
                "shut the machine down, convert the disk, and name the new file in its definition",
            ),
        )
    if image.compat == "0.10":
        return about.problem(
            f"{told}: of the old format compat=0.10, which cannot keep track of changes",
            about.run_here(
                f"qemu-img amend -f qcow2 -o compat=1.1 {disk.path}", "while the machine is off"
            ),
        )
    return about.ok(told)


def _closed(about: About, told: str, image: ImageFacts, power: PowerState, login: str) -> Finding:
    verb = "read" if image.access is Access.NONE else "write"
    found = f"{told}: {login} may not {verb} it, as he must while the machine is off"
    fix = about.run_here(f"sudo setfacl -m u:{login}:rw {image.path}")
    if power is PowerState.OFF:
        return about.problem(f"{found}; it is", fix)
    return about.warning(f"{found}; it runs", fix)


def _last_words(complaint: str) -> str:
    return complaint.splitlines()[-1] if complaint else "no message"


def judge_closed(host: str, login: str, error: GrantAccess) -> Finding:
    """Say which of the machine's files is closed to us: that of its firmware variables."""
    about = About(host, Topic.MACHINE)
    path = error.subject.rpartition(": ")[2]
    if not path.startswith("/"):
        return about.error(error)
    fix = about.run_here(f"sudo setfacl -m u:{login}:r {path}")
    return about.problem(f"{login} may not read {path}, which belongs to the machine", fix)


def judge_scratch(
    host: str, spaces: Sequence[ScratchSpace], disks: Sequence[SourceDisk]
) -> Iterator[Finding]:
    """Say whether there is room for what the guest overwrites while it is captured."""
    about = About(host, Topic.SCRATCH)
    sizes = {disk.name: disk.size for disk in disks}
    for space in spaces:
        try:
            require_room((space,))
        except FreeSpace as error:
            needed, free = readable(error.needed_bytes), readable(error.available_bytes)
            told = f"{space.directory}: {free} free, {needed} needed to begin a capture"
            yield about.problem(told, Fix(error.remedy))
            continue
        yield _room(about, space, sizes)


def _room(about: About, space: ScratchSpace, sizes: Mapping[str, int]) -> Finding:
    whole = sum(sizes[name] for name in space.disks)
    usable = space.available - space.reserve
    told = (
        f"{space.directory}: {readable(usable)} for scratch files of {', '.join(space.disks)},"
        f" {readable(space.reserve)} kept free; at worst they grow to {readable(whole)}"
    )
    if usable * 100 < whole * _LITTLE:
        words = "free some, or change source.scratch: its directory, or its reserve"
        return about.warning(f"{told}; a busy guest would end the capture", Fix(words))
    return about.note(told) if usable < whole else about.ok(told)


def judge_agent(
    host: str, name: str, facts: AgentFacts, wanted: Consistency, without: WithoutAgent
) -> Finding:
    """Say whether the guest can be frozen, as its consistency asks."""
    about = About(host, Topic.AGENT)
    if wanted is Consistency.CRASH:
        there = "answers" if facts.answers else "does not answer"
        return about.ok(f"not needed for crash consistency (it {there})")
    lacking = about.problem if without is WithoutAgent.FAIL else about.warning
    if not facts.channel:
        # Only in the definition: a running machine may lack the controller to plug it into.
        attach = f'echo "{_CHANNEL}" | virsh attach-device {name} /dev/stdin --config'
        words = "it takes effect at the next start; install qemu-guest-agent in the guest"
        fix = about.run_here(attach, words)
        return lacking(f"{name} has no channel for a guest agent: it cannot be frozen", fix)
    if "frozen" in facts.complaint:
        return about.problem(f"{name} is frozen", about.run_here(f"virsh domfsthaw {name}"))
    if not facts.answers:
        fix = Fix("it starts by itself", "apt-get install qemu-guest-agent", _GUEST)
        return lacking(f"the guest agent of {name} does not answer: {facts.complaint}", fix)
    if not facts.filesystems:
        return lacking("the guest agent answers, but knows of no file system to freeze")
    return about.ok(f"answers; a freeze would hold {', '.join(facts.filesystems)}")


def judge_job(host: str, name: str, socket: str | None) -> Iterator[Finding]:
    """Say whether a backup job runs: `socket` is its NBD socket, None without a job."""
    about = About(host, Topic.MACHINE)
    if socket is None:
        return
    if socket.rpartition("/")[2].startswith(_OUR_SOCKETS):
        yield about.note(
            f"a backup job of a cycle of ours runs on {name}, or was left by one that was killed;"
            " the next cycle ends what was left"
        )
        return
    yield about.warning(
        f"another backup job runs on {name}: until it ends, a cycle ends with status 75",
        about.run_here(f"virsh domjobinfo {name}", "look at it"),
    )


def judge_socket_way(facts: HostFacts, closed: str, power: PowerState) -> Finding:
    """Say whether the login user can reach the socket of a capture; `closed` stops him.

    With sudo the socket itself becomes his, and membership of its directory's group is enough.
    Without, an ACL has to give him what will be made in it, too.
    """
    about = About(facts.name, Topic.SOCKET)
    login = facts.login
    if not closed:
        return about.ok(f"{login} can reach the sockets of QEMU")
    found = f"{login} may not enter {closed}, where the socket of a capture is made"
    join = f"sudo usermod --append --groups $(stat -c %G {SOCKETS}) {login}"
    allow = (
        f"sudo find {SOCKETS} -maxdepth 1 -type d \\( -name qemu -o -name 'domain-*' \\)"
        f" -exec setfacl -m u:{login}:rx,d:u:{login}:rwx {{}} +"
    )
    fix = about.run_here(join if facts.by_sudo else allow)
    return about.warning(found, fix) if power is PowerState.OFF else about.problem(found, fix)

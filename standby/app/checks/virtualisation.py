"""Whether a KVM host's processor can run guests: tried, since /dev/kvm alone proves nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from standby.app.checks.finding import About, Finding, Fix, Topic
from standby.errors import CommandFailed
from standby.host.interface import Host

_TRIAL_S: Final = 30.0
# Hardware that runs guests is at least as fast as software; where KVM itself is emulated, the
# firmware alone took 20 times as long, and kernels did not boot at all.
_SLOWER: Final = 4
_ALWAYS_FAST_MS: Final = 400
_EMULATE: Final = Fix("set standby.virtualisation: emulated in the profile")

# Arguments: QEMU. Lets the firmware of a machine without disks run to its end, which is a
# restart that ends QEMU, in hardware and in software. Prints status and milliseconds of each.
_TRIAL: Final = """
if [ ! -e /dev/kvm ]; then echo absent; exit 0; fi
if [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then echo closed; exit 0; fi
for accelerator in kvm tcg; do
  began=$(date +%s%N)
  timeout --kill-after 1 6 "$1" -accel "$accelerator" -m 16 -display none -nodefaults \\
    -no-user-config -no-reboot -boot reboot-timeout=0 </dev/null >/dev/null 2>&1
  echo "$accelerator $? $((($(date +%s%N) - began) / 1000000))"
done
"""


class Device(Enum):
    """What /dev/kvm is to us."""

    ABSENT = "absent"
    CLOSED = "closed"  # the login user may not open it
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the firmware. `milliseconds` until it ended or was ended."""

    status: int
    milliseconds: int


@dataclass(frozen=True, slots=True)
class VirtualisationFacts:
    """What a trial showed."""

    device: Device
    hardware: Run | None = None
    software: Run | None = None


def probe_virtualisation(host: Host, emulator: str) -> VirtualisationFacts:
    """Try it. Takes a second or two; at most twelve where KVM hangs."""
    argv = ("sh", "-c", _TRIAL, "standby-trial", emulator)
    return parse_virtualisation(host.run(argv, timeout=_TRIAL_S).text, host.name)


def parse_virtualisation(text: str, where: str) -> VirtualisationFacts:
    """Read what the program above printed. Raises CommandFailed when it is not that."""
    words = [line.split() for line in text.splitlines()]
    try:
        if len(words) == 1:
            return VirtualisationFacts(Device(words[0][0]))
        runs = {name: Run(int(status), int(time)) for name, status, time in words}
        return VirtualisationFacts(Device.OPEN, runs["kvm"], runs["tcg"])
    except (IndexError, KeyError, ValueError) as error:
        raise CommandFailed(where, f"unreadable trial: {text!r}", "two runs") from error


def judge_virtualisation(host: str, facts: VirtualisationFacts, *, accelerated: bool) -> Finding:
    """Say how a standby would run. `accelerated` is libvirt's opinion of KVM."""
    about = About(host, Topic.VIRTUALISATION)
    if facts.device is Device.ABSENT:
        return about.warning(
            "no /dev/kvm: a standby would run in software emulation (TCG), many times slower",
            about.run_here(
                "modprobe kvm_intel || modprobe kvm_amd", "enable virtualisation in the BIOS, then"
            ),
        )
    if facts.device is Device.CLOSED:
        verdict = "libvirt can use it" if accelerated else "libvirt cannot use it"
        return about.note(f"/dev/kvm is closed to us, so nothing was tried; {verdict}")
    return _judge_trial(about, facts.hardware, facts.software)


def _judge_trial(about: About, hardware: Run | None, software: Run | None) -> Finding:
    emulation = "a standby may not boot but in software emulation (TCG), many times slower"
    if software is None or hardware is None or software.status:
        return about.note("QEMU did not run here even in software: nothing is known of KVM")
    times = f"{hardware.milliseconds} ms, in software {software.milliseconds} ms"
    if hardware.status:
        return about.warning(f"/dev/kvm is there, but no guest runs on it: {emulation}", _EMULATE)
    slow = max(_ALWAYS_FAST_MS, _SLOWER * software.milliseconds)
    if hardware.milliseconds > slow:
        return about.warning(f"KVM is itself emulated (firmware {times}): {emulation}", _EMULATE)
    return about.ok(f"KVM works (firmware {times})")

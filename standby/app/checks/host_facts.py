"""Who and what a host is: asked by one command, parsed without I/O."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from standby.errors import CommandFailed
from standby.host.interface import Host

_LOOK_S: Final = 60.0
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")

# Arguments: programs. Prints one fact a line: its name, a blank, its value. The user is that of
# the command, the login is who came in: they differ under sudo.
_FACTS: Final = """
echo "time $(date +%s.%N)"
echo "user $(id -un)"
login=${SUDO_USER:-$(id -un)}
echo "login $login"
echo "groups $(id -Gn -- "$login")"
echo "arch $(uname -m)"
echo "cpus $(nproc)"
sed -n 's/^MemTotal: *\\([0-9]*\\) kB$/memory_kib \\1/p' /proc/meminfo
sed -n 's/^\\(ID\\|ID_LIKE\\|PRETTY_NAME\\)=\\(.*\\)$/\\1 \\2/p' /etc/os-release 2>/dev/null
for program; do
  path=$(command -v -- "$program") || { echo "program $program"; continue; }
  case $program in ssh) ask=-V ;; *) ask=--version ;; esac
  echo "program $program $path $("$program" "$ask" 2>&1 </dev/null | head -n 1)"
done
"""


@dataclass(frozen=True, slots=True)
class Program:
    """A program as found: `path` is empty when it is missing, `version` when it says none."""

    name: str
    path: str = ""
    version: tuple[int, ...] = ()
    banner: str = ""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One host. Bytes and seconds; `ahead` is its clock's lead on the manager's."""

    name: str
    user: str
    login: str
    groups: tuple[str, ...]
    system: str  # for people: Debian GNU/Linux 12 (bookworm)
    families: frozenset[str]  # ID and ID_LIKE of os-release
    arch: str
    cpus: int
    memory: int
    ahead: float
    uncertain: float  # half the round trip: `ahead` may be off by so much
    programs: Mapping[str, Program]

    @property
    def is_root(self) -> bool:
        """Whether commands run as root."""
        return self.user == "root"

    @property
    def sudo(self) -> str:
        """What a command for root begins with, typed by who logged in."""
        return "" if self.login == "root" else "sudo "

    @property
    def by_sudo(self) -> bool:
        """Whether commands run as somebody else than who logged in."""
        return self.user != self.login


def probe_host(
    host: Host, programs: Sequence[str], clock: Callable[[], float] = time.time
) -> HostFacts:
    """Ask a host who and what it is. Raises StandbyError when it cannot be asked."""
    host.run(("true",), timeout=_LOOK_S)  # connecting takes its time, and is not the clock's fault
    began = clock()
    text = host.run(("date", "+%s.%N"), timeout=_LOOK_S).text
    ended = clock()
    facts = host.run(("sh", "-c", _FACTS, "standby-facts", *programs), timeout=_LOOK_S).text
    return parse_facts(host.name, facts, _lead(host.name, text, began, ended))


@dataclass(frozen=True, slots=True)
class Lead:
    """A clock's lead in seconds, and how far off it may be."""

    ahead: float
    uncertain: float


def _lead(host: str, text: str, began: float, ended: float) -> Lead:
    try:
        there = float(text)
    except ValueError as error:
        raise CommandFailed(host, f"date printed {text!r}", "seconds and nanoseconds") from error
    return Lead(there - (began + ended) / 2, (ended - began) / 2)


def parse_facts(name: str, text: str, lead: Lead) -> HostFacts:
    """Read what the program above printed. Raises CommandFailed when it is not that."""
    lines = [line.split(" ", 1) for line in text.splitlines() if " " in line]
    facts = {key: value.strip().strip("\"'") for key, value in lines if key != "program"}
    found = [_program(value) for key, value in lines if key == "program"]
    try:
        return HostFacts(
            name=name,
            user=facts["user"],
            login=facts["login"],
            groups=tuple(facts["groups"].split()),
            system=facts.get("PRETTY_NAME", "an unknown system"),
            families=frozenset([facts.get("ID", ""), *facts.get("ID_LIKE", "").split()]),
            arch=facts["arch"],
            cpus=int(facts["cpus"]),
            memory=int(facts["memory_kib"]) * 1024,
            ahead=lead.ahead,
            uncertain=lead.uncertain,
            programs={program.name: program for program in found},
        )
    except (KeyError, ValueError) as error:
        raise CommandFailed(name, f"unreadable facts ({error!r})", "a GNU system") from error


def _program(value: str) -> Program:
    words = [*value.split(" ", 2), "", ""]
    name, path, banner = words[0], words[1], words[2]
    match = _VERSION.search(banner)
    version = tuple(int(number) for number in match[0].split(".")) if match else ()
    return Program(name, path, version, banner)

"""`standby check` on the lab: what it finds, and whether its fixes are right."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from support_cli import ENVIRONMENT, CommandLine

from lab import Lab
from lab.blockguest import BlockGuest

PROBLEM = "problem"
WARNING = "warning"
Json = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """One finding as --json gives it."""

    severity: str
    where: str
    topic: str
    found: str
    words: str
    command: str
    on: str

    @classmethod
    def read(cls, finding: Json) -> Found:
        """Read one."""
        fix = finding["fix"] or {"words": "", "command": None, "on": ""}
        plain = (finding[key] for key in ("severity", "where", "topic", "found"))
        return cls(*plain, fix["words"], fix["command"] or "", fix["on"])


@dataclass(frozen=True)
class Checked:
    """What one check found."""

    findings: tuple[Found, ...]

    def of(self, *severities: str) -> list[Found]:
        """Return the findings of these severities."""
        return [finding for finding in self.findings if finding.severity in severities]

    def about(self, topic: str, where: str) -> list[Found]:
        """Return the findings about one topic of one place."""
        return [it for it in self.findings if (it.topic, it.where) == (topic, where)]

    def only_problem(self) -> Found:
        """Return the one problem."""
        problems = self.of(PROBLEM)
        assert len(problems) == 1, problems or "no problem was found"
        return problems[0]

    def expect_no_problem(self) -> None:
        """Nothing keeps a cycle from running."""
        assert self.of(PROBLEM) == []


@dataclass(frozen=True)
class Checker:
    """Writes profiles for a guest, checks them, and does what fixes say."""

    cli: CommandLine

    @property
    def lab(self) -> Lab:
        """Where all this happens."""
        return self.cli.lab

    def check(self, profile: str) -> Checked:
        """Check a profile; the exit status has to agree with what was found."""
        argv = self.cli.argv(("check", profile, "--json"))
        done = self.lab.run("manager", argv, env=ENVIRONMENT)
        assert done.returncode in {0, 1}, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        checked = Checked(tuple(map(Found.read, json.loads(done.stdout)["findings"])))
        assert done.returncode == bool(checked.of(PROBLEM)), done.stdout
        return checked

    def write(self, guest: BlockGuest, **sections: object) -> str:
        """Write a profile for a guest, and return its name. `sections` are merged in."""
        profile: dict[str, Any] = {
            "source": {
                "type": "libvirt",
                "host": str(guest.host),
                "domain": guest.name,
                "consistency": "crash",
                "scratch": {"reserve": "64MiB"},
            },
            "target": {"host": "kvm", "storage": "/srv/standby"},
        }
        for section, values in sections.items():
            merged = {**profile.get(section, {}), **dict(values)}  # type: ignore[call-overload]
            profile[section] = merged
        self.file(guest.name).write_text(yaml.safe_dump(profile))
        return guest.name

    def file(self, profile: str) -> Path:
        """Return a profile's file."""
        return self.cli.root / f"profiles/{profile}.yaml"

    def host(self, name: str, **keys: object) -> str:
        """Write the file of a host, and return its name."""
        (self.cli.root / f"hosts/{name}.yaml").write_text(yaml.safe_dump(keys))
        return name

    def apply(self, finding: Found) -> None:
        """Run the command of a fix where it says. What it says after `sudo` is run as root."""
        assert finding.command, finding
        host = {"src": "source"}.get(finding.on, finding.on.partition("-")[0])
        self.lab.exec(host, ["sh", "-c", finding.command])

    def simulate(self, finding: Found) -> None:
        """Let apt say whether it could do what a fix says."""
        words = finding.command.split()
        assert words[:2] == ["apt-get", "install"], finding
        self.lab.exec("manager", ["apt-get", "--simulate", *words[1:]])


def texts(findings: Iterable[Found]) -> str:
    """Join what was found, to look for words in it."""
    return "\n".join(finding.found for finding in findings)

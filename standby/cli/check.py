"""`standby check`: look at everything a profile depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from standby.cli.options import ConfigOption, JsonOption, ProfileArgument
from standby.cli.output import print_json
from standby.cli.work import looking
from standby.errors import ExitStatus
from standby.profile.mistakes import Plain

if TYPE_CHECKING:
    from standby.app.checks.finding import CheckReport, Finding

EPILOG = "Example: standby check web1"
_INDENT = "  "


def check(
    context: typer.Context,
    profile: ProfileArgument,
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at both ends of a profile: what would make a cycle or a start fail, and the fix.

    Changes nothing lasting. Exit status 1 when there is a problem; warnings alone are 0.
    """
    from standby.app import check as application  # noqa: PLC0415 - 0.3 s --help does not need
    from standby.app.checks.finding import Severity  # noqa: PLC0415

    with looking(context, config) as session:
        report = application.check(session, session.profile(profile))
    if as_json:
        print_json(report_as_json(report))
    else:
        _print(report.findings)
        counts = (f"{report.count(severity)} {severity.value}" for severity in Severity)
        typer.echo(f"{report.profile}: {', '.join(counts)}")
    if report.worst is Severity.PROBLEM:
        raise typer.Exit(ExitStatus.FAILED.value)


def report_as_json(report: CheckReport) -> Plain:
    """Return a report for programs."""
    return {
        "profile": report.profile,
        "worst": report.worst.value,
        "findings": [finding_as_json(finding) for finding in report.findings],
    }


def finding_as_json(finding: Finding) -> Plain:
    """Return one finding for programs; `fix` is null when there is nothing to do."""
    fix = finding.fix
    return {
        "severity": finding.severity.value,
        "where": finding.where,
        "topic": finding.topic.value,
        "found": finding.found,
        "fix": {"words": fix.words, "command": fix.command or None, "on": fix.on}
        if str(fix)
        else None,
    }


def _print(findings: Sequence[Finding]) -> None:
    """Print lines and no table: a command in a folded cell cannot be copied."""
    heads = [_head(finding) for finding in findings]
    wide = [max(map(len, column)) for column in zip(*heads, strict=True)]
    for head, finding in zip(heads, findings, strict=True):
        columns = [f"{cell:<{width}}" for cell, width in zip(head, wide, strict=True)]
        typer.echo(f"{'  '.join(columns)}  {finding.found}")
        if str(finding.fix):
            typer.echo(f"{_INDENT}fix: {finding.fix}")


def _head(finding: Finding) -> tuple[str, str, str]:
    return finding.severity.value, finding.where, finding.topic.value

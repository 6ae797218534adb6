"""What monitoring systems read: one line of text, numbers after a bar, the worst as status."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import combinations_with_replacement
from pathlib import Path

import pytest
from chain_world import START, observed
from cli_world import look, manifest, running

from standby.app.inspect import NotSeen, StandbyLook
from standby.cli.nagios import PluginStatus, plugin_failure, plugin_output
from standby.errors import FixProfile, ReachHost
from standby.model.health import Concern, Condition, Health, Problem, Severity

# 'label'=value[UOM];[warn];[crit];[min];[max], as the Monitoring Plugins' guidelines have it.
_NUMBER = re.compile(r"('(?:[^'=]|'')+'|[^'= ]+)=(-?\d+(?:\.\d+)?)(s|B|%|c)?(;[\d.]*){0,4}(?= |$)")
_SEVERITIES = {
    Health.NORMAL: Severity.NOTE,
    Health.WARNING: Severity.WARNING,
    Health.CRITICAL: Severity.CRITICAL,
    Health.UNKNOWN: Severity.WARNING,
}


def unseen(name: str, health: Health, text: str = "kvm2 is gone") -> NotSeen:
    problem = Problem(Concern.HOST, _SEVERITIES[health], text, "")
    error = ReachHost("kvm2", "no answer")
    return NotSeen(name, error, START, Condition(health, (problem,)), lag=timedelta(seconds=90))


def parts(*looks: StandbyLook | NotSeen) -> tuple[str, dict[str, str], list[str], PluginStatus]:
    """The text, the numbers, the lines below, and the status."""
    output, status = plugin_output(looks)
    first, *rest = output.split("\n")
    text, bar, numbers = first.partition(" | ")
    assert bar
    assert _NUMBER.sub("", numbers).strip() == "", numbers
    told = {it[1].strip("'"): it[2] for it in _NUMBER.finditer(numbers)}
    return text, told, rest, status


def test_a_standby_that_is_well_is_ok_with_its_numbers(tmp_path: Path) -> None:
    well = look(tmp_path, observed(manifest(2)), now=START + timedelta(hours=2))
    text, numbers, rest, status = parts(well)
    assert status is PluginStatus.OK
    assert text == "STANDBY OK - 1 normal"
    assert rest == []
    assert numbers["web1 lag"] == "3600"
    assert numbers["web1 points"] == "2"
    assert numbers["normal"] == "1"


def test_the_one_that_is_ill_is_named_with_its_reasons(tmp_path: Path) -> None:
    text, _, rest, status = parts(look(tmp_path, running(manifest(2))))
    assert status is PluginStatus.WARNING
    assert text.startswith("STANDBY WARNING - 1 warning; web1 WARNING: the standby runs, on V")
    assert rest == [text.partition("; ")[2]]


@pytest.mark.parametrize("healths", list(combinations_with_replacement(Health, 2)))
def test_the_worst_of_all_is_the_status(healths: tuple[Health, ...]) -> None:
    _, _, rest, status = parts(*(unseen(f"web{n}", it) for n, it in enumerate(healths)))
    order = [Health.CRITICAL, Health.UNKNOWN, Health.WARNING, Health.NORMAL]
    expected = {
        Health.NORMAL: PluginStatus.OK,
        Health.WARNING: PluginStatus.WARNING,
        Health.CRITICAL: PluginStatus.CRITICAL,
        Health.UNKNOWN: PluginStatus.UNKNOWN,
    }[min(healths, key=order.index)]
    assert status is expected
    assert len(rest) == sum(it is not Health.NORMAL for it in healths)


def test_nothing_to_look_at_is_unknown_and_not_ok() -> None:
    text, _, _, status = parts()
    assert (text, status) == ("STANDBY UNKNOWN - no standbys", PluginStatus.UNKNOWN)


def test_no_text_of_ours_can_pass_for_numbers_or_a_line() -> None:
    odd = unseen("we'b=1", Health.CRITICAL, "a | b\nc=3;\td")
    output, _ = plugin_output([odd])
    first, second = output.split("\n")
    assert first.count("|") == 1
    assert "a / b c=3; d" in first
    assert "|" not in second
    assert "'we''b_1 lag'=90s" in first


def test_who_cannot_look_at_all_is_unknown_with_the_reason() -> None:
    text, status = plugin_failure(FixProfile("manager.yaml:3", "unknown\nkey"))
    assert (text, status.value) == ("STANDBY UNKNOWN - manager.yaml:3: unknown key", 3)


def test_the_statuses_are_those_of_plugins() -> None:
    assert [it.value for it in PluginStatus] == [0, 1, 2, 3]

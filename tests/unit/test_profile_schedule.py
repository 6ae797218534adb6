"""Schedules, RPO, scripts, receivers and limits as a profile gives them."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from configuration_files import PROFILE, loaded, only_mistake, shown, write_root
from hypothesis import given
from hypothesis import strategies as st

from standby.errors import RepairStore
from standby.model.hook import Hook, HookMoment, HookPlace, OnHookFailure
from standby.model.notice import MailTo, News, Receivers, Webhook
from standby.model.priority import InputOutputClass, Priority
from standby.model.queue import AtOnce
from standby.model.schedule import (
    LAST_DATE,
    Every,
    MissedRuns,
    Monthly,
    Once,
    OnEvent,
    Schedule,
    SourceEvent,
    TimesOfDay,
    Weekday,
    Weekly,
)
from standby.model.window import DailyWindow, RateByDay
from standby.profile import Configuration, MailSecurity, MailServer, Profile, ProfileMistakes, units
from standby.profile.recorded import recorded_profile

MIB = 1 << 20
BUSY = DailyWindow(time(8), time(18))


def clock(text: str) -> datetime:
    return datetime.fromisoformat(text)


def profile_with(root: Path, text: str) -> Profile:
    return loaded(root, {"profiles/web1.yaml": PROFILE + text})


def scheduled(root: Path, text: str) -> Schedule:
    return profile_with(root, f"schedule: {text}\n").schedule.planned()


def test_a_profile_without_a_schedule_runs_by_hand_only(tmp_path: Path) -> None:
    profile = profile_with(tmp_path, "")
    assert profile.schedule.planned().entries == ()
    assert profile.rpo.target is None
    assert profile.scripts.hooks == ()
    assert profile.notify.receivers == Receivers()
    assert profile.priority == Priority()
    assert not profile.transfer.rate
    assert not profile.source.read_rate


def test_every_kind_of_entry_is_planned(tmp_path: Path) -> None:
    text = """
  every: 15m
  weekly:
    - {days: [fri, sat], from: 22:00, to: 06:00, repeat: 30m}
    - at: 03:00
  monthly: [{dates: [1, last], at: 04:30}]
  once: [now, 2026-12-24 22:00]
  on_event: [shutdown, crash]
  effective: {from: 2026-12-01, until: 2027-11-30}
  timezone: Europe/Berlin
  missed: skip
  seed_at: 2026-12-01 22:00
"""
    night = TimesOfDay(time(22), time(6), timedelta(minutes=30))
    assert scheduled(tmp_path, text) == Schedule(
        zone=ZoneInfo("Europe/Berlin"),
        entries=(
            Every(timedelta(minutes=15)),
            Weekly(frozenset({Weekday.FRI, Weekday.SAT}), night),
            Weekly(frozenset(Weekday), TimesOfDay(time(3))),
            Monthly(frozenset({1, LAST_DATE}), TimesOfDay(time(4, 30))),
            Once(None),
            Once(clock("2026-12-24 22:00")),
            OnEvent(frozenset({SourceEvent.SHUTDOWN, SourceEvent.CRASH})),
        ),
        begins=clock("2026-12-01"),
        ends=clock("2027-12-01"),  # the last day is within
        missed=MissedRuns.SKIP,
        seed_at=clock("2026-12-01 22:00"),
    )


def test_without_a_zone_of_its_own_a_schedule_has_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    noon = datetime(2026, 12, 1, 12, tzinfo=UTC)
    zone = scheduled(tmp_path, "{every: 5s}").zone
    assert noon.astimezone(zone).utcoffset() == timedelta(hours=5, minutes=45)


def test_a_profile_adds_to_the_schedule_of_its_policy_or_takes_from_it(tmp_path: Path) -> None:
    files = {
        "policies/gold.yaml": "schedule: {every: 1h, weekly: [{at: 03:00}], timezone: UTC}\n",
        "profiles/web1.yaml": f"policy: gold\n{PROFILE}schedule: {{every: 5m, weekly: null}}\n",
    }
    mistake = only_mistake(tmp_path, files)  # a list is emptied by an empty one
    assert mistake.path == "schedule.weekly"
    files["profiles/web1.yaml"] = files["profiles/web1.yaml"].replace("null", "[]")
    assert loaded(tmp_path, files).schedule.planned().entries == (Every(timedelta(minutes=5)),)


@pytest.mark.parametrize(
    ("text", "place", "wrong", "allowed"),
    [
        ("{every: 4s}", "every", "found the text '4s'", "5s to 366d"),
        ("{every: fast}", "every", "'fast' is not a duration", "duration:"),
        ("{weekly: [{from: 22:00, repeat: 1h}]}", "weekly.0.from", "without to", "`at` alone"),
        ("{weekly: [{from: 22:00, to: 06:00}]}", "weekly.0.from", "without repeat", "`at` alone"),
        ("{weekly: [{repeat: 1h}]}", "weekly.0.repeat", "without from", "`at` alone"),
        ("{weekly: [{days: [mon]}]}", "weekly.0", "no time of the day is set", "`at` alone"),
        ("{weekly: [{at: 03:00, to: 04:00}]}", "weekly.0.at", "at and to are both set", "`at`"),
        ("{weekly: [{at: 24:00}]}", "weekly.0.at", "'24:00' is not a time", "time of the day"),
        ("{weekly: [{days: [], at: 03:00}]}", "weekly.0.days", "found a list", "mon, tue"),
        ("{weekly: [{days: [monday], at: 03:00}]}", "weekly.0.days.0", "'monday'", "mon, tue"),
        (
            "{weekly: [{from: 22:00, to: 23:00, repeat: 1h}]}",
            "weekly.0.repeat",
            "over before the second run",
            "a shorter repeat",
        ),
        (
            "{weekly: [{from: 22:00, to: 06:00, repeat: 4s}]}",
            "weekly.0.repeat",
            "found the text '4s'",
            "5s to",
        ),
        ("{monthly: [{dates: [32], at: 03:00}]}", "monthly.0.dates.0", "the number 32", "1 to 31"),
        ("{monthly: [{dates: [0], at: 03:00}]}", "monthly.0.dates.0", "the number 0", "last"),
        ("{monthly: [{at: 03:00}]}", "monthly.0.dates", "is missing", "1 to 31"),
        ("{once: [tomorrow]}", "once.0", "'tomorrow' is not a time", "now, or a time"),
        ("{once: [2026-02-30 03:00]}", "once.0", "no date of the calendar", "now, or a time"),
        ("{once: ['2026-12-24 22:00+01:00']}", "once.0", "is not a time", "now, or a time"),
        ("{once: [9999-12-31 23:59]}", "once.0", "too far away", "now, or a time"),
        ("{on_event: [reboots]}", "on_event.0", "'reboots'", "shutdown, reboot, crash"),
        ("{timezone: Europe/Atlantis}", "timezone", "no time zone", "Europe/Berlin or UTC"),
        ("{timezone: ../../etc/passwd}", "timezone", "no time zone", "Europe/Berlin or UTC"),
        (
            "{effective: {from: 2027-01-02, until: 2027-01-01}}",
            "effective.until",
            "from is not before until",
            "an earlier from",
        ),
        (
            "{effective: {from: 2027-01-01 10:00, until: 2027-01-01 10:00}}",
            "effective.until",
            "from is not before until",
            "an earlier from",
        ),
        (
            "{every: 5m, application_every: 4h}",
            "application_every",
            "source.consistency is filesystem",
            "with source.consistency: application",
        ),
        ("{every: 15m, timezon: UTC}", "timezon", "did you mean 'timezone'", "every, weekly"),
    ],
)
def test_what_is_wrong_with_a_schedule_is_said_at_its_line(
    tmp_path: Path, text: str, place: str, wrong: str, allowed: str
) -> None:
    mistake = only_mistake(tmp_path, {"profiles/web1.yaml": f"{PROFILE}schedule: {text}\n"})
    told = shown(tmp_path, mistake)
    assert told.startswith(f"profiles/web1.yaml:3: schedule.{place}: ")
    assert wrong in mistake.wrong
    assert allowed in mistake.allowed


def test_a_mistake_in_an_entry_is_placed_at_its_own_line(tmp_path: Path) -> None:
    text = f"{PROFILE}schedule:\n  weekly:\n    - at: 03:00\n    - days: [mon]\n      to: 04:00\n"
    mistake = only_mistake(tmp_path, {"profiles/web1.yaml": text})
    assert (mistake.path, mistake.mark.line) == ("schedule.weekly.1.to", 7)


def test_one_day_is_a_time_in_which_a_schedule_may_hold(tmp_path: Path) -> None:
    schedule = scheduled(tmp_path, "{effective: {from: 2027-01-01, until: 2027-01-01}}")
    assert (schedule.begins, schedule.ends) == (clock("2027-01-01"), clock("2027-01-02"))


def test_a_window_may_be_all_day(tmp_path: Path) -> None:
    schedule = scheduled(tmp_path, "{weekly: [{from: 00:00, to: 00:00, repeat: 12h}]}")
    (entry,) = schedule.entries
    assert isinstance(entry, Weekly)
    assert entry.times == TimesOfDay(time(0), time(0), timedelta(hours=12))


def test_application_points_need_a_source_that_can_make_them(tmp_path: Path) -> None:
    source = PROFILE.replace("web1}", "web1, consistency: application}")
    text = f"{source}schedule: {{every: 5m, application_every: 4h}}\n"
    profile = loaded(tmp_path, {"profiles/web1.yaml": text})
    assert profile.schedule.planned().application_every == timedelta(hours=4)


def test_an_unreadable_policy_is_one_mistake_though_it_may_hold_what_else_is_missing(
    tmp_path: Path,
) -> None:
    text = f"policy: gone\n{PROFILE}schedule: {{every: 5m, application_every: 4h}}\n"
    assert only_mistake(tmp_path, {"profiles/web1.yaml": text}).path == "policy"


def test_an_rpo_that_the_schedule_can_never_meet_is_a_mistake(tmp_path: Path) -> None:
    text = f"{PROFILE}rpo: {{target: 30m}}\nschedule: {{every: 1h}}\n"
    mistake = only_mistake(tmp_path, {"profiles/web1.yaml": text})
    assert shown(tmp_path, mistake).startswith("profiles/web1.yaml:3: rpo.target: ")
    text = text.replace("1h}", "1h, weekly: [{from: 00:00, to: 00:00, repeat: 10m}]}")
    assert loaded(tmp_path, {"profiles/web1.yaml": text}).rpo.target == timedelta(minutes=30)


def test_scripts_are_told_with_their_moments(tmp_path: Path) -> None:
    text = """
scripts:
  before_capture:
    - {place: guest, command: [/bin/flush, --all], limit: 30s, on_failure: continue}
    - {place: source_host, command: [/bin/prepare]}
  after_failure: [{place: manager, command: [/bin/tell, a b]}]
"""
    before = HookMoment.BEFORE_CAPTURE
    half = timedelta(seconds=30)
    flush = ("/bin/flush", "--all")
    assert profile_with(tmp_path, text).scripts.hooks == (
        Hook(before, HookPlace.GUEST, flush, half, OnHookFailure.CONTINUE),
        Hook(before, HookPlace.SOURCE_HOST, ("/bin/prepare",)),
        Hook(HookMoment.AFTER_FAILURE, HookPlace.MANAGER, ("/bin/tell", "a b")),
    )


def test_receivers_get_what_they_ask_for(tmp_path: Path) -> None:
    text = """
notify:
  mail: [{to: ops@example.org}, {to: boss@example.org, news: [weekly]}]
  webhooks: [{url: "https://chat.example.org/x", news: [failure]}]
"""
    assert profile_with(tmp_path, text).notify.receivers == Receivers(
        (MailTo("ops@example.org"), MailTo("boss@example.org", frozenset({News.WEEKLY}))),
        (Webhook.at("https://chat.example.org/x", frozenset({News.FAILURE})),),
    )


def test_an_address_that_is_a_secret_is_read_when_it_is_needed_and_never_shown(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "chat-url"
    text = f"notify: {{webhooks: [{{url: {{file: {secret}}}}}, {{url: {{env: CHAT_URL}}}}]}}\n"
    profile = profile_with(tmp_path, text)
    in_file, in_variable = profile.notify.receivers.webhooks
    secret.write_text("https://chat.example.org/T0KEN\n")
    secret.chmod(0o600)
    assert in_file.url() == "https://chat.example.org/T0KEN"
    assert in_file.reference == f"secret file {secret}"
    assert in_variable.reference == "environment variable CHAT_URL"
    shown = f"{profile.effective()}{profile}{in_file}"
    assert "T0KEN" not in shown
    assert f"{{'file': '{secret}'}}" in shown
    recorded = recorded_profile(profile.effective(), "the manifest")
    assert recorded.notify.receivers == profile.notify.receivers


def test_a_wrong_address_is_not_repeated(tmp_path: Path) -> None:
    text = "notify: {webhooks: [{url: htps://chat.example.org/T0KEN}]}\n"
    mistake = only_mistake(tmp_path, {"profiles/web1.yaml": PROFILE + text})
    assert "T0KEN" not in str(mistake)
    assert "http:// or https://" in str(mistake)


@pytest.mark.parametrize(
    "text",
    [
        "notify: {mail: [{to: ops}]}",
        'notify: {mail: [{to: "ops@example.org\\nBcc: x@example.org"}]}',
        "notify: {webhooks: [{url: ftp://example.org/x}]}",
        "notify: {webhooks: [{url: https://user:secret@example.org/x}]}",
        "notify: {webhooks: [{url: https://}]}",
        "scripts: {before_capture: [{place: guest, command: []}]}",
        "scripts: {before_capture: [{place: guest, command: /bin/flush}]}",
        "scripts: {before_capture: [{place: moon, command: [/bin/flush]}]}",
        "limits: {nice: 20}",
        "limits: {nice: -1}",
        "limits: {input_output: realtime}",
        "transfer: {bandwidth: []}",
        "transfer: {bandwidth: [{rate: 1MiB/s}, {window: 08:00-18:00, rate: 2MiB/s}]}",
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, text: str) -> None:
    mistake = only_mistake(tmp_path, {"profiles/web1.yaml": f"{PROFILE}{text}\n"})
    assert mistake.mark.line == 3


def test_limits_follow_the_clock(tmp_path: Path) -> None:
    text = """
limits: {nice: 10, input_output: idle}
transfer: {bandwidth: [{window: 08:00-18:00, rate: 10MiB/s}, {rate: 100MiB/s}]}
"""
    profile = profile_with(tmp_path, text)
    assert profile.priority == Priority(10, InputOutputClass.IDLE)
    assert profile.transfer.rate == RateByDay(100 * MIB, ((BUSY, 10 * MIB),))


def test_a_part_of_the_day_may_have_no_limit(tmp_path: Path) -> None:
    text = "transfer: {bandwidth: [{window: 08:00-18:00, rate: null}, {rate: 5MiB/s}]}\n"
    rate = profile_with(tmp_path, text).transfer.rate
    assert (rate.at(time(12)), rate.at(time(20))) == (None, 5 * MIB)


@given(st.datetimes(clock("1970-01-01"), clock("8999-12-31")))
def test_times_are_read_back_as_they_are_written(moment: datetime) -> None:
    minute = moment.replace(second=0, microsecond=0)
    assert units.parse_moment(units.format_moment(minute)) == minute
    assert units.parse_last_moment(units.format_moment(minute)) == minute
    assert units.parse_clock(units.format_clock(minute.time())) == minute.time()


# ---- profiles recorded by earlier versions ----------------------------------------------

LATER = ("schedule", "rpo", "scripts", "notify", "history", "limits")


def test_a_profile_recorded_before_there_were_schedules_is_still_read(tmp_path: Path) -> None:
    profile = profile_with(tmp_path, "transfer: {bandwidth: 1MiB/s}\n")
    values = {key: value for key, value in profile.effective().items() if key not in LATER}
    assert isinstance(values["source"], dict)
    del values["source"]["read_bandwidth"]
    read = recorded_profile(values, "standby.json")
    assert read.schedule == profile.schedule
    assert read.priority == Priority()
    assert read.transfer.rate == RateByDay(MIB)
    assert read.standby_name == profile.standby_name


def test_a_profile_recorded_with_a_schedule_is_the_same_again(tmp_path: Path) -> None:
    text = "schedule: {weekly: [{from: 22:00, to: 06:00, repeat: 1h}], effective: {until: "
    profile = profile_with(tmp_path, f"{text}2027-01-01}}, once: [now]}}\n")
    assert recorded_profile(profile.effective(), "standby.json").schedule == profile.schedule


def test_what_a_later_version_recorded_is_not_guessed_at(tmp_path: Path) -> None:
    values = profile_with(tmp_path, "").effective()
    assert isinstance(values["schedule"], dict)
    values["schedule"]["hourly"] = 5
    with pytest.raises(RepairStore):
        recorded_profile(values, "standby.json")


# ---- the manager's own settings -----------------------------------------------------------


def test_settings_of_the_manager_have_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STANDBY_STATE", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    settings = Configuration(write_root(tmp_path, {})).manager()
    assert settings.state_directory == Path("/var/lib/standby")
    assert settings.at_once == AtOnce()
    assert not settings.bandwidth
    assert settings.mail is None
    assert settings.digest_weekday is Weekday.MON


def test_the_state_of_an_ordinary_user_is_his_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STANDBY_STATE", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/x")
    configuration = Configuration(write_root(tmp_path, {}))
    assert configuration.manager().state_directory == Path("/home/x/.local/state/standby")
    monkeypatch.setenv("XDG_STATE_HOME", "/run/x")
    assert configuration.manager().state_directory == Path("/run/x/standby")


def test_settings_of_the_manager_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
state_directory: /srv/state
at_once: {runs: 9, merges: 1}
bandwidth: [{window: 08:00-18:00, rate: 10MiB/s}]
mail: {host: smtp.example.org, sender: standby@example.org, security: tls}
metrics: {listen: "[::1]:9750"}
history: {keep: 4w}
daemon: {socket_group: standby, stop_limit: 5m}
digests: {at: 06:30, weekday: fri}
"""
    root = write_root(tmp_path, {"manager.yaml": text})
    monkeypatch.delenv("STANDBY_STATE", raising=False)
    settings = Configuration(root).manager()
    assert settings.state_directory == Path("/srv/state")
    assert settings.at_once == AtOnce(runs=9, merges=1)
    assert settings.bandwidth == RateByDay(None, ((BUSY, 10 * MIB),))
    server = MailServer("smtp.example.org", 465, MailSecurity.TLS, "standby@example.org")
    assert settings.mail == server
    assert settings.metrics.listen == ("::1", 9750)
    assert settings.history.keep == timedelta(weeks=4)
    assert settings.socket_group == "standby"
    assert settings.stop_limit == timedelta(minutes=5)
    assert (settings.digest_at, settings.digest_weekday) == (time(6, 30), Weekday.FRI)
    monkeypatch.setenv("STANDBY_STATE", "/run/other")
    assert Configuration(root).manager().state_directory == Path("/run/other")


@pytest.mark.parametrize(
    "text",
    [
        "mail: {host: smtp.example.org, sender: a@b, user: x}",
        "mail: {host: smtp.example.org, sender: a@b, user: x, password: secret}",
        "mail: {sender: a@b}",
        "metrics: {listen: 9750}",
        "metrics: {listen: 127.0.0.1:70000}",
        "metrics: {listen: 999.0.0.1:80}",
        "at_once: {runs: 0}",
        "state_directory: state",
        "history: {keep: 1h}",
    ],
)
def test_wrong_settings_of_the_manager_are_refused_and_hold_no_secret(
    tmp_path: Path, text: str
) -> None:
    root = write_root(tmp_path, {"manager.yaml": f"\n{text}\n"})
    with pytest.raises(ProfileMistakes) as caught:
        Configuration(root).manager()
    (mistake,) = caught.value.mistakes
    assert mistake.mark.line == 2
    assert "secret'" not in str(mistake)


def test_settings_that_are_there_and_cannot_be_read_are_a_mistake(tmp_path: Path) -> None:
    root = write_root(tmp_path, {})
    (root / "manager.yaml").symlink_to(tmp_path / "gone.yaml")
    with pytest.raises(ProfileMistakes, match="cannot be read"):
        Configuration(root).manager()

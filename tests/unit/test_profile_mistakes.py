"""Everything that is wrong is reported at once: its line, its key, what is allowed."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from configuration_files import PROFILE, loaded, mistakes, only_mistake, shown, write_root
from hypothesis import given, settings
from hypothesis import strategies as st

from standby.errors import ExitStatus, FixProfile
from standby.profile import Configuration, LibvirtSource, ProfileMistakes
from standby.profile.file_kind import FileKind
from standby.profile.keys import ENTRY, Need, keys_of
from standby.profile.profile_file import ProfileFile

# One key on each line, so that a line and a key are the same thing.
EVERY_KEY = """\
policy: gold
source:
  type: libvirt
  host: hv1
  domain: web1
  consistency: application
  on_unavailable_agent: crash
  freeze_limit: 5s
  read_bandwidth: [{window: 08:00-18:00, rate: 50MiB/s}, {rate: null}]
  disks:
    include: [vda, vdb]
  scratch:
    directory: /var/lib/libvirt/scratch
    reserve: 10%
target:
  host: kvm1
  storage: /srv/standby
  allocation: full
  seed_from: /srv/old/web1.raw
standby:
  name: web1-dr
  title: Standby of web1
  template: ~/web.xml.j2
  uuid: keep
  memory: 4GiB
  vcpus: 2
  machine_type: pc-q35-7.2
  disk_bus: sata
  virtualisation: emulated
  networks:
    all: {bridge: br0}
  mac: new
  link: down
  nic_model: e1000e
boot_points:
  limit: 30
  keep:
    all: 1h
    hourly: 12
    daily: 7
    weekly: 4
    monthly: 2
transfer:
  bandwidth: 50MiB/s
  compression: ssh
merge:
  bandwidth: 100MiB/s
resync:
  bandwidth: 80MiB/s
  window: 19:00-06:00
schedule:
  every: 15m
  weekly: [{days: [sat], from: 22:00, to: 06:00, repeat: 5m}, {at: 03:00}]
  monthly: [{dates: [1, last], at: 04:30}]
  once: [now, 2026-12-24 22:00]
  on_event: [shutdown, crash]
  effective:
    from: 2026-12-01
    until: 2027-11-30 12:00
  timezone: Europe/Berlin
  missed: skip
  application_every: 4h
  seed_at: 2026-12-01 22:00
rpo:
  target: 30m
scripts:
  before_capture: [{place: guest, command: [/bin/flush, -a], limit: 30s, on_failure: continue}]
  after_capture: [{place: source_host, command: [/bin/go-on]}]
  after_publish: [{place: manager, command: [/bin/tell]}]
  after_failure: [{place: manager, command: [/bin/tell]}]
notify:
  mail: [{to: ops@example.org, news: [failure, daily]}]
  webhooks: [{url: https://chat.example.org/x, news: [failure]}]
history:
  keep: 4w
limits:
  nice: 10
  input_output: idle
"""
EVERY_HOST_KEY = """\
address: root@kvm1:22
identity_file: ~/.ssh/id
known_hosts: /etc/standby/known_hosts
ssh_config: /etc/standby/ssh_config
passphrase: {file: /run/passphrase}
password: {env: KVM1}
sudo: true
connect_timeout: 30s
libvirt_uri: qemu:///session
"""
EVERY_MANAGER_KEY = """\
state_directory: ~/state
at_once:
  runs: 8
  per_source_host: 1
  per_kvm_host: 4
  merges: 1
bandwidth: [{window: 08:00-18:00, rate: 10MiB/s}, {rate: 100MiB/s}]
mail:
  host: smtp.example.org
  security: tls
  port: 2465
  sender: standby@example.org
  user: standby
  password: {env: SMTP}
metrics:
  listen: 127.0.0.1:9750
  textfile: /var/lib/prometheus/standby.prom
history:
  keep: 13w
daemon:
  socket_group: standby
  stop_limit: 5m
digests:
  at: 06:30
  weekday: fri
"""
SECTIONS = tuple(ProfileFile.model_fields)
POLICY = {"policies/gold.yaml": ""}
# Wrong for every key, whatever kind of value it takes.
NEVER_ALLOWED = ("[[1]]", "-5", "{x: {y: 1}}", "''", "1.5", '"a\\nb"')


def value_lines(text: str) -> list[int]:
    """Return the lines (from 1) whose key has a value of its own."""
    lines = enumerate(text.splitlines(), 1)
    return [number for number, line in lines if not line.endswith(":")]


def damaged(text: str, values: dict[int, str]) -> str:
    lines = text.splitlines()
    for number, value in values.items():
        lines[number - 1] = lines[number - 1].partition(":")[0] + ": " + value
    return "\n".join(lines)


def keys_on_lines(text: str) -> set[str]:
    """Return all keys, those within braces too."""
    return set(re.findall(r"(?:^ *|[{,] ?)(\w+):", text, re.MULTILINE))


def test_the_sample_files_have_every_key(tmp_path: Path) -> None:
    alternatives = {"exclude", "pool", "env", "file"}
    for kind, text in [
        (FileKind.PROFILE, EVERY_KEY),
        (FileKind.HOST, EVERY_HOST_KEY),
        (FileKind.MANAGER, EVERY_MANAGER_KEY),
    ]:
        assert {key.name for key in keys_of(kind)} - keys_on_lines(text) <= alternatives
    files = {
        "profiles/web1.yaml": EVERY_KEY,
        "hosts/kvm1.yaml": EVERY_HOST_KEY,
        "manager.yaml": EVERY_MANAGER_KEY,
        **POLICY,
    }
    assert loaded(tmp_path, files).policy == "gold"


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(value_lines(EVERY_KEY)), st.sampled_from(NEVER_ALLOWED), min_size=1
    )
)
def test_wrong_values_anywhere_are_each_reported_at_their_line(values: dict[int, str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        files = {"profiles/web1.yaml": damaged(EVERY_KEY, values), **POLICY}
        found = mistakes(Path(root), files)
    assert {mistake.mark.line for mistake in found} == set(values)
    assert all(mistake.allowed for mistake in found)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(value_lines(EVERY_HOST_KEY)), st.sampled_from(NEVER_ALLOWED), min_size=1
    )
)
def test_wrong_values_of_a_host_are_each_reported_at_their_line(values: dict[int, str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        files = {
            "profiles/web1.yaml": PROFILE,
            "hosts/kvm1.yaml": damaged(EVERY_HOST_KEY, values),
        }
        found = mistakes(Path(root), files)
        assert {mistake.mark.file for mistake in found} == {Path(root) / "hosts/kvm1.yaml"}
    assert {mistake.mark.line for mistake in found} == set(values)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(value_lines(EVERY_MANAGER_KEY)), st.sampled_from(NEVER_ALLOWED), min_size=1
    )
)
def test_wrong_settings_of_the_manager_are_each_reported_at_their_line(
    values: dict[int, str],
) -> None:
    with tempfile.TemporaryDirectory() as root:
        write_root(Path(root), {"manager.yaml": damaged(EVERY_MANAGER_KEY, values)})
        with pytest.raises(ProfileMistakes) as caught:
            Configuration(Path(root)).manager()
    assert {mistake.mark.line for mistake in caught.value.mistakes} == set(values)
    assert all(mistake.allowed for mistake in caught.value.mistakes)


@settings(max_examples=100, deadline=None)
@given(st.sets(st.sampled_from(range(1, len(EVERY_KEY.splitlines()) + 1)), min_size=1))
def test_misspelt_keys_anywhere_are_reported_at_their_line(numbers: set[int]) -> None:
    lines = EVERY_KEY.splitlines()
    expected = set()
    for number in numbers:
        indent = lines[number - 1][: -len(lines[number - 1].lstrip())]
        lines[number - 1] = f"{indent}z" + lines[number - 1].lstrip()
        if not any(_is_below(lines, number, other) for other in numbers):
            expected.add(number)
    with tempfile.TemporaryDirectory() as root:
        found = mistakes(Path(root), {"profiles/web1.yaml": "\n".join(lines), **POLICY})
    follows = {"is missing", "source.consistency is filesystem"}
    wrong = {mistake.mark.line for mistake in found if mistake.wrong not in follows}
    assert wrong == expected


def _is_below(lines: list[str], number: int, parent: int) -> bool:
    """Tell whether line `number` stands somewhere below the key of line `parent`."""

    def indent(line: int) -> int:
        return len(lines[line - 1]) - len(lines[line - 1].lstrip())

    return parent < number and all(
        indent(between) > indent(parent) for between in range(parent + 1, number + 1)
    )


@pytest.mark.parametrize(
    "path",
    [
        key.path
        for key in keys_of(FileKind.PROFILE)
        if key.need is Need.REQUIRED and ENTRY not in key.path
    ],
)
def test_a_missing_key_is_reported_at_the_mapping_that_should_hold_it(
    tmp_path: Path, path: tuple[str, ...]
) -> None:
    if path[-1] == "pool":
        text = PROFILE.replace("/srv/standby", "{}")
        line = 2
    else:
        kept = EVERY_KEY.splitlines()
        line = kept.index(f"{path[0]}:") + 1
        place = next(
            n for n, it in enumerate(kept) if n >= line and it.strip().startswith(f"{path[-1]}:")
        )
        text = "\n".join(kept[:place] + kept[place + 1 :])
    mistake = only_mistake(tmp_path, {"profiles/web1.yaml": text, **POLICY})
    assert (mistake.path, mistake.mark.line) == (".".join(path), line)
    assert mistake.wrong == "is missing"


def test_a_missing_key_is_reported_in_the_uppermost_file_that_could_hold_it(tmp_path: Path) -> None:
    files = {
        "defaults.yaml": "source: {type: libvirt, host: hv1}\n",
        "profiles/web1.yaml": "\nsource: {consistency: crash}\n" + PROFILE.splitlines()[1],
    }
    mistake = only_mistake(tmp_path, files)
    assert shown(tmp_path, mistake).startswith("profiles/web1.yaml:2: source.domain: is missing")


@pytest.mark.parametrize(
    ("text", "place", "wrong", "allowed"),
    [
        (
            "source: {type: libvirt, host: hv1, domian: web1, domain: web1}",
            "1: source.domian",
            "unknown key (did you mean 'domain'?)",
            ", ".join(LibvirtSource.model_fields),
        ),
        (
            "boot_points: {limit: 65}",
            "3: boot_points.limit",
            "found the number 65",
            "a whole number, 1 to 64",
        ),
        (
            "boot_points: {limit: '22'}",
            "3: boot_points.limit",
            "found the text '22'",
            "a whole number, 1 to 64",
        ),
        (
            "transfer: {bandwidth: 50}",
            "3: transfer.bandwidth",
            "found the number 50",
            "rate: 50MiB/s or 400Mbit/s, or a list of: a mapping with window, rate, or null",
        ),
        (
            "transfer: {bandwidth: 50MiB}",
            "3: transfer.bandwidth",
            "'50MiB' is not a rate (50MiB/s or 400Mbit/s)",
            "rate: 50MiB/s or 400Mbit/s, or a list of: a mapping with window, rate, or null",
        ),
        (
            "transfer: {bandwidth: 1B/s}",
            "3: transfer.bandwidth",
            "found the text '1B/s'",
            "1KiB/s or more",
        ),
        ("standby: {memory: 1KiB}", "3: standby.memory", "found the text '1KiB'", "1MiB or more"),
        ("standby: {link: yes}", "3: standby.link", "found the text 'yes'", "up, down"),
        (
            "standby: {networks: {eth0: disconnected}}",
            "3: standby.networks.eth0",
            "the key itself is not allowed",
            "all, a NIC's number counted from 0, or its MAC address",
        ),
        (
            "standby: {networks: {all: {bridge: a, network: b}}}",
            "3: standby.networks.all.bridge",
            "network and bridge are both set",
            "one of them",
        ),
        (
            "standby: {name: -rf}",
            "3: standby.name",
            "found the text '-rf'",
            "1 to 63 letters, digits, '_', '.', '-', starting with a letter or digit",
        ),
        (
            "target: {host: kvm1, storage: /srv/../etc}",
            "2: target.storage",
            "'/srv/../etc' is not an absolute path without '..'",
            "absolute path, or a mapping with pool",
        ),
        ("<x>: 1", "3: <x>", "unknown key", ", ".join(SECTIONS)),
        ("'[key]': 1", "3: [key]", "unknown key", ", ".join(SECTIONS)),
    ],
)
def test_a_mistake_says_where_what_and_what_is_allowed(
    tmp_path: Path, text: str, place: str, wrong: str, allowed: str
) -> None:
    section = text.partition(":")[0]
    lines = [line for line in PROFILE.splitlines() if line.partition(":")[0] != section]
    lines.insert(int(place[0]) - 1, text)
    mistake = only_mistake(tmp_path, {"profiles/web1.yaml": "\n".join(lines)})
    assert shown(tmp_path, mistake) == f"profiles/web1.yaml:{place}: {wrong}, allowed: {allowed}"


def test_freezing_has_a_time_limit_in_reason(tmp_path: Path) -> None:
    text = PROFILE.replace("web1}", "web1, freeze_limit: 6m}")
    mistake = only_mistake(tmp_path, {"profiles/web1.yaml": text})
    assert (mistake.wrong, mistake.allowed) == ("found the text '6m'", "1s to 5m")


def test_mistakes_in_all_files_are_told_together(tmp_path: Path) -> None:
    files = {
        "defaults.yaml": "merge:\n  bandwith: 1MiB/s\n",
        "policies/gold.yaml": "boot_points:\n  limit: 22\n  limit: 0\n",
        "hosts/kvm1.yaml": "address: a b\n",
        "profiles/web1.yaml": PROFILE.replace("hv1", "hv2") + "policy: gold\ntransfer: fast\n",
    }
    assert {
        shown(tmp_path, mistake).rpartition(": ")[0][:45] for mistake in mistakes(tmp_path, files)
    } == {
        text[:45]
        for text in (
            "defaults.yaml:2: merge.bandwith: unknown key (did you mean",
            "policies/gold.yaml:3: boot_points.limit: stands twice",
            "hosts/kvm1.yaml:1: address: 'a b' is not an address (an IPv6",
            "profiles/web1.yaml:1: source.host: there is no host 'hv2' (no",
            "profiles/web1.yaml:4: transfer: found the text 'fast', allowed",
        )
    }


def test_a_wrong_value_is_reported_even_where_an_upper_file_hides_it(tmp_path: Path) -> None:
    files = {
        "defaults.yaml": "boot_points: {limit: many}\n",
        "profiles/web1.yaml": PROFILE + "boot_points: {limit: 3}\n",
    }
    assert only_mistake(tmp_path, files).mark.file == tmp_path / "defaults.yaml"


def test_a_policy_or_host_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    files = {
        "policies/gold.yaml": "",
        "policies/silver.yaml": "",
        "profiles/web1.yaml": f"policy: golden\n{PROFILE}".replace("kvm1", "kvm7"),
    }
    policy, host = mistakes(tmp_path, files)
    assert shown(tmp_path, policy) == (
        "profiles/web1.yaml:1: policy: there is no policy 'golden' "
        "(no file policies/golden.yaml), allowed: gold, silver"
    )
    assert shown(tmp_path, host) == (
        "profiles/web1.yaml:3: target.host: there is no host 'kvm7' "
        "(no file hosts/kvm7.yaml), allowed: hv1, kvm1, local"
    )


def test_what_a_file_that_cannot_be_read_would_say_is_not_called_missing(tmp_path: Path) -> None:
    shared = "target: {host: kvm1, storage: /srv/standby}\n"
    own = "policy: gold\nsource: {type: libvirt, host: hv1, domain: web1}\n"
    for number, files in enumerate(
        [
            {"policies/gold.yaml": shared + "[", "profiles/web1.yaml": own},
            {"policies/gold.yaml": shared, "profiles/web1.yaml": own.replace("gold", "golden")},
            {"policies/gold.yaml": shared, "profiles/web1.yaml": own + "["},
            {"policies/gold.yaml": shared, "profiles/web1.yaml": own, "hosts/kvm1.yaml": "["},
        ]
    ):
        assert only_mistake(tmp_path / str(number), files).wrong != "is missing"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("policy", "policy: other\n"),
        ("source.domain", "source: {domain: web1}\n"),
        ("standby.name", "standby: {name: x}\n"),
    ],
)
def test_what_names_one_machine_cannot_be_shared(tmp_path: Path, key: str, text: str) -> None:
    for file, use in [("defaults.yaml", ""), ("policies/gold.yaml", "policy: gold\n")]:
        root = tmp_path / Path(file).stem
        mistake = only_mistake(root, {file: text, "profiles/web1.yaml": use + PROFILE})
        assert (mistake.path, mistake.mark.file) == (key, root / file)


# ---- combinations that cannot be -------------------------------------------------------


def test_tiers_that_fit_exactly_are_allowed(tmp_path: Path) -> None:
    tiers = "boot_points: {limit: 21, keep: {all: 1h, hourly: 12, daily: 7, weekly: 4}}\n"
    assert loaded(tmp_path, {"profiles/web1.yaml": PROFILE + tiers}).boot_points.limit == 21


@pytest.mark.parametrize(
    ("policy", "own", "place"),
    [
        ("boot_points: {limit: 9}\n", "boot_points:\n  keep:\n    hourly: 10\n", "web1.yaml:5"),
        ("boot_points:\n  keep: {hourly: 10}\n", "boot_points:\n  limit: 9\n", "web1.yaml:5"),
        ("boot_points:\n  limit: 9\n  keep: {hourly: 10}\n", "", "gold.yaml:3"),
    ],
)
def test_tiers_above_the_limit_are_reported_where_the_last_of_both_was_said(
    tmp_path: Path, policy: str, own: str, place: str
) -> None:
    files = {"policies/gold.yaml": policy, "profiles/web1.yaml": f"policy: gold\n{PROFILE}{own}"}
    mistake = only_mistake(tmp_path, files)
    assert f"{mistake.mark.file.name}:{mistake.mark.line}" == place
    assert "hourly 10 ask for up to 10 boot points, more than the limit of 9" in mistake.wrong


def test_a_wrong_limit_is_not_also_blamed_for_the_tiers(tmp_path: Path) -> None:
    text = PROFILE + "boot_points: {limit: sixty, keep: {hourly: 40}}\n"
    assert only_mistake(tmp_path, {"profiles/web1.yaml": text}).path == "boot_points.limit"


def test_a_contradiction_is_reported_beside_other_mistakes(tmp_path: Path) -> None:
    text = PROFILE + "boot_points:\n  keep: {hourly: 40}\n  kept: 3\n"
    found = mistakes(tmp_path, {"profiles/web1.yaml": text})
    assert [(mistake.path, mistake.mark.line) for mistake in found] == [
        ("boot_points.keep", 4),
        ("boot_points.kept", 5),
    ]


def test_disks_are_included_or_excluded_not_both(tmp_path: Path) -> None:
    disks = "web1, disks: {include: [vda], exclude: {vdb: empty}}}"
    mistake = only_mistake(tmp_path, {"profiles/web1.yaml": PROFILE.replace("web1}", disks)})
    assert (mistake.path, mistake.wrong) == (
        "source.disks.include",
        "include and exclude are both set",
    )


ONE_HOST = PROFILE.replace("kvm1", "hv1")


def test_machine_and_standby_on_one_host_need_two_names_and_two_uuids(tmp_path: Path) -> None:
    text = f"{ONE_HOST}standby:\n  name: web1\n  uuid: keep\n"
    name, uuid = mistakes(tmp_path, {"profiles/web1.yaml": text})
    assert (name.path, name.mark.line) == ("standby.name", 4)
    assert (uuid.path, uuid.mark.line, uuid.allowed) == ("standby.uuid", 5, "new")


def test_two_names_of_one_host_are_still_one_host(tmp_path: Path) -> None:
    files = {
        "hosts/kvm1.yaml": "address: root@hv1\n",
        "profiles/web1.yaml": PROFILE + "standby: {uuid: keep}\n",
    }
    assert only_mistake(tmp_path, files).path == "standby.uuid"


def test_on_two_hosts_name_and_uuid_may_be_the_machines_own(tmp_path: Path) -> None:
    text = PROFILE + "standby: {name: web1, uuid: keep}\n"
    assert loaded(tmp_path, {"profiles/web1.yaml": text}).standby_name == "web1"


def test_a_profiles_name_too_long_for_the_default_standby_asks_for_one(tmp_path: Path) -> None:
    name = "x" * 60
    assert only_mistake(tmp_path, {f"profiles/{name}.yaml": PROFILE}, name).path == "standby.name"
    text = PROFILE + "standby: {name: short}\n"
    assert loaded(tmp_path, {f"profiles/{name}.yaml": text}, name).standby_name == "short"


# ---- errors ----------------------------------------------------------------------------


def test_mistakes_are_one_error_for_the_command_line_with_a_line_each(tmp_path: Path) -> None:
    root = write_root(tmp_path, {"profiles/web1.yaml": "sorce: 1\n"})
    with pytest.raises(ProfileMistakes) as caught:
        Configuration(root).profile("web1")
    error = caught.value
    assert isinstance(error, FixProfile)
    assert error.exit_status is ExitStatus.USAGE
    assert str(error).splitlines() == [str(mistake) for mistake in error.mistakes]
    assert error.found == "3 mistakes"


@pytest.mark.parametrize("name", ["", "../etc/passwd", "a b", "-x", "a/b", "x" * 64, "../x.yaml "])
def test_an_unsafe_profile_name_never_reaches_the_file_system(tmp_path: Path, name: str) -> None:
    with pytest.raises(FixProfile, match="the name"):
        Configuration(write_root(tmp_path, {})).profile(name)


def test_an_unknown_profile_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    root = write_root(tmp_path, {"profiles/web1.yaml": PROFILE})
    with pytest.raises(FixProfile, match=r"one of the profiles there: web1.*profile new web2"):
        Configuration(root).profile("web2")

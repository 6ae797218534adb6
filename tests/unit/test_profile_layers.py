"""Built-in values, defaults, policy and profile lie over each other, and each value says whence."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path, PurePosixPath

import pytest
from configuration_files import PROFILE, loaded, write_root

from standby.model import keep
from standby.model.disk import ExcludedAs
from standby.model.point import Consistency
from standby.profile import (
    Configuration,
    Disconnected,
    Identifier,
    Link,
    Profile,
    SshAddress,
    ToBridge,
    ToNetwork,
    load,
)
from standby.profile.effective import values_of
from standby.profile.mistakes import dotted


def origin(root: Path, profile: Profile, path: str) -> str:
    return str(profile.provenance[path]).replace(f"{root}/", "")


def test_a_profile_needs_four_values_and_the_rest_has_defaults(tmp_path: Path) -> None:
    profile = loaded(tmp_path, {"profiles/web1.yaml": PROFILE})
    assert profile.name == "web1"
    assert profile.standby_name == profile.standby.name == "web1-standby"
    assert profile.source.consistency is Consistency.FILESYSTEM
    assert profile.source.freeze_limit == timedelta(seconds=10)
    assert profile.target.storage == PurePosixPath("/srv/standby")
    assert profile.boot_points.kept == keep.Keep(22)
    assert (profile.standby.mac, profile.standby.link) == (Identifier.KEEP, Link.UP)
    assert profile.transfer.bandwidth is None
    assert profile.source_host.address == SshAddress("hv1", "root")


def test_the_profiles_value_wins_over_the_policys_and_that_over_the_defaults(
    tmp_path: Path,
) -> None:
    files = {
        "defaults.yaml": "merge: {bandwidth: 1MiB/s}\nboot_points: {limit: 1}\n"
        "transfer: {bandwidth: 1MiB/s}\n",
        "policies/gold.yaml": "boot_points: {limit: 2}\n\ntransfer: {bandwidth: 2MiB/s}\n",
        "profiles/web1.yaml": PROFILE + "policy: gold\ntransfer:\n  bandwidth: 3MiB/s\n",
    }
    profile = loaded(tmp_path, files)
    assert profile.merge.bandwidth == 1024**2
    assert profile.boot_points.limit == 2
    assert profile.transfer.bandwidth == 3 * 1024**2
    assert origin(tmp_path, profile, "merge.bandwidth") == "defaults.yaml:1"
    assert origin(tmp_path, profile, "boot_points.limit") == "policies/gold.yaml:1"
    assert origin(tmp_path, profile, "transfer.bandwidth") == "profiles/web1.yaml:5"
    assert origin(tmp_path, profile, "transfer.compression") == "built in"
    assert origin(tmp_path, profile, "hosts.hv1.address") == "hosts/hv1.yaml:1"
    assert origin(tmp_path, profile, "hosts.hv1.sudo") == "built in"


def test_required_values_may_come_from_a_shared_file(tmp_path: Path) -> None:
    files = {
        "defaults.yaml": "source: {type: libvirt, host: hv1}\n"
        "target: {host: kvm1, storage: /srv/standby}\n",
        "profiles/web1.yaml": "source: {domain: web1}\n",
    }
    assert loaded(tmp_path, files).source_host.name == "hv1"


def test_null_takes_back_what_a_lower_file_says(tmp_path: Path) -> None:
    files = {
        "defaults.yaml": "boot_points: {keep: {hourly: 5}}\ntransfer: {bandwidth: 1MiB/s}\n",
        "profiles/web1.yaml": PROFILE + "boot_points: {keep: null}\ntransfer: {bandwidth: null}\n",
    }
    profile = loaded(tmp_path, files)
    assert profile.boot_points.keep is None
    assert profile.transfer.bandwidth is None
    assert origin(tmp_path, profile, "boot_points.keep") == "profiles/web1.yaml:3"


def test_a_section_with_nothing_below_it_overrides_nothing(tmp_path: Path) -> None:
    files = {
        "defaults.yaml": "transfer: {bandwidth: 1MiB/s}\n",
        "profiles/web1.yaml": PROFILE + "transfer:\n  #bandwidth: 2MiB/s\nstandby:\n",
    }
    assert loaded(tmp_path, files).transfer.bandwidth == 1024**2


def test_tiers_of_several_files_add_up_and_zero_removes_one(tmp_path: Path) -> None:
    files = {
        "defaults.yaml": "boot_points: {keep: {all: 1h, hourly: 12, weekly: 4}}\n",
        "profiles/web1.yaml": PROFILE + "boot_points: {keep: {daily: 3, weekly: 0}}\n",
    }
    assert loaded(tmp_path, files).boot_points.kept.tiers == (
        keep.KeepAll(timedelta(hours=1)),
        keep.KeepOnePer(keep.Period.HOUR, 12),
        keep.KeepOnePer(keep.Period.DAY, 3),
    )


def test_keys_that_exclude_each_other_are_replaced_together(tmp_path: Path) -> None:
    files = {
        "defaults.yaml": "source: {disks: {exclude: {vdb: empty}}}\n"
        "target: {storage: {pool: slow}}\n"
        "standby: {networks: {all: {network: default}, '1': {network: lan}}}\n",
        "profiles/web1.yaml": "source: {type: libvirt, host: hv1, domain: w, "
        "disks: {include: [vda]}}\n"
        "target: {host: kvm1, storage: /srv/x}\n"
        "standby: {networks: {all: {bridge: br0}}}\n",
    }
    profile = loaded(tmp_path, files)
    assert profile.source.disks.include == ("vda",)
    assert dict(profile.source.disks.exclude) == {}
    assert profile.target.storage == PurePosixPath("/srv/x")
    assert dict(profile.standby.networks) == {
        "all": ToBridge(bridge="br0"),
        "1": ToNetwork(network="lan"),
    }


def test_a_mac_address_is_the_same_in_large_and_small_letters(tmp_path: Path) -> None:
    files = {
        "defaults.yaml": "standby: {networks: {52:54:00:AA:BB:CC: disconnected}}\n",
        "profiles/web1.yaml": PROFILE + "standby: {networks: {52:54:00:aa:bb:cc: {bridge: b}}}\n",
    }
    profile = loaded(tmp_path, files)
    assert dict(profile.standby.networks) == {"52:54:00:aa:bb:cc": ToBridge(bridge="b")}
    assert origin(tmp_path, profile, "standby.networks.52:54:00:aa:bb:cc.bridge") == (
        "profiles/web1.yaml:3"
    )


def test_a_nic_is_found_by_mac_then_by_number_then_by_all(tmp_path: Path) -> None:
    networks = "{all: {network: a}, 1: {bridge: b}, 52:54:00:12:34:56: disconnected}"
    files = {"profiles/web1.yaml": PROFILE + f"standby: {{networks: {networks}}}\n"}
    standby = loaded(tmp_path, files).standby
    assert standby.connection_of(1, "52:54:00:12:34:56") is Disconnected.DISCONNECTED
    assert standby.connection_of(1, "52:54:00:00:00:00") == ToBridge(bridge="b")
    assert standby.connection_of(0, "52:54:00:00:00:00") == ToNetwork(network="a")
    bare = loaded(tmp_path, {"profiles/web1.yaml": PROFILE}).standby
    assert bare.connection_of(0, "52:54:00:00:00:00") is None


@pytest.mark.parametrize(
    ("disks", "vda", "vdb"),
    [
        ("{}", None, None),
        ("{include: [vda]}", None, ExcludedAs.ABSENT),
        ("{exclude: {vdb: empty}}", None, ExcludedAs.EMPTY),
        ("{exclude: {vda: absent, vdb: empty}}", ExcludedAs.ABSENT, ExcludedAs.EMPTY),
    ],
)
def test_each_disk_is_protected_absent_or_empty(
    tmp_path: Path, disks: str, vda: ExcludedAs | None, vdb: ExcludedAs | None
) -> None:
    profile = loaded(
        tmp_path, {"profiles/web1.yaml": PROFILE.replace("web1}", f"web1, disks: {disks}}}")}
    )
    assert profile.source.disks.excluded_as("vda") is vda
    assert profile.source.disks.excluded_as("vdb") is vdb


def test_every_effective_value_has_an_origin_and_is_json(tmp_path: Path) -> None:
    files = {
        "hosts/kvm1.yaml": "address: root@kvm1\npassword: {env: KVM1}\n",
        "profiles/web1.yaml": PROFILE.replace("/srv/standby", "{pool: p}")
        + "standby: {networks: {all: {bridge: b}}}\n",
    }
    profile = loaded(tmp_path, files)
    effective = profile.effective()
    assert json.loads(json.dumps(effective)) == effective
    paths = {dotted(path) for path, _ in values_of(effective)}
    assert paths - {"name"} == set(profile.provenance)


def test_a_profile_is_found_by_name_or_by_file(tmp_path: Path) -> None:
    root = write_root(tmp_path / "root", {"profiles/web1.yaml": PROFILE})
    elsewhere = tmp_path / "web2.yaml"
    elsewhere.write_text(PROFILE)
    assert load(root, "web1").name == "web1"
    assert load(root, str(root / "profiles/web1.yaml")).name == "web1"
    assert load(root, str(elsewhere)).standby_name == "web2-standby"


def test_the_management_host_is_always_there_and_its_file_may_change_it(tmp_path: Path) -> None:
    profile_text = PROFILE.replace("hv1", "local")
    assert loaded(tmp_path, {"profiles/web1.yaml": profile_text}).source_host.is_local
    changed = {"profiles/web1.yaml": profile_text, "hosts/local.yaml": "address: local\nsudo: true"}
    assert loaded(tmp_path, changed).source_host.sudo


def test_a_profile_cannot_be_changed_once_loaded(tmp_path: Path) -> None:
    profile = loaded(tmp_path, {"profiles/web1.yaml": PROFILE})
    with pytest.raises(AttributeError):
        profile.name = "other"  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        profile.boot_points.limit = 3
    with pytest.raises(TypeError):
        profile.standby.networks["all"] = Disconnected.DISCONNECTED  # type: ignore[index]


def test_names_are_listed_without_what_is_never_read(tmp_path: Path) -> None:
    names = ("b.yaml", "a.yaml", ".c.yaml", "d.yml", "e.yaml~", "f g.yaml")
    root = write_root(tmp_path, {f"profiles/{name}": PROFILE for name in names})
    configuration = Configuration(root)
    assert configuration.profile_names() == ("a", "b")
    assert configuration.host_names() == ("hv1", "kvm1", "local")


def test_one_configuration_sees_one_state_of_shared_files(tmp_path: Path) -> None:
    files = {"policies/gold.yaml": "", "profiles/web1.yaml": f"policy: gold\n{PROFILE}"}
    root = write_root(tmp_path, files)
    configuration = Configuration(root)
    before = configuration.profile("web1")
    write_root(root, {"policies/gold.yaml": "[", "hosts/kvm1.yaml": "address: other"})
    assert configuration.profile("web1") == before
    write_root(root, {"policies/gold.yaml": "", "hosts/kvm1.yaml": "address: other"})
    assert load(root, "web1").target_host.address == SshAddress("other")

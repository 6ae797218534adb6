"""Every example configuration loads, and every mistake of a whole root is found."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from configuration_files import PROFILE, shown, write_root

from standby.profile import Configuration, HostSettings, ProfileMistakes, survey
from standby.profile.effective import SECTIONS
from standby.profile.hosts import HostFile
from standby.profile.profile_file import ProfileFile

EXAMPLES = Path(__file__).parents[2] / "profiles"
ROOTS = sorted(path for path in EXAMPLES.iterdir() if path.is_dir())


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.name)
def test_every_example_root_loads(root: Path) -> None:
    files = sorted((root / "profiles").iterdir())
    assert [profile.file for profile in survey(Configuration(root))] == files
    assert files
    assert Configuration(root).manager().at_once


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.name)
def test_effective_values_read_back_are_the_same_profile(root: Path) -> None:
    for profile in survey(Configuration(root)):
        values = json.loads(json.dumps(profile.effective()))
        read = ProfileFile.model_validate({key: values[key] for key in ProfileFile.model_fields})
        assert all(getattr(read, key) == getattr(profile, key) for key in SECTIONS)
        for host in (profile.source_host, profile.target_host):
            again = HostFile.model_validate(values["hosts"][host.name])
            assert HostSettings.of(host.name, again) == host


def test_the_examples_are_all_described() -> None:
    text = (EXAMPLES / "README.md").read_text()
    assert all(f"`{root.name}`" in text for root in ROOTS)


def test_a_whole_root_is_looked_through_used_or_not(tmp_path: Path) -> None:
    root = write_root(
        tmp_path,
        {
            "profiles/a.yaml": PROFILE + "merge: 1\n",
            "profiles/b.yaml": PROFILE + "policy: gold\n",
            "profiles/c.yml": PROFILE,
            "policies/gold.yaml": "transfer: 1\n",
            "policies/unused.yaml": "standby: 1\n",
            "hosts/unused.yaml": "sudo: true\n",
            "manager.yaml": "\nmail: 1\n",
        },
    )
    with pytest.raises(ProfileMistakes) as caught:
        survey(Configuration(root))
    places = [shown(root, it).rpartition(": ")[0].split(": ")[0] for it in caught.value.mistakes]
    assert places == [
        "hosts/unused.yaml:1",
        "manager.yaml:2",
        "policies/gold.yaml:1",
        "policies/unused.yaml:1",
        "profiles/a.yaml:3",
        "profiles/c.yml:1",
    ]


def test_two_profiles_never_claim_one_standby(tmp_path: Path) -> None:
    claim = PROFILE + "standby: {name: same}\n"
    elsewhere = claim.replace("/srv/standby", "/srv/other")
    root = write_root(tmp_path, {"profiles/a.yaml": claim, "profiles/b.yaml": elsewhere})
    assert len(survey(Configuration(root))) == 2
    write_root(tmp_path, {"profiles/c.yaml": claim})
    with pytest.raises(ProfileMistakes, match=r"c\.yaml:1: standby\.name: .*a\.yaml"):
        survey(Configuration(root))


def test_a_thousand_profiles_load_within_seconds(tmp_path: Path) -> None:
    policy = (EXAMPLES / "two-hosts/policies/gold.yaml").read_text()
    files = {f"profiles/p{n}.yaml": f"policy: gold\n{PROFILE}" for n in range(1000)}
    configuration = Configuration(write_root(tmp_path, {**files, "policies/gold.yaml": policy}))
    start = time.process_time()
    assert len(survey(configuration)) == 1000
    assert time.process_time() - start < 20  # about 1 s of processor time on the slowest seen

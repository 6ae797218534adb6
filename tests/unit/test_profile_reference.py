"""Schema, reference and starter are made from the one description of each key, and agree."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from configuration_files import loaded, write_root

from standby.errors import ChooseOtherName, FixProfile
from standby.profile import ProfileMistakes, load
from standby.profile.document import read_document
from standby.profile.file_kind import FileKind
from standby.profile.judge import Fault, judge
from standby.profile.keys import ENTRY, Key, Need, keys_of, one_line
from standby.profile.reference import REGENERATE, reference
from standby.profile.root import Layout
from standby.profile.schema import JsonSchema, json_schema
from standby.profile.starter import starter, write_starter

DOCS = Path(__file__).parents[2] / "docs"
ALL_KEYS = [(kind, key) for kind in FileKind for key in keys_of(kind)]
APPLICATION = "source: {consistency: application}\n"
POLICY = {"policies/gold.yaml": ""}


def key_id(value: object) -> str:
    return ".".join(value.path) if isinstance(value, Key) else ""


def test_the_committed_reference_is_up_to_date() -> None:
    committed = (DOCS / "profile-reference.md").read_text(encoding="utf-8")
    assert committed == reference(), f"regenerate it: {REGENERATE}"


@pytest.mark.parametrize(("kind", "key"), ALL_KEYS, ids=key_id)
def test_every_key_has_description_kind_default_and_example(kind: FileKind, key: Key) -> None:
    assert key.description.endswith(".")
    assert key.allowed
    assert key.examples or key.need is Need.SECTION
    assert kind is FileKind.SHARED or f"`{key.dotted}`" in reference()


def written(key: Key) -> str:
    """The key as a file has it, each of its parents on a line of its own."""
    lines = [f"{'  ' * depth}{name}:" for depth, name in enumerate(key.path)]
    return "\n".join(lines).replace(f"{ENTRY}:", "-")


@pytest.mark.parametrize(("kind", "key"), ALL_KEYS, ids=key_id)
def test_every_example_and_default_is_one_that_the_key_takes(
    tmp_path: Path, kind: FileKind, key: Key
) -> None:
    for value in (*key.examples, key.default) if key.default else key.examples:
        file = tmp_path / "file.yaml"
        file.write_text(f"{written(key)} {value}\n")
        document = read_document(file)
        assert not document.mistakes
        found = judge(kind, document.root)
        wrong = [it for it in found if it.fault is Fault.WRONG or it.path == key.path]
        assert not wrong, wrong


def mappings(schema: JsonSchema) -> list[JsonSchema]:
    return [it for it in (schema, *schema["$defs"].values()) if "properties" in it]


@pytest.mark.parametrize("kind", list(FileKind))
def test_the_schema_is_json_and_refuses_unknown_keys(kind: FileKind) -> None:
    schema = json_schema(kind)
    assert json.loads(json.dumps(schema)) == schema
    assert all(it["additionalProperties"] is False for it in mappings(schema))
    assert all("description" in p for it in mappings(schema) for p in it["properties"].values())


def patterns(schema: JsonSchema) -> list[str]:
    return re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', json.dumps(schema))


@pytest.mark.parametrize("kind", list(FileKind))
def test_the_patterns_of_the_schema_are_anchored(kind: FileKind) -> None:
    for text in patterns(json_schema(kind)):
        pattern = json.loads(text)
        assert pattern.startswith("^(?:")
        assert pattern.endswith(")$")
        re.compile(pattern)


def test_shared_files_require_nothing_and_name_no_machine() -> None:
    schema = json_schema(FileKind.SHARED)
    assert "required" not in schema
    paths = {key.path for key in keys_of(FileKind.SHARED)}
    assert ("source", "host") in paths
    assert paths.isdisjoint({("policy",), ("source", "domain"), ("standby", "name")})
    assert ("source", "domain") in {key.path for key in keys_of(FileKind.PROFILE)}


# ---- the starter -----------------------------------------------------------------------

COMMENTED = re.compile(r"^( *)#(\w+: )", re.MULTILINE)


def test_a_new_profile_loads_as_it_was_written(tmp_path: Path) -> None:
    root = write_root(tmp_path, {})
    given = {("source", "domain"): "web1", ("target", "storage"): "/srv/other"}
    file = write_starter(Layout(root), "web1", given)
    profile = load(root, "web1")
    assert file == root / "profiles/web1.yaml"
    assert (profile.source.domain, str(profile.target.storage)) == ("web1", "/srv/other")


def test_a_new_profile_changes_nothing_but_what_is_required(tmp_path: Path) -> None:
    shared = "transfer: {bandwidth: 1MiB/s}\nboot_points: {limit: 3}\n"
    profile = loaded(tmp_path, {"profiles/x.yaml": starter("x", {}), "defaults.yaml": shared}, "x")
    own = {path for path, o in profile.provenance.items() if o.mark and o.mark.file.stem == "x"}
    assert own == {"source.type", "source.host", "source.domain", "target.host", "target.storage"}


@pytest.mark.parametrize("number", range(len(COMMENTED.findall(starter("x", {})))))
def test_each_commented_key_can_be_uncommented_by_itself(tmp_path: Path, number: int) -> None:
    text = starter("x", {})
    match = list(COMMENTED.finditer(text))[number]
    changed = text[: match.start()] + match[1] + text[match.start(2) :]
    files = {"profiles/x.yaml": changed, "defaults.yaml": APPLICATION, **POLICY}
    loaded(tmp_path, files, "x")


def test_a_new_profile_shows_every_key() -> None:
    text = starter("x", {})
    sections = {(), *(k.path for k in keys_of(FileKind.PROFILE) if k.need is Need.SECTION)}
    for key in keys_of(FileKind.PROFILE):
        if key.path[:-1] in sections:
            assert re.search(rf"^ *#?{key.name}:", text, re.MULTILINE)


def test_a_profile_that_exists_is_never_overwritten(tmp_path: Path) -> None:
    root = write_root(tmp_path, {"profiles/web1.yaml": "mine"})
    with pytest.raises(ChooseOtherName, match="exists"):
        write_starter(Layout(root), "web1", {})
    assert (root / "profiles/web1.yaml").read_text() == "mine"


@pytest.mark.parametrize("name", ["../x", "a b", "", "x.yaml"])
def test_a_new_profile_needs_a_safe_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(FixProfile):
        write_starter(Layout(tmp_path), name, {})
    assert list(tmp_path.rglob("*")) == []


def test_a_value_given_to_a_new_profile_stays_a_value(tmp_path: Path) -> None:
    hostile = "x\nmerge: {}"
    text = starter("web1", {("source", "domain"): hostile})
    with pytest.raises(ProfileMistakes, match=r"source.domain: found the text 'x\\nmerge: \{\}'"):
        loaded(tmp_path, {"profiles/web1.yaml": text})


def test_values_are_written_on_one_line() -> None:
    assert one_line({"all": {"bridge": "br0"}}) == "{all: {bridge: br0}}"
    assert "\n" not in one_line("a\nb" * 1000)

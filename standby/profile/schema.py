"""JSON Schema of the configuration's files, and what a schema says of one key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import time, timedelta
from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from standby.profile.file_kind import FileKind
from standby.profile.hosts import HostFile
from standby.profile.manager import ManagerFile
from standby.profile.mistakes import PathInFile
from standby.profile.profile_file import ProfileFile
from standby.profile.section import Section
from standby.profile.units import Reserve, format_clock, format_duration

JsonSchema = dict[str, Any]  # as json reads and writes it; its shape is fixed by the standard

# They name one machine: shared, they would make two profiles claim the same standby.
PROFILE_ONLY: tuple[PathInFile, ...] = (
    ("policy",),
    ("source", "domain"),
    ("standby", "name"),
    ("target", "seed_from"),
)


def model_of(kind: FileKind) -> type[Section]:
    """Return the class that reads files of `kind`."""
    if kind is FileKind.HOST:
        return HostFile
    return ManagerFile if kind is FileKind.MANAGER else ProfileFile


class _Generator(GenerateJsonSchema):
    """Writes defaults as a file would, and no titles made from the names of keys."""

    def get_title_from_name(self, name: str) -> str:
        del name
        return ""

    def sort(self, value: Any, parent_key: str | None = None) -> Any:  # noqa: ANN401
        del parent_key
        return value  # keys and examples stay as they were written: in the order of use

    def encode_default(self, dft: Any) -> Any:  # noqa: ANN401 - pydantic's own
        if isinstance(dft, timedelta):
            return format_duration(dft)
        if isinstance(dft, time):
            return format_clock(dft)
        if isinstance(dft, Reserve):
            return str(dft)
        if isinstance(dft, Mapping):
            return dict(dft)
        return super().encode_default(dft)


@cache
def json_schema(kind: FileKind) -> JsonSchema:
    """Return the JSON Schema of files of `kind`, with descriptions, defaults and examples."""
    schema = model_of(kind).model_json_schema(schema_generator=_Generator)
    for section in (schema, *schema.get("$defs", {}).values()):
        _allow_empty_sections(schema, section)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = f"standby: {kind.value} file"
    if kind is FileKind.SHARED:
        schema["description"] = "Values that profiles share: the keys of a profile, all optional."
        _make_shared(schema)
    return schema


def _allow_empty_sections(schema: JsonSchema, section: JsonSchema) -> None:
    """Let `transfer:` with nothing below it be an empty mapping, as the layers take it."""
    for node in section.get("properties", {}).values():
        if "properties" in resolved(schema, node):
            node.setdefault("description", resolved(schema, node)["description"])
            node["anyOf"] = [{"$ref": node.pop("$ref")}, {"type": "null"}]


def is_section(schema: JsonSchema, node: JsonSchema) -> bool:
    """Tell whether a key holds other keys and has no value of its own, not even null."""
    forms = [form for form in alternatives(schema, node) if form.get("type") != "null"]
    return "default" not in node and all("properties" in form for form in forms)


def _make_shared(schema: JsonSchema) -> None:
    schema.pop("required")
    for key in ("source", "target"):
        _section(schema, schema["properties"][key]).pop("required")
    for *parents, key in PROFILE_ONLY:
        section = schema
        for parent in parents:
            section = _section(schema, section["properties"][parent])
        del section["properties"][key]


def _section(schema: JsonSchema, node: JsonSchema) -> JsonSchema:
    return next(form for form in alternatives(schema, node) if "properties" in form)


def resolved(schema: JsonSchema, node: JsonSchema) -> JsonSchema:
    """Follow the node's reference into the definitions of `schema`, if it is one."""
    reference = node.get("$ref")
    if reference is None:
        return node
    found: JsonSchema = schema["$defs"][str(reference).rpartition("/")[2]]
    return found


def alternatives(schema: JsonSchema, node: JsonSchema) -> Iterator[JsonSchema]:
    """Yield every form that a value of `node` may take, references followed."""
    node = resolved(schema, node)
    choices = node.get("anyOf") or node.get("oneOf")
    if choices is None:
        yield node
        return
    for choice in choices:
        yield from alternatives(schema, choice)


def at(schema: JsonSchema, path: PathInFile) -> JsonSchema | None:
    """Return what `schema` says of the value at `path`, or None for an unknown key."""
    node: JsonSchema | None = schema
    for key in path:
        if node is None:
            return None
        node = _below(schema, node, key)
    return node


def _below(schema: JsonSchema, node: JsonSchema, key: str) -> JsonSchema | None:
    for choice in alternatives(schema, node):
        below: JsonSchema | None = choice.get("properties", {}).get(key) or _entry(choice)
        if below is not None:
            return below
    return None


def _entry(node: JsonSchema) -> JsonSchema | None:
    if "patternProperties" in node:
        entry: JsonSchema = next(iter(node["patternProperties"].values()))
        return entry
    for keyword in ("additionalProperties", "items"):
        if isinstance(node.get(keyword), Mapping):
            found: JsonSchema = node[keyword]
            return found
    return None


def known_keys(schema: JsonSchema, path: PathInFile) -> tuple[str, ...]:
    """Return the keys that the mapping at `path` may have."""
    node = at(schema, path)
    if node is None:
        return ()
    return tuple(
        key for choice in alternatives(schema, node) for key in choice.get("properties", {})
    )


def in_words(schema: JsonSchema, node: JsonSchema) -> str:
    """Say what values `node` allows, as one phrase."""
    return ", or ".join(_phrase(schema, choice) for choice in alternatives(schema, node))


def _phrase(schema: JsonSchema, node: JsonSchema) -> str:
    if "const" in node or "enum" in node:
        return ", ".join(str(value) for value in node.get("enum", [node.get("const")]))
    match node["type"]:
        case "integer":
            return f"a whole number, {node['minimum']} to {node['maximum']}"
        case "array":
            return f"a list of: {in_words(schema, node['items'])}"
        case "object":
            return _mapping_phrase(schema, node)
    plain = {"boolean": "true or false", "string": "text"}
    return str(node.get("title") or plain.get(node["type"], node["type"]))


def _mapping_phrase(schema: JsonSchema, node: JsonSchema) -> str:
    if "properties" in node:
        return f"a mapping with {', '.join(node['properties'])}"
    entry = _entry(node)
    return f"a mapping to: {in_words(schema, entry)}" if entry is not None else "a mapping"

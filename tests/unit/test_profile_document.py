"""YAML is read with the line of every key; what could harm or mislead is refused with its line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from standby.profile.document import MAX_BYTES, Document, read_document
from standby.profile.layers import node_at, plain


def read(directory: Path, text: str | bytes) -> Document:
    file = directory / "file.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_document(file)


def refused(directory: Path, text: str | bytes) -> tuple[int, str]:
    document = read(directory, text)
    assert len(document.mistakes) == 1
    return document.mistakes[0].mark.line, document.mistakes[0].wrong


def test_every_key_has_its_line(tmp_path: Path) -> None:
    document = read(tmp_path, "# comment\na: 1\nb:\n  c: [x,\n    y]\n\n  d:\n    text\n")
    lines = {
        path: node_at(document.root, path).mark.line  # type: ignore[union-attr]
        for path in [("a",), ("b",), ("b", "c"), ("b", "c", "1"), ("b", "d")]
    }
    assert lines == {("a",): 2, ("b",): 3, ("b", "c"): 4, ("b", "c", "1"): 5, ("b", "d"): 7}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("52:54:00:12:34:56", "52:54:00:12:34:56"),  # a number to base 60 in YAML 1.1
        ("no", "no"),
        ("on", "on"),
        ("2026-11-22", "2026-11-22"),
        ("0x10", "0x10"),
        ("'22'", "22"),
        ("22", 22),
        ("-3", -3),
        ("1.5", 1.5),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("9" * 5000, "9" * 5000),
        ("|\n  two\n  lines\n", "two\nlines\n"),
    ],
)
def test_values_are_read_as_yaml_1_2_has_them(tmp_path: Path, text: str, value: object) -> None:
    found = plain(read(tmp_path, f"key: {text}").root)
    assert found == {"key": value}
    assert isinstance(found, dict)
    assert type(found["key"]) is type(value)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null\n", "\ufeff"])
def test_an_empty_file_has_no_keys_and_no_mistakes(tmp_path: Path, text: str) -> None:
    document = read(tmp_path, text)
    assert document.mistakes == ()
    assert plain(document.root) == {}


def test_a_key_that_stands_twice_is_reported_at_its_second_line(tmp_path: Path) -> None:
    document = read(tmp_path, "a:\n  b: 1\n  c: 2\n  b: 3\na: 4\n")
    assert [(str(m.mark.line), m.path, m.wrong) for m in document.mistakes] == [
        ("4", "a.b", "stands twice, first in line 2"),
        ("5", "a", "stands twice, first in line 1"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "wrong"),
    [
        ("a: 1\nb: [1\n", 3, "is not YAML"),
        ("a: 1\n\tb: 2\n", 2, "is not YAML"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: 1\nb: !!python/object/apply:os.system [id]\n", 2, "has a tag"),
        ("a: !secret x\n", 1, "has a tag"),
        ("a: 1\n? [x]\n: 2\n", 2, "key that is not plain text"),
        ("- a\n- b\n", 1, "holds no keys"),
        ("only words\n", 1, "holds no keys"),
        ("a: &x [1]\nb: *x\n", 2, "is an alias"),
        ("a: &x {b: *x}\n", 1, "is an alias"),
        (b"a: 1\nb: \xff\n", 2, "is not text"),
        ("a: 1\nb: \x00\n", 1, "is not YAML"),
        ("a: " + "[" * 200_000, 1, "nested too deeply"),
        ("a: " + "{b: " * 50_000, 1, "nested too deeply"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_at_its_line(
    tmp_path: Path, text: str | bytes, line: int, wrong: str
) -> None:
    found_line, found_wrong = refused(tmp_path, text)
    assert wrong in found_wrong
    assert found_line == line


def test_a_bomb_of_aliases_is_refused_before_it_grows(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert refused(tmp_path, "\n".join(levels)) == (2, "is an alias")


def test_a_huge_file_is_refused_without_being_read(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    with file.open("wb") as stream:
        os.truncate(stream.fileno(), 2**40)
    assert "too large" in read_document(file).mistakes[0].wrong
    file.write_bytes(b"a: 1\n" + b"#" * (MAX_BYTES - 5))
    assert read_document(file).mistakes == ()


def test_what_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for name, wrong in [("pipe.yaml", "not a regular"), ("gone.yaml", "No such"), (".", "not a")]:
        (mistake,) = read_document(tmp_path / name).mistakes
        assert wrong in mistake.wrong

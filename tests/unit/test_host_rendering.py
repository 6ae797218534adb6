"""Templates: values never become markup, what is missing is an error, users may bring their own."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standby.errors import FixProfile
from standby.host import rendering

XML_TEXT = st.text(
    st.characters(
        blacklist_categories=["Cs", "Cc"],
        blacklist_characters="\ufffe\uffff",
        max_codepoint=0x10FFFF,
    )
)


@pytest.fixture(autouse=True)
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "templates"
    directory.mkdir()
    (directory / "base.xml.j2").write_text(
        "<d>{% block name %}<n>{{ name }}</n>{% endblock %}</d>\n"
    )
    monkeypatch.setattr(rendering, "template_directory", lambda: directory)
    return directory


def own(directory: Path, text: str) -> Path:
    file = directory.parent / "own.xml.j2"
    file.write_text(text)
    return file


def test_a_value_is_never_markup() -> None:
    text = rendering.render("base.xml.j2", {"name": "<a>&\"'"})
    assert ET.fromstring(text).findtext("n") == "<a>&\"'"  # noqa: S314 - our own text
    assert "<a>" not in text


@given(name=XML_TEXT, attribute=XML_TEXT)
def test_every_text_survives_as_content_and_attribute(name: str, attribute: str) -> None:
    file = own(rendering.template_directory(), '<d a="{{ a }}"><n>{{ name }}</n></d>')
    root = ET.fromstring(rendering.render_own(file, {"name": name, "a": attribute}))  # noqa: S314
    assert root.findtext("n") == name
    assert root.get("a") == attribute


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(FixProfile, match="'name' is undefined"):
        rendering.render("base.xml.j2", {})


@pytest.mark.parametrize("wrong", ["a\0b", "a\x1bb", "\ud800", "\uffff"])
def test_a_character_that_xml_cannot_hold_is_an_error(wrong: str) -> None:
    with pytest.raises(FixProfile, match="what XML allows"):
        rendering.render("base.xml.j2", {"name": wrong})


def test_a_user_s_template_may_extend_ours(ours: Path) -> None:
    file = own(ours, '{% extends "base.xml.j2" %}{% block name %}<m>{{ name }}</m>{% endblock %}')
    assert rendering.render_own(file, {"name": "x"}).strip() == "<d><m>x</m></d>"


def test_a_wrong_template_of_a_user_is_named_with_its_line(ours: Path) -> None:
    file = own(ours, "<d>\n{% if %}\n</d>")
    with pytest.raises(FixProfile) as caught:
        rendering.render_own(file, {})
    assert caught.value.subject == f"{file}:2"


def test_a_template_that_is_not_there_is_an_error(ours: Path) -> None:
    with pytest.raises(FixProfile, match=r"nothing\.xml"):
        rendering.render("nothing.xml", {})
    with pytest.raises(FixProfile, match=r"nothing\.xml"):
        rendering.render_own(ours / "nothing.xml", {})


def test_a_loop_leaves_no_empty_lines(ours: Path) -> None:
    file = own(ours, "<d>\n  {% for n in names %}\n  <n>{{ n }}</n>\n  {% endfor %}\n</d>\n")
    text = rendering.render_own(file, {"names": ["a", "b"]})
    assert text == "<d>\n  <n>a</n>\n  <n>b</n>\n</d>\n"


def test_our_templates_are_found_in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert rendering.template_directory() == Path(__file__).parents[2] / "templates"


def test_our_templates_are_found_where_they_were_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(rendering, "__file__", str(tmp_path / "lib" / "a" / "b" / "rendering.py"))
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    installed = tmp_path / "share" / "standby" / "templates"
    installed.mkdir(parents=True)
    assert rendering.template_directory() == installed

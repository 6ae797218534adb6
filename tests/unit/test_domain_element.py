"""What libvirt says is read as a value; what libvirt never says is refused."""

from __future__ import annotations

import pytest

from standby.errors import RepairSource
from standby.target.domain.element import Element, parse_xml

BOMB = """<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<domain><name>&b;</name></domain>"""
OUTSIDE = '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/hostname">]><domain>&x;</domain>'
PLAIN_TYPE = "<!DOCTYPE domain><domain/>"


@pytest.mark.parametrize("text", [BOMB, OUTSIDE, PLAIN_TYPE])
def test_a_document_type_is_refused(text: str) -> None:
    with pytest.raises(RepairSource, match="document type"):
        parse_xml(text, "domain x")


@pytest.mark.parametrize(
    "text", ["", "<domain>", "<domain/><domain/>", "plain", "<a>&undefined;</a>"]
)
def test_what_is_no_document_is_refused_with_whose_it_is(text: str) -> None:
    with pytest.raises(RepairSource, match=r"domain x.*cannot be read"):
        parse_xml(text, "domain x")


def test_a_document_without_end_is_refused() -> None:
    with pytest.raises(RepairSource, match="512 elements deep"):
        parse_xml("<a>" * 600 + "</a>" * 600, "domain x")
    with pytest.raises(RepairSource, match="at most"):
        parse_xml("<a>" + " " * (16 << 20) + "</a>", "domain x")


def test_a_chain_of_two_hundred_images_is_read() -> None:
    depth = 400
    read = parse_xml("<a>" * depth + "</a>" * depth, "domain x")
    assert len(list(read.walk())) == depth


def test_an_element_tells_tag_attributes_children_and_text_in_order() -> None:
    read = parse_xml("<a y='1' x='&lt;2'> t <b/><!-- c --><c k='v'>&amp;</c></a>", "x")
    children = (Element("b"), Element("c", (("k", "v"),), (), "&"))
    assert read == Element("a", (("y", "1"), ("x", "<2")), children, "t")


def test_namespaces_are_part_of_the_tag() -> None:
    read = parse_xml("<d xmlns:q='urn:q'><q:c q:k='v'/></d>", "x")
    assert read.children == (Element("{urn:q}c", (("{urn:q}k", "v"),)),)


def test_a_path_leads_through_every_branch() -> None:
    read = parse_xml("<a><b><c>1</c></b><b><c>2</c><c x='y'/></b></a>", "x")
    assert [found.text for found in read.all("b/c")] == ["1", "2", ""]
    assert read.text_of("b/c") == "1"
    assert read.text_of("b/d", "none") == "none"
    assert read.attribute_of("b/c", "x", "none") == "none"
    assert read.first("d") is None

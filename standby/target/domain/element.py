"""XML as a frozen value: what libvirt says, read safely, compared and carried over as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn
from xml.etree.ElementTree import Element as MutableElement
from xml.etree.ElementTree import TreeBuilder
from xml.parsers import expat

from standby.errors import RepairSource

_LARGEST = 16 * 1024**2  # bytes; libvirt itself reads no domain beyond its 10 MiB message limit
_DEEPEST = 512  # elements; a running domain nests one per image of its backing chain


@dataclass(frozen=True, slots=True)
class Element:
    """One element. Attributes in document order; text without surrounding blanks."""

    tag: str
    attributes: tuple[tuple[str, str], ...] = ()
    children: tuple[Element, ...] = ()
    text: str = ""

    def get(self, attribute: str, default: str = "") -> str:
        """Return an attribute, or `default`."""
        return dict(self.attributes).get(attribute, default)

    def all(self, path: str) -> tuple[Element, ...]:
        """Return the elements that a path of tags, such as os/boot, leads to."""
        tag, _, rest = path.partition("/")
        found = tuple(child for child in self.children if child.tag == tag)
        return tuple(deep for child in found for deep in child.all(rest)) if rest else found

    def first(self, path: str) -> Element | None:
        """Return the first element that a path of tags leads to."""
        return next(iter(self.all(path)), None)

    def text_of(self, path: str, default: str = "") -> str:
        """Return the text of the first element that a path leads to, or `default`."""
        found = self.first(path)
        return found.text if found else default

    def attribute_of(self, path: str, attribute: str, default: str = "") -> str:
        """Return an attribute of the first element that a path leads to, or `default`."""
        found = self.first(path)
        return found.get(attribute, default) if found else default

    def walk(self) -> Iterator[Element]:
        """Yield this element and everything in it, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def keeping(
        self, attributes: frozenset[str], children: frozenset[str] = frozenset()
    ) -> Element:
        """Return this element with only these attributes and, whole, these children."""
        return Element(
            self.tag,
            tuple(pair for pair in self.attributes if pair[0] in attributes),
            tuple(child for child in self.children if child.tag in children),
            self.text,
        )

    def without(self, *children: str) -> Element:
        """Return this element without the children that have one of these tags."""
        kept = tuple(child for child in self.children if child.tag not in children)
        return Element(self.tag, self.attributes, kept, self.text)

    def with_attribute(self, name: str, value: str) -> Element:
        """Return this element with one attribute set."""
        attributes = {**dict(self.attributes), name: value}
        return Element(self.tag, tuple(attributes.items()), self.children, self.text)


def parse_xml(text: str, subject: str) -> Element:
    """Read a document; `subject` says whose it is.

    Raises RepairSource when it is not well-formed, or has a document type: neither entities
    nor anything outside of the text is ever expanded or fetched.
    """
    if len(text) > _LARGEST:
        raise RepairSource(subject, f"XML of {len(text)} characters", f"at most {_LARGEST}")
    return _Reader(subject).read(text)


class _Reader:
    """Builds one document, and stops at what libvirt never writes."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._depth = 0
        self._builder = TreeBuilder()

    def read(self, text: str) -> Element:
        parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._builder.data
        parser.StartDoctypeDeclHandler = self._doctype
        try:
            parser.Parse(text, True)  # noqa: FBT003 - expat has no names for its arguments
        except expat.ExpatError as error:
            found = f"XML that cannot be read: {error}"
            raise RepairSource(self._subject, found) from error
        return _freeze(self._builder.close())

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise RepairSource(self._subject, f"XML more than {_DEEPEST} elements deep")
        self._builder.start(_clark(tag), {_clark(k): value for k, value in attributes.items()})

    def _end(self, tag: str) -> None:
        self._depth -= 1
        self._builder.end(_clark(tag))

    def _doctype(self, *_: object) -> NoReturn:
        raise RepairSource(self._subject, "XML with a document type", "a plain document of libvirt")


def _clark(name: str) -> str:
    return "{" + name if "}" in name else name


def _freeze(element: MutableElement) -> Element:
    return Element(
        element.tag,
        tuple(element.attrib.items()),
        tuple(_freeze(child) for child in element),
        (element.text or "").strip(),
    )

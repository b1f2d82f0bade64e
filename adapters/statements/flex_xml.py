"""Flex XML as elements with line numbers; a file that breaks off yields what stands before the break.

Parsed as a stream by the hardened SAX parser: document types and entities are refused, so no bomb can go off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl, Locator

from defusedxml import DefusedXmlException
from defusedxml.sax import make_parser

from guardrails.errors import SourceError

_KEPT = frozenset(
    {
        "FlexStatement", "AccountInformation", "OpenPositions", "OpenPosition", "EquitySummaryByReportDateInBase",
        "ChangeInNAV", "ConversionRate", "SecurityInfo",
    }
)  # fmt: skip
_TOLD = ("Status", "ErrorCode", "ErrorMessage", "code")
"""elements whose text explains a refusal"""


@dataclass(frozen=True, slots=True)
class Element:
    """One element: name, attributes by lower-case name, line, and the number of the FlexStatement it stands in."""

    tag: str
    line: int
    attributes: Mapping[str, str]
    statement: int


@dataclass(frozen=True, slots=True)
class FlexXml:
    """The elements of a Flex file in order."""

    elements: tuple[Element, ...]
    roots: frozenset[str]
    told: Mapping[str, str]
    """text of the elements by which IBKR explains a refusal"""
    broken: str = ""
    """where and why reading stopped early, else empty"""


@dataclass(slots=True)
class _Seen:
    elements: list[Element] = field(default_factory=list)
    roots: set[str] = field(default_factory=set)
    told: dict[str, str] = field(default_factory=dict)


class _Collector(ContentHandler):
    """Gathers the elements that matter while the parser runs."""

    def __init__(self, seen: _Seen, locator: Locator) -> None:
        super().__init__()
        self._seen = seen
        self._locator = locator
        self._statement = 0
        self._open = ""
        self._among_positions = False

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802  # name given by SAX
        if name in ("FlexQueryResponse", "FlexStatementResponse"):
            self._seen.roots.add(name)
        self._statement += name == "FlexStatement"
        self._open = name if name in _TOLD else ""
        if self._among_positions:  # whatever stands here is a row, under a damaged name too
            name = "OpenPosition"
        self._among_positions = self._among_positions or name == "OpenPositions"
        if name in _KEPT:
            line = self._locator.getLineNumber() or 0
            cells = {key.lower(): value for key, value in attrs.items()}
            self._seen.elements.append(Element(name, line, cells, self._statement))

    def endElement(self, name: str) -> None:  # noqa: N802  # name given by SAX
        self._open = ""
        self._among_positions = self._among_positions and name != "OpenPositions"

    def characters(self, content: str) -> None:
        if self._open:
            self._seen.told[self._open] = self._seen.told.get(self._open, "") + content.strip()


def read_elements(text: str, name: str) -> FlexXml:
    """The elements of the file, up to where it breaks; SourceError when it declares entities or a document type."""
    from xml.sax import SAXParseException  # noqa: PLC0415  # S406 would flag it at the top; only the exception is used

    seen = _Seen()
    parser = make_parser()
    parser.forbid_dtd = True
    parser.setContentHandler(_Collector(seen, parser))  # the parser is its own locator
    broken = ""
    try:
        parser.feed(text)
        parser.close()
    except DefusedXmlException:
        raise SourceError(f"{name} declares a document type or entities: refused, a Flex statement has none") from None
    except SAXParseException as error:
        broken = (
            f"{name} line {error.getLineNumber()}: the file breaks off ({error.getMessage()}); what follows is missing"
        )
    return FlexXml(tuple(seen.elements), frozenset(seen.roots), dict(seen.told), broken)

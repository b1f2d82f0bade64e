"""Which format a file has, judged by its content: names and extensions are whatever the user saved it as."""

from __future__ import annotations

from enum import StrEnum

from adapters.statements.fields import shown
from adapters.statements.sections import lowered, rows
from guardrails.errors import SourceError

_HEAD = 4096
_ACTIVITY_MARKS = ("header", "data")
_TELLING = frozenset({"quantity-direction", "quantity_direction", "type", "instrument-type", "instrument_type"})
"""one of these stands beside symbol and quantity in every positions export"""


class Format(StrEnum):
    """The formats that are read, as a person would call them."""

    FLEX = "IBKR Flex Query XML"
    ACTIVITY = "IBKR activity statement CSV"
    TASTYTRADE_JSON = "tastytrade API JSON"
    TASTYTRADE_CSV = "tastytrade positions CSV"


def detect(text: str, name: str) -> Format:
    """The format of a file; SourceError, saying what it seems to be, when it is none that is read."""
    head = text.lstrip()[:_HEAD]
    if head.startswith("<"):
        return _markup(text, head.lower(), name)
    if head.startswith(("{", "[")):
        return Format.TASTYTRADE_JSON
    first: list[str] = []
    for number, cells in rows(text):
        first = first or lowered(cells)
        if len(cells) > 1 and cells[1].lower() in _ACTIVITY_MARKS:
            return Format.ACTIVITY
        if is_position_header(cells):
            return Format.TASTYTRADE_CSV
        if number > 200:  # a header stands near the top; the rest is not searched
            break
    if "clientaccountid" in first:
        raise SourceError(f"{name} is a Flex Query in CSV: choose XML as its format")
    named = ", ".join(shown(cell[:20]) for cell in first[:6])
    raise SourceError(
        f"{name} is no statement this reads: not IBKR Flex XML, IBKR activity CSV, tastytrade JSON "
        f"or CSV with the columns symbol, type and quantity (its first line has: {named or 'nothing'})"
    )


def is_position_header(cells: list[str]) -> bool:
    """Whether the cells are the column names of a tastytrade positions CSV."""
    names = set(lowered(cells))
    return {"symbol", "quantity"} <= names and bool(names & _TELLING)


def _markup(text: str, head: str, name: str) -> Format:
    if "<html" in head:
        raise SourceError(f"{name} is a web page, not a statement: log in again and export it")
    if "<flex" in text.lower() or "<!doctype" in head:  # a document type is refused by the parser, by name
        return Format.FLEX
    raise SourceError(f"{name} is XML but no Flex statement: export an Activity Flex Query")

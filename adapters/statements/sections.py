"""CSV text as lines with named cells.

Each physical line is parsed by itself: an unclosed quote then spoils one row instead of swallowing the rest of the
file.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence

from adapters.statements.book import Line
from adapters.statements.fields import shown

_DELIMITERS = ",;\t"
TROUBLE = "\x00trouble"
"""name of the cell that holds what is wrong with the line as a whole"""
_FULL = 5
"""sections from which a file is a statement as the broker prints it, not an excerpt made by hand"""
_PAIRS = ["field name", "field value"]
"""columns of the sections that describe the statement"""
_SKIPPED = ("total", "subtotal", "notes", "trailer")


def rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and stripped cells of each line that is not blank; the delimiter is what the first line uses most."""
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first.count)
    for number, line in enumerate(lines, start=1):
        try:
            cells = next(csv.reader([line], delimiter=delimiter), [])
        except csv.Error:  # a cell over the module's size limit
            cells = line[:200].split(delimiter)
        cells = [cell.strip() for cell in cells]
        if any(cells):
            yield number, cells


def named(number: int, cells: Sequence[str], header: Sequence[str]) -> Line:
    """The cells by header name; cells beyond the header (an unquoted thousands separator shifts a row) are TROUBLE."""
    found = {name: cell for name, cell in zip(header, cells, strict=False) if name}
    beyond = ", ".join(cell for cell in cells[len(header) :] if cell)
    return Line(number, found | ({TROUBLE: f"{shown(beyond)} stands beyond the last column"} if beyond else {}))


def unfinished(text: str) -> int:
    """Number of the last line if nothing ends it, so that its figures may be cut short; 0 when the text ends well."""
    return 0 if text.endswith(("\n", "\r")) else len(text.splitlines())


def lowered(header: Sequence[str]) -> list[str]:
    """Column names as they are looked up: lower case, single spaces."""
    return [" ".join(name.lower().split()) for name in header]


def _trimmed(columns: list[str]) -> list[str]:
    """The columns without the nameless ones a spreadsheet pads a header with: what stands under those is beyond it."""
    named_to = max((place for place, name in enumerate(columns, start=1) if name), default=0)
    return columns[:named_to]


def breaks_off_in(text: str, names: Sequence[str]) -> bool:
    """Whether a full statement ends with a row of a section in `names`: their totals must stand behind them."""
    ends = [line.split(",", 2)[:2] for line in text.rstrip().splitlines()]
    kinds = {end[0].strip().strip('"').lower() for end in ends}
    section, mark = [cell.strip().strip('"').lower() for cell in (*ends[-1], "", "")[:2]]
    return len(kinds) >= _FULL and section in names and mark in ("header", "data")


def _data(number: int, cells: Sequence[str], columns: Sequence[str], *, last: int) -> Line:
    values = cells[2:]
    if list(columns) == _PAIRS:  # resaved by hand, `January 1, 2026 - March 31, 2026` has lost its quotes
        values = [*values[:1], ", ".join(cell for cell in values[1:] if cell)]
    line = named(number, values, columns)
    mark = cells[1] if len(cells) > 1 else ""
    if mark.lower() != "data":
        return Line(number, {**line.cells, TROUBLE: f"{shown(mark)} is neither Header, Data nor Total"})
    if number == last and len(cells) - 2 < len(columns):
        return Line(number, {**line.cells, TROUBLE: "the file breaks off in it"})
    return line


def sections(text: str) -> dict[str, list[Line]]:
    """Data rows of an activity statement by lower-case section; headers may repeat with other columns."""
    found: dict[str, list[Line]] = defaultdict(list)
    header: dict[str, list[str]] = {}
    last = unfinished(text)
    for number, cells in rows(text):
        section, mark = cells[0].lower(), cells[1].lower() if len(cells) > 1 else ""
        columns = header.get(section, [])
        if mark == "header":
            header[section] = _trimmed(lowered(cells[2:]))
        elif mark not in _SKIPPED:
            found[section].append(_data(number, cells, columns, last=last))
    return dict(found)

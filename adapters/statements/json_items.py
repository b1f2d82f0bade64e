"""Elements of JSON arrays with their line numbers, also from a file that breaks off.

The standard decoder tells no lines and gives nothing of a truncated file, so each element of an `items` array is
decoded by itself; what stands before the break is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from guardrails.errors import SourceError

_ARRAY = re.compile(r'"(?:items|positions)"\s*:\s*\[')
_SPACE = re.compile(r"[\s,]*")


@dataclass(frozen=True, slots=True)
class Item:
    """One element of an array and the line it starts on."""

    line: int
    value: object


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON file: the elements of its arrays of records, and the whole where it could be decoded."""

    items: tuple[Item, ...]
    whole: object
    broken: str = ""
    """where and why decoding stopped, else empty"""
    has_items: bool = True
    """whether there is an array of records at all"""


def read(text: str, name: str) -> Document:
    """The document; SourceError when it is nested beyond reason."""
    broken, whole = "", None
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        broken = f"{name} line {error.lineno}: the file breaks off ({error.msg}); what follows is missing"
    except (RecursionError, ValueError):  # a number of thousands of digits is a ValueError
        raise SourceError(f"{name} is JSON nested or written beyond reason: export it again") from None
    starts = [found.end() for found in _ARRAY.finditer(text)]
    bare = not starts and text.lstrip().startswith("[")
    if bare:
        starts = [text.index("[") + 1]
    items = tuple(item for start in starts for item in _elements(text, start))
    return Document(items, whole, broken, bool(starts))


def _elements(text: str, start: int) -> Iterator[Item]:
    decoder = json.JSONDecoder()
    place, line, counted = start, text.count("\n", 0, start) + 1, start
    while True:
        gap = _SPACE.match(text, place)
        place = gap.end() if gap else place
        if place >= len(text) or text[place] == "]":
            return
        line += text.count("\n", counted, place)
        counted = place
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return
        yield Item(line, value)

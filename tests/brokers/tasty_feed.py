"""How events are put into FEED_DATA messages: by type, and no message too large for its reader."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.brokers.tasty_events import Event

LARGEST = 60_000
"""bytes of one FEED_DATA message; clients refuse more than 65,536"""


def grouped(events: Iterable[Event]) -> dict[str, list[Event]]:
    """Events by their type, in order."""
    told: dict[str, list[Event]] = {}
    for one in events:
        told.setdefault(one["eventType"], []).append(one)
    return told


def parts(rows: list[Any], limit: int | None) -> Iterable[list[Any]]:
    """Rows in order, cut so that each part stays below `limit` bytes of JSON."""
    part: list[Any] = []
    size = 0
    for row in rows:
        length = len(json.dumps(row)) if limit else 0
        if limit and part and size + length > limit:
            yield part
            part, size = [], 0
        part.append(row)
        size += length
    if part:
        yield part

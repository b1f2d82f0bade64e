"""Lists as the API gives them, whole or in pages, and what can be wrong with their rows and pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.brokers.tasty_wire import Answer, Refused, Request, data

if TYPE_CHECKING:
    from tests.brokers.tasty import Tasty


def listed(tasty: Tasty, request: Request, name: str, rows: list[dict[str, Any]], paged: int = 0) -> Answer:
    """A list as the API gives it: all of it, or the page asked for when `paged` says how many rows one has.

    The faults about rows and pages happen here.
    """
    rows = _with_bad_row(tasty, name, rows)
    short = tasty.hit("pages_short", paths=name) if paged else None
    if not paged:
        return data({"items": rows}, context=request.path)
    size = -(-len(rows) // 3) if short else int(request.one("per-page") or paged)
    size, offset = max(size, 1), int(request.one("page-offset", "0"))
    pages = 3 if short else max(-(-len(rows) // size), 1)
    if short and offset >= 2 and short.get("kind", "empty") == "500":
        raise Refused(500, "internal_server_error", "An internal server error occurred")
    first = offset * size
    if offset == 1 and tasty.hit("duplicate_page", paths=name):
        first = 0
    items = [] if short and offset >= 2 else rows[first : first + size]
    told = {
        "per-page": size, "page-offset": offset, "item-offset": first, "total-items": len(rows), "total-pages": pages,
        "current-item-count": len(items), "previous-link": None, "next-link": None, "paging-link-template": None,
    }  # fmt: skip
    return data({"items": items}, context=request.path, pagination=told)


def _with_bad_row(tasty: Tasty, name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    how = tasty.faults.active.get("one_bad_row")
    if how is None or name not in how.get("paths", ["positions"]) or not rows:
        return rows
    tasty.hit("one_bad_row")
    place, field = how.get("row", 0), how.get("field", "quantity")
    bad = dict(rows[place])
    kind = how.get("kind", "unknown_type")
    if kind == "unknown_type":
        bad["instrument-type"] = "Tokenized Stock"
    elif kind == "missing":
        bad.pop(field, None)
    else:
        bad[field] = {"text": "n/a", "null": None}[kind]
    return [*rows[:place], bad, *rows[place + 1 :]]

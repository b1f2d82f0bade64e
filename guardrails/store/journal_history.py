"""The journal as a page reads it: every entry as it was told last, chosen by what it is of, and as rows of a file."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from guardrails.execution.values import BookThen, JournalEntry, JournalKind
from guardrails.store.database import Database
from guardrails.store.deed_rows import deed_in
from guardrails.store.deeds import JOURNAL
from guardrails.store.metadata import micros
from guardrails.store.points import fetch
from guardrails.store.steps import Step, fetch_ids, latest

log = logging.getLogger(__name__)

MOST_ROWS = 200_000
"""looked at for one answer, the newest: years of a book that is traded by a person"""
_MEASURES = (
    "vix", "spx", "net_liquidation", "beta_delta_dollars", "gamma_1pct_dollars", "vega_per_point", "theta_per_day",
)  # fmt: skip
Cell = str | float | None


@dataclass(frozen=True, slots=True)
class JournalFilter:
    """Which entries; what is empty or None lets everything pass."""

    begin: datetime | None = None
    """of the time at which it was done"""
    end: datetime | None = None
    """before it"""
    underlying: str = ""
    regime: str = ""
    """in force before it"""
    tag: str = ""
    kind: JournalKind | None = None
    account: str = ""
    """broker and masked number"""

    def passes(self, entry: JournalEntry) -> bool:
        """Whether `entry` is one of them."""
        regime = "" if entry.before is None else entry.before.regime
        return (
            (self.begin is None or entry.time >= self.begin)
            and (self.end is None or entry.time < self.end)
            and self.underlying in ("", entry.underlying)
            and self.regime in ("", regime)
            and self.tag in ("", entry.tag)
            and self.kind in (None, entry.kind)
            and self.account in ("", entry.account)
        )


def entries(database: Database, book: str, chosen: JournalFilter, limit: int) -> list[JournalEntry]:
    """The entries that `chosen` lets pass, the newest first and of more than `limit` the newest.

    Each is as it was told last. One that this program cannot read is left out, and logged. Raises what a database does.
    """
    c = JOURNAL.c
    query = select(c.id, c.run, c.number, c.time, c.entry).where(c.book == book, c.entry.is_not(None))
    if chosen.begin is not None:  # nothing is told before it is done, but for clocks that differ a little
        query = query.where(c.time >= micros(chosen.begin) - 60_000_000)
    with database.reading() as connection:
        rows = fetch(connection, query.order_by(c.time.desc(), c.id.desc()).limit(MOST_ROWS))
        ids = {(run, number): row_id for row_id, run, number, _, _ in rows}
        steps = latest(Step(run, number, time, key, "") for _, run, number, time, key in rows).values()
        told = [ids[step.run, step.number] for step in steps]
        contents = [content or "" for (content,) in fetch_ids(connection, select(c.content), JOURNAL, told)]
    found = [entry for entry in _read(contents) if chosen.passes(entry)]
    return sorted(found, key=lambda entry: (entry.time, entry.key), reverse=True)[:limit]


def csv_rows(told: Sequence[JournalEntry], trades: dict[str, str] | None = None) -> list[dict[str, Cell]]:
    """`told` as rows of a file, one for each leg and one for an entry without legs; None is not known.

    `trades` is the identity of the trade by key of the entry, where it was worked out.
    """
    return [
        {**_entry_cells(entry, (trades or {}).get(entry.key, entry.trade)), **leg}
        for entry in told
        for leg in _leg_cells(entry)
    ]


def _entry_cells(entry: JournalEntry, trade: str) -> dict[str, Cell]:
    cells: dict[str, Cell] = {
        "time": entry.time.isoformat(),
        "entry": entry.key,
        "trade": trade,
        "kind": entry.kind.value,
        "account": entry.account,
        "underlying": entry.underlying,
        "tag": entry.tag,
        "author": entry.author,
        "words": entry.words,
        "order_key": entry.order_key,
        "packages": entry.quantity if entry.legs else None,
        "package_price": entry.price,
        "net_dollars": entry.net,
        "fees_dollars": entry.fees,
    }
    for when, book in (("before", entry.before), ("after", entry.after)):
        cells |= _book_cells(when, book)
    return cells


def _book_cells(when: str, book: BookThen | None) -> dict[str, Cell]:
    measures: dict[str, Cell] = {
        f"{name}_{when}": None if book is None else getattr(book, name) for name in _MEASURES
    }  # fmt: skip
    findings = None if book is None else "; ".join(f"{name}: {level}" for name, level in sorted(book.findings.items()))
    return {f"regime_{when}": None if book is None else book.regime, **measures, f"findings_{when}": findings}


def _leg_cells(entry: JournalEntry) -> list[dict[str, Cell]]:
    names = ("leg", "leg_key", "leg_quantity", "leg_price", "leg_fees_dollars", "leg_executions")
    rows: list[tuple[Cell, ...]] = [
        (leg.label, leg.key, leg.quantity, leg.price, leg.fees, " ".join(leg.execution)) for leg in entry.legs
    ]
    return [dict(zip(names, row, strict=True)) for row in rows or [(None,) * len(names)]]


def _read(contents: Iterable[str]) -> Iterable[JournalEntry]:
    unread = 0
    for content in contents:
        try:
            entry = deed_in(JOURNAL, content)
        except ValueError:
            unread += 1
            continue
        if isinstance(entry, JournalEntry):
            yield entry
    if unread:
        log.error("%d entries of the journal cannot be read by this program and are left out", unread)

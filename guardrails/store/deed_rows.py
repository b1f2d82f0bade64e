"""Orders, fills, journal, overrides, safety and flatten as rows of the store, and back.

A row holds the whole value as JSON, its account without the number: what is read back is matched by the hash of its
owner. `time` is when it was handed over, so that between two runs the later word counts, whatever it tells of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Table

from guardrails.errors import GuardrailsError
from guardrails.execution.values import Deed, FlattenRun, JournalEntry, OrderRecord
from guardrails.gate.values import Override
from guardrails.journal.entries import owner_of
from guardrails.orders import Fill
from guardrails.safety import SafetyChange
from guardrails.store.books import Book
from guardrails.store.deed_texts import hidden_document, hidden_text
from guardrails.store.deeds import FILLS, FLATTEN_RUNS, JOURNAL, ORDERS, OVERRIDES, SAFETY_CHANGES
from guardrails.store.inserts import Row
from guardrails.store.metadata import StoreError, micros
from guardrails.store.news import News, Numbers
from guardrails.store.schema import BOOKS
from guardrails.store.texts import number, text

TABLES: Mapping[type, Table] = {
    OrderRecord: ORDERS,
    Fill: FILLS,
    JournalEntry: JOURNAL,
    Override: OVERRIDES,
    SafetyChange: SAFETY_CHANGES,
    FlattenRun: FLATTEN_RUNS,
}
_ADAPTERS: Mapping[str, TypeAdapter[Any]] = {table.name: TypeAdapter(kind) for kind, table in TABLES.items()}
_BEGUN, _USED, _ENDED = "begun", "used", "ended"


def deed_news(book: Book, deeds: Sequence[Deed], numbers: Numbers, now: datetime) -> News:
    """All rows of one call, for one transaction; StoreError when one could not be read back as it is."""
    time = micros(now)
    rows = [(TABLES[type(deed)].name, _row(book, deed, time)) for deed in deeds]
    told = [sent for name, row in rows for sent in numbers.to(name, [row])]
    first = (BOOKS.name, (book.key, book.names, time))
    return News(book, (first, *told), first=False, matrix_version="", time=time, regime="")


def deed_in(table: Table, content: str) -> Any:
    """The value in a column `content` of `table`; ValueError when this program cannot read it."""
    try:
        return _ADAPTERS[table.name].validate_json(content)
    except GuardrailsError as error:  # an order that could never be made
        raise ValueError(str(error)) from error


def _row(book: Book, deed: Deed, time: int) -> Row:
    """The row of its table, from `book` on."""
    if isinstance(deed, OrderRecord):
        return (book.key, time, *_order(replace(deed, owner=owner_of(deed.order.account, deed.owner))))
    if isinstance(deed, Fill):
        return (book.key, time, *_fill(deed))
    if isinstance(deed, JournalEntry):
        return (book.key, time, *_entry(deed))
    if isinstance(deed, Override):
        return (book.key, time, *_override(deed))
    if isinstance(deed, SafetyChange):
        words = (deed.old.value, deed.new.state.value, text(deed.new.author), text(deed.new.reason))
        return (book.key, time, *words, _content(deed))
    key = hidden_text(deed.key, exact=True)
    return (book.key, time, key, deed.state.value, text(deed.author), text(deed.words), _content(deed))


def _content(deed: Deed) -> str:
    """The whole value; StoreError when it could not be read back, for then it would not be kept."""
    table = TABLES[type(deed)]
    content = hidden_document(deed, _ADAPTERS[table.name])
    try:
        deed_in(table, content)
    except ValueError as error:
        raise StoreError(f"a row of {table.name} could not be read back ({type(error).__name__}).") from None
    return content


def _order(record: OrderRecord) -> Row:
    order = record.order
    legs = [{"key": leg.instrument.key, "ratio": leg.ratio} for leg in order.legs]
    limit = order.limit if record.limit is None else record.limit
    return (
        hidden_text(record.key, exact=True),
        record.state.value,
        record.owner,
        order.account.masked,
        text(order.account.broker),
        text(record.origin),
        text(record.author),
        json.dumps(legs),
        number(order.quantity),
        number(limit),
        "",  # an order does not say; each fill does
        text(record.verdict) or None,
        json.dumps([text(code) for code in record.reasons]),
        hidden_text(record.references[-1], exact=True) if record.references else None,
        text(record.detail),
        micros(record.changed),
        _content(record),
    )


def _fill(fill: Fill) -> Row:
    return (
        hidden_text(fill.execution, exact=True),
        hidden_text(fill.key, exact=True) or None,
        owner_of(fill.account),
        fill.account.masked,
        text(fill.account.broker),
        text(fill.instrument.key),
        number(fill.quantity),
        number(fill.price),
        number(fill.fees),
        text(fill.currency),
        micros(fill.time),
        fill.revision,
        _content(fill),
    )


def _entry(entry: JournalEntry) -> Row:
    before, after = (
        hidden_document({} if book is None else {"regime": book.regime, "findings": dict(book.findings)})
        for book in (entry.before, entry.after)
    )
    return (
        entry.kind.value,
        text(entry.author),
        hidden_text(entry.order_key, exact=True) or None,
        text(entry.words),
        before,
        after,
        hidden_text(entry.key, exact=True),
        micros(entry.time),
        _content(entry),
    )


def _override(override: Override) -> Row:
    state = _ENDED if override.ended is not None else _USED if override.used else _BEGUN
    return (
        hidden_text(override.key, exact=True),
        text(override.check),
        text(override.subject),
        text(override.author),
        text(override.reason),
        state,
        micros(override.until),
        hidden_text(override.used[-1], exact=True) if override.used else None,
        _content(override),
    )

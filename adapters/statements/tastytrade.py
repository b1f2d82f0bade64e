"""tastytrade position and balance records of a file into a Book, and the API's JSON into such records.

A file carries no time of its own: the latest `updated-at` of its records counts, which is the last time the broker is
known to have said something; without any it is as old as the file. Both are said in the notes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from adapters.statements import json_items
from adapters.statements.book import Book, File, LeftOut, gap, priced_underlyings
from adapters.statements.fields import moment, shown
from adapters.tastytrade.money import of_balance
from adapters.tastytrade.rows import BROKER, NO_ACCOUNT, Reading, account_id, kebab, to_position
from guardrails import calendar
from guardrails.errors import SourceError
from guardrails.values import Account, AccountId, Market, Position, Price

_TIMES = ("updated-at", "marked-at", "snapshot-date")


@dataclass(frozen=True, slots=True)
class Record:
    """One position record and where it stands; records of a CSV come in the keys of the API."""

    line: int
    fields: Mapping[str, object]
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_json(text: str, file: File) -> Book:
    """The Book of a positions or balances answer; SourceError when it holds neither."""
    document = json_items.read(text, file.name)
    balances = [fields for fields in _objects(document.whole) if "net-liquidating-value" in fields]
    records, strange = _records(document, file)
    if not document.has_items and not balances:
        raise SourceError(document.broken or f"{file.name} is JSON without positions or balances of tastytrade")
    if not records and not balances and not _context_account(document.whole):
        raise SourceError(document.broken or f"{file.name} lists no position and names no account: export it again")
    numbers = {account_id(fields).number for fields in balances}
    account = _context_account(document.whole) or (numbers.pop() if len(numbers) == 1 else "")
    book = to_book(records, balances, file, extra=strange, account=account)
    if document.broken:
        owner = book.accounts[0].id if book.accounts else AccountId(BROKER, NO_ACCOUNT)
        rest = gap(owner, file.source, file.modified, "rest of the file", document.broken)
        book = replace(book, positions=(*book.positions, rest), notes=(*book.notes, document.broken))
    return replace(book, has_positions=bool(records or strange) or (document.has_items and not balances))


def _records(document: json_items.Document, file: File) -> tuple[list[Record], list[tuple[int, str]]]:
    """Position records, and what stands among them without being one."""
    records, strange = [], []
    for item in document.items:
        fields = kebab(item.value) if isinstance(item.value, dict) else {}
        if "symbol" in fields or "quantity" in fields:
            records.append(Record(item.line, fields))
        elif not fields.keys() & {"net-liquidating-value", "data", "items", "positions"}:
            strange.append((item.line, f"{file.name} line {item.line}: {shown(item.value)} is no position record"))
    return records, strange


def _objects(value: object, depth: int = 0) -> Iterator[dict[str, object]]:
    """Every object in a JSON value, six levels deep, with kebab-case keys."""
    if depth > 6:
        return
    if isinstance(value, dict):
        yield kebab(value)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(inner, dict | list):
            yield from _objects(inner, depth + 1)


def _context_account(whole: object) -> str:
    """The account in `"context": "/accounts/5WT00000/positions"`."""
    context = str(whole.get("context") or "") if isinstance(whole, dict) else ""
    parts = context.strip("/").split("/")
    return parts[1] if len(parts) > 1 and parts[0] == "accounts" else ""


def to_book(
    records: Sequence[Record],
    balances: Sequence[Mapping[str, object]],
    file: File,
    *,
    extra: Sequence[tuple[int, str]] = (),
    account: str = "",
    prices: Mapping[str, Price] | None = None,
) -> Book:
    """The Book of position and balance records read from one file; `extra` are rows that are no records."""
    time, note = _time([*(record.fields for record in records), *balances], file)
    kept, left_out = _distinct(records)
    positions = []
    for record in kept:
        held = _position(record, file, time, account)
        if held.quantity == 0 and not held.reasons:
            left_out.append(LeftOut(record.line, f"{held.instrument.symbol} has quantity 0"))
        else:
            positions.append(held)
    number = next((held.account.number for held in positions), account or NO_ACCOUNT)
    positions += [gap(AccountId(BROKER, number), file.source, time, f"line {line}", why) for line, why in extra]
    return Book(
        positions=tuple(positions),
        accounts=_accounts(balances, positions, file, time, account),
        market=Market(prices={**priced_underlyings(positions), **(prices or {})}),
        left_out=tuple(left_out),
        notes=(note,),
    )


def _time(records: Iterable[Mapping[str, object]], file: File) -> tuple[datetime, str]:
    """When the broker last said something in this file, and how that is known."""
    found = [stamp for record in records for name in _TIMES if (stamp := _stamp(record.get(name))) is not None]
    past = [stamp for stamp in found if stamp <= file.now]
    if past:
        return max(
            past
        ), f"{file.name} carries no time of its own: its newest record is of {max(past):%Y-%m-%d %H:%M} UTC"
    if file.modified > file.now:
        return (
            file.now,
            f"{file.name} carries no time and was written after the time of this assessment: taken as current",
        )
    return file.modified, f"{file.name} carries no time: the file was written {file.modified:%Y-%m-%d %H:%M} UTC"


def _stamp(text: object) -> datetime | None:
    try:
        return moment(str(text)) if text else None
    except ValueError:
        return None


def _distinct(records: Sequence[Record]) -> tuple[list[Record], list[LeftOut]]:
    """Records without exact repetitions; those that contradict each other carry the reason."""
    groups: dict[tuple[str, str], list[Record]] = {}
    left_out: list[LeftOut] = []
    for record in records:
        same = groups.setdefault(
            (account_id(record.fields).number, str(record.fields.get("symbol") or record.line)), []
        )
        twin = next((place for place, other in enumerate(same) if other.fields == record.fields), None)
        if twin is None:
            same.append(record)
            continue
        left_out.append(LeftOut(record.line, f"the same as line {same[twin].line}"))
        note = f"line {record.line} repeats it and is not counted"
        same[twin] = replace(same[twin], notes=(*same[twin].notes, note))
    kept = []
    for same in groups.values():
        lines = ", ".join(str(record.line) for record in same)
        reason = (f"lines {lines} name the same position with different figures",) if len(same) > 1 else ()
        kept += [replace(record, reasons=(*record.reasons, *reason)) for record in same]
    return kept, left_out


def _position(record: Record, file: File, time: datetime, account: str) -> Position:
    place = f"{file.name} line {record.line}"
    fields = dict(record.fields)
    if not fields.get("account-number") and account:
        fields["account-number"] = account
    written = calendar.exchange_date(time)
    held = to_position(fields, Reading(file.source, time, written, file.today, place))
    return replace(held, notes=(place, *record.notes, *held.notes), reasons=(*record.reasons, *held.reasons))


def _accounts(
    balances: Sequence[Mapping[str, object]], positions: Sequence[Position], file: File, time: datetime, account: str
) -> tuple[Account, ...]:
    """The accounts of the balances, and those that only positions name."""
    told: dict[AccountId, Account] = {}
    dated = [(_stamp(fields.get("updated-at")) or time, fields) for fields in balances]
    for stamp, fields in sorted(dated, key=lambda pair: pair[0]):  # the newest balance of an account stays
        found = of_balance(fields, file.source, stamp)
        if found.id.number == NO_ACCOUNT and account:
            found = replace(found, id=AccountId(BROKER, account))
        told[found.id] = found
    named = [*(position.account for position in positions), *([AccountId(BROKER, account)] if account else [])]
    return (*told.values(), *(Account(held, file.source, time) for held in dict.fromkeys(named) if held not in told))

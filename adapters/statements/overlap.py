"""One account in several files: the same statement twice, or those of two days, must not make a book of double size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from adapters.statements.book import NO_ACCOUNT
from guardrails.instruments import Kind
from guardrails.values import AccountId, Position

_Rows = list[Position]


def once(files: Sequence[Sequence[Position]]) -> tuple[tuple[Position, ...], tuple[str, ...]]:
    """The positions of several files with each account counted once, and what was not counted.

    Of files that hold some of the same instruments the newest counts. Files of one account that share none are parts of
    one book if they are of one time; else, and where two of one time differ, nobody can tell, and the rows are doubted.
    """
    parts: dict[AccountId, list[_Rows]] = defaultdict(list)
    for rows in files:
        by_account: dict[AccountId, _Rows] = defaultdict(list)
        for held in rows:
            by_account[held.account].append(held)
        for account, own in by_account.items():
            parts[account].append(own)
    kept: _Rows = []
    said: list[str] = []
    for account, several in parts.items():
        chosen = several[0]
        for rows in several[1:]:
            chosen = _settled(chosen, rows, account, said)
        kept += chosen
    return tuple(kept), tuple(said)


def _settled(first: _Rows, second: _Rows, account: AccountId, said: list[str]) -> _Rows:
    """The rows that count of two files of one account."""
    if not _shared(first, second):
        return [*first, *second] if _time(first) == _time(second) else _doubted(first, second, account)
    if _time(first) != _time(second) and account.number != NO_ACCOUNT:  # two files without a name may be two accounts
        older, newer = (first, second) if _time(first) < _time(second) else (second, first)
        said.append(
            f"{account} is in {_file(newer)} too, which is newer: {len(older)} rows of {_file(older)} do not count"
        )
        return newer
    if _book(first) == _book(second):
        said.append(
            f"{account} is in {_file(first)} too: {len(second)} rows of {_file(second)} are the same, not added"
        )
        return first
    return _doubted(first, second, account)


def _shared(first: _Rows, second: _Rows) -> bool:
    return not {held.instrument.key for held in first}.isdisjoint(held.instrument.key for held in second)


def _doubted(first: _Rows, second: _Rows, account: AccountId) -> _Rows:
    reason = f"{_file(first)} and {_file(second)} hold different books of {account}: give one file of the account"
    return [replace(held, reasons=(*held.reasons, reason)) for held in (*first, *second)]


def _book(rows: _Rows) -> list[tuple[str, float | None]]:
    return sorted(((held.instrument.key, held.quantity) for held in rows), key=str)


def _time(rows: _Rows) -> datetime:
    real = [held.time for held in rows if held.instrument.kind is not Kind.OTHER]
    return max(real or [held.time for held in rows])


def _file(rows: _Rows) -> str:
    return rows[0].source.removeprefix("statement:")

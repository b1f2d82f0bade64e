"""Whether every change of a position is explained: by a fill, an assignment, an expiry, a trade made elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from guardrails.execution.fills import Identity, identity_of
from guardrails.execution.values import JournalEntry
from guardrails.findings import Finding
from guardrails.instruments import Instrument
from guardrails.journal.assignments import LATE, assignments
from guardrails.journal.explain import TOLERANCE, Books, PositionChange, position_change, unexplained
from guardrails.journal.money import money_of
from guardrails.orders import Fill
from guardrails.portfolio import Portfolio
from guardrails.values import AccountId, SourceState

QUIET = timedelta(seconds=15)
"""fills and positions come on different ways: for so long one of them may be behind"""
_SPEAKS = (SourceState.LIVE, SourceState.CLOSED)


class PositionWatch:
    """Belongs to whoever looks; `look` costs a pass over the positions."""

    def __init__(self) -> None:
        self._explained: dict[AccountId, Mapping[str, float]] = {}
        """the last positions of each account of which all was explained"""
        self._counted: dict[Identity, float] = {}
        """executions that are in them, with the quantities they had then"""
        self._first: dict[AccountId, datetime] = {}
        """when each account was seen for the first time"""
        self._told: set[str] = set()
        """keys of assignments that are in them"""
        self._instruments: dict[str, Instrument] = {}
        self._since: dict[tuple[AccountId, str], tuple[datetime, float]] = {}
        """since when, and how much of a position was unexplained at the last look"""
        self._changes: tuple[PositionChange, ...] = ()

    def look(
        self, portfolio: Portfolio, fills: Sequence[Fill], entries: Sequence[JournalEntry], now: datetime
    ) -> tuple[JournalEntry, ...]:
        """Take one more book; the assignments and expiries that it shows and nobody has written down yet."""
        books = books_of(portfolio)
        self._instruments |= {position.instrument.key: position.instrument for position in portfolio.positions}
        first = {account: book for account, book in books.items() if account not in self._explained}
        if first:
            self._explained |= first
            self._first |= dict.fromkeys(first, now)
            self._count(first, fills)
        known = [entry for entry in entries if entry.key.startswith("assignment:") and entry.key not in self._told]
        late = [entry for entry in entries if entry.key in self._told and now - entry.time <= LATE]
        before = {account: self._explained[account] for account in books}
        fresh = self._fresh(before, books, fills, known)
        found = assignments(
            before, books, self._instruments, fresh, money_of(portfolio), now, known=known, expired=late
        )
        self._changes = unexplained(before, books, fresh, (*known, *found))
        self._settle(books, fills, [*known, *found], now)
        return found

    def findings(self, now: datetime, *, market_open: bool, version: str) -> list[Finding]:
        """One for every change that nothing has explained for `QUIET`."""
        found = []
        for change in self._changes:
            since, _ = self._since.get((change.account, change.key), (now, 0.0))
            if now - since < QUIET:
                continue
            held = self._instruments.get(change.key)
            label = "" if held is None else held.label
            found.append(position_change(change, since, now, market_open=market_open, label=label, version=version))
        return found

    def _stands_since(self, change: PositionChange, now: datetime) -> datetime:
        """Since when it is unexplained. What shrinks was on its way: while one trades something always is."""
        since, before = self._since.get((change.account, change.key), (now, change.quantity))
        is_same = change.quantity * before > 0 and abs(change.quantity) >= abs(before) - TOLERANCE
        return since if is_same else now

    def _fresh(self, before: Books, books: Books, fills: Sequence[Fill], known: Sequence[JournalEntry]) -> list[Fill]:
        """Executions that are not in `before` yet; of a corrected one what the correction changed.

        One from before the account was first seen, and told only later, was in that first book if that explains more.
        """
        fresh = []
        for fill in fills:
            counted = self._counted.get(identity_of(fill))
            if counted is None:
                fresh.append(fill)
            elif abs(fill.quantity - counted) > TOLERANCE:
                fresh.append(replace(fill, quantity=fill.quantity - counted))
        late = [fill for fill in fresh if any(_is_in(fill, one) and fill.time <= at for one, at in self._first.items())]
        if late:
            rest = [fill for fill in fresh if fill not in late]
            if len(unexplained(before, books, rest, known)) < len(unexplained(before, books, fresh, known)):
                self._count(before, late)
                return rest
        return fresh

    def _count(self, accounts: Collection[AccountId], fills: Iterable[Fill]) -> None:
        """From now on these executions are in the books of `accounts`."""
        self._counted |= {
            identity_of(fill): fill.quantity for fill in fills if any(_is_in(fill, one) for one in accounts)
        }

    def _settle(self, books: Books, fills: Sequence[Fill], entries: Sequence[JournalEntry], now: datetime) -> None:
        """Go on from the books in which all is explained."""
        open_accounts = {change.account for change in self._changes}
        self._since = {
            (change.account, change.key): (self._stands_since(change, now), change.quantity) for change in self._changes
        }
        for account, book in books.items():
            if account in open_accounts:
                continue
            self._explained[account] = book
            self._count([account], fills)
            self._told |= {entry.key for entry in entries if entry.account == str(account)}


def _is_in(fill: Fill, account: AccountId) -> bool:
    """Whether `fill` is of `account`; one that was read from the store bears no number."""
    return fill.account in (account, account.hidden)


def books_of(portfolio: Portfolio) -> dict[AccountId, dict[str, float]]:
    """Quantities by key of every account whose positions are all known now; the others say nothing."""
    speaking = {source.name for source in portfolio.sources if source.state in _SPEAKS}
    books: dict[AccountId, dict[str, float]] = {
        account.id: {} for account in portfolio.accounts if account.source in speaking
    }
    for position in portfolio.positions:
        book = books.get(position.account)
        if book is None:
            continue
        if position.quantity is None:
            del books[position.account]
            continue
        key = position.instrument.key
        book[key] = book.get(key, 0.0) + position.quantity
    return books

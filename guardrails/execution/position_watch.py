"""Whether every change of a position is explained: by a fill, an assignment, an expiry, a trade made elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from guardrails.execution.fills import Identity, identity_of
from guardrails.execution.values import JournalEntry
from guardrails.findings import Finding
from guardrails.instruments import Instrument
from guardrails.journal.assignments import LATE, assignments
from guardrails.journal.explain import Books, PositionChange, position_change, unexplained
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
        self._counted: set[Identity] = set()
        """executions that are in them"""
        self._told: set[str] = set()
        """keys of assignments that are in them"""
        self._instruments: dict[str, Instrument] = {}
        self._since: dict[tuple[AccountId, str], datetime] = {}
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
            self._counted |= {identity_of(fill) for fill in fills if fill.account in first}
        fresh = [fill for fill in fills if identity_of(fill) not in self._counted]
        known = [entry for entry in entries if entry.key.startswith("assignment:") and entry.key not in self._told]
        late = [entry for entry in entries if entry.key in self._told and now - entry.time <= LATE]
        before = {account: self._explained[account] for account in books}
        found = assignments(
            before, books, self._instruments, fresh, money_of(portfolio), now, known=known, expired=late
        )
        self._changes = unexplained(before, books, fresh, (*known, *found))
        self._settle(books, fresh, [*known, *found], now)
        return found

    def findings(self, now: datetime, *, market_open: bool, version: str) -> list[Finding]:
        """One for every change that nothing has explained for `QUIET`."""
        found = []
        for change in self._changes:
            since = self._since.get((change.account, change.key), now)
            if now - since < QUIET:
                continue
            held = self._instruments.get(change.key)
            label = "" if held is None else held.label
            found.append(position_change(change, since, now, market_open=market_open, label=label, version=version))
        return found

    def _settle(self, books: Books, fresh: Sequence[Fill], entries: Sequence[JournalEntry], now: datetime) -> None:
        """Go on from the books in which all is explained."""
        open_accounts = {change.account for change in self._changes}
        standing = {(change.account, change.key) for change in self._changes}
        self._since = {place: self._since.get(place, now) for place in standing}
        for account, book in books.items():
            if account in open_accounts:
                continue
            self._explained[account] = book
            self._counted |= {identity_of(fill) for fill in fresh if fill.account in (account, account.hidden)}
            self._told |= {entry.key for entry in entries if entry.account == str(account)}


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

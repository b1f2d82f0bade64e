"""Whether every change of a position is explained: by a fill, an assignment, an expiry, a trade made elsewhere, or a
person's word. What is not is written into the journal (`guardrails.execution.changes`) and stands there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from guardrails.execution import changes
from guardrails.execution.fills import Identity, identity_of
from guardrails.execution.values import JournalEntry, JournalKind
from guardrails.findings import Finding
from guardrails.instruments import Instrument
from guardrails.journal.assignments import LATE, assignments
from guardrails.journal.explain import TOLERANCE, Books, PositionChange, position_change, unexplained
from guardrails.journal.money import money_of
from guardrails.memory import account_key
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
        self._standing: dict[str, JournalEntry] = {}
        """by key, entries of changes that stand, and of accepted ones until the positions go on from them; replaced
        whole, as `findings` is asked from another thread"""

    def look(
        self, portfolio: Portfolio, fills: Sequence[Fill], entries: Sequence[JournalEntry], now: datetime
    ) -> tuple[JournalEntry, ...]:
        """Take one more book; what it shows and nobody has written down yet: assignments, expiries, and changes that
        nothing explains or that something explains by now.

        `entries` are those of the journal. A change that stands there from an earlier run goes on to stand.
        """
        books = books_of(portfolio)
        self._instruments |= {position.instrument.key: position.instrument for position in portfolio.positions}
        first = {account: book for account, book in books.items() if account not in self._explained}
        if first:
            self._explained |= first
            self._first |= dict.fromkeys(first, now)
            self._count(first, fills)
        self._go_on(books, fills, entries)
        known = [entry for entry in entries if self._explains(entry)]
        late = [entry for entry in entries if entry.key in self._told and now - entry.time <= LATE]
        before = {account: self._explained[account] for account in books}
        fresh = self._fresh(before, books, fills, known)
        found = assignments(
            before, books, self._instruments, fresh, money_of(portfolio), now, known=known, expired=late
        )
        self._changes = unexplained(before, books, fresh, (*known, *found))
        self._settle(books, fills, [*known, *found], now)
        return (*found, *self._stand(books, fills, now))

    def findings(self, now: datetime, *, market_open: bool, version: str) -> list[Finding]:
        """One for every change that nothing has explained for `QUIET`."""
        found = []
        for change in self._changes:
            since, _ = self._since.get((change.account, change.key), (now, 0.0))
            if now - since < QUIET:
                continue
            held, entry = self._instruments.get(change.key), self._entry_of(change)
            label = held.label if held is not None else "" if entry is None else entry.legs[0].label
            key = "" if entry is None else entry.key
            finding = position_change(
                change, since, now, market_open=market_open, label=label, version=version, entry=key
            )
            found.append(finding)
        return found

    def _go_on(self, books: Books, fills: Sequence[Fill], entries: Sequence[JournalEntry]) -> None:
        """Changes that stood when an earlier program ended: what ought to be held is what that one knew."""
        current = {entry.key: entry for entry in entries}
        self._standing = {key: current.get(key, entry) for key, entry in self._standing.items()}
        accounts = {account_key(account): account for account in books}
        for entry in entries:
            account = accounts.get(entry.owner)
            if not entry.stands or entry.key in self._standing or account is None:
                continue
            [leg] = entry.legs
            self._explained[account] = {**self._explained[account], leg.key: leg.held or 0.0}
            self._since[account, leg.key] = entry.time, leg.quantity
            self._standing = {**self._standing, entry.key: entry}
            for fill in fills:
                if fill.instrument.key == leg.key and _is_in(fill, account):
                    self._counted.pop(identity_of(fill), None)
                    if fill.execution in leg.execution:
                        self._counted[identity_of(fill)] = fill.quantity

    def _explains(self, entry: JournalEntry) -> bool:
        """Whether `entry` tells of something that the books do not show yet, as far as they are explained.

        What was told before an account was first seen is in that first book.
        """
        if entry.key in self._told:
            return False
        if entry.kind is JournalKind.CHANGE:
            return entry.key in self._standing and not entry.stands and bool(entry.legs)
        first = next((at for account, at in self._first.items() if account_key(account) == entry.owner), None)
        return entry.key.startswith("assignment:") and (first is None or entry.time >= first)

    def _stand(self, books: Books, fills: Sequence[Fill], now: datetime) -> list[JournalEntry]:
        """Entries of changes that stand, where they moved; and of those that stand no more."""
        told: list[JournalEntry] = []
        standing = dict(self._standing)
        for change in self._changes:
            entry = self._entry_of(change)
            since, _ = self._since[change.account, change.key]
            if entry is None and now - since < QUIET:
                continue
            own = sorted(
                one.execution for one in fills if one.instrument.key == change.key and _is_in(one, change.account)
            )
            after = changes.standing(change, self._instruments.get(change.key), own, since, entry)
            standing[after.key] = after
            told += [after] if after is not entry else []
        open_places = {(account_key(change.account), change.key) for change in self._changes}
        owners = {account_key(account) for account in books}
        for entry in list(standing.values()):
            is_open = not entry.legs or (entry.owner, entry.legs[0].key) in open_places
            if entry.owner not in owners or (entry.stands and is_open):
                continue
            if entry.stands:
                told.append(changes.explained(entry))
            if entry.stands or entry.key in self._told:
                del standing[entry.key]
        self._standing = standing
        return told

    def _entry_of(self, change: PositionChange) -> JournalEntry | None:
        """What the journal tells of a change that stands."""
        owner = account_key(change.account)
        return next(
            (
                one
                for one in self._standing.values()
                if one.stands and one.owner == owner and one.legs[0].key == change.key
            ),
            None,
        )

    def forget(self, fills: Collection[Identity], entries: Collection[str]) -> None:
        """Drop what is neither among these executions nor among these entries any more."""
        self._counted = {identity: size for identity, size in self._counted.items() if identity in fills}
        self._told &= set(entries)

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

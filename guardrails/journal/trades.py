"""Entries as trades: an opening and all its rolls, adjustments, closings and assignments, with the net credit carried.

Linked within one account and underlying, in the order of time: what closes legs of a trade is part of it, and so is
what the same order opens; an option opened within minutes of one that was closed, of the same right and side, is its
roll; more of a leg is the same trade; a call written on its shares too. Everything else is a new trade. The whole is
worked out from the entries each time: an early one that comes late puts itself in its place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from guardrails.execution.values import JournalEntry, JournalKind, JournalLeg
from guardrails.journal.entries import gross_of, net_of
from guardrails.journal.linking import ROLL_MINUTES, Move, Working, link

Number = float | None


class Step(StrEnum):
    """What an entry did to its trade."""

    OPENED = "opened"
    ADDED = "added"
    ROLLED = "rolled"
    ADJUSTED = "adjusted"
    REDUCED = "partly closed"
    CLOSED = "closed"
    ASSIGNED = "assigned or expired"


@dataclass(frozen=True, slots=True)
class Part:
    """What one entry did to a trade; an order that closes two trades is a part of both."""

    entry: JournalEntry
    step: Step
    legs: tuple[JournalLeg, ...]
    """of this trade alone"""
    realised: Number
    """US dollars gained (positive) by what it closed, fees of both ways taken off; None is not known"""

    @property
    def gross(self) -> Number:
        """US dollars received (positive) or paid, before fees."""
        return gross_of(self.legs)

    @property
    def net(self) -> Number:
        """The same, fees taken off; None while they are not known."""
        return net_of(self.legs)


@dataclass(frozen=True, slots=True)
class TradeStory:
    """One trade from its opening on."""

    key: str
    """of its first entry"""
    account: str
    underlying: str
    parts: tuple[Part, ...]
    """oldest first"""
    closed: datetime | None
    """None while legs are open"""
    legs: tuple[JournalLeg, ...]
    """still open, at the average price of their opening"""
    begun_before: bool
    """it closed what was opened before the journal: what that cost is not known"""
    notes: tuple[JournalEntry, ...] = ()
    """what was written about it"""

    @property
    def opened(self) -> datetime:
        """Time of the first entry."""
        return self.parts[0].entry.time

    @property
    def rolls(self) -> int:
        """How often it was rolled."""
        return sum(part.step is Step.ROLLED for part in self.parts)

    @property
    def gross(self) -> Number:
        """US dollars received (positive) or paid since the opening, before fees; None when a part is not known."""
        return _sum(part.gross for part in self.parts)

    @property
    def net(self) -> Number:
        """The same, fees taken off: the net credit that is carried."""
        return _sum(part.net for part in self.parts)

    @property
    def realised(self) -> Number:
        """US dollars gained by what is closed; 0 when nothing is, None when what it cost is not known."""
        return _sum(part.realised for part in self.parts)

    @property
    def tags(self) -> tuple[str, ...]:
        """Of its entries, each once."""
        return tuple(dict.fromkeys(part.entry.tag for part in self.parts if part.entry.tag))

    @property
    def regime(self) -> str:
        """In force at the opening; empty when it is not known."""
        before = self.parts[0].entry.before
        return "" if before is None else before.regime


def trades_of(entries: Iterable[JournalEntry], roll_minutes: float = ROLL_MINUTES) -> tuple[TradeStory, ...]:
    """Every trade that `entries` tell of, in the order of their openings; of one key the last entry counts."""
    last = {entry.key: entry for entry in entries}
    books: dict[tuple[str, str], list[JournalEntry]] = defaultdict(list)
    for entry in sorted(last.values(), key=lambda entry: (entry.time, entry.key)):
        if not entry.stands and any(leg.quantity for leg in entry.legs):
            books[entry.owner or entry.account, entry.underlying].append(entry)
    spoken = [entry for entry in last.values() if not entry.legs and (entry.trade or entry.order_key)]
    stories = [_story(trade, spoken) for own in books.values() for trade in link(own, roll_minutes)]
    return tuple(sorted(stories, key=lambda story: (story.opened, story.key)))


def _story(trade: Working, spoken: Sequence[JournalEntry]) -> TradeStory:
    first = trade.moves[0].entry
    names = {name for move in trade.moves for name in (move.entry.key, move.entry.trade, move.entry.order_key) if name}
    parts = tuple(
        Part(move.entry, _step(move, first=move is trade.moves[0]), move.legs, move.realised) for move in trade.moves
    )
    return TradeStory(
        key=first.key,
        account=first.account,
        underlying=first.underlying,
        parts=parts,
        closed=None if trade.open else trade.moves[-1].entry.time,
        legs=tuple(replace(leg.told, quantity=leg.quantity, price=leg.price) for leg in trade.open.values()),
        begun_before=trade.begun_before,
        notes=tuple(entry for entry in spoken if {entry.trade, entry.order_key} & names),
    )


def _step(move: Move, *, first: bool) -> Step:
    if move.entry.kind is JournalKind.ASSIGNMENT:
        return Step.ASSIGNED
    if first and not move.closes:
        return Step.OPENED
    if move.rolled:
        return Step.ROLLED
    if move.opens:
        return Step.ADJUSTED if move.closes else Step.ADDED
    return Step.CLOSED if move.flat else Step.REDUCED


def _sum(values: Iterable[Number]) -> Number:
    told = list(values)
    known = [value for value in told if value is not None]
    return sum(known) if len(known) == len(told) else None

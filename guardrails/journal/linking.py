"""Which entries of one account and underlying are the same trade, and what each of them closed and opened."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from guardrails import calendar
from guardrails.execution.values import JournalEntry, JournalKind, JournalLeg
from guardrails.instruments import Kind, Right

Number = float | None
Side = tuple[str, bool]
"""right of an option, and whether it is long"""

ROLL_MINUTES = 30.0
"""an option opened so soon after one like it was closed, or before, on the same day, is its roll"""
_LITTLE = 1e-9
_RIGHT = re.compile(r"\d{6}([CP])[\d.]+$")
"""in a key: before it the expiry, behind it the strike"""
_HELD = (f"{Kind.EQUITY.value}:", f"{Kind.FUTURE.value}:")


@dataclass(slots=True)
class OpenLeg:
    """What is open of one instrument, at the average price and fees of its opening."""

    told: JournalLeg
    quantity: float
    price: Number
    fees: Number


@dataclass(slots=True)
class Move:
    """What one entry did to one trade."""

    entry: JournalEntry
    legs: tuple[JournalLeg, ...] = ()
    opens: bool = False
    closes: bool = False
    rolled: bool = False
    flat: bool = False
    """nothing was open after it"""
    realised: Number = 0.0


@dataclass(slots=True)
class Working:
    """A trade while it is put together."""

    moves: list[Move] = field(default_factory=list)
    open: dict[str, OpenLeg] = field(default_factory=dict)
    closings: list[tuple[datetime, Side]] = field(default_factory=list)
    """when which side of options was closed by a trade"""
    openings: list[tuple[datetime, Side]] = field(default_factory=list)
    begun_before: bool = False

    def closes(self, leg: JournalLeg) -> float:
        """How much of `leg` closes what is open, signed as the leg."""
        known = self.open.get(leg.key)
        if known is None or known.quantity * leg.quantity >= 0:
            return 0.0
        return leg.quantity if abs(leg.quantity) <= abs(known.quantity) else -known.quantity


def link(entries: Sequence[JournalEntry], roll_minutes: float) -> list[Working]:
    """The trades of `entries`, oldest first, which are of one account and underlying."""
    window = timedelta(minutes=roll_minutes)
    trades: list[Working] = []
    for entry in entries:
        legs = [leg for leg in entry.legs if leg.quantity]
        touched, legs = _close(entry, legs, trades)
        stray, legs = _close_unknown(legs, touched)
        if stray:
            trades.append(_begun_before(entry, stray))
            touched = [*touched, trades[-1]]
        if legs:
            home = touched[0] if touched else _home(entry, legs, trades, window)
            if home is None:
                home = Working()
                trades.append(home)
            rolls = any(side_of(leg) for leg in legs) and home.closings != [] and _is_roll(entry, legs, home, window)
            _open(entry, legs, home, rolled=rolls)
        else:
            _join_new(entry, touched, trades, window)
    return trades


def side_of(leg: JournalLeg) -> Side | None:
    """Right and side of an option leg as it is opened by `leg`; None for anything else."""
    found = _RIGHT.search(leg.key)
    return None if found is None else (found[1], leg.quantity > 0)


def _close(
    entry: JournalEntry, legs: list[JournalLeg], trades: Sequence[Working]
) -> tuple[list[Working], list[JournalLeg]]:
    """Close what is open of `legs`, first in the trade that has most of them; the trades touched, and what is left."""
    order = sorted(trades, key=lambda trade: -sum(bool(trade.closes(leg)) for leg in legs))
    touched: list[Working] = []
    for trade in order:
        shares = [(leg, trade.closes(leg)) for leg in legs]
        if not any(closed for _, closed in shares):
            continue
        own = [part_of(leg, closed) for leg, closed in shares if closed]
        legs = [part_of(leg, leg.quantity - closed) for leg, closed in shares if abs(leg.quantity - closed) > _LITTLE]
        move = _move(trade, entry)
        move.closes, move.legs = True, (*move.legs, *own)
        for leg in own:
            move.realised = _plus(move.realised, _take(trade, leg, entry))
        move.flat = not trade.open
        touched.append(trade)
    return touched, legs


def _take(trade: Working, leg: JournalLeg, entry: JournalEntry) -> Number:
    """Take `leg` off what is open; what that gained."""
    known = trade.open[leg.key]
    share = min(abs(leg.quantity / known.quantity), 1.0)
    opened = None if known.fees is None else known.fees * share
    known.fees = None if known.fees is None or opened is None else known.fees - opened
    known.quantity += leg.quantity
    side = side_of(leg)
    if side is not None and entry.kind is not JournalKind.ASSIGNMENT:
        trade.closings.append((entry.time, (side[0], not side[1])))
    if abs(known.quantity) <= _LITTLE:
        del trade.open[leg.key]
    if leg.price is None or known.price is None or leg.dollars_per_point is None or leg.fees is None or opened is None:
        return None
    return -leg.quantity * (leg.price - known.price) * leg.dollars_per_point - leg.fees - opened


def _close_unknown(legs: list[JournalLeg], touched: Sequence[Working]) -> tuple[list[JournalLeg], list[JournalLeg]]:
    """Of what is left the part that closes what was held before the journal began, and the rest.

    `held` is of the whole account: what the trades touched have closed of it just now is not held twice.
    """
    stray, rest = [], []
    for leg in legs:
        taken = sum(abs(part.quantity) for trade in touched for part in trade.moves[-1].legs if part.key == leg.key)
        free = 0.0 if leg.held is None or leg.held * leg.quantity >= 0 else max(abs(leg.held) - taken, 0.0)
        closed = min(free, abs(leg.quantity)) * (1 if leg.quantity > 0 else -1)
        if closed:
            stray.append(part_of(leg, closed))
        if abs(leg.quantity - closed) > _LITTLE:
            rest.append(part_of(leg, leg.quantity - closed))
    return stray, rest


def _begun_before(entry: JournalEntry, legs: Sequence[JournalLeg]) -> Working:
    trade = Working(begun_before=True)
    trade.moves.append(Move(entry, tuple(legs), closes=True, flat=True, realised=None))
    if entry.kind is not JournalKind.ASSIGNMENT:
        sides = [side for leg in legs if (side := side_of(leg)) is not None]
        trade.closings += [(entry.time, (right, not long)) for right, long in sides]
    return trade


def _home(
    entry: JournalEntry, legs: Sequence[JournalLeg], trades: Iterable[Working], window: timedelta
) -> Working | None:
    """The trade that is gone on with by what only opens; None when it is a new one."""
    known = list(trades)
    adds = (trade for trade in known if any(leg.key in trade.open for leg in legs))
    rolls = (trade for trade in reversed(known) if _is_roll(entry, legs, trade, window))
    covers = (trade for trade in known if _covers(trade, legs))
    return next((trade for found in (adds, rolls, covers) for trade in found), None)


def _is_roll(entry: JournalEntry, legs: Sequence[JournalLeg], trade: Working, window: timedelta) -> bool:
    """Whether the trade closed, a moment ago, an option of the right and side of one that is opened now."""
    sides = {side_of(leg) for leg in legs}
    return any(side in sides and _near(time, entry.time, window) for time, side in trade.closings)


def _covers(trade: Working, legs: Sequence[JournalLeg]) -> bool:
    """Whether every leg is an option written on shares, or a future, that the trade has."""
    held = sum(leg.quantity for key, leg in trade.open.items() if key.startswith(_HELD))
    wanted = (Right.CALL.value, False) if held > 0 else (Right.PUT.value, False)
    return bool(held) and all(side_of(leg) == wanted for leg in legs)


def _open(entry: JournalEntry, legs: Sequence[JournalLeg], trade: Working, *, rolled: bool) -> None:
    move = _move(trade, entry)
    move.opens, move.rolled, move.flat = True, rolled, False
    move.legs = (*move.legs, *legs)
    for leg in legs:
        known = trade.open.get(leg.key)
        if known is None:
            trade.open[leg.key] = OpenLeg(leg, leg.quantity, leg.price, leg.fees)
        else:
            whole = known.quantity + leg.quantity
            is_known = known.price is not None and leg.price is not None
            worth = (known.price or 0.0) * known.quantity + (leg.price or 0.0) * leg.quantity
            known.price = worth / whole if is_known else None
            known.quantity, known.fees = whole, _plus(known.fees, leg.fees)
        if (side := side_of(leg)) is not None:
            trade.openings.append((entry.time, side))


def _join_new(entry: JournalEntry, touched: Sequence[Working], trades: list[Working], window: timedelta) -> None:
    """Where the new option was opened a moment before the old one was closed, it is the roll of that trade."""
    if len(touched) != 1 or entry.kind is JournalKind.ASSIGNMENT:
        return
    old = touched[0]
    closed = {side for time, side in old.closings if time == entry.time}
    for new in trades:
        fresh = new is not old and not new.closings and not new.begun_before and new.openings
        if fresh and any(side in closed and _near(time, entry.time, window) for time, side in new.openings):
            for move in new.moves:
                move.rolled = True
            old.moves = sorted([*old.moves, *new.moves], key=lambda move: (move.entry.time, move.entry.key))
            for key, leg in new.open.items():
                old.open[key] = leg  # the same key would have been added to the old trade
            old.openings += new.openings
            old.moves[-1].flat = not old.open
            trades.remove(new)
            return


def _move(trade: Working, entry: JournalEntry) -> Move:
    """What `entry` does to `trade`, begun if it is the first word of it."""
    if not trade.moves or trade.moves[-1].entry is not entry:
        trade.moves.append(Move(entry))
    return trade.moves[-1]


def part_of(leg: JournalLeg, quantity: float) -> JournalLeg:
    """`quantity` of a leg, with its share of the fees."""
    if quantity == leg.quantity:
        return leg
    fees = None if leg.fees is None else leg.fees * abs(quantity / leg.quantity)
    return replace(leg, quantity=quantity, fees=fees)


def _near(one: datetime, other: datetime, window: timedelta) -> bool:
    return abs(one - other) <= window and calendar.exchange_date(one) == calendar.exchange_date(other)


def _plus(one: Number, other: Number) -> Number:
    return None if one is None or other is None else one + other

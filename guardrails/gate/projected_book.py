"""The positions and the cash of a book after trades, row by row; prices, Greeks and net liquidation stay."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from guardrails.columns import Columns, read_columns, spliced
from guardrails.gate.new_legs import opened, owner_of, trade_price, valued
from guardrails.instruments import Instrument, Kind
from guardrails.limits import Limits
from guardrails.orders import Trade
from guardrails.portfolio import Portfolio
from guardrails.values import Account, AccountId, Position

Places = Mapping[str, Mapping[AccountId, tuple[int, ...]]]
"""rows of each instrument by `Instrument.key` and account"""
NOTHING = 1e-9
"""contracts; what is left of a position by rounding is not held"""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one instrument in one account."""

    account: AccountId
    instrument: Instrument
    quantity: float
    """of all trades in it together, signed, not zero"""
    rows: tuple[int, ...]
    """where it is held; none when it is new"""
    before: float | None
    """held; None when it is not known"""
    elsewhere: int | None = None
    """a row of another account that holds the same"""

    @property
    def key(self) -> str:
        """Key of the instrument."""
        return self.instrument.key

    @property
    def shrinks(self) -> bool:
        """Whether the position is known, only becomes smaller and does not cross zero."""
        return self.before is not None and self.before * self.quantity < 0 and abs(self.quantity) <= abs(self.before)


@dataclass(frozen=True, slots=True)
class Rows:
    """The positions after."""

    positions: tuple[Position, ...]
    """those of before in their order, without what is closed; what is new stands last"""
    kept: tuple[int, ...]
    """where each of them, but the new ones, stood before"""
    touched: tuple[int, ...]
    """places after of what was changed or is new"""
    traded: tuple[tuple[Change, Position], ...]
    """each change with a position of it as it is priced: after where it is held, else before"""


def places_of(portfolio: Portfolio) -> Places:
    """Where each instrument stands."""
    held: dict[str, dict[AccountId, tuple[int, ...]]] = {}
    for row, position in enumerate(portfolio.positions):
        owners = held.setdefault(position.instrument.key, {})
        owners[position.account] = (*owners.get(position.account, ()), row)
    return held


def changes_of(portfolio: Portfolio, trades: Sequence[Trade], held: Places) -> tuple[Change, ...]:
    """Trades in one instrument and account together; those that come to nothing are left out."""
    together: dict[tuple[AccountId, str], float] = {}
    named: dict[str, Instrument] = {}
    for trade in trades:
        place = (trade.account, trade.instrument.key)
        together[place] = together.get(place, 0.0) + trade.quantity
        named.setdefault(trade.instrument.key, trade.instrument)
    found = []
    for (account, key), quantity in together.items():
        if abs(quantity) > NOTHING or not math.isfinite(quantity):
            owners = held.get(key, {})
            rows, other = owners.get(account, ()), next((rows[0] for rows in owners.values()), None)
            found.append(Change(account, named[key], quantity, rows, _sum(portfolio, rows), other))
    return tuple(found)


def rows_after(portfolio: Portfolio, limits: Limits, changes: Sequence[Change], prices: Mapping[str, float]) -> Rows:
    """The positions of `portfolio` after `changes`."""
    changed: dict[int, Position] = {}
    new = []
    for change in changes:
        if not change.rows:
            sibling = None if change.elsewhere is None else portfolio.positions[change.elsewhere]
            price = prices.get(change.key)
            new.append(opened(portfolio, change.account, change.instrument, change.quantity, price, sibling))
        for row, quantity in zip(change.rows, _spread(portfolio, change), strict=True):
            changed[row] = _held(portfolio.positions[row], quantity)
    added = valued(new, portfolio, limits) if new else ()
    kept = tuple(row for row in range(len(portfolio.positions)) if row not in changed or changed[row].quantity != 0.0)
    after = tuple(changed.get(row, portfolio.positions[row]) for row in kept)
    touched = [place for place, row in enumerate(kept) if row in changed]
    fresh = iter(added)
    traded = tuple((change, portfolio.positions[change.rows[0]] if change.rows else next(fresh)) for change in changes)
    return Rows((*after, *added), kept, (*touched, *range(len(after), len(after) + len(added))), traded)


def columns_after(portfolio: Portfolio, rows: Rows, held: Places) -> Columns:
    """The columns of the positions after: read anew only where they were touched."""
    touched = [rows.positions[place] for place in rows.touched]
    chosen = np.array(rows.kept, dtype=np.intp)
    chosen = np.concatenate([chosen, np.zeros(len(rows.positions) - len(chosen), dtype=np.intp)])
    before = portfolio.exposures.columns
    chosen[list(rows.touched)] = len(portfolio.positions) + np.arange(len(touched))
    owners = (held.get(position.instrument.key, {}) for position in touched)
    known = [next((same[0] for same in each.values()), -1) for each in owners]
    return spliced(before, read_columns(touched, portfolio.market, portfolio.time), chosen, known)


def accounts_after(portfolio: Portfolio, rows: Rows, prices: Mapping[str, float]) -> tuple[Account, ...]:
    """The accounts with the cash that the trades leave, in their own currency; None where a price is not known.

    A future costs nothing. Who was not read and trades has an account without figures, as in the next cycle.
    """
    spent: dict[AccountId, float | None] = {}
    for change, position in rows.traded:
        cost = _cost(change, position, portfolio, prices)
        before = spent.get(change.account, 0.0)
        spent[change.account] = None if cost is None or before is None else before + cost
    known = {account.id for account in portfolio.accounts}
    absent = [Account(name, "", portfolio.time) for name in spent if name not in known]
    return (*(_paid(account, spent.get(account.id, 0.0), portfolio) for account in portfolio.accounts), *absent)


def _sum(portfolio: Portfolio, rows: Sequence[int]) -> float | None:
    quantities = [portfolio.positions[row].quantity for row in rows]
    known = [quantity for quantity in quantities if quantity is not None]
    return math.fsum(known) if len(known) == len(quantities) else None


def _spread(portfolio: Portfolio, change: Change) -> tuple[float | None, ...]:
    """Quantities after of the rows of one instrument: what is opposite is closed first, the rest joins the first."""
    found = [portfolio.positions[row].quantity for row in change.rows]
    left = change.quantity
    for place, quantity in enumerate(found):
        if quantity is not None and quantity * left < 0:
            closed = math.copysign(min(abs(left), abs(quantity)), left)
            found[place], left = quantity + closed, left - closed
    if found and left and found[0] is not None:
        found[0] += left
    elif found and left:
        found[0] = None
    known = (None if one is None or not math.isfinite(one) else one for one in found)
    return tuple(0.0 if one is not None and abs(one) <= NOTHING else one for one in known)


def _held(position: Position, quantity: float | None) -> Position:
    """`position` in another quantity; what it cost stays known only where it became smaller."""
    before = position.quantity
    shrunk = before is not None and quantity is not None and 0.0 <= quantity / before <= 1.0 if before else False
    open_pnl = position.open_pnl
    if shrunk and before and quantity is not None and open_pnl is not None:
        return replace(position, quantity=quantity, open_pnl=open_pnl * quantity / before)
    return replace(position, quantity=quantity, open_pnl=None, average_price=position.average_price if shrunk else None)


def _cost(change: Change, position: Position, portfolio: Portfolio, prices: Mapping[str, float]) -> float | None:
    """What the change costs in US dollars, negative when it brings in."""
    if position.instrument.kind is Kind.FUTURE:
        return 0.0
    price = trade_price(position, portfolio.market, prices)
    if price is None or position.multiplier is None:
        return None
    return portfolio.usd(change.quantity * position.multiplier * price, position.currency)


def _paid(account: Account, cost: float | None, portfolio: Portfolio) -> Account:
    if cost == 0.0 or account.cash is None:
        return account
    rate = portfolio.usd(1.0, account.currency)
    return replace(account, cash=None if cost is None or not rate else account.cash - cost / rate)


def has_figures(portfolio: Portfolio, account: AccountId) -> bool:
    """Whether anything was read of `account`."""
    return owner_of(portfolio.accounts, account) is not None

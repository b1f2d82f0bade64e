"""What the positions and the market say, in columns: read once per Portfolio, so that no check loops over positions.

NaN is missing. A class column names by number what a row shares with others (its account, underlying, line, expiry);
the tuple beside it names the classes in the order in which they first appear.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from guardrails import calendar
from guardrails.instruments import Kind, Right, Settlement
from guardrails.values import SENTINEL, AccountId, Market, Position

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Index = NDArray[np.intp]
_Class = TypeVar("_Class", bound=Hashable)

LINEAR = (Kind.EQUITY, Kind.INDEX, Kind.FUTURE, Kind.CRYPTO, Kind.BOND)
"""what moves one to one with its own price"""
_OPTION = (Kind.OPTION, Kind.INDEX_OPTION, Kind.FUTURE_OPTION)
_NO_EXPIRY = -1
_SLOPE: Mapping[Right | None, float] = {Right.CALL: 1.0, Right.PUT: -1.0}


@dataclass(frozen=True, slots=True)
class Columns:
    """One row per position, in the order of the positions."""

    reported: Array
    """quantity as the record has it"""
    quantity: Array
    """the same, missing where the row cannot be trusted"""
    multiplier: Array
    spot: Array
    fx: Array
    dte: NDArray[np.int64]
    """calendar days to expiry, 0 once it has passed, -1 for what does not expire"""
    is_option: Mask
    is_linear: Mask
    is_cash: Mask
    is_contract: Mask
    """options and futures: what is counted in contracts"""
    slope: Array
    """+1 call, -1 put"""
    delta: Array
    """Greeks of one unit, as delivered or modelled"""
    gamma: Array
    vega: Array
    theta: Array
    iv: Array
    day_pnl: Array
    doubtful: Mask
    """rows with a reason not to trust them"""
    underlyings: tuple[str, ...]
    underlying: Index
    accounts: tuple[AccountId, ...]
    account: Index
    expiries: tuple[tuple[date | None, Settlement | None], ...]
    expiry: Index
    lines: Index
    """first row of each line, a line being one instrument over all accounts"""
    line: Index

    @property
    def is_unmodelled(self) -> Mask:
        """What is of no known kind: it may be anything, also an option on its last day."""
        return ~(self.is_option | self.is_linear | self.is_cash)

    @property
    def is_short_option(self) -> Mask:
        """Options sold, or of a quantity that is not known, and what may be one."""
        return (self.is_option | self.is_unmodelled) & ~(self.reported >= 0)

    @property
    def unpriced(self) -> Mask:
        """Rows whose multiplier, price or currency rate is missing; cash needs none."""
        return np.isnan(self.multiplier + self.spot + self.fx) & ~self.is_cash

    @property
    def without_greeks(self) -> Mask:
        """Options that lack any of delta, gamma, vega and theta."""
        return self.is_option & np.isnan(self.delta + self.gamma + self.vega + self.theta)

    def of_account(self, account: AccountId) -> Mask:
        """The rows held in `account`."""
        if account not in self.accounts:
            return np.zeros(len(self.account), dtype=bool)
        return np.asarray(self.account == self.accounts.index(account), dtype=bool)


def read_columns(positions: Sequence[Position], market: Market, now: datetime) -> Columns:
    """The columns of `positions` at `now`, an aware UTC time."""
    today = calendar.exchange_date(now)
    instruments = [p.instrument for p in positions]
    kinds = [i.kind for i in instruments]
    greeks = [p.greeks for p in positions]
    reported, doubtful = _floats(p.quantity for p in positions), np.array([bool(p.reasons) for p in positions], bool)
    is_option = _flags(kinds, _OPTION)
    underlyings, underlying = classes([i.underlying or i.symbol for i in instruments])
    accounts, account = classes([(p.account.broker, p.account.number) for p in positions])
    expiries, expiry = classes([(i.expiry, i.settlement) for i in instruments])
    days = np.array([_NO_EXPIRY if day is None else max((day - today).days, 0) for day, _ in expiries], dtype=np.int64)
    _, line = classes([(i.kind, i.symbol) for i in instruments])
    currencies, currency = classes([p.currency for p in positions])
    return Columns(
        reported=reported,
        quantity=np.where(doubtful, math.nan, reported),
        multiplier=_floats(p.multiplier for p in positions),
        spot=_floats(spot_of(p, market) for p in positions),
        fx=_floats(_fx(name, market) for name in currencies)[currency],
        dte=days[expiry],
        is_option=is_option,
        is_linear=_flags(kinds, LINEAR),
        is_cash=_flags(kinds, (Kind.CASH,)),
        is_contract=is_option | _flags(kinds, (Kind.FUTURE,)),
        slope=np.array([_SLOPE.get(i.right, math.nan) for i in instruments]),
        delta=_floats(None if g is None else g.delta for g in greeks),
        gamma=_floats(None if g is None else g.gamma for g in greeks),
        vega=_floats(None if g is None else g.vega for g in greeks),
        theta=_floats(None if g is None else g.theta for g in greeks),
        iv=_floats(None if g is None else g.iv for g in greeks),
        day_pnl=_floats(p.day_pnl for p in positions),
        doubtful=doubtful,
        underlyings=underlyings,
        underlying=underlying,
        accounts=tuple(AccountId(*name) for name in accounts),
        account=account,
        expiries=expiries,
        expiry=expiry,
        lines=np.unique(line, return_index=True)[1],
        line=line,
    )


def spliced(before: Columns, added: Columns, chosen: Index, known: Sequence[int]) -> Columns:
    """The columns of rows `chosen` from those of `before` and, counted on from its last, those of `added`.

    `known` is, for each row of `added`, a row of `before` that holds the same instrument, or -1. As `read_columns` of
    these rows would be, of the same market and time: class numbers follow the order of appearance.
    """
    was = len(before.line)
    lines = np.array([before.line[row] if row >= 0 else was + own for row, own in zip(known, added.line, strict=True)])
    _, line = _renumbered(range(was + len(known)), np.concatenate([before.line, lines.astype(np.intp)])[chosen])
    found: dict[str, object] = {"line": line, "lines": np.unique(line, return_index=True)[1]}
    for names, number in (("underlyings", "underlying"), ("accounts", "account"), ("expiries", "expiry")):
        joint, own = _united(getattr(before, names), getattr(added, names))
        codes = np.concatenate([getattr(before, number), own[getattr(added, number)]])[chosen]
        found[names], found[number] = _renumbered(joint, codes)
    for one in fields(Columns):
        if one.name not in found:
            found[one.name] = np.concatenate([getattr(before, one.name), getattr(added, one.name)])[chosen]
    return Columns(**found)  # type: ignore[arg-type]  # each field by its own name and type, from two of them


def spot_of(position: Position, market: Market) -> float | None:
    """Price of what the position is struck on: the underlying's for an option, its own for the rest.

    Abroad its own comes first: the market may quote another listing under the same symbol, in dollars. Nothing but a
    future trades at zero or below.
    """
    instrument = position.instrument
    if instrument.kind is Kind.CASH:
        return None
    name = instrument.underlying if instrument.is_option else instrument.symbol
    quoted = market.prices.get(name)
    value = None if quoted is None else quoted.value
    if not instrument.is_option and (value is None or (position.currency != "USD" and position.mark is not None)):
        value = position.mark
    return value if value is None or value > 0 or name.startswith("/") else None


def classes(names: Iterable[_Class]) -> tuple[tuple[_Class, ...], Index]:
    """Distinct `names` in order of appearance, and the place of each among them."""
    order: dict[_Class, int] = {}
    index = [order.setdefault(name, len(order)) for name in names]
    return tuple(order), np.array(index, dtype=np.intp)


def _united(first: tuple[_Class, ...], second: tuple[_Class, ...]) -> tuple[tuple[_Class, ...], Index]:
    """Distinct names of both, and the place of each of `second` among them."""
    order = {name: place for place, name in enumerate(first)}
    places = [order.setdefault(name, len(order)) for name in second]
    return tuple(order), np.array(places, dtype=np.intp)


def _renumbered(names: Sequence[_Class], codes: Index) -> tuple[tuple[_Class, ...], Index]:
    """Those of `names` that occur among `codes`, in order of appearance, and their places there."""
    used, first = np.unique(codes, return_index=True)
    order = used[np.argsort(first)]
    place = np.empty(len(names), dtype=np.intp)
    place[order] = np.arange(len(order))
    return tuple(names[each] for each in order.tolist()), place[codes]


def _floats(values: Iterable[float | None]) -> Array:
    found = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    found[~(np.abs(found) < SENTINEL)] = math.nan  # no figure of a book is infinite, and an infinite one clears a limit
    return found


def _flags(kinds: Iterable[Kind], chosen: tuple[Kind, ...]) -> Mask:
    return np.array([kind in chosen for kind in kinds], dtype=bool)


def _fx(currency: str, market: Market) -> float | None:
    if currency == "USD":
        return 1.0
    rate = market.fx.get(currency)
    return None if rate is None else rate.value

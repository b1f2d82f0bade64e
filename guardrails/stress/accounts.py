"""Excess liquidity of each account after a shock, by our estimate of its margin.

    excess after = equity now + P&L - change of the value of its options - house factor x estimate after

    equity now      excess now + maintenance now, as the broker reports them, in the view where the excess is least
    house factor    max(1, maintenance now / estimate now): a broker asks for more than the exchange minimum; above
                    `MOST_FACTOR` the estimate says little, and nothing is cleared by it
    options         under the strategy rule their value is no equity; under portfolio margin it is, and nothing is taken

Where the estimate now is nothing the broker's maintenance is kept and the estimate added to it. The pairing of legs is
the one that is cheapest now, so the estimate after a shock is at most too high. Accounts are never added up, and
a segment of one that its broker margins by itself has only its own excess.

What is not known gives no number: the excess is then only known to be below what the account would be worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from guardrails import margin
from guardrails.columns import Array, Index, Mask
from guardrails.instruments import Kind
from guardrails.intervals import Interval
from guardrails.margin import Estimate, Leg, portfolio_margin, rates, strategy
from guardrails.margin.estimate import Rule, Settled
from guardrails.margin.legs import FUTURES
from guardrails.margin.packages import Pairing
from guardrails.margin.steady import steady
from guardrails.pricing import Axes
from guardrails.stress.book import Book
from guardrails.stress.futures_margin import MOST_FACTOR, futures_after
from guardrails.stress.ladder import Cell, at_returns
from guardrails.stress.outcome import BLENDS, prices_after, told_at
from guardrails.stress.shocks import Moves, Shock, moves
from guardrails.stress.told import SEGMENTS, Told, segment_of, told_of
from guardrails.stress.unit_grids import unit_grids
from guardrails.values import Account, AccountId

if TYPE_CHECKING:
    from guardrails.stress.standing import Standing  # it holds the accounts

LEAST_ESTIMATE = 1.0
"""dollars; below it the broker's figure is no multiple of ours"""


Required = Callable[[Sequence[Shock], float], tuple[Array, Array]]
"""`required_after` of one account, by shocks and blend"""


@dataclass(frozen=True, slots=True)
class Margined:
    """One account, ready to be margined after any shock."""

    account: AccountId
    told: Told
    book: Book
    rows: Index
    """its positions among those of the book, as `legs`"""
    legs: tuple[Leg, ...]
    """at the price of the market, where there is one"""
    points: Array
    """(n, 10): the valuation points of portfolio margin, as multiples of what each leg is struck on"""
    values: Array
    """(n, 10): unit prices at those points now"""
    made: Estimate
    """now"""
    pairing: Pairing
    """of the legs that are no futures"""
    vague: bool
    """whether any of its positions has a beta that is not known"""
    segment: str = ""
    """`securities` or `commodities`: only that segment of the account; empty: all of it"""
    segments: tuple[Margined, ...] = ()
    """its segments that hold anything and are reported: what one has to spare covers no other"""
    required: Required | None = field(default=None, compare=False, repr=False)
    """where somebody knows a part of it already"""
    seen: dict[Shock, Interval] = field(default_factory=dict, init=False, repr=False, compare=False)
    """excess after shocks, remembered by who has looked at many and asked for by who keeps them"""

    @property
    def parts(self) -> tuple[Margined, ...]:
        """The account as a whole, and each of its segments."""
        return (self, *self.segments)

    @property
    def factor(self) -> float | None:
        """House factor; None where the broker's figure or the estimate is missing or nothing."""
        if self.made.amount is None or self.told.maintenance is None or self.made.amount < LEAST_ESTIMATE:
            return None
        return max(1.0, self.told.maintenance / self.made.amount)

    @property
    def reason(self) -> str:
        """Why its excess after a shock cannot be known; else empty."""
        if self.told.reason or self.made.unknown:
            return self.told.reason or "; ".join(self.made.unknown[:3])
        if self.factor is None or self.factor <= MOST_FACTOR:
            return ""
        of = f" for the {self.segment} segment" if self.segment else ""
        return f"the broker asks {self.factor:.0f} times our estimate{of}: the estimate says little"

    def pnl(self, cell: Cell) -> Interval:
        """Dollars of the account, or of the segment, under one shock."""
        if not self.segment:
            return cell.of_account(self.account)
        found, underlyings = cell.outcome, np.unique(self.book.underlying[self.rows])
        return found.total(cell.place, found.of_account(self.account) & np.isin(found.underlying, underlyings))


@dataclass(frozen=True, slots=True)
class AccountAfter:
    """One account after each of some shocks, in US dollars; margins are estimates of ours."""

    account: AccountId
    shocks: tuple[Shock, ...]
    now: float | None
    """excess liquidity as the broker reports it, worst view"""
    maintenance: float | None
    """of the same view"""
    rule: str
    estimate_now: float | None
    factor: float | None
    pnl: tuple[Interval, ...]
    estimate: tuple[Interval, ...]
    """maintenance after each shock, house factor included"""
    excess: tuple[Interval, ...]
    reason: str = ""
    segment: str = ""
    """`securities` or `commodities` where that segment by itself is worse off than the account; all is then of it"""

    @property
    def name(self) -> str:
        """The account as a person calls it, with the segment where it is one."""
        return f"{self.account} ({self.segment} segment)" if self.segment else str(self.account)

    @property
    def worst(self) -> int:
        """Place of the shock to look at: a proven shortfall first, then the least that the excess may be."""
        return min(
            range(len(self.excess)),
            key=lambda place: (self.excess[place].high >= 0, self.excess[place].low, self.excess[place].high),
        )

    def use(self, place: int) -> float | None:
        """Share of the excess now that a shock takes; None when it is not known, or there is none to take."""
        known = self.excess[place].known
        if known is None or self.now is None or self.now <= 0:
            return None
        return max(self.now - known, 0.0) / self.now


def accounts_after(standing: Standing, returns: Sequence[float]) -> tuple[AccountAfter, ...]:
    """Every account of the portfolio after each of the index `returns`, in their order."""
    cells = at_returns(standing, returns)
    return tuple(after(one, cells) for one in standing.accounts)


def margined(book: Book) -> tuple[Margined, ...]:
    """Every account of the portfolio, in its order."""
    return tuple(margined_of(held_of(book, account.id), account) for account in book.portfolio.accounts)


def after(one: Margined, cells: Sequence[Cell]) -> AccountAfter:
    """An account under the shocks of `cells`: as a whole, or that segment of it which is worse off."""
    return min((after_part(part, cells) for part in one.parts), key=badness)


def badness(found: AccountAfter) -> tuple[bool, bool, float]:
    """Lowest first: a proven shortfall, then what cannot be cleared, then the one that has least left of its excess."""
    if not found.shocks:
        return True, True, 0.0
    excess = found.excess[found.worst]
    if excess.high < 0:
        return False, False, excess.high
    if excess.low < 0 or excess.missing or found.reason:
        return True, False, excess.low
    return True, True, math.inf if found.now is None or found.now <= 0 else excess.low / found.now


def after_part(one: Margined, cells: Sequence[Cell]) -> AccountAfter:
    """The account as a whole, or one segment, under the shocks of `cells`."""
    pnl = tuple(one.pnl(cell) for cell in cells)
    least, most, excess_low, excess_high = excess_after(one, [cell.shock for cell in cells], pnl)
    return AccountAfter(
        account=one.account,
        shocks=tuple(cell.shock for cell in cells),
        now=one.told.excess,
        maintenance=one.told.maintenance,
        rule=one.made.rule.value,
        estimate_now=one.made.amount,
        factor=one.factor,
        pnl=pnl,
        estimate=tuple(map(_interval, least, most)),
        excess=tuple(map(_interval, excess_low, excess_high)),
        reason=one.reason,
        segment=one.segment,
    )


def excess_at(one: Margined, cells: Sequence[Cell]) -> tuple[Interval, ...]:
    """Excess of the account or segment under the shocks of `cells`, as it was seen where all of them were."""
    if any(cell.shock not in one.seen for cell in cells):
        return after_part(one, cells).excess
    return tuple(one.seen[cell.shock] for cell in cells)


def excess_after(one: Margined, shocks: Sequence[Shock], pnl: Sequence[Interval]) -> tuple[Array, Array, Array, Array]:
    """Margin at least and at most, excess at least and at most (M,) each, after `shocks` that make `pnl`."""
    required, taken = [], []
    for blend in BLENDS[::2] if one.vague else BLENDS[:1]:
        by_rule, options = (one.required or partial(required_after, one))(shocks, blend)
        for margin_after in _by_house(one, by_rule):
            required.append(margin_after)
            taken.append(margin_after + options)
    low, high = np.array([p.low for p in pnl]), np.array([p.high for p in pnl])
    least, most = np.min(required, axis=0), np.max(required, axis=0)
    excess_low = one.told.equity + low - np.max(taken, axis=0)
    excess_high = one.told.equity + high - np.min(taken, axis=0)
    worth = math.inf if one.told.net_liquidation is None else one.told.net_liquidation
    known = np.isfinite(least) & np.isfinite(most)
    ends = (
        np.where(np.isnan(excess_low), -math.inf, excess_low),
        np.where(np.isnan(excess_high), worth + high, np.minimum(excess_high, worth + high)),
    )
    # a broker whose equity is more than his net liquidation contradicts himself: either may be true
    return np.where(known, least, 0.0), np.where(known, most, math.inf), np.minimum(*ends), np.maximum(*ends)


def required_after(one: Margined, shocks: Sequence[Shock], blend: float) -> tuple[Array, Array]:
    """Estimated margin (M,) before the house factor, and by how much more the options count as no equity than now."""
    where = moves(one.book, shocks, blend)
    price = _prices(one, where, shocks, blend)
    spot = where.spot[one.rows]
    rows = _securities(one.legs)
    securities = [one.legs[row] for row in rows]
    futures = _futures(one, where, price)
    if one.made.rule is Rule.STRATEGY:
        required = strategy.at(securities, price[rows], spot[rows], one.pairing) + futures
        options = strategy.option_value(one.legs, price) - strategy.option_value(one.legs, _now(one))
    else:
        values = _stacked(one, np.array(rows, dtype=np.intp), where)
        required = portfolio_margin.at(securities, price[rows], values) + futures
        options = np.zeros(spot.shape[1])
    return required, options


@dataclass(frozen=True, slots=True)
class ByUnderlying:
    """What `required_after` adds up of shares and their options under the strategy rule, (M,) by underlying."""

    required: Mapping[str, Array]
    options: Mapping[str, Array]


def by_underlying(held: Held | Margined, shocks: Sequence[Shock], blend: float) -> ByUnderlying:
    """Of positions whose pairing is known."""
    where = moves(held.book, shocks, blend)
    price, spot = _prices(held, where, shocks, blend), where.spot[held.rows]
    rows = _securities(held.legs)
    required = strategy.by_underlying([held.legs[row] for row in rows], price[rows], spot[rows], held.pairing.packages)
    names = [leg.underlying for leg in held.legs]
    worth = np.array([leg.quantity * leg.scale if leg.is_option else 0.0 for leg in held.legs]).reshape(-1, 1)
    gained = np.where(worth != 0.0, worth * (price - _now(held)), 0.0)
    options = {name: np.zeros(len(shocks)) for name in names}
    for name, gain in zip(names, gained, strict=True):
        options[name] += gain
    return ByUnderlying(required, options)


def futures_required(one: Margined, shocks: Sequence[Shock], blend: float) -> Array:
    """What `required_after` adds up of futures and their options (M,)."""
    where = moves(one.book, shocks, blend)
    return _futures(one, where, _prices(one, where, shocks, blend))


def _futures(one: Margined, where: Moves, price: Array) -> Array:
    return futures_after(
        one.made.by_underlying,
        one.legs,
        (_now(one), one.values[:, None, :]),
        price,
        lambda some: _stacked(one, some, where),
    )


def _securities(legs: Sequence[Leg]) -> list[int]:
    return [row for row, leg in enumerate(legs) if leg.instrument.kind not in FUTURES]


def _now(held: Held | Margined) -> Array:
    """Unit prices (n, 1) of the legs."""
    return np.array([leg.price for leg in held.legs]).reshape(-1, 1)


def _stacked(one: Margined, some: Index, where: Moves) -> Array:
    """Unit prices (rows, M, 10) of `some` of the legs at the valuation points around each shock."""
    legs = [one.legs[row] for row in some]
    each = [
        _values(one.book, one.rows[some], legs, one.points[some], where, place) for place in range(where.spot.shape[1])
    ]
    return np.stack(each, axis=1)


def _by_house(one: Margined, required: Array) -> tuple[Array, ...]:
    """What the broker would ask for where the exchange asks for `required`: one figure, or the two it is between.

    A factor that says little is held against the broker's figure with only the growth of the estimate added.
    """
    asked, now = one.told.maintenance, one.made.amount
    if now is None or asked is None:
        return (np.full(len(required), math.nan),)
    if (factor := one.factor) is None:
        return (required + asked,)
    if factor <= MOST_FACTOR:
        return (factor * required,)
    return factor * required, asked + required - now


def _prices(one: Held | Margined, where: Moves, shocks: Sequence[Shock], blend: float) -> Array:
    """Unit prices of the legs (n, M): the market's of now, moved as far as the model's."""
    if (told := told_at(one.book, shocks, blend)) is not None:
        by_model = told[1][one.rows]
    else:
        only = np.zeros(len(one.book.weight), dtype=bool)
        only[one.rows] = True
        by_model = prices_after(one.book, where, only)[one.rows]
    option = one.book.columns.is_option[one.rows, None]
    return np.where(option, np.maximum(_now(one) + by_model - one.book.base[one.rows, None], 0.0), by_model)


def _values(book: Book, rows: Index, legs: Sequence[Leg], points: Array, where: Moves, place: int) -> Array:
    """Unit prices (n, 10) at the valuation `points` of portfolio margin around shock `place`."""
    spots = where.spot[rows, place, None] * points
    axes = Axes(spots, where.vol[rows, place, None], where.years[rows, place, None])
    now = np.array([leg.price for leg in legs]).reshape(-1, 1)
    anchored = np.maximum(unit_grids(book, rows, axes)[:, :, 0, 0] + now - book.base[rows, None], 0.0)
    return np.where(book.columns.is_option[rows, None], anchored, spots)


def held_of(book: Book, account: AccountId) -> Held:
    """What `account` holds of `book`."""
    legs = margin.legs_of(book.portfolio, account)
    rows = _rows_of(book, account)
    price = np.where(np.isfinite(book.quoted), book.quoted, book.base)[rows]
    legs = tuple(
        replace(leg, price=float(known)) if leg.is_option or leg.instrument.kind is Kind.FUTURE_OPTION else leg
        for leg, known in zip(legs, price, strict=True)
    )
    points = 1.0 + np.array([rates.moves(leg.instrument) for leg in legs]).reshape(len(legs), rates.POINTS)
    values = _values(book, rows, legs, points, moves(book, [Shock("now")]), 0)
    pairing = steady([leg for leg in legs if leg.instrument.kind not in FUTURES])
    return Held(book, legs, rows, points, values, pairing)


def margined_of(held: Held, account: Account) -> Margined:
    """`account`, which holds this: as a whole, and its segments."""
    legs = held.legs
    futures = np.array([leg.instrument.kind in FUTURES for leg in legs], dtype=bool)
    whole = _part(held, account, np.ones(len(legs), dtype=bool))
    segments = []
    for segment, mine in zip(SEGMENTS, (~futures, futures), strict=True):
        alone = segment_of(account, segment)
        if alone is not None and mine.any():
            segments.append(replace(_part(held, alone, mine), segment=segment))
    return replace(whole, segments=tuple(segments))


@dataclass(frozen=True, slots=True)
class Held:
    """The positions of one account, before it is known what is asked for them; columns as in `Margined`."""

    book: Book
    legs: tuple[Leg, ...]
    rows: Index
    points: Array
    values: Array
    pairing: Pairing
    settled: Settled | None = None
    """what the estimate of its margin need not make anew"""


def _part(held: Held, account: Account, mine: Mask) -> Margined:
    """The legs where `mine`: all, or those of one segment, to which all or no securities belong."""
    book, portfolio = held.book, held.book.portfolio
    legs = tuple(leg for leg, kept in zip(held.legs, mine, strict=True) if kept)
    securities = any(leg.instrument.kind not in FUTURES for leg in legs)
    pairing = held.pairing if securities else Pairing((), (), proven=True)
    settled = held.settled if securities else None
    rows, values = held.rows[mine], held.values[mine]
    uncertain = portfolio.exposures.beta_low != portfolio.exposures.beta_high
    return Margined(
        account=account.id,
        told=told_of(portfolio, account),
        book=book,
        rows=rows,
        legs=legs,
        points=held.points[mine],
        values=values,
        made=margin.estimate(account, legs, values, portfolio.usd(1.0, account.currency), pairing, settled),
        pairing=pairing,
        vague=bool(uncertain[book.underlying[rows]].any()),
    )


def _rows_of(book: Book, account: AccountId) -> Index:
    """The rows that `legs_of` makes legs of."""
    columns = book.columns
    held: Mask = columns.of_account(account) & ~columns.is_cash & (columns.reported != 0.0)
    return np.flatnonzero(held)


def _interval(low: float, high: float) -> Interval:
    return Interval(float(low), float(high), not (math.isfinite(low) and math.isfinite(high)))

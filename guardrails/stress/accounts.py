"""Excess liquidity of each account after a shock, by our estimate of its margin.

    excess after = equity now + P&L - change of the value of its options - house factor x estimate after

    equity now      excess now + maintenance now, as the broker reports them, in the view where the excess is least
    house factor    max(1, maintenance now / estimate now): a broker asks for more than the exchange minimum
    options         under the strategy rule their value is no equity; under portfolio margin it is, and nothing is taken

Where the estimate now is nothing the broker's maintenance is kept and the estimate added to it. The pairing of legs is
the one that is cheapest now, so the estimate after a shock is at most too high. Accounts are never added up.

What is not known gives no number: the excess is then only known to be below what the account would be worth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from guardrails import margin
from guardrails.columns import Array, Index, Mask
from guardrails.exposures import Interval
from guardrails.margin import Estimate, Leg, portfolio_margin, rates, strategy
from guardrails.margin.estimate import Rule
from guardrails.margin.legs import FUTURES
from guardrails.margin.packages import Pairing
from guardrails.margin.steady import steady
from guardrails.pricing import Axes
from guardrails.stress.book import Book
from guardrails.stress.ladder import Cell, at_returns
from guardrails.stress.outcome import BLENDS, prices_after
from guardrails.stress.shocks import Moves, Shock, moves
from guardrails.stress.unit_grids import unit_grids
from guardrails.values import Account, AccountId, Margin, MarginView

if TYPE_CHECKING:
    from guardrails.stress.standing import Standing  # it holds the accounts

LEAST_ESTIMATE = 1.0
"""dollars; below it the broker's figure is no multiple of ours"""
_VIEWS = {
    MarginView.CURRENT: "now",
    MarginView.FULL: "overnight",
    MarginView.LOOK_AHEAD: "look-ahead",
    MarginView.POST_EXPIRY: "post-expiry",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What the broker says of an account, in US dollars, in the view where its excess liquidity is least."""

    excess: float | None
    maintenance: float | None
    net_liquidation: float | None
    reason: str = ""
    """what is missing, in words; a view that is missing may be a worse one"""

    @property
    def equity(self) -> float:
        """What the requirement is held against; NaN when it is not known."""
        return math.nan if self.excess is None or self.maintenance is None else self.excess + self.maintenance


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
    made: Estimate
    """now"""
    pairing: Pairing
    """of the legs that are no futures"""
    vague: bool
    """whether any of its positions has a beta that is not known"""

    @property
    def factor(self) -> float | None:
        """House factor; None where the broker's figure or the estimate is missing or nothing."""
        if self.made.amount is None or self.told.maintenance is None or self.made.amount < LEAST_ESTIMATE:
            return None
        return max(1.0, self.told.maintenance / self.made.amount)

    @property
    def reason(self) -> str:
        """Why its excess after a shock cannot be known; else empty."""
        return self.told.reason or "; ".join(self.made.unknown[:3])


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
    return tuple(_margined(book, account) for account in book.portfolio.accounts)


def after(one: Margined, cells: Sequence[Cell]) -> AccountAfter:
    """An account under the shocks of `cells`."""
    pnl = tuple(cell.of_account(one.account) for cell in cells)
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
    )


def excess_after(one: Margined, shocks: Sequence[Shock], pnl: Sequence[Interval]) -> tuple[Array, Array, Array, Array]:
    """Margin at least and at most, excess at least and at most (M,) each, after `shocks` that make `pnl`."""
    required, taken = [], []
    for blend in BLENDS[::2] if one.vague else BLENDS[:1]:
        margin_after, options = _required(one, moves(one.book, shocks, blend))
        required.append(margin_after)
        taken.append(margin_after + options)
    low, high = np.array([p.low for p in pnl]), np.array([p.high for p in pnl])
    least, most = np.min(required, axis=0), np.max(required, axis=0)
    excess_low = one.told.equity + low - np.max(taken, axis=0)
    excess_high = one.told.equity + high - np.min(taken, axis=0)
    worth = math.inf if one.told.net_liquidation is None else one.told.net_liquidation
    known = np.isfinite(least) & np.isfinite(most)
    return (
        np.where(known, least, 0.0),
        np.where(known, most, math.inf),
        np.where(np.isnan(excess_low), -math.inf, excess_low),
        np.where(np.isnan(excess_high), worth + high, np.minimum(excess_high, worth + high)),
    )


def _required(one: Margined, where: Moves) -> tuple[Array, Array]:
    """Estimated margin (M,), house factor included, and by how much more the options count as no equity than now."""
    price = _prices(one, where)
    spot = where.spot[one.rows]
    rows = [row for row, leg in enumerate(one.legs) if leg.instrument.kind not in FUTURES]
    securities = [one.legs[row] for row in rows]
    futures = math.nan if one.made.futures is None else one.made.futures
    if one.made.rule is Rule.STRATEGY:
        required = strategy.at(securities, price[rows], spot[rows], one.pairing) + futures
        now = np.array([leg.price for leg in one.legs]).reshape(-1, 1)
        options = strategy.option_value(one.legs, price) - strategy.option_value(one.legs, now)
    else:
        each = [_values(one.book, one.rows, one.legs, one.points, where, place) for place in range(spot.shape[1])]
        values = np.stack(each, axis=1)
        required = portfolio_margin.at(securities, price[rows], values[rows]) + futures
        options = np.zeros(spot.shape[1])
    return _by_house(one, required), options


def _by_house(one: Margined, required: Array) -> Array:
    """What the broker would ask for where the exchange asks for `required`."""
    if (factor := one.factor) is not None:
        return factor * required
    if one.made.amount is None or one.told.maintenance is None:
        return np.full(len(required), math.nan)
    return required + one.told.maintenance


def _prices(one: Margined, where: Moves) -> Array:
    """Unit prices of the legs (n, M): the market's of now, moved as far as the model's."""
    only = np.zeros(len(one.book.weight), dtype=bool)
    only[one.rows] = True
    by_model = prices_after(one.book, where, only)[one.rows]
    now = np.array([leg.price for leg in one.legs]).reshape(-1, 1)
    option = one.book.columns.is_option[one.rows, None]
    return np.where(option, np.maximum(now + by_model - one.book.base[one.rows, None], 0.0), by_model)


def _values(book: Book, rows: Index, legs: Sequence[Leg], points: Array, where: Moves, place: int) -> Array:
    """Unit prices (n, 10) at the valuation `points` of portfolio margin around shock `place`."""
    spots = where.spot[rows, place, None] * points
    axes = Axes(spots, where.vol[rows, place, None], where.years[rows, place, None])
    now = np.array([leg.price for leg in legs]).reshape(-1, 1)
    anchored = np.maximum(unit_grids(book, rows, axes)[:, :, 0, 0] + now - book.base[rows, None], 0.0)
    return np.where(book.columns.is_option[rows, None], anchored, spots)


def _margined(book: Book, account: Account) -> Margined:
    portfolio = book.portfolio
    legs = margin.legs_of(portfolio, account.id)
    rows = _rows_of(book, account.id)
    price = np.where(np.isfinite(book.quoted), book.quoted, book.base)[rows]
    legs = tuple(
        replace(leg, price=float(known)) if leg.is_option else leg for leg, known in zip(legs, price, strict=True)
    )
    points = 1.0 + np.array([rates.moves(leg.instrument) for leg in legs]).reshape(len(legs), rates.POINTS)
    values = _values(book, rows, legs, points, moves(book, [Shock("now")]), 0)
    uncertain = portfolio.exposures.beta_low != portfolio.exposures.beta_high
    pairing = steady([leg for leg in legs if leg.instrument.kind not in FUTURES])
    return Margined(
        account=account.id,
        told=told_of(book, account),
        book=book,
        rows=rows,
        legs=legs,
        points=points,
        made=margin.estimate(account, legs, values, portfolio.usd(1.0, account.currency), pairing),
        pairing=pairing,
        vague=bool(uncertain[book.underlying[rows]].any()),
    )


def _rows_of(book: Book, account: AccountId) -> Index:
    """The rows that `legs_of` makes legs of."""
    columns = book.columns
    held: Mask = columns.of_account(account) & ~columns.is_cash & (columns.reported != 0.0)
    return np.flatnonzero(held)


def told_of(book: Book, account: Account) -> Told:
    """The broker's figures of `account` in the view where its excess is least."""
    portfolio = book.portfolio
    views = {view: _view(account, view) for view in account.expected_views}
    known = [row for row in views.values() if row is not None and row.excess is not None]
    absent = [
        _VIEWS[view] for view, row in views.items() if row is None or row.excess is None or row.maintenance is None
    ]
    reason = f"the broker's margin figures ({', '.join(absent)}) are missing" if absent else ""
    if not known:
        return Told(None, None, portfolio.usd(account.net_liquidation, account.currency), reason)
    worst = min(known, key=lambda row: row.excess or 0.0)
    figures = (worst.excess, worst.maintenance, worst.net_liquidation or account.net_liquidation)
    excess, maintenance, worth = (portfolio.usd(figure, account.currency) for figure in figures)
    if excess is None:
        reason = f"no rate from {account.currency} to USD"
    return Told(excess, maintenance, worth, reason)


def _view(account: Account, view: MarginView) -> Margin | None:
    """The account as a whole under one view: its total, or else the sum of its segments."""
    rows = [row for row in account.margins if row.view is view]
    total = next((row for row in rows if row.segment == "total"), None)
    if total is not None or not rows:
        return total
    return Margin(
        view,
        "total",
        *(_sum([getattr(row, name) for row in rows]) for name in ("net_liquidation", "maintenance", "excess")),
    )


def _sum(figures: Sequence[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return math.fsum(known) if len(known) == len(figures) else None


def _interval(low: float, high: float) -> Interval:
    return Interval(float(low), float(high), not (math.isfinite(low) and math.isfinite(high)))

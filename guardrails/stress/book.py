"""The positions of a Portfolio as columns that can be revalued.

A row is known when its quantity, price, currency rate and, for an option, a volatility are. What is not known is not
left out: between the bounds that no option price can leave, it may still prove a loss, and it never clears one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from guardrails.columns import Array, Columns, Index, Mask
from guardrails.greeks_choice import HIGHEST_VOL
from guardrails.limits import Limits
from guardrails.portfolio import Portfolio
from guardrails.pricing import Options, styles
from guardrails.pricing.dividends_layout import COARSE
from guardrails.streamed_quotes import WORTHLESS
from guardrails.stress.neighbours import fill_from_neighbours
from guardrails.stress.response import MEDIAN_VIX, level_of, vix_known
from guardrails.terms import Terms, terms_of
from guardrails.unit_price import price_of
from guardrails.values import Position

if TYPE_CHECKING:
    from guardrails.stress.shocks import Shock  # which moves a Book

VOL_BETA = (0.5, 3.0)
"""bounds of how many points the volatility of an underlying moves for one point of the index"""
RESIDUAL_SHARE = 0.10
"""of its price: a model price further from the market than this says another thing than the market"""
TICKS, TICKS_OF_SPOT = 0.15, 0.001
"""a few ticks of an index option; of what it is struck on at most, where prices are small"""
_APART = timedelta(seconds=30)
"""by which a price may be older than the volatility and still be of the same moment"""


@dataclass(frozen=True, slots=True)
class Book:
    """One row per position, in the order of `portfolio.positions`; NaN is missing."""

    portfolio: Portfolio
    weight: Array
    """dollars per 1.00 of the unit price: quantity x multiplier x currency rate"""
    terms: Terms
    """what market and contract say of the options"""
    vol: Array
    """implied volatility, fraction a year: as told, or implied by the quote where what is told does not fit it"""
    assumed: Mask
    """rows whose volatility is that of a neighbour on the same expiry"""
    base: Array
    """unit price now: by model for an option, the price itself for what moves one to one"""
    as_told: Array
    """the same by model at the volatility that was told, whether or not it fits the market"""
    quoted: Array
    """unit price as the market has it: the middle of the quote, else the mark"""
    half_spread: Array
    """half of ask minus bid of one unit; NaN where there is no quote of two sides in order, or none of now"""
    vol_beta: Array
    """points that the volatility of the row's underlying moves for one point of the index"""
    vix_known: bool
    """whether VIX is credible and of now; what follows volatility clears nothing otherwise"""
    priced: dict[bytes, Array] = field(default_factory=dict, init=False, repr=False, compare=False)
    """unit prices of all rows by `Moves.key`, remembered because several ask for the same shocks of this Book"""
    known: dict[tuple[Shock, float], tuple[Array, Array]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """what the rows are struck on, and their unit prices, by shock and blend; told by who has put them together"""

    @property
    def columns(self) -> Columns:
        """The columns of the Portfolio."""
        return self.portfolio.exposures.columns

    @property
    def options(self) -> Options:
        """What the options are; NaN in the rows that are none."""
        return self.terms.options

    @property
    def american(self) -> Mask:
        """Exercise before expiry, also where the style is not known."""
        return self.terms.styles.american

    @property
    def valued(self) -> Mask:
        """Rows that can be revalued; cash can."""
        return self.columns.is_cash | np.isfinite(self.weight + self.base)

    @property
    def underlying(self) -> Index:
        """Number of the underlying of each row."""
        return self.columns.underlying

    def residual(self) -> Array:
        """Model at the told volatility minus market of one unit, NaN where either is missing; zero of no option."""
        return self.as_told - self.quoted

    def tolerance(self) -> Array:
        """By row, how far model and market may be apart."""
        return _tolerance(self.portfolio, self.quoted, self.options)


def book_of(portfolio: Portfolio, limits: Limits | None = None) -> Book:
    """The columns of `portfolio`; the only place that looks at its positions one by one.

    `limits` say which quotes and which VIX are too old; None takes them however old.
    """
    columns = portfolio.exposures.columns
    instruments = [position.instrument for position in portfolio.positions]
    terms = terms_of(instruments, columns.spot, portfolio.market, portfolio.time, COARSE)
    quoted = np.array([math.nan if (p := price_of(position)) is None else p for position in portfolio.positions])
    believed = (columns.iv > 0) & (columns.iv <= HIGHEST_VOL)
    vol, assumed = fill_from_neighbours(np.where(believed, columns.iv, math.nan), terms.options, columns)
    as_told = styles.price(terms.options, terms.styles, vol)
    vol, by_model = _refitted(portfolio, terms, vol, as_told, quoted)
    known = level_of(portfolio.market) is not None if limits is None else vix_known(portfolio, limits)
    return Book(
        portfolio=portfolio,
        weight=columns.quantity * columns.multiplier * columns.fx,
        terms=terms,
        vol=vol,
        assumed=assumed,
        base=np.where(columns.is_option, by_model, np.where(columns.is_linear, columns.spot, math.nan)),
        as_told=np.where(columns.is_option, as_told, columns.spot),
        quoted=np.where(columns.is_option, quoted, columns.spot),
        half_spread=_half_spreads(portfolio, limits),
        vol_beta=_vol_betas(portfolio, vol, of_now=known),
        vix_known=known,
    )


def _refitted(portfolio: Portfolio, terms: Terms, vol: Array, told: Array, quoted: Array) -> tuple[Array, Array]:
    """Volatilities and prices, from the quote where the told volatility does not give it and the quote is as recent.

    A figure that contradicts the market (per cent for a fraction, an option on another forward than its index) would
    start every shock from a price that nobody pays. NaN where no volatility fits: such a row is only bounded.
    """
    with np.errstate(invalid="ignore"):
        far = np.abs(told - quoted) > _tolerance(portfolio, quoted, terms.options)
    rows = np.flatnonzero(far & _is_recent(portfolio) & (quoted > 0))
    if not len(rows):
        return vol, told
    fitted, price = vol.copy(), told.copy()
    of = terms.at(rows)
    fitted[rows] = styles.implied_vol(of.options, of.styles, quoted[rows])
    price[rows] = styles.price(of.options, of.styles, fitted[rows])
    return fitted, price


def _tolerance(portfolio: Portfolio, quoted: Array, options: Options) -> Array:
    """A tenth of the price, half the spread of its quote, or a few ticks, whichever is most."""
    half = np.array([
        math.nan if p.bid is None or p.ask is None else (p.ask - p.bid) / 2.0 for p in portfolio.positions
    ])  # fmt: skip
    ticks = np.fmin(TICKS, TICKS_OF_SPOT * options.spot)
    return np.asarray(np.fmax(np.fmax(RESIDUAL_SHARE * quoted, half), ticks), dtype=np.float64)


def _is_recent(portfolio: Portfolio) -> Mask:
    """Rows whose price was said no earlier than their volatility, as far as clocks and feeds can tell."""
    return np.array([
        p.greeks is not None and (p.quote_time or p.mark_time or p.time) >= p.greeks.time - _APART
        for p in portfolio.positions
    ], dtype=bool)  # fmt: skip


def _vol_betas(portfolio: Portfolio, vol: Array, *, of_now: bool) -> Array:
    """Median implied volatility of what is held on an underlying over the VIX, within `VOL_BETA`; 1 of what has none.

    A VIX that is not `of_now`, or missing, counts as its median at most: it may make the ratio larger, not smaller.
    """
    columns, level = portfolio.exposures.columns, level_of(portfolio.market)
    vix = MEDIAN_VIX if level is None else level if of_now else min(level, MEDIAN_VIX)
    known = np.isfinite(vol) & ~columns.doubtful
    ratios = np.ones(len(columns.underlyings))
    for place in np.unique(columns.underlying[known]):
        held = vol[known & (columns.underlying == place)]
        ratios[place] = np.clip(float(np.median(held)) / (vix / 100.0), *VOL_BETA)
    return ratios[columns.underlying]


def _half_spreads(portfolio: Portfolio, limits: Limits | None) -> Array:
    """Half of ask minus bid by row: the position's own quote where it is one, else that of the market."""
    oldest = None
    if limits is not None and portfolio.market_open:
        oldest = portfolio.time - timedelta(minutes=limits.matrix.data.quiet_after_minutes)
    halves = [_quotes(position, portfolio, oldest) for position in portfolio.positions]
    return np.array([next(half, math.nan) for half in halves], dtype=np.float64)


def _quotes(position: Position, portfolio: Portfolio, oldest: datetime | None) -> Iterator[float]:
    """Half the spread of each quote of `position` that has two sides in order and is no older than `oldest`."""
    told = [(position.bid, position.ask, position.quote_time)]
    if (streamed := portfolio.market.quotes.get(position.instrument.key)) is not None:
        told.append((streamed.bid, streamed.ask, streamed.time))
    for bid, ask, time in told:
        if bid is None or ask is None or (oldest is not None and (time is None or time < oldest)):
            continue
        if 0 < bid <= ask or bid == 0 < ask <= WORTHLESS:
            yield (ask - bid) / 2.0

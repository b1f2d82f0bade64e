"""The positions of a Portfolio as columns that can be revalued.

A row is known when its quantity, price, currency rate and, for an option, a volatility are. What is not known is not
left out: between the bounds that no option price can leave, it may still prove a loss, and it never clears one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from guardrails.columns import Array, Columns, Index, Mask
from guardrails.portfolio import Portfolio
from guardrails.pricing import Options, styles
from guardrails.pricing.dividends_layout import COARSE
from guardrails.stress.neighbours import fill_from_neighbours
from guardrails.terms import Terms, terms_of
from guardrails.valuation import price_of

VOL_BETA = (0.5, 3.0)
"""bounds of how many points the volatility of an underlying moves for one point of the index"""


@dataclass(frozen=True, slots=True)
class Book:
    """One row per position, in the order of `portfolio.positions`; NaN is missing."""

    portfolio: Portfolio
    weight: Array
    """dollars per 1.00 of the unit price: quantity x multiplier x currency rate"""
    terms: Terms
    """what market and contract say of the options"""
    vol: Array
    """implied volatility, fraction a year"""
    assumed: Mask
    """rows whose volatility is that of a neighbour on the same expiry"""
    base: Array
    """unit price now: by model for an option, the price itself for what moves one to one"""
    quoted: Array
    """unit price as the market has it: the middle of the quote, else the mark"""
    vol_beta: Array
    """points that the volatility of the row's underlying moves for one point of the index"""
    priced: dict[bytes, Array] = field(default_factory=dict, init=False, repr=False, compare=False)
    """unit prices of all rows by `Moves.key`, remembered because several ask for the same shocks of this Book"""

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
        """Model minus market of one unit, NaN where either is missing; zero for what is no option."""
        return self.base - self.quoted


def book_of(portfolio: Portfolio) -> Book:
    """The columns of `portfolio`; the only place that looks at its positions one by one."""
    columns = portfolio.exposures.columns
    instruments = [position.instrument for position in portfolio.positions]
    terms = terms_of(instruments, columns.spot, portfolio.market, portfolio.time, COARSE)
    quoted = np.array([math.nan if (p := price_of(position)) is None else p for position in portfolio.positions])
    vol, assumed = fill_from_neighbours(np.where(columns.iv > 0, columns.iv, math.nan), terms.options, columns)
    by_model = styles.price(terms.options, terms.styles, vol)
    return Book(
        portfolio=portfolio,
        weight=columns.quantity * columns.multiplier * columns.fx,
        terms=terms,
        vol=vol,
        assumed=assumed,
        base=np.where(columns.is_option, by_model, np.where(columns.is_linear, columns.spot, math.nan)),
        quoted=np.where(columns.is_option, quoted, columns.spot),
        vol_beta=_vol_betas(portfolio, vol),
    )


def _vol_betas(portfolio: Portfolio, vol: Array) -> Array:
    """Median implied volatility of what is held on an underlying over the VIX, within `VOL_BETA`; 1 without either."""
    columns, vix = portfolio.exposures.columns, portfolio.market.vix
    known = np.isfinite(vol) & ~columns.doubtful
    ratios = np.ones(len(columns.underlyings))
    if vix is None or vix.value <= 0:
        return ratios[columns.underlying]
    for place in np.unique(columns.underlying[known]):
        held = vol[known & (columns.underlying == place)]
        ratios[place] = np.clip(float(np.median(held)) / (vix.value / 100.0), *VOL_BETA)
    return ratios[columns.underlying]

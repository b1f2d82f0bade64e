"""Prices of American options cell by cell: spots, volatilities and dates. `guardrails.pricing.american` tells more."""

from __future__ import annotations

import numpy as np

from guardrails.pricing import american_tree, european
from guardrails.pricing.american_columns import HELD, RATE, VOL, YEARS
from guardrails.pricing.american_early import LEAST, Kind, Puts, as_puts, formulas, kinds
from guardrails.pricing.american_scheme import GRID_RULE, NODES, PRICE_RULE
from guardrails.pricing.columns import Array, Axes, Options
from guardrails.pricing.parallel import in_parts

LOWEST_VOL, HIGHEST_VOL = 1e-4, 100.0
LEAST_YEARS = 1e-10


def price(options: Options, vol: Array) -> Array:
    """Present value of one unit at the volatility `vol` (fraction a year)."""
    given = european.columns(options, vol)
    own = Options(*given[:6])
    return _cells(own, Axes(own.spot[:, None], given[6][:, None], own.years[:, None]), PRICE_RULE)[:, 0, 0, 0]


def grid(options: Options, axes: Axes) -> Array:
    """Prices (options, spots, volatilities, dates), each the value at its date; spot and years are those of `axes`.

    A date with no time left gives the intrinsic value. ValueError for axes of another number of options.
    """
    lengths = [options.sign.size, len(axes.spot), len(axes.vol), len(axes.years)]
    if len(set(lengths)) > 1:
        raise ValueError(f"options and rows of spot, vol and years must be as many, they are {lengths}")
    return _cells(options, axes, GRID_RULE)


def _cells(o: Options, axes: Axes, rule: Array) -> Array:
    """What the formulas cannot take is replaced before them and becomes NaN after them."""
    sound = np.isfinite(o.sign) & np.isfinite(o.rate) & np.isfinite(o.carry) & np.isfinite(o.strike) & (o.strike > 0.0)
    spots, vols, dates = (np.ascontiguousarray(axis, dtype=np.float64) for axis in (axes.spot, axes.vol, axes.years))
    spot_ok, vol_ok, date_ok = np.isfinite(spots) & (spots > 0.0), np.isfinite(vols) & (vols >= 0.0), np.isfinite(dates)
    strike, rate, carry = (np.where(sound, column, 1.0) for column in (o.strike, o.rate, o.carry))
    spots = np.where(spot_ok, spots, 1.0)
    dates = np.where(dates > 0.0, np.maximum(np.where(date_ok, dates, 1.0), LEAST_YEARS), 0.0)
    whole = Options(np.where(sound, o.sign, 1.0), strike, strike, np.zeros_like(strike), rate, carry)
    found = _priced(whole, Axes(spots, np.clip(np.where(vol_ok, vols, 1.0), LOWEST_VOL, HIGHEST_VOL), dates), rule)
    if not (sound.all() and spot_ok.all() and vol_ok.all() and date_ok.all()):
        near = (sound[:, None] & spot_ok)[:, :, None, None]
        found = np.where(near & vol_ok[:, None, :, None] & date_ok[:, None, None, :], found, np.nan)
    return found


def _priced(o: Options, axes: Axes, rule: Array) -> Array:
    """Each kind of option by its own method."""
    put = as_puts(o.sign[:, None], axes.spot, o.strike[:, None], o.rate[:, None], o.carry[:, None])
    now = np.maximum(o.sign[:, None] * (axes.spot - o.strike[:, None]), 0.0)
    longest = axes.years.max(axis=1, initial=0.0)
    kind = kinds(put.rate[:, 0], put.held[:, 0], longest)
    if kind.size and np.all(kind == Kind.BELOW):
        return _below(put, now, axes, longest, rule)
    found = np.empty((o.sign.size, axes.spot.shape[1], axes.vol.shape[1], axes.years.shape[1]))
    for each in Kind:
        rows = np.flatnonzero(kind == each)
        if rows.size == 0:
            continue
        own = Axes(axes.spot[rows], axes.vol[rows], axes.years[rows])
        part = Puts(put.spot[rows], put.unit[rows], put.rate[rows], put.held[rows])
        if each is Kind.NEVER:
            found[rows] = np.maximum(european.grid(o.at(rows), own), now[rows, :, None, None])
        elif each is Kind.BELOW:
            found[rows] = _below(part, now[rows], own, longest[rows], rule)
        else:
            found[rows] = _between(part, now[rows], own)
    return found


def _below(put: Puts, now: Array, axes: Axes, longest: Array, rule: Array) -> Array:
    """A boundary for each option and volatility, which all spots and dates share."""
    options, each = axes.vol.shape
    puts = np.zeros((7, options * each))
    years = np.where(longest > 0.0, longest, 1.0)
    for row, column in ((RATE, put.rate[:, 0]), (HELD, put.held[:, 0]), (YEARS, years)):
        puts[row] = np.repeat(column, each)
    puts[VOL] = axes.vol.ravel()
    found = np.empty((options * each, axes.spot.shape[1], axes.years.shape[1]))
    bounds, code = np.empty((NODES, options * each)), formulas()
    spots = np.array([put.spot, np.broadcast_to(put.unit, put.spot.shape), now])
    dates = np.ascontiguousarray(axes.years)

    def part(first: int, last: int) -> None:
        code.boundaries(first, last, puts, bounds)
        code.values(first, last, puts, bounds, spots, dates, rule, found)

    in_parts(part, options * each, LEAST)
    return found.reshape(options, each, *found.shape[1:]).transpose(0, 2, 1, 3)


def _between(put: Puts, now: Array, axes: Axes) -> Array:
    """A tree for each cell."""
    spot, rate, held = put.spot[:, :, None, None], put.rate[:, :, None, None], put.held[:, :, None, None]
    years = axes.years[:, None, None, :]
    ahead = np.where(years > 0.0, years, 1.0)
    cells = np.broadcast_arrays(spot, ahead, rate, held, axes.vol[:, None, :, None])
    columns = tuple(np.ascontiguousarray(cell).ravel() for cell in cells)
    value = (american_tree.european(*columns) + american_tree.early(*columns).premium).reshape(cells[0].shape)
    return np.maximum(put.unit[:, :, None, None] * np.where(years > 0.0, value, 0.0), now[:, :, None, None])

"""American options with a continuous yield, over columns and over grids: prices and Greeks.

The exercise boundary of a put does not depend on the spot, and the boundary up to the last date contains that of every
earlier date: a grid needs one boundary for each option and volatility. `american_columns` tells how it is found. The
yield is rate - carry, so an option on a future (carry 0) yields its rate. Discrete dividends are in `dividends`.

Where early exercise never pays the price is the European one. A put whose yield is below a rate below 0, and a call
whose rate is below a yield below 0, have two boundaries: those go through a tree, which takes about a millisecond for
each price (`american_tree`). A price is never below the intrinsic value and never below the European price.

Errors against converged results, for a strike of 100: root mean square 5e-6 and worst 5e-5 for up to 2 years, 10 to
80 % a year, rates and yields up to 10 %; up to 10 years and down to 2 % a year worst 2e-3; up to 2000 % a year worst
2e-2. Cells of a grid have about twice that.

Domain, where no exception and no warning ever comes:
- time 0 or less: the price is the intrinsic value, every Greek is NaN;
- volatility 0: the price is that at 1e-4, every Greek is NaN; below 0: all NaN;
- volatilities above 100 count as 100, those below 1e-4 as 1e-4; times above 0 but below 3 milliseconds as that;
- spot or strike 0 or less, or NaN or infinity in any column: NaN.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from guardrails.pricing import european, implied
from guardrails.pricing.american_cells import HIGHEST_VOL, LEAST_YEARS, LOWEST_VOL, grid, price
from guardrails.pricing.american_early import Kind, Puts, as_puts, gains, kinds
from guardrails.pricing.columns import DAYS_PER_YEAR, Array, Options, Sensitivities

__all__ = ["grid", "implied_vol", "price", "sensitivities"]

HIGHEST_IMPLIED = 10.0
ROUNDS = 80
"""of the search for a volatility; usual are four to seven"""
SETTLED = 1e-11
"""relative change of a volatility that is none"""


def sensitivities(options: Options, vol: Array) -> Sensitivities:
    """Price and Greeks at `vol`, NaN where time or volatility is not above zero; rho as of European options,
    on a share or on a future.

    All but the price are those of the European option plus what early exercise adds: its delta and gamma come from the
    boundary, its vega and rho from two more boundaries, theta from the pricing equation. Theta never takes more than
    the premium that is left. Where one exercises at once, delta is the sign and all other Greeks are 0.
    """
    given = european.columns(options, vol)
    vol = given[6]
    o = Options(*given[:6], on_future=np.broadcast_to(options.futures(), vol.shape))
    found = european.sensitivities(o, vol)
    with np.errstate(all="ignore"):
        live = np.isfinite(sum(given)) & (o.years > 0.0) & (vol > 0.0) & (o.spot > 0.0) & (o.strike > 0.0)
        for greek in (found.delta, found.gamma, found.vega, found.theta, found.rho):
            greek[~live] = np.nan
        found.price[~live] = price(o.at(np.flatnonzero(~live)), vol[~live])
        put = as_puts(o.sign, o.spot, o.strike, o.rate, o.carry)
        kind = np.where(live, kinds(put.rate, put.held, o.years), Kind.NEVER)
        for each in (Kind.BELOW, Kind.BETWEEN):
            rows = np.flatnonzero(kind == each)
            if rows.size:
                part = Puts(put.spot[rows], put.unit[rows], put.rate[rows], put.held[rows])
                greeks = Sensitivities(*(getattr(found, field.name)[rows] for field in fields(found)))
                _exercised_early(o.at(rows), vol[rows], part, each, greeks)
                for field in fields(found):
                    getattr(found, field.name)[rows] = getattr(greeks, field.name)
    return found


def _exercised_early(o: Options, vol: Array, put: Puts, kind: Kind, greeks: Sensitivities) -> None:
    """Turn the European `greeks` of options that gain by early exercise into American ones."""
    call, future = o.sign > 0.0, o.futures()
    vol, years = np.clip(vol, LOWEST_VOL, HIGHEST_VOL), np.maximum(o.years, LEAST_YEARS)
    more = gains(put, vol, years, np.where(call, future, 1.0), np.where(call, 1.0, future), kind)
    now = o.sign * (o.spot - o.strike)
    taken = more.exercised | (greeks.price + put.unit * more.premium <= now)
    most = put.unit if kind is Kind.BELOW else np.full_like(now, np.inf)
    held = np.minimum(greeks.price + put.unit * np.maximum(more.premium, 0.0), most)
    greeks.price[:] = np.where(taken, now, held)
    held_on = np.where(taken, 0.0, 1.0)
    exposure = put.unit * np.where(call, more.premium - more.first, more.first)
    steepest = 1.0 if kind is Kind.BELOW else np.inf
    greeks.delta[:] = np.where(taken, o.sign, np.clip(greeks.delta + exposure / o.spot, -steepest, steepest))
    greeks.gamma[:] = np.maximum(greeks.gamma + put.unit * more.second / (o.spot * o.spot), 0.0) * held_on
    greeks.vega[:] = np.maximum(greeks.vega + put.unit * more.by_vol / 100.0, 0.0) * held_on
    greeks.rho[:] = (greeks.rho + put.unit * more.by_rate / 100.0) * held_on
    curve = 0.5 * (vol * o.spot) ** 2 * greeks.gamma
    decay = (o.rate * greeks.price - o.carry * o.spot * greeks.delta - curve) / DAYS_PER_YEAR
    greeks.theta[:] = np.maximum(decay, -greeks.price) * held_on


def implied_vol(options: Options, target: Array) -> Array:
    """Volatility at which `price` equals `target`, NaN where no volatility in 0.0001..10 does.

    That is where `target` is not above the price at 0.0001 (the intrinsic value is not: below some volatility every one
    gives it) or not below that at 10, and where time, spot or strike is 0 or less, or anything is NaN. As an American
    option is worth at least the European one, the European implied volatility is a bound from above and the start.
    Secants, each replaced by a bisection where it leaves the bracket or has not halved it in three rounds.
    """
    given = european.columns(options, target)
    o, target = Options(*given[:6]), given[6]
    found = np.full(target.shape, np.nan)
    with np.errstate(all="ignore"):
        low, high = np.full_like(target, LOWEST_VOL), np.full_like(target, HIGHEST_IMPLIED)
        fits = (o.years > 0.0) & (target > price(o, low)) & (target < price(o, high))
        rows = np.flatnonzero(fits)
        first = implied.implied_vol(o.at(rows), target[rows])
        found[rows] = _searched(o.at(rows), target[rows], np.where(np.isfinite(first), first, 0.3))
    return found


def _searched(o: Options, target: Array, vol: Array) -> Array:
    """All of these have a volatility between the bounds."""
    found = np.clip(vol, 2.0 * LOWEST_VOL, 0.5 * HIGHEST_IMPLIED)
    rows = np.arange(target.size)
    vol, low, high = found.copy(), np.full_like(target, LOWEST_VOL), np.full_like(target, HIGHEST_IMPLIED)
    slope, before, gap_before, width = european.sensitivities(o, vol).vega * 100.0, vol, np.zeros_like(vol), high - low
    for turn in range(ROUNDS):
        gap = price(o, vol) - target
        high, low = np.where(gap > 0.0, vol, high), np.where(gap > 0.0, low, vol)
        slope = np.where(vol != before, (gap - gap_before) / (vol - before), slope)
        following = vol - gap / slope
        inside = (following > low) & (following < high)
        if turn % 3 == 2:
            inside &= high - low < 0.5 * width
            width = high - low
        following = np.where(inside, following, np.sqrt(low * high))
        found[rows] = np.where(gap == 0.0, vol, following)
        go = (np.abs(following - vol) > SETTLED * vol) & (gap != 0.0)
        if not go.any():
            break
        rows, o, target = rows[go], o.at(np.flatnonzero(go)), target[go]
        before, gap_before, vol = vol[go], gap[go], following[go]
        slope, low, high, width = slope[go], low[go], high[go], width[go]
    return found

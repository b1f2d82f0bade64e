"""What a walk of the lattice needs, made from the columns of options, dividends and axes: sorted, checked, meshed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guardrails.pricing.columns import Array, Axes, Options

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

LOWEST_VOL = 1e-4
"""a volatility from zero to this counts as this"""
SPACING, COARSE = 0.05, 0.1
"""distance of nodes in standard deviations to expiry: for Greeks, and for many prices that need not be so fine"""
WIDEST = 0.1
"""distance of nodes in log spot at most, unless there would be too many"""
REACH = 5.0
"""standard deviations covered on either side of where the value may bend"""
MOST_DEVIATION = 20.0
"""volatility × sqrt(years) at most: any more changes no digit of a price, and its powers would overflow"""
MOST_NODES, FEWEST_ASIDE = 1536, 8
FEWEST_STEPS = 64.0


@dataclass(frozen=True, slots=True)
class Dividends:
    """What each option's share pays: the entries first[i]:first[i + 1] belong to option i, in any order."""

    first: Integers
    """(options + 1)"""
    years: Array
    """until the ex-date, as `Options.years`; 0 or less is over, and after the option's expiry is not its concern"""
    amount: Array
    """cash for one share, in the currency of the spot; NaN, infinite or negative makes the option's results NaN"""
    spacing: float = SPACING
    """distance of nodes in standard deviations to expiry; twice as far takes an eighth of the time"""

    @classmethod
    def of(cls, rows: Iterable[Sequence[tuple[float, float]]], spacing: float = SPACING) -> Dividends:
        """From pairs (years, amount) for each option."""
        told = [list(row) for row in rows]
        pairs = np.array([pair for row in told for pair in row], dtype=np.float64).reshape(-1, 2)
        first = np.cumsum([0, *(len(row) for row in told)], dtype=np.int64)
        return cls(first, pairs[:, 0].copy(), pairs[:, 1].copy(), spacing)


@dataclass(frozen=True, slots=True)
class Layout:
    """The input of one walk; `tau` is time to expiry, and what comes last comes first."""

    terms: Array
    """(options, 5): sign, strike, struck (strike and what is paid at expiry itself), rate, carry"""
    american: Flags
    spots: Array
    """(options, spots)"""
    vols: Array
    """(options, volatilities)"""
    years: Array
    """(options, dates) ascending; 0: nothing to walk"""
    first: Integers
    """entries first[i]:first[i + 1] belong to option i"""
    entries: Array
    """(5, dividends + 1): tau ascending, amount, sum of amount × exp(carry × tau) before it, exp(-carry × tau),
    exp(rate × tau)"""
    meshes: Array
    """(options, volatilities, 5): spacing, nodes below the struck one, nodes (0: no result), drift, longest step"""
    order: Integers
    """(options, dates): which of the dates asked for stands where"""


def layout(o: Options, axes: Axes, dividends: Dividends, american: Flags) -> Layout:
    """Rows whose figures make no sense get meshes without nodes."""
    count = len(o.strike)
    owner = np.repeat(np.arange(count), np.diff(dividends.first))
    ahead = (dividends.years > 0.0) & (dividends.years <= o.years[owner])
    wrong = ahead & ~(np.isfinite(dividends.amount) & (dividends.amount >= 0.0)) | np.isnan(dividends.years)
    figures = np.array([o.sign, o.strike, o.years, o.rate, o.carry])
    sound = np.isfinite(figures).all(axis=0) & (o.strike > 0.0) & (np.bincount(owner[wrong], minlength=count) == 0)
    ahead &= sound[owner] & (dividends.amount > 0.0)
    owner, tau, amount = owner[ahead], (o.years[owner] - dividends.years)[ahead], dividends.amount[ahead]
    paid_at_end = np.bincount(owner, np.where(tau > 0.0, 0.0, amount), minlength=count)
    struck = o.strike + np.where(american & (o.sign > 0.0), 0.0, paid_at_end)
    later = np.flatnonzero(tau > 0.0)
    later = later[np.lexsort((tau[later], owner[later]))]
    owner, tau, amount = owner[later], tau[later], amount[later]
    grown = amount * np.exp(o.carry[owner] * tau)
    known = np.where(sound[:, None] & np.isfinite(axes.years), np.maximum(axes.years, 0.0), 0.0)
    order = np.argsort(known, axis=1, kind="stable")
    years = np.take_along_axis(known, order, axis=1)
    usable = sound[:, None] & np.isfinite(axes.vol) & (axes.vol >= 0.0) & (years[:, -1:] > 0.0)
    highest = MOST_DEVIATION / np.sqrt(np.maximum(years[:, -1:], 1e-300))
    vols = np.where(usable, np.clip(axes.vol, LOWEST_VOL, highest), LOWEST_VOL)
    raised = np.log1p(np.bincount(owner, grown, minlength=count) / np.where(sound, struck, 1.0))
    meshes = _meshes(np.where(sound, o.carry, 0.0)[:, None], raised[:, None], years[:, -1:], vols, dividends.spacing)
    meshes[..., 2] *= usable
    entries = np.zeros((5, len(tau) + 1))
    entries[:2, :-1], entries[2, 1:] = (tau, amount), np.cumsum(grown)
    entries[3:, :-1] = np.exp(-o.carry[owner] * tau), np.exp(o.rate[owner] * tau)
    return Layout(
        terms=np.ascontiguousarray(np.array([o.sign, o.strike, struck, o.rate, o.carry]).T),
        american=np.array(american),  # a copy: the compiled form takes nothing that is read-only
        spots=np.array(axes.spot, dtype=np.float64, order="C"),
        vols=vols,
        years=years,
        first=np.concatenate(([0], np.cumsum(np.bincount(owner, minlength=count)))).astype(np.int64),
        entries=entries,
        meshes=meshes,
        order=order,
    )


def _meshes(carry: Array, raised: Array, years: Array, vols: Array, spacing: float) -> Array:
    """Nodes for each option and volatility; `raised` is by how much dividends raise, in logs, where the value bends."""
    drift, deviation = carry - 0.5 * vols * vols, vols * np.sqrt(years)
    down = REACH * deviation + np.maximum(-drift * years, 0.0)
    up = REACH * deviation + np.maximum(drift * years, 0.0) + raised
    fine = np.minimum(spacing * deviation, WIDEST * spacing / SPACING)
    dx = np.maximum(np.maximum(fine, (down + up) / (MOST_NODES - 2 * FEWEST_ASIDE)), 1e-12)
    below, above = (np.maximum(np.ceil(part / dx), FEWEST_ASIDE) for part in (down, up))
    return np.stack([dx, below, below + above + 1.0, drift, np.broadcast_to(years / FEWEST_STEPS, dx.shape)], axis=-1)

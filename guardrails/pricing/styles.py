"""Options of every style in one column: each row goes to the method that fits it, and its result back to its place.

European: closed form. American on what pays a yield or nothing: Andersen-Lake-Offengenden. On a share that pays known
cash before expiry, of either style: the lattice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from guardrails.pricing import american, dividends, european, implied
from guardrails.pricing.columns import Array, Axes, Options, Rows, Sensitivities
from guardrails.pricing.dividends import Dividends

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Styles:
    """How the options of a column are exercised, and what cash their shares pay."""

    american: Mask
    dividends: Dividends
    """those that fall due within the life of the option; rows without any go to the faster methods"""

    @property
    def pays(self) -> Mask:
        """Rows whose share pays cash before expiry."""
        return np.asarray(np.diff(self.dividends.first) > 0, dtype=bool)

    def at(self, rows: Rows) -> Styles:
        """Those of `rows`, any of which may be asked for more than once."""
        counts = np.diff(self.dividends.first)[rows]
        begin = np.concatenate(([0], np.cumsum(counts)))
        entries = np.repeat(self.dividends.first[rows] - begin[:-1], counts) + np.arange(begin[-1])
        paid = self.dividends
        chosen = Dividends(begin, paid.years[entries], paid.amount[entries], paid.spacing)
        return Styles(self.american[rows], chosen)

    def later(self, years: Array) -> Styles:
        """As seen `years` (one for each option) from now: dividends are nearer, and those behind no longer count."""
        paid = self.dividends
        nearer = paid.years - np.repeat(years, np.diff(paid.first))
        return Styles(self.american, replace(paid, years=nearer))


def plain(american_style: Mask) -> Styles:
    """Styles of options whose shares pay no cash."""
    none = np.zeros(0)
    return Styles(american_style, Dividends(np.zeros(len(american_style) + 1, dtype=np.int64), none, none))


def price(options: Options, styles: Styles, vol: Array) -> Array:
    """Present value of one unit; at expiry and after the intrinsic value; NaN where anything is missing."""
    found = np.full(len(vol), np.nan)
    for part in _parts(options, styles):
        found[part.rows] = part.method.price(part.options, vol[part.rows])
    with np.errstate(invalid="ignore"):
        over = np.maximum(options.sign * (options.spot - options.strike), 0.0)
        return np.where(options.years <= 0.0, over, found)


def sensitivities(options: Options, styles: Styles, vol: Array) -> Sensitivities:
    """Price and Greeks of one unit; NaN where time or volatility is not above zero or anything is missing."""
    found = {field.name: np.full(len(vol), np.nan) for field in fields(Sensitivities)}
    for part in _parts(options, styles):
        told = part.method.sensitivities(part.options, vol[part.rows])
        for name, column in found.items():
            column[part.rows] = getattr(told, name)
    return Sensitivities(**found)


def implied_vol(options: Options, styles: Styles, target: Array) -> Array:
    """Volatility at which `price` equals `target`; NaN where none does."""
    found = np.full(len(target), np.nan)
    for part in _parts(options, styles):
        found[part.rows] = part.method.implied_vol(part.options, target[part.rows])
    return found


def grid(options: Options, styles: Styles, axes: Axes) -> Array:
    """Present values (options, spots, volatilities, dates), each seen from its date."""
    found = np.full((len(options.sign), axes.spot.shape[1], axes.vol.shape[1], axes.years.shape[1]), np.nan)
    for part in _parts(options, styles):
        cells = Axes(axes.spot[part.rows], axes.vol[part.rows], axes.years[part.rows])
        found[part.rows] = part.method.grid(part.options, cells)
    return found


@dataclass(frozen=True, slots=True)
class _Method:
    """One way to price options."""

    price: Callable[[Options, Array], Array]
    sensitivities: Callable[[Options, Array], Sensitivities]
    implied_vol: Callable[[Options, Array], Array]
    grid: Callable[[Options, Axes], Array]


_EUROPEAN = _Method(european.price, european.sensitivities, implied.implied_vol, european.grid)
_AMERICAN = _Method(american.price, american.sensitivities, american.implied_vol, american.grid)


def _lattice(styles: Styles) -> _Method:
    paid, early = styles.dividends, styles.american
    return _Method(
        price=lambda options, vol: dividends.price(options, vol, paid, early),
        sensitivities=lambda options, vol: dividends.sensitivities(options, vol, paid, early),
        implied_vol=lambda options, target: dividends.implied_vol(options, target, paid, early),
        grid=lambda options, axes: dividends.grid(options, axes, paid, early),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of one style and how they are priced."""

    rows: Rows
    options: Options
    method: _Method


def _parts(options: Options, styles: Styles) -> Iterator[_Part]:
    pays = styles.pays
    for chosen, method in ((~pays & ~styles.american, _EUROPEAN), (~pays & styles.american, _AMERICAN), (pays, None)):
        rows = np.flatnonzero(chosen)
        if len(rows):
            yield _Part(rows, options.at(rows), _lattice(styles.at(rows)) if method is None else method)

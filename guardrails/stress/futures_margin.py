"""What a broker may ask for futures and their options after a shock: its figure of now, raised by a scan of ours.

    after = figure x max(1, scan after / scan now)

The scan is the worst loss of one product's futures and options over ten prices, 8 % either way for the futures of broad
indices, 15 % for all others (`margin.rates`). It scales the broker's figure and never replaces it. Where the figure is
more than `MOST_FACTOR` scans the scan says little of it, and only its growth in dollars is added. Without options sold
the figure stays: the margin of a future hardly depends on its price.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from guardrails.columns import Array, Index
from guardrails.instruments import Kind
from guardrails.margin import Leg, UnderlyingMargin
from guardrails.margin.legs import FUTURES
from guardrails.products import product_root

MOST_FACTOR = 5.0
"""a figure of the broker more than so many times our own is no multiple of it"""
LEAST_SCAN = 1.0
"""dollars; below it nothing is a multiple of it"""

Valued = Callable[[Index], Array]
"""unit prices (rows, M, 10) at the valuation points around each shock, of some of the legs"""


def futures_after(
    parts: Sequence[UnderlyingMargin], legs: Sequence[Leg], now: tuple[Array, Array], price: Array, after: Valued
) -> Array:
    """US dollars (M,) for the futures and their options among `legs`, NaN where a figure that it needs is missing.

    `parts` are the broker's figures, `now` unit prices (n, 1) and those at the valuation points (n, 1, 10), `price`
    (n, M) unit prices after each shock.
    """
    total = np.zeros(price.shape[1])
    for part in parts:
        if not part.products:
            continue
        total += np.nan if part.amount is None else part.amount
        mine = [row for row, leg in enumerate(legs) if _is_of(leg, part.products)]
        if part.amount is None or not any(_is_sold(legs[row]) for row in mine):
            continue
        rows = np.array(mine, dtype=np.intp)
        held = [legs[row] for row in mine]
        first = _scan(held, now[0][rows], now[1][rows])
        total += _growth(part.amount, float(first[0]), _scan(held, price[rows], after(rows)))
    return total


def _is_of(leg: Leg, products: Sequence[str]) -> bool:
    return leg.instrument.kind in FUTURES and leg.quantity != 0.0 and product_root(leg.underlying) in products


def _is_sold(leg: Leg) -> bool:
    """Also where the quantity is not known."""
    return leg.instrument.kind is Kind.FUTURE_OPTION and not leg.quantity > 0.0


def _growth(figure: float, now: float, after: Array) -> Array:
    """By how much `figure` grows when the scan grows from `now` to `after`."""
    grown = np.maximum(after - now, 0.0)
    if now >= LEAST_SCAN and figure <= MOST_FACTOR * now:
        return np.asarray(figure * grown / now)
    return grown


def _scan(legs: Sequence[Leg], price: Array, values: Array) -> Array:
    """Worst loss (M,) over the valuation points, each product by itself, none below zero."""
    size = np.array([leg.quantity * leg.scale for leg in legs])
    total = np.zeros(price.shape[1])
    products = [product_root(leg.underlying) for leg in legs]
    for product in dict.fromkeys(products):
        rows = [row for row, name in enumerate(products) if name == product]
        profit = np.tensordot(size[rows], values[rows] - price[rows, :, None], axes=1)
        total += np.maximum(-profit.min(axis=1), 0.0)
    return total

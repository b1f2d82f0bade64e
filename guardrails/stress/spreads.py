"""What it costs when quotes widen: every option is marked at the far side of a quote several times as wide.

    loss of one position = |q| x M x fx x half the spread x (times - 1)        a long option loses its value at most

On 5 August 2024 quotes did, and accounts were margined by them. Shares and futures keep their prices. Where nobody
quotes, or did long ago, half the spread is assumed to be a twentieth of the price, 0.05 at least, and no loss at all is
the other end.
"""

from __future__ import annotations

import math

import numpy as np

from guardrails.columns import Array, Mask
from guardrails.stress.book import Book
from guardrails.stress.outcome import Outcome, gathered
from guardrails.stress.scenarios import SPREADS
from guardrails.stress.shocks import Shock

TIMES = 5.0
ASSUMED_SHARE, ASSUMED_LEAST = 0.05, 0.05
WORDS = (
    f"Spreads widen to {TIMES:g} times what they are, and every option is marked at the far side; "
    f"without a quote half the spread is taken as {ASSUMED_SHARE:.0%} of the price, at least {ASSUMED_LEAST:.2f}."
)


def spreads_widened(book: Book, times: float = TIMES) -> Outcome:
    """The one scenario of spreads `times` as wide."""
    low, high = losses(book, times)
    return gathered(book, (Shock(SPREADS),), -high[:, None], -low[:, None])


def losses(book: Book, times: float = TIMES) -> tuple[Array, Array]:
    """Dollars that each position loses, at least and at most; infinite at most where even its price is missing."""
    options, weight = book.columns.is_option, np.abs(book.weight)
    half = book.half_spread
    quoted = np.isfinite(half)
    price = np.where(np.isfinite(book.quoted), book.quoted, book.base)
    cost = np.where(quoted, half, np.maximum(ASSUMED_SHARE * price, ASSUMED_LEAST)) * (times - 1.0)
    cost = np.where(book.weight > 0, np.minimum(cost, np.where(np.isnan(price), math.inf, price)), cost) * weight
    most = np.where(options, np.where(np.isnan(cost), math.inf, cost), 0.0)
    unmodelled = book.columns.is_unmodelled
    return np.where(options & quoted & np.isfinite(cost), cost, 0.0), np.where(unmodelled, math.inf, most)


def unquoted(book: Book) -> Mask:
    """Options without a quote of now, for which a spread is only assumed: what rests on one clears no limit."""
    held = book.columns.is_option & (book.columns.reported != 0.0)
    return np.asarray(held & np.isnan(book.half_spread), dtype=bool)

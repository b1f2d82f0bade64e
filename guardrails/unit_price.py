"""The price of one unit that a row tells, and when it was said."""

from __future__ import annotations

import math
from datetime import datetime

from guardrails.twins import middle_of, too_wide
from guardrails.values import Position


def price_of(position: Position) -> float | None:
    """Price of one unit: the middle of a two-sided quote, else the mark; None when neither is a price.

    Where the quote is too wide to be one (see `middle_of`), a mark that is only its middle is none either.
    """
    middle = middle_of(position.bid, position.ask)
    if middle is not None or position.mark is None or not quoted_too_wide(position):
        return position.mark if middle is None else middle
    echoed = ((position.bid or 0.0) + (position.ask or 0.0)) / 2.0
    return None if abs(position.mark - echoed) <= 0.01 * echoed else position.mark


def quoted_too_wide(position: Position) -> bool:
    """Whether it has a quote of two sides that is too wide to be a price."""
    bid, ask = position.bid, position.ask
    return bid is not None and ask is not None and 0 < bid <= ask < math.inf and too_wide(bid, ask)


def price_time(position: Position) -> datetime:
    """When the price of `price_of` was said, as far as that is known."""
    if quoted_too_wide(position) and position.mark_time is not None:
        return position.mark_time
    return position.quote_time or position.mark_time or position.time

"""The option of the same strike and expiry on the other side, which may tell the volatility of one in the money.

An option deep in the money is nearly all intrinsic value: its quote is wide, and a cent of it is points of volatility.
That out of the money is asked where it says more: where the own quote is no price or clearly older, or where half the
spread of the twin is no more points of volatility than half of its own (see `guardrails.closed_form`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from guardrails.greeks_choice import Feeds
from guardrails.instruments import Instrument, Right
from guardrails.values import Market, Position, Quote

WIDEST, LEAST_WIDTH = 5.0, 1.0
"""a quote whose ask is more than so many times its bid, and more than so much above it, says nothing"""
_SYMBOL = re.compile(r"(?P<before>.*\d{6})(?P<right>[CP])(?P<strike>[\d.]+)")
_OTHER = {Right.CALL: Right.PUT, Right.PUT: Right.CALL}


@dataclass(frozen=True, slots=True)
class Told:
    """A price of the twin."""

    instrument: Instrument
    middle: float
    half_spread: float
    time: datetime


def middle_of(bid: float | None, ask: float | None) -> float | None:
    """The middle of a quote that is a price: two-sided, not crossed and not absurdly wide; else None.

    0.05/0.15 and 0.20/1.15 are the quotes of cheap options and count; 0.05/60 is a market maker who is not there.
    """
    if bid is None or ask is None or not 0 < bid <= ask < math.inf or too_wide(bid, ask):
        return None
    return (bid + ask) / 2.0


def too_wide(bid: float, ask: float) -> bool:
    """Whether the middle of a two-sided quote says nothing."""
    return ask > WIDEST * bid and ask - bid > LEAST_WIDTH


def twin_of(instrument: Instrument) -> Instrument | None:
    """The other right of the same strike and expiry; None for what is no option or has no canonical symbol."""
    symbol = _SYMBOL.fullmatch(instrument.symbol)
    if symbol is None or instrument.right is None:
        return None
    right = _OTHER[instrument.right]
    return replace(instrument, right=right, symbol=f"{symbol['before']}{right.value}{symbol['strike']}")


def quotes_held(positions: Iterable[Position]) -> Mapping[str, Quote]:
    """The brokers' own quotes of the options that are held, by `Instrument.key`."""
    return {
        position.instrument.key: Quote(position.bid, position.ask, position.quote_time, position.source)
        for position in positions
        if position.instrument.is_option and position.quote_time is not None and not position.reasons
    }


def told_by_twin(
    instrument: Instrument, source: str, spot: float, market: Market, held: Mapping[str, Quote], feeds: Feeds
) -> Told | None:
    """The youngest quote of the twin, where `instrument` is in the money and the quote is a price and of now.

    What `source`, which holds the instrument, says of the twin too is as old as that; other sources must stream.
    """
    if instrument.strike is None or instrument.right is None:
        return None
    over = spot - float(instrument.strike)
    if (over if instrument.right is Right.CALL else -over) <= 0:
        return None
    twin = twin_of(instrument)
    if twin is None:
        return None
    streamed, kept = market.quotes.get(twin.key), held.get(twin.key)
    quotes = []
    if streamed is not None and feeds.serves(streamed.source):
        quotes.append(streamed)
    if kept is not None and (kept.source == source or kept.source in feeds.live):
        quotes.append(kept)
    middles = [told for quote in quotes if (told := _told(twin, quote, feeds)) is not None]
    return max(middles, key=lambda told: told.time, default=None)


def _told(twin: Instrument, quote: Quote, feeds: Feeds) -> Told | None:
    middle = middle_of(quote.bid, quote.ask)
    if middle is None or quote.ask is None or feeds.ahead(quote.time) or quote.source in feeds.mute:
        return None
    if quote.source in feeds.live and feeds.quiet(quote.time):
        return None
    return Told(twin, middle, quote.ask - middle, quote.time)

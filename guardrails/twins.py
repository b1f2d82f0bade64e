"""The option of the same strike and expiry on the other side: of the two, that out of the money tells the volatility.

An option deep in the money is nearly all intrinsic value: its quote is wide, and a cent of it is points of volatility.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from guardrails.greeks_choice import Feeds
from guardrails.instruments import Instrument, Right
from guardrails.values import Market, Position, Quote, finite

_SYMBOL = re.compile(r"(?P<before>.*\d{6})(?P<right>[CP])(?P<strike>[\d.]+)")
_OTHER = {Right.CALL: Right.PUT, Right.PUT: Right.CALL}


@dataclass(frozen=True, slots=True)
class Told:
    """A price of the twin."""

    instrument: Instrument
    middle: float
    time: datetime


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
    """The middle of the twin's quote, where `instrument` is in the money and the quote two-sided and of now.

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
    bid, ask = finite(quote.bid), finite(quote.ask)
    if bid is None or ask is None or not 0 < bid <= ask or feeds.ahead(quote.time) or quote.source in feeds.mute:
        return None
    if quote.source in feeds.live and feeds.quiet(quote.time):
        return None
    return Told(twin, (bid + ask) / 2.0, quote.time)

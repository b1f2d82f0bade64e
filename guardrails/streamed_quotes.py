"""The stream's quote of an option where the broker that holds it gives none, or an old one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from guardrails import wording
from guardrails.greeks_choice import Feeds
from guardrails.twins import middle_of
from guardrails.values import Position, Quote, finite

WORTHLESS = 0.10
"""an option that nobody bids for and that is offered at no more is worth the middle; above, the middle says nothing"""


def with_streamed_quote(position: Position, quote: Quote | None, feeds: Feeds) -> Position:
    """`position` with bid, ask and mark (the middle) of `quote`, where its own are absent or clearly older.

    The day's and the open profit move by quantity x multiplier x change of the mark; what cannot be moved is not known.
    """
    if quote is None:
        return position
    bid, ask = finite(quote.bid), finite(quote.ask)
    if bid is None or ask is None or not _priced(bid, ask) or not _counts(quote, feeds):
        return position
    own = _quoted(position)
    if own is not None and (quote.time - own).total_seconds() <= feeds.rules.stale_after_seconds:
        return position
    if own is None and _behind(quote, position, feeds):
        return position
    mark = (bid + ask) / 2.0
    why = (
        f"{position.source} gives none"
        if own is None
        else f"that of {position.source} is {wording.age((quote.time - own).total_seconds())} older"
    )
    return replace(
        position,
        bid=bid,
        ask=ask,
        quote_time=quote.time,
        mark=mark,
        mark_time=quote.time,
        day_pnl=_moved(position.day_pnl, position, mark),
        open_pnl=_moved(position.open_pnl, position, mark),
        notes=(*position.notes, f"its quote is of {quote.source}: {why}"),
    )


def _priced(bid: float, ask: float) -> bool:
    """Whether the middle is a price: two sides not absurdly apart, or no bid and an ask of next to nothing."""
    return middle_of(bid, ask) is not None or (bid == 0 < ask <= WORTHLESS)


def _quoted(position: Position) -> datetime | None:
    """When the position's own quote was said; None when it has none."""
    return None if position.bid is None and position.ask is None else position.quote_time


def _counts(quote: Quote, feeds: Feeds) -> bool:
    """Whether the quote is of now: of a source that speaks, and in an open market not silent for too long."""
    if not feeds.serves(quote.source) or feeds.ahead(quote.time):
        return False
    return not (feeds.market_open and feeds.quiet(quote.time))


def _behind(quote: Quote, position: Position, feeds: Feeds) -> bool:
    """Whether the quote is clearly older than the position's mark, which then says more."""
    if position.mark is None or position.mark_time is None:
        return False
    return (position.mark_time - quote.time).total_seconds() > feeds.rules.stale_after_seconds


def _moved(profit: float | None, position: Position, mark: float) -> float | None:
    quantity, factor, before = position.quantity, position.multiplier, position.mark
    if profit is None or quantity is None or factor is None or before is None:
        return None
    return finite(profit + quantity * factor * (mark - before))

"""Every option gets Greeks it can be trusted with, or a reason why it has none.

Order of trust: the stream's Greeks, then those of the broker that holds the option, while they are fresh (see
`guardrails.greeks_choice`); our model at the most recent volatility of either (`repriced`); our model at the
volatility implied by a price (`model`): the quote of the option or of its twin, whichever tells it more narrowly, or
the mark; at that of the nearest strike of the same expiry (`neighbour`); else none. Staleness belongs to streams: in a
closed market, and in a statement, figures are as old as they are meant to be. What has not ticked for too long on a
live stream is not known. A whole source that is silent or gone is not handled here: it is a gap of the book (see
`guardrails.assess`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from guardrails import calendar
from guardrails.closed_form import Need, closed_form
from guardrails.columns import spot_of
from guardrails.greeks_choice import Feeds, choose, last_volatility
from guardrails.matrix import DataRules
from guardrails.neighbour_strikes import with_neighbours
from guardrails.row_doubts import PriceDoubts, checked
from guardrails.streamed_quotes import with_streamed_quote
from guardrails.twins import middle_of, quotes_held, told_by_twin
from guardrails.unit_price import price_of, price_time, quoted_too_wide
from guardrails.values import Greeks, Market, Position, Quote, Source


def value_positions(
    positions: Sequence[Position],
    market: Market,
    sources: Sequence[Source],
    now: datetime,
    rules: DataRules,
    *,
    market_open: bool,
) -> tuple[Position, ...]:
    """`positions` with Greeks and reasons filled in; order and length are kept."""
    feeds = Feeds.of(sources, now, rules, market_open=market_open)
    valued: list[Position] = []
    wanted: list[Need] = []
    told: PriceDoubts = {}
    for row, position in enumerate(positions):
        held, need = checked(position, market, feeds, told), None
        if held.instrument.is_option and not held.reasons:
            held, need = _chosen(row, held, market, feeds)
        valued.append(held)
        if need is not None:
            wanted.append(need)
    trusted = (told for told, held in zip(positions, valued, strict=True) if not held.reasons)
    quotes = quotes_held(trusted) if wanted else {}
    needs = [_by_twin(need, valued[need.row], market, quotes, feeds) for need in wanted]
    for need in needs:
        if need.vol is None and need.target is None and need.twin is None:
            valued[need.row] = _noted(valued[need.row], "no quote or mark to imply a volatility from")
    needs = [need for need in needs if need.vol is not None or need.target is not None or need.twin is not None]
    for row, greeks in closed_form(needs, market, now).items():
        held = valued[row]
        note = () if greeks is not None else ("its price fits no volatility",)
        valued[row] = replace(held, greeks=greeks, notes=(*held.notes, *note))
    return with_neighbours(valued, market, feeds)


def _by_twin(need: Need, position: Position, market: Market, quotes: Mapping[str, Quote], feeds: Feeds) -> Need:
    """`need` with the twin's price, where that may say more; a mark is asked only where nobody quotes either.

    Quotes whose times differ by no more than `stale_after_seconds` are of one moment, and the narrower counts; else the
    younger does.
    """
    if need.vol is not None:
        return need
    twin = told_by_twin(need.instrument, position.source, need.spot, market, quotes, feeds)
    if twin is None:
        return need
    half_spread = math.inf
    if position.ask is not None and (middle := middle_of(position.bid, position.ask)) is not None:
        lag = (price_time(position) - twin.time).total_seconds()
        if lag > feeds.rules.stale_after_seconds:
            return need
        if lag >= -feeds.rules.stale_after_seconds:
            half_spread = position.ask - middle
    quoted = market.prices[position.instrument.underlying]
    return replace(need, half_spread=half_spread, twin=replace(twin, time=min(quoted.time, twin.time)))


def _chosen(row: int, position: Position, market: Market, feeds: Feeds) -> tuple[Position, Need | None]:
    """One option with the Greeks of its vendor, or with what the closed form needs, or with why it has none."""
    key = position.instrument.key if market.greeks or market.quotes else ""
    quote = market.quotes.get(key)
    held = with_streamed_quote(position, quote, feeds)
    choice = choose(held, market.greeks.get(key), feeds)
    if choice.notes:
        held = replace(held, notes=(*held.notes, *choice.notes))
    if choice.greeks is not None:
        if choice.greeks is held.greeks and choice.other is held.other_greeks:
            return held, None
        return replace(held, greeks=choice.greeks, other_greeks=choice.other), None
    bare = replace(held, greeks=None, other_greeks=None)
    ticked = _ticked(held, choice.believed, quote, feeds)
    if held.source in feeds.live and ticked is not None:
        if feeds.quiet(ticked):
            reason = f"it has not ticked for {feeds.age(ticked)}: neither Greeks nor a quote"
            return replace(bare, reasons=(*bare.reasons, reason)), None
        if feeds.old(ticked, feeds.rules.stale_after_seconds):
            bare = _noted(bare, f"quiet since {ticked.astimezone(calendar.NEW_YORK):%H:%M:%S} ET")
    return _prepared(row, bare, last_volatility(choice.believed), market, feeds)


def _ticked(position: Position, believed: Sequence[Greeks], quote: Quote | None, feeds: Feeds) -> datetime | None:
    """When anybody last said anything of an option: Greeks, a quote (one-sided too), or a mark where none is quoted."""
    times = [greeks.time for greeks in believed]
    if quote is not None and feeds.serves(quote.source):
        times.append(quote.time)
    if position.quote_time is not None or position.mark is not None:
        times.append(position.quote_time or price_time(position))
    return max((time for time in times if not feeds.ahead(time)), default=None)


def _prepared(
    row: int, bare: Position, volatility: Greeks | None, market: Market, feeds: Feeds
) -> tuple[Position, Need | None]:
    """What the closed form needs for one option; the position without Greeks, and why, when that is not there.

    A volatility that is older than anything that ticks may be counts only where there is no younger price.
    """
    instrument, spot = bare.instrument, spot_of(bare, market)
    quoted = market.prices.get(instrument.underlying)
    if spot is None or spot <= 0 or quoted is None:
        return _noted(bare, f"no price of {instrument.underlying or 'its underlying'}"), None
    years = calendar.year_fraction(instrument, feeds.now)
    if years is None or years <= 0 or instrument.strike is None:
        return _noted(bare, "no time is left to price"), None
    streaming = bare.source in feeds.live
    repriced = None
    if volatility is not None:
        source = "model" if volatility.source == "statement" else "repriced"
        time = max(quoted.time, volatility.time)
        repriced = Need(row, instrument, spot, volatility.iv, None, source, time)
        if not (streaming and feeds.quiet(volatility.time)):
            return bare, repriced
    target, marked = price_of(bare), price_time(bare)
    if quoted_too_wide(bare):
        bare = _noted(bare, f"its quote {bare.bid:g}/{bare.ask:g} is too wide to be a price")
    if target is not None and target > 0 and not (streaming and feeds.quiet(marked)):
        return bare, Need(row, instrument, spot, None, target, "model", min(quoted.time, marked))
    if repriced is not None:
        return bare, repriced
    if target is None or target <= 0:
        return bare, Need(row, instrument, spot, None, None, "model", quoted.time)
    return _noted(bare, f"its own price is {feeds.age(marked)} old"), None


def _noted(position: Position, note: str) -> Position:
    return replace(position, notes=(*position.notes, note))

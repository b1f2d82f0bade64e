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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime

from guardrails import calendar, wording
from guardrails.closed_form import TICK, Need, closed_form
from guardrails.columns import spot_of
from guardrails.greeks_choice import Feeds, choose, last_volatility
from guardrails.instruments import Instrument
from guardrails.matrix import DataRules
from guardrails.streamed_quotes import with_streamed_quote
from guardrails.twins import middle_of, quotes_held, told_by_twin, too_wide
from guardrails.values import Greeks, Market, Position, Quote, Source, finite

NEAR = 0.10
"""a neighbour's strike may differ by this in its logarithm: beyond, the skew is a guess"""
_Told = dict[tuple[str, str], tuple[str, ...]]
"""what is wrong with a price, by its name and the source of the position that needs it"""


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
    told: _Told = {}
    for row, position in enumerate(positions):
        held, need = _checked(position, market, feeds, told), None
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
    return _with_neighbours(valued, market, feeds)


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
        lag = (_price_time(position) - twin.time).total_seconds()
        if lag > feeds.rules.stale_after_seconds:
            return need
        if lag >= -feeds.rules.stale_after_seconds:
            half_spread = position.ask - middle
    quoted = market.prices[position.instrument.underlying]
    return replace(need, half_spread=half_spread, twin=replace(twin, time=min(quoted.time, twin.time)))


def _with_neighbours(valued: list[Position], market: Market, feeds: Feeds) -> tuple[Position, ...]:
    """Options that nothing is said of, at the volatility of the nearest strike of their underlying and expiry."""
    silent = [row for row, held in enumerate(valued) if held.instrument.is_option and not held.reasons]
    silent = [row for row in silent if valued[row].greeks is None]
    if not silent:
        return tuple(valued)
    told: dict[tuple[str, date | None], list[Position]] = {}
    for held in valued:
        if held.instrument.is_option and not held.reasons and _volatility(held):
            told.setdefault((held.instrument.underlying, held.instrument.expiry), []).append(held)
    needs = [need for row in silent if (need := _by_neighbour(row, valued[row], told, market, feeds)) is not None]
    for row, greeks in closed_form(needs, market, feeds.now).items():
        if greeks is not None:
            valued[row] = replace(valued[row], greeks=greeks)
    return tuple(valued)


def _volatility(position: Position) -> float | None:
    """That of its Greeks, None where they tell none."""
    iv = None if position.greeks is None else finite(position.greeks.iv)
    return iv if iv is not None and iv > 0 else None


def _by_neighbour(
    row: int,
    position: Position,
    told: Mapping[tuple[str, date | None], Sequence[Position]],
    market: Market,
    feeds: Feeds,
) -> Need | None:
    instrument, spot = position.instrument, spot_of(position, market)
    strike = instrument.strike
    near = told.get((instrument.underlying, instrument.expiry), ())
    if strike is None or spot is None or spot <= 0 or not near:
        return None
    best = min(near, key=lambda held: abs(math.log((held.instrument.strike or strike) / strike)))
    greeks = best.greeks
    years = calendar.year_fraction(instrument, feeds.now)
    distance = abs(math.log((best.instrument.strike or strike) / strike))
    if greeks is None or greeks.iv is None or not years or distance > NEAR:
        return None
    return Need(row, instrument, spot, greeks.iv, None, "neighbour", greeks.time)


def price_of(position: Position) -> float | None:
    """Price of one unit: the middle of a two-sided quote, else the mark; None when neither is a price.

    Where the quote is too wide to be one (see `middle_of`), a mark that is only its middle is none either.
    """
    middle = middle_of(position.bid, position.ask)
    if middle is not None or position.mark is None or not _quoted_too_wide(position):
        return position.mark if middle is None else middle
    echoed = ((position.bid or 0.0) + (position.ask or 0.0)) / 2.0
    return None if abs(position.mark - echoed) <= 0.01 * echoed else position.mark


def _quoted_too_wide(position: Position) -> bool:
    bid, ask = position.bid, position.ask
    return bid is not None and ask is not None and 0 < bid <= ask < math.inf and too_wide(bid, ask)


def _checked(position: Position, market: Market, feeds: Feeds, told: _Told) -> Position:
    """The position with what its own row says against it."""
    reasons: list[str] = []
    instrument = position.instrument
    is_option = instrument.is_option
    if _is_past(instrument, feeds.now) and not any(r.startswith("expired") for r in position.reasons):
        reasons.append(f"expired on {instrument.expiry}: what became of it is not known")
    if finite(position.quantity) is None and not position.reasons:
        reasons.append("its quantity is not known")
    if is_option and (instrument.expiry is None or instrument.strike is None or instrument.right is None):
        reasons.append("an option without expiry, strike or right")
    if instrument.adjusted:
        reasons.append("adjusted option: its deliverable is not known, so it has no Greeks")
    name = instrument.underlying if is_option else instrument.symbol
    if market.prices.get(name) is not None:  # the same of all that is struck on it
        key = (name, position.source)
        if key not in told:
            told[key] = tuple(_price_doubts(position, name, market, feeds))
        reasons += told[key]
    elif not is_option:
        reasons += _price_doubts(position, name, market, feeds)
    tolerance = feeds.rules.mark_tolerance_pct
    if contradiction := _contradiction(position.mark, position.bid, position.ask, tolerance):
        reasons.append(contradiction)
    return replace(position, reasons=(*position.reasons, *reasons)) if reasons else position


def _is_past(instrument: Instrument, now: datetime) -> bool:
    """Whether it has settled; where it is not known how it settles, whether its day is over."""
    if instrument.expiry is None:
        return False
    settled = calendar.settles(instrument)
    return instrument.expiry < calendar.exchange_date(now) if settled is None else settled < now


def _price_doubts(position: Position, name: str, market: Market, feeds: Feeds) -> Iterator[str]:
    """What is wrong with the price of `name`, which the position is struck on, or with its own where the market has
    none.
    """
    price = market.prices.get(name)
    time = position.mark_time if price is None else price.time
    if time is None:
        return
    if feeds.ahead(time):
        yield f"the price of {name} is dated in the future"
    elif position.source in feeds.live and feeds.quiet(time):
        yield f"the price of {name} has not ticked for {_age(time, feeds)}"
    if price is not None and (
        contradiction := _contradiction(price.value, price.bid, price.ask, feeds.rules.mark_tolerance_pct)
    ):
        yield f"{name}: {contradiction}"


def _contradiction(mark: float | None, bid: float | None, ask: float | None, tolerance: float) -> str:
    if mark is None or bid is None or ask is None or ask <= 0:
        return ""
    if bid > ask:
        return f"its quote is crossed: bid {bid:g} above ask {ask:g}"
    slack = max(tolerance * ask, TICK)
    if bid - slack <= mark <= ask + slack:
        return ""
    return f"its mark {mark:g} contradicts its quote {bid:g}/{ask:g}"


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
            reason = f"it has not ticked for {_age(ticked, feeds)}: neither Greeks nor a quote"
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
        times.append(position.quote_time or _price_time(position))
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
    target, marked = price_of(bare), _price_time(bare)
    if _quoted_too_wide(bare):
        bare = _noted(bare, f"its quote {bare.bid:g}/{bare.ask:g} is too wide to be a price")
    if target is not None and target > 0 and not (streaming and feeds.quiet(marked)):
        return bare, Need(row, instrument, spot, None, target, "model", min(quoted.time, marked))
    if repriced is not None:
        return bare, repriced
    if target is None or target <= 0:
        return bare, Need(row, instrument, spot, None, None, "model", quoted.time)
    return _noted(bare, f"its own price is {_age(marked, feeds)} old"), None


def _price_time(position: Position) -> datetime:
    """When the price of `price_of` was said, as far as that is known."""
    if _quoted_too_wide(position) and position.mark_time is not None:
        return position.mark_time
    return position.quote_time or position.mark_time or position.time


def _age(time: datetime, feeds: Feeds) -> str:
    return wording.age((feeds.now - time).total_seconds())


def _noted(position: Position, note: str) -> Position:
    return replace(position, notes=(*position.notes, note))

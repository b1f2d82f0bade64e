"""Every option gets Greeks it can be trusted with, or a reason why it has none.

Order of trust: the vendor's Greeks while they are fresh; the closed form at the vendor's last volatility when the
option is quiet but its underlying lives (`repriced`); the closed form at the volatility implied by the quote or mark
(`model`); else none. Staleness belongs to streams: in a closed market, and in a statement, figures are as old as they
are meant to be. A whole source that is silent or gone is not handled here: it is a gap of the book (see
`guardrails.assess`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from guardrails import calendar, pricing, wording
from guardrails.columns import spot_of
from guardrails.instruments import Kind, Right
from guardrails.intake import CLOCK_SKEW
from guardrails.matrix import DataRules
from guardrails.values import Greeks, Market, Position, Source, SourceState, finite

_IMPOSSIBLE = "its Greeks cannot be true or are dated in the future"
_TICK = 0.05
"""an option price within this of its intrinsic value carries no volatility; it moves like its underlying"""


_SLACK = 0.02
"""vendors round, and a deep American put may show a delta a little beyond 1"""


@dataclass(frozen=True, slots=True)
class _Todo:
    """One option that needs the closed form."""

    row: int
    spot: float
    years: float
    vol: float | None
    target: float | None
    source: str
    time: datetime


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
    live = {source.name for source in sources if source.state is SourceState.LIVE} if market_open else set()
    checked = [_checked(position, market, live, now, rules) for position in positions]
    todo: list[_Todo] = []
    for row, position in enumerate(checked):
        if not position.instrument.is_option or position.reasons:
            continue
        streaming = position.source in live
        kept = position.greeks
        believed = kept is None or _possible(kept, position, now)
        fresh = kept is not None and not (streaming and _old(kept.time, now, rules.stale_after_seconds))
        if kept is not None and believed and fresh and _complete(kept):
            continue
        held = position if believed else _noted(replace(position, greeks=None), _IMPOSSIBLE)
        checked[row], need = _prepare(row, held, market, now, rules, streaming=streaming)
        if need is not None:
            todo.append(need)
    for row, greeks in _closed_form(todo, checked, market).items():
        position = checked[row]
        reason = () if greeks is not None else ("its price fits no volatility",)
        checked[row] = replace(position, greeks=greeks, notes=(*position.notes, *reason))
    return tuple(checked)


def price_of(position: Position) -> float | None:
    """Price of one unit: the middle of a two-sided quote, else the mark; None when neither is a price."""
    if position.bid is not None and position.ask is not None and 0 < position.bid <= position.ask:
        return (position.bid + position.ask) / 2.0
    return position.mark


def _checked(position: Position, market: Market, live: set[str], now: datetime, rules: DataRules) -> Position:
    """The position with what its own row says against it."""
    reasons: list[str] = []
    instrument = position.instrument
    settled = calendar.settles(instrument) if instrument.expiry is not None else None
    if settled is not None and settled < now and not any(reason.startswith("expired") for reason in position.reasons):
        reasons.append(f"expired on {instrument.expiry}: what became of it is not known")
    if finite(position.quantity) is None and not position.reasons:
        reasons.append("its quantity is not known")
    if instrument.is_option and None in (instrument.expiry, instrument.strike, instrument.right):
        reasons.append("an option without expiry, strike or right")
    if instrument.adjusted:
        reasons.append("adjusted option: its deliverable is not known, so it has no Greeks")
    reasons += _price_doubts(position, market, now, rules, streaming=position.source in live)
    if contradiction := _contradiction(position.mark, position.bid, position.ask, rules.mark_tolerance_pct):
        reasons.append(contradiction)
    return replace(position, reasons=(*position.reasons, *reasons)) if reasons else position


def _price_doubts(
    position: Position, market: Market, now: datetime, rules: DataRules, *, streaming: bool
) -> Iterator[str]:
    """What is wrong with the price of what the position is struck on, or with its own where the market has none."""
    instrument = position.instrument
    name = instrument.underlying if instrument.is_option else instrument.symbol
    price = market.prices.get(name)
    time = price.time if price is not None else None if instrument.is_option else position.mark_time
    if time is None:
        return
    if _ahead(time, now):
        yield f"the price of {name} is dated in the future"
    elif streaming and _old(time, now, rules.quiet_after_minutes * 60):
        yield f"the price of {name} has not ticked for {wording.age((now - time).total_seconds())}"
    if price is not None and (
        contradiction := _contradiction(price.value, price.bid, price.ask, rules.mark_tolerance_pct)
    ):
        yield f"{name}: {contradiction}"


def _contradiction(mark: float | None, bid: float | None, ask: float | None, tolerance: float) -> str:
    if mark is None or bid is None or ask is None or ask <= 0:
        return ""
    if bid > ask:
        return f"its quote is crossed: bid {bid:g} above ask {ask:g}"
    slack = max(tolerance * ask, _TICK)
    if bid - slack <= mark <= ask + slack:
        return ""
    return f"its mark {mark:g} contradicts its quote {bid:g}/{ask:g}"


def _prepare(
    row: int, position: Position, market: Market, now: datetime, rules: DataRules, *, streaming: bool
) -> tuple[Position, _Todo | None]:
    """What the closed form needs for one option; a position without Greeks, and why, when that is not there."""
    spot, vendor = spot_of(position, market), position.greeks
    quoted = market.prices.get(position.instrument.underlying)
    bare = replace(position, greeks=None)
    if spot is None or spot <= 0 or quoted is None:
        return _noted(bare, f"no price of {position.instrument.underlying or 'its underlying'}"), None
    years = calendar.year_fraction(position.instrument, now)
    if years is None or years <= 0 or position.instrument.strike is None:
        return _noted(bare, "no time is left to price"), None
    if vendor is not None and vendor.iv is not None and vendor.iv > 0:
        source = "model" if vendor.source == "statement" else "repriced"
        return bare, _Todo(row, spot, years, vendor.iv, None, source, max(quoted.time, vendor.time))
    target = price_of(position)
    if target is None or target <= 0:
        return _noted(bare, "no quote or mark to imply a volatility from"), None
    marked = position.quote_time or position.mark_time or position.time
    if streaming and _old(marked, now, rules.quiet_after_minutes * 60):
        return _noted(bare, f"its own price is {wording.age((now - marked).total_seconds())} old"), None
    return bare, _Todo(row, spot, years, None, target, "model", min(quoted.time, marked))


def _closed_form(todo: Sequence[_Todo], positions: Sequence[Position], market: Market) -> Mapping[int, Greeks | None]:
    """Greeks by row, None where no volatility fits the price."""
    if not todo:
        return {}
    held = [positions[item.row].instrument for item in todo]
    rate = np.full(len(todo), 0.0 if market.risk_free is None else market.risk_free.value)
    options = pricing.Options(
        sign=np.array([1.0 if instrument.right is Right.CALL else -1.0 for instrument in held]),
        spot=np.array([item.spot for item in todo]),
        strike=np.array([float(instrument.strike or 0) for instrument in held]),
        years=np.array([item.years for item in todo]),
        rate=rate,
        carry=np.where([instrument.kind is Kind.FUTURE_OPTION for instrument in held], 0.0, rate),
    )
    targets = np.array([math.nan if item.target is None else item.target for item in todo])
    given = np.array([math.nan if item.vol is None else item.vol for item in todo])
    vols = np.where(np.isnan(given), pricing.implied_vol(options, targets), given)
    found = pricing.sensitivities(options, vols)
    intrinsic = options.sign * (options.spot - options.strike)
    at_parity = np.isnan(vols) & (intrinsic > 0) & (np.abs(targets - intrinsic) <= np.maximum(_TICK, 0.005 * intrinsic))
    results: dict[int, Greeks | None] = {}
    for place, item in enumerate(todo):
        values = (found.delta[place], found.gamma[place], found.vega[place], found.theta[place])
        if at_parity[place]:
            results[item.row] = Greeks(float(options.sign[place]), 0.0, 0.0, 0.0, None, item.source, item.time, 0.0)
        elif all(math.isfinite(value) for value in values):
            delta, gamma, vega, theta = (float(value) for value in values)
            results[item.row] = Greeks(
                delta, gamma, vega, theta, float(vols[place]), item.source, item.time, float(found.rho[place])
            )
        else:
            results[item.row] = None
    return results


def _complete(greeks: Greeks) -> bool:
    return None not in (greeks.delta, greeks.gamma, greeks.vega, greeks.theta)


def _possible(greeks: Greeks, position: Position, now: datetime) -> bool:
    """Whether no figure contradicts what an option is: |delta| up to 1 on its own side, gamma and vega not negative."""
    toward = -1.0 if position.instrument.right is Right.PUT else 1.0
    return (
        not _ahead(greeks.time, now)
        and (greeks.delta is None or -_SLACK <= greeks.delta * toward <= 1.0 + _SLACK)
        and (greeks.gamma is None or greeks.gamma >= -_SLACK)
        and (greeks.vega is None or greeks.vega >= -_SLACK)
    )


def _ahead(time: datetime, now: datetime) -> bool:
    return time - now > CLOCK_SKEW


def _old(time: datetime, now: datetime, seconds: float) -> bool:
    return (now - time).total_seconds() > seconds


def _noted(position: Position, note: str) -> Position:
    return replace(position, notes=(*position.notes, note))

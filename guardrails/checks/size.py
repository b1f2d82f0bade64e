"""No single line may be too large: contracts, and notional as a share of net liquidation."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from guardrails import wording
from guardrails.exposures import Interval
from guardrails.findings import Finding, Level
from guardrails.instruments import Kind
from guardrails.limits import Bound, Limits, stricter
from guardrails.portfolio import Portfolio

_CONTRACTS = (Kind.OPTION, Kind.INDEX_OPTION, Kind.FUTURE, Kind.FUTURE_OPTION)


def position_contracts(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Contracts of one option or future, added over accounts without netting."""
    limit = limits.keys.max_position_contracts
    held: dict[str, float] = defaultdict(float)
    labels: dict[str, str] = {}
    for position in portfolio.positions:
        if position.instrument.kind in _CONTRACTS:
            held[position.instrument.key] += math.nan if position.quantity is None else abs(position.quantity)
            labels[position.instrument.key] = position.instrument.label
    bound = Bound(limit, is_set=limit is not None)
    return _report("position_contracts", "contracts", portfolio, limits, bound, _lines(held, labels))


def position_notional(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Notional of one instrument, |q| x multiplier x price of what it is struck on, against net liquidation."""
    share, exposures = limits.keys.max_position_notional_pct_nlv, portfolio.exposures
    nav = portfolio.net_liquidation
    notional = np.abs(exposures.quantity * exposures.multiplier * exposures.spot * exposures.fx)
    held: dict[str, float] = defaultdict(float)
    labels: dict[str, str] = {}
    for row, position in enumerate(portfolio.positions):
        if not exposures.is_cash[row]:
            held[position.instrument.key] += float(notional[row])
            labels[position.instrument.key] = position.instrument.label
    bound = stricter(None, share, nav, "net liquidation")
    return _report("position_notional", "USD", portfolio, limits, bound, _lines(held, labels))


def _lines(held: Mapping[str, float], labels: Mapping[str, str]) -> list[_Line]:
    return [_Line(key, labels[key], _interval(value)) for key, value in held.items()]


def _interval(value: float) -> Interval:
    return Interval(0.0, math.inf, missing=True) if math.isnan(value) else Interval(value, value)


@dataclass(frozen=True, slots=True)
class _Line:
    """One instrument over all accounts."""

    key: str
    label: str
    use: Interval


def _report(
    check: str, unit: str, portfolio: Portfolio, limits: Limits, bound: Bound, lines: Sequence[_Line]
) -> list[Finding]:
    """One Finding per instrument at WATCH or worse, or one that names the largest."""
    if not bound.is_set:
        return [limits.finding(check, "portfolio", Level.NOT_APPLICABLE, f"{_TITLE[check]}: not set.")]
    if not lines:
        return [limits.finding(check, "portfolio", Level.OK, f"{_TITLE[check]}: nothing is held.", limit=bound.value)]
    levels = {line.key: bound.level(line.use, limits.matrix.watch_at) for line in lines}
    loud = [line for line in lines if levels[line.key].rank >= Level.WATCH.rank]
    shown = loud or [max(lines, key=lambda line: line.use.high)]
    return [_finding(check, unit, line, levels[line.key], bound, limits, portfolio) for line in shown]


_TITLE = {"position_contracts": "Contracts in one line", "position_notional": "Notional of one line"}


def _finding(
    check: str, unit: str, line: _Line, level: Level, bound: Bound, limits: Limits, portfolio: Portfolio
) -> Finding:
    value, limit = line.use.known, bound.value
    headroom = None if value is None or limit is None else limit - value
    text = f"{_TITLE[check]}: {line.label} {wording.amount(value, unit)}, limit {wording.amount(limit, unit)}."
    action = ""
    if line.use.missing:
        action = f"Find quantity, multiplier and price of {line.label}."
    elif level is Level.UNKNOWN:
        action = f"Cannot be judged: {bound.unknown}."
    elif headroom is not None and headroom < 0 and unit == "contracts":
        action = f"Close {wording.quantity(math.ceil(-headroom))} of {line.label}."
    elif level.rank >= Level.WATCH.rank:
        action = f"Add nothing to {line.label}."
    return limits.finding(
        check, f"position:{line.key}", level, text,
        value=value, limit=limit, unit=unit, headroom=headroom, age=portfolio.data_age_seconds, action=action,
    )  # fmt: skip

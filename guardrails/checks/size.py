"""No single line may be too large: contracts, and notional as a share of net liquidation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from guardrails import wording
from guardrails.columns import Array, Mask
from guardrails.findings import Finding, Level
from guardrails.intervals import Interval
from guardrails.limits import Bound, Limits, stricter
from guardrails.portfolio import Portfolio


def position_contracts(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Contracts of one option or future, added over accounts without netting."""
    limit, columns = limits.keys.max_position_contracts, portfolio.exposures.columns
    bound = Bound(limit, is_set=limit is not None)
    counted = np.abs(columns.reported)
    proven = columns.is_contract & (counted > (math.inf if limit is None else limit))  # even by a doubted row
    size = np.where((columns.doubtful | columns.is_unmodelled) & ~proven, math.nan, counted)
    rows = columns.is_contract | columns.is_unmodelled
    return _report("position_contracts", "contracts", portfolio, limits, bound, size, rows)


def position_notional(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Notional of one instrument, |q| x multiplier x price of what it is struck on, against net liquidation."""
    share, columns = limits.keys.max_position_notional_pct_nlv, portfolio.exposures.columns
    notional = np.abs(columns.quantity * columns.multiplier * columns.spot * columns.fx)
    bound = stricter(None, share, portfolio.net_liquidation, "net liquidation")
    return _report("position_notional", "USD", portfolio, limits, bound, notional, ~columns.is_cash)


@dataclass(frozen=True, slots=True)
class _Line:
    """One instrument over all accounts."""

    key: str
    label: str
    use: Interval


def _report(
    check: str, unit: str, portfolio: Portfolio, limits: Limits, bound: Bound, size: Array, rows: Mask
) -> list[Finding]:
    """One Finding per instrument at WATCH or worse, or one that names the largest; `size` by row, missing is NaN."""
    if not bound.is_set:
        return [limits.finding(check, "portfolio", Level.NOT_APPLICABLE, f"{_TITLE[check]}: not set.")]
    if not rows.any():
        return [limits.finding(check, "portfolio", Level.OK, f"{_TITLE[check]}: nothing is held.", limit=bound.value)]
    columns, watch_at = portfolio.exposures.columns, limits.matrix.watch_at
    absent = rows & np.isnan(size)
    held = np.bincount(columns.line, np.where(rows & ~absent, size, 0.0), len(columns.lines)).astype(np.float64)
    missing = np.bincount(columns.line, absent, len(columns.lines)) > 0
    loud = bound.loud(np.where(missing, math.nan, held), watch_at)
    shown = loud if len(loud) else [np.argmax(held)]
    lines = [_line(portfolio, int(columns.lines[p]), float(held[p]), missing=bool(missing[p])) for p in shown]
    return [_finding(check, unit, line, bound.level(line.use, watch_at), bound, limits, portfolio) for line in lines]


def _line(portfolio: Portfolio, row: int, size: float, *, missing: bool) -> _Line:
    instrument = portfolio.positions[row].instrument
    return _Line(instrument.key, instrument.label, Interval(size, math.inf if missing else size, missing))


_KEY = {"position_contracts": "max_position_contracts", "position_notional": "max_position_notional_pct_nlv"}
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
        key=_KEY[check], value=value, limit=limit, unit=unit, headroom=headroom,
        age=portfolio.data_age_seconds, action=action,
    )  # fmt: skip

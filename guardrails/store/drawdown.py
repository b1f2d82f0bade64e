"""How far the book was below its highest worth, deposits and withdrawals taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, select

from guardrails.store.columns import LIVE
from guardrails.store.history import Figures, Times
from guardrails.store.points import Points, fetch
from guardrails.store.quarters import QUARTERS
from guardrails.store.schema import SESSION_STARTS, SNAPSHOTS


@dataclass(frozen=True, slots=True)
class Flows:
    """Deposits minus withdrawals of all accounts, in US dollars, at the moments they became known."""

    time: Times
    amount: Figures
    words: tuple[str, ...]
    """what is not known"""


def flows(connection: Connection, book: str, end: int) -> Flows:
    """All cash flows known before `end`, in microseconds; each counts from when it became known.

    A source that does not report them is written as none: where a broker tells nothing, a withdrawal looks like a loss.
    """
    c = SESSION_STARTS.c
    query = select(c.account_hash, c.session, c.time, c.currency, c.cash_flows, c.broker, c.account)
    rows = fetch(connection, query.where(c.book == book, c.time < end).order_by(c.time, c.id))
    told: dict[tuple[str, str], float] = {}
    moved: list[tuple[int, float]] = []
    foreign: set[str] = set()
    unknown = 0
    for owner, session, time, currency, amount, broker, account in rows:
        if amount is None:
            unknown += 1
            continue
        change = amount - told.get((owner, session), 0.0)
        told[owner, session] = amount
        if change and currency != "USD":
            foreign.add(f"{broker} {account} ({currency})")
        elif change:
            moved.append((time, change))
    words = []
    if foreign:
        words.append(f"Cash flows of {', '.join(sorted(foreign))} are not in US dollars and not taken out.")
    if unknown:
        words.append(f"Cash flows are unknown in {unknown} places and not taken out there.")
    return Flows(
        np.array([time for time, _ in moved], dtype=np.int64),
        np.array([change for _, change in moved], dtype=np.float64),
        tuple(words),
    )


def drawdown(time: Times, value: Figures, high: Figures, taken_out: Flows, before: tuple[Times, Figures]) -> Figures:
    """Share of `value` below the highest net liquidation so far, cash flows since that peak taken out of it.

    drawdown = (peak + flows since the peak - value) / (peak + flows since the peak), as the check of that name.
    `high` is the highest within each point, `before` are times and highs of the points before the first.
    """
    order = np.argsort(taken_out.time, kind="stable")
    flow_time = taken_out.time[order]
    summed = np.concatenate(([0.0], np.cumsum(taken_out.amount[order])))
    all_times, all_highs = np.concatenate((before[0], time)), np.concatenate((before[1], np.fmax(high, value)))
    paid_in = summed[np.searchsorted(flow_time, all_times, side="right")]
    net_highs = np.where(np.isnan(all_highs), -np.inf, all_highs - paid_in)
    if not len(net_highs):
        return np.array([])
    peak = (np.maximum.accumulate(net_highs) + paid_in)[len(before[0]) :]
    result = np.full(len(time), np.nan)
    sound = np.isfinite(peak) & (peak > 0)
    np.divide(peak - value, peak, out=result, where=sound)
    below: Figures = np.maximum(result, 0.0)
    return below


def highs_before(connection: Connection, points: Points) -> tuple[Times, Figures]:
    """Times and highest net liquidation of all that was kept before the range, for the peak that it begins with."""
    q, s = QUARTERS.c, SNAPSHOTS.c
    old = fetch(
        connection,
        select(q.last, q.net_liquidation_high).where(q.book == points.book, q.last < points.begin).order_by(q.time),
    )
    told = old[-1][0] if old else 0
    new = fetch(
        connection,
        select(s.time, s.net_liquidation)
        .where(s.book == points.book, s.origin == LIVE, s.time > told, s.time < points.begin)
        .order_by(s.time),
    )
    rows = [*old, *new]
    return np.array([row[0] for row in rows], dtype=np.int64), np.array([row[1] for row in rows], dtype=np.float64)

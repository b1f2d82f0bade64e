"""How far the book was below its highest worth; what was paid in or out, or came and went with an account, apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sqlalchemy import Connection, select

from guardrails.store.columns import LIVE
from guardrails.store.comings import Change, Stay, changes, stays
from guardrails.store.history import Figures, Times, Totals
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
    changes: tuple[Change, ...] = ()
    """accounts that came or went among them, oldest first"""


@dataclass(frozen=True, slots=True)
class Highs:
    """The highest net liquidation of each stretch of time, oldest first; NaN is unknown. Times in microseconds."""

    begin: Times
    end: Times
    value: Figures


def flows(connection: Connection, book: str, end: int) -> Flows:
    """All cash flows known before `end`, in microseconds; each counts from when it became known.

    An account that comes is a flow of its first known worth, one that goes of its last. One that comes back is a flow
    of what it took, or of more where it brings more: what it lost meanwhile is a loss. A source that does not report
    cash flows is written as none: where a broker tells nothing, a withdrawal looks like a loss.
    """
    c = SESSION_STARTS.c
    query = select(c.account_hash, c.session, c.time, c.currency, c.cash_flows, c.broker, c.account)
    rows = fetch(connection, query.where(c.book == book, c.time < end).order_by(c.time, c.id))
    known = stays(connection, book, end)
    told: dict[tuple[str, str], float] = {}
    moved = [flow for own in known.values() for flow in _of(own)]
    foreign: set[str] = set()
    unknown = 0
    for owner, session, time, currency, amount, broker, account in rows:
        if amount is None:
            unknown += 1
            continue
        change = amount - told.get((owner, session), 0.0)
        told[owner, session] = amount
        if owner in known and _is_away(known[owner], time):
            continue  # it is within the worth with which the account came
        if change and currency != "USD":
            foreign.add(f"{broker} {account} ({currency})")
        elif change:
            moved.append((time, change))
    words = []
    if foreign:
        words.append(f"Cash flows of {', '.join(sorted(foreign))} are not in US dollars and not taken out.")
    if unknown:
        words.append(f"Cash flows are unknown in {unknown} places and not taken out there.")
    moved.sort()
    return Flows(
        np.array([time for time, _ in moved], dtype=np.int64),
        np.array([change for _, change in moved], dtype=np.float64),
        tuple(words),
        tuple(changes(known)),
    )


def _of(own: Sequence[Stay]) -> Iterator[tuple[int, float]]:
    """What an account brought, and took."""
    took = own[0].first
    for stay in own:
        yield stay.begin, max(stay.first, took)
        took = stay.last
        if stay.end is not None:
            yield stay.end, -took


def _is_away(own: Sequence[Stay], time: int) -> bool:
    """Whether the account had not come by `time`, or had gone and not come back."""
    away = [before.end is not None and before.end <= time <= after.begin for before, after in pairwise(own)]
    return time <= own[0].begin or any(away)


def highs(at: Totals) -> Highs:
    """The highest net liquidation of each point, whose last figure it is at least."""
    return Highs(at.begin, at.time, np.fmax(at.high, at.figures["net_liquidation"]))


def drawdown(value: Figures, within: Highs, taken_out: Flows, before: Highs) -> Figures:
    """Share of `value` below the highest net liquidation so far, cash flows since that peak taken out of it.

    drawdown = (peak + flows since the peak - value) / (peak + flows since the peak), as the check of that name.
    `within` are the highs of the points that end with `value`, `before` those of the time before the first. Where
    money moved within a point, it is not known on which side of it the high was: the lower peak is taken.
    """
    summed = np.concatenate(([0.0], np.cumsum(taken_out.amount)))
    begin, end = np.concatenate((before.begin, within.begin)), np.concatenate((before.end, within.end))
    value_high = np.concatenate((before.value, within.value))
    if not len(end):
        return np.array([])
    first = np.searchsorted(taken_out.time, begin, side="left")
    last = np.searchsorted(taken_out.time, end, side="right")
    paid_in = summed[last]
    at_high = paid_in.copy()
    for i in np.flatnonzero(last > first):
        at_high[i] = summed[first[i] : last[i] + 1].max()
    net_highs = np.where(np.isnan(value_high), -np.inf, value_high - at_high)
    # the figure at the end of a point is known with its flows, and is a high of its own
    net_highs[len(before.end) :] = np.fmax(net_highs[len(before.end) :], value - paid_in[len(before.end) :])
    peak = (np.maximum.accumulate(net_highs) + paid_in)[len(before.end) :]
    result = np.full(len(value), np.nan)
    sound = np.isfinite(peak) & (peak > 0)
    np.divide(peak - value, peak, out=result, where=sound)
    below: Figures = np.maximum(result, 0.0)
    return below


def highs_before(connection: Connection, points: Points) -> Highs:
    """The highs of all that was kept before the range, for the peak that it begins with."""
    q, s = QUARTERS.c, SNAPSHOTS.c
    old = fetch(
        connection,
        select(q.first, q.last, q.net_liquidation_high)
        .where(q.book == points.book, q.last < points.begin)
        .order_by(q.time),
    )
    told = old[-1][1] if old else 0
    new = fetch(
        connection,
        select(s.time, s.time, s.net_liquidation)
        .where(s.book == points.book, s.origin == LIVE, s.time > told, s.time < points.begin)
        .order_by(s.time),
    )
    begin, end, value = zip(*old, *new, strict=True) if old or new else ((), (), ())
    return Highs(np.array(begin, dtype=np.int64), np.array(end, dtype=np.int64), np.array(value, dtype=np.float64))

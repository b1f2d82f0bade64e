"""What follows from the matrix, and so is not taken as it was stored but carried from moment to moment.

The regime, and the readings that confirm a loss; what was measured stays what it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from guardrails import calendar
from guardrails.assess import Inputs, readings_of
from guardrails.matrix import RiskMatrix
from guardrails.memory import Memory
from guardrails.portfolio import AccountHistory, merge_markets
from guardrails.regime import MarketReadings, RegimeState, step
from guardrails.store.captures import Glance
from guardrails.values import Market, View


@dataclass(frozen=True, slots=True)
class Carried:
    """What follows from the matrix and is carried to the next moment."""

    regime: RegimeState | None = None
    losing: Mapping[str, tuple[date | None, tuple[datetime, ...]]] = field(default_factory=dict)
    """session and times at which the loss stood over the limit, by `account_key`"""


def memory_under(matrix: RiskMatrix, then: RiskMatrix | None, inputs: Inputs, carried: Carried) -> tuple[Memory, bool]:
    """What would have been remembered before this moment had `matrix` been in force, and whether the regime is known
    now as far as it was under `then`: without it the VIX is not taken to be of now, and what the book would lose clears
    nothing.

    The stored regime is taken while its rules were the same, because it then would have been the same.
    """
    readings, stored, now = readings_in(inputs.views, inputs.now), inputs.memory, inputs.now
    state_then = None if then is None else step(stored.regime, readings, then, now)[0]
    if then is not None and state_then is not None and same_regime(then, matrix):
        before, state = stored.regime, state_then
    else:
        before = carried.regime
        state = step(before, readings, matrix, now)[0]
    limit = _max_loss(matrix, state.name)
    limit_then = None if then is None or state_then is None else _max_loss(then, state_then.name)
    session = calendar.session_of(now)
    accounts = {
        key: _history_under(history, _losing(carried, key, session), limit, limit_then, session)
        for key, history in stored.accounts.items()
    }
    return Memory(accounts, before), state_then is not None and state.known == state_then.known


def readings_in(views: Sequence[View | Glance], now: datetime) -> MarketReadings:
    """As `judge` makes them, without merging what the regime does not depend on."""
    markets = [view.market for view in views]
    bare = [Market(m.vix, m.vix3m, m.vix_closes, m.vix3m_closes, open=m.open) for m in markets]
    return readings_of(merge_markets([View(v.source, market=m) for v, m in zip(views, bare, strict=True)]), now)


def same_regime(one: RiskMatrix, other: RiskMatrix) -> bool:
    """Whether all that the regime depends on is the same in both."""
    return one is other or (
        one.thresholds == other.thresholds
        and one.regime_rules == other.regime_rules
        and one.override == other.override
        and one.data.vix_stale_after_minutes == other.data.vix_stale_after_minutes
    )


def _max_loss(matrix: RiskMatrix, regime: str) -> float | None:
    return matrix.regime(regime).limits.max_daily_loss_pct


def _losing(carried: Carried, key: str, session: date) -> tuple[datetime, ...]:
    of, times = carried.losing.get(key, (session, ()))
    return times if of == session else ()


def _history_under(
    history: AccountHistory, own: tuple[datetime, ...], limit: float | None, limit_then: float | None, session: date
) -> AccountHistory:
    """`history` with the readings over `limit`: `own` are those the replay saw itself.

    Between two stored moments there were others: what was over a wider limit then was over a tighter one, and the last
    reading remembered is known in full.
    """
    if history.session != session or limit == limit_then:
        return history
    times = own
    if limit is not None and limit_then is not None and limit < limit_then:
        times = tuple(sorted({*own, *history.losing}))
    last = history.last
    if last is not None and not (times and last.time <= times[-1]):
        times = (*times, last.time) if _is_over(history, last.value, limit) else ()
    return replace(history, losing=times)


def _is_over(history: AccountHistory, net_liquidation: float, limit: float | None) -> bool:
    """Whether `net_liquidation` is a loss over `limit`, as `guardrails.memory.remember` counts it."""
    start = history.start
    if limit is None or start is None or start.value <= 0:
        return False
    return start.value + history.flows - net_liquidation > limit * start.value

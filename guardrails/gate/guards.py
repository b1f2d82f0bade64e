"""Every guard there is. New risk is refused when any of them objects; removing one makes a test fail.

What a guard's reasons weigh for an exit or a hedge stands beside it: an exit is refused by STOPPED alone, and so is a
hedge. A guard that cannot be computed counts as one that objects.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

from guardrails.gate import guards_limits as limits
from guardrails.gate import guards_order as order
from guardrails.gate import guards_state as state
from guardrails.gate.case import Case
from guardrails.gate.guard import Guard, block
from guardrails.gate.values import OrderKind, Reason, Verdict

_BLOCK, _WARN, _ALLOW = Verdict.BLOCK, Verdict.WARN, Verdict.ALLOW

GUARDS: tuple[Guard, ...] = (
    Guard(state.stopped, exits=_BLOCK, hedges=_BLOCK),
    Guard(state.safety_state),
    Guard(order.failed, exits=_WARN),
    Guard(state.restriction, exits=_WARN, hedges=_WARN),
    Guard(state.orders_unknown, exits=_WARN, hedges=_WARN),
    Guard(state.unreconciled, exits=_WARN, hedges=_WARN),
    Guard(state.book_gaps, hedges=_WARN),
    Guard(state.positions_differ, hedges=_WARN),
    Guard(state.regime_unknown),
    Guard(state.daily_loss),
    Guard(state.drawdown),
    Guard(state.throttle),
    Guard(order.expired_leg, exits=_WARN, hedges=_WARN),
    Guard(order.no_quote, exits=_ALLOW, hedges=_WARN),
    Guard(order.leg_unknown, hedges=_WARN),
    Guard(order.quote_stale, exits=_ALLOW, hedges=_WARN),
    Guard(order.price_absurd, exits=_WARN, hedges=_WARN),
    Guard(order.price_collar, exits=_WARN, hedges=_WARN),
    Guard(order.order_size, hedges=_WARN, by_size=True),
    Guard(order.order_notional, hedges=_WARN, by_size=True),
    Guard(order.duplicate, exits=_WARN, hedges=_WARN),
    Guard(order.market_hours, exits=_WARN, hedges=_WARN),
    Guard(state.overlay, hedges=_WARN),
    Guard(limits.limit_newly_breached, exits=_WARN, hedges=_WARN, by_size=True),
    Guard(limits.limit_worsened, exits=_WARN, hedges=_WARN, by_size=True),
    Guard(limits.margin_unknown, hedges=_WARN),
    Guard(limits.excess_gone, exits=_ALLOW, hedges=_WARN, by_size=True),
    Guard(limits.limit_unknown, hedges=_WARN, by_size=True),
    Guard(limits.share_unknown, by_size=True),
    Guard(limits.limit_near, by_size=True),
)
"""in the order in which reasons of the same weight are told"""

log = logging.getLogger(__name__)
_RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}


def objections(case: Case, kind: OrderKind, guards: Sequence[Guard] = GUARDS) -> tuple[Reason, ...]:
    """What the guards say of an order of this kind, worst first."""
    found = [reason for guard in guards for reason in _told(guard, case, kind)]
    return tuple(sorted(found, key=lambda reason: -_RANK[reason.verdict]))


def worst_of(reasons: Sequence[Reason]) -> Verdict:
    """The verdict that the reasons make together."""
    return max((reason.verdict for reason in reasons), key=lambda verdict: _RANK[verdict], default=Verdict.ALLOW)


def _told(guard: Guard, case: Case, kind: OrderKind) -> Iterator[Reason]:
    most = {OrderKind.EXIT: guard.exits, OrderKind.HEDGE: guard.hedges, OrderKind.NEW_RISK: Verdict.BLOCK}[kind]
    if most is None:
        return
    for reason in _safely(guard, case, kind):
        yield reason if _RANK[reason.verdict] <= _RANK[most] else replace(reason, verdict=most)


def _safely(guard: Guard, case: Case, kind: OrderKind) -> tuple[Reason, ...]:
    try:
        return tuple(guard.look(case))
    except Exception as error:  # a guard that cannot compute objects, whatever went wrong
        log.exception("guard %s failed", guard.name)
        text = f"{guard.name} could not be computed ({type(error).__name__}); see the log, and treat it as not passed."
        objection = block(guard.name, text, unknown=True)
        return (replace(objection, verdict=_WARN) if kind is OrderKind.EXIT else objection,)

"""Guards that look at the state of the program, the account and the day, whatever the order trades."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

from guardrails import calendar, wording
from guardrails.findings import Level
from guardrails.gate.case import Case
from guardrails.gate.guard import block
from guardrails.gate.values import OrderKind, Reason
from guardrails.gate.working import unread
from guardrails.instruments import Kind
from guardrails.orders import OrderState
from guardrails.products import VOLATILITY_GROUP, group_of
from guardrails.safety import SafetyState
from guardrails.values import Account, Restriction

_FUTURES = (Kind.FUTURE, Kind.FUTURE_OPTION)
_NO_RISK = (
    Restriction.CLOSED, Restriction.FROZEN, Restriction.CLOSING_ONLY, Restriction.RISK_REDUCING_ONLY,
    Restriction.MARGIN_CALL, Restriction.DAY_TRADE_CALL,
)  # fmt: skip
_SAFE_VEGA = 1e-9
"""of the legs' own size: net vega below it is rounding"""


def stopped(case: Case) -> Iterator[Reason]:
    """STOPPED sends nothing, whatever it is."""
    if case.ground.safety.state is SafetyState.STOPPED:
        text = "the program is STOPPED and sends nothing; a person can step to REDUCE_ONLY at once, then exits pass."
        yield block("stopped", f"{_since(case)}{text}")


def safety_state(case: Case) -> Iterator[Reason]:
    """NO_NEW_RISK and REDUCE_ONLY let no new risk through."""
    safety = case.ground.safety
    if safety.state in (SafetyState.NO_NEW_RISK, SafetyState.REDUCE_ONLY):
        leave = safety.leave or "Under Stop, on every page, a person leaves it when the cooling-off is over."
        why = f" ({safety.reason})" if safety.reason else ""
        yield block("safety_state", f"the safety state is {safety.state}{why}: no new risk. {leave}")


def restriction(case: Case) -> Iterator[Reason]:
    """What the broker does not let the account do."""
    account = _account(case)
    if account is None:
        return
    told, kinds = account.restrictions or (), {leg.instrument.kind for leg in case.order.legs}
    found = [one.value for one in told if one in _NO_RISK]
    if Restriction.FUTURES_CLOSING_ONLY in told and kinds & set(_FUTURES):
        found.append(Restriction.FUTURES_CLOSING_ONLY.value)
    if Restriction.CRYPTO_CLOSING_ONLY in told and Kind.CRYPTO in kinds:
        found.append(Restriction.CRYPTO_CLOSING_ONLY.value)
    if account.margin_call and Restriction.MARGIN_CALL not in told:
        found.append(Restriction.MARGIN_CALL.value)
    if found:
        text = f"{case.order.account} is restricted by its broker ({', '.join(found)}): it takes no new risk now."
        yield block("restriction", text)


def orders_unknown(case: Case) -> Iterator[Reason]:
    """What rests at the broker is not known, so neither is the worst it could do."""
    why = [case.ground.orders_unknown, *unread(case.ground)]
    if told := "; ".join(text for text in why if text):
        yield block("orders_unknown", f"the working orders are not known ({told}); wait until they are read.")


def unreconciled(case: Case) -> Iterator[Reason]:
    """It is not known what became of an order of ours."""
    if case.ground.doubtful:
        names = wording.names(list(case.ground.doubtful), 2)
        yield block("unreconciled", f"it is not known what became of {names}; look at the broker, then resolve it.")


def book_gaps(case: Case) -> Iterator[Reason]:
    """The book as a whole is not what is held now."""
    if gaps := case.ground.portfolio.gaps:
        yield block("book_gaps", f"the book is not complete and current: {wording.names(list(gaps), 2)}; restore it.")


def positions_differ(case: Case) -> Iterator[Reason]:
    """The broker confirms other positions than those the book was computed from."""
    told = case.ground.confirmed.get(case.order.account)
    if told is None:
        return
    held: dict[str, float | None] = {}
    for position in case.ground.portfolio.positions:
        if position.account == case.order.account and position.instrument.kind is not Kind.CASH:
            key, quantity = position.instrument.key, position.quantity
            so_far = held.get(key, 0.0)
            held[key] = None if quantity is None or so_far is None else so_far + quantity
    cash = f"{Kind.CASH.value}:"
    keys = {key for key in (*held, *told) if not key.startswith(cash)}
    apart = sorted(key for key in keys if not _same(held.get(key, 0.0), told.get(key, 0.0)))
    if apart:
        text = f"the broker confirms other positions than the book has ({wording.names(apart, 2)}); wait for a cycle."
        yield block("positions_differ", text)


def daily_loss(case: Case) -> Iterator[Reason]:
    """The halt of the day: any account over its loss, or the loss of the order's account not known."""
    yield from _lost(
        case, "daily_loss", "new risk is halted for the day", "new risk is not known to be within the daily loss"
    )


def drawdown(case: Case) -> Iterator[Reason]:
    """The fall from the peak is over its limit, or that of the order's account is not known."""
    yield from _lost(
        case, "drawdown", "no new risk below the peak", "no new risk while the fall from the peak is not known"
    )


def _lost(case: Case, check: str, broken: str, unknown: str) -> Iterator[Reason]:
    """Any account over its limit, or it is not known whether that of the order is; what is advisory blocks nothing."""
    for finding in case.ground.prepared.findings:
        if finding.check != check or finding.advisory:
            continue
        own = finding.subject in ("portfolio", f"account:{case.order.account}")
        if finding.level is Level.BREACH or (own and finding.level is Level.UNKNOWN):
            said = broken if finding.level is Level.BREACH else unknown
            yield block(check, f"{said}: {finding.message}", finding.check, finding.subject)


def regime_unknown(case: Case) -> Iterator[Reason]:
    """The regime is only kept, because the volatility index is missing or old."""
    limits = case.ground.limits
    if not limits.regime_known:
        why = limits.regime_reason or "no VIX of now"
        text = f"the regime is not known ({why}), so neither are the limits; restore VIX."
        yield block("regime_unknown", text)


def overlay(case: Case) -> Iterator[Reason]:
    """No new short vega while the volatility term structure is inverted, or not known."""
    limits = case.ground.limits
    if limits.overlay is False:
        return
    vega = _vega(case)
    if vega is not None and vega >= 0:
        return
    why = limits.overlay_reason or "VIX against VIX3M"
    state = "inverted" if limits.overlay else "not known"
    said = "its vega is not known" if vega is None else f"it sells {wording.money(-vega)} of vega per point"
    text = f"the term structure is {state} ({why}): no new short vega, and {said}."
    yield block("overlay", text, unknown=limits.overlay is None or vega is None)


def throttle(case: Case) -> Iterator[Reason]:
    """More orders of new risk within a minute than a person sends."""
    most, since = case.ground.limits.matrix.orders.most_a_minute, case.ground.now - timedelta(minutes=1)
    sent = sum(
        one.created > since
        and one.kind == OrderKind.NEW_RISK
        and one.state not in (OrderState.DRAFT, OrderState.APPROVED)
        for one in case.ground.sent
    )
    if sent >= most:
        yield block("throttle", f"{sent} orders of new risk were sent within a minute, at most {most}; wait a minute.")


def _account(case: Case) -> Account | None:
    return next((one for one in case.ground.portfolio.accounts if one.id == case.order.account), None)


def _since(case: Case) -> str:
    safety = case.ground.safety
    by = f" by {safety.author}" if safety.author else ""
    return f"set{by}{f': {safety.reason}' if safety.reason else ''}; " if by or safety.reason else ""


def _same(held: float | None, told: float) -> bool:
    return held is not None and math.isclose(held, told, rel_tol=1e-9, abs_tol=1e-9)


def _vega(case: Case) -> float | None:
    """Net 30-day-weighted vega that a package brings, dollars per point; of volatility products only what is short.

    None when that of a leg is not known.
    """
    ordinary, special, size = 0.0, 0.0, 0.0
    for trade in case.order.trades:
        if not trade.instrument.is_option:
            if trade.instrument.kind is Kind.OTHER:
                return None
            continue
        row = case.row(trade.instrument.key)
        vega = None if row is None or row.greeks is None else row.greeks.vega
        if row is None or vega is None or row.multiplier is None or trade.instrument.expiry is None:
            return None
        days = max(calendar.dte(trade.instrument.expiry, case.ground.now), 1)
        own = trade.quantity * vega * row.multiplier * math.sqrt(30.0 / days)
        size += abs(own)
        if group_of(trade.instrument.underlying) == VOLATILITY_GROUP:
            special += own
        else:
            ordinary += own
    total = ordinary + min(special, 0.0)
    return 0.0 if abs(total) <= _SAFE_VEGA * size else total

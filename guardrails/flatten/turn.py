"""Whether it is the turn of one order of a flatten: what is still held of it, what works, what it would uncover."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from math import floor

from guardrails.flatten.pricing import Quoted, prices, usual_rule
from guardrails.flatten.walking import At, Held, Line, Send, Told, WalkState, with_line
from guardrails.gate.cover import Cover, Holding
from guardrails.matrix.orders import FlattenRules
from guardrails.orders import Leg, Order, PriceRule
from guardrails.values import AccountId

AGAIN = timedelta(seconds=5)
"""between two attempts of the same thing that was refused or not answered"""
TRIES = 3
"""times an order is handed over when the gate refuses it, or it is certain that nothing of it reached the broker"""
FOR_COVER = "waits for the short that it covers"
WHEN_BACK = "; it is tried again when its broker answers"
"""ends the reason of an order whose broker has been away for `TRIES` but one"""
_EPSILON = 1e-9


def turn_of(
    run: WalkState, line: Line, told: Told, held: Held, quotes: Quoted, now: datetime, rules: FlattenRules
) -> tuple[WalkState, Send | None]:
    """`line` handed to the gate, or why it waits, or that it will not be sent."""
    if line.order.account in told.away and (line.tries >= TRIES - 1 or line.why.endswith(WHEN_BACK)):
        words = line.why.removesuffix(WHEN_BACK).rstrip(".") or "nothing was sent"
        return with_line(run, replace(line, tries=0, why=f"{words}{WHEN_BACK}")), None
    if line.tries >= TRIES:
        return with_line(run, replace(line, at=At.OVER, why=f"not sent: {line.why.removeprefix('not sent: ')}")), None
    if not is_due(line.tried, now):
        return run, None
    shut = next((why for leg in line.order.legs if (why := told.shut.get(leg.instrument.key))), "")
    if shut:
        return with_line(run, replace(line, at=At.OVER, why=f"not sent: {shut}")), None
    working = tuple(_working(run, told, line.order.account))
    order = capped(line.order, held, working)
    if order is None:
        closed = capped(line.order, held, ()) is None
        why = "it was closed elsewhere meanwhile" if closed else "an order that still works may close it"
        return with_line(run, replace(line, at=At.OVER, why=f"not sent: {why}")), None
    if not _keeps_cover(order, held, working):
        return with_line(run, replace(line, why=FOR_COVER)), None
    rule = told.rules.get(line.number) or usual_rule(order.legs)
    limit = _first(order, line, quotes, rules, rule)
    order = replace(order, limit=limit)
    sent = replace(line, at=At.SENDING, order=order, first=limit, step=0, stepped=now, why="",
                   tries=line.tries + 1, tried=now)  # fmt: skip
    return with_line(run, sent), Send(line.number, order)


def _first(order: Order, line: Line, quotes: Quoted, rules: FlattenRules, rule: PriceRule) -> float | None:
    """The middle of now, never beyond the cap that was confirmed; as planned where there is no quote."""
    fresh = prices(order.legs, quotes, rules, rule)
    planned = order.limit if len(order.legs) == len(line.order.legs) else None
    if fresh is None or line.cap is None or planned is None:
        return planned if fresh is None or planned is not None else min(fresh.first, fresh.cap)
    return min(fresh.first, line.cap)


def capped(order: Order, held: Held, working: Iterable[tuple[Leg, float]]) -> Order | None:
    """`order` for what is still held and no working order closes; None when that is nothing.

    When one leg of a package is gone, its shorts are closed alone.
    """
    quantities = {one.instrument.key: one.quantity or 0.0 for one in held.holdings}
    taken: dict[tuple[str, bool], float] = {}
    for leg, units in working:
        side = (leg.instrument.key, units > 0)
        taken[side] = taken.get(side, 0.0) + abs(units)

    def packages(legs: Iterable[Leg]) -> int:
        return min(
            floor((_opposite(quantities, leg) - taken.get((leg.instrument.key, leg.ratio > 0), 0.0) + _EPSILON)
                  / abs(leg.ratio)) for leg in legs
        )  # fmt: skip

    count = min(packages(order.legs), order.quantity)
    if count > 0:
        return replace(order, quantity=count)
    for leg in order.legs if len(order.legs) > 1 else ():
        units = min(packages((Leg(leg.instrument, 1 if leg.ratio > 0 else -1),)), leg.ratio * order.quantity)
        if leg.ratio > 0 and units > 0:
            return Order(order.account, (Leg(leg.instrument, 1),), units, 0.0 if order.limit is None else order.limit)
    return None


def _opposite(quantities: Mapping[str, float], leg: Leg) -> float:
    """Units held the other way round than `leg` trades."""
    quantity = quantities.get(leg.instrument.key, 0.0)
    return max(-quantity if leg.ratio > 0 else quantity, 0.0)


def _working(run: WalkState, told: Told, account: AccountId) -> Iterable[tuple[Leg, float]]:
    """Legs that may still be filled in `account` with their signed units, whoever sent them."""
    known = told.working.get(account)
    seen = set()
    for order in () if known is None else known.orders:
        seen.add(order.key)
        yield from ((leg, leg.ratio * order.remaining) for leg in order.legs if order.remaining > 0)
    for line in run.lines:
        record = told.records.get(line.key)
        if line.order.account == account and record is not None and record.key not in seen and record.remaining > 0:
            yield from ((leg, leg.ratio * record.remaining) for leg in record.order.legs)


def _keeps_cover(order: Order, held: Held, working: Iterable[tuple[Leg, float]]) -> bool:
    """Whether `order` leaves no short less covered, also when of what works only that fills which takes cover away."""
    gone: dict[str, float] = {}
    for leg, units in working:
        if units < 0 or not leg.instrument.is_option:
            gone[leg.instrument.key] = gone.get(leg.instrument.key, 0.0) + units
    room = _room(order)
    lines = [one.after(gone.get(one.instrument.key, 0.0)) for one in held.holdings if one.room == room]
    return Cover(lines).keeps({trade.instrument.key: trade.quantity for trade in order.trades})


def _room(order: Order) -> tuple[AccountId, str]:
    return Holding(order.account, order.legs[0].instrument, 0.0, None).room


def is_due(last: datetime | None, now: datetime, since: datetime | None = None) -> bool:
    """Whether it was never done, or long enough ago, or before `since`."""
    return last is None or now - last >= AGAIN or (since is not None and last < since)

"""A flatten in words: the plan, and how its orders stand. No widget is drawn here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from guardrails import wording
from guardrails.execution.values import FlattenRun, OrderRecord, RunState
from guardrails.findings import Level
from guardrails.flatten.printed import limit_words
from guardrails.flatten.values import HedgeOffer, Plan, PlannedClose
from guardrails.orders import OrderState
from guardrails.orders_now import OrdersNow
from pages._alerts import past_words, said
from pages._moment import clock
from pages._order_cards import state_pill
from pages._parts import counted, pill


def summary(plan: Plan) -> str:
    """HTML: what all of it comes to."""
    closes = plan.closes
    if not closes:
        words = "Nothing can be closed." if plan.left else "Nothing of this kind is held."
        return f'<div class="pg-order"><b>{words}</b></div>'
    over = None if plan.cost_at_natural is None or plan.cost_at_mid is None else plan.cost_at_natural - plan.cost_at_mid
    parts = [
        f"<b>{counted(len(closes), 'order')}</b>",
        f"{_cost(plan.cost_at_mid)} at the middle",
        f"{_cost(plan.cost_at_natural)} at once ({wording.money(over)} more)",
        freed(closes),
        f"as of {clock(plan.time)}",
    ]
    return f'<div class="pg-order">{" · ".join(parts)}</div>'


def freed(closes: Sequence[PlannedClose]) -> str:
    """What the brokers say the orders would free, each asked by itself; never a guess of ours."""
    told = [_freed(close) for close in closes]
    known = [amount for amount in told if amount is not None]
    if not known:
        return "margin freed: no broker has said"
    asked = "" if len(known) == len(told) else f", {len(told) - len(known)} not told"
    amount = sum(known)
    what = "margin freed" if amount >= 0 else "more margin taken"
    return f"{what}, as the brokers say of each by itself: {wording.money(abs(amount))}{asked}"


def _freed(close: PlannedClose) -> float | None:
    preview = close.preview
    if preview is None or preview.unknown or preview.currency not in ("USD", ""):
        return None
    change = preview.maintenance_margin.change
    return None if change is None else -change


def cancels(plan: Plan) -> str:
    """HTML: what is cancelled first."""
    rows = [
        f"<li>{pill(Level.WATCH if one.cancellable else Level.UNKNOWN)}<div>{said(one.account)}: {said(one.words)}"
        f"{'' if one.cancellable else ' <b>Of another program: cancel it there.</b>'}</div></li>"
        for one in plan.cancels
    ]
    return _listed("Cancelled first, and waited for", rows)


def closes(plan: Plan) -> str:
    """HTML: what is closed, in the order it is sent in."""
    rows = []
    for one in plan.closes:
        worst = "" if one.cap is None else f"{limit_words(one.order, one.cap)} at worst"
        hand = f" <b>To be entered by hand: {said(one.by_hand)}</b>" if one.by_hand else ""
        money = f"{_cost(one.cost_at_mid)}, at once {_cost(one.cost_at_natural)}; {_margin(one)}"
        rows.append(
            f"<li><b>{one.number}.</b><div>{said(one.account)}: {said(one.title)}; {said(worst)}.{hand}"
            f'<div class="pg-soft">{money}. {said(f"{one.why_here[:1].upper()}{one.why_here[1:]}")}</div></div></li>'
        )
    return _listed("Closed, in this order", rows, "pg-numbered")


def left(plan: Plan) -> str:
    """HTML: what stays, what is stuck first."""
    rows = [
        f"<li>{pill(Level.BREACH if one.stuck else Level.NOT_APPLICABLE)}<div>{said(one.account)}: "
        f"{wording.quantity(one.quantity)} {said(one.label)}: {said(one.why)}</div></li>"
        for one in sorted(plan.left, key=lambda one: not one.stuck)
    ]
    return _listed("Not closed", rows)


def hedge_words(offer: HedgeOffer) -> str:
    """An index trade that would take the delta off meanwhile; plain text."""
    moved = f"{wording.money(offer.beta_delta_before)} to {wording.money(offer.beta_delta_after)}"
    return f"{offer.title}: beta delta {moved}"


def problems(plan: Plan) -> str:
    """HTML: what a person must know first."""
    words = [*plan.problems, *([f"Only a list: {plan.trading}"] if plan.trading else [])]
    rows = [f"<li>{pill(Level.UNKNOWN)}<div>{said(one)}</div></li>" for one in words]
    return _listed("", rows)


def progress(run: FlattenRun, plan: Plan, orders: OrdersNow, now: datetime) -> str:
    """HTML: one line per order from waiting to filled."""
    records = {record.key: record for record in orders.records}
    rows = [_line(close, run, records.get(run.orders.get(str(close.number), "")), now) for close in plan.closes]
    return _listed("", rows, "pg-numbered")


def standing(run: FlattenRun, plan: Plan, orders: OrdersNow) -> str:
    """HTML: how far all of it is, and what fresh positions say at the end."""
    if run.state is RunState.DONE:
        level = Level.OK if run.flat else Level.BREACH
        return f'<ul class="pg-list"><li>{pill(level)}<div><b>{said(run.words)}</b></div></li></ul>'
    doing = "Stopping: working orders are being cancelled" if run.state is RunState.CANCELLING else "Running"
    sent = len([close for close in plan.closes if not close.by_hand])
    so_far = f"{_how_many(run, orders)[OrderState.FILLED]} of {counted(sent, 'order')} filled{_trouble(run, orders)}"
    return (
        f'<div class="pg-order" role="status"><b>{doing}</b>: {so_far}. '
        "Only fresh positions will say that it is flat.</div>"
    )


def running_words(orders: OrdersNow | None) -> str:
    """HTML for the header of every page while a flatten runs; nothing otherwise."""
    run = None if orders is None else next((one for one in orders.runs if one.state is not RunState.DONE), None)
    if run is None or orders is None:
        return ""
    states = _how_many(run, orders)
    works = sum(count for state, count in states.items() if not state.is_over)
    so_far = f"{states[OrderState.FILLED]} filled, {counted(works, 'order')} out{_trouble(run, orders)}"
    return f'<span><span class="pg-pill pg-watch">FLATTEN RUNS</span> {so_far}</span>'


def _how_many(run: FlattenRun, orders: OrdersNow) -> Counter[OrderState]:
    keys = set(run.orders.values())
    return Counter(record.state for record in orders.records if record.key in keys)


def _trouble(run: FlattenRun, orders: OrdersNow) -> str:
    """What a person has to look at: `, 1 rejected, 1 in doubt`."""
    states = _how_many(run, orders)
    named = ((OrderState.REJECTED, "rejected"), (OrderState.UNKNOWN, "in doubt"))
    return "".join(f", <b>{states[state]} {word}</b>" for state, word in named if states[state])


def _line(close: PlannedClose, run: FlattenRun, record: OrderRecord | None, now: datetime) -> str:
    """One order: its limit is the one it has now, not the one it was planned with."""
    note = run.notes.get(str(close.number), "")
    look = '<span class="pg-pill pg-none">{}</span>'.format
    if close.by_hand:
        light, words = look("✋ by hand"), close.by_hand
    elif record is None:
        sent = str(close.number) in run.orders
        waits = "✖ not sent" if note.startswith("not sent: ") else "· waits"
        light = pill(Level.UNKNOWN) if sent else look(waits)
        words = "its record is not here" if sent else note or "for its turn"
    else:
        light, words = state_pill(record.state), "; ".join(_of(record, close, note, now))
    title = close.title if record is None else close.title.rpartition(", limit ")[0] or close.title
    return (
        f"<li><b>{close.number}.</b><div>{light}{said(close.account)}: {said(title)}"
        f'<div class="pg-soft">{said(words)}</div></div></li>'
    )


def _of(record: OrderRecord, close: PlannedClose, note: str, now: datetime) -> Iterator[str]:
    yield f"{wording.quantity(record.filled)} of {record.order.quantity} filled"
    if record.average is not None:
        yield f"{limit_words(record.order, record.average).removeprefix('limit ')} on average"
    if not record.state.is_over and record.limit is not None:
        at_cap = close.cap is not None and record.limit >= close.cap - 1e-9
        yield limit_words(record.order, record.limit) + (", its cap" if at_cap else "")
    if note or record.detail:
        yield note or record.detail
    yield past_words(record.changed, now)


def _margin(close: PlannedClose) -> str:
    amount = _freed(close)
    if amount is not None:
        moved = f"frees {wording.money(amount)} of" if amount >= 0 else f"takes {wording.money(-amount)} more"
        return f"{moved} margin, says the broker"
    unknown = close.preview.unknown if close.preview is not None else "the broker was not asked"
    return f"margin freed is not known ({said(unknown or 'the broker did not say')})"


def _cost(value: float | None) -> str:
    if value is None:
        return "cost not known"
    return f"{'costs' if value >= 0 else 'brings'} {wording.money(abs(value))}"


def _listed(title: str, rows: Sequence[str], look: str = "") -> str:
    if not rows:
        return ""
    head = f"<h4>{title}</h4>" if title else ""
    return f'<div class="pg-impact">{head}<ul class="pg-list {look}">{"".join(rows)}</ul></div>'

"""An order of ours in words: its state, what it asks, how far it is, what its broker said. No widget is drawn here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from guardrails import wording
from guardrails.engine import Engine
from guardrails.execution.values import OrderRecord
from guardrails.findings import Level
from guardrails.orders import Leg, OrderState
from guardrails.requests import Kind, Said
from guardrails.snapshot.book import PositionRow
from pages._alerts import said
from pages._moment import clock
from pages._parts import LOOKS
from pages._ticket import price_words
from pages._wishes import Wish

STATES = {
    OrderState.DRAFT: ("not sent", "–", Level.NOT_APPLICABLE),
    OrderState.APPROVED: ("approved, not sent", "–", Level.NOT_APPLICABLE),
    OrderState.INTENT_SAVED: ("saved, about to be sent", "…", Level.NOT_APPLICABLE),
    OrderState.SENT: ("sent, no word yet", "…", Level.NOT_APPLICABLE),
    OrderState.WORKING: ("working", "▶", Level.NOT_APPLICABLE),
    OrderState.PARTIAL: ("partly filled, the rest works", "◔", Level.NOT_APPLICABLE),
    OrderState.FILLED: ("filled", "✓", Level.OK),
    OrderState.CANCEL_REQUESTED: ("cancel requested, may still fill", "◐", Level.WATCH),
    OrderState.CANCELLED: ("cancelled", "■", Level.NOT_APPLICABLE),
    OrderState.REJECTED: ("rejected", "✖", Level.BREACH),
    OrderState.UNKNOWN: ("UNKNOWN: it may live at the broker", "?", Level.UNKNOWN),
}
"""words, sign and the level whose colours it has"""


def mids_of(service: Engine) -> dict[str, float]:
    """Mid of every instrument held, by its key, as far as it is quoted on both sides."""
    rows: tuple[PositionRow, ...] = () if service.latest is None else service.latest.positions
    return {
        f"{row.kind}:{row.symbol}": (row.bid + row.ask) / 2.0
        for row in rows
        if row.bid is not None and row.ask is not None and 0 <= row.bid <= row.ask
    }


def package_mid(legs: tuple[Leg, ...], mids: Mapping[str, float]) -> float | None:
    """Mid of one package, signed as a limit; None when a leg has none."""
    known = [mids.get(leg.instrument.key) for leg in legs]
    if not legs or any(mid is None for mid in known):
        return None
    return sum(leg.ratio * (mid or 0.0) for leg, mid in zip(legs, known, strict=True))


def legs_words(legs: tuple[Leg, ...], packages: float) -> str:
    """`SELL 2 SPXW 18Dec26 5700P, BUY 2 SPXW 18Dec26 5600P`."""
    return ", ".join(
        f"{'BUY' if leg.ratio > 0 else 'SELL'} {wording.quantity(abs(leg.ratio) * packages)} {leg.instrument.label}"
        for leg in legs
    )


def state_pill(state: OrderState) -> str:
    """HTML of a state: sign, words and colour."""
    words, sign, level = STATES[state]
    return f'<span class="pg-pill pg-{LOOKS[level].name}"><span aria-hidden="true">{sign}</span> {words}</span>'


def card(record: OrderRecord, now: datetime, mids: Mapping[str, float]) -> str:
    """HTML of one order of ours."""
    order = record.order
    limit = record.limit if record.limit is not None else order.limit
    price = order.type.value if limit is None else f"limit {price_words(limit)}"
    mid = f", mid {price_words(package_mid(order.legs, mids))}" if not record.state.is_over else ""
    doubt = "" if record.doubt_since is None else f", in doubt since {clock(record.doubt_since)}"
    who = f"{record.author} by {record.origin}, {clock(record.created)}"
    age = wording.age(max((now - record.changed).total_seconds(), 0.0))
    words = f'<div class="pg-soft">The broker: {said(record.detail)}</div>' if record.detail else ""
    why = f'<div class="pg-soft">“{said(record.rationale)}”</div>' if record.rationale else ""
    return (
        f'<div class="pg-order">{state_pill(record.state)}<b>{said(legs_words(order.legs, order.quantity))}</b>, '
        f"{said(price)}{mid}, {order.time_in_force.value}, {said(order.account)}<div>{said(filled_words(record))}"
        f'{doubt} · changed {age} ago <span class="pg-soft">· {said(who)} · {said(record.tag)}</span></div>'
        f"{words}{why}</div>"
    )


def filled_words(record: OrderRecord) -> str:
    """`filled 2 of 5 at credit 8.40, 3 may still fill, fees 2.60`."""
    left = "" if record.state.is_over else f", {wording.quantity(record.remaining)} may still fill"
    average = "" if record.average is None else f" at {price_words(round(record.average, 4))}"
    fees = "" if record.fees is None else f", fees {wording.number(record.fees, 2)}"
    quantity = wording.quantity(record.order.quantity)
    return f"filled {wording.quantity(record.filled)} of {quantity}{average}{left}{fees}"


def asked_for(wish: Wish, records: Sequence[OrderRecord]) -> OrderRecord | None:
    """The order that `wish` sent, else the one it was to change; None where there is none, or it is not known."""
    key = wish.target
    if wish.answer is not None and wish.answer.content:
        try:
            key = str(json.loads(wish.answer.content)["key"]) or key
        except (ValueError, KeyError, TypeError):
            return None
    return next((record for record in records if record.key == key), None)


def stands(wish: Wish, records: Sequence[OrderRecord]) -> str:
    """How the order of a wish that was done stands now, which is not what the answer said then; empty where unknown."""
    record = asked_for(wish, records)
    if record is None or wish.answer is None or wish.answer.said is not Said.DONE:
        return ""
    asked = "requested. The order is " if wish.kind is Kind.CANCEL else ""
    state = "" if record.state is OrderState.FILLED else f"{STATES[record.state][0]}, "
    return f"{asked}{state}{filled_words(record)}."

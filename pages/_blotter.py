"""The blotter: our orders and those of other senders, what is known of each, and what can be done about it.

Nothing is called done that a broker has not said: a cancel is requested until it is confirmed, and an order of which
no word came is UNKNOWN until it is found or a person has looked.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import streamlit as st

from guardrails import wording
from guardrails.engine import Engine
from guardrails.execution.values import OrderRecord
from guardrails.findings import Level
from guardrails.orders import BrokerOrder, Leg, OrderState
from guardrails.orders_now import OrdersNow
from guardrails.requests import Kind
from guardrails.snapshot import PositionRow
from pages._alerts import one, said, short
from pages._moment import clock
from pages._parts import LOOKS, counted
from pages._ticket import price_words
from pages._wishes import answers, look, pending, wish

OF_ORDERS = (Kind.CANCEL, Kind.REPLACE, Kind.RESOLVE)
_ASKING, _MOST_SHOWN = "blotter_asking", 30
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
_UNSENT = (OrderState.DRAFT, OrderState.APPROVED, OrderState.INTENT_SAVED)
_CAN_REPLACE = (OrderState.WORKING, OrderState.PARTIAL)


@dataclass(frozen=True, slots=True)
class Asking:
    """The dialog that is open."""

    kind: Kind
    record: OrderRecord
    """as it was at the click"""
    nonce: str
    """of this opening: what is sent under it is sent once"""


def blotter(service: Engine, orders: OrdersNow | None) -> None:
    """Draw every order with its buttons; reads attributes only, so it may tick."""
    look(service)
    if orders is None:
        st.html(one(Level.UNKNOWN, "Which orders work is not known: nothing has been heard of orders."))
        return
    now, mids = service.now(), mids_of(service)
    working = [record for record in orders.records if not record.state.is_over]
    over = [record for record in orders.records if record.state.is_over]
    st.html(f"<div>{answers(service, OF_ORDERS)}{_unknown_accounts(orders)}</div>")
    if not working:
        st.html(f'<div class="pg-soft">{_none_words(orders)}</div>')
    for record in working:
        _row(service, record, now, mids)
    for other in orders.others:
        _other(service, other, now)
    if over:
        with st.expander(
            f"{counted(len(over), 'order')} of this session that {_are(len(over))} over", key="blotter_over"
        ):
            st.html("".join(card(record, now, mids) for record in over[:_MOST_SHOWN]))
            if len(over) > _MOST_SHOWN:
                st.caption(f"{len(over) - _MOST_SHOWN} more are not listed here.")


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _none_words(orders: OrdersNow) -> str:
    """That none of ours works; of accounts whose orders are not known nothing is said."""
    known = all(row.orders_known for row in orders.trading) and not orders.problem
    return "No order of ours is working." if known else "No working order of ours is known."


def _unknown_accounts(orders: OrdersNow) -> str:
    names = [row.account for row in orders.trading if not row.orders_known]
    words = f"Working orders of {wording.names(names)} are not known: there may be some that are not listed."
    return one(Level.UNKNOWN, words) if names else ""


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
    filled = f"filled {wording.quantity(record.filled)} of {wording.quantity(order.quantity)}"
    left = "" if record.state.is_over else f", {wording.quantity(record.remaining)} may still fill"
    average = "" if record.average is None else f" at {price_words(record.average)}"
    fees = "" if record.fees is None else f", fees {wording.number(record.fees, 2)}"
    doubt = "" if record.doubt_since is None else f", in doubt since {clock(record.doubt_since)}"
    who = f"{record.author} by {record.origin}, {clock(record.created)}"
    age = wording.age(max((now - record.changed).total_seconds(), 0.0))
    words = f'<div class="pg-soft">The broker: {said(record.detail)}</div>' if record.detail else ""
    why = f'<div class="pg-soft">“{said(record.rationale)}”</div>' if record.rationale else ""
    return (
        f'<div class="pg-order">{state_pill(record.state)}<b>{said(legs_words(order.legs, order.quantity))}</b>, '
        f"{said(price)}{mid}, {order.time_in_force.value}, {said(order.account)}<div>{said(filled)}{average}{left}"
        f'{fees}{doubt} · changed {age} ago <span class="pg-soft">· {said(who)} · {said(record.tag)}</span></div>'
        f"{words}{why}</div>"
    )


def _row(service: Engine, record: OrderRecord, now: datetime, mids: Mapping[str, float]) -> None:
    """One order with what can be done about it."""
    name = short(record.key)
    with st.container(border=True, key=f"order_{name}", gap="xsmall"):
        left, right = st.columns([7, 3], vertical_alignment="center")
        left.html(card(record, now, mids))
        with right, st.container(horizontal=True, horizontal_alignment="right", key=f"do_order_{name}", gap="xsmall"):
            _cancel_button(service, record, now, name)
            if record.state in _CAN_REPLACE and record.order.limit is not None and st.button(
                "Replace …", key=f"replace_{name}", disabled=pending(Kind.REPLACE, record.key, now)
            ):  # fmt: skip
                _open(Kind.REPLACE, record)
            if record.state is OrderState.UNKNOWN and st.button("Resolve …", key=f"resolve_{name}"):
                _open(Kind.RESOLVE, record)


def _cancel_button(service: Engine, record: OrderRecord, now: datetime, name: str) -> None:
    asked = record.state is OrderState.CANCEL_REQUESTED or pending(Kind.CANCEL, record.key, now)
    unsent = record.state in _UNSENT
    label = "Cancel requested" if asked else "Cancel"
    if st.button(
        label,
        key=f"cancel_{name}",
        disabled=asked or unsent,
        help="It may still fill until that is \
confirmed.",
    ):
        what = f"Cancel {legs_words(record.order.legs, record.order.quantity)}"
        wish(service, Kind.CANCEL, record.key, what, {"order": record.key})
        st.rerun()


def _other(service: Engine, order: BrokerOrder, now: datetime) -> None:
    """One order of another sender: named, and cancelled only where that can be asked."""
    name = short(f"{order.account} {order.reference}")
    target = f"{order.account} {order.reference}"
    sender = order.sender or "another program"
    what = legs_words(order.legs, order.quantity) if order.legs else f"an order that cannot be read ({order.unread})"
    price = "" if order.limit is None else f", limit {price_words(order.limit)}"
    rest = f"filled {wording.quantity(order.filled)} of {wording.quantity(order.quantity)}"
    words = f'<div class="pg-soft">The broker: {said(order.words)}</div>' if order.words else ""
    cannot = "" if order.cancellable else f" <b>This program cannot cancel it: cancel it in {said(sender)}.</b>"
    with st.container(border=True, key=f"other_{name}", gap="xsmall"):
        left, right = st.columns([7, 3], vertical_alignment="center")
        left.html(
            f'<div class="pg-order">{state_pill(order.state)}<b>{said(what)}</b>{said(price)}, '
            f"{said(order.time_in_force)}, {said(order.account)}<div>{said(rest)} · sent by <b>{said(sender)}</b>, "
            f"not through the gate.{cannot}</div>{words}</div>"
        )
        asked = order.state is OrderState.CANCEL_REQUESTED or pending(Kind.CANCEL, target, now)
        with right, st.container(horizontal=True, horizontal_alignment="right", key=f"do_other_{name}"):
            label = "Cancel requested" if asked else "Cancel"
            if order.cancellable and st.button(label, key=f"cancel_{name}", disabled=asked):
                body = {"account": str(order.account), "reference": order.reference}
                wish(service, Kind.CANCEL, target, f"Cancel {what} of {sender}", body)
                st.rerun()


# --- dialogs: replace, resolve ---


def blotter_form(service: Engine, orders: OrdersNow | None) -> None:
    """Draw the dialog that is open, if one is; for the script of the page, not for a part that ticks."""
    asking: Asking | None = st.session_state.get(_ASKING)
    if asking is None:
        return
    title = "Replace: another limit" if asking.kind is Kind.REPLACE else "Resolve an order that is UNKNOWN"
    st.dialog(title, on_dismiss=close)(_body)(service, orders, asking)


def close() -> None:
    """No dialog is open any more."""
    st.session_state.pop(_ASKING, None)


def _open(kind: Kind, record: OrderRecord) -> None:
    st.session_state[_ASKING] = Asking(kind, record, secrets.token_hex(4))
    st.rerun()


def _body(service: Engine, orders: OrdersNow | None, asking: Asking) -> None:
    """The dialog: the order as it is now, what the step means, the field, one button."""
    records = () if orders is None else orders.records
    record = next((one for one in records if one.key == asking.record.key), None)
    fits = _CAN_REPLACE if asking.kind is Kind.REPLACE else (OrderState.UNKNOWN,)
    if record is None or record.state not in fits:
        st.write("It stands differently by now: nothing is left to do about it here.")
        if st.button("Close", key=f"close_{asking.nonce}"):
            close()
            st.rerun()
        return
    st.html(card(record, service.now(), mids_of(service)))
    body, wrong, label = _replace(asking) if asking.kind is Kind.REPLACE else _resolve(asking)
    if wrong:
        st.caption(wrong)
    if st.button(label, key=f"do_{asking.nonce}", type="primary", disabled=bool(wrong)):
        still: Asking | None = st.session_state.get(_ASKING)
        if still is not None and still.nonce == asking.nonce:
            close()
            what = f"{label}: {legs_words(record.order.legs, record.order.quantity)}"
            wish(service, asking.kind, record.key, what, {"order": record.key, **body})
        st.rerun()


def _replace(asking: Asking) -> tuple[dict[str, str], str, str]:
    st.caption(
        "It is judged with the new limit first; if that passes, the order is cancelled, and once the broker confirms "
        "that, what is left is judged again and sent."
    )
    old = asking.record.limit if asking.record.limit is not None else asking.record.order.limit
    typed = st.number_input(
        "New limit of one package: positive you pay, negative you receive", value=old, step=0.05, format="%g",
        key=f"limit_{asking.nonce}",
    )  # fmt: skip
    wrong = "Name a limit." if typed is None else "That is its limit already." if typed == old else ""
    why = st.text_input("Why, should it warn", key=f"why_{asking.nonce}", max_chars=500, placeholder="may stay empty")
    return {"limit": str(typed), "reason": str(why or "").strip()}, wrong, f"Replace with {price_words(typed)}"


def _resolve(asking: Asking) -> tuple[dict[str, str], str, str]:
    st.caption(
        "Look at the broker first. Only when it is certain that this order does not live there: say so, and what you "
        "saw. Nothing is sent again."
    )
    note = str(st.text_input("What you saw at the broker", key=f"note_{asking.nonce}", max_chars=500) or "").strip()
    return {"note": note}, "" if note else "Say what you saw: it is journaled.", "It does not live at the broker"

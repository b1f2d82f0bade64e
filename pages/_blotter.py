"""The blotter: our orders and those of other senders, what is known of each, and what can be done about it.

Nothing is called done that a broker has not said: a cancel is requested until it is confirmed, and an order of which
no word came is UNKNOWN until it is found or a person has looked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import streamlit as st

from guardrails import wording
from guardrails.engine import Engine
from guardrails.execution.values import OrderRecord
from guardrails.findings import Level
from guardrails.orders import BrokerOrder, OrderState
from guardrails.orders_now import OrdersNow
from guardrails.requests import Kind
from pages._alerts import one, said, short
from pages._blotter_forms import CAN_REPLACE, open_form
from pages._order_cards import card, legs_words, mids_of, stands, state_pill
from pages._parts import counted
from pages._press import act, act_and_redraw
from pages._ticket import price_words
from pages._wishes import answers, look, pending, wish

OF_ORDERS = (Kind.CANCEL, Kind.REPLACE, Kind.RESOLVE)
NEWS = timedelta(minutes=5)
"""what ended within it is still shown unfolded: a fill must not look like a loss of the order"""
_MOST_SHOWN, _MOST_NEWS = 30, 4
_UNSENT = (OrderState.DRAFT, OrderState.APPROVED, OrderState.INTENT_SAVED)


def blotter(service: Engine, orders: OrdersNow | None) -> None:
    """Draw every order with its buttons; reads attributes only, so it may tick."""
    look(service)
    if orders is None:
        st.html(one(Level.UNKNOWN, "Which orders work is not known: nothing has been heard of orders."))
        return
    now, mids = service.now(), mids_of(service)
    working = [record for record in orders.records if not record.state.is_over]
    over = [record for record in orders.records if record.state.is_over]
    news = sorted(
        (record for record in over if now - record.changed < NEWS),
        key=lambda record: (record.state is not OrderState.REJECTED, now - record.changed),
    )[:_MOST_NEWS]
    told = answers(service, OF_ORDERS, lambda wish: stands(wish, orders.records))
    st.html(f"<div>{told}{_unknown_accounts(orders)}</div>")
    if not working:
        st.html(f'<div class="pg-soft">{_none_words(orders)}</div>')
    for record in working:
        _row(service, record, now, mids)
    for other in orders.others:
        _other(service, other, now)
    if news:
        st.html(f"<div>{''.join(card(record, now, mids) for record in news)}</div>")
    _older(over, now, mids)


def _older(over: list[OrderRecord], now: datetime, mids: Mapping[str, float]) -> None:
    """Everything that is over, behind a click."""
    if not over:
        return
    are = "is" if len(over) == 1 else "are"
    with st.expander(f"{counted(len(over), 'order')} of this session that {are} over", key="blotter_over"):
        st.html("".join(card(record, now, mids) for record in over[:_MOST_SHOWN]))
        if len(over) > _MOST_SHOWN:
            st.caption(f"{len(over) - _MOST_SHOWN} more are not listed here.")


def _none_words(orders: OrdersNow) -> str:
    """That none of ours works; of accounts whose orders are not known nothing is said."""
    known = all(row.orders_known for row in orders.trading) and not orders.problem
    return "No order of ours is working." if known else "No working order of ours is known."


def _unknown_accounts(orders: OrdersNow) -> str:
    names = [row.account for row in orders.trading if not row.orders_known]
    words = f"Working orders of {wording.names(names)} are not known: there may be some that are not listed."
    return one(Level.UNKNOWN, words) if names else ""


def _row(service: Engine, record: OrderRecord, now: datetime, mids: Mapping[str, float]) -> None:
    """One order with what can be done about it."""
    name = short(record.key)
    with st.container(border=True, key=f"order_{name}", gap="xsmall"):
        left, right = st.columns([7, 3], vertical_alignment="center")
        left.html(card(record, now, mids))
        with right, st.container(horizontal=True, horizontal_alignment="right", key=f"do_order_{name}", gap="xsmall"):
            cancel_button(service, record, now, name)
            if record.state in CAN_REPLACE and record.order.limit is not None:
                st.button(
                    "Replace …", key=f"replace_{name}", disabled=pending(Kind.REPLACE, record.key, now),
                    on_click=act_and_redraw, args=(open_form, Kind.REPLACE, record),
                )  # fmt: skip
            if record.state is OrderState.UNKNOWN:
                st.button(
                    "Resolve …", key=f"resolve_{name}", on_click=act_and_redraw, args=(open_form, Kind.RESOLVE, record)
                )


def cancel_button(service: Engine, record: OrderRecord, now: datetime, name: str) -> None:
    """Draw the button that asks for the cancellation of `record`; `name` ends its key."""
    asked = record.state is OrderState.CANCEL_REQUESTED or pending(Kind.CANCEL, record.key, now)
    unsent = record.state in _UNSENT
    label = "Cancel requested" if asked else "Cancel"
    says = "It may still fill until that is confirmed."
    what = f"Cancel {legs_words(record.order.legs, record.order.quantity)}"
    st.button(
        label, key=f"cancel_{name}", disabled=asked or unsent, help=says, on_click=act,
        args=(wish, service, Kind.CANCEL, record.key, what, {"order": record.key}),
    )  # fmt: skip


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
            body = {"account": str(order.account), "reference": order.reference}
            if order.cancellable:
                st.button(
                    label, key=f"cancel_{name}", disabled=asked, on_click=act,
                    args=(wish, service, Kind.CANCEL, target, f"Cancel {what} of {sender}", body),
                )  # fmt: skip

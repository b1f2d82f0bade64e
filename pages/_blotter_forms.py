"""What is asked about an order in a dialog: another limit, or that it does not live at the broker."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import streamlit as st

from guardrails.engine import Engine
from guardrails.execution.values import OrderRecord
from guardrails.orders import OrderState
from guardrails.orders_now import OrdersNow
from guardrails.requests import Kind
from pages._order_cards import card, legs_words, mids_of, package_mid
from pages._press import act_and_redraw, keep
from pages._ticket import MOST_LIMIT, limit_words, price_words
from pages._wishes import wish

CAN_REPLACE = (OrderState.WORKING, OrderState.PARTIAL)
_ASKING = "blotter_asking"


@dataclass(frozen=True, slots=True)
class Asking:
    """The dialog that is open."""

    kind: Kind
    record: OrderRecord
    """as it was at the click"""
    nonce: str
    """of this opening: what is sent under it is sent once"""


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


def open_form(kind: Kind, record: OrderRecord) -> None:
    """Open the dialog about `record`."""
    keep(_ASKING, Asking(kind, record, secrets.token_hex(4)))


def _body(service: Engine, orders: OrdersNow | None, asking: Asking) -> None:
    """The dialog: the order as it is now, what the step means, the field, one button."""
    records = () if orders is None else orders.records
    record = next((one for one in records if one.key == asking.record.key), None)
    fits = CAN_REPLACE if asking.kind is Kind.REPLACE else (OrderState.UNKNOWN,)
    if record is None or record.state not in fits:
        st.write("It stands differently by now: nothing is left to do about it here.")
        st.button("Close", key=f"close_{asking.nonce}", on_click=act_and_redraw, args=(close,))
        return
    mids = mids_of(service)
    st.html(card(record, service.now(), mids))
    if asking.kind is Kind.REPLACE:
        _replace(asking, package_mid(record.order.legs, mids))
    else:
        _resolve(asking)
    _, wrong, label = _filled(asking)
    if wrong:
        st.caption(wrong)
    st.button(label, key=f"do_{asking.nonce}", type="primary", on_click=act_and_redraw, args=(_send, service, asking))


def _send(service: Engine, asking: Asking) -> None:
    """Ask once for what the fields hold: a second click comes too late, the dialog is closed."""
    still: Asking | None = st.session_state.get(_ASKING)
    body, wrong, label = _filled(asking)
    if wrong or still is None or still.nonce != asking.nonce:
        return  # what is wrong stands above the button
    order = asking.record.order
    what = f"{label}: {legs_words(order.legs, order.quantity)}"
    wish(service, asking.kind, asking.record.key, what, {"order": asking.record.key, **body})
    close()


def _filled(asking: Asking) -> tuple[dict[str, str], str, str]:
    """What the fields hold, what is wrong with it, and the label of the button; right also inside a callback."""
    if asking.kind is Kind.RESOLVE:
        note = str(st.session_state.get(f"note_{asking.nonce}") or "").strip()
        wrong = "" if note else "Say what you saw: it is journaled."
        return {"note": note}, wrong, "It does not live at the broker"
    old = _old_limit(asking)
    typed = st.session_state.get(f"limit_{asking.nonce}", old)
    why = str(st.session_state.get(f"why_{asking.nonce}") or "").strip()
    wrong = "Name a limit." if typed is None else "That is its limit already." if typed == old else ""
    return {"limit": str(typed), "reason": why}, wrong, f"Replace with {price_words(typed)}"


def _old_limit(asking: Asking) -> float | None:
    return asking.record.limit if asking.record.limit is not None else asking.record.order.limit


def _replace(asking: Asking, mid: float | None) -> None:
    st.caption(
        "It is judged with the new limit first; if that passes, the order is cancelled, and once the broker confirms "
        "that, what is left is judged again and sent."
    )
    typed = st.number_input(
        "New limit of one package: positive you pay, negative you receive", -MOST_LIMIT, MOST_LIMIT,
        _old_limit(asking), 0.05, format="%g", key=f"limit_{asking.nonce}",
    )  # fmt: skip
    if typed is not None and typed != _old_limit(asking):
        st.caption(f"{limit_words(typed, mid)}.")
    st.text_input("Why, should it warn", key=f"why_{asking.nonce}", max_chars=500, placeholder="may stay empty")


def _resolve(asking: Asking) -> None:
    st.caption(
        "Look at the broker first. Only when it is certain that this order does not live there: say so, and what you "
        "saw. Nothing is sent again."
    )
    st.text_input("What you saw at the broker", key=f"note_{asking.nonce}", max_chars=500)

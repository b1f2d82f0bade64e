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
    st.session_state[_ASKING] = Asking(kind, record, secrets.token_hex(4))
    st.rerun()


def _body(service: Engine, orders: OrdersNow | None, asking: Asking) -> None:
    """The dialog: the order as it is now, what the step means, the field, one button."""
    records = () if orders is None else orders.records
    record = next((one for one in records if one.key == asking.record.key), None)
    fits = CAN_REPLACE if asking.kind is Kind.REPLACE else (OrderState.UNKNOWN,)
    if record is None or record.state not in fits:
        st.write("It stands differently by now: nothing is left to do about it here.")
        if st.button("Close", key=f"close_{asking.nonce}"):
            close()
            st.rerun()
        return
    mids = mids_of(service)
    st.html(card(record, service.now(), mids))
    mid = package_mid(record.order.legs, mids)
    body, wrong, label = _replace(asking, mid) if asking.kind is Kind.REPLACE else _resolve(asking)
    if wrong:
        st.caption(wrong)
    if st.button(label, key=f"do_{asking.nonce}", type="primary", disabled=bool(wrong)):
        still: Asking | None = st.session_state.get(_ASKING)
        if still is not None and still.nonce == asking.nonce:
            close()
            what = f"{label}: {legs_words(record.order.legs, record.order.quantity)}"
            wish(service, asking.kind, record.key, what, {"order": record.key, **body})
        st.rerun()


def _replace(asking: Asking, mid: float | None) -> tuple[dict[str, str], str, str]:
    st.caption(
        "It is judged with the new limit first; if that passes, the order is cancelled, and once the broker confirms "
        "that, what is left is judged again and sent."
    )
    old = asking.record.limit if asking.record.limit is not None else asking.record.order.limit
    typed = st.number_input(
        "New limit of one package: positive you pay, negative you receive", -MOST_LIMIT, MOST_LIMIT, old, 0.05,
        format="%g", key=f"limit_{asking.nonce}",
    )  # fmt: skip
    wrong = "Name a limit." if typed is None else "That is its limit already." if typed == old else ""
    if typed is not None and not wrong:
        st.caption(f"{limit_words(typed, mid)}.")
    why = st.text_input("Why, should it warn", key=f"why_{asking.nonce}", max_chars=500, placeholder="may stay empty")
    return {"limit": str(typed), "reason": str(why or "").strip()}, wrong, f"Replace with {price_words(typed)}"


def _resolve(asking: Asking) -> tuple[dict[str, str], str, str]:
    st.caption(
        "Look at the broker first. Only when it is certain that this order does not live there: say so, and what you "
        "saw. Nothing is sent again."
    )
    note = str(st.text_input("What you saw at the broker", key=f"note_{asking.nonce}", max_chars=500) or "").strip()
    return {"note": note}, "" if note else "Say what you saw: it is journaled.", "It does not live at the broker"

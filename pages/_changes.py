"""Changes of positions that nothing explains, on the ticket: each stands until a person accepts it and says why."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import streamlit as st

from guardrails import wording
from guardrails.engine import Engine
from guardrails.execution.values import JournalEntry
from guardrails.findings import Level
from guardrails.orders_now import OrdersNow
from guardrails.requests import Kind
from pages._alerts import said, short
from pages._moment import clock
from pages._parts import pill
from pages._press import act_and_redraw, keep
from pages._wishes import answers, pending, wish

_ASKING, _TRIED = "change_asking", "change_tried"
_MOST_WORDS = 500


@dataclass(frozen=True, slots=True)
class _Asking:
    """The dialog that is open."""

    entry: JournalEntry
    """as it was at the click: another quantity is not accepted by it"""
    nonce: str


def changes(service: Engine, orders: OrdersNow | None) -> None:
    """Draw them; ticks. Nothing is drawn while every change is explained."""
    now = service.now()
    for entry in () if orders is None else orders.changes:
        with st.container(horizontal=True, vertical_alignment="center", key=f"change_{short(entry.key)}"):
            age = wording.age(max((now - entry.time).total_seconds(), 0.0))
            seen = f"<small>seen first {clock(entry.time)} ({age} ago)</small>"
            st.html(f"<div>{pill(Level.WATCH)} {said(entry.words)} {seen}</div>", width="content")
            waits = pending(Kind.ACCEPT_CHANGE, entry.key, now)
            st.button(
                "Accept …", key=f"accept_{short(entry.key)}", disabled=waits, on_click=act_and_redraw,
                args=(_open, entry),
            )  # fmt: skip
    if told := answers(service, (Kind.ACCEPT_CHANGE,)):
        st.html(told)


def change_form(service: Engine, orders: OrdersNow | None) -> None:
    """Draw the dialog that is open, if one is; for the script of the page, not for a part that ticks."""
    asking: _Asking | None = st.session_state.get(_ASKING)
    if asking is not None:
        st.dialog("Accept a change that nothing explains", on_dismiss=_close)(_body)(service, orders, asking)


def _open(entry: JournalEntry) -> None:
    keep(_ASKING, _Asking(entry, secrets.token_hex(4)))


def _close() -> None:
    st.session_state.pop(_ASKING, None)


def _body(service: Engine, orders: OrdersNow | None, asking: _Asking) -> None:
    standing = () if orders is None else orders.changes
    entry = next((one for one in standing if one.key == asking.entry.key), None)
    if entry is None or entry.legs != asking.entry.legs:
        st.write("It stands differently by now: nothing was accepted. Look at it again.")
        st.button("Close", key=f"close_{asking.nonce}", on_click=act_and_redraw, args=(_close,))
        return
    st.html(f"<div>{said(entry.words)}</div>")
    st.caption("Look at the broker's list of trades first: accepting ends the finding and keeps what you say.")
    note = st.text_input("What it was", key=f"note_{asking.nonce}", max_chars=_MOST_WORDS).strip()
    st.button(
        "Accept it", key=f"do_{asking.nonce}", type="primary", on_click=act_and_redraw, args=(_send, service, asking)
    )
    if not note and st.session_state.get(_TRIED) == asking.nonce:
        st.html('<div class="pg-wrong" role="alert">Say what it was: it is journaled under your name.</div>')


def _send(service: Engine, asking: _Asking) -> None:
    """Ask once to accept what was shown: a second click comes too late, the dialog is closed."""
    still: _Asking | None = st.session_state.get(_ASKING)
    if still is None or still.nonce != asking.nonce:
        return
    entry, note = asking.entry, str(st.session_state.get(f"note_{asking.nonce}") or "").strip()
    if not note:
        keep(_TRIED, asking.nonce)
        return
    body = {"entry": entry.key, "quantity": str(entry.legs[0].quantity), "note": note}
    what = f"Accept the change of {entry.legs[0].label or entry.legs[0].key.partition(':')[2]}, {entry.account}"
    wish(service, Kind.ACCEPT_CHANGE, entry.key, what, body)
    _close()

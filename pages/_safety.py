"""Stop, on every page: the safety state in force, who set it and why, and the states a person may set now."""

from __future__ import annotations

import secrets
from datetime import datetime

import streamlit as st

from guardrails.engine import Engine
from guardrails.requests import Kind
from guardrails.safety import Safety, SafetyState
from pages._alerts import said
from pages._moment import full_time
from pages._press import act, act_and_redraw, keep
from pages._safety_words import MEANS, safety_mark
from pages._wishes import answers, called, look, pending, watcher_of, who, wish

_OPEN, _TRIED = "safety_open", "safety_tried"
_MOST_WORDS = 300


def stop_button(when: str = "") -> None:
    """Draw the button that opens the dialog; `when` stands in its label."""
    says = "Safety state: what may be sent at all."
    st.button(f"Stop{when} …", key="stop_open", icon=":material/front_hand:", help=says, on_click=act, args=(_open,))


def _open() -> None:
    keep(_OPEN, secrets.token_hex(4))


def is_open() -> bool:
    """Whether the dialog is open."""
    return _OPEN in st.session_state


def safety_dialog(service: Engine) -> None:
    """Draw the dialog when it is open; for the script of the page, not for a part that ticks."""
    nonce = st.session_state.get(_OPEN)
    if nonce is not None:
        st.dialog("Safety state", on_dismiss=close, width="medium")(_body)(service, str(nonce))


def close() -> None:
    """The dialog is closed."""
    st.session_state.pop(_OPEN, None)


def standing(safety: Safety, now: datetime) -> str:
    """HTML of the state in force: what it lets through, who set it, why, how one leaves it."""
    lines = [f"{safety_mark(safety.state)}: {MEANS[safety.state]}."]
    if safety.since is not None:
        by = f" by {said(safety.author)}" if safety.author else ""
        why = f": {said(safety.reason)}" if safety.reason else ""
        lines.append(f"Set {said(full_time(safety.since))}{by}{why}.")
    if safety.until is not None and now < safety.until:
        lines.append(f"NORMAL is open again {said(full_time(safety.until))}; nobody can shorten that.")
    if safety.leave:
        lines.append(said(safety.leave))
    return f'<div class="pg-standing">{"".join(f"<div>{line}</div>" for line in lines)}</div>'


@st.fragment(run_every=1.0)
def _told(service: Engine, drawn: tuple[SafetyState | None, bool]) -> None:
    """What is in force now, and what came of the wish; the choices below are `drawn` anew once it is another."""
    look(service)
    if _now(service) != drawn:
        st.rerun()
    now, orders = service.now(), service.orders
    state = "<span></span>" if orders is None else standing(orders.safety, now)  # never NORMAL for want of a word
    st.html(state + answers(service, (Kind.SAFETY,)))


def _now(service: Engine) -> tuple[SafetyState | None, bool]:
    """The state in force, and whether another one is being set: what the choices depend on."""
    waits = any(pending(Kind.SAFETY, state.value, service.now()) for state in SafetyState)
    return None if service.orders is None else service.orders.safety.state, waits


def _body(service: Engine, nonce: str) -> None:
    _told(service, _now(service))
    orders, now = service.orders, service.now()
    if orders is None:
        st.write("Orders are not looked after yet; nothing can be sent, and nothing can be set.")
        return
    st.text_input("Why", key=f"safety_reason_{nonce}", max_chars=_MOST_WORDS)
    st.text_input("Your name", who(), key=f"safety_author_{nonce}", max_chars=60)
    if watched_by := service.health().watched_by:
        st.caption(f"{watcher_of(watched_by)} is asked to do this, and answers here.")
    for state in reversed(SafetyState):
        _choice(service, state, orders.safety, now, nonce)
    if st.session_state.get(_TRIED) == nonce and not all(_filled(nonce)):
        st.html('<div class="pg-wrong" role="alert">Say why, and who you are: both are kept in the journal.</div>')


def _filled(nonce: str) -> tuple[str, str]:
    """Reason and name; right also inside a callback."""
    reason = st.session_state.get(f"safety_reason_{nonce}", "")
    name = st.session_state.get(f"safety_author_{nonce}", who())
    return str(reason or "").strip(), str(name or "").strip()


def _set(service: Engine, state: SafetyState, nonce: str) -> None:
    """Ask for a state, once."""
    if pending(Kind.SAFETY, state.value, service.now()):
        return
    reason, name = _filled(nonce)
    if not reason or not name:
        keep(_TRIED, nonce)
        return
    body = {"state": state.value, "reason": reason}
    wish(service, Kind.SAFETY, state.value, f"Safety state {state.value}", body, name)
    called(name)


def _choice(service: Engine, state: SafetyState, safety: Safety, now: datetime, nonce: str) -> None:
    """One state with what it means, and its button; what cannot be chosen now says why."""
    is_it = state is safety.state
    waits = state is SafetyState.NORMAL and safety.until is not None and now < safety.until
    label = f"{state.value} (in force)" if is_it else state.value
    with st.container(horizontal=True, vertical_alignment="center", key=f"safety_row_{state.value}"):
        st.button(
            label,
            key=f"safety_{state.value}_{nonce}",
            type="primary" if state is SafetyState.STOPPED and not is_it else "secondary",
            disabled=waits,  # not while it is being set: what has the focus keeps it, or Escape is not heard
            width=240,
            on_click=act_and_redraw,
            args=(_set, service, state, nonce),
        )
        later = f" Not before {full_time(safety.until)}." if waits and safety.until is not None else ""
        st.caption(f"{MEANS[state][0].upper()}{MEANS[state][1:]}.{later}")

"""What the clicks on the ticket do: ask the broker, the two steps of sending, taking a quantity; each ends in words.

They are callbacks. What was typed may come with the very click that left the field, and then what was drawn is older
than what is on screen: so they read the ticket anew, and an order that is not the one that was judged goes nowhere.
"""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from guardrails import calendar
from guardrails.engine import Engine
from guardrails.requests import Kind
from pages._press import keep
from pages._ticket import Reading, accounts_of, changed_outside, put, read, ticket
from pages._ticket_asking import ask
from pages._ticket_send import CHECK, begin, begun, send, sent_tokens, stop

REASON = "ticket_reason"
"""the field with why it is sent against a warning"""
_UNSENT = "ticket_unsent"
_CHANGED = "the order was changed after it was judged. Check it again."


def on_screen(service: Engine) -> Reading:
    """How the ticket reads now."""
    return read(ticket(), accounts_of(service.latest), calendar.exchange_date(service.now()))


def check(service: Engine) -> None:
    """Ask the broker too, which alone gives leave to send; what was begun is taken back."""
    stop()
    keep(_UNSENT, "")
    reading = on_screen(service)
    if reading.order is not None:
        ask(service, CHECK, Kind.SIMULATE, {"order": reading.text, "preview": "yes"}, reading.text, again=True)
    changed_outside()


def first_step(service: Engine, token: str, text: str) -> None:
    """This approval of this order is about to be used."""
    if on_screen(service).text == text:
        keep(_UNSENT, "")
        begin(token, text)
    else:
        not_sent(_CHANGED)


def second_step(service: Engine, token: str, text: str, title: str, reason: str) -> None:
    """Send it, once, with what the field of the reason holds now, `reason` when it was drawn; again does nothing."""
    if token in sent_tokens():
        return
    why = str(st.session_state.get(REASON, reason) or "")
    if reason.strip() and not why.strip():
        not_sent("the reason was taken out. Say why, and press Send again.")
    elif on_screen(service).text != text:
        not_sent(_CHANGED)
    elif begun(token, text):
        send(service, token, text, title, (why, ticket().rationale))
    elif not unsent():  # else it was taken back for a reason that is said already
        not_sent("the first step was taken back. Press Send again, if it still says what you want.")


def not_sent(why: str) -> None:
    """Take the first step back, and keep in words why nothing was sent."""
    keep(_UNSENT, f"Nothing was sent: {why[:1].lower()}{why[1:]}")
    stop()
    changed_outside()


def unsent() -> str:
    """Why the last step led to nothing; empty when it did not."""
    return str(st.session_state.get(_UNSENT, ""))


def take_quantity(packages: int) -> None:
    """Let the ticket ask for so many."""
    put(replace(ticket(), packages=packages))
    changed_outside()

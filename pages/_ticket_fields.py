"""The left half of the ticket: account, legs, price, time; and how all of it reads as an order.

Fields live in the script of the page, not in a part that ticks: typing is never interrupted by data. Each is given its
value as its default, too: one that is only set in the session is told to the browser once, and a browser that is behind
and skips that run would show an empty field and send that back.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Literal

import streamlit as st

from guardrails.orders import MAX_LEGS, OrderType, TimeInForce
from pages._alerts import said
from pages._press import act, keep
from pages._ticket import (
    BUY,
    EMPTY,
    MOST,
    MOST_LIMIT,
    OTHER,
    SELL,
    Reading,
    Ticket,
    TicketLeg,
    divided,
    field_key,
    limit_words,
    price_words,
    put,
    read,
    restore,
    ticket,
)

_CHANGED = "ticket_changed"
_AT_MARKET = "Only one share or one future alone can be traded without a limit: quotes of options are too wide for it."


def fields(accounts: Sequence[str], as_of: date) -> tuple[Ticket, Reading]:
    """Draw the fields; return what they hold and how it reads."""
    if len(accounts) == 1 and not ticket().account:
        put(replace(ticket(), account=accounts[0]))
    now = restore()
    found = read(now, accounts, as_of)
    _account(accounts, now.account)
    with st.container(gap="xxsmall"):
        for i, leg in enumerate(now.legs):
            _leg(i, leg, found.errors[i] if leg.symbol.strip() else "", len(now.legs))
    with st.container(horizontal=True, gap="xsmall"):
        nonce = secrets.token_hex(4)  # of this drawing
        st.button(
            "Add a leg", key="ticket_add", on_click=once, args=(nonce, _added), disabled=len(now.legs) >= MAX_LEGS
        )
        st.button(
            "Turn round", key="ticket_turn", on_click=once, args=(nonce, _turned),
            help="Buy what is sold, sell what is bought.",
        )  # fmt: skip
        st.button("Empty it", key="ticket_clear", on_click=_clear, help="Start with an empty ticket.")
    first, second, third = st.columns(3)
    first.number_input(
        "Packages", 1, MOST, now.packages or None, 1, key=field_key("packages"),
        help="How many times all legs together.",
    )  # fmt: skip
    kinds = [kind.value for kind in OrderType]
    second.selectbox("Price", kinds, kinds.index(now.type), key=field_key("type"), help=_AT_MARKET)
    third.segmented_control(
        "Rests", [time.value for time in TimeInForce], default=now.tif, key=field_key("tif"), required=True,
        help="DAY: until the close of this session. GTC: until it is filled or cancelled.",
    )  # fmt: skip
    st.number_input(
        "Limit of one package: positive you pay, negative you receive", -MOST_LIMIT, MOST_LIMIT, now.limit, 0.05,
        format="%g", key=field_key("limit"), placeholder="-8.40 is a credit of 8.40",
        disabled=now.type != OrderType.LIMIT,
    )  # fmt: skip
    return now, found


def prices(mid: float | None, natural: float | None) -> None:
    """Draw what one click takes as the limit, and what the limit means in words."""
    kept = ticket()
    if kept.type != OrderType.LIMIT:
        st.caption("It takes whatever price it gets.")
        return
    with st.container(horizontal=True, gap="xsmall"):
        for name, price in (("Mid", mid), ("Natural", natural)):
            st.button(
                f"{name}: {price_words(price)}", key=f"ticket_{name.lower()}", disabled=price is None,
                on_click=_take_limit, args=(price,), help=_OF_PRICE[name],
            )  # fmt: skip
    words = "No limit yet." if kept.limit is None else limit_words(kept.limit, mid)
    loud = kept.limit is not None and mid is not None and kept.limit * mid < 0
    look = 'class="pg-wrong" role="alert"' if loud else 'class="pg-soft"'
    st.html(f"<div {look}>{said(words[:1].upper() + words[1:])}</div>")


_OF_PRICE = {
    "Mid": "Between bid and ask of every leg, of one package. A wait, not a promise.",
    "Natural": "What one package costs at once: bought at the ask, sold at the bid.",
}


def rationale() -> None:
    """Draw the field that goes into the journal with the order."""
    st.text_input(
        "Why this trade (for the journal)", ticket().rationale, key=field_key("rationale"), max_chars=500,
        placeholder="may stay empty",
    )  # fmt: skip


def wrong(reading: Reading) -> None:
    """Draw what is still missing or wrong, with the one click that mends it where there is one."""
    look = "pg-soft" if reading.order is not None or reading.problem == EMPTY else "pg-wrong"
    words = "The order is complete." if reading.order is not None else reading.problem
    st.html(f'<div class="{look}" role="status">{said(words)}</div>')
    if reading.factor > 1:
        st.button(f"Make it packages with a {reading.factor}th of each leg", key="ticket_divide", on_click=_divide)


def _account(accounts: Sequence[str], kept: str) -> None:
    """The account; one that is not known any more stays chosen, and the order says so: no other takes its place."""
    gone = [kept] if kept and kept not in accounts else []
    names = [*accounts, *gone]
    st.selectbox(
        "Account", names, names.index(kept) if kept else None, key=field_key("account"), disabled=not accounts,
        placeholder="choose an account" if accounts else "no account is known yet",
    )  # fmt: skip


def _leg(i: int, leg: TicketLeg, error: str, count: int) -> None:
    """One leg: side, quantity of a package, symbol, and what is wrong with it beside it."""
    side, quantity, symbol, away = st.columns([3, 2, 6, 1], vertical_alignment="bottom")
    label = f"Leg {i + 1}"
    named: Literal["visible", "collapsed"] = "visible" if i == 0 else "collapsed"
    side.segmented_control(
        f"{label}: side", [BUY, SELL], default=leg.side, key=field_key("side", i), required=True,
        label_visibility=named,
    )  # fmt: skip
    quantity.number_input(
        f"{label}: each", 1, MOST, leg.quantity or None, 1, key=field_key("quantity", i), label_visibility=named,
        help="How many of it one package holds.",
    )  # fmt: skip
    symbol.text_input(
        f"{label}: symbol", leg.symbol, key=field_key("symbol", i), max_chars=60, placeholder="SPXW  261218P05700000",
        help="A ticker, an OCC symbol in 21 characters, a future (/ESZ6) or an option on one, as brokers write them.",
        label_visibility=named,
    )  # fmt: skip
    away.button(
        "✕", key=f"ticket_drop_{i}", on_click=once, args=(secrets.token_hex(4), partial(_dropped, i)),
        disabled=count == 1, help=f"Take {label} out",
    )  # fmt: skip
    st.html(f'<div class="pg-leg-error" role="status">{said(error)}</div>')


# --- callbacks: they come before the fields are drawn, and end what was confirmed by changing the order ---


def once(nonce: str, change: Callable[[Ticket], Ticket]) -> None:
    """Change the ticket, once for a button as it was drawn: a part of the page that ticks at the moment of a click
    sends that click, too, and turned round twice it would be as it was."""
    if st.session_state.get(_CHANGED) == nonce:
        return
    new = change(ticket())
    keep(_CHANGED, nonce)
    act(put, new)


def _added(old: Ticket) -> Ticket:
    return replace(old, legs=(*old.legs, TicketLeg()))


def _dropped(i: int, old: Ticket) -> Ticket:
    return replace(old, legs=tuple(leg for place, leg in enumerate(old.legs) if place != i))


def _turned(old: Ticket) -> Ticket:
    legs = tuple(replace(leg, side=OTHER[leg.side]) for leg in old.legs)
    return replace(old, legs=legs, limit=None if old.limit is None else -old.limit)


def _clear() -> None:
    put(Ticket(account=ticket().account))


def _divide() -> None:
    put(divided(ticket()))


def _take_limit(price: float) -> None:
    put(replace(ticket(), limit=price))

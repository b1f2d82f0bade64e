"""The order on the ticket: what its fields hold, kept for the session, and how it reads as an Order.

The fields are Streamlit's, whose state ends with the page; the Ticket is kept beside them, so that an order half
written survives a look at another page, and other pages can open the ticket with legs in it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import gcd
from typing import Any

import streamlit as st

from guardrails.errors import OrderError, SymbolError
from guardrails.instruments import Instrument
from guardrails.order_json import order_document, read_order
from guardrails.orders import MAX_LEGS, Order, OrderType, TimeInForce
from guardrails.snapshot import Snapshot
from guardrails.symbols import parse
from guardrails.values import AccountId

BUY, SELL = "BUY", "SELL"
OTHER = {BUY: SELL, SELL: BUY}
MOST = 100_000
"""packages, and units of a leg: more is a slip of the finger"""
MOST_LIMIT = 1_000_000.0
"""dollars of one package, either way: as above"""
EMPTY = "Nothing is on the ticket: type a symbol, click a quote in the chain, or select a position on Positions."
_TICKET, _SAID, _REDRAW, _NEXT, _OLD = "ticket", "ticket_said", "ticket_redraw", "ticket_next", "ticket_old"
_ECHO_SECONDS = 3.0
"""so long after the fields were changed here a browser that is behind may still send what they held before"""
_SIMPLE = ("account", "packages", "type", "limit", "tif", "rationale")


@dataclass(frozen=True, slots=True)
class TicketLeg:
    """One line of the ticket: `quantity` is that of one package."""

    side: str = BUY
    quantity: int = 1
    symbol: str = ""
    """as typed"""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the fields hold."""

    account: str = ""
    """`IBKR •••4567`; empty while no account is known"""
    legs: tuple[TicketLeg, ...] = (TicketLeg(),)
    packages: int = 1
    type: str = OrderType.LIMIT.value
    limit: float | None = None
    tif: str = TimeInForce.DAY.value
    rationale: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a Ticket reads as an order."""

    order: Order | None
    """None while something is missing or wrong"""
    text: str = ""
    """JSON of the order, without a rationale: the same text is the same order"""
    problem: str = ""
    """what is missing or wrong of the whole, in words"""
    instruments: tuple[Instrument | None, ...] = ()
    """by leg"""
    errors: tuple[str, ...] = ()
    """by leg: why it cannot be read"""
    factor: int = 1
    """greatest common divisor of the quantities of one package: more than 1 must be divided out"""


def accounts_of(snapshot: Snapshot | None) -> tuple[str, ...]:
    """The accounts that are known, as `IBKR •••4567`."""
    return () if snapshot is None else tuple(f"{row.broker} {row.account}" for row in snapshot.accounts)


def read(ticket: Ticket, accounts: Sequence[str], as_of: date) -> Reading:
    """`ticket` as an order of one of `accounts`, or what is wrong with it; `as_of` is the exchange date."""
    found = [_instrument(leg.symbol, as_of) for leg in ticket.legs]
    instruments = tuple(one if isinstance(one, Instrument) else None for one in found)
    errors = tuple("" if isinstance(one, Instrument) else one for one in found)
    factor = gcd(*(leg.quantity for leg in ticket.legs))
    so_far = Reading(None, instruments=instruments, errors=errors, factor=factor)
    if not any(leg.symbol.strip() for leg in ticket.legs):
        return replace(so_far, problem=EMPTY)
    if any(errors):
        return replace(so_far, problem="A leg cannot be read yet.")
    if min(ticket.packages, *(leg.quantity for leg in ticket.legs)) < 1:
        return replace(so_far, problem="Name a quantity of at least 1 for every leg, and for the packages.")
    if factor > 1:
        words = f"Every leg has a multiple of {factor} in one package: the limit is of one package, so divide them."
        return replace(so_far, problem=words)
    if ticket.type == OrderType.LIMIT and ticket.limit is None:
        return replace(so_far, problem="Name a limit, or take mid or natural.")
    known = [AccountId(*name.split(" ", 1)) for name in accounts]
    try:
        order, _ = read_order(_document(ticket), known, as_of)
    except OrderError as error:
        return replace(so_far, problem=_sentence(str(error)))
    return replace(so_far, order=order, text=json.dumps(order_document(order), sort_keys=True))


def _document(ticket: Ticket) -> dict[str, object]:
    legs = [{"symbol": leg.symbol, "side": leg.side, "quantity": leg.quantity * ticket.packages} for leg in ticket.legs]
    limit = {"limit_price": ticket.limit} if ticket.type == OrderType.LIMIT else {}
    return {"account": ticket.account, "order_type": ticket.type, "tif": ticket.tif, "legs": legs, **limit}


def _instrument(symbol: str, as_of: date) -> Instrument | str:
    """What `symbol` names, or why that is not known."""
    if not symbol.strip():
        return "Type a symbol: SPY, SPXW  261218P05700000, /ESZ6, ./EW4N26 260724C6400."
    try:
        found = parse(symbol, as_of)
    except SymbolError as error:
        return _sentence(str(error))
    if found.expiry is not None and found.expiry < as_of:
        return f"{found.label} expired on {found.expiry:%d %b %Y}."
    return found


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"


def price_words(price: float | None) -> str:
    """A price of one package as a person says it: `credit 8.40`, `debit 2.05`, `even`; `?` when it is not known."""
    if price is None:
        return "?"
    if price == 0:
        return "even"
    return f"{'credit' if price < 0 else 'debit'} {_size(price)}"


def _size(price: float) -> str:
    """Without its sign, to the cent where it has no more: a limit of 0.675 must not read 0.68."""
    size = round(abs(price), 8)  # a sum of prices is a hair off
    return f"{size:,.2f}" if round(size, 2) == size else f"{size:,.8f}".rstrip("0")


def limit_words(limit: float, mid: float | None) -> str:
    """What a limit means: who pays whom, and that it points the other way than the market does, when it does."""
    means = {True: "you receive at least", False: "you pay at most"}[limit < 0] if limit else "nobody pays"
    words = f"{price_words(limit)}: {means} {_size(limit)} per package" if limit else "even"
    if mid is not None and limit * mid < 0:
        words += f". The market is the other way round: mid is {price_words(mid)}. Is the sign meant?"
    return words


# --- what is kept for the session ---


def ticket() -> Ticket:
    """The ticket of this session: what is kept, and over it what was typed since; also right inside a callback."""
    kept: Ticket = st.session_state.get(_TICKET, Ticket())
    legs = tuple(
        TicketLeg(
            str(_typed(field_key("side", i), leg.side)),
            int(_typed(field_key("quantity", i), leg.quantity) or 0),
            str(_typed(field_key("symbol", i), leg.symbol) or ""),
        )
        for i, leg in enumerate(kept.legs)
    )
    limit = _typed(field_key("limit"), kept.limit)
    return Ticket(
        str(_typed(field_key("account"), kept.account) or ""),
        legs,
        int(_typed(field_key("packages"), kept.packages) or 0),
        str(_typed(field_key("type"), kept.type)),
        None if limit is None else float(limit),
        str(_typed(field_key("tif"), kept.tif)),
        str(_typed(field_key("rationale"), kept.rationale) or ""),
    )


def _typed(key: str, kept: Any) -> Any:
    """What a field holds; what is kept where there is no such field now, or where it holds what it did before that."""
    typed = st.session_state.get(key, kept)
    until, old = st.session_state.get(_OLD, (0.0, {}))
    is_echo = key in old and typed == old[key] and time.monotonic() < until
    return kept if is_echo else typed


def put(new: Ticket) -> None:
    """Keep `new` and let the fields show it; in a callback, or before the fields are drawn."""
    st.session_state[_TICKET] = new
    fields = _fields(new)
    old = {key: st.session_state[key] for key, value in fields.items() if st.session_state.get(key, value) != value}
    st.session_state[_OLD] = time.monotonic() + _ECHO_SECONDS, old
    for key, value in fields.items():
        st.session_state[key] = value


def put_next(new: Ticket) -> None:
    """Let the next run of the page begin with `new`; where the fields have been drawn already."""
    st.session_state[_NEXT] = new
    changed_outside()


def restore() -> Ticket:
    """Keep what was typed; fields that have no state (the page was left), or an old one, show what is kept."""
    if (new := st.session_state.pop(_NEXT, None)) is not None:
        put(new)
    now = ticket()
    st.session_state[_TICKET] = now
    for key, value in _fields(now).items():
        if key not in st.session_state or st.session_state[key] != value:
            st.session_state[key] = value
    return now


def changed_outside() -> None:
    """A part that ticks by itself has changed the ticket: the whole page is to be drawn anew."""
    st.session_state[_REDRAW] = True


def redraw() -> bool:
    """Whether the whole page is to be drawn anew, once."""
    return bool(st.session_state.pop(_REDRAW, False))


def say(words: str) -> None:
    """Keep one sentence for the next run of the page."""
    st.session_state[_SAID] = words


def told() -> str:
    """The sentence that was kept, once."""
    return str(st.session_state.pop(_SAID, ""))


def field_key(name: str, leg: int | None = None) -> str:
    """Key of the widget of a field."""
    return f"ticket_{name}" if leg is None else f"ticket_{name}_{leg}"


def _fields(of: Ticket) -> dict[str, object]:
    values: dict[str, object] = {field_key(name): getattr(of, name) for name in _SIMPLE}
    values |= {field_key("packages"): of.packages or None, field_key("account"): of.account or None}
    for i, leg in enumerate(of.legs):
        values |= {
            field_key("side", i): leg.side,
            field_key("quantity", i): leg.quantity or None,
            field_key("symbol", i): leg.symbol,
        }
    return values


# --- changes ---


def with_leg(old: Ticket, side: str, symbol: str) -> Ticket:
    """`old` with one more of `symbol` bought or sold in a package; what was to be done the other way is taken back.

    The same Ticket when it is full.
    """
    legs = [leg for leg in old.legs if leg.symbol.strip()]
    for i, leg in enumerate(legs):
        if leg.symbol != symbol:
            continue
        if leg.side == side:
            legs[i] = replace(leg, quantity=leg.quantity + 1)
        elif leg.quantity > 1:
            legs[i] = replace(leg, quantity=leg.quantity - 1)
        else:
            del legs[i]
        return replace(old, legs=tuple(legs) or (TicketLeg(),), limit=None)
    if len(legs) >= MAX_LEGS:
        return old
    return replace(old, legs=(*legs, TicketLeg(side, 1, symbol)), limit=None)


def divided(old: Ticket) -> Ticket:
    """`old` in lowest terms: what all legs have in common becomes packages. The limit of the larger package is not
    that of the smaller one: it is left out."""
    factor = gcd(*(leg.quantity for leg in old.legs))
    legs = tuple(replace(leg, quantity=leg.quantity // factor) for leg in old.legs)
    return replace(old, legs=legs, packages=old.packages * factor, limit=None)


def probe(reading_of: Ticket) -> Ticket:
    """The same with a limit of 0, to ask for quotes before a limit is named; nothing of it is ever sent."""
    return replace(reading_of, limit=0.0, packages=1)

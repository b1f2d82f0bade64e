"""The chain of one expiry, live, from which legs are taken: a click on a bid sells, a click on an ask buys.

What is shown is always the expiry that is chosen: the rows of another one are gone at once, before the new ones come.
It is asked anew while it is open, because quotes of what nobody holds only stream while somebody looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import streamlit as st
from pydantic import TypeAdapter
from streamlit.elements.lib.column_types import ColumnConfig

from guardrails import calendar, wording
from guardrails.engine import Engine
from guardrails.errors import SymbolError
from guardrails.findings import Level
from guardrails.instruments import Settlement
from guardrails.orders import MAX_LEGS, ChainExpiry
from guardrails.requests import Kind
from guardrails.symbols import parse
from pages._alerts import one, short
from pages._chain_roll import FRESH, LOOKED_AT, ROLL, complete_roll
from pages._chain_table import COLUMNS, Listing, Side, Strike, at_the_money, near, table_of
from pages._parts import counted
from pages._ticket import BUY, SELL, changed_outside, put, say, ticket, with_leg
from pages._ticket_asking import answered, ask, look, newest, trouble, waiting
from pages._ticket_legs import Roll, expiry_after
from pages._wishes import watcher_of

EXPIRIES, CHAIN = "expiries", "chain"
"""slots"""
NEAR = {"20 strikes": 20, "60 strikes": 60, "all": None}
AGAIN = timedelta(seconds=2)
"""how old the quotes may become before they are asked for anew"""
OLD_SECONDS = 15.0
"""quotes shown that are older than this are said to be old"""
_MIDDLE, _DRAWN = "chain_middle", "chain_drawn"
_TROUBLE = "chain_trouble"
_MOST_ROWS, _ROW, _HEAD = 20, 35, 38
"""rows in view at once, and pixels of one and of the head: twenty strikes are seen without scrolling"""
_SETTLES = {Settlement.CASH_AM: ", settled at the open", Settlement.CASH_PM: "", Settlement.PHYSICAL: ""}


_EXPIRIES: TypeAdapter[list[ChainExpiry]] = TypeAdapter(list[ChainExpiry])
_LISTING: TypeAdapter[Listing] = TypeAdapter(Listing)


def chain(service: Engine) -> None:
    """Draw the choice of an expiry, and its chain; ticks."""
    look(service)
    asked = _underlying(service)
    if not asked:
        st.caption("Type an underlying (SPX, AAPL, /ES) to see what is listed on it.")
        return
    watcher, now = watcher_of(service.health().watched_by), service.now()
    ask(service, EXPIRIES, Kind.EXPIRIES, {"underlying": asked}, asked)
    told = answered(EXPIRIES, asked)
    listed = [] if told is None else _read(_EXPIRIES, told.content)
    if told is None or isinstance(listed, str):
        words = listed if isinstance(listed, str) and told is not None else trouble(newest(EXPIRIES), now, watcher)
        st.html(one(Level.UNKNOWN, words or f"Asking what is listed on {asked} …"))
        _again(service, bool(words), asked)
        return
    if not listed:
        st.html(one(Level.UNKNOWN, f"No option is listed on {asked}, or the broker does not say."))
        return
    expiry = _choice(asked, listed, calendar.exchange_date(now))
    if expiry is not None:
        _rows_of(service, expiry, now, watcher)


def due(now: datetime) -> bool:
    """Whether something is awaited without which nothing is shown: then it is worth looking often."""
    one = newest(CHAIN)
    return waiting(now, EXPIRIES) or (one is not None and one.waits(now) and answered(CHAIN, one.about) is None)


def _underlying(service: Engine) -> str:
    """The underlying that is looked at: the one typed, at first that of the first leg."""
    key = "chain_underlying"
    if key not in st.session_state:
        st.session_state[key] = st.session_state.get(LOOKED_AT) or _of_legs(calendar.exchange_date(service.now()))
    typed = st.text_input("Underlying", key=key, max_chars=20, placeholder="SPX, AAPL, /ES", width=220)
    st.session_state[LOOKED_AT] = str(typed or "").strip().upper()
    return str(st.session_state[LOOKED_AT])


def _of_legs(as_of: date) -> str:
    for leg in ticket().legs:
        try:
            found = parse(leg.symbol, as_of)
        except SymbolError:
            continue
        return found.underlying or found.symbol
    return ""


def _again(service: Engine, offered: bool, asked: str) -> None:  # noqa: FBT001  # a button that is there or not
    if offered and st.button("Ask again", key="chain_again"):
        ask(service, EXPIRIES, Kind.EXPIRIES, {"underlying": asked}, asked, again=True)
        st.rerun()


def expiry_words(expiry: ChainExpiry, today: date) -> str:
    """`18 Dec 26 (30 d), SPXW`."""
    settles = _SETTLES[expiry.settlement] if expiry.settlement is not None else ""
    days = (expiry.expiry - today).days
    return f"{expiry.expiry.day} {expiry.expiry:%b %y} ({days} d), {expiry.root}{settles}"


def _choice(asked: str, listed: Sequence[ChainExpiry], today: date) -> ChainExpiry | None:
    """The expiry chosen; at first the one that a roll leads to, else the nearest."""
    roll: Roll | None = st.session_state.get(ROLL)
    target = None if roll is None else expiry_after(roll, listed)
    names = {expiry_words(expiry, today): expiry for expiry in listed}
    key = f"chain_expiry_{short(asked)}"
    if target is not None and st.session_state.pop(FRESH, False):
        st.session_state[key] = expiry_words(target, today)
    if st.session_state.get(key) not in names:
        st.session_state[key] = next(iter(names))
    picked = st.selectbox("Expiry", list(names), key=key, width=320)
    return names.get(str(picked))


def about(expiry: ChainExpiry) -> str:
    """The name of a chain: what is asked and answered under it is of this expiry only."""
    return f"{expiry.underlying}|{expiry.expiry.isoformat()}|{expiry.root}"


def _rows_of(service: Engine, expiry: ChainExpiry, now: datetime, watcher: str) -> None:
    """Ask for the chain of `expiry` and draw what is known of it, and of no other."""
    name, last = about(expiry), newest(CHAIN)
    if last is not None and last.about != name:
        last = None
    problem = _trouble(name, trouble(last, now, watcher), told_now=last is not None and bool(last.content))
    late = last is not None and now - last.time >= AGAIN
    body = {"underlying": expiry.underlying, "expiry": expiry.expiry.isoformat(), "root": expiry.root}
    ask(service, CHAIN, Kind.CHAIN, body, name, again=late)
    told = answered(CHAIN, name)
    listing = Listing(()) if told is None else _read(_LISTING, told.content)
    if isinstance(listing, str):
        st.html(one(Level.UNKNOWN, listing))
        return
    if told is not None and told.answer is not None:
        complete_roll(expiry, listing.rows)
        st.html(_age((now - told.answer.time).total_seconds(), listing.rows, told.answer.time, problem))
    else:
        st.html(one(Level.UNKNOWN, problem or "Asking for quotes of this expiry …"))
    _table(name, listing)


def _trouble(name: str, words: str, *, told_now: bool) -> str:
    """What went wrong with the last question about a chain; kept while the next one is on its way."""
    known: tuple[str, str] = st.session_state.get(_TROUBLE, ("", ""))
    if words or told_now or known[0] != name:
        known = (name, words)
        st.session_state[_TROUBLE] = known
    return known[1]


def _age(seconds: float, strikes: Sequence[Strike], time: datetime, problem: str) -> str:
    """HTML: how many quotes there are, and how old they are; `time` is that of the answer, `seconds` ago."""
    listed = [side for one in strikes for side in (one.call, one.put) if side is not None]
    quoted = [side for side in listed if side.bid is not None or side.ask is not None]
    words = f"{counted(len(listed), 'option')}, {len(quoted)} with a quote, as of {wording.age(max(seconds, 0.0))} ago"
    ages = [(time - side.quote_time).total_seconds() for side in quoted if side.quote_time is not None]
    oldest = max(ages, default=0.0) + seconds
    words += f"; the oldest quote is {wording.age(oldest)} old" if oldest >= OLD_SECONDS else ""
    if seconds >= OLD_SECONDS or problem:
        return one(Level.UNKNOWN, f"{words}. {problem}".strip())
    return f'<div class="pg-soft">{words}. Click a bid to sell, an ask to buy.</div>'


def _table(name: str, listing: Listing) -> None:
    """Draw the strikes; which ones does not follow the market, so that no row moves under the pointer."""
    middles: dict[str, float] = st.session_state.setdefault(_MIDDLE, {})
    middle = listing.price or at_the_money(listing.rows)
    if name not in middles and middle is not None:
        st.session_state[_MIDDLE] = {name: middle}  # of this expiry only
        middles = st.session_state[_MIDDLE]
    width = st.segmented_control("Strikes", list(NEAR), key="chain_width", default="20 strikes", required=True)
    shown = near(listing.rows, NEAR[str(width)], middles.get(name))
    st.session_state[_DRAWN] = (name, shown)
    key = short(name)
    st.dataframe(
        table_of(shown),
        key=f"chain_{key}",
        height=_HEAD + _ROW * min(len(shown) or _MOST_ROWS, _MOST_ROWS),
        hide_index=True,
        column_config=_formats(key),
        placeholder="?",
        alt="Bid, ask, delta and implied volatility of every strike of this expiry",
    )


def _formats(key: str) -> dict[str, ColumnConfig]:
    column = st.column_config
    config: dict[str, Any] = {"Strike": column.NumberColumn(format="localized", help="Strike of the option.")}
    for title, side, field in COLUMNS:
        if field == "delta":
            config[title] = column.NumberColumn(format="%.2f", help="Of one unit, per $1 of the underlying.")
        elif field == "iv":
            config[title] = column.NumberColumn(format="%.1f", help="Implied volatility a year, in percent.")
        elif field:
            name = f"chain_{side}_{field}_{key}"
            does = "sell one more" if field == "bid" else "buy one more"
            config[title] = column.ButtonColumn(
                help=f"Click to {does}.", key=name, on_click=clicked, args=(name, side, field)
            )
    return config


def clicked(name: str, side: str, field: str) -> None:
    """Take the option whose quote was clicked into the ticket: its bid sells it, its ask buys it."""
    click = st.session_state.get(name)
    _, drawn = st.session_state.get(_DRAWN, ("", ()))
    if click is not None and 0 <= click["row"] < len(drawn):
        row: Side | None = getattr(drawn[click["row"]], side)
        if row is not None:
            take(row.symbol, SELL if field == "bid" else BUY)


def take(symbol: str, side: str) -> None:
    """One more of `symbol` in the package on the ticket; says so when it is full."""
    old = ticket()
    new = with_leg(old, side, symbol)
    if new == old:
        say(f"A package has at most {MAX_LEGS} legs: {symbol} was not added.")
    put(new)
    changed_outside()


# --- the opening half of a roll ---


def _read(kind: TypeAdapter[Any], content: str) -> Any:
    """What an answer holds; words when it cannot be read."""
    try:
        return kind.validate_json(content)
    except ValueError:
        return "The answer cannot be read by this version of the program: nothing of it is shown."

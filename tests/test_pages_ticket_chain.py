"""Legs from a chain and from positions: what is shown is of the expiry chosen, and what is taken is what is meant."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from guardrails.instruments import Right, Settlement
from guardrails.orders import ChainExpiry
from guardrails.requests import Answer, Kind
from guardrails.snapshot.book import PositionRow
from pages._chain_roll import opening
from pages._chain_table import Side, Strike, at_the_money, near
from pages._tables import selected_as
from pages._ticket import Ticket, TicketLeg
from pages._ticket_legs import Roll, closing, expiry_after, flipping, rolling
from pages._wishes import PATIENCE
from tests.books import NOW
from tests.test_pages import Start, book, shown, start, words
from tests.tickets import (
    ACCOUNT,
    LONG,
    SHORT,
    SNAPSHOT,
    TODAY,
    Desk,
    Gate,
    done,
    opened,
    orders_now,
    refused,
    run,
    symbols,
)

__all__ = ["start"]  # a fixture

Open = Callable[..., tuple[Desk, AppTest]]
DEC, JAN = date(2026, 12, 18), date(2027, 1, 15)
LISTED = [
    {"underlying": "SPX", "expiry": DEC.isoformat(), "root": "SPXW", "settlement": "cash_pm"},
    {"underlying": "SPX", "expiry": JAN.isoformat(), "root": "SPX", "settlement": "cash_am"},
    {"underlying": "SPX", "expiry": JAN.isoformat(), "root": "SPXW", "settlement": None},
]
SOLD = next(row for row in SNAPSHOT.positions if row.kind == "index_option")
HELD = replace(
    SNAPSHOT, positions=(replace(SOLD, symbol=LONG, label="SPXW 18Dec26 5600P", strategy="", quantity=-3.0, group="SPX",
                                 broker="IBKR", account="•••4567"), *SNAPSHOT.positions[1:])
)  # fmt: skip
"""three short puts in the place of the first position"""
AT_THE_CLOSE, AT_THE_OPEN = "15 Jan 27 (58 d), SPXW", "15 Jan 27 (58 d), SPX, settled at the open"


def listing(expiry: str, root: str, count: int = 3) -> str:
    """`count` strikes from 5,600 on, puts and calls; the call of 5,700 has no bid."""
    day = date.fromisoformat(expiry)

    def side(right: str, i: int) -> dict[str, Any]:
        return {
            "symbol": f"{root:<6}{day:%y%m%d}{right}{(5600 + 100 * i) * 1000:08d}", "key": "x",
            "bid": None if (right, i) == ("C", 1) else 8.0 + i, "ask": 8.5 + i, "iv": 0.2, "gamma": 0.001,
            "delta": (0.7 - 0.2 * i) * (1 if right == "C" else -1), "quote_time": NOW.isoformat(),
        }  # fmt: skip

    rows = [{"strike": 5600.0 + 100 * i, "call": side("C", i), "put": side("P", i)} for i in range(count)]
    return json.dumps({"underlying": "SPX", "expiry": expiry, "root": root, "price": 5710.0, "rows": rows})


class Exchange(Gate):
    """A gate whose broker lists three expiries of SPX."""

    def __call__(self, kind: str, body: Any) -> Answer | None:
        if kind in self.silent:
            return None
        if kind == Kind.EXPIRIES:
            return done(json.dumps(LISTED)) if body["underlying"] == "SPX" else refused(f"{body['underlying']} unknown")
        if kind == Kind.CHAIN:
            return done(listing(body["expiry"], body["root"]))
        return super().__call__(kind, body)


@pytest.fixture
def ticket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    def begin(gate: Any = None) -> tuple[Desk, AppTest]:
        return opened(tmp_path, monkeypatch, gate or Exchange(), orders_now(), snapshot=HELD)

    return begin


def looking(ticket: Open, gate: Any = None, underlying: str = "SPX") -> tuple[Desk, AppTest]:
    """The page with the chain open."""
    desk, at = ticket(gate)
    at.toggle(key="ticket_chain_open").set_value(True)
    at = run(at)
    at.text_input(key="chain_underlying").set_value(underlying)
    return desk, run(run(run(at)))


def table(at: AppTest) -> Any:
    return next(frame.value for frame in at.dataframe if "Strike" in frame.value.columns)


def expiry_box(at: AppTest) -> Any:
    return next(box for box in at.selectbox if box.label == "Expiry")


def test_the_chain_shows_bid_ask_delta_and_volatility_of_one_expiry(ticket: Open) -> None:
    desk, at = looking(ticket)
    shown = table(at)
    assert list(shown["Strike"]) == [5600, 5700, 5800]
    assert list(shown["Put bid"]) == ["8.00", "9.00", "10.00"]
    assert shown["Call bid"].isna().tolist() == [False, True, False]
    assert list(shown["Put IV %"]) == [20.0, 20.0, 20.0]
    assert "6 options, 6 with a quote, as of 0 s ago" in words(at)
    assert desk.of(Kind.CHAIN)[0].body == {"underlying": "SPX", "expiry": "2026-12-18", "root": "SPXW"}


def test_another_expiry_clears_the_rows_at_once_and_only_its_own_come(ticket: Open) -> None:
    gate = Exchange()
    desk, at = looking(ticket, gate)
    assert len(table(at)) == 3
    gate.silent = {Kind.CHAIN}
    expiry_box(at).set_value(AT_THE_OPEN)
    at = run(at)
    assert len(table(at)) == 0
    assert "Asking for quotes of this expiry" in words(at)
    gate.silent = set()
    at = run(at)
    assert len(table(at)) == 3
    assert desk.of(Kind.CHAIN)[-1].body["root"] == "SPX"


def test_while_it_is_open_the_chain_is_asked_anew_and_keeps_its_rows(ticket: Open) -> None:
    gate = Exchange()
    desk, at = looking(ticket, gate)
    before = len(desk.of(Kind.CHAIN))
    gate.silent = {Kind.CHAIN}
    desk.pass_(3)
    at = run(run(at))
    assert len(desk.of(Kind.CHAIN)) == before + 1
    assert len(table(at)) == 3
    desk.pass_(PATIENCE.total_seconds() + 5)
    said = words(run(at))
    assert "as of 18 s ago" in said
    assert "did not answer in 10 s" in said


def test_what_is_not_listed_or_never_answered_is_said(ticket: Open) -> None:
    _, at = looking(ticket, underlying="QQQQ")
    assert "QQQQ unknown." in words(at)
    assert [button for button in at.button if button.key == "chain_again"]


def test_without_an_underlying_nothing_is_asked(ticket: Open) -> None:
    desk, at = ticket()
    at.toggle(key="ticket_chain_open").set_value(True)
    at = run(at)
    assert desk.asked == []
    assert "Type an underlying" in words(at)


@pytest.mark.parametrize("content", ["{", "[1]", '{"rows": [{"bid": 1.0}]}'])
def test_a_chain_that_cannot_be_read_shows_no_rows(ticket: Open, content: str) -> None:
    class Broken(Exchange):
        def __call__(self, kind: str, body: Any) -> Answer | None:
            return done(content) if kind == Kind.CHAIN else super().__call__(kind, body)

    _, at = looking(ticket, Broken())
    assert "cannot be read by this version" in words(at)
    assert not [frame for frame in at.dataframe if "Strike" in frame.value.columns]


def taken(first: str, second: str) -> None:
    """Two clicks in the chain; imports for itself, as AppTest asks."""
    from pages._chain import take  # noqa: PLC0415  # as said

    take(first, "SELL")
    take(second, "BUY")


def test_a_click_takes_the_leg_into_the_ticket() -> None:
    at = AppTest.from_function(taken, default_timeout=30, kwargs={"first": SHORT, "second": LONG}).run()
    assert not at.exception, at.exception
    assert at.session_state["ticket"].legs == (TicketLeg("SELL", 1, SHORT), TicketLeg("BUY", 1, LONG))
    assert at.session_state["ticket_redraw"]


@pytest.mark.parametrize(
    ("name", "side", "field", "row", "leg"),
    [
        ("c", "put", "bid", 0, TicketLeg("SELL", 1, LONG)),
        ("c", "put", "ask", 1, TicketLeg("BUY", 1, SHORT)),
        ("c", "call", "ask", 0, None),
        ("c", "put", "bid", 7, None),
    ],
)
def test_a_bid_sells_and_an_ask_buys_the_row_that_was_drawn(
    name: str, side: str, field: str, row: int, leg: TicketLeg | None
) -> None:
    def click(name: str, side: str, field: str, row: int, low: str, high: str) -> None:
        import streamlit as st  # noqa: PLC0415  # AppTest runs this text alone

        from pages._chain import clicked  # noqa: PLC0415  # as above
        from pages._chain_table import Side, Strike  # noqa: PLC0415  # as above

        drawn = (Strike(5600.0, None, Side(low)), Strike(5700.0, None, Side(high)))
        st.session_state["chain_drawn"] = ("x", drawn)
        st.session_state[name] = {"row": row, "label": "8.00"}
        clicked(name, side, field)

    given = {"name": name, "side": side, "field": field, "row": row, "low": LONG, "high": SHORT}
    at = AppTest.from_function(click, default_timeout=30, kwargs=given).run()
    assert not at.exception, at.exception
    legs = at.session_state["ticket"].legs if "ticket" in at.session_state else ()
    assert legs == (() if leg is None else (leg,))


def test_a_fifth_leg_is_not_taken_and_that_is_said() -> None:
    def five() -> None:
        from pages._chain import take  # noqa: PLC0415  # AppTest runs this text alone

        for strike in range(5):
            take(f"SPXW  261218P0560{strike}000", "SELL")

    at = AppTest.from_function(five, default_timeout=30).run()
    assert len(at.session_state["ticket"].legs) == 4
    assert "at most 4 legs" in at.session_state["ticket_said"]


def puts(**listed: str) -> tuple[Strike, ...]:
    return tuple(Strike(float(name.removeprefix("k")), put=Side(symbol)) for name, symbol in listed.items())


def test_strikes_stand_around_the_money_and_do_not_follow_it() -> None:
    chain = tuple(Strike(float(k)) for k in range(5000, 5500, 5))
    shown = near(chain, 20, 5250.0)
    assert (shown[0].strike, shown[-1].strike, len(shown)) == (5200.0, 5295.0, 20)
    assert len(near(chain, 20, 9999.0)) == 20
    assert near(chain, None, 5250.0) == near(chain, 20, None) == chain


def test_without_a_price_the_money_is_where_delta_is_a_half() -> None:
    chain = (Strike(5600.0, put=Side(LONG, delta=-0.31)), Strike(5700.0, put=Side(SHORT, delta=-0.52)), Strike(5800.0))
    assert at_the_money(chain) == 5700.0
    assert at_the_money(chain[2:]) is None


# --- from positions ---


def held(symbol: str, quantity: float | None, **more: Any) -> PositionRow:
    first = next(row for row in SNAPSHOT.positions if row.kind in ("option", "index_option"))
    given = {"symbol": symbol, "quantity": quantity, "broker": "IBKR", "account": "•••4567", "kind": "index_option"}
    return replace(first, **(given | more))


def test_closing_turns_every_leg_round_in_packages_without_a_limit() -> None:
    found = closing([held(SHORT, -4), held(LONG, 6)])
    legs = (TicketLeg("BUY", 2, SHORT), TicketLeg("SELL", 3, LONG))
    assert found == Ticket(ACCOUNT, legs, 2)


def test_flipping_is_twice_the_closing_order() -> None:
    found = flipping([held(SHORT, -4)])
    assert found == Ticket(ACCOUNT, (TicketLeg("BUY", 1, SHORT),), 8)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "Select a package first"),
        ([held(SHORT, -1), held(LONG, 1, account="•••0001")], "belongs to one account"),
        ([held(f"SPXW  261218P0560{i}000", 1) for i in range(5)], "at most 4 legs, 5 are selected"),
        ([held(SHORT, None)], "is not known as a whole number"),
        ([held(SHORT, 0.5)], "is not known as a whole number"),
        ([held(SHORT, 0.0)], "is not known as a whole number"),
        ([held("EUR", 5, kind="cash")], "cannot be traded here"),
        ([held(SHORT, 1), held(SHORT, 2)], "stands in two rows"),
    ],
)
def test_what_one_order_cannot_close_is_said(rows: list[PositionRow], told: str) -> None:
    found = closing(rows)
    assert isinstance(found, str)
    assert told in found
    assert flipping(rows) == rolling(rows, TODAY) == found


def test_more_than_the_ticket_takes_is_said_instead_of_breaking_its_fields() -> None:
    assert "more than 100,000" in str(closing([held("SPY", 100_001, kind="equity")]))
    assert not isinstance(closing([held("SPY", 60_000, kind="equity")]), str)
    assert flipping([held("SPY", 60_000, kind="equity")]) == "That is more than 100,000 packages."


def test_a_roll_closes_and_opens_the_same_strikes_later() -> None:
    found = rolling([held(SHORT, -2), held(LONG, 2)], TODAY)
    assert not isinstance(found, str)
    order, roll = found
    assert order == closing([held(SHORT, -2), held(LONG, 2)])
    assert (roll.underlying, roll.expiry, roll.root) == ("SPX", DEC, "SPXW")
    opened_ = opening(roll, puts(k5600="SPXW  270115P05600000", k5700="SPXW  270115P05700000"))
    assert opened_ == (TicketLeg("SELL", 1, "SPXW  270115P05700000"), TicketLeg("BUY", 1, "SPXW  270115P05600000"))
    assert opening(roll, puts(k5600="SPXW  270115P05600000")) == (
        "5700P is not listed there: take what you open from the chain."
    )


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([held("SPY", 100, kind="equity")], "Only options of one underlying and one expiry"),
        ([held(SHORT, -1), held("SPXW  270115P05700000", 1)], "Only options of one underlying and one expiry"),
        ([held(f"SPXW  261218P0560{i}000", 1) for i in range(3)], "roll 2 legs at a time"),
    ],
)
def test_what_cannot_be_rolled_is_said(rows: list[PositionRow], told: str) -> None:
    found = rolling(rows, TODAY)
    assert isinstance(found, str)
    assert told in found


def test_a_roll_goes_to_the_next_expiry_of_its_root_where_there_is_one() -> None:
    roll = Roll("SPX", DEC, "SPXW", (("SELL", 1, Decimal(5700), Right.PUT),))
    monthly, weekly = ChainExpiry("SPX", JAN, "SPX", Settlement.CASH_AM), ChainExpiry("SPX", JAN, "SPXW")
    same = ChainExpiry("SPX", DEC, "SPXW")
    assert expiry_after(roll, [same, monthly, weekly]) == weekly
    assert expiry_after(roll, [same, monthly]) == monthly
    assert expiry_after(roll, [same]) is None


def select(at: AppTest, what: str) -> AppTest:
    """The Positions page with the packages selected whose name holds `what`."""
    at = at.switch_page("positions.py").run()
    names = list(at.dataframe[0].value["What"])
    picked = [i for i, name in enumerate(names) if what in name]
    assert picked, names
    at.session_state[selected_as(at.dataframe[0].value)] = {"selection": {"rows": picked, "columns": [], "cells": []}}
    return run(at)


def test_a_roll_completes_itself_once_the_next_expiry_is_known(ticket: Open) -> None:
    _, at = ticket()
    at = select(at, "18Dec26 5600P")
    at = at.button(key="deed_roll").click().run()
    at = run(run(run(at.switch_page("ticket.py"))))  # AppTest forgets where the script went
    assert expiry_box(at).value == AT_THE_CLOSE
    assert [one.value for one in symbols(at)] == [LONG, "SPXW  270115P05600000"]
    sides = [at.button_group(key=f"ticket_side_{i}").value for i in (0, 1)]
    assert sides == ["BUY", "SELL"]
    assert at.number_input(key="ticket_limit").value is None
    at.text_input(key="ticket_symbol_1").set_value("SPXW  270115P05500000")
    at = run(run(at))
    assert symbols(at)[1].value == "SPXW  270115P05500000"  # the roll is over


def test_selected_positions_open_the_ticket(ticket: Open) -> None:
    _, at = ticket()
    at = at.switch_page("positions.py").run()
    assert [at.button(key=f"deed_{name}").disabled for name in ("close", "roll", "flip", "stress")] == [True] * 4
    at = select(at, "18Dec26 5600P")
    for name, times in (("close", 1), ("flip", 2)):
        at = select(at, "18Dec26 5600P").button(key=f"deed_{name}").click().run()
        assert not at.exception, at.exception
        assert [(one.value, one.proto.default) for one in symbols(at)] == [(LONG, LONG)]  # see _ticket_fields
        assert at.button_group(key="ticket_side_0").value == "BUY"
        assert at.number_input(key="ticket_packages").value == 3 * times
        assert at.selectbox(key="ticket_account").value == ACCOUNT
        assert "Name a limit" in words(at)


def test_a_selection_ends_with_another_filter_because_its_rows_are_other_packages(start: Start) -> None:
    start(book())
    at = select(shown("positions.py"), "SPXW")
    assert not at.button(key="deed_stress").disabled
    at.multiselect(key="pick_broker").set_value(["tastytrade"])
    at = run(at)
    assert len(at.dataframe[0].value)
    assert at.button(key="deed_stress").disabled


def test_stress_opens_scenarios_with_what_is_selected(start: Start) -> None:
    start(book())
    at = select(shown("positions.py"), "SPXW").button(key="deed_stress").click().run()
    assert not at.exception, at.exception
    assert at.multiselect(key="pick_underlying").value == ["SPX"]

"""What is an exit and what is none: quantities, resting orders and cover, by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from guardrails.gate import kinds
from guardrails.gate.kinds import exit_of
from guardrails.orders import OrderState
from guardrails.values import Position
from tests.books import IBKR, TASTY, account, future, option, stock
from tests.gates import ground, order, record, resting

C250, C260, C250_JAN = "AAPL  261218C00250000", "AAPL  261218C00260000", "AAPL  270115C00250000"
P250 = "AAPL  261218P00250000"
P5700, P5600, P5500, P5000 = (f"SPXW  261218P0{strike}000" for strike in (5700, 5600, 5500, 5000))
P5700_JAN = "SPXW  270115P05700000"
ES_CALL, ES_WING = "./ESZ26 261218C6300", "./ESZ26 261218C6400"


def held(symbol: str, n: float, **more: object) -> Position:
    return option(symbol, n, **more)


def es_call(n: float, symbol: str = ES_CALL, on: str = "/ESZ26") -> Position:
    made = order((symbol, -1), limit=-1.0).legs[0].instrument
    return replace(option(P5700, n), instrument=replace(made, underlying=on), multiplier=50.0)


EXITS = {
    "a short is bought back": ([held(P5700, -2)], [(P5700, 1)], 2),
    "a part of a long is sold": ([held(P5700, 3)], [(P5700, -1)], 2),
    "shares that cover nothing": ([stock("AAPL", 100, 250.0)], [("AAPL", -1)], 100),
    "shares beside a short put": ([stock("AAPL", 100, 250.0), held(P250, -1)], [("AAPL", -1)], 100),
    "shares above what the call needs": ([stock("AAPL", 150, 250.0), held(C250, -1)], [("AAPL", -1)], 50),
    "a covered call as a whole": ([stock("AAPL", 100, 250.0), held(C250, -1)], [("AAPL", -100), (C250, 1)], 1),
    "a vertical as a whole": ([held(P5700, -1), held(P5600, 1)], [(P5700, 1), (P5600, -1)], 1),
    "a part of a vertical": ([held(P5700, -2), held(P5600, 2)], [(P5700, 1), (P5600, -1)], 1),
    "a long that covers nothing more": ([held(P5700, -1), held(P5600, 1), held(P5500, 1)], [(P5500, -1)], 1),
    "a long put beside a short call": ([held("SPXW  261218C06300000", -1), held(P5600, 1)], [(P5600, -1)], 1),
    "the front of a calendar": ([held(P5700, -1), held(P5700_JAN, 1)], [(P5700, 1)], 1),
    "a long that expires before the short": ([held(P5700_JAN, -1), held(P5600, 1)], [(P5600, -1)], 1),
    "ten micros beside a short on a mini": ([es_call(-1), future("/MESZ26", 10, 6000.0, 5.0)], [("/MESZ26", -1)], 10),
    "a butterfly as a whole": (
        [held(P5700, 1), held(P5600, -2), held(P5500, 1)], [(P5700, -1), (P5600, 2), (P5500, -1)], 1,
    ),
}  # fmt: skip
AM, PM = "SPX   261218C06100000", "SPXW  261218C06100000"
SHORT_PM, ADJUSTED = "SPXW  261218C06000000", "AAPL1 261218C00260000"
EXITS |= {
    "what settles in the morning, beside a short of the evening": (
        [held(SHORT_PM, -1), held(AM, 1), held(PM, 1)], [(AM, -1)], 1,
    ),
    "an adjusted long beside a short that another long covers": (
        [held(C250, -1), held(C260, 1), held(ADJUSTED, 1)], [(ADJUSTED, -1)], 1,
    ),
}  # fmt: skip
EXITS |= {
    "a vertical, the short on a future that is not named": (
        [es_call(-1, on="/ES"), es_call(1, ES_WING)], [(ES_CALL, 1), (ES_WING, -1)], 1,
    ),
    "a short whose multiplier is none": ([held(P5700, -1, multiplier=0.0), held(P5600, 1)], [(P5700, 1)], 1),
}  # fmt: skip
NO_EXITS = {
    "what settles in the evening, leaving what settles that morning": (
        [held(SHORT_PM, -1), held(AM, 1), held(PM, 1)], [(PM, -1)], 1, "less covered",
    ),
    "the long, leaving an adjusted one of another deliverable": (
        [held(C250, -1), held(C260, 1), held(ADJUSTED, 1)], [(C260, -1)], 1, "less covered",
    ),
    "shares under an adjusted call": (
        [stock("AAPL", 100, 250.0), held(ADJUSTED, -1)], [("AAPL", -1)], 1, "less covered",
    ),
    "more than is held": ([held(P5700, -2)], [(P5700, 1)], 3, "crosses zero"),
    "the same way round": ([held(P5700, -2)], [(P5700, -1)], 1, "not held"),
    "what is not held": ([], [(P5700, 1)], 1, "not held"),
    "a quantity that is not known": ([held(P5700, None)], [(P5700, 1)], 1, "not known"),
    "the wing of a vertical": ([held(P5700, -1), held(P5600, 1)], [(P5600, -1)], 1, "less covered"),
    "the near wing of two": ([held(P5700, -1), held(P5600, 1), held(P5000, 1)], [(P5600, -1)], 1, "less covered"),
    "the shares under a call": ([stock("AAPL", 100, 250.0), held(C250, -1)], [("AAPL", -1)], 1, "less covered"),
    "short shares": ([stock("AAPL", -100, 250.0), held(P250, -1)], [("AAPL", 1)], 100, "less covered"),
    "the back of a calendar": ([held(P5700, -1), held(P5700_JAN, 1)], [(P5700_JAN, -1)], 1, "less covered"),
    "the only long that lives as long": (
        [held(C250_JAN, -1), held(C260, 1), held("AAPL  270115C00260000", 1)], [("AAPL  270115C00260000", -1)], 1,
        "less covered",
    ),
    "a future": ([es_call(-1), future("/ESZ26", 1, 6000.0, 50.0)], [("/ESZ26", -1)], 1, "less covered"),
    "the wing of a short on a future that is not named": (
        [es_call(-1, on="/ES"), es_call(1, ES_WING)], [(ES_WING, -1)], 1, "less covered",
    ),
    "a wing on a future that is not named": (
        [es_call(-1), es_call(1, ES_WING, on="/ES")], [(ES_WING, -1)], 1, "less covered",
    ),
    "the only wing on the March future, as the short may be on that": (
        [es_call(-1, on="/ES"), es_call(1, ES_WING), es_call(1, "./ESH27 270319C6500", on="/ESH27")],
        [("./ESH27 270319C6500", -1)], 1, "less covered",
    ),
    "the wing of a short whose multiplier is none": (
        [held(P5700, -1, multiplier=0.0), held(P5600, 1)], [(P5600, -1)], 1, "the multiplier",
    ),
    "a roll": ([held(P5700, -1)], [(P5700, 1), (P5700_JAN, -1)], 1, "not held"),
    "one leg that opens": ([held(P5700, -1)], [(P5700, 1), (P5600, -1)], 1, "not held"),
    "cover in a multiplier that is not known": (
        [held(P5700, -1, multiplier=None), held(P5600, 1)], [(P5600, -1)], 1, "multiplier",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXITS)
def test_an_exit_is_known_from_quantities_and_contracts(name: str) -> None:
    positions, legs, quantity = EXITS[name]
    found = exit_of(order(*legs, quantity=quantity, limit=1.0), ground(*positions))
    assert (found.holds, found.why) == (True, "")


@pytest.mark.parametrize("name", NO_EXITS)
def test_what_opens_crosses_zero_or_uncovers_is_no_exit(name: str) -> None:
    positions, legs, quantity, why = NO_EXITS[name]
    found = exit_of(order(*legs, quantity=quantity, limit=1.0), ground(*positions))
    assert not found.holds
    assert why in found.why


def test_another_account_neither_holds_nor_covers() -> None:
    both = [account(), account(TASTY)]
    elsewhere = ground(option(P5700, -2, account=TASTY), accounts=both)
    assert not exit_of(order((P5700, 1), limit=1.0), elsewhere).holds
    cover = ground(option(P5700, -1), option(P5600, 1), option(P5500, 5, account=TASTY), accounts=both)
    assert not exit_of(order((P5600, -1), limit=-1.0), cover).holds


def test_confirmed_positions_count_and_not_those_of_the_book() -> None:
    on = ground(option(P5700, -2))
    key = option(P5700, -2).instrument.key
    close = order((P5700, 1), quantity=2, limit=1.0)
    assert exit_of(close, replace(on, confirmed={IBKR: {key: -2.0}})).confirmed
    assert not exit_of(close, replace(on, confirmed={IBKR: {key: -1.0}})).holds
    assert not exit_of(close, replace(on, confirmed={IBKR: {}})).holds
    unknown = ground(option(P5700, None), confirmed={IBKR: {key: -2.0}})
    assert exit_of(close, unknown).holds


def test_a_short_that_only_the_broker_knows_keeps_its_cover() -> None:
    """The book has the long alone; the broker confirms a short beside it, which nobody here holds."""
    short, long = option(P5700, -1).instrument.key, option(P5600, 1).instrument.key
    sell = order((P5600, -1), limit=-1.0)
    assert exit_of(sell, ground(option(P5600, 1))).holds
    on = ground(option(P5600, 1), confirmed={IBKR: {long: 1.0, short: -1.0}})
    assert not exit_of(sell, on).holds
    short, wing = es_call(-1).instrument.key, es_call(1, ES_WING)
    on = ground(wing, confirmed={IBKR: {wing.instrument.key: 1.0, short: -1.0}})  # its key does not name the future
    assert not exit_of(order((ES_WING, -1), limit=-1.0), on).holds
    odd = ground(option(P5600, 1), confirmed={IBKR: {long: 1.0, "other:WARRANT XYZ 2027": -1.0}})
    assert "cannot be read" in exit_of(sell, odd).why


def test_working_orders_that_close_the_same_take_their_part() -> None:
    on = ground(option(P5700, -5), working=(resting((P5700, 1), quantity=3, filled=1),))
    close = order((P5700, 1), quantity=3, limit=1.0)
    assert exit_of(close, on).holds  # 5 held, 2 rest, 3 are free
    four = exit_of(replace(close, quantity=4), on)
    assert (four.holds, four.fits, len(four.resting)) == (False, 3, 1)
    done = (resting((P5700, 1), quantity=5, state=OrderState.CANCELLED),)
    assert exit_of(replace(close, quantity=5), replace(on, working=done)).holds
    elsewhere = (resting((P5700, 1), quantity=5, owner=TASTY),)
    assert exit_of(replace(close, quantity=5), replace(on, working=elsewhere)).holds
    opening = (resting((P5700, -1), quantity=5),)
    assert exit_of(replace(close, quantity=5), replace(on, working=opening)).holds


@pytest.mark.parametrize("broken", [math.nan, math.inf, 1.7976931348623157e308])
def test_a_working_order_of_no_known_size_takes_all_that_it_may_close(broken: float) -> None:
    on = ground(option(P5700, -5), option(P5600, -1))
    close = order((P5700, 1), limit=1.0)
    for told in (resting((P5700, 1), quantity=broken), resting((P5700, 1), quantity=3, filled=broken)):
        found = exit_of(close, replace(on, working=(told,)))
        assert (found.holds, found.fits, len(found.resting)) == (False, 0, 1)
        assert exit_of(order((P5600, 1), limit=1.0), replace(on, working=(told,))).holds
        over = replace(told, state=OrderState.CANCELLED)
        assert exit_of(close, replace(on, working=(over,))).holds


def test_an_order_of_ours_counts_before_the_broker_tells_of_it() -> None:
    close = order((P5700, 1), quantity=2, limit=1.0)
    on = ground(option(P5700, -2))
    for state in (OrderState.INTENT_SAVED, OrderState.SENT, OrderState.UNKNOWN, OrderState.CANCEL_REQUESTED):
        assert exit_of(close, replace(on, sent=(record(close, state=state),))).resting
    for state in (OrderState.DRAFT, OrderState.APPROVED, OrderState.CANCELLED, OrderState.REJECTED):
        assert exit_of(close, replace(on, sent=(record(close, state=state),))).holds
    seen = replace(resting((P5700, 1), quantity=2), key="k-1", state=OrderState.CANCELLED)
    assert exit_of(close, replace(on, sent=(record(close),), working=(seen,))).holds  # the broker's word counts
    stored = replace(close, account=IBKR.hidden)
    assert exit_of(close, replace(on, sent=(record(stored, state=OrderState.UNKNOWN),))).resting


def test_a_wing_that_another_order_may_sell_covers_nothing_more() -> None:
    """Two wings over one short: one may go, but not while the sale of the other rests."""
    on = ground(option(P5700, -1), option(P5600, 1), option(P5500, 1))
    sell = order((P5500, -1), limit=-1.0)
    assert exit_of(sell, on).holds
    assert not exit_of(sell, replace(on, working=(resting((P5600, -1)),))).holds
    whole = resting((P5700, 1), (P5600, -1))
    assert exit_of(sell, replace(on, working=(whole,))).holds


def test_money_owed_or_a_short_bond_beside_it_does_not_make_a_close_impossible() -> None:
    short, long = option(P5700, -1).instrument.key, option(P5600, 1).instrument.key
    told = {short: -1.0, long: 1.0, "cash:EUR": -5_000.0, "bond:DE0001102580": -2.0}
    whole = order((P5700, 1), (P5600, -1), limit=1.0)
    found = exit_of(whole, ground(option(P5700, -1), option(P5600, 1), confirmed={IBKR: told}))
    assert (found.holds, found.why) == (True, "")


def test_of_many_working_orders_the_worst_mixture_counts() -> None:
    """3 longs over 1 short; one short more and a sale of one long leave no long to spare, whatever verticals rest."""
    on = ground(option(SHORT_PM, -1), option(PM, 3))
    sell = order((PM, -1), limit=-1.0)
    verticals = tuple(resting((SHORT_PM, -1), (PM, 1), reference=str(n)) for n in range(3))
    more, gone = resting((SHORT_PM, -1), reference="8"), resting((PM, -1), reference="9")
    assert exit_of(sell, replace(on, working=(*verticals, more))).holds
    assert not exit_of(sell, replace(on, working=(*verticals, more, gone))).holds


def test_a_short_is_bought_back_although_the_rest_of_the_book_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(kinds, "holdings_of", broken)
    on = ground(option(P5700, -2), option(P5600, 2))
    close = order((P5700, 1), quantity=2, limit=1.0)
    assert exit_of(close, on).holds
    for working in ((resting((P5700, 1)),), ()):
        assert exit_of(replace(close, quantity=3), replace(on, working=working)).holds is False
    assert not exit_of(close, replace(on, working=(resting((P5700, 1)),))).holds
    assert not exit_of(order((P5600, -1), limit=-1.0), on).holds  # it may be somebody's cover
    assert not exit_of(order((P5600, 1), limit=1.0), on).holds

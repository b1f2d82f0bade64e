"""The blotter: every state in words, nothing called done that no broker has said, everything asked once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from guardrails.orders import OrderState
from guardrails.orders_now import OrdersNow
from guardrails.requests import Kind
from pages._alerts import short
from pages._order_cards import card, package_mid, state_pill
from tests.books import NOW
from tests.test_pages import words
from tests.tickets import TRADING, Desk, Gate, click, done, has, opened, orders_now, other_order, record, run

Open = Callable[..., tuple[Desk, AppTest]]
OURS = short("o1")


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    def begin(orders: OrdersNow | None, gate: Any = None) -> tuple[Desk, AppTest]:
        return opened(tmp_path, monkeypatch, gate or Gate(), orders)

    return begin


@pytest.mark.parametrize("state", list(OrderState))
def test_every_state_has_words_a_sign_and_a_colour(state: OrderState) -> None:
    said = state_pill(state)
    assert 'aria-hidden="true"></span>' not in said
    assert "pg-pill pg-" in said


def test_only_what_is_filled_is_green() -> None:
    assert [state for state in OrderState if "pg-ok" in state_pill(state)] == [OrderState.FILLED]


def test_an_order_says_what_it_is_how_far_it_is_and_what_the_broker_said() -> None:
    working = record(
        OrderState.PARTIAL, average=-8.4, fees=2.6, detail="held <b>locally</b>", rationale="rich", tag="MANUAL"
    )
    legs = {leg.instrument.key: mid for leg, mid in zip(working.order.legs, (40.0, 31.4), strict=True)}
    said = card(working, NOW, legs)
    for told in (
        "SELL 5 SPXW 18Dec26 5700P, BUY 5 SPXW 18Dec26 5600P", "limit credit 8.40, mid credit 8.60", "DAY",
        "IBKR •••4567", "filled 2 of 5 at credit 8.40, 3 may still fill, fees 2.60", "changed 40 s ago",
        "The broker: held &lt;b&gt;locally&lt;/b&gt;", "“rich”", "anna by ticket", "partly filled",
    ):  # fmt: skip
        assert told in said, told


def test_a_mid_needs_every_leg() -> None:
    legs = record().order.legs
    assert package_mid(legs, {legs[0].instrument.key: 40.0}) is None
    assert package_mid((), {}) is None


def test_cancel_is_asked_once_and_called_requested_until_it_is_confirmed(page: Open) -> None:
    desk, at = page(orders_now(records=(record(),)), Gate(other={Kind.CANCEL: done(words_="Requested")}))
    gate_silent = desk.script
    assert isinstance(gate_silent, Gate)
    gate_silent.silent = {Kind.CANCEL}
    at = click(at, f"cancel_{OURS}")
    assert [one.body for one in desk.of(Kind.CANCEL)] == [{"order": "o1"}]
    button = at.button(key=f"cancel_{OURS}")
    assert (button.label, button.disabled) == ("Cancel requested", True)
    desk.orders_now = orders_now(records=(record(OrderState.CANCEL_REQUESTED),))
    desk.pass_(60)
    button = run(at).button(key=f"cancel_{OURS}")
    assert (button.label, button.disabled) == ("Cancel requested", True)
    assert "cancel requested, may still fill" in words(at)
    desk.orders_now = orders_now(records=(record(OrderState.CANCELLED),))
    at = run(at)
    assert not has(at, f"cancel_{OURS}")
    assert "1 order of this session that is over" in [one.label for one in at.expander]


def test_an_order_that_was_not_sent_yet_cannot_be_cancelled(page: Open) -> None:
    _, at = page(orders_now(records=(record(OrderState.INTENT_SAVED),)))
    assert at.button(key=f"cancel_{OURS}").disabled


def test_orders_of_others_are_named_and_those_that_cannot_be_cancelled_are_said_so(page: Open) -> None:
    theirs, fixed = other_order(), other_order(reference="772", cancellable=False, sender="client 5")
    desk, at = page(orders_now(others=(theirs, fixed)))
    assert "sent by <b>TWS</b>, not through the gate" in words(at)
    assert "This program cannot cancel it: cancel it in client 5." in words(at)
    names = [short(f"{one.account} {one.reference}") for one in (theirs, fixed)]
    assert [has(at, f"cancel_{name}") for name in names] == [True, False]
    click(at, f"cancel_{names[0]}")
    assert [one.body for one in desk.of(Kind.CANCEL)] == [{"account": "IBKR •••4567", "reference": "771"}]


def test_an_order_that_cannot_be_read_is_listed_with_the_reason(page: Open) -> None:
    _, at = page(orders_now(others=(other_order(legs=(), unread="a condition of TWS"),)))
    assert "an order that cannot be read (a condition of TWS)" in words(at)


def test_another_limit_is_asked_in_a_dialog_once(page: Open) -> None:
    desk, at = page(orders_now(records=(record(),)))
    at = click(at, f"replace_{OURS}")
    field = next(one for one in at.number_input if str(one.key).startswith("limit_"))
    button = next(one for one in at.button if str(one.key).startswith("do_"))
    at = click(at, button.key)
    assert "That is its limit already." in [one.value for one in at.caption]
    assert desk.of(Kind.REPLACE) == []
    field = next(one for one in at.number_input if str(one.key).startswith("limit_"))
    field.set_value(-8.2)
    at = run(at)
    button = next(one for one in at.button if str(one.key).startswith("do_"))
    assert button.label == "Replace with credit 8.20"
    at = click(at, button.key)
    assert [one.body for one in desk.of(Kind.REPLACE)] == [{"order": "o1", "limit": "-8.2", "reason": ""}]
    assert not [one for one in at.button if str(one.key).startswith("do_")]
    assert len(desk.of(Kind.REPLACE)) == 1


def test_what_is_filled_meanwhile_is_not_replaced(page: Open) -> None:
    desk, at = page(orders_now(records=(record(),)))
    at = click(at, f"replace_{OURS}")
    desk.orders_now = orders_now(records=(record(OrderState.FILLED, filled=5.0),))
    at = run(at)
    assert "It stands differently by now" in words(at)
    assert not [one for one in at.button if str(one.key).startswith("do_")]


def test_an_order_in_doubt_is_resolved_with_a_note_only(page: Open) -> None:
    doubtful = record(OrderState.UNKNOWN, doubt_since=NOW - timedelta(seconds=90), detail="the line broke")
    desk, at = page(orders_now(records=(doubtful,)))
    assert "UNKNOWN: it may live at the broker" in words(at)
    assert "in doubt since 10:28:30 ET" in words(at)
    assert not has(at, f"replace_{OURS}")
    at = click(at, f"resolve_{OURS}")
    button = next(one for one in at.button if str(one.key).startswith("do_"))
    at = click(at, button.key)
    assert "Say what you saw: it is journaled." in [one.value for one in at.caption]
    assert desk.of(Kind.RESOLVE) == []
    next(one for one in at.text_input if str(one.key).startswith("note_")).set_value("not in TWS")
    at = run(at)
    click(at, next(one.key for one in at.button if str(one.key).startswith("do_")))
    assert [one.body for one in desk.of(Kind.RESOLVE)] == [{"order": "o1", "note": "not in TWS"}]


def test_none_is_not_said_of_an_account_whose_orders_are_not_known(page: Open) -> None:
    _, at = page(orders_now())
    assert "No order of ours is working." in words(at)
    unknown = (replace(TRADING[0], orders_known=False), TRADING[1])
    _, at = page(orders_now(trading=unknown))
    assert "No order of ours is working." not in words(at)
    assert "Working orders of IBKR •••4567 are not known" in words(at)


def test_what_just_ended_is_shown_unfolded_the_rejected_first_and_folded_later(page: Open) -> None:
    filled = record(OrderState.FILLED, filled=5.0, changed=NOW)
    rejected = record(OrderState.REJECTED, key="o2", detail="error 201")
    desk, at = page(orders_now(records=(filled, rejected)))
    told = next(one.proto.body for one in at.get("html") if "error 201" in one.proto.body)
    assert told.index("rejected") < told.index("filled 5 of 5")
    assert told.startswith("<div>")  # not the one that is folded
    desk.pass_(301)
    told = next(one.proto.body for one in run(at).get("html") if "error 201" in one.proto.body)
    assert not told.startswith("<div><div")

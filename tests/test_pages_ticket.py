"""The Ticket page: what may be sent and when, that it is sent once, and that nothing of another order stands beside."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from streamlit.testing.v1 import AppTest

from guardrails.gate.values import Override, Reason, Verdict
from guardrails.matrix import MatrixFile
from guardrails.order_json import impact_json
from guardrails.orders import OrderState
from guardrails.orders_now import OrdersNow, TradingRow
from guardrails.requests import Answer, Kind
from guardrails.safety import Cause, Safety, SafetyState
from guardrails.store.database import open_database
from pages._alerts import short
from pages._ticket import Ticket, TicketLeg, divided, limit_words, price_words, read, with_leg
from pages._ticket_standing import standing
from pages._wishes import PATIENCE
from tests.books import NOW, ROOT
from tests.test_pages import words
from tests.test_past import look_at
from tests.tickets import (
    ACCOUNT,
    LONG,
    OTHER,
    SHORT,
    SNAPSHOT,
    TITLE,
    TODAY,
    TRADING,
    VEGA,
    Desk,
    Gate,
    click,
    done,
    has,
    impact,
    opened,
    order_of,
    orders_now,
    record,
    refused,
    run,
    write,
)

Open = Callable[..., tuple[Desk, AppTest]]
WARNING = Reason("advice", Verdict.WARN, "It is close to expiry.")


@pytest.fixture
def ticket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open the page: what answers, what is known of orders, what else the engine is."""

    def begin(gate: Any = None, orders: OrdersNow | str | None = "", **more: Any) -> tuple[Desk, AppTest]:
        known = orders_now() if orders == "" else orders
        return opened(tmp_path, monkeypatch, gate or Gate(), known, **more)  # type: ignore[arg-type]  # "" was replaced

    return begin


def send_button(at: AppTest) -> Any:
    return at.button(key="ticket_send")


def checked(ticket: Open, gate: Gate | None = None, **more: Any) -> tuple[Desk, AppTest]:
    """An order that was typed, judged, and judged again with the broker's margin."""
    desk, at = ticket(gate, **more)
    return desk, click(write(at), "ticket_check")


# --- judging ---


def test_an_empty_ticket_asks_nothing_and_sends_nothing(ticket: Open) -> None:
    desk, at = ticket()
    assert "Nothing is on the ticket" in words(at)
    assert send_button(at).disabled
    assert at.button(key="ticket_check").disabled
    assert desk.asked == []


def test_an_order_is_judged_once_without_a_broker_as_soon_as_it_is_complete(ticket: Open) -> None:
    desk, at = ticket()
    at = run(write(at))
    asked = desk.of(Kind.SIMULATE)
    assert [one.body["preview"] for one in asked] == ["no"]
    order = order_of(asked[0].body)
    assert [(leg.instrument.symbol, leg.ratio) for leg in order.legs] == [(SHORT, -1), (LONG, 1)]
    assert (order.quantity, order.limit, str(order.account)) == (5, -8.4, ACCOUNT)
    assert "Not checked yet" in words(at)
    assert send_button(at).disabled
    assert "U0000004567" not in words(at) + asked[0].body["order"]


def test_before_a_limit_is_named_mid_and_natural_can_be_taken(ticket: Open) -> None:
    desk, at = ticket()
    at = write(at, limit=None)
    assert at.button(key="ticket_mid").label == "Mid: credit 8.40"
    assert at.button(key="ticket_natural").label == "Natural: credit 8.20"
    assert "Name a limit" in words(at)
    at = click(at, "ticket_natural")
    assert at.number_input(key="ticket_limit").value == -8.2
    assert order_of(desk.asked[-1].body).limit == -8.2
    assert "Credit 8.20: you receive at least 8.20 per package" in words(at)


def test_a_limit_that_points_the_other_way_than_the_market_is_said_loudly(ticket: Open) -> None:
    _, at = ticket()
    at = write(at, limit=8.4)
    assert '<div class="pg-wrong" role="alert">Debit 8.40: you pay at most 8.40' in words(at)
    assert "mid is credit 8.40. Is the sign meant?" in words(at)


def test_a_leg_that_cannot_be_read_says_so_beside_itself(ticket: Open) -> None:
    desk, at = ticket()
    at.text_input(key="ticket_symbol_0").set_value("SPXW 2612 banana")
    at = run(at)
    beside = [e.proto.body for e in at.get("html") if "pg-leg-error" in e.proto.body]
    assert "banana" in beside[0].lower()
    assert desk.asked == []
    at.text_input(key="ticket_symbol_0").set_value("SPXW  261016P05700000")
    assert "expired on 16 Oct 2026" in words(run(at))


def test_a_common_factor_must_be_divided_out_and_takes_its_limit_along(ticket: Open) -> None:
    desk, at = ticket()
    at = write(at, quantity=1)
    before = len(desk.asked)
    for i in (0, 1):
        at.number_input(key=f"ticket_quantity_{i}").set_value(2)
    at = run(at)
    assert "multiple of 2" in words(at)
    assert send_button(at).disabled
    assert len([one for one in desk.asked[before:] if '"limit_price": -8.4' in one.body["order"]]) == 0
    at = click(at, "ticket_divide")
    assert at.number_input(key="ticket_packages").value == 2
    assert at.number_input(key="ticket_quantity_0").value == 1
    assert at.number_input(key="ticket_limit").value is None


@pytest.mark.parametrize(("seconds", "side", "limit"), [(60.0, "BUY", 8.4), (0.0, "SELL", -8.4)])
def test_a_browser_that_is_behind_does_not_undo_what_one_click_changed(
    ticket: Open, monkeypatch: pytest.MonkeyPatch, seconds: float, side: str, limit: float
) -> None:
    """What fields held before is sent again by it; later on a person may well type that."""
    monkeypatch.setattr("pages._ticket._ECHO_SECONDS", seconds)
    desk, at = ticket()
    at = click(write(at), "ticket_turn")
    at.button_group(key="ticket_side_0").set_value("SELL")
    at.number_input(key="ticket_limit").set_value(-8.4)
    at.number_input(key="ticket_packages").set_value(7)  # typed meanwhile
    at = run(at)
    assert (at.button_group(key="ticket_side_0").value, at.number_input(key="ticket_limit").value) == (side, limit)
    order = order_of(desk.asked[-1].body)
    assert (order.legs[0].ratio > 0, order.limit, order.quantity) == (side == "BUY", limit, 7)


def test_what_was_typed_survives_another_page_and_a_leg_that_is_added(ticket: Open) -> None:
    _, at = ticket()
    at = write(at)
    at = at.switch_page("risk.py").run().switch_page("ticket.py").run()
    assert not at.exception, at.exception
    assert at.text_input(key="ticket_symbol_0").value == SHORT
    assert at.number_input(key="ticket_packages").value == 5
    at.text_input(key="ticket_symbol_1").set_value("SPY")
    at = click(at, "ticket_add")
    assert [one.value for one in at.text_input][:3] == [SHORT, "SPY", ""]


def test_an_account_that_is_gone_is_not_replaced_by_another(ticket: Open) -> None:
    desk, at = checked(ticket)
    desk._last.snapshot = replace(SNAPSHOT, accounts=tuple(row for row in SNAPSHOT.accounts if row.broker != "IBKR"))
    at = run(at)
    assert at.selectbox(key="ticket_account").value == ACCOUNT
    assert "No such account; known are tastytrade" in words(at)
    assert send_button(at).disabled


# --- sending ---


def test_only_a_check_with_the_broker_lets_it_be_sent_and_the_button_says_what(ticket: Open) -> None:
    desk, at = checked(ticket)
    assert [one.body["preview"] for one in desk.of(Kind.SIMULATE)] == ["no", "yes"]
    button = send_button(at)
    assert not button.disabled
    assert button.label.replace("\\", "") == f"Send: {TITLE}"
    assert not has(at, "ticket_yes")
    assert "The approval holds for 30 s more." in words(at)


def test_it_is_sent_by_the_second_step_once_with_its_token(ticket: Open) -> None:
    desk, at = checked(ticket)
    at.text_input(key="ticket_rationale").set_value("rich premium")
    at = click(run(at), "ticket_send")
    assert has(at, "ticket_yes")
    assert desk.of(Kind.SUBMIT) == []
    at = click(at, "ticket_yes")
    sent = desk.of(Kind.SUBMIT)
    assert [one.body["token"] for one in sent] == ["t1"]
    assert sent[0].body["order"] == desk.of(Kind.SIMULATE)[-1].body["order"]
    assert {key: sent[0].body[key] for key in ("reason", "rationale", "origin", "tag")} == {
        "reason": "", "rationale": "rich premium", "origin": "ticket", "tag": "MANUAL",
    }  # fmt: skip
    for _ in range(2):
        at = run(at)
    assert not has(at, "ticket_yes")
    assert send_button(at).disabled
    assert "This approval has been used" in words(at)
    assert "The approval holds" not in words(at)
    assert len(desk.of(Kind.SUBMIT)) == 1
    assert f"Send: {TITLE}: done: Sent." in words(at).replace("done: done", "done")


def test_a_double_click_sends_once(ticket: Open) -> None:
    desk, at = checked(ticket)
    at = click(at, "ticket_send")
    yes = at.button(key="ticket_yes")
    yes.click()
    at = run(at)
    assert len(desk.of(Kind.SUBMIT)) == 1
    at = AppTest.from_function(twice, default_timeout=30, kwargs={"desk": desk}).run()
    assert not at.exception, at.exception
    assert [one.body["token"] for one in desk.of(Kind.SUBMIT)] == ["t1", "again"]


def twice(desk: object) -> None:
    """Both clicks of a double click, before anything was drawn in between; imports for itself, as AppTest asks."""
    from pages._ticket_send import begin, send  # noqa: PLC0415  # as said

    begin("again", "text")
    for _ in range(2):
        send(desk, "again", "text", "title", ("", ""))  # type: ignore[arg-type]  # builtins only are known here
    desk.pass_(60)  # type: ignore[attr-defined]  # as above: nothing of the first is awaited any more
    begin("again", "text")
    send(desk, "again", "text", "title", ("", ""))  # type: ignore[arg-type]  # as above


def test_any_change_of_the_order_takes_the_second_step_away(ticket: Open) -> None:
    desk, at = checked(ticket)
    at = click(at, "ticket_send")
    assert has(at, "ticket_yes")
    at.number_input(key="ticket_packages").set_value(4)
    at = run(at)
    assert not has(at, "ticket_yes")
    assert send_button(at).disabled
    at.number_input(key="ticket_packages").set_value(5)
    assert not has(run(at), "ticket_yes")
    assert desk.of(Kind.SUBMIT) == []


def test_a_click_that_comes_with_what_was_typed_is_about_what_is_on_screen(ticket: Open) -> None:
    desk, at = checked(ticket)
    at.number_input(key="ticket_packages").set_value(4)  # left by the click itself
    at = click(at, "ticket_check")
    assert json.loads(desk.of(Kind.SIMULATE)[-1].body["order"])["legs"][0]["quantity"] == 4
    at = click(run(at), "ticket_send")
    at.number_input(key="ticket_packages").set_value(5)
    at = click(at, "ticket_yes")
    assert desk.of(Kind.SUBMIT) == []
    assert "Nothing was sent: the order was changed" in words(at)
    at = click(run(click(at, "ticket_check")), "ticket_send")
    assert "Nothing was sent" not in words(at)


def test_a_click_is_not_lost_where_another_part_wants_the_page_drawn_anew(ticket: Open) -> None:
    desk, at = ticket(orders=orders_now(records=(record(),)))
    at.session_state["ticket_redraw"] = True
    click(at, f"cancel_{short('o1')}")
    assert [one.body for one in desk.of(Kind.CANCEL)] == [{"order": "o1"}]


def test_a_click_that_is_sent_twice_turns_the_order_round_once() -> None:
    at = AppTest.from_function(turned_twice, default_timeout=30).run()
    assert not at.exception, at.exception
    assert at.text[0].value == "SELL"


def turned_twice() -> None:
    """A click with the tick that came before it; imports for itself, as AppTest asks."""
    import streamlit as st  # noqa: PLC0415  # as said

    from pages._ticket import Ticket as Written  # noqa: PLC0415  # as said
    from pages._ticket import put, ticket  # noqa: PLC0415  # as said
    from pages._ticket_fields import _turned, once  # noqa: PLC0415  # as said

    put(Written())
    for _ in range(2):
        once("nonce", _turned)
    st.text(ticket().legs[0].side)


def test_no_takes_the_second_step_back(ticket: Open) -> None:
    desk, at = checked(ticket)
    at = click(click(at, "ticket_send"), "ticket_no")
    assert not has(at, "ticket_yes")
    assert not send_button(at).disabled
    assert desk.of(Kind.SUBMIT) == []


def test_an_approval_runs_out_in_sight_and_takes_the_second_step_with_it(ticket: Open) -> None:
    desk, at = checked(ticket)
    at = click(at, "ticket_send")
    desk.pass_(24)
    at = run(at)
    assert "The approval holds for 6 s more." in words(at)
    assert has(at, "ticket_yes")
    desk.pass_(6)
    at = run(at)
    assert "The approval has run out" in words(at)
    assert not has(at, "ticket_yes")
    assert send_button(at).disabled
    at = click(at, "ticket_check")
    assert not send_button(at).disabled
    assert not has(at, "ticket_yes")


def test_a_warning_needs_a_reason_which_goes_with_the_order(ticket: Open) -> None:
    desk, at = checked(ticket, Gate({"verdict": Verdict.WARN, "reasons": (WARNING,)}))
    assert "WARN</span> <b>It is close to expiry.</b>" in words(at)
    assert send_button(at).disabled
    assert "say in one line why" in words(at)
    at.text_input(key="ticket_reason").set_value("   ")
    assert send_button(run(at)).disabled
    at.text_input(key="ticket_reason").set_value("rolled tomorrow")
    at = click(click(run(at), "ticket_send"), "ticket_yes")
    assert desk.of(Kind.SUBMIT)[0].body["reason"] == "rolled tomorrow"


@pytest.mark.parametrize(("typed", "sent"), [("rolled on Monday", ["rolled on Monday"]), ("  ", [])])
def test_the_reason_that_goes_with_the_order_is_the_one_on_screen(ticket: Open, typed: str, sent: list[str]) -> None:
    desk, at = checked(ticket, Gate({"verdict": Verdict.WARN, "reasons": (WARNING,)}))
    at.text_input(key="ticket_reason").set_value("rolled tomorrow")
    at = click(run(at), "ticket_send")
    at.text_input(key="ticket_reason").set_value(typed)  # left by the very press
    at = click(at, "ticket_yes")
    assert [one.body["reason"] for one in desk.of(Kind.SUBMIT)] == sent
    assert sent or "Nothing was sent: the reason was taken out." in words(at)


def test_what_is_blocked_is_not_sent_and_offers_what_would_pass(ticket: Open) -> None:
    gate = Gate({"verdict": Verdict.BLOCK, "reasons": (VEGA,), "max_quantity": 2})
    desk, at = checked(ticket, gate)
    assert "BLOCK</span> <b>Short vega −5,020 past −3,500. 2 of 5 would pass.</b>" in words(at)
    assert send_button(at).disabled
    gate.more = {}
    at = click(at, "ticket_offer")
    assert at.number_input(key="ticket_packages").value == 2
    assert order_of(desk.asked[-1].body).quantity == 2
    assert send_button(at).disabled
    at = click(at, "ticket_check")
    assert not send_button(at).disabled


@pytest.mark.parametrize("most", [0, None])
def test_where_nothing_would_pass_nothing_is_offered(ticket: Open, most: int | None) -> None:
    _, at = checked(ticket, Gate({"verdict": Verdict.BLOCK, "reasons": (VEGA,), "max_quantity": most}))
    assert not has(at, "ticket_offer")


def test_a_refusal_at_submit_says_that_nothing_was_sent(ticket: Open) -> None:
    _, at = checked(ticket, Gate(submitted=refused("Blocked: short vega")))
    at = click(click(at, "ticket_send"), "ticket_yes")
    assert "not done: Blocked: short vega." in words(at)
    assert "Nothing was sent" in words(at)
    assert "It was refused after this verdict was given. Check again." in words(at)
    assert '<div class="pg-stale">' in words(at)


def test_a_verdict_of_before_the_safety_state_was_changed_is_not_one_of_now(ticket: Open) -> None:
    stopped = Safety(SafetyState.STOPPED, NOW + timedelta(seconds=1), Cause.PERSON, "Bea", "two windows")
    _, at = checked(ticket, orders=orders_now(safety=stopped))
    assert "The safety state was set to STOPPED since this was judged. Check again." in words(at)
    assert '<div class="pg-stale">' in words(at)


def test_a_submit_that_nobody_answers_is_not_called_sent(ticket: Open) -> None:
    desk, at = checked(ticket, Gate(silent={Kind.SUBMIT}))
    at = click(click(at, "ticket_send"), "ticket_yes")
    assert "asked this program 0 s ago" in words(at)
    desk.pass_(PATIENCE.total_seconds() + 1)
    said = words(run(at))
    assert "did not answer in 10 s" in said
    assert len(desk.of(Kind.SUBMIT)) == 1


def test_what_was_sent_is_told_as_it_is_now_and_no_verdict_of_before_stands_beside_it(ticket: Open) -> None:
    desk, at = checked(ticket)
    desk.orders_now = orders_now(records=(record(OrderState.WORKING, filled=0.0),))
    at = click(click(at, "ticket_send"), "ticket_yes")
    assert "working, filled 0 of 5, 5 may still fill." in words(at)
    assert "pg-verdict" not in words(at)
    assert "What was judged before it was sent" in words(at)
    click(at, "cancel_ticket_sent")
    assert [one.body for one in desk.of(Kind.CANCEL)] == [{"order": "o1"}]
    desk.orders_now = orders_now(records=(record(OrderState.FILLED, filled=5.0, average=-8.4),))
    at = run(at)
    assert ": filled 5 of 5 at credit 8.40." in words(at)
    assert "WORKING" not in words(at)
    assert not has(at, "cancel_ticket_sent")


def test_an_override_in_force_is_shown_and_ended_by_one_click(ticket: Open) -> None:
    over = Override("v1", "short_vega", "portfolio", "anna", "expiry", NOW, NOW + timedelta(minutes=12))
    desk, at = ticket(orders=orders_now(overrides=(over, replace(over, key="v2", ended=NOW))))
    assert "is overridden by anna: “expiry”; it ends in 12 min" in words(at)
    assert not has(at, "end_override_v2")
    click(at, "end_override_v1")
    assert [one.body for one in desk.of(Kind.END_OVERRIDE)] == [{"override": "v1"}]


# --- never an Impact of another order ---


def test_an_impact_of_the_order_before_is_greyed_and_named(ticket: Open) -> None:
    gate = Gate()
    _, at = ticket(gate)
    at = write(at)
    gate.silent = {Kind.SIMULATE}
    at.number_input(key="ticket_packages").set_value(4)
    said = words(run(at))
    assert '<div class="pg-stale"><b>Of the order before, not of this one:</b>' in said
    assert "pg-verdict" not in said
    assert "Being judged …" in said


def test_an_answer_about_another_order_is_not_shown_as_this_one(ticket: Open) -> None:
    class Wrong(Gate):
        def __call__(self, kind: str, body: Any) -> Answer | None:
            order = replace(order_of(body), quantity=4)
            return done(impact_json(impact(order)))

    _, at = ticket(Wrong())
    at = click(write(at), "ticket_check")
    assert "The answer is about another order" in words(at)
    assert "pg-verdict" not in words(at)
    assert send_button(at).disabled


@pytest.mark.parametrize("content", ["{", "[]", '{"time": 1}'])
def test_an_answer_that_cannot_be_read_approves_nothing(ticket: Open, content: str) -> None:
    _, at = ticket(lambda kind, body: done(content))
    at = click(write(at), "ticket_check")
    assert "cannot be read by this version" in words(at)
    assert send_button(at).disabled


def test_an_answer_that_never_comes_is_said_after_ten_seconds(ticket: Open) -> None:
    desk, at = ticket(Gate(silent={Kind.SIMULATE}))
    at = write(at)
    assert "Being judged …" in words(at)
    desk.pass_(PATIENCE.total_seconds())
    at = run(at)
    assert "did not answer in 10 s: nothing is known" in words(at)
    assert send_button(at).disabled
    assert not at.button(key="ticket_check").disabled


def test_what_is_refused_says_why(ticket: Open) -> None:
    _, at = ticket(lambda kind, body: refused("5,701 is not a listed strike"))
    assert "5,701 is not a listed strike." in words(write(at))


def test_an_old_judgement_is_said_to_be_old(ticket: Open) -> None:
    desk, at = checked(ticket)
    desk.pass_(61)
    assert "Judged 1 min ago: the book has moved on since" in words(run(at))


# --- every state of the house ---


def test_without_a_book_it_says_what_it_waits_for(ticket: Open) -> None:
    desk, at = ticket(snapshot=None)
    assert "No data yet" in words(at)
    assert at.selectbox(key="ticket_account").disabled
    assert desk.asked == []


def test_with_trading_off_it_simulates_and_says_what_to_set(ticket: Open) -> None:
    off = (TradingRow(ACCOUNT, "ibkr", "Trading is off for IBKR"), TRADING[1])
    _, at = checked(ticket, orders=orders_now(trading=off))
    assert "pg-verdict-ok" in words(at)
    assert "<b>cannot send</b>: Trading is off for IBKR. IBKR_TRADING=paper" in words(at)
    assert send_button(at).disabled


def test_while_orders_are_not_known_nothing_is_sent(ticket: Open) -> None:
    _, at = checked(ticket, orders=None)
    assert "orders have not been heard of" in words(at)
    assert "Which orders work is not known" in words(at)
    assert send_button(at).disabled


def test_an_account_of_which_nothing_is_known_is_not_traded(ticket: Open) -> None:
    _, at = checked(ticket, orders=orders_now(trading=TRADING[1:]))
    assert f"It is not known whether orders can be sent for {ACCOUNT}" in words(at)
    assert send_button(at).disabled


def test_a_reader_asks_the_program_that_watches(ticket: Open) -> None:
    desk, at = checked(ticket, Gate(silent={Kind.SUBMIT}), watched_by="desk-2")
    at = click(click(at, "ticket_send"), "ticket_yes")
    assert len(desk.of(Kind.SUBMIT)) == 1
    assert "asked the watching program on desk-2 0 s ago" in words(at)


def test_of_the_past_no_order_is_written(ticket: Open, tmp_path: Path) -> None:
    database = open_database(tmp_path / "kept", lambda: NOW)
    desk, at = ticket(database=database)
    at = look_at(at).switch_page("ticket.py").run()
    assert not at.exception, at.exception
    assert "You look at the past, and orders are of now" in words(at)
    assert not has(at, "ticket_send")
    assert desk.asked == []
    database.close()


def stands(**more: Any) -> str:
    from pages._moment import Moment  # noqa: PLC0415  # beside its use

    shown = replace(SNAPSHOT, market_open=more.pop("market_open", True))
    moment = Moment(NOW, shown, old=False, trouble=(), health=None, matrix=None)
    return standing(orders_now(**more), moment, "this program")


@pytest.mark.parametrize(
    ("safety", "told"),
    [
        (Safety(SafetyState.NO_NEW_RISK, NOW - timedelta(minutes=5), Cause.DAILY_LOSS, "the program", "daily loss"),
         "</span> NO_NEW_RISK</span>: exits and hedges pass, new risk is blocked since 10:25:00 ET (5 min "
         "ago), set by the program: daily loss."),
        (Safety(SafetyState.STOPPED, leave="Step to REDUCE_ONLY on Safety."),
         "</span> STOPPED</span>: this program sends nothing at all; orders that rest at the brokers stay there."),
        (Safety(SafetyState.STOPPED), "To leave it: A person can step to REDUCE_ONLY at any time"),
        (Safety(SafetyState.REDUCE_ONLY, until=NOW + timedelta(minutes=12)), "NORMAL again in 12 min at the earliest."),
        (Safety(), "NORMAL</b>: every order goes through the gate."),
    ],
)  # fmt: skip
def test_the_safety_state_is_told_with_its_way_out(safety: Safety, told: str) -> None:
    assert told in stands(safety=safety)


def test_live_paper_unknown_orders_and_unguarded_fills_are_told_in_words() -> None:
    rows = (replace(TRADING[0], paper=False), replace(TRADING[0], orders_known=False))
    said = stands(trading=rows, discipline=replace(orders_now().discipline, unguarded=1, unguarded_words=("−1 SPX",)))
    assert "LIVE, orders are real" in said
    assert "Its working orders are not known, so new risk is blocked." in said
    assert "1 fill that did not come through the gate</b>: −1 SPX" in said
    assert "no account" in stands(trading=()).lower()


def test_a_closed_market_and_old_words_about_orders_are_told() -> None:
    assert "The stock market is closed" in stands(market_open=False)
    assert "What is said of orders here is 30 s old" in stands(as_of=NOW - timedelta(seconds=30))
    assert "the store is away" in stands(problem="the store is away")


# --- overrides ---


@pytest.fixture
def lenient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A matrix in which short vega may be overridden for an hour."""
    told = yaml.safe_load((ROOT / "risk_matrix.yaml").read_text(encoding="utf-8"))
    told["orders"] = {**told.get("orders", {}), "overridable": ["short_vega"], "override_minutes": 60}
    file = tmp_path / "lenient.yaml"
    file.write_text(yaml.safe_dump(told), encoding="utf-8")
    monkeypatch.setattr("tests.tickets.MATRIX_FILE", MatrixFile.open(file))


BLOCKED: dict[str, Any] = {"verdict": Verdict.BLOCK, "reasons": (VEGA,)}


@pytest.mark.usefixtures("lenient")
def test_a_block_that_may_be_overridden_is_overridden_for_a_while_with_a_reason(ticket: Open) -> None:
    desk, at = checked(ticket, Gate(BLOCKED, other={Kind.OVERRIDE: done(words_="In force until 10:45")}))
    at = click(at, "ticket_override_do")
    assert "Say why: nothing was overridden." in words(at)
    assert desk.of(Kind.OVERRIDE) == []
    at.text_input(key="ticket_override_why").set_value("hedge comes at the close")
    at.number_input(key="ticket_override_minutes").set_value(20)
    at = click(run(at), "ticket_override_do")
    assert [dict(one.body) for one in desk.of(Kind.OVERRIDE)] == [
        {"check": "short_vega", "subject": "portfolio", "reason": "hedge comes at the close", "minutes": "20"}
    ]
    assert "In force until 10:45" in words(run(at))
    assert send_button(at).disabled


@pytest.mark.usefixtures("lenient")
def test_an_override_is_of_what_the_fields_hold_when_it_is_pressed(ticket: Open) -> None:
    other = replace(VEGA, subject="account:IBKR •••4567")
    desk, at = checked(ticket, Gate({**BLOCKED, "reasons": (VEGA, other)}))
    which = at.selectbox(key="ticket_override_which")
    assert len(which.options) == 2
    which.set_value(which.options[1])
    at.text_input(key="ticket_override_why").set_value("of this account only")
    at.number_input(key="ticket_override_minutes").set_value(5)
    click(at, "ticket_override_do")
    assert [dict(one.body) for one in desk.of(Kind.OVERRIDE)] == [
        {"check": "short_vega", "subject": other.subject, "reason": "of this account only", "minutes": "5"}
    ]


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (replace(VEGA, check="daily_loss"), SafetyState.NORMAL),
        (Reason("margin_unknown", Verdict.BLOCK, "No margin."), SafetyState.NORMAL),
        (replace(VEGA, overridden=True), SafetyState.NORMAL),
        (VEGA, SafetyState.REDUCE_ONLY),
        (VEGA, SafetyState.STOPPED),
    ],
)
def test_what_may_not_be_overridden_has_no_override(ticket: Open, reason: Reason, state: SafetyState) -> None:
    _, at = checked(ticket, Gate({**BLOCKED, "reasons": (reason,)}), orders=orders_now(safety=Safety(state)))
    assert not has(at, "ticket_override_do")


def test_the_shipped_matrix_lets_nothing_be_overridden(ticket: Open) -> None:
    _, at = checked(ticket, Gate(BLOCKED))
    assert not has(at, "ticket_override_do")


# --- the order itself ---


@pytest.mark.parametrize(
    ("price", "told"),
    [(-8.4, "credit 8.40"), (2.05, "debit 2.05"), (0.0, "even"), (None, "?"), (0.00015, "debit 0.00015")],
)
def test_a_price_is_said_in_words(price: float | None, told: str) -> None:
    assert price_words(price) == told


def test_a_limit_with_the_sign_of_the_market_is_not_doubted() -> None:
    assert "sign" not in limit_words(-8.4, -8.3)
    assert "sign" not in limit_words(-8.4, None)
    assert "sign" in limit_words(-8.4, 8.3)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"account": ""}, "Account is missing; known are IBKR •••4567, tastytrade •••0001."),
        ({"packages": 0}, "Name a quantity of at least 1"),
        ({"limit": None}, "Name a limit"),
        ({"type": "MARKET", "limit": None}, "Options and packages are traded with a limit only"),
        ({"type": "MOC", "limit": None}, "Options and packages are traded with a limit only"),
        ({"limit": float("nan")}, "limit_price is missing or no number"),
        ({"limit": float("inf")}, "limit_price is missing or no number"),
        ({"legs": (TicketLeg("BUY", 1, SHORT), TicketLeg("SELL", 1, SHORT))}, "An instrument stands in two legs"),
        ({"legs": (TicketLeg("BUY", 0, SHORT),)}, "Name a quantity of at least 1"),
        ({"legs": tuple(TicketLeg("BUY", 1, f"SPXW  261218P0{k}000") for k in range(5000, 5005))}, "1 to 4 legs"),
    ],
)
def test_what_is_wrong_with_an_order_is_said_and_it_is_no_order(changed: dict[str, Any], told: str) -> None:
    good = Ticket(ACCOUNT, (TicketLeg("SELL", 1, SHORT), TicketLeg("BUY", 1, LONG)), 2, limit=-8.4)
    assert read(good, (ACCOUNT, OTHER), TODAY).order is not None
    found = read(replace(good, **changed), (ACCOUNT, OTHER), TODAY)
    assert found.order is None
    assert found.text == ""
    assert told.casefold() in found.problem.casefold()


def test_spaces_in_a_symbol_make_no_other_order() -> None:
    good = Ticket(ACCOUNT, (TicketLeg("BUY", 1, "SPY"),), 2, limit=600.0)
    typed = replace(good, legs=(TicketLeg("BUY", 1, "  spy "),))
    texts = {read(one, (ACCOUNT,), TODAY).text for one in (good, typed)}
    assert len(texts) == 1
    assert json.loads(texts.pop())["rationale"] == ""


def test_one_click_more_is_one_more_and_the_other_side_takes_it_back() -> None:
    one = with_leg(Ticket(limit=-1.0), "SELL", SHORT)
    two = with_leg(one, "SELL", SHORT)
    assert one.legs == (TicketLeg("SELL", 1, SHORT),)
    assert one.limit is None
    assert two.legs == (TicketLeg("SELL", 2, SHORT),)
    assert with_leg(two, "BUY", SHORT).legs == one.legs
    assert with_leg(one, "BUY", SHORT).legs == (TicketLeg(),)


def test_dividing_never_changes_how_much_is_traded() -> None:
    old = Ticket(legs=(TicketLeg("SELL", 4, SHORT), TicketLeg("BUY", 6, LONG)), packages=3, limit=-8.0)
    new = divided(old)
    assert [leg.quantity * new.packages for leg in new.legs] == [12, 18]
    assert [leg.quantity for leg in new.legs] == [2, 3]
    assert new.limit is None

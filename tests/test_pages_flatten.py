"""The flatten dialog: two clicks to the plan, a phrase before anything is sent, and an end that only positions tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from guardrails.execution.values import FlattenRun, OrderRecord, RunState
from guardrails.flatten.plan_json import plan_json, wish_from
from guardrails.flatten.values import Plan, Scope, Wish
from guardrails.orders import Figure, OrderState, Preview
from guardrails.orders_now import OrdersNow
from guardrails.requests import Answer, Kind
from guardrails.settings import Settings
from pages import _flatten_words
from pages._engine import Wiring
from tests.books import IBKR, NOW, TASTY, market, option
from tests.flattened import holding, planned, put, resting
from tests.test_pages import words
from tests.tickets import Body, Desk, Script, done, refused

SHORT, LONG = put(5700, -2, "8.00 9.00"), put(5600, 2, "5.00 5.60")
APPLE = option("AAPL  261218P00200000", -1, "-0.1 0.01 0.1 -0.1 0.3", TASTY, bid=1.0, ask=1.1, quote_time=NOW)
WORTHLESS = put(5000, -1, "- 0.05")
FREES = Preview(NOW, maintenance_margin=Figure(20_000.0, -9_800.0, 10_200.0), currency="USD")
EMPTY = OrdersNow(NOW)
Begin = Callable[..., tuple[AppTest, Desk]]


def made(wish: Wish | None = None, **more: Any) -> Plan:
    """A spread and a lone short to be closed, one worthless short that is left, an order that is cancelled first."""
    book = holding(SHORT, LONG, APPLE, WORTHLESS, put(5100, -1, "- -"), at=market({"AAPL": 1.2}, AAPL=250.0))
    plan = planned(book, wish, [resting(SHORT, 1, sender="TWS", cancellable=False)], **more)
    return replace(plan, closes=tuple(replace(one, preview=FREES) for one in plan.closes))


def script(**answers: Callable[[Body], Answer | None]) -> Script:
    def told(kind: str, body: Body) -> Answer | None:
        return answers[kind](body) if kind in answers else None

    return told


def planning(body: Body) -> Answer:
    return done(plan_json(made(wish_from(body["wish"]))))


def app() -> None:
    from pages._engine import engine  # noqa: PLC0415  # the script of a page is run by itself
    from pages._flatten import flatten_button, flatten_dialog  # noqa: PLC0415  # as above

    flatten_button(engine())
    flatten_dialog(engine())


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Open a page with the button on an engine that answers by `told`."""

    def opened(
        told: Script | None = None,
        orders: OrdersNow | None = EMPTY,
        watched_by: str = "",
    ) -> tuple[AppTest, Desk]:
        desk = Desk(tmp_path, told or script(flatten_plan=planning), orders, watched_by)
        monkeypatch.setattr("pages._engine.wiring", lambda: Wiring(desk, None, Settings(), None))
        return ran(AppTest.from_function(app, default_timeout=30).run()), desk

    return opened


def ran(at: AppTest) -> AppTest:
    assert not at.exception, at.exception
    return at


def press(at: AppTest, start_of_key: str) -> AppTest:
    return ran(next(one for one in at.button if str(one.key).startswith(start_of_key)).click().run())


def keys(at: AppTest) -> list[str]:
    return [str(one.key) for one in at.button]


def typed(at: AppTest, phrase: str) -> AppTest:
    field = next(one for one in at.text_input if str(one.key).startswith("flatten_phrase"))
    field.input(phrase)
    return press(at, "flatten_go")


# --- from the page to the plan


def test_the_plan_is_two_clicks_away_and_shows_all_of_it(begin: Begin) -> None:
    at, desk = begin()
    assert not desk.asked
    at = press(press(at, "flatten_open"), "flatten_plan")
    assert [one.kind for one in desk.asked] == [Kind.FLATTEN_PLAN]
    assert wish_from(desk.asked[0].body["wish"]) == Wish()
    said = words(at)
    for told in (
        "BUY 1 × SPXW 18Dec26 5700P at 1 GTC, of TWS",
        "Of another program: cancel it there.",
        "BUY 1 × SPXW 18Dec26 5700P + SELL 1 × SPXW 18Dec26 5600P to close as one order, limit 3.20 debit",
        "limit 4.00 debit at worst",
        "closes the long SPXW 18Dec26 5600P as well, opened together with the short",
        "no quote",
        "worth 0.05 or less without a bid: left to expire",
        "frees $9,800 of margin, says the broker",
        "Against the delta meanwhile",
        "Type CLOSE 2 SHORTS to confirm",
    ):
        assert told in said or any(told in field.label for field in at.text_input), told
    assert [one.kind for one in desk.asked] == [Kind.FLATTEN_PLAN]  # nothing else was asked


def test_a_second_click_asks_once_while_the_first_is_on_its_way(begin: Begin) -> None:
    at, desk = begin(script(flatten_plan=lambda _: None))
    at = press(press(at, "flatten_open"), "flatten_plan")
    at = press(at, "flatten_plan")
    assert len(desk.asked) == 1
    assert "Plan: asked this program" in words(at)
    desk.pass_(11)
    at = ran(at.run())
    assert "did not answer" in words(at)
    at = press(at, "flatten_plan")
    assert len(desk.asked) == 2


def test_a_plan_that_is_refused_says_why(begin: Begin) -> None:
    at, _ = begin(script(flatten_plan=lambda _: refused("There is no book yet.")))
    assert "not done: There is no book yet." in words(press(press(at, "flatten_open"), "flatten_plan"))


def test_a_scope_is_chosen_and_a_plan_of_another_choice_cannot_be_confirmed(begin: Begin) -> None:
    at, desk = begin()
    at = press(press(at, "flatten_open"), "flatten_plan")
    at = ran(at.toggle[0].set_value(False).run())
    assert "This plan is of another choice: make it anew." in words(at)
    assert not any(key.startswith("flatten_go") for key in keys(at))
    at = press(at, "flatten_plan")
    assert not wish_from(desk.asked[-1].body["wish"]).whole_packages
    assert "This plan is of another choice" not in words(at)
    at = ran(at.button_group[0].set_value(Scope.EXPIRY).run())
    at = press(at, "flatten_plan")
    assert wish_from(desk.asked[-1].body["wish"]) == Wish(Scope.EXPIRY, expiry=date(2026, 11, 25), whole_packages=False)


def test_a_choice_that_comes_with_the_press_is_the_one_that_is_planned(begin: Begin) -> None:
    at, desk = begin()
    at = press(at, "flatten_open")
    at.button_group[0].set_value(Scope.EVERYTHING)
    at.toggle[0].set_value(False)
    at = press(at, "flatten_plan")
    assert wish_from(desk.asked[-1].body["wish"]) == Wish(Scope.EVERYTHING, whole_packages=False)
    assert "This plan is of another choice" not in words(at)


def test_a_choice_that_is_not_complete_with_the_press_is_not_planned_and_says_so(begin: Begin) -> None:
    at, desk = begin()
    at = press(at, "flatten_open")
    at.button_group[0].set_value(Scope.UNDERLYING)  # no underlying can be chosen before it is drawn
    at = press(at, "flatten_plan")
    assert not desk.asked
    assert "No plan was asked for: the choice had changed. Press again." in words(at)
    at = press(at, "flatten_plan")
    assert wish_from(desk.asked[-1].body["wish"]) == Wish(Scope.UNDERLYING, "AAPL")
    assert "No plan was asked for" not in words(at)


def test_without_a_book_there_is_nothing_to_plan(begin: Begin) -> None:
    at, desk = begin()
    desk._last.snapshot = None
    at = press(at, "flatten_open")
    assert any("There is no book yet" in one.value for one in at.markdown)
    assert keys(at) == ["flatten_open"]


def test_with_trading_off_it_is_a_list_to_print_and_nothing_can_be_confirmed(begin: Begin) -> None:
    off = made(trading=lambda _: "Trading is off: set IBKR_TRADING")
    at, _ = begin(script(flatten_plan=lambda _: done(plan_json(off))))
    at = press(press(at, "flatten_open"), "flatten_plan")
    assert "Only a list: IBKR •••4567: Trading is off: set IBKR_TRADING" in words(at)
    assert [one.label for one in at.get("download_button")] == ["List to print", "CSV"]
    assert not any(key.startswith("flatten_go") for key in keys(at))


def test_an_app_that_only_reads_says_who_does_it(begin: Begin) -> None:
    at, _ = begin(watched_by="desk-pc")
    at = press(at, "flatten_open")
    assert any("desk-pc watches this book: it is asked to do this" in one.value for one in at.caption)


def test_foreign_words_cannot_become_markup(begin: Begin) -> None:
    nasty = replace(made(), problems=("<img src=x onerror=alert(1)>",))
    at, _ = begin(script(flatten_plan=lambda _: done(plan_json(nasty))))
    assert "<img" not in words(press(press(at, "flatten_open"), "flatten_plan"))


# --- the phrase


@pytest.mark.parametrize("phrase", ["", "close 2 shorts", "CLOSE 3 SHORTS", "YES"])
def test_nothing_is_asked_without_the_phrase(begin: Begin, phrase: str) -> None:
    at, desk = begin()
    at = typed(press(press(at, "flatten_open"), "flatten_plan"), phrase)
    assert not desk.of(Kind.FLATTEN)
    assert "Type exactly CLOSE 2 SHORTS: nothing was sent." in words(at)


def test_the_phrase_begins_it_once_and_the_dialog_watches_the_run(begin: Begin) -> None:
    told = script(flatten_plan=planning, flatten=lambda _: done(json.dumps({"run": "R-1"}), "The flatten has begun"))
    at, desk = begin(told, OrdersNow(NOW, runs=(running(),)))
    at.session_state["flatten_opening"] = None  # a run is there already: only of this test
    desk.orders_now = OrdersNow(NOW)
    at = ran(at.run())  # the button says what it opens
    at = typed(press(press(at, "flatten_open"), "flatten_plan"), "CLOSE 2 SHORTS")
    assert [one.body for one in desk.of(Kind.FLATTEN)] == [{"plan": "P-1", "phrase": "CLOSE 2 SHORTS"}]
    at = ran(at.run())
    assert len(desk.of(Kind.FLATTEN)) == 1
    assert "The run is not shown yet; it goes on all the same." in words(at)
    desk.orders_now = OrdersNow(NOW, runs=(running(),))
    assert "0 of 2 orders filled" in words(ran(at.run()))


def test_a_refusal_names_what_changed_and_asks_for_another_plan(begin: Begin) -> None:
    why = "Nothing was sent: the book has changed since the plan. IBKR •••4567: SPXW: −1 before, 0 now."
    at, desk = begin(script(flatten_plan=planning, flatten=lambda _: refused(why)))
    at = typed(press(press(at, "flatten_open"), "flatten_plan"), "CLOSE 2 SHORTS")
    assert "−1 before, 0 now" in words(at)
    assert not any(key.startswith("flatten_go") for key in keys(at))
    assert any("Make the plan anew" in one.value for one in at.caption)
    assert len(desk.of(Kind.FLATTEN)) == 1


# --- while it runs


def running(state: RunState = RunState.RUNNING, **more: Any) -> FlattenRun:
    run = FlattenRun("R-1", NOW, "Ann", state, plan_json(made()), NOW)
    return replace(run, **more)


def record(number: int, state: OrderState, **more: Any) -> OrderRecord:
    order = made().closes[number - 1].order
    given = OrderRecord(f"G-{number}", replace(order, account=IBKR.hidden), state, NOW, NOW, "Ann", "flatten",
                        flatten="R-1", limit=order.limit)  # fmt: skip
    return replace(given, **more)


def test_a_run_of_before_is_watched_at_once_line_by_line(begin: Begin) -> None:
    run = running(orders={"1": "G-1"}, notes={"2": "waits for the short that it covers"})
    orders = OrdersNow(NOW, records=(record(1, OrderState.PARTIAL, filled=1.0, average=3.3),), runs=(run,))
    at, _ = begin(orders=orders)
    assert at.button[0].label == "Flatten runs …"
    said = words(press(at, "flatten_open"))
    assert "<b>Running</b>: 0 of 2 orders filled. Only fresh positions will say that it is flat." in said
    assert "partly filled, the rest works</span>" in said
    assert "1 of 1 filled; 3.30 debit on average" in said
    assert "FLATTEN RUNS</span> 0 filled, 1 order out" in _flatten_words.running_words(orders)
    assert _flatten_words.running_words(replace(orders, runs=(running(RunState.DONE),))) == ""
    assert "waits for the short that it covers" in said


def test_a_press_shows_the_run_that_began_after_the_button_was_drawn(begin: Begin) -> None:
    at, desk = begin()
    assert at.button[0].label == "Flatten …"
    desk.orders_now = OrdersNow(NOW, runs=(running(),))
    said = words(press(at, "flatten_open"))
    assert "<b>Running</b>: 0 of 2 orders filled" in said
    assert not desk.of(Kind.FLATTEN_PLAN)


def test_what_is_given_up_does_not_say_that_it_waits(begin: Begin) -> None:
    run = running(notes={"1": "not sent: market closed until Thu", "2": "waits for the short that it covers"})
    at, _ = begin(orders=OrdersNow(NOW, runs=(run,)))
    said = words(press(at, "flatten_open"))
    assert (said.count("✖ not sent</span>"), said.count("· waits</span>")) == (1, 1)


def test_it_is_stopped_once(begin: Begin) -> None:
    at, desk = begin(script(flatten_stop=lambda _: None), OrdersNow(NOW, runs=(running(),)))
    at = press(press(at, "flatten_open"), "flatten_stop")
    assert [one.body for one in desk.of(Kind.FLATTEN_STOP)] == [{"run": "R-1"}]
    stop = next(one for one in ran(at.run()).button if str(one.key).startswith("flatten_stop"))
    assert stop.disabled


@pytest.mark.parametrize(
    ("flat", "told", "light"),
    [(True, "Flat: fresh positions of 10:31:00 ET show no short option in IBKR •••4567.", "pg-ok"),
     (False, "Not flat: fresh positions of 10:31:00 ET still show −2 SPXW.", "pg-breach")],
)  # fmt: skip
def test_it_ends_with_what_fresh_positions_say(flat: bool, told: str, light: str) -> None:  # noqa: FBT001  # a case
    run = running(RunState.DONE, words=told, flat=flat)
    said = _flatten_words.standing(run, made(), OrdersNow(NOW))
    assert told in said
    assert light in said.split("</li>")[0]


def test_all_filled_is_not_called_flat_while_it_runs() -> None:
    run = running(orders={"1": "G-1", "2": "G-2"})
    filled = tuple(record(number, OrderState.FILLED, filled=1.0) for number in (1, 2))
    said = _flatten_words.standing(run, made(), OrdersNow(NOW, records=filled))
    assert "2 of 2 orders filled. Only fresh positions will say that it is flat." in said
    assert "pg-ok" not in said


def test_the_end_of_the_last_run_is_found_again_after_a_reload(begin: Begin) -> None:
    run = running(RunState.DONE, words="Flat: fresh positions show none.", flat=True)
    at, _ = begin(orders=OrdersNow(NOW, runs=(run,)))
    at = press(at, "flatten_open")
    assert "Flat: fresh positions show none." in words(at)
    assert "SPXW 18Dec26 5700P" in words(press(at, "flatten_last"))

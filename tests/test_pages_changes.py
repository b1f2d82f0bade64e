"""A change of a position that nothing explains is shown on the ticket, and accepted once, with what it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from guardrails.execution.values import JournalEntry, JournalKind, JournalLeg
from guardrails.orders_now import OrdersNow
from guardrails.requests import Kind
from pages._alerts import short
from tests.books import NOW
from tests.test_pages import words
from tests.tickets import ACCOUNT, Desk, Gate, click, done, opened, orders_now, run

LEG = JournalLeg("equity:SPY", "SPY", -100.0, None, None, (), held=300.0)
CHANGE = JournalEntry(
    "change:x:equity:SPY:1", NOW, JournalKind.CHANGE, "the program", f"SPY, {ACCOUNT}: went from 300 to 200.", "",
    account=ACCOUNT, legs=(LEG,), quantity=100.0, stands=True,
)  # fmt: skip
BUTTON = f"accept_{short(CHANGE.key)}"
Open = Callable[[OrdersNow], tuple[Desk, AppTest]]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    def begin(orders: OrdersNow) -> tuple[Desk, AppTest]:
        return opened(tmp_path, monkeypatch, Gate(other={Kind.ACCEPT_CHANGE: done(words_="Accepted")}), orders)

    return begin


def _press(at: AppTest, label: str) -> AppTest:
    next(one for one in at.button if one.label == label).click()
    return run(at)


def test_a_change_is_accepted_with_a_reason_and_for_the_quantity_that_was_shown(page: Open) -> None:
    desk, at = page(orders_now(changes=(CHANGE,)))
    assert "went from 300 to 200" in words(at)
    at = _press(click(at, BUTTON), "Accept it")
    assert "Say what it was" in words(at)
    assert desk.of(Kind.ACCEPT_CHANGE) == []
    next(one for one in at.text_input if one.label == "What it was").input("moved to my other account")
    at = _press(at, "Accept it")
    [asked] = desk.of(Kind.ACCEPT_CHANGE)
    assert asked.body == {"entry": CHANGE.key, "quantity": "-100.0", "note": "moved to my other account"}
    desk.orders_now = orders_now()
    at = run(at)
    assert "went from 300 to 200" not in words(at)
    assert f"Accept the change of SPY, {ACCOUNT}" in words(at)
    assert not [one for one in at.button if one.key == BUTTON]


def test_a_change_that_moved_since_is_not_accepted(page: Open) -> None:
    desk, at = page(orders_now(changes=(CHANGE,)))
    desk_now = replace(CHANGE, legs=(replace(LEG, quantity=-200.0),))
    at = click(at, BUTTON)
    desk.orders_now = orders_now(changes=(desk_now,))
    at = run(at)
    assert "It stands differently by now" in words(at)
    assert desk.of(Kind.ACCEPT_CHANGE) == []

"""The watch over positions: a change that nothing explains becomes a Finding, and what explains it ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from guardrails.execution.position_watch import PositionWatch, books_of
from guardrails.execution.values import JournalKind
from guardrails.findings import Level
from guardrails.orders import Fill
from guardrails.portfolio import Portfolio
from guardrails.values import SourceState
from tests.books import IBKR, NOW
from tests.healthy import AAPL_PUT, AAPL_SHARES, healthy

WORLD = healthy()
SHORT = next(name for name, one in WORLD.positions.items() if (one.quantity or 0) < 0 and one.account == IBKR)
PUT = WORLD.positions[SHORT].instrument
HELD = WORLD.positions[SHORT].quantity or 0.0


def book(quantity: float | None = HELD) -> Portfolio:
    """The healthy book with another quantity of the short option."""
    return WORLD.position(SHORT, quantity=quantity).assess().portfolio


def bought(quantity: float, at: datetime = NOW, **more: object) -> Fill:
    return replace(Fill("e1", 1, IBKR, PUT, quantity, 10.0, at), **more)  # type: ignore[arg-type]  # fields of it


def levels(watch: PositionWatch, now: datetime, *, market_open: bool = True) -> list[Level]:
    return [one.level for one in watch.findings(now, market_open=market_open, version="v")]


def seconds(much: float) -> datetime:
    return NOW + timedelta(seconds=much)


def test_a_change_that_nothing_explains_is_watched_and_then_a_breach() -> None:
    watch = PositionWatch()
    watch.look(book(), (), (), NOW)
    watch.look(book(HELD + 1), (), (), seconds(2))
    assert levels(watch, seconds(16)) == []  # a fill may be on its way
    [finding] = watch.findings(seconds(17), market_open=True, version="v")
    assert (finding.level, finding.value) == (Level.WATCH, 1.0)
    assert PUT.label in finding.message
    assert levels(watch, seconds(123)) == [Level.BREACH]
    assert levels(watch, seconds(123), market_open=False) == [Level.WATCH]


def test_what_stands_unexplained_is_as_old_as_its_first_sight() -> None:
    watch = PositionWatch()
    watch.look(book(), (), (), NOW)
    for n in range(1, 130):
        watch.look(book(HELD + 1), (), (), seconds(n))
    assert levels(watch, seconds(130)) == [Level.BREACH]


def test_a_fill_that_comes_before_its_position_or_after_it_explains_the_change() -> None:
    for fills_first in (True, False):
        watch = PositionWatch()
        watch.look(book(), (), (), NOW)
        fill = bought(1.0, seconds(1))
        watch.look(book() if fills_first else book(HELD + 1), (fill,) if fills_first else (), (), seconds(2))
        watch.look(book(HELD + 1), (fill,), (), seconds(5))
        watch.look(book(HELD + 1), (fill,), (), seconds(60))
        assert levels(watch, seconds(90)) == []


def test_a_fill_that_never_reaches_the_positions_is_a_finding() -> None:
    watch = PositionWatch()
    watch.look(book(), (), (), NOW)
    watch.look(book(), (bought(1.0, seconds(1)),), (), seconds(2))
    assert levels(watch, seconds(20)) == [Level.WATCH]


@pytest.mark.parametrize("known_at_first", [True, False])
def test_what_was_executed_before_the_first_look_is_in_the_first_book_also_when_it_is_told_later(
    known_at_first: bool,  # noqa: FBT001  # a case
) -> None:
    watch, fill = PositionWatch(), bought(1.0, NOW - timedelta(hours=2))
    watch.look(book(), (fill,) if known_at_first else (), (), NOW)
    watch.look(book(), (fill,), (), seconds(2))
    assert levels(watch, seconds(60)) == []
    watch.look(book(HELD + 1), (fill,), (), seconds(61))  # and is not counted for another change
    assert levels(watch, seconds(90)) == [Level.WATCH]


def test_a_fill_that_was_read_from_the_store_without_a_number_is_in_the_first_book() -> None:
    watch, fill = PositionWatch(), bought(1.0, NOW - timedelta(hours=2), account=IBKR.hidden)
    watch.look(book(), (fill,), (), NOW)
    watch.look(book(), (fill,), (), seconds(2))
    assert levels(watch, seconds(60)) == []


def test_a_fill_just_before_the_first_look_may_reach_the_positions_after_it() -> None:
    watch, fill = PositionWatch(), bought(1.0, NOW - timedelta(seconds=1))
    watch.look(book(), (), (), NOW)
    watch.look(book(HELD + 1), (fill,), (), seconds(2))
    assert levels(watch, seconds(60)) == []


def test_a_corrected_quantity_explains_what_it_changed() -> None:
    watch = PositionWatch()
    watch.look(book(), (), (), NOW)
    watch.look(book(HELD + 2), (bought(2.0, seconds(1)),), (), seconds(2))
    corrected = bought(1.0, seconds(1), revision=2)
    watch.look(book(HELD + 1), (corrected,), (), seconds(30))
    watch.look(book(HELD + 1), (corrected,), (), seconds(31))
    assert levels(watch, seconds(60)) == []


def test_accounts_of_a_silent_source_and_with_unknown_quantities_say_nothing() -> None:
    assert IBKR in books_of(book())
    assert IBKR not in books_of(book(None))
    portfolio = book()
    silent = replace(portfolio, sources=tuple(replace(one, state=SourceState.STALE) for one in portfolio.sources))
    assert books_of(silent) == {}
    watch = PositionWatch()
    watch.look(portfolio, (), (), NOW)
    watch.look(silent, (), (), seconds(2))
    watch.look(book(None), (), (), seconds(4))
    assert levels(watch, seconds(60)) == []
    watch.look(book(HELD + 1), (), (), seconds(61))
    assert levels(watch, seconds(80)) == [Level.WATCH]


def test_positions_that_follow_a_run_of_fills_one_behind_are_no_finding() -> None:
    watch, fills = PositionWatch(), []
    watch.look(book(), (), (), NOW)
    for n in range(1, 40):
        fills.append(bought(1.0, seconds(2 * n), execution=f"e{n}"))
        watch.look(book(HELD + n - 1), fills, (), seconds(2 * n))
        assert levels(watch, seconds(2 * n)) == []
        watch.look(book(HELD + n - 1 + 0.5), fills, (), seconds(2 * n + 1))  # a part of it has come


def test_a_position_that_moves_on_and_on_without_fills_is_as_old_as_the_first_move() -> None:
    watch = PositionWatch()
    watch.look(book(), (), (), NOW)
    for n in range(1, 20):
        watch.look(book(HELD + n), (), (), seconds(n))
    assert levels(watch, seconds(19)) == [Level.WATCH]


def test_an_assigned_short_put_is_told_once_and_explains_the_shares_it_brought() -> None:
    world = WORLD
    put = world.positions[AAPL_PUT]
    assert put.instrument.underlying == "AAPL"
    assert (put.quantity or 0.0) != 0.0
    size = put.quantity or 0.0
    shares = (world.positions[AAPL_SHARES].quantity or 0.0) - 100.0 * size  # a short put brings, a long one takes
    watch = PositionWatch()
    watch.look(world.assess().portfolio, (), (), NOW)
    after = world.position(AAPL_PUT, quantity=0.0).position(AAPL_SHARES, quantity=shares).assess().portfolio
    [entry] = watch.look(after, (), (), seconds(2))
    assert entry.kind is JournalKind.ASSIGNMENT
    assert {leg.key: leg.quantity for leg in entry.legs}[put.instrument.key] == -size
    assert watch.look(after, (), (entry,), seconds(4)) == ()
    assert levels(watch, seconds(60)) == []

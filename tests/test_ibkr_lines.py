"""Who gets a market data line. Budgets and turns are counted by hand; fairness is an invariant."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ibkr.lines import Plan, Want, plan, rank_of

NOW = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)
DWELL = timedelta(seconds=8)


def wants(count: int) -> list[Want]:
    """Contracts 1, 2, 3, ... in order of importance."""
    return [Want(number, (number,)) for number in range(1, count + 1)]


def since(seconds: float, *con_ids: int) -> dict[int, datetime]:
    return {con_id: NOW - timedelta(seconds=seconds) for con_id in con_ids}


def test_what_matters_first() -> None:
    order = [
        rank_of("index"),
        rank_of("underlying"),
        rank_of("option", short=True, days=0),
        rank_of("option", short=True, days=45),
        rank_of("option", short=True),
        rank_of("option", days=0),
        rank_of("option", days=45),
        rank_of("option", days=-1),
    ]
    assert order == sorted(order)
    assert len(set(order)) == len(order)
    assert rank_of("linear", short=True) == rank_of("underlying")


def test_all_that_fits_has_a_line_of_its_own() -> None:
    made = plan(wants(5), 5, {}, {}, NOW, DWELL)
    assert made == Plan((1, 2, 3, 4, 5), (), frozenset({1, 2, 3, 4, 5}), frozenset())


def test_one_more_than_fits_lets_a_fifth_take_turns() -> None:
    made = plan(wants(11), 10, {}, {}, NOW, DWELL)
    assert made.fixed == frozenset(range(1, 9))
    assert made.rotating == frozenset({9, 10, 11})
    assert made.subscribe == tuple(range(1, 11))


@pytest.mark.parametrize(("budget", "fixed"), [(0, 0), (1, 0), (2, 1), (9, 8), (10, 8), (100, 80)])
def test_at_least_one_line_goes_round(budget: int, fixed: int) -> None:
    made = plan(wants(150), budget, {}, {}, NOW, DWELL)
    assert (len(made.fixed), len(made.rotating), len(made.subscribe)) == (fixed, 150 - fixed, budget)


def test_a_budget_below_zero_gives_nothing() -> None:
    assert plan(wants(2), -1, since(1, 1), {}, NOW, DWELL).cancel == (1,)


def test_what_is_no_longer_wanted_loses_its_line_at_once() -> None:
    made = plan(wants(2), 5, since(1, 1, 7), {}, NOW, DWELL)
    assert (made.subscribe, made.cancel) == ((2,), (7,))


@pytest.mark.parametrize(("seconds", "handed_on"), [(7.9, False), (8.0, True)])
def test_a_line_in_turns_is_handed_on_after_its_time(seconds: float, handed_on: bool) -> None:  # noqa: FBT001
    active = since(100, 1, 2, 3, 4) | since(seconds, 5)
    made = plan(wants(7), 5, active, since(seconds, 5), NOW, DWELL)
    assert (made.subscribe, made.cancel) == (((6,), (5,)) if handed_on else ((), ()))
    assert made.fixed == frozenset({1, 2, 3, 4})


def test_the_line_of_a_want_that_vanished_is_handed_on_at_once() -> None:
    made = plan(wants(7)[:4] + wants(7)[5:], 5, since(1, 1, 2, 3, 4, 5), {}, NOW, DWELL)
    assert (made.subscribe, made.cancel) == ((6,), (5,))


def test_who_was_never_served_comes_first_then_who_waited_longest() -> None:
    active = since(100, 1, 2, 3, 4)
    assert plan(wants(7), 5, active, since(20, 5), NOW, DWELL).subscribe == (6,)
    assert plan(wants(7), 5, active, since(20, 5) | since(30, 6) | since(25, 7), NOW, DWELL).subscribe == (6,)


def test_one_that_became_important_takes_its_own_line() -> None:
    """Contract 5 held the rotating line; now it ranks first, and 4 joins the turns with a line it has long had."""
    risen = [Want(5, (0,)), *wants(4), Want(6, (6,))]
    made = plan(risen, 5, since(100, 1, 2, 3, 4, 5), since(1, 1, 2, 3, 4, 5), NOW, DWELL)
    assert made.fixed == frozenset({5, 1, 2, 3})
    assert (made.subscribe, made.cancel) == ((6,), (4,))


def test_a_contract_wanted_twice_counts_once_and_as_the_more_important() -> None:
    made = plan([Want(1, (9,)), Want(2, (2,)), Want(1, (1,))], 2, {}, {}, NOW, DWELL)
    assert made.subscribe == (1, 2)


moments = st.integers(0, 60).map(lambda seconds: NOW - timedelta(seconds=seconds))
ids = st.integers(1, 40)
books = st.lists(st.builds(Want, ids, st.tuples(st.integers(0, 3), st.integers(0, 50))), max_size=40)


@given(books, st.integers(0, 45), st.dictionaries(ids, moments), st.dictionaries(ids, moments))
def test_never_more_lines_than_granted_and_none_idle(
    book: list[Want], budget: int, active: dict[int, datetime], seen: dict[int, datetime]
) -> None:
    made = plan(book, budget, active, seen, NOW, DWELL)
    in_use = (set(active) - set(made.cancel)) | set(made.subscribe)
    wanted = {want.con_id for want in book}
    assert len(in_use) == min(budget, len(wanted))
    assert made.fixed <= in_use <= made.fixed | made.rotating == wanted
    assert not made.fixed & made.rotating
    assert not set(made.subscribe) & set(active)
    assert set(made.cancel) <= set(active)
    assert made == plan(list(reversed(book)), budget, dict(reversed(active.items())), seen, NOW, DWELL)


@given(st.integers(1, 40), st.integers(1, 30), st.dictionaries(ids, moments))
def test_everyone_has_a_turn(count: int, budget: int, seen: dict[int, datetime]) -> None:
    """n that wait and k lines: after ceil(n / k) turns all were served."""
    book, active, now = wants(count), dict[int, datetime](), NOW
    made = plan(book, budget, active, seen, now, DWELL)
    turns = max(1, budget // 5)
    served: set[int] = set()
    for _ in range(max(1, math.ceil(len(made.rotating) / turns))):
        made = plan(book, budget, active, seen, now, DWELL)
        for con_id in made.cancel:
            seen[con_id] = now
            del active[con_id]
        active.update(dict.fromkeys(made.subscribe, now))
        served |= set(active)
        now += DWELL
    assert served == {want.con_id for want in book}

"""Entries as trades: rolls, adjustments, closings and assignments are one trade, with its money by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.execution.values import JournalEntry, JournalKind
from guardrails.instruments import Instrument, Kind
from guardrails.journal.entries import note_entry
from guardrails.journal.trades import Step, TradeStory, trades_of
from guardrails.symbols import occ
from tests.traded import J5650, P5600, P5700, entry, leg, share, then

C250, C260 = occ.parse("AAPL  261218C00250000"), occ.parse("AAPL  270115C00260000")
P240 = occ.parse("AAPL  261218P00240000")
DAY = 24 * 60.0
OPENING = entry("a", 0, leg(P5700, -2, 12.4), leg(P5600, 2, 4.1), before=then("high_volatility"), tag="MANUAL")


def one(*entries: JournalEntry) -> TradeStory:
    """The only trade of these."""
    found = trades_of(entries)
    assert len(found) == 1, found
    return found[0]


def steps(story: TradeStory) -> list[Step]:
    return [part.step for part in story.parts]


def test_an_opening_and_its_closing_by_hand() -> None:
    """Sold 2 at 8.30, bought back at 3.10: (830 − 310) × 2 = 1,040, fees 4 + 4: 1,032 gained."""
    story = one(OPENING, entry("b", DAY, leg(P5700, 2, 5.1), leg(P5600, -2, 2.0)))
    assert (story.key, steps(story), story.legs) == ("a", [Step.OPENED, Step.CLOSED], ())
    assert (story.gross, story.net, story.realised) == pytest.approx((1_040.0, 1_032.0, 1_032.0))
    assert (story.closed, story.regime, story.tags) == (story.parts[1].entry.time, "high_volatility", ("MANUAL",))


def test_a_partly_closed_trade_stays_open_with_its_share_of_the_fees() -> None:
    """One of two: the short gained (12.40 − 5.10) × 100 = 730, a dollar of fees each way: 728."""
    story = one(OPENING, entry("b", DAY, leg(P5700, 1, 5.1)))
    assert (steps(story), story.closed) == ([Step.OPENED, Step.REDUCED], None)
    assert story.realised == pytest.approx(728.0)
    assert [(one.label, one.quantity, one.price) for one in story.legs] == [
        ("SPXW 18Dec26 5700P", -1, 12.4), ("SPXW 18Dec26 5600P", 2, 4.1),
    ]  # fmt: skip


def test_a_roll_in_one_order_carries_the_credit() -> None:
    """Credit 1,656 net; rolled for 12.40 − 9.90 = 2.50 more on 2 with 4 of fees: 496. In all 2,152."""
    roll = entry("b", DAY, leg(P5700, 2, 9.9), leg(J5650, -2, 12.4))
    story = one(OPENING, roll)
    assert (steps(story), story.rolls) == ([Step.OPENED, Step.ROLLED], 1)
    assert story.net == pytest.approx(1_656.0 + 496.0)
    assert story.realised == pytest.approx((12.4 - 9.9) * 200 - 4.0)
    assert {leg.label for leg in story.legs} == {"SPXW 18Dec26 5600P", "SPXW 15Jan27 5650P"}


@pytest.mark.parametrize("gap", [10.0, -10.0, 0.0])
def test_a_roll_in_two_orders_is_one_trade_whichever_comes_first(gap: float) -> None:
    opened = entry("a", 0, leg(P5700, -2, 12.4))
    closed = entry("b", DAY, leg(P5700, 2, 9.9))
    again = entry("c", DAY + gap, leg(J5650, -2, 12.4))
    story = one(opened, closed, again)
    assert (story.key, story.rolls, story.closed) == ("a", 1, None)
    assert [leg.label for leg in story.legs] == ["SPXW 15Jan27 5650P"]
    assert story.net == pytest.approx((12.4 - 9.9 + 12.4) * 200 - 6)


@pytest.mark.parametrize(
    "later",
    [
        entry("c", DAY + 31, leg(J5650, -2, 12.4)),  # too late
        entry("c", DAY + 10, leg(J5650, 2, 12.4)),  # another side
        entry("c", DAY + 10, leg(C250, -2, 12.4)),  # another right
        entry("c", DAY + 10, leg(J5650, -2, 12.4), account="IBKR •••0009", owner="other"),
        entry("c", DAY + 10, leg(J5650, -2, 12.4), underlying="XSP"),
    ],
)
def test_what_is_opened_later_or_otherwise_is_another_trade(later: JournalEntry) -> None:
    opened, closed = entry("a", 0, leg(P5700, -2, 12.4)), entry("b", DAY, leg(P5700, 2, 9.9))
    assert [story.key for story in trades_of([opened, closed, later])] == ["a", "c"]


def test_more_of_a_leg_is_the_same_trade_at_the_average_price() -> None:
    """2 at 12.40 and 1 at 15.40 are 3 at 13.40; bought back at 10.40: 3 × 300 − 6 of fees."""
    story = one(
        entry("a", 0, leg(P5700, -2, 12.4)),
        entry("b", DAY, leg(P5700, -1, 15.4)),
        entry("c", 2 * DAY, leg(P5700, 3, 10.4)),
    )
    assert steps(story) == [Step.OPENED, Step.ADDED, Step.CLOSED]
    assert (story.realised, story.net) == pytest.approx((894.0, 894.0))


def test_another_position_in_the_same_underlying_is_another_trade() -> None:
    other = entry("b", 5, leg(C250, -1, 3.0))
    assert [story.key for story in trades_of([OPENING, other])] == ["a", "b"]


def test_an_order_that_closes_two_trades_is_a_part_of_both() -> None:
    apart = entry("b", DAY, leg(J5650, -1, 10.0))
    both = entry("c", 2 * DAY, leg(P5700, 2, 5.0), leg(P5600, -2, 2.0), leg(J5650, 1, 4.0))
    first, second = trades_of([OPENING, apart, both])
    assert (first.closed, second.closed) == (both.time, both.time)
    assert (first.realised, second.realised) == pytest.approx(((12.4 - 4.1 - 3.0) * 200 - 8, 600 - 2))


def test_the_wheel_is_one_trade() -> None:
    """A put sold at 3.00 is assigned at 240, a call is sold on the shares at 2.50, which are called away at 250.

    300 + 250 received, 100 × 10 gained on the shares, fees 1 + 1: 1,548.
    """
    apple = {"underlying": "AAPL"}
    assigned = replace(leg(P240, 1, 0.0), fees=0.0)
    bought = replace(leg(share(), 100, 240.0, 1.0), fees=0.0)
    called, sold = replace(leg(C250, 1, 0.0), fees=0.0), replace(leg(share(), -100, 250.0, 1.0), fees=0.0)
    assign = {"kind": JournalKind.ASSIGNMENT, **apple}
    told = [
        entry("a", 0, leg(P240, -1, 3.0), **apple),
        entry("b", DAY, assigned, bought, **assign),
        entry("c", 2 * DAY, leg(C250, -1, 2.5), **apple),
        entry("d", 9 * DAY, called, sold, **assign),
    ]
    assert one(*told[:2]).realised == pytest.approx(299.0)
    assert [(held.label, held.quantity, held.price) for held in one(*told[:2]).legs] == [("AAPL", 100, 240.0)]
    story = one(*told)
    assert steps(story) == [Step.OPENED, Step.ASSIGNED, Step.ADDED, Step.ASSIGNED]
    assert (story.net, story.realised, story.legs) == (pytest.approx(1_548.0), pytest.approx(1_548.0), ())


def test_a_future_has_no_net_but_a_gain() -> None:
    """Sold at 6,000, bought at 5,990: 10 × 50 = 500, a dollar of fees each way."""
    held = Instrument(Kind.FUTURE, "/MESZ26", "/MESZ26", "/MES")
    story = one(entry("a", 0, leg(held, -1, 6000.0, 50.0)), entry("b", 9, leg(held, 1, 5990.0, 50.0)))
    assert (story.net, story.realised) == pytest.approx((-2.0, 498.0))


def test_what_closes_something_from_before_the_journal_opens_nothing() -> None:
    story = one(entry("a", 0, leg(P5700, 2, 9.9, held=-2.0)))
    assert (story.begun_before, story.legs, story.realised) == (True, (), None)
    assert story.closed is not None
    known = entry("b", -DAY, leg(P5700, -1, 12.4))
    first, second = trades_of([known, entry("a", 0, leg(P5700, 3, 9.9, held=-3.0))])
    assert (first.key, first.closed is not None, second.begun_before) == ("b", True, True)
    assert [part.legs[0].quantity for part in (*first.parts, *second.parts)] == [-1, 1, 2]
    turned = one(entry("a", 0, leg(P5700, 3, 9.9, held=-2.0)))
    assert [held.quantity for held in turned.legs] == [1]


@pytest.mark.parametrize("more", [{"price": None}, {"fees": None}, {"dollars_per_point": None}])
def test_what_is_not_known_leaves_the_money_unknown(more: dict[str, None]) -> None:
    story = one(OPENING, entry("b", DAY, replace(leg(P5700, 2, 5.1), **more), leg(P5600, -2, 2.0)))
    assert (story.net, story.realised) == (None, None)
    assert (story.gross is None) == ("fees" not in more)


def test_an_entry_told_again_counts_once_and_a_late_one_takes_its_place() -> None:
    closing = entry("b", DAY, leg(P5700, 2, 5.1), leg(P5600, -2, 2.0))
    assert trades_of([closing, OPENING, replace(closing, after=then()), OPENING])[0].net == pytest.approx(1_032.0)


def test_a_change_that_stands_unexplained_is_no_trade_and_one_that_was_accepted_ends_one_at_a_price_unknown() -> None:
    gone = entry("c", DAY, replace(leg(P5700, 2, None), fees=None), leg(P5600, -2, 2.0), kind=JournalKind.CHANGE)
    [open_story] = trades_of([OPENING, replace(gone, stands=True)])
    assert open_story.closed is None
    [story] = trades_of([OPENING, gone])
    assert story.closed == gone.time
    assert story.realised is None


def test_notes_stand_with_their_trade() -> None:
    about = note_entry("n", OPENING.time, "Ann", "rich premium", OPENING)
    other = note_entry("m", OPENING.time, "Ann", "calm day")
    assert one(OPENING, about, other).notes == (about,)


_LEGS = st.tuples(st.sampled_from([P5700, P5600, J5650, C260, share("SPX")]), st.integers(-3, 3).filter(bool))


@given(
    st.lists(st.tuples(st.integers(0, 5_000), st.lists(_LEGS, min_size=1, max_size=4, unique_by=lambda x: x[0].key)))
)
def test_nothing_is_lost_or_counted_twice(told: list[tuple[int, list[tuple[Instrument, int]]]]) -> None:
    """Whatever the order of entries: the trades hold what was traded, and all money is in one of them."""
    made = [
        entry(f"e{number}", minutes, *(leg(what, quantity, 2.0 + number) for what, quantity in legs))
        for number, (minutes, legs) in enumerate(told)
    ]
    stories = trades_of(made)
    held: dict[str, float] = {}
    for each in (one_leg for story in stories for one_leg in story.legs):
        held[each.key] = held.get(each.key, 0.0) + each.quantity
    bought: dict[str, float] = {}
    for each in (one_leg for made_entry in made for one_leg in made_entry.legs):
        bought[each.key] = bought.get(each.key, 0.0) + each.quantity
    assert {key: q for key, q in held.items() if q} == {key: q for key, q in bought.items() if q}
    cash = sum(
        -each.quantity * (each.price or 0) * 100 - (each.fees or 0) for one_entry in made for each in one_entry.legs
    )
    assert sum(story.net or 0.0 for story in stories) == pytest.approx(cash)
    for story in stories:
        if story.closed is not None:
            assert story.realised == pytest.approx(story.net)
        assert story.key == story.parts[0].entry.key

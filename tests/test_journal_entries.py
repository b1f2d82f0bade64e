"""Fills as entries: multipliers, fees and signs by hand, corrections, what passed no gate, discipline."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from guardrails.execution.values import FLATTEN, JournalKind
from guardrails.instruments import Instrument, Kind, Right
from guardrails.journal.discipline import discipline_of
from guardrails.journal.entries import (
    FLATTENED,
    fill_entry,
    latest_revisions,
    note_entry,
    outside_entries,
    unguarded,
)
from guardrails.journal.money import Money, money_of, underlying_of
from guardrails.memory import account_key
from guardrails.orders import Leg, Order, OrderState
from tests.books import IBKR, TASTY, book, future, market, option
from tests.traded import P5600, P5700, at, entry, fill, record, share, then

MONEY = Money()
CALL = Instrument(Kind.OPTION, "AAPL  261218C00250000", "AAPL", "AAPL", date(2026, 12, 18), right=Right.CALL)
SPREAD = (fill("a", P5700, -2, 12.4, 1), fill("b", P5600, 2, 4.1, 1))


def test_a_spread_sold_by_hand() -> None:
    """2 × (12.40 − 4.10) × 100 = 1,660 received, 4 dollars of fees: net 1,656; the package went at −8.30."""
    told = fill_entry(record(before=then(), rationale="rich"), SPREAD, MONEY, held={P5600.key: -1.0})
    assert (told.net, told.fees, told.price, told.quantity) == pytest.approx((1_656.0, 4.0, -8.3, 2.0))
    assert (told.key, told.kind, told.words, told.time) == ("fill:g-1", JournalKind.FILL, "rich", at(1))
    assert (told.account, told.owner, told.underlying) == ("IBKR •••4567", account_key(IBKR), "SPX")
    assert [(leg.label, leg.quantity, leg.price, leg.held) for leg in told.legs] == [
        ("SPXW 18Dec26 5700P", -2, 12.4, 0.0), ("SPXW 18Dec26 5600P", 2, 4.1, -1.0),
    ]  # fmt: skip
    assert [leg.execution for leg in told.legs] == [("a",), ("b",)]


def test_partial_executions_weigh_the_price_and_count_whole_packages() -> None:
    """1 at 12.00 and 1 at 12.50 are 2 at 12.25; the long leg has 1, so one package is filled."""
    parts = [fill("a", P5700, -1, 12.0), fill("c", P5700, -1, 12.5, 2), fill("b", P5600, 1, 4.0)]
    told = fill_entry(record(), parts, MONEY)
    assert (told.legs[0].price, told.quantity, told.price) == (12.25, 1.0, -8.25)
    assert told.net == pytest.approx((2 * 12.25 - 4.0) * 100 - 3)


def test_an_execution_that_is_taken_back_costs_its_fees_and_nothing_else() -> None:
    """Both legs busted: 4 dollars of fees; one of two parts busted: the other part at its own price."""
    gone = [replace(one, quantity=0.0, revision=1) for one in SPREAD]
    told = fill_entry(record(), [*SPREAD, *gone], MONEY)
    assert (told.net, told.fees, told.quantity, told.price) == (-4.0, 4.0, 0.0, None)
    parts = [fill("a", P5700, -1, 12.0), fill("c", P5700, -1, 12.5, 2)]
    half = fill_entry(record(), [*parts, replace(parts[1], quantity=0.0, revision=1)], MONEY)
    assert (half.legs[0].quantity, half.legs[0].price) == (-1.0, 12.0)


def test_while_a_leg_is_not_reported_no_package_and_no_price_is_claimed() -> None:
    told = fill_entry(record(), SPREAD[:1], MONEY)
    assert (told.quantity, told.price) == (0.0, None)


def test_a_buy_write_is_quoted_by_the_share() -> None:
    """100 shares at 250.00 and a call sold at 3.10: 246.90 a share, 24,690 dollars paid and 101 of fees."""
    order = Order(IBKR, (Leg(share(), 100), Leg(CALL, -1)), 1, 247.0)
    told = fill_entry(record(order=order), [fill("a", share(), 100, 250.0), fill("b", CALL, -1, 3.1)], MONEY)
    assert (told.price, told.net, told.quantity) == pytest.approx((246.9, -24_791.0, 1.0))


def test_a_future_costs_its_fees_and_nothing_else() -> None:
    held = future("/ESZ26", 1, 6000.0, 50.0).instrument
    told = fill_entry(record(order=Order(IBKR, (Leg(held, -1),), 2)), [fill("a", held, -2, 6000.0)], MONEY)
    assert (told.net, told.price, told.underlying) == (-2.0, -6000.0, "/ES")


@pytest.mark.parametrize("more", [{"fees": None}, {"currency": "EUR"}])
def test_what_is_not_known_is_not_counted_as_nothing(more: dict[str, object]) -> None:
    told = fill_entry(record(), [SPREAD[0], replace(SPREAD[1], **more)], MONEY)
    assert (told.net, told.fees) == (None, None)


def test_another_currency_is_counted_at_its_rate() -> None:
    """10 shares at 100 EUR with 10 EUR of fees at 1.10: 1,111 dollars paid."""
    order = Order(IBKR, (Leg(share("SAP"), 1),), 10, 100.0)
    told = fill_entry(
        record(order=order), [fill("a", share("SAP"), 10, 100.0, currency="EUR")], Money({}, {"EUR": 1.1})
    )
    assert (told.net, told.fees) == pytest.approx((-1_111.0, 11.0))


def test_multipliers_come_from_the_book_before_the_definition_and_are_never_guessed() -> None:
    odd = replace(CALL, symbol="AAPL1 261218C00250000", root="AAPL1", adjusted=True)
    known = money_of(book(option("SPXW  261218P05700000", -1, multiplier=10.0), at=market()))
    assert known.multiplier(P5700) == 10.0
    assert (MONEY.multiplier(P5700), MONEY.multiplier(share())) == (100.0, 1.0)
    assert MONEY.multiplier(odd) is None
    corn = Instrument(Kind.FUTURE, "/ZCZ26", "/ZCZ26", "/ZC")
    assert MONEY.multiplier(corn) is None  # in cents or in dollars: a hundredfold apart
    assert MONEY.multiplier(Instrument(Kind.FUTURE, "/ESZ26", "/ESZ26", "/ES")) == 50.0
    assert [underlying_of(one) for one in (P5700, share(), corn)] == ["SPX", "AAPL", "/ZC"]


def test_a_correction_replaces_and_what_is_told_last_counts_of_the_same_revision() -> None:
    first, better = fill("a", P5700, -2, 12.4), fill("a", P5700, -2, 12.3, revision=2)
    assert latest_revisions([first, better, first]) == (better,)
    assert latest_revisions([replace(first, fees=None), first]) == (first,)
    told = fill_entry(record(), [first, better, SPREAD[1]], MONEY)
    assert told.legs[0].price == 12.3


def test_a_flatten_says_that_a_person_asked_for_it() -> None:
    told = fill_entry(record(tag=FLATTEN, flatten="run-1", rationale="going home"), SPREAD, MONEY)
    assert told.words == f"{FLATTENED}: going home"


def test_an_order_without_executions_makes_no_entry() -> None:
    with pytest.raises(ValueError, match="no execution of the order g-2 is among 2 fills"):
        fill_entry(record("g-2"), SPREAD, MONEY)


# --- what did not come through the gate ---

OUTSIDE = (
    fill("x", P5700, -2, 12.4, key="", reference="88"),
    fill("y", P5600, 2, 4.1, key="", reference="88"),
    fill("z", share(), 5, 250.0, 3, key="phone", reference="99", account=TASTY),
)


def test_the_legs_of_an_order_elsewhere_are_one_entry() -> None:
    told = outside_entries((*SPREAD, *OUTSIDE), [record()], MONEY)
    assert [(one.key, one.kind, one.quantity) for one in told] == [
        ("outside:IBKR:88", JournalKind.OUTSIDE, 2.0), ("outside:tastytrade:99", JournalKind.OUTSIDE, 5.0),
    ]  # fmt: skip
    assert (told[0].price, told[0].net) == pytest.approx((-8.3, 1_656.0))
    assert "did not come through the gate" in told[0].words


def test_a_fill_is_ours_by_its_key_or_by_the_reference_of_the_same_broker() -> None:
    ours = record(references=("88",))
    assert unguarded(OUTSIDE[:2], [ours]) == ()
    assert unguarded([replace(OUTSIDE[0], account=TASTY)], [ours]) != ()
    assert unguarded([replace(OUTSIDE[0], quantity=0.0)], []) == ()  # taken back


def test_discipline_counts_each_order_of_the_session_once() -> None:
    records = [
        record("g-1", OrderState.FILLED, verdict="WARN"),
        record("g-2", OrderState.CANCELLED, verdict="BLOCK", overrides=("ov-1",)),
        record("g-3", OrderState.INTENT_SAVED, verdict="WARN"),
        replace(record("g-4"), created=at(-24 * 60)),
    ]
    told = [entry("b-1", 0, kind=JournalKind.BLOCKED), entry("b-2", -24 * 60, kind=JournalKind.BLOCKED)]
    late = fill("w", share(), 5, 250.0, -24 * 60, key="", reference="1")
    kept = discipline_of(records, (*SPREAD, *OUTSIDE, late), told, date(2026, 11, 18))
    assert (kept.sent, kept.warned, kept.overridden, kept.blocked, kept.unguarded) == (2, 1, 1, 1, 2)
    assert kept.unguarded_words == (
        "IBKR •••4567, 10:30 ET: sold 2 SPXW 18Dec26 5700P at 12.40, bought 2 SPXW 18Dec26 5600P at 4.10",
        "tastytrade •••0001, 10:33 ET: bought 5 AAPL at 250.00",
    )


def test_a_note_belongs_to_the_trade_it_is_about() -> None:
    about = entry("a", 0, trade="t-1")
    told = note_entry("n-1", at(5), "Ann", "rolled too early", about)
    assert (told.kind, told.trade, told.underlying, told.words) == (
        JournalKind.NOTE, "t-1", "SPX", "rolled too early",
    )  # fmt: skip
    assert note_entry("n-2", at(5), "Ann", "calm day").trade == ""

"""Positions that changed: what assignments and expiries explain, and what nothing does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from guardrails.execution.values import JournalEntry, JournalKind
from guardrails.findings import Level
from guardrails.instruments import Instrument
from guardrails.journal.assignments import assignments
from guardrails.journal.explain import PositionChange, position_change, unexplained
from guardrails.journal.money import Money
from guardrails.symbols import parse
from guardrails.values import AccountId
from tests.books import IBKR, NOW, TASTY
from tests.traded import P5700, fill, share

EVENING = datetime(2026, 12, 19, 2, 0, tzinfo=UTC)
"""the Friday of the expiry, 21:00 in New York"""
BEFORE_EXPIRY = datetime(2026, 12, 17, 14, 0, tzinfo=UTC)
P240, P235 = (parse(f"AAPL  261218P00{strike}000", EVENING.date()) for strike in (240, 235))
C250 = parse("AAPL  261218C00250000", EVENING.date())
ES = parse("./EW3Z26 261218P6000", EVENING.date())
KNOWN = {one.key: one for one in (P5700, P240, P235, C250, ES, share())}
Book = Mapping[Instrument, float]


def told(
    before: Book, after: Book, now: datetime = EVENING, levels: Mapping[str, float] | None = None
) -> tuple[JournalEntry, ...]:
    return assignments(books(before), books(after), KNOWN, (), Money(), now, levels=levels)


def books(held: Book, account: AccountId = IBKR) -> dict[AccountId, dict[str, float]]:
    return {account: {one.key: quantity for one, quantity in held.items()}}


def legs(entry: JournalEntry) -> list[tuple[str, float, float | None]]:
    return [(leg.label, leg.quantity, leg.price) for leg in entry.legs]


@pytest.mark.parametrize(
    ("option", "held", "moved", "words"),
    [
        (P240, -2, 200, "assigned: 200 AAPL bought at 240.00"),
        (P240, 2, -200, "exercised: 200 AAPL sold at 240.00"),
        (C250, -2, -200, "assigned: 200 AAPL sold at 250.00"),
        (C250, 2, 200, "exercised: 200 AAPL bought at 250.00"),
    ],
)
@pytest.mark.parametrize("now", [EVENING, BEFORE_EXPIRY])
def test_an_option_that_brought_its_shares(
    option: Instrument, held: int, moved: int, words: str, now: datetime
) -> None:
    (entry,) = told({option: held, share(): 30}, {share(): 30 + moved}, now)
    assert words in entry.words
    assert entry.kind is JournalKind.ASSIGNMENT
    strike = float(option.strike or 0)
    assert legs(entry) == [(option.label, -held, 0.0), ("AAPL", moved, strike)]
    assert entry.net == -moved * strike
    assert unexplained(books({option: held, share(): 30}), books({share(): 30 + moved}), (), [entry]) == ()


def test_an_option_that_is_over_and_brought_nothing_expired_worthless() -> None:
    (entry,) = told({P240: -2}, {})
    assert "expired worthless" in entry.words
    assert (legs(entry), entry.net) == ([(P240.label, 2, 0.0)], 0.0)


def test_an_option_that_is_gone_before_its_expiry_without_shares_is_not_explained() -> None:
    assert told({P240: -2}, {}, BEFORE_EXPIRY) == ()
    assert unexplained(books({P240: -2}), books({}), ()) == (PositionChange(IBKR, P240.key, 2, -2, 0.0),)


def test_of_two_the_deeper_one_was_assigned() -> None:
    found = told({P235: -1, P240: -1}, {share(): 100})
    assert [entry.words.split(".")[0] for entry in found] == [
        "AAPL 18Dec26 240P assigned: 100 AAPL bought at 240", "AAPL 18Dec26 235P is gone at its expiry; whether it was "
        "exercised is not known, so its worth is not either",
    ]  # fmt: skip
    assert "expired worthless" in told({P235: -1, P240: -1}, {share(): 100}, levels={"AAPL": 237.0})[1].words


def test_a_spread_through_both_strikes_is_not_called_worthless() -> None:
    """A short 240 put and a long 235 put, AAPL at 230: shares in and out, 500 dollars paid."""
    unknown = told({P240: -1, P235: 1}, {})
    assert [entry.net for entry in unknown] == [None, None]
    known = told({P240: -1, P235: 1}, {}, levels={"AAPL": 230.0})
    assert sum(entry.net or 0.0 for entry in known) == -500.0
    assert unexplained(books({P240: -1, P235: 1}), books({}), (), known) == ()


def test_what_is_settled_in_cash_needs_its_level() -> None:
    """Short 2 puts struck at 5,700, settled at 5,690: 10 × 100 × 2 = 2,000 paid."""
    assert told({P5700: -2}, {}, BEFORE_EXPIRY) == ()
    assert told({P5700: -2}, {})[0].net is None
    assert told({P5700: -2}, {}, levels={"SPX": 5690.0})[0].net == pytest.approx(-2_000.0)
    (worthless,) = told({P5700: -2}, {}, levels={"SPX": 5800.0})
    assert (worthless.net, "expired worthless" in worthless.words) == (0.0, True)


def test_an_option_on_a_future_brings_the_future() -> None:
    future = parse("/ESZ26", EVENING.date())
    (entry,) = told({ES: -1}, {future: 1})
    assert [(leg.quantity, leg.price, leg.dollars_per_point) for leg in entry.legs] == [
        (1, 0.0, 50.0), (1, 6000.0, 50.0),
    ]  # fmt: skip


def test_shares_that_come_later_change_what_was_called_worthless() -> None:
    (entry,) = told({P240: -1}, {})
    later = EVENING + timedelta(days=2)
    (again,) = assignments(books({}), books({share(): 100}), KNOWN, (), Money(), later, expired=[entry])
    assert (again.key, again.time) == (entry.key, entry.time)
    assert "assigned: 100 AAPL bought at 240.00" in again.words
    assert (
        assignments(books({}), books({share(): 50}), KNOWN, (), Money(), EVENING + timedelta(days=9), expired=[entry])
        == ()
    )


def test_fills_are_taken_out_first() -> None:
    bought = fill("a", P240, 2, 1.0)
    before, after = books({P240: -2}), books({})
    assert assignments(before, after, KNOWN, [bought], Money(), EVENING) == ()
    assert unexplained(before, after, [bought]) == ()


def test_a_correction_explains_once_and_a_fill_read_back_counts_too() -> None:
    first, better = fill("a", P5700, -2, 1.0), fill("a", P5700, -3, 1.0, revision=2, account=IBKR.hidden)
    assert unexplained(books({}), books({P5700: -3}), [first, better]) == ()


def test_an_account_that_was_not_read_says_nothing() -> None:
    assert unexplained({**books({P5700: -3}), **books({}, TASTY)}, books({}, TASTY), ()) == ()
    assert unexplained({}, books({P5700: -3}), ()) == ()


def test_fills_of_another_account_explain_nothing() -> None:
    (change,) = unexplained(books({}), books({P5700: -3}), [fill("a", P5700, -3, 1.0, account=TASTY)])
    assert (change.quantity, change.before, change.after) == (-3, 0.0, -3)


@pytest.mark.parametrize(
    ("since", "now", "is_open", "level"),
    [
        (NOW, NOW + timedelta(seconds=5), True, Level.WATCH),
        (NOW, NOW + timedelta(seconds=121), True, Level.BREACH),
        (NOW, NOW + timedelta(hours=9), False, Level.WATCH),
        (NOW - timedelta(hours=9), NOW - timedelta(minutes=59), True, Level.WATCH),  # a minute after the bell
        (NOW - timedelta(hours=9), NOW - timedelta(minutes=57), True, Level.BREACH),
    ],
)
def test_a_change_is_watched_at_once_and_breaks_after_two_minutes_of_market(
    since: datetime, now: datetime, level: Level, *, is_open: bool
) -> None:
    change = PositionChange(IBKR, P5700.key, 1.0, -2.0, -1.0)
    finding = position_change(change, since, now, market_open=is_open, label=P5700.label)
    assert (finding.level, finding.check) == (level, "position_change")
    assert finding.subject == f"position:IBKR •••4567 {P5700.key}"
    assert "SPXW 18Dec26 5700P, IBKR •••4567: went from −2 to −1" in finding.message

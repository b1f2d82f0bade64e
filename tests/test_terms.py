"""What is said of an option before it is priced: seconds to settlement, style, rate, and what its underlying pays."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest

from guardrails.dividends import Basis
from guardrails.instruments import Instrument, Kind, Right, Settlement
from guardrails.summary.stress import stress_now
from guardrails.symbols import occ
from guardrails.terms import Terms, terms_of
from guardrails.values import Dividend, Market, Observed
from tests.books import NOW, day, market, option
from tests.stressed import stressed

YEAR = 365 * 86_400
HOUR = 3_600
AM, PM = "SPX   261218P05800000", "SPXW  261218P05800000"
SHARE = "XYZ   270115C00100000"
"""settles on 15 January 2027"""
EX = "2027-01-06"
RATE = 0.04


def paying(*dividends: tuple[str, float], dividend_yield: float | None = None, rate: float | None = RATE) -> Market:
    """XYZ at 100 and SPX at 6,000 with these dividends of XYZ, or this yield of both."""
    told = tuple(Dividend(day(ex), amount, "USD", "test", NOW) for ex, amount in dividends)
    shares = {} if dividend_yield is None else dict.fromkeys(("XYZ", "SPX"), Observed(dividend_yield, NOW, "test"))
    return replace(
        market(XYZ=100.0),
        risk_free=None if rate is None else Observed(rate, NOW, "test"),
        dividends={"XYZ": told} if told else {},
        yields=shares,
    )


def of(*what: str | Instrument, at: Market | None = None, now: datetime = NOW, spot: float = 100.0) -> Terms:
    instruments = [occ.parse(each) if isinstance(each, str) else each for each in what]
    return terms_of(instruments, np.full(len(instruments), spot), at or paying(), now)


def on_future(code: str = "EW4", settlement: Settlement = Settlement.PHYSICAL) -> Instrument:
    """A put on ES that expires on 27 November, a half-day."""
    return Instrument(
        Kind.FUTURE_OPTION, f"./{code}X26 261127P6000", "/ESZ26", code, date(2026, 11, 27), Decimal(6000), Right.PUT,
        settlement,
    )  # fmt: skip


def test_one_date_settles_at_the_open_or_at_the_close() -> None:
    # from 15:30 UTC on 18 November: 30 days less an hour to 9:30 in New York, 30 days and 5.5 hours to 16:00
    seconds = of(AM, PM).options.years * YEAR
    assert seconds == pytest.approx([30 * 86_400 - HOUR, 30 * 86_400 + 5.5 * HOUR], abs=1e-3)


def test_a_half_day_ends_at_one_o_clock() -> None:
    # 27 November, 13:00 in New York is 18:00 UTC: 9 days and 2.5 hours; SPY trades on for a quarter, but settles then
    seconds = of("SPXW  261127P05800000", "SPY   261127P00580000", on_future()).options.years * YEAR
    assert seconds == pytest.approx([9 * 86_400 + 2.5 * HOUR] * 3, abs=1e-3)


def test_the_last_second_counts_and_time_never_runs_backwards() -> None:
    close = datetime(2026, 12, 18, 21, 0, tzinfo=UTC)
    for seconds in (60.0, 1.0, 0.0):
        left = of(PM, now=datetime.fromtimestamp(close.timestamp() - seconds, UTC)).options.years * YEAR
        assert left == pytest.approx([seconds], abs=1e-6)
    assert of(PM, AM, now=datetime(2026, 12, 19, tzinfo=UTC)).options.years.tolist() == [0.0, 0.0]


def test_an_option_without_settlement_has_no_time() -> None:
    assert np.isnan(of(replace(occ.parse(PM), settlement=None)).options.years).all()


def test_a_future_carries_nothing_at_any_rate() -> None:
    found = of(on_future(), PM)
    assert found.on_future.tolist() == [True, False]
    assert found.options.rate.tolist() == [RATE, RATE]
    assert found.options.carry.tolist() == [0.0, RATE]
    assert found.options.futures().tolist() == [True, False]


def test_a_share_whose_yield_equals_the_rate_is_no_future() -> None:
    found = of(PM, SHARE, at=paying(dividend_yield=RATE))
    assert found.options.carry.tolist() == [0.0, 0.0]
    assert found.options.futures().tolist() == [False, False]


@pytest.mark.parametrize(
    ("told", "used", "words"),
    [
        (0.043, 0.043, "Interest rate 4.3 %, test, 18 Nov."),
        (-0.05, -0.05, "Interest rate -5 %, test, 18 Nov."),
        (0.25, 0.25, "Interest rate 25 %, test, 18 Nov."),
        (4.5, 0.0, "Interest rate 450 % (test, 18 Nov) is not believed, -5% to 25% is: zero is used."),
        (-0.0501, 0.0, "Interest rate -5.01 % (test, 18 Nov) is not believed, -5% to 25% is: zero is used."),
        (math.nan, 0.0, "No interest rate is known: zero is used."),
        (math.inf, 0.0, "No interest rate is known: zero is used."),
        (None, 0.0, "No interest rate is known: zero is used."),
    ],
)
def test_the_rate_is_said_and_one_that_cannot_be_is_not_believed(told: float | None, used: float, words: str) -> None:
    found = of(PM, on_future(), at=paying(dividend_yield=0.01, rate=told))
    assert found.options.rate.tolist() == [used, used]
    assert found.options.carry == pytest.approx([used - 0.01, 0.0])
    assert found.assumed == (words,)


def test_whose_dividends_are_not_known_is_said_once_for_all() -> None:
    rate = "Interest rate 4 %, test, 18 Nov."
    assert of(SHARE, PM, PM, on_future()).assumed == (rate, "No dividend of SPX, XYZ is known: none is used.")
    assert of(SHARE, PM, at=paying((EX, 2.0))).assumed == (rate, "No dividend of SPX is known: none is used.")
    assert of(SHARE, PM, at=paying(dividend_yield=0.0)).assumed == (rate,)
    assert of(SHARE, PM).at(np.array([0])).assumed == of(SHARE, PM).assumed
    assert of(Instrument(Kind.EQUITY, "XYZ", "XYZ", "XYZ")).assumed == ()


def test_a_yield_lowers_the_carry_and_cash_does_not() -> None:
    assert of(PM, SHARE, at=paying(dividend_yield=0.013)).options.carry == pytest.approx([0.027, 0.027])
    found = of(SHARE, at=paying((EX, 2.0)))
    assert found.options.carry.tolist() == [RATE]
    assert found.styles.pays.tolist() == [True]
    assert found.styles.dividends.amount.tolist() == [2.0]
    # midnight in New York on 6 January, 5:00 UTC: 49 days less 10.5 hours
    assert found.styles.dividends.years * YEAR == pytest.approx([49 * 86_400 - 10.5 * HOUR], abs=1e-3)


def test_what_nobody_says_counts_as_nothing_and_says_so() -> None:
    found = of(PM, SHARE)
    assert found.options.carry.tolist() == [RATE, RATE]
    assert not found.styles.pays.any()
    assert {name: told.basis for name, told in found.payouts.items()} == dict.fromkeys(("SPX", "XYZ"), Basis.UNKNOWN)
    assert of(SHARE, at=paying(dividend_yield=0.0)).payouts["XYZ"].basis is Basis.CASH  # who pays none is known
    assert of(PM, at=paying(rate=None)).options.rate.tolist() == [0.0]


@pytest.mark.parametrize(
    ("ex", "counts"), [("2026-11-18", False), ("2026-11-19", True), ("2027-01-15", True), ("2027-01-18", False)]
)
def test_a_dividend_counts_after_now_until_the_option_settles(ex: str, counts: bool) -> None:  # noqa: FBT001  # a table's column
    later = "XYZ   270319C00100000"  # another option of the name looks further ahead; that must not reach this one
    found = of(SHARE, later, at=paying((ex, 2.0)))
    assert found.styles.pays[0] == counts


def test_of_unknown_style_is_american() -> None:
    index = replace(occ.parse(PM), root="QQQX")
    rows = (index, on_future("ZZZ"), SHARE, PM, on_future("EW4"), Instrument(Kind.EQUITY, "XYZ", "XYZ", "XYZ"))
    assert of(*rows).styles.american.tolist() == [True, True, True, False, False, False]


def test_what_is_no_option_has_no_terms() -> None:
    found = of(Instrument(Kind.EQUITY, "XYZ", "XYZ", "XYZ"), Instrument(Kind.CASH, "EUR", "EUR"), SHARE)
    o = found.options
    assert np.isnan([o.sign[:2], o.spot[:2], o.strike[:2], o.years[:2]]).all()
    assert (o.sign[2], o.spot[2], o.strike[2]) == (1.0, 100.0, 100.0)
    assert not found.on_future.any()


def test_a_missing_price_stays_missing_and_half_strikes_are_read() -> None:
    found = of("XYZ   270115C00000500", spot=math.nan)
    assert np.isnan(found.options.spot[0])
    assert found.options.strike.tolist() == [0.5]


def test_rows_can_be_asked_for_again() -> None:
    found = of(SHARE, PM, on_future(), at=paying((EX, 2.0))).at(np.array([2, 0, 0, 1]))
    assert found.on_future.tolist() == [True, False, False, False]
    assert found.options.strike.tolist() == [6000.0, 100.0, 100.0, 5800.0]
    assert found.styles.american.tolist() == [False, True, True, False]
    assert found.styles.pays.tolist() == [False, True, True, False]
    assert found.styles.dividends.amount.tolist() == [2.0, 2.0]


def test_nothing_has_terms_too() -> None:
    found = of()
    assert len(found.options.sign) == 0
    assert not found.payouts


def test_the_snapshot_says_what_is_assumed() -> None:
    held = stressed(option("SPXW  261218P05800000", -1, "-0.2 0.001 5 -1 0.16", mark=36.7))
    said = stress_now(held).assumptions
    assert said[:2] == ("No interest rate is known: zero is used.", "No dividend of SPX is known: none is used.")

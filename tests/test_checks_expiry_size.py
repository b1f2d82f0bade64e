"""Expiry alarm, size and concentration at their edges."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from guardrails.checks.concentration import delta_concentration, margin_concentration, vega_concentration
from guardrails.checks.expiry import short_option_expiry
from guardrails.checks.size import position_contracts, position_notional
from guardrails.findings import Finding, Level
from tests.books import IBKR, TASTY, account, book, future, market, option, stock, with_limits

WEDNESDAY = datetime(2026, 11, 11, 15, 30, tzinfo=UTC)  # 10:30 in New York


def alarm(symbol: str, now: datetime = WEDNESDAY, quantity: float = -1, **prices: float) -> Finding:
    findings = short_option_expiry(
        book(option(symbol, quantity, "0 0 0 0"), at=market(**prices), now=now), with_limits()
    )
    assert len(findings) == 1
    return findings[0]


# from Wednesday 11 November 2026, in trading days. Physical: WATCH 5, BREACH 2. AM: 6 and 3. Cash PM: 2 and 0.
@pytest.mark.parametrize(
    ("symbol", "days", "level"),
    [
        ("AAPL  261119P00200000", 6, Level.OK),
        ("AAPL  261118P00200000", 5, Level.WATCH),
        ("AAPL  261116P00200000", 3, Level.WATCH),
        ("AAPL  261113P00200000", 2, Level.BREACH),
        ("SPX   261120P05500000", 7, Level.OK),
        ("SPXW  261116P05500000", 3, Level.OK),
        ("SPXW  261113P05500000", 2, Level.WATCH),
        ("SPXW  261112P05500000", 1, Level.WATCH),
        ("SPXW  261111P05500000", 0, Level.BREACH),
    ],
)
def test_days_to_expiry(symbol: str, days: int, level: Level) -> None:
    finding = alarm(symbol)
    assert finding.value == days
    assert finding.level is level


@pytest.mark.parametrize(
    ("day", "level"),
    [(11, Level.OK), (12, Level.WATCH), (16, Level.WATCH), (17, Level.BREACH), (19, Level.BREACH)],
)
def test_am_settled_spx_alarms_a_day_earlier(day: int, level: Level) -> None:
    # expires Friday 20 November: 7, 6, 4, 3 and 1 trading days before
    now = datetime(2026, 11, day, 15, 30, tzinfo=UTC)
    assert alarm("SPX   261120P05500000", now).level is level


def test_holidays_are_no_trading_days() -> None:
    # Tuesday 24 November to Friday 27: Wednesday, (Thursday is Thanksgiving), Friday = 2
    finding = alarm("AAPL  261127P00200000", datetime(2026, 11, 24, 15, 30, tzinfo=UTC))
    assert finding.value == 2
    assert finding.level is Level.BREACH
    # the half-day closes at 13:00 New York, 18:00 UTC: 74.5 hours after 15:30 UTC on the 24th
    assert finding.evidence["hours_to_last_trade"] == pytest.approx(74.5)


def test_am_settled_last_trade_is_the_day_before() -> None:
    # Thursday 19 November 16:15 in New York (21:15 UTC) from Tuesday 15:30 UTC: 53.75 hours
    finding = alarm("SPX   261120P05500000", datetime(2026, 11, 17, 15, 30, tzinfo=UTC))
    assert finding.evidence["hours_to_last_trade"] == pytest.approx(53.75)


def test_a_long_option_raises_no_alarm() -> None:
    held = book(option("AAPL  261112P00200000", 5, "0 0 0 0"), now=WEDNESDAY)
    assert short_option_expiry(held, with_limits())[0].message == "No short option is held."


def test_in_the_money_is_said() -> None:
    assert "in the money" in alarm("AAPL  261113P00200000", AAPL=199.0).message
    assert "out of the money" in alarm("AAPL  261113P00200000", AAPL=201.0).message


def test_an_unreadable_quantity_counts_as_short() -> None:
    held = book(option("AAPL  261113P00200000", None, reasons=("quantity 'x' is not a number",)), now=WEDNESDAY)
    assert short_option_expiry(held, with_limits())[0].level is Level.BREACH


@pytest.mark.parametrize(
    ("ours", "theirs", "level"),
    [(-20, 19, Level.OK), (-20, 20, Level.WATCH), (25, 25, Level.WATCH), (-26, 25, Level.BREACH)],
)
def test_contracts_add_over_accounts_without_netting(ours: float, theirs: float, level: Level) -> None:
    symbol = "SPXW  261218P05500000"
    held = book(option(symbol, ours, account=IBKR), option(symbol, theirs, account=TASTY))
    finding = position_contracts(held, with_limits())[0]
    assert finding.level is level
    assert finding.value == abs(ours) + abs(theirs)


def test_shares_are_not_contracts() -> None:
    assert position_contracts(book(stock("SPY", 5_000, 600.0)), with_limits())[0].level is Level.OK


def test_notional_is_not_set_by_default_and_works_when_set() -> None:
    held = book(future("/ESZ26", -1, 6000.0, 50.0), at=market(**{"/ESZ26": 6000.0}))  # 300,000 dollars
    assert position_notional(held, with_limits())[0].level is Level.NOT_APPLICABLE
    assert position_notional(held, with_limits(max_position_notional_pct_nlv=3.0))[0].level is Level.WATCH
    assert position_notional(held, with_limits(max_position_notional_pct_nlv=2.99))[0].level is Level.BREACH


def names(*weights: float) -> list[Finding]:
    """Dollar deltas of 1,000 times the weights in AAA, BBB, ..."""
    symbols = ["AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG", "HHH"][: len(weights)]
    at = market(**dict.fromkeys(symbols, 10.0))
    return delta_concentration(
        book(*(stock(s, w * 100, 10.0) for s, w in zip(symbols, weights, strict=True)), at=at), with_limits()
    )


def test_delta_share_both_sides() -> None:
    # 20 % of the gross: 20 of 100 passes, 21 of 101 does not; WATCH from 16 %
    assert {f.level for f in names(15, 15, 14, 14, 14, 14, 14)} == {Level.OK}
    found = {f.subject: f.level for f in names(20, -16, 16, 16, 16, 16)}
    assert found["underlying:AAA"] is Level.WATCH
    assert {f.subject: f.level for f in names(21, -16, 16, 16, 16, 16)}["underlying:AAA"] is Level.BREACH


def test_broad_indices_are_exempt_but_count_in_the_gross() -> None:
    at = market({"AAA": 1.0}, AAA=10.0)
    alone = book(stock("AAA", 3_000, 10.0), at=at)
    beside = book(stock("AAA", 3_000, 10.0), stock("SPY", 500, 600.0), at=at)
    assert delta_concentration(alone, with_limits())[0].level is Level.BREACH
    assert delta_concentration(beside, with_limits())[0].level is Level.OK


def test_vega_share_both_sides() -> None:
    # 60 % of gross vega: 600 of 1,000 passes, 601 of 1,001 does not
    at = market(AAA=10.0)
    index = option("SPXW  261218P05800000", -1, "0 0 4 0")
    for vega, level in (("6.00", Level.WATCH), ("6.01", Level.BREACH)):
        held = book(index, option("AAA   261218P00010000", -1, f"0 0 {vega} 0"), at=at)
        assert vega_concentration(held, with_limits())[0].level is level


def test_a_share_without_greeks_is_unknown() -> None:
    held = book(
        option("SPXW  261218P05800000", -1, "0 0 4 0"), option("AAA   261218P00010000", -1), at=market(AAA=10.0)
    )
    finding = vega_concentration(held, with_limits())[0]
    assert finding.level is Level.UNKNOWN
    assert finding.evidence["missing"] == ["AAA"]


def test_next_to_nothing_has_no_shares() -> None:
    at = market(AAA=10.0)
    assert delta_concentration(book(stock("AAA", 1, 10.0), at=at), with_limits())[0].level is Level.NOT_APPLICABLE


def test_margin_share_is_the_brokers_figure() -> None:
    groups = {"AAPL": 20_000.0, "MSFT": 30_000.0, "SPX": 100_000.0}
    held = book(accounts=[replace(account(TASTY), margin_by_underlying=groups)])
    found = {f.subject: f.level for f in margin_concentration(held, with_limits())}
    assert found == {"underlying:MSFT": Level.WATCH} or found["underlying:MSFT"] is Level.WATCH
    groups["MSFT"] = 30_001.0  # 30,001 of 150,001 is above 20 %
    held = book(accounts=[replace(account(TASTY), margin_by_underlying=groups)])
    assert {f.subject: f.level for f in margin_concentration(held, with_limits())}["underlying:MSFT"] is Level.BREACH


def test_margin_share_at_ibkr_is_unknown_outside_the_indices() -> None:
    index_only = book(option("SPXW  261218P05800000", -1, "0 0 4 0"))
    single = book(stock("AAPL", 100, 200.0), at=market(AAPL=200.0))
    assert margin_concentration(index_only, with_limits())[0].level is not Level.UNKNOWN
    finding = margin_concentration(single, with_limits())[0]
    assert finding.level is Level.UNKNOWN
    assert finding.evidence["missing"] == ["AAPL"]

"""Cushion and utilisation: per account, per segment, worst view; no rich pocket ever clears a poor one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from guardrails.checks.margin import margin_cushion, margin_utilisation
from guardrails.findings import Finding, Level, worst
from guardrails.values import Account, Margin, MarginView
from tests.books import IBKR, NOW, TASTY, account, book, with_limits


def cushion_of(*accounts: Account) -> list[Finding]:
    return margin_cushion(book(accounts=accounts), with_limits())


# neutral: at least 20 %, WATCH below 30 %
@pytest.mark.parametrize(
    ("excess", "level"),
    [(30_000, Level.OK), (29_999, Level.WATCH), (20_000, Level.WATCH), (19_999, Level.BREACH), (-1, Level.BREACH)],
)
def test_cushion_both_sides(excess: float, level: Level) -> None:
    assert cushion_of(account(excess=excess))[0].level is level


def test_the_recorded_tastytrade_cushion() -> None:
    # domain facts 2.4: 22,828.524 of excess over 32,520.734 is 70.2 %
    finding = cushion_of(account(TASTY, 32_520.734, 22_828.524))[0]
    assert finding.value == pytest.approx(0.702, abs=5e-4)


def views(current: float | None, full: float | None, ahead: float | None) -> Account:
    """An IBKR account of 100,000 with these excess liquidities."""
    rows = zip((MarginView.CURRENT, MarginView.FULL, MarginView.LOOK_AHEAD), (current, full, ahead), strict=True)
    margins = tuple(Margin(v, "total", 100_000.0, None if e is None else 100_000 - e, e) for v, e in rows)
    return replace(
        account(), margins=margins, expected_views=(MarginView.CURRENT, MarginView.FULL, MarginView.LOOK_AHEAD),
        next_margin_change=NOW + timedelta(minutes=30),
    )  # fmt: skip


def test_the_worst_of_now_overnight_and_look_ahead_decides() -> None:
    finding = cushion_of(views(50_000, 40_000, 11_000))[0]
    assert finding.level is Level.BREACH
    assert finding.value == pytest.approx(0.11)
    assert "look-ahead" in finding.message
    assert "Wed 18 Nov 11:00 ET" in finding.message


def test_a_view_that_should_be_there_and_is_not_is_unknown() -> None:
    assert cushion_of(views(50_000, 40_000, None))[0].level is Level.UNKNOWN
    assert cushion_of(views(None, None, None))[0].level is Level.UNKNOWN
    assert cushion_of(views(10_000, None, None))[0].level is Level.BREACH


def test_a_rich_account_never_clears_a_poor_one() -> None:
    findings = cushion_of(account(IBKR, 1_000_000, 900_000), account(TASTY, 10_000, 500))
    assert {finding.subject: finding.level for finding in findings} == {
        "account:IBKR •••4567": Level.OK,
        "account:tastytrade •••0001": Level.BREACH,
    }


def test_a_rich_segment_never_clears_a_poor_one() -> None:
    margins = (
        Margin(MarginView.CURRENT, "total", 100_000.0, 20_000.0, 80_000.0),
        Margin(MarginView.CURRENT, "securities", 95_000.0, 15_000.0, 80_000.0),
        Margin(MarginView.CURRENT, "commodities", 5_000.0, 4_800.0, 200.0),
    )
    findings = cushion_of(replace(account(), margins=margins))
    assert {f.subject.rsplit(":", 1)[-1]: f.level for f in findings} == {
        "commodities": Level.BREACH,
        "securities": Level.OK,
        ["account", "IBKR •••4567"][-1]: Level.OK,
    }


def test_an_unused_segment_is_silent() -> None:
    margins = (
        Margin(MarginView.CURRENT, "securities", 95_000.0, 15_000.0, 80_000.0),
        Margin(MarginView.CURRENT, "commodities", 0.0, 0.0, 0.0),
    )
    assert worst(f.level for f in cushion_of(replace(account(), margins=margins))) is Level.OK


@pytest.mark.parametrize(("net_liquidation", "excess"), [(0.0, -5_000.0), (-10_000.0, -20_000.0), (0.0, 0.0)])
def test_an_account_without_equity_is_a_breach(net_liquidation: float, excess: float) -> None:
    margins = (Margin(MarginView.CURRENT, "total", net_liquidation, 5_000.0, excess),)
    assert cushion_of(replace(account(), margins=margins))[0].level is Level.BREACH


def test_no_account_is_unknown() -> None:
    assert cushion_of()[0].level is Level.UNKNOWN
    assert margin_utilisation(book(accounts=[]), with_limits())[0].level is Level.UNKNOWN


# neutral: at most 50 %, WATCH from 40 %
@pytest.mark.parametrize(
    ("used", "level"), [(39_999, Level.OK), (40_000, Level.WATCH), (50_000, Level.WATCH), (50_001, Level.BREACH)]
)
def test_utilisation_both_sides(used: float, level: Level) -> None:
    held = book(accounts=[account(excess=100_000 - used)])
    assert margin_utilisation(held, with_limits())[0].level is level


def test_utilisation_takes_the_worst_view_and_misses_none() -> None:
    assert margin_utilisation(book(accounts=[views(90_000, 80_000, 40_000)]), with_limits())[0].level is Level.BREACH
    assert margin_utilisation(book(accounts=[views(90_000, 80_000, None)]), with_limits())[0].level is Level.UNKNOWN


def test_not_set_is_said() -> None:
    for check, key in ((margin_cushion, "min_cushion"), (margin_utilisation, "max_margin_utilisation")):
        finding = check(book(), with_limits(**{key: None}))[0]
        assert finding.level is Level.NOT_APPLICABLE
        assert "not set" in finding.message

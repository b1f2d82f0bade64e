"""Losses and data quality at their edges."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from guardrails.checks.loss import daily_loss, drawdown
from guardrails.checks.quality import (
    account_data,
    beta_coverage,
    greeks_coverage,
    market_regime,
    position_data,
    source_state,
)
from guardrails.findings import Finding, Level
from guardrails.portfolio import AccountHistory, Portfolio
from guardrails.values import Observed, Source, SourceState
from tests.books import IBKR, NOW, account, book, market, option, stock, with_limits

YESTERDAY = NOW - timedelta(days=1)


def remembered(
    start: float | None = 100_000.0, peak: float = 100_000.0, readings: int = 0, **more: object
) -> AccountHistory:
    begun = None if start is None else Observed(start, YESTERDAY, "test")
    losing = tuple(NOW - timedelta(minutes=3 * i) for i in reversed(range(readings)))
    history = AccountHistory(YESTERDAY, NOW.date(), begun, peak=Observed(peak, YESTERDAY, "test"), losing=losing)
    return replace(history, **more)  # type: ignore[arg-type]  # tests give matching fields


def after(net_liquidation: float | None, history: AccountHistory | None = None, now: datetime = NOW) -> Portfolio:
    held = book(accounts=[account(net_liquidation=net_liquidation)], history={IBKR: history or remembered()}, now=now)
    return replace(held, positions=())


# WATCH from 1.5 %, limit 3 % of 100,000
@pytest.mark.parametrize(
    ("now_worth", "level"), [(98_501, Level.OK), (98_500, Level.WATCH), (97_000, Level.WATCH), (110_000, Level.OK)]
)
def test_loss_below_the_limit(now_worth: float, level: Level) -> None:
    assert daily_loss(after(now_worth), with_limits())[0].level is level


@pytest.mark.parametrize(("readings", "level"), [(1, Level.UNKNOWN), (2, Level.UNKNOWN), (3, Level.BREACH)])
def test_a_loss_over_the_limit_needs_three_broker_readings(readings: int, level: Level) -> None:
    finding = daily_loss(after(96_999, remembered(readings=readings)), with_limits())[0]
    assert finding.level is level
    assert finding.value == pytest.approx(-0.03001)


@pytest.mark.parametrize(
    ("own", "level"), [(-3_301, Level.BREACH), (-3_302, Level.UNKNOWN), (-2_701, Level.BREACH), (-2_700, Level.UNKNOWN)]
)
def test_own_quotes_confirm_within_three_per_mille(own: float, level: Level) -> None:
    # the broker says -3,001; 0.003 of 100,000 is 300
    held = book(
        stock("SPY", 10, 600.0, day_pnl=own), accounts=[account(net_liquidation=96_999.0)], history={IBKR: remembered()}
    )
    assert daily_loss(held, with_limits())[0].level is level


def test_opening_prints_do_not_halt() -> None:
    lost = remembered(readings=5)
    early, late = datetime(2026, 11, 18, 14, 34, 59, tzinfo=UTC), datetime(2026, 11, 18, 14, 35, tzinfo=UTC)
    assert daily_loss(after(90_000, lost, early), with_limits())[0].level is Level.UNKNOWN
    assert daily_loss(after(90_000, lost, late), with_limits())[0].level is Level.BREACH


def test_deposits_do_not_hide_a_loss() -> None:
    # 100,000 at the start, 10,000 paid in, 105,000 now: 5,000 are lost
    finding = daily_loss(after(105_000, remembered(flows=10_000.0, readings=3)), with_limits())[0]
    assert finding.level is Level.BREACH
    assert finding.evidence["lost"] == 5_000


@pytest.mark.parametrize("history", [remembered(start=None), AccountHistory()])
def test_no_session_start_is_unknown(history: AccountHistory) -> None:
    assert daily_loss(after(100_000, history), with_limits())[0].level is Level.UNKNOWN


def test_no_net_liquidation_is_unknown() -> None:
    assert daily_loss(after(None), with_limits())[0].level is Level.UNKNOWN
    assert drawdown(after(None), with_limits())[0].level is Level.UNKNOWN


def test_an_unexplained_jump_is_unknown() -> None:
    finding = daily_loss(after(120_000, remembered(jump="net liquidation jumped up")), with_limits())[0]
    assert finding.level is Level.UNKNOWN
    assert "jumped" in finding.message


# limit 10 % below the peak, WATCH from 8 %
@pytest.mark.parametrize(
    ("now_worth", "level"), [(92_001, Level.OK), (92_000, Level.WATCH), (90_000, Level.WATCH), (89_999, Level.BREACH)]
)
def test_drawdown_both_sides(now_worth: float, level: Level) -> None:
    assert drawdown(after(now_worth), with_limits())[0].level is level


def test_a_first_reading_has_no_drawdown() -> None:
    first = remembered(since=NOW)
    assert drawdown(after(100_000, first), with_limits())[0].level is Level.UNKNOWN
    assert drawdown(after(100_000, AccountHistory()), with_limits())[0].level is Level.UNKNOWN


@pytest.mark.parametrize(
    ("state", "level"),
    [
        (SourceState.LIVE, Level.OK),
        (SourceState.CLOSED, Level.UNKNOWN),
        (SourceState.FILE, Level.OK),
        (SourceState.STALE, Level.UNKNOWN),
        (SourceState.DOWN, Level.UNKNOWN),
        (SourceState.CONNECTING, Level.UNKNOWN),
    ],
)
def test_source_states(state: SourceState, level: Level) -> None:
    held = replace(book(), sources=(Source("ibkr", state, NOW),))
    assert source_state(held, with_limits())[0].level is level


def test_a_quiet_feed_is_closed_only_while_the_market_is() -> None:
    night = datetime(2026, 11, 19, 3, 0, tzinfo=UTC)  # 22:00 in New York
    held = replace(book(now=night), sources=(Source("ibkr", SourceState.CLOSED, NOW),), market_open=False)
    assert source_state(held, with_limits())[0].level is Level.OK


def test_no_source_is_unknown() -> None:
    assert source_state(replace(book(), sources=()), with_limits())[0].level is Level.UNKNOWN


@pytest.mark.parametrize(("seconds", "level"), [(600, Level.OK), (601, Level.UNKNOWN)])
def test_account_figures_grow_old_in_an_open_market(seconds: float, level: Level) -> None:
    aged = account(time=NOW - timedelta(seconds=seconds))
    assert account_data(book(accounts=[aged]), with_limits())[0].level is level
    closed = replace(book(accounts=[aged]), market_open=False)
    assert account_data(closed, with_limits())[0].level is Level.OK


def test_account_in_a_currency_without_rate_is_unknown() -> None:
    assert account_data(book(accounts=[account(currency="EUR")]), with_limits())[0].level is Level.UNKNOWN


def test_a_margin_call_is_a_breach() -> None:
    assert account_data(book(accounts=[account(margin_call=True)]), with_limits())[0].level is Level.BREACH


def test_positions_that_cannot_be_trusted_are_named() -> None:
    held = book(
        stock("SPY", 1, 600.0),
        stock("XYZ", 1, None),
        option("SPXW  261218P05800000", -1, "0 0 0 0", multiplier=None),
        stock("ABC", None, 1.0, reasons=("line 7: quantity 'x' is not a number",)),
    )
    finding: Finding = position_data(held, with_limits())[0]
    assert finding.level is Level.UNKNOWN
    assert finding.value == 3
    assert "line 7" in finding.message


def test_coverage_of_greeks_and_betas() -> None:
    full, bare = option("SPXW  261218P05800000", -1, "0 0 0 0"), option("SPXW  261218P05700000", -1)
    assert greeks_coverage(book(full), with_limits())[0].level is Level.OK
    half = greeks_coverage(book(full, bare), with_limits())[0]
    assert (half.level, half.value) == (Level.UNKNOWN, 0.5)
    assert greeks_coverage(book(), with_limits())[0].level is Level.NOT_APPLICABLE
    assert beta_coverage(book(stock("XYZ", 1, 1.0)), with_limits())[0].level is Level.WATCH
    assert beta_coverage(book(stock("SPY", 1, 600.0)), with_limits())[0].level is Level.OK


def test_regime_data() -> None:
    known = with_limits()
    assert market_regime(book(), known)[0].level is Level.OK
    assert market_regime(book(), replace(known, overlay=True))[0].level is Level.WATCH
    assert market_regime(book(), replace(known, overlay=None))[0].level is Level.UNKNOWN
    assert market_regime(book(), replace(known, regime_known=False))[0].level is Level.UNKNOWN
    assert "blocked" in market_regime(book(at=market()), replace(known, overlay=True))[0].message

"""Losses and data quality at their edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from guardrails import checks
from guardrails.checks.loss import daily_loss, drawdown
from guardrails.checks.quality import (
    account_data,
    beta_coverage,
    greeks_coverage,
    market_regime,
    position_data,
)
from guardrails.checks.sources import clock_skew, source_state
from guardrails.findings import Finding, Level
from guardrails.limits import Limits
from guardrails.portfolio import AccountHistory, Portfolio
from guardrails.values import Observed, Source, SourceState, Stream
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


def told(check: Callable[[Portfolio, Limits], list[Finding]], *sources: Source) -> list[Finding]:
    return check(replace(book(), sources=sources), with_limits())


LINKED = Source("ibkr", SourceState.LIVE, NOW, condition="connected", since=NOW - timedelta(minutes=3))


def test_a_source_that_works_in_part_is_watched_and_says_what() -> None:
    warned = replace(LINKED, warnings=("delayed quotes for 2 contracts.", "quotes in turns", "w3", "w4"))
    finding = told(source_state, warned)[0]
    assert finding.level is Level.WATCH
    assert "Works in part: delayed quotes for 2 contracts.; quotes in turns; w3 and 1 more." in finding.message
    assert finding.evidence["warnings"] == list(warned.warnings)
    assert finding.next_action


@pytest.mark.parametrize(("works", "level"), [(True, Level.OK), (None, Level.OK), (False, Level.WATCH)])
def test_a_stream_that_does_not_work_is_named(*, works: bool | None, level: Level) -> None:
    both = (Stream("quotes", NOW), Stream("account IBKR •••4567", None, works))
    finding = told(source_state, replace(LINKED, streams=both))[0]
    assert finding.level is level
    assert ("Does not work: account IBKR •••4567." in finding.message) is (level is Level.WATCH)


def test_a_warning_never_softens_a_dead_source() -> None:
    dead = replace(
        LINKED, state=SourceState.DOWN, warnings=("delayed quotes",), streams=(Stream("x", NOW, works=False),)
    )
    assert told(source_state, dead)[0].level is Level.UNKNOWN


def test_a_source_says_condition_since_when_last_word_retries_and_what_to_do() -> None:
    refused = replace(
        LINKED, state=SourceState.DOWN, time=NOW - timedelta(minutes=4), detail="Nothing listens on 127.0.0.1:4002.",
        condition="client_id_in_use", retries=7, action="Start TWS.",
    )  # fmt: skip
    finding = told(source_state, refused)[0]
    assert finding.message == (
        "ibkr cannot be reached or read for 4 min, client id in use for 3 min, last word 4 min ago, "
        "7 attempts to connect so far. Nothing listens on 127.0.0.1:4002."
    )
    assert finding.next_action == "Start TWS."


def test_a_source_that_works_needs_no_action() -> None:
    finding = told(source_state, LINKED)[0]
    assert finding.message == "ibkr is live, connected for 3 min, last word 0 s ago."
    assert finding.next_action == ""


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("seconds", "level"),
    [
        (0.0, Level.OK),
        (2.0, Level.OK),
        (2.001, Level.WATCH),
        (60.0, Level.WATCH),
        (60.001, Level.UNKNOWN),
        (float("nan"), Level.UNKNOWN),
    ],
)
def test_clocks_ahead_and_behind(seconds: float, level: Level, sign: int) -> None:
    finding = told(clock_skew, replace(LINKED, clock_skew=sign * seconds))[0]
    assert (finding.level, finding.limit, finding.unit) == (level, 2.0, "s")
    assert finding.subject == "source:ibkr"
    assert ("NTP" in finding.next_action) is (level is not Level.OK)


def test_clocks_in_words() -> None:
    ahead, behind = told(clock_skew, replace(LINKED, clock_skew=3.2), replace(LINKED, clock_skew=-3600.0))
    assert ahead.message == "The clock of ibkr is 3.2 s ahead of ours: ages are wrong by as much."
    assert ahead.headroom == pytest.approx(-1.2)
    assert behind.message == "The clock of ibkr is 3,600.0 s behind ours: no age can be trusted."


def test_without_a_clock_there_is_nothing_to_compare() -> None:
    silent = told(clock_skew, LINKED, replace(LINKED, name="other"))
    assert [(f.subject, f.level) for f in silent] == [("portfolio", Level.NOT_APPLICABLE)]
    one = told(clock_skew, LINKED, replace(LINKED, name="other", clock_skew=0.0))
    assert [(f.subject, f.level) for f in one] == [("source:other", Level.OK)]


def test_clocks_and_sources_are_not_darkened_by_gaps() -> None:
    held = replace(book(gaps=("ibkr has gone silent",)), sources=(replace(LINKED, clock_skew=3.0, warnings=("w",)),))
    found = checks.run(held, with_limits(), (source_state, clock_skew))
    assert [f.level for f in found] == [Level.WATCH, Level.WATCH]


@pytest.mark.parametrize(
    ("sma", "level"),
    [(None, Level.OK), (0.0, Level.OK), (1.0, Level.OK), (-0.01, Level.WATCH), (float("nan"), Level.OK)],
)
def test_sma_below_zero_is_watched(sma: float | None, level: Level) -> None:
    assert account_data(book(accounts=[account(sma=sma)]), with_limits())[0].level is level


def test_sma_says_what_will_happen_and_hides_behind_nothing() -> None:
    finding = account_data(book(accounts=[account(sma=-1_200.0)]), with_limits())[0]
    assert "SMA is −$1,200" in finding.message
    assert finding.next_action
    late = account(sma=-1_200.0, time=NOW - timedelta(hours=1))
    unsure = account_data(book(accounts=[late]), with_limits())[0]
    assert unsure.level is Level.UNKNOWN
    assert "SMA is −$1,200" in unsure.message
    called = account_data(book(accounts=[account(sma=-1_200.0, margin_call=True)]), with_limits())[0]
    assert called.level is Level.BREACH


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

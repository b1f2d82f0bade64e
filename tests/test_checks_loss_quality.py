"""Losses and data quality at their edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from guardrails import checks
from guardrails.checks.loss import daily_loss, day_pnl_agreement, drawdown
from guardrails.checks.quality import (
    account_data,
    beta_coverage,
    beta_quality,
    greeks_coverage,
    market_regime,
    position_data,
)
from guardrails.checks.sources import clock_skew, source_state
from guardrails.findings import Finding, Level
from guardrails.limits import Limits
from guardrails.portfolio import AccountHistory, Portfolio
from guardrails.values import Account, Metrics, Observed, Restriction, Source, SourceState, Stream
from tests.books import IBKR, NOW, account, book, future, market, option, stock, with_limits

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


# --- restrictions ---

WATCHED = set(Restriction) - {Restriction.CRYPTO_CLOSING_ONLY, Restriction.MARGIN_CALL}


def restricted(*kinds: Restriction, **more: object) -> Finding:
    return account_data(book(accounts=[account(restrictions=kinds, **more)]), with_limits())[0]


@pytest.mark.parametrize("kind", sorted(WATCHED))
def test_a_restriction_is_watched_and_says_what_it_means(kind: Restriction) -> None:
    finding = restricted(kind)
    assert finding.level is Level.WATCH
    assert "The broker restricts the account: " in finding.message
    assert finding.evidence["restrictions"] == [kind.value]
    assert finding.next_action


def test_no_restriction_and_none_said_change_nothing() -> None:
    assert restricted().level is Level.OK
    assert restricted().message == account_data(book(), with_limits())[0].message
    crypto = restricted(Restriction.CRYPTO_CLOSING_ONLY)
    assert (crypto.level, "cryptocurrencies are closing only" in crypto.message) == (Level.OK, True)


def test_a_restriction_softens_nothing_and_hides_behind_nothing() -> None:
    for called in (restricted(Restriction.MARGIN_CALL), restricted(Restriction.FROZEN, margin_call=True)):
        assert (called.level, called.next_action) == (Level.BREACH, "Meet the call.")
    late = restricted(Restriction.FROZEN, time=NOW - timedelta(hours=1))
    assert late.level is Level.UNKNOWN
    assert "it is frozen, so no order is taken, not even one that closes" in late.message
    both = restricted(Restriction.CLOSING_ONLY, sma=-1.0)
    assert "SMA" in both.next_action
    assert "Ask the broker" in both.next_action


# --- how much a beta says ---


def returns(*correlations: tuple[str, float | None]) -> Finding:
    """100 shares of each name at 200 dollars and a beta of 1, beside 100 SPY at 600."""
    names = [name for name, _ in correlations]
    metrics = {name: Metrics(name, NOW, "test", correlation=value) for name, value in correlations}
    where = replace(market(dict.fromkeys(names, 1.0), **dict.fromkeys(names, 200.0)), metrics=metrics)
    shares = [stock(name, 100, 200.0) for name in names]
    return beta_quality(book(*shares, stock("SPY", 100, 600.0), at=where), with_limits())[0]


@pytest.mark.parametrize(
    ("correlation", "level"),
    [(0.30, Level.OK), (0.2999, Level.WATCH), (-0.30, Level.OK), (-0.2999, Level.WATCH), (0.0, Level.WATCH)],
)
def test_a_weak_correlation_is_watched_whatever_its_sign(correlation: float, level: Level) -> None:
    assert returns(("XOM", correlation)).level is level


def test_weak_betas_are_named_and_weighed_by_their_delta() -> None:
    # 20,000 of 20,000 + 20,000 + 60,000
    finding = returns(("XOM", 0.21), ("AAPL", 0.68))
    assert finding.value == pytest.approx(0.20)
    assert "XOM (beta 1.00, correlation 0.21, delta $20,000)" in finding.message
    assert "20 % of the gross delta" in finding.message
    assert "AAPL" not in finding.message
    assert list(finding.evidence["weak"]) == ["XOM"]


def test_the_largest_delta_comes_first() -> None:
    where = replace(
        market({"KO": 0.5, "XOM": 0.6}, KO=60.0, XOM=110.0),
        metrics={name: Metrics(name, NOW, "test", correlation=0.1) for name in ("KO", "XOM")},
    )
    held = book(stock("KO", 10, 60.0), stock("XOM", -100, 110.0), at=where)
    assert list(beta_quality(held, with_limits())[0].evidence["weak"]) == ["XOM", "KO"]


def test_an_unknown_correlation_is_said_and_not_guessed() -> None:
    one = returns(("XOM", None), ("AAPL", 0.68))
    assert (one.level, one.message) == (Level.WATCH, "No current correlation is known for XOM.")
    none = returns(("XOM", None))
    assert none.level is Level.NOT_APPLICABLE
    assert "No correlation is published for XOM" in none.message


@pytest.mark.parametrize(("correlation", "said"), [(0.68, "No current correlation"), (0.1, "Betas that say little")])
def test_an_old_correlation_proves_weakness_only(correlation: float, said: str) -> None:
    old = Metrics("XOM", NOW - timedelta(days=7), "test", correlation=correlation)
    where = replace(market({"XOM": 0.6}, XOM=110.0), metrics={"XOM": old})
    finding = beta_quality(book(stock("XOM", 1, 110.0), at=where), with_limits())[0]
    assert finding.level is Level.WATCH
    assert finding.message.startswith(said)


def test_indices_and_bounded_betas_are_not_judged() -> None:
    weak = {name: Metrics(name, NOW, "test", correlation=0.1) for name in ("SPY", "QQQ", "VXX", "XYZ")}
    where = replace(market({"QQQ": 1.15}, QQQ=600.0, VXX=40.0, XYZ=1.0), metrics=weak)
    held = [stock("SPY", 1, 600.0), stock("QQQ", 1, 600.0), stock("VXX", 1, 40.0), stock("XYZ", 1, 1.0)]
    finding = beta_quality(book(*held, future("/ESZ26", 1, 6000.0, 50.0), at=where), with_limits())[0]
    assert (finding.level, finding.message) == (Level.NOT_APPLICABLE, "No beta from returns is used.")


# --- two ways to the day's result ---

CLOSE = datetime(2026, 11, 17, 21, 0, tzinfo=UTC)


def two_ways(net_liquidation: float | None = 100_000.0, **changes: object) -> Finding:
    """100,000 at the close of the session before, nothing moved since, the positions say nothing was earned."""
    figures = {"prior_net_liquidation": Observed(100_000.0, CLOSE, "test"), "cash_flows": 0.0, "day_pnl": 0.0}
    held: Account = account(net_liquidation=net_liquidation, **{**figures, **changes})
    return day_pnl_agreement(book(accounts=[held]), with_limits())[0]


@pytest.mark.parametrize(
    ("now_worth", "flows", "positions", "level"),
    [
        (101_000.0, 0.0, 1_000.0, Level.OK),
        (101_000.0, 0.0, 1_300.0, Level.OK),  # 300 apart is 0.003 of 100,000
        (101_000.0, 0.0, 1_301.0, Level.WATCH),
        (101_000.0, 0.0, 700.0, Level.OK),
        (101_000.0, 0.0, 699.0, Level.WATCH),
        (111_000.0, 10_000.0, 1_000.0, Level.OK),  # 10,000 paid in earns nothing
        (111_000.0, 0.0, 1_000.0, Level.WATCH),
        (94_000.0, -5_000.0, -1_000.0, Level.OK),
    ],
)
def test_the_account_and_the_positions_agree_within_three_per_mille(
    now_worth: float, flows: float, positions: float, level: Level
) -> None:
    assert two_ways(now_worth, cash_flows=flows, day_pnl=positions).level is level


def test_both_numbers_are_said() -> None:
    finding = two_ways(98_500.0, day_pnl=500.0)
    assert finding.message == (
        "Day P&L, IBKR •••4567: net liquidation says −$1,500, the positions $500; "
        "they differ by 2.00 % of $100,000 (tolerance 0.30 %)."
    )
    assert (finding.value, finding.headroom) == (pytest.approx(0.02), pytest.approx(-0.017))
    assert (finding.evidence["by_account"], finding.evidence["by_positions"]) == (-1_500.0, 500.0)
    assert finding.next_action


@pytest.mark.parametrize(
    "changes",
    [
        {"net_liquidation": None},
        {"net_liquidation": float("nan")},
        {"cash_flows": None},
        {"cash_flows": float("nan")},
        {"day_pnl": None},
        {"day_pnl": float("nan")},
        {"prior_net_liquidation": None},
        {"prior_net_liquidation": Observed(float("nan"), CLOSE, "test")},
        {"prior_net_liquidation": Observed(0.0, CLOSE, "test")},
        {"prior_net_liquidation": Observed(100_000.0, CLOSE - timedelta(days=1), "test")},  # a session too early
        {"prior_net_liquidation": Observed(100_000.0, NOW, "test")},  # of the session itself
    ],
)
def test_what_cannot_be_compared_is_not_judged(changes: dict[str, object]) -> None:
    finding = two_ways(**changes)  # type: ignore[arg-type]  # tests give matching fields
    assert (finding.level, finding.value) == (Level.NOT_APPLICABLE, None)


def test_no_account_is_nothing_to_compare() -> None:
    assert day_pnl_agreement(book(accounts=[]), with_limits())[0].level is Level.NOT_APPLICABLE


def test_rows_of_one_name_are_counted_each() -> None:
    """Seven rows that could not be read may all be called the same."""
    nameless = replace(stock("", 1, 1.0), reasons=("no symbol",))
    finding = position_data(book(nameless, nameless, stock("SPY", 1, 600.0)), with_limits())[0]
    assert (finding.level, finding.value) == (Level.UNKNOWN, 2.0)
    assert finding.message.startswith("2 of 3 positions cannot be trusted")

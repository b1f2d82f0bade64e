"""The verdicts a person sees in each scenario, through the real pipeline with the shipped risk matrix.

The demo knows no limit: if a colour changes here, either the book, the matrix or a check has changed.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from adapters.demo import DemoSource
from guardrails.assess import Assessment, assess, judge
from guardrails.findings import Finding, Level
from guardrails.matrix import load
from guardrails.memory import Memory

MATRIX = load(Path(__file__).resolve().parents[1] / "risk_matrix.yaml")
WEDNESDAY = datetime(2026, 11, 18, 15, 0, tzinfo=UTC)  # 10:00 in New York
CLOCKS = {
    "a session": WEDNESDAY,
    "a Saturday": datetime(2026, 11, 21, 17, 0, tzinfo=UTC),
    "an expiry Friday": datetime(2026, 12, 18, 20, 30, tzinfo=UTC),
    "31 December": datetime(2026, 12, 31, 16, 0, tzinfo=UTC),
    "a half-day": datetime(2026, 11, 27, 16, 0, tzinfo=UTC),
    "before the open": datetime(2026, 11, 18, 8, 0, tzinfo=UTC),
    "a holiday": datetime(2027, 7, 5, 15, 0, tzinfo=UTC),
    "another year": datetime(2029, 3, 14, 15, 0, tzinfo=UTC),
}
EVERY_CLOCK = pytest.mark.parametrize("start", CLOCKS.values(), ids=CLOCKS)


@cache
def played(scenario: str, seconds: int, start: datetime = WEDNESDAY, step: int = 10) -> Assessment:
    """The assessment after `seconds` of the scenario, looked at every `step` seconds as the engine does.

    Only the last look is revalued, which is most of the work: nothing that is remembered rests on stress.
    """
    source, memory = DemoSource(scenario), Memory()
    *earlier, last = (start + timedelta(seconds=passed) for passed in range(0, seconds + 1, step))
    for now in earlier:
        memory = judge([asyncio.run(source.view(now))], MATRIX, memory, now, compiling=True).memory
    return assess([asyncio.run(source.view(last))], MATRIX, memory, last)


def loud(result: Assessment) -> dict[str, set[str]]:
    """Checks by level, for everything that is not green."""
    found: dict[str, set[str]] = {level.name: set() for level in (Level.WATCH, Level.UNKNOWN, Level.BREACH)}
    for finding in result.snapshot.findings:
        if finding.level.name in found:
            found[finding.level.name].add(finding.check)
    return found


def of(result: Assessment, check: str) -> list[Finding]:
    return [finding for finding in result.snapshot.findings if finding.check == check]


@EVERY_CLOCK
def test_calm_is_green_but_for_what_it_teaches(start: datetime) -> None:
    result = played("calm", 20, start)
    assert result.snapshot.regime.name == "low_volatility"
    assert loud(result) == {"WATCH": {"short_option_expiry", "margin_utilisation"}, "UNKNOWN": set(), "BREACH": set()}
    (expiring,) = of(result, "short_option_expiry")
    assert "SPY" in expiring.message
    assert "expires in 4 trading days" in expiring.message


@EVERY_CLOCK
def test_calm_carries_a_believable_load(start: datetime) -> None:
    result = played("calm", 10, start)
    measured = ("beta_delta", "short_vega", "gamma", "near_expiry_gamma")
    use = {check: of(result, check)[0].evidence["use"] for check in measured}
    assert 0.15 < use["beta_delta"] < 0.80
    assert 0.15 < use["short_vega"] < 0.80
    assert 0.20 < use["gamma"] < 0.80
    assert 0.05 < use["near_expiry_gamma"] < 0.80
    assert 0.60 < max(finding.evidence["use"] for finding in of(result, "stress_ladder")) < 0.80
    total = result.snapshot.totals.net_liquidation
    assert total is not None
    assert 400_000 < total < 440_000


def test_calm_stays_calm_through_a_morning() -> None:
    result = played("calm", 10_800, step=300)
    assert loud(result)["UNKNOWN"] == set()
    assert loud(result)["BREACH"] == set()


@EVERY_CLOCK
def test_selloff_breaks_the_daily_loss_of_both_accounts_and_uses_up_the_stress_limits(start: datetime) -> None:
    result = played("selloff", 100, start)
    assert [finding.level for finding in of(result, "daily_loss")] == [Level.BREACH, Level.BREACH]
    assert "margin_utilisation" in loud(result)["BREACH"] | loud(result)["WATCH"]
    assert max(finding.evidence["use"] for finding in of(result, "stress_ladder")) > 0.70
    assert loud(result)["UNKNOWN"] == set()


def test_selloff_turns_the_regime_after_two_readings_and_then_breaks_delta() -> None:
    before, after = played("selloff", 100), played("selloff", 600)
    assert before.snapshot.regime.name == "low_volatility"
    assert "beta_delta" not in loud(before)["BREACH"]
    assert after.snapshot.regime.name == "high_volatility"
    assert after.snapshot.regime.overlay
    assert {"beta_delta", "margin_utilisation", "daily_loss"} <= loud(after)["BREACH"]


@EVERY_CLOCK
def test_crash_starts_in_crisis(start: datetime) -> None:
    result = played("crash", 0, start)
    assert result.snapshot.regime.name == "crisis_mode"
    (vega,) = of(result, "short_vega")
    assert vega.level is Level.BREACH
    assert vega.message.startswith("Portfolio must be vega-neutral or long in crisis mode.")


@EVERY_CLOCK
def test_crash_ends_with_little_excess_ahead_and_quotes_too_wide_to_leave_by(start: datetime) -> None:
    calm, crash = played("calm", 0, start).snapshot.accounts[0], played("crash", 130, start)
    ibkr = crash.snapshot.accounts[0]
    assert calm.excess_look_ahead is not None
    assert ibkr.excess_look_ahead is not None
    assert ibkr.excess_look_ahead < 0.6 * calm.excess_look_ahead
    assert "margin_cushion" in loud(crash)["WATCH"] | loud(crash)["BREACH"]
    assert {"daily_loss", "beta_delta", "margin_utilisation", "stress_scenarios"} <= loud(crash)["BREACH"]
    broken = [finding.subject for finding in of(crash, "stress_scenarios") if finding.level is Level.BREACH]
    assert broken == ["portfolio:spreads_widen"]


@EVERY_CLOCK
def test_a_silent_feed_clears_nothing(start: datetime) -> None:
    result = played("stale", 30, start)
    levels = {finding.check: finding.level for finding in result.snapshot.findings}
    assert levels["source_state"] is Level.UNKNOWN
    for check in (
        "beta_delta", "short_vega", "gamma", "margin_cushion", "daily_loss", "short_option_expiry", "stress_ladder",
        "stress_scenarios", "stress_excess", "model_residual",
    ):  # fmt: skip
        assert levels[check] is Level.UNKNOWN
    assert loud(result)["BREACH"] == set()
    assert "tastytrade" in of(result, "source_state")[0].message


def test_until_the_feed_stops_stale_is_calm() -> None:
    assert loud(played("stale", 10))["UNKNOWN"] == set()


def test_a_switch_back_is_explained_by_our_own_quotes() -> None:
    """Both accounts recover by more than the jump the matrix lets pass, yet their positions say why."""
    matrix = MATRIX.model_copy(update={"data": MATRIX.data.model_copy(update={"jump_pct_nlv": 0.04})})
    source, memory, worth = DemoSource("crash"), Memory(), []
    for seconds in range(0, 200, 10):
        now = WEDNESDAY + timedelta(seconds=seconds)
        if seconds == 150:
            source.switch("calm", now)
        result = assess([asyncio.run(source.view(now))], matrix, memory, now, compiling=True)
        memory = result.memory
        worth.append([account.net_liquidation or 0.0 for account in result.snapshot.accounts])
    assert all(after > 1.04 * before for before, after in zip(worth[14], worth[15], strict=True))
    assert {finding.level for finding in of(result, "daily_loss")} == {Level.OK}

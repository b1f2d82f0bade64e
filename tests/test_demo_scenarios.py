"""The verdicts a person sees in each scenario, through the real pipeline with the shipped risk matrix.

The demo knows no limit: if a colour changes here, either the book, the matrix or a check has changed.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.demo import DemoSource
from guardrails.assess import Assessment, assess
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


def played(scenario: str, seconds: int, start: datetime = WEDNESDAY, step: int = 10) -> Assessment:
    """The assessment after `seconds` of the scenario, looked at every `step` seconds as the engine does."""
    source, memory = DemoSource(scenario), Memory()
    for passed in range(0, seconds + 1, step):
        now = start + timedelta(seconds=passed)
        result = assess([asyncio.run(source.view(now))], MATRIX, memory, now)
        memory = result.memory
    return result


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
    assert 0.40 < use["beta_delta"] < 0.80
    assert 0.40 < use["short_vega"] < 0.80
    assert 0.40 < use["gamma"] < 0.80
    assert 0.20 < use["near_expiry_gamma"] < 0.80
    total = result.snapshot.totals.net_liquidation
    assert total is not None
    assert 400_000 < total < 440_000


def test_calm_stays_calm_through_a_morning() -> None:
    result = played("calm", 10_800, step=300)
    assert loud(result)["UNKNOWN"] == set()
    assert loud(result)["BREACH"] == set()


@EVERY_CLOCK
def test_selloff_breaks_delta_vega_margin_and_the_daily_loss(start: datetime) -> None:
    result = played("selloff", 100, start)
    breached = loud(result)["BREACH"]
    assert {"beta_delta", "short_vega", "margin_utilisation", "margin_cushion", "daily_loss", "drawdown"} <= breached
    assert all(finding.level is Level.BREACH for finding in of(result, "daily_loss"))
    assert loud(result)["UNKNOWN"] == set()


def test_selloff_turns_the_regime_after_two_readings_and_then_breaks_gamma() -> None:
    before, after = played("selloff", 100), played("selloff", 600)
    assert before.snapshot.regime.name == "low_volatility"
    assert "gamma" not in loud(before)["BREACH"]
    assert after.snapshot.regime.name == "high_volatility"
    assert after.snapshot.regime.overlay
    assert {"gamma", "near_expiry_gamma"} <= loud(after)["BREACH"]


@EVERY_CLOCK
def test_crash_starts_in_crisis(start: datetime) -> None:
    result = played("crash", 0, start)
    assert result.snapshot.regime.name == "crisis_mode"
    (vega,) = of(result, "short_vega")
    assert vega.level is Level.BREACH
    assert vega.message.startswith("Portfolio must be vega-neutral or long in crisis mode.")


@EVERY_CLOCK
def test_crash_ends_with_the_look_ahead_under_water(start: datetime) -> None:
    result = played("crash", 130, start)
    ibkr, tastytrade = result.snapshot.accounts
    assert ibkr.excess_look_ahead is not None
    assert ibkr.excess_look_ahead < 0
    assert tastytrade.cushion is not None
    assert tastytrade.cushion < 0.25
    assert {"margin_cushion", "daily_loss", "drawdown", "short_vega", "beta_delta"} <= loud(result)["BREACH"]


@EVERY_CLOCK
def test_a_silent_feed_clears_nothing(start: datetime) -> None:
    result = played("stale", 30, start)
    levels = {finding.check: finding.level for finding in result.snapshot.findings}
    assert levels["source_state"] is Level.UNKNOWN
    for check in ("beta_delta", "short_vega", "gamma", "margin_cushion", "daily_loss", "short_option_expiry"):
        assert levels[check] is Level.UNKNOWN
    assert loud(result)["BREACH"] == set()
    assert "tastytrade" in of(result, "source_state")[0].message


def test_until_the_feed_stops_stale_is_calm() -> None:
    assert loud(played("stale", 10))["UNKNOWN"] == set()


def test_a_switch_back_is_explained_by_our_own_quotes() -> None:
    """The account recovers by more than the jump the matrix lets pass, yet its positions say why."""
    source, memory = DemoSource("crash"), Memory()
    for seconds in range(0, 200, 10):
        now = WEDNESDAY + timedelta(seconds=seconds)
        if seconds == 150:
            source.switch("calm", now)
        result = assess([asyncio.run(source.view(now))], MATRIX, memory, now)
        memory = result.memory
    assert {finding.level for finding in of(result, "daily_loss")} == {Level.OK}

"""What the message about a change of regime says: short, in words, and never calmer than what is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from guardrails.alerts.problems import problems_of
from guardrails.alerts.regime_news import limits_now
from guardrails.findings import Finding, Level
from guardrails.matrix.alerts import AlertRules
from guardrails.snapshot import Snapshot
from guardrails.snapshot.market import Change
from tests.books import NOW
from tests.healthy import healthy

CALM = healthy().unstressed().snapshot
CHANGE = Change(
    NOW, "neutral_volatility", "high_volatility", "VIX is 24.10, at or above 20", ("At most $1 [max_short_vega].",)
)


def measured(check: str, level: Level, value: float | None, limit: float | None, **more: Any) -> Finding:
    """A finding in dollars; its headroom is that of a ceiling."""
    headroom = None if value is None or limit is None else limit - value
    return Finding(check, more.pop("subject", "portfolio"), level, value, limit, "USD", headroom, f"{check}.", **more)


GAMMA = measured("gamma", Level.BREACH, 4310.0, 3500.0)
VEGA = measured("short_vega", Level.WATCH, 900.0, 1000.0)


def now_of(*findings: Finding, grace: float | None = None, changes: tuple[Change, ...] = ()) -> Snapshot:
    until = None if grace is None else NOW + timedelta(minutes=grace)
    return replace(CALM, findings=findings, changes=changes, regime=replace(CALM.regime, grace_until=until))


@pytest.mark.parametrize(
    ("findings", "grace", "told"),
    [
        ((), None, " No limit is over."),
        ((GAMMA, VEGA), 5.0,
         " Grace until 10:35:00 ET. Over: Gamma for a 1 % move, $4,310 (limit $3,500). Near: Short vega, $900 (limit "
         "$1,000)."),
        ((GAMMA,), 0.0, " Over: Gamma for a 1 % move, $4,310 (limit $3,500)."),  # the grace has ended
        ((measured("drawdown", Level.WATCH, 3.0, 2.0),), None, " Over: Drawdown, $3 (limit $2)."),  # it only advises
        ((measured("gamma", Level.UNKNOWN, None, 3500.0),), None, " No limit that can be computed is over; 1 cannot."),
        ((GAMMA, measured("theta_cap", Level.UNKNOWN, None, 1.0)), None,
         " Over: Gamma for a 1 % move, $4,310 (limit $3,500). 1 cannot be computed."),
        ((measured("source_state", Level.BREACH, None, None),), None, " No limit is over."),  # has no limit
    ],
)  # fmt: skip
def test_it_says_what_is_over_or_near_now(findings: tuple[Finding, ...], grace: float | None, told: str) -> None:
    assert limits_now(now_of(*findings, grace=grace), NOW) == told


def test_the_whole_is_short_however_much_is_over_and_names_the_first() -> None:
    many = [measured("vega_concentration", Level.BREACH, 9.0, 1.0, subject=f"underlying:LONG{i}") for i in range(40)]
    near = [measured("delta_concentration", Level.WATCH, 0.9, 1.0, subject=f"underlying:LONG{i}") for i in range(40)]
    set_by_hand = replace(CHANGE, cause="set by hand until 2026-11-20 16:00 ET: " + "because of the news " * 30)
    snapshot = now_of(*many, *near, grace=5.0, changes=(set_by_hand,))
    [news] = [problem for problem in problems_of(snapshot, NOW, AlertRules()) if problem.news]
    assert len(news.message) <= 320
    assert "Over: Vega in one underlying, LONG0, $9 (limit $1)" in news.message
    assert "LONG1, $9 (limit $1) and 38 more." in news.message
    assert "Near: 40 limits." in news.message


def test_it_names_both_regimes_why_and_no_keys() -> None:
    [news] = [one for one in problems_of(now_of(GAMMA, changes=(CHANGE,)), NOW, AlertRules()) if one.news]
    assert news.message == (
        "The regime changed from neutral_volatility to high_volatility: VIX is 24.10, at or above 20. "
        "Over: Gamma for a 1 % move, $4,310 (limit $3,500)."
    )


def test_of_a_change_that_another_has_followed_the_limits_of_now_are_not_said() -> None:
    before = replace(CHANGE, time=NOW - timedelta(hours=1), new="crisis_mode")
    told = [one.message for one in problems_of(now_of(GAMMA, changes=(CHANGE, before)), NOW, AlertRules()) if one.news]
    assert ["Over" in message for message in told] == [False, True]

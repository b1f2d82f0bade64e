"""What is wrong in a Snapshot, and how loud it is: both sides of every line."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from guardrails.alerts.families import ALERT_CHECKS, MEMBERS, family_of
from guardrails.alerts.problems import account_of, blinds, broker_of, problems_of
from guardrails.alerts.values import Problem, Severity
from guardrails.checks import CHECK_NAMES, NOT_CLEARED
from guardrails.findings import Finding, Level
from guardrails.matrix.alerts import AlertRules
from guardrails.snapshot import Snapshot
from guardrails.snapshot.market import Change
from tests.books import NOW
from tests.healthy import healthy

RULES = AlertRules()
HOUR = timedelta(hours=1)


@cache
def calm() -> Snapshot:
    return healthy().unstressed().snapshot


def finding(check: str = "gamma", level: Level = Level.BREACH, subject: str = "portfolio", **more: Any) -> Finding:
    told = {"value": None, "limit": None, "unit": "", "headroom": None, "message": f"{check}."}
    return Finding(check, subject, level, **{**told, **more})


def found(*findings: Finding, rules: AlertRules = RULES, **changed: Any) -> tuple[Problem, ...]:
    """What is wrong in a snapshot."""
    snapshot = replace(calm(), **{"findings": findings, "changes": (), **changed})
    return tuple(problem for problem in problems_of(snapshot, NOW, rules) if not problem.right)


def severity(told: Finding, rules: AlertRules = RULES) -> Severity:
    (problem,) = found(told, rules=rules)
    return problem.severity


def cushion(value: float, limit: float = 0.20) -> Finding:
    return finding("margin_cushion", value=value, limit=limit, headroom=value - limit, unit="fraction")


# --- severity ---


@pytest.mark.parametrize(
    ("level", "told"),
    [(Level.WATCH, Severity.WATCH), (Level.UNKNOWN, Severity.UNKNOWN), (Level.BREACH, Severity.BREACH)],
)
def test_a_level_that_is_wrong_is_a_problem_of_its_severity(level: Level, told: Severity) -> None:
    assert severity(finding(level=level)) is told


@pytest.mark.parametrize("level", [Level.OK, Level.NOT_APPLICABLE])
def test_what_is_right_is_no_problem(level: Level) -> None:
    assert found(finding(level=level)) == ()


def test_all_that_a_finding_says_is_kept() -> None:
    told = finding(value=0.14, limit=0.2, unit="fraction", headroom=-0.06, data_age_seconds=3.0, next_action="Close.")
    assert found(told) == (
        Problem("gamma", "portfolio", Severity.BREACH, "gamma.", 0.14, 0.2, "fraction", -0.06, 3.0, "Close."),
    )


@pytest.mark.parametrize(("value", "told"), [(0.0401, Severity.BREACH), (0.0399, Severity.CRITICAL)])
def test_a_cushion_of_less_than_a_fifth_of_what_it_must_be_is_critical(value: float, told: Severity) -> None:
    assert severity(cushion(value)) is told


@pytest.mark.parametrize(("value", "told"), [(179.0, Severity.BREACH), (181.0, Severity.CRITICAL)])
def test_a_ceiling_passed_by_more_than_four_fifths_is_critical(value: float, told: Severity) -> None:
    assert severity(finding(value=value, limit=100.0, headroom=100.0 - value)) is told


@pytest.mark.parametrize(("value", "told"), [(0.001, Severity.BREACH), (-0.001, Severity.CRITICAL)])
def test_an_excess_below_zero_is_critical_however_low_the_limit(value: float, told: Severity) -> None:
    assert severity(cushion(value, 0.0)) is told


def test_a_measure_that_is_over_without_bound_is_critical() -> None:
    assert severity(finding(value=math.inf, limit=0.5, headroom=-math.inf)) is Severity.CRITICAL


def test_a_headroom_that_is_no_number_makes_nothing_critical() -> None:
    assert severity(finding(value=math.nan, limit=0.5, headroom=math.nan)) is Severity.BREACH


def test_a_share_that_is_passed_by_far_is_not_critical_by_that_alone() -> None:
    far = finding("margin_concentration", value=1.0, limit=0.10, headroom=-0.90)
    assert severity(far) is Severity.BREACH
    assert severity(far, AlertRules(critical=("margin_concentration",))) is Severity.CRITICAL


def test_a_margin_call_is_critical_whatever_the_rules_say() -> None:
    assert severity(finding("account_data"), AlertRules(critical=())) is Severity.CRITICAL
    assert severity(finding("account_data", Level.UNKNOWN)) is Severity.UNKNOWN


def test_the_checks_of_the_rules_are_critical_in_breach_only() -> None:
    assert severity(finding("short_option_expiry")) is Severity.CRITICAL
    assert severity(finding("short_option_expiry", Level.WATCH)) is Severity.WATCH
    assert severity(finding("short_option_expiry"), AlertRules(critical=())) is Severity.BREACH


# --- consequences, grace ---


def test_what_is_unknown_only_because_the_book_has_gaps_follows() -> None:
    (problem,) = found(finding(level=Level.UNKNOWN, evidence={NOT_CLEARED: ["ibkr has gone silent"]}))
    assert problem.follows
    (problem,) = found(finding(level=Level.UNKNOWN))
    assert not problem.follows


def test_a_breach_that_only_the_limit_causes_has_its_grace() -> None:
    until = NOW + HOUR
    limit = {"cause": "limit", "grace_until": until.isoformat()}
    (problem,) = found(finding(evidence=limit))
    assert problem.grace_until == until


@pytest.mark.parametrize(
    "evidence",
    [
        {"cause": "book", "grace_until": (NOW + HOUR).isoformat()},
        {"cause": "limit", "grace_until": NOW.isoformat()},
        {"cause": "limit", "grace_until": None},
        {"cause": "limit", "grace_until": "soon"},
        {"cause": "limit", "grace_until": "2099-01-01T00:00:00"},
    ],
    ids=["the book moved", "it is over", "none", "unreadable", "no time zone"],
)
def test_else_a_breach_has_no_grace(evidence: dict[str, Any]) -> None:
    (problem,) = found(finding(evidence=evidence))
    assert problem.grace_until is None


# --- what is seen to be right ---


def test_what_is_right_is_told_beside_what_is_wrong_and_that_all_accounts_are_named() -> None:
    findings = (
        finding("account_data", Level.OK, "account:IBKR •••4567"),
        finding("gamma", Level.NOT_APPLICABLE),
        finding("margin_cushion", Level.WATCH, "account:IBKR •••4567"),
    )
    told = problems_of(replace(calm(), findings=findings, changes=()), NOW, RULES)
    assert [(problem.identity, problem.right) for problem in told] == [
        ("margin_cushion account:IBKR •••4567", False),
        ("account_data account:IBKR •••4567", True),
        ("account_data portfolio", True),
    ]


def test_a_share_that_is_not_known_says_of_which_underlyings() -> None:
    missing = {"missing": ["AMD", "SLV"]}
    (share,) = found(finding("margin_concentration", Level.UNKNOWN, evidence=missing))
    assert share.concerns == ("underlying:AMD", "underlying:SLV")
    (greeks,) = found(finding("greeks_coverage", Level.UNKNOWN, evidence=missing))
    assert greeks.concerns == ()


@pytest.mark.parametrize(
    ("subject", "account", "broker"),
    [
        ("account:IBKR •••4567", "IBKR •••4567", "ibkr"),
        ("account:IBKR •••4567:commodities", "IBKR •••4567", "ibkr"),
        ("position:tastytrade •••0001 option:SPXW  261118P05900000", "tastytrade •••0001", "tastytrade"),
        ("position:option:SPXW  261118P05900000", "", ""),
        ("underlying:AAPL", "", ""),
        ("portfolio", "", ""),
    ],
)
def test_a_subject_names_its_account(subject: str, account: str, broker: str) -> None:
    assert (account_of(subject), broker_of(subject)) == (account, broker)


@pytest.mark.parametrize(
    ("check", "subject", "level", "expected"),
    [
        ("source_state", "source:ibkr", Level.UNKNOWN, True),
        ("source_state", "source:ibkr", Level.WATCH, False),
        ("engine", "task:read ibkr", Level.UNKNOWN, True),
        ("engine", "task:cycle", Level.UNKNOWN, True),
        ("engine", "task:store", Level.UNKNOWN, False),
        ("gamma", "portfolio", Level.BREACH, False),
    ],
)
def test_only_a_silent_source_or_a_reading_task_hides_what_is_held(
    check: str, subject: str, level: Level, *, expected: bool
) -> None:
    (problem,) = found(finding(check, level, subject))
    assert blinds(problem) is expected


# --- safety state, regime ---


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("NORMAL", []),
        ("NO_NEW_RISK", [Severity.BREACH]),
        ("REDUCE_ONLY", [Severity.BREACH]),
        ("STOPPED", [Severity.CRITICAL]),
        ("what is this", [Severity.CRITICAL]),
    ],
)
def test_a_safety_state_other_than_normal_is_a_problem(state: str, expected: list[Severity]) -> None:
    assert [problem.severity for problem in found(safety_state=state)] == expected


def change(new: str = "high_volatility", hours: float = 0.0, old: str | None = "neutral_volatility") -> Change:
    return Change(NOW - timedelta(hours=hours), old, new, "VIX is 24.10, at or above 20", ("Short gamma: at most $1.",))


def test_a_change_of_regime_is_news_in_words() -> None:
    (problem,) = found(changes=(change(),))
    assert problem.news
    assert problem.severity is Severity.WATCH
    assert problem.subject == "portfolio:high_volatility, 18 Nov 10:30:00 ET"
    assert problem.message == (
        "The regime changed from neutral_volatility to high_volatility: VIX is 24.10, at or above 20. No limit is over."
    )


def test_every_change_is_news_of_its_own_oldest_first() -> None:
    problems = found(changes=(change("crisis_mode"), change(hours=1)))
    assert [problem.subject.partition(":")[2].partition(",")[0] for problem in problems] == [
        "high_volatility",
        "crisis_mode",
    ]
    assert len({problem.identity for problem in problems}) == 2


@pytest.mark.parametrize(("hours", "count"), [(95, 1), (97, 0)])
def test_a_change_by_fridays_close_is_news_on_the_tuesday_after_a_long_weekend(hours: float, count: int) -> None:
    assert len(found(changes=(change(hours=hours),))) == count


def test_the_first_regime_is_no_change() -> None:
    assert found(changes=(change(old=None),)) == ()


# --- families ---


def test_every_check_belongs_to_one_of_ten_families() -> None:
    checks = [check for members in MEMBERS.values() for check in members]
    assert sorted(checks) == sorted((*CHECK_NAMES, *ALERT_CHECKS))
    assert len(MEMBERS) == 10


def test_a_check_nobody_knows_has_a_family_too() -> None:
    assert family_of("from_tomorrow") == "data"


def test_a_calm_book_has_no_problem_but_its_stress_being_compiled() -> None:
    problems = [problem for problem in problems_of(calm(), NOW, RULES) if not problem.right]
    assert {family_of(problem.check) for problem in problems} <= {"stress", "data"}
    assert all(problem.severity is Severity.UNKNOWN for problem in problems)

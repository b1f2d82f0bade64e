"""Every key of the `alerts` section changes what somebody is told; a key without a case here fails the test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from guardrails.alerts.problems import problems_of
from guardrails.alerts.values import Problem
from guardrails.matrix import RiskMatrix
from guardrails.matrix.alerts import AlertRules
from tests.alarmed import CRITICAL, UNKNOWN, WATCH, Story, problem
from tests.books import NOW
from tests.test_outcomes import HEALTHY, Case, Scene, leaves

ONE, OTHER = problem(), problem(subject="account:tastytrade •••0001")
STEP = {"after_minutes": 10.0, "channels": ["phone"], "only_critical": False}
"""of an escalation; nobody acknowledges, and 600 s later the next people are told"""
EVERYBODY = ("slack", "email", "phone")


def messages(*moments: tuple[float, tuple[Problem, ...]]) -> Scene:
    """What is sent when these are the problems at so many seconds after 10:30 in New York."""

    def scene(matrix: RiskMatrix) -> list[str]:
        story = Story(matrix.alerts, EVERYBODY)
        for seconds, problems in moments:
            story.at(seconds, *problems)
        return story.messages

    return scene


def lasting(wrong: Problem, *seconds: float) -> Scene:
    """The same for one problem that is there at each of these times."""
    return messages(*((each, (wrong,)) for each in seconds))


def acknowledged(matrix: RiskMatrix) -> list[str]:
    """What is sent when a breach grows from 20 % to 40 % over its limit after somebody has acknowledged it."""
    story = Story(matrix.alerts, EVERYBODY)
    story.at(0, problem(over=0.2))
    story.acknowledge(5)
    story.at(70, problem(over=0.4))
    return story.messages


def severity_of(check: str) -> Scene:
    """How loud the breach of a check is."""

    def scene(matrix: RiskMatrix) -> str:
        snapshot = replace(HEALTHY, matrix=matrix).unstressed().snapshot
        return next(found.severity.value for found in problems_of(snapshot, NOW, matrix.alerts) if found.check == check)

    return scene


def repeated(severity: str, wrong: Problem) -> Case:
    """Told again an hour after it was told, or never; told first at once, or after a minute."""
    first = "slack,email,phone: first notice margin_cushion"
    told = 60.0 if wrong.severity is WATCH else 30.0 if wrong.severity is UNKNOWN else 0.0
    again = f"{told + 3_600:g} slack,email,phone: repeat due margin_cushion"
    beside = {"alerts.repeat_minutes.critical": 0.0} if severity != "critical" else {}
    moments = sorted({0.0, told, told + 3_600})
    return Case(lasting(wrong, *moments), 60.0, 0.0, ([f"{told:g} {first}", again], [f"{told:g} {first}"]), beside)


FIRST = "slack,email,phone: first notice margin_cushion"
CASES: Mapping[str, Case] = {
    "channels": Case(lasting(ONE, 0), [], ["email"], ([f"0 {FIRST}"], ["0 email: first notice margin_cushion"])),
    "escalation.0.after_minutes": Case(
        lasting(ONE, 0, 600), 10.0, 20.0,
        (["0 slack,email: first notice margin_cushion", "600 phone: nobody acknowledged it margin_cushion"],
         ["0 slack,email: first notice margin_cushion"]),
        {"alerts.escalation": [STEP]},
    ),
    "escalation.0.channels": Case(
        lasting(ONE, 0, 600), ["phone"], ["email"],
        (["0 slack,email: first notice margin_cushion", "600 phone: nobody acknowledged it margin_cushion"],
         ["0 slack,phone: first notice margin_cushion", "600 email: nobody acknowledged it margin_cushion"]),
        {"alerts.escalation": [STEP]},
    ),
    "escalation.0.only_critical": Case(
        lasting(ONE, 0, 600), one=False, other=True,
        gives=(["0 slack,email: first notice margin_cushion", "600 phone: nobody acknowledged it margin_cushion"],
               ["0 slack,email: first notice margin_cushion"]),
        beside={"alerts.escalation": [STEP]},
    ),
    "settle_seconds.watch": Case(lasting(problem(WATCH), 0, 10), 10.0, 11.0, ([f"10 {FIRST}"], []),
                                 {"alerts.settle_seconds.unknown": 5.0}),
    "settle_seconds.unknown": Case(lasting(problem(UNKNOWN), 0, 10), 10.0, 11.0, ([f"10 {FIRST}"], [])),
    "settle_seconds.breach": Case(lasting(ONE, 0, 10), 10.0, 11.0, ([f"10 {FIRST}"], [])),
    "settle_seconds.critical": Case(
        lasting(problem(CRITICAL), 0, 10), 10.0, 11.0, ([f"10 {FIRST}"], []), {"alerts.settle_seconds.breach": 20.0}
    ),
    "calm_seconds": Case(
        messages((0, (ONE,)), (100, ()), (130, ())), 30.0, 31.0,
        ([f"0 {FIRST}", "130 slack,email,phone: resolved margin_cushion"], [f"0 {FIRST}"]),
    ),
    "repeat_minutes.watch": repeated("watch", problem(WATCH)),
    "repeat_minutes.unknown": repeated("unknown", problem(UNKNOWN)),
    "repeat_minutes.breach": repeated("breach", ONE),
    "repeat_minutes.critical": repeated("critical", problem(CRITICAL)),
    "family_minutes": Case(
        messages((0, (ONE,)), (30, (ONE, OTHER))), 0.5, 1.0, ([f"0 {FIRST}", f"30 {FIRST}"], [f"0 {FIRST}"])
    ),
    "daily_budget": Case(lasting(problem(WATCH), 0, 60), 1, 0, ([f"60 {FIRST}"], [])),
    "digest_minutes": Case(
        lasting(problem(WATCH), 0, 60, 660), 10.0, 11.0, (["660 slack,email,phone: in the digest margin_cushion"], []),
        {"alerts.daily_budget": 0},
    ),
    "quiet_hours.begin": Case(
        lasting(problem(WATCH), 0, 60), "10:00", "10:32", ([], [f"60 {FIRST}"]),
        {"alerts.quiet_hours": {"begin": "10:00", "end": "12:00"}},
    ),
    "quiet_hours.end": Case(
        lasting(problem(WATCH), 0, 60), "10:32", "10:31", ([], [f"60 {FIRST}"]),
        {"alerts.quiet_hours": {"begin": "10:00", "end": "12:00"}},
    ),
    "critical": Case(
        severity_of("position_contracts"), [], ["position_contracts"], ("BREACH", "CRITICAL"),
        {"regimes.*.limits.max_position_contracts": 0},
    ),
    "critical_over": Case(  # 41 SPX units are held, which is 0.37 over the limit
        severity_of("beta_delta"), 0.36, 0.38, ("CRITICAL", "BREACH"), {"regimes.*.limits.max_beta_delta": 30.0}
    ),
    "worse_by": Case(
        acknowledged, 0.25, 0.5,
        (["0 slack,email,phone: first notice margin_cushion", "70 slack,email,phone: worsened margin_cushion"],
         ["0 slack,email,phone: first notice margin_cushion"]),
    ),
}  # fmt: skip


def test_every_key_of_the_section_has_a_case() -> None:
    assert set(CASES) == set(leaves(AlertRules))


@pytest.mark.parametrize("path", sorted(CASES))
def test_every_key_of_the_section_changes_what_is_told(path: str) -> None:
    case: Any = CASES[path]
    assert case.verdicts(f"alerts.{path}") == case.gives

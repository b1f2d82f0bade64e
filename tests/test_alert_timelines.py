"""What a person is told, and when, while the demo's market does its worst: the real book, matrix, checks and rules.

Times are seconds after 10:00 in New York. The demo's clock and path are public (`adapters/demo/market.py`): in a
selloff the index falls for ten minutes and VIX crosses 15 and 20; in a crash it has fallen already; a stale feed falls
silent after 15 s, which is said after `stale_after_seconds` and settles for 30 s. Stress is left out (it is the
dearest part of a cycle, and its alerts differ from the others in nothing).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.demo import DemoSource
from guardrails.alerts import life
from guardrails.alerts.life import AlertState
from guardrails.alerts.problems import problems_of
from guardrails.alerts.values import Event, Notice, Reason, Severity, State
from guardrails.assess import assess
from guardrails.findings import Finding, Level
from guardrails.matrix import load
from guardrails.matrix.alerts import AlertRules, Escalation
from guardrails.memory import Memory
from guardrails.snapshot import Snapshot
from guardrails.snapshot.market import Change
from tests.stored import moment

MATRIX = load(Path(__file__).resolve().parents[1] / "risk_matrix.yaml")
START = datetime(2026, 11, 18, 15, 0, tzinfo=UTC)  # 10:00 in New York
CHANNELS = ("log", "slack")
_DEAREST = ("stress_ladder", "stress_scenarios", "stress_excess", "model_residual")


@dataclass
class Timeline:
    """Everything that was decided, with its second."""

    events: list[tuple[int, Event]] = field(default_factory=list)
    messages: list[tuple[int, tuple[Notice, ...]]] = field(default_factory=list)
    state: AlertState = field(default_factory=AlertState)

    def take(self, second: int, snapshot: Snapshot, rules: AlertRules, channels: Sequence[str] = CHANNELS) -> None:
        now = START + timedelta(seconds=second)
        done = life.step(self.state, problems_of(snapshot, now, rules), now, rules, channels)
        self.state = done.state
        self.events += [(second, event) for event in done.events]
        self.messages += [(second, group) for group in done.groups]

    def told(self, check: str) -> list[tuple[int, str, Severity]]:
        """When, of which subject and how loud a person was told of `check`."""
        notices = [(second, notice) for second, group in self.messages for notice in group]
        found = [(second, notice.alert) for second, notice in notices if notice.alert.problem.check == check]
        return [(second, alert.problem.subject, alert.severity) for second, alert in found]


def played(scenario: str, seconds: int, every: int = 2) -> Timeline:
    """The alerts of a scenario, cycle by cycle as the engine makes them."""
    source, memory, changes, line = DemoSource(scenario), Memory(), tuple[Change, ...](), Timeline()
    for second in range(0, seconds + 1, every):
        now = START + timedelta(seconds=second)
        result = assess([asyncio.run(source.view(now))], MATRIX, memory, now, compiling=True)
        memory = result.memory
        changes = (*(Change(c.time, c.old, c.new, c.cause, c.targets) for c in reversed(result.changes)), *changes)
        findings = tuple(finding for finding in result.snapshot.findings if finding.check not in _DEAREST)
        line.take(second, replace(result.snapshot, findings=findings, changes=changes), MATRIX.alerts)
    return line


@pytest.fixture(scope="module")
def selloff() -> Timeline:
    return played("selloff", 460)


@pytest.fixture(scope="module")
def crash() -> Timeline:
    return played("crash", 130)


def firsts(line: Timeline) -> list[tuple[int, str, Severity]]:
    """The first message about each check."""
    found: dict[str, tuple[int, Severity]] = {}
    for second, group in line.messages:
        for notice in group:
            found.setdefault(notice.alert.problem.check, (second, notice.alert.severity))
    return [(second, check, severity) for check, (second, severity) in found.items()]


def test_a_selloff_is_told_as_it_unfolds(selloff: Timeline) -> None:
    assert firsts(selloff) == [
        (60, "margin_utilisation", Severity.WATCH),  # both are so from the beginning, and settle for a minute
        (60, "short_option_expiry", Severity.WATCH),
        (68, "daily_loss", Severity.BREACH),  # confirmed by three readings
        (92, "theta_vega_ratio", Severity.WATCH),
        (316, "regime_change", Severity.WATCH),
        (402, "margin_concentration", Severity.WATCH),
        (436, "market_regime", Severity.WATCH),  # inverted term structure
    ]


def test_a_breach_that_only_the_new_limits_cause_waits_out_its_grace(selloff: Timeline) -> None:
    held = [(second, event.reason) for second, event in selloff.events if event.alert.problem.check == "beta_delta"]
    assert held == [(342, Reason.HELD_GRACE)]
    assert not selloff.told("beta_delta")
    (row,) = [row for row in life.rows(selloff.state, MATRIX.alerts, START) if row.check == "beta_delta"]
    assert row.held is Reason.HELD_GRACE  # it is on the page all the same


def test_the_second_account_waits_a_minute_for_the_message_of_its_family(selloff: Timeline) -> None:
    assert [(second, subject) for second, subject, _ in selloff.told("daily_loss")] == [
        (68, "account:tastytrade •••0001"),
        (128, "account:IBKR •••4567"),
        (128, "account:tastytrade •••0001"),  # twice its limit meanwhile
    ]


def test_a_book_found_in_a_crash_is_told_in_one_message_at_once(crash: Timeline) -> None:
    second, group = crash.messages[0]
    assert second == 0
    assert {notice.alert.problem.check for notice in group} == {
        "margin_utilisation", "beta_delta", "short_vega", "gamma", "near_expiry_gamma", "margin_concentration",
    }  # fmt: skip
    assert group[0].alert.severity is Severity.CRITICAL  # the loudest first
    assert sum(second == 0 for second, _ in crash.messages) == 1


def test_in_a_crash_what_gets_critical_waits_for_nothing(crash: Timeline) -> None:
    turned = {
        event.alert.identity: second
        for second, event in reversed(crash.events)
        if event.alert.severity is Severity.CRITICAL
    }
    assert "daily_loss account:tastytrade •••0001" in turned
    for identity, second in turned.items():
        told = [at for at, group in crash.messages for notice in group if notice.alert.identity == identity]
        assert second in told, identity


def test_a_muted_feed_is_one_message_and_not_thirty() -> None:
    line = played("stale", 80)
    (one,) = line.messages
    second, group = one
    assert [notice.alert.identity for notice in group] == ["source_state source:demo"]
    assert second <= 60
    held = [event for _, event in line.events if event.reason is Reason.HELD_INHIBITED]
    assert len(held) > 20
    assert {event.alert.severity for event in held} == {Severity.UNKNOWN}
    shown = life.rows(line.state, MATRIX.alerts, START + timedelta(seconds=80))
    assert len(shown) == len(held) + 1  # muted, not hidden


def cushion(value: float, **evidence: str) -> Finding:
    """Excess liquidity of one account as a part of its net liquidation, of which a fifth is the least."""
    level = Level.BREACH if value < 0.20 else Level.WATCH if value < 0.40 else Level.OK
    text, who = f"Margin cushion, IBKR •••4567: {value:.0%}", "account:IBKR •••4567"
    return Finding("margin_cushion", who, level, value, 0.20, "fraction", value - 0.20, text, evidence)


def told_of(line: Timeline) -> list[tuple[int, tuple[str, ...], Reason, Severity]]:
    return [(second, group[0].channels, group[0].reason, group[0].alert.severity) for second, group in line.messages]


PHONE = AlertRules(channels=("slack",), escalation=(Escalation(after_minutes=10.0, channels=("phone",)),))


def test_the_next_people_wait_from_the_breach_and_not_from_the_watch_before_it() -> None:
    line = Timeline()
    for second in range(0, 1700, 2):
        line.take(
            second, moment(second, findings=(cushion(0.30 if second < 1000 else 0.19),)), PHONE, (*CHANNELS, "phone")
        )
    assert told_of(line) == [
        (60, ("slack",), Reason.FIRST, Severity.WATCH),
        (1000, ("slack",), Reason.WORSENED, Severity.BREACH),
        (1600, ("phone",), Reason.ESCALATED, Severity.BREACH),
    ]


def test_nobody_more_is_told_of_a_breach_that_looks_better_by_then() -> None:
    line = Timeline()
    for second in range(0, 900, 2):
        line.take(
            second, moment(second, findings=(cushion(0.19 if second < 590 else 0.30),)), PHONE, (*CHANNELS, "phone")
        )
    assert told_of(line) == [(0, ("slack",), Reason.FIRST, Severity.BREACH)]


def test_a_breach_of_new_limits_that_gets_better_in_its_grace_is_never_called_one() -> None:
    line, until = Timeline(), (START + timedelta(hours=1)).isoformat()
    for second in range(0, 900, 2):
        found = cushion(0.19, cause="limit", grace_until=until) if second < 300 else cushion(0.30)
        line.take(second, moment(second, findings=(found,)), PHONE, (*CHANNELS, "phone"))
    assert told_of(line) == [(298 + 2 + 120, ("slack",), Reason.FIRST, Severity.WATCH)]


def test_a_flapping_cushion_is_told_once_and_its_end_once() -> None:
    line = Timeline()
    for second in range(0, 1200, 2):
        wrong = second < 600 and second % 20 < 10  # comes and goes every ten seconds for ten minutes
        found = (cushion(0.19),) if wrong else (cushion(0.41),)
        line.take(second, moment(second, findings=found), AlertRules())
    told = [(second, notice.reason) for second, group in line.messages for notice in group]
    assert told == [(0, Reason.FIRST), (588 + 2 + 120, Reason.RESOLVED)]
    states = [event.state for _, event in line.events]
    assert states[0] is State.FIRED
    assert states[-1] is State.RESOLVED
    assert line.events[-1][1].alert.flaps == 29  # thirty times wrong


def test_a_critical_that_nobody_acknowledges_goes_to_the_next_people_and_comes_again() -> None:
    rules = AlertRules(
        channels=("slack",),
        escalation=(
            Escalation(after_minutes=5.0, channels=("phone",), only_critical=True),
            Escalation(after_minutes=10.0, channels=("partner",)),
        ),
    )
    line = Timeline()
    for second in range(0, 31 * 60, 2):
        line.take(second, moment(second, findings=(cushion(0.0),)), rules, ("log", "slack", "phone", "partner"))
    told = [(second, group[0].channels, group[0].reason) for second, group in line.messages]
    assert told == [
        (0, ("slack",), Reason.FIRST),
        (300, ("phone",), Reason.ESCALATED),
        (600, ("partner",), Reason.ESCALATED),
        (1500, ("slack", "phone", "partner"), Reason.REPEAT),  # a quarter of an hour after anybody was told last
    ]

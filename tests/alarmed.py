"""Alerts in readable form: problems at moments, and what became of them as short lines. Real values, no mocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from guardrails.alerts import life
from guardrails.alerts.life import AlertState, Step
from guardrails.alerts.values import Alert, Notice, Problem, Severity
from guardrails.matrix.alerts import AlertRules, Escalation, QuietHours, Repeat, Settle
from tests.books import NOW

WATCH, UNKNOWN, BREACH, CRITICAL = Severity
ACCOUNT = "account:IBKR •••4567"
CUSHION = f"margin_cushion {ACCOUNT}"
LOUD = AlertRules(family_minutes=0.0)
"""the shipped rules without the wait of families"""


def rules(**changed: Any) -> AlertRules:
    """The shipped rules with some keys changed; no family waits unless asked to."""
    return AlertRules(**{"family_minutes": 0.0, **changed})


def problem(
    severity: Severity = BREACH, check: str = "margin_cushion", subject: str = ACCOUNT, over: float = 0.0, **more: Any
) -> Problem:
    """Something wrong; `over` is by how many times its limit it is over it."""
    more = {"limit": 1.0, "value": 1.0 + over, "headroom": -over} | more if over else more
    return Problem(check, subject, severity, f"{check} of {subject}.", **more)


def source(severity: Severity = UNKNOWN, name: str = "ibkr") -> Problem:
    """A source that does not speak."""
    return problem(severity, "source_state", f"source:{name}")


@dataclass
class Story:
    """A life of alerts step by step; times are seconds after NOW."""

    rules: AlertRules = LOUD
    channels: Sequence[str] = ("slack", "email")
    state: AlertState = field(default_factory=AlertState)
    lines: list[str] = field(default_factory=list)
    """`30 FIRST margin_cushion`: every event with its time and check"""
    messages: list[str] = field(default_factory=list)
    """`30 slack,email: first notice margin_cushion; ...`: every message"""

    def at(self, seconds: float, *problems: Problem) -> Step:
        """One step."""
        return self.take(seconds, life.step(self.state, problems, after(seconds), self.rules, self.channels))

    def take(self, seconds: float, step: Step) -> Step:
        """What a step, or a person, made of it."""
        self.state = step.state
        for event in step.events:
            self.lines.append(f"{seconds:g} {event.reason.name} {event.alert.problem.check}")
        for group in step.groups:
            self.messages.append(f"{seconds:g} {','.join(group[0].channels)}: {'; '.join(map(_told, group))}")
        return step

    def during(self, begin: int, end: int, *problems: Problem, every: int = 2) -> None:
        """A step every so many seconds from `begin` up to, not including, `end`."""
        for seconds in range(begin, end, every):
            self.at(seconds, *problems)

    def acknowledge(self, seconds: float, identity: str = CUSHION) -> None:
        """Anna has it."""
        self.take(seconds, life.acknowledge(self.state, identity, "anna", "on it", after(seconds)))

    def silence(self, seconds: float, until: float, identity: str = CUSHION) -> None:
        """Anna does not want to hear of it."""
        self.take(seconds, life.silence(self.state, identity, "anna", "known bad quote", after(until), after(seconds)))

    def alert(self, identity: str = CUSHION) -> Alert:
        """One alert."""
        return self.state.alerts[identity]


def after(seconds: float) -> datetime:
    """The moment so many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def _told(notice: Notice) -> str:
    return f"{notice.reason.value} {notice.alert.problem.check}"


def checks_in(groups: Iterable[Sequence[Notice]]) -> list[list[str]]:
    """The checks that each message tells of."""
    return [[notice.alert.problem.check for notice in group] for group in groups]


__all__ = [
    "ACCOUNT", "BREACH", "CRITICAL", "CUSHION", "LOUD", "UNKNOWN", "WATCH", "AlertRules", "Escalation", "QuietHours",
    "Repeat", "Settle", "Story", "after", "checks_in", "problem", "rules", "source",
]  # fmt: skip

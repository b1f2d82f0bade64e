"""What is counted of the alerts since the start."""

from __future__ import annotations

from dataclasses import replace
from datetime import time, timedelta

from guardrails.alerts import life
from guardrails.alerts.ledger import COUNTS, Ledger, Ways
from guardrails.alerts.sending import Sending
from guardrails.alerts.values import Problem, Severity
from guardrails.matrix.alerts import AlertRules, QuietHours, Settle
from tests.books import NOW
from tests.desks import LINK

RULES = AlertRules(settle_seconds=Settle(watch=0.0, unknown=0.0))
QUIET = RULES.model_copy(update={"quiet_hours": QuietHours(begin=time(10), end=time(11))})
"""NOW is 10:30 in New York"""
LIGHT = Problem("theta_floor", "portfolio", Severity.WATCH, "Little theta.")
LOUD = Problem("short_vega", "portfolio", Severity.BREACH, "Short vega is over.")


def ledger() -> tuple[Ledger, dict[str, int]]:
    counts = dict.fromkeys(COUNTS, 0)
    sending = Sending((), lambda: NOW, lambda _: None)
    return Ledger(("ibkr",), "", Ways(sending, None, LINK, lambda: None), counts), counts


def test_an_alert_fired_also_when_its_first_notice_is_held() -> None:
    made, counts = ledger()
    made.step([LIGHT], NOW, QUIET)
    assert list(made.state.alerts) == ["theta_floor portfolio"]
    assert (counts["fired"], counts["told"]) == (1, 0)
    made.step([LIGHT, LOUD], NOW + timedelta(seconds=2), QUIET)
    assert (counts["fired"], counts["told"]) == (2, 1)


def test_an_alert_fires_once_whatever_else_becomes_of_it_at_the_same_moment() -> None:
    made, counts = ledger()
    made.step([LOUD], NOW, RULES)
    made.commit(life.acted(made.state, LOUD.identity, "Ann", "closed 2", NOW), NOW)
    made.step([replace(LOUD, severity=Severity.CRITICAL)], NOW, RULES)
    made.step([LOUD], NOW + timedelta(seconds=2), RULES)
    assert (counts["fired"], counts["acted"], counts["resolved"]) == (1, 1, 0)


def test_an_alert_that_is_over_and_comes_back_has_fired_twice() -> None:
    made, counts = ledger()
    for minutes, problems in enumerate(([LOUD], [], [], [], [LOUD])):
        made.step(problems, NOW + timedelta(minutes=2 * minutes), RULES)
    assert (counts["fired"], counts["resolved"]) == (2, 1)


def test_what_is_brought_back_after_a_restart_has_not_fired_now() -> None:
    before, _ = ledger()
    before.step([LOUD], NOW, RULES)
    after, counts = ledger()
    after.state = life.resume(tuple(before.state.alerts.values()), 0, NOW)
    after.step([LOUD], NOW, RULES)
    assert counts["fired"] == 0

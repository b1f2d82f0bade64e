"""What is stored and read late is made one with what was seen since: each case worked by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from guardrails.alerts import life
from guardrails.alerts.catching_up import caught_up
from guardrails.alerts.life import AlertState
from guardrails.alerts.values import Acknowledgement, Alert, Problem, Severity, Silence
from guardrails.matrix.alerts import AlertRules, Settle

NOW = datetime(2026, 11, 18, 15, 30, tzinfo=UTC)
BEFORE = NOW - timedelta(hours=1)
RULES = AlertRules()
VEGA = "vega portfolio"
SILENCE = Silence("Ann", BEFORE, NOW + timedelta(hours=3), "earnings tonight")


def problem(severity: Severity = Severity.BREACH, value: float = -2_100.0) -> Problem:
    """5 % over a limit of 2,000, which is no step yet, unless told otherwise."""
    return Problem("vega", "portfolio", severity, "over", value, -2_000.0, headroom=2_000.0 + value)


STORED = Alert(problem(), Severity.BREACH, 0, since=BEFORE, last_wrong=BEFORE, fired=BEFORE, told=BEFORE,
               told_severity=Severity.BREACH, times_told=2, asked=BEFORE, reached=("email",))  # fmt: skip


def seen(*problems: Problem, seconds: float = 0.0, rules: AlertRules = RULES) -> AlertState:
    """After one cycle of a run that began anew."""
    return life.step(AlertState(), problems, NOW + timedelta(seconds=seconds), rules, ["slack"]).state


def test_what_only_the_store_knows_goes_on_as_it_was_and_what_only_is_seen_stays() -> None:
    other = replace(problem(), check="gamma")
    stored = replace(STORED, told=NOW - timedelta(minutes=10))
    state = caught_up(seen(other), [stored], 0, NOW)
    assert set(state.alerts) == set(state.courses) == {VEGA, "gamma portfolio"}
    assert state.alerts[VEGA] == stored
    assert life.step(state, [problem(), other], NOW, RULES, ["slack"]).groups == ()  # nothing is told again


@pytest.mark.parametrize("taken", [{"acknowledgement": Acknowledgement("Ann", BEFORE)}, {"silence": SILENCE}])
def test_what_people_have_taken_is_theirs_unless_it_is_worse_by_now(taken: dict[str, object]) -> None:
    stored = replace(STORED, **taken)  # type: ignore[arg-type]  # either field
    same = caught_up(seen(problem()), [stored], 0, NOW).alerts[VEGA]
    assert (same.acknowledgement, same.silence) == (stored.acknowledgement, stored.silence)
    assert (same.since, same.fired, same.times_told, same.reached) == (BEFORE, BEFORE, 3, ("email", "slack"))
    for worse in (problem(Severity.CRITICAL), problem(value=-3_000.0)):
        lifted = caught_up(seen(worse), [stored], 0, NOW).alerts[VEGA]
        assert (lifted.acknowledgement, lifted.silence, lifted.asked) == (None, None, NOW)
        assert lifted.past_silences == ((SILENCE,) if stored.silence else ())
        assert lifted.reached == ("email", "slack")  # whoever heard of it hears that it is over


def test_a_breach_that_is_unknown_by_now_is_still_one() -> None:
    rules = AlertRules(settle_seconds=Settle(unknown=0.0), calm_seconds=10.0)
    dark = problem(Severity.UNKNOWN)
    state = caught_up(seen(dark, rules=rules), [STORED], 0, NOW)
    for seconds in range(2, 60, 2):
        state = life.step(state, [dark], NOW + timedelta(seconds=seconds), rules, ["slack"]).state
    assert state.alerts[VEGA].severity is Severity.BREACH


def test_what_has_not_settled_since_goes_on_as_it_was_stored() -> None:
    acknowledged = replace(STORED, acknowledgement=Acknowledgement("Ann", BEFORE))
    state = seen(problem(Severity.UNKNOWN))
    assert state.alerts[VEGA].fired is None
    assert caught_up(state, [acknowledged], 0, NOW).alerts[VEGA] == acknowledged


def test_what_was_acknowledged_since_stays_so_and_messages_of_the_day_are_counted_once() -> None:
    state = life.acknowledge(seen(problem()), VEGA, "Bob", "", NOW).state
    caught = caught_up(replace(state, told_today=3), [STORED], 5, NOW)
    held = caught.alerts[VEGA].acknowledgement
    assert held is not None
    assert held.author == "Bob"
    assert caught.told_today == 5  # the stored ones, those of this run among them

"""What is told again, and what is not: after somebody took it, after it flapped, at the limits of budget and family."""

from __future__ import annotations

from typing import Any

import pytest

from guardrails.alerts import life
from guardrails.alerts.settling import step_of
from guardrails.alerts.values import Problem, Reason, Severity, Shown
from guardrails.matrix.alerts import AlertRules
from tests.alarmed import (
    ACCOUNT,
    BREACH,
    CRITICAL,
    CUSHION,
    UNKNOWN,
    WATCH,
    Escalation,
    Repeat,
    Settle,
    Story,
    after,
    problem,
    rules,
    source,
)

VEGA = "short_vega portfolio"
NEVER = Repeat(watch=0.0, unknown=0.0, breach=0.0, critical=0.0)


def vega(over: float, severity: Severity = CRITICAL) -> Problem:
    return problem(severity, "short_vega", "portfolio", over=over)


# --- after somebody took it ---


@pytest.mark.parametrize("deed", ["acknowledge", "silence"])
def test_what_gets_far_worse_than_when_it_was_taken_is_told(deed: str) -> None:
    """A bad quote at the open shows ten times the limit for ten seconds; an hour later it is twice, and taken."""
    story = Story(rules(repeat_minutes=NEVER))
    story.during(0, 10, vega(9.0))
    story.during(10, 3600, vega(1.0))
    if deed == "acknowledge":
        story.acknowledge(3600, VEGA)
    else:
        story.silence(3600, 86_400, VEGA)
    story.during(3602, 3700, vega(1.0))
    assert len(story.messages) == 1
    story.at(3700, vega(8.0))
    assert len(story.messages) == 2


def test_it_may_be_taken_as_it_is_within_the_calm_of_its_peak() -> None:
    story = Story()
    story.during(0, 10, vega(9.0))
    story.during(10, 20, vega(1.0))
    story.acknowledge(20, VEGA)
    assert story.alert(VEGA).step == step_of(vega(1.0), 0.25)
    story.at(22, vega(8.0))
    assert story.lines[-1] == "22 WORSENED short_vega"


def test_a_measure_that_eases_a_step_is_told_when_it_rises_an_hour_after_it_was_told() -> None:
    story = Story(rules(repeat_minutes=NEVER))
    story.at(0, vega(0.6, BREACH))
    story.during(2, 124, vega(0.3, BREACH))
    assert story.lines[1:] == ["122 EASED short_vega"]
    story.at(124, vega(0.6, BREACH))
    assert len(story.messages) == 1
    story.during(126, 3602, vega(0.3, BREACH))
    story.at(3602, vega(0.6, BREACH))
    assert story.messages[1:] == ["3602 slack,email: worsened short_vega"]


def test_a_breach_of_a_limit_of_zero_gets_worse_as_well() -> None:
    def of(value: float) -> Problem:
        return Problem("short_vega", "portfolio", BREACH, "no short vega", value, 0.0, "USD/pt", value)

    story = Story()
    story.at(0, of(-10.0))
    story.acknowledge(2, VEGA)
    story.at(4, of(-15.0))
    assert len(story.messages) == 1
    story.at(6, of(-16.0))  # 2^4: twice as far as 2^3, within which 10 and 15 lie
    assert story.messages[1:] == ["6 slack,email: worsened short_vega"]


def test_a_limit_that_becomes_another_than_zero_begins_its_steps_anew() -> None:
    story = Story()
    story.at(0, Problem("short_vega", "portfolio", BREACH, "none", -100.0, 0.0, "USD/pt", -100.0))
    story.at(2, vega(0.3, BREACH))
    assert story.alert(VEGA).step == 1
    story.at(4, vega(0.6, BREACH))
    assert story.messages[1:] == ["4 slack,email: worsened short_vega"]


def test_what_got_worse_and_nobody_was_told_is_not_taken_by_an_acknowledgement() -> None:
    story = Story(rules(family_minutes=1.0))
    story.at(0, problem(over=0.1))
    story.at(10, problem(over=0.6))  # held for its family
    story.acknowledge(12)
    story.during(14, 62, problem(over=0.6))
    assert story.messages[1:] == ["60 slack,email: worsened margin_cushion"]
    assert story.alert().acknowledgement is None


def test_unless_the_person_has_seen_it() -> None:
    story = Story(rules(family_minutes=1.0))
    story.at(0, problem(over=0.1))
    story.at(10, problem(over=0.6))
    seen = Shown(BREACH, story.alert().step, after(0))
    story.take(12, life.acknowledge(story.state, CUSHION, "anna", "", after(12), seen))
    story.during(14, 100, problem(over=0.6))
    assert len(story.messages) == 1


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (Shown(BREACH, 0, after(0)), "BREACH then, CRITICAL now"),
        (Shown(CRITICAL, 2, after(0)), "worse than what you saw"),
        (Shown(CRITICAL, 3, after(-600)), "is back since"),
    ],
)
def test_what_is_worse_than_what_was_shown_or_came_back_since_is_not_taken(shown: Shown, words: str) -> None:
    story = Story()
    story.at(0, vega(1.5))  # two and a half times the limit: three steps of it
    with pytest.raises(ValueError, match=words):
        life.acknowledge(story.state, VEGA, "anna", "", after(2), shown)
    with pytest.raises(ValueError, match=words):
        life.silence(story.state, VEGA, "anna", "known", after(60), after(2), shown)


def test_a_silence_lasts_at_most_a_week() -> None:
    story = Story()
    story.at(0, problem(CRITICAL))
    story.silence(2, until=2 + 7 * 86_400)
    with pytest.raises(ValueError, match="at most 7 days"):
        life.silence(story.state, CUSHION, "anna", "typo: 2062", after(36 * 365 * 86_400), after(2))


# --- causes ---


def test_figures_of_one_broker_are_told_though_another_is_down() -> None:
    story = Story()
    mine, others = (
        problem(UNKNOWN, "account_data", f"account:{one}") for one in ("tastytrade •••0001", "IBKR •••4567")
    )
    story.during(0, 32, source(name="tastytrade"), mine, others)
    assert {name for name, alert in story.state.alerts.items() if alert.held} == {mine.identity}
    assert story.alert(mine.identity).held_by == "source_state source:tastytrade"


@pytest.mark.parametrize("deed", ["acknowledge", "silence"])
def test_of_a_cause_that_somebody_has_only_what_says_so_follows(deed: str) -> None:
    down, mine = source(name="tastytrade"), problem(UNKNOWN, "account_data", "account:tastytrade •••0001")
    failed = Problem("short_vega", "portfolio", UNKNOWN, "short_vega could not be computed (ZeroDivisionError)")
    follows = problem(UNKNOWN, "gamma", "portfolio", follows=True)
    story = Story(rules(repeat_minutes=NEVER))
    story.during(0, 40, down)
    if deed == "acknowledge":
        story.acknowledge(40, down.identity)
    else:
        story.silence(40, 86_400, down.identity)
    story.during(42, 4000, down, mine, failed, follows, every=10)
    told = [line.partition(" ")[2] for line in story.lines if "FIRST" in line]
    assert told == ["FIRST source_state", "FIRST account_data", "FIRST short_vega"]
    assert story.alert("gamma portfolio").held is Reason.HELD_INHIBITED


# --- budget ---


def test_ends_cost_no_warning_and_that_a_source_is_silent_is_never_kept() -> None:
    story = Story(rules(daily_budget=1, settle_seconds=Settle(watch=0.0)))
    for place in range(3):
        story.at(place * 1000, problem(BREACH, f"gamma{place}", "portfolio"))
        story.during(place * 1000 + 2, place * 1000 + 200)
    assert story.state.told_today == 0
    story.at(4000, problem(WATCH))
    assert story.state.told_today == 1
    story.at(5000, problem(UNKNOWN, "market_regime", "portfolio"), source())
    assert story.lines[-2:] == ["5000 HELD_BUDGET market_regime", "5000 FIRST source_state"]


@pytest.mark.parametrize("check", ["engine", "margin_cushion", "daily_loss", "short_option_expiry"])
def test_that_the_engine_fails_or_a_margin_or_a_loss_is_not_known_is_told_without_a_budget(check: str) -> None:
    story = Story(rules(daily_budget=0))
    story.during(0, 32, problem(UNKNOWN, check, ACCOUNT))
    assert story.messages == [f"30 slack,email: first notice {check}"]


# --- families ---


def test_a_breach_that_waits_for_its_family_and_is_over_first_is_told() -> None:
    story = Story(rules(family_minutes=5.0))
    gamma = problem(BREACH, "gamma", "portfolio")
    story.at(0, gamma)
    story.during(2, 60, gamma, problem(BREACH, "short_vega", "portfolio"))
    story.during(60, 302, gamma)
    assert story.messages[1:] == ["300 slack,email: resolved short_vega"]


def test_a_breach_does_not_wait_behind_something_milder_or_over() -> None:
    story = Story(AlertRules(settle_seconds=Settle(watch=0.0)))
    story.at(0, problem(WATCH))
    story.at(2, problem(BREACH))
    story.at(4, problem(BREACH), problem(BREACH, "margin_utilisation"))
    assert [message.partition(" ")[0] for message in story.messages] == ["0", "2"]
    story.at(62, problem(BREACH), problem(BREACH, "margin_utilisation"))
    assert len(story.messages) == 3


# --- flaps ---


def test_a_breach_that_comes_and_goes_all_day_is_a_message_an_hour() -> None:
    """Two seconds of every four minutes. It is over at 122 and back at 240: from then on it must be right for 240 s."""
    story = Story(AlertRules())
    for begin in range(0, 86_400, 240):
        story.at(begin, problem(BREACH, "gamma", "portfolio"))
        for seconds in (2, 60, 121, 124, 180, 238):
            story.at(begin + seconds)
    assert [message.partition(" ")[0] for message in story.messages[:3]] == ["0", "124", "240"]
    assert len(story.messages) <= 3 + 24


def test_the_calm_is_twice_as_long_each_time_it_is_back_soon_but_half_an_hour_at_most() -> None:
    story, seconds, calms = Story(), 0, []
    for _ in range(6):
        story.at(seconds, problem())
        begin = seconds = seconds + 2
        while story.state.alerts:
            story.at(seconds)
            seconds += 2
        calms.append(seconds - 2 - begin)
    assert calms == [120, 240, 480, 960, 1800, 1800]
    story.at(seconds + 3600, problem())  # an hour after it was over it begins anew
    assert story.alert().relapses == 0


def test_a_critical_that_swings_around_its_boundary_is_repeated_and_asked_of_the_next_people_once() -> None:
    lists = (Escalation(after_minutes=5.0, channels=("phone",)),)
    story = Story(AlertRules(escalation=lists), ("slack", "phone"))
    for begin in range(0, 86_400, 300):
        story.at(begin, vega(0.81))
        for seconds in (2, 60, 121, 124, 180, 240, 298):
            story.at(begin + seconds, vega(0.79, BREACH))
    assert sum("nobody acknowledged" in message for message in story.messages) == 1
    assert len(story.messages) <= 2 + 96  # a repeat every quarter of an hour


def test_the_next_people_are_not_told_before_the_first_ones_have_had_their_time() -> None:
    """A silence ends while the family was just told of: nobody was asked anew yet."""
    more: dict[str, Any] = {"escalation": (Escalation(after_minutes=30.0, channels=("phone",)),)}
    story = Story(rules(family_minutes=1.0, repeat_minutes=NEVER, **more), ("slack", "phone"))
    both = problem(), problem(BREACH, "margin_utilisation")
    story.at(0, problem())
    story.silence(2, until=3600)
    story.at(3590, *both)
    story.at(3601, *both)
    assert not any("phone" in message for message in story.messages)
    story.during(3650, 3650 + 1802, *both)
    assert story.messages[-1].startswith("5450 phone: nobody acknowledged it margin_cushion")

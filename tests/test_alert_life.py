"""The life of alerts as a whole: people, restarts, clocks that jump, and what must hold whatever happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from guardrails.alerts import life
from guardrails.alerts.life import AlertState, Step
from guardrails.alerts.settling import forgotten
from guardrails.alerts.values import Alert, Problem, Reason, Severity, State
from guardrails.matrix.alerts import AlertRules
from tests.alarmed import (
    BREACH,
    CRITICAL,
    CUSHION,
    LOUD,
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

NEVER = Repeat(watch=0.0, unknown=0.0, breach=0.0, critical=0.0)


def fired(severity: Severity = BREACH, **more: Any) -> Story:
    story = Story(**more)
    story.at(0, problem(severity))
    return story


# --- people ---


def test_an_acknowledgement_says_who_and_shows_at_once() -> None:
    story = fired()
    step = life.acknowledge(story.state, CUSHION, "anna", " rolling at the close ", after(10))
    (event,) = step.events
    assert (event.state, event.reason, event.author, event.words) == (
        State.ACKNOWLEDGED, Reason.ACKNOWLEDGED, "anna", "rolling at the close",
    )  # fmt: skip
    assert step.groups == ()
    (row,) = life.rows(step.state, LOUD, after(10))
    assert (row.owner, row.note, row.state, row.held) == (
        "anna", "rolling at the close", State.ACKNOWLEDGED, Reason.HELD_ACKNOWLEDGED,
    )  # fmt: skip
    assert life.step(step.state, [problem()], after(12), LOUD, ("slack",)).events == ()


def test_a_second_silence_replaces_the_first_and_keeps_it_among_the_past() -> None:
    story = fired()
    story.silence(10, until=100)
    story.silence(20, until=200)
    alert = story.alert()
    assert alert.silence is not None
    assert alert.silence.until == after(200)
    assert [silence.until for silence in alert.past_silences] == [after(100)]


def test_a_person_may_end_a_silence_and_then_it_is_told() -> None:
    story = fired()
    story.silence(10, until=3600)
    story.take(20, life.unsilence(story.state, CUSHION, "bob", after(20)))
    story.at(22, problem())
    assert story.lines[2:] == ["20 UNSILENCED margin_cushion", "22 BACK margin_cushion"]


def test_an_action_is_noted() -> None:
    story = fired()
    step = life.acted(story.state, CUSHION, "anna", "closed 2", after(10))
    assert step.state.alerts[CUSHION].acted
    assert [(event.reason, event.author, event.words) for event in step.events] == [(Reason.ACTED, "anna", "closed 2")]


@pytest.mark.parametrize(
    ("reason", "until", "words"),
    [("", 60, "needs a reason"), ("  ", 60, "needs a reason"), ("quote", 10, "ends in the future")],
)
def test_a_silence_needs_a_reason_and_an_end_in_the_future(reason: str, until: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        life.silence(fired().state, CUSHION, "anna", reason, after(until), after(10))


def test_a_silence_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="ends in the future"):
        life.silence(fired().state, CUSHION, "anna", "quote", after(99).replace(tzinfo=None), after(10))


def test_what_is_not_open_cannot_be_taken() -> None:
    settling = fired(WATCH).state
    for state, identity in ((settling, CUSHION), (fired().state, "gamma portfolio")):
        with pytest.raises(ValueError, match="is open"):
            life.acknowledge(state, identity, "anna", "", after(1))
        with pytest.raises(ValueError, match="is open"):
            life.silence(state, identity, "anna", "quote", after(99), after(1))
        with pytest.raises(ValueError, match="is open"):
            life.acted(state, identity, "anna", "", after(1))
    with pytest.raises(ValueError, match="is not silenced"):
        life.unsilence(fired().state, CUSHION, "anna", after(1))


# --- rows ---


def test_rows_are_worst_first_then_the_oldest_and_without_what_settles() -> None:
    story = Story()
    story.at(0, problem(BREACH, "gamma", "portfolio"))
    story.at(2, problem(BREACH, "gamma", "portfolio"), problem(CRITICAL), problem(BREACH, "daily_loss"), source())
    rows = life.rows(story.state, LOUD, after(2))
    assert [(row.check, row.family) for row in rows] == [
        ("margin_cushion", "margin"), ("gamma", "greeks"), ("daily_loss", "loss"),
    ]  # fmt: skip


def test_a_row_says_when_it_is_told_again_and_when_the_next_people_are() -> None:
    lists = (
        Escalation(after_minutes=10.0, channels=("boss",), only_critical=True),
        Escalation(after_minutes=20.0, channels=("phone",)),
    )
    story = fired(rules=rules(escalation=lists))
    (row,) = life.rows(story.state, story.rules, after(0))
    assert (row.next_told, row.escalates, row.escalations) == (after(3600), after(1200), 1)
    story.acknowledge(10)
    (row,) = life.rows(story.state, story.rules, after(10))
    assert (row.next_told, row.escalates) == (None, None)
    story.silence(20, until=500)
    (row,) = life.rows(story.state, story.rules, after(20))
    assert (row.next_told, row.escalates) == (after(500), None)


def test_a_row_says_when_what_waits_is_told() -> None:
    story = Story(rules(family_minutes=1.0, daily_budget=0, settle_seconds=Settle(watch=0.0)))
    gamma, vega = problem(BREACH, "gamma", "portfolio"), problem(BREACH, "short_vega", "portfolio")
    graced = problem(grace_until=after(900))
    story.at(0, gamma)
    story.at(10, gamma, vega, graced, problem(WATCH, "daily_loss"))
    told = {row.check: row.next_told for row in life.rows(story.state, story.rules, after(10))}
    assert told == {
        "gamma": after(3600), "short_vega": after(60), "margin_cushion": after(900), "daily_loss": after(14_410),
    }  # fmt: skip
    assert (life.in_digest(story.state), life.digest_due(story.state, story.rules)) == (1, after(14_410))


# --- restarts ---


def resumed(story: Story, seconds: float, told_today: int = 0, **more: Any) -> Story:
    """As after a restart: only what the last event of each open alert says is left, as JSON."""
    kept = TypeAdapter(tuple[Alert, ...])
    alerts = kept.validate_json(kept.dump_json(tuple(a for a in story.state.alerts.values() if a.fired)))
    return Story(story.rules, story.channels, life.resume(alerts, told_today, after(seconds)), **more)


def test_what_was_told_before_a_restart_is_not_told_again() -> None:
    story = fired(CRITICAL)
    again = resumed(story, 100)
    again.during(100, 900, problem(CRITICAL))
    assert (again.lines, again.messages) == ([], [])
    again.at(900, problem(CRITICAL))
    assert again.messages == ["900 slack,email: repeat due margin_cushion"]


def test_what_was_not_told_before_a_restart_is() -> None:
    story = Story(rules(family_minutes=1.0))
    gamma, vega = problem(BREACH, "gamma", "portfolio"), problem(BREACH, "short_vega", "portfolio")
    story.at(0, gamma)
    story.at(2, gamma, vega)
    again = resumed(story, 10)
    again.during(10, 60, gamma, vega)
    assert again.messages == []  # its family still waits
    again.at(60, gamma, vega)
    assert again.messages == ["60 slack,email: first notice short_vega"]


def test_a_restart_ends_no_silence_and_no_acknowledgement() -> None:
    story = fired()
    story.acknowledge(5)
    story.silence(10, until=500)
    again = resumed(story, 100)
    again.at(100, problem())
    assert again.alert().state is State.SILENCED
    again.at(500, problem())
    assert again.alert().state is State.ACKNOWLEDGED
    assert again.messages == []


def test_nothing_is_over_before_the_sources_speak_again() -> None:
    again = resumed(fired(), 1000)
    again.during(1000, 1400, source())
    again.during(1400, 1520)
    assert CUSHION in again.state.alerts
    again.at(1520)
    assert CUSHION not in again.state.alerts


def test_the_budget_of_the_day_is_what_was_left_of_it() -> None:
    story = Story(rules(daily_budget=3, settle_seconds=Settle(watch=0.0)))
    again = resumed(story, 0, told_today=3)
    again.at(0, problem(WATCH))
    assert again.lines == ["0 HELD_BUDGET margin_cushion"]


def test_what_waited_for_the_digest_still_does() -> None:
    story = Story(rules(daily_budget=0, digest_minutes=60.0, settle_seconds=Settle(watch=0.0)))
    story.at(0, problem(WATCH))
    again = resumed(story, 100)
    again.at(100 + 3600, problem(WATCH))
    assert again.messages == ["3700 slack,email: in the digest margin_cushion"]


def test_times_of_a_clock_that_was_ahead_are_taken_for_now() -> None:
    """Told at 5000 by that clock: the repeat comes an hour after the restart at the latest."""
    story = Story()
    story.at(5000, problem())
    again = resumed(story, 0)
    again.at(0, problem())
    assert again.messages == []
    again.at(3600, problem())
    assert again.messages == ["3600 slack,email: repeat due margin_cushion"]


# --- clocks ---


def test_a_clock_that_goes_back_makes_no_wait_longer() -> None:
    story = fired(CRITICAL)
    story.at(600, problem(CRITICAL))  # 300 s before the repeat
    story.at(-3000, problem(CRITICAL))
    story.during(-2998, -2700, problem(CRITICAL))
    assert len(story.messages) == 1
    story.at(-2700, problem(CRITICAL))
    assert story.messages[1:] == ["-2700 slack,email: repeat due margin_cushion"]


def test_a_clock_that_goes_back_makes_no_silence_longer() -> None:
    story = fired(rules=rules(repeat_minutes=NEVER))
    story.silence(10, until=1000)
    story.at(900, problem())
    story.at(-5000, problem())
    story.at(-4901, problem())
    assert len(story.messages) == 1
    story.at(-4900, problem())
    assert len(story.messages) == 2


def test_a_clock_that_jumps_ahead_ends_silences_and_loses_nothing() -> None:
    story = fired()
    story.silence(10, until=1000)
    story.at(90_000, problem())
    assert story.messages[1:] == ["90000 slack,email: back after a silence margin_cushion"]


# --- whatever happens ---

SUBJECTS = ("margin_cushion", "margin_utilisation", "gamma", "greeks_coverage")
PEOPLE = ("acknowledge", "silence", "unsilence")
STRICT = AlertRules(
    daily_budget=3,
    digest_minutes=5.0,
    escalation=(Escalation(after_minutes=2.0, channels=("boss",)),),
    repeat_minutes=Repeat(watch=0.0, unknown=3.0, breach=2.0, critical=1.0),
)
CHANNELS = ("slack", "boss")
SEEN = st.sampled_from((None, None, WATCH, UNKNOWN, BREACH, CRITICAL))
MOMENT = st.tuples(
    st.sampled_from((2, 2, 2, 10, 70, 130, 3600, -1, -600)),
    st.tuples(*(SEEN for _ in SUBJECTS)),
    st.sampled_from((0.0, 0.1, 0.3, 0.7)),
    st.booleans(),
    st.one_of(st.none(), st.tuples(st.sampled_from(PEOPLE), st.sampled_from(SUBJECTS))),
)


def seen_at(severities: Sequence[Severity | None], over: float, *, silent: bool) -> list[Problem]:
    found = [
        problem(severity, check, "portfolio", over, follows=severity is UNKNOWN)
        for check, severity in zip(SUBJECTS, severities, strict=True)
        if severity is not None
    ]
    return [*found, source()] if silent else found


def deed(state: AlertState, kind: str, identity: str, now: float) -> Step:
    try:
        if kind == "acknowledge":
            return life.acknowledge(state, identity, "anna", "", after(now))
        if kind == "silence":
            return life.silence(state, identity, "anna", "quote", after(now + 300), after(now))
        return life.unsilence(state, identity, "anna", after(now))
    except ValueError:
        return Step(state)


STORED = ("severity", "step", "told_severity", "told_step", "times_told", "escalations", "reached")


def hold(before: AlertState, step: Step, problems: Sequence[Problem], kept: dict[str, Alert]) -> None:
    """What must hold of every step."""
    wrong = {one.identity: one for one in problems}
    open_ones = {name: alert for name, alert in step.state.alerts.items() if alert.fired}
    kept |= {event.alert.identity: event.alert for event in step.events}
    for name, one in wrong.items():
        alert = step.state.alerts[name]
        if one.severity is CRITICAL and not alert.acknowledgement and not alert.silence:
            assert (alert.severity, alert.told_severity) == (CRITICAL, CRITICAL)
        assert one.severity.rank < BREACH.rank or alert.severity.rank >= one.severity.rank
    said = {(event.alert.identity, event.reason) for event in step.events}
    for group in step.groups:
        assert {notice.channels for notice in group} == {group[0].channels}
        assert group[0].channels
        for notice in group:
            identity = notice.alert.identity
            assert (identity, notice.reason) in said or identity in before.over
            known = open_ones.get(identity)
            if known is not None and notice.reason is not Reason.RESOLVED:
                assert not known.acknowledgement
                assert not known.silence
    assert len(step.groups) <= 10
    gone = {name for name, alert in before.alerts.items() if alert.fired} - open_ones.keys()
    assert gone == {event.alert.identity for event in step.events if event.state is State.RESOLVED}
    assert not gone & wrong.keys()
    assert "source_state source:ibkr" not in wrong or not gone
    assert step.state.told_today <= STRICT.daily_budget
    for name, alert in open_ones.items():  # what a restart goes on with is what is known
        stored = forgotten(kept[name], step.state.last or after(0))
        assert [getattr(alert, field) for field in STORED] == [getattr(stored, field) for field in STORED]
        assert bool(alert.acknowledgement) == bool(kept[name].acknowledgement)
        assert bool(alert.silence) == bool(kept[name].silence)


@settings(max_examples=150, deadline=None)
@given(st.lists(MOMENT, max_size=25))
def test_whatever_happens_nothing_is_lost_and_nothing_is_said_without_a_reason(moments: list[Any]) -> None:
    state, now, kept = AlertState(), 0.0, dict[str, Alert]()
    for seconds, severities, over, silent, wish in moments:
        now += seconds
        problems = seen_at(severities, over, silent=silent)
        step = life.step(state, problems, after(now), STRICT, CHANNELS)
        assert step == life.step(state, problems, after(now), STRICT, CHANNELS)
        hold(state, step, problems, kept)
        state = step.state
        if wish is not None:
            said = deed(state, wish[0], f"{wish[1]} portfolio", now)
            kept |= {event.alert.identity: event.alert for event in said.events}
            state = said.state


@settings(max_examples=60, deadline=None)
@given(st.lists(MOMENT, min_size=1, max_size=15))
def test_a_restart_loses_no_open_alert_and_tells_nothing_that_was_not_due_anyway(moments: list[Any]) -> None:
    state, now, problems = AlertState(), 0.0, list[Problem]()
    for seconds, severities, over, silent, _ in moments:
        now += abs(seconds)
        problems = seen_at(severities, over, silent=silent)
        state = life.step(state, problems, after(now), STRICT, CHANNELS).state
    alerts = [alert for alert in state.alerts.values() if alert.fired]
    again = life.resume(alerts, state.told_today, after(now))
    assert again.alerts.keys() == {alert.identity for alert in alerts}
    step = life.step(again, problems, after(now), STRICT, CHANNELS)
    assert again.alerts.keys() <= step.state.alerts.keys()
    # what was right when the program ended, and cannot be seen now, may be repeated when that is due
    late = (Reason.REPEAT, Reason.ESCALATED)
    told = {notice.alert.identity for group in step.groups for notice in group if notice.reason not in late}
    assert told <= {alert.identity for alert in alerts if alert.owed or not alert.told}


def test_flaps_do_not_grow_what_is_known() -> None:
    story = Story(rules(calm_seconds=2.0, settle_seconds=Settle(watch=0.0)))
    for flap in range(2000):
        story.at(flap * 10, problem(WATCH), problem(BREACH, "gamma", "portfolio"))
        story.at(flap * 10 + 2)
        story.at(flap * 10 + 4)
    for seconds in range(20_000, 24_000, 60):  # half an hour of calm ends it, an hour later it is forgotten
        story.at(seconds)
    state = story.state
    assert (state.alerts, state.courses) == ({}, {})
    assert len(state.over) <= 2
    assert len(state.past) <= 2
    story.at(28_000)
    assert story.state.past == {}
    assert len(state.families) <= 2


def test_a_message_of_an_alert_shows_it_as_it_was_before_it_was_told() -> None:
    story = fired(CRITICAL)
    step = story.at(900, problem(CRITICAL))
    ((notice,),) = step.groups
    assert (notice.alert.times_told, story.alert().times_told) == (1, 2)


def test_the_same_thing_twice_in_one_cycle_is_the_worse_of_both() -> None:
    story = Story()
    story.at(0, problem(WATCH), problem(CRITICAL), problem(BREACH))
    assert story.alert().severity is CRITICAL
    assert len(story.state.alerts) == 1


def test_an_alert_comes_out_of_json_as_it_went_in() -> None:
    story = fired(CRITICAL)
    story.silence(10, until=99)
    kept = TypeAdapter(Alert)
    assert kept.validate_json(kept.dump_json(story.alert())) == story.alert()
    assert replace(story.alert(), since=after(0) - timedelta(days=1)) != story.alert()

"""What is wrong with the watch itself: the last moment that is right and the first that is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from guardrails.alerts.own_problems import delivery_problems, no_cycle, relied_on
from guardrails.alerts.values import ChannelRow, Delivery, DeliveryState, Message, Problem, Severity
from guardrails.matrix.alerts import AlertRules

NOW = datetime(2026, 11, 18, 15, 50, 11, tzinfo=UTC)
"""10:50:11 in New York"""
TEN = timedelta(seconds=10)
WORKS = ChannelRow("email", "e-mail", works=True)
LOG = ChannelRow("log", "log", works=True)


def failing(attempts: int = 3, minutes: float = 1.0, **changes: Any) -> ChannelRow:
    since = NOW - timedelta(minutes=minutes)
    row = ChannelRow("slack", "Slack", works=False, failing_since=since, failed_in_a_row=attempts, last_detail="503")
    return replace(row, **changes)


def lost(minutes: float = 1.0, channel: str = "slack", detail: str = "no_service") -> Delivery:
    message = Message("m", NOW, Severity.WATCH, resolved=False, title="WATCH: Vega", lines=(), more=0, link="")
    return Delivery(f"{minutes}", channel, message, (), DeliveryState.DEAD, 1, None, detail, NOW,
                    NOW - timedelta(minutes=minutes))  # fmt: skip


def said(*rows: ChannelRow, lost: tuple[Delivery, ...] = ()) -> list[tuple[str, str, str]]:
    return [(one.subject, one.severity.value, one.message) for one in delivery_problems(rows, lost, NOW)]


def test_no_cycle_for_more_than_it_may_take_is_critical_and_says_since_when() -> None:
    last = NOW - timedelta(seconds=22)
    assert no_cycle(last, NOW, TEN, TEN) is None
    problem = no_cycle(last, NOW, timedelta(seconds=22), TEN)
    assert problem == Problem(
        "engine", "task:cycle", Severity.CRITICAL, "No cycle since 10:49:49 (22 s): nothing is watched.",
        data_age_seconds=22.0,
        next_action="Look at the brokers' own screens; restart the program if it does not come back.",
    )  # fmt: skip


def test_before_the_first_cycle_it_says_when_the_watch_began() -> None:
    problem = no_cycle(None, NOW - timedelta(seconds=65), timedelta(seconds=65), timedelta(seconds=60))
    assert problem is not None
    assert problem.message == "No cycle yet since the start at 10:49:06 (1 min)."


@pytest.mark.parametrize(
    ("attempts", "minutes", "wrong"),
    [(1, 0.0, False), (2, 4.99, False), (3, 0.0, True), (1, 5.0, True), (2, 5.0, True)],
)
def test_a_channel_does_not_work_from_three_failed_attempts_or_five_minutes_on(
    attempts: int, minutes: float, *, wrong: bool
) -> None:
    found = said(failing(attempts, minutes), WORKS, LOG)
    assert [(subject, level) for subject, level, _ in found] == ([("channel:slack", "WATCH")] if wrong else [])


def test_a_channel_that_fails_says_since_when_and_what_it_answered() -> None:
    assert said(failing(), WORKS) == [("channel:slack", "WATCH", "Slack fails since 10:49:11: 503.")]


def test_when_no_channel_works_but_the_log_that_is_a_breach_of_each() -> None:
    mail = failing(name="email", kind="e-mail", last_detail="wrong password.")
    assert said(failing(), mail, LOG) == [
        ("channel:slack", "BREACH", "No channel works, alerts reach nobody. Slack fails since 10:49:11: 503."),
        (
            "channel:email",
            "BREACH",
            "No channel works, alerts reach nobody. e-mail fails since 10:49:11: wrong password.",
        ),
    ]
    untried = ChannelRow("ntfy", "ntfy", works=None)
    assert {level for _, level, _ in said(failing(), mail, untried, LOG)} == {"WATCH"}


@pytest.mark.parametrize(
    ("relied", "attempts", "levels"),
    [({"slack"}, 3, ["BREACH"]), ({"slack"}, 2, []), ({"email"}, 3, ["WATCH"]), (set(), 3, ["WATCH"])],
)
def test_a_channel_that_people_are_told_by_is_a_breach_once_it_fails(
    relied: set[str], attempts: int, levels: list[str]
) -> None:
    found = delivery_problems((failing(attempts), WORKS, LOG), (), NOW, None, relied)
    assert [one.severity.value for one in found] == levels


def test_no_log_is_relied_on() -> None:
    found = delivery_problems((failing(name="log", kind="log"), WORKS), (), NOW, None, {"log", "email"})
    assert [one.severity.value for one in found] == ["WATCH"]


def test_relied_on_are_those_told_first_and_those_told_when_nobody_acknowledges() -> None:
    names = ["slack", "email", "phone", "pager"]
    rules = AlertRules.model_validate(
        {"channels": ["slack"], "escalation": [{"after_minutes": 5, "channels": ["phone"]}]}
    )
    assert relied_on(rules, names) == {"slack", "phone"}
    assert relied_on(AlertRules(), names) == set(names), "without rules all are told first"
    lost = AlertRules.model_validate(
        {"channels": ["slack"], "escalation": [{"after_minutes": 5, "channels": ["boss"]}]}
    )
    assert relied_on(lost, names) == set(names), "a list of which none is configured is told through all"


def test_a_log_alone_is_no_problem_and_one_that_fails_is() -> None:
    assert said(LOG) == []
    assert said(failing(name="log", kind="log"), WORKS)[0][:2] == ("channel:log", "WATCH")


def test_a_channel_that_cannot_be_used_is_a_problem_at_once() -> None:
    broken = ChannelRow("ntfy", "ntfy", works=False, problem="the package apprise is missing")
    assert said(broken, WORKS) == [
        ("channel:ntfy", "WATCH", "ntfy fails as it is configured: the package apprise is missing.")
    ]


@pytest.mark.parametrize(("minutes", "wrong"), [(0.0, True), (59.9, True), (60.0, False), (-5.0, True)])
def test_a_lost_message_is_a_breach_for_an_hour_although_its_channel_works(minutes: float, *, wrong: bool) -> None:
    slack = ChannelRow("slack", "Slack", works=True)
    found = said(slack, WORKS, lost=(lost(minutes),))
    assert found == ([("channel:slack", "BREACH", "A message to Slack was given up: no_service.")] if wrong else [])


def test_a_lost_message_is_a_breach_for_as_long_as_its_channel_has_taken_nothing_since() -> None:
    found = said(failing(minutes=200), WORKS, lost=(lost(190), lost(180, detail="channel_is_archived")))
    assert found == [("channel:slack", "BREACH", "2 messages to Slack were given up: channel_is_archived.")]


def test_a_message_lost_with_a_channel_that_is_gone_is_told_for_an_hour() -> None:
    assert said(WORKS, lost=(lost(1, "pager"),))[0][:2] == ("channel:pager", "BREACH")
    assert said(WORKS, lost=(lost(61, "pager"),)) == []


def test_a_dead_mans_switch_that_is_not_reached_is_watched() -> None:
    beat = failing(name="heartbeat", kind="dead-man's switch", last_detail="404")
    [problem] = delivery_problems((WORKS,), (), NOW, beat)
    assert (problem.subject, problem.severity) == ("channel:heartbeat", Severity.WATCH)
    assert problem.message == "The dead-man's switch is not reached since 10:49:11: 404."
    assert delivery_problems((WORKS,), (), NOW, replace(beat, failed_in_a_row=1)) == ()


def test_a_channel_that_refuses_what_is_critical_is_a_breach_also_while_it_takes_other_messages() -> None:
    refuses = ChannelRow("slack", "Slack", works=True, last_detail="ok", refused="slack.com answered 403")
    told = "Slack refuses what is CRITICAL, and it is tried on: slack.com answered 403."
    assert said(refuses, WORKS, LOG) == [("channel:slack", "BREACH", told)]
    assert said(replace(refuses, refused=""), WORKS, LOG) == []

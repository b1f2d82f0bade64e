"""What a row says of an alert that is right again while its calm still runs."""

from __future__ import annotations

from guardrails.alerts import life
from guardrails.alerts.values import AlertRow
from tests.alarmed import BREACH, CUSHION, WATCH, Escalation, Story, after, problem, rules, source

LADDER = rules(escalation=[Escalation(after_minutes=10, channels=("email",))], channels=("slack",))


def row_of(story: Story, seconds: float) -> AlertRow:
    found = {row.identity: row for row in life.rows(story.state, story.rules, after(seconds))}
    return found[CUSHION]


def test_what_is_right_says_since_when_and_when_it_is_over_and_announces_nothing() -> None:
    story = Story(LADDER)
    story.at(0, problem(BREACH))
    wrong = row_of(story, 1)
    assert (wrong.right_since, wrong.over_at) == (None, None)
    assert wrong.escalates == after(600)
    assert wrong.next_told == after(3600)
    story.at(100)
    story.at(140)
    right = row_of(story, 140)
    assert (right.right_since, right.over_at) == (after(100), after(220))
    assert (right.escalates, right.next_told) == (None, None)
    story.at(150, problem(BREACH))
    again = row_of(story, 150)
    assert again.right_since is None
    assert again.escalates == after(600)


def test_what_was_right_and_cannot_be_seen_is_not_called_right() -> None:
    story = Story(LADDER)
    story.at(0, problem(BREACH))
    story.at(100)
    story.at(110, source())
    assert row_of(story, 110).right_since is None


def test_what_only_looks_better_is_not_right_and_does_not_escalate_meanwhile() -> None:
    story = Story(LADDER)
    story.at(0, problem(BREACH))
    story.at(100, problem(WATCH))
    row = row_of(story, 100)
    assert row.right_since is None
    assert (row.escalates, row.next_told) == (None, None)

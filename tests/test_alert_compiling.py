"""The very first start: stress waits for the pricing kernels to be compiled, no news unless that does not end."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from guardrails.alerts.problems import problems_of
from guardrails.alerts.values import Problem, State
from tests.alarmed import BREACH, UNKNOWN, WATCH, Story, rules
from tests.books import NOW
from tests.healthy import healthy

LADDER = "stress_ladder portfolio:SPX -10 %"


@cache
def found(*, compiling: bool) -> tuple[Problem, ...]:
    """What stress says of the healthy book."""
    world = healthy()
    told = world.unstressed() if compiling else world.assess()
    problems = problems_of(told.snapshot, NOW, world.matrix.alerts)
    return tuple(one for one in problems if one.check.startswith("stress_") or one.check == "model_residual")


def waiting() -> tuple[Problem, ...]:
    return tuple(one for one in found(compiling=True) if not one.right)


def one(**changes: object) -> Problem:
    """A rung of the ladder while the kernels compile."""
    problem = next(one for one in waiting() if one.identity == LADDER)
    return replace(problem, **changes)  # type: ignore[arg-type]  # any field


def test_all_that_rests_on_stress_says_that_it_waits() -> None:
    """Two accounts, two rungs, eight scenarios, the model; without compiling nothing does."""
    assert len(waiting()) == 13
    assert {(problem.severity, problem.wait_seconds) for problem in waiting()} == {(UNKNOWN, 180.0)}
    assert {problem.wait_seconds for problem in found(compiling=False)} == {0.0}


def test_kernels_that_are_compiled_within_three_minutes_are_no_news() -> None:
    story = Story()
    story.during(0, 180, *waiting())
    assert all(alert.state is State.SETTLING for alert in story.state.alerts.values())
    story.during(180, 600, *found(compiling=False))
    assert (story.lines, story.messages, story.state.alerts) == ([], [], {})


def test_a_compilation_that_does_not_end_is_told_after_three_minutes() -> None:
    story = Story()
    story.during(0, 182, *waiting())
    assert {line.partition(" ")[0] for line in story.lines} == {"180"}
    assert len(story.lines) == 13
    assert len(story.messages) == 2  # of stress, and of the data: the model cannot be compared


def test_rules_that_settle_for_longer_hold() -> None:
    story = Story(rules(settle_seconds={"watch": 400.0, "unknown": 300.0}))
    story.during(0, 302, one())
    assert story.lines == ["300 FIRST stress_ladder"]


def test_what_is_unknown_for_another_reason_is_told_as_ever() -> None:
    story = Story()
    story.during(0, 20, one())
    story.during(20, 32, one(wait_seconds=0.0, message="not known, because the book cannot be revalued"))
    assert story.lines == ["30 FIRST stress_ladder"]


def test_a_breach_that_is_seen_after_the_compilation_is_told_at_once() -> None:
    story = Story()
    story.during(0, 40, one())
    story.at(40, one(severity=BREACH, wait_seconds=0.0))
    assert story.lines == ["40 FIRST stress_ladder"]


def test_what_an_earlier_run_has_left_open_is_not_worse_because_the_kernels_compile() -> None:
    for severity in (WATCH, BREACH):
        story = Story()
        story.during(0, 62, one(severity=severity, wait_seconds=0.0))
        before = len(story.messages)
        story.during(62, 242, one())
        assert len(story.messages) == before
        assert story.alert(LADDER).severity is severity
        story.during(242, 244, one())
        assert story.alert(LADDER).severity is (UNKNOWN if severity is WATCH else BREACH)

"""Every stage of the life of alerts, both sides of each of its bounds. Times are seconds after 10:30 in New York."""

from __future__ import annotations

import math
from datetime import time

import pytest

from guardrails import calendar
from guardrails.alerts.occasion import is_quiet
from guardrails.alerts.settling import step_of
from guardrails.alerts.values import Problem, Reason, Severity
from tests.alarmed import (
    ACCOUNT,
    BREACH,
    CRITICAL,
    CUSHION,
    UNKNOWN,
    WATCH,
    Escalation,
    QuietHours,
    Repeat,
    Settle,
    Story,
    after,
    checks_in,
    problem,
    rules,
    source,
)

NEVER = Repeat(watch=0.0, unknown=0.0, breach=0.0, critical=0.0)
BY_BROKER = ["FIRST source_state", "HELD_INHIBITED greeks_coverage"]


def measured(severity: Severity = UNKNOWN, check: str = "greeks_coverage") -> Problem:
    """What rests on quotes, and says so when it is UNKNOWN because a source is silent."""
    return problem(severity, check, "portfolio", follows=severity is UNKNOWN)


ALONE = problem(UNKNOWN, "greeks_coverage", "portfolio")
"""the same while all sources are heard"""


# --- settle ---


@pytest.mark.parametrize(("severity", "seconds"), [(WATCH, 60), (UNKNOWN, 30), (BREACH, 0), (CRITICAL, 0)])
def test_it_is_news_once_it_was_wrong_for_as_long_as_its_severity_asks(severity: Severity, seconds: int) -> None:
    story = Story()
    story.during(0, seconds, problem(severity))
    assert story.lines == []
    story.at(seconds, problem(severity))
    assert story.lines == [f"{seconds} FIRST margin_cushion"]
    assert story.messages == [f"{seconds} slack,email: first notice margin_cushion"]


def test_a_flap_that_is_shorter_leaves_no_trace() -> None:
    story = Story()
    story.during(0, 40, problem(WATCH))
    story.during(40, 82)
    assert (story.lines, story.state.alerts, story.state.courses) == ([], {}, {})
    story.during(82, 142, problem(WATCH))
    assert story.lines == []
    story.at(142, problem(WATCH))
    assert story.lines == ["142 FIRST margin_cushion"]


def test_a_source_that_speaks_for_two_seconds_of_each_thirty_is_a_silent_one() -> None:
    story = Story()
    for begin in range(0, 3600, 30):
        story.during(begin, begin + 28, source())
        story.at(begin + 28)
    assert story.messages == ["30 slack,email: first notice source_state"]


def test_a_critical_that_must_settle_does_so_although_a_good_cycle_comes_now_and_then() -> None:
    story = Story(rules(settle_seconds=Settle(breach=30.0, critical=30.0)))
    story.during(0, 40, problem(BREACH))
    for begin in range(40, 200, 20):
        story.during(begin, begin + 18, problem(CRITICAL))
        story.at(begin + 18, problem(BREACH))
    assert story.lines == ["30 FIRST margin_cushion", "70 WORSENED margin_cushion"]


def test_what_is_wrong_for_two_seconds_of_each_thirty_is_not_news() -> None:
    story = Story()
    for begin in range(0, 3600, 30):
        story.at(begin, problem(UNKNOWN))
        story.during(begin + 2, begin + 30)
    assert story.lines == []


def test_what_gets_worse_while_it_settles_does_not_wait_longer() -> None:
    story = Story()
    story.during(0, 20, problem(WATCH))
    story.at(20, problem(BREACH))
    assert story.lines == ["20 FIRST margin_cushion"]


def test_a_worse_severity_never_settles_for_longer_than_a_milder_one() -> None:
    story = Story(rules(settle_seconds=Settle(watch=10.0, unknown=20.0, breach=300.0)))
    story.during(0, 12, problem(BREACH))
    assert story.lines == ["10 FIRST margin_cushion"]
    story = Story(rules(settle_seconds=Settle(watch=10.0, unknown=20.0, breach=300.0)))
    story.during(0, 20, problem(WATCH))
    story.during(20, 32, problem(BREACH))
    assert story.lines == ["10 FIRST margin_cushion", "30 WORSENED margin_cushion"]


def test_a_breach_that_is_not_seen_while_it_settles_settles_on() -> None:
    story = Story(rules(settle_seconds=Settle(breach=10.0)))
    story.at(0, problem(BREACH))
    story.during(2, 12, problem(UNKNOWN))
    assert story.lines == ["10 FIRST margin_cushion"]
    assert story.alert().severity is BREACH


def test_it_is_over_once_it_was_right_for_the_calm() -> None:
    story = Story()
    story.at(0, problem())
    story.during(2, 122)
    assert story.lines == ["0 FIRST margin_cushion"]
    story.at(122)
    assert story.lines[1:] == ["122 RESOLVED margin_cushion"]
    assert story.messages[1:] == ["122 slack,email: resolved margin_cushion"]
    assert story.state.alerts == {}


def test_back_before_that_it_is_the_same_alert_and_nothing_is_said() -> None:
    story = Story()
    story.at(0, problem())
    story.during(2, 120)
    story.at(120, problem())
    assert story.lines[1:] == ["120 RETURNED margin_cushion"]
    story.during(122, 242)
    assert len(story.messages) == 1
    story.at(242)
    assert story.lines[2:] == ["242 RESOLVED margin_cushion"]


def test_a_thousand_returns_are_ten_lines() -> None:
    """Of the 1st, 2nd, 4th, ... 512th."""
    story = Story(rules(repeat_minutes=NEVER))
    for pair in range(1001):
        story.at(pair * 4, problem())
        story.at(pair * 4 + 2)
    assert story.alert().flaps == 1000
    assert len(story.lines) == 1 + 10
    assert len(story.messages) == 1


def test_the_calm_does_not_run_while_no_cycle_comes() -> None:
    """It was last wrong before the engine slept, and is seen right once."""
    story = Story()
    story.at(0, problem())
    story.at(10_000)
    assert story.lines == ["0 FIRST margin_cushion"]


def test_it_counts_as_the_worst_it_was_until_it_was_better_for_the_calm() -> None:
    story = Story()
    story.at(0, problem(CRITICAL))
    story.during(2, 122, problem(WATCH))
    assert story.alert().severity is CRITICAL
    assert story.alert().eased_at == after(2)
    story.at(122, problem(WATCH))
    assert story.alert().severity is WATCH
    assert story.lines == ["0 FIRST margin_cushion", "122 EASED margin_cushion"]
    assert len(story.messages) == 1


def test_it_eases_to_the_worst_it_was_during_the_calm() -> None:
    story = Story()
    story.at(0, problem(CRITICAL))
    story.during(2, 60, problem(WATCH))
    story.at(60, problem(BREACH))
    story.during(62, 124, problem(WATCH))
    assert story.alert().severity is BREACH
    story.during(124, 184, problem(WATCH))
    assert story.alert().severity is WATCH


def test_what_has_eased_is_told_when_it_gets_worse_again_but_once_an_hour() -> None:
    story = Story(rules(repeat_minutes=NEVER))
    story.at(0, problem(CRITICAL))
    story.during(2, 3598, problem(WATCH))
    assert story.alert().severity is WATCH
    story.at(3598, problem(CRITICAL))
    assert len(story.messages) == 1
    story.during(3600, 3800, problem(WATCH))
    story.at(3800, problem(CRITICAL))
    assert story.messages[1:] == ["3800 slack,email: worsened margin_cushion"]


# --- what cannot be seen ---


def test_a_breach_that_becomes_unknown_stays_a_breach_and_says_so_once() -> None:
    story = Story(rules(repeat_minutes=NEVER))
    story.at(0, problem())
    story.during(2, 4000, problem(UNKNOWN))
    assert story.lines == ["0 FIRST margin_cushion", "2 BLIND margin_cushion"]
    assert story.alert().severity is BREACH
    assert story.alert().problem.severity is UNKNOWN
    assert len(story.messages) == 1


def test_a_feed_that_comes_and_goes_says_so_once() -> None:
    story = Story(rules(repeat_minutes=NEVER))
    for pair in range(500):
        story.at(pair * 4, problem())
        story.at(pair * 4 + 2, problem(UNKNOWN))
    assert story.lines == ["0 FIRST margin_cushion", "2 BLIND margin_cushion"]


def test_without_a_cycle_nothing_is_over() -> None:
    story = Story(rules(repeat_minutes=NEVER))
    story.during(0, 40, source(name="tastytrade"), problem())
    right = problem(WATCH, "source_state", "source:tastytrade", right=True)
    story.during(40, 600, problem(CRITICAL, "engine", "task:cycle"), right)
    assert {"source_state source:tastytrade", CUSHION} < set(story.state.alerts)


def test_that_it_is_over_is_one_line_however_late_it_is_told() -> None:
    story = Story(rules(family_minutes=60.0))
    story.at(0, problem(BREACH, "margin_utilisation"))
    story.at(2, problem(CRITICAL), problem(BREACH, "margin_utilisation"))
    story.during(4, 3604, problem(BREACH, "margin_utilisation"))
    assert story.lines[2:] == [
        "124 RESOLVED margin_cushion",
        "3600 HELD_TOGETHER margin_utilisation",
        "3602 REPEAT margin_utilisation",
    ]
    assert story.messages[2:] == ["3602 slack,email: repeat due margin_utilisation; resolved margin_cushion"]


def test_what_is_back_before_it_was_told_to_be_over_is_told_as_new() -> None:
    story = Story(rules(family_minutes=60.0))
    story.at(0, problem(BREACH, "margin_utilisation"))
    story.at(2, problem(CRITICAL))
    story.during(4, 200)
    story.at(200, problem(CRITICAL))
    assert story.messages[2:] == ["200 slack,email: first notice margin_cushion; resolved margin_utilisation"]
    assert story.state.over == {}


def test_what_was_getting_better_is_not_while_it_cannot_be_seen() -> None:
    story = Story()
    story.at(0, problem(BREACH))
    story.during(2, 100, problem(WATCH))
    story.during(100, 400, problem(UNKNOWN))
    story.during(400, 520, problem(WATCH))
    assert story.alert().severity is BREACH
    story.at(520, problem(WATCH))  # 120 s after it was first seen again
    assert story.alert().severity is WATCH


def test_a_problem_that_is_gone_while_a_source_is_silent_is_not_over() -> None:
    story = Story(rules(repeat_minutes=NEVER))
    story.at(0, problem())
    story.during(2, 600, source())
    assert CUSHION in story.state.alerts
    story.during(600, 720)
    assert CUSHION in story.state.alerts
    story.at(720)  # 120 s after the source was heard again
    assert CUSHION not in story.state.alerts


def test_unless_it_is_seen_to_be_right() -> None:
    story = Story()
    story.at(0, source(name="tastytrade"))
    story.during(2, 40, source(name="tastytrade"))
    right = problem(WATCH, "source_state", "source:tastytrade", right=True)
    story.during(40, 162, source(), right)
    assert list(story.state.alerts) == ["source_state source:ibkr"]


def test_a_check_that_cannot_be_computed_ends_no_alert_of_an_account() -> None:
    story = Story(rules(repeat_minutes=NEVER))
    story.at(0, problem())
    story.during(2, 600, problem(UNKNOWN, subject="portfolio"))
    assert story.alert().severity is BREACH


def test_tasks_of_the_engine_are_seen_whatever_the_sources_do_but_not_without_a_cycle() -> None:
    story = Story(rules(repeat_minutes=NEVER))
    store, delivery = problem(UNKNOWN, "engine", "task:store"), problem(BREACH, "delivery", "channel:slack")
    stalled = problem(CRITICAL, "engine", "task:cycle")
    story.during(0, 40, store, delivery)
    story.during(40, 600, stalled)
    assert set(story.state.alerts) == {"engine task:store", "engine task:cycle"}
    story.during(600, 722, source())
    assert set(story.state.alerts) == {"source_state source:ibkr"}


# --- worse ---


@pytest.mark.parametrize(
    ("over", "step"),
    [(0.0, 0), (0.2499, 0), (0.25, 1), (0.499, 1), (0.5, 2), (0.99, 2), (1.0, 3), (2.0, 4), (100.0, 9), (math.inf, 20)],
)
def test_each_step_over_the_limit_is_as_large_as_all_before_it(over: float, step: int) -> None:
    assert step_of(problem(limit=2.0, headroom=-2.0 * over), 0.25) == step


def test_a_step_needs_a_breach_a_limit_and_a_number() -> None:
    assert step_of(problem(WATCH, over=3.0), 0.25) == 0
    assert step_of(problem(limit=None, headroom=-5.0), 0.25) == 0
    assert step_of(problem(limit=1.0, headroom=math.nan), 0.25) == 0
    assert step_of(problem(over=0.01), 0.0) == 1


def test_a_limit_of_zero_has_steps_as_well_each_twice_as_far() -> None:
    steps = [step_of(problem(limit=0.0, headroom=-over), 0.25) for over in (0.001, 1.0, 1.9, 2.0, 100_000.0)]
    assert steps == [30, 40, 40, 41, 56]  # 0.001 lies between 1 / 1024 and 1 / 512, 100,000 between 2^16 and 2^17


def test_one_step_more_is_told_and_swinging_around_the_peak_is_not() -> None:
    story = Story()
    for seconds, over in enumerate((0.1, 0.24, 0.25, 0.24, 0.26, 0.49, 0.51, 0.1, 0.51)):
        story.at(seconds, problem(over=over))
    assert story.lines == ["0 FIRST margin_cushion", "2 WORSENED margin_cushion", "6 WORSENED margin_cushion"]
    assert len(story.messages) == 3


def test_a_higher_severity_is_told_a_lower_one_is_not() -> None:
    story = Story()
    story.during(0, 62, problem(WATCH))
    story.during(62, 94, problem(UNKNOWN))
    story.at(94, problem(BREACH))
    story.at(96, problem(CRITICAL))
    story.at(98, problem(BREACH))
    assert [line.split()[:2] for line in story.lines] == [
        ["60", "FIRST"],
        ["92", "WORSENED"],  # UNKNOWN for 30 s
        ["94", "WORSENED"],
        ["96", "WORSENED"],
    ]


# --- inhibit ---


def test_what_follows_from_a_silent_source_is_not_told_beside_it() -> None:
    story = Story()
    follows = problem(UNKNOWN, follows=True)
    story.during(0, 32, source(), measured(), follows)
    assert story.lines == [
        "30 FIRST source_state",
        "30 HELD_INHIBITED greeks_coverage",
        "30 HELD_INHIBITED margin_cushion",
    ]
    assert story.messages == ["30 slack,email: first notice source_state"]
    assert story.alert().held_by == "source_state source:ibkr"


def test_a_breach_is_told_whatever_else_is_wrong() -> None:
    story = Story()
    story.at(0, source(), problem(BREACH, follows=True), problem(CRITICAL, "gamma", "portfolio", follows=True))
    assert story.lines == ["0 FIRST margin_cushion", "0 FIRST gamma"]


@pytest.mark.parametrize(("seconds", "lines"), [(5, ["HELD_INHIBITED"]), (6, ["FIRST"])])
def test_what_began_before_its_cause_is_no_consequence(seconds: int, lines: list[str]) -> None:
    story = Story()
    story.during(0, seconds, measured(), every=1)
    story.during(seconds, 31, source(), measured(), every=1)
    assert [line.split()[1] for line in story.lines] == lines


def test_an_account_that_does_not_say_its_margin_is_no_consequence_unless_it_says_so() -> None:
    story = Story()
    story.during(0, 32, source(), problem(UNKNOWN))
    assert story.lines == ["30 FIRST source_state", "30 FIRST margin_cushion"]


def test_when_the_cause_is_over_what_is_still_wrong_is_told() -> None:
    story = Story()
    story.during(0, 32, source(), measured())
    story.during(32, 152, ALONE)
    assert [line.split(" ", 1)[1] for line in story.lines] == BY_BROKER
    story.at(152, ALONE)
    assert story.lines[2:] == ["152 RESOLVED source_state", "152 FIRST greeks_coverage"]


def test_what_recovers_with_its_cause_is_never_told() -> None:
    story = Story()
    story.during(0, 32, source(), measured())
    story.at(32, ALONE)
    story.during(34, 400)
    assert story.messages == ["30 slack,email: first notice source_state", "152 slack,email: resolved source_state"]
    assert story.lines[2:] == ["152 RESOLVED source_state", "154 RESOLVED greeks_coverage"]


def test_a_watch_that_is_unknown_while_its_source_is_silent_is_not_told_again_when_that_is_back() -> None:
    story = Story()
    story.during(0, 62, measured(WATCH))
    story.during(62, 200, source(), measured())
    story.at(200, ALONE)
    story.during(202, 600, measured(WATCH))
    assert [message.partition(": ")[2] for message in story.messages] == [
        "first notice greeks_coverage",
        "first notice source_state",
        "resolved source_state",
    ]


def test_reading_a_silent_source_is_not_told_beside_it_but_another_task_is() -> None:
    story = Story()
    tasks = [problem(UNKNOWN, "engine", f"task:{name}") for name in ("read ibkr", "read tastytrade", "store")]
    story.during(0, 32, source(), *tasks)
    held = {name for name, alert in story.state.alerts.items() if alert.held}
    assert held == {"engine task:read ibkr"}


def test_a_task_that_keeps_mutes_nothing_one_that_reads_does() -> None:
    for task, line in (("task:store", "FIRST"), ("task:read ibkr", "HELD_INHIBITED"), ("task:cycle", "HELD_INHIBITED")):
        story = Story()
        story.during(0, 32, problem(UNKNOWN, "engine", task), measured())
        assert f"30 {line} greeks_coverage" in story.lines


def test_an_account_whose_figures_are_old_mutes_what_follows_but_a_margin_call_mutes_nothing() -> None:
    for severity, line in ((UNKNOWN, "HELD_INHIBITED"), (CRITICAL, "FIRST")):
        story = Story()
        story.during(0, 32, problem(severity, "account_data"), problem(UNKNOWN, follows=True))
        assert f"30 {line} margin_cushion" in story.lines


# --- silence, acknowledge ---


def test_a_silence_holds_until_its_time_and_then_what_is_still_wrong_is_back() -> None:
    story = Story(rules(repeat_minutes=NEVER))
    story.at(0, problem())
    story.silence(10, until=3600)
    story.during(20, 3600, problem(), every=20)
    assert len(story.messages) == 1
    story.at(3600, problem())
    assert story.lines[1:] == [
        "10 SILENCED margin_cushion",
        "3600 UNSILENCED margin_cushion",
        "3600 BACK margin_cushion",
    ]
    assert story.messages[1:] == ["3600 slack,email: back after a silence margin_cushion"]
    assert [silence.reason for silence in story.alert().past_silences] == ["known bad quote"]


def test_what_is_right_when_its_silence_ends_is_back_only_when_it_is_wrong_again() -> None:
    story = Story()
    story.at(0, problem())
    story.silence(10, until=60)
    story.at(60)
    assert story.lines[2:] == ["60 UNSILENCED margin_cushion"]
    story.at(62, problem())
    assert story.messages[1:] == ["62 slack,email: back after a silence margin_cushion"]


def test_a_silence_ends_when_it_gets_worse() -> None:
    story = Story()
    story.at(0, problem(over=0.1))
    story.silence(10, until=3600)
    story.at(12, problem(over=0.24))
    story.at(14, problem(over=0.25))
    assert story.lines[2:] == ["14 UNSILENCED margin_cushion", "14 WORSENED margin_cushion", "14 BACK margin_cushion"]
    assert story.alert().silence is None


def test_what_is_over_while_it_is_silenced_is_not_told_and_comes_back_silenced() -> None:
    story = Story()
    story.at(0, problem())
    story.silence(10, until=3600)
    story.during(20, 200)
    assert story.lines[2:] == ["140 RESOLVED margin_cushion"]
    story.at(300, problem())
    assert story.lines[3:] == ["300 HELD_SILENCE margin_cushion"]
    story.at(302, problem(CRITICAL))
    assert story.messages == [
        "0 slack,email: first notice margin_cushion",
        "302 slack,email: back after a silence margin_cushion",
    ]


def test_what_comes_back_worse_than_it_was_silenced_is_told() -> None:
    story = Story()
    story.at(0, problem())
    story.silence(10, until=3600)
    story.during(20, 200)
    story.at(300, problem(CRITICAL))
    assert story.lines[3:] == ["300 BACK margin_cushion"]


@pytest.mark.parametrize(("hours", "count"), [(23, 1), (25, 0)])
def test_past_silences_are_remembered_for_a_day(hours: int, count: int) -> None:
    story = Story()
    story.at(0, problem())
    story.silence(10, until=60)
    story.at(60, problem())
    story.during(62, 200)
    story.at(62 + 120 + hours * 3600, problem())
    assert len(story.alert().past_silences) == count


def test_an_acknowledgement_holds_repeats_and_ends_when_it_gets_worse() -> None:
    story = Story()
    story.at(0, problem(over=0.1))
    story.acknowledge(10)
    story.at(7200, problem(over=0.1))
    assert len(story.messages) == 1
    assert story.alert().held is Reason.HELD_ACKNOWLEDGED
    story.at(7202, problem(over=0.3))
    assert story.alert().acknowledgement is None
    assert story.messages[1:] == ["7202 slack,email: worsened margin_cushion"]


def test_an_acknowledged_alert_that_is_over_is_told_and_begins_anew() -> None:
    story = Story()
    story.at(0, problem())
    story.acknowledge(10)
    story.during(12, 140)
    story.at(200, problem())
    assert [message.partition(": ")[2].split()[0] for message in story.messages] == ["first", "resolved", "first"]
    assert story.alert().acknowledgement is None


def test_being_unknown_only_for_its_source_ends_no_acknowledgement_and_by_itself_it_does() -> None:
    story = Story()
    story.during(0, 62, measured(WATCH))
    story.acknowledge(62, "greeks_coverage portfolio")
    story.during(64, 200, source(), measured())
    assert story.alert("greeks_coverage portfolio").acknowledgement is not None
    story.during(200, 322, ALONE)  # the source is over at 320
    assert story.alert("greeks_coverage portfolio").acknowledgement is None
    assert "320 slack,email: worsened greeks_coverage" in story.messages


# --- grace, quiet hours ---


def test_a_breach_that_only_the_limit_causes_is_told_when_its_grace_is_over() -> None:
    story = Story()
    graced = problem(grace_until=after(3600))
    story.during(0, 3600, graced, every=60)
    assert story.lines == ["0 HELD_GRACE margin_cushion"]
    assert story.messages == []
    story.at(3600, graced)
    assert story.messages == ["3600 slack,email: first notice margin_cushion"]


def test_a_critical_has_no_grace() -> None:
    story = Story()
    story.at(0, problem(CRITICAL, grace_until=after(3600)))
    assert story.lines == ["0 FIRST margin_cushion"]


EVENING = QuietHours(begin=time(22), end=time(6))
QUIET, MORNING = int(11.5 * 3600), int(19.5 * 3600)
"""22:00 and 06:00 in New York"""


def test_quiet_hours_keep_watch_for_the_digest_at_their_end() -> None:
    story = Story(rules(quiet_hours=EVENING, digest_minutes=1440.0))
    told = problem(WATCH)
    story.during(QUIET, MORNING, told, every=60)
    assert [line.split()[1] for line in story.lines] == ["HELD_QUIET"]
    assert story.messages == []
    story.at(MORNING, told)
    assert story.messages == [f"{MORNING} slack,email: in the digest margin_cushion"]
    assert story.state.digest_since is None


def test_quiet_hours_keep_nothing_else() -> None:
    for severity in (UNKNOWN, BREACH, CRITICAL):
        story = Story(rules(quiet_hours=EVENING))
        story.during(QUIET, QUIET + 62, problem(severity))
        assert len(story.messages) == 1


def test_a_watch_of_the_night_that_gets_worse_is_told_at_once() -> None:
    story = Story(rules(quiet_hours=EVENING))
    story.during(QUIET, QUIET + 120, problem(WATCH))
    story.during(QUIET + 120, QUIET + 152, problem(UNKNOWN))
    assert story.messages == [f"{QUIET + 150} slack,email: first notice margin_cushion"]


def test_a_watch_that_is_over_in_the_morning_is_not_told() -> None:
    story = Story(rules(quiet_hours=EVENING))
    story.during(QUIET, QUIET + 600, problem(WATCH))
    story.during(QUIET + 600, MORNING + 600, every=60)
    assert story.messages == []


@pytest.mark.parametrize(
    ("begin", "end", "clock", "expected"),
    [
        (time(22), time(6), "21:59:58", False),
        (time(22), time(6), "22:00:00", True),
        (time(22), time(6), "05:59:58", True),
        (time(22), time(6), "06:00:00", False),
        (time(12), time(13), "12:30:00", True),
        (time(12), time(13), "13:00:00", False),
    ],
)
def test_quiet_hours_may_pass_midnight(begin: time, end: time, clock: str, *, expected: bool) -> None:
    now = calendar.at(after(0).date(), time.fromisoformat(clock))
    assert is_quiet(QuietHours(begin=begin, end=end), now) is expected


# --- family ---


def test_a_family_is_one_message_and_the_next_waits() -> None:
    story = Story(rules(family_minutes=1.0))
    first, second = problem(BREACH, "gamma", "portfolio"), problem(BREACH, "short_vega", "portfolio")
    margin = problem()
    story.at(0, first)
    story.at(2, first, second, margin)
    assert story.lines[1:] == ["2 HELD_TOGETHER short_vega", "2 FIRST margin_cushion"]
    story.during(4, 60, first, second, margin)
    assert len(story.messages) == 2
    story.at(60, first, second, margin)
    assert story.messages[2:] == ["60 slack,email: first notice short_vega"]


def test_a_critical_never_waits_and_takes_its_family_along() -> None:
    story = Story(rules(family_minutes=1.0))
    gamma, vega = problem(BREACH, "gamma", "portfolio"), problem(BREACH, "short_vega", "portfolio")
    story.at(0, problem(BREACH, "beta_delta", "portfolio"))
    story.at(2, gamma)
    story.at(4, gamma, problem(CRITICAL, "near_expiry_gamma", "portfolio"), vega)
    assert story.messages[1:] == [
        "4 slack,email: first notice near_expiry_gamma; first notice gamma; first notice short_vega"
    ]


def test_a_breach_that_is_gone_before_its_family_may_be_told_of_is_told_all_the_same() -> None:
    story = Story(rules(family_minutes=1.0))
    story.at(0, problem(BREACH, "gamma", "portfolio"))
    story.at(2, problem(BREACH, "short_vega", "portfolio"), problem(BREACH, "gamma", "portfolio"))
    story.during(4, 62, problem(BREACH, "gamma", "portfolio"))
    assert story.messages[1:] == ["60 slack,email: first notice short_vega"]


# --- dedup, repeat ---


@pytest.mark.parametrize(("severity", "minutes"), [(UNKNOWN, 240), (BREACH, 60), (CRITICAL, 15)])
def test_what_nobody_acknowledged_is_told_again(severity: Severity, minutes: int) -> None:
    story = Story(rules(settle_seconds=Settle(watch=0.0, unknown=0.0)))
    story.during(0, minutes * 60, problem(severity), every=60)
    assert len(story.messages) == 1
    story.at(minutes * 60, problem(severity))
    assert story.messages[1:] == [f"{minutes * 60} slack,email: repeat due margin_cushion"]


def test_a_watch_and_what_is_right_at_the_moment_are_not_told_again() -> None:
    story = Story()
    story.during(0, 86_400, problem(WATCH), every=60)
    assert len(story.messages) == 1
    story = Story(rules(calm_seconds=3600.0))
    story.at(0, problem(CRITICAL))
    story.during(60, 1800, every=60)
    assert len(story.messages) == 1


def test_news_is_told_once_and_its_end_is_not() -> None:
    story = Story()
    news = problem(WATCH, "regime_change", "portfolio:high_volatility", news=True)
    story.during(0, 36_000, news, every=60)
    story.at(36_000)
    assert story.lines == ["0 FIRST regime_change", "36000 RESOLVED regime_change"]
    assert len(story.messages) == 1


def test_news_of_the_night_is_told_in_the_morning_although_it_is_gone() -> None:
    story = Story(rules(quiet_hours=EVENING))
    story.at(QUIET, problem(WATCH, "regime_change", "portfolio:high_volatility", news=True))
    story.during(QUIET + 60, MORNING + 120, every=60)
    assert story.messages == [f"{MORNING} slack,email: in the digest regime_change"]
    assert story.state.alerts == {}


# --- budget, digest ---


def watches(count: int) -> list[Problem]:
    """WATCH of as many checks, each of a family of its own."""
    checks = ("margin_cushion", "daily_loss", "gamma", "position_data", "source_state", "risk_matrix")
    return [problem(WATCH, check, "portfolio") for check in checks[:count]]


def test_beyond_the_budget_watch_waits_for_the_digest() -> None:
    story = Story(rules(daily_budget=2, digest_minutes=30.0, settle_seconds=Settle(watch=0.0, unknown=0.0)))
    for count in range(1, 6):
        story.at(count, *watches(count))
    assert story.messages == [
        "1 slack,email: first notice margin_cushion",
        "2 slack,email: first notice daily_loss",
    ]
    assert story.lines[2:] == ["3 HELD_BUDGET gamma", "4 HELD_BUDGET position_data", "5 HELD_BUDGET source_state"]
    assert story.state.told_today == 2
    story.at(3 + 1800 - 1, *watches(5))
    assert len(story.messages) == 2
    story.at(3 + 1800, *watches(5))
    assert story.messages[2:] == [
        "1803 slack,email: in the digest gamma; in the digest position_data; in the digest source_state"
    ]
    assert story.state.told_today == 2


def test_a_digest_of_the_night_leaves_watch_for_the_morning_and_the_next_comes_after_its_wait() -> None:
    story = Story(
        rules(quiet_hours=EVENING, daily_budget=0, digest_minutes=60.0, settle_seconds=Settle(watch=0.0, unknown=0.0))
    )
    watch, gamma, vega = problem(WATCH), problem(UNKNOWN, "gamma", "portfolio"), problem(UNKNOWN, "short_vega", "all")
    story.during(QUIET, QUIET + 3700, watch, gamma, every=100)
    story.during(QUIET + 3700, QUIET + 7300, watch, gamma, vega, every=100)
    assert story.messages == [
        f"{QUIET + 3600} slack,email: in the digest gamma",
        f"{QUIET + 7200} slack,email: in the digest short_vega",
    ]


def test_what_is_left_of_the_budget_goes_to_the_worst() -> None:
    story = Story(rules(daily_budget=1, settle_seconds=Settle(watch=0.0, unknown=0.0)))
    story.at(0)
    story.at(2, problem(WATCH), problem(UNKNOWN, "gamma", "portfolio"))
    assert story.lines == ["2 HELD_BUDGET margin_cushion", "2 FIRST gamma"]


def test_what_is_new_and_bad_is_never_kept_by_the_budget() -> None:
    story = Story(rules(daily_budget=0, settle_seconds=Settle(watch=0.0, unknown=0.0)))
    story.at(0, problem(WATCH))
    story.at(2, problem(BREACH))
    story.at(4, problem(CRITICAL))
    story.at(6 + 900, problem(CRITICAL))
    assert [message.partition(": ")[2].split()[0] for message in story.messages] == ["first", "worsened", "repeat"]
    assert story.state.told_today == 0


def test_the_repeat_of_a_breach_and_its_end_are() -> None:
    story = Story(rules(daily_budget=0))
    story.at(0, problem())
    story.at(3600, problem())
    assert story.lines[1:] == ["3600 HELD_BUDGET margin_cushion"]
    story.during(3602, 3724)
    assert len(story.messages) == 1
    story.at(3600 + 14_399)
    assert len(story.messages) == 1
    story.at(3600 + 14_400)
    assert story.messages[1:] == ["18000 slack,email: resolved margin_cushion"]


def test_that_a_critical_is_over_is_told_whatever_the_budget() -> None:
    story = Story(rules(daily_budget=0))
    story.at(0, problem(CRITICAL))
    story.during(2, 124)
    assert story.messages[1:] == ["122 slack,email: resolved margin_cushion"]


def test_a_new_day_in_new_york_has_a_new_budget() -> None:
    """13.5 hours after 10:30 it is midnight."""
    midnight = int(13.5 * 3600)
    story = Story(rules(daily_budget=1, settle_seconds=Settle(watch=0.0, unknown=0.0)))
    story.at(0, *watches(1))
    story.at(midnight - 1, *watches(2))
    assert story.lines[-1] == f"{midnight - 1} HELD_BUDGET daily_loss"
    story.at(midnight, *watches(3))
    assert story.messages[1:] == [f"{midnight} slack,email: first notice gamma"]


def test_watch_goes_along_with_a_message_that_is_sent_anyway() -> None:
    story = Story(rules(daily_budget=0, settle_seconds=Settle(watch=0.0, unknown=0.0)))
    story.at(0, problem(BREACH, "gamma", "portfolio"), problem(WATCH, "short_vega", "portfolio"))
    assert story.messages == ["0 slack,email: first notice gamma; first notice short_vega"]


# --- escalate ---

CHIEF = rules(
    channels=("slack",),
    escalation=(
        Escalation(after_minutes=10.0, channels=("phone",)),
        Escalation(after_minutes=30.0, channels=("boss",)),
    ),
    repeat_minutes=NEVER,
)
ALL = ("slack", "phone", "boss", "log")


def test_an_unacknowledged_breach_goes_from_list_to_list() -> None:
    story = Story(CHIEF, ALL)
    story.during(0, 3600, problem(), every=60)
    assert story.messages == [
        "0 slack: first notice margin_cushion",
        "600 phone: nobody acknowledged it margin_cushion",
        "1800 boss: nobody acknowledged it margin_cushion",
    ]
    assert story.alert().escalations == 2
    story.during(3600, 3722)
    assert story.messages[3:] == ["3720 slack,phone,boss: resolved margin_cushion"]


@pytest.mark.parametrize("deed", ["acknowledge", "silence"])
def test_somebody_who_has_it_stops_that(deed: str) -> None:
    story = Story(CHIEF, ALL)
    story.at(0, problem())
    if deed == "acknowledge":
        story.acknowledge(599)
    else:
        story.silence(599, until=99_999)
    story.during(600, 3600, problem(), every=60)
    assert len(story.messages) == 1


def test_what_gets_worse_after_that_is_asked_about_anew() -> None:
    story = Story(CHIEF, ALL)
    story.at(0, problem())
    story.during(600, 900, problem(), every=60)
    story.acknowledge(900)
    story.at(1000, problem(CRITICAL))
    story.during(1002, 1602, problem(CRITICAL))
    assert story.messages[2:] == [
        "1000 slack,phone: worsened margin_cushion",
        "1600 phone: nobody acknowledged it margin_cushion",
    ]


def test_the_next_people_are_told_at_once_although_a_repeat_waits_for_the_digest() -> None:
    """The repeat goes into the digest at 60 s, which is due at 660 s."""
    story = Story(
        rules(
            channels=("slack",),
            daily_budget=0,
            digest_minutes=10.0,
            escalation=(Escalation(after_minutes=5.0, channels=("phone",)),),
            repeat_minutes=Repeat(breach=1.0),
        ),
        ALL,
    )
    story.during(0, 662, problem())
    assert story.messages[1:] == [
        "300 phone: nobody acknowledged it margin_cushion",
        "660 slack,phone: in the digest margin_cushion",
    ]


def test_watch_and_unknown_are_not_escalated() -> None:
    for severity in (WATCH, UNKNOWN):
        story = Story(CHIEF, ALL)
        story.during(0, 7200, problem(severity), every=60)
        assert len(story.messages) == 1


def test_a_list_for_what_is_critical_is_told_of_nothing_less() -> None:
    lists = (
        Escalation(after_minutes=10.0, channels=("phone",), only_critical=True),
        Escalation(after_minutes=20.0, channels=("boss",)),
    )
    story = Story(rules(channels=("slack",), escalation=lists, repeat_minutes=NEVER), ALL)
    story.during(0, 1800, problem(), every=60)
    assert story.messages[1:] == ["1200 boss: nobody acknowledged it margin_cushion"]
    story.at(1800, problem(CRITICAL))
    assert story.messages[2:] == [
        "1800 slack,boss: worsened margin_cushion",
        "1800 phone: nobody acknowledged it margin_cushion",
        "1800 boss: nobody acknowledged it margin_cushion",
    ]


def test_what_is_right_at_the_moment_is_not_escalated() -> None:
    story = Story(CHIEF, ALL)
    story.during(0, 590, problem())
    story.during(590, 700)
    assert len(story.messages) == 1
    story.at(700, problem())
    assert story.messages[1:] == ["700 phone: nobody acknowledged it margin_cushion"]


# --- channels ---


@pytest.mark.parametrize(
    ("named", "configured", "told"),
    [
        ((), ("slack", "email", "phone"), "slack,email"),
        ((), ("phone",), "phone"),
        (("email",), ("slack", "email", "phone"), "email"),
        (("email", "pager"), ("slack", "email", "phone"), "email"),
        (("pager",), ("slack", "email", "phone"), "slack,email,phone"),
        ((), (), ""),
    ],
    ids=["all but those of an escalation", "those if there is no other", "the rules", "what there is", "all", "none"],
)
def test_who_is_told_first(named: tuple[str, ...], configured: tuple[str, ...], told: str) -> None:
    step = Escalation(after_minutes=10.0, channels=("phone",))
    story = Story(rules(channels=named, escalation=(step,)), configured)
    story.at(0, problem())
    assert story.messages == [f"0 {told}: first notice margin_cushion"]


def test_a_list_of_which_nothing_is_configured_goes_to_all() -> None:
    story = Story(rules(escalation=(Escalation(after_minutes=10.0, channels=("pager",)),), repeat_minutes=NEVER))
    story.during(0, 660, problem(), every=60)
    assert story.messages[1:] == ["600 slack,email: nobody acknowledged it margin_cushion"]


# --- group ---


def test_at_the_start_everything_is_one_message_worst_first() -> None:
    story = Story()
    story.at(0, problem(BREACH, "gamma", "portfolio"), problem(CRITICAL), problem(BREACH, "short_vega", "portfolio"))
    assert story.messages == ["0 slack,email: first notice margin_cushion; first notice gamma; first notice short_vega"]


def test_later_each_family_has_its_own() -> None:
    story = Story()
    story.at(0)
    step = story.at(2, problem(BREACH, "gamma", "portfolio"), problem(BREACH, "short_vega", "portfolio"), problem())
    assert checks_in(step.groups) == [["gamma", "short_vega"], ["margin_cushion"]]


def of_all_families(severity: Severity, count: int = 1) -> list[Problem]:
    checks = ("margin_cushion", "daily_loss", "short_option_expiry", "stress_excess", "gamma", "delta_concentration",
              "position_data", "source_state", "risk_matrix", "market_regime")  # fmt: skip
    return [problem(severity, check, f"account:{n}") for check in checks for n in range(count)]


def test_a_thousand_alerts_of_one_cycle_are_few_messages_and_all_of_them_are_told() -> None:
    story = Story()
    story.at(0)
    step = story.at(2, *of_all_families(BREACH, 99), *(problem(CRITICAL, "gamma", f"position:{n}") for n in range(10)))
    assert len(step.groups) == 8
    assert sum(len(group) for group in step.groups) == 1000
    assert step.groups[0][0].alert.severity is CRITICAL
    assert {notice.alert.identity for group in step.groups for notice in group} == set(story.state.alerts)


def test_messages_with_something_critical_are_the_last_to_be_merged() -> None:
    story = Story()
    story.at(0)
    many = [one for one in of_all_families(BREACH, 2) if one.check != "market_regime"]
    step = story.at(2, *many, problem(CRITICAL, "market_regime", "portfolio"))
    assert {notice.alert.problem.check for notice in step.groups[0]} == {"market_regime"}
    assert len(step.groups) == 8


def test_many_lists_of_channels_are_still_ten_messages_at_most() -> None:
    lists = tuple(Escalation(after_minutes=float(n), channels=(f"list{n}",)) for n in range(12))
    story = Story(rules(channels=("slack",), escalation=lists), ("slack", *(f"list{n}" for n in range(12))))
    story.at(0)
    story.at(2, *of_all_families(CRITICAL))
    step = story.at(3600, *of_all_families(CRITICAL))
    assert len(step.groups) <= 10
    assert {name for group in step.groups for name in group[0].channels} >= {f"list{n}" for n in range(1, 12)}
    assert all(len({notice.channels for notice in group}) == 1 for group in step.groups)


def test_the_account_is_the_same_in_every_story() -> None:
    assert f"margin_cushion {ACCOUNT}" == CUSHION

"""A day of cycles with ten thousand flaps: every line of its timeline, worked by hand. Times are seconds after 10:30.

0 to 24,000         the cushion is at WATCH in every second cycle: 6,000 flaps that are never news
30,000 to 46,000    gamma is in BREACH in every second cycle: 4,000 flaps of one alert; nobody acknowledges it
50,000 to 50,600    a source is silent, and what follows from it is UNKNOWN
60,000 to 70,000    a short option is about to be assigned; somebody takes it at 63,000
75,000 to 76,000    the daily loss is at WATCH
"""

from __future__ import annotations

from guardrails.alerts.values import Problem
from tests.alarmed import BREACH, CRITICAL, UNKNOWN, WATCH, Escalation, Story, problem, rules, source

DAY, CYCLE = 86_400, 2
GAMMA, EXPIRY = "gamma portfolio", "short_option_expiry portfolio"
CUSHION_WATCH = problem(WATCH)
GAMMA_BREACH = problem(BREACH, "gamma", "portfolio")
SILENT = (source(), problem(UNKNOWN, "greeks_coverage", "portfolio", follows=True), problem(UNKNOWN, follows=True))
ASSIGNED = problem(CRITICAL, "short_option_expiry", "portfolio")
LOSING = problem(WATCH, "daily_loss")

RETURNS = [2**power for power in range(12)]
"""of the 3,999 returns of gamma the 1st, 2nd, 4th, ... 2048th are told"""
GAMMA_LINES = sorted(
    [(30_000 + 4 * count, "RETURNED gamma") for count in RETURNS]
    + [
        (30_000, "FIRST gamma"),
        (30_600, "ESCALATED gamma"),  # ten minutes after it was told first
        (34_200, "REPEAT gamma"),  # an hour after it was told last
        (37_800, "REPEAT gamma"),
        (41_400, "REPEAT gamma"),
        (45_000, "REPEAT gamma"),
        (46_118, "RESOLVED gamma"),  # right since 45,998, for 120 s
    ]
)
LINES = [
    *(f"{seconds} {line}" for seconds, line in GAMMA_LINES),
    "50030 FIRST source_state",  # silent for 30 s
    "50030 HELD_INHIBITED greeks_coverage",
    "50030 HELD_INHIBITED margin_cushion",
    "50720 RESOLVED source_state",  # heard since 50,600
    "50720 RESOLVED greeks_coverage",
    "50720 RESOLVED margin_cushion",
    "60000 FIRST short_option_expiry",
    "60600 ESCALATED short_option_expiry",
    "61500 REPEAT short_option_expiry",  # a quarter of an hour after it was told last
    "62400 REPEAT short_option_expiry",
    "63000 ACKNOWLEDGED short_option_expiry",
    "70120 RESOLVED short_option_expiry",
    "75060 FIRST daily_loss",  # wrong for 60 s
    "76120 RESOLVED daily_loss",
]
MESSAGES = [
    "30000 slack,email: first notice gamma",
    "30600 phone: nobody acknowledged it gamma",
    "34200 slack,email,phone: repeat due gamma",
    "37800 slack,email,phone: repeat due gamma",
    "41400 slack,email,phone: repeat due gamma",
    "45000 slack,email,phone: repeat due gamma",
    "46118 slack,email,phone: resolved gamma",
    "50030 slack,email: first notice source_state",
    "50720 slack,email: resolved source_state",
    "60000 slack,email: first notice short_option_expiry",
    "60600 phone: nobody acknowledged it short_option_expiry",
    "61500 slack,email,phone: repeat due short_option_expiry",
    "62400 slack,email,phone: repeat due short_option_expiry",
    "70120 slack,email,phone: resolved short_option_expiry",
    "75060 slack,email: first notice daily_loss",
    "76120 slack,email: resolved daily_loss",
]


def wrong_at(seconds: int) -> tuple[Problem, ...]:
    """What is wrong in the cycle at that time."""
    every_second = seconds % (2 * CYCLE) == 0
    if seconds < 24_000:
        return (CUSHION_WATCH,) if every_second else ()
    if 30_000 <= seconds < 46_000:
        return (GAMMA_BREACH,) if every_second else ()
    if 50_000 <= seconds < 50_600:
        return SILENT
    if 60_000 <= seconds < 70_000:
        return (ASSIGNED,)
    return (LOSING,) if 75_000 <= seconds < 76_000 else ()


def test_a_day_with_ten_thousand_flaps_has_exactly_this_timeline() -> None:
    lists = (Escalation(after_minutes=10.0, channels=("phone",)),)
    story = Story(rules(escalation=lists, family_minutes=1.0), ("slack", "email", "phone"))
    flaps, before = 0, 0
    for seconds in range(0, DAY, CYCLE):
        wrong = wrong_at(seconds)
        flaps += seconds < 46_000 and len(wrong) > before
        before = len(wrong)
        story.at(seconds, *wrong)
        if seconds == 63_000:
            story.acknowledge(seconds, EXPIRY)
    assert flaps == 10_000
    assert story.lines == LINES
    assert story.messages == MESSAGES
    assert (story.state.alerts, story.state.courses, story.state.over) == ({}, {}, {})

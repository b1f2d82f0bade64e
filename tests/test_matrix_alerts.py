"""The `alerts` section of the risk matrix: what is taken, what is refused in which words, what may be left out."""

from __future__ import annotations

from datetime import time
from typing import Any

import pytest
import yaml

from guardrails.alerts.families import ALERT_CHECKS
from guardrails.checks import CHECK_NAMES
from guardrails.errors import MatrixError
from guardrails.matrix import parse
from guardrails.matrix.alerts import CHECKS, AlertRules, Escalation, QuietHours, Repeat, Settle
from guardrails.matrix.explain_alerts import alert_sentences
from tests.books import ROOT

TEXT = (ROOT / "risk_matrix.yaml").read_text(encoding="utf-8")
BEGIN, END = TEXT.index("alerts:"), TEXT.index("\nregimes:")


def written(section: str) -> AlertRules:
    """The rules of the shipped file with another section."""
    return parse(f"{TEXT[:BEGIN]}{section}\n{TEXT[END:]}").alerts


def with_keys(**keys: Any) -> AlertRules:
    return written(yaml.safe_dump({"alerts": keys}))


def edited(old: str, new: str) -> str:
    """The shipped file with one edit of the section."""
    section = TEXT[BEGIN:END]
    assert old in section, f"{old!r} is no longer in the shipped section"
    return TEXT[:BEGIN] + section.replace(old, new, 1) + TEXT[END:]


def problem(text: str) -> str:
    with pytest.raises(MatrixError) as caught:
        parse(text)
    (only,) = caught.value.problems
    return only


# --- what is shipped ---


def test_the_shipped_section_says_the_defaults() -> None:
    assert parse(TEXT).alerts == AlertRules()


def test_the_shipped_section_names_every_key() -> None:
    section = yaml.safe_load(TEXT)["alerts"]
    assert set(section) == set(AlertRules.model_fields)
    assert set(section["settle_seconds"]) == set(Settle.model_fields)
    assert set(section["repeat_minutes"]) == set(Repeat.model_fields)


def test_the_examples_in_the_comments_can_be_taken_over() -> None:
    steps = [line.partition("#")[2].partition("#")[0] for line in TEXT.splitlines() if "#  - {after_minutes" in line]
    begin = next(line for line in TEXT.splitlines() if "quiet_hours:" in line).partition("such as ")[2]
    rules = written(f"alerts:\n  escalation:\n{chr(10).join(steps)}\n  quiet_hours: {begin.partition(';')[0]}")
    assert [(step.after_minutes, step.channels, step.only_critical) for step in rules.escalation] == [
        (10, ("phone",), True),
        (30, ("phone", "email"), False),
    ]
    assert rules.quiet_hours == QuietHours(begin=time(22), end=time(7))


def test_the_guide_says_the_defaults() -> None:
    guide = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    rules = AlertRules()
    settle, repeat = rules.settle_seconds, rules.repeat_minutes
    for row in (
        f"| seconds | {settle.watch:g}, {settle.unknown:g}, {settle.breach:g}, {settle.critical:g} |",
        f"| minutes, 0 is never | {repeat.watch:g}, {repeat.unknown:g}, {repeat.breach:g}, {repeat.critical:g} |",
        f"| `calm_seconds` | seconds | {rules.calm_seconds:g} |",
        f"| `family_minutes` | minutes | {rules.family_minutes:g} |",
        f"| `daily_budget` | messages a day, New York time | {rules.daily_budget} |",
        f"| `digest_minutes` | minutes | {rules.digest_minutes:g} |",
        f"| `critical` | list of checks | {', '.join(rules.critical)} |",
        f"| `critical_over` | fraction of the limit | {rules.critical_over:.2f} |",
        f"| `worse_by` | fraction of the limit | {rules.worse_by:.2f} |",
    ):
        assert row in guide


def test_what_may_be_critical_is_what_findings_are_made_by() -> None:
    assert set(CHECKS) == set(CHECK_NAMES)
    assert not set(CHECKS) & set(ALERT_CHECKS)


# --- what may be left out ---


def test_a_file_without_the_section_has_the_defaults() -> None:
    assert written("") == AlertRules()


def test_a_key_that_is_left_out_has_its_default() -> None:
    assert with_keys(daily_budget=3) == AlertRules(daily_budget=3)
    assert with_keys(settle_seconds={"watch": 5}) == AlertRules(settle_seconds=Settle(watch=5.0))
    assert with_keys(repeat_minutes={}) == AlertRules()


def test_every_key_is_taken() -> None:
    steps = [
        {"after_minutes": 5, "channels": ["phone"]},
        {"after_minutes": 5, "channels": ["boss"], "only_critical": True},
    ]
    found = with_keys(
        channels=["slack", "email"],
        escalation=steps,
        calm_seconds=1,
        family_minutes=2,
        digest_minutes=3,
        quiet_hours={"begin": "7:05", "end": "23:59"},
        critical=[],
        critical_over=1.5,
        worse_by=1,
    )
    assert found == AlertRules(
        channels=("slack", "email"),
        escalation=(
            Escalation(after_minutes=5.0, channels=("phone",)),
            Escalation(after_minutes=5.0, channels=("boss",), only_critical=True),
        ),
        calm_seconds=1.0,
        family_minutes=2.0,
        digest_minutes=3.0,
        quiet_hours=QuietHours(begin=time(7, 5), end=time(23, 59)),
        critical=(),
        critical_over=1.5,
        worse_by=1.0,
    )


# --- what is refused ---

STEP = "{after_minutes: 10, channels: [phone]}"
QUIET = 'quiet_hours: {begin: "22:00", end: "07:00"}'


@pytest.mark.parametrize(
    ("old", "new", "where", "reason"),
    [
        # keys and names
        ("daily_budget: 20", "daily_bugdet: 20", "alerts.daily_bugdet", "unknown key; did you mean daily_budget?"),
        ("    watch: 60", "    wach: 60", "alerts.settle_seconds.wach", "did you mean watch?"),
        ("    critical: 15", "    critcal: 15", "alerts.repeat_minutes.critcal", "did you mean critical?"),
        ("escalation: []", f"escalation: [{STEP.replace('after_m', 'm')}]", "escalation.0.minutes",
         "did you mean after_minutes?"),
        ("quiet_hours: null", QUIET.replace("begin", "begn"), "alerts.quiet_hours.begn", "did you mean begin?"),
        ("  channels: []", "  min_cushion: 0.2\n  channels: []", "alerts.min_cushion",
         "it belongs under regimes.*.limits"),
        ("[short_option_expiry", "[short_option_expry", "alerts.critical",
         "'short_option_expry' is not a check; did you mean short_option_expiry?"),
        ("[short_option_expiry", "[xyz", "alerts.critical", "'xyz' is not a check; docs/limits.md has their names"),
        ("[short_option_expiry", "[delivery", "alerts.critical", "'delivery' is not a check"),
        ("[short_option_expiry", "[account_data", "alerts.critical", "account_data is written twice; keep one"),
        # channels
        ("  channels: []", "  channels: [slack, email, slack]", "alerts.channels", "slack is written twice; keep one"),
        ("  channels: []", "  channels: slack", "alerts.channels", "'slack' is not a list; write [a, b] or []"),
        ("  channels: []", "  channels: [1]", "alerts.channels", "1: input should be a valid string"),
        ("  channels: []", '  channels: [""]', "alerts.channels", "a channel without a name"),
        ("escalation: []", f"escalation: [{STEP.replace('[phone]', '[]')}]", "escalation.0.channels", "names nobody"),
        ("escalation: []", f"escalation: [{STEP.replace('[phone]', '[phone, phone]')}]", "escalation.0.channels",
         "phone is written twice"),
        # steps
        ("escalation: []", f"escalation: [{STEP}, {STEP.replace('10', '5')}]", "alerts.escalation.1.after_minutes",
         "5 is before the 10 above it; write the steps in the order in which people are told"),
        ("escalation: []", f"escalation: {STEP}", "alerts.escalation", "a group of keys is not a list"),
        ("escalation: []", "escalation: [{channels: [phone]}]", "escalation.0.after_minutes", "missing; write it"),
        ("escalation: []", f"escalation: [{STEP.replace('10', '-10')}]", "after_minutes", "did you mean 10?"),
        ("escalation: []", f"escalation: [{STEP[:-1]}, only_critical: 1}}]", "only_critical", "boolean"),
        # times
        ("quiet_hours: null", QUIET.replace("22:00", "24:00"), "alerts.quiet_hours.begin",
         '24:00 is not a time of day in New York; write for example "22:00"'),
        ("quiet_hours: null", QUIET.replace("07:00", "07:00Z"), "alerts.quiet_hours.end", "is not a time of day"),
        ("quiet_hours: null", QUIET.replace('"07:00"', "7"), "alerts.quiet_hours.end", "7 is not a time of day"),
        ("quiet_hours: null", QUIET.replace('"22:00"', "22:00"), "alerts.quiet_hours.begin",
         "'22:00' would be read as another number; write a time in quotes: \"22:00\""),
        ("quiet_hours: null", QUIET.replace("07:00", "22:00"), "alerts.quiet_hours",
         "begins and ends at 22:00; write null for no quiet hours"),
        ("quiet_hours: null", 'quiet_hours: {begin: "22:00"}', "alerts.quiet_hours.end", "missing; write it"),
        ("quiet_hours: null", "quiet_hours: true", "alerts.quiet_hours", "true is not a group of `key: value` lines"),
        # numbers
        ("critical_over: 0.80", "critical_over: 80", "alerts.critical_over", "did you mean 0.8?"),
        ("worse_by: 0.25", "worse_by: 25", "alerts.worse_by", "did you mean 0.25?"),
        ("daily_budget: 20", "daily_budget: -1", "alerts.daily_budget", "outside 0 to 10000; did you mean 1?"),
        ("daily_budget: 20", "daily_budget: 2.5", "alerts.daily_budget", "2.5 is not a whole number"),
        ("daily_budget: 20", "daily_budget: null", "alerts.daily_budget", "null is not a whole number"),
        ("calm_seconds: 120", "calm_seconds: 3601", "alerts.calm_seconds", "outside 0 to 3600"),
        ("calm_seconds: 120", "calm_seconds: .nan", "alerts.calm_seconds", "not a finite number"),
        ("    breach: 60", "    breach: true", "alerts.repeat_minutes.breach", "true is not a number"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_line_key_and_words(old: str, new: str, where: str, reason: str) -> None:
    text = edited(old, new)
    said = problem(text)
    number = 1 + text[: text.index(new.strip().splitlines()[0])].count("\n")
    assert said.startswith(f"risk_matrix.yaml:{number}: ")
    assert where in said
    assert reason in said


@pytest.mark.parametrize("section", ["alerts: null", "alerts:", "alerts: []", "alerts: none"])
def test_a_section_that_is_no_group_is_refused(section: str) -> None:
    with pytest.raises(MatrixError, match=r"alerts: .* is not a group of `key: value` lines"):
        written(section)


def test_an_address_among_the_channels_is_refused_and_not_repeated() -> None:
    word = "tok" + "en123"
    said = problem(edited("  channels: []", f"  channels: ['ntfy://{word}']"))
    assert "its address belongs in the settings" in said
    assert word not in said


def test_the_section_is_read_aloud() -> None:
    said = " ".join(alert_sentences(parse(edited("daily_budget: 20", "daily_budget: 7")).alerts, ["log", "slack"]))
    assert "At most 7 messages a day" in said
    assert "Told first: slack." in said

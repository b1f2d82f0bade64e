"""What a message says, read as a person reads it."""

from __future__ import annotations

import string
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.alerts import message as messages
from guardrails.alerts.message import MOST, clean, figures, message_of
from guardrails.alerts.plain import text_of
from guardrails.alerts.values import Reason, Severity, Silence, State
from guardrails.titles import headline
from tests.channels import LINK, NOW, notice, problem


def one(*group: object, demo: bool = False) -> messages.Message:
    return message_of(group, "k1", NOW, LINK, demo=demo)  # type: ignore[arg-type]  # notices, made below


def test_a_breach_reads_as_a_person_wants_to_read_it() -> None:
    assert text_of(one(notice())) == (
        "BREACH: Margin cushion, IBKR •••4567: 14 %, limit 20 %\n"
        "\n"
        "[!] BREACH  Margin cushion, IBKR •••4567\n"
        "     Margin cushion, IBKR •••4567: 14 % (look-ahead, excess $35,100), at least 20 %.\n"
        "     since 15:27:05 ET (4 min) · data 3 s old\n"
        "     Next: Close 1 of SPXW 18Dec26 5700P (frees $9,800).\n"
        "     Why now: first notice\n"
        "\n"
        "Alerts page: http://127.0.0.1:8501/alerts\n"
        "Said Wed 18 Nov 2026 15:31:05 ET by Portfolio Guardrails."
    )


def test_the_worst_comes_first_and_names_the_message() -> None:
    watch = notice(check="gamma", subject="portfolio", severity=Severity.WATCH)
    critical = notice(check="short_option_expiry", subject="position:x", severity=Severity.CRITICAL)
    older = notice(check="daily_loss", seconds=900.0)
    told = one(watch, notice(), critical, older)
    assert [line.severity.value for line in told.lines] == ["CRITICAL", "BREACH", "BREACH", "WATCH"]
    assert told.lines[1].title == "Daily loss, IBKR •••4567", "the older of two"
    assert told.title == "CRITICAL: Expiry of shorts, x: 14 %, limit 20 % (and 3 more)"
    assert told.severity is Severity.CRITICAL


def test_what_is_over_says_so_and_what_it_was() -> None:
    told = one(notice(Reason.RESOLVED, seconds=1080.0))
    assert told.resolved
    assert told.title == "RESOLVED: Margin cushion, IBKR •••4567"
    said = text_of(told)
    assert "[-] RESOLVED (was BREACH)  Margin cushion, IBKR •••4567\n" in said
    assert "began 15:13:05 ET, over after 18 min" in said
    assert "When last seen: Margin cushion, IBKR •••4567: 14 %" in said
    assert "Why now:" not in said
    assert "Next:" not in said, "nothing is left to do"
    assert "data 3 s old" not in said


def test_one_open_alert_among_resolved_ones_leads() -> None:
    over = notice(Reason.RESOLVED, check="daily_loss", severity=Severity.CRITICAL)
    told = one(over, notice(severity=Severity.WATCH))
    assert not told.resolved
    assert told.severity is Severity.WATCH
    assert told.title == "WATCH: Margin cushion, IBKR •••4567: 14 %, limit 20 % (and 1 more)"
    assert [line.state for line in told.lines] == [State.FIRED, State.RESOLVED]


def test_the_demo_is_never_taken_for_the_book() -> None:
    assert one(notice(), demo=True).title.startswith("DEMO: BREACH: ")
    assert one(notice(Reason.RESOLVED), demo=True).title.startswith("DEMO: RESOLVED: ")


def test_a_digest_says_that_it_is_one_and_how_bad_the_worst_is() -> None:
    unknown = notice(Reason.DIGEST, severity=Severity.UNKNOWN, held=Reason.HELD_BUDGET)
    told = one(unknown, notice(Reason.DIGEST, severity=Severity.WATCH))
    assert told.title == "DIGEST: UNKNOWN: Margin cushion, IBKR •••4567: 14 %, limit 20 % (and 1 more)"
    assert told.lines[0].reason == "in the digest, suppressed by the daily budget"
    assert not one(unknown, notice()).title.startswith("DIGEST"), "a message that also brings news is none"


def test_why_it_is_said_now_tells_what_a_person_needs_to_judge_it() -> None:
    silence = Silence("ann", NOW - timedelta(hours=2), NOW, "roll planned for the close")
    told = one(
        notice(Reason.REPEAT, times_told=3),
        notice(Reason.ESCALATED, check="a", seconds=900.0),
        notice(Reason.BACK, check="b", past_silences=(silence,)),
    )
    assert {line.reason for line in told.lines} == {
        "repeat due: told 3 times, nobody acknowledged it",
        "nobody acknowledged it for 15 min",
        "back after a silence by ann (roll planned for the close)",
    }


def test_since_names_the_day_when_it_is_another_one() -> None:
    assert "since Tue 17 Nov 15:30 ET (24.0 h" not in text_of(one(notice(seconds=86_460.0)))
    assert "since Tue 17 Nov 15:30 ET (1 d)" in text_of(one(notice(seconds=86_460.0)))


def test_data_ages_while_nothing_new_is_seen() -> None:
    line = one(notice(data_age_seconds=3.0, last_wrong=NOW - timedelta(seconds=40))).lines[0]
    assert line.age == "data 43 s old"
    assert one(notice(data_age_seconds=None)).lines[0].age == ""


@pytest.mark.parametrize(
    ("value", "limit", "unit", "said"),
    [
        (-4310.0, -3500.0, "USD/pt", "−$4,310/pt, limit −$3,500/pt"),
        (None, 0.2, "fraction", "not known, limit 20 %"),
        (39.5, None, "VIX points", "VIX 39.50"),
        (None, None, "", ""),
        (float("nan"), 1.0, "ratio", "?, limit 1.00"),
        (4.0, 2.0, "trading days", "4 trading days, limit 2 trading days"),
    ],
)
def test_figures_carry_their_units(value: float | None, limit: float | None, unit: str, said: str) -> None:
    assert figures(problem(value=value, limit=limit, unit=unit)) == said


@pytest.mark.parametrize(
    ("value", "headroom", "watch", "unit", "said"),
    [
        (0.33, 0.08, 0.40, "fraction", "33 %, WATCH below 40 %"),  # a cushion, which must not fall below 25 %
        (0.33, 0.08, None, "fraction", "33 %, limit 25 % (not reached)"),
        (0.33, -0.08, None, "fraction", "33 %, limit 25 %"),  # a limit that only advises is passed by a WATCH
        (0.33, None, 0.40, "fraction", "33 %, limit 25 %"),
    ],
)
def test_a_watch_says_which_bound_it_is_over_and_that_its_limit_is_not_reached(
    value: float, headroom: float | None, watch: float | None, unit: str, said: str
) -> None:
    told = problem(severity=Severity.WATCH, value=value, limit=0.25, unit=unit, headroom=headroom, watch=watch)
    assert figures(told) == said


def test_a_watch_of_days_begins_at_its_bound() -> None:
    told = problem(severity=Severity.WATCH, value=4.0, limit=2.0, unit="trading days", headroom=2.0, watch=5.0)
    assert figures(told) == "4 trading days, WATCH from 5 trading days down"


@pytest.mark.parametrize(
    ("message", "more", "twice"),
    [
        ("Cushion 14 % (excess $35,100), at least 20 %.", {}, True),
        ("Cushion 14 %, excess $35,100.", {}, False),
        ("Cushion 114 %, at least 20 %.", {}, False),
        ("Cushion 14 %, at least 20 %.", {"value": None}, False),
        ("Cushion 33 %, at least 25 %.", {"severity": Severity.WATCH, "value": 0.33, "limit": 0.25, "headroom": 0.08,
                                          "watch": 0.4}, False),
        ("−$4,310/pt, limit −$3,500/pt.", {"value": -4310.0, "limit": -3500.0, "unit": "USD/pt"}, True),
        ("−$4,310/pt, limit −$3,500/pt.", {"value": 4310.0, "limit": -3500.0, "unit": "USD/pt"}, False),
        ("VIX is 39.50.", {"value": 39.5, "limit": None, "unit": "VIX points"}, True),
    ],
)  # fmt: skip
def test_figures_that_the_sentence_says_do_not_stand_twice(message: str, more: dict[str, Any], twice: bool) -> None:  # noqa: FBT001  # a column of the table
    told = one(notice(message=message, **more))
    assert told.lines[0].figures, "still there for a line that says nothing else"
    assert (f"{told.lines[0].figures} · since" in text_of(told)) is not twice


@pytest.mark.parametrize(
    ("check", "subject", "said"),
    [
        ("beta_delta", "portfolio", "Beta-weighted delta"),
        ("margin_cushion", "account:IBKR •••4567:securities", "Margin cushion, IBKR •••4567 securities"),
        ("vega_concentration", "underlying:AAPL", "Vega in one underlying, AAPL"),
        ("stress_ladder", "portfolio:SPX -20 %", "Stress ladder, SPX -20 %"),
        ("stress_scenarios", "portfolio:march_2020", "Stress scenarios, March 2020"),
        (
            "short_option_expiry",
            "position:tastytrade •••0001 option:SPY   261127P00661000",
            "Expiry of shorts, tastytrade •••0001 SPY 27Nov26 661P",
        ),
        ("position_contracts", "position:future:/MESZ26", "Contracts in one line, /MESZ26"),
        ("position_data", "position:option:      999999X00000000", "Position data, 999999X00000000"),
        ("engine", "task:cycle", "Engine, cycle"),
        ("delivery", "channel:slack", "Delivery of alerts, slack"),
        ("risk_matrix", "matrix:risk_matrix.yaml", "Risk matrix"),
    ],
)
def test_check_and_subject_in_a_few_words(check: str, subject: str, said: str) -> None:
    assert headline(check, subject) == said


def test_at_most_twenty_are_listed_and_the_rest_counted() -> None:
    group = [notice(check=f"check_{n:02}", severity=Severity.WATCH) for n in range(MOST + 5)]
    told = one(*group)
    assert len(told.lines) == MOST
    assert told.more == 5
    assert told.title.endswith(f"(and {MOST + 4} more)")
    assert "\nand 5 more on the Alerts page\n" in text_of(told)


@pytest.mark.parametrize(("severity", "named"), [(Severity.BREACH, 40), (Severity.CRITICAL, 1000)])
def test_of_a_thousand_every_critical_is_in_the_message_and_forty_that_are_broken(
    severity: Severity, named: int
) -> None:
    group = [notice(check=f"check_{n:04}", severity=severity) for n in range(1000)]
    told = one(*group, *(notice(check=f"w{n}", severity=Severity.WATCH) for n in range(7)))
    said = text_of(told)
    assert [f"Check {n:04}" in said for n in range(1000)].count(True) == named
    assert told.more == 7 + 1000 - named
    assert len(said) < 120_000
    over = [notice(Reason.RESOLVED, check=f"c{n}", severity=Severity.CRITICAL) for n in range(30)]
    assert len(one(*over).lines) == MOST, "what is over needs nobody at once"


def test_a_short_pager_gets_the_worst_the_count_and_the_link() -> None:
    group = [notice(check=f"check_{n:02}", severity=Severity.CRITICAL) for n in range(10)]
    told = one(*group, notice(severity=Severity.WATCH))
    said = text_of(told, 500)
    assert len(said) <= 500
    # title 46, closing 101, the rest 31, each alert 56: 178 + 5 × 56 = 458
    assert said.count("[!!] CRITICAL") == 5
    assert "and 6 more on the Alerts page" in said
    assert said.index("Check 00") < said.index("Check 04") < said.index("and 6 more")
    assert "http://127.0.0.1:8501/alerts" in said
    assert text_of(told, 100_000) == text_of(told)
    assert text_of(told, 60).endswith("http://127.0.0.1:8501/alerts")


def test_a_test_says_nothing_of_the_book() -> None:
    told = messages.test_message("k", NOW, LINK + "/")
    assert told.test
    assert told.title == "TEST: Portfolio Guardrails reaches you here"
    assert "This says nothing about your book." in text_of(told)
    assert "http://127.0.0.1:8501/alerts" in text_of(told)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (Severity.WATCH, "Was BREACH, WATCH now: "),
        (Severity.UNKNOWN, "Was BREACH, cannot be seen now: "),
        (Severity.BREACH, ""),
    ],
)
def test_what_counts_as_worse_than_it_looks_says_so(now: Severity, said: str) -> None:
    told = notice(severity=Severity.BREACH)
    alert = replace(told.alert, problem=replace(told.alert.problem, severity=now, message="Delta is 83 %."))
    assert one(replace(told, alert=alert)).lines[0].what == f"{said}Delta is 83 %."


def test_a_message_about_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one notice"):
        one()


def test_secrets_and_account_numbers_of_others_texts_do_not_pass() -> None:
    number, token = "U" + "1119876", "eyJ" + "hbGciOi.eyJzdWIi"
    url = "postgresql://ann:" + "xyzzy@db/x"
    told = one(
        notice(message=f"IBKR says: {number} {token}", next_action=f"look at {url}", subject=f"account:IBKR {number}")
    )
    said = text_of(told) + told.title
    assert "•••9876" in said
    for secret in (number, token, "xyzzy"):
        assert secret not in said


def test_hidden_characters_and_line_ends_do_not_pass() -> None:
    assert clean("a\r\nBcc: x\u202e\u200b y\x00z\ud800!") == "a Bcc: x y z !"
    assert clean("x" * 5000) == "x" * 599 + "…"


@given(
    st.lists(
        st.tuples(st.sampled_from(Severity), st.booleans(), st.text(string.printable + "•€\u202e", max_size=60)),
        min_size=1,
        max_size=40,
    )
)
def test_nothing_critical_is_ever_left_out(group: list[tuple[Severity, bool, str]]) -> None:
    notices = [
        notice(Reason.RESOLVED if over else Reason.FIRST, check=f"c{place}", severity=severity, message=words)
        for place, (severity, over, words) in enumerate(group)
    ]
    told = one(*notices)
    critical = [n for n in notices if n.reason is Reason.FIRST and n.alert.severity is Severity.CRITICAL]
    assert [line.title for line in told.lines if (line.severity, line.state) == (Severity.CRITICAL, State.FIRED)] == [
        n.alert.problem.check.capitalize() + ", IBKR •••4567" for n in sorted(critical, key=lambda n: n.alert.identity)
    ]
    assert len(told.lines) + told.more == len(notices)
    assert told.resolved == all(over for _, over, _ in group)
    assert "\u202e" not in text_of(told)
    assert "\r" not in text_of(replace(told, title=told.title))

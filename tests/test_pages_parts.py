"""How levels, limits and times are written on the pages."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from guardrails.findings import Finding, Level
from guardrails.snapshot import SCHEMA, Snapshot
from guardrails.snapshot.book import Totals
from guardrails.snapshot.market import RegimeNow
from pages._moment import session_words, since_words, urgent
from pages._parts import LOOKS, findings_list, limit_row, room_of, total, use_of
from pages._tables import bucket_of, days

NOW = datetime(2026, 11, 18, 15, 30, tzinfo=UTC)
NOTHING = dict.fromkeys(
    (
        "net_liquidation", "delta_dollars", "beta_delta_dollars", "beta_delta_spx", "beta_delta_spy",
        "gamma_1pct_dollars", "vega_per_point", "vega_30d_per_point", "theta_per_day", "theta_vega_ratio",
    )
)  # fmt: skip


def finding(check: str = "gamma", level: Level = Level.OK, value: float | None = None, **more: object) -> Finding:
    given = {"limit": None, "unit": "USD", "headroom": None, "message": f"about {check}", **more}
    return Finding(check=check, subject="portfolio", level=level, value=value, **given)  # type: ignore[arg-type]


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2 definition."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("level", list(LOOKS))
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_level_can_be_read_in_both_themes(level: Level, theme: str) -> None:
    ink, back = (luminance(colour) for colour in getattr(LOOKS[level], theme))
    stripes = {"light": "#d4d8dd", "dark": "#3a424d"}[theme]  # what lies under a badge without background
    for ground in (back, luminance(stripes)):
        assert (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05) >= 4.5


def test_levels_differ_in_word_and_sign_not_only_in_colour() -> None:
    assert len({look.word for look in LOOKS.values()}) == len({look.sign for look in LOOKS.values()}) == len(Level)


@pytest.mark.parametrize(
    ("found", "use"),
    [
        (finding("short_vega", value=-4310.0, limit=-3500.0), 4310 / 3500),
        (finding("short_vega", value=200.0, limit=-3500.0), 0.0),
        (finding("short_vega", Level.BREACH, value=-1.0, limit=0.0), math.inf),
        (finding("daily_loss", value=0.01, limit=-0.03), 0.0),
        (finding("daily_loss", value=-0.015, limit=-0.03), 0.5),
        (finding("margin_cushion", value=0.40, limit=0.20), 0.5),
        (finding("margin_cushion", value=0.0, limit=0.20), math.inf),
        (finding("beta_delta", value=None, limit=1.0), None),
        (finding("short_option_expiry", value=4.0, limit=2.0), None),
        (finding("gamma", value=1.0, limit=2.0, evidence={"use": 0.7}), 0.7),
    ],
)
def test_use_is_the_share_of_the_limit_taken(found: Finding, use: float | None) -> None:
    assert use_of(found) == (None if use is None else pytest.approx(use))


def test_room_is_said_in_contracts_when_it_is_known() -> None:
    evidence = {"headroom_contracts": 3, "contributor": "SPY 18Dec26 600P"}
    assert room_of(finding(value=1.0, limit=2.0, headroom=1.0, evidence=evidence)) == "room for 3 more SPY 18Dec26 600P"
    assert room_of(finding(value=3.0, limit=2.0, headroom=-1.0)) == "$1 over"
    short = finding("margin_cushion", value=0.13, limit=0.2, headroom=-0.07, unit="fraction")
    assert room_of(short) == "7.0 % short"
    assert room_of(finding(value=None, limit=2.0)) == ""


def test_a_bar_ends_at_one_and_a_half_times_the_limit() -> None:
    for use, width in ((0.75, 50), (1.5, 100), (2.0, 100)):
        assert f"width:{width}%" in limit_row(finding(value=use, limit=1.0, headroom=1 - use))
    assert "300 % of limit" in limit_row(finding(value=3.0, limit=1.0, headroom=-2.0))
    assert "over 3 × limit" in limit_row(finding(value=3.01, limit=1.0, headroom=-2.01))
    assert ">0 % of limit" in limit_row(finding(value=0.0, limit=-1.0, headroom=1.0))


def test_worst_first_and_the_cause_before_what_it_darkens() -> None:
    found = [
        finding("theta_cap", Level.WATCH, advisory=True),
        finding("gamma", Level.WATCH),
        finding("gamma", Level.UNKNOWN),
        finding("source_state", Level.UNKNOWN),
        finding("margin_cushion", Level.BREACH),
        finding("drawdown", Level.OK),
    ]
    assert [f.check for f in urgent(found)] == ["margin_cushion", "source_state", "gamma", "gamma", "theta_cap"]


def test_messages_are_escaped() -> None:
    assert "<b>" not in findings_list([finding(message="<b>x")]).replace("<b>Next:</b>", "")


def test_bounds_of_an_unknown_total_are_said() -> None:
    bounds = {"gamma_1pct_dollars": (-38_000.0, None), "theta_per_day": (None, None)}
    totals = Totals(**NOTHING, bounds=bounds)  # type: ignore[arg-type]
    assert total(totals, "gamma_1pct_dollars") == "at least −$38,000"
    assert total(totals, "theta_per_day") == "?"


def snapshot(*, market_open: bool, change: datetime | None) -> Snapshot:
    regime = RegimeNow("low_volatility", None, "", None, None)
    level, totals = Level.UNKNOWN, Totals(**NOTHING)  # type: ignore[arg-type]
    return Snapshot(SCHEMA, NOW, level, "NORMAL", "read-only", market_open, change, regime, totals, (), (), (), ())


def test_the_session_in_words() -> None:
    assert session_words(snapshot(market_open=True, change=NOW + timedelta(minutes=10)), NOW) == "closes in 10 min"
    assert session_words(snapshot(market_open=True, change=None), NOW) == "market open"
    opens = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    assert session_words(snapshot(market_open=False, change=opens), NOW) == "closed, opens Mon 09:30"


def test_a_week_ago_is_a_date() -> None:
    assert since_words(NOW - timedelta(days=5), NOW) == "Fri 10:30"
    assert since_words(NOW - timedelta(days=6), NOW) == "12 Nov"


@pytest.mark.parametrize(
    ("dte", "bucket"),
    [(None, "none"), (-1, "0-7"), (7, "0-7"), (8, "8-30"), (60, "31-60"), (61, "60+")],
)
def test_expiry_buckets(dte: int | None, bucket: str) -> None:
    assert bucket_of(dte) == bucket


def test_days_sort_as_text_and_are_empty_without_expiry() -> None:
    assert sorted([days(9), days(28), days(120)]) == [days(9), days(28), days(120)]
    assert days(None) == ""

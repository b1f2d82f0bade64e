"""Volatility, events and the age of Greeks as the Positions page writes them."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta

import pandas as pd
import pytest
from pandas.io.formats.style import Styler

from guardrails.snapshot.market import MetricsRow
from guardrails.values import Metrics, View
from pages._tables import GREYS, greeks_from, greyed
from pages._volatility import TITLES, beta_words, events, of_underlyings, signal_words
from tests.books import NOW, account, market, option, stock, view
from tests.healthy import SPX_PUT, healthy
from tests.test_pages import Start, shown, start
from tests.test_pages_parts import luminance

__all__ = ["start"]  # a fixture

ROW = MetricsRow(
    "AAPL", 5.0, "tastytrade", 1.15, 0.62, 0.40, 0.70, 0.30, 0.25, 0.20, 0.27, "fair",
    earnings=date(2026, 11, 24), earnings_estimated=True, earnings_time="after close", ex_dividend=date(2026, 12, 1),
)  # fmt: skip
UNTOLD = MetricsRow("XYZ", None, "", None, None, None, None, None, None, None, 0.27, "unknown", "no metrics")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ROW, "E 24 Nov after close (estimated) · D 1 Dec"),
        (replace(ROW, earnings_estimated=False), "E 24 Nov after close · D 1 Dec"),
        (replace(ROW, earnings_estimated=None, earnings_time=""), "E 24 Nov · D 1 Dec"),
        (replace(ROW, ex_dividend=date(2026, 11, 20)), "D 20 Nov · E 24 Nov after close (estimated)"),
        (replace(ROW, ex_dividend=None), "E 24 Nov after close (estimated)"),
        (replace(ROW, earnings=None), "D 1 Dec"),
        (replace(ROW, earnings=None, ex_dividend=None), ""),
        (UNTOLD, None),  # nobody tells, which is not the same as nothing to come
    ],
)
def test_what_comes_next(row: MetricsRow, said: str | None) -> None:
    assert events(row) == said


def test_a_package_over_several_underlyings_has_no_volatility_of_its_own() -> None:
    metrics = {"AAPL": ROW, "MSFT": replace(ROW, symbol="MSFT")}
    one, both = of_underlyings({"AAPL"}, metrics), of_underlyings({"AAPL", "MSFT"}, metrics)
    assert tuple(one) == tuple(both) == TITLES
    assert [one[title] for title in TITLES[:4]] == pytest.approx([30.0, 25.0, 20.0, "fair"])
    assert {both[title] for title in TITLES} == {None, ""}


def test_an_unknown_signal_is_marked() -> None:
    assert (signal_words(ROW), signal_words(UNTOLD)) == ("fair", "? unknown")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ROW, ""),
        (replace(ROW, correlation=0.30), ""),
        (replace(ROW, correlation=-0.2999), "says little: correlation below 0.30"),
        (replace(ROW, correlation=None), "correlation not known"),
        (replace(ROW, symbol="SPX", correlation=None), "broad index"),
        (UNTOLD, "no beta: taken as anything between bounds"),
    ],
)
def test_what_a_beta_is_worth(row: MetricsRow, said: str) -> None:
    assert beta_words(row, 0.30) == said


@pytest.mark.parametrize(
    ("age", "after", "said"),
    [
        (2.0, 30.0, "test 2 s"),
        (30.0, 30.0, "test 30 s"),
        (30.5, 30.0, "test, quiet 30 s"),
        (45.0, 30.0, "test, quiet 45 s"),
        (4_000.0, math.inf, "test 1.1 h"),  # a closed market is quiet by nature
    ],
)
def test_greeks_say_source_and_age(age: float, after: float, said: str) -> None:
    rows = {row.symbol: row for row in healthy().assess().snapshot.positions}
    row = replace(rows[SPX_PUT], greeks_source="test", greeks_age_seconds=age)
    assert greeks_from(row, after) == said
    assert greeks_from(replace(row, greeks_source=None, greeks_age_seconds=None), after) is None
    assert greeks_from(rows["AAPL"], after) == ""


def test_grey_only_joins_the_word() -> None:
    table = pd.DataFrame({"Greeks from": ["test 2 s", "test, quiet 45 s", None]})
    for theme in ("light", "dark", None):
        found = greyed(table, theme)
        assert isinstance(found, Styler)
        assert found.to_html().count(GREYS["dark" if theme == "dark" else "light"]) == 1
    assert greyed(table.iloc[:1], "dark") is not None
    assert not isinstance(greyed(table.iloc[:1], "dark"), Styler)


@pytest.mark.parametrize(("theme", "ground"), [("light", "#ffffff"), ("dark", "#10141a")])
def test_grey_can_be_read(theme: str, ground: str) -> None:
    ink, back = luminance(GREYS[theme]), luminance(ground)
    assert (max(ink, back) + 0.05) / (min(ink, back) + 0.05) >= 4.5


def told() -> View:
    """AAPL shares and a short call, quiet for 45 s, with metrics at a VIX of 17."""
    call = option("AAPL  261218C00220000", -1.0, "0.30 0.01 0.2 -0.1 0.3", mark=3.0, bid=2.9, ask=3.1, quote_time=NOW)
    assert call.greeks is not None
    quiet = replace(call, greeks=replace(call.greeks, time=NOW - timedelta(seconds=29)))
    aapl = Metrics(
        "AAPL", NOW, "tastytrade", 0.62, 0.40, 0.70, 0.30, 0.25, date(2026, 11, 24), ex_dividend=date(2026, 12, 1)
    )
    where = replace(market({"AAPL": 1.2}, AAPL=200.0), metrics={"AAPL": aapl})
    return view(stock("AAPL", 100, 200.0), quiet, stock("XYZ", 1, None), accounts=[account()], at=where)


def test_volatility_stands_in_every_table(start: Start) -> None:
    start(told())
    at = shown("positions.py")
    packages, legs, underlyings = (frame.value for frame in at.dataframe)
    for table in (packages, legs):
        row = table[table["What"].str.startswith("AAPL")].iloc[0]
        assert [row["IV30 %"], row["HV30 %"], row["Premium %"]] == pytest.approx([30.0, 25.0, 20.0])
        assert (row["Signal"], row["Next event"]) == ("fair", "E 24 Nov · D 1 Dec")
    assert underlyings["Underlying"].tolist() == ["AAPL", "XYZ"]
    known, unknown = underlyings.iloc[0], underlyings.iloc[1]
    assert [known["Rich from %"], known["IV rank %"], known["IV percentile %"]] == pytest.approx([27.0, 40.0, 70.0])
    assert (known["Correlation"], known["Beta quality"], known["Published by"]) == (0.62, "", "tastytrade 0 s")
    assert (unknown["Signal"], unknown["Why no signal"]) == ("? unknown", "no metrics are published for it")
    assert pd.isna(unknown["Premium %"])

"""How dear the options of an underlying are and what it waits for: columns of the Positions page, and a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from guardrails import wording
from guardrails.products import BROAD_INDEX_GROUPS, group_of
from guardrails.snapshot.market import MetricsRow, Number
from guardrails.volatility import Signal

TITLES = ("IV30 %", "HV30 %", "Premium %", "Signal", "Next event")
"""columns of a leg and of a package"""
_NOTHING: Mapping[str, object] = dict(zip(TITLES, (None, None, None, "", ""), strict=True))
_RULE = "Rich: IV30 / HV30 − 1 is at or above 0.10 + VIX / 100. Fair: from 0 up to that. Cheap: below 0."


def of_underlyings(names: Collection[str], metrics: Mapping[str, MetricsRow]) -> Mapping[str, object]:
    """The volatility columns of a leg or package; empty where nothing is published or several underlyings meet."""
    found = metrics.get(next(iter(names))) if len(names) == 1 else None
    if found is None:
        return _NOTHING
    figures = (percent(found.iv_30d), percent(found.hv_30d), percent(found.premium), signal_words(found), events(found))
    return dict(zip(TITLES, figures, strict=True))


def percent(fraction: Number) -> Number:
    """A fraction in percent."""
    return None if fraction is None else fraction * 100.0


def signal_words(row: MetricsRow) -> str:
    """`rich`, `fair`, `cheap`, `? unknown`."""
    return f"? {row.signal}" if row.signal == Signal.UNKNOWN else row.signal


def events(row: MetricsRow) -> str | None:
    """What comes next, soonest first: `E 24 Nov after close (estimated) · D 1 Dec`; None when nobody tells."""
    if row.age_seconds is None:
        return None
    ahead = [(day, words) for day, words in ((row.earnings, report(row)), (row.ex_dividend, dividend(row))) if day]
    return " · ".join(words for _, words in sorted(ahead))


def report(row: MetricsRow) -> str:
    """The next earnings report: `E 24 Nov after close (estimated)`."""
    if row.earnings is None:
        return ""
    estimated = "(estimated)" if row.earnings_estimated else ""
    return " ".join(part for part in ("E", short(row.earnings), row.earnings_time, estimated) if part)


def dividend(row: MetricsRow) -> str:
    """The next ex-dividend date: `D 1 Dec`."""
    return "" if row.ex_dividend is None else f"D {short(row.ex_dividend)}"


def short(day: date) -> str:
    """`24 Nov`."""
    return f"{day.day} {day:%b}"


def beta_words(row: MetricsRow, least: float) -> str:
    """What the beta is worth, in words; nothing when its correlation is `least` or more."""
    if row.beta is None:
        return "no beta: taken as anything between bounds"
    if group_of(row.symbol) in BROAD_INDEX_GROUPS:
        return "broad index"
    if row.correlation is None:
        return "correlation not known"
    return f"says little: correlation below {least:.2f}" if abs(row.correlation) < least else ""


def volatility_table(rows: Sequence[MetricsRow], least: float) -> pd.DataFrame:
    """One row per underlying held; `least` is the correlation below which a beta says little."""
    return pd.DataFrame(
        {
            "Underlying": [row.symbol for row in rows],
            "Signal": [signal_words(row) for row in rows],
            "Premium %": [percent(row.premium) for row in rows],
            "Rich from %": [percent(row.threshold) for row in rows],
            "IV30 %": [percent(row.iv_30d) for row in rows],
            "HV30 %": [percent(row.hv_30d) for row in rows],
            "IV rank %": [percent(row.iv_rank) for row in rows],
            "IV percentile %": [percent(row.iv_percentile) for row in rows],
            "Beta": [row.beta for row in rows],
            "Correlation": [row.correlation for row in rows],
            "Beta quality": [beta_words(row, least) for row in rows],
            "Earnings": [None if row.age_seconds is None else report(row) for row in rows],
            "Ex-dividend": [None if row.age_seconds is None else dividend(row) for row in rows],
            "Published by": [
                None if row.age_seconds is None else f"{row.source} {wording.age(row.age_seconds)}" for row in rows
            ],
            "Why no signal": [row.reason for row in rows],
        }
    )


def volatility_formats() -> dict[str, ColumnConfig]:
    """How the columns are written, and what each means."""
    number, words = st.column_config.NumberColumn, st.column_config.TextColumn
    says = {
        "IV30 %": "Implied volatility of the underlying for 30 days, a year, in percent. IV % is that of one option.",
        "HV30 %": "Historical (realised) volatility of the last 30 days, a year, in percent.",
        "Premium %": "IV30 / HV30 − 1, in percent: how much dearer options are than what the price did.",
        "Rich from %": "Threshold: 0.10 + VIX / 100, in percent. VIX 20: 30 %.",
        "IV rank %": "(IV − lowest) / (highest − lowest) of 52 weeks. Not the percentile: one spike pushes it down.",
        "IV percentile %": "Share of the last 252 days on which IV was below today's. Not the rank.",
    }
    config: dict[str, ColumnConfig] = {title: number(format="%.1f", help=text) for title, text in says.items()}
    config["Beta"] = number(format="%.2f", help="To the S&P 500.")
    config["Correlation"] = number(format="%.2f", help="Of returns with SPY over three months, −1 to 1.")
    config["Beta quality"] = words(help="How far to trust the beta: it rests on returns that may hardly move together.")
    config["Signal"] = words(width=95, help=_RULE)  # as wide as its longest word
    config["Published by"] = words(help="Source, and how old the oldest of its figures are.")
    config["Next event"] = words(help="E: earnings report, exchange date. D: ex-dividend date.")
    config["Earnings"] = words(help="Next earnings report; estimated until the company confirms it.")
    config["Ex-dividend"] = words(help="A short call in the money is likely to be assigned the evening before.")
    return config

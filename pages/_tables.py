"""The Positions tables as data frames: packages, legs, and which of them a filter lets through."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler
from streamlit.elements.lib.column_types import ColumnConfig

from guardrails import wording
from guardrails.exposures import BUCKET_ENDS, BUCKETS
from guardrails.findings import worst
from guardrails.instruments import Kind
from guardrails.snapshot.book import PositionRow
from guardrails.snapshot.market import MetricsRow, Number
from pages._alerts import short
from pages._parts import say
from pages._volatility import TITLES, of_underlyings, volatility_formats

SUMS = {
    "day_pnl": ("Day P&L", "Change of value since the last close, US dollars; without what held currencies gained."),
    "open_pnl": ("Open P&L", "Value now − what was paid, US dollars; without what held currencies gained."),
    "delta_dollars": ("Delta $", "Quantity × delta × multiplier × price of the underlying."),
    "beta_delta_dollars": ("Beta delta $", "Delta $ × beta to the S&P 500."),
    "gamma_1pct_dollars": ("Gamma 1 %", "Change of beta delta $ when the index moves 1 %."),
    "vega_per_point": ("Vega $/pt", "Quantity × vega × multiplier, per volatility point."),
    "theta_per_day": ("Theta $/day", "Quantity × theta × multiplier, per calendar day."),
    "market_value": (
        "Value",
        "Quantity × multiplier × mark, US dollars; 0 for futures, settled every day.",
    ),
}
_OPTIONS = {Kind.OPTION, Kind.INDEX_OPTION, Kind.FUTURE_OPTION}
_OF_CASH = {"market_value"}
"""what currencies held as cash are themselves asked for; no broker says what they gained"""
UNIT = {
    "delta": ("Delta", "Of one unit, per $1 of the underlying.", "%.3f"),
    "gamma": ("Gamma", "Of one unit, change of delta per $1.", "%.5f"),
    "vega": ("Vega", "Of one unit, per volatility point.", "%.3f"),
    "theta": ("Theta", "Of one unit, per calendar day.", "%.3f"),
}


def bucket_of(dte: int | None) -> str:
    """Expiry bucket; `none` for what does not expire."""
    if dte is None:
        return "none"
    return next((name for name, end in zip(BUCKETS, BUCKET_ENDS, strict=False) if dte <= end), BUCKETS[-1])


def added(rows: Sequence[PositionRow], field: str) -> Number:
    """The sum over `rows`; None when any part is unknown."""
    values = [figure(row, field) for row in rows]
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def days(dte: int | None) -> str:
    """Days to expiry, padded so that they sort; nothing for what does not expire, which is not the same as unknown."""
    return "" if dte is None else f"{dte:>4}"


def figure(row: PositionRow, field: str) -> Number:
    """A figure of one row; cash has no delta, and a future, settled daily, no value: zero and not unknown."""
    if row.kind == Kind.FUTURE and field == "market_value":
        return 0.0
    value: Number = getattr(row, field)
    if value is None:
        return 0.0 if row.kind == Kind.CASH and field not in _OF_CASH else None
    return value + 0.0


def package_table(rows: Sequence[PositionRow], metrics: Mapping[str, MetricsRow]) -> pd.DataFrame:
    """One row per package: underlying, name, account, legs, sums, volatility; the order does not depend on ticks.

    `metrics` are those of the underlyings by name.
    """
    packages: dict[tuple[str, str, str, str], list[PositionRow]] = defaultdict(list)
    for row in rows:
        packages[row.group, row.strategy or row.label, row.broker, row.account].append(row)
    table = [
        {
            "Underlying": group,
            "What": name,
            "Account": f"{broker} {account}",
            "Level": say(worst(leg.level for leg in legs)),
            "Legs": len(legs),
            "DTE": days(min((leg.dte for leg in legs if leg.dte is not None), default=None)),
            **{title: added(legs, field) for field, (title, _) in SUMS.items()},
            **of_underlyings({leg.underlying for leg in legs}, metrics),
        }
        for (group, name, broker, account), legs in sorted(packages.items())
    ]
    return pd.DataFrame(table)


def selected_as(packages: pd.DataFrame) -> str:
    """Key of the table of packages. What is selected is known by its row alone, so it must not outlive another filter
    or another book: the same row would be another package, and Close would close that one."""
    names = "" if packages.empty else "|".join(packages["What"] + packages["Account"])
    return f"packages_{short(names)}"


def leg_table(rows: Sequence[PositionRow], metrics: Mapping[str, MetricsRow], quiet_after: float) -> pd.DataFrame:
    """One row per position, with Greeks per unit, their source and age, and the volatility of its underlying.

    Greeks older than `quiet_after` seconds are quiet; infinity while the market is closed.
    """
    ordered = sorted(rows, key=lambda row: (row.group, row.strategy or row.label, row.broker, row.account, row.label))
    columns: dict[str, list[object]] = {
        "What": [row.label for row in ordered],
        "Quantity": [row.quantity for row in ordered],
        "Level": [say(row.level) for row in ordered],
        "Account": [f"{row.broker} {row.account}" for row in ordered],
        "Greeks from": [greeks_from(row, quiet_after) for row in ordered],
        "DTE": [days(row.dte) for row in ordered],
        "Mark": [row.mark for row in ordered],
        MODEL: [of_option(row, row.model) for row in ordered],
        RESIDUAL: [of_option(row, row.residual) for row in ordered],
    }
    for field, (title, _) in SUMS.items():
        columns[title] = [figure(row, field) for row in ordered]
    for field, (title, _, _) in UNIT.items():
        columns[title] = [figure(row, field) for row in ordered]
    columns["IV %"] = [None if row.iv is None else row.iv * 100.0 for row in ordered]
    columns["Age s"] = [row.greeks_age_seconds for row in ordered]
    columns["Beta"] = [row.beta for row in ordered]
    told = [of_underlyings({row.underlying}, metrics) for row in ordered]
    columns |= {title: [figures[title] for figures in told] for title in TITLES}
    columns["Why not trusted, notes"] = ["; ".join((*row.reasons, *row.notes)) for row in ordered]
    columns["Package"] = [row.strategy for row in ordered]
    columns["Source"] = [row.source for row in ordered]
    columns["Key"] = [row.key for row in ordered]
    return pd.DataFrame(columns)


MODEL, RESIDUAL = "Model", "Model − market, $"


def of_option(row: PositionRow, value: Number) -> str | None:
    """`value` to the cent, padded so that it sorts by size; None where it is not known, nothing for what is no option:
    no model is asked for its price, which is not the same as agreeing with it."""
    if row.kind not in _OPTIONS:
        return ""
    return None if value is None else f"{value:>14.2f}"


WIDE, WIDER = 110, 165
"""pixels for the longest level, and for the longest words about Greeks"""
QUIET = ", quiet "
"""stands in the words about Greeks that have not moved for a while"""
GREYS = {"light": "#5b6470", "dark": "#a3adba"}
"""a contrast of 4.5 to 1 and more on either theme"""


def greeks_from(row: PositionRow, quiet_after: float) -> str | None:
    """Source and age of the Greeks: `tastytrade 2 s`, `repriced, quiet since 15:49 ET`; None where there are none."""
    if row.kind not in _OPTIONS:
        return ""
    if row.greeks_source is None or row.greeks_age_seconds is None:
        return None
    if since := next((note for note in row.notes if note.startswith(QUIET.strip(", "))), ""):
        return f"{row.greeks_source}, {since}"
    between = QUIET if row.greeks_age_seconds > quiet_after else " "
    return f"{row.greeks_source}{between}{wording.age(row.greeks_age_seconds)}"


def greyed(table: pd.DataFrame, theme: str | None) -> pd.DataFrame | Styler:
    """`table` with the words about quiet Greeks in grey; the word says it, the colour only helps."""
    if not any(QUIET in str(words) for words in table.get("Greeks from", ())):
        return table
    grey = f"color: {GREYS['dark' if theme == 'dark' else 'light']}"
    return table.style.map(lambda words: grey if QUIET in str(words) else "", subset=["Greeks from"])


def formats() -> dict[str, ColumnConfig]:
    """How the columns are written, and what each means."""
    column = st.column_config
    config: dict[str, ColumnConfig] = {
        title: column.NumberColumn(format="localized", step=1, help=says) for title, says in SUMS.values()
    }
    config |= {title: column.NumberColumn(format=form, help=says) for title, says, form in UNIT.values()}
    config["Quantity"] = column.NumberColumn(format="localized", help="Contracts, shares or units; negative is short.")
    config["IV %"] = column.NumberColumn(format="%.1f", help="Implied volatility a year, in percent.")
    config["Age s"] = column.NumberColumn(format="%.0f", help="Seconds since the Greeks were computed.")
    config["Mark"] = column.NumberColumn(format="%.2f", help="Price of one unit.")
    config[MODEL] = column.TextColumn(
        alignment="right", help="Price of one option by our model at the volatility shown; empty for anything else."
    )
    config[RESIDUAL] = column.TextColumn(
        alignment="right", help="Whole position, US dollars: our model minus the market; options only."
    )
    config["DTE"] = column.TextColumn(
        alignment="right", help="Calendar days to expiry; of a package, to that of its first leg."
    )
    config["What"] = column.TextColumn(pinned=True)
    config["Level"] = column.TextColumn(width=WIDE)  # a width follows the first words drawn, and would cut later ones
    config["Greeks from"] = column.TextColumn(
        width=WIDER,
        help="Source and age. `model`: computed here from the implied volatility. `repriced`: from the last one. "
        "Quiet: nothing came for a while although the market is open.",
    )
    return config | volatility_formats()


def chosen(rows: Sequence[PositionRow], picks: Mapping[str, Sequence[str]]) -> list[PositionRow]:
    """The rows of the expiries and underlyings picked; a filter without choice lets everything pass."""
    return [
        row
        for row in rows
        if (not picks["expiry"] or bucket_of(row.dte) in picks["expiry"])
        and (not picks["underlying"] or row.group in picks["underlying"])
    ]

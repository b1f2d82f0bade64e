"""The Positions tables as data frames: packages, legs, and which of them a filter lets through."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from guardrails.exposures import BUCKET_ENDS, BUCKETS
from guardrails.findings import worst
from guardrails.instruments import Kind
from guardrails.snapshot import Number, PositionRow
from pages._parts import say

SUMS = {
    "day_pnl": ("Day P&L", "Change of value since the last close, US dollars."),
    "open_pnl": ("Open P&L", "Value now − what was paid, US dollars."),
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
_OF_CASH = {"day_pnl", "open_pnl", "market_value"}
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
    return 0.0 if value is None and row.kind == Kind.CASH and field not in _OF_CASH else value


def package_table(rows: Sequence[PositionRow]) -> pd.DataFrame:
    """One row per package: underlying, name, account, legs, sums; the order does not depend on what ticks."""
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
        }
        for (group, name, broker, account), legs in sorted(packages.items())
    ]
    return pd.DataFrame(table)


def leg_table(rows: Sequence[PositionRow]) -> pd.DataFrame:
    """One row per position, with Greeks per unit, their source and age."""
    ordered = sorted(rows, key=lambda row: (row.group, row.strategy or row.label, row.broker, row.account, row.label))
    columns: dict[str, list[object]] = {
        "What": [row.label for row in ordered],
        "Quantity": [row.quantity for row in ordered],
        "Level": [say(row.level) for row in ordered],
        "Account": [f"{row.broker} {row.account}" for row in ordered],
        "DTE": [days(row.dte) for row in ordered],
        "Mark": [row.mark for row in ordered],
    }
    for field, (title, _) in SUMS.items():
        columns[title] = [figure(row, field) for row in ordered]
    for field, (title, _, _) in UNIT.items():
        columns[title] = [figure(row, field) for row in ordered]
    columns["IV %"] = [None if row.iv is None else row.iv * 100.0 for row in ordered]
    columns["Greeks from"] = [row.greeks_source for row in ordered]
    columns["Age s"] = [row.greeks_age_seconds for row in ordered]
    columns["Beta"] = [row.beta for row in ordered]
    columns["Why not trusted, notes"] = ["; ".join((*row.reasons, *row.notes)) for row in ordered]
    columns["Package"] = [row.strategy for row in ordered]
    columns["Source"] = [row.source for row in ordered]
    columns["Key"] = [row.key for row in ordered]
    return pd.DataFrame(columns)


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
    config["DTE"] = column.TextColumn(
        alignment="right", help="Calendar days to expiry; of a package, to that of its first leg."
    )
    config["Beta"] = column.NumberColumn(format="%.2f", help="To the S&P 500.")
    config["What"] = column.TextColumn(pinned=True)
    config["Greeks from"] = column.TextColumn(help="The broker, or `model`: computed here from the implied volatility.")
    return config


def chosen(rows: Sequence[PositionRow], picks: Mapping[str, Sequence[str]]) -> list[PositionRow]:
    """The rows that match every filter; a filter without choice lets everything pass."""
    return [
        row
        for row in rows
        if (not picks["account"] or f"{row.broker} {row.account}" in picks["account"])
        and (not picks["broker"] or row.broker in picks["broker"])
        and (not picks["expiry"] or bucket_of(row.dte) in picks["expiry"])
        and (not picks["underlying"] or row.group in picks["underlying"])
    ]

"""What expires within two weeks, in tables and words: gamma and theta by expiry and by strike, where gamma doubles."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from guardrails import wording
from guardrails.findings import Level
from guardrails.intervals import Interval
from guardrails.stress.near_expiry import DAYS, SEARCHED, Doubling, Line, NearExpiry
from pages._dollars import level_words, move_words, short, within
from pages._parts import pill, text

_DOLLARS = st.column_config.NumberColumn(format="localized", step=1)
_COLUMNS: dict[str, ColumnConfig] = {
    "Contracts, net": st.column_config.TextColumn(alignment="right"), "Gamma 1 %": _DOLLARS, "Theta $/day": _DOLLARS
}  # fmt: skip


def near_section(found: NearExpiry) -> None:
    """Draw the section."""
    st.subheader(
        f"Gamma near expiry, the next {DAYS} days",
        help="Gamma: change of the dollar delta for a 1 % move; by expiry beta-weighted, for 1 % of the index, by "
        "strike for 1 % of the underlying itself. Theta: dollars one calendar day brings.",
    )
    if not found.expiries:
        st.write(f"No option of what is chosen expires within {DAYS} days.")
        return
    left, right = st.columns([4, 6])
    with left:
        st.dataframe(
            table(found.expiries, strikes=False), key="near_expiries", hide_index=True, placeholder="?",
            column_config=_COLUMNS, alt="Gamma and theta by expiry",
        )  # fmt: skip
        nothing = '<span class="pg-soft">Nothing chosen is short gamma within these days.</span>'
        st.html("".join(map(doubling_words, found.doublings)) or nothing)
    with right:
        st.dataframe(
            table(found.strikes, strikes=True), key="near_strikes", hide_index=True, placeholder="?",
            column_config=_COLUMNS, alt="Gamma and theta by strike",
        )  # fmt: skip


def table(lines: Sequence[Line], *, strikes: bool) -> pd.DataFrame:
    """One row an expiry, or a strike; what is not known is empty, its bounds stand in words."""
    columns: dict[str, list[object]] = {"Expiry": [_day(line) for line in lines]}
    if strikes:
        columns["Underlying"] = [line.name for line in lines]
        columns["Strike"] = [line.strike for line in lines]
    columns["Contracts, net"] = [contracts_words(line) for line in lines]
    columns["Gamma 1 %"] = [line.gamma.known for line in lines]
    columns["Theta $/day"] = [line.theta.known for line in lines]
    if any(line.gamma.known is None or line.theta.known is None for line in lines):
        columns["Not known"] = [_bounds(line) for line in lines]
    return pd.DataFrame(columns)


def contracts_words(line: Line) -> str | None:
    """`−2`, `+1: 3 long, 2 short`, `2 long, 2 short` where they add up to nothing; None when it is not known."""
    if line.contracts is None:
        return None
    net = wording.quantity(line.contracts)
    if not (line.long and line.short):
        return net
    sides = f"{wording.quantity(line.long)} long, {wording.quantity(line.short)} short"
    return f"{'+' if line.contracts > 0 else ''}{net}: {sides}" if line.contracts else sides


def doubling_words(one: Doubling) -> str:
    """HTML: `SPX: short gamma −$38k per 1 %, doubles at SPX 6,410 (−5.9 %)`, or why that is not known."""
    name = f"<b>{text(one.axis.group or one.axis.name)}</b>"
    if one.gamma is None:
        return f"<div>{pill(Level.UNKNOWN)} {name}: {text(one.reason)}</div>"
    places = [
        f"at {level_words(one.axis.name, one.axis.at(move))} ({move_words(move)})"
        for move in (one.down, one.up)
        if move is not None
    ]
    none = f"does not double within {move_words(SEARCHED)[1:]} either way"
    where = f"doubles {' and '.join(places)}" if places else none
    return f"<div>{name}: short gamma {text(short(one.gamma))} per 1 % by our model, {text(where)}</div>"


def _day(line: Line) -> str:
    return "not known" if line.expiry is None else f"{line.expiry:%a} {line.expiry.day} {line.expiry:%b}"


def _bounds(line: Line) -> str:
    return "; ".join(
        f"{name} {_said(interval)}"
        for name, interval in (("gamma", line.gamma), ("theta", line.theta))
        if interval.known is None
    )


def _said(interval: Interval) -> str:
    return "may be anything" if math.isinf(interval.low) and math.isinf(interval.high) else within(interval)

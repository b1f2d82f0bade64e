"""Positions: packages and their legs, every Greek with its source and age, totals of what is shown, and one picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from guardrails import wording
from guardrails.exposures import BUCKETS
from guardrails.instruments import Kind
from guardrails.snapshot.book import PositionRow
from guardrails.snapshot.market import MetricsRow
from pages._engine import engine
from pages._filters import choose, follow
from pages._moment import Moment, clock
from pages._parts import counted, nothing_yet
from pages._past import every, file_name, seen, suffix
from pages._tables import SUMS, added, bucket_of, chosen, formats, greyed, leg_table, package_table, selected_as
from pages._ticket_deeds import deeds
from pages._volatility import volatility_formats, volatility_table

MANY = 2000
"""rows from which the table of legs is sent piece by piece; that of packages cannot be, because it is selected from"""
PICTURED = 8
"""underlyings in the picture; the rest is added up"""
ROW_PIXELS = 35
"""height of a row of a table"""
SHADES = ("#c2410c", "#d9a400", "#4c8dd6", "#7a6bb0")
"""one colour per expiry bucket, readable on both themes: the nearest expiry is the hottest"""
service = engine()


@st.fragment(run_every=every(service))
def tables(picks: dict[str, list[str]]) -> None:
    moment = seen(service)
    if moment.snapshot is None:
        nothing_yet(moment, service.names)
        return
    follow(drawn, moment.snapshot)
    snapshot = drawn.narrowed(moment.snapshot)
    rows, metrics = chosen(snapshot.positions, picks), {row.symbol: row for row in snapshot.metrics}
    with st.grid(len(SUMS), min_column_width=100):
        for field, (title, says) in SUMS.items():
            st.metric(
                title,
                wording.money(added(rows, field)),
                help=f"Sum of the rows shown. {says} ? when any part is unknown.",
            )
    packages = package_table(rows, metrics)
    st.caption(
        f"{counted(len(packages), 'package')}, {len(rows)} of {counted(len(moment.snapshot.positions), 'position')}, "
        f"as of {clock(moment.snapshot.as_of)}. Select packages to see only their legs."
    )
    picked = st.dataframe(
        packages,
        key=f"{selected_as(packages)}{suffix(moment)}",
        height=330,
        hide_index=True,
        column_config=formats(),
        on_select="rerun",
        selection_mode="multi-row",
        placeholder="?",
        alt="Packages with their sums",
    )
    selected = packages.iloc[[i for i in picked["selection"]["rows"] if i < len(packages)]]
    if len(selected):
        names = set(zip(selected["What"], selected["Account"], strict=True))
        rows = [row for row in rows if (row.strategy or row.label, f"{row.broker} {row.account}") in names]
    if not moment.past:
        deeds(rows if len(selected) else [], service)
    st.caption(f"{counted(len(rows), 'leg')}{' of selected packages' if len(selected) else ''}, Greeks of one unit.")
    legs = leg_table(rows, metrics, quiet_after(moment))
    st.dataframe(
        legs if len(rows) > MANY else greyed(legs, st.context.theme.type),
        key=f"legs{suffix(moment)}",
        height=430,
        hide_index=True,
        column_config=formats(),
        placeholder="?",
        lazy=len(rows) > MANY,
        alt="Legs with their Greeks",
    )
    volatility(rows, metrics, moment)


def quiet_after(moment: Moment) -> float:
    """Seconds after which Greeks are called quiet; never while the market is closed or the matrix is not known."""
    is_open = moment.snapshot is not None and moment.snapshot.market_open
    return moment.matrix.data.stale_after_seconds if is_open and moment.matrix is not None else math.inf


def volatility(rows: Sequence[PositionRow], metrics: Mapping[str, MetricsRow], moment: Moment) -> None:
    st.markdown(
        "**Volatility by underlying**",
        help="What is published about each underlying of the rows shown. Click a column to sort; download at its top.",
    )
    table = volatility_of(rows, metrics, moment)
    st.dataframe(
        table,
        key=f"volatility{suffix(moment)}",
        height=ROW_PIXELS * (min(max(len(table), 1), 14) + 1) + 3,
        hide_index=True,
        column_config=volatility_formats(),
        placeholder="?",
        alt="Volatility, beta and events by underlying",
    )


def volatility_of(rows: Sequence[PositionRow], metrics: Mapping[str, MetricsRow], moment: Moment) -> pd.DataFrame:
    """The table of the underlyings of `rows`."""
    held = sorted({row.underlying for row in rows} & set(metrics))
    # without a matrix no correlation is enough
    least = 1.0 if moment.matrix is None else moment.matrix.data.beta_min_correlation
    return volatility_table([metrics[name] for name in held], least)


def rounded(value: float) -> float:
    """Two significant digits: the picture is drawn anew only when it would look different."""
    return float(f"{value:.2g}")


def picture(rows: Sequence[PositionRow]) -> tuple[go.Figure, int]:
    """Beta delta and vega by underlying, stacked by expiry bucket; and how many positions are left out as unknown."""
    measures: dict[str, Callable[[PositionRow], float | None]] = {
        "Beta delta, $": lambda row: row.beta_delta_dollars,
        "Vega, $ per point": lambda row: row.vega_per_point,
    }
    held = [row for row in rows if row.kind != Kind.CASH]
    known = [row for row in held if row.beta_delta_dollars is not None and row.vega_per_point is not None]
    size: dict[str, float] = {}
    for row in known:
        size[row.group] = size.get(row.group, 0.0) + abs(row.beta_delta_dollars or 0.0)
    names = sorted(sorted(size, key=lambda name: -rounded(size[name]))[:PICTURED])
    figure = make_subplots(rows=1, cols=2, subplot_titles=list(measures), shared_yaxes=True, horizontal_spacing=0.04)
    for place, measure in enumerate(measures.values(), start=1):
        for shade, bucket in zip(("#8a94a3", *SHADES), ("none", *BUCKETS), strict=True):
            sums = dict.fromkeys([*names, *(["others"] if len(size) > len(names) else [])], 0.0)
            for row in known:
                if bucket_of(row.dte) == bucket:
                    sums[row.group if row.group in sums else "others"] += measure(row) or 0.0
            title = "no expiry" if bucket == "none" else f"{bucket} days"
            figure.add_bar(
                y=list(sums),
                x=[rounded(value) for value in sums.values()],
                name=title,
                orientation="h",
                marker_color=shade,
                legendgroup=bucket,
                showlegend=place == 1,
                row=1,
                col=place,
            )
    figure.update_layout(
        barmode="relative",
        height=340,
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
        legend={"orientation": "h", "y": -0.12},
    )
    figure.update_yaxes(autorange="reversed")
    return figure, len(held) - len(known)


Table = Callable[[Sequence[PositionRow], Mapping[str, MetricsRow], Moment], pd.DataFrame]


def as_csv(table: Table) -> bytes:
    """A table of the rows shown, as they are at the click; of the past, as they were."""
    moment = first if first.past else seen(service)
    if moment.snapshot is None:
        return b""
    snapshot = drawn.narrowed(moment.snapshot)
    metrics = {row.symbol: row for row in snapshot.metrics}
    return table(chosen(snapshot.positions, picks), metrics, moment).to_csv(index=False).encode()


@st.fragment(run_every=None if every(service) is None else 60)
def by_expiry(picks: Mapping[str, Sequence[str]]) -> None:
    snapshot = seen(service).snapshot
    if snapshot is None or not snapshot.positions:
        return
    figure, left_out = picture(chosen(drawn.narrowed(snapshot).positions, picks))
    st.markdown(
        "**Where the risk sits**",
        help="Sums by underlying and days to expiry, rounded to two digits; redrawn every minute, the tables tick.",
    )
    st.plotly_chart(
        figure,
        key="by_expiry",
        height=340,
        config={"displayModeBar": False},
        alt="Beta delta and vega by underlying and expiry",
    )
    if left_out:
        st.caption(f"Not in the picture: {counted(left_out, 'position')} whose delta or vega is unknown.")


first = seen(service)
groups = sorted({row.group for row in (() if first.snapshot is None else first.snapshot.positions)})
drawn, picks = choose(first.snapshot, {"expiry": [*BUCKETS, "none"], "underlying": groups})
tables(picks)


def legs_now() -> bytes:
    return as_csv(lambda rows, metrics, moment: leg_table(rows, metrics, quiet_after(moment)))


def volatility_now() -> bytes:
    return as_csv(volatility_of)


with st.container(horizontal=True):
    for label, content, name in (
        ("Download legs as CSV", legs_now, "positions"),
        ("Download volatility as CSV", volatility_now, "volatility"),
    ):
        st.download_button(
            label,
            content,
            file_name=file_name(name, "csv", first),
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            help="What is shown, as it was then." if first.past else "What is shown, as it is at the click.",
        )
by_expiry(picks)

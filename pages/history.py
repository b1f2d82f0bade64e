"""History: net liquidation, risk, cushions, limits and findings over time, and the way back to any moment of it.

Nothing here ticks: the charts are of the moment they were read at, and are read anew on a button or another range.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import streamlit as st
from sqlalchemy.exc import SQLAlchemyError

from guardrails import calendar
from guardrails.errors import GuardrailsError
from guardrails.findings import Level
from guardrails.store.metadata import moment
from pages import _past
from pages._away import away, failed
from pages._charts import MEASURES, SHARE, figure_of
from pages._downloads import KINDS, as_csv, as_parquet, table_of
from pages._engine import Stored, engine, stored, wiring
from pages._history import ALL, DATES, RANGES, Past, bounds, load, moment_at, oldest
from pages._history_table import table
from pages._history_words import about, left_out, summary
from pages._kept import not_kept
from pages._moment import day_and_time
from pages._parts import counted, pill, text
from pages._standing import where_it_stands
from pages._what_if import what_if

_SHOWN, _FIRST = "history_shown", "history_first"
_CHOICE, _AT = "history_range", "history_at"
_DAY, _TIME = "history_day", "history_time"
_MOST_TURNS = 50
NARROW = "The charts are wider than this window: move them to the side, the newest is on the right."
service = engine()


def refresh() -> None:
    st.session_state[_AT] = service.now()


def picked() -> None:
    """Take over the moment of the point that was clicked."""
    points = st.session_state.history_chart["selection"]["points"]
    if not points:
        return
    place: Any = points[0].get("customdata") or points[0].get("x")
    shown = moment_at(place[0] if isinstance(place, list) else place).astimezone(calendar.NEW_YORK)
    st.session_state[_DAY], st.session_state[_TIME] = shown.date(), shown.time().replace(microsecond=0)


def controls(first: datetime | None) -> tuple[str, tuple[date, date] | None]:
    """Draw the range picker; return the choice and its dates."""
    st.session_state.setdefault(_CHOICE, st.session_state.get("kept_range", "1 day"))
    today = calendar.exchange_date(service.now())
    with st.container(horizontal=True, vertical_alignment="bottom"):
        choice = st.segmented_control("Range", [*RANGES, ALL, DATES], key=_CHOICE, required=True, on_change=refresh)
        dates: tuple[date, ...] = ()
        if choice == DATES:
            earliest = today - timedelta(days=7) if first is None else calendar.exchange_date(first)
            dates = st.date_input(
                "From and to, exchange dates", (max(earliest, today - timedelta(days=7)), today), key="history_dates",
                max_value=today, width=260, on_change=refresh,
            )  # fmt: skip
        st.selectbox(
            "Limits as",
            [SHARE, *MEASURES],
            key="history_measure",
            format_func=lambda name: MEASURES.get(name, name),
            width=180,
            help="Share of limit: every measure of the book as a part of the limit in force at that time. "
            "One measure: its value, and the limit as it stepped with the regime.",
        )
        st.button("Refresh", icon=":material/refresh:", on_click=refresh, help="Nothing on this page ticks.")
    st.session_state["kept_range"] = choice
    return str(choice), (dates[0], dates[1]) if len(dates) == 2 else None


def beginning(kept: Stored) -> datetime | None:
    """The oldest moment that is kept, looked up once per reading."""
    key = (st.session_state[_AT], kept.book, kept.database.name, kept.database.generation)
    if st.session_state.get(_FIRST, (None,))[0] != key:
        st.session_state[_FIRST] = (key, oldest(kept))
    first: datetime | None = st.session_state[_FIRST][1]
    return first


def shown(kept: Stored, begin: datetime, end: datetime) -> Past | None:
    """The history of the range, read once; None, with the reason drawn, when it cannot be read."""
    key = (begin, end, kept.book, kept.database.name, kept.database.generation)
    known = st.session_state.get(_SHOWN)
    if known is not None and known[0] == key:
        found: Past = known[1]
        return found
    try:
        with st.spinner("Reading the history …", show_time=True):
            past = load(kept, begin, end, wiring().settings.guardrails_history_seconds)
    except (SQLAlchemyError, OSError, GuardrailsError) as error:
        say(f"{failed(kept, error, service.now())} Nothing is shown in its place; try Refresh.")
        return None
    st.session_state[_SHOWN] = (key, past)
    return past


def say(words: str) -> None:
    """Draw a sentence about what is not known."""
    st.html(f'<ul class="pg-list"><li>{pill(Level.UNKNOWN)}<div class="pg-body">{text(words)}</div></li></ul>')


def nothing_kept() -> None:
    """Say why there is no history at all."""
    st.subheader("No history is kept")
    st.write("Nothing of what the program sees can be shown later.")
    for problem in service.health().problems or ("there is no database that works; see the log",):
        say(problem)


def nothing_in(past: Past, first: datetime | None) -> None:
    """Say that the range is empty, and where there is something."""
    if first is None:
        st.subheader("Nothing has been kept yet")
        st.write(
            "The first row is written within seconds of the first complete answer of the sources. "
            "Brokers' own records of earlier days come in with `guardrails backfill`."
        )
        return
    st.subheader("Nothing was kept in this range")
    st.write(
        f"From {day_and_time(past.begin)} to {day_and_time(past.end)} the program did not run. "
        f"The oldest moment that was kept is {day_and_time(first)}."
    )


def notes(past: Past) -> None:
    """Draw what is not in the picture, in words."""
    st.html("".join(f'<div class="pg-soft">{text(line)}</div>' for line in left_out(past)))
    if past.turns:
        with st.expander(counted(len(past.turns), "change") + " of regime", key="history_turns"):
            lines = [
                f'<li><b>{text(day_and_time(moment(turn.time)))}</b><div class="pg-body">{text(turn.old or "start")} → '
                f"<b>{text(turn.new)}</b>: {text(turn.cause)}</div></li>"
                for turn in past.turns[::-1][:_MOST_TURNS]
            ]
            st.html(f'<ul class="pg-list pg-wide">{"".join(lines)}</ul>')


def charts(past: Past) -> None:
    """Draw the picture; its spec changes with the range, the reading, the measure and the theme only."""
    measure, theme = st.session_state.get("history_measure", SHARE), st.context.theme.type or "light"
    key = ("history_figure", past.begin, past.end, past.points.book, measure, theme)
    known = st.session_state.get("history_figure")
    figure = known[1] if known is not None and known[0] == key and known[2] is past else figure_of(past, measure, theme)
    st.session_state["history_figure"] = (key, figure, past)
    st.html(f'<div class="pg-soft pg-narrow">{NARROW}</div>')
    with st.container(key="history_picture"):  # in a narrow window it is moved from side to side
        st.plotly_chart(
            figure,
            key="history_chart",
            on_select=picked,
            selection_mode="points",
            config={"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d"]},
            alt=summary(past),
        )


def in_figures(past: Past) -> None:
    """Draw the charts as a table."""
    with st.expander("The charts as a table", key="history_table"):
        st.html(table(past))


def way_back(past: Past) -> None:
    """Draw the way to Risk and Positions as they were at one moment."""
    last = past.end.astimezone(calendar.NEW_YORK)
    st.session_state.setdefault(_DAY, last.date())
    st.session_state.setdefault(_TIME, last.time().replace(second=0, microsecond=0))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        day = st.date_input("Moment, exchange date", key=_DAY, width=180)
        hour = st.time_input("and time, ET", key=_TIME, width=150, step=60)
        if st.button("Show Risk and Positions as they were", icon=":material/history:", type="primary"):
            _past.go(datetime.combine(day, hour))
        with st.popover("Download", icon=":material/download:"):
            downloads(past)
    st.caption("Click the line of net liquidation, or a finding, to take its moment.")


def downloads(past: Past) -> None:
    """Draw the buttons; a file is made at the click, of every row of the range."""
    st.caption(
        "Every row of the range. Times are UTC, days are exchange days, money is US dollars; what was unknown is empty."
    )
    name = f"{calendar.exchange_date(past.begin)}-to-{calendar.exchange_date(past.end)}"
    for kind in KINDS:
        with st.container(horizontal=True):
            for ending, write in (("csv", as_csv), ("parquet", as_parquet)):
                st.download_button(
                    f"{kind} as {'CSV' if ending == 'csv' else 'Parquet'}",
                    made(kind, past, write),
                    file_name=f"{kind.lower()}-{name}.{ending}",
                    mime="text/csv" if ending == "csv" else "application/vnd.apache.parquet",
                    on_click="ignore",
                    key=f"history_{kind}_{ending}",
                )


def made(kind: str, past: Past, write: Callable[[Any], bytes]) -> Callable[[], bytes]:
    """What makes the file at the click."""

    def make() -> bytes:
        kept = stored()
        return b"" if kept is None else write(table_of(kind, past, kept))

    return make


def page(kept: Stored) -> None:
    """Draw the page of what is kept."""
    st.session_state.setdefault(_AT, service.now())
    try:
        words, first = away(kept, service.now()), None
        if not words:
            with st.spinner("Reading the history …", show_time=True):
                first = beginning(kept)
    except (SQLAlchemyError, OSError, GuardrailsError) as error:
        words = failed(kept, error, service.now())
    if words:
        say(words)
        st.button("Try again", icon=":material/refresh:", on_click=refresh)
        return
    if lacking := not_kept(service.health()):
        say(lacking)
    choice, dates = controls(first)
    range_ = bounds(choice, dates, st.session_state[_AT], first)
    if range_ is None or range_[0] >= range_[1]:
        st.write("Choose the first and the last day.")
        return
    past = shown(kept, *range_)
    if past is None:
        return
    if past.is_empty:
        nothing_in(past, first)
        return
    where_it_stands(past)
    way_back(past)
    st.caption(about(past, service.now(), first))
    charts(past)
    in_figures(past)
    notes(past)
    what_if(kept, service, past.begin, past.end)


if (history := stored()) is None:
    nothing_kept()
else:
    page(history)

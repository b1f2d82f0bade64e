"""The board of the Scenarios page: sliders, the figures they ask for, the payoff, what hurts most, the heat map.

A fragment: a slider draws this and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st

from guardrails.exposures import Interval
from guardrails.stress.cases import Case
from guardrails.stress.payoff import Curve, break_evens
from guardrails.stress.probability import expected_move
from pages import _heatmap, _payoff
from pages._cases import case_formats, case_table
from pages._controls import Asked, controls, day_words
from pages._dollars import between, move_words, points_words
from pages._figures import figures_html
from pages._moment import Moment
from pages._past import file_name
from pages._scenarios import Bench, Question

FEW, SHOWN = 9, 200
"""positions that the table of what hurts most shows as they are, and at most"""


@st.fragment
def board(bench: Bench, residual: str, moment: Moment) -> None:
    """Draw it."""
    asked = controls(bench)
    lines = {name: line.shifted(asked.paid or 0.0) for name, line in lines_of(bench, asked.question).items()}
    st.html(figures_html(bench, asked, lines))
    left, right = st.columns([13, 10], gap="medium")
    with left:
        payoff(bench, asked, lines, residual)
    with right:
        hurts(bench, asked, residual, moment)
    heat(bench, asked.question, residual)


def lines_of(bench: Bench, question: Question) -> dict[str, Curve]:
    """The curves by name; at expiry only where something expires."""
    lines = {_payoff.TODAY: bench.line(question, bench.today), _payoff.CHOSEN: bench.line(question, question.day)}
    at_end = bench.expiry(follow=question.follow)
    return lines if at_end is None else {**lines, _payoff.EXPIRY: at_end}


def payoff(bench: Bench, asked: Asked, lines: Mapping[str, Curve], residual: str) -> None:
    """Draw the chart."""
    question, reach = asked.question, bench.reach()
    days = bench.days_to(question.day)
    vol = bench.volatility(days)
    expected = expected_move(vol.value, days) if days > 0 and vol is not None else None
    end = lines.get(_payoff.EXPIRY)
    evens = () if end is None or not end.certain else break_evens(end.move, end.low)
    here = None if asked.named else (question.move, on_line(lines[_payoff.CHOSEN], question.move))
    st.markdown(f"**P&L against {bench.axis.name}**, counted from {asked.since}")
    key = ("lines", asked.since, question.day, None if question.follow else question.rise)
    drawn = bench.once(key, lambda: _payoff.lines_data(bench.axis, lines, evens, reach))
    st.vega_lite_chart(
        _payoff.payoff_data(bench.axis, drawn, here, expected, reach),
        _payoff.payoff_spec(bench.axis, reach, st.context.theme.type or "light"),
        key=f"payoff_{bench.axis.group}",
        height=_payoff.HEIGHT,
        alt=f"P&L against {bench.axis.name} today, on the chosen date and at expiry",
    )
    band = " Grey: the move to expect by the chosen date." if expected is not None else ""
    st.caption(f"{residual}.{band} Ring: the sliders. Diamonds: break-even at expiry.")


def on_line(line: Curve, move: float) -> Interval:
    """What the curve says there."""
    low, high = (float(np.interp(move, line.move, side)) for side in (line.low, line.high))
    return Interval(low, high)


def hurts(bench: Bench, asked: Asked, residual: str, moment: Moment) -> None:
    """Draw the positions by what they lose."""
    table = table_of(bench, asked.case)
    st.markdown("**What hurts most**, US dollars")
    st.dataframe(
        table.head(SHOWN),
        key="hurts",
        hide_index=True,
        height="content" if len(table) <= FEW else _payoff.HEIGHT,
        placeholder="?",
        column_config=case_formats(table),
        alt="Positions by what they lose in this scenario",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "CSV",
            lambda: table.to_csv(index=False).encode(),
            file_name=file_name("what-hurts-most", "csv", moment),
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            help="The table, all rows.",
        )
        more = f" The {SHOWN} worst of {len(table):,}; the file has all." if len(table) > SHOWN else ""
        st.caption(f"{residual}.{more}")


def table_of(bench: Bench, case: Case) -> pd.DataFrame:
    """Every position by what it loses, cash left out."""
    rows, labels = [row for row in case.worst_first() if not bench.whole.columns.is_cash[row]], bench.labels()
    return pd.DataFrame({
        "What": [labels[row][0] for row in rows],
        "Quantity": [labels[row][1] for row in rows],
        **case_table([float(case.low[row]) for row in rows], [float(case.high[row]) for row in rows]),
        "Account": [labels[row][2] for row in rows],
    })  # fmt: skip


def heat(bench: Bench, question: Question, residual: str) -> None:
    """Draw the map."""
    found, columns = bench.surface(question.day), bench.columns()
    low, high = found.at(columns, found.rise)
    i, j = (int(place) for place in np.unravel_index(int(np.argmin(low)), low.shape))
    least = between(float(low[i, j]), float(high[i, j]))
    worst = f"{least} at {move_words(float(columns[i]))}, volatility {points_words(float(found.rise[j]))}"
    st.markdown(f"**P&L by price and volatility, {day_words(bench, question.day)}** · worst of the map: {worst}")
    follows, theme = bench.rise if bench.axis.is_broad else None, st.context.theme.type or "light"
    key = ("heat", question.day, theme)
    drawn = bench.once(key, lambda: _heatmap.heat_data(bench.axis, found, columns, follows, theme))
    st.vega_lite_chart(
        _heatmap.framed(drawn, found, columns, question.move, question.rise),
        _heatmap.heat_spec(bench.axis, theme),
        key=f"heat_{bench.axis.group}",
        height=_heatmap.HEIGHT,
        alt=f"P&L by move of {bench.axis.name} and rise of volatility",
    )
    usual = " Dashed: about what volatility does with that move." if follows is not None else ""
    st.caption(f"{residual}. US dollars from now. Framed: nearest to the sliders.{usual}")

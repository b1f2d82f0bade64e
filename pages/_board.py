"""The board of the Scenarios page: sliders, the figures they ask for, the payoff, what hurts most, the heat map.

A fragment: a slider draws this and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st

from guardrails.intervals import Interval
from guardrails.stress.cases import Case
from guardrails.stress.payoff import Curve, break_evens
from guardrails.stress.probability import expected_move
from pages import _heatmap, _payoff
from pages._cases import case_formats, case_table
from pages._controls import Asked, controls, day_words, moved_by
from pages._dollars import between, move_words, points_words
from pages._figures import figures_html
from pages._moment import Moment
from pages._past import file_name
from pages._scenarios import Bench, Question

FEW, SHOWN = 9, 200
"""positions that the table of what hurts most shows as they are, and at most"""


@st.fragment
def board(bench: Bench, residual: str, moment: Moment, *, old: bool) -> None:
    """Draw it; grey-striped where the data it rests on is `old`."""
    asked = controls(bench)
    if not bench.has_curves:
        st.html(figures_html(bench, asked, {}, old=old))
        hurts(bench, asked, residual, moment)
        return
    lines = {name: line.shifted(asked.paid or 0.0) for name, line in lines_of(bench, asked.question).items()}
    st.html(figures_html(bench, asked, lines, old=old))
    left, right = st.columns([13, 10], gap="medium")
    with left:
        payoff(bench, asked, lines, residual)
    with right:
        hurts(bench, asked, residual, moment)
    heat(bench, asked, residual)


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
    evens = () if end is None or not (end.certain and end.known) else break_evens(end.move, end.low)
    here, ring = ring_of(bench, asked, lines[_payoff.CHOSEN])
    follows = f", volatility {points_words(question.rise)} of {asked.who}" if asked.named else ""
    st.markdown(f"**P&L against {bench.axis.name}**, counted from {asked.since}{follows}")
    key = ("lines", asked.since, question.day, None if question.follow else question.rise)
    drawn = bench.once(key, lambda: _payoff.lines_data(bench.axis, lines, evens, reach))
    st.vega_lite_chart(
        _payoff.payoff_data(bench.axis, drawn, here, expected, reach),
        _payoff.payoff_spec(bench.axis, reach, st.context.theme.type or "light"),
        key=f"payoff_{bench.axis.group}",
        height=_payoff.HEIGHT,
        alt=f"P&L against {bench.axis.name} today, on the chosen date and at expiry",
    )
    report = f", {vol.report}" if vol is not None and vol.report else ""
    band = f" Grey: the move to expect by the chosen date{report}." if expected is not None else ""
    blind = [name.lower() for name, line in lines.items() if not line.known]
    lost = f" Not known at every price: {', '.join(blind)}." if blind else ""
    st.caption(f"{residual}.{lost}{band} {ring} Diamonds: break-even at expiry.")


def ring_of(bench: Bench, asked: Asked, line: Curve) -> tuple[tuple[float, Interval] | None, str]:
    """Where the ring is drawn and at which P&L, and what the caption says of it.

    The sliders stand on the curve of the chosen date; a named scenario may move rates or the term of volatility, too,
    so its ring shows its own P&L.
    """
    move, (low, high) = asked.question.move, bench.reach()
    if not asked.is_on(bench.axis):
        return None, f"No ring: {asked.who} moves {moved_by(asked.case)} and not {bench.axis.name} by itself."
    total = asked.total if asked.named else on_line(line, move)
    if not (math.isfinite(total.low) and math.isfinite(total.high)):
        return None, f"No ring: the P&L of {asked.who} has no bound."
    if not low <= move <= high:
        return None, f"No ring: {move_words(move)} of {asked.who} lies beyond the chart."
    return (move, total), f"Ring: {asked.who}."


def on_line(line: Curve, move: float) -> Interval:
    """What the curve says there."""
    low, high = (float(np.interp(move, line.move, side)) for side in (line.low, line.high))
    return Interval(low, high)


def hurts(bench: Bench, asked: Asked, residual: str, moment: Moment) -> None:
    """Draw the positions by what they lose."""
    table = table_of(bench, asked.case)
    st.markdown(f"**What hurts most**, US dollars from now{f', {asked.who}' if asked.named else ''}")
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


def heat(bench: Bench, asked: Asked, residual: str) -> None:
    """Draw the map."""
    question = asked.question
    found, columns = bench.surface(question.day), bench.columns()
    low, high = found.at(columns, found.rise)
    i, j = (int(place) for place in np.unravel_index(int(np.argmin(np.nan_to_num(low, nan=-np.inf))), low.shape))
    least = between(float(low[i, j]), float(high[i, j]))
    worst = f"{least} at {move_words(float(columns[i]))}, volatility {points_words(float(found.rise[j]))}"
    st.markdown(f"**P&L by price and volatility, {day_words(bench, question.day)}** · worst of the map: {worst}")
    follows, theme = bench.rise if bench.axis.is_broad else None, st.context.theme.type or "light"
    key = ("heat", question.day, theme)
    drawn = bench.once(key, lambda: _heatmap.heat_data(bench.axis, found, columns, follows, theme))
    framed = drawn.assign(here=False)
    if asked.is_on(bench.axis):
        framed = _heatmap.framed(drawn, found, columns, question.move, question.rise)
    st.vega_lite_chart(
        framed,
        _heatmap.heat_spec(bench.axis, theme),
        key=f"heat_{bench.axis.group}",
        height=_heatmap.HEIGHT,
        alt=f"P&L by move of {bench.axis.name} and rise of volatility",
    )
    frame = f"Framed: nearest to {asked.who}." if asked.is_on(bench.axis) else f"No frame: {asked.who} is not on it."
    usual = " Dashed: about what volatility does with that move." if follows is not None else ""
    st.caption(f"{residual}. US dollars from now. {frame}{usual}")

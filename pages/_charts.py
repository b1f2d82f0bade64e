"""The picture of the History page: one figure, so that all charts share the time axis and its zoom.

Times are New York clock time. Lines break where nothing was kept and where a figure is unknown; regimes and times
without data are told by words beside the tint. Figures are rounded: an equal spec is not drawn anew.
"""

from __future__ import annotations

from datetime import date, time

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from guardrails import calendar
from guardrails.store.history_findings import TWO_SIDED, worst_of
from guardrails.store.metadata import micros, moment
from guardrails.titles import title_of
from pages import _comings, _deeds
from pages._bands import bands, ratio_range
from pages._cushions import add_cushions
from pages._folds import axis_of
from pages._frame import (
    BELOW,
    CUSHIONS,
    FINDINGS,
    LIMITS,
    RATIO,
    VOLATILITY,
    WORTH,
    YIELD,
    Chart,
    frame,
    legend_of,
)
from pages._history import NEGLIGIBLE_DELTA, Past, theta_per_delta, wall
from pages._lanes import LANE_PIXELS, add_lanes, lanes_shown
from pages._paths import BLUE, BROWN, GREEN, ORANGE, PINK, PURPLE, RED, TEAL, Path, draw, path_of

_LINES = (
    *((BLUE, "solid"), (ORANGE, "solid"), (PURPLE, "dash"), (GREEN, "dashdot")),
    *((RED, "dot"), (BROWN, "longdash"), (PINK, "solid"), (TEAL, "dash")),
)
INK = {"light": "#3b434e", "dark": "#c3ccd8"}
PAPER = {"light": "rgba(255,255,255,.8)", "dark": "rgba(16,20,26,.8)"}
"""behind words that stand in a chart"""
SHARE = "Share of limit"
MEASURES = {
    "beta_delta": "Delta",
    "short_vega": "Vega",
    "gamma": "Gamma",
    "near_expiry_gamma": "Gamma ≤ 7 days",
    "theta_cap": "Theta",
    "stress_ladder": "Stress ladder",
    "stress_scenarios": "Stress scenarios",
}
"""checks of the book whose use is drawn, as they are named beside their lines"""
MOST_USE = 3.0
"""beyond three times a limit more says nothing; an infinite use is drawn there"""
_PIXELS = {WORTH: 230, LIMITS: 210, CUSHIONS: 170, RATIO: 140, BELOW: 100, VOLATILITY: 110, YIELD: 120}


def figure_of(past: Past, measure: str = SHARE, theme: str = "light") -> go.Figure:
    """All charts of `past`; `measure` is SHARE, or one of MEASURES to see with its limit."""
    lanes = [*_deeds.lanes_of(past.deeds), *(title_of(lane.check) for lane in lanes_shown(past.lanes))]
    pixels = _PIXELS | {FINDINGS: max(len(lanes), 1) * LANE_PIXELS}
    charts = [Chart(title, pixels[row]) for row, title in titles(measure).items()]
    figure = make_subplots(
        rows=len(charts), cols=1, shared_xaxes=True, specs=[[{"secondary_y": True}], *[[{}] for _ in charts[1:]]]
    )
    path, axis, ink = path_of(past.totals), axis_of(past), INK[theme]
    _worth(figure, past, path)
    _limits(figure, past, path, measure)
    add_lanes(figure, past, axis, lanes, ink)
    _deeds.add_deeds(figure, past, axis, ink)
    add_cushions(figure, past, path, ink)
    _ratio(figure, past, path)
    _below_peak(figure, past, path)
    _volatility(figure, past, path)
    draw(
        figure, YIELD, "Theta per unit of delta", path, theta_per_delta(past.totals), 2, _LINES[0], "$%{y:,.2f}",
        current=past.current.book, showlegend=False,
    )  # fmt: skip
    frame(figure, charts, axis, ink)
    # at once: adding them one by one takes seconds
    figure.layout.shapes = [*bands(past, axis, ink), *_deeds.lines(past, axis, ink), *_comings.lines(past, axis, ink)]
    figure.layout.annotations = [
        *figure.layout.annotations,
        *(word for of in (_deeds, _comings) for word in of.words(past, axis, ink, PAPER[theme])),
    ]
    return figure


def titles(measure: str) -> dict[int, str]:
    """What stands above each chart, from the top."""
    share = (
        f"Share of each limit that is used, drawn up to {MOST_USE:.0%}"
        if measure == SHARE
        else f"{MEASURES[measure]} and its limit at that time"
    )
    return {
        WORTH: "Net liquidation, $ (left) and SPX-equivalent delta (right), over the regime",
        LIMITS: share,
        FINDINGS: "Findings: the worst level of each check",
        CUSHIONS: "Margin cushion of each account, %",
        RATIO: "Theta / |vega| over its green and red bands",
        BELOW: "Drawdown below the highest net liquidation, %",
        VOLATILITY: "VIX and VIX3M",
        YIELD: f"Theta per day / SPX delta, $ (n/a while |delta| is below {NEGLIGIBLE_DELTA:.0%} of net liquidation)",
    }


def _worth(figure: go.Figure, past: Past, path: Path) -> None:
    totals = past.totals
    if len(totals.key) and totals.rows.max(initial=1) > 1:
        for bound, fill in ((totals.high, None), (totals.low, "tonexty")):
            figure.add_scatter(
                x=path.x, y=path.y(bound, 0), mode="lines", line={"width": 0}, fill=fill, showlegend=False,
                fillcolor="rgba(63,131,207,.25)", hoverinfo="skip", row=WORTH, col=1,
            )  # fmt: skip
    hidden = {"color": BLUE, "size": 9, "opacity": 0.0}  # a line without markers cannot be clicked
    draw(
        figure, WORTH, "Net liquidation", path, totals.figures["net_liquidation"], 0, _LINES[0], "$%{y:,.0f}",
        current=past.current.book, mode="lines+markers", marker=hidden, selected={"marker": {"opacity": 1.0}},
        unselected={"marker": {"opacity": 0.0}}, secondary_y=False,
    )  # fmt: skip
    figure.update_yaxes(showgrid=False, tickmode="auto", secondary_y=True, row=WORTH, col=1)
    draw(
        figure, WORTH, "SPX delta", path, totals.figures["beta_delta_spx"], 1, _LINES[1], "%{y:,.1f} SPX units",
        current=past.current.book, secondary_y=True,
    )  # fmt: skip
    if len(past.records.time):
        figure.add_scatter(
            **_records(past), mode="lines+markers",
            line={"color": BLUE, "dash": "dash", "width": 1.4}, marker={"size": 4, "symbol": "diamond-open"},
            name="from the broker's records", legend=legend_of(WORTH), secondary_y=False, row=WORTH, col=1,
            hovertemplate="$%{y:,.0f}<extra>from the broker's records</extra>",
        )  # fmt: skip


def _records(past: Past) -> dict[str, list[float | None]]:
    """Places of the broker's records, with a break wherever a session lies between two of them."""
    found: dict[str, list[float | None]] = {"x": [], "y": []}
    days = [calendar.exchange_date(moment(int(time))) for time in past.records.time]
    places = wall(past.records.time).tolist()
    for i, (x, y) in enumerate(zip(places, np.round(past.records.net_liquidation).tolist(), strict=True)):
        if i and calendar.next_session(days[i - 1]) < days[i]:
            found["x"].append(places[i - 1])
            found["y"].append(None)
        found["x"].append(x)
        found["y"].append(y)
    return found


def _volatility(figure: go.Figure, past: Past, path: Path) -> None:
    for name, field, look in (("VIX", "vix", (RED, "solid")), ("VIX3M", "vix3m", _LINES[2])):
        draw(figure, VOLATILITY, name, path, past.totals.figures[field], 2, look, "%{y:.2f}", current=past.current.book)
        known = [(day, close) for day, close in past.closes.get(name, ()) if close is not None]
        if known:
            figure.add_scatter(
                x=wall(np.array([_close(day) for day, _ in known])).tolist(), y=[close for _, close in known],
                mode="markers", marker={"color": look[0], "size": 5, "symbol": "diamond-open"}, name=f"{name} close",
                legend=legend_of(VOLATILITY),
                hovertemplate=f"%{{y:.2f}}<extra>{name}, official close</extra>", row=VOLATILITY, col=1,
            )  # fmt: skip


def _close(day: str) -> int:
    """When the exchange closed on `day`, an ISO date; four o'clock where it did not open."""
    on = date.fromisoformat(day)
    return micros(calendar.session_bounds(on)[1] if calendar.is_session(on) else calendar.at(on, time(16)))


def _ratio(figure: go.Figure, past: Past, path: Path) -> None:
    """The ratio over its band: green where it should be, red where it must not be."""
    values = past.totals.figures["theta_vega_ratio"]
    draw(
        figure, RATIO, "Theta / |vega|", path, values, 3, _LINES[0], "%{y:.2f}", current=past.current.book,
        showlegend=False,
    )  # fmt: skip
    figure.update_yaxes(range=list(ratio_range(past)), row=RATIO, col=1)


def _below_peak(figure: go.Figure, past: Past, path: Path) -> None:
    draw(
        figure, BELOW, "Drawdown", path, 0.0 - 100 * past.below_peak, 2, (RED, "solid"), "%{y:.2f} %",
        current=past.current.book, showlegend=False,
    )  # fmt: skip


def _limits(figure: go.Figure, past: Past, path: Path, measure: str) -> None:
    found = {check: line for check in MEASURES if (line := worst_of(past.limits, check)) is not None}
    if measure != SHARE:
        if (line := found.get(measure)) is not None:
            says = f"%{{y:,.0f}} {line.unit}"
            draw(figure, LIMITS, MEASURES[measure], path, line.value, 0, _LINES[0], says)
            draw(figure, LIMITS, "limit", path, line.limit, 0, (RED, "solid"), says)
            if measure in TWO_SIDED:
                draw(figure, LIMITS, "limit below zero", path, -line.limit, 0, (RED, "solid"), says, showlegend=False)
        return
    for nth, (check, name) in enumerate(MEASURES.items()):
        if check in found:
            use = found[check].use()
            real = path.y(100 * np.where(np.isinf(use), np.nan, use), 0)
            says = "%{customdata:,.0f} % of its limit"
            draw(figure, LIMITS, name, path, 100 * np.minimum(use, MOST_USE), 1, _LINES[nth], says, customdata=real)
    if len(path.x):
        figure.add_scatter(
            x=[path.x[0], path.x[-1]], y=[100, 100], mode="lines", line={"color": RED, "width": 2}, name="limit",
            legend=legend_of(LIMITS), hoverinfo="skip", row=LIMITS, col=1,
        )  # fmt: skip
    figure.update_yaxes(ticksuffix=" %", rangemode="tozero", row=LIMITS, col=1)

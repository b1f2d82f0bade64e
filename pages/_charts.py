"""The picture of the History page: one figure, so that all charts share the time axis and its zoom.

Times are New York clock time. Lines break where nothing was kept and where a figure is unknown; regimes and times
without data are told by words beside the tint. Figures are rounded: an equal spec is not drawn anew.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from guardrails import calendar
from guardrails.store.history_findings import TWO_SIDED
from guardrails.store.metadata import moment
from pages._bands import bands, ratio_range
from pages._history import NEGLIGIBLE_DELTA, Past, theta_per_delta, wall
from pages._lanes import LANE_PIXELS, add_lanes, lanes_shown
from pages._paths import Path, draw, path_of

BLUE, ORANGE, PURPLE, GREEN, RED, BROWN = "#3f83cf", "#d9730d", "#8b6fc9", "#2b8a57", "#cf3f36", "#a07a3c"
_LINES = ((BLUE, "solid"), (ORANGE, "solid"), (PURPLE, "dash"), (GREEN, "dashdot"), (RED, "dot"), (BROWN, "longdash"))
INK = {"light": "#3b434e", "dark": "#c3ccd8"}
SHARE = "Share of limit"
MEASURES = {
    "beta_delta": "Delta",
    "short_vega": "Vega",
    "gamma": "Gamma",
    "near_expiry_gamma": "Gamma ≤ 7 days",
    "theta_cap": "Theta",
}
"""checks of the book whose use is drawn, as they are named beside their lines"""
MOST_USE = 3.0
"""beyond three times a limit more says nothing; an infinite use is drawn there"""
_LATE, _MARGIN = 0.1, 0.03
"""a range of which the first tenth and more is empty is not drawn from its beginning, but from so much before"""
_HEIGHTS = (260, 120, 170, 190, 130, 190, 140)
_GAP_PIXELS, _TOP_PIXELS, _BOTTOM_PIXELS = 72, 60, 40


def figure_of(past: Past, measure: str = SHARE, theme: str = "light") -> go.Figure:
    """All charts of `past`; `measure` is SHARE, or one of MEASURES to see with its limit."""
    strip = max(len(lanes_shown(past.lanes)), 1) * LANE_PIXELS
    heights = (*_HEIGHTS, strip)
    total = sum(heights) + _GAP_PIXELS * (len(heights) - 1)
    figure = make_subplots(
        rows=len(heights),
        cols=1,
        shared_xaxes=True,
        row_heights=[height / sum(heights) for height in heights],
        vertical_spacing=_GAP_PIXELS / total,
        subplot_titles=titles(measure),
        specs=[[{"secondary_y": True}], *[[{}] for _ in heights[1:]]],
    )
    path = path_of(past.totals)
    _worth(figure, past, path)
    _volatility(figure, past, path)
    _ratio(figure, past, path)
    _cushions(figure, past, path)
    _below_peak(figure, past, path)
    _limits(figure, past, path, measure)
    ratio = theta_per_delta(past.totals)
    draw(figure, 7, "Theta per unit of delta", path, ratio, 2, _LINES[0], "$%{y:,.2f}", current=past.current.book)
    add_lanes(figure, past, len(heights), INK[theme])
    figure.layout.shapes = bands(past, INK[theme])  # at once: adding them one by one takes seconds
    _frame(figure, past, total, theme)
    return figure


def titles(measure: str) -> list[str]:
    """What stands above each chart."""
    share = (
        f"Limits: share that is used, 100 % is the limit, drawn up to {MOST_USE:.0%}"
        if measure == SHARE
        else f"{MEASURES[measure]} and its limit"
    )
    return [
        "Net liquidation, $ (left) and SPX-equivalent delta (right)",
        "VIX and VIX3M",
        "Theta / |vega|, with the band in force",
        "Margin cushion of each account, % (judged: its worst segment and view)",
        "Drawdown below the highest net liquidation, %",
        share,
        f"Theta per day / SPX delta, $ (n/a while |delta| is below {NEGLIGIBLE_DELTA:.0%} of net liquidation)",
        "Findings: the worst level of each check",
    ]


def _worth(figure: go.Figure, past: Past, path: Path) -> None:
    totals = past.totals
    if len(totals.key) and totals.rows.max(initial=1) > 1:
        for bound, fill in ((totals.high, None), (totals.low, "tonexty")):
            figure.add_scatter(
                x=path.x, y=path.y(bound, 0), mode="lines", line={"width": 0}, fill=fill, showlegend=False,
                fillcolor="rgba(63,131,207,.25)", hoverinfo="skip", row=1, col=1,
            )  # fmt: skip
    hidden = {"color": BLUE, "size": 9, "opacity": 0.0}  # a line without markers cannot be clicked
    draw(
        figure, 1, "Net liquidation", path, totals.figures["net_liquidation"], 0, _LINES[0], "$%{y:,.0f}",
        current=past.current.book, mode="lines+markers", marker=hidden, selected={"marker": {"opacity": 1.0}},
        unselected={"marker": {"opacity": 0.0}}, secondary_y=False,
    )  # fmt: skip
    draw(
        figure, 1, "SPX delta", path, totals.figures["beta_delta_spx"], 1, _LINES[1], "%{y:,.1f} SPX units",
        current=past.current.book, secondary_y=True,
    )  # fmt: skip
    if len(past.records.time):
        figure.add_scatter(
            **_records(past), mode="lines+markers",
            line={"color": BLUE, "dash": "dash", "width": 1.4}, marker={"size": 4, "symbol": "diamond-open"},
            name="from the broker's records", legend="legend", secondary_y=False, row=1, col=1,
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
        draw(figure, 2, name, path, past.totals.figures[field], 2, look, "%{y:.2f}", current=past.current.book)
        known = [(day, close) for day, close in past.closes.get(name, ()) if close is not None]
        if known:
            figure.add_scatter(
                x=[f"{day} 16:00" for day, _ in known], y=[close for _, close in known], mode="markers",
                marker={"color": look[0], "size": 5, "symbol": "diamond-open"}, name=f"{name} close", legend="legend2",
                hovertemplate=f"%{{y:.2f}}<extra>{name}, official close</extra>", row=2, col=1,
            )  # fmt: skip


def _ratio(figure: go.Figure, past: Past, path: Path) -> None:
    """The ratio over its band: green where it should be, red where it must not be."""
    values = past.totals.figures["theta_vega_ratio"]
    draw(figure, 3, "Theta / |vega|", path, values, 3, _LINES[0], "%{y:.2f}", current=past.current.book)
    figure.update_yaxes(range=list(ratio_range(past)), row=3, col=1)


def _cushions(figure: go.Figure, past: Past, path: Path) -> None:
    for nth, account in enumerate(past.accounts):
        colour = _LINES[nth % len(_LINES)][0]
        name = f"{account.broker} {account.account}"
        own = past.current.accounts.get(name)
        draw(figure, 4, name, path, 100 * account.cushion, 2, (colour, "solid"), "%{y:.1f} %", current=own)
        for title, share, dash in (("now", account.now, "dash"), ("look-ahead", account.look_ahead, "dot")):
            if not np.isnan(share).all() and not np.allclose(share, account.cushion, equal_nan=True):
                draw(figure, 4, f"{name} {title}", path, 100 * share, 2, (colour, dash), "%{y:.1f} %", current=own)
    x: list[int | None] = []
    y: list[float | None] = []
    for run in past.runs:
        if run.limits is not None and run.limits.min_cushion is not None:
            x += [*wall(np.array([run.begin, run.end])).tolist(), None]
            y += [100 * run.limits.min_cushion, 100 * run.limits.min_cushion, None]
    if x:
        figure.add_scatter(
            x=x, y=y, mode="lines", line={"color": RED, "width": 2}, name="least allowed", legend="legend4",
            hovertemplate="%{y:.0f} %<extra>least allowed</extra>", row=4, col=1,
        )  # fmt: skip


def _below_peak(figure: go.Figure, past: Past, path: Path) -> None:
    draw(
        figure, 5, "Drawdown", path, -100 * past.below_peak, 2, (RED, "solid"), "%{y:.2f} %", current=past.current.book,
        showlegend=False,
    )  # fmt: skip


def _limits(figure: go.Figure, past: Past, path: Path, measure: str) -> None:
    found = {line.check: line for line in past.limits if line.subject == "portfolio" and line.check in MEASURES}
    if measure != SHARE:
        if (line := found.get(measure)) is not None:
            says = f"%{{y:,.0f}} {line.unit}"
            draw(figure, 6, MEASURES[measure], path, line.value, 0, _LINES[0], says)
            draw(figure, 6, "limit", path, line.limit, 0, (RED, "solid"), says)
            if measure in TWO_SIDED:
                draw(figure, 6, "limit below zero", path, -line.limit, 0, (RED, "solid"), says, showlegend=False)
        return
    for nth, (check, name) in enumerate(MEASURES.items()):
        if check in found:
            use = found[check].use()
            real = path.y(100 * np.where(np.isinf(use), np.nan, use), 0)
            says = "%{customdata:,.0f} % of its limit"
            draw(figure, 6, name, path, 100 * np.minimum(use, MOST_USE), 1, _LINES[nth], says, customdata=real)
    if len(path.x):
        figure.add_scatter(
            x=[path.x[0], path.x[-1]], y=[100, 100], mode="lines", line={"color": RED, "width": 2}, name="limit",
            legend="legend6", hoverinfo="skip", row=6, col=1,
        )  # fmt: skip
    figure.update_yaxes(ticksuffix=" %", rangemode="tozero", row=6, col=1)


def _first_shown(past: Past) -> int:
    """Where the axis begins, in microseconds: with the range, or shortly before the first thing that is kept in it."""
    begin, end = past.points.begin, past.points.end
    told = [*past.totals.begin[:1].tolist(), *past.records.time[:1].tolist()]
    first = max(min(told, default=begin), begin)
    return begin if first - begin < _LATE * (end - begin) else first - round(_MARGIN * (end - first))


def _frame(figure: go.Figure, past: Past, total: int, theme: str) -> None:
    begin, end = wall(np.array([_first_shown(past), past.points.end])).tolist()
    figure.update_layout(
        height=total + _TOP_PIXELS + _BOTTOM_PIXELS,
        margin={"l": 70, "r": 60, "t": _TOP_PIXELS, "b": _BOTTOM_PIXELS},
        hovermode="closest",
        hoverdistance=40,
        dragmode="zoom",
        barmode="overlay",
        bargap=0.25,
        font={"color": INK[theme], "size": 12},
    )
    figure.update_xaxes(
        type="date", range=[begin, end], showticklabels=True, hoverformat="%a %d %b %Y %H:%M ET", showspikes=True,
        spikemode="across", spikethickness=1, spikedash="dot", spikesnap="cursor",
    )  # fmt: skip
    figure.update_annotations(x=0, xanchor="left", font={"size": 13, "color": INK[theme]})
    figure.update_yaxes(showgrid=False, tickmode="auto", secondary_y=True, row=1, col=1)
    for row in range(1, len(_HEIGHTS) + 2):
        axis = figure.layout["yaxis" if row == 1 else f"yaxis{row + 1}"]
        place = {"orientation": "h", "x": 1, "xanchor": "right", "y": axis.domain[1], "yanchor": "bottom"}
        figure.layout["legend" if row == 1 else f"legend{row}"] = {
            **place, "font": {"size": 11}, "bgcolor": "rgba(0,0,0,0)",
            "traceorder": "reversed" if row > len(_HEIGHTS) else "normal",
        }  # fmt: skip

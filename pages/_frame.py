"""Where each chart of the History page stands, what is written above it, and the time axis they share.

A title has a line of its own and the legend stands under it, on as many lines as it needs in a narrow window, so that
neither covers the other or the chart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import plotly.graph_objects as go

from pages._folds import Axis
from pages._history import wall

WORTH, LIMITS, FINDINGS, CUSHIONS, RATIO, BELOW, VOLATILITY, YIELD = range(1, 9)
ROWS = (WORTH, LIMITS, FINDINGS, CUSHIONS, RATIO, BELOW, VOLATILITY, YIELD)
"""rows of the picture: first what the book is worth and where it stands against its limits, and since when"""
TITLE_PIXELS, LEGEND_PIXELS, BORDER_PIXELS, TICK_PIXELS, APART_PIXELS = 22, 19, 10, 38, 8
LEFT, RIGHT = 70, 60
_NARROW = 1024 - 2 * 32 - LEFT - RIGHT - 20
"""pixels for a legend in the narrowest window, beside its padding and a scroll bar"""
_LETTER, _MARK = 5.7, 45
"""pixels of a letter of a legend, at most, and of the sign before it"""
_TICKS = [
    {"dtickrange": [None, 59_999], "value": "%H:%M:%S\n%a %d %b"},
    {"dtickrange": [60_000, 86_399_999], "value": "%H:%M\n%a %d %b"},
    {"dtickrange": [86_400_000, 604_799_999], "value": "%a %d\n%b %Y"},
    {"dtickrange": [604_800_000, "M1"], "value": "%d %b\n%Y"},
    {"dtickrange": ["M1", None], "value": "%b\n%Y"},
]


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: what stands above it, and its height in pixels without that."""

    title: str
    pixels: int


def axes_of(row: int) -> tuple[str, str]:
    """Names of the x and the y axis of a row; the first has a second y axis."""
    return ("x", "y") if row == 1 else (f"x{row}", f"y{row + 1}")


def domain_of(row: int) -> tuple[str, str]:
    """The x axis of a row, and its y axis as a share of its height."""
    x, y = axes_of(row)
    return x, f"{y} domain"


def legend_of(row: int) -> str:
    """Name of the legend of a row."""
    return "legend" if row == 1 else f"legend{row}"


def legend_lines(names: Sequence[str], width: float = _NARROW) -> int:
    """On how many lines Plotly puts a legend of `names`: one, or in columns of equal width."""
    if not names:
        return 0
    widths = [_MARK + _LETTER * len(name) for name in names]
    return 1 if sum(widths) <= width else ceil(len(names) / max(int(width // max(widths)), 1))


def frame(figure: go.Figure, charts: Sequence[Chart], axis: Axis, ink: str) -> None:
    """Put the charts under each other, once all their lines are drawn."""
    lines = [legend_lines(names) for names in _names(figure, len(charts)).values()]
    above = [TITLE_PIXELS + (LEGEND_PIXELS * count + BORDER_PIXELS if count else 0) for count in lines]
    total = sum(above) + sum(chart.pixels + TICK_PIXELS + APART_PIXELS for chart in charts)
    annotations = []
    used = 0.0
    for row, (chart, over) in enumerate(zip(charts, above, strict=True), 1):
        top = 1 - (used + over) / total
        bottom = 1 - (used + over + chart.pixels) / total
        used += over + chart.pixels + TICK_PIXELS + APART_PIXELS
        _, y = axes_of(row)
        figure.layout["yaxis" + y[1:]].domain = [max(bottom, 0.0), top]
        annotations.append({
            "text": f"<b>{chart.title}</b>", "x": 0, "xref": "paper", "xanchor": "left", "xshift": -LEFT + 8, "y": top,
            "yref": "paper", "yanchor": "bottom", "yshift": over - TITLE_PIXELS, "showarrow": False,
            "font": {"size": 13, "color": ink},
        })  # fmt: skip
        figure.layout[legend_of(row)] = {
            "orientation": "h", "x": 0, "xanchor": "left", "y": top, "yanchor": "bottom", "font": {"size": 11},
            "bgcolor": "rgba(0,0,0,0)", "traceorder": "reversed" if _is_strip(figure, row) else "normal",
        }  # fmt: skip
    figure.layout.annotations = [*figure.layout.annotations, *annotations]
    _time(figure, axis, total, ink)


def _names(figure: go.Figure, rows: int) -> Mapping[int, list[str]]:
    """What stands in the legend of each row."""
    found: dict[int, list[str]] = {row: [] for row in range(1, rows + 1)}
    of = {legend_of(row): row for row in found}
    for trace in figure.data:
        if trace.showlegend is not False:
            found[of[trace.legend or "legend"]].append(trace.name or "")
    return found


def _is_strip(figure: go.Figure, row: int) -> bool:
    return any(trace.type == "bar" and trace.legend == legend_of(row) for trace in figure.data)


def _time(figure: go.Figure, axis: Axis, total: int, ink: str) -> None:
    figure.update_layout(
        height=total, margin={"l": LEFT, "r": RIGHT, "t": 0, "b": 0}, hovermode="closest", hoverdistance=40,
        dragmode="zoom", barmode="overlay", bargap=0.25, font={"color": ink, "size": 12},
    )  # fmt: skip
    figure.update_xaxes(
        type="date", range=wall(np.array([axis.begin, axis.end])).tolist(), rangebreaks=axis.breaks(),
        showticklabels=True, tickformatstops=_TICKS, hoverformat="%a %d %b %Y %H:%M ET", showspikes=True,
        spikemode="across", spikethickness=1, spikedash="dot", spikesnap="cursor",
    )  # fmt: skip

"""The payoff chart: P&L today, on the chosen date and at expiry against the level of what moves.

A slider changes the data and never the spec, so the chart stays in place and only its lines move (a Plotly figure
would be drawn anew each time). Where a beta is not known a line is a band.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from guardrails import wording
from guardrails.columns import Array
from guardrails.intervals import Interval
from guardrails.stress.part import Axis
from guardrails.stress.payoff import Curve
from pages._dollars import between, move_words

TODAY, CHOSEN, EXPIRY = "Today", "On the chosen date", "At expiry"
SERIES = {TODAY: ("#3f83cf", [1, 0]), CHOSEN: ("#d9730d", [7, 3]), EXPIRY: ("#8b6fc9", [2, 2])}
"""colour and dash of each line: told apart without colour too"""
HEIGHT = 380
_INK = {"light": "#3b434e", "dark": "#c3ccd8"}
_GRID = {"light": "#dfe4ea", "dark": "#2a323d"}
_COLUMNS = ("kind", "series", "x", "x2", "low", "high", "label", "Move", *SERIES)


def lines_data(
    axis: Axis, lines: Mapping[str, Curve], evens: Sequence[float], reach: tuple[float, float]
) -> pd.DataFrame:
    """The lines, what the pointer is told of them, now, and break-evens at expiry (`evens`): one row a mark."""
    moves = _grid(lines, reach)
    values = {name: _read(line, moves) for name, line in lines.items()}
    rows: list[dict[str, Any]] = [
        {"kind": "line", "series": name, "x": _x(axis, float(move)), "low": float(a), "high": float(b)}
        for name, (low, high) in values.items()
        for move, a, b in zip(moves, low, high, strict=True)
    ]
    for i, move in enumerate(moves):
        told = {name: between(float(low[i]), float(high[i])) for name, (low, high) in values.items()}
        where = {"x": _x(axis, float(move)), "label": _label(axis, float(move)), "Move": move_words(float(move))}
        rows.append({"kind": "hover", **where, **told})
    rows += [
        {"kind": "even", "x": _x(axis, move), "low": 0.0, "label": _label(axis, move)}
        for move in evens
        if reach[0] <= move <= reach[1]
    ]
    rows.append({"kind": "now", "x": _x(axis, 0.0), "label": "now"})
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def payoff_data(
    axis: Axis,
    drawn: pd.DataFrame,
    here: tuple[float, Interval] | None,
    expected: tuple[float, float] | None,
    reach: tuple[float, float],
) -> pd.DataFrame:
    """The lines `drawn`, where the sliders stand and what a line says there (None for a scenario that is not theirs),
    and the move to expect."""
    rows: list[dict[str, Any]] = []
    if expected is not None:
        rows.append({"kind": "expected", "x": _x(axis, expected[0]), "x2": _x(axis, expected[1])})
    if here is not None and reach[0] <= here[0] <= reach[1]:
        move, total = here
        words = between(total.low, total.high)
        rows.append({"kind": "here", "x": _x(axis, move), "label": words, "low": total.low, "high": total.high})
    return pd.concat([drawn, pd.DataFrame(rows, columns=list(_COLUMNS))]) if rows else drawn


def payoff_spec(axis: Axis, reach: tuple[float, float], theme: str) -> dict[str, Any]:
    """How it is drawn; depends on the part of the book and the theme only."""
    ink, names = _INK[theme], list(SERIES)
    domain = [_x(axis, reach[0]), _x(axis, reach[1])]
    if axis.level is None:
        words, title = "format(datum.value, '+.0f') + ' %'", f"Move of {axis.name}, whose level is not known"
    else:
        digits = ",.0f" if axis.level >= 200 else ",.1f"
        percent = f"format(round(1000 * (datum.value / {axis.level!r} - 1)) / 10, '+~') + ' %'"
        words, title = f"[{percent}, format(datum.value, '{digits}')]", axis.name
    x = {"field": "x", "type": "quantitative", "title": title, "scale": {"domain": domain, "nice": False},
         "axis": {"labelExpr": words, "grid": False, "values": _ticks(axis, reach), "labelFlush": False}}  # fmt: skip
    y = {"field": "low", "type": "quantitative", "title": "P&L, US dollars",
         "axis": {"format": "$~s", "gridColor": _GRID[theme]}}  # fmt: skip
    legend = {"orient": "top", "symbolType": "stroke", "symbolSize": 500, "symbolStrokeWidth": 3, "symbolOpacity": 1}
    colour = {"field": "series", "type": "nominal", "title": None, "legend": legend,
              "scale": {"domain": names, "range": [colour for colour, _ in SERIES.values()]}}  # fmt: skip
    dash = {"field": "series", "type": "nominal", "title": None,
            "scale": {"domain": names, "range": [dash for _, dash in SERIES.values()]}}  # fmt: skip
    here = {"x": x, "y": y}
    line = {"type": "line", "strokeWidth": 2.2, "clip": True}
    tips = [{"field": "label", "title": "At"}, {"field": "Move"}, *({"field": name} for name in names)]
    hover = {"select": {"type": "point", "on": "pointerover", "nearest": True, "fields": ["x"], "clear": "pointerout"}}
    shown = {"condition": {"param": "near", "empty": False, "value": 0.7}, "value": 0}
    return {
        "layer": [
            _only("expected", {"type": "rect", "color": "#7d8896", "opacity": 0.16, "clip": True},
                  {"x": x, "x2": {"field": "x2"}}),
            {"mark": {"type": "rule", "color": ink, "strokeWidth": 1.4}, "encoding": {"y": {"datum": 0}}},
            _only("now", {"type": "rule", "color": ink, "strokeDash": [4, 4]}, {"x": x}),
            _only("line", {"type": "area", "opacity": 0.25, "clip": True},
                  {**here, "y2": {"field": "high"}, "color": colour}),
            _only("line", line, {**here, "color": colour, "strokeDash": dash}),
            _only("line", {**line, "strokeWidth": 1.2},
                  {"x": x, "y": {**y, "field": "high"}, "color": colour, "strokeDash": dash}),
            _only("even", {"type": "point", "shape": "diamond", "filled": True, "size": 90, "color": ink}, here),
            _only("even", {"type": "text", "dy": -13, "color": ink, "fontSize": 12},
                  {**here, "text": {"field": "label"}}),
            _only("here", {"type": "rule", "color": ink, "strokeWidth": 5}, {**here, "y2": {"field": "high"}}),
            _only("here", {"type": "point", "filled": False, "size": 190, "strokeWidth": 3, "color": ink}, here),
            _only("here", {"type": "text", "dy": 20, "color": ink, "fontSize": 14, "fontWeight": "bold"},
                  {**here, "text": {"field": "label"}}),
            {**_only("hover", {"type": "rule", "color": ink}, {"x": x, "opacity": shown, "tooltip": tips}),
             "params": [{"name": "near", **hover}]},
        ],
    }  # fmt: skip


def _only(kind: str, mark: dict[str, Any], encoding: dict[str, Any]) -> dict[str, Any]:
    """A layer of the rows of one kind."""
    return {"transform": [{"filter": f"datum.kind == '{kind}'"}], "mark": mark, "encoding": encoding}


def _ticks(axis: Axis, reach: tuple[float, float]) -> list[float]:
    """Round moves within reach, nine or so."""
    step = min((0.01, 0.02, 0.05, 0.10, 0.20), key=lambda step: abs((reach[1] - reach[0]) / step - 9))
    places = range(round(reach[0] / step) - 1, round(reach[1] / step) + 2)
    return [_x(axis, step * place) for place in places if reach[0] <= step * place <= reach[1]]


def _grid(lines: Mapping[str, Curve], reach: tuple[float, float]) -> Array:
    """Where the lines are drawn: at their own points within reach, and at its ends."""
    points = np.unique(np.concatenate([*(line.move for line in lines.values()), np.array(reach)]))
    inside = points[(points >= reach[0]) & (points <= reach[1])]
    return inside if len(inside) <= 240 else np.linspace(*reach, 161)  # beyond, bends lie closer than pixels


def _read(line: Curve, moves: Array) -> tuple[Array, Array]:
    """Both sides of the line; NaN, which draws nothing, where it is not known."""
    with np.errstate(invalid="ignore"):
        low, high = (np.interp(moves, line.move, side) for side in (line.low, line.high))
    return np.where(np.isfinite(low), low, np.nan), np.where(np.isfinite(high), high, np.nan)


def _x(axis: Axis, move: float) -> float:
    level = axis.at(move)
    return 100.0 * move if level is None else level


def _label(axis: Axis, move: float) -> str:
    level = axis.at(move)
    return move_words(move) if level is None else wording.number(level, 0 if level >= 1000 else 2)

"""The heat map: P&L on the chosen date by move of the price and rise of volatility, in words and in colour.

Every cell says its figure, with its sign; where it is not known exactly it says both ends. A ring marks what volatility
usually does with the move, a frame where the sliders stand. As with the payoff, sliders change data only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from guardrails.columns import Array
from guardrails.stress.part import Axis
from guardrails.stress.surface import Surface
from pages._dollars import between, level_words, move_words, points_words, short

HEIGHT = 400
PALETTES = {
    "light": ("#a5331c", "#eba28c", "#f6f4f1", "#9cc3e6", "#1f5f9e"),
    "dark": ("#d95f45", "#86392a", "#262c35", "#2b5a87", "#4a97dc"),
}
"""colours from the worst loss over nothing to the best gain, by theme"""
INKS = ("#000000", "#ffffff")
_IN_LINES = "replace(datum.text, regexp(' (?=[^ ]*$)'), '|')"
FRAMES = {"light": "#10141a", "dark": "#ffffff"}


def heat_data(
    axis: Axis,
    found: Surface,
    columns: Array,
    follows: Callable[[float], float] | None,
    theme: str,
) -> pd.DataFrame:
    """One row a cell: columns are moves, rows rises of volatility from the highest down."""
    low, high = found.at(columns, found.rise)
    most = max(float(np.abs(side[np.isfinite(side)]).max(initial=1.0)) for side in (low, high))
    rows = []
    for j in range(len(found.rise))[::-1]:
        for i, move in enumerate(columns):
            usual = follows is not None and _nearest(columns, found.rise, float(move), follows(float(move)))[1] == j
            least, best = float(low[i, j]), float(high[i, j])
            known = math.isfinite(least) and math.isfinite(best)
            fill = shade(float(np.cbrt((least + best) / 2.0 / most)) if known else 0.0, theme)
            where = level_words(axis.name, axis.at(float(move)))
            rows.append({
                "move": f"{move_words(float(move))}|{_level(axis, float(move))}",
                "rise": points_words(float(found.rise[j])),
                "text": _ends(least, best) if known else between(least, best),
                "fill": fill,
                "ink": max(INKS, key=lambda ink: contrast(ink, fill)),
                "usual": usual,
                "P&L": between(least, best),
                "At": f"{where}, volatility {points_words(float(found.rise[j]))}",
            })  # fmt: skip
    return pd.DataFrame(rows)


def framed(data: pd.DataFrame, found: Surface, columns: Array, move: float, rise: float) -> pd.DataFrame:
    """`data` with the cell nearest to where the sliders stand marked."""
    i, j = _nearest(columns, found.rise, move, rise)
    return data.assign(here=np.arange(len(data)) == (len(found.rise) - 1 - j) * len(columns) + i)


def heat_spec(axis: Axis, theme: str) -> dict[str, Any]:
    """How it is drawn; depends on the part of the book and the theme only."""
    frame = FRAMES[theme]
    split = "split(datum.label, '|')"
    x = {"field": "move", "type": "ordinal", "sort": None, "title": f"Move of {axis.name}",
         "axis": {"labelExpr": split, "labelAngle": 0, "orient": "bottom", "domain": False, "ticks": False,
                  "labelFontSize": 11}}  # fmt: skip
    y = {"field": "rise", "type": "ordinal", "sort": None, "title": "Volatility, 30 days",
         "axis": {"domain": False, "ticks": False, "labelFontSize": 11}}  # fmt: skip
    here = {"x": x, "y": y}
    return {
        "layer": [
            {"mark": {"type": "rect", "cornerRadius": 3}, "encoding": {
                **here, "color": {"field": "fill", "type": "nominal", "scale": None},
                "tooltip": [{"field": "At"}, {"field": "P&L"}]}},
            {"transform": [{"filter": "datum.usual"}],
             "mark": {"type": "rect", "cornerRadius": 3, "fillOpacity": 0, "stroke": frame, "strokeWidth": 1.6,
                      "strokeDash": [3, 2]}, "encoding": here},
            {"transform": [{"filter": "datum.here"}],
             "mark": {"type": "rect", "cornerRadius": 3, "fillOpacity": 0, "stroke": frame, "strokeWidth": 4},
             "encoding": here},
            {"transform": [{"calculate": _IN_LINES, "as": "lines"}],  # `at most −$3.0k` is wider than its cell
             "mark": {"type": "text", "lineBreak": "|", "fontSize": {"expr": "indexof(datum.lines, '|') < 0 ? 11 : 9"}},
             "encoding": {**here, "text": {"field": "lines"},
                          "color": {"field": "ink", "type": "nominal", "scale": None}}},
        ],
    }  # fmt: skip


def shade(place: float, theme: str) -> str:
    """Colour of a cell by its place from -1, the worst loss, to 1, the best gain."""
    parts = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in PALETTES[theme]])
    mixed = [round(float(np.interp(place, (-1.0, -0.5, 0.0, 0.5, 1.0), parts[:, i]))) for i in range(3)]
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def contrast(one: str, other: str) -> float:
    """Of two colours, by WCAG 2: 1 to 21."""
    low, high = sorted(_luminance(colour) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def _ends(least: float, best: float) -> str:
    return short(least) if short(least) == short(best) else f"{short(least)}|{short(best)}"


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255.0 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _nearest(columns: Array, rises: Array, move: float, rise: float) -> tuple[int, int]:
    return int(np.argmin(np.abs(columns - move))), int(np.argmin(np.abs(rises - rise)))


def _level(axis: Axis, move: float) -> str:
    return "" if axis.level is None else level_words("", axis.at(move)).strip()

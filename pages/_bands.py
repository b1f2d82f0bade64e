"""What stands behind the charts: regimes, the bands of the theta/vega ratio, and the times without data.

Each band says its word where there is room for it; tint alone never tells anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from guardrails.matrix import RatioBand
from pages._folds import Axis
from pages._frame import LIMITS, RATIO, ROWS, VOLATILITY, WORTH, axes_of, domain_of
from pages._history import Past, Run, gaps, wall

TINTS = {
    "low_volatility": "rgba(43,138,87,.10)",
    "neutral_volatility": "rgba(63,131,207,.12)",
    "high_volatility": "rgba(217,115,13,.17)",
    "crisis_mode": "rgba(207,63,54,.20)",
}
OTHER_TINT = "rgba(120,120,120,.12)"
SILENT_TINT = "rgba(128,128,128,.34)"
GOOD_TINT, BAD_TINT = "rgba(43,138,87,.20)", "rgba(207,63,54,.16)"
_CLEAR = "rgba(0,0,0,0)"
_LETTER = 0.011
"""share of the range that a letter takes in a narrow window"""
_UPRIGHT = 0.02
"""share of the range from which on a word fits that is written upright"""
_VISIBLE = 0.01
"""share of the range from which a time without data is tinted; shorter ones only break the lines"""
_SEEN = 1 / 400
"""share of the range: a band leads over a time without data that is narrower, some three pixels"""
MOST_SEAMS = 40
"""places at which closed hours are left out that have a line; more would hide the picture"""
MOST = 150
"""bands of one kind, the newest or widest; more would be thinner than a pixel"""

Shape = dict[str, object]


def bands(past: Past, axis: Axis, ink: str) -> list[Shape]:
    """All bands of the picture, the ones farthest behind first."""
    return [*_regimes(past, axis, ink), *_ratio_bands(past, axis), *_silent(past, axis), *_seams(axis, ink)]


def ratio_range(past: Past) -> tuple[float, float]:
    """Lower and upper end of the axis of the theta/vega ratio: the data and the band in force."""
    values = past.totals.figures["theta_vega_ratio"]
    seen = values[~np.isnan(values)].tolist()
    return min([0.0, *seen]), 1.15 * max([0.1, *seen, *(band.red_max for _, band in _known(past))])


def _known(past: Past, axis: Axis | None = None) -> list[tuple[Run, RatioBand]]:
    """The bands that were in force, without `axis` each once however long nothing was kept in between."""
    found = [(run, run.limits.theta_vega_ratio) for run in _joined(past, axis) if run.limits is not None]
    return [(run, band) for run, band in found if band is not None][-MOST:]


def _joined(past: Past, axis: Axis | None = None) -> list[Run]:
    """The runs, those under the same regime and limits as one when what lies between is too narrow to see.

    Without `axis`: however wide it is, for the word, which is said once.
    """
    found: list[Run] = []
    for run in past.runs:
        last = found[-1] if found else None
        same = last is not None and (last.regime, last.limits) == (run.regime, run.limits)
        if last is not None and same and (axis is None or axis.seen((last.end, run.begin)) < _SEEN * axis.length):
            found[-1] = replace(last, end=run.end)
        else:
            found.append(run)
    return found


def _ratio_bands(past: Past, axis: Axis) -> Iterator[Shape]:
    """Green where the ratio should be, red where it must not be."""
    low, top = ratio_range(past)
    for spans, runs in ((False, _known(past, axis)), (True, _known(past))):
        for run, band in runs:
            for bottom, end, tint, word in (
                (band.green_min, band.green_max, GOOD_TINT, "green"),
                (band.red_max, top, BAD_TINT, "red"),
                (low, band.red_min, BAD_TINT, "red"),
            ):
                told = (_CLEAR, (word, "middle left")) if spans else (tint, ("", ""))
                yield _band(axis, (run.begin, run.end), axes_of(RATIO), (bottom, end), *told)


def _regimes(past: Past, axis: Axis, ink: str) -> Iterator[Shape]:
    """Regimes behind the worth of the book, its limits, which move with them, and the volatility, which moves them."""
    edge = {"line": {"width": 1, "dash": "dot", "color": ink}}
    for run in _joined(past, axis)[-MOST:]:
        for row in (WORTH, LIMITS, VOLATILITY):
            tint = TINTS.get(run.regime, OTHER_TINT)
            band = _band(axis, (run.begin, run.end), domain_of(row), (0, 1), tint, ("", ""))
            yield band | edge if row == WORTH else band
    for run in _joined(past)[-MOST:]:
        yield _band(axis, (run.begin, run.end), domain_of(WORTH), (0, 1), _CLEAR, (run.regime, "top left"))


def _silent(past: Past, axis: Axis) -> Iterator[Shape]:
    """The times without data: no regime or band is claimed there."""
    wide = [gap for gap in gaps(past.totals.covered()) if axis.seen(gap) >= _VISIBLE * axis.length]
    for gap in sorted(wide, key=axis.seen)[-MOST:]:
        for row in ROWS:
            band = _band(axis, gap, domain_of(row), (0, 1), SILENT_TINT, ("no data", "bottom center"))
            if "label" not in band and axis.seen(gap) > _UPRIGHT * axis.length:
                band["label"] = {"text": "no data", "textangle": -90, "font": {"size": 11}}
            yield band


def _seams(axis: Axis, ink: str) -> Iterator[Shape]:
    """A thin line wherever closed hours are left out, as long as there are few."""
    if len(axis.folds) <= MOST_SEAMS:
        for end in axis.drawn([end for _, end in axis.folds]).tolist():
            yield from upright(end, {"width": 1, "color": ink}, 0.3)


def upright(place: int, line: dict[str, object], opacity: float = 1.0) -> Iterator[Shape]:
    """A line at `place` (milliseconds) through every chart, but not through what is written between them."""
    for row in ROWS:
        x, y = domain_of(row)
        yield {
            "type": "line", "xref": x, "yref": y, "x0": place, "x1": place, "y0": 0, "y1": 1, "layer": "below",
            "opacity": opacity, "line": line,
        }  # fmt: skip


def _band(
    axis: Axis,
    span: tuple[int, int],
    axes: tuple[str, str],
    height: tuple[float, float],
    tint: str,
    word: tuple[str, str],
) -> Shape:
    x0, x1 = wall(np.array(span)).tolist()
    shape: Shape = {
        "type": "rect", "xref": axes[0], "yref": axes[1], "x0": x0, "x1": x1, "y0": height[0], "y1": height[1],
        "fillcolor": tint, "layer": "below", "line": {"width": 0},
    }  # fmt: skip
    room = axis.seen(span) / axis.length
    if word[0] and room > _LETTER * (len(word[0]) + 1):
        shape["label"] = {"text": word[0], "textposition": word[1], "font": {"size": 11}}
    return shape

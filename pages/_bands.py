"""What stands behind the charts: regimes, the bands of the theta/vega ratio, and the times without data.

Each band says its word where there is room for it; tint alone never tells anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from guardrails.matrix import RatioBand
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
_VISIBLE = 0.01
"""share of the range from which a time without data is tinted; shorter ones only break the lines"""
_SEEN = 1 / 400
"""share of the range: a band leads over a time without data that is narrower, some three pixels"""
MOST = 150
"""bands of one kind, the newest or widest; more would be thinner than a pixel"""

Shape = dict[str, object]


def bands(past: Past, ink: str) -> list[Shape]:
    """All bands of the picture, the ones farthest behind first."""
    return [*_regimes(past, ink), *_ratio_bands(past), *_silent(past)]


def ratio_range(past: Past) -> tuple[float, float]:
    """Lower and upper end of the axis of the theta/vega ratio: the data and the band in force."""
    values = past.totals.figures["theta_vega_ratio"]
    seen = values[~np.isnan(values)].tolist()
    return min([0.0, *seen]), 1.15 * max([0.1, *seen, *(band.red_max for _, band in _known(past))])


def _known(past: Past, *, over_gaps: bool = False) -> list[tuple[Run, RatioBand]]:
    found = [(run, run.limits.theta_vega_ratio) for run in _joined(past, over_gaps=over_gaps) if run.limits is not None]
    return [(run, band) for run, band in found if band is not None][-MOST:]


def _joined(past: Past, *, over_gaps: bool = False) -> list[Run]:
    """The runs, those under the same regime and limits as one when what lies between is too narrow to see.

    `over_gaps`: however long it is, for the word, which is said once.
    """
    least = (1.0 if over_gaps else _SEEN) * (past.points.end - past.points.begin)
    found: list[Run] = []
    for run in past.runs:
        last = found[-1] if found else None
        if last is not None and (last.regime, last.limits) == (run.regime, run.limits) and run.begin - last.end < least:
            found[-1] = replace(last, end=run.end)
        else:
            found.append(run)
    return found


def _ratio_bands(past: Past) -> Iterator[Shape]:
    """Green where the ratio should be, red where it must not be."""
    low, top = ratio_range(past)
    axes = ("x3", "y4")
    for spans, runs in ((False, _known(past)), (True, _known(past, over_gaps=True))):
        for run, band in runs:
            for bottom, end, tint, word in (
                (band.green_min, band.green_max, GOOD_TINT, "green"),
                (band.red_max, top, BAD_TINT, "red"),
                (low, band.red_min, BAD_TINT, "red"),
            ):
                told = (_CLEAR, (word, "middle left")) if spans else (tint, ("", ""))
                yield _band(past, (run.begin, run.end), axes, (bottom, end), *told)


def _regimes(past: Past, ink: str) -> Iterator[Shape]:
    """Regimes behind the first two charts."""
    axes = ("x", "y domain")
    for run in _joined(past)[-MOST:]:
        edge = {"line": {"width": 1, "dash": "dot", "color": ink}}
        tint = TINTS.get(run.regime, OTHER_TINT)
        for each in (axes, ("x2", "y3 domain")):
            yield _band(past, (run.begin, run.end), each, (0, 1), tint, ("", "")) | edge
    for run in _joined(past, over_gaps=True)[-MOST:]:
        yield _band(past, (run.begin, run.end), axes, (0, 1), _CLEAR, (run.regime, "top left"))


def _silent(past: Past) -> Iterator[Shape]:
    """The times without data: no regime or band is claimed there."""
    least = _VISIBLE * (past.points.end - past.points.begin)
    wide = [gap for gap in gaps(past.totals.covered()) if gap[1] - gap[0] >= least]
    for gap in sorted(wide, key=lambda gap: gap[0] - gap[1])[:MOST]:
        yield _band(past, gap, ("x", "paper"), (0, 1), SILENT_TINT, ("no data", "bottom center"))


def _band(
    past: Past,
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
    room = (span[1] - span[0]) / max(past.points.end - past.points.begin, 1)
    if word[0] and room > _LETTER * (len(word[0]) + 1):
        shape["label"] = {"text": word[0], "textposition": word[1], "font": {"size": 11}}
    return shape

"""Lines of the charts: where they lead, where they break, and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from guardrails.store.history import Figures, Mask, Times, Totals
from pages._history import wall

BLUE, ORANGE, PURPLE, GREEN, RED, BROWN = "#3f83cf", "#d9730d", "#8b6fc9", "#2b8a57", "#cf3f36", "#a07a3c"
PINK, TEAL = "#c2578f", "#1f8f93"
WHEN = "%{x|%a %d %b %Y %H:%M} ET"
LAST_GOOD = "last good figure, not of that time"


@dataclass(frozen=True, slots=True)
class Path:
    """Where a line leads: the points in order, with breaks, on the axis of New York time."""

    x: Times
    """milliseconds"""
    index: Times
    """of the point; -1 is a break"""

    def y(self, figures: Figures, digits: int) -> Figures:
        """`figures` along it, rounded."""
        if not len(figures):
            return figures
        return np.where(self.index < 0, np.nan, np.round(figures, digits)[self.index])


def path_of(totals: Totals) -> Path:
    """The points of `totals`; a figure that held for a while leads to where it held, nothing leads over a gap."""
    times: list[int] = []
    index: list[int] = []
    for i, (time, until, apart) in enumerate(zip(totals.time, totals.until, totals.apart, strict=True)):
        if apart and i:
            times.append(times[-1])
            index.append(-1)
        times.append(int(time))
        index.append(i)
        if until > time:
            times.append(int(until))
            index.append(i)
    x = wall(np.array(times, dtype=np.int64))
    back = np.flatnonzero(np.diff(x) < 0) + 1  # the clock was set back: the line must not run backwards
    return Path(np.insert(x, back, x[back - 1]), np.insert(np.array(index, dtype=np.int64), back, -1))


def draw(
    figure: go.Figure,
    row: int,
    name: str,
    path: Path,
    values: Figures,
    digits: int,
    look: tuple[str, str],
    says: str,
    *,
    current: Mask | None = None,
    **more: object,
) -> None:
    """One line, paler and dotted where `current` says that its figures were not of their time; None: all were."""
    if current is None or current.all():
        _trace(figure, row, name, path.y(values, digits), path, look, says, more)
        return
    _trace(figure, row, name, path.y(np.where(current, values, np.nan), digits), path, look, says, more)
    stale = np.where(current, np.nan, values)
    if not np.isnan(stale).all():
        pale = {**more, "opacity": 0.55, "showlegend": False}
        _trace(
            figure, row, f"{name}: {LAST_GOOD}", path.y(stale, digits), path, (look[0], "1px,5px"), says, pale,
        )  # fmt: skip


def _trace(
    figure: go.Figure,
    row: int,
    name: str,
    y: Figures,
    path: Path,
    look: tuple[str, str],
    says: str,
    more: dict[str, object],
) -> None:
    """A point that stands alone between two unknown ones is drawn as a dot, or it would not be seen."""
    known = np.concatenate(([False], ~np.isnan(y), [False]))
    alone = known[1:-1] & ~known[:-2] & ~known[2:]
    style = {
        "line": {"color": look[0], "dash": look[1], "width": 1.6},
        "name": name,
        "legend": f"legend{row}" if row > 1 else "legend",
        "hovertemplate": f"{WHEN}<br>{says}<extra>{name}</extra>",
    }
    figure.add_scatter(x=path.x, y=y, **{"mode": "lines", **style, **more}, row=row, col=1)
    if alone.any():
        dots = {key: value for key, value in more.items() if key in ("secondary_y", "yaxis", "opacity")}
        figure.add_scatter(
            x=path.x[alone], y=y[alone], **style, **dots, mode="markers", marker={"color": look[0], "size": 4},
            showlegend=False, row=row, col=1,
        )  # fmt: skip

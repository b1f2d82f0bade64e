"""The chart of margin cushions: what is judged of each account, its cushion as a whole, and the least allowed."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from pages._frame import CUSHIONS, legend_of
from pages._history import Past, wall
from pages._paths import BLUE, BROWN, GREEN, ORANGE, PINK, PURPLE, RED, TEAL, Path, draw

_COLOURS = (BLUE, ORANGE, PURPLE, GREEN, BROWN, PINK, TEAL)
"""of the accounts; red is the limit"""


def add_cushions(figure: go.Figure, past: Past, path: Path, ink: str) -> None:
    """A colour for each account; dashes tell of its cushion as a whole, so that the legend stays short."""
    others = (("whole account, now", "now", "dash"), ("whole account, look-ahead", "look_ahead", "dot"))
    told: list[tuple[str, str]] = []
    for nth, account in enumerate(past.accounts):
        colour = _COLOURS[nth % len(_COLOURS)]
        name = f"{account.broker} {account.account}"
        own, group = past.current.accounts.get(name), {"legendgroup": name}
        draw(
            figure, CUSHIONS, name, path, 100 * account.cushion, 2, (colour, "solid"), "%{y:.1f} %", current=own,
            **group,
        )  # fmt: skip
        for title, field, dash in others:
            share = getattr(account, field)
            if not np.isnan(share).all() and not np.allclose(share, account.cushion, equal_nan=True):
                told.append((title, dash))
                draw(
                    figure, CUSHIONS, f"{name}, {title}", path, 100 * share, 2, (colour, dash), "%{y:.1f} %",
                    current=own, showlegend=False, **group,
                )  # fmt: skip
    for title, dash in dict.fromkeys(told):
        figure.add_scatter(
            x=[None], y=[None], mode="lines", line={"color": ink, "dash": dash, "width": 1.6}, name=title,
            legend=legend_of(CUSHIONS), row=CUSHIONS, col=1,
        )  # fmt: skip
    x: list[int | None] = []
    y: list[float | None] = []
    for run in past.runs:
        if run.limits is not None and run.limits.min_cushion is not None:
            x += [*wall(np.array([run.begin, run.end])).tolist(), None]
            y += [100 * run.limits.min_cushion, 100 * run.limits.min_cushion, None]
    if x:
        figure.add_scatter(
            x=x, y=y, mode="lines", line={"color": RED, "width": 2}, name="least allowed", legend=legend_of(CUSHIONS),
            hovertemplate="%{y:.0f} %<extra>least allowed</extra>", row=CUSHIONS, col=1,
        )  # fmt: skip

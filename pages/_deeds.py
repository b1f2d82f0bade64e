"""What was done, on the time line of the History page: the safety state when it was not NORMAL, flattens and fills.

They stand in lanes of their own above the findings; a line through all charts tells when a safety state was set.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import plotly.graph_objects as go

from guardrails import wording
from guardrails.redaction import redact
from guardrails.safety import SafetyState
from guardrails.store.history_deeds import Deeds, FillMark, SafetyStep
from guardrails.store.metadata import moment
from pages._bands import Shape, upright
from pages._folds import Axis
from pages._frame import FINDINGS, WORTH, domain_of, legend_of
from pages._history import Past, wall
from pages._moment import day_and_time, full_time
from pages._parts import text

SAFETY, DONE = "Safety state", "Fills, flattens"
MOST_WORDS = 12
"""changes of the safety state that are named in the picture, the newest"""
MOST_LINES = 40
"""of them, that have a line"""
_RIGHT = 0.8
"""share of the axis from which on a name stands to the left of its line"""
_SHADES = {
    SafetyState.NO_NEW_RISK.value: "#8d97a3",
    SafetyState.REDUCE_ONLY.value: "#66717e",
    SafetyState.STOPPED.value: "#39424d",
}
_BOUGHT, _SOLD, _FLATTENED = "triangle-up", "triangle-down", "x"


def lanes_of(deeds: Deeds) -> list[str]:
    """Names of the lanes that have something to show."""
    held = any(step.state != SafetyState.NORMAL.value for step in deeds.safety)
    return [*([SAFETY] if held else []), *([DONE] if deeds.fills or deeds.flattens else [])]


def add_deeds(figure: go.Figure, past: Past, axis: Axis, ink: str) -> None:
    """Draw the lanes of what was done."""
    _states(figure, past, axis, ink)
    fills = [(fill.time, _BOUGHT if (fill.quantity or 0.0) > 0 else _SOLD, _of_fill(fill)) for fill in past.deeds.fills]
    runs = [
        (step.time, _FLATTENED, f"<b>Flatten</b>, confirmed by {_clean(step.author)}<br>{_clean(step.words)}")
        for step in past.deeds.flattens
    ]
    marks = sorted(fills + runs)
    if marks:
        times, symbols, words = zip(*marks, strict=True)
        figure.add_scatter(
            x=axis.drawn(times), y=[DONE] * len(marks), mode="markers", name="▲ bought ▼ sold ✕ flatten",
            legend=legend_of(FINDINGS), customdata=wall(np.array(times)),
            hovertext=[f"{full_time(moment(time))}<br>{said}" for time, said in zip(times, words, strict=True)],
            hoverinfo="text",
            marker={"symbol": symbols, "size": 9, "color": ink, "line": {"width": 0}}, row=FINDINGS, col=1,
        )  # fmt: skip


def _of_fill(fill: FillMark) -> str:
    side = "sold" if (fill.quantity or 0.0) < 0 else "bought"
    size = wording.quantity(None if fill.quantity is None else abs(fill.quantity))
    gate = "" if fill.gated else "<br>did not come through the gate"
    return f"<b>{side} {size} {text(fill.what)}</b> at {wording.number(fill.price, 2)}, {text(fill.account)}{gate}"


def _clean(words: str) -> str:
    return text(redact(words))


def _states(figure: go.Figure, past: Past, axis: Axis, ink: str) -> None:
    """A bar for as long as a state other than NORMAL was in force, whether the program ran or not: it survives that."""
    parts = [part for part in held(past.deeds.safety, past.points.begin, past.points.end) if part[2].state in _SHADES]
    if not parts:
        return
    edges = axis.drawn([edge for begin, end, _ in parts for edge in (begin, end)]).reshape(-1, 2)
    figure.add_bar(
        y=[SAFETY] * len(parts), base=edges[:, 0], x=np.maximum(edges[:, 1] - edges[:, 0], 1), orientation="h",
        marker={"color": [_SHADES[step.state] for *_, step in parts], "line": {"width": 1, "color": ink}},
        text=[step.state for *_, step in parts], textposition="inside", insidetextanchor="start", textangle=0,
        textfont={"color": "#ffffff"}, customdata=edges[:, 0], hovertext=[_says(*part) for part in parts],
        hoverinfo="text", showlegend=False, row=FINDINGS, col=1,
    )  # fmt: skip


def _says(begin: int, end: int, step: SafetyStep) -> str:
    since, long = day_and_time(moment(step.time)), wording.age((end - begin) / 1e6)
    return f"<b>{step.state}</b> from {since}, {long} of it here<br>set by {_clean(step.author)}: {_clean(step.reason)}"


def held(steps: Sequence[SafetyStep], begin: int, end: int) -> list[tuple[int, int, SafetyStep]]:
    """From when until when each state was in force between `begin` and `end`, in microseconds."""
    ends = [*(step.time for step in steps), end][1:]
    found = [(max(step.time, begin), min(until, end), step) for step, until in zip(steps, ends, strict=True)]
    return [part for part in found if part[0] < part[1]]


def changes(past: Past) -> list[SafetyStep]:
    """The steps within the range that changed the state."""
    steps = [SafetyStep(past.points.begin, SafetyState.NORMAL.value, "", ""), *past.deeds.safety]
    return [
        after
        for before, after in itertools.pairwise(steps)
        if after.state != before.state and past.points.begin <= after.time < past.points.end
    ]


def lines(past: Past, axis: Axis, ink: str) -> Iterator[Shape]:
    """A line through all charts at each change of the safety state, of many the newest."""
    for place in axis.drawn([step.time for step in changes(past)[-MOST_LINES:]]).tolist():
        yield from upright(place, {"width": 1.5, "dash": "dash", "color": ink})


def words(past: Past, axis: Axis, ink: str, paper: str) -> list[dict[str, object]]:
    """What each of those lines is, at the top of the first chart: `STOPPED 14:32`."""
    x, y = domain_of(WORTH)
    named = changes(past)[-MOST_WORDS:]
    places = axis.drawn([step.time for step in named]).tolist()
    return [
        {
            "text": f"<b>{step.state}</b> {day_and_time(moment(step.time)).split()[-2]}", "x": place, "xref": x,
            "y": 1 - 0.11 * (nth % 3), "yref": y, "yanchor": "top", **_beside(axis, step.time),
            "showarrow": False, "font": {"size": 11, "color": ink}, "bgcolor": paper, "borderpad": 1,
        }
        for nth, (place, step) in enumerate(zip(places, named, strict=True))
    ]  # fmt: skip


def _beside(axis: Axis, time: int) -> dict[str, object]:
    right = axis.seen((axis.begin, time)) > _RIGHT * axis.length
    return {"xanchor": "right", "xshift": -3} if right else {"xanchor": "left", "xshift": 3}

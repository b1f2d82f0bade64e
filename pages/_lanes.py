"""The strip of findings: one lane per check, coloured by level, with sign and word and a pattern of its own."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go

from guardrails import wording
from guardrails.findings import Level
from guardrails.store.history_findings import Lane, Segment
from guardrails.titles import title_of
from pages._folds import Axis
from pages._frame import FINDINGS, legend_of
from pages._history import Past, wall
from pages._parts import LOOKS, text

LANE_PIXELS = 24
MOST_SEGMENTS = 300
"""of one lane; more are told as the worst of each stretch of equal length"""
_COLOURS = {
    Level.OK: ("#2b8a57", ""),
    Level.WATCH: ("#e0a100", "/"),
    Level.UNKNOWN: ("#8b6fc9", "."),
    Level.BREACH: ("#cf3f36", "x"),
}
"""colour and pattern of a level; the worst is drawn last, over the others"""
_QUIET = 0.4
"""of what was OK, so that the eye finds the rest"""
_LEAST = 1 / 400
"""share of the range: what lasted shorter is drawn as wide as this, or it would not be seen"""
_EVIDENCE = ("use", "contributor", "headroom_contracts", "missing", "not_cleared", "cause")


def lanes_shown(lanes: Sequence[Lane]) -> list[Lane]:
    """The lanes of checks that were ever worse than OK; the rest is said in a sentence."""
    return [lane for lane in lanes if lane.worst.rank > Level.OK.rank]


def add_lanes(figure: go.Figure, past: Past, axis: Axis, names: Sequence[str], ink: str) -> None:
    """Draw the strip into `figure`, the worst lane on top; `names` are all its lanes, from the top."""
    lanes = lanes_shown(past.lanes)
    least = axis.length * _LEAST / 1000
    span = (past.points.begin, past.points.end)
    for level, (colour, pattern) in _COLOURS.items():
        parts = [(lane, part) for lane in lanes for part in drawn(lane, span) if part.level is level]
        if not parts:
            continue
        look = LOOKS[level]
        edges = wall(np.array([[part.begin, part.end] for _, part in parts]).ravel()).reshape(-1, 2)
        figure.add_bar(
            y=[title_of(lane.check) for lane, _ in parts], base=edges[:, 0],
            x=np.maximum(edges[:, 1] - edges[:, 0], 1 if level is Level.OK else least),
            orientation="h", name=f"{look.sign} {look.word}", legend=legend_of(FINDINGS),
            opacity=_QUIET if level is Level.OK else 1.0,
            marker={"color": colour, "line": {"width": 0}, "pattern": pattern_of(pattern)},
            text=[look.sign] * len(parts), textposition="inside", insidetextanchor="middle", textangle=0,
            customdata=edges[:, 0], hovertext=[says(part, lane) for lane, part in parts], hoverinfo="text",
            row=FINDINGS, col=1,
        )  # fmt: skip
    figure.update_layout(uniformtext={"mode": "hide", "minsize": 9})
    figure.update_yaxes(
        categoryorder="array", categoryarray=list(names)[::-1], tickfont={"size": 11, "color": ink},
        range=[-0.5, max(len(names), 1) - 0.5], fixedrange=True, automargin=True, row=FINDINGS, col=1,
    )  # fmt: skip


def pattern_of(shape: str) -> dict[str, object]:
    """White marks on the colour of the level, so that it is told in grey too."""
    return {"shape": shape, "fillmode": "overlay", "fgcolor": "#ffffff", "fgopacity": 0.55, "size": 6, "solidity": 0.25}


def drawn(lane: Lane, span: tuple[int, int]) -> list[Segment]:
    """The segments of `lane`; when there are too many to see, the worst of each of MOST_SEGMENTS equal stretches.

    Such a stretch is as long as what is known of it, from the first moment that is: nothing is claimed of the rest.
    """
    if len(lane.segments) <= MOST_SEGMENTS:
        return list(lane.segments)
    width = max((span[1] - span[0]) // MOST_SEGMENTS, 1)
    cells: dict[int, Segment] = {}
    for part in lane.segments:
        for cell in range((part.begin - span[0]) // width, (part.end - 1 - span[0]) // width + 1):
            begin, end = max(part.begin, span[0] + cell * width), min(part.end, span[0] + (cell + 1) * width)
            known = cells.get(cell)
            worse = part if known is None or known.level.rank < part.level.rank else known
            first, long = (begin, 0) if known is None else (known.begin, known.end - known.begin)
            cells[cell] = replace(worse, begin=first, end=first + long + end - begin)
    merged: list[Segment] = []
    for _, part in sorted(cells.items()):
        if merged and merged[-1].end == part.begin and merged[-1].level is part.level:
            merged[-1] = replace(merged[-1], end=part.end)
        else:
            merged.append(part)
    return merged


def says(part: Segment, lane: Lane) -> str:
    """What is known of a segment when it is pointed at."""
    look = LOOKS[part.level]
    figures = "" if part.value is None else f"{wording.amount(part.value, part.unit)}"
    bound = "" if part.limit is None else f"limit {wording.amount(part.limit, part.unit)}"
    lines = [
        f"<b>{look.sign} {look.word}</b> {text(title_of(lane.check))} for {wording.age((part.end - part.begin) / 1e6)}",
        *textwrap.wrap(text(part.message), 90)[:4],
        ", ".join(word for word in (figures, bound, f"matrix {text(part.matrix_version)}") if word),
        evidence(part.evidence),
    ]
    return "<br>".join(line for line in lines if line)


def evidence(stored: str) -> str:
    """The part of the evidence that a person reads, in one line."""
    try:
        found = json.loads(stored or "{}")
    except ValueError:
        return ""
    told = [
        f"{wording.plain(name)} {_short(found[name])}" for name in _EVIDENCE if found.get(name) not in (None, "", [])
    ]
    return text(textwrap.shorten("; ".join(told), 110, placeholder=" …"))


def _short(value: object) -> str:
    if isinstance(value, list):
        return wording.names([str(part) for part in value], 2)
    return f"{value:.3g}" if isinstance(value, float) else str(value)

"""The timeline of the alerts: a lane for each over time, coloured by severity, pale while somebody has it; and a table.

Times are New York clock time. A lane is drawn where its alert is known to have been open: from the step that opened
it, or from the beginning of the range when its first step there shows that it was open already.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from guardrails import calendar, wording
from guardrails.alerts.values import AlertRow, Reason, Severity, State
from guardrails.redaction import redact
from guardrails.store.alert_history import TimelineRow
from guardrails.store.metadata import micros
from guardrails.titles import headline
from pages._alerts import LOOK_OF, said, say_severity
from pages._charts import INK
from pages._history import wall
from pages._lanes import LANE_PIXELS, pattern_of

MOST_LANES = 30
"""the worst and the newest; how many are left out is said"""
_COLOURS = {
    Severity.WATCH: ("#e0a100", "/"),
    Severity.UNKNOWN: ("#8b6fc9", "."),
    Severity.BREACH: ("#cf3f36", "x"),
    Severity.CRITICAL: ("#9b1060", "+"),
}
"""colour and pattern of a severity; the worst is drawn last, over the others"""
_TAKEN = (State.ACKNOWLEDGED, State.SILENCED)
_PALE = 0.45
_LEAST = 1 / 400
"""share of the range: what lasted shorter is drawn as wide as this, or it would not be seen"""
_TOLD = {Reason.FIRST, Reason.WORSENED, Reason.BACK, Reason.REPEAT, Reason.ESCALATED, Reason.DIGEST, Reason.RESOLVED}
_NOT_THE_FIRST = {
    Reason.REPEAT, Reason.ESCALATED, Reason.RESOLVED, Reason.ACKNOWLEDGED, Reason.SILENCED, Reason.UNSILENCED,
    Reason.ACTED, Reason.RETURNED, Reason.BLIND, Reason.BACK,
}  # fmt: skip
"""a step for one of these shows that the alert was open before it, as bad as it then was"""
_LATE, _MARGIN, _ROOM = 0.1, 0.03, timedelta(minutes=5)
_LONGEST_NAME, _TOP, _BOTTOM = 48, 40, 40


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which an alert was open and nothing about it changed."""

    alert: str
    begin: datetime
    end: datetime
    severity: Severity
    state: State
    message: str


def stretches(rows: Sequence[TimelineRow], begin: datetime, end: datetime, active: Sequence[AlertRow]) -> list[Stretch]:
    """What the steps in `rows` (newest first) and the alerts open at `end` say of the time between."""
    steps: dict[str, list[TimelineRow]] = {}
    for row in reversed(rows):
        steps.setdefault(row.alert, []).append(row)
    still = {row.identity: row for row in active}
    found = []
    for alert, told in steps.items():
        first = told[0]
        if first.reason in _NOT_THE_FIRST and first.time > begin:
            was = State.FIRED if first.state is State.RESOLVED else first.state
            found.append(Stretch(alert, begin, first.time, first.severity, was, first.message))
        ends = [row.time for row in told[1:]] + [end if alert in still else told[-1].time]
        found += [
            Stretch(alert, row.time, until, row.severity, row.state, row.message)
            for row, until in zip(told, ends, strict=True)
            if row.state is not State.RESOLVED
        ]
    for alert, now in still.items():
        last = steps[alert][-1] if alert in steps else None
        if last is None or last.state is State.RESOLVED:  # the step that opened it is older, or not kept yet
            since = max(now.fired, begin if last is None else last.time)
            found.append(Stretch(alert, min(since, end), end, now.severity, now.state, now.problem.message))
    return found


def lanes(parts: Sequence[Stretch]) -> list[str]:
    """The alerts of `parts`, worst first, then those that were open last."""
    rank: dict[str, tuple[int, datetime]] = {}
    for part in parts:
        known = rank.get(part.alert)
        mine = (part.severity.rank, part.end)
        rank[part.alert] = mine if known is None else (max(known[0], mine[0]), max(known[1], mine[1]))
    return sorted(rank, key=lambda alert: rank[alert], reverse=True)


def figure_of(
    parts: Sequence[Stretch], rows: Sequence[TimelineRow], begin: datetime, end: datetime, theme: str
) -> go.Figure:
    """The picture; equal readings make an equal one."""
    shown = lanes(parts)[:MOST_LANES]
    names = {alert: name_of(alert) for alert in shown}
    span = places([first_shown(parts, begin, end), end])
    least = (span[1] - span[0]) * _LEAST
    figure = go.Figure()
    for severity, (colour, pattern) in _COLOURS.items():
        for taken in (False, True):
            group = [p for p in parts if p.alert in names and p.severity is severity and (p.state in _TAKEN) is taken]
            if group:
                _bars(figure, group, names, least, severity, colour, pattern, taken=taken)
    _marks(figure, [row for row in rows if row.alert in names and row.reason in _TOLD], names, INK[theme])
    # text has no colour and the figure no template of ours: the browser then gives it the colours of its theme, at once
    grid = "rgba(128,128,128,.25)"
    figure.update_layout(
        height=_TOP + _BOTTOM + max(len(shown), 2) * LANE_PIXELS, barmode="overlay", bargap=0.25,
        margin={"l": 10, "r": 10, "t": _TOP, "b": _BOTTOM}, paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)", font={"size": 12}, hovermode="closest",
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0}, uniformtext={"mode": "hide", "minsize": 9},
        xaxis={
            "type": "date", "range": span, "showgrid": True, "gridcolor": grid, "zeroline": False,
        },
        yaxis={
            "categoryorder": "array", "categoryarray": list(dict.fromkeys(names.values()))[::-1], "automargin": True,
            "fixedrange": True, "tickfont": {"size": 11}, "showgrid": False,
            "range": [-0.5, max(len(set(names.values())), 1) - 0.5],
        },
    )  # fmt: skip
    return figure


def first_shown(parts: Sequence[Stretch], begin: datetime, end: datetime) -> datetime:
    """Where the picture begins: shortly before the first alert when a tenth of the range or more would be empty."""
    first = min((part.begin for part in parts), default=begin)
    if first - begin < _LATE * (end - begin):
        return begin
    return max(first - max(_MARGIN * (end - first), _ROOM), begin)


def _bars(
    figure: go.Figure, group: Sequence[Stretch], names: Mapping[str, str], least: float,
    severity: Severity, colour: str, pattern: str, *, taken: bool,
) -> None:  # fmt: skip
    look = LOOK_OF[severity]
    begins, ends = places([part.begin for part in group]), places([part.end for part in group])
    figure.add_bar(
        y=[names[part.alert] for part in group], base=begins,
        x=[max(until - since, least) for since, until in zip(begins, ends, strict=True)],
        orientation="h", name=f"{look.sign} {look.word}{', somebody has it' if taken else ''}",
        marker={"color": colour, "line": {"width": 0}, "pattern": pattern_of(pattern)}, opacity=_PALE if taken else 1.0,
        text=[look.sign] * len(group), textposition="inside", insidetextanchor="middle", textangle=0,
        hovertext=[says(part) for part in group], hoverinfo="text",
    )  # fmt: skip


def _marks(figure: go.Figure, rows: Sequence[TimelineRow], names: Mapping[str, str], ink: str) -> None:
    if rows:
        figure.add_scatter(
            x=places([row.time for row in rows]), y=[names[row.alert] for row in rows], mode="markers", name="told",
            marker={"symbol": "triangle-down", "size": 8, "color": ink, "line": {"width": 1, "color": "#ffffff"}},
            hovertext=[f"told: {said(row.reason)}" for row in rows], hoverinfo="text",
        )  # fmt: skip


def says(part: Stretch) -> str:
    """What is known of a stretch when it is pointed at."""
    look = LOOK_OF[part.severity]
    seconds = (part.end - part.begin).total_seconds()
    lines = [
        f"<b>{look.sign} {look.word}</b> {said(name_of(part.alert))}: {part.state.value} for {wording.age(seconds)}",
        *(said(line) for line in textwrap.wrap(part.message, 90)[:4]),
    ]
    return "<br>".join(lines)


def name_of(alert: str) -> str:
    """What a lane is called: the title of its alert, shortened."""
    check, _, subject = alert.partition(" ")
    return textwrap.shorten(redact(headline(check, subject)), _LONGEST_NAME, placeholder=" …")


def places(times: Sequence[datetime]) -> list[int]:
    """Where `times` stand on an axis of New York clock time."""
    found: list[int] = wall(np.array([micros(time) for time in times], dtype=np.int64)).tolist()
    return found


def table_of(rows: Sequence[TimelineRow]) -> pd.DataFrame:
    """Every step, newest first; a time as New York clocks show it."""
    return pd.DataFrame(
        {
            "Time, ET": pd.to_datetime([row.time for row in rows], utc=True).tz_convert(calendar.NEW_YORK),
            "Severity": [say_severity(row.severity) for row in rows],
            "Alert": [redact(headline(row.check, row.subject)) for row in rows],
            "State": [row.state.value for row in rows],
            "Why": [row.reason for row in rows],
            "Who": [redact(row.author) for row in rows],
            "Words": [redact(row.words) for row in rows],
            "What": [redact(row.message) for row in rows],
        }
    )


def summary(parts: Sequence[Stretch]) -> str:
    """The picture in words, for those who do not see it."""
    worst: dict[str, Severity] = {}
    for part in sorted(parts, key=lambda part: part.severity.rank):
        worst[part.alert] = part.severity
    counts = [f"{list(worst.values()).count(severity)} {LOOK_OF[severity].word}" for severity in LOOK_OF]
    names = wording.names([name_of(alert) for alert in lanes(parts)], 10)
    return f"Timeline of {len(worst)} alerts, by the worst they were: {', '.join(counts)}. {names}."

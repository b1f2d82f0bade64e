"""The History page in words: what is drawn, what is missing, and the picture for those who do not see it."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from guardrails import wording
from guardrails.findings import Level
from guardrails.store.metadata import moment
from guardrails.store.points import held_at_most
from guardrails.titles import title_of
from pages._comings import sentence
from pages._folds import axis_of
from pages._history import Past, gaps
from pages._lanes import lanes_shown
from pages._moment import clock, day_and_time
from pages._parts import counted
from pages._paths import LAST_GOOD

_LITTLE = 0.1
"""part of a range; who sees less of it may look for what was filled in"""
_LAST_COUNTS = " (of a quarter of an hour its last moment counts)"


def about(past: Past, now: datetime, first: datetime | None = None) -> str:
    """How many points, how far apart, what is missing: one caption; `first` is the oldest moment that is kept."""
    totals, points = past.totals, past.points
    rows, unknown = int(totals.rows.sum()), int(totals.unknown.sum())
    axis = axis_of(past)
    # of a gap that is left out the minutes between the last row and the bell are none of their own
    least = held_at_most(points)
    silent = [gap for gap in gaps(totals.covered()) if axis.seen(gap) > min(least, gap[1] - gap[0] - 1)]
    said = [f"as of {clock(past.end)}" if past.end.date() == now.date() else f"to {day_and_time(past.end)}"]
    said.append(counted(len(totals.key), "point") + (f" of {rows:,} rows" if rows > len(totals.key) else ""))
    of_quarters = totals.time < points.raw_from
    old, recent = bool(of_quarters.any()), not of_quarters.all()
    widths = [wording.age(points.quarter_width / 1e6)] if old else []
    if recent:
        widths.append(wording.age(points.raw_width / 1e6) if points.raw_width else "every kept row in recent days")
    said.append(f"spacing {' and '.join(dict.fromkeys(widths))}")
    lost = sum(map(axis.seen, silent)) / 1e6
    said.append(f"{counted(len(silent), 'gap')} without data ({wording.age(lost)})" if silent else "no gap")
    said.append(_known(unknown, old=old, recent=recent))
    if stale := int((~past.current.book).sum()):
        said.append(f"{counted(stale, 'point')} not current (dotted: {LAST_GOOD})")
    if len(past.records.time):
        said.append(f"{counted(len(past.records.time), 'day')} from the broker's records, dashed")
    if folded := axis.folds:
        long = sum(end - begin for begin, end in folded) / 1e6
        said.append(f"{wording.age(long)} of closed hours without data left out")
    kept = sum(end - begin for begin, end in totals.covered())
    if first is not None and first < past.begin and kept < _LITTLE * (points.end - points.begin):
        said.append(f"little is of this range, but the history goes back to {day_and_time(first)}: choose a longer one")
    return ", ".join(said) + ". New York time. Drag to zoom all charts, double-click to see the whole range."


def _known(unknown: int, *, old: bool, recent: bool) -> str:
    """How much of net liquidation is known: of quarters only their last moment is."""
    if unknown:
        return f"net liquidation unknown in {counted(unknown, 'row')}" + (_LAST_COUNTS if old else "")
    places = ["at the last moment of every quarter of an hour"] if old else []
    return f"net liquidation known {' and '.join([*places, *(['in every kept row'] if recent else [])])}"


def left_out(past: Past) -> list[str]:
    """What is not in the picture, a sentence each."""
    quiet = [lane for lane in past.lanes if lane not in lanes_shown(past.lanes)]
    words = [*([changed] if (changed := sentence(past)) else []), *past.words]
    points = past.points
    if points.raw_width or (past.totals.time < points.raw_from).any():
        words.append(
            "Where a point stands for a quarter of an hour or more, lines show its last moment: only the band around "
            "net liquidation and the cushion tell what was lower within it."
        )
    if not past.current.book.all():
        words.append(
            "While a source was silent or an account could not be read, figures are the last good ones: those lines "
            "are dotted, and limits that could not be judged are not drawn."
        )
    if quiet:
        words.append(f"OK whenever they were judged: {', '.join(title_of(lane.check) for lane in quiet)}.")
    if past.deeds.complete_from > past.points.begin:
        words.append(f"Fills are drawn from {day_and_time(moment(past.deeds.complete_from))} on: there are too many.")
    if past.lanes_from > past.points.begin:
        words.append(
            f"Levels changed too often to show all: the findings begin {day_and_time(moment(past.lanes_from))}, with "
            "the levels that stood then."
        )
    words.append(
        "Drawdown is measured from the highest net liquidation ever kept; cash flows that were reported while the "
        "program ran are taken out, each when it became known, and an account that comes or goes counts as one. Where "
        "money moved within a point, the lower peak is taken. Cash flows of other times, and of a broker that reports "
        "none, are not known: a withdrawal then looks like a loss."
    )
    if any(run.limits is None for run in past.runs):
        words.append("The text of a matrix then in force is not kept: its bands and cushion limit are not drawn.")
    return words


def summary(past: Past) -> str:
    """The picture in words, for those who do not see it."""
    net = past.totals.figures["net_liquidation"]
    known = net[~np.isnan(net)]
    worth = (
        f"Net liquidation from {wording.money(float(known[0]))} to {wording.money(float(known[-1]))}, lowest "
        f"{wording.money(float(known.min()))}, highest {wording.money(float(known.max()))}. "
        if len(known)
        else "Net liquidation unknown. "
    )
    bad = [lane for lane in past.lanes if lane.worst is Level.BREACH]
    since = "" if past.lanes_from <= past.points.begin else f" since {day_and_time(moment(past.lanes_from))}"
    if bad:
        broken = f"Breaches of {', '.join(title_of(lane.check) for lane in bad)}{since}. "
    elif many := past.totals.level.count(Level.BREACH.value):
        broken = f"Breaches at {counted(many, 'point')}, of which the checks are not told. "
    elif past.lanes:
        unseen = [title_of(lane.check) for lane in past.lanes if lane.worst is Level.UNKNOWN]
        but = f", but not always known: {', '.join(unseen)}" if unseen else ""
        broken = f"No breach{since}{', what was before is not known' if since else ''}{but}. "
    else:
        broken = "No limit was judged. "
    if not past.current.book.all():
        broken += f"At {counted(int((~past.current.book).sum()), 'point')} figures are the last good ones. "
    below = past.below_peak[~np.isnan(past.below_peak)]
    fall = f"Deepest drawdown {wording.percent(float(below.max()))}. " if len(below) else ""
    return (
        f"History from {day_and_time(past.begin)} to {day_and_time(past.end)}. {worth}{fall}{broken}"
        f"{sentence(past)}{' ' if past.comings else ''}"
        "Below: limits, findings, cushions, theta over vega, drawdown, volatility, theta over delta."
    )

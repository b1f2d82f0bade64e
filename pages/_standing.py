"""Where the book stood against its limits at the end of a range, and since when: what is looked for first."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import shorten

import streamlit as st

from guardrails import wording
from guardrails.findings import Level
from guardrails.store.metadata import moment
from guardrails.titles import title_of
from pages._history import Past, gaps
from pages._moment import day_and_time
from pages._parts import pill, text

_MOST_STANDING, _LONGEST = 6, 160
"""rows that are shown at once, and letters of the message of each"""
_NOT_TOLD = ("Nothing was judged.", "Only one moment is kept yet: its levels are told once there is a second. Refresh.")
"""where no check has a level: of a range, of a single moment"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A check that was worse than OK at the last moment of a range, and since when."""

    check: str
    level: Level
    since: int
    """microseconds"""
    is_older: bool
    """it may have begun before: the range, or what is read of it, does"""
    message: str


def standing(past: Past) -> list[Standing]:
    """What was worse than OK when the program was last seen to run in this range, worst first.

    A level goes on over a time in which the program did not run when it is the same on both sides.
    """
    covered = past.totals.covered()
    silent, found = set(gaps(covered)), []
    for lane in past.lanes:
        last = first = lane.segments[-1]
        if not covered or last.end < covered[-1][1] or last.level.rank <= Level.OK.rank:
            continue
        for part in lane.segments[-2::-1]:
            if part.level is not last.level or not (part.end == first.begin or (part.end, first.begin) in silent):
                break
            first = part
        is_older = first.begin <= max(covered[0][0], past.lanes_from)
        found.append(Standing(lane.check, last.level, first.begin, is_older, last.message))
    return sorted(found, key=lambda one: (-one.level.rank, -one.since))


def since(one: Standing, until: int) -> str:
    """`since Wed 18 Nov 12:30 ET (3.5 h)`."""
    word = "since before" if one.is_older else "since"
    more = "more than " if one.is_older else ""
    return f"{word} {day_and_time(moment(one.since))} ({more}{wording.age((until - one.since) / 1e6)})"


def where_it_stands(past: Past) -> None:
    """Draw what was worse than OK at the end of the range, and since when."""
    covered = past.totals.covered()
    if not covered:
        return
    until = covered[-1][1]
    found = standing(past)
    judged = any(lane.segments[-1].end >= until for lane in past.lanes)
    told = [
        _standing_row(one.level, f"<b>{text(title_of(one.check))}</b> {text(since(one, until))}", one.message)
        for one in found
        if one.level is not Level.WATCH
    ]
    if near := [one for one in found if one.level is Level.WATCH]:
        names = "; ".join(f"<b>{text(title_of(one.check))}</b> {text(since(one, until))}" for one in near)
        told.append(_standing_row(Level.WATCH, names, ""))
    if not found:
        words = "Every limit that was judged was kept." if judged else _NOT_TOLD[until == covered[0][0]]
        told.append(_standing_row(Level.OK if judged else Level.UNKNOWN, words, ""))
    st.markdown(f"**Where it stood {day_and_time(moment(until))}**")
    st.html(f'<ul class="pg-list">{"".join(told[:_MOST_STANDING])}</ul>')
    if len(told) > _MOST_STANDING:
        with st.expander(f"{len(told) - _MOST_STANDING} more", key="history_standing"):
            st.html(f'<ul class="pg-list">{"".join(told[_MOST_STANDING:])}</ul>')


def _standing_row(level: Level, words: str, message: str) -> str:
    soft = f' <span class="pg-soft">{text(shorten(message, _LONGEST, placeholder=" …"))}</span>' if message else ""
    return f'<li>{pill(level)}<div class="pg-body">{words}{soft}</div></li>'

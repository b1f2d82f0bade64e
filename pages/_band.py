"""The band that says a page shows the past, with its way back, and the small door into the past beside the header."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import streamlit as st

from guardrails import calendar, wording
from guardrails.engine import Engine
from pages import _past
from pages._header import header
from pages._moment import full_time
from pages._parts import text

OF_THE_PAST = ("Risk", "Positions", "Scenarios", "Limits", "Data")
"""titles of the pages that show a past moment; the others stay of now and say so"""
OTHERS = {
    "History": "This page shows all that is stored.",
    "Alerts": "This page is of now; alerts of a past moment are in its timeline.",
}


def band(past: _past.Past, now: datetime, version: str, title: str) -> str:
    """HTML of the band on the page called `title`; `version` is that of the matrix in force now."""
    ago = wording.age((now - past.time).total_seconds())
    if title not in OF_THE_PAST:
        shown = ", ".join(OF_THE_PAST)
        words = (
            f"<b>{OTHERS.get(title, 'This page is of now.')}</b> {shown} show {text(full_time(past.time))} ({ago} ago)."
        )
    elif past.moment.snapshot is None:
        words = f"<b>{text(full_time(past.time))}</b> ({ago} ago): nothing to show. Nothing below is of now."
    else:
        words = (
            f"as it was <b>{text(full_time(past.time))}</b> ({ago} ago). Nothing below is of now. "
            "Where it says now or today, that moment is meant."
        )
    if past.version:
        same = "the same as today's" if past.version == version else "not today's"
        words += f" Matrix then: version {text(past.version)} ({same})."
    more = f"<div>{text(past.words)}</div>" if past.words and past.moment.snapshot is not None else ""
    sign = '<span aria-hidden="true">◷</span>'
    return f'<section class="pg-past" role="status"><strong>{sign} PAST</strong> <div>{words}{more}</div></section>'


def controls(past: _past.Past) -> None:
    """Draw the way back, one step to either side, and a jump to another moment."""
    with st.container(key="past_controls", horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Back to now", key="past_leave", type="primary", icon=":material/today:", on_click=_past.leave)
        for label, forward, to in (("◀ earlier", False, past.before), ("later ▶", True, past.after)):
            st.button(
                label,
                key=f"past_{'later' if forward else 'earlier'}",
                on_click=_past.step,
                kwargs={"forward": forward},
                disabled=to is None and not forward,
                help="The next stored moment." if to is None else f"The stored moment {full_time(to)}.",
            )
        key = f"past_at_{past.time.timestamp()}"  # another moment begins with its own time
        picked = picker(key, past.time)
        if st.button("Show (ET)", key="past_show", help="The last stored moment at or before this time in New York."):
            _past.look_at(picked)
            st.rerun()


def door(service: Engine) -> None:
    """Draw the small door into the past."""
    # the label is for who cannot see the icon; the style sheet keeps it out of sight
    with st.popover("Look back", icon=":material/history:", help="Look back at an earlier moment", key="past_door"):
        st.markdown("Show Risk, Positions, Scenarios, Limits and Data as they were at this time in New York (ET).")
        with st.container(horizontal=True):  # side by side: the calendar unfolds below
            picked = picker("past_first", service.now())
            if st.button("Show the past", key="past_open", type="primary"):
                _past.go(picked)


def picker(key: str, start: datetime) -> datetime:
    """Date and time on New York clocks, naive, to the minute; `start` is where it begins."""
    return st.datetime_input(
        "Date and time in New York (ET)",
        local(start),
        key=key,
        step=timedelta(minutes=1),
        format="YYYY-MM-DD",
        required=True,
        label_visibility="collapsed",
        width=210,
    )


def local(time: datetime) -> datetime:
    """What New York clocks show, to the minute."""
    return time.astimezone(calendar.NEW_YORK).replace(second=0, microsecond=0, tzinfo=None)


@contextmanager
def body(past: _past.Past | None, title: str) -> Iterator[None]:
    """Where a page is drawn: tinted and hatched, under the lights of then, when it shows the past."""
    if past is None or title not in OF_THE_PAST:
        yield
        return
    with st.container(key="past_body"):
        if past.moment.snapshot is not None:
            st.html(header(past.moment, "THEN"))
        yield

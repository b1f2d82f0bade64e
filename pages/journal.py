"""Journal: trades as stories (opened, rolled, closed), what they did to risk, what was written, and how the rules were
kept.
"""

from __future__ import annotations

import streamlit as st

from guardrails.findings import Level
from guardrails.requests import Kind
from pages import _past
from pages._alerts import one, short
from pages._engine import Stored, engine, stored
from pages._journal_past import FILTERS, JournalRead, Picked, entries_in, options_of, range_of, read, stories_in
from pages._journal_rows import note, tables
from pages._journal_words import label_of, story_html, unguarded_words
from pages._moment import day_and_time, full_time
from pages._parts import counted, text
from pages._ticket_standing import OLD_SECONDS, discipline
from pages._wishes import answers, look, watcher_of

MOST_STORIES = 40
"""unfolded one by one; the rest stands in the table"""
service = engine()
now_shown = _past.chosen() is None


@st.fragment(run_every=service.settings.refresh_seconds)
def today() -> None:
    """Draw how the rules were kept today, and what came of the notes that were sent."""
    orders, watcher = service.orders, watcher_of(service.health().watched_by)
    if orders is None:
        st.html(
            one(Level.UNKNOWN, f"How the rules were kept today is not known: {watcher} has not told of orders yet.")
        )
    else:
        old = (service.now() - orders.as_of).total_seconds() > OLD_SECONDS
        wrong = orders.problem or (f"This is of {full_time(orders.as_of)}." if old else "")
        st.html((one(Level.UNKNOWN, wrong) if wrong else "") + discipline(orders.discipline))
    look(service)
    st.html(answers(service, (Kind.NOTE,)) or "<span></span>")


def page(kept: Stored) -> None:
    """Draw the journal of what is kept."""
    begin, end = range_of(service.now())
    told = read(kept, end, service.now())
    if isinstance(told, str):
        st.html(one(Level.UNKNOWN, f"{told} What was done before is not known; try Refresh."))
        return
    picked = Picked(begin, end, filters(told))
    stories, rows = stories_in(told, picked), entries_in(told, picked)
    since = "the beginning" if begin is None else day_and_time(begin)
    st.caption(f"As of {full_time(end)}, from {since}: {counted(len(stories), 'trade')}, {counted(len(rows), 'step')}.")
    if words := unguarded_words(rows):
        st.html(one(Level.WATCH, words))
    if now_shown:
        with st.expander("Write a note", key="journal_write", icon=":material/edit_note:"):
            note(service, stories)
    if not rows:
        nothing(told)
        return
    for story in stories[:MOST_STORIES]:
        with st.expander(label_of(story), key=f"story_{short(story.key)}"):
            st.html(story_html(story))
    if len(stories) > MOST_STORIES:
        st.caption(f"{counted(len(stories) - MOST_STORIES, 'older trade')} only in the table.")
    tables(stories, rows)


def filters(told: JournalRead) -> dict[str, list[str]]:
    """Draw the filters; what is picked of each."""
    options = options_of(told.entries)
    with st.container(horizontal=True):
        return {
            name: st.multiselect(name.capitalize(), options[name], key=f"journal_{name}", placeholder="all")
            for name in FILTERS
        }


def nothing(told: JournalRead) -> None:
    """Say why there is nothing to see."""
    if told.entries:
        st.write("Nothing was done in this range that fits what is picked: choose a longer range, or pick less.")
        return
    st.write(
        "Nothing is in the journal yet. Every fill comes here by itself, with the book before and after it; so do "
        "refused orders, overrides and changes of the safety state."
    )


if not now_shown:
    st.html(f'<div class="pg-filter">{text("You look at the past; the journal is all that was ever done.")}</div>')
today()
if (history := stored()) is None:
    st.html(one(Level.UNKNOWN, "Nothing is kept: there is no database that works, so there is no journal."))
else:
    page(history)

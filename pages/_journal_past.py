"""The journal read from the store in one go, and what of it is shown: on a button or another choice, never in a part
that ticks. Trades are put together from all entries, so that a range cuts none of them in two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import streamlit as st
from sqlalchemy.exc import SQLAlchemyError

from guardrails.errors import GuardrailsError
from guardrails.execution.values import JournalEntry, JournalKind
from guardrails.journal.trades import TradeStory, trades_of
from guardrails.store.journal_history import JournalFilter, entries
from pages._away import away, failed
from pages._engine import Stored
from pages._history import ALL, RANGES

MOST_ENTRIES = 20_000
"""read at once, the newest: years of a book that is traded by a person"""
CHOICES = (*RANGES, ALL)
FILTERS = ("underlying", "regime", "tag", "account")
_RANGE, _AT, _READ = "journal_range", "journal_at", "journal_read"


@dataclass(frozen=True, slots=True)
class JournalRead:
    """All of it, as it was at one moment."""

    time: datetime
    entries: tuple[JournalEntry, ...]
    """newest first"""
    stories: tuple[TradeStory, ...]
    """newest first, by their last entry"""


@dataclass(frozen=True, slots=True)
class Picked:
    """What a person wants to see; an empty choice lets everything pass."""

    begin: datetime | None
    end: datetime
    """what was done after it was not read"""
    chosen: Mapping[str, Sequence[str]]
    """by name of FILTERS"""


def range_of(now: datetime) -> tuple[datetime | None, datetime]:
    """Draw the range picker; return what is chosen, without a beginning for all of it."""
    st.session_state.setdefault(_AT, now)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        choice = str(st.segmented_control("Range", CHOICES, default=CHOICES[1], key=_RANGE, required=True))
        st.button("Refresh", key="journal_refresh", icon=":material/refresh:", on_click=anew,
                  help="What is below does not tick.")  # fmt: skip
    end: datetime = st.session_state[_AT] or now
    st.session_state[_AT] = end
    return (end - RANGES[choice] if choice in RANGES else None), end


def read(stored: Stored, end: datetime, now: datetime) -> JournalRead | str:
    """All of it up to `end`, read once; or why it cannot be read."""
    key = (end, stored.book, stored.database.name, stored.database.generation)
    known = st.session_state.get(_READ)
    if known is not None and known[0] == key:
        found: JournalRead = known[1]
        return found
    if words := away(stored, now):
        return words
    try:
        with st.spinner("Reading the journal …", show_time=True):
            told = load(stored, end)
    except (SQLAlchemyError, OSError, GuardrailsError) as error:
        return failed(stored, error, now)
    st.session_state[_READ] = (key, told)
    return told


def load(stored: Stored, end: datetime) -> JournalRead:
    """All of it from the store; raises what a database raises."""
    told = entries(stored.database, stored.book, JournalFilter(), MOST_ENTRIES)
    stories = sorted(trades_of(told), key=lambda story: (story.parts[-1].entry.time, story.key), reverse=True)
    return JournalRead(end, tuple(told), tuple(stories))


def options_of(told: Iterable[JournalEntry]) -> dict[str, list[str]]:
    """What can be picked of each filter."""
    every = list(told)
    values = {
        "underlying": {entry.underlying for entry in every},
        "regime": {regime_of(entry) for entry in every},
        "tag": {tag_of(entry) for entry in every},
        "account": {entry.account for entry in every},
    }
    return {name: sorted(found - {""}) for name, found in values.items()}


def stories_in(told: JournalRead, picked: Picked) -> list[TradeStory]:
    """The trades of which any entry is of the range and passes every filter, newest first."""
    return [story for story in told.stories if any(_passes(part.entry, picked) for part in story.parts)]


def entries_in(told: JournalRead, picked: Picked) -> list[JournalEntry]:
    """The entries of the range that pass every filter, newest first."""
    return [entry for entry in told.entries if _passes(entry, picked)]


def regime_of(entry: JournalEntry) -> str:
    """In force before it; empty where that is not known."""
    return "" if entry.before is None else entry.before.regime


def tag_of(entry: JournalEntry) -> str:
    """Its tag; what came from outside has none."""
    return entry.tag if entry.kind is JournalKind.FILL or entry.tag != "MANUAL" else ""


def anew() -> None:
    """Read again, up to now."""
    st.session_state[_AT] = None
    st.session_state.pop(_READ, None)


def _passes(entry: JournalEntry, picked: Picked) -> bool:
    values = {
        "underlying": entry.underlying, "regime": regime_of(entry), "tag": tag_of(entry), "account": entry.account,
    }  # fmt: skip
    return (picked.begin is None or entry.time >= picked.begin) and all(
        not wanted or values[name] in wanted for name, wanted in picked.chosen.items()
    )

"""The journal as tables that can be sorted and saved, and the note that is written there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from guardrails import calendar
from guardrails.engine import Engine
from guardrails.execution.values import JournalEntry
from guardrails.journal.trades import TradeStory
from guardrails.redaction import redact
from guardrails.requests import Kind
from guardrails.store.journal_history import csv_rows
from pages._journal_past import regime_of, tag_of
from pages._journal_words import KINDS, legs_words, title_of
from pages._moment import day_and_time
from pages._wishes import called, pending, who, wish

NOTHING = "nothing in particular"
_MOST_CHOICES = 200
_MOST_WORDS = 2_000
_TIME = "ddd D MMM HH:mm:ss"


def story_table(stories: Sequence[TradeStory]) -> pd.DataFrame:
    """One row per trade, newest first."""
    return pd.DataFrame(
        {
            "Opened, ET": _times([story.opened for story in stories]),
            "Closed, ET": _times([story.closed for story in stories]),
            "Underlying": [story.underlying for story in stories],
            "Account": [story.account for story in stories],
            "Rolls": [story.rolls for story in stories],
            "Net $": [story.net for story in stories],
            "Gained $": [None if story.begun_before else story.realised for story in stories],
            "Regime": [story.regime for story in stories],
            "Tag": [", ".join(story.tags) for story in stories],
            "Open legs": [legs_words(story.legs) for story in stories],
        }
    )


def entry_table(told: Sequence[JournalEntry], trades: Mapping[str, str]) -> pd.DataFrame:
    """One row per entry, newest first; `trades` is the trade by key of the entry."""
    return pd.DataFrame(
        {
            "Time, ET": _times([entry.time for entry in told]),
            "What": [KINDS[entry.kind] for entry in told],
            "Underlying": [entry.underlying for entry in told],
            "Account": [entry.account for entry in told],
            "Legs": [legs_words(entry.legs) for entry in told],
            "Packages": [entry.quantity if entry.legs else None for entry in told],
            "Price": [entry.price for entry in told],
            "Net $": [entry.net for entry in told],
            "Fees $": [entry.fees for entry in told],
            "VIX": [None if entry.before is None else entry.before.vix for entry in told],
            "Regime": [regime_of(entry) for entry in told],
            "Tag": [tag_of(entry) for entry in told],
            "By": [redact(entry.author) for entry in told],
            "Words": [redact(entry.words) for entry in told],
            "Trade": [trades.get(entry.key, entry.trade) for entry in told],
        }
    )


def _times(times: Sequence[object]) -> pd.DatetimeIndex:
    return pd.to_datetime(list(times), utc=True).tz_convert(calendar.NEW_YORK)  # type: ignore[arg-type]  # None is no time


def tables(stories: Sequence[TradeStory], told: Sequence[JournalEntry]) -> None:
    """Draw both tables, and what hands them out as a file."""
    trades = trades_by_entry(stories)
    with st.expander(f"Trades as a table: {len(stories)}", key="journal_trades"):
        _table(story_table(stories), "journal-trades", "Trades with what they brought")
    with st.expander(f"Entries as a table: {len(told)}", key="journal_entries"):
        _table(entry_table(told, trades), "journal-entries", "Entries of the journal")
        st.download_button(
            "Download as CSV", lambda: as_csv(told, trades), file_name="journal.csv", mime="text/csv",
            key="save_journal", icon=":material/download:", on_click="ignore",
            help="One row for each leg, with the book before and after; empty is not known.",
        )  # fmt: skip


def as_csv(told: Sequence[JournalEntry], trades: Mapping[str, str]) -> bytes:
    """A CSV file of these entries; texts redacted, and none that a spreadsheet would take for a formula."""
    rows = [{name: _cell(value) for name, value in row.items()} for row in csv_rows(told, dict(trades))]
    return pd.DataFrame(rows).to_csv(index=False).encode()


def _cell(value: str | float | None) -> str | float | None:
    if not isinstance(value, str):
        return value
    value = redact(value)
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def trades_by_entry(stories: Sequence[TradeStory]) -> dict[str, str]:
    """Identity of the trade by key of the entry or note; of one that closed two trades that of either."""
    told = [(entry.key, story.key) for story in stories for entry in story.notes]
    return dict(told + [(part.entry.key, story.key) for story in stories for part in story.parts])


def _table(table: pd.DataFrame, name: str, alt: str) -> None:
    zone = calendar.NEW_YORK.key
    config: dict[str, object] = {
        column: st.column_config.DatetimeColumn(format=_TIME, timezone=zone)
        for column in table.columns if str(column).endswith(", ET")
    }  # fmt: skip
    dollars = [column for column in table.columns if str(column).endswith("$")]
    config |= {column: st.column_config.NumberColumn(format="localized", step=0.01) for column in dollars}
    st.dataframe(table, key=name, hide_index=True, placeholder="–", alt=alt, column_config=config)  # type: ignore[arg-type]  # columns of two kinds


def note(service: Engine, stories: Sequence[TradeStory]) -> None:
    """Draw the form in which a note is written, about a trade or nothing in particular."""
    shown = stories[:_MOST_CHOICES]
    about = {f"{title_of(story)} ({day_and_time(story.opened)})": story.parts[-1].entry.key for story in shown}
    with st.form("journal_note", clear_on_submit=True, border=False):
        words = st.text_area("Note", max_chars=_MOST_WORDS, placeholder="What you saw, why you did it, what you learn.")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            choice = st.selectbox("About", [NOTHING, *about], key="journal_about")
            name = st.text_input("Your name", who(), max_chars=60, key="journal_author").strip()
            sent = st.form_submit_button("Write it down", type="primary")
    if not sent:
        return
    if not words.strip() or not name:
        st.html('<div class="pg-wrong" role="alert">Write something, and say who you are.</div>')
        return
    called(name)
    target = hashlib.blake2s(f"{choice} {words}".encode(), digest_size=6).hexdigest()
    body = {"words": words.strip()} | ({"entry": about[choice]} if choice in about else {})
    if not pending(Kind.NOTE, target, service.now()):
        wish(service, Kind.NOTE, target, f"Note about {choice}", body, name)

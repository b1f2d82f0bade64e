"""What became of alerts and messages over a range, read from the store in one go: on a button or another range, never
in a part that ticks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import streamlit as st
from sqlalchemy.exc import SQLAlchemyError

from guardrails.errors import GuardrailsError
from guardrails.store.alert_history import CheckCount, DeliveryRow, TimelineRow, counts, deliveries, timeline
from guardrails.titles import title_of
from pages._away import away, failed
from pages._engine import Stored
from pages._history import RANGES
from pages._parts import counted

CHOICES = ("1 day", "1 week", "1 month")
MOST_STEPS, MOST_MESSAGES = 5_000, 1_000
OFTEN = 5
"""told so often and never acted on is worth a sentence"""
_CHOICE, _AT, _READ = "alerts_range", "alerts_at", "alerts_read"


@dataclass(frozen=True, slots=True)
class AlertPast:
    """One range."""

    begin: datetime
    end: datetime
    steps: list[TimelineRow]
    """newest first"""
    messages: list[DeliveryRow]
    """newest first"""
    checks: list[CheckCount]


def range_of(now: datetime) -> tuple[datetime, datetime]:
    """Draw the range picker; return what is chosen."""
    st.session_state.setdefault(_AT, now)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        choice = st.segmented_control("Range", CHOICES, default=CHOICES[0], key=_CHOICE, required=True, on_change=_anew)
        st.button("Refresh", key="alerts_refresh", icon=":material/refresh:", on_click=_anew,
                  help="What is below does not tick.")  # fmt: skip
    end: datetime = st.session_state[_AT] or now
    st.session_state[_AT] = end
    return end - RANGES[str(choice)], end


def read(stored: Stored, begin: datetime, end: datetime, now: datetime) -> AlertPast | str:
    """The range, read once; or why it cannot be read."""
    key = (begin, end, stored.book, stored.database.name, stored.database.generation)
    known = st.session_state.get(_READ)
    if known is not None and known[0] == key:
        found: AlertPast = known[1]
        return found
    if words := away(stored, now):
        return words
    try:
        with st.spinner("Reading what was told …", show_time=True):
            past = load(stored, begin, end)
    except (SQLAlchemyError, OSError, GuardrailsError) as error:
        return failed(stored, error, now)
    st.session_state[_READ] = (key, past)
    return past


def load(stored: Stored, begin: datetime, end: datetime) -> AlertPast:
    """The range from the store; raises what a database raises."""
    database, book = stored.database, stored.book
    return AlertPast(
        begin,
        end,
        timeline(database, book, begin, end + timedelta(microseconds=1), MOST_STEPS),
        deliveries(database, book, begin, MOST_MESSAGES),
        counts(database, book, begin),
    )


def never_acted_on(checks: Sequence[CheckCount]) -> list[str]:
    """A sentence for each check whose alerts were told often and never led to an action, the most told first."""
    noisy = [check for check in checks if check.told >= OFTEN and not check.acted]
    return [
        f"{title_of(check.check)}: {counted(check.told, 'alert')} told, none led to an action. Is the limit right, or "
        "is it noise that hides what matters?"
        for check in sorted(noisy, key=lambda check: -check.told)
    ]


def _anew() -> None:
    """Read again, up to now."""
    st.session_state[_AT] = None
    st.session_state.pop(_READ, None)

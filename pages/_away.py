"""A database that does not answer: one look waits for it, the looks of the next seconds are told of it at once."""

from __future__ import annotations

from datetime import datetime, timedelta

import streamlit as st

from guardrails.store.faults import reason
from pages._engine import Stored

AGAIN = timedelta(seconds=10)
"""so long after it failed a database is not asked again by the same browser session"""
_FAILED = "database_failed"


def failed(stored: Stored, error: Exception, now: datetime) -> str:
    """Why it cannot be read, in words that are kept for `AGAIN`."""
    words = f"{stored.database.name} cannot be read now: {reason(error)}."
    st.session_state[_FAILED] = (stored.database.name, now, words)
    return words


def away(stored: Stored, now: datetime) -> str:
    """Why it could not be read a moment ago; empty when it may be asked."""
    name, since, words = st.session_state.get(_FAILED, ("", now, ""))
    if name != stored.database.name or not timedelta() <= now - since < AGAIN:
        return ""
    return str(words)

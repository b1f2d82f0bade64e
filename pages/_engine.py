"""Wiring: the one place of the pages that knows settings, sources and the engine.

Rarely edited, because the engine lives in Streamlit's cache under this module's functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import streamlit as st

from adapters import open_sources
from adapters.channels import open_channels
from adapters.channels.heartbeat import ping
from guardrails.assembly import Wiring, assemble
from guardrails.engine import Engine
from guardrails.settings import load_settings
from guardrails.store.books import book_of
from guardrails.store.database import Database

__all__ = ["Stored", "Wiring", "clock", "engine", "stored", "wiring"]


@dataclass(frozen=True, slots=True)
class Stored:
    """Where the history of what this process runs is kept."""

    database: Database
    book: str
    """key of the rows that belong to these sources"""


def clock() -> datetime:
    """The clock of this process."""
    return datetime.now(UTC)


@st.cache_resource(show_spinner=False)
def wiring() -> Wiring:
    """What this process runs, put together once; a GuardrailsError says why it cannot be."""
    settings = load_settings()
    sources = open_sources(settings.guardrails_sources, settings, clock)
    return assemble(settings, clock, sources, open_channels(settings), ping)


def engine() -> Engine:
    """The engine of this process."""
    return wiring().engine


def stored() -> Stored | None:
    """The history of what runs now; None when nothing is kept. Reading it is I/O: never in a fragment that ticks."""
    wired = wiring()
    if wired.database is None:
        return None
    return Stored(wired.database, book_of(wired.engine.names, wired.engine.scenario).key)

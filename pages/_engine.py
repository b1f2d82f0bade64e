"""Wiring: the one place of the pages that knows settings, sources and the engine.

Rarely edited, because the engine lives in Streamlit's cache under this module's functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, cast

import streamlit as st

from adapters import open_sources
from guardrails.engine import Engine, EngineSettings
from guardrails.matrix import MatrixFile
from guardrails.settings import Settings, load_settings
from guardrails.store.books import book_of
from guardrails.store.database import Database, open_database
from guardrails.store.metadata import StoreError
from guardrails.store.upkeep import Retention
from guardrails.store.writer import Writer


class Demo(Protocol):
    """The simulated market, as far as a page may touch it."""

    @property
    def scenario(self) -> str:
        """What it does now."""

    def switch(self, scenario: str, now: datetime) -> None:
        """Do something else from `now` on."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Where the history of what this process runs is kept."""

    database: Database
    book: str
    """key of the rows that belong to these sources"""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What one process runs."""

    engine: Engine
    demo: Demo | None
    settings: Settings
    database: Database | None
    """None when there is none that works; the engine then says why"""


def clock() -> datetime:
    """The clock of this process."""
    return datetime.now(UTC)


def database(settings: Settings) -> Database | str:
    """What the history is kept in, or why there is none."""
    try:
        return open_database(settings.guardrails_data_dir, clock, settings.database_url)
    except StoreError as error:
        return str(error)


def writer(kept_in: Database, settings: Settings) -> Writer:
    """What fills it."""
    folder = settings.guardrails_data_dir
    return Writer(
        kept_in,
        folder / "spool",
        clock,
        every=settings.guardrails_history_seconds,
        capture_every=settings.guardrails_snapshot_seconds,
        retention=Retention(folder, settings.guardrails_raw_days, settings.guardrails_archive_days),
    )


@st.cache_resource(show_spinner=False)
def wiring() -> Wiring:
    """The engine of this process and what it was made from, built once; a GuardrailsError says why it cannot be."""
    settings = load_settings()
    sources = open_sources(settings.guardrails_sources, settings, clock)
    kept_in = database(settings)
    engine = Engine(
        sources,
        MatrixFile.open(settings.guardrails_matrix),
        EngineSettings(
            settings.guardrails_data_dir,
            settings.guardrails_refresh_seconds,
            settings.guardrails_snapshot_seconds,
            scenario=settings.guardrails_demo_scenario,
        ),
        clock,
        kept_in if isinstance(kept_in, str) else writer(kept_in, settings),
    )
    demo = next((source for source in sources if source.name == "demo"), None)
    return Wiring(engine, cast("Demo | None", demo), settings, None if isinstance(kept_in, str) else kept_in)


def engine() -> Engine:
    """The engine of this process."""
    return wiring().engine


def stored() -> Stored | None:
    """The history of what runs now; None when nothing is kept. Reading it is I/O: never in a fragment that ticks."""
    wired = wiring()
    if wired.database is None:
        return None
    return Stored(wired.database, book_of(wired.engine.names, wired.engine.scenario).key)

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
from guardrails.store.database import open_database
from guardrails.store.metadata import StoreError
from guardrails.store.writer import Writer


class Demo(Protocol):
    """The simulated market, as far as a page may touch it."""

    @property
    def scenario(self) -> str:
        """What it does now."""

    def switch(self, scenario: str, now: datetime) -> None:
        """Do something else from `now` on."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What one process runs."""

    engine: Engine
    demo: Demo | None
    settings: Settings


def clock() -> datetime:
    """The clock of this process."""
    return datetime.now(UTC)


def store(settings: Settings) -> Writer | str:
    """What keeps the history, or why nothing can."""
    folder = settings.guardrails_data_dir
    try:
        return Writer(open_database(folder, clock), folder / "spool", clock)
    except StoreError as error:
        return str(error)


@st.cache_resource(show_spinner=False)
def wiring() -> Wiring:
    """The engine of this process and what it was made from, built once; a GuardrailsError says why it cannot be."""
    settings = load_settings()
    sources = open_sources(settings.guardrails_sources, settings, clock)
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
        store(settings),
    )
    demo = next((source for source in sources if source.name == "demo"), None)
    return Wiring(engine, cast("Demo | None", demo), settings)


def engine() -> Engine:
    """The engine of this process."""
    return wiring().engine

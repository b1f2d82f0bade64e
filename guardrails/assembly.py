"""What one process runs, put together from its settings: the engine with its store, its orders, its alerts and its
dead-man's switch. The same for the app and for `guardrails watch`; whoever calls it brings what belongs to outside
parties.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol, cast

from pydantic import SecretStr

from guardrails.alerts.channel import Channel
from guardrails.alerts.desk import Desk
from guardrails.alerts.heartbeat import Heartbeat
from guardrails.alerts.pulse import Kind, Seen, seen_of
from guardrails.alerts.values import Receipt
from guardrails.awake import Awake
from guardrails.brokers import Broker, TradingBroker
from guardrails.engine import Engine, EngineSettings
from guardrails.execution.service import Execution
from guardrails.flatten.flattening import Flattening
from guardrails.matrix import MatrixFile
from guardrails.settings import Settings
from guardrails.store.database import Database, open_database
from guardrails.store.metadata import StoreError
from guardrails.store.upkeep import Retention
from guardrails.store.writer import Writer

Clock = Callable[[], datetime]
Ping = Callable[[SecretStr, Kind, str], Receipt]
"""(URL, kind, body), as `guardrails.alerts.heartbeat.Ping` once the URL is known"""


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
    database: Database | None
    """None when there is none that works; the engine then says why"""
    channels: tuple[Channel, ...] = ()
    heartbeat: Heartbeat | None = None

    def start(self) -> None:
        """Begin to watch, or to show what another program sees; later calls do nothing."""
        self.engine.start()
        if self.heartbeat is not None:
            self.heartbeat.start(self.seen)

    def stop(self) -> None:
        """Send and write what must survive, within some seconds, and end."""
        if self.heartbeat is not None:
            self.heartbeat.stop()
        self.engine.stop()

    def seen(self) -> Seen:
        """What the dead-man's switch is to know now; cheap, from any thread."""
        engine = self.engine
        return seen_of(engine.health(), engine.alerts, engine.names, engine.settings.refresh_seconds)


def assemble(
    settings: Settings,
    clock: Clock,
    sources: Sequence[Broker],
    channels: Sequence[Channel],
    ping: Ping,
    steady: Callable[[], float] = time.monotonic,
) -> Wiring:
    """Put together what runs on `sources` and tells `channels`; nothing is started.

    A GuardrailsError says why it cannot be. A database that cannot be opened is no such reason: the engine then works
    without, and says so.
    """
    kept_in = database(settings, clock)
    store = kept_in if isinstance(kept_in, str) else writer(kept_in, settings, clock)
    url = settings.heartbeat_url
    is_wanted = url is not None and url.get_secret_value().strip()
    awake = Awake(steady)
    heartbeat = Heartbeat(partial(ping, url) if url is not None and is_wanted else None, clock, steady, awake.holds)
    desk = Desk(
        channels,
        clock,
        None if isinstance(store, str) else store,
        settings.guardrails_link,
        period_seconds=settings.guardrails_refresh_seconds,
        watch=heartbeat.row,
        heartbeat=heartbeat.channel,
        steady=steady,
        holds=awake.holds,
    )
    execution = Execution(
        [source for source in sources if isinstance(source, TradingBroker)],
        None if isinstance(store, str) else store,
        clock,
        lambda: engine.matrix,
        settings.guardrails_data_dir,
        slept=lambda: awake.slept,
        alerts=lambda: desk.now,
    )
    flattening = Flattening(execution, lambda: engine.assessment, clock)
    execution.doings.update(flattening.doings())
    execution.beside["flatten"] = flattening.run
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
        store,
        desk,
        awake,
        execution,
    )
    demo = next((source for source in sources if source.name == "demo"), None)
    kept = None if isinstance(kept_in, str) else kept_in
    return Wiring(engine, cast("Demo | None", demo), settings, kept, tuple(channels), heartbeat)


def database(settings: Settings, clock: Clock) -> Database | str:
    """What the history is kept in, or why there is none."""
    try:
        return open_database(settings.guardrails_data_dir, clock, settings.database_url, patient=True)
    except StoreError as error:
        return str(error)


def writer(kept_in: Database, settings: Settings, clock: Clock) -> Writer:
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

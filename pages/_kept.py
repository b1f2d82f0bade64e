"""What is said of the store: whether the history is kept now, what waits, and what was lost."""

from __future__ import annotations

from datetime import datetime

from guardrails import wording
from guardrails.health import Health
from guardrails.keeper import StoreHealth


def store_lines(health: Health, now: datetime) -> list[str]:
    """When the store was last written, what waits, what was not kept, and who else watches."""
    if health.watched_by:
        return [f"{health.watched_by} reads the brokers and writes; this program shows what it sees and takes over."]
    store = health.store
    if store is None:
        return ["No history is kept."]
    written = "nothing is written yet"
    if store.last_written is not None:
        written = f"last written {wording.age(max((now - store.last_written).total_seconds(), 0.0))} ago"
    waits = f"{store.queued} waiting in memory, {store.spooled} on the disk" if store.queued or store.spooled else ""
    dropped = f"{store.dropped} moments of telemetry were not kept since the start" if store.dropped else ""
    return [f"{_kept(store)}: {'; '.join(filter(None, (written, waits, dropped)))}."]


def _kept(store: StoreHealth) -> str:
    """Whether the history goes on now."""
    if not store.keeps:
        return "The history is not kept now, and what waits in memory is lost when the program ends"
    return "Not all of the history is kept now" if store.problem else "The history is kept"


def not_kept(health: Health) -> str:
    """Why not all of what happens now will be found in the history; empty when it will."""
    store = health.store
    return f"{_kept(store)}: {store.problem.rstrip('.')}." if store is not None and store.problem else ""

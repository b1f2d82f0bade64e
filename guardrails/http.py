"""What the HTTP routes answer, as plain functions of the engine: `(status, media type, body)`. The server is wired in
`app.py`."""

from __future__ import annotations

import json
from datetime import datetime

from prometheus_client import CONTENT_TYPE_LATEST

from guardrails.alerts.pulse import no_channel_works
from guardrails.alerts.values import AlertsNow
from guardrails.engine import Engine
from guardrails.health import Health
from guardrails.metrics import exposition
from guardrails.orders_now import OrdersNow
from guardrails.outages import SPEAKING, is_fresh
from guardrails.redaction import redact
from guardrails.snapshot import to_json
from guardrails.snapshot.sources import SourceRow

Answer = tuple[int, str, bytes]

JSON = "application/json"


def healthz(engine: Engine) -> Answer:
    """200 while the process lives."""
    return _json(200, {"status": "alive", "engine": "running" if engine.health().alive else "stopped"})


def readyz(engine: Engine) -> Answer:
    """200 when the engine is fresh, the store writable, every source answers and alerts reach somebody if they are to,
    else 503; the body says why.

    A program that shows what another one sees is ready when that one is, and says which it is."""
    health, now, snapshot = engine.health(), engine.now(), engine.latest
    fresh = health.alive and is_fresh(health.last_cycle, now, engine.settings.refresh_seconds)
    sources = [] if snapshot is None or engine.restored else snapshot.sources
    writable = health.store_writable and (health.store is None or health.store.keeps)
    told, alerts = _alerts(engine)
    ready = fresh and writable and told and bool(sources) and all(s.state in SPEAKING for s in sources)
    body = {
        "status": "ready" if ready else "not ready",
        "engine": {
            "fresh": fresh,
            "last_cycle": _iso(health.last_cycle),
            "cycle_seconds": health.cycle_seconds,
            "problems": list(health.problems),
        },
        "store": {"writable": writable, **_store(health), **_room(engine.orders)},
        "watched_by": health.watched_by,
        "alerts": alerts,
        "sources": [_readiness(source) for source in sources],
    }
    return _json(200 if ready else 503, body)


def _alerts(engine: Engine) -> tuple[bool, dict[str, object] | None]:
    """Whether alerts are made and can reach somebody, and what to say of them; None where none are made."""
    alerts = engine.alerts
    if alerts is None:
        return not engine.health().watched_by, None  # who only reads has to be told them
    problems = _wrong_alerts(alerts, engine)
    watch = alerts.watch
    body: dict[str, object] = {
        "since": _iso(watch.since),
        "last_cycle": _iso(watch.last_cycle),
        "heartbeat": watch.heartbeat,
        "last_ping": _iso(watch.last_ping),
        "next_ping": _iso(watch.next_ping),
        "channels": [
            {"name": redact(c.name), "works": c.works and not c.problem, "waiting": c.waiting, "dead": c.dead}
            for c in alerts.channels
        ],
        "problem": redact("; ".join([*problems, *([watch.problem] if watch.problem else [])])),
    }
    return not problems, body


def _wrong_alerts(alerts: AlertsNow, engine: Engine) -> list[str]:
    found = [alerts.problem] if alerts.problem else []
    if not is_fresh(alerts.as_of, engine.now(), engine.settings.refresh_seconds):
        found.append(f"alerts were last looked through at {_iso(alerts.as_of)}")
    if no_channel_works(alerts):
        found.append("no channel but the log works")
    return found


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _store(health: Health) -> dict[str, object]:
    if health.store is None:
        return {"kept": False}
    store = health.store
    return {
        "kept": True,
        "queued": store.queued,
        "spooled": store.spooled,
        "dropped": store.dropped,
        "last_written": _iso(store.last_written),
        "problem": store.problem,
    }


def _room(orders: OrdersNow | None) -> dict[str, str]:
    """What is kept for the day on which the disk is full, once it is known."""
    return {"room": orders.room} if orders is not None and orders.room else {}


def _readiness(source: SourceRow) -> dict[str, object]:
    return {
        "name": source.name,
        "state": source.state,
        "condition": source.condition,
        "since": _iso(source.since),
        "age_seconds": source.age_seconds,
        "detail": source.detail,
        "action": source.action,
        "retries": source.retries,
        "warnings": list(source.warnings),
        "clock_skew": source.clock_skew,
        "streams": [
            {"name": stream.name, "works": stream.works, "age_seconds": stream.age_seconds, "detail": stream.detail}
            for stream in source.streams
        ],
    }


def snapshot(engine: Engine) -> Answer:
    """The latest Snapshot; 503 while there is none."""
    latest = engine.latest
    if latest is None:
        return _json(503, {"error": "no snapshot yet: the engine has not finished its first cycle"})
    return 200, JSON, to_json(latest)


def metrics(engine: Engine) -> Answer:
    """What is measured, in the text format of Prometheus."""
    return 200, CONTENT_TYPE_LATEST, exposition(engine)


def _json(status: int, body: object) -> Answer:
    return status, JSON, json.dumps(body).encode()

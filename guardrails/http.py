"""What the HTTP routes answer, as plain functions of the engine: `(status, media type, body)`. The server is wired in
`app.py`."""

from __future__ import annotations

import json

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from guardrails.engine import Engine
from guardrails.findings import Level
from guardrails.health import Health
from guardrails.outages import is_fresh
from guardrails.snapshot import Snapshot, SourceRow, to_json
from guardrails.values import SourceState

Answer = tuple[int, str, bytes]

JSON = "application/json"
_GOOD_STATES = {SourceState.LIVE, SourceState.CLOSED, SourceState.FILE}


def healthz(engine: Engine) -> Answer:
    """200 while the process lives."""
    return _json(200, {"status": "alive", "engine": "running" if engine.health().alive else "stopped"})


def readyz(engine: Engine) -> Answer:
    """200 when the engine is fresh, the store writable and every source answers, else 503; the body says why.

    A program that shows what another one sees is ready when that one is, and says which it is."""
    health, now, snapshot = engine.health(), engine.now(), engine.latest
    fresh = health.alive and is_fresh(health.last_cycle, now, engine.settings.refresh_seconds)
    sources = [] if snapshot is None or engine.restored else snapshot.sources
    writable = health.store_writable and (health.store is None or health.store.keeps)
    ready = fresh and writable and bool(sources) and all(s.state in _GOOD_STATES for s in sources)
    body = {
        "status": "ready" if ready else "not ready",
        "engine": {
            "fresh": fresh,
            "last_cycle": None if health.last_cycle is None else health.last_cycle.isoformat(),
            "cycle_seconds": health.cycle_seconds,
            "problems": list(health.problems),
        },
        "store": {"writable": writable, **_store(health)},
        "watched_by": health.watched_by,
        "sources": [_readiness(source) for source in sources],
    }
    return _json(200 if ready else 503, body)


def _store(health: Health) -> dict[str, object]:
    if health.store is None:
        return {"kept": False}
    store = health.store
    return {
        "kept": True,
        "queued": store.queued,
        "spooled": store.spooled,
        "dropped": store.dropped,
        "last_written": None if store.last_written is None else store.last_written.isoformat(),
        "problem": store.problem,
    }


def _readiness(source: SourceRow) -> dict[str, object]:
    return {
        "name": source.name,
        "state": source.state,
        "condition": source.condition,
        "since": None if source.since is None else source.since.isoformat(),
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
    """Levels, totals, ages and cycle time in the Prometheus text format; what is unknown is absent, not zero."""
    registry = CollectorRegistry()
    health, now, latest = engine.health(), engine.now(), engine.latest
    Gauge("guardrails_engine_alive", "1 while the engine thread runs", registry=registry).set(health.alive)
    Gauge("guardrails_engine_cycles", "Cycles since the start", registry=registry).set(health.cycles)
    Gauge("guardrails_engine_problems", "Tasks of the engine that fail now", registry=registry).set(
        len(health.problems)
    )
    if health.cycle_seconds is not None:
        Gauge("guardrails_cycle_seconds", "Duration of the last cycle", registry=registry).set(health.cycle_seconds)
    if health.last_cycle is not None:
        age = (now - health.last_cycle).total_seconds()
        Gauge("guardrails_last_cycle_age_seconds", "Age of the last good cycle", registry=registry).set(age)
    if health.store is not None:
        waiting = Gauge("guardrails_store_waiting", "Rows that wait for the database", ["where"], registry=registry)
        waiting.labels("memory").set(health.store.queued)
        waiting.labels("disk").set(health.store.spooled)
        Gauge("guardrails_store_dropped", "Moments of telemetry not kept since the start", registry=registry).set(
            health.store.dropped
        )
    if latest is not None:
        _snapshot_metrics(latest, registry, restored=engine.restored)
    return 200, CONTENT_TYPE_LATEST, generate_latest(registry)


def _snapshot_metrics(latest: Snapshot, registry: CollectorRegistry, *, restored: bool) -> None:
    Gauge("guardrails_snapshot_restored", "1 while the snapshot is the file of an earlier run", registry=registry).set(
        restored
    )
    Gauge(
        "guardrails_level", "Worst level: 0 not applicable, 1 OK, 2 WATCH, 3 UNKNOWN, 4 BREACH", registry=registry
    ).set(latest.level.rank)
    counts = Gauge("guardrails_findings", "Findings by level", ["level"], registry=registry)
    for level in Level:
        counts.labels(level.value).set(sum(finding.level is level for finding in latest.findings))
    checks = Gauge(
        "guardrails_check_level", "Worst level of a check, as guardrails_level", ["check"], registry=registry
    )
    for check in dict.fromkeys(finding.check for finding in latest.findings):
        checks.labels(check).set(max(f.level.rank for f in latest.findings if f.check == check))
    _source_metrics(latest, registry)
    totals = Gauge("guardrails_total", "Totals of the book in US dollars", ["measure"], registry=registry)
    for name in ("net_liquidation", "beta_delta_dollars", "gamma_1pct_dollars", "vega_30d_per_point", "theta_per_day"):
        value = getattr(latest.totals, name)
        if value is not None:
            totals.labels(name).set(value)


def _source_metrics(latest: Snapshot, registry: CollectorRegistry) -> None:
    ages = Gauge("guardrails_source_age_seconds", "Seconds since a source spoke", ["source"], registry=registry)
    up = Gauge("guardrails_source_up", "1 while a source answers", ["source"], registry=registry)
    retries = Gauge(
        "guardrails_source_retries", "Attempts to connect since it was last connected", ["source"], registry=registry
    )
    streams = Gauge(
        "guardrails_source_stream_age_seconds",
        "Seconds since one kind of message of a source came",
        ["source", "stream"],
        registry=registry,
    )
    skews = Gauge(
        "guardrails_clock_skew_seconds", "Seconds a source's clock is ahead of ours", ["source"], registry=registry
    )
    for source in latest.sources:
        up.labels(source.name).set(source.state in _GOOD_STATES)
        retries.labels(source.name).set(source.retries)
        if source.age_seconds is not None:
            ages.labels(source.name).set(source.age_seconds)
        if source.clock_skew is not None:
            skews.labels(source.name).set(source.clock_skew)
        for stream in source.streams:
            if stream.age_seconds is not None:
                streams.labels(source.name, stream.name).set(stream.age_seconds)


def _json(status: int, body: object) -> Answer:
    return status, JSON, json.dumps(body).encode()

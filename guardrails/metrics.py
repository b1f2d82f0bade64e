"""What Prometheus is told: levels, totals, ages, cycle time, alerts and how they are delivered.

What is unknown is absent, not zero; labels never name an account or a position.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from guardrails.alert_metrics import add_alerts
from guardrails.engine import Engine
from guardrails.findings import Level
from guardrails.order_metrics import add_orders
from guardrails.outages import SPEAKING
from guardrails.snapshot import Snapshot


def exposition(engine: Engine) -> bytes:
    """All of it, in the text format of Prometheus."""
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
    if engine.alerts is not None:
        add_alerts(engine.alerts, now, registry)
    if engine.orders is not None:
        add_orders(engine.orders, registry)
    return generate_latest(registry)


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
        up.labels(source.name).set(source.state in SPEAKING)
        retries.labels(source.name).set(source.retries)
        if source.age_seconds is not None:
            ages.labels(source.name).set(source.age_seconds)
        if source.clock_skew is not None:
            skews.labels(source.name).set(source.clock_skew)
        for stream in source.streams:
            if stream.age_seconds is not None:
                streams.labels(source.name, stream.name).set(stream.age_seconds)

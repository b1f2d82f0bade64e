"""What Prometheus is told of the alerts and of how they are delivered; see `guardrails.metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from guardrails.alerts.values import AlertsNow, ChannelRow, Severity, State
from guardrails.redaction import redact

_STATES = (State.FIRED, State.ACKNOWLEDGED, State.SILENCED, State.ESCALATED)
"""in which an alert can be while it is open"""


class AlertMetrics(Collector):
    """The alerts at one moment. Counters count since the start of the program that makes the alerts."""

    def __init__(self, alerts: AlertsNow, now: datetime) -> None:
        self._alerts, self._now = alerts, now

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        yield from _open(self._alerts)
        yield from _channels(self._alerts.channels, self._now)
        yield from _watch(self._alerts, self._now)


def add_alerts(alerts: AlertsNow, now: datetime, registry: CollectorRegistry) -> None:
    """Let `registry` tell of `alerts`."""
    registry.register(AlertMetrics(alerts, now))


def _open(alerts: AlertsNow) -> Iterator[Metric]:
    active = GaugeMetricFamily("guardrails_alerts", "Open alerts", labels=["severity", "state"])
    for severity in Severity:
        for state in _STATES:
            count = sum(row.severity is severity and row.state is state for row in alerts.active)
            active.add_metric([severity.value, state.value], count)
    yield active
    held = GaugeMetricFamily(
        "guardrails_alerts_held", "Open alerts that are not told now, by reason", labels=["reason"]
    )
    reasons = [row.held.value for row in alerts.active if row.held is not None]
    for reason in sorted(set(reasons)):
        held.add_metric([reason], reasons.count(reason))
    yield held
    events = CounterMetricFamily("guardrails_alert_events", "What became of alerts", labels=["event"])
    for event, count in sorted(alerts.counts.items()):
        events.add_metric([event], float(count))
    yield events
    yield _gauge("guardrails_messages_today", "Messages that count against the daily budget", alerts.told_today)
    yield _gauge("guardrails_message_budget", "The daily budget of messages", alerts.budget)
    yield _gauge("guardrails_digest_waiting", "Alerts that wait for the digest", alerts.digest)


def _channels(rows: tuple[ChannelRow, ...], now: datetime) -> Iterator[Metric]:
    deliveries = CounterMetricFamily(
        "guardrails_deliveries",
        "What came of deliveries: sent, failed (one attempt), dead (given up), superseded (a newer tells the same)",
        labels=["channel", "outcome"],
    )
    works = GaugeMetricFamily(
        "guardrails_channel_works", "1 while the channel took the last message", labels=["channel"]
    )
    waiting = GaugeMetricFamily("guardrails_deliveries_waiting", "Messages that wait for a channel", labels=["channel"])
    oldest = GaugeMetricFamily(
        "guardrails_delivery_waiting_seconds", "Age of the oldest message that waits", labels=["channel"]
    )
    failing = GaugeMetricFamily(
        "guardrails_channel_failing_seconds",
        "Since the first attempt of those that failed in a row",
        labels=["channel"],
    )
    for row in rows:
        name = [redact(row.name)]
        came_of = {"sent": row.sent, "failed": row.failures, "dead": row.dead, "superseded": row.superseded}
        for outcome, count in came_of.items():
            deliveries.add_metric([*name, outcome], count)
        waiting.add_metric(name, row.waiting)
        if row.works is not None:
            works.add_metric(name, row.works and not row.problem)
        if row.waiting_since is not None:
            oldest.add_metric(name, (now - row.waiting_since).total_seconds())
        if row.failing_since is not None:
            failing.add_metric(name, (now - row.failing_since).total_seconds())
    yield from (deliveries, works, waiting, oldest, failing)


def _watch(alerts: AlertsNow, now: datetime) -> Iterator[Metric]:
    watch = alerts.watch
    yield _gauge("guardrails_alerts_age_seconds", "Since the alerts were looked through", _age(alerts.as_of, now))
    yield _gauge("guardrails_alerts_broken", "1 while alerts may not be kept or sent", bool(alerts.problem))
    if watch.since is not None:
        began = watch.since.timestamp()
        yield _gauge("guardrails_watching_since_timestamp_seconds", "When the program that watches began to", began)
    yield _gauge("guardrails_heartbeat_configured", "1 when there is a dead-man's switch", watch.heartbeat)
    if watch.heartbeat:
        yield _gauge("guardrails_heartbeat_failing", "1 while it cannot be reached", bool(watch.problem))
    if watch.last_ping is not None:
        yield _gauge("guardrails_heartbeat_age_seconds", "Since it took a ping", _age(watch.last_ping, now))


def _age(time: datetime, now: datetime) -> float:
    return (now - time).total_seconds()


def _gauge(name: str, told: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, told, value=float(value))

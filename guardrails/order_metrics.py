"""What Prometheus is told of orders and of the safety state."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from guardrails.orders import OrderState
from guardrails.orders_now import OrdersNow


def add_orders(orders: OrdersNow, registry: CollectorRegistry) -> None:
    """Counts by state, the safety state by its rank, and how the rules were kept today."""
    words = "Safety state: 0 NORMAL, 1 NO_NEW_RISK, 2 REDUCE_ONLY, 3 STOPPED"
    Gauge("guardrails_safety_state", words, registry=registry).set(orders.safety.state.rank)
    counts = Gauge("guardrails_orders", "Orders of today and those not over, by state", ["state"], registry=registry)
    for state in OrderState:
        counts.labels(state.value).set(sum(record.state is state for record in orders.records))
    Gauge("guardrails_orders_known", "1 while what is known of orders is complete", registry=registry).set(
        not orders.problem
    )
    kept, told = orders.discipline, Gauge("guardrails_discipline", "Counts of today", ["what"], registry=registry)
    for name in ("sent", "warned", "overridden", "blocked", "unguarded"):
        told.labels(name).set(getattr(kept, name))

"""Our records held against everything a broker says: what it knows is taken over, what it does not know is in doubt.

Pure. Nothing here ends an order that its broker does not name: an order may be absent from a list because the list is
incomplete, old or of another day. Only a person, who looks at the broker's own screen, may say that it does not live.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from guardrails.errors import GuardrailsError
from guardrails.execution import life
from guardrails.execution.fills import executed_of, groups_of, is_of
from guardrails.execution.life import IllegalTransitionError
from guardrails.execution.values import OrderRecord
from guardrails.orders import BrokerOrder, Fill, OrdersRead, OrderState

LISTED_WITHIN = timedelta(seconds=3)
"""how long after a step of ours a broker may take to list the order"""
_NOTHING_SENT = (OrderState.DRAFT, OrderState.APPROVED)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What comes of one read."""

    records: tuple[OrderRecord, ...]
    """in the order given; the same object where nothing is new"""
    problems: tuple[str, ...]
    """one sentence for each order that is in doubt or contradicts what was known"""


def reconcile(
    records: Sequence[OrderRecord], read: OrdersRead, now: datetime, fills: Sequence[Fill] | None = None
) -> Reconciled:
    """The records of one broker after `read`, which asked it anew for everything.

    `fills` are all executions known so far, those of `read` among them; without it those of `read`.
    """
    known = read.fills if fills is None else fills
    after = [told(record, read.orders, known, now) for record in records]
    after = [_sought(record, read, known, now) for record in after]
    return Reconciled(tuple(after), tuple(_problem(record) for record in after if record.state is OrderState.UNKNOWN))


def told(record: OrderRecord, orders: Sequence[BrokerOrder], fills: Sequence[Fill], now: datetime) -> OrderRecord:
    """`record` after what the broker has said of it and what was executed of it; in doubt when these contradict it."""
    after = record
    for order in orders:
        if not is_same(order, record):
            continue
        try:
            after = life.step(after, order, now)
        except IllegalTransitionError as error:
            after = life.doubt(after, _sentence(error), now)
    if record.state in _NOTHING_SENT:
        return after
    own = [fill for fill in fills if is_of(fill, after)]
    return life.executed(after, executed_of(after.order, own), now) if own else after


class Heard:
    """What a broker says of orders, found by order: held against every record, many times a second."""

    def __init__(self, orders: Sequence[BrokerOrder]) -> None:
        self._by: defaultdict[str | tuple[str, str], list[BrokerOrder]] = defaultdict(list)
        for order in orders:
            self._by[order.key or (order.account.broker, order.reference)].append(order)

    def of(self, record: OrderRecord) -> list[BrokerOrder]:
        """What it says of `record`, in the order in which it says it under each name."""
        return [order for group in groups_of(record) for order in self._by.get(group, ())]


def is_same(order: BrokerOrder, record: OrderRecord) -> bool:
    """Whether a broker's order is the one of `record`: by its key, else by the broker's own identity of it."""
    if order.key:
        return order.key == record.key
    return order.reference in record.references and order.account.broker == record.order.account.broker


def is_alike(order: BrokerOrder, record: OrderRecord) -> bool:
    """Whether a living order that bears no key may be the one of `record`: the same legs, size and limit."""
    if order.key or order.state.is_over or order.account.hidden != record.order.account.hidden:
        return False
    same = set(order.legs) == set(record.order.legs) and order.limit in (None, record.limit, record.order.limit)
    return same and order.quantity == record.order.quantity


def _sought(record: OrderRecord, read: OrdersRead, fills: Sequence[Fill], now: datetime) -> OrderRecord:
    """`record`, in doubt when the broker ought to name it and does not."""
    if record.state.is_over or record.state in _NOTHING_SENT or any(is_same(order, record) for order in read.orders):
        return record
    if abs(read.time - record.changed) < LISTED_WITHIN:  # further back it is the clock that was set
        return record
    if read.missing and record.state not in (OrderState.UNKNOWN, OrderState.INTENT_SAVED):
        return record  # it lived when the broker last spoke of it, and what is missing proves nothing
    if record.state is OrderState.UNKNOWN and any(is_of(fill, record) for fill in fills):
        return record  # its words say more
    return life.doubt(record, absent_words(record, read), now)


def absent_words(record: OrderRecord, read: OrdersRead) -> str:
    """Why an order that its broker does not name is in doubt, and what a person should do."""
    broker = record.order.account.broker
    if read.missing:
        return (
            f"{broker} does not name this order, but it does not tell everything ({read.missing}): "
            f"look at {broker} whether it lives."
        )
    return (
        f"{broker} knows no such order among its open and completed ones and executions. It is not sent again: look at "
        f"{broker}, and say here that it does not live if that is so."
    )


def _problem(record: OrderRecord) -> str:
    return f"It is not known what became of order {record.key} ({record.order.account}): {record.detail}"


def _sentence(error: GuardrailsError) -> str:
    return f"{str(error).rstrip('.')}."

"""How an order is put before the gate: the book of the last cycle, all that works, and what was confirmed just now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from guardrails.assess import Assessment
from guardrails.execution import overrides
from guardrails.execution.asked import RefusedError
from guardrails.execution.desk import Desk
from guardrails.execution.venues import Venue
from guardrails.gate.ground import Ground
from guardrails.gate.projection import Prepared, prepare
from guardrails.gate.values import Impact
from guardrails.orders import BrokerOrder, Order, OrderState, Preview
from guardrails.values import AccountId

log = logging.getLogger(__name__)


Simulate = Callable[[Order, Ground, Preview | None, str], Impact]
"""`guardrails.gate.simulate.simulate`"""


@dataclass(frozen=True, slots=True)
class Fresh:
    """What was asked of a broker just before an order is judged."""

    held: Mapping[str, float] | None
    """signed quantities by key; None when the broker did not confirm them"""
    words: str = ""
    """why they are not confirmed"""


@dataclass(frozen=True, slots=True)
class Judged:
    """An Impact and what it rests on."""

    impact: Impact
    ground: Ground


class Judge:
    """Belongs to the loop; what takes long is done beside it."""

    def __init__(self, desk: Desk, simulate: Simulate) -> None:
        self._desk, self._simulate = desk, simulate
        self._prepared: tuple[Assessment, asyncio.Future[Prepared]] | None = None

    async def judge(
        self,
        order: Order,
        preview: Preview | None = None,
        source: str = "",
        fresh: Fresh | None = None,
        without: str = "",
    ) -> Judged:
        """What the gate says of `order`; `without` is the key of an order that would be cancelled first."""
        prepared = await self._prepare()
        confirmed = {order.account: fresh.held} if fresh is not None and fresh.held is not None else {}
        ground = self._ground(prepared, confirmed, without)
        impact = await asyncio.to_thread(self._simulate, order, ground, preview, source)
        return Judged(impact, ground)

    async def preview(self, venue: Venue, order: Order) -> Preview:
        """The broker's what-if, or one that says why it is not known; bounded, never raises."""
        now = self._desk.clock()
        try:
            async with asyncio.timeout(self._desk.waits.preview):
                return await venue.broker.preview(order)
        except TimeoutError:
            return Preview(now, unknown=f"{venue.name} did not answer within {self._desk.waits.preview:g} s")
        except Exception as error:  # the order is judged without it then
            log.warning("the what-if of %s failed: %s", venue.name, type(error).__name__)
            return Preview(now, unknown=f"{venue.name} did not say: {error}"[:300])

    async def _prepare(self) -> Prepared:
        """The book of the last cycle, prepared once however many ask for it."""
        seen = self._desk.seen
        if seen is None:
            raise RefusedError("There is no book yet: wait for the first complete look at every source.")
        if self._prepared is None or self._prepared[0] is not seen or self._prepared[1].cancelled():
            work = asyncio.to_thread(prepare, seen.portfolio, seen.limits, seen.snapshot.findings)
            self._prepared = seen, asyncio.ensure_future(work)
        return await asyncio.shield(self._prepared[1])

    def _ground(self, prepared: Prepared, confirmed: Mapping[AccountId, Mapping[str, float]], without: str) -> Ground:
        desk, now = self._desk, self._desk.clock()
        return Ground(
            prepared=prepared,
            working=tuple(order for order in working_orders(desk) if not without or order.key != without),
            orders_unknown="; ".join(filter(None, (venue.unknown() for venue in desk.venues))),
            safety=desk.safety.now,
            sent=tuple(record for record in desk.deeds.records.values() if record.key != without),
            overrides=overrides.in_force(desk.deeds.overrides.values(), now),
            confirmed=confirmed,
            doubtful=desk.doubtful(),
            now=now,
        )


def working_orders(desk: Desk) -> list[BrokerOrder]:
    """All that may still be filled, of every sender; ours also where the broker does not list them yet."""
    listed = [order for venue in desk.venues for order in venue.told().orders if not order.state.is_over]
    keys = {order.key for order in listed if order.key}
    ours = [
        BrokerOrder(
            account=record.order.account,
            reference=record.references[-1] if record.references else "",
            key=record.key,
            legs=record.order.legs,
            quantity=float(record.order.quantity),
            filled=record.filled,
            state=OrderState.UNKNOWN,
            limit=record.order.limit if record.limit is None else record.limit,
            time_in_force=record.order.time_in_force.value,
            words="this program sent it, and the broker does not list it",
        )
        for record in desk.deeds.records.values()
        if record.key not in keys and not record.state.is_over and record.state is not OrderState.DRAFT
    ]
    return listed + ours

"""What is asked of a broker just before an order is judged for good: positions, orders, its what-if."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta

from guardrails.errors import SourceError
from guardrails.execution.desk import Desk
from guardrails.execution.fills import is_of
from guardrails.execution.following import Following
from guardrails.execution.judging import Fresh, Judge, Judged
from guardrails.execution.venues import Venue
from guardrails.gate.values import OrderKind
from guardrails.orders import Order, Preview
from guardrails.values import AccountId

log = logging.getLogger(__name__)

_LEDGER_LAG = timedelta(minutes=2)
"""how long a broker's positions may lag behind its executions"""


class Confirming:
    """Belongs to the loop."""

    def __init__(self, desk: Desk, judge: Judge, following: Following) -> None:
        self._desk, self._judge, self._following = desk, judge, following

    async def judge(self, venue: Venue, order: Order, without: str = "") -> tuple[Judged, Fresh]:
        """An exit never waits for the broker's what-if; anything else is judged with it."""
        asked = asyncio.create_task(self._judge.preview(venue, order))
        try:
            fresh, _ = await asyncio.gather(self.read(order.account), self._read_orders(venue))
            known: Preview | None = asked.result() if asked.done() else None
            judged = await self._judge.judge(order, known, venue.name if known else "", fresh, without)
            if judged.impact.kind is not OrderKind.EXIT and known is None:
                judged = await self._judge.judge(order, await asked, venue.name, fresh, without)
            return judged, fresh
        finally:
            asked.cancel()

    async def read(self, account: AccountId) -> Fresh:
        """The account's positions, read anew from its broker; bounded, never raises."""
        venue = self._desk.venue_of(account)
        try:
            async with asyncio.timeout(self._desk.waits.held):
                held = dict(await venue.broker.held(account))
            return Fresh(self._less_fills(account, held))
        except TimeoutError:
            return Fresh(None, f"{venue.name} did not confirm the positions within {self._desk.waits.held:g} s")
        except SourceError as error:
            return Fresh(None, f"{venue.name} does not confirm the positions: {error}")
        except Exception as error:  # whatever an adapter raises: they are not confirmed then
            log.exception("the positions of %s cannot be read", account)
            return Fresh(None, f"the positions cannot be read ({type(error).__name__})")

    async def _read_orders(self, venue: Venue) -> None:
        with suppress(TimeoutError):  # a read may be under way that takes longer: then what is known counts
            async with asyncio.timeout(self._desk.waits.held):
                await venue.read_anew(older_than=self._desk.waits.fresh)
        self._following.absorb(venue)

    def _less_fills(self, account: AccountId, held: dict[str, float]) -> dict[str, float]:
        """`held`, less what was executed a moment ago and the broker's positions may not show yet.

        Else a second order to close would be taken for an exit, and turn the position.
        """
        desk, now = self._desk, self._desk.clock()
        for record in desk.deeds.records.values():
            before = desk.before.get(record.key)
            if before is None or record.order.account != account or now - record.created > _LEDGER_LAG:
                continue
            for leg in record.order.legs:
                key = leg.instrument.key
                expected = before.get(key, 0.0) + sum(
                    fill.quantity
                    for fill in desk.deeds.fills.values()
                    if fill.account == account
                    and fill.instrument.key == key
                    and (fill.time >= record.created or is_of(fill, record))  # brokers tell whole seconds
                )
                if abs(expected) < abs(held.get(key, 0.0)):
                    held[key] = expected
        return held

"""Orders that live are cancelled, or get another limit: asked for, and so once the broker says so."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from guardrails import logs
from guardrails.calendar import NEW_YORK
from guardrails.errors import NotSentError, SourceError
from guardrails.execution import life
from guardrails.execution.asked import RefusedError
from guardrails.execution.desk import Desk
from guardrails.execution.following import Following
from guardrails.execution.keeping import doubt, keep, said
from guardrails.execution.life import Event, Step
from guardrails.execution.reconcile import is_same
from guardrails.execution.values import OrderRecord
from guardrails.execution.venues import Venue
from guardrails.orders import BrokerOrder, OrderState
from guardrails.values import AccountId

log = logging.getLogger(__name__)


class Changing:
    """Belongs to the loop."""

    def __init__(self, desk: Desk, following: Following) -> None:
        self._desk, self._following = desk, following

    async def cancel(self, key: str, author: str) -> OrderRecord:
        """Ask for one order of ours to be cancelled; it is so once the broker says so."""
        desk, record = self._desk, self._desk.record(key)
        if record.state.is_over:
            raise RefusedError(f"Order {key} is {record.state.value} already.")
        venue = self._desk.venue_that_sends(record.order.account)
        listed = await self._listed(venue, record)
        with logs.correlated(order=key):
            record = desk.record(key)
            if record.state.is_over:
                raise RefusedError(f"Order {key} is {record.state.value} already.")
            if listed is None:
                raise RefusedError(f"{venue.name} does not list order {key}: it cannot be cancelled here. Look there.")
            if record.state is not OrderState.UNKNOWN:
                at = f"{desk.clock().astimezone(NEW_YORK):%H:%M:%S}"
                words = f"{author} asked for its cancellation at {at} New York; it is not confirmed yet"
                desk.do(life.step(record, Event(Step.ASK_CANCEL, words), desk.clock()))
            await self._ask_cancel(venue, listed, key)
        return desk.record(key)

    async def cancel_other(self, account: AccountId, reference: str) -> None:
        """Ask for an order of another sender to be cancelled."""
        venue = self._desk.venue_that_sends(account)
        found = [one for one in venue.told().orders if one.account == account and one.reference == reference]
        if not found or found[0].state.is_over:
            raise RefusedError(f"{venue.name} lists no working order {reference[:20]} in {account}.")
        if not found[0].cancellable:
            raise RefusedError(
                f"This order belongs to {found[0].sender or 'somebody else'}: this program cannot cancel it, do it "
                f"there."
            )
        await self._ask_cancel(venue, found[0], "")

    async def reprice(self, key: str, limit: float) -> OrderRecord:
        """Ask for another limit of a working order of ours, which keeps its key."""
        desk, record = self._desk, self._desk.record(key)
        venue = self._desk.venue_that_sends(record.order.account)
        async with desk.lock(record.order.account):
            listed = await self._listed(venue, record)
            record = desk.record(key)
            if listed is None or record.state not in (OrderState.WORKING, OrderState.PARTIAL):
                raise RefusedError(f"Order {key} is {record.state.value}: its limit cannot be changed.")
            if refusal := desk.why_not():
                raise RefusedError(f"The limit of order {key} was not changed: {refusal}.")
            before = record.limit
            await keep(desk, replace(record, limit=limit, changed=desk.clock()), may_use_file=True)
            with logs.correlated(order=key):
                try:
                    async with asyncio.timeout(desk.waits.send):
                        await venue.broker.reprice(listed, limit)
                except NotSentError as error:
                    desk.do(replace(desk.record(key), limit=before, changed=desk.clock()))
                    raise RefusedError(f"The limit of order {key} was not changed: {error}") from None
                except Exception as error:  # it may have been changed
                    doubt(desk, key, f"it is not known whether its limit was changed ({said(error)})")
            self._following.absorb(venue)
        return desk.record(key)

    async def _listed(self, venue: Venue, record: OrderRecord) -> BrokerOrder | None:
        """The order as its broker lists it now; it is asked when it did not say."""
        for anew in (False, True):
            if anew:
                await venue.read_anew()
            self._following.absorb(venue)
            current = self._desk.record(record.key)
            for one in venue.told().orders:
                if is_same(one, current) and not one.state.is_over:
                    return one
        return None

    async def _ask_cancel(self, venue: Venue, listed: BrokerOrder, key: str) -> None:
        desk = self._desk
        try:
            if refusal := desk.why_not():
                raise SourceError(refusal)  # noqa: TRY301  # it counts as what the broker could not be asked
            async with asyncio.timeout(desk.waits.ask):
                await venue.broker.cancel(listed)
        except SourceError as error:
            if key:
                words = f"its cancellation could not be asked for: {error}"
                desk.do(life.step(desk.record(key), Event(Step.CANCEL_NOT_ASKED, words), desk.clock()))
            raise RefusedError(f"The cancellation could not be asked for: {error}") from None
        except Exception as error:  # it may have been asked: the broker will say
            log.warning("it is not known whether the cancellation was asked for: %s", said(error))
        self._following.absorb(venue)

"""What is listed, as a person asks for it: the expiries of an underlying, and the chain of one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from guardrails.brokers import TradingBroker
from guardrails.errors import SourceError
from guardrails.execution import chain
from guardrails.execution.asked import Done
from guardrails.execution.desk import Desk
from guardrails.execution.doing import Doing, of
from guardrails.execution.looking import Looking
from guardrails.execution.venues import Venue
from guardrails.orders import ChainExpiry
from guardrails.requests import Kind, Request

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Listing:
    """Belongs to the loop."""

    desk: Desk
    looking: Looking

    def table(self) -> Mapping[str, Doing]:
        """By kind."""
        return {Kind.EXPIRIES: self.expiries, Kind.CHAIN: self.chain}

    async def expiries(self, request: Request) -> Done:
        """What is listed on an underlying."""
        underlying = of(request, "underlying")
        _, found = await self._first(f"the expiries of {underlying[:20]}", lambda broker: broker.expiries(underlying))
        return Done(f"{len(found)} expiries.", chain.expiries_json(found))

    async def chain(self, request: Request) -> Done:
        """The options of one expiry, streamed from now on instead of those of another."""
        seen, underlying = self.desk.seen, of(request, "underlying")
        if seen is None:
            raise ValueError("There is no book yet: wait for the first complete look at every source.")
        try:
            day = date.fromisoformat(of(request, "expiry"))
        except ValueError:
            raise ValueError("The expiry is no date: write it as 2026-12-18.") from None
        expiry = ChainExpiry(underlying, day, request.body.get("root", ""))
        venue, listed = await self._first(f"the chain of {underlying[:20]}", lambda broker: broker.listed(expiry))
        self.looking.at_chain(venue, listed)
        return Done(f"{len(listed)} options.", chain.chain_json(expiry, listed, seen.portfolio.market))

    async def _first(self, what: str, ask: Callable[[TradingBroker], Awaitable[_Found]]) -> tuple[Venue, _Found]:
        """The answer of the first broker that has one; ValueError with what all of them said when none has."""
        problems = []
        for venue in self.desk.venues:
            try:
                async with asyncio.timeout(self.desk.waits.ask):
                    return venue, await ask(venue.broker)
            except (SourceError, TimeoutError) as error:
                problems.append(f"{venue.name}: {error or 'no answer'}")
        raise ValueError(f"It is not known what is listed, {what}: {'; '.join(problems) or 'nobody to ask'}.")

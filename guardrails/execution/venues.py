"""What each broker says of orders, and how it is asked: always bounded, one read at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from guardrails import wording
from guardrails.brokers import TradingBroker
from guardrails.errors import SourceError
from guardrails.execution.waits import Waits
from guardrails.orders import OrdersRead

log = logging.getLogger(__name__)


class Venue:
    """One broker that orders can be sent to; belongs to the loop."""

    def __init__(self, broker: TradingBroker, clock: Callable[[], datetime], waits: Waits) -> None:
        self.broker, self.name = broker, broker.name
        self._clock, self._waits = clock, waits
        self._reading = asyncio.Lock()
        self.tried = False
        """whether it was asked at least once since this program began to watch"""
        self.read: OrdersRead | None = None
        """the last complete answer; None before the first"""
        self.problem = ""
        """why the last read failed; empty when it did not"""

    def begin(self) -> None:
        """Nothing is known of it yet."""
        self._reading = asyncio.Lock()
        self.tried, self.read, self.problem = False, None, ""

    def told(self) -> OrdersRead:
        """What was said up to now; what the broker tells without being asked is part of it."""
        try:
            return self.broker.orders()
        except Exception as error:  # an adapter's fault must not end the following of orders
            log.exception("what %s says of orders cannot be read", self.name)
            self.problem = f"what it says of orders cannot be read ({type(error).__name__})"
            return OrdersRead(self.name, self._clock(), missing="everything")

    def unknown(self) -> str:
        """Why its working orders are not known, in words without a full stop; empty when they are."""
        problem = self.problem.rstrip(".")
        if self.read is None:
            return f"{self.name} has not told its working orders{': ' + problem if problem else ' yet'}"
        if problem:
            return f"{self.name} does not tell its working orders: {problem}"
        age = (self._clock() - self.read.time).total_seconds()
        if age > 3 * self._waits.reconcile:
            return f"{self.name} told its working orders {wording.age(age)} ago"
        return f"{self.name} does not tell {self.read.missing}" if self.read.missing else ""

    async def read_anew(self, older_than: float = 0.0) -> OrdersRead | None:
        """Everything it says when asked, or the last read if that is not older than so many seconds.

        None when it does not answer; `problem` then says why.
        """
        async with self._reading:
            age = None if self.read is None else (self._clock() - self.read.time).total_seconds()
            if not self.problem and age is not None and 0.0 <= age < older_than:
                return self.read
            try:
                async with asyncio.timeout(self._waits.read):
                    self.read = await self.broker.read_orders()
            except TimeoutError:
                self.problem = f"no answer within {self._waits.read:g} s"
            except SourceError as error:
                self.problem = str(error)
            except Exception as error:  # whatever an adapter raises: it is not known then
                log.exception("the orders of %s cannot be read", self.name)
                self.problem = f"failed ({type(error).__name__}); see the log"
            else:
                self.problem = ""
            self.tried = True
            return None if self.problem else self.read

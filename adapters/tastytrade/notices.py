"""The account streamer, as a hint: whatever it announces is read again over REST, where it is whole.

The SDK would end at a partial balance or a status it does not know; here only the kind of a message counts. The SDK
sends no heartbeat, which the other side wants; here it is sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tastytrade.streamer import AlertStreamer

from adapters.condition import Lost
from adapters.tastytrade.api import Api
from adapters.tastytrade.login import jitter
from guardrails.redaction import redact

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS, ENTRY_SECONDS = 20.0, 15.0
BACKOFF = (1.0, 5.0, 15.0, 60.0)
STEADY = timedelta(minutes=1)
"""a socket that lasted for less begins no new count of failures"""
_TELLING = ("AccountBalance", "CurrentPosition", "TradingStatus", "Order", "ComplexOrder", "ExternalTransaction")
_OF_ORDERS = ("Order", "ComplexOrder")


class _Listener(AlertStreamer):
    def __init__(self, api: Api, url: str, hint: Callable[[str], None]) -> None:
        super().__init__(api.session)
        self.base_url = url
        self._hint = hint

    async def _map_message(self, type_str: str, data: dict[str, Any]) -> None:  # noqa: ARG002  # only that it came counts
        self._hint(type_str)

    async def heartbeat(self) -> None:
        """Tell the other side that somebody listens, with a token that is in force."""
        self.request_id += 1
        token = f"Bearer {self.session.session_token}"
        await self._websocket.send_json({"action": "heartbeat", "auth-token": token, "request-id": self.request_id})


@dataclass(frozen=True, slots=True)
class _Numbered:
    """As much of an account as a subscription wants."""

    account_number: str


class Notices:
    """At most one socket. All of it belongs to the loop it is run on."""

    def __init__(
        self,
        api: Api,
        url: str,
        clock: Callable[[], datetime],
        hint: Callable[[], None],
        of_orders: Callable[[], None] = lambda: None,
    ) -> None:
        self.live = False
        self.heard: datetime | None = None
        """when anything was announced, or the stream was opened"""
        self.complaint = ""
        """why it does not work"""
        self._api, self._url, self._clock, self._hint, self._of_orders = api, url, clock, hint, of_orders

    async def run(self, books: Mapping[str, object]) -> None:
        """Return never: listen for the accounts that are keys of `books`, one socket after the other."""
        failures = 0
        while True:
            began = self._clock()
            try:
                await self._api.login.enter()
                await self._listen(books)
            except (Exception, BaseExceptionGroup) as error:
                if isinstance(error, BaseExceptionGroup) and error.subgroup(asyncio.CancelledError) is not None:
                    raise
                self.complaint = _why(error)
            failures = 1 if self.live and self._clock() - began > STEADY else failures + 1
            self.live = False
            pause = BACKOFF[min(failures, len(BACKOFF)) - 1]
            await asyncio.sleep(pause * jitter())

    async def _listen(self, books: Mapping[str, object]) -> None:
        """Return when there is another account to listen for."""
        numbers = set(books)
        async with asyncio.timeout(ENTRY_SECONDS) as entering, _Listener(self._api, self._url, self._told) as listener:
            await listener.subscribe_accounts([_Numbered(number) for number in sorted(numbers)])  # type: ignore[misc]  # it reads the number only
            entering.reschedule(None)
            self.live, self.heard, self.complaint = True, self._clock(), ""
            self._hint()  # what changed before it listened
            self._of_orders()
            while numbers == set(books):
                await asyncio.sleep(HEARTBEAT_SECONDS)
                await self._api.login.enter()
                await listener.heartbeat()

    def _told(self, kind: str) -> None:
        self.heard = self._clock()
        if kind in _TELLING:
            self._hint()
        if kind in _OF_ORDERS:
            self._of_orders()


def _why(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, Lost):
        return error.condition.sentence
    return redact(f"{type(error).__name__} {error}".strip())[:120]

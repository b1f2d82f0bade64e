"""Keeps one connection: connects, runs a session until it is lost, waits, connects anew with the same client id."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import ib_async
from ib_async.ib import StartupFetch

from adapters.condition import Condition, Lost
from adapters.ibkr import conditions, history, money
from adapters.ibkr.directory import Directory
from adapters.ibkr.gateway import Gateway
from adapters.ibkr.lookup import Known, Lookup
from adapters.ibkr.quotes import DataType, Quote
from adapters.ibkr.session import Session
from adapters.ibkr.streams import Streams
from adapters.ibkr.wants import looked_at, room_for, wanted
from guardrails.ending import endless
from guardrails.instruments import Instrument
from guardrails.values import SourceState

log = logging.getLogger(__name__)

BACKOFF = (1.0, 2.0, 5.0, 10.0)
KNOCK_SECONDS, TAKEN_SECONDS = 0.5, 3.0
"""a port on which nothing listens is tried again at once: it costs nobody anything; a client id that is taken soon, as
TWS keeps that of a program that died for a while, and until it is free nothing can be sent"""
LEARN_SECONDS, CLOSE_SECONDS = 0.5, 2.0
HISTORY_EVERY, HISTORY_RETRY = timedelta(minutes=30), timedelta(minutes=1)
_ACCOUNTS = (
    StartupFetch.ACCOUNT_UPDATES | StartupFetch.SUB_ACCOUNT_UPDATES,
    StartupFetch.SUB_ACCOUNT_UPDATES,
    StartupFetch.ACCOUNT_UPDATES,
)
"""account figures come by two requests; some gateways answer only one of them, so each is tried alone in turn"""


class Supervisor:
    """The present session, if any, and what outlives sessions. All of it belongs to the loop it was begun on."""

    def __init__(self, gateway: Gateway, clock: Callable[[], datetime]) -> None:
        self.gateway, self.clock = gateway, clock
        self.directory = Directory()
        self.quotes: dict[int, Quote] = {}
        self.closes: dict[str, history.Closes] = {}
        self.closes_times: dict[str, datetime] = {}
        self.no_closes: dict[str, str] = {}
        self.session: Session | None = None
        """synchronised, or with the last rows while the new ones are in doubt"""
        self.streams: Streams | None = None
        self.trouble: Condition = conditions.CONNECTING
        """why there is no session"""
        self.retries = 0
        self.event = asyncio.Event()
        self.lookup = Lookup(self.directory)
        self.looked_at: tuple[Instrument, ...] = ()
        """streamed beside what is held, as far as lines are left"""
        self.looked_at_known: tuple[Known, ...] = ()
        """of those, what IBKR lists"""
        self.on_session: Callable[[Session], None] = lambda session: None  # noqa: ARG005  # until somebody trades
        self.on_lost: Callable[[], None] = lambda: None
        self.follow_orders: Callable[[Session], Awaitable[None]] = Session.follow_orders
        self._seen: dict[int, datetime] = {}
        self._held: dict[tuple[str, int], ib_async.Position] = {}
        self._held_time: datetime | None = None
        self._accounts: set[str] = set()
        self._fetch = 0
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start to connect at the first look, and again should this ever end."""
        if self._task is None or self._task.done():
            self.event.set()  # whoever still waits for the old one looks again
            self.event = asyncio.Event()  # of this loop
            self._task = asyncio.create_task(self._supervise(), name="ibkr")

    async def close(self) -> None:
        """End the connection."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task}, timeout=CLOSE_SECONDS)

    async def _supervise(self) -> None:
        while True:
            began = self.clock()
            condition = await self._one_session()
            if condition.name != self.trouble.name:
                log.warning("IBKR: %s", condition.sentence)
            lasted = self.session is not None and self.clock() - began > timedelta(minutes=1)
            self.trouble, self.session, self.streams = condition, None, None
            self.on_lost()
            self.retries = 1 if lasted else self.retries + 1
            self.event.set()
            await asyncio.sleep(self._pause(condition))

    def _pause(self, condition: Condition) -> float:
        seconds = BACKOFF[min(self.retries, len(BACKOFF)) - 1]
        if condition.name in ("refused", "dropped") or condition is conditions.NOT_ANSWERING:
            seconds = KNOCK_SECONDS
        elif condition.name == "client_id_in_use":
            seconds = min(seconds, TAKEN_SECONDS)
        elif condition.name == "account_unanswered":
            self._fetch = (self._fetch + 1) % len(_ACCOUNTS)
        return seconds * random.uniform(0.8, 1.2)  # noqa: S311  # jitter, not a secret

    async def _one_session(self) -> Condition:
        """Why the session ended, or did not begin."""
        session = Session(self.gateway, self.clock, self.event.set)
        self.on_session(session)
        try:
            await session.open(StartupFetch.POSITIONS | _ACCOUNTS[self._fetch])
            self._check_none_gone(session)
            session.doubted = not self.believed(session, session.listed)
            if session.doubted:
                session.rows, session.rows_time = dict(self._held), self._held_time
            else:
                session.replace_rows(session.listed)
            self.directory.retry()
            self.lookup.retry()
            session.ib.reqMarketDataType(DataType.FROZEN)  # after hours the last quotes of the day
            self.streams = Streams(session, self.quotes, self._seen)
            self.session, self.retries = session, 0
            self.event.set()
            await self._run(session, self.streams)
        except Lost as lost:
            return lost.condition
        except ConnectionError:  # a request met the end of the connection before anybody else did
            return conditions.DROPPED
        except Exception as error:  # the supervisor outlives whatever a session does
            log.exception("the IBKR session failed")
            return Condition(
                "failed", SourceState.DOWN, f"The connection failed ({type(error).__name__}).", "See the log."
            )
        finally:
            self._held, self._held_time = session.rows or self._held, session.rows_time or self._held_time
            session.abandon()
        return conditions.DROPPED

    def _check_none_gone(self, session: Session) -> None:
        """Lost when an account that was read before is no longer offered."""
        if gone := self._accounts - set(session.accounts):
            raise Lost(conditions.accounts_gone(sorted(gone)))
        self._accounts = set(session.accounts)

    async def _run(self, session: Session, streams: Streams) -> None:
        """Raise Lost when the session is over."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(endless(session.watch()))
                group.create_task(endless(session.confirm(lambda listed: self.believed(session, listed))))
                group.create_task(endless(streams.run()))
                group.create_task(endless(self._learn(session, streams)))
                group.create_task(endless(self._look_up(session)))
                group.create_task(endless(self._read_closes(session)))
                group.create_task(endless(self._follow_orders(session)))
        except ExceptionGroup as several:
            lost, rest = several.split(Lost)
            raise (lost or rest or several).exceptions[0] from None

    def believed(self, session: Session, listed: list[ib_async.Position]) -> bool:
        """Whether a list of positions can be true: where it is empty it must agree with the account's own figures.

        Of one account among several that was never seen to hold anything it is enough that its figures do not object.
        """
        values, known = session.ib.accountValues(), {account for account, _ in session.rows or self._held}
        holding = {row.account for row in listed if row.position and row.account in session.accounts}
        for number in set(session.accounts) - holding:
            empty = money.holds_nothing(money.rows_of(values, number))
            if empty is False or (empty is None and (number in known or not holding)):
                return False
        return True

    async def _follow_orders(self, session: Session) -> None:
        await self.follow_orders(session)

    async def _learn(self, session: Session, streams: Streams) -> None:
        """Return never: find out about what is held, and stream what matters."""
        while True:
            held = session.held
            await self.directory.learn(session, held)
            wants, contracts = wanted(held, self.directory, session.clock())
            also = {known.contract.conId: known.contract for known in self.looked_at_known}
            streams.want([*wants, *room_for(also, wants, streams.budget)], {**also, **contracts})
            await asyncio.sleep(LEARN_SECONDS)

    async def _look_up(self, session: Session) -> None:
        """Return never: find the contracts of what is looked at."""
        while True:
            self.looked_at_known = await looked_at(session, self.lookup, self.looked_at)
            await asyncio.sleep(LEARN_SECONDS)

    async def _read_closes(self, session: Session) -> None:
        """Return never: keep the daily closes of VIX and VIX3M."""
        while True:
            pause = HISTORY_EVERY
            for symbol in history.SYMBOLS:
                closes, reason = await history.closes_of(session, self.directory, symbol)
                if closes:
                    self.closes[symbol], self.closes_times[symbol] = closes, self.clock()
                    self.no_closes.pop(symbol, None)
                else:
                    self.no_closes[symbol], pause = reason, HISTORY_RETRY
            await asyncio.sleep(pause.total_seconds())

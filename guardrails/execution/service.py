"""Execution: what becomes of a person's wish to trade, in the program that watches; tasks on the engine's loop.

The engine hands over every cycle (`see`) and every request about orders (`put`), says when this program begins and
ends to watch (`begin`, `idle`), and runs `run`. Pages read `now`, which is replaced whole. Whatever goes wrong in one
request or one task costs no other.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from guardrails.alerts.values import AlertsNow
from guardrails.assess import Assessment
from guardrails.brokers import TradingBroker
from guardrails.ending import cancellations, uncancelled
from guardrails.errors import GuardrailsError
from guardrails.execution import blotter
from guardrails.execution.accepting import Accepting
from guardrails.execution.approvals import Approvals
from guardrails.execution.asked import Asked, Elsewhere, InDoubtError, RefusedError, expired
from guardrails.execution.changing import Changing
from guardrails.execution.confirming import Confirming
from guardrails.execution.desk import Desk
from guardrails.execution.doing import Doing, Doings
from guardrails.execution.explaining import Explaining
from guardrails.execution.following import Following
from guardrails.execution.guarding import Guarding
from guardrails.execution.judging import Fresh, Judge, Simulate
from guardrails.execution.keeping import keep_again
from guardrails.execution.listing import Listing
from guardrails.execution.looking import Looking
from guardrails.execution.opening import Opening
from guardrails.execution.safety_file import SafetyFile
from guardrails.execution.sending import Proposal, Sending
from guardrails.execution.values import Deed, OrderRecord
from guardrails.execution.venues import Venue
from guardrails.execution.waits import Waits
from guardrails.findings import Finding
from guardrails.gate.simulate import simulate
from guardrails.instruments import Instrument
from guardrails.keeper import Kept, OrderStore
from guardrails.limits import Limits
from guardrails.matrix import RiskMatrix
from guardrails.orders import Order
from guardrails.orders_now import OrdersNow
from guardrails.requests import Answer, Request, Said
from guardrails.values import AccountId

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 1.0
"""before a task that failed is tried again"""


def new_key() -> str:
    """A unique key that both brokers take and keep: 18 characters."""
    return f"G-{secrets.token_hex(8)}"


class Execution:
    """`put`, `answer`, `now` and `records` may be used from any thread; the rest belongs to the engine's loop."""

    def __init__(
        self,
        brokers: Sequence[TradingBroker],
        store: OrderStore | None,
        clock: Callable[[], datetime],
        rules: Callable[[], RiskMatrix],
        data_dir: Path,
        *,
        judge: Simulate = simulate,
        waits: Waits | None = None,
        keys: Callable[[], str] = new_key,
        slept: Callable[[], float] = lambda: 0.0,
        alerts: Callable[[], AlertsNow | None] = lambda: None,
    ) -> None:
        """`rules` gives the matrix in force; `judge` and `keys` are others in tests alone.

        Nothing is sent while `slept` (`guardrails.awake.Awake.slept`) says that this program stood still so long that
        another one may watch. `alerts` are those of this program: one that nobody takes may stop new risk.
        """
        waits = waits or Waits()
        self._desk = Desk(brokers, store, clock, rules, data_dir, waits, keys, slept=slept, alerts=alerts)
        self._judge = Judge(self._desk, judge)
        self._following = Following(self._desk)
        self._looking = Looking(clock, waits.lapse)
        self._confirming = Confirming(self._desk, self._judge, self._following)
        self._sending = Sending(self._desk, self._confirming, self._following)
        self._changing = Changing(self._desk, self._following)
        doings = Doings(
            self._desk,
            self._judge,
            self._confirming,
            self._sending,
            self._changing,
            self._following,
            self._looking,
            Approvals(),
        )
        listing, accepting = Listing(self._desk, self._looking), Accepting(self._desk)
        self.doings: dict[str, Doing] = {**doings.table(), **listing.table(), **accepting.table()}
        """what is done for each kind of request; flatten adds its own"""
        self.beside: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}
        """tasks that run with it; flatten adds its own"""
        self._asked = Asked()
        self._opening = Opening(self._desk, self._following)
        self._tasks: set[asyncio.Task[None]] = set()
        self._come: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.now = OrdersNow(clock(), problem="Orders are not read yet.")

    # --- what the engine calls

    @property
    def safety(self) -> SafetyFile:
        """The safety state and its ways."""
        return self._desk.safety

    @property
    def records(self) -> Mapping[str, OrderRecord]:
        """Our orders by key; a copy."""
        return dict(self._desk.deeds.records)

    @property
    def is_open(self) -> bool:
        """Whether orders can be sent: this program watches, and knows what was done before."""
        return self._desk.is_open

    def begin(self, sources: Sequence[str], scenario: str) -> None:
        """This program watches the book of these sources from now on."""
        wanted = (tuple(sources), scenario)
        if wanted != self._opening.wanted:
            self._opening.want(wanted)

    def idle(self) -> None:
        """Another program watches from now on, or it is not known who: nothing more is sent."""
        self._opening.want(None)

    def see(self, assessment: Assessment, sources: Sequence[str] = ()) -> None:
        """Take one more cycle of the book that is watched."""
        if self._opening.wanted is not None and (not sources or tuple(sources) == self._opening.wanted[0]):
            self._desk.see(assessment)

    def put(self, request: Request, elsewhere: Elsewhere | None = None) -> None:
        """Do what a person asks; `answer` says what came of it, and `elsewhere` is told."""
        self._asked.put(request, elsewhere)
        loop, come = self._loop, self._come
        if loop is not None and come is not None and not loop.is_closed():
            loop.call_soon_threadsafe(come.set)

    def answer(self, key: str) -> Answer | None:
        """What came of the request `key`; None while it is not known."""
        return self._asked.answer(key)

    def wanted(self) -> tuple[Instrument, ...]:
        """What is streamed because somebody looks at it."""
        return self._looking.wanted()

    def findings(self, limits: Limits) -> list[Finding]:
        """What the book's checks must know of orders."""
        return blotter.findings(self._desk, limits) if self._opening.wanted is not None else []

    async def run(self) -> None:
        """Work until cancelled."""
        self._loop, self._come = asyncio.get_running_loop(), asyncio.Event()
        self._desk.begin()
        self._looking.begin()
        self._opening.want(self._opening.wanted)
        try:
            await self._work()
        finally:
            for task in self._tasks:
                task.cancel()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            jobs: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
                "open": self._opening.run,
                "requests": self._requests,
                "tend": self._following.tend,
                "guard": Guarding(self._desk).run,
                "positions": Explaining(self._desk).run,
                "keep": lambda: keep_again(self._desk),
                "publish": self._publish,
            }
            for venue in self._desk.venues:
                jobs[f"hear {venue.name}"] = lambda venue=venue: self._following.hear(venue)  # type: ignore[misc]  # bound per venue
                jobs[f"pursue {venue.name}"] = lambda venue=venue: self._following.pursue(venue)  # type: ignore[misc]  # as above
            for name, job in (jobs | self.beside).items():
                group.create_task(self._keep(name, job), name=f"execution {name}")

    # --- what flatten calls

    async def submit_exit(
        self, order: Order, author: str, tag: str, rationale: str, flatten: str = "", *, origin: str = "flatten"
    ) -> OrderRecord:
        """Judge an order on what is asked anew, and send it if it is an exit; ValueError with a sentence if not."""
        proposal = Proposal(order, author, origin, tag, rationale, flatten=flatten)
        record, _ = await self._sending.submit(proposal, exits_only=True)
        return record

    async def cancel_order(self, key: str, author: str) -> OrderRecord:
        """Ask for one order of ours to be cancelled; ValueError when that cannot be asked."""
        return await self._changing.cancel(key, author)

    async def cancel_other(self, account: AccountId, reference: str) -> None:
        """Ask for another sender's order to be cancelled; ValueError when that cannot be asked."""
        await self._changing.cancel_other(account, reference)

    async def reprice_order(self, key: str, limit: float) -> OrderRecord:
        """Ask for another limit of a working order of ours; ValueError when it was not changed."""
        return await self._changing.reprice(key, limit)

    async def read(self, account: AccountId) -> Fresh:
        """What the account holds, read anew from its broker."""
        return await self._confirming.read(account)

    def venue_of(self, account: AccountId) -> Venue:
        """Where orders of `account` are sent, and what it says; ValueError when nowhere."""
        return self._desk.venue_of(account)

    @property
    def venues(self) -> tuple[Venue, ...]:
        """All brokers that orders can be sent to."""
        return self._desk.venues

    def do(self, *deeds: Deed) -> Kept | None:
        """Remember `deeds` and hand them to the store in one transaction."""
        return self._desk.do(*deeds)

    # --- the tasks

    async def _keep(self, name: str, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `job` again and again; what goes wrong ends nothing else."""
        while True:
            before = cancellations()
            try:
                await uncancelled(job())
            except Exception as error:  # as said
                self._failed(name, error)
            if cancellations() > before:  # it failed of being cancelled
                return
            await asyncio.sleep(_AGAIN_SECONDS)

    def _failed(self, name: str, error: BaseException) -> None:
        if name in self._desk.faults():  # it was logged a moment ago
            log.warning("execution: %s failed again (%s)", name, type(error).__name__)
        else:
            log.error("execution: %s failed and is tried again", name, exc_info=error)
        self._desk.fail(name, error)

    async def _requests(self) -> None:
        """Do what people ask, each beside the other; `Sending` keeps the orders of one account in line."""
        come = self._come
        if come is None:
            return
        while True:
            while (request := self._asked.take()) is not None:
                task = asyncio.create_task(self._do(request))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            await come.wait()
            come.clear()

    async def _do(self, request: Request) -> None:
        now, doing = self._desk.clock(), self.doings.get(request.kind)
        said, words, content = Said.REFUSED, "", ""
        try:
            if now > request.valid_until:
                said, words = Said.EXPIRED, expired(request)
            elif doing is None:
                words = f"This program does not know how to {request.kind[:40].replace('_', ' ')}; update it"
            elif self._opening.wanted is None:
                words = "This program does not watch this book; nothing was done"
            else:
                done = await doing(request)
                said, words, content = Said.DONE, done.words, done.content
        except RefusedError as error:
            words, content = str(error), error.content
        except (ValueError, GuardrailsError) as error:
            words = str(error)
        except InDoubtError as error:
            said, words = Said.UNKNOWN, str(error)
        except asyncio.CancelledError:
            self._asked.say(request, now, Said.UNKNOWN, "This program ended while it did it; look what became of it")
            raise
        except Exception:  # one request must not cost the others
            log.exception("a request to %s could not be done", request.kind)
            words = "It could not be done because of a fault of the program; see the log"
        self._asked.say(request, self._desk.clock(), said, words, content)

    async def _publish(self) -> None:
        """Replace what pages show, whenever something changes."""
        while True:
            if self._opening.wanted is not None:
                self._looking.tell(self._desk.venues)
                self.now = blotter.orders_now(self._desk)
            else:
                problem = "This program does not watch this book."
                self.now = OrdersNow(self._desk.clock(), self._desk.safety.now, problem=problem)
            await self._desk.wait(self._desk.waits.tick)

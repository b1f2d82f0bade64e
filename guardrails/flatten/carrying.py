"""One run on its way: the pure step is asked what to do, brokers and gate are asked to do it, what comes back is told.

Every action is a task of its own, so that one account never waits for another; `walk` sees to it that no order is
handed over twice. Whatever an action meets, it ends in words of the run, never in an order that nobody knows of.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from guardrails.assess import Assessment
from guardrails.errors import GuardrailsError
from guardrails.execution.service import Execution
from guardrails.execution.values import FLATTEN as TAG
from guardrails.execution.values import FlattenRun
from guardrails.flatten import walk
from guardrails.flatten.market import holdings_of, quotes_of, shut
from guardrails.flatten.plan_json import plan_json
from guardrails.flatten.pricing import Quoted, rule_name
from guardrails.flatten.walking import (
    Action,
    Cancel,
    Held,
    Read,
    Reprice,
    Send,
    Told,
    WalkState,
    Withdraw,
    Working,
    answered,
    is_unsent,
)
from guardrails.instruments import Instrument
from guardrails.orders import PriceRule
from guardrails.portfolio import Portfolio
from guardrails.values import AccountId

log = logging.getLogger(__name__)

RATIONALE = "Flatten Risk — user-initiated"
LOOK_SECONDS = 0.25
"""between two looks when nothing happens"""


class Carrying:
    """Carries out one run; belongs to the loop."""

    def __init__(
        self,
        state: WalkState,
        author: str,
        execution: Execution,
        seen: Callable[[], Assessment | None],
        clock: Callable[[], datetime],
        rules: Mapping[str, PriceRule],
        look_seconds: float,
    ) -> None:
        self._look_seconds = look_seconds
        self.state, self.author = state, author
        self.ready = True
        """whether it may begin: its confirmation is kept, or was before a restart"""
        self._execution, self._seen, self._clock, self._rules = execution, seen, clock, rules
        self._plan = plan_json(state.plan)
        self._held: dict[AccountId, Held] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._kept: FlattenRun | None = None
        self._quotes: tuple[Portfolio, Quoted] | None = None
        """those of one cycle"""

    def stop(self) -> None:
        """A person wants it stopped."""
        self.state = walk.stopped(self.state, self._clock())
        self._news.set()

    def as_run(self) -> FlattenRun:
        """As it is kept and shown."""
        state = self.state
        notes = {str(line.number): line.why for line in state.lines if line.why}
        return FlattenRun(state.key, state.begun, self.author, state.state, self._plan, state.changed, state.words,
                          dict(state.orders), notes, state.flat)  # fmt: skip

    async def carry(self) -> None:
        """Until it is done; cancelled, it leaves everything as it is, to be taken up again."""
        try:
            while not self.state.done:
                if self._execution.is_open and (seen := self._seen()) is not None:
                    self._step(seen)
                    self._keep()
                await self._pause()
        finally:
            for task in self._tasks:
                task.cancel()

    def _step(self, seen: Assessment) -> None:
        portfolio, now = seen.portfolio, self._clock()
        legs = {leg.instrument for line in self.state.lines for leg in line.order.legs}
        told = Told(
            records={key: one for key, one in self._execution.records.items() if one.flatten == self.state.key},
            working=self._working(),
            held=dict(self._held),
            shut=shut(legs, portfolio, now),
            rules=self._rules_of(),
            away=frozenset(self._away()),
        )
        rules = seen.limits.matrix.orders.flatten
        if self._quotes is None or self._quotes[0] is not portfolio:
            self._quotes = (portfolio, quotes_of(portfolio))
        self.state, actions = walk.step(self.state, told, self._quotes[1], now, rules)
        for action in actions:
            task = asyncio.create_task(self._do(action, seen))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._news.set()

    def _accounts(self) -> set[AccountId]:
        """Those in which it trades or cancels."""
        return {*self.state.accounts, *(one.account for one in self.state.cancels)}

    def _away(self) -> Iterator[AccountId]:
        """Accounts whose broker did not answer when it was asked last."""
        for account in self._accounts():
            with suppress(ValueError):  # nothing of it can be sent at all
                if self._execution.venue_of(account).problem:
                    yield account

    def _working(self) -> Mapping[AccountId, Working]:
        """What the brokers have said of orders; nothing of those whose word is old."""
        found: dict[AccountId, Working] = {}
        for account in self._accounts():
            try:
                venue = self._execution.venue_of(account)
            except ValueError:
                continue
            if not venue.unknown():
                read = venue.told()
                found[account] = Working(read.time, tuple(one for one in read.orders if one.account == account))
        return found

    def _rules_of(self) -> Mapping[int, PriceRule]:
        named = {line.number: rule_name(line.order.legs, line.order.account.broker) for line in self.state.lines}
        return {number: self._rules[name] for number, name in named.items() if name in self._rules}

    async def _do(self, action: Action, seen: Assessment) -> None:
        try:
            match action:
                case Send():
                    await self._send(action)
                case Read():
                    await self._read(action.account, seen)
                case Reprice():
                    await self._execution.reprice_order(action.key, action.limit)
                case Withdraw():
                    await self._execution.cancel_order(action.key, self.author)
                case Cancel():
                    await self._cancel(action)
        except (ValueError, GuardrailsError) as error:  # it is tried again when it is due
            log.warning("flatten %s: %s", self.state.key, error)
        except Exception:  # one action must not end the run
            log.exception("flatten %s: an action failed", self.state.key)

    async def _send(self, action: Send) -> None:
        """Hand one order to the gate; whatever comes back, a record of it decides whether anything was sent."""
        before = {key for key, one in self._execution.records.items() if one.flatten == self.state.key}
        key, refused = "", ""
        try:
            record = await self._execution.submit_exit(
                action.order, self.author, TAG, RATIONALE, flatten=self.state.key
            )
            key = record.key
        except (ValueError, GuardrailsError) as error:
            refused = str(error)
        except Exception as error:  # where a record was made it tells more
            log.exception("flatten %s: order %s", self.state.key, action.number)
            refused = f"a fault of the program ({type(error).__name__}); see the log"
        key = key or self._made_by(action, before)
        self.state = answered(self.state, action.number, self._clock(), key, refused)

    def _made_by(self, action: Send, before: set[str]) -> str:
        """Key of the record that a failed attempt left; empty when nothing was kept, and so nothing was sent."""
        taken = {line.key for line in self.state.lines}
        made = [
            one.key for one in self._execution.records.values()
            if one.flatten == self.state.key and one.key not in before | taken and not is_unsent(one)
            and (one.order.account, one.order.legs) == (action.order.account, action.order.legs)
        ]  # fmt: skip
        return made[-1] if made else ""

    async def _read(self, account: AccountId, seen: Assessment) -> None:
        asked = self._clock()
        fresh = await self._execution.read(account)
        named: list[Instrument] = [
            leg.instrument for line in self.state.lines if line.order.account == account for leg in line.order.legs
        ]
        holdings = await asyncio.to_thread(holdings_of, account, seen.portfolio, fresh.held, named)
        self._held[account] = Held(asked, holdings, fresh.held is not None, fresh.words)

    async def _cancel(self, action: Cancel) -> None:
        """Ours by its key, another sender's by the broker's reference."""
        told = self._execution.venue_of(action.account).told().orders
        found = next((o for o in told if (o.account, o.reference) == (action.account, action.reference)), None)
        if found is not None and found.key in self._execution.records:
            await self._execution.cancel_order(found.key, self.author)
        else:
            await self._execution.cancel_other(action.account, action.reference)

    def _keep(self) -> None:
        """Hand the run over whenever anything a restart needs, or a page shows, has changed."""
        run = self.as_run()
        if self._kept is None or replace(run, changed=self._kept.changed) != self._kept:
            self._kept = run
            self._execution.do(run)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._look_seconds):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()

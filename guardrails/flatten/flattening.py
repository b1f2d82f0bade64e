"""Flatten as a service: makes plans, carries them out through the execution's gate, goes on after a restart.

Its coroutines belong to the engine's loop, beside `guardrails.execution.service.Execution`, which does the sending.
What is decided stands in `plan` and `walk`; here is only who is asked, and in which order.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from guardrails.assess import Assessment
from guardrails.errors import GuardrailsError
from guardrails.execution.asked import Done, RefusedError
from guardrails.execution.doing import Doing
from guardrails.execution.service import Execution, new_key
from guardrails.execution.values import FLATTEN as TAG
from guardrails.execution.values import FlattenRun, JournalEntry, JournalKind, RunState
from guardrails.flatten.basis import Basis, basis_of, changes
from guardrails.flatten.carrying import LOOK_SECONDS, RATIONALE, Carrying
from guardrails.flatten.plan import plan_of
from guardrails.flatten.plan_json import plan_from, plan_json, wish_from
from guardrails.flatten.pricing import rule_name
from guardrails.flatten.values import Plan, PlannedClose, Wish
from guardrails.flatten.walking import WalkState, begun, resumed
from guardrails.orders import BrokerOrder, PriceRule
from guardrails.requests import Kind, Request
from guardrails.values import AccountId

log = logging.getLogger(__name__)

LONGEST = timedelta(minutes=2)
"""a plan that is older is not carried out: its prices are of another market"""
RULES_SECONDS, PREVIEWS_SECONDS = 2.0, 5.0
"""for all that brokers are asked while a plan is made: their rules of prices, then what each order would free"""
ACCOUNTS_PATIENCE = timedelta(seconds=60)
"""a run of before a restart waits so long for all its accounts; then those that are known are closed"""
_KEPT_SECONDS = 2.0
_MOST_PLANS = 20


@dataclass(frozen=True, slots=True)
class _Made:
    """A plan that was shown, and the book it was made for."""

    plan: Plan
    basis: Basis


class Flattening:
    """`doings` are for `Execution.doings`; `run` is one more task of the loop."""

    def __init__(
        self,
        execution: Execution,
        seen: Callable[[], Assessment | None],
        clock: Callable[[], datetime],
        keys: Callable[[], str] = new_key,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """`seen` gives the last cycle; every `look_seconds` it is seen what has changed, when nothing wakes it."""
        self._look_seconds = look_seconds
        self._execution, self._seen, self._clock, self._keys = execution, seen, clock, keys
        self._made: dict[str, _Made] = {}
        self._rules: dict[str, PriceRule] = {}
        self._carried: dict[str, Carrying] = {}
        self._awaited: dict[str, datetime] = {}
        """since when the accounts of a run are awaited"""
        self._beginning = False
        """one confirmation at a time is looked at"""
        self._news = asyncio.Event()

    def doings(self) -> Mapping[str, Doing]:
        """What is done for each kind of request."""
        return {Kind.FLATTEN_PLAN: self.plan, Kind.FLATTEN: self.flatten, Kind.FLATTEN_STOP: self.stop}

    async def run(self) -> None:
        """Carry out what was begun, here or before a restart; until cancelled."""
        self._news = asyncio.Event()
        tasks: dict[str, asyncio.Task[None]] = {}
        self._carried.clear()
        try:
            while True:
                if not self._execution.is_open:  # another program may go on with them, and they are read again then
                    self._forget(tasks)
                self._take_up()
                for key, one in self._carried.items():
                    if one.ready and (key not in tasks or (tasks[key].done() and not one.state.done)):
                        tasks[key] = asyncio.create_task(self._carry(one))
                await self._pause()
        finally:
            self._forget(tasks)

    def _forget(self, tasks: dict[str, asyncio.Task[None]]) -> None:
        for task in tasks.values():
            task.cancel()
        tasks.clear()
        self._carried.clear()

    # --- what a person asks

    async def plan(self, request: Request) -> Done:
        """The plan for a wish, with what the brokers say each order would free."""
        wish = _wish(request.body.get("wish", ""))
        seen = self._book()
        plan = await self._plan_of(seen, wish)
        if await self._learn_rules(plan):
            plan = replace(await self._plan_of(seen, wish), key=plan.key)
        plan = replace(plan, closes=await self._previewed(plan))
        self._made[plan.key] = _Made(plan, basis_of(seen.portfolio, self._orders(), wish))
        while len(self._made) > _MOST_PLANS:
            self._made.pop(next(iter(self._made)))
        orders = f"{len(plan.closes)} order{'' if len(plan.closes) == 1 else 's'}"
        return Done(f"A plan with {orders} was made; nothing was sent", plan_json(plan))

    async def flatten(self, request: Request) -> Done:
        """Begin to carry out a plan, if it is typed out, young, and of the book as it is now."""
        made = self._made.get(request.body.get("plan", ""))
        if made is None:
            raise RefusedError("This plan is not known here any more, or was begun already: make another one.")
        plan, now = made.plan, self._clock()
        if not plan.phrase or plan.trading:
            raise RefusedError(f"Nothing of this plan can be sent. {plan.trading}".strip())
        if " ".join(request.body.get("phrase", "").split()) != plan.phrase:
            raise RefusedError(f"Nothing was sent: type exactly {plan.phrase} to confirm.")
        if now - plan.time > LONGEST:
            raise RefusedError("Nothing was sent: the plan is older than 2 minutes. Make another one.")
        if self._beginning or any(not one.state.done for one in self._carried.values()):
            raise RefusedError("A flatten is running already: stop it, or let it end.")
        del self._made[plan.key]  # once, also when the rest takes a while and is asked again
        self._beginning = True
        try:
            return await self._begin(plan, request.author, await self._confirm(made))
        finally:
            self._beginning = False

    async def stop(self, request: Request) -> Done:
        """Send nothing more of a run, and cancel what works of it."""
        one = self._carried.get(request.body.get("run", ""))
        if one is None or one.state.done:
            raise RefusedError("No such flatten runs here.")
        one.stop()
        return Done("Stopped: nothing more is sent; its working orders are being cancelled")

    # --- making plans

    def _book(self) -> Assessment:
        seen = self._seen()
        if seen is None:
            raise RefusedError("There is no book yet: wait for the first complete answer of the sources.")
        return seen

    async def _plan_of(self, seen: Assessment, wish: Wish) -> Plan:
        rules, now, key, orders = seen.limits.matrix.orders.flatten, self._clock(), self._keys(), self._orders()
        plan = await asyncio.to_thread(
            lambda: plan_of(
                seen.portfolio, seen.limits, wish, orders, self._refusal, rules, now, key, price_rules=dict(self._rules)
            )
        )
        unknown = tuple(f"Working orders are not known: {words}." for venue in self._execution.venues
                        if (words := venue.unknown()))  # fmt: skip
        return replace(plan, problems=(*unknown, *plan.problems))

    def _orders(self) -> tuple[BrokerOrder, ...]:
        return tuple(order for venue in self._execution.venues for order in venue.told().orders)

    def _refusal(self, account: AccountId) -> str:
        try:
            return self._execution.venue_of(account).broker.refusal(account)
        except ValueError as error:
            return str(error)

    async def _learn_rules(self, plan: Plan) -> bool:
        """Ask for rules of prices that are not known yet; whether any was learned."""
        unknown = {rule_name(one.order.legs, one.order.account.broker): one for one in plan.closes if not one.by_hand}
        learned = False
        try:
            async with asyncio.timeout(RULES_SECONDS):
                for name, close in unknown.items():
                    if name not in self._rules:
                        learned = await self._learn(name, close) or learned
        except TimeoutError:
            log.warning("not all rules of prices were told in time; coarse ticks are used")
        return learned

    async def _learn(self, name: str, close: PlannedClose) -> bool:
        try:
            self._rules[name] = await self._execution.venue_of(close.order.account).broker.price_rule(close.order)
        except (ValueError, GuardrailsError) as error:
            log.info("the rule of prices of %s is not known: %s", name, error)
            return False
        return True

    async def _previewed(self, plan: Plan) -> tuple[PlannedClose, ...]:
        """What each order would free, asked one after the other while there is time; the rest is not asked."""
        closes = list(plan.closes)
        try:
            async with asyncio.timeout(PREVIEWS_SECONDS):
                for place, close in enumerate(closes):
                    closes[place] = await self._asked(close)
        except TimeoutError:
            log.info("flatten plan %s: not every order was asked for its margin", plan.key)
        return tuple(closes)

    async def _asked(self, close: PlannedClose) -> PlannedClose:
        if close.by_hand:
            return close
        try:
            broker = self._execution.venue_of(close.order.account).broker
            return replace(close, preview=await broker.preview(close.order))
        except (ValueError, GuardrailsError) as error:
            log.info("order %s of the plan could not be asked for its margin: %s", close.number, error)
            return close

    # --- carrying them out

    async def _confirm(self, made: _Made) -> tuple[str, ...]:
        """Read positions and orders anew; RefusedError says what changed. What is not confirmed is told in words."""
        wish, accounts = made.plan.wish, {one.order.account for one in made.plan.closes if not one.by_hand}
        venues = {venue.name: venue for venue in map(self._execution.venue_of, accounts)}
        reads = [self._execution.read(account) for account in accounts]
        fresh, _ = await asyncio.gather(
            asyncio.gather(*reads), asyncio.gather(*(venue.read_anew() for venue in venues.values()))
        )
        held = {account: one.held for account, one in zip(accounts, fresh, strict=True) if one.held is not None}
        now = basis_of(self._book().portfolio, self._orders(), wish, held)
        if changed := changes(made.basis, now):
            told = "; ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
            raise RefusedError(f"Nothing was sent: the book has changed since the plan. {told}. Make another plan.")
        return tuple(one.words for one in fresh if one.held is None)

    async def _begin(self, plan: Plan, author: str, doubts: Iterable[str]) -> Done:
        key, now = self._keys(), self._clock()
        carrying = self._carrying(begun(key, plan, self._orders(), now), author)
        words = f"{RATIONALE}: {plan.phrase}"
        entry = JournalEntry(f"{key}-B", now, JournalKind.FLATTEN, author, words, tag=TAG)
        carrying.ready = False
        self._carried[key] = carrying  # known before it is kept, or it would be taken up as one of before
        kept = self._execution.do(carrying.as_run(), entry)
        if kept is not None and not await asyncio.to_thread(kept.wait, _KEPT_SECONDS):
            log.warning("flatten %s is not durable yet; its orders are kept one by one", key)
        carrying.ready = True
        self._news.set()
        return Done(" ".join(["The flatten has begun.", *doubts]), json.dumps({"run": key}))

    def _carrying(self, state: WalkState, author: str) -> Carrying:
        return Carrying(state, author, self._execution, self._seen, self._clock, self._rules, self._look_seconds)

    def _take_up(self) -> None:
        """Runs of before a restart, once orders can be sent and their accounts are known."""
        seen = self._seen()
        if not self._execution.is_open or seen is None:
            return
        for run in self._execution.now.runs:
            if run.state is not RunState.DONE and run.key not in self._carried:
                self._resume(run, seen)

    def _resume(self, run: FlattenRun, seen: Assessment) -> None:
        try:
            plan = plan_from(run.plan, (account.id for account in seen.portfolio.accounts))
        except ValueError as error:
            log.warning("flatten %s cannot be taken up yet: %s", run.key, error)
            return
        known, now = {account.id for account in seen.portfolio.accounts}, self._clock()
        missing = any(one.order.account not in known for one in plan.closes)
        if missing and now - self._awaited.setdefault(run.key, now) < ACCOUNTS_PATIENCE:
            return  # nothing can be sent for an account before its source has named it
        state = resumed(run, plan, self._orders(), tuple(self._execution.records.values()))
        log.info("flatten %s is taken up again", run.key)
        self._carried[run.key] = self._carrying(state, run.author)

    async def _carry(self, one: Carrying) -> None:
        try:
            await one.carry()
        except Exception:  # it is taken up again
            log.exception("flatten %s stumbled", one.state.key)
            await asyncio.sleep(self._look_seconds)
            return
        words = f"{RATIONALE}: {one.state.words}"
        self._execution.do(
            JournalEntry(f"{one.state.key}-E", self._clock(), JournalKind.FLATTEN, one.author, words, tag=TAG)
        )

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._look_seconds):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()


def _wish(text: str) -> Wish:
    try:
        return wish_from(text)
    except ValueError:
        raise RefusedError("What is to be closed cannot be read; choose it again.") from None

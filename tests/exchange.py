"""A small exchange in memory, and lines to it: a venue with a will of its own, for the tests of execution.

An `Exchange` lives on while programs come and go; each has a `Line` of its own, which is a TradingBroker. What becomes
of the next orders is said beforehand by `plans`; without a plan an order works until the test fills it. `log` has one
row for every order that reached the venue: no key may stand in it twice.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from guardrails.assess import Assessment
from guardrails.errors import NotSentError, SourceError
from guardrails.execution.fills import identity_of
from guardrails.execution.service import Execution
from guardrails.execution.values import Deed, FlattenRun, JournalEntry, OpenDeeds, OrderRecord, RunState
from guardrails.execution.waits import Waits
from guardrails.gate.values import Impact, MarginChange, Measures, OrderKind, Override, Reason, StressChange, Verdict
from guardrails.instruments import Instrument
from guardrails.matrix import RiskMatrix
from guardrails.orders import (
    BrokerOrder,
    ChainExpiry,
    Figure,
    Fill,
    Leg,
    Order,
    OrdersRead,
    OrderState,
    Preview,
    PriceRule,
)
from guardrails.requests import Answer, Kind, Request
from guardrails.reserve import Room
from guardrails.safety import SafetyChange, SafetyState
from guardrails.store.metadata import StoreError
from guardrails.values import AccountId, Source, SourceState, View
from tests.books import IBKR, NOW, option
from tests.healthy import GENEROUS_MATRIX, healthy

NAME = "test"
"""of the source, as in the healthy book"""


class Clock:
    """A clock that the test moves; it ticks by itself so little that no two moments are the same."""

    def __init__(self, at: datetime = NOW) -> None:
        self._at = at

    def __call__(self) -> datetime:
        self._at += timedelta(microseconds=1)
        return self._at

    def move(self, seconds: float) -> None:
        self._at += timedelta(seconds=seconds)


class Plan(StrEnum):
    """What becomes of an order that is handed in."""

    WORK = "work"
    FILL = "fill"
    REJECT = "reject"
    LOSE_REPLY = "lose_reply"
    """the order is taken, and the sender never hears of it by the call"""
    LOSE_ORDER = "lose_order"
    """the line breaks before the order arrives"""
    NOT_SENT = "not_sent"
    HANG = "hang"
    """the order is taken, the call does not return until the test says so"""
    HANG_BEFORE = "hang_before"
    """the call never returns, and nothing arrived"""


@dataclass
class Exchange:
    """What the venue knows; the truth."""

    clock: Clock
    positions: dict[AccountId, dict[str, float]] = field(default_factory=dict)
    orders: dict[str, BrokerOrder] = field(default_factory=dict)
    """by reference"""
    fills: list[Fill] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    """keys of all orders that arrived"""
    asked_to_cancel: list[str] = field(default_factory=list)
    plans: deque[Plan] = field(default_factory=deque)
    fills_on_cancel: bool = False
    on_cancel: OrderState | None = None
    """what an order is once its cancellation is asked for, when it is not cancelled: WORKING, CANCEL_REQUESTED"""
    hides: set[str] = field(default_factory=set)
    """references of orders that are not told any more"""
    silent: bool = False
    """answers nothing that is asked"""
    held_silent: bool = False
    fees_later: bool = False
    listeners: list[Callable[[], None]] = field(default_factory=list)

    def take(self, order: Order, key: str) -> Plan:
        plan = self.plans.popleft() if self.plans else Plan.WORK
        if plan in (Plan.LOSE_ORDER, Plan.NOT_SENT, Plan.HANG_BEFORE):
            return plan
        self.log.append(key)
        reference = f"r{len(self.log)}"
        state = OrderState.REJECTED if plan is Plan.REJECT else OrderState.WORKING
        words = "margin is not enough" if plan is Plan.REJECT else ""
        self.orders[reference] = BrokerOrder(
            order.account, reference, key, order.legs, float(order.quantity), 0.0, state, order.limit, words=words,
            time=self.clock(),
        )  # fmt: skip
        if plan is Plan.FILL:
            self.fill(key)
        self.tell()
        return plan

    def add(self, order: BrokerOrder) -> None:
        """An order of somebody else."""
        self.orders[order.reference] = order
        self.tell()

    def by_key(self, key: str) -> BrokerOrder:
        return next(order for order in self.orders.values() if order.key == key)

    def fill(self, key: str, packages: float | None = None, prices: Sequence[float] = ()) -> None:
        """Fill some packages, or the rest, each leg at its price (1.00 unless given)."""
        order = self.by_key(key)
        size = order.quantity - order.filled if packages is None else packages
        for number, leg in enumerate(order.legs):
            price = prices[number] if prices else 1.0
            self.execute(order, leg, size * leg.ratio, price)
        filled = order.filled + size
        state = OrderState.FILLED if filled >= order.quantity else OrderState.PARTIAL
        self.orders[order.reference] = replace(order, filled=filled, state=state, time=self.clock())
        self.tell()

    def execute(self, order: BrokerOrder, leg: Leg, quantity: float, price: float) -> None:
        held = self.positions.setdefault(order.account, {})
        held[leg.instrument.key] = held.get(leg.instrument.key, 0.0) + quantity
        self.fills.append(
            Fill(
                f"e{len(self.fills) + 1}", 0, order.account, leg.instrument, quantity, price, self.clock(), order.key,
                order.reference, None if self.fees_later else 0.5,
            )
        )  # fmt: skip

    def correct(self, execution: str, price: float) -> None:
        """The venue corrects the price of an execution, without taking the first word back."""
        old = next(fill for fill in self.fills if fill.execution == execution)
        self.fills.append(replace(old, revision=old.revision + 1, price=price))
        self.tell()

    def pay(self) -> None:
        """The commissions come, later than the executions."""
        self.fills = [replace(fill, fees=0.5) for fill in self.fills]
        self.tell()

    def end(self, key: str, state: OrderState = OrderState.CANCELLED) -> None:
        order = self.by_key(key)
        self.orders[order.reference] = replace(order, state=state, time=self.clock())
        self.tell()

    def cancel(self, reference: str) -> None:
        self.asked_to_cancel.append(reference)
        order = self.orders[reference]
        if order.state.is_over:
            return
        if self.fills_on_cancel:
            self.fill(order.key)
        elif self.on_cancel is not None:
            self.orders[reference] = replace(order, state=self.on_cancel, time=self.clock())
            self.tell()
        else:
            self.orders[reference] = replace(order, state=OrderState.CANCELLED, time=self.clock())
            self.tell()

    def read(self) -> OrdersRead:
        shown = tuple(order for order in self.orders.values() if order.reference not in self.hides)
        hidden = {self.orders[reference].key for reference in self.hides if reference in self.orders}
        return OrdersRead(NAME, self.clock(), shown, tuple(fill for fill in self.fills if fill.key not in hidden))

    def tell(self) -> None:
        for listener in list(self.listeners):
            listener()


class Line:
    """One program's connection to the exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange, self.name = exchange, NAME
        self._news = asyncio.Event()
        self._told = OrdersRead(NAME, exchange.clock())
        self.refuses = ""
        self.is_dropped = False
        """what waits for news is cancelled, as by a library that lost its connection"""
        self.looked_at: list[tuple[Instrument, ...]] = []
        self.preview_hangs = False
        self.breaks = asyncio.Event()
        """the call that hangs ends without an answer"""
        self.previews = self.listens = 0
        self.listed_now: dict[str, tuple[Instrument, ...]] = {}
        exchange.listeners.append(self._hear)

    def _hear(self) -> None:
        if not self.exchange.silent:
            self._told = self.exchange.read()
            self._news.set()

    def cut(self) -> None:
        """The program is gone."""
        if self._hear in self.exchange.listeners:  # a test may have cut it before
            self.exchange.listeners.remove(self._hear)

    async def view(self, now: datetime) -> View:
        return View(Source(NAME, SourceState.LIVE, now))

    async def close(self) -> None:
        self.cut()

    async def changed(self) -> None:
        await asyncio.Event().wait()

    async def settle(self) -> None:
        return

    async def preview(self, order: Order) -> Preview:
        self.previews += 1
        if self.preview_hangs or self.exchange.silent:
            await asyncio.Event().wait()
        return Preview(
            self.exchange.clock(), Figure(1.0, 1.0, 2.0), Figure(1.0, 1.0, 2.0), Figure(9.0, 0.0, 9.0), "USD"
        )

    def is_paper(self, account: AccountId) -> bool:
        return True

    def refusal(self, account: AccountId) -> str:
        return self.refuses

    def orders(self) -> OrdersRead:
        return self._told

    async def ordered(self) -> None:
        self.listens += 1
        await self._news.wait()
        self._news.clear()
        if self.is_dropped:
            raise asyncio.CancelledError

    async def read_orders(self) -> OrdersRead:
        if self.exchange.silent:
            raise SourceError("the line is dead")
        self._told = self.exchange.read()
        return self._told

    async def held(self, account: AccountId) -> Mapping[str, float]:
        if self.exchange.silent or self.exchange.held_silent:
            raise SourceError("the line is dead")
        return {key: size for key, size in self.exchange.positions.get(account, {}).items() if size}

    async def submit(self, order: Order, key: str) -> None:
        plan = self.exchange.take(order, key)
        if plan is Plan.NOT_SENT:
            raise NotSentError("there is no connection")
        if plan in (Plan.HANG, Plan.HANG_BEFORE):
            await self.breaks.wait()
        if plan in (Plan.LOSE_REPLY, Plan.LOSE_ORDER, Plan.HANG, Plan.HANG_BEFORE):
            raise SourceError("the line broke")

    async def cancel(self, order: BrokerOrder) -> None:
        if self.exchange.silent:
            raise SourceError("the line is dead")
        self.exchange.cancel(order.reference)

    async def reprice(self, order: BrokerOrder, limit: float) -> None:
        self.exchange.orders[order.reference] = replace(order, limit=limit)
        self.exchange.tell()

    async def price_rule(self, order: Order) -> PriceRule:
        return PriceRule(((Decimal(0), Decimal("0.05")),))

    async def expiries(self, underlying: str) -> tuple[ChainExpiry, ...]:
        found = {one.expiry for options in self.listed_now.values() for one in options if one.expiry}
        if not found:
            raise SourceError("nothing is listed")
        return tuple(ChainExpiry(underlying, expiry, underlying) for expiry in sorted(found))

    async def listed(self, expiry: ChainExpiry) -> tuple[Instrument, ...]:
        return self.listed_now[expiry.expiry.isoformat()]

    def look_at(self, instruments: Collection[Instrument]) -> None:
        self.looked_at.append(tuple(instruments))


# --- a store in memory that keeps what a real one would: JSON, without account numbers


@dataclass(frozen=True)
class Place:
    """Something that was handed over."""

    kept: bool

    def wait(self, seconds: float) -> bool:
        return self.kept


_KINDS: dict[type, TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (OrderRecord, Fill, JournalEntry, Override, SafetyChange, FlattenRun)
}


class Shelf:
    """An OrderStore that outlives programs; `takes` and `reads` say whether it works."""

    def __init__(self) -> None:
        self.rows: list[tuple[type, str]] = []
        self.takes = self.reads = True
        self.lost = False
        self.transactions: list[tuple[Deed, ...]] = []

    def hand_deeds(self, sources: Sequence[str], scenario: str, deeds: Sequence[Deed]) -> Place:
        if not self.takes:
            return Place(kept=False)
        self.transactions.append(tuple(deeds))
        self.rows += [(type(deed), _KINDS[type(deed)].dump_json(_hidden(deed)).decode()) for deed in deeds]
        return Place(kept=True)

    def is_lost(self) -> bool:
        return self.lost

    def room(self) -> Room:
        return Room(1, 1)

    def open_deeds(self, sources: Sequence[str], scenario: str, since: datetime) -> OpenDeeds:
        if not self.reads:
            raise StoreError("the database is down")
        deeds: dict[type, list[Any]] = {kind: [] for kind in _KINDS}
        for kind, row in self.rows:
            deeds[kind].append(_KINDS[kind].validate_json(row))
        return OpenDeeds(
            orders=_last(deeds[OrderRecord], lambda one: one.key),
            fills=_last(deeds[Fill], identity_of),
            safety=deeds[SafetyChange][-1] if deeds[SafetyChange] else None,
            overrides=_last(deeds[Override], lambda one: one.key),
            runs=tuple(r for r in _last(deeds[FlattenRun], lambda one: one.key) if r.state is not RunState.DONE),
            entries=_last(deeds[JournalEntry], lambda one: one.key),
        )

    def entries(self) -> tuple[JournalEntry, ...]:
        return self.open_deeds((), "", NOW).entries


def _last(rows: Iterable[Any], identity: Callable[[Any], Any]) -> tuple[Any, ...]:
    return tuple({identity(row): row for row in rows}.values())


def _hidden(deed: Deed) -> Deed:
    if isinstance(deed, OrderRecord):
        return replace(deed, order=replace(deed.order, account=deed.order.account.hidden))
    return replace(deed, account=deed.account.hidden) if isinstance(deed, Fill) else deed


# --- a plain gate: what is known to be an exit passes, everything else needs the broker's margin


def _closes(order: Order, ground: Any) -> bool:
    held = ground.confirmed.get(order.account)
    if held is None:
        held = {p.instrument.key: p.quantity or 0.0 for p in ground.portfolio.positions if p.account == order.account}
    for trade in order.trades:
        key = trade.instrument.key
        going = sum(
            leg.ratio * one.remaining
            for one in ground.working
            if one.account == order.account
            for leg in one.legs
            if leg.instrument.key == key and leg.ratio * trade.quantity > 0
        )
        now = held.get(key, 0.0)
        if now * trade.quantity >= 0 or abs(trade.quantity + going) > abs(now):
            return False
    return True


def plain_gate(order: Order, ground: Any, preview: Preview | None, source: str) -> Impact:
    kind = OrderKind.EXIT if _closes(order, ground) else OrderKind.NEW_RISK
    reasons = []
    if ground.safety.state is SafetyState.STOPPED:
        reasons.append(Reason("safety", Verdict.BLOCK, "STOPPED sends nothing."))
    if kind is OrderKind.NEW_RISK:
        if ground.orders_unknown:
            reasons.append(Reason("orders_unknown", Verdict.BLOCK, f"Orders are not known: {ground.orders_unknown}."))
        if ground.doubtful:
            reasons.append(Reason("unreconciled", Verdict.BLOCK, f"In doubt: {ground.doubtful[0]}."))
        if ground.safety.state is not SafetyState.NORMAL:
            reasons.append(Reason("safety", Verdict.BLOCK, f"It is {ground.safety.state.value}."))
        if preview is None or preview.unknown:
            reasons.append(Reason("margin_unknown", Verdict.BLOCK, "The margin is not known."))
        if any(o.order.legs == order.legs and not o.state.is_over for o in ground.sent):
            reasons.append(Reason("duplicate", Verdict.BLOCK, "The same order again."))
        if order.quantity > 5:
            over = any(one.check == "order_size" for one in ground.overrides)
            verdict = Verdict.ALLOW if over else Verdict.BLOCK
            reasons.append(Reason("order_size", verdict, "More than five.", "order_size", overridden=over))
        elif order.quantity > 3:
            reasons.append(Reason("large", Verdict.WARN, "More than three."))
    elif order.account not in ground.confirmed:
        reasons.append(Reason("not_confirmed", Verdict.WARN, "The positions are not confirmed."))
    ranks = [Verdict.ALLOW, Verdict.WARN, Verdict.BLOCK]
    verdict = max((reason.verdict for reason in reasons), key=ranks.index, default=Verdict.ALLOW)
    return Impact(
        ground.now, order, "what is sent", verdict, kind, tuple(reasons), (), (), Measures(), Measures(),
        MarginChange(source), StressChange(), None, matrix_version=ground.limits.matrix.version,
    )  # fmt: skip


# --- a program on the exchange

QUICK = Waits(
    preview=0.3, exit_preview=0.05, held=0.3, read=20.0, send=0.3, ask=0.3, keep=0.3, fresh=5.0,
    silent=10.0, cancelled=0.5, hand_again=0.5, reconcile=0.2, retry=0.02, tick=0.02, quotes=0.05,
)  # fmt: skip
"""`read` is for a store, too, which answers in a thread: that the machine stands still for a moment is no fault"""


@cache
def _assessed(changes: tuple[tuple[str, float], ...]) -> Assessment:
    world = healthy()
    for name, quantity in changes:
        if name in world.positions:
            world = world.position(name, quantity=quantity)
        else:
            world = world.add(name, option(name, quantity, "-0.1 0.0004 3 -1 0.19", mark=10.0, mark_time=NOW))
    return world.assess()


def assessed(exchange: Exchange) -> Assessment:
    """The healthy book as the exchange holds it now."""
    changes = []
    for name, position in healthy().positions.items():
        held = exchange.positions.get(position.account, {}).get(position.instrument.key, 0.0)
        if held != position.quantity:
            changes.append((name, held))
    known = {position.instrument.key for position in healthy().positions.values()}
    changes += [
        (key.partition(":")[2], held) for key, held in exchange.positions[IBKR].items() if held and key not in known
    ]
    found = _assessed(tuple(changes))
    return replace(found, snapshot=replace(found.snapshot, as_of=exchange.clock()))


def listed(clock: Clock | None = None) -> Exchange:
    """An exchange with the positions of the healthy book."""
    exchange = Exchange(clock or Clock())
    for position in healthy().positions.values():
        held = exchange.positions.setdefault(position.account, {})
        held[position.instrument.key] = position.quantity or 0.0
    return exchange


class Program:
    """One life of the service on a running loop: `async with Program(exchange, shelf, folder) as program`."""

    def __init__(
        self, exchange: Exchange, store: Any, folder: Path, *, matrix: RiskMatrix = GENEROUS_MATRIX,
        judge: Any = plain_gate, waits: Waits = QUICK, slept: Callable[[], float] = lambda: 0.0,
        alerts: Callable[[], Any] = lambda: None,
    ) -> None:  # fmt: skip
        self.exchange, self.clock = exchange, exchange.clock
        self.line = Line(exchange)
        self.execution = Execution(
            [self.line], store, exchange.clock, lambda: matrix, folder, judge=judge, waits=waits, slept=slept,
            alerts=alerts,
        )  # fmt: skip
        self._number = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Program:
        self.begin()
        assert await self.until(lambda: self.execution.is_open)
        self.see()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.die()

    def begin(self) -> None:
        self._task = asyncio.create_task(self.execution.run())
        self.execution.begin((NAME,), "")

    async def die(self) -> None:
        """End at once, as a program does that is killed: nothing is tidied up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            self.line.cut()

    def see(self) -> None:
        self.execution.see(assessed(self.exchange), (NAME,))

    def put(self, kind: Kind, author: str = "Ann", **body: str) -> str:
        self._number += 1
        now = self.clock()
        key = f"q{self._number}"
        self.execution.put(Request(key, now, now + timedelta(seconds=15), author, kind, body))
        return key

    async def answered(self, key: str) -> Answer:
        assert await self.until(lambda: self.execution.answer(key) is not None)
        answer = self.execution.answer(key)
        assert answer is not None
        return answer

    async def ask(self, kind: Kind, **body: str) -> Answer:
        return await self.answered(self.put(kind, **body))

    async def token(self, order: str) -> str:
        answer = await self.ask(Kind.SIMULATE, order=order)
        approval = json.loads(answer.content)["approval"]
        assert approval is not None, answer.words
        return str(approval["token"])

    async def send(self, order: str, **body: str) -> Answer:
        """Simulate, approve and submit."""
        return await self.ask(Kind.SUBMIT, order=order, token=await self.token(order), **body)

    def record(self, key: str = "") -> OrderRecord:
        """The order `key`, or the only one."""
        records = self.execution.records
        return records[key] if key else next(iter(records.values()))

    def state(self, key: str = "") -> OrderState:
        return self.record(key).state

    async def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> bool:
        """Whether `condition` came true in time."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not condition():
            if loop.time() > end:
                return False
            await asyncio.sleep(0.002)
        return True


SPX_PUT_SYMBOL = "SPXW  261218P05590000"
LONG_PUT_SYMBOL = "SPXW  261218P05500000"


def typed(*legs: tuple[str, int], limit: float | None = 10.0, account: AccountId = IBKR) -> str:
    """An order as a page writes it: legs as (symbol, signed quantity)."""
    told: dict[str, Any] = {
        "account": account.number,
        "order_type": "MARKET" if limit is None else "LIMIT",
        "legs": [
            {"symbol": symbol, "side": "BUY" if size > 0 else "SELL", "quantity": abs(size)} for symbol, size in legs
        ],
    }
    if limit is not None:
        told["limit_price"] = limit
    return json.dumps(told)


CLOSE_PUT = typed((SPX_PUT_SYMBOL, 1))
"""buys the short put of the healthy book back"""
OPEN = typed((LONG_PUT_SYMBOL, 2))
"""buys two puts that nobody holds"""
BUY_SHARES = typed(("SPY", 2), limit=600.0)

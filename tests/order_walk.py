"""A random walk of what a venue, a line and a person do to orders, and a tally of the venue that owes nothing to ours.

Lines tell late, twice, in any order and less than there is; replies are lost, fills come after the cancellation,
prices of executions are corrected, programs are killed and begun again. After each stretch the line is well again, and
what the program shows, keeps and journals must be the venue's truth; at every step no order that lives may be shown as
over.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from guardrails.errors import SourceError
from guardrails.execution.service import Execution
from guardrails.execution.values import JournalKind
from guardrails.execution.waits import Waits
from guardrails.orders import OrdersRead, OrderState
from guardrails.requests import Kind
from guardrails.safety import SafetyState
from tests.books import IBKR
from tests.exchange import (
    LONG_PUT_SYMBOL,
    SPX_PUT_SYMBOL,
    Exchange,
    Line,
    Plan,
    Program,
    Shelf,
    listed,
    plain_gate,
    typed,
)
from tests.healthy import GENEROUS_MATRIX

HASTY = Waits(
    preview=0.05, exit_preview=0.02, held=0.05, read=0.05, send=0.05, ask=0.05, keep=0.3, fresh=5.0,
    silent=10.0, cancelled=60.0, hand_again=0.5, reconcile=0.2, retry=0.02, tick=0.02, quotes=0.02,
)  # fmt: skip
HELD = 100_000.0
"""short puts, so many that every purchase of one closes"""
_AGREE_SECONDS = 30.0


class Rough(Line):
    """A line that says things late, twice, in any order, or in part; what is asked anew it answers in full, or not."""

    def __init__(self, exchange: Exchange, dice: random.Random) -> None:
        super().__init__(exchange)
        self._dice, self._said = dice, [exchange.read()]
        self.is_rough = True

    def _hear(self) -> None:
        if self.exchange.silent:
            return
        self._said.append(self.exchange.read())
        if not self.is_rough:
            self._tell(self._said[-1])
            return
        match self._dice.randrange(6):
            case 0:  # late: nothing now
                return
            case 1:  # out of order: something older
                self._tell(self._dice.choice(self._said[-5:]))
            case 2:  # in part
                whole = self._said[-1]
                some = tuple(order for order in whole.orders if self._dice.random() < 0.7)
                self._tell(replace(whole, orders=some, fills=whole.fills[: self._dice.randint(0, len(whole.fills))]))
            case 3:  # executions first, or the other way round
                whole, before = self._said[-1], self._said[-2]
                first = self._dice.random() < 0.5
                self._tell(replace(whole, orders=before.orders) if first else replace(whole, fills=before.fills))
            case _:
                self._tell(self._said[-1])

    def _tell(self, read: OrdersRead) -> None:
        self._told = self._mixed(read)
        self._news.set()

    def _mixed(self, read: OrdersRead) -> OrdersRead:
        """Twice, and in any order."""
        fills = [*read.fills, *self._dice.sample(read.fills, min(3, len(read.fills)))]
        orders = [*read.orders, *self._dice.sample(read.orders, min(2, len(read.orders)))]
        self._dice.shuffle(fills)
        self._dice.shuffle(orders)
        return replace(read, orders=tuple(orders), fills=tuple(fills))

    async def read_orders(self) -> OrdersRead:
        if self.is_rough and self._dice.random() < 0.1:
            raise SourceError("the line is dead")
        self._told = self._mixed(await super().read_orders())
        return self._told


class Life(Program):
    """A program on a rough line."""

    def __init__(self, exchange: Exchange, store: Shelf, folder: Path, dice: random.Random) -> None:
        super().__init__(exchange, store, folder)
        self.line.cut()
        self.line = self.rough = Rough(exchange, dice)
        self.execution = Execution(
            [self.rough], store, exchange.clock, lambda: GENEROUS_MATRIX, folder, judge=plain_gate, waits=HASTY
        )


@dataclass
class Tally:
    """The venue in plain numbers, kept by what the walk did to it."""

    arrived: Counter[str] = field(default_factory=Counter)
    filled: Counter[str] = field(default_factory=Counter)
    over: dict[str, OrderState] = field(default_factory=dict)


class Walk:
    """Steps of chance on one exchange."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311  # seeded on purpose
        folder.mkdir(parents=True)
        self.seed, self.folder, self.shelf, self.exchange = seed, folder, Shelf(), listed()
        self.key = next(key for key in self.exchange.positions[IBKR] if key.endswith(SPX_PUT_SYMBOL))
        self.exchange.positions[IBKR][self.key] = -HELD
        self.tally = Tally()
        self.lives = 0
        self.done: Counter[str] = Counter()
        """how often each kind of step was taken"""

    async def go(self, steps: int, stretch: int = 25) -> None:
        """So many steps; after each stretch all must agree."""
        try:
            await self._go(steps, stretch)
        except AssertionError as error:
            raise AssertionError(f"seed {self.seed}: {error}") from error

    async def _go(self, steps: int, stretch: int) -> None:
        program = await self._begin()
        try:
            for number in range(steps):
                step = self.dice.choices(*zip(*self._weights.items(), strict=True))[0]
                self.done[step.__name__] += 1
                await step(self, program)
                if not program.execution.is_open:
                    program = await self._begin()
                self._count()
                self._never_over(program)
                if number % stretch == stretch - 1:
                    await self._agree(program)
        finally:
            await program.die()

    async def _begin(self) -> Life:
        self.lives += 1
        program = Life(self.exchange, self.shelf, self.folder, self.dice)
        program.begin()
        assert await program.until(lambda: program.execution.is_open)
        program.see()
        return program

    # --- the steps

    async def _submit(self, program: Life) -> None:
        dice, exchange = self.dice, self.exchange
        opens = dice.random() < 0.3
        order = typed(
            (LONG_PUT_SYMBOL if opens else SPX_PUT_SYMBOL, dice.randint(1, 3)), limit=dice.choice((9.0, 10.0))
        )
        told = await program.ask(Kind.SIMULATE, order=order)
        approval = json.loads(told.content)["approval"] if told.content else None
        if approval is None:
            return
        if dice.random() < 0.4:
            exchange.plans.append(dice.choice(list(Plan)))
        program.put(Kind.SUBMIT, order=order, token=approval["token"])
        await asyncio.sleep(dice.choice((0.0, 0.005, 0.06)))

    async def _fill(self, _: Life) -> None:
        key = self._any(lambda state: not state.is_over)
        if key:
            order = self.exchange.by_key(key)
            self.exchange.fill(key, self.dice.randint(1, max(int(order.quantity - order.filled), 1)))

    async def _late_fill(self, _: Life) -> None:
        """Executed before the cancellation, told after it."""
        key = self._any(lambda state: state is OrderState.CANCELLED)
        order = self.exchange.by_key(key) if key else None
        if order is None or order.filled >= order.quantity:
            return
        self.exchange.execute(order, order.legs[0], float(order.legs[0].ratio), 1.0)
        self.exchange.orders[order.reference] = replace(order, filled=order.filled + 1)
        self.exchange.tell()

    async def _cancel(self, program: Life) -> None:
        key = self._any(lambda state: not state.is_over)
        self.exchange.fills_on_cancel = self.dice.random() < 0.3
        self.exchange.on_cancel = self.dice.choice((None, None, OrderState.WORKING, OrderState.CANCEL_REQUESTED))
        if key and key in program.execution.records:
            program.put(Kind.CANCEL, order=key)
            await asyncio.sleep(self.dice.choice((0.0, 0.01)))

    async def _replace(self, program: Life) -> None:
        key = self._any(lambda state: state is OrderState.WORKING)
        if key and key in program.execution.records:
            self.exchange.fills_on_cancel, self.exchange.on_cancel = False, None
            program.put(Kind.REPLACE, order=key, limit="11.0")
            await asyncio.sleep(self.dice.choice((0.0, 0.01)))

    async def _end(self, _: Life) -> None:
        key = self._any(lambda state: not state.is_over)
        if key:
            self.exchange.end(key)

    async def _correct(self, _: Life) -> None:
        latest = list({fill.execution: fill for fill in self.exchange.fills}.values())
        if latest:
            old = self.dice.choice(latest)
            self.exchange.fills.append(
                replace(old, revision=old.revision + 1, price=self.dice.choice((0.9, 1.1)))
            )  # the first word is not taken back
            self.exchange.tell()

    async def _silence(self, _: Life) -> None:
        self.exchange.silent = not self.exchange.silent

    async def _wait(self, _: Life) -> None:
        self.exchange.clock.move(self.dice.choice((0.1, 1.0, 4.0, 12.0)))
        await asyncio.sleep(0.01)

    async def _die(self, program: Life) -> None:
        await program.die()
        program.execution.idle()
        if self.dice.random() < 0.5:
            await self._fill(program)

    _weights: dict[Callable[[Walk, Life], Awaitable[None]], int] = {  # noqa: RUF012  # of the class, never changed
        _submit: 6, _fill: 6, _late_fill: 1, _cancel: 3, _replace: 1, _end: 1, _correct: 1, _silence: 1, _wait: 3,
        _die: 1,
    }  # fmt: skip

    def _any(self, holds: Callable[[OrderState], bool]) -> str:
        keys = [order.key for order in self.exchange.orders.values() if holds(order.state)]
        return self.dice.choice(keys) if keys else ""

    # --- the truth

    def _count(self) -> None:
        """What the venue has by now."""
        self.tally.arrived = Counter(self.exchange.log)
        signed: Counter[str] = Counter()
        for fill in {one.execution: one for one in self.exchange.fills}.values():
            signed[fill.key] += int(abs(fill.quantity))
        self.tally.filled = signed
        self.tally.over = {one.key: one.state for one in self.exchange.orders.values() if one.state.is_over}

    def _never_over(self, program: Life) -> None:
        """No order is shown as over that may still be filled, and none as filled further than it was."""
        for key, record in program.execution.records.items():
            assert record.filled <= self.tally.filled[key] + 1e-9, (key, record)
            if record.state is OrderState.FILLED:
                assert self.tally.filled[key] == record.order.quantity, (key, record)
            elif record.state.is_over and self.tally.arrived[key]:
                assert key in self.tally.over, (key, record)

    async def _agree(self, program: Life) -> None:
        """Well again, all that is shown, kept and journaled becomes the truth."""
        self.exchange.silent, self.exchange.plans = False, type(self.exchange.plans)()
        program.rough.is_rough = False
        await asyncio.sleep(0.12)  # what is under way comes to its end
        self.exchange.clock.move(5.0)
        for key in [one.key for one in self.exchange.orders.values() if one.state is OrderState.CANCEL_REQUESTED]:
            self.exchange.end(key)
        self.exchange.tell()
        wrong: list[str] = []

        def right() -> bool:
            self._count()
            wrong[:] = self._wrong(program)
            return not wrong

        assert await program.until(right, _AGREE_SECONDS), wrong
        await self._resolve(program)
        assert await program.until(right, _AGREE_SECONDS), wrong
        program.rough.is_rough = True

    async def _resolve(self, program: Life) -> None:
        """A person says of what never arrived that it does not live; before that nothing new is let in."""
        doubts = [key for key, one in program.execution.records.items() if one.state is OrderState.UNKNOWN]
        if doubts:
            safety = program.execution.safety
            assert await program.until(lambda: safety.now.state is not SafetyState.NORMAL)
        for key in doubts:
            answer = await program.ask(Kind.RESOLVE, order=key, note="looked")
            assert program.state(key) is OrderState.CANCELLED, answer.words

    def _wrong(self, program: Life) -> list[str]:
        return [*self._orders_wrong(program), *self._fills_wrong(program)]

    def _orders_wrong(self, program: Life) -> Iterator[str]:
        yield from (f"{key} arrived {count} times" for key, count in self.tally.arrived.items() if count > 1)
        records = program.execution.records
        for order in self.exchange.orders.values():
            record = records.get(order.key)
            if record is None:
                yield f"{order.key} is not known"
            elif record.filled != self.tally.filled[order.key]:
                yield f"{order.key}: {record.filled} filled, it is {self.tally.filled[order.key]}"
            elif order.state.is_over != record.state.is_over or record.state is OrderState.UNKNOWN:
                yield f"{order.key} is {order.state.value}, and shown as {record.state.value}: {record.detail}"
        for key, record in records.items():
            if key not in self.tally.arrived and record.state not in (
                OrderState.UNKNOWN, OrderState.REJECTED, OrderState.CANCELLED
            ):  # fmt: skip
                yield f"{key} never arrived, and is {record.state.value}"

    def _fills_wrong(self, program: Life) -> Iterator[str]:
        truth = {one.execution: one for one in sorted(self.exchange.fills, key=lambda one: one.revision)}
        kept = self.shelf.open_deeds((), "", self.exchange.clock())
        found = {one.execution: one for one in kept.fills}
        for execution, fill in truth.items():
            held = found.get(execution)
            if held is None or (held.quantity, held.price, held.revision) != (fill.quantity, fill.price, fill.revision):
                yield f"execution {execution} is kept as {held}, it is {fill}"
        entries = {one.order_key: one for one in kept.entries if one.kind is JournalKind.FILL}
        for key, count in self.tally.filled.items():
            entry = entries.get(key)
            own = [one for one in truth.values() if one.key == key]
            paid = sum(one.price * abs(one.quantity) for one in own) / max(count, 1)
            if entry is None or entry.quantity != count or abs((entry.price or 0.0) - paid) > 1e-9:
                yield f"the journal has {entry and (entry.quantity, entry.price)} of {key}, it is {count} at {paid}"
        states = {one.key: (one.state, one.filled) for one in kept.orders}
        for key, record in program.execution.records.items():
            if states.get(key) != (record.state, record.filled):
                yield f"{key} is shown as {record.state.value} and kept as {states.get(key)}"


def walk(folder: Path, seeds: Iterable[int], steps: int) -> list[Walk]:
    """Walks of so many steps, all at once; AssertionError with the seed says where the program went astray."""
    walks = [Walk(folder / str(seed), seed) for seed in seeds]

    async def whole() -> None:
        await asyncio.gather(*(one.go(steps) for one in walks))

    asyncio.run(whole())
    return walks


def main() -> None:
    """`python -m tests.order_walk SEEDS STEPS [FIRST]`: so many seeds, ten at a time."""
    many, steps, *rest = (int(word) for word in sys.argv[1:])
    first = rest[0] if rest else 0
    for start in range(first, first + many, 10):
        with tempfile.TemporaryDirectory() as folder:
            try:
                walks = walk(Path(folder), range(start, min(start + 10, first + many)), steps)
            except AssertionError as error:
                print(error, flush=True)  # what whoever runs it reads
                continue
        print(f"{start}: {sum(len(one.exchange.log) for one in walks)} orders", flush=True)  # as above


if __name__ == "__main__":
    main()

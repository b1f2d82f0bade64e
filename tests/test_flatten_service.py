"""Flatten carried out on an exchange in memory, through the real gate: what is sent, when, and never twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from guardrails.execution.values import FlattenRun, JournalKind, OrderRecord, RunState
from guardrails.flatten.flattening import Flattening
from guardrails.flatten.plan_json import plan_from, wish_json
from guardrails.flatten.values import Plan, Wish
from guardrails.gate.simulate import simulate
from guardrails.orders import BrokerOrder, Leg, OrderState
from guardrails.requests import Answer, Kind, Said
from guardrails.symbols import occ
from tests.books import IBKR, TASTY
from tests.exchange import Exchange, Program, Shelf, listed
from tests.exchange import Plan as Fate
from tests.healthy import NEAR_PUT, NOW, SPX_PUT

PHRASE = "CLOSE 3 SHORTS"
"""the healthy book: two puts on the index at IBKR, one on AAPL at tastytrade"""


class Desk:
    """One program with its flatten, on a running loop."""

    def __init__(self, program: Program) -> None:
        self.program, self.execution, self.exchange = program, program.execution, program.exchange
        self.flattening = Flattening(
            self.execution, lambda: self.execution._desk.seen, program.clock, look_seconds=0.005
        )
        self.execution.doings |= self.flattening.doings()

    async def plan(self, wish: Wish | None = None) -> Plan:
        answer = await self.program.ask(Kind.FLATTEN_PLAN, wish=wish_json(wish or Wish()))
        assert answer.said is Said.DONE, answer.words
        return plan_from(answer.content)

    async def confirm(self, plan: Plan, phrase: str = "") -> Answer:
        return await self.program.ask(Kind.FLATTEN, plan=plan.key, phrase=phrase or plan.phrase)

    async def begin(self, wish: Wish | None = None) -> str:
        answer = await self.confirm(await self.plan(wish))
        assert answer.said is Said.DONE, answer.words
        return str(json.loads(answer.content)["run"])

    def run(self) -> FlattenRun:
        return next(iter(self.execution._desk.deeds.runs.values()))

    @property
    def orders(self) -> list[BrokerOrder]:
        """Those of ours that the exchange got, oldest first."""
        return [self.exchange.by_key(key) for key in self.exchange.log]

    async def until(self, condition: Callable[[], bool]) -> None:
        assert await self.program.until(condition), (self.run(), self.orders)

    async def done(self, each: Callable[[], object] = lambda: None) -> FlattenRun:
        """Let time pass until the run is done; `each` is done at every second of it."""
        await self.passing(lambda: self.run().state is RunState.DONE, each)
        return self.run()

    async def passing(self, holds: Callable[[], bool], each: Callable[[], object] = lambda: None) -> None:
        """Let seconds pass, the book be seen and `each` be done at every one, until `holds` is true."""
        end = asyncio.get_running_loop().time() + 60
        while not holds():
            assert asyncio.get_running_loop().time() < end, (self.run(), self.orders)
            each()
            self.program.see()
            self.exchange.clock.move(1.0)
            await asyncio.sleep(0.02)

    def fill_all(self) -> None:
        for order in self.orders:
            if order.remaining > 0 and order.state is not OrderState.CANCEL_REQUESTED:
                self.exchange.fill(order.key)


@asynccontextmanager
async def desk(exchange: Exchange, shelf: Shelf, folder: Path) -> AsyncIterator[Desk]:
    async with Program(exchange, shelf, folder, judge=simulate) as program:
        found = Desk(program)
        task = asyncio.create_task(found.flattening.run())
        try:
            yield found
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


Case = Callable[[Desk], Awaitable[None]]


def on(folder: Path, case: Case, exchange: Exchange | None = None, shelf: Shelf | None = None) -> Shelf:
    """Run `case` on a program of its own; what it kept."""
    kept = shelf or Shelf()

    async def lived() -> None:
        async with asyncio.timeout(90), desk(exchange or listed(), kept, folder) as found:
            await case(found)

    asyncio.run(lived())
    return kept


def test_a_flatten_ends_flat_only_after_fresh_positions_say_so(tmp_path: Path) -> None:
    async def case(at: Desk) -> None:
        plan = await at.plan()
        assert plan.phrase == PHRASE
        assert at.orders == []
        assert all(close.preview is not None for close in plan.closes)
        await at.begin()
        await at.until(lambda: len(at.orders) == 3)
        assert {order.account for order in at.orders} == {IBKR, TASTY}
        assert all(leg.ratio > 0 for order in at.orders for leg in order.legs)
        assert at.run().state is RunState.RUNNING
        assert not at.run().flat
        run = await at.done(at.fill_all)
        assert run.flat, run.words
        assert run.words.startswith("Flat: fresh positions of ")
        assert len(at.exchange.log) == 3

    shelf = on(tmp_path, case)
    entries = shelf.entries()
    fills = [entry for entry in entries if entry.kind is JournalKind.FILL]
    assert len(fills) == 3
    assert {(entry.words, entry.tag) for entry in fills} == {("Flatten Risk — user-initiated", "FLATTEN")}
    told = [entry.words for entry in entries if entry.kind is JournalKind.FLATTEN]
    assert any(PHRASE in words for words in told)
    assert not any(IBKR.number in row or TASTY.number in row for _, row in shelf.rows)


@pytest.mark.parametrize(
    ("phrase", "words"),
    [("close 3 shorts", "type exactly CLOSE 3 SHORTS"), ("CLOSE 2 SHORTS", "type exactly"), (" ", "type exactly")],
)
def test_nothing_is_sent_without_the_exact_phrase(tmp_path: Path, phrase: str, words: str) -> None:
    async def case(at: Desk) -> None:
        answer = await at.confirm(await at.plan(), phrase)
        assert answer.said is Said.REFUSED
        assert words in answer.words
        assert at.exchange.log == []

    on(tmp_path, case)


def test_a_position_that_was_closed_elsewhere_refuses_the_plan_and_says_what_changed(tmp_path: Path) -> None:
    async def case(at: Desk) -> None:
        plan = await at.plan()
        at.exchange.positions[IBKR][occ.parse(SPX_PUT).key] = 0.0
        answer = await at.confirm(plan)
        assert answer.said is Said.REFUSED
        assert "SPXW 261218P05590000: −1 before, 0 now" in answer.words
        assert at.exchange.log == []
        again = await at.confirm(plan)  # it is not kept for a second try
        assert again.said is Said.REFUSED

    on(tmp_path, case)


def test_an_old_plan_and_a_plan_begun_twice_are_refused(tmp_path: Path) -> None:
    async def case(at: Desk) -> None:
        plan = await at.plan()
        first, second = await asyncio.gather(at.confirm(plan), at.confirm(plan))
        assert {first.said, second.said} == {Said.DONE, Said.REFUSED}
        await at.until(lambda: len(at.orders) == 3)
        other = await at.confirm(await at.plan())
        assert other.said is Said.REFUSED
        assert "running already" in other.words
        await at.done(at.fill_all)
        assert len(at.exchange.log) == 3

    async def late(at: Desk) -> None:
        plan = await at.plan()
        at.exchange.clock.move(121)
        assert "older than 2 minutes" in (await at.confirm(plan)).words

    on(tmp_path, case)
    on(tmp_path, late)


def test_what_rests_is_cancelled_and_confirmed_before_anything_is_sent(tmp_path: Path) -> None:
    exchange = listed()
    leg = Leg(occ.parse(SPX_PUT), 1)
    exchange.add(BrokerOrder(IBKR, "x1", "", (leg,), 1.0, 0.0, OrderState.WORKING, 1.0, sender="TWS"))

    async def case(at: Desk) -> None:
        plan = await at.plan()
        assert [one.reference for one in plan.cancels] == ["x1"]
        await at.begin()
        await at.until(lambda: len(at.orders) == 3)
        assert exchange.asked_to_cancel == ["x1"]
        run = await at.done(at.fill_all)
        assert run.flat

    on(tmp_path, case, exchange)


def test_limits_are_walked_to_the_cap_and_stay_there(tmp_path: Path) -> None:
    async def case(at: Desk) -> None:
        plan = await at.plan()
        await at.begin()
        await at.until(lambda: len(at.orders) == 3)
        caps = {close.order.legs: close.cap for close in plan.closes}
        firsts = {order.legs: order.limit for order in at.orders}
        assert all(limit is not None and limit < (caps[legs] or 0.0) for legs, limit in firsts.items())
        await at.passing(lambda: {order.legs: order.limit for order in at.orders} == caps)
        seconds = iter(range(30))  # two steps more, at the least
        await at.passing(lambda: next(seconds, None) is None)
        assert {order.legs: order.limit for order in at.orders} == caps
        assert at.run().state is RunState.RUNNING
        assert len(at.exchange.log) == 3
        await at.done(at.fill_all)

    on(tmp_path, case)


def test_a_rejected_order_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    exchange = listed()
    exchange.plans.append(Fate.REJECT)

    async def case(at: Desk) -> None:
        await at.begin()
        run = await at.done(at.fill_all)
        assert not run.flat
        assert "Not flat" in run.words
        assert "REJECTED: margin is not enough" in run.words
        assert [order.state for order in at.orders].count(OrderState.FILLED) == 2
        assert len(at.exchange.log) == 3

    on(tmp_path, case, exchange)


@pytest.mark.parametrize("fate", [Fate.LOSE_REPLY, Fate.HANG])
def test_an_order_whose_reply_was_lost_is_never_sent_again(tmp_path: Path, fate: Fate) -> None:
    exchange = listed()
    exchange.plans.append(fate)

    async def case(at: Desk) -> None:
        await at.begin()
        run = await at.done(at.fill_all)
        assert run.flat
        assert len(at.exchange.log) == 3  # found by reconciliation, and filled

    on(tmp_path, case, exchange)


def test_an_order_that_never_arrived_is_not_sent_again_and_the_book_is_not_called_flat(tmp_path: Path) -> None:
    exchange = listed()
    exchange.plans.append(Fate.LOSE_ORDER)

    async def case(at: Desk) -> None:
        key = await at.begin()
        unclear = "it is not known what became of it"
        await at.passing(
            lambda: len(at.exchange.log) == 2 and any(unclear in why for why in at.run().notes.values()), at.fill_all
        )
        seconds = iter(range(60))
        await at.passing(lambda: next(seconds, None) is None, at.fill_all)
        assert at.run().state is RunState.RUNNING
        assert any(unclear in why for why in at.run().notes.values())
        assert len(at.exchange.log) == 2
        stopped = await at.program.ask(Kind.FLATTEN_STOP, run=key)
        assert stopped.said is Said.DONE
        run = await at.done()
        assert not run.flat
        assert "Not flat" in run.words
        assert len(at.exchange.log) == 2

    on(tmp_path, case, exchange)


def test_an_order_that_was_certainly_not_sent_is_tried_again_under_another_key(tmp_path: Path) -> None:
    exchange = listed()
    exchange.plans.append(Fate.NOT_SENT)

    async def case(at: Desk) -> None:
        await at.begin()
        run = await at.done(at.fill_all)
        assert run.flat
        assert len(at.exchange.log) == len(set(at.exchange.log)) == 3
        records = at.execution.records
        assert sorted(record.state for record in records.values()) == [OrderState.FILLED] * 3 + [OrderState.REJECTED]

    on(tmp_path, case, exchange)


def test_orders_that_can_never_be_sent_are_given_up_after_three_tries_and_named(tmp_path: Path) -> None:
    exchange = listed()
    exchange.plans.extend([Fate.NOT_SENT] * 9)

    async def case(at: Desk) -> None:
        await at.begin()
        run = await at.done(at.fill_all)
        assert not run.flat
        assert run.words.count("there is no connection") == 3
        assert "not sent: not sent" not in run.words
        assert at.exchange.log == []
        assert len(at.execution.records) == 9

    on(tmp_path, case, exchange)


def test_a_person_stops_it_and_what_works_is_cancelled(tmp_path: Path) -> None:
    async def case(at: Desk) -> None:
        key = await at.begin()
        await at.until(lambda: len(at.orders) == 3)
        at.exchange.fill(at.exchange.log[0])
        assert (await at.program.ask(Kind.FLATTEN_STOP, run=key)).said is Said.DONE
        run = await at.done()
        assert [order.state for order in at.orders] == [OrderState.FILLED, OrderState.CANCELLED, OrderState.CANCELLED]
        assert not run.flat
        assert run.words.startswith("Not flat: ")
        assert (await at.program.ask(Kind.FLATTEN_STOP, run=key)).said is Said.REFUSED

    on(tmp_path, case)


def test_a_position_closed_elsewhere_while_it_runs_is_not_closed_again(tmp_path: Path) -> None:
    exchange = listed()
    leg = Leg(occ.parse(NEAR_PUT), 1)
    exchange.add(BrokerOrder(IBKR, "x1", "", (leg,), 1.0, 0.0, OrderState.WORKING, 1.0, sender="TWS"))
    exchange.fills_on_cancel = True  # the order to be cancelled is filled by the way

    async def case(at: Desk) -> None:
        await at.begin()
        run = await at.done(at.fill_all)
        assert sorted(leg.instrument.symbol for order in at.orders for leg in order.legs) == sorted(
            [SPX_PUT, "AAPL  261218P00252500"]
        )
        assert "closed elsewhere meanwhile" in run.words
        assert at.exchange.positions[IBKR][occ.parse(NEAR_PUT).key] == 0.0
        assert run.flat

    on(tmp_path, case, exchange)


def test_positions_that_nobody_confirms_are_never_called_flat(tmp_path: Path) -> None:
    async def case(at: Desk) -> None:
        await at.begin()
        await at.until(lambda: len(at.orders) == 3)
        at.exchange.held_silent = True
        run = await at.done(at.fill_all)
        assert not run.flat
        assert run.words.startswith("It is not known whether it is flat")

    on(tmp_path, case)


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_killed_in_the_middle_it_goes_on_and_sends_nothing_twice(tmp_path: Path, after: int) -> None:
    exchange = listed()
    for _ in range(after):
        exchange.plans.append(Fate.WORK)
    if after < 3:
        exchange.plans.append(Fate.HANG if after else Fate.HANG_BEFORE)

    async def killed(at: Desk) -> None:
        await at.begin()

        await at.until(lambda: len(at.exchange.log) >= after and bool(at.execution.records))
        await at.program.die()

    async def resumed(at: Desk) -> None:
        def records() -> Iterable[OrderRecord]:
            return at.execution.records.values()

        assert await at.program.until(lambda: bool(at.execution._desk.deeds.runs))
        if lost:  # it is not known whether it arrived: a person must say so
            await at.until(
                lambda: len(at.exchange.log) + sum(one.state is OrderState.UNKNOWN for one in records()) == 3
            )
            await at.until(lambda: any("not known" in why for why in at.run().notes.values()))
            return
        run = await at.done(at.fill_all)
        assert run.flat, run.words
        assert len(set(at.exchange.log)) == len(at.exchange.log) == 3

    shelf = on(tmp_path, killed, exchange)
    lost = {one.key for one in shelf.open_deeds((), "", NOW).orders} - set(exchange.log)
    assert lost or after
    exchange.plans.clear()
    on(tmp_path, resumed, exchange, shelf)
    held = [size for position in exchange.positions.values() for key, size in position.items() if "option" in key]
    assert all(size <= 0 for size in held)  # nothing was bought beyond zero


def test_a_run_that_was_stopped_before_the_restart_stays_stopped(tmp_path: Path) -> None:
    exchange = listed()

    async def killed(at: Desk) -> None:
        key = await at.begin()
        await at.until(lambda: len(at.exchange.log) == 3)
        exchange.silent = True  # the cancellations do not come through
        await at.program.ask(Kind.FLATTEN_STOP, run=key)
        await at.until(lambda: at.run().state is RunState.CANCELLING)
        await at.program.die()

    async def resumed(at: Desk) -> None:
        run = await at.done()
        assert [order.state for order in at.orders] == [OrderState.CANCELLED] * 3
        assert not run.flat

    shelf = on(tmp_path, killed, exchange)
    exchange.silent = False
    on(tmp_path, resumed, exchange, shelf)
    assert len(exchange.log) == 3


def test_with_trading_off_a_plan_is_made_and_nothing_can_be_begun(tmp_path: Path) -> None:
    async def case(at: Desk) -> None:
        at.program.line.refuses = "trading is off: set TT_TRADING"
        plan = await at.plan()
        assert "trading is off" in plan.trading
        assert len(plan.closes) == 3
        answer = await at.confirm(plan)
        assert answer.said is Said.REFUSED
        assert "Nothing of this plan can be sent" in answer.words

    on(tmp_path, case)


def test_a_wish_that_cannot_be_read_and_a_plan_nobody_made_are_refused(tmp_path: Path) -> None:
    async def case(at: Desk) -> None:
        assert "cannot be read" in (await at.program.ask(Kind.FLATTEN_PLAN, wish="{")).words
        assert "not known here" in (await at.program.ask(Kind.FLATTEN, plan="P", phrase=PHRASE)).words
        assert "No such flatten" in (await at.program.ask(Kind.FLATTEN_STOP, run="R")).words

    on(tmp_path, case)


def test_a_broker_that_is_away_for_minutes_loses_no_exit_of_a_run(tmp_path: Path) -> None:
    exchange = listed()

    async def case(at: Desk) -> None:
        await at.begin()
        exchange.plans.extend([Fate.NOT_SENT] * 6)  # two tries of each
        exchange.silent = True
        began = exchange.clock()
        await at.passing(lambda: exchange.clock() - began > timedelta(minutes=5))
        assert at.run().state is RunState.RUNNING
        assert at.exchange.log == []
        exchange.silent = False
        exchange.plans.clear()
        run = await at.done(at.fill_all)
        assert run.flat
        assert len(at.exchange.log) == len(set(at.exchange.log)) == 3

    on(tmp_path, case, exchange)

"""A program that ends at any step, and one that goes on from what it left: nothing twice, nothing lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from guardrails.execution.safety_file import STOP_FILE
from guardrails.execution.values import Deed, JournalKind
from guardrails.orders import OrderState
from guardrails.requests import Kind
from guardrails.safety import Cause, SafetyState
from tests.books import IBKR, NOW
from tests.exchange import CLOSE_PUT, NAME, OPEN, QUICK, Place, Plan, Program, Shelf, listed, typed


class Slow(Shelf):
    """A store that takes everything, and says so only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()
        self.answers.set()

    def hand_deeds(self, sources: Sequence[str], scenario: str, deeds: Sequence[Deed]) -> SlowPlace:
        super().hand_deeds(sources, scenario, deeds)
        return SlowPlace(kept=True, answers=self.answers)


@dataclass(frozen=True)
class SlowPlace(Place):
    answers: threading.Event

    def wait(self, seconds: float) -> bool:
        return self.answers.wait(seconds)


LONG = replace(QUICK, send=60.0, reconcile=60.0)
"""nobody asks the broker, nor gives an order up, between the call that sends it and the end"""


async def killed_at(step: str, program: Program, order: str = OPEN) -> None:
    """Go the way of an order up to `step`, and end there without any tidying up."""
    exchange = program.exchange
    if step == "simulated":
        await program.ask(Kind.SIMULATE, order=order, preview="no")
    elif step == "approved":
        await program.token(order)
    elif step == "saved":
        exchange.plans.append(Plan.HANG_BEFORE)
        token = await program.token(order)
        program.put(Kind.SUBMIT, order=order, token=token)
        assert await program.until(lambda: bool(program.execution.records) and not exchange.plans)
    elif step == "sent":
        exchange.plans.append(Plan.HANG)
        token = await program.token(order)
        program.line._told = exchange.read()
        exchange.listeners.clear()  # it ends before anything is heard of it
        program.put(Kind.SUBMIT, order=order, token=token)
        assert await program.until(lambda: len(exchange.log) == 1)
        exchange.listeners.append(program.line._hear)
    elif step == "filled":
        await program.send(order)
        exchange.listeners.clear()
        exchange.fill(exchange.log[0])
        exchange.listeners.append(program.line._hear)
    else:
        await program.send(order)
        exchange.fill(exchange.log[0])
        assert await program.until(lambda: program.state() is OrderState.FILLED)
    await program.die()


@pytest.mark.parametrize(
    ("step", "arrived", "state"),
    [
        ("simulated", 0, None),
        ("approved", 0, None),
        ("saved", 0, OrderState.UNKNOWN),
        ("sent", 1, OrderState.WORKING),
        ("filled", 1, OrderState.FILLED),
        ("journaled", 1, OrderState.FILLED),
    ],
)
def test_after_an_end_at_any_step_no_order_is_sent_again_and_no_fill_is_lost(
    tmp_path: Path, step: str, arrived: int, state: OrderState | None
) -> None:
    exchange, shelf = listed(), Shelf()

    async def story() -> None:
        first = Program(exchange, shelf, tmp_path)
        async with first:
            await killed_at(step, first)
        exchange.clock.move(5)
        async with Program(exchange, shelf, tmp_path) as second:
            assert len(exchange.log) == arrived
            if state is None:
                assert second.execution.records == {}
                return
            assert await second.until(lambda: second.state() is state)
            assert second.record().order.account == IBKR  # the full number, which the store does not have
            if state is OrderState.FILLED:
                assert await second.until(lambda: second.record().fees == 0.5)
                assert await second.until(lambda: bool(shelf.entries()))
                [entry] = shelf.entries()
                assert (entry.kind, entry.quantity, entry.fees) == (JournalKind.FILL, 2.0, 0.5)
                assert entry.legs[0].execution == ("e1",)
            await asyncio.sleep(0.1)
            assert len(exchange.log) == len(set(exchange.log)) == arrived

    asyncio.run(story())


def test_an_order_cut_off_while_it_was_sent_is_in_doubt_at_once_even_when_the_broker_is_silent(tmp_path: Path) -> None:
    exchange, shelf = listed(), Shelf()

    async def story() -> None:
        async with Program(exchange, shelf, tmp_path, waits=LONG) as first:
            await killed_at("sent", first)
        exchange.silent = True
        async with Program(exchange, shelf, tmp_path) as second:
            assert second.state() is OrderState.UNKNOWN
            assert "ended while it was being sent" in second.record().detail
            exchange.silent = False
            assert await second.until(lambda: second.state() is OrderState.WORKING)

    asyncio.run(story())


def test_an_approval_does_not_survive_a_restart(tmp_path: Path) -> None:
    exchange, shelf = listed(), Shelf()

    async def story() -> None:
        async with Program(exchange, shelf, tmp_path) as first:
            token = await first.token(CLOSE_PUT)
        async with Program(exchange, shelf, tmp_path) as second:
            answer = await second.ask(Kind.SUBMIT, order=CLOSE_PUT, token=token)
            assert "not known: simulate the order again" in answer.words

    asyncio.run(story())


@pytest.mark.parametrize("state", list(SafetyState)[1:])
def test_the_safety_state_is_the_same_after_a_restart(tmp_path: Path, state: SafetyState) -> None:
    exchange, shelf = listed(), Shelf()

    async def story() -> None:
        async with Program(exchange, shelf, tmp_path) as first:
            await first.ask(Kind.SAFETY, state=state.value, reason="storm")
        async with Program(exchange, shelf, tmp_path) as second:
            assert second.execution.safety.now.state is state
            assert second.execution.safety.now.reason == "storm"
            assert await second.until(lambda: second.execution.now.safety.state is state)

    asyncio.run(story())
    assert [one.kind for one in shelf.entries()] == [JournalKind.SAFETY]


def test_a_file_stop_that_lay_there_before_the_start_counts_before_anything_can_be_sent(tmp_path: Path) -> None:
    """Also before what an earlier run has left to be sent, as a flatten that goes on."""
    (tmp_path / STOP_FILE).write_text("lunch\n", encoding="utf-8")

    async def story() -> None:
        program = Program(listed(), Shelf(), tmp_path)
        program.begin()
        while not program.execution.is_open:  # noqa: ASYNC110  # seen at the first moment
            await asyncio.sleep(0)
        safety = program.execution.safety.now
        assert (safety.state, safety.cause, safety.reason) == (SafetyState.STOPPED, Cause.STOP_FILE, "lunch")
        await program.die()

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_watch_that_ends_while_it_is_being_opened_stays_closed(tmp_path: Path) -> None:
    reached, goes_on = threading.Event(), threading.Event()

    async def story() -> None:
        program = Program(listed(), Shelf(), tmp_path)
        safety = program.execution.safety
        opened = safety.open

        def slow(*given: Any) -> None:
            reached.set()
            goes_on.wait(30)
            opened(*given)

        safety.open = slow  # type: ignore[method-assign]  # the disk takes its time
        program.begin()
        assert await program.until(reached.is_set)
        program.execution.idle()
        goes_on.set()
        assert not await program.until(lambda: program.execution.is_open, 0.2)
        program.execution.begin((NAME,), "")
        assert await program.until(lambda: program.execution.is_open)
        await program.die()

    asyncio.run(story())


def test_a_safety_state_that_was_set_just_before_the_end_is_journaled_at_the_next_start(tmp_path: Path) -> None:
    """Its file is written before the store has it, and kill -9 may come between the two."""
    exchange, shelf = listed(), Shelf()

    async def story() -> None:
        async with Program(exchange, shelf, tmp_path) as first:
            await first.ask(Kind.SAFETY, state="NO_NEW_RISK", reason="wind")
            shelf.takes = False
            await first.ask(Kind.SAFETY, state="STOPPED", reason="storm")
        shelf.takes = True
        for _ in range(2):
            async with Program(exchange, shelf, tmp_path) as after:
                assert after.execution.safety.now.state is SafetyState.STOPPED
                assert await after.until(lambda: len(shelf.entries()) == 2), shelf.entries()

    asyncio.run(story())
    told = shelf.entries()[-1]
    assert (told.kind, told.author) == (JournalKind.SAFETY, "Ann")
    assert told.words.startswith("NO_NEW_RISK to STOPPED: storm.")


def test_what_is_executed_while_nobody_can_read_what_was_done_before_is_journaled_as_ours(tmp_path: Path) -> None:
    """A start while the database is down must not turn our own orders into unguarded trades."""
    exchange, shelf = listed(), Shelf()

    async def story() -> None:
        async with Program(exchange, shelf, tmp_path) as first:
            await first.send(OPEN)
        exchange.fill(exchange.log[0], 1)
        shelf.reads = False
        async with Program(exchange, shelf, tmp_path) as second:
            exchange.fill(exchange.log[0])
            assert await second.until(lambda: len(second.execution._desk.deeds.fills) == 2)
            assert second.execution.records == {}
            shelf.reads = True
            assert await second.until(lambda: second.execution.records != {} and second.state() is OrderState.FILLED)
            assert await second.until(lambda: bool(shelf.entries()))

    asyncio.run(story())
    [entry] = shelf.entries()
    assert (entry.kind, entry.quantity, entry.legs[0].execution) == (JournalKind.FILL, 2.0, ("e1", "e2"))


def test_an_exit_whose_intent_stands_in_the_file_alone_is_found_again(tmp_path: Path) -> None:
    exchange, shelf = listed(), Shelf()

    async def story() -> None:
        async with Program(exchange, shelf, tmp_path) as first:
            shelf.takes = False
            await first.send(CLOSE_PUT)
            assert len(exchange.log) == 1
        shelf.takes = True
        exchange.clock.move(5)
        async with Program(exchange, shelf, tmp_path) as second:
            assert await second.until(lambda: second.state() is OrderState.WORKING)
            assert await second.until(lambda: not (tmp_path / "intents.jsonl").read_bytes().strip(b"\0"))
        assert shelf.open_deeds((), "", NOW).orders[-1].key == exchange.log[0]

    asyncio.run(story())


def test_another_program_that_takes_over_sends_nothing_that_the_first_had_begun(tmp_path: Path) -> None:
    exchange, shelf = listed(), Slow()

    async def story() -> None:
        async with Program(exchange, shelf, tmp_path) as first:
            token = await first.token(CLOSE_PUT)
            shelf.answers.clear()
            key = first.put(Kind.SUBMIT, order=CLOSE_PUT, token=token)
            assert await first.until(lambda: bool(first.execution.records))
            first.execution.idle()
            shelf.answers.set()
            answer = await first.answered(key)
            assert "another program watches this book now" in answer.words
            assert exchange.log == []

    asyncio.run(story())


def test_many_programs_in_turn_make_one_order_each_and_never_two(tmp_path: Path) -> None:
    exchange, shelf = listed(), Shelf()

    async def story() -> None:
        for number in range(5):
            exchange.plans.append([Plan.LOSE_REPLY, Plan.FILL, Plan.WORK, Plan.REJECT, Plan.HANG][number])
            async with Program(exchange, shelf, tmp_path) as program:
                order = typed((f"SPXW  261218P055{number}0000", 1))
                assert await program.until(lambda: not program.execution._desk.doubts())
                await program.send(order)
            exchange.clock.move(20)
        async with Program(exchange, shelf, tmp_path) as last:
            assert await last.until(lambda: not last.execution._desk.doubts())
            assert len(last.execution.records) == len(exchange.log) == len(set(exchange.log)) == 5
            truth = {one.key: one.state for one in exchange.orders.values()}
            assert {key: one.state for key, one in last.execution.records.items()} == truth

    asyncio.run(story())

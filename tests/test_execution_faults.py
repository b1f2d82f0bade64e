"""What execution does when a broker keeps silent, a clock is set, or another program may have taken its place."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from guardrails.execution import intents
from guardrails.execution.values import OrderRecord
from guardrails.orders import OrderState
from guardrails.requests import Kind, Said
from guardrails.safety import Cause
from tests.exchange import CLOSE_PUT, NAME, OPEN, Plan, Program, Shelf, listed
from tests.test_execution import run

# --- a cancellation that is never confirmed


@pytest.mark.parametrize("said", [OrderState.WORKING, OrderState.CANCEL_REQUESTED])
def test_a_cancellation_that_nobody_confirms_says_since_when_and_then_is_in_doubt(
    tmp_path: Path, said: OrderState
) -> None:
    shelf = Shelf()

    async def story(program: Program) -> None:
        program.exchange.on_cancel = said
        await program.send(OPEN)
        answer = await program.ask(Kind.CANCEL, order=program.record().key)
        assert answer.said is Said.DONE, answer.words
        assert program.state() is OrderState.CANCEL_REQUESTED
        assert "Ann asked for its cancellation at 10:30:" in program.record().detail
        assert program.record().cancel_asked is not None
        program.clock.move(1)  # longer than the wait of these tests
        assert await program.until(lambda: any("has not confirmed its cancellation" in one for one in details(shelf)))
        if said is OrderState.CANCEL_REQUESTED:  # the broker says nothing else, and the doubt stays
            await asyncio.sleep(0.1)
            assert program.state() is OrderState.UNKNOWN
            assert await program.until(lambda: program.execution.safety.now.cause is Cause.UNRECONCILED)
            program.exchange.end(program.record().key)
            assert await program.until(lambda: program.state() is OrderState.CANCELLED)
        else:  # the broker calls it working: so it is, and that stands there
            assert await program.until(lambda: program.state() is OrderState.WORKING)
            assert "cancel it again" in program.record().detail
            program.exchange.on_cancel = None
            await program.ask(Kind.CANCEL, order=program.record().key)
            assert await program.until(lambda: program.state() is OrderState.CANCELLED)
        assert program.record().cancel_asked is None

    run(tmp_path, story, store=shelf)


def details(shelf: Shelf) -> list[str]:
    return [deed.detail for deeds in shelf.transactions for deed in deeds if isinstance(deed, OrderRecord)]


def test_a_fill_ends_the_doubt_about_a_cancellation(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        program.exchange.on_cancel = OrderState.CANCEL_REQUESTED
        await program.send(OPEN)
        key = program.record().key
        await program.ask(Kind.CANCEL, order=key)
        program.clock.move(1)
        assert await program.until(lambda: program.state() is OrderState.UNKNOWN)
        program.exchange.fill(key)
        assert await program.until(lambda: program.state() is OrderState.FILLED)

    run(tmp_path, story)


# --- a person's word that an order does not live


def test_an_order_in_doubt_cannot_be_resolved_while_the_broker_does_not_answer(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        program.exchange.plans.append(Plan.LOSE_REPLY)
        program.exchange.listeners.clear()  # nothing is heard but by asking
        token = await program.token(OPEN)
        program.exchange.hides.add("r1")
        await program.ask(Kind.SUBMIT, order=OPEN, token=token)
        key = program.record().key
        assert await program.until(lambda: program.state() is OrderState.UNKNOWN)
        program.exchange.silent = True
        answer = await program.ask(Kind.RESOLVE, order=key, note="not in TWS")
        assert answer.said is Said.REFUSED
        assert "stays in doubt until it answers" in answer.words
        assert program.state() is OrderState.UNKNOWN
        program.exchange.silent = False
        program.exchange.hides.clear()
        answer = await program.ask(Kind.RESOLVE, order=key, note="not in TWS")
        assert program.state() is OrderState.WORKING  # it lived

    run(tmp_path, story)


# --- a clock that is set back


def test_an_order_of_which_nothing_is_heard_is_in_doubt_although_the_clock_was_set_back(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        program.exchange.listeners.clear()  # nothing is heard but by asking
        await program.send(OPEN)
        program.exchange.silent = True
        program.clock.move(-3600)
        assert await program.until(lambda: program.state() is OrderState.UNKNOWN)

    run(tmp_path, story)


def test_an_order_that_is_not_listed_is_in_doubt_although_the_clock_was_set_back(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        await program.send(OPEN)
        program.exchange.hides.add("r1")
        program.clock.move(-3600)
        assert await program.until(lambda: program.state() is OrderState.UNKNOWN)

    run(tmp_path, story)


# --- another program


def test_a_program_that_only_reads_does_not_listen_to_brokers(tmp_path: Path) -> None:
    """Listening is a connection, and TWS takes one of each client number."""

    async def whole() -> None:
        program = Program(listed(), Shelf(), tmp_path)
        program._task = asyncio.create_task(program.execution.run())
        await asyncio.sleep(0.1)
        assert program.line.listens == 0
        program.execution.begin((NAME,), "")
        assert await program.until(lambda: program.line.listens > 0)
        program.execution.idle()
        program.exchange.tell()  # the last word it waited for
        await asyncio.sleep(0.1)
        before = program.line.listens
        program.exchange.tell()
        await asyncio.sleep(0.1)
        assert program.line.listens == before
        await program.die()

    asyncio.run(whole())


@pytest.mark.parametrize("how", ["lost", "slept"])
def test_a_program_that_may_have_lost_its_book_while_it_kept_an_order_sends_nothing(tmp_path: Path, how: str) -> None:
    shelf, asleep = Shelf(), [0.0]

    async def story(program: Program) -> None:
        for order in (OPEN, CLOSE_PUT):  # an exit neither: the other program may have sent it
            shelf.lost, asleep[0] = False, 0.0
            token = await program.token(order)
            shelf.lost, asleep[0] = how == "lost", 60.0 if how == "slept" else 0.0
            answer = await program.ask(Kind.SUBMIT, order=order, token=token)
            assert answer.said is Said.REFUSED
            assert "Nothing was sent" in answer.words
        assert program.exchange.log == []
        assert {record.state for record in program.execution.records.values()} == {OrderState.REJECTED}

    run(tmp_path, story, store=shelf, slept=lambda: asleep[0])


@pytest.mark.parametrize("how", ["lost", "slept"])
def test_nor_does_it_cancel_or_change_anything(tmp_path: Path, how: str) -> None:
    shelf, asleep = Shelf(), [0.0]

    async def story(program: Program) -> None:
        await program.send(OPEN)
        key = program.record().key
        assert await program.until(lambda: program.state() is OrderState.WORKING)
        shelf.lost, asleep[0] = how == "lost", 60.0 if how == "slept" else 0.0
        assert (await program.ask(Kind.CANCEL, order=key)).said is Said.REFUSED
        assert program.exchange.asked_to_cancel == []
        assert program.state() is OrderState.WORKING
        with pytest.raises(ValueError, match="was not changed"):
            await program.execution.reprice_order(key, 9.0)
        assert program.exchange.by_key(key).limit == 10.0

    run(tmp_path, story, store=shelf, slept=lambda: asleep[0])


# --- the file of intents


def test_intents_that_cannot_be_read_are_something_that_is_not_known(tmp_path: Path) -> None:
    (tmp_path / intents.FILE).mkdir()  # as unreadable as a broken disk makes it

    async def story(program: Program) -> None:
        assert intents.FILE in program.execution.now.problem or await program.until(
            lambda: intents.FILE in program.execution.now.problem
        )
        answer = await program.ask(Kind.SIMULATE, order=OPEN, preview="yes")
        assert "BLOCK" in answer.words
        answer = await program.send(CLOSE_PUT)  # an exit all the same
        assert answer.said is Said.DONE, answer.words

    run(tmp_path, story)

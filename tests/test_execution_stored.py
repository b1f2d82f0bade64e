"""Execution with the gate and the store as the program has them: SQLite on the disk, programs that come and go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from guardrails.execution.values import JournalKind
from guardrails.gate.simulate import simulate
from guardrails.orders import OrderState
from guardrails.requests import Kind, Said
from guardrails.safety import SafetyState
from guardrails.store.writer import Writer
from tests.books import NOW, TASTY
from tests.exchange import CLOSE_PUT, NAME, OPEN, QUICK, SPX_PUT_SYMBOL, Exchange, Plan, Program, listed, typed
from tests.stored import opened
from tests.test_execution_crash import killed_at

BOOK = ((NAME,), "")
PATIENT = replace(QUICK, keep=20.0, read=20.0)
"""a disk may be slow where much else runs"""


@contextmanager
def stored(folder: Path, exchange: Exchange) -> Iterator[Writer]:
    """A store that writes the book of the exchange."""
    database = opened(folder)
    made = Writer(database, folder / "spool", exchange.clock, retry_seconds=0.02, beat_seconds=0.02, dead_seconds=0.2)
    made.start()
    made.part(*BOOK)
    try:
        yield made
    finally:
        made.stop(5.0)
        database.close()


@pytest.mark.parametrize(
    ("step", "arrived", "state"),
    [
        ("approved", 0, None),
        ("saved", 0, OrderState.UNKNOWN),
        ("sent", 1, OrderState.WORKING),
        ("filled", 1, OrderState.FILLED),
        ("journaled", 1, OrderState.FILLED),
    ],
)
def test_after_an_end_at_any_step_the_database_knows_what_was_sent_and_nothing_is_sent_again(
    tmp_path: Path, step: str, arrived: int, state: OrderState | None
) -> None:
    exchange = listed()

    async def first() -> None:
        with stored(tmp_path, exchange) as store:
            async with Program(exchange, store, tmp_path, waits=PATIENT) as program:
                await program.ask(Kind.SAFETY, state="NO_NEW_RISK", reason="storm")
                await killed_at(step, program, CLOSE_PUT)

    async def second() -> None:
        with stored(tmp_path, exchange) as store:
            async with Program(exchange, store, tmp_path, waits=PATIENT) as program:
                assert program.execution.safety.now.state is SafetyState.NO_NEW_RISK
                assert len(exchange.log) == arrived
                if state is not None:
                    assert await program.until(lambda: bool(program.execution.records) and program.state() is state)
                if state is OrderState.FILLED:
                    assert await program.until(
                        lambda: [one.kind for one in store.open_deeds(*BOOK, NOW).entries].count(JournalKind.FILL) == 1
                    )
                    [entry] = [one for one in store.open_deeds(*BOOK, NOW).entries if one.kind is JournalKind.FILL]
                    assert (entry.quantity, entry.fees) == (1.0, 0.5)
                assert len(exchange.log) == len(set(exchange.log)) == arrived

    asyncio.run(first())
    exchange.clock.move(5)
    asyncio.run(second())
    assert b"U0000004567" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_the_real_gate_lets_an_exit_through_and_the_fill_into_the_journal(tmp_path: Path) -> None:
    exchange = listed()

    async def story() -> None:
        with stored(tmp_path, exchange) as store:
            async with Program(exchange, store, tmp_path, judge=simulate, waits=PATIENT) as program:
                exchange.plans.append(Plan.FILL)
                answer = await program.send(CLOSE_PUT, rationale="enough")
                assert answer.said is Said.DONE, answer.words
                assert json.loads(answer.content)["impact"]["kind"] == "EXIT"
                program.see()
                assert await program.until(
                    lambda: any(one.after for one in program.execution._desk.deeds.entries.values())
                )

    asyncio.run(story())
    assert len(exchange.log) == 1


def test_the_real_gate_refuses_new_risk_while_an_order_is_in_doubt_and_an_exit_still_passes(tmp_path: Path) -> None:
    exchange = listed()

    async def story() -> None:
        with stored(tmp_path, exchange) as store:
            async with Program(exchange, store, tmp_path, judge=simulate, waits=PATIENT) as program:
                exchange.plans.append(Plan.LOSE_ORDER)
                await program.send(typed(("AAPL  261218P00252500", 1), account=TASTY))
                assert await program.until(lambda: bool(program.execution._desk.doubts()))
                refused = json.loads((await program.ask(Kind.SIMULATE, order=OPEN)).content)
                assert refused["verdict"] == "BLOCK"
                assert await program.until(lambda: program.execution.safety.now.state is SafetyState.NO_NEW_RISK)
                answer = await program.send(typed((SPX_PUT_SYMBOL, 1)))
                assert answer.said is Said.DONE, answer.words

    asyncio.run(story())
    assert len(exchange.log) == 1

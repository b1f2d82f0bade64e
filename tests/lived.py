"""A past to be judged again: cycles as the engine makes them, some of them captured as the store does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from guardrails.assess import Assessment, Inputs, assess
from guardrails.findings import Level
from guardrails.matrix import RiskMatrix, parse
from guardrails.memory import Memory
from guardrails.store.books import book_of
from guardrails.store.captures import PERIOD, Captured, capture_row
from guardrails.store.inserts import insert
from guardrails.store.metadata import micros, moment
from guardrails.store.schema import BOOKS, MATRIX_VERSIONS
from guardrails.store.sharing import CAPTURES
from guardrails.store.sqlite import FILE
from guardrails.stress.recorded import recorded_of
from guardrails.values import Greeks, Observed, View
from tests.books import NOW
from tests.healthy import World, healthy
from tests.stored import opened


def captured(inputs: Inputs, result: Assessment) -> Captured:
    """One moment as it comes out of the database."""
    row = capture_row("book", PERIOD, inputs, result.snapshot, recorded_of(result.portfolio.stress))
    return Captured(moment(row[1]), row[2], Level(row[3]), *row[4:])


def lived(
    words: Iterable[tuple[datetime, View]],
    matrix: RiskMatrix,
    memory: Memory | None = None,
    every: int = 1,
    *,
    compiling: bool = False,
) -> list[Captured]:
    """One cycle per word with the memory handed on; each `every`th is captured, from the first on.

    While `compiling` nothing is revalued, which is most of the work: for what does not rest on stress.
    """
    memory, found = memory or Memory(), []
    for nth, (now, view) in enumerate(words):
        inputs = Inputs((view,), memory, now, compiling=compiling)
        result = assess(inputs.views, matrix, memory, now, compiling=compiling)
        if nth % every == 0:
            found.append(captured(inputs, result))
        memory = result.memory
    return found


def at(minutes: float, world: World | None = None, vix: float = 17.0, **account: Any) -> tuple[datetime, View]:
    """The healthy book some minutes after NOW, everything in it just heard; every account with what is given."""
    world, now = world or healthy(), NOW + timedelta(minutes=minutes)
    market = world.market
    return now, replace(
        world.view(),
        source=replace(world.source, time=now),
        accounts=tuple(replace(one, time=now, **account) for one in world.accounts.values()),
        positions=tuple(
            replace(p, time=now, mark_time=now, quote_time=p.quote_time and now, greeks=_aged(p.greeks, now))
            for p in world.positions.values()
        ),
        market=replace(
            market,
            vix=Observed(vix, now, "test"),
            vix3m=Observed(vix + 2, now, "test"),
            prices={name: replace(price, time=now) for name, price in market.prices.items()},
        ),
    )


def keep_past(folder: Path, past: Iterable[Captured], *texts: str, scenario: str = "calm") -> Path:
    """The database file in `folder` with this past of the demo and the texts of the matrices in force."""
    book, database = book_of(("demo",), scenario), opened(folder)
    with database.writing(durable=False) as connection:
        insert(connection, BOOKS, [(book.key, book.names, 0)])
        insert(connection, MATRIX_VERSIONS, [(book.key, parse(text).version, text, 0) for text in texts])
        rows = [
            (book.key, micros(one.time), one.cause, one.level, one.matrix_version, one.levels, one.inputs, one.snapshot)
            for one in past
        ]
        insert(connection, CAPTURES, rows)
    database.close()
    return folder / FILE


def _aged(greeks: Greeks | None, now: datetime) -> Greeks | None:
    return None if greeks is None else replace(greeks, time=now)

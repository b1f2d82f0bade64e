"""Many rows to a server at once: beside others in one transaction, sent again, and into months that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from guardrails.store import inserts, schema
from guardrails.store.faults import is_locked, is_refusal
from guardrails.store.inserts import insert
from guardrails.store.metadata import micros
from tests.postgres import Server
from tests.stored import OnServer, ask, opened

NOVEMBER, DECEMBER, JANUARY = (
    micros(datetime(*day, tzinfo=UTC)) for day in ((2026, 11, 18), (2026, 12, 18), (2027, 1, 18))
)
WIDTH = len(inserts.columns(schema.GREEK_SNAPSHOTS))
LINES = range(1, 31)


@pytest.fixture
def folder(postgres: Server, tmp_path: Path) -> Iterator[Path]:
    with OnServer(postgres, tmp_path):
        yield tmp_path


@pytest.fixture
def database(folder: Path) -> Iterator[Any]:
    database = opened(folder)
    yield database
    database.close()


def greeks(time: int, value: float = 1.0, lines: range = LINES) -> list[tuple[Any, ...]]:
    return [(time, line, "OK", *[value] * (WIDTH - 4), "model") for line in lines]


def stored(folder: Path) -> set[tuple[int, float, int]]:
    """Time and quantity of what there is, and how many rows have them."""
    return set(ask(folder, "SELECT time, quantity, count(*) FROM greek_snapshots GROUP BY 1, 2"))


def put(database: Any, *parts: list[tuple[Any, ...]]) -> list[int]:
    """How many rows of each part were new, all of them in one transaction."""
    with database.writing(durable=False) as connection:
        return [insert(connection, schema.GREEK_SNAPSHOTS, part) for part in parts]


def put_within(database: Any, seconds: float, rows: list[tuple[Any, ...]]) -> None:
    with database.writing(durable=False) as connection:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {seconds * 1000:.0f}")
        insert(connection, schema.GREEK_SNAPSHOTS, rows)


@pytest.mark.parametrize("order", [1, -1])
def test_rows_that_are_there_may_stand_beside_rows_of_a_month_that_is_not(
    database: Any, folder: Path, order: int
) -> None:
    assert put(database, greeks(NOVEMBER)) == [30]
    both = [*greeks(NOVEMBER, 2.0), *greeks(JANUARY, 2.0)][::order]
    assert put(database, both) == [30]
    assert stored(folder) == {(NOVEMBER, 1.0, 30), (JANUARY, 2.0, 30)}


def test_what_is_sent_again_undoes_nothing_of_its_transaction(database: Any, folder: Path) -> None:
    november, again = greeks(NOVEMBER), [*greeks(NOVEMBER, 2.0), *greeks(NOVEMBER + 1, 2.0)]
    assert put(database, november, again, greeks(DECEMBER), greeks(DECEMBER, 3.0)) == [30, 30, 30, 0]
    assert stored(folder) == {(NOVEMBER, 1.0, 30), (NOVEMBER + 1, 2.0, 30), (DECEMBER, 1.0, 30)}


def test_it_is_undone_with_what_is_around_it(database: Any, folder: Path) -> None:
    with database.writing(durable=False) as connection:
        for time, undone in ((NOVEMBER, True), (DECEMBER, False), (DECEMBER + 1, True)):
            around = connection.begin_nested()
            assert insert(connection, schema.GREEK_SNAPSHOTS, greeks(time)) == 30
            around.rollback() if undone else around.commit()
    assert stored(folder) == {(DECEMBER, 1.0, 30)}


def test_what_no_month_takes_is_a_refusal(database: Any, folder: Path) -> None:
    with pytest.raises(Exception) as raised:  # the drivers differ
        put(database, [*greeks(NOVEMBER), (None, *greeks(NOVEMBER)[0][1:])])
    assert is_refusal(raised.value)
    assert stored(folder) == set()


def test_nothing_is_asked_before_rows_of_a_month_that_is_there(database: Any) -> None:
    assert put(database, greeks(NOVEMBER)) == [30]
    asked: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda _c, _d, text, *_: asked.append(text))
    assert put(database, greeks(NOVEMBER + 1)) == [30]
    assert asked == ["SET LOCAL synchronous_commit = off", "SAVEPOINT before_copy"]


def test_a_fault_of_the_server_in_the_middle_is_one_of_the_database(database: Any, folder: Path) -> None:
    assert put(database, greeks(NOVEMBER)) == [30]
    other = opened(folder)
    try:
        with other.writing(durable=False) as locking:
            locking.exec_driver_sql("LOCK TABLE greek_snapshots IN SHARE MODE")  # who only reads is let through
            with pytest.raises(DBAPIError) as caught:
                put_within(database, 0.1, greeks(NOVEMBER + 1))
    finally:
        other.close()
    assert is_locked(caught.value)
    assert stored(folder) == {(NOVEMBER, 1.0, 30)}

"""The rows that the evidence log proves are held against it: whatever is done to one of them is found and named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Float, Integer, delete, insert, select, update

from guardrails.audit import verify, verify_store
from guardrails.audit_rows import Rows
from guardrails.store.evidence import EVIDENCE, append_all, entry
from guardrails.store.metadata import METADATA, moment
from guardrails.store.proof import KINDS, PROVEN, identity, insert_proven, row_hash
from guardrails.store.schema import BOOKS, CRITICAL
from guardrails.store.spool import Sent
from guardrails.store.upgrade import program_tables
from tests.stored import ask, on_server, opened

LIVE, DEMO = "live-book", "demo-book"
HOUR = 3_600_000_000
TABLES = sorted(PROVEN)
COUNTED = [name for name in TABLES if "id" in PROVEN[name].c]
"""tables with an order of writing"""


def value(column: Column[Any], book: str, nth: int) -> Any:
    """Something to store, another one in each row."""
    if column.name == "book":
        return book
    if column.name == "run":
        return f"{book[:8]}aaaaaaaa"
    if isinstance(column.type, Float):
        return nth + 0.1 if nth % 2 else None
    if isinstance(column.type, Integer):
        return HOUR * nth if column.name in ("time", "first_used") else nth
    return f"{column.name[:4]} {nth} é"


def rows_of(name: str, book: str, numbers: range) -> list[Sent]:
    names = [column for column in PROVEN[name].columns if column.name != "id"]
    return [(name, tuple(value(column, book, nth) for column in names)) for nth in numbers]


def everything(book: str, numbers: range) -> list[Sent]:
    return [(BOOKS.name, (book, "demo", 0)), *(row for name in TABLES for row in rows_of(name, book, numbers))]


@pytest.fixture
def kept(tmp_path: Path, kind: str) -> Iterator[Any]:
    """A database in which each of two books has five rows in every table, written in two turns."""
    database = opened(tmp_path)
    for numbers in (range(1, 4), range(4, 6)):
        for book in (LIVE, DEMO):
            with database.writing(durable=True) as connection:
                insert_proven(connection, everything(book, numbers))
    yield database
    database.close()


@contextmanager
def edited(database: Any) -> Iterator[Connection]:
    """A part of a transaction of which nothing stays."""
    with database.writing(durable=False) as connection:
        before = connection.begin_nested()
        yield connection
        before.rollback()


def said(connection: Connection) -> list[str]:
    """Each problem but that the head file, which these tests have not, is missing."""
    return [str(problem) for problem in verify(connection, {})]


def place(connection: Connection, name: str, book: str = LIVE, nth: int = 3) -> Any:
    """A condition for one row, the `nth` of its book."""
    table = PROVEN[name]
    order = table.c.id if "id" in table.c else table.c.first_used
    keys = list(table.primary_key.columns)
    row = connection.execute(select(*keys).where(table.c.book == book).order_by(order).offset(nth - 1)).first()
    assert row is not None
    condition = keys[0] == row[0]
    for key, part in zip(keys[1:], row[1:], strict=True):
        condition &= key == part
    return condition


# --- which rows are proven ---


def test_every_table_of_what_must_survive_has_its_kind_of_entry() -> None:
    """Fails when a table is added to them, or one gets a writer's count, without a proof."""
    program_tables()  # loads them all
    sent = {table.name for table in METADATA.tables.values() if {"run", "number"} <= set(table.c.keys())}
    assert {table.name for table in CRITICAL} - {BOOKS.name} == set(KINDS) == set(PROVEN)
    assert sent <= set(KINDS)
    assert len(set(KINDS.values())) == len(KINDS)


def test_a_row_that_has_no_kind_of_entry_is_not_stored(tmp_path: Path) -> None:
    database = opened(tmp_path)
    with pytest.raises(LookupError), database.writing(durable=True) as connection:
        insert_proven(connection, [*everything(LIVE, range(1, 2)), ("leases", (LIVE, 1, None, "desk", 1, 0))])
    database.close()
    assert ask(tmp_path, "SELECT * FROM leases") == []


def test_rows_as_they_were_written_have_no_problem(kept: Any, tmp_path: Path) -> None:
    with kept.reading() as connection:
        assert said(connection) == []
        assert connection.execute(select(EVIDENCE.c.seq)).all()[-1] is not None
    on = on_server(tmp_path)
    code, lines = verify_store(tmp_path, None if on is None else on.url)
    assert "120 entries of 2 books" in lines[0] or (code, "is missing" in lines[1]) == (2, True), lines


# --- one edit ---


def other(column: Column[Any], old: Any) -> Any:
    if isinstance(column.type, Integer | Float):
        return 1 if old is None else old + 1
    return "x" if old is None else f"{old[:-1]}e"


def test_any_column_of_any_row(kept: Any) -> None:
    for column in (column for table in PROVEN.values() for column in table.columns):
        table, name = column.table, column.table.name
        if column.name in (("run", "number", "book", "id") if "id" in table.c else ("book", "hash")):
            continue
        with edited(kept) as connection:
            one = place(connection, name)
            row = connection.execute(select(table).where(one)).mappings().one()
            connection.execute(update(table).where(one).values({column.name: other(column, row[column.name])}))
            problems = said(connection)
        assert len(problems) == 1, (column.name, problems)
        where = f"row {row['id']} of {name}" if "id" in table.c else f"a row of {name}"
        assert where in problems[0]
        assert f"book '{LIVE}'" in problems[0]
        hidden = column.name in ("time", "first_used", "content")
        assert f"edited: {'a part' if hidden and column.name != 'first_used' else column.name}" in problems[0]


@pytest.mark.parametrize("nth", [1, 3, 5])
def test_a_row_that_was_deleted_is_named_by_its_entry(kept: Any, nth: int) -> None:
    c = EVIDENCE.c
    for name in TABLES:
        with edited(kept) as connection:
            connection.execute(delete(PROVEN[name]).where(place(connection, name, nth=nth)))
            problems = said(connection)
            of_table = select(c.seq).where(c.book == LIVE, c.kind == KINDS[name]).order_by(c.seq)
            seq = connection.execute(of_table).scalars().all()
        assert len(problems) == 1, problems
        assert problems[0].startswith(f"book '{LIVE}', row {seq[nth - 1]}: proves a row of {name} that is missing (")
        assert f" {nth} é" in problems[0]


def test_a_row_that_was_put_in(kept: Any) -> None:
    for name in TABLES:
        (_, row), names = rows_of(name, LIVE, range(9, 10))[0], [c.name for c in PROVEN[name].c if c.name != "id"]
        with edited(kept) as connection:
            connection.execute(insert(PROVEN[name]), dict(zip(names, row, strict=True)))
            problems = said(connection)
        assert len(problems) == 1, problems
        assert f"of {name}" in problems[0]
        assert "none proves it" in problems[0]


@pytest.mark.parametrize("values", [{"book": DEMO}, {"run": "f" * 16}, {"number": 77}, {"hash": "of another"}], ids=str)
def test_a_row_that_was_moved_to_another_book_or_renamed(kept: Any, values: dict[str, Any]) -> None:
    for name in TABLES:
        table = PROVEN[name]
        if not values.keys() <= set(table.c.keys()):
            continue
        both = values | ({"hash": "of another"} if "hash" in table.c else {})  # else it is there already
        with edited(kept) as connection:
            connection.execute(update(table).where(place(connection, name)).values(both))
            problems = said(connection)
        assert len(problems) == 2, (name, problems)
        assert [words for words in ("that is missing", "none proves it") if words not in " ".join(problems)] == []
        assert any(f"book '{values.get('book', LIVE)}'" in problem for problem in problems)


@pytest.mark.parametrize(("one", "another"), [(2, 3), (1, 5)])
def test_two_rows_that_changed_places(kept: Any, one: int, another: int) -> None:
    for name in COUNTED:
        ids = PROVEN[name].c.id
        with edited(kept) as connection:
            first, second = (
                connection.execute(select(ids).where(place(connection, name, nth=nth))).scalar_one()
                for nth in (one, another)
            )
            for old, new in ((first, 1_000), (second, first), (1_000, second)):
                connection.execute(update(PROVEN[name]).where(ids == old).values(id=new))
            problems = said(connection)
        assert problems
        assert all(f"of {name}" in problem and "reordered" in problem for problem in problems), problems
        assert {first, second} & {int(problem.split(", row ")[1].split(" ")[0]) for problem in problems}


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)  # the same on a server
def test_a_whole_table_that_was_emptied_names_every_row(kept: Any) -> None:
    with edited(kept) as connection:
        connection.execute(delete(PROVEN["fills"]))
        assert sum("proves a row of fills that is missing" in line for line in said(connection)) == 10


def test_rows_of_a_book_that_has_no_log(kept: Any) -> None:
    with edited(kept) as connection:
        connection.execute(delete(EVIDENCE).where(EVIDENCE.c.book == DEMO))
        problems = said(connection)
    assert len(problems) == 5 * len(TABLES)
    assert all(f"book '{DEMO}'" in problem and "none proves it" in problem for problem in problems)


def test_an_end_that_was_cut_from_the_log_alone_is_seen_without_the_head_file(kept: Any) -> None:
    with edited(kept) as connection:
        last = connection.execute(select(EVIDENCE.c.seq).where(EVIDENCE.c.book == LIVE).order_by(EVIDENCE.c.seq.desc()))
        connection.execute(delete(EVIDENCE).where(EVIDENCE.c.book == LIVE, EVIDENCE.c.seq == last.scalars().first()))
        problems = said(connection)
    assert len(problems) == 1
    assert "none proves it" in problems[0]


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)  # the same on a server
def test_the_row_of_an_entry_that_was_edited_is_not_blamed(kept: Any) -> None:
    with edited(kept) as connection:
        one = (EVIDENCE.c.book == LIVE) & (EVIDENCE.c.seq == 7)
        connection.execute(update(EVIDENCE).where(one).values(time=EVIDENCE.c.time + 1))
        assert [line.split(": ")[0] for line in said(connection)] == [f"book '{LIVE}', row 7"]


# --- many, and what an older version wrote ---


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)  # the same on a server
def test_rows_that_have_lost_each_other_take_no_memory_without_end(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardrails.audit_rows._WAITING", 3)
    with edited(kept) as connection:
        orders = PROVEN["orders"]
        connection.execute(update(orders).where(orders.c.book == LIVE).values(number=orders.c.number + 100))
        problems = said(connection)
    assert [line.split(": ")[:2] for line in problems] == [
        [f"book '{LIVE}', table orders", "more than 3 rows and entries do not find each other"]
    ]


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)  # the same on a server
def test_problems_beyond_the_first_are_counted(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardrails.audit_rows._NAMED", 2)
    with edited(kept) as connection:
        connection.execute(delete(PROVEN["fills"]).where(PROVEN["fills"].c.book == LIVE))
        problems = said(connection)
    assert [line.split(", ")[1].split(":")[0] for line in problems][2:] == ["table fills"]
    assert "3 more problems" in problems[2]


def older(connection: Connection, numbers: range) -> None:
    """Orders and their entries as a version wrote them that did not prove the whole row."""
    names = [column.name for column in PROVEN["orders"].c if column.name != "id"]
    connection.execute(insert(BOOKS), {"book": "old", "names": "demo", "first_used": 0})
    for nth in numbers:
        row = dict(zip(names, rows_of("orders", "old", range(nth, nth + 1))[0][1], strict=True))
        connection.execute(insert(PROVEN["orders"]), row)
        append_all(connection, "old", [entry("order", {"order_key": row["order_key"]}, moment(HOUR * nth))])


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)  # the same on a server
@pytest.mark.parametrize(("gone", "count"), [(None, 0), (1, 1), (3, 1), (5, 1)])
def test_entries_of_an_older_version_are_held_against_the_time_of_their_rows(
    kept: Any, gone: int | None, count: int
) -> None:
    with edited(kept) as connection:
        older(connection, range(1, 6))
        insert_proven(connection, rows_of("orders", "old", range(6, 8)))
        if gone is not None:
            connection.execute(delete(PROVEN["orders"]).where(place(connection, "orders", "old", gone)))
        proven = Rows(connection)
        problems = [str(problem) for problem in verify(connection, {}, proven)]
        assert len(problems) == count
        assert all(f"row {gone}: proves a row of orders that is missing" in problem for problem in problems)
        assert proven.unproven == 5 - count


# --- the hash of a row ---


def test_a_column_that_is_added_later_changes_no_hash() -> None:
    row = {"book": LIVE, "time": 1, "run": "r", "number": 2, "state": "filled"}
    assert row_hash("orders", {**row, "verdict": None}) == row_hash("orders", row)
    assert row_hash("orders", {**row, "time": 2}) != row_hash("orders", row)
    assert identity("orders", row) == "r/2"


def test_the_hash_is_the_documented_one() -> None:
    # printf '%s' '["orders",{"book":"b","limit_price":1.0,"number":2,"run":"r","state":"\u00e9"}]' | sha256sum
    row = {"run": "r", "number": 2, "book": "b", "state": "é", "limit_price": 1, "verdict": None}
    assert row_hash("orders", row) == KNOWN


KNOWN = "f4736be19a4813e914b8e088769e2bb73da0edc7e6d7d426a837542c2ff3b9a5"  # pragma: allowlist secret

"""The rows that the evidence log proves are held against it: whatever is done to one of them is found and named."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Float, Integer, delete, insert, select, update

from guardrails.audit import verify, verify_store
from guardrails.audit_rows import Rows
from guardrails.store.evidence import EVIDENCE, Row, append, digest, entry
from guardrails.store.evidence_head import HEAD_FILE
from guardrails.store.metadata import METADATA, moment
from guardrails.store.proof import KINDS, PROVEN, identity, insert_proven, row_hash
from guardrails.store.schema import BOOKS, CRITICAL
from guardrails.store.spool import Sent
from guardrails.store.upgrade import program_tables
from tests.stored import OnServer, ask, on_server, opened

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


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the rows of `kept` are."""
    place = tmp_path_factory.mktemp("kept")
    server = OnServer(request.getfixturevalue("postgres"), place) if request.param == "postgres" else nullcontext()
    with server:
        yield place


@pytest.fixture(scope="module")
def kept(folder: Path) -> Iterator[Any]:
    """A database in which each of two books has five rows in every table, written in two turns; for all tests, of whose
    edits nothing stays."""
    database = opened(folder)
    for numbers in (range(1, 4), range(4, 6)):
        for book in (LIVE, DEMO):
            with database.writing(durable=True) as connection:
                insert_proven(connection, everything(book, numbers))
    yield database
    database.close()


on_one = pytest.mark.parametrize("folder", ["sqlite"], indirect=True)
"""the same on a server"""


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


def test_rows_as_they_were_written_have_no_problem(kept: Any, folder: Path) -> None:
    with kept.reading() as connection:
        assert said(connection) == []
        assert connection.execute(select(EVIDENCE.c.seq)).all()[-1] is not None
    on = on_server(folder)
    code, lines = verify_store(folder, None if on is None else on.url)
    assert "120 entries of 2 books" in lines[0] or (code, "is missing" in lines[1]) == (2, True), lines


# --- one edit ---


def other(column: Column[Any], old: Any) -> Any:
    if isinstance(column.type, Integer | Float):
        return 1 if old is None else old + 1
    return "x" if old is None else f"{old[:-1]}e"


def editable(name: str) -> list[Column[Any]]:
    """The columns of a table whose edit leaves a row where it is found."""
    counted = "id" in PROVEN[name].c
    return [c for c in PROVEN[name].columns if c.name not in (("run", "number", "book", "id") if counted else KEYS)]


KEYS = ("book", "hash")


@pytest.mark.parametrize("nth", [2, 3])  # numbers are null in every second row
def test_any_column_of_any_row(kept: Any, nth: int) -> None:
    for columns in zip_longest(*map(editable, TABLES)):  # one of each table at a time, which is quicker
        expected = []
        with edited(kept) as connection:
            for column in (column for column in columns if column is not None):
                table, name = column.table, column.table.name
                one = place(connection, name, nth=nth)
                row = connection.execute(select(table).where(one)).mappings().one()
                connection.execute(update(table).where(one).values({column.name: other(column, row[column.name])}))
                where = f"row {row['id']} of {name} (" if "id" in table.c else f"a row of {name} ("
                hidden = column.name == "content" and f"{name}.content" not in HASHED
                expected.append((where, f"edited: {'a part that is only in its hash' if hidden else column.name}; "))
            problems = said(connection)
        assert len(problems) == len(expected), problems
        for where, what in expected:
            assert [where in line and what in line for line in problems].count(True) == 1, (where, what, problems)
            assert all(line.startswith(f"book '{LIVE}', ") for line in problems)


HASHED = {f"{name}.content" for name in ("safety_changes", "orders", "fills", "journal", "overrides", "flatten_runs")}
"""whole values of which the entry shows a hash"""


def test_numbers_that_became_null(kept: Any) -> None:
    numbers = {name: [c.name for c in editable(name) if isinstance(c.type, Float)] for name in TABLES}
    numbers = {name: columns for name, columns in numbers.items() if columns}
    with edited(kept) as connection:
        for name, columns in numbers.items():
            nothing = dict.fromkeys(columns, None)
            connection.execute(update(PROVEN[name]).where(place(connection, name)).values(nothing))
        problems = said(connection)
    assert len(problems) == len(numbers) > 2
    for name, columns in numbers.items():
        [problem] = [line for line in problems if f" of {name} (" in line]
        assert f"edited: {', '.join(sorted(columns))}; " in problem


@pytest.mark.parametrize("nth", [1, 3, 5])
def test_a_row_that_was_deleted_is_named_by_its_entry(kept: Any, nth: int) -> None:
    c = EVIDENCE.c
    with edited(kept) as connection:
        for name in TABLES:
            connection.execute(delete(PROVEN[name]).where(place(connection, name, nth=nth)))
        problems = said(connection)
        of_table = {
            name: connection.execute(select(c.seq).where(c.book == LIVE, c.kind == KINDS[name]).order_by(c.seq))
            .scalars()
            .all()
            for name in TABLES
        }
    assert len(problems) == len(TABLES), problems
    for name, seq in of_table.items():
        what = f"book '{LIVE}', row {seq[nth - 1]}: proves a row of {name} that is missing ("
        [problem] = [line for line in problems if line.startswith(what)]
        assert f" {nth} é" in problem


def test_a_row_that_was_put_in(kept: Any) -> None:
    with edited(kept) as connection:
        for name in TABLES:
            (_, row), names = rows_of(name, LIVE, range(9, 10))[0], [c.name for c in PROVEN[name].c if c.name != "id"]
            connection.execute(insert(PROVEN[name]), dict(zip(names, row, strict=True)))
        problems = said(connection)
    assert len(problems) == len(TABLES), problems
    for name in TABLES:
        assert [f"of {name} (" in line and "none proves it" in line for line in problems].count(True) == 1


@pytest.mark.parametrize("values", [{"book": DEMO}, {"run": "f" * 16}, {"number": 77}, {"hash": "of another"}], ids=str)
def test_a_row_that_was_moved_to_another_book_or_renamed(kept: Any, values: dict[str, Any]) -> None:
    tables = [name for name in TABLES if values.keys() <= set(PROVEN[name].c.keys())]
    with edited(kept) as connection:
        for name in tables:
            both = values | ({"hash": "of another"} if "hash" in PROVEN[name].c else {})  # else it is there already
            connection.execute(update(PROVEN[name]).where(place(connection, name)).values(both))
        problems = said(connection)
    assert len(problems) == 2 * len(tables), problems
    for name in tables:
        [missing] = [line for line in problems if f"a row of {name} that is missing" in line]
        [put_in] = [line for line in problems if f"of {name} (" in line and "none proves it" in line]
        assert missing.startswith(f"book '{LIVE}', ")
        assert put_in.startswith(f"book '{values.get('book', LIVE)}', ")


@pytest.mark.parametrize(("one", "another"), [(2, 3), (1, 5)])
def test_two_rows_that_changed_places(kept: Any, one: int, another: int) -> None:
    places: dict[str, set[int]] = {}
    with edited(kept) as connection:
        for name in COUNTED:
            ids = PROVEN[name].c.id
            first, second = (
                connection.execute(select(ids).where(place(connection, name, nth=nth))).scalar_one()
                for nth in (one, another)
            )
            places[name] = {first, second}
            for old, new in ((first, 1_000), (second, first), (1_000, second)):
                connection.execute(update(PROVEN[name]).where(ids == old).values(id=new))
        problems = said(connection)
    assert all("reordered" in problem for problem in problems), problems
    for name in COUNTED:
        found = {int(line.split(", row ")[1].split(" ")[0]) for line in problems if f" of {name} (" in line}
        assert found & places[name], (name, problems)


@on_one
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


@on_one  # a server takes no such book
def test_a_row_whose_book_is_no_text(kept: Any) -> None:
    """No book finds it: it must be named all the same."""
    with edited(kept) as connection:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        ((name, row),) = rows_of("alerts", LIVE, range(77, 78))
        names = [column.name for column in PROVEN[name].columns if column.name != "id"]
        values = {**dict(zip(names, row, strict=True)), "book": LIVE.encode()}
        connection.execute(insert(PROVEN[name]), values)
        assert said(connection) == ["table alerts has rows that name no book: they were put in"]


def test_an_end_that_was_cut_from_the_log_alone_is_seen_without_the_head_file(kept: Any) -> None:
    with edited(kept) as connection:
        last = connection.execute(select(EVIDENCE.c.seq).where(EVIDENCE.c.book == LIVE).order_by(EVIDENCE.c.seq.desc()))
        connection.execute(delete(EVIDENCE).where(EVIDENCE.c.book == LIVE, EVIDENCE.c.seq == last.scalars().first()))
        problems = said(connection)
    assert len(problems) == 1
    assert "none proves it" in problems[0]


@on_one
def test_the_row_of_an_entry_that_was_edited_is_not_blamed(kept: Any) -> None:
    with edited(kept) as connection:
        one = (EVIDENCE.c.book == LIVE) & (EVIDENCE.c.seq == 7)
        connection.execute(update(EVIDENCE).where(one).values(time=EVIDENCE.c.time + 1))
        assert [line.split(": ")[0] for line in said(connection)] == [f"book '{LIVE}', row 7"]


# --- many, and what an older version wrote ---


@on_one
def test_rows_that_have_lost_each_other_take_no_memory_without_end(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardrails.audit_pairs._WAITING", 3)
    with edited(kept) as connection:
        orders = PROVEN["orders"]
        connection.execute(update(orders).where(orders.c.book == LIVE).values(number=orders.c.number + 100))
        problems = said(connection)
    assert [line.split(": ")[:2] for line in problems] == [
        [f"book '{LIVE}', table orders", "more than 3 rows or entries do not find their other"]
    ]


@on_one
def test_problems_beyond_the_first_are_counted(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardrails.audit_pairs._NAMED", 2)
    with edited(kept) as connection:
        connection.execute(delete(PROVEN["fills"]).where(PROVEN["fills"].c.book == LIVE))
        problems = said(connection)
    assert [line.split(", ")[1].split(":")[0] for line in problems][2:] == ["table fills"]
    assert "3 more problems" in problems[2]


@on_one  # a column of a server has its type
@pytest.mark.parametrize(
    ("column", "value"),
    [("changed", "9e999"), ("changed", "x'ff'"), ("quantity", "'abc'"), ("time", "x'ff'"), ("number", "'1/2'")],
)
def test_a_value_of_another_type_is_named_and_does_not_crash(kept: Any, column: str, value: str) -> None:
    with edited(kept) as connection:
        connection.exec_driver_sql(f"UPDATE orders SET {column} = {value} WHERE id = 3")  # noqa: S608  # see above
        assert any("row 3 of orders" in problem for problem in said(connection))


@on_one  # a server takes no such text
@pytest.mark.parametrize("planted", ["CAST(x'ff41' AS TEXT)", "'a' || char(10, 27) || '[2J'", "hex(zeroblob(9999))"])
def test_what_was_planted_in_a_row_is_told_in_one_short_line(kept: Any, planted: str) -> None:
    with edited(kept) as connection:
        connection.exec_driver_sql(f"UPDATE orders SET order_key = {planted} WHERE id = 3")  # noqa: S608  # see above
        [problem] = said(connection)
    assert "row 3 of orders" in problem
    assert problem.isprintable()
    assert problem.encode()
    assert len(problem) < 400


@on_one
def test_a_table_without_the_columns_by_which_rows_are_found_has_lost_them(kept: Any) -> None:
    with edited(kept) as connection:
        for statement in ("CREATE TABLE emptied AS SELECT id, time, state FROM orders", "DROP TABLE orders"):
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("ALTER TABLE emptied RENAME TO orders")
        assert sum("proves a row of orders that is missing" in line for line in said(connection)) == 10


# --- what an older version wrote ---


def older(connection: Connection, name: str, numbers: range) -> None:
    """Rows and their entries as a version wrote them that did not prove the whole row."""
    names = [column.name for column in PROVEN[name].c if column.name != "id"]
    if numbers.start == 1:
        connection.execute(insert(BOOKS), {"book": "old", "names": "demo", "first_used": 0})
    for nth in numbers:
        row = dict(zip(names, rows_of(name, "old", range(nth, nth + 1))[0][1], strict=True))
        time = HOUR * (nth // 3)
        told = {**row, "time": time, "author": "of •••4567" if nth % 2 else "é"}
        connection.execute(insert(PROVEN[name]), told | ({"author": "of word4567"} if nth == 5 else {}))
        body = {key: value for key, value in told.items() if key not in ("book", "time", "run", "number", "content")}
        body["content_hash"] = hashlib.sha256(str(told["content"]).encode()).hexdigest()
        append(connection, "old", [entry("order", body, moment(time))])


def of_older(kept: Any, *statements: str) -> tuple[list[str], Rows]:
    """What is said of ten orders of an older version, of which three are of the same moment, and three of this one."""
    with edited(kept) as connection:
        older(connection, "orders", range(1, 11))
        insert_proven(connection, rows_of("orders", "old", range(11, 14)))
        for statement in statements:
            connection.exec_driver_sql(f"{statement} AND book = 'old'")
        proven = Rows(connection)
        return [str(problem) for problem in verify(connection, {}, proven)], proven


@on_one
def test_entries_of_an_older_version_are_held_against_what_they_show(kept: Any) -> None:
    problems, proven = of_older(kept)
    assert (problems, proven.unproven, proven.late) == ([], 10, [])


@on_one
@pytest.mark.parametrize("nth", [1, 4, 5, 10])
def test_one_edit_of_a_row_of_an_older_version(kept: Any, nth: int) -> None:
    problems, proven = of_older(kept, f"DELETE FROM orders WHERE number = {nth}")  # noqa: S608  # a number
    assert [line.split(" (")[0] for line in problems] == [
        f"book 'old', row {nth}: proves a row of orders that is missing"
    ]
    assert f"order_key orde {nth} é" in problems[0]
    assert proven.unproven == 9
    for column in ("state", "limit_price", "content", "changed", "author"):
        problems, _ = of_older(kept, f"UPDATE orders SET {column} = 77 WHERE number = {nth}")  # noqa: S608  # as above
        assert [line.split("; ")[0].split(": ")[1:] for line in problems] == [["edited", column]]
        assert f"its entry is row {nth} of the log" in problems[0]
    problems, _ = of_older(kept, f"UPDATE orders SET time = 77 WHERE number = {nth}")  # noqa: S608  # as above
    assert len(problems) == 2


@on_one
def test_rows_of_an_older_version_that_changed_places_or_were_put_in(kept: Any) -> None:
    turns = ((7, 1_000), (8, 7), (1_000, 8))  # of the same moment
    exchange = (f"UPDATE orders SET id = {new} + 10 WHERE id = {old} + 10" for old, new in turns)  # noqa: S608  # as above
    problems, _ = of_older(kept, *exchange)
    assert problems
    assert all("reordered" in problem for problem in problems)
    names = ", ".join(column.name for column in PROVEN["orders"].c if column.name not in ("id", "number"))
    put_in = f"INSERT INTO orders (number, {names}) SELECT 99, {names} FROM orders WHERE number = 4"  # noqa: S608  # names
    problems, _ = of_older(kept, put_in)
    assert [line.split(": ")[1] for line in problems] == ["put in, or renamed, or its entry was taken out"]


@on_one
def test_an_entry_whose_proof_was_taken_out_is_told_even_when_the_chain_was_made_anew(kept: Any) -> None:
    with edited(kept) as connection:
        older(connection, "orders", range(1, 4))
        insert_proven(connection, rows_of("orders", "old", range(4, 7)))
        last = connection.execute(
            select(EVIDENCE.c.hash).where(EVIDENCE.c.book == "old", EVIDENCE.c.seq == 6)
        ).scalar_one()
        forged(connection, 5)
        proven = Rows(connection)
        assert verify(connection, {}, proven) == []  # as somebody sees it who has no head file
        assert proven.late == [("old", 5)]
        [problem] = [str(problem) for problem in verify(connection, {"old": (6, last)})]
    assert problem == f"book 'old', row 6: rewritten: {HEAD_FILE} knows it with another hash"


def forged(connection: Connection, seq: int) -> None:
    """Take the proof out of one entry and write the hashes from there on anew."""
    c, before = EVIDENCE.c, ""
    for row in map(
        Row._make, connection.execute(select(*c).where(c.book == "old", c.seq >= seq).order_by(c.seq)).all()
    ):
        body = re.sub(r',"row":"[^"]*"', "", row.body) if row.seq == seq else row.body
        new = row._replace(body=body, before=before or row.before)
        before = digest(new)
        connection.execute(
            update(EVIDENCE).where(c.book == "old", c.seq == row.seq).values(new._replace(hash=before)._asdict())
        )


@on_one
@pytest.mark.parametrize("seq", [3, 6])
def test_a_row_that_was_deleted_with_its_entry(kept: Any, seq: int) -> None:
    with edited(kept) as connection:
        insert_proven(connection, [(BOOKS.name, ("old", "demo", 0)), *rows_of("orders", "old", range(1, 7))])
        last = connection.execute(
            select(EVIDENCE.c.hash).where(EVIDENCE.c.book == "old", EVIDENCE.c.seq == 6)
        ).scalar_one()
        connection.exec_driver_sql(f"DELETE FROM orders WHERE book = 'old' AND number = {seq}")  # noqa: S608  # a number
        connection.execute(delete(EVIDENCE).where(EVIDENCE.c.book == "old", EVIDENCE.c.seq == seq))
        [problem] = [str(problem) for problem in verify(connection, {"old": (6, last)})]
    assert problem.startswith(f"book 'old', row {seq}: missing")


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

"""The store on a real server: its schema, its months, a server that is away, restarted, hanging or refusing."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import create_engine, delete, func, select
from sqlalchemy.exc import DBAPIError

from guardrails.audit import verify_store
from guardrails.redaction import RedactingFormatter
from guardrails.store import evidence, inserts, quarters, schema, sharing, upgrade  # noqa: F401  # all of the schema
from guardrails.store.condition import condition
from guardrails.store.database import open_database
from guardrails.store.faults import is_damage, is_locked, is_refusal, reason
from guardrails.store.inserts import insert
from guardrails.store.metadata import METADATA, StoreError, micros
from guardrails.store.partitions import make_partitions
from guardrails.store.writer import Writer
from tests.postgres import Server
from tests.stored import OnServer, ask, change, clock, eventually, hand, opened
from tests.test_store_writer import BREACH, OK, at, flips, values

BOOK = ("b", "test", 1)
WIDTH = len(inserts.columns(schema.GREEK_SNAPSHOTS))


@pytest.fixture
def place(postgres: Server, tmp_path: Path) -> Iterator[OnServer]:
    """A database with our tables for tmp_path."""
    with OnServer(postgres, tmp_path) as there:
        yield there


@pytest.fixture
def bare(postgres: Server, tmp_path: Path) -> Iterator[OnServer]:
    """A database without tables for tmp_path."""
    with OnServer(postgres, tmp_path, bare=True) as there:
        yield there


@pytest.fixture(scope="module")
def shared(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a database with our tables that many tests use one after the other."""
    folder = tmp_path_factory.mktemp("shared")
    with OnServer(postgres, folder):
        yield folder


@contextmanager
def away(server: Server, how: str = "immediate") -> Iterator[None]:
    """The server is stopped within the block."""
    server.stop(how)
    try:
        yield
    finally:
        server.start()


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """The server hangs within the block."""
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


@contextmanager
def writing(folder: Path, database: Any, **more: Any) -> Iterator[Writer]:
    writer = Writer(database, folder, clock, **{"retry_seconds": 0.02, **more})
    writer.start()
    try:
        yield writer
    finally:
        writer.stop(20)
        database.close()


def add_book(database: Any, book: str = "b", *, durable: bool = True) -> None:
    with database.writing(durable=durable) as connection:
        insert(connection, schema.BOOKS, [(book, "test", 1)])


def lines_of(database: Any, count: int) -> list[int]:
    """Numbers of the positions of book b, the only rows there are."""
    with database.writing(durable=True) as connection:
        for table in (schema.GREEK_SNAPSHOTS, schema.POSITIONS):
            connection.execute(delete(table))
        insert(connection, schema.BOOKS, [BOOK])
        new = [("b", "h", f"k{n}", "s", 1, *"abcdefg", None) for n in range(count)]
        assert insert(connection, schema.POSITIONS, new) == count
        return list(connection.execute(select(schema.POSITIONS.c.position)).scalars())


def greeks(time: datetime, lines: list[int], value: float = 1.5) -> list[tuple[Any, ...]]:
    return [(micros(time), line, "OK", *[value] * (WIDTH - 4), "model") for line in lines]


# --- the schema ---


def test_the_migrations_make_the_tables_that_the_program_uses(place: OnServer, tmp_path: Path) -> None:
    def ours(_: Any, name: str | None, kind: str, *__: Any) -> bool:
        return not (name or "").startswith("greek_snapshots_2") and (kind, name) != ("index", "ix_greek_snapshots_time")

    database = opened(tmp_path)
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": ours})
        assert compare_metadata(context, METADATA) == []
    database.close()
    assert ask(tmp_path, "SELECT partstrat::text FROM pg_partitioned_table") == [("r",)]


def test_many_programs_may_bring_an_empty_database_up_to_date_at_once(bare: OnServer, tmp_path: Path) -> None:
    def start(number: int) -> None:
        database = open_database(tmp_path, clock, bare.url)
        add_book(database, str(number))
        database.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, range(4)))
    assert ask(tmp_path, "SELECT book FROM books ORDER BY book") == [("0",), ("1",), ("2",), ("3",)]
    assert ask(tmp_path, "SELECT version_num FROM alembic_version") == [(upgrade.HEAD,)]


def test_an_older_schema_is_brought_up_to_date_and_says_that_nothing_is_copied(
    bare: OnServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = create_engine(bare.url.get_secret_value())
    with engine.begin() as connection:
        command.upgrade(upgrade._config(connection), "0001")
        insert(connection, schema.BOOKS, [BOOK])
    engine.dispose()
    database = open_database(tmp_path, clock, bare.url)
    add_book(database, "c")
    database.close()
    assert ask(tmp_path, "SELECT version_num FROM alembic_version") == [(upgrade.HEAD,)]
    assert ask(tmp_path, "SELECT count(*) FROM books") == [(2,)]
    assert "from schema 0001" in caplog.text
    assert "keep backups of the server" in caplog.text


def test_a_newer_schema_is_refused_and_left_alone(place: OnServer, tmp_path: Path) -> None:
    change(tmp_path, "UPDATE alembic_version SET version_num = '9999'")
    database = open_database(tmp_path, clock, place.url)
    with pytest.raises(StoreError, match=rf"schema is 9999, newer than {upgrade.HEAD}.*set DATABASE_URL to another"):
        add_book(database)
    database.close()
    assert ask(tmp_path, "SELECT * FROM books") == []


def test_tables_of_ours_that_another_program_made_are_refused(bare: OnServer, tmp_path: Path) -> None:
    change(tmp_path, "CREATE TABLE orders (id int)")
    database = open_database(tmp_path, clock, bare.url)
    with pytest.raises(StoreError, match=r"orders.*did not write; set DATABASE_URL"):
        add_book(database)
    change(tmp_path, "ALTER TABLE orders RENAME TO recipes")  # a table that does not concern us
    add_book(database)
    database.close()
    assert ask(tmp_path, "SELECT book FROM books") == [("b",)]


def test_a_database_that_cannot_hold_every_text_is_refused(postgres: Server, tmp_path: Path) -> None:
    with postgres.connect() as connection:
        connection.execute("CREATE DATABASE narrow ENCODING 'SQL_ASCII' TEMPLATE template0")
    database = open_database(tmp_path, clock, SecretStr(postgres.url("narrow")))
    with pytest.raises(StoreError, match=r"encoding of the database SQL_ASCII.*UTF8"):
        add_book(database)
    database.close()
    postgres.drop("narrow")


# --- months ---


def test_rows_over_the_end_of_a_month_stand_in_two_partitions(place: OnServer, tmp_path: Path) -> None:
    database = opened(tmp_path)
    lines = lines_of(database, 30)
    last = datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    first = datetime(2027, 1, 1, tzinfo=UTC)
    with database.writing(durable=False) as connection:
        rows = greeks(last, lines) + greeks(first, lines)
        assert insert(connection, schema.GREEK_SNAPSHOTS, rows) == 60
    with database.writing(durable=False) as connection:
        assert make_partitions(connection, (micros(last), micros(first))) == []
    database.close()
    where = "SELECT tableoid::regclass::text, count(*), min(time) FROM greek_snapshots GROUP BY 1 ORDER BY 1"
    assert ask(tmp_path, where) == [
        ("greek_snapshots_2026_12", 30, 1798761599999999),  # date -u -d '2027-01-01' +%s is 1798761600
        ("greek_snapshots_2027_01", 30, 1798761600000000),
    ]
    children = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'greek_snapshots'::regclass"
    made = ask(tmp_path, f"{children} ORDER BY 1")
    assert made == [("greek_snapshots_2026_12",), ("greek_snapshots_2027_01",), ("greek_snapshots_2027_02",)]
    indexes = "SELECT amname FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid JOIN pg_am AS a ON a.oid = relam"
    kinds = ask(tmp_path, f"{indexes} WHERE indrelid = 'greek_snapshots_2027_02'::regclass ORDER BY 1")
    assert kinds == [("brin",), ("btree",)]


def test_many_programs_may_make_the_same_month(place: OnServer, tmp_path: Path) -> None:
    time = micros(datetime(2026, 11, 18, tzinfo=UTC))
    databases = [opened(tmp_path) for _ in range(4)]

    def make(database: Any) -> int:
        with database.writing(durable=False) as connection:
            return len(make_partitions(connection, [time]))

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(make, databases)) == [0, 0, 0, 2]
    for database in databases:
        database.close()


# --- many rows ---


@given(
    st.lists(st.tuples(st.integers(0, 39), st.sampled_from([1.0, 2.0])), min_size=25, max_size=80), st.integers(0, 80)
)
@settings(max_examples=25, deadline=None)
def test_rows_sent_twice_are_stored_once_however_many(shared: Path, sent: list[tuple[int, float]], cut: int) -> None:
    database = opened(shared)
    lines = lines_of(database, 40)
    time, first = datetime(2026, 11, 18, tzinfo=UTC), dict[int, float]()
    for part in (sent[:cut], sent[cut:]):
        before = len(first)
        for line, value in part:
            first.setdefault(lines[line], value)
        rows = [row for line, value in part for row in greeks(time, [lines[line]], value)]
        with database.writing(durable=False) as connection:
            assert insert(connection, schema.GREEK_SNAPSHOTS, rows) == len(first) - before
            add = insert(connection, schema.BOOKS, [BOOK])  # the transaction goes on
            assert add == 0
    database.close()
    assert dict(ask(shared, "SELECT position, quantity FROM greek_snapshots")) == first


def test_every_kind_of_value_comes_back_as_it_went(shared: Path) -> None:
    database = opened(shared)
    odd = "€ 日本 \t\\N\r\n'\"%s ?"
    rows = [("b", n, odd, "OK", "m", "{}", bytes(range(256)), b"") for n in range(50)]
    with database.writing(durable=False) as connection:
        insert(connection, schema.BOOKS, [BOOK])
        assert insert(connection, sharing.CAPTURES, rows) == 50
    database.close()
    assert ask(shared, "SELECT * FROM captures ORDER BY time") == rows


@pytest.mark.parametrize("count", [1, 30])
@pytest.mark.parametrize(
    "wrong",
    [{0: None}, {1: "x"}, {3: "much"}, {2: "a level of more than sixteen letters"}, {1: 10**19}, {20: "a\x00b"}],
)
def test_values_that_a_column_does_not_take_are_a_refusal(shared: Path, wrong: dict[int, Any], count: int) -> None:
    database = opened(shared)
    good = greeks(clock(), lines_of(database, count))
    bad = [*good[:-1], tuple(wrong.get(n, value) for n, value in enumerate(good[-1]))]
    with pytest.raises(Exception) as raised, database.writing(durable=False) as connection:  # the drivers differ
        insert(connection, schema.GREEK_SNAPSHOTS, bad)
    assert is_refusal(raised.value)
    assert ask(shared, "SELECT count(*) FROM greek_snapshots") == [(0,)]
    with database.writing(durable=False) as connection:
        assert insert(connection, schema.GREEK_SNAPSHOTS, good) == count
    database.close()


# --- transactions ---


def test_a_durable_transaction_waits_for_the_disk_and_another_does_not(shared: Path) -> None:
    database = opened(shared)
    for durable in (True, False, True):
        with database.writing(durable=durable) as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == ("on" if durable else "off")
            assert connection.exec_driver_sql("SHOW transaction_isolation").scalar_one() == "read committed"
    database.close()


def test_a_reader_sees_one_moment_and_can_change_nothing(place: OnServer, tmp_path: Path) -> None:
    database = opened(tmp_path)
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(schema.BOOKS)).scalar_one() == 0
        add_book(database)
        assert connection.execute(select(func.count()).select_from(schema.BOOKS)).scalar_one() == 0
        with pytest.raises(DBAPIError) as raised:
            insert(connection, schema.BOOKS, [("c", "test", 1)])
    assert reason(raised.value) == "it may not be written"
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(schema.BOOKS)).scalar_one() == 1
    database.close()


def test_the_server_is_told_its_limits_and_who_we_are(shared: Path) -> None:
    database = opened(shared)  # a lock is waited for 5 s, an answer 10 s
    with database.reading() as connection:
        shown = {name: connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in (
            "application_name", "lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout",
            "tcp_user_timeout", "tcp_keepalives_idle")}  # fmt: skip
    assert shown["application_name"] == "portfolio-guardrails"
    assert shown["lock_timeout"] == "5s"
    assert shown["statement_timeout"] == "8s"
    assert shown["idle_in_transaction_session_timeout"] == "1min"
    database.close()


def test_a_statement_that_takes_too_long_is_ended(place: OnServer, tmp_path: Path) -> None:
    database = opened(tmp_path, busy_seconds=0.2)

    def sleep() -> None:
        with database.reading() as connection:
            connection.connection.driver_connection.patience = 60.0  # however long the server's word of it takes
            connection.exec_driver_sql("SELECT pg_sleep(30)")

    with pytest.raises(DBAPIError) as raised:
        sleep()
    assert reason(raised.value) == "it took too long"
    add_book(database)
    database.close()


def test_damage_is_for_the_administrator(shared: Path) -> None:
    database = opened(shared)
    with pytest.raises(StoreError, match="ask the administrator of the server"):
        database.set_aside()
    database.close()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("55P03", "locked"), ("40P01", "locked"), ("40001", "same rows"), ("53100", "disk of the server is full"),
        ("25006", "may not be written"), ("08006", "cannot be reached"), ("28P01", "user or the password"),
        ("57P01", "shutting down"), ("57P03", "starting"), ("22003", "refuses the values"),
        ("23505", "refuses the values"), ("XX001", "administrator"), ("53300", "no more connections"),
        ("42501", "lacks a right"),
    ],
)  # fmt: skip
def test_what_the_server_says_is_told_in_words(shared: Path, state: str, words: str) -> None:
    database = opened(shared)
    with pytest.raises(DBAPIError) as raised, database.writing(durable=True) as connection:
        connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'the words' USING ERRCODE = '{state}'; END $$")
    database.close()
    assert words in reason(raised.value)
    assert is_locked(raised.value) == (state in ("55P03", "40P01", "40001"))
    assert is_refusal(raised.value) == (state[:2] in ("22", "23"))
    assert is_damage(raised.value) == (state == "XX001")


# --- a server that is not there ---


def test_it_starts_while_the_server_is_away(postgres: Server, bare: OnServer, tmp_path: Path) -> None:
    with away(postgres):
        database = open_database(tmp_path, clock, bare.url, 0.5)
        writer = Writer(database, tmp_path, clock, retry_seconds=0.02)
        writer.start()
        flips(writer, 20)
        assert writer.settled(20)
        health = writer.health()
        assert health.spooled >= 20
        assert "the server cannot be reached" in health.problem
        assert database.name in health.problem
    assert eventually(lambda: writer.health().spooled == 0)
    flips(writer, 2, first=20)
    assert writer.settled(20)
    assert eventually(lambda: writer.health().spooled == 0)
    writer.stop(20)
    database.close()
    assert values(tmp_path) == list(range(22))


@pytest.mark.parametrize("how", ["immediate", "fast"])
def test_nothing_is_lost_when_the_server_is_restarted_in_the_middle(
    postgres: Server, place: OnServer, tmp_path: Path, how: str
) -> None:
    database = opened(tmp_path, busy_seconds=0.5)
    with writing(tmp_path, database) as writer:
        for turn in range(3):
            flips(writer, 60, first=turn * 100)
            with away(postgres, how):
                flips(writer, 40, first=turn * 100 + 60)
        assert writer.settled(20)
        assert eventually(lambda: writer.health().spooled == 0)
        assert eventually(lambda: writer.health().problem == "")
    assert values(tmp_path) == list(range(300))
    proven = 300 + 1 + 2  # transitions, the matrix, the start of the session of two accounts
    assert ask(tmp_path, "SELECT count(*), max(seq) FROM evidence") == [(proven, proven)]
    assert verify_store(tmp_path, place.url)[0] == 0


def test_a_restarted_server_is_the_same_and_a_restored_one_is_not(
    postgres: Server, place: OnServer, tmp_path: Path
) -> None:
    database = opened(tmp_path)
    with writing(tmp_path, database) as writer:
        flips(writer, 3)
        assert writer.settled(20)
        with away(postgres, "fast"):
            pass
        flips(writer, 1, first=3)
        assert writer.settled(20)
        assert eventually(lambda: writer.health().spooled == 0)
        assert database.generation == 0
        postgres.drop(place.name)
        postgres.fresh("template0", place.name)
        flips(writer, 1, first=4)
        assert writer.settled(20)
        assert eventually(lambda: writer.health().spooled == 0)
        assert database.generation == 1
        assert eventually(lambda: "takes no rows" not in writer.health().problem)  # it knows then what is to be told
        hand(writer, at(BREACH, 5))  # the new database knows nothing yet: everything is handed over again
        assert writer.settled(20)
    assert values(tmp_path) == [4.0, 5.0]
    assert ask(tmp_path, "SELECT count(*) FROM matrix_versions") == [(1,)]


def test_a_server_that_hangs_only_delays(postgres: Server, place: OnServer, tmp_path: Path) -> None:
    database = opened(tmp_path, busy_seconds=0.5)  # gives up after a second
    with writing(tmp_path, database) as writer:
        hand(writer, at(OK, 0))
        assert writer.settled(20)
        with frozen(postgres):
            flips(writer, 30, first=1)
            assert writer.settled(20)  # on the disk
            assert writer.health().spooled >= 30
            assert "the server cannot be reached" in writer.health().problem
        assert eventually(lambda: writer.health().spooled == 0)
        hand(writer, at(BREACH, 31))
        assert writer.settled(20)
        assert eventually(lambda: writer.health().spooled == 0)
    assert values(tmp_path) == list(range(32))


def test_a_reader_of_a_server_that_hangs_gets_an_error(postgres: Server, place: OnServer, tmp_path: Path) -> None:
    database = opened(tmp_path, busy_seconds=0.1)
    with frozen(postgres), pytest.raises(DBAPIError) as raised, database.reading():
        pass
    assert reason(raised.value) == "the server cannot be reached"
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1
    database.close()


# --- the URL ---


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgres://desk:{}@host/book", "begins with postgres://"),
        ("postgresql://desk:{}@host/book", "begins with postgresql://"),
        ("postgresql+asyncpg://desk:{}@host/book", "begins with postgresql+asyncpg://"),
        ("postgresql+psycopg://desk:{}@host", "names no database"),
        ("postgresql+psycopg://desk:a:{}/b@host:x/book", "cannot be read as a URL"),
        ("{}", "cannot be read as a URL"),
        ("{}://desk@host/book", "begins with no kind of database that is known"),
        ("postgresql+psycopg://desk:{0}@{0}@host/book", "more than one @: write one that belongs to"),
        ("sqlite://", "names no database"),
        ("sqlite:///:memory:", "names no database"),
    ],
)
def test_another_url_is_refused_without_its_password(tmp_path: Path, url: str, words: str) -> None:
    word = "planted" * 2
    with pytest.raises(StoreError) as raised:
        open_database(tmp_path, clock, SecretStr(url.format(word)))
    assert words in str(raised.value)
    assert "write postgresql+psycopg://USER" in str(raised.value)
    assert word not in "".join(traceback.format_exception(raised.value))


def test_a_file_may_be_named_by_url(tmp_path: Path) -> None:
    database: Any = open_database(tmp_path / "elsewhere", clock, SecretStr(f"sqlite:///{tmp_path / 'own.db'}"))
    add_book(database)
    assert (database.name, database.folder) == ("own.db", tmp_path)
    database.close()


def test_a_missing_driver_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as when it is not installed
    monkeypatch.delitem(sys.modules, "guardrails.store.postgres", raising=False)
    url = SecretStr("postgresql+psycopg://desk@host/book")
    with pytest.raises(StoreError, match=r"pip install 'portfolio-guardrails\[postgres\]'"):
        open_database(tmp_path, clock, url)
    assert condition(tmp_path, url)[0] is False


@pytest.mark.parametrize("fault", ["password", "database", "refused row", "hidden in the query"])
def test_the_password_stands_nowhere(
    postgres: Server, place: OnServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """In no text of an error with all that caused it, no log, no name, no state of health, no repr."""
    caplog.set_level(logging.DEBUG)
    word = postgres.word if fault == "refused row" else "planted" * 2
    url = postgres.url("nowhere" if fault == "database" else place.name, word)
    if fault == "hidden in the query":
        url = f"postgresql+psycopg:///{place.name}?host=127.0.0.1&port={postgres.port}&user=guardian&password={word}"
    database: Any = open_database(tmp_path, clock, SecretStr(url))
    told = [database.name, repr(database), repr(database.engine), str(vars(database)), repr(database.engine.url)]
    with pytest.raises(Exception) as raised, database.reading() as connection:  # whatever it is
        insert(connection, schema.BOOKS, [("a book of too long a name", word, 1)])
    error: BaseException | None = raised.value
    told += [*traceback.format_exception(error), reason(raised.value), *condition(tmp_path, SecretStr(url))[1:]]
    while error is not None:
        told += [str(error), repr(error), repr(getattr(error, "pgconn", None)), repr(error.args)]
        error = error.__cause__ or error.__context__
    with writing(tmp_path, database) as writer:
        hand(writer, at(OK, 0))
        assert writer.settled(20)
        told += [writer.health().problem, repr(writer.health())]
    told += [RedactingFormatter().format(record) for record in caplog.records]
    assert [text for text in told if word in text] == []
    assert (tmp_path / "spool.jsonl").read_bytes().find(word.encode()) == -1


# --- what the doctor is told ---


def test_the_doctor_is_told_what_the_database_is_and_holds(place: OnServer, tmp_path: Path) -> None:
    database = opened(tmp_path)
    add_book(database)
    database.close()
    works, words = condition(tmp_path, place.url)
    assert works
    assert words.startswith("postgresql+psycopg://guardian:•••@127.0.0.1:")
    for part in ("can be written", "PostgreSQL ", f"schema {upgrade.HEAD}", "0 snapshots", "fsync is off"):
        assert part in words


def test_the_doctor_changes_nothing(bare: OnServer, tmp_path: Path) -> None:
    works, words = condition(tmp_path, bare.url)
    assert works
    assert "without tables yet" in words
    assert ask(tmp_path, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
    works, words = condition(tmp_path, None)
    assert works
    assert "does not exist yet" in words
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_finds_what_does_not_work(postgres: Server, place: OnServer, tmp_path: Path) -> None:
    for url, words in (
        (postgres.url(place.name, "another"), "refuses the user or the password"),
        (postgres.url("nowhere"), "no database of this name"),
        ("mysql://host/book", "begins with mysql://"),
    ):
        works, said = condition(tmp_path, SecretStr(url))
        assert (works, words in said) == (False, True), said
    with place.connect() as connection:
        connection.execute("ALTER DATABASE " + place.name + " SET default_transaction_read_only = on")
    (tmp_path / "guardrails.db").write_bytes(b"no database" * 100)
    works, said = condition(tmp_path, None)
    assert (works, "not an SQLite database" in said) == (False, True)

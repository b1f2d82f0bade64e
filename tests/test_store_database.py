"""The file of the store: its rights, its schema, damage, a full disk, a folder nobody may write."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, delete, event, select
from sqlalchemy.exc import OperationalError

from guardrails.store import evidence, quarters, schema, sharing, upgrade  # noqa: F401  # all of the schema
from guardrails.store.database import FILE, Database, open_database
from guardrails.store.faults import is_refusal, reason
from guardrails.store.inserts import insert
from guardrails.store.metadata import METADATA, StoreError
from tests import stored
from tests.stored import Lock, OnServer, ask

BOOK = ("b", "test", 1)
opened = partial(stored.opened, bare=True)
"""here the file itself is looked at: each is made from nothing"""


def add_book(database: Database, *, durable: bool = True) -> None:
    with database.writing(durable=durable) as connection:
        insert(connection, schema.BOOKS, [BOOK])


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a database that several tests use one after the other."""
    folder = tmp_path_factory.mktemp("both")
    with ExitStack() as stack:
        if request.param == "postgres":
            stack.enter_context(OnServer(request.getfixturevalue("postgres"), folder))
        yield folder


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    database = opened(folder)
    add_book(database)
    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == {
        FILE: 0o600, f"{FILE}-wal": 0o600, f"{FILE}-shm": 0o600,
    }  # fmt: skip
    assert database.problems == ()
    database.close()


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    opened(tmp_path).close()
    (tmp_path / FILE).chmod(0o644)
    opened(tmp_path).close()
    assert mode(tmp_path / FILE) == 0o600


def test_a_folder_that_others_could_change_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    database = opened(tmp_path)
    assert [f"chmod 700 {tmp_path}" in problem for problem in database.problems] == [True]
    database.close()


def test_the_migrations_make_the_tables_that_the_program_uses(tmp_path: Path) -> None:
    database = opened(tmp_path)
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    database.close()
    made = dict(ask(tmp_path, "SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    assert set(made) == {*METADATA.tables, "alembic_version"}
    for name in ("greek_snapshots", "underlying_totals", "account_values", "evidence"):
        assert made[name].strip().endswith("WITHOUT ROWID")
    assert "uq_finding_transitions_run_number" in made["finding_transitions"]


def test_the_last_step_is_the_one_the_program_knows() -> None:
    script = ScriptDirectory(str(Path(upgrade.__file__).parent / "migrations"))
    assert script.get_heads() == [upgrade.HEAD]


def test_wal_foreign_keys_and_the_two_kinds_of_commit(tmp_path: Path) -> None:
    database = opened(tmp_path)
    for durable, synchronous in (
        (True, 2),
        (False, 1),
        (True, 2),
    ):  # https://www.sqlite.org/pragma.html: NORMAL 1, FULL 2
        with database.writing(durable=durable) as connection:
            read = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in
                    ("journal_mode", "foreign_keys", "synchronous")]  # fmt: skip
            assert read == ["wal", 1, synchronous]
    database.close()


def test_a_failed_transaction_leaves_nothing(tmp_path: Path, kind: str) -> None:
    database = opened(tmp_path)

    def half() -> None:
        with database.writing(durable=True) as connection:
            insert(connection, schema.BOOKS, [BOOK])
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert ask(tmp_path, "SELECT * FROM books") == []
    add_book(database)
    assert ask(tmp_path, "SELECT * FROM books") == [BOOK]
    database.close()


def test_an_older_schema_is_copied_aside_and_brought_up_to_date(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / FILE}")
    with engine.begin() as connection:
        command.upgrade(upgrade._config(connection), "0001")
        insert(connection, schema.BOOKS, [BOOK])
    engine.dispose()
    opened(tmp_path).close()
    assert ask(tmp_path, "SELECT version_num FROM alembic_version") == [(upgrade.HEAD,)]
    assert ask(tmp_path, "SELECT * FROM evidence") == []
    assert ask(tmp_path, "SELECT * FROM books") == [BOOK]
    copy = tmp_path / f"{FILE}.schema-0001"
    assert mode(copy) == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        assert connection.execute("SELECT * FROM books").fetchall() == [BOOK]


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(StoreError, match=rf"schema is 9999, newer than {upgrade.HEAD}.*newer version of the program"):
        opened(tmp_path)
    with pytest.raises(StoreError, match="schema is 9999"):  # waiting makes it no older
        open_database(tmp_path, stored.clock, patient=True)
    assert (tmp_path / FILE).read_bytes() == before
    assert not list(tmp_path.glob("*corrupt*"))


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(StoreError, match=r"recipes.*GUARDRAILS_DATA_DIR"):
        opened(tmp_path)
    assert ask(tmp_path, "SELECT name FROM sqlite_master") == [("recipes",)]


@pytest.mark.parametrize("damage", ["header", "page", "text"])
def test_a_damaged_file_is_kept_aside_and_a_new_one_started(tmp_path: Path, damage: str) -> None:
    database = opened(tmp_path)
    add_book(database)
    database.close()
    path = tmp_path / FILE
    content = bytearray(path.read_bytes())
    if damage == "header":
        content[:16] = b"not a database!!"
    elif damage == "page":
        content[4096:] = b"\xa5" * (len(content) - 4096)
    else:
        content = bytearray(b"once upon a time " * 1000)
    path.write_bytes(content)
    database = opened(tmp_path)
    kept = tmp_path / f"{FILE}.corrupt-20261118T153000000000"
    assert kept.read_bytes() == bytes(content)
    assert [kept.name in problem and "new one was started" in problem for problem in database.problems] == [True]
    add_book(database)
    assert ask(tmp_path, "SELECT * FROM books") == [BOOK]
    database.close()


def test_an_empty_file_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    database = opened(tmp_path)
    assert database.problems == ()
    assert not list(tmp_path.glob("*corrupt*"))
    database.close()


def test_a_file_that_was_taken_away_is_begun_again_and_said(tmp_path: Path) -> None:
    database = opened(tmp_path)
    add_book(database)
    (tmp_path / FILE).rename(tmp_path / "elsewhere.db")
    add_book(database)
    assert ask(tmp_path, "SELECT * FROM books") == [BOOK]
    assert database.generation == 1
    assert ["taken away" in problem for problem in database.problems] == [True]
    database.close()


def test_two_programs_that_meet_the_same_damage_keep_one_file_aside(tmp_path: Path) -> None:
    """The second must not put away what the first has begun since: rows in it were acknowledged."""
    one, two = opened(tmp_path), opened(tmp_path)
    one.engine.dispose()
    two.engine.dispose()
    (tmp_path / FILE).write_bytes(b"once upon a time " * 1000)
    one.set_aside()
    add_book(one)
    two.set_aside()
    assert ask(tmp_path, "SELECT * FROM books") == [BOOK]
    assert len([path for path in tmp_path.glob(f"{FILE}.corrupt-*") if path.suffix[-4:] not in ("-wal", "-shm")]) == 1
    assert ["another program has put it away" in problem for problem in two.problems] == [True]
    with two.writing(durable=True) as connection:
        insert(connection, schema.BOOKS, [("c", "other", 2)])
    assert len(ask(tmp_path, "SELECT * FROM books")) == 2
    assert (one.generation, two.generation) == (1, 1)
    one.close()
    two.close()


def test_damage_is_said_also_while_there_is_no_room_for_a_new_file(tmp_path: Path) -> None:
    database = opened(tmp_path)
    database.close()
    (tmp_path / FILE).write_bytes(b"once upon a time " * 1000)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            database.set_aside()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    add_book(database)
    assert ask(tmp_path, "SELECT * FROM books") == [BOOK]
    assert ["was damaged; it is kept as" in problem for problem in database.problems] == [True]
    assert database.generation == 1
    database.close()


def test_a_folder_in_its_place_is_said_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    (tmp_path / FILE).chmod(0o755)
    with pytest.raises(StoreError, match="a folder stands in its place; move it away"):
        opened(tmp_path)
    assert mode(tmp_path / FILE) == 0o755


def test_two_programs_may_use_one_database(tmp_path: Path, kind: str) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    add_book(one)
    with two.writing(durable=False) as connection:
        insert(connection, schema.BOOKS, [("c", "other", 2)])
    assert len(ask(tmp_path, "SELECT * FROM books")) == 2
    one.close()
    two.close()


def test_it_opens_while_another_program_writes(tmp_path: Path, kind: str) -> None:
    opened(tmp_path).close()
    lock = Lock(tmp_path)
    database = opened(tmp_path, busy_seconds=0.05)
    with pytest.raises(OperationalError) as raised:
        add_book(database)
    assert reason(raised.value) == "it is locked by another program"
    lock.release()
    add_book(database)
    database.close()


def test_a_step_that_another_program_holds_up_is_an_error_in_words(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    lock = Lock(tmp_path)
    with pytest.raises(StoreError, match=r"cannot be brought up to date: it is locked by another program"):
        opened(tmp_path, busy_seconds=0.05)
    lock.release()


def test_a_full_disk_is_an_error_in_words(tmp_path: Path) -> None:
    database = opened(tmp_path)
    database.engine.dispose()
    pages = ask(tmp_path, "PRAGMA page_count")[0][0]
    event.listen(database.engine, "connect", lambda raw, _: raw.execute(f"PRAGMA max_page_count = {pages}"))

    def fill() -> None:
        with database.writing(durable=True) as connection:
            insert(connection, schema.BOOKS, [(f"b{n}", "x" * 500, n) for n in range(1000)])

    with pytest.raises(OperationalError) as raised:
        fill()
    assert reason(raised.value) == "the disk is full"
    assert ask(tmp_path, "SELECT * FROM books") == []
    database.close()


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_any_count_of_rows_is_stored_once_each(both: Path, data: st.DataObject) -> None:
    """One by one, by the dozen and many at once, with keys that are there already among them."""
    database = opened(both)
    with database.writing(durable=False) as connection:
        connection.execute(delete(schema.BOOKS))
        kept: dict[str, str] = {}
        for names in data.draw(st.lists(st.lists(st.integers(0, 999), max_size=400), max_size=3)):
            rows = [(str(name), f"{name} at {place}", 1) for place, name in enumerate(names)]
            new = {key: text for key, text, _ in reversed(rows) if key not in kept}
            assert insert(connection, schema.BOOKS, rows) == len(new)
            kept |= new
        assert dict(connection.execute(select(schema.BOOKS.c.book, schema.BOOKS.c.names)).all()) == kept
    database.close()


def test_rows_of_other_lengths_never_shift_into_each_other(both: Path) -> None:
    """A row that is too short and one that is too long have together as many values as two."""
    database = opened(both)
    rows = [(f"s{n}", "test", 1) for n in range(400)]
    rows[100:102] = [("short", "test"), ("long", "test", 1, 2)]
    with pytest.raises(Exception) as raised, database.writing(durable=False) as connection:  # the drivers differ
        insert(connection, schema.BOOKS, rows)
    assert is_refusal(raised.value)
    assert ask(both, "SELECT book FROM books WHERE book LIKE 's%' OR book = 'long'") == []
    database.close()


@pytest.mark.parametrize("place", ["/proc/guardrails", "/dev/null/guardrails"])
def test_a_folder_that_cannot_be_made_is_an_error_in_words(place: str) -> None:
    with pytest.raises(StoreError, match=r"cannot be written.*GUARDRAILS_DATA_DIR"):
        opened(Path(place))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user could reach, other than those of pytest."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("there", [False, True])
def test_a_read_only_folder_is_an_error_in_words(open_folder: Path, *, there: bool) -> None:
    opened(open_folder / "first").close()  # loads all that is needed, for a user who may not read it later
    if there:
        opened(open_folder).close()
        (open_folder / FILE).chmod(0o444)
    open_folder.chmod(0o555)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        said = b"opened"
        try:
            if os.getuid() == 0:
                os.setuid(65534)  # no mode stops root
            opened(open_folder)
        except StoreError as error:
            said = str(error).encode()
        finally:
            os.write(writer, said)
            os._exit(0)
    os.waitpid(child, 0)
    said = os.read(reader, 10_000).decode()
    os.close(reader)
    os.close(writer)
    assert f"{open_folder / FILE} cannot be written: " in said
    assert "Give this user access" in said

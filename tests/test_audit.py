"""Every edit of the evidence log is found and named, a good log never has a problem, and looking changes nothing."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from socket import socket
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import StaticPool, create_engine

from guardrails.audit import behind, verify, verify_file, verify_store
from guardrails.store.database import open_database
from guardrails.store.evidence import EVIDENCE, Problem, Row, digest
from guardrails.store.evidence_head import HEAD_FILE, keep_head
from guardrails.store.read_only import opened_file
from tests.books import ROOT
from tests.postgres import Server
from tests.stored import OnServer, change, on_server, prove
from tests.stored import opened as a_store
from tests.test_evidence import BODY, TIME, clean, opened, stored, write

BOOKS = ("a", "b", "a", "a", "demo:calm", "b", "a", "a", "b", "a", "b", "a")
"""in the order of writing: a has 7 entries, b has 4, the demo 1"""
CODES = {"verifies": 0, "problems": 2, "unreadable": 3}
Rows = list[tuple[Any, ...]]
Head = dict[str, tuple[int, str]]


@cache
def good() -> tuple[Row, ...]:
    """A log in the order of writing."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    EVIDENCE.create(engine)
    write(engine, *BOOKS)
    rows = stored(engine)
    turns: Counter[str] = Counter()
    order = {(book, turns.update([book]) or turns[book]): place for place, book in enumerate(BOOKS)}  # type: ignore[func-returns-value]  # counts
    return tuple(sorted(rows, key=lambda row: order[row.book, row.seq]))


def head_of(rows: Iterable[Row]) -> Head:
    """What the head file says after these."""
    return {row.book: (row.seq, row.hash) for row in rows}


def found(rows: Iterable[tuple[Any, ...]], head: Head | None) -> list[Problem]:
    """The problems of a table that takes any row; `Raw` stands for text of these bytes."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE evidence (book, seq, time, kind, body, before, hash)")
        for row in rows:
            marks = ",".join("CAST(? AS TEXT)" if isinstance(value, Raw) else "?" for value in row)
            connection.exec_driver_sql(f"INSERT INTO evidence VALUES ({marks})", tuple(row))  # noqa: S608  # marks
        return verify(connection, head)


class Raw(bytes):
    """Text that need not be UTF-8."""


def named(problems: list[Problem], book: str, seq: int) -> bool:
    return any(problem.book == book and problem.first <= seq <= problem.last for problem in problems)


def with_row(place: int, **columns: Any) -> Rows:
    rows: Rows = list(good())
    rows[place] = good()[place]._replace(**columns)
    return rows


def honest(row: Row) -> Row:
    """With the hash its content gives."""
    return row._replace(hash=digest(row))


PLACES = st.integers(0, len(BOOKS) - 1)

# --- a good log ---


def test_the_log_as_it_was_written_has_no_problem() -> None:
    assert found(good(), head_of(good())) == []
    assert found([], {}) == found([], None) == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(("order", "safety")), BODY), max_size=8), st.data())
def test_a_good_log_never_has_a_problem(entries: list[tuple[str, str, dict[str, Any]]], data: st.DataObject) -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    EVIDENCE.create(engine)
    heads: list[Head] = [{}]
    with engine.begin() as connection:
        for book, kind, body in entries:
            clean(body)
            link = prove(connection, book, kind, body, TIME)
            heads.append({**heads[-1], book: (link.seq, link.hash)})
        earlier = data.draw(st.sampled_from(heads))
        assert verify(connection, earlier) == []
        late = {book for book, place in heads[-1].items() if place != earlier.get(book)}
        assert len(behind(connection, earlier)) == len(late)


# --- one edit ---


@given(PLACES, st.sampled_from(Row._fields), st.data())
def test_any_byte_of_any_column(place: int, column: str, data: st.DataObject) -> None:
    row = good()[place]
    old = getattr(row, column)
    stored_as = old.to_bytes(8, "big") if isinstance(old, int) else old.encode()
    at, bits = data.draw(st.integers(0, len(stored_as) - 1)), data.draw(st.integers(1, 255))
    changed = bytearray(stored_as)
    changed[at] ^= bits
    new = int.from_bytes(changed, "big", signed=True) if isinstance(old, int) else Raw(changed)
    problems = found(with_row(place, **{column: new}), head_of(good()))
    assert named(problems, row.book, row.seq)
    if column == "seq":
        assert named(problems, row.book, new)  # type: ignore[arg-type]  # an integer here
    if column in ("time", "kind", "body", "before", "hash"):
        assert [(p.first, p.last) for p in problems] == [(row.seq, row.seq)]  # and no other row is blamed


@given(PLACES, st.sampled_from(Row._fields), st.sampled_from((None, 1.5, -1, 2**62, b"\xff", b"a", "", "a", "7")))
def test_any_other_value_in_any_column(place: int, column: str, value: object) -> None:
    row = good()[place]
    assume(getattr(row, column) != value)
    problems = found(with_row(place, **{column: value}), head_of(good()))
    assert named(problems, row.book, row.seq)


@given(PLACES, st.sampled_from(("book", "kind", "body", "before", "hash")))
def test_text_that_became_bytes(place: int, column: str) -> None:
    row = good()[place]
    problems = found(with_row(place, **{column: getattr(row, column).encode()}), head_of(good()))
    assert named(problems, row.book, row.seq)


@given(PLACES)
def test_a_row_taken_out(place: int) -> None:
    row = good()[place]
    problems = found([other for other in good() if other != row], head_of(good()))
    assert [(p.book, p.first, p.last, p.what[:7]) for p in problems] == [(row.book, row.seq, row.seq, "missing")]


@given(PLACES)
def test_a_row_taken_out_and_the_gap_closed(place: int) -> None:
    gone = good()[place]
    rows = [
        row._replace(seq=row.seq - 1) if row.book == gone.book and row.seq > gone.seq else row
        for row in good()
        if row != gone
    ]
    problems = found(rows, head_of(good()))
    assert named(problems, gone.book, gone.seq)
    for row in good():
        if row.book == gone.book and row.seq > gone.seq:
            assert f"reordered: holds what was row {row.seq}" in told(problems, row.book, row.seq - 1)


def told(problems: list[Problem], book: str, seq: int) -> str:
    return " ".join(p.what for p in problems if p.book == book and p.first <= seq <= p.last)


@given(st.lists(PLACES, min_size=2, max_size=2, unique=True))
def test_two_rows_exchanged(places: list[int]) -> None:
    one, other = (good()[place] for place in places)
    rows: Rows = list(good())
    rows[places[0]] = other._replace(book=one.book, seq=one.seq)
    rows[places[1]] = one._replace(book=other.book, seq=other.seq)
    problems = found(rows, head_of(good()))
    for here, there in ((one, other), (other, one)):
        assert f"reordered: holds what was row {there.seq}" in told(problems, here.book, here.seq)


@given(PLACES)
def test_a_row_twice(place: int) -> None:
    row = good()[place]
    problems = found([*good(), row], head_of(good()))
    assert [(p.book, p.first, p.last, p.what[:10]) for p in problems] == [(row.book, row.seq, row.seq, "duplicated")]


@given(PLACES, st.booleans())
def test_another_row_with_the_same_number(place: int, first: bool) -> None:  # noqa: FBT001  # drawn
    row = good()[place]
    forged = honest(row._replace(body="{}"))
    problems = found([forged, *good()] if first else [*good(), forged], head_of(good()))
    assert {(p.book, p.first, p.last) for p in problems} == {(row.book, row.seq, row.seq)}  # and no neighbour
    assert "duplicated" in told(problems, row.book, row.seq)


@given(st.sampled_from((2**62, -(2**62))))
def test_a_time_that_is_none_is_said_and_does_not_crash(time: int) -> None:
    last = good()[-1]
    put_in = honest(last._replace(seq=last.seq + 1, before=last.hash, time=time))
    assert [p.what for p in found([*good(), put_in], head_of(good()))] == ["edited: its time is no moment"]


@given(PLACES, PLACES)
def test_a_copy_in_the_place_of_another_or_at_the_end(place: int, target: int) -> None:
    row, lost = good()[place], good()[target]
    assume(row != lost)
    copy = row._replace(book=lost.book, seq=lost.seq)
    problems = found([copy if other == lost else other for other in good()], head_of(good()))
    assert f"duplicated: a copy of row {row.seq}" in told(problems, lost.book, lost.seq)
    count = head_of(good())[row.book][0]
    problems = found([*good(), row._replace(seq=count + 1)], head_of(good()))
    assume(row.seq != count)  # the copy then has the right predecessor but for its own hash
    assert f"duplicated: a copy of row {row.seq}" in told(problems, row.book, count + 1)


@given(PLACES, st.booleans(), st.booleans())
def test_a_row_put_in_and_the_rest_moved(place: int, hashed: bool, linked: bool) -> None:  # noqa: FBT001  # drawn
    at = good()[place]
    new = at._replace(body='{"not":"ours"}', before=at.before if linked else "0" * 64)
    new = honest(new) if hashed else new
    moved = [row._replace(seq=row.seq + 1) if row.book == at.book and row.seq >= at.seq else row for row in good()]
    problems = found([*moved, new], head_of(good()))
    assert named(problems, at.book, at.seq)
    for row in moved:
        if row.book == at.book and row.seq > at.seq:
            assert f"reordered: holds what was row {row.seq - 1}" in told(problems, row.book, row.seq)


@given(PLACES)
def test_a_row_rewritten_with_its_hash(place: int) -> None:
    row = good()[place]
    problems = found(with_row(place, **honest(row._replace(body="{}"))._asdict()), head_of(good()))
    assert named(problems, row.book, row.seq)


@given(PLACES)
def test_all_rows_from_one_rewritten_with_their_hashes(place: int) -> None:
    first = good()[place]
    rows: list[Row] = []
    for row in sorted(good()):
        new = row
        if row.book == first.book and row.seq == first.seq:
            new = honest(row._replace(body="{}"))
        elif row.book == first.book and row.seq > first.seq:
            new = honest(row._replace(before=rows[-1].hash))
        rows.append(new)
    problems = found(rows, head_of(good()))
    last = head_of(good())[first.book][0]
    assert [(p.book, p.first, p.what[:9]) for p in problems] == [(first.book, last, "rewritten")]


# --- the end, and the whole ---


@given(st.integers(0, len(BOOKS) - 1))
def test_a_cut_end_or_an_older_copy(kept: int) -> None:
    problems = found(good()[:kept], head_of(good()))
    for row in good()[kept:]:
        assert "missing" in told(problems, row.book, row.seq)
    assert not any(named(problems, row.book, row.seq) for row in good()[:kept])


@given(st.integers(1, 6))
def test_a_beginning_that_was_cut(gone: int) -> None:
    cut = [row for row in good() if row.book == "a" and row.seq > gone]
    assert named(found(cut, head_of(cut)), "a", gone)
    renumbered = [honest(row._replace(seq=row.seq - gone)) for row in cut]
    assert "not the first of a chain" in told(found(renumbered, head_of(renumbered)), "a", 1)


def test_a_missing_head_file_is_said_unless_there_is_nothing() -> None:
    assert [str(problem) for problem in found(good(), None)] == [
        f"{HEAD_FILE} is missing, so a cut end of the log cannot be seen"
    ]


EDITS = st.lists(
    st.tuples(
        PLACES, st.sampled_from((*Row._fields, "delete", "copy")), PLACES | st.text(max_size=3) | st.binary(max_size=3)
    ),
    min_size=1,
    max_size=6,
)


@given(EDITS)
def test_any_edits_at_all(edits: list[tuple[int, str, Any]]) -> None:
    rows: Rows = list(good())
    for place, what, value in edits:
        if what == "delete":
            rows[place : place + 1] = []
        elif what == "copy":
            rows.extend(rows[place : place + 1])
        elif place < len(rows):
            rows[place] = Row(*rows[place])._replace(**{what: value})
    problems = found(rows, head_of(good()))
    assert (problems == []) == (Counter(rows) == Counter(good()))
    assert all(str(problem) for problem in problems)


# --- the file ---


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A closed database with its head file in a folder of their own."""
    path = tmp_path / "kept" / "guardrails.db"
    path.parent.mkdir()
    engine = opened(path)
    write(engine, *BOOKS, head=path.with_name(HEAD_FILE))
    engine.dispose()
    return path


def folder(path: Path) -> dict[str, tuple[str, int]]:
    """Every file beside `path` with the hash of its content and its time."""
    return {
        file.name: (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in path.parent.iterdir()
        if not file.name.endswith("-shm")  # an index in shared memory, which every reader of a log in use updates
    }


def edit(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_good_file(database: Path) -> None:
    before = folder(database)
    # the twelfth entry is 11 s after 20:50 UTC, which is 15:50 in New York in winter
    assert verify_file(database) == (
        0,
        ["12 entries of 3 books verify; the last is of Fri 20 Nov 2026 15:50:11 New York."],
    )
    assert folder(database) == before


def test_a_file_without_entries(tmp_path: Path) -> None:
    opened(tmp_path / "guardrails.db").dispose()
    assert verify_file(tmp_path / "guardrails.db") == (0, ["0 entries of 0 books verify."])


def test_one_byte_changed_names_the_row(database: Path) -> None:
    content = database.read_bytes()
    assert content.count(b'"number":4}') == 1  # the only entry of the demo
    database.write_bytes(content.replace(b'"number":4}', b'"number":5}'))
    before = folder(database)
    code, lines = verify_file(database)
    assert code == 2
    assert lines[0].endswith("Problems found: 1")
    assert lines[1].strip() == ("book 'demo:calm', row 1: edited or put in: its content does not give its hash")
    assert folder(database) == before


def test_the_first_ten_of_many(database: Path) -> None:
    edit(database, "UPDATE evidence SET time = time + 1")
    code, lines = verify_file(database)
    assert (code, lines[0].split(": ")[-1]) == (2, "12")
    assert [line.split(":")[0].strip() for line in lines[1:12]] == [
        *(f"book 'a', row {seq}" for seq in range(1, 8)),
        *(f"book 'b', row {seq}" for seq in range(1, 4)),
        "and 2 more",
    ]


def test_an_account_number_in_the_name_of_a_book_is_masked(database: Path) -> None:
    edit(database, "UPDATE evidence SET book = 'U1234567' WHERE book = 'demo:calm'")
    code, lines = verify_file(database)
    assert code == 2
    assert "•••4567" in " ".join(lines)
    assert "U1234567" not in " ".join(lines)


@pytest.mark.parametrize(
    ("content", "code", "word"),
    [(None, 2, "is missing"), ("{", 2, "cannot be read"), ('{"books": {}}', 0, "behind book 'a' by 7 entries")],
)
def test_the_head_file_is_missing_damaged_or_behind(database: Path, content: str | None, code: int, word: str) -> None:
    head = database.with_name(HEAD_FILE)
    head.unlink()
    if content is not None:
        head.write_text(content)
    before = folder(database)
    found_code, lines = verify_file(database)
    assert (found_code, word in " ".join(lines)) == (code, True)
    assert folder(database) == before


def test_an_older_copy_of_the_file(database: Path) -> None:
    older = database.read_bytes()
    engine = opened(database)
    write(engine, "b", "b", head=database.with_name(HEAD_FILE))
    engine.dispose()
    assert verify_file(database)[0] == 0
    database.write_bytes(older)
    code, lines = verify_file(database)
    assert (code, "book 'b', rows 5 to 6: missing" in lines[1]) == (2, True)


def spoilt(name: str) -> Callable[[Path], None]:
    def directory(path: Path) -> None:
        path.unlink()
        path.mkdir()

    return {
        "gone": Path.unlink,
        "directory": directory,
        "empty": lambda path: path.write_bytes(b"") and None,
        "text": lambda path: path.write_bytes(b"not a database, but long enough to be read as one" * 99) and None,
        "no log": lambda path: edit(path, "DROP TABLE evidence"),
        "another log": lambda path: edit(path, "ALTER TABLE evidence RENAME COLUMN body TO text"),
    }[name]


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ("gone", "There is no database at"),
        ("directory", "There is no database at"),
        ("empty", "no evidence log"),
        ("text", "not an SQLite database"),
        ("no log", "no evidence log"),
        ("another log", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_3(database: Path, how: str, word: str) -> None:
    spoilt(how)(database)
    before = folder(database) if how != "directory" else {}
    code, lines = verify_file(database)
    assert (code, word in lines[0]) == (3, True), lines
    assert ("counts 12 entries" in lines[0]) == (how in ("gone", "directory"))
    if before:
        assert folder(database) == before


@pytest.mark.parametrize("kept", [1, 99, 100, 4_000, 4_096, 5_000, 8_191])
def test_a_file_that_was_cut_does_not_verify(database: Path, kept: int) -> None:
    content = database.read_bytes()
    assert kept < len(content)
    database.write_bytes(content[:kept])
    assert verify_file(database)[0] in (2, 3)


def test_a_damaged_byte_anywhere_in_the_file_never_passes_for_other_rows(database: Path) -> None:
    """0 only while every row reads as it was written."""
    content, rows, chance = database.read_bytes(), sorted(good()), random.Random(5)  # noqa: S311  # damage, not a secret
    codes: Counter[int] = Counter()
    for _ in range(150):
        damaged = bytearray(content)
        damaged[chance.randrange(len(content))] ^= chance.randrange(1, 256)
        database.write_bytes(damaged)
        code, lines = verify_file(database)
        codes[code] += 1
        if code == 0:
            engine = opened(database)
            assert sorted(stored(engine)) == rows, lines
            engine.dispose()
    assert set(codes) == {0, 2, 3}


IN_USE = """
import os, sys
from pathlib import Path
from tests.test_evidence import opened, write
engine = opened(Path(sys.argv[1]))
with engine.connect() as connection:
    connection.exec_driver_sql("PRAGMA journal_mode = WAL")
write(engine, "b", "b", head=Path(sys.argv[2]))
os._exit(9)
"""


def test_rows_that_a_killed_program_left_beside_the_file_count(database: Path) -> None:
    head = database.with_name(HEAD_FILE)
    command = [sys.executable, "-c", IN_USE, str(database), str(head)]
    assert subprocess.run(command, cwd=ROOT, timeout=180, check=False).returncode == 9
    before = folder(database)
    assert before["guardrails.db-wal"]
    code, lines = verify_file(database)
    assert (code, lines[0].split(" verify")[0]) == (0, "14 entries of 3 books")
    assert folder(database) == before


def test_while_somebody_writes(database: Path) -> None:
    """Each look sees one moment; rows that are not committed yet do not count."""
    engine = opened(database)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    for number in range(3):
        with engine.begin() as connection:
            prove(connection, "b", "order", {}, TIME)
            assert verify_file(database)[1][0].startswith(f"{12 + number} entries")
        assert verify_file(database)[0] == 0
    assert "behind book 'b' by 3 entries" in verify_file(database)[1][1]
    with opened_file(database, alone=False) as looking:
        seen = behind(looking, {})
        write(engine, "a", "new")
        assert behind(looking, {}) == seen
    engine.dispose()


def test_the_log_of_the_store(tmp_path: Path, kind: str) -> None:
    """Written as the engine writes it: the table of the migrations, its transactions, its write-ahead log."""
    place = on_server(tmp_path)
    url = None if place is None else place.url
    database = open_database(tmp_path, lambda: TIME, url)
    head = tmp_path / HEAD_FILE
    for number in range(3):
        with database.writing(durable=True) as connection:
            link = prove(connection, "b", "note", {"number": number}, TIME)
        with database.reading() as connection:
            assert keep_head(head, connection, [link]) == []
        assert verify_store(tmp_path, url)[1][0].startswith(f"{number + 1} entries of 1 books verify")
    database.close()
    before = {path.name for path in tmp_path.iterdir()}
    assert verify_store(tmp_path, url)[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == before
    change(tmp_path, "UPDATE evidence SET body = '{}' WHERE seq = 2")
    assert "book 'b', row 2: edited" in verify_store(tmp_path, url)[1][1]
    change(tmp_path, "DELETE FROM evidence WHERE seq > 1")
    code, lines = verify_store(tmp_path, url)
    assert (code, "row" in lines[1], "counts 3; the end was cut" in lines[1]) == (2, True, True)


def test_a_database_of_a_newer_program_is_3(tmp_path: Path, kind: str) -> None:
    a_store(tmp_path).close()
    place = on_server(tmp_path)
    url = None if place is None else place.url
    assert verify_store(tmp_path, url)[0] == 0
    change(tmp_path, "UPDATE alembic_version SET version_num = '9999'")
    code, lines = verify_store(tmp_path, url)
    assert (code, "is of schema 9999, newer than" in lines[0]) == (3, True)
    change(tmp_path, "DELETE FROM alembic_version")  # what it says of itself is no part of the log
    assert verify_store(tmp_path, url)[0] == 0


def test_a_server_that_is_away_or_empty_is_3(tmp_path: Path, postgres: Server) -> None:
    with OnServer(postgres, tmp_path, bare=True) as place:
        code, lines = verify_store(tmp_path, place.url)
        assert (code, "holds no evidence log" in lines[0]) == (3, True)
        code, lines = verify_store(tmp_path, SecretStr(postgres.url("nowhere")))
        assert (code, "the server has no database of this name" in lines[0]) == (3, True)
        code, lines = verify_store(tmp_path, SecretStr(postgres.url(place.name, "another")))
        assert (code, "refuses the user or the password" in lines[0]) == (3, True)
    with socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = postgres.url("book").replace(str(postgres.port), str(closed.getsockname()[1]))
        code, lines = verify_store(tmp_path, SecretStr(url))
    assert (code, "the server cannot be reached" in lines[0]) == (3, True)
    assert postgres.word not in lines[0]


def test_a_setting_that_names_a_file(database: Path) -> None:
    assert verify_store(Path("/nowhere"), SecretStr(f"sqlite:///{database}")) == verify_file(database)


def test_a_setting_that_is_no_database_is_3(tmp_path: Path) -> None:
    code, lines = verify_store(tmp_path, SecretStr("mysql://desk@host/book"))
    assert (code, "begins with mysql://" in lines[0]) == (3, True)

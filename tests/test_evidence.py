"""The evidence log as it is written: one chain per book, in the transaction of what it proves, with a head outside."""

from __future__ import annotations

import json
import math
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from sqlalchemy import Engine, NullPool, create_engine, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from guardrails.audit import behind, verify
from guardrails.redaction import redact
from guardrails.store.evidence import EVIDENCE, ZEROS, EvidenceError, Link, Row, canonical, digest, last_link
from guardrails.store.evidence_head import HEAD_FILE, keep_head, read_head
from guardrails.store.faults import is_locked
from guardrails.store.sqlite import FILE
from tests.books import ROOT
from tests.stored import on_server, prove

TIME = datetime(2026, 11, 20, 20, 50, tzinfo=UTC)
"""1795207800 seconds, date -u -d @1795207800"""


def opened(path: Path, wait: float = 30.0) -> Engine:
    """A database with the log: a file, or what stands for `guardrails.db` on a server."""
    place = on_server(path.parent) if path.name == FILE else None
    if place is None:
        engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": wait})
    else:
        options = f"-c lock_timeout={max(1, round(wait * 1000))}"
        engine = create_engine(place.url.get_secret_value(), connect_args={"options": options}, poolclass=NullPool)
    EVIDENCE.create(engine, checkfirst=True)
    return engine


def write(engine: Engine, *books: str, head: Path | None = None) -> list[Link]:
    """One entry for each name, each in a transaction of its own."""
    links = []
    for number, book in enumerate(books):
        with engine.begin() as connection:
            time = TIME + timedelta(seconds=number)
            links.append(prove(connection, book, "note", {"check": "vega", "number": number}, time))
        if head is not None:
            with engine.connect() as connection:
                assert keep_head(head, connection, links[-1:]) == []
    return links


def stored(engine: Engine) -> list[Row]:
    with engine.connect() as connection:
        return [Row._make(row) for row in connection.execute(select(*EVIDENCE.c))]


@pytest.fixture
def engine(tmp_path: Path, kind: str) -> Engine:
    return opened(tmp_path / "guardrails.db")


@pytest.fixture
def head(tmp_path: Path) -> Path:
    return tmp_path / HEAD_FILE


# --- one text per body ---


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "{}"),
        ({"b": 1, "a": [True, None, (2.5, "x")]}, '{"a":[true,null,[2.5,"x"]],"b":1}'),
        ({"x": 0.1 + 0.2}, '{"x":0.30000000000000004}'),
        ({"x": 1e16, "y": 1.0, "z": -0.0}, '{"x":1e+16,"y":1.0,"z":-0.0}'),
        ({"ë": "•••4567\n\x00"}, r'{"\u00eb":"\u2022\u2022\u20224567\n\u0000"}'),
    ],
)
def test_canonical(body: dict[str, Any], text: str) -> None:
    assert canonical(body) == text


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"a": {"b": math.nan}}, "body.a.b is nan"),
        ({"a": [0.0, -math.inf]}, r"body.a\[1\] is -inf"),
        ({"a": {1: 2}}, "body.a has a key of type int"),
        ({"a": date(2026, 11, 20)}, "body.a is of type date"),
        ({"a": {2}}, "body.a is of type set"),
        ({"a": b"x"}, "body.a is of type bytes"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_name(body: dict[str, Any], word: str) -> None:
    with pytest.raises(EvidenceError, match=word):
        canonical(body)


@pytest.mark.parametrize(
    "text",
    ["U1234567", "line\nU1234567", "•U1234567", "of 5WT00001.", "Bearer not-a-secret", f"db://me:{'word'}@host"],
)
def test_account_numbers_and_tokens_are_refused_wherever_they_stand(text: str) -> None:
    for body in ({"a": [{"b": text}]}, {"a": {text: 1}}):
        with pytest.raises(EvidenceError, match="account number") as refused:
            canonical(body)
        assert "1234567" not in str(refused.value)
    assert redact(text) in json.loads(canonical({"a": redact(text)}))["a"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=4), parts, max_size=3),
    max_leaves=8,
)
BODY = st.dictionaries(st.text(max_size=6), JSON, max_size=4)


def clean(body: dict[str, Any]) -> str:
    try:
        return canonical(body)
    except EvidenceError:
        reject()  # looks like an account number


@given(BODY, st.randoms(use_true_random=False))
def test_canonical_is_stable(body: dict[str, Any], chance: Any) -> None:
    text = clean(body)
    assert text.isascii()
    assert json.loads(text) == body
    assert canonical(json.loads(text)) == text
    keys = list(body)
    chance.shuffle(keys)
    assert canonical({key: body[key] for key in keys}) == text


# --- the chain ---


def test_the_hash_is_the_documented_one(engine: Engine) -> None:
    with engine.begin() as connection:
        link = prove(connection, "demo:calm", "override", {"limit": 0.1, "by": "Zoë"}, TIME)
    # printf '%s' '["guardrails.evidence/1","demo:calm",1,1795207800000000,"override",
    #   "{\"by\":\"Zo\\u00eb\",\"limit\":0.1}","000...0"]' | sha256sum, on one line with 64 zeros
    known = "c9e198fbedb0dec07e5d0ecc24ed611d39abfbc42d7477bdf71a9ed3c8191090"  # pragma: allowlist secret
    assert link == Link("demo:calm", 1, known, ZEROS)
    body = r'{"by":"Zo\u00eb","limit":0.1}'
    assert stored(engine) == [Row("demo:calm", 1, 1_795_207_800_000_000, "override", body, ZEROS, known)]


def test_every_book_has_a_chain_of_its_own(engine: Engine) -> None:
    links = write(engine, "a", "b", "a", "b", "a")
    assert [(link.book, link.seq) for link in links] == [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3)]
    assert [link.before for link in links] == [ZEROS, ZEROS, links[0].hash, links[1].hash, links[2].hash]
    assert len({link.hash for link in links}) == 5
    with engine.connect() as connection:
        assert [last_link(connection, book) for book in ("a", "b")] == [links[4], links[3]]
        assert last_link(connection, "c") == Link("c", 0, ZEROS, ZEROS)


@given(st.data())
def test_two_rows_never_share_the_input_of_their_hash(data: st.DataObject) -> None:
    text = st.text(alphabet='a",\\[]1', max_size=4)
    rows = st.builds(Row, text, st.integers(1, 12), st.integers(0, 12), text, text, text, st.just(""))
    one, other = data.draw(rows), data.draw(rows)
    assert (digest(one) == digest(other)) == (one == other)


def test_evidence_and_what_it_proves_are_written_together_or_not_at_all(engine: Engine) -> None:
    write(engine, "a")
    with engine.connect() as connection:
        prove(connection, "a", "note", {}, TIME)
        connection.rollback()
    assert [row.seq for row in stored(engine)] == [1]
    with engine.begin() as connection:  # two in one transaction follow each other
        assert [prove(connection, "a", "note", {}, TIME).seq for _ in range(2)] == [2, 3]
    with engine.connect() as connection:
        assert verify(connection, {}) == []


@pytest.mark.parametrize("kind", ["", "Finding", "a b", "u1234567", "a_", "a\n"])
def test_a_kind_is_a_word(engine: Engine, kind: str) -> None:
    with pytest.raises(EvidenceError, match="kind"), engine.begin() as connection:
        prove(connection, "a", kind, {}, TIME)
    assert stored(engine) == []


def test_a_chain_cannot_fork(engine: Engine, tmp_path: Path) -> None:
    write(engine, "a")
    with engine.begin() as first:
        prove(first, "a", "note", {}, TIME)
        hasty = opened(tmp_path / "guardrails.db", wait=0.0)
        with pytest.raises(OperationalError) as raised, hasty.begin() as second:
            prove(second, "a", "note", {}, TIME)  # has not read the last row, which is about to change
        assert is_locked(raised.value)
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(EVIDENCE), stored(engine)[1]._asdict())
    assert [row.seq for row in stored(engine)] == [1, 2]


def test_many_writers_make_one_chain(engine: Engine, tmp_path: Path) -> None:
    def run(_: int) -> None:
        own = opened(tmp_path / "guardrails.db")
        write(own, *"ab" * 10)
        own.dispose()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    rows = stored(engine)
    assert [row.seq for row in rows if row.book == "a"] == list(range(1, 41))
    with engine.connect() as connection:
        assert verify(connection, {}) == []


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)  # a column of a server has its type
def test_a_last_row_without_a_number_is_not_continued(engine: Engine) -> None:
    write(engine, "a")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE evidence SET seq = 'x'")
    with pytest.raises(EvidenceError, match="audit verify"), engine.begin() as connection:
        prove(connection, "a", "note", {}, TIME)


# --- the head file ---


def test_the_head_file_says_count_and_hash_of_every_book(engine: Engine, head: Path) -> None:
    links = write(engine, "a", "b", "a", head=head)
    assert read_head(head) == {"a": (2, links[2].hash), "b": (1, links[1].hash)}
    assert stat.S_IMODE(head.stat().st_mode) == 0o600
    assert [path.name for path in head.parent.iterdir() if path.name.startswith(".")] == []
    assert json.loads(head.read_text()) == {
        "schema": "guardrails.evidence-head/1",
        "books": {"a": {"count": 2, "hash": links[2].hash}, "b": {"count": 1, "hash": links[1].hash}},
    }


def test_links_of_one_transaction_and_late_ones(engine: Engine, head: Path) -> None:
    links = write(engine, "a", "a", "a")
    with engine.connect() as connection:
        assert keep_head(head, connection, links) == []
        assert keep_head(head, connection, links[:2]) == []  # another writer was faster
    assert read_head(head) == {"a": (3, links[2].hash)}


def test_a_head_file_that_was_behind_is_brought_up_to_rows_that_follow(engine: Engine, head: Path) -> None:
    write(engine, "a", head=head)
    links = write(engine, "a", "a")
    with engine.connect() as connection:
        assert keep_head(head, connection, [last_link(connection, "a")]) == []
    assert read_head(head) == {"a": (3, links[1].hash)}


@pytest.mark.parametrize("more", [0, 1, 3])
def test_an_exchanged_database_is_not_covered_up(engine: Engine, head: Path, tmp_path: Path, more: int) -> None:
    links = write(engine, "a", "b", "a", head=head)
    older = opened(tmp_path / "older.db")
    found = begun_otherwise(older, more)
    with older.connect() as connection:
        problems = keep_head(head, connection, found)
    assert ("a", 2) in {(problem.book, problem.first) for problem in problems}
    assert read_head(head) == {"a": (2, links[2].hash), "b": (1, links[1].hash)}


def begun_otherwise(engine: Engine, more: int) -> list[Link]:
    """The first two entries as they were, then `more` that are others: what its writer hands to `keep_head`."""
    links = write(engine, "a", "b")
    with engine.begin() as connection:
        return [prove(connection, "a", "note", {}, TIME) for _ in range(more)] or links


def test_a_head_file_that_was_taken_away_is_said(engine: Engine, head: Path) -> None:
    write(engine, "a", "a", head=head)
    head.unlink()
    links = write(engine, "a")
    with engine.connect() as connection:
        problems = keep_head(head, connection, links)
    assert [(problem.book, problem.first, problem.last) for problem in problems] == [("a", 1, 2)]
    assert read_head(head) == {"a": (3, links[0].hash)}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"books":{"a":{"count":"2","hash":""}}}', "\xff"])
def test_a_damaged_head_file_is_refused_and_kept(engine: Engine, head: Path, content: str) -> None:
    links = write(engine, "a")
    head.write_text(content, encoding="latin-1")
    with pytest.raises(EvidenceError, match=HEAD_FILE), engine.connect() as connection:
        keep_head(head, connection, links)
    assert head.read_text(encoding="latin-1") == content


CRASH = """
import os, sys
from pathlib import Path
from tests.stored import prove
from tests.test_evidence import TIME, opened, write
folder, moment = Path(sys.argv[1]), sys.argv[2]
engine = opened(folder / "guardrails.db")
write(engine, "a", "a", head=folder / "evidence-head.json")
with engine.begin() as connection:
    prove(connection, "a", "note", {}, TIME)
    if moment == "before commit":
        os._exit(9)
os._exit(9)
"""


@pytest.mark.parametrize(("moment", "rows"), [("before commit", 2), ("after commit", 3)])
def test_a_crash_around_the_commit(tmp_path: Path, head: Path, moment: str, rows: int) -> None:
    command = [sys.executable, "-c", CRASH, str(tmp_path), moment]
    assert subprocess.run(command, cwd=ROOT, timeout=180, check=False).returncode == 9
    engine, known = opened(tmp_path / "guardrails.db"), read_head(head)
    assert known is not None
    with engine.connect() as connection:
        assert verify(connection, known) == []
        notes = behind(connection, known)
        assert [note.startswith(f"{HEAD_FILE} is behind book 'a' by 1") for note in notes] == [True] * (rows - 2)
        assert keep_head(head, connection, [last_link(connection, "a")]) == []
        assert behind(connection, read_head(head) or {}) == []
    assert write(engine, "a", head=head)[0].seq == rows + 1

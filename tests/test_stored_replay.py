"""The command `replay` and what it reads: nothing is written, nothing is left out, the same answer every time."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from guardrails import stored_replay
from guardrails.comparison import compare
from guardrails.matrix import parse
from guardrails.replay import replay
from guardrails.replay_document import document
from guardrails.settings import Settings
from guardrails.store.books import book_of
from guardrails.store.metadata import StoreError, micros
from guardrails.stored_replay import file_to_read, last_capture, matrices_of, replay_stored, stored
from tests.books import MATRIX, NOW
from tests.command import called
from tests.healthy import SHIPPED, edited_text
from tests.lived import at, keep_past, lived
from tests.stored import on_server

FROM = ("replay", "--from", "2026-11-18")
BOOK = book_of(("demo",), "calm").key
NO_CONTRACTS = edited_text({"regimes.*.limits.max_position_contracts": 0})

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("GUARDRAILS_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "risk_matrix.yaml").write_text(SHIPPED, encoding="utf-8")
    (tmp_path / "none.yaml").write_text(NO_CONTRACTS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process: exit code, output, errors."""

    def call(*arguments: str) -> tuple[int, str, str]:
        return called(monkeypatch, capsys, *arguments)

    return call


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_past_that_comes_out_as_it_was_exits_0_and_nothing_is_written(run: Run, home: Path) -> None:
    keep_past(home / "data", lived([at(0), at(1), at(2)], MATRIX), SHIPPED)
    before = contents(home / "data")
    code, out, err = run(*FROM)
    assert (code, err) == (0, "")
    assert "3 moments from Wed 18 Nov 2026 10:30:00" in out
    assert "each came out as it was" in out
    assert contents(home / "data") == before


def test_another_matrix_that_changes_something_exits_1(run: Run, home: Path) -> None:
    keep_past(home / "data", lived([at(0), at(1)], MATRIX), SHIPPED)
    code, out, _ = run(*FROM, "--matrix", "none.yaml")
    assert code == 1
    assert "New alarms (" in out
    assert "Contracts in one line" in out


def test_the_document_is_the_same_every_time(run: Run, home: Path) -> None:
    keep_past(home / "data", lived([at(0), at(1)], MATRIX), SHIPPED)
    asked = (*FROM, "--matrix", "none.yaml", "--json")
    once, twice = run(*asked), run(*asked)
    assert once == twice
    document = json.loads(once[1])
    assert list(document) == sorted(document)
    assert document["again"]["matrix_versions"] == [parse(NO_CONTRACTS).version]
    assert {breach["kind"] for breach in document["breaches"]} >= {"new alarm"}


@pytest.mark.parametrize(
    ("arguments", "moments"),
    [
        ((), 4),
        (("--to", "2026-11-18T10:32"), 3),
        (("--to", "2026-11-18T15:31:00Z"), 2),
        (("--to", "2026-11-18"), 4),  # the close of that session
        (("--from", "2026-11-18T10:31"), 3),
    ],
)
def test_from_and_to_belong_to_the_range(run: Run, home: Path, arguments: tuple[str, ...], moments: int) -> None:
    keep_past(home / "data", lived([at(0), at(1), at(2), at(7)], MATRIX), SHIPPED)
    code, out, _ = run(*FROM, *arguments, "--json")
    assert (code, json.loads(out)["moments"]) == (0, moments)


SUNDAY = -17 * 24 * 60.0
"""minutes from NOW to 10:30 of 1 November, on which clocks are set back at 02:00"""


@pytest.mark.parametrize(
    ("begin", "end", "moments"),
    [
        ("2026-11-01", "2026-11-01", 4),  # no session: all of the day
        ("2026-10-31", "2026-11-02", 4),
        ("2026-10-31", "2026-10-31", 0),
        ("2026-11-01T01:30", "2026-11-01T01:30", 1),  # of the two the first
        ("2026-11-01T01:30-05:00", "2026-11-01T01:30-05:00", 1),
        ("2026-11-01T01:30-04:00", "2026-11-01T01:30-05:00", 2),
        ("2026-11-01T02:00", "2026-11-01T23:59:59", 2),
        ("2026-11-01T15:30Z", "2026-11-01T15:30Z", 1),
    ],
)
def test_the_day_on_which_clocks_are_set_back(run: Run, home: Path, begin: str, end: str, moments: int) -> None:
    """Stored at 01:30 twice, at 10:30 and at 23:59:30 New York time."""
    times = (SUNDAY - 10 * 60, SUNDAY - 9 * 60, SUNDAY, SUNDAY + 13 * 60 + 29.5)
    keep_past(home / "data", lived([at(minutes) for minutes in times], MATRIX, compiling=True), SHIPPED)
    code, out, _ = run("replay", "--from", begin, "--to", end, "--json")
    assert (code, json.loads(out)["moments"]) == (0 if moments else 3, moments)


def test_every_book_revalued_is_asked_for_and_comes_out_as_it_was(run: Run, home: Path) -> None:
    keep_past(home / "data", lived([at(0), at(1)], MATRIX), SHIPPED)
    (code, out, _), (again, anew, _) = run(*FROM, "--json"), run(*FROM, "--json", "--revalue")
    assert (code, again) == (0, 0)
    kept, revalued = json.loads(out), json.loads(anew)
    assert (kept.pop("revalued"), revalued.pop("revalued")) == (0, 2)
    assert kept == revalued


def test_progress_is_drawn_on_a_terminal_and_never_into_the_answer(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_past(home / "data", lived([at(0), at(1)], MATRIX, compiling=True), SHIPPED)
    plain = run(*FROM, "--json")
    monkeypatch.setenv("FORCE_COLOR", "1")  # by which rich takes anything for a terminal
    code, out, err = run(*FROM, "--json")
    assert (code, out) == plain[:2]
    assert plain[2] == ""
    assert "judging the past" in err
    assert "2/2" in err


def test_nothing_but_the_moments_up_to_the_end_and_the_matrices_is_read(run: Run, home: Path) -> None:
    """All that is later is poison: moments, a matrix, the file of today; every other table is not even there."""
    past = lived([at(0), at(1), at(2), at(3)], MATRIX, compiling=True)
    file = keep_past(home / "data", past, SHIPPED)
    asked = (*FROM, "--to", "2026-11-18T10:31", "--matrix", "none.yaml", "--json")
    clean = run(*asked)
    (home / "risk_matrix.yaml").write_text("poison", encoding="utf-8")
    poisoned = "UPDATE captures SET inputs = 'x', snapshot = 'x', levels = 'x', level = 'OK' WHERE time > ?"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(poisoned, (micros(past[1].time),))
        connection.execute("INSERT INTO matrix_versions SELECT book, 'ffffffffffff', 'poison', 9e15 FROM books")
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        others = [name for (name,) in tables if name not in ("captures", "matrix_versions", "sqlite_sequence")]
        assert len(others) > 20
        for name in others:
            connection.execute(f'DROP TABLE "{name}"')
        connection.commit()
    assert clean[0] == 1
    assert run(*asked)[:2] == clean[:2]


def test_the_same_past_gives_the_same_answer_in_either_database(
    kind: str, run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = lived([at(0), at(1)], MATRIX, compiling=True)
    keep_past(home / "data", past, SHIPPED)
    place = on_server(home / "data")
    assert (place is None) == (kind == "sqlite")
    if place is not None:
        monkeypatch.setenv("DATABASE_URL", place.url.get_secret_value())
    code, out, _ = run(*FROM, "--matrix", "none.yaml", "--json")
    expected = document(compare(replay(past, parse(NO_CONTRACTS), {MATRIX.version: MATRIX})))
    assert (code, json.loads(out)) == (1, json.loads(json.dumps(expected)))


ASKED_AGAIN = """
import json
from datetime import timedelta
from pathlib import Path
from guardrails.matrix import parse
from guardrails.replay_document import document
from guardrails.stored_replay import file_to_read, replay_stored
from tests.test_stored_replay import BOOK, NO_CONTRACTS, NOW
with file_to_read(Path("data/guardrails.db")) as reading:
    found = replay_stored(reading, BOOK, NOW, NOW + timedelta(hours=1), parse(NO_CONTRACTS), lambda *_: None)
print(json.dumps(document(found)))
"""


def test_another_process_with_another_order_of_its_sets_prints_the_same_bytes(home: Path) -> None:
    keep_past(home / "data", lived([at(0), at(1)], MATRIX, compiling=True), SHIPPED)
    other = {"PYTHONHASHSEED": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    said = subprocess.run(
        [sys.executable, "-c", ASKED_AGAIN], env={**os.environ, **other}, capture_output=True, check=True
    ).stdout
    with file_to_read(home / "data" / "guardrails.db") as reading:
        found = replay_stored(reading, BOOK, NOW, NOW + timedelta(hours=1), parse(NO_CONTRACTS), lambda *_: None)
    assert b"new alarm" in said
    assert said.decode().strip() == json.dumps(document(found))


def test_nothing_stored_exits_3(run: Run, home: Path) -> None:
    assert run(*FROM)[0] == 3  # not even a file
    keep_past(home / "data", lived([at(0)], MATRIX), SHIPPED)
    code, out, _ = run("replay", "--from", "2026-11-19")
    assert code == 3
    assert "nothing is known" in out


def test_a_past_of_another_book_is_not_judged(run: Run, home: Path) -> None:
    keep_past(home / "data", lived([at(0)], MATRIX), SHIPPED, scenario="crash")
    assert run(*FROM)[0] == 3


def test_what_cannot_be_read_exits_3_and_is_named(run: Run, home: Path) -> None:
    past = lived([at(0), at(1)], MATRIX)
    keep_past(home / "data", [past[0], replace(past[1], inputs=b"no moment")], SHIPPED)
    code, out, _ = run(*FROM)
    assert code == 3
    assert "1 moment could not be judged again and count as UNKNOWN" in out
    assert "10:31:00: " in out


def test_a_matrix_that_was_not_stored_leaves_its_moments_unknown(run: Run, home: Path) -> None:
    keep_past(home / "data", lived([at(0)], MATRIX), NO_CONTRACTS)
    code, out, _ = run(*FROM)
    assert code == 3
    assert MATRIX.version in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay",),
        ("replay", "--from", "yesterday"),
        (*FROM, "--to", "soon"),
        (*FROM, "--to", "2026-11-17"),
        (*FROM, "--matrix", "absent.yaml"),
    ],
)
def test_wrong_usage_exits_64(run: Run, home: Path, arguments: tuple[str, ...]) -> None:
    keep_past(home / "data", lived([at(0)], MATRIX), SHIPPED)
    code, _, err = run(*arguments)
    assert code == 64
    assert err


def test_a_file_that_is_no_store_exits_3_and_says_so(run: Run, home: Path) -> None:
    (home / "other.db").write_text("no database")
    with closing(sqlite3.connect(home / "empty.db")) as connection:
        connection.execute("CREATE TABLE another (x)")
    for name in ("other.db", "empty.db"):
        code, out, err = run(*FROM, "--database", name)
        assert (code, out) == (3, "")
        assert "cannot be read" in err


def test_a_store_in_use_is_read_as_it_is_and_left_alone(run: Run, home: Path) -> None:
    file = keep_past(home / "data", lived([at(0)], MATRIX), SHIPPED)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE books SET first_used = 1")
        connection.commit()
        assert file.with_name(f"{file.name}-wal").exists()
        assert run(*FROM)[0] == 0


def test_a_file_written_meanwhile_is_not_trusted(home: Path) -> None:
    file = keep_past(home / "data", lived([at(0)], MATRIX), SHIPPED)

    def read_while_written() -> None:
        with file_to_read(file) as reading:
            assert last_capture(reading, BOOK) == NOW
            file.write_bytes(file.read_bytes() + b"\0")

    with pytest.raises(StoreError, match="run it again"):
        read_while_written()


def test_many_moments_are_read_in_order_and_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches of 2, with as many moments as fill them exactly, and one more and one less."""
    monkeypatch.setattr(stored_replay, "_AT_ONCE", 2)
    past = lived([at(minutes) for minutes in range(5)], MATRIX)
    file = keep_past(home / "data", past, SHIPPED)
    with file_to_read(file) as reading:
        for count in (3, 4, 5):
            end = NOW + timedelta(minutes=count)
            assert list(stored(reading, BOOK, NOW, end)) == past[:count]
    assert [heard(file, count) for count in (3, 4, 5)] == [
        [(nth + 1, count) for nth in range(count)] for count in (3, 4, 5)
    ]


def heard(file: Path, count: int) -> list[tuple[int, int]]:
    """What is told of the progress of a replay of the first `count` minutes."""
    told: list[tuple[int, int]] = []
    with file_to_read(file) as reading:
        end = NOW + timedelta(minutes=count)
        found = replay_stored(reading, BOOK, NOW, end, None, lambda *seen: told.append(seen))
    assert (found.moments, found.differing) == (count, 0)
    return told


def test_a_stored_matrix_that_is_not_what_its_version_says_is_not_used(home: Path) -> None:
    file = keep_past(home / "data", [], SHIPPED, NO_CONTRACTS)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE matrix_versions SET content = content || ' ' WHERE hash = ?", (MATRIX.version,))
        connection.commit()
    with file_to_read(file) as reading, reading() as connection:
        assert list(matrices_of(connection, BOOK)) == [parse(NO_CONTRACTS).version]

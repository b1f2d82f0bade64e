"""The command `replay` and what it reads: nothing is written, nothing is left out, the same answer every time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from guardrails import stored_replay
from guardrails.matrix import parse
from guardrails.settings import Settings
from guardrails.store.books import book_of
from guardrails.store.metadata import StoreError
from guardrails.stored_replay import file_to_read, last_capture, matrices_of, replay_stored, stored
from tests.books import MATRIX, NOW
from tests.command import called
from tests.healthy import SHIPPED, edited_text
from tests.lived import at, keep_past, lived

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
    assert "position contracts" in out


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

"""The form that judges the past again: what it says, what it refuses, and that its answer stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from streamlit.testing.v1 import AppTest

from guardrails.engine import Engine, EngineSettings
from guardrails.matrix import parse
from guardrails.store.books import book_of
from guardrails.store.database import open_database
from pages import _what_if
from pages._engine import Stored
from tests.books import MATRIX, NOW
from tests.healthy import SHIPPED, edited_text
from tests.lived import at, keep_past, lived
from tests.stored import eventually
from tests.test_pages import MATRIX_FILE

NO_CONTRACTS = edited_text({"regimes.*.limits.max_position_contracts": 0})
BOOK, WORK = book_of(("demo",), "calm").key, "what_if_work"
AFTER = NOW + timedelta(hours=1)


def drawn(stored: object, service: object, begin: object, end: object) -> None:
    """The section as the History page draws it; AppTest runs its text alone, so it imports for itself."""
    from pages._what_if import what_if  # noqa: PLC0415  # as said

    what_if(stored, service, begin, end)  # type: ignore[arg-type]  # only the names of builtins are known here


@pytest.fixture
def section(tmp_path: Path) -> AppTest:
    """The section over two moments of the demo's book."""
    keep_past(tmp_path, lived([at(0), at(1)], MATRIX), SHIPPED)
    (tmp_path / "none.yaml").write_text(NO_CONTRACTS, encoding="utf-8")
    return drawn_over(open_database(tmp_path, lambda: NOW), tmp_path)


def drawn_over(database: Any, folder: Path, book: str = BOOK) -> AppTest:
    service = Engine([], MATRIX_FILE, EngineSettings(folder), lambda: NOW)
    given = {"stored": Stored(database, book), "service": service, "begin": NOW, "end": AFTER}
    return AppTest.from_function(drawn, default_timeout=30, kwargs=given).run()


def said(page: AppTest) -> str:
    assert not page.exception, page.exception
    return "\n".join(element.proto.body for element in page.get("html"))


def asked(at: AppTest, path: str = "") -> AppTest:
    """The section once the question was answered."""
    at.text_input(key="what_if_path").set_value(path)
    at.button(key="what_if_ask").click().run()
    assert eventually(lambda: WORK not in at.session_state or not at.session_state[WORK].runs)
    return at if WORK not in at.session_state else at.run()


def test_before_it_is_asked_nothing_is_answered(section: AppTest) -> None:
    assert said(section) == ""
    assert MATRIX.version in " ".join(caption.value for caption in section.caption)


def test_the_matrix_of_today_changes_nothing(section: AppTest) -> None:
    answer = said(asked(section))
    assert "2 moments from" in answer
    assert "each came out as it was" in answer


def test_another_matrix_is_told_with_its_new_alarms_in_a_table(section: AppTest, tmp_path: Path) -> None:
    at = asked(section, str(tmp_path / "none.yaml"))
    assert parse(NO_CONTRACTS).version in said(at)
    assert "New alarms (" in said(at)
    table = at.dataframe[0].value
    contracts = table["Finding"].str.startswith("Contracts in one line, ")
    assert set(table["What"][contracts]) == {"new alarm"}
    # the book breaks some of the shipped stress limits, under both matrices at every moment
    assert set(table["What"][~contracts]) == {"cut by the range"}
    assert all(name.startswith("Stress ") for name in table["Finding"][~contracts])
    assert len(at.get("download_button")) == 1
    assert not [button for button in at.button if button.key == "what_if_stop"]


def test_the_answer_stays_until_another_question(section: AppTest, tmp_path: Path) -> None:
    at = asked(section, str(tmp_path / "none.yaml"))
    before = said(at)
    assert said(at.run()) == before
    assert "each came out as it was" in said(asked(at))


def test_an_answer_about_another_range_is_not_shown(section: AppTest) -> None:
    at = asked(section)
    work = at.session_state[WORK]
    work.asked = (work.asked[0], NOW - timedelta(days=1), AFTER)
    assert said(at.run()) == ""
    assert WORK not in at.session_state


def test_what_runs_is_shown_with_its_progress_and_can_be_stopped(tmp_path: Path) -> None:
    """The store answers only when it is let."""
    let = threading.Event()
    keep_past(tmp_path, lived([at(0), at(1)], MATRIX), SHIPPED)
    database = open_database(tmp_path, lambda: NOW)

    class Slow:
        """As the database, but it waits."""

        name = "slow"

        @contextmanager
        def reading(self) -> Iterator[Connection]:
            assert let.wait(20)
            with database.reading() as connection:
                yield connection

    page = drawn_over(Slow(), tmp_path)
    page.button(key="what_if_ask").click().run()
    assert not page.exception
    page.button(key="what_if_stop").click().run()
    let.set()
    assert eventually(lambda: not page.session_state[WORK].runs)
    assert "Stopped after 1 of 2 moments; nothing is concluded." in said(page.run())
    assert not page.dataframe


@pytest.mark.parametrize(
    ("content", "words"),
    [("version: 1\n", "risk.yaml:"), ("\tnot yaml", "indent with spaces"), (None, "cannot be read")],
)
def test_a_matrix_that_is_not_valid_is_refused_in_its_own_words(
    section: AppTest, tmp_path: Path, content: str | None, words: str
) -> None:
    file = tmp_path / "risk.yaml"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    at = asked(section, str(file))
    assert words in said(at)
    assert "came out" not in said(at)
    assert not at.dataframe


def test_a_range_with_too_many_moments_is_refused_with_the_command_to_run(
    section: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_what_if, "MOST_MOMENTS", 1)
    assert "2 moments are stored in this range, and this page judges at most 1" in said(asked(section))


def test_nothing_stored_is_not_called_unchanged(tmp_path: Path) -> None:
    page = drawn_over(open_database(tmp_path, lambda: NOW), tmp_path, "nobody")
    assert "nothing is known" in said(asked(page))

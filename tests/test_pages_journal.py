"""The Journal page: trades as stories, in every state a person can meet it in, and the note that is written once."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from guardrails.engine import Engine, EngineSettings
from guardrails.execution.values import JournalEntry, JournalKind
from guardrails.findings import Level
from guardrails.journal.entries import note_entry
from guardrails.journal.trades import trades_of
from guardrails.orders_now import Discipline, OrdersNow
from guardrails.requests import Answer, Kind, Said
from guardrails.settings import Settings
from guardrails.store.books import book_of
from guardrails.store.database import Database, open_database
from guardrails.store.deed_rows import deed_news
from guardrails.store.news import Numbers
from guardrails.store.proof import insert_proven
from pages import _journal_past, _journal_rows, _journal_words
from pages._engine import Wiring
from tests.books import NOW, ROOT
from tests.test_pages import MATRIX_FILE, Clock, book, words
from tests.test_pages import Said as Source
from tests.traded import J5650, P5600, P5700, at, entry, leg, then

PAGE = str(ROOT / "pages" / "journal.py")
DAY = -24 * 60.0
OPENED = entry(
    "fill:a", 2 * DAY, leg(P5700, -2, 12.4), leg(P5600, 2, 4.1), words="premium is <b>rich</b>", tag="MANUAL",
    before=then("high_volatility", vix=24.1), after=then(vega_per_point=-420.0, findings={"vega portfolio": "BREACH"}),
)  # fmt: skip
ROLLED = entry("fill:b", DAY, leg(P5700, 2, 9.9), leg(J5650, -2, 12.4), before=then(), tag="MANUAL")
OUTSIDE = entry("out:c", -5, leg(P5600, 1, 5.0), kind=JournalKind.OUTSIDE, underlying="XSP", tag="", author="")
NOTE = note_entry("n-1", at(DAY), "Ann", "rolled too early", ROLLED)
Start = Callable[..., Engine]


class Told(Engine):
    """An engine that knows of orders, and notes what it is asked."""

    now_of_orders: OrdersNow | None = None
    asked: list[tuple[str, dict[str, str], str]]

    @property
    def orders(self) -> OrdersNow | None:
        return self.now_of_orders

    def ask(self, kind: Any, body: Any, author: str) -> str:
        self.asked.append((str(kind), dict(body), author))
        return f"r-{len(self.asked)}"

    def answer(self, key: str) -> Answer | None:
        return Answer(key, NOW, Said.DONE, "It is in the journal.")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    kept = open_database(tmp_path, lambda: NOW)
    yield kept
    kept.close()


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Wire the page to an engine that stands still, on a database that holds `told`."""

    def begin(database: Database | None, *told: JournalEntry, orders: OrdersNow | None = None) -> Told:
        settings = EngineSettings(tmp_path / "run", refresh_seconds=0.2, snapshot_seconds=3600)
        engine = Told([Source(book())], MATRIX_FILE, settings, Clock())
        engine.now_of_orders, engine.asked = orders, []
        monkeypatch.setattr("pages._engine.wiring", lambda: Wiring(engine, None, Settings(), database))
        if database is not None and told:
            news = deed_news(book_of(engine.names, engine.scenario), told, Numbers("run"), NOW)
            with database.writing(durable=True) as connection:
                insert_proven(connection, news.rows)
        return engine

    return begin


def drawn() -> AppTest:
    at = AppTest.from_file(PAGE, default_timeout=30).run()
    assert not at.exception, at.exception
    return at


def labels(at: AppTest) -> list[str]:
    return [one.label for one in at.expander]


def pick(at: AppTest, key: str, *values: str) -> AppTest:
    at = at.multiselect(key=key).set_value(list(values)).run()
    assert not at.exception, at.exception
    return at


# --- in words ---


def test_a_story_says_what_was_done_what_it_did_to_risk_and_what_was_written() -> None:
    (story,) = trades_of([OPENED, ROLLED, NOTE])
    said = _journal_words.story_html(story)
    for told in (
        "Mon 16 Nov 10:30 ET</b> opened: sold 2 SPXW 18Dec26 5700P at 12.40, bought 2 SPXW 18Dec26 5600P at 4.10",
        "received $1,656 net (Ann, MANUAL)",
        "premium is &lt;b&gt;rich&lt;/b&gt;",
        "vega −$310/pt → −$420/pt", "VIX 24.1, SPX 6,000, high_volatility",
        "BREACH</span> Vega: was OK",
        "rolled: bought 2 SPXW 18Dec26 5700P at 9.90, sold 2 SPXW 15Jan27 5650P at 12.40",
        "vega −$310/pt → not known yet",
        "“rolled too early”",
        "Open: 2 SPXW 18Dec26 5600P at 4.10, −2 SPXW 15Jan27 5650P at 12.40. Closed so far: gained $496.",
    ):  # fmt: skip
        assert told in said, told
    assert _journal_words.title_of(story) == ("SPX, IBKR •••4567: open, rolled 1 time, net credit $2,152 so far")
    assert _journal_words.findings_moved(OPENED)[0][0] is Level.BREACH


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([OPENED, entry("b", 0, leg(P5700, 2, 5.1), leg(P5600, -2, 2.0))], "closed, gained $1,032"),
        ([OPENED, entry("b", 0, leg(P5700, 2, 25.1), leg(P5600, -2, 2.0))], "closed, lost $2,968"),
        ([entry("b", 0, leg(P5700, 2, 5.1, held=-2.0))], "opened before the journal, so what it gained is not known"),
        ([entry("b", 0, leg(P5700, -2, 5.1, fees=None))], "net credit not known ($1,020 before fees"),
        ([entry("b", 0, leg(P5700, 2, 5.0))], "open, net debit $1,002 so far"),
    ],
)
def test_a_title_says_how_it_stands_and_never_more_than_is_known(told: list[JournalEntry], words: str) -> None:
    (story,) = trades_of(told)
    assert words in _journal_words.title_of(story)


def test_a_label_is_no_markup() -> None:
    (story,) = trades_of([replace(OPENED, account="[x](y) $1 *z*")])
    label = _journal_words.label_of(story)
    assert r"\[x\](y) \$1 \*z\*" in label


# --- on the page ---


def test_without_a_database_nothing_is_claimed(start: Start) -> None:
    start(None)
    said = words(drawn())
    assert "there is no journal" in said
    assert "How the rules were kept today is not known" in said
    assert "pg-ok" not in said


def test_an_empty_journal_says_what_will_come(start: Start, database: Database) -> None:
    start(database)
    assert "Nothing is in the journal yet" in words(drawn())


def test_stories_tables_and_discipline_are_drawn(start: Start, database: Database) -> None:
    kept = Discipline(
        sent=3, warned=1, overridden=1, blocked=2, unguarded=1, unguarded_words=("IBKR •••4567: sold 1 X",)
    )
    start(database, OPENED, ROLLED, OUTSIDE, NOTE, orders=OrdersNow(NOW, discipline=kept))
    at = drawn()
    said = words(at)
    for told in ("3 sent, 1 against a warning, 1 with an override, 2 refused at submit", "sold 1 X",
                 "1 order of these did not come through the gate", "2 trades, 4 steps"):  # fmt: skip
        assert told in said, told
    stories = [label for label in labels(at) if "IBKR" in label]
    assert [label.split(",")[0] for label in stories] == ["XSP", "SPX"]
    trades, entries = (frame.value for frame in at.dataframe)
    assert list(trades["Rolls"]) == [0, 1]
    assert list(entries["Trade"]) == ["out:c", "fill:a", "fill:a", "fill:a"]
    assert at.get("download_button")


def test_old_words_about_orders_are_not_shown_as_of_now(start: Start, database: Database) -> None:
    start(database, orders=OrdersNow(at(-1), discipline=Discipline(sent=3)))
    said = words(drawn())
    assert "This is of" in said
    assert "UNKNOWN" in said


def test_a_choice_narrows_and_a_range_cuts_no_trade_in_two(start: Start, database: Database) -> None:
    start(database, OPENED, ROLLED, OUTSIDE)
    at = drawn()
    at = pick(at, "journal_underlying", "SPX")
    assert ["XSP" in label for label in labels(at) if "IBKR" in label] == [False]
    at = pick(pick(at, "journal_underlying"), "journal_regime", "high_volatility")
    assert len([label for label in labels(at) if "IBKR" in label]) == 1
    at = pick(at, "journal_tag", "MANUAL")
    at = pick(at, "journal_underlying", "XSP")
    assert "choose a longer range, or pick less" in words(at)


def test_a_range_shows_the_whole_of_a_trade_of_which_one_step_is_in_it() -> None:
    told = _journal_past.JournalRead(NOW, (ROLLED, OPENED), trades_of([OPENED, ROLLED]))
    picked = _journal_past.Picked(at(1.5 * DAY), NOW, {"underlying": []})
    assert [len(story.parts) for story in _journal_past.stories_in(told, picked)] == [2]
    assert _journal_past.entries_in(told, picked) == [ROLLED]


def test_a_note_is_asked_for_once_with_what_it_is_about(start: Start, database: Database) -> None:
    engine = start(database, OPENED, ROLLED)
    at = drawn()
    at.text_area[0].set_value("learn to wait")
    choice = at.selectbox(key="journal_about")
    choice.set_value(choice.options[1])
    at.text_input(key="journal_author").set_value("Ann")
    at = at.button[-1].click().run()
    assert not at.exception, at.exception
    assert isinstance(engine, Told)
    assert engine.asked == [(Kind.NOTE, {"words": "learn to wait", "entry": "fill:b"}, "Ann")]
    assert "It is in the journal" in words(at.run())
    assert len(engine.asked) == 1


def test_an_empty_note_is_not_sent(start: Start, database: Database) -> None:
    engine = start(database, OPENED)
    at = drawn().button[-1].click().run()
    assert isinstance(engine, Told)
    assert engine.asked == []
    assert "Write something" in words(at)


def test_a_database_that_does_not_answer_is_said(
    start: Start, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise OSError("gone")

    start(database)
    monkeypatch.setattr(_journal_past, "load", away)
    assert "What was done before is not known" in words(drawn())


def test_the_file_holds_every_leg_and_no_formula() -> None:
    told = [replace(OPENED, words="=1+1"), replace(NOTE, words="wrong account DU" + "1234567")]
    rows = list(csv.DictReader(io.StringIO(_journal_rows.as_csv(told, {"fill:a": "fill:a"}).decode())))
    assert [row["leg"] for row in rows] == ["SPXW 18Dec26 5700P", "SPXW 18Dec26 5600P", ""]
    assert rows[0]["words"] == "'=1+1"
    assert rows[2]["words"] == "wrong account •••4567"
    assert (rows[0]["leg_price"], rows[0]["net_dollars"]) == ("12.4", "")

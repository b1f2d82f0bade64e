"""The time machine: a stored moment on the pages, never to be mistaken for now, and never mixed with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, update
from sqlalchemy.engine import Engine as SqlEngine
from streamlit.testing.v1 import AppTest

from guardrails.assess import Inputs
from guardrails.findings import Level
from guardrails.memory import Memory
from guardrails.snapshot import Snapshot, to_json
from guardrails.store import rows
from guardrails.store.books import book_of
from guardrails.store.captures import PERIOD, capture_row
from guardrails.store.database import FILE, Database
from guardrails.store.inserts import insert
from guardrails.store.metadata import micros
from guardrails.store.packing import packed
from guardrails.store.schema import BOOKS, MATRIX_VERSIONS
from guardrails.store.sharing import CAPTURES
from pages._moment import full_time, then
from pages._past import file_name, new_york
from pages._style import PAST
from tests.books import NOW
from tests.stored import MATRIX_TEXT, moment, opened
from tests.test_pages import SHELL, Start, book, shown, start, words
from tests.test_pages_parts import luminance

__all__ = ["start"]  # a fixture

DAY = 86_400.0
BOOK = book_of(("test",))
OF_THE_PAST = ("risk.py", "positions.py", "scenarios.py", "limits.py", "data.py")
ONE, OTHER = "IBKR •••4567", "tastytrade •••0001"


def keep(database: Database, *snapshots: Snapshot, text: str | None = MATRIX_TEXT) -> None:
    """Store `snapshots` as the program would have captured them."""
    with database.writing(durable=False) as connection:
        insert(connection, BOOKS, [rows.book_row(BOOK, snapshots[0])])
        if text is not None:
            insert(connection, MATRIX_VERSIONS, [rows.matrix_row(BOOK, snapshots[0], text)])
        made_of = Inputs((), Memory(), NOW)
        insert(connection, CAPTURES, [capture_row(BOOK.key, PERIOD, made_of, one) for one in snapshots])


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A store with a calm moment: Tuesday 10:30:00 in New York, a day before now, worth 1,000,000 dollars."""
    kept = opened(tmp_path)
    keep(kept, moment(-DAY))
    yield kept
    kept.close()


def look_at(at: AppTest, time: datetime | None = None) -> AppTest:
    """Through the door, to what New York clocks show as `time`; by default to the calm moment."""
    local = datetime(2026, 11, 17, 10, 30) if time is None else time  # noqa: DTZ001  # the widget takes New York clocks
    at.datetime_input(key="past_first").set_value(local)
    return press(at, "past_open")


def press(at: AppTest, key: str) -> AppTest:
    at = at.button(key=key).click().run()
    assert not at.exception, at.exception
    return at


def html_of(at: AppTest, name: str) -> str:
    """The block whose class is `name`; nothing when there is none."""
    return next((e.proto.body for e in at.get("html") if f'class="{name}' in e.proto.body), "")


@contextmanager
def queries() -> Iterator[list[str]]:
    """Every statement that any database is asked while this lasts."""
    asked: list[str] = []

    def note(*given: Any) -> None:
        asked.append(given[2])

    event.listen(SqlEngine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(SqlEngine, "before_cursor_execute", note)


# --- what is shown ---


def test_the_past_shows_its_own_figures_and_not_those_of_now(start: Start, database: Database) -> None:
    start(book(), database=database)
    at = shown("risk.py")
    before = {m.label: m.value for m in at.metric}
    at = look_at(at)
    after = {m.label: m.value for m in at.metric}
    assert before["Theta per day"] != after["Theta per day"]
    assert "Excess now" in before
    assert "Excess now" not in after
    assert after["Excess then"] == "$450,000"
    said = words(at)
    assert "What needed you then" in said
    assert "What needs you now" not in said
    at = at.switch_page("positions.py").run()
    assert set(at.dataframe[1].value["What"]) == {"SPY", "AAPL", "SPXW 18Dec26 5590P", "SPXW 25Nov26 5810P",
                                                  "AAPL 18Dec26 252.5P"}  # fmt: skip


def test_a_breach_of_now_stays_in_the_bar_while_a_calm_past_is_looked_at(start: Start, database: Database) -> None:
    start(book(), database=database)
    at = look_at(shown("risk.py"))
    bar, of_then = html_of(at, "pg-bar"), html_of(at, "pg-then")
    assert "BREACH 2" in bar
    assert "BREACH 0" in of_then
    assert "<b>THEN</b>" in of_then
    assert "<b>NOW</b>" in bar


@pytest.mark.parametrize("page", OF_THE_PAST)
def test_every_page_of_the_past_says_so(start: Start, database: Database, page: str) -> None:
    start(book(), database=database)
    at = look_at(shown("risk.py")).switch_page(page).run()
    assert not at.exception, at.exception
    band = html_of(at, "pg-past")
    assert "PAST" in band
    assert "as it was <b>Tue 17 Nov 2026 10:30:00 ET</b> (1 d ago). Nothing below is of now." in band
    assert "(not today's)" in band
    assert "10:30:00 ET" in html_of(at, "pg-bar")
    assert html_of(at, "pg-then")


def test_connections_stay_of_now_and_say_so(start: Start, database: Database) -> None:
    start(book(), database=database)
    at = look_at(shown("risk.py")).switch_page("connections.py").run()
    assert "This page is of now." in html_of(at, "pg-past")
    assert not html_of(at, "pg-then")
    assert "speaks: " in words(at)


def test_history_is_not_called_of_now(start: Start, database: Database) -> None:
    start(book(), database=database)
    at = look_at(shown("risk.py")).switch_page("history.py").run()
    assert "This page shows all that is stored." in html_of(at, "pg-past")
    assert not html_of(at, "pg-then")


def test_back_to_now(start: Start, database: Database) -> None:
    start(book(), database=database)
    at = shown("risk.py")
    before = {m.label: m.value for m in at.metric}
    at = press(look_at(at), "past_leave")
    assert {m.label: m.value for m in at.metric} == before
    assert not html_of(at, "pg-past")
    assert at.datetime_input(key="past_first")


@pytest.mark.parametrize(("key", "words_of"), [("stop_open", "Stop now …"), ("flatten_open", "Flatten now …")])
def test_what_acts_on_now_says_so_and_leads_back_to_now(
    start: Start, database: Database, key: str, words_of: str
) -> None:
    """Nothing is stopped or closed above a page of yesterday: behind the dialog stands what it is done to."""
    start(book(), database=database)
    at = look_at(shown("risk.py")).switch_page("positions.py").run()
    assert at.button(key=key).label == words_of
    at = press(at, key)
    assert not html_of(at, "pg-past")
    assert "This is now: what you do here is done now." in words(at)
    assert at.button(key=key).label == words_of.replace(" now", "")
    assert at.get("dialog")


def test_nothing_of_the_past_can_be_sent_or_changed(start: Start, database: Database) -> None:
    """What is pressed on any page of the past looks on; Stop and Flatten say that they are of now."""
    start(book(), database=database)
    at = look_at(shown("risk.py"))
    for page in (*OF_THE_PAST, "ticket.py", "alerts.py", "journal.py", "connections.py"):
        at = at.switch_page(page).run()
        keys = {button.key or button.label for button in at.button}
        assert keys <= {"past_leave", "past_earlier", "past_later", "past_show", "flatten_open", "stop_open",
                        "Try again", "journal_refresh", "alerts_refresh"}, page  # fmt: skip


def test_another_session_shows_the_present(start: Start, database: Database) -> None:
    start(book(), database=database)
    look_at(shown("risk.py"))
    assert not html_of(shown("risk.py"), "pg-past")


def test_the_past_does_not_go_dark_with_age_and_keeps_its_own_unknowns(start: Start, database: Database) -> None:
    early = moment(-DAY - 600)
    silent = replace(early.sources[0], state="stale", age_seconds=40.0)
    dark = tuple(replace(f, level=Level.UNKNOWN) if f.check == "gamma" else f for f in early.findings)
    keep(database, replace(early, sources=(silent,), findings=dark))
    start(book(), database=database)
    at = look_at(shown("risk.py"))
    assert "UNKNOWN 0" in html_of(at, "pg-then")
    at = press(at, "past_earlier")
    lights = html_of(at, "pg-then")
    assert "UNKNOWN 1" in lights
    assert "test has gone silent: no data since 10:19:20 ET (40 s)" in lights
    assert "pg-silent" not in html_of(at, "pg-bar")
    at = at.switch_page("positions.py").run()
    assert set(at.dataframe[1].value["Level"]) == {"? UNKNOWN"}


def test_limits_are_those_of_the_matrix_then_in_force(start: Start, database: Database) -> None:
    engine = start(book(), database=database)
    at = look_at(shown("risk.py")).switch_page("limits.py").run()
    said = words(at)
    assert "100,000" in said  # the vega that the healthy book's matrix allows; the shipped one allows less
    assert f"version {engine.matrix.version}" not in said
    assert "Then in force" in said
    assert "Edit the file" not in said


@pytest.mark.parametrize(
    ("text", "why"), [(None, "is not stored"), ("version: 2", "cannot be read by this version of the program")]
)
def test_a_missing_matrix_is_never_replaced_by_that_of_today(
    start: Start, tmp_path: Path, text: str | None, why: str
) -> None:
    kept = opened(tmp_path)
    keep(kept, moment(-DAY), text=text)
    start(book(), database=kept)
    at = look_at(shown("risk.py"))
    assert f"The matrix then in force {why}." in html_of(at, "pg-past")
    for page in OF_THE_PAST:
        at = at.switch_page(page).run()
        assert not at.exception, at.exception
    at = at.switch_page("limits.py").run()
    assert "cannot be read aloud" in words(at)
    assert "The other regimes" not in words(at)


def test_the_filter_comes_from_the_past(start: Start, database: Database) -> None:
    early = moment(-DAY - 600)
    only = replace(
        early,
        accounts=tuple(row for row in early.accounts if row.broker == "IBKR"),
        positions=tuple(row for row in early.positions if row.broker == "IBKR"),
    )
    keep(database, only)
    start(book(), database=database)
    at = press(look_at(shown("positions.py")), "past_earlier").switch_page("positions.py").run()
    assert at.multiselect(key="pick_account").options == [ONE]
    at = at.multiselect(key="pick_account").set_value([ONE]).run()
    assert f"Showing {ONE} only" in words(at)
    assert len(at.dataframe[1].value) == 3
    at = press(at, "past_leave")
    assert at.multiselect(key="pick_account").options == [ONE, OTHER]


def test_a_download_of_the_past_is_named_after_its_moment() -> None:
    early = then(moment(-DAY), None)
    assert file_name("positions", "csv", early) == "positions-past-2026-11-17-103000-EST.csv"
    assert file_name("positions", "csv", replace(early, past=False)) == "positions.csv"


# --- steps and jumps ---


def test_steps_go_from_one_stored_moment_to_the_next(start: Start, database: Database) -> None:
    keep(database, moment(-DAY - 60), moment(-DAY + 7))
    start(book(), database=database)
    at = look_at(shown("risk.py"))
    times = []
    for key in ("past_earlier", "past_later", "past_later"):
        at = press(at, key)
        times.append(html_of(at, "pg-past").partition("<b>")[2].partition("</b>")[0])
    assert times == [f"Tue 17 Nov 2026 10:{time} ET" for time in ("29:00", "30:00", "30:07")]
    at = press(at, "past_later")
    assert "Nothing later is stored." in words(at)
    assert "10:30:07 ET" in html_of(at, "pg-past")


def test_a_moment_stored_meanwhile_is_the_next_step(start: Start, database: Database) -> None:
    start(book(), database=database)
    at = look_at(shown("risk.py"))
    keep(database, moment(-60))
    assert "Wed 18 Nov 2026 10:29:00 ET" in html_of(press(at, "past_later"), "pg-past")


def test_a_jump_shows_the_last_stored_moment_at_or_before_it(start: Start, database: Database) -> None:
    start(book(), database=database)
    at = look_at(shown("limits.py"), datetime(2026, 11, 17, 10, 31))  # noqa: DTZ001  # as above
    assert "as it was <b>Tue 17 Nov 2026 10:30:00 ET</b>" in html_of(at, "pg-past")
    assert "You asked for" not in html_of(at, "pg-past")


def test_what_is_near_but_not_at_the_moment_is_said(start: Start, database: Database) -> None:
    """Ten minutes later nothing was stored: shown under its own time, with what was asked for."""
    start(book(), database=database)
    band = html_of(look_at(shown("risk.py"), datetime(2026, 11, 17, 10, 40)), "pg-past")  # noqa: DTZ001  # as above
    assert "as it was <b>Tue 17 Nov 2026 10:30:00 ET</b>" in band
    assert "You asked for Tue 17 Nov 2026 10:40:00 ET; this is the last moment stored before it." in band


@pytest.mark.parametrize(("seconds", "is_shown"), [(16 * 60, True), (17 * 60, False)])
def test_nothing_is_shown_of_a_gap(start: Start, database: Database, seconds: int, *, is_shown: bool) -> None:
    """A quarter of an hour and a minute is the most that a stored moment stands for."""
    start(book(), database=database)
    asked = datetime(2026, 11, 17, 10, 30) + timedelta(seconds=seconds)  # noqa: DTZ001  # as above
    assert bool(html_of(look_at(shown("risk.py"), asked), "pg-then")) is is_shown


def test_a_gap_says_between_when_and_what_is_nearest(start: Start, database: Database) -> None:
    keep(database, moment(-DAY + 5 * 3600))
    start(book(), database=database)
    at = look_at(shown("risk.py"), datetime(2026, 11, 17, 13, 30))  # noqa: DTZ001  # as above
    said = words(at)
    assert "the program was not running between Tue 17 Nov 2026 10:30:00 ET and Tue 17 Nov 2026 15:30:00 ET" in said
    assert "The nearest moment stored is 2.0 h later." in said
    assert not at.metric
    assert "pg-pill pg-ok" not in said.replace(html_of(at, "pg-bar"), "")
    assert "15:30:00 ET" in html_of(press(at, "past_later"), "pg-past")


def test_before_the_first_stored_moment_nothing_is_shown(start: Start, database: Database) -> None:
    start(book(), database=database)
    at = look_at(shown("positions.py"), datetime(2026, 11, 16, 9, 30))  # noqa: DTZ001  # as above
    assert "Nothing is stored of Mon 16 Nov 2026 09:30:00 ET or before." in words(at)
    assert "The first moment stored is Tue 17 Nov 2026 10:30:00 ET." in words(at)
    assert at.button(key="past_earlier").disabled


def test_what_has_not_passed_is_now(start: Start, database: Database) -> None:
    start(book(), database=database)
    at = look_at(shown("risk.py"), datetime(2026, 11, 18, 10, 30))  # noqa: DTZ001  # as above
    assert not html_of(at, "pg-past")
    assert "has not passed yet: this is now." in words(at)
    assert "has not passed yet" not in words(at.run())


@pytest.mark.parametrize(
    ("local", "said"),
    [
        ((2026, 11, 1, 1, 30), "showed 01:30 twice that night: this is the later one, Sun 1 Nov 2026 01:30:00 EST."),
        ((2026, 3, 8, 2, 30), "left out 02:30 that night: this is Sun 8 Mar 2026 03:30:00 ET."),
    ],
)
def test_an_hour_that_clocks_showed_twice_or_never_is_said(
    start: Start, database: Database, local: tuple[int, ...], said: str
) -> None:
    start(book(), database=database)
    at = look_at(shown("risk.py"), datetime(*local))  # type: ignore[arg-type]  # noqa: DTZ001  # as above
    assert f"New York clocks {said}" in words(at)
    assert "New York clocks" not in words(at.run())


# --- nothing later is read ---


def everything(at: AppTest) -> str:
    """All that a page shows, tables with their cells; of the controls of the time machine only where it stands."""
    tables = [table.value.to_csv() for table in at.dataframe]
    return "\n".join([words(at), *tables, *(str(button.label) for button in at.button)])


def test_what_is_stored_later_changes_nothing_of_a_past_moment(start: Start, tmp_path: Path) -> None:
    """The same moment in two stores, one of which knows a poisoned future: of the same accounts, limits and market."""
    seen = []
    for name, poisoned in (("clean", False), ("poisoned", True)):
        kept = opened(tmp_path / name)
        early = moment(-DAY)
        keep(kept, early)
        if poisoned:
            worse = [replace(finding, level=Level.BREACH, message="POISON") for finding in early.findings]
            rich = tuple(replace(row, net_liquidation=6.66e11) for row in early.accounts)
            for seconds in (1e-6, 1.0, 30.0, 3600.0):
                late = moment(-DAY + seconds, findings=tuple(worse), accounts=rich, matrix_version="poison")
                keep(kept, late, text="version: 666")
        start(book(), database=kept)
        at = look_at(shown("risk.py"))
        pages = []
        for page in OF_THE_PAST:
            at = at.switch_page(page).run()
            assert not at.exception, at.exception
            pages.append(everything(at))
        seen.append(pages)
        kept.close()
    assert seen[0] == seen[1]
    assert "Tue 17 Nov 2026 10:30:00 ET" in seen[0][0]


# --- the address ---


def named(at: AppTest) -> str:
    """What the address of the page is made to name."""
    (script,) = [e.proto.body for e in at.get("html") if "replaceState" in e.proto.body]
    return script.partition(" at = ")[2].partition(",")[0].strip('"')


def linked(address: str) -> AppTest:
    at = AppTest.from_file(SHELL, default_timeout=30)
    at.query_params["at"] = address
    at.run()
    assert not at.exception, at.exception
    return at


def test_the_address_names_the_moment_and_opens_it_again(start: Start, database: Database) -> None:
    start(book(), database=database)
    at = shown("risk.py")
    assert named(at) == ""
    at = look_at(at)
    assert named(at) == "2026-11-17T15:30:00Z"
    assert named(press(at, "past_leave")) == ""
    at = linked("2026-11-17T15:30:00Z")
    assert "as it was <b>Tue 17 Nov 2026 10:30:00 ET</b>" in html_of(at, "pg-past")
    assert named(at.switch_page("positions.py").run()) == "2026-11-17T15:30:00Z"
    at = press(at, "past_leave")
    assert not html_of(at.run(), "pg-past")  # the address opens a session and does not hold it


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("2126-11-17T15:30:00Z", "has not passed yet: this is now."),
        ("yesterday", "The address names no moment of UTC"),
        ("2026-11-17T10:30", "The address names no moment of UTC"),
        ("9999-12-31T23:59:59-14:00", "The address names no moment of UTC"),
        ("0001-01-01T00:00:00Z", "The address names no moment of UTC"),
        ("0001-01-01T00:00:00+14:00", "The address names no moment of UTC"),
        ("</script><script>alert(1)</script>", "The address names no moment of UTC"),
    ],
)
def test_an_address_that_names_no_past_shows_now(start: Start, database: Database, address: str, said: str) -> None:
    start(book(), database=database)
    at = linked(address)
    assert said in words(at)
    assert not html_of(at, "pg-past")
    assert named(at) == ""


# --- what cannot be read ---


@pytest.mark.parametrize("content", [b"nonsense", packed(b'{"schema": "guardrails.snapshot/1"}')])
def test_a_moment_that_cannot_be_read_is_a_sentence(start: Start, database: Database, content: bytes) -> None:
    keep(database, moment(-DAY - 60))
    with database.writing(durable=False) as connection:
        connection.execute(
            update(CAPTURES).where(CAPTURES.c.time == micros(NOW - timedelta(days=1))).values(snapshot=content)
        )
    start(book(), database=database)
    at = look_at(shown("risk.py"))
    assert "What was stored at Tue 17 Nov 2026 10:30:00 ET cannot be read by this version of the program" in words(at)
    assert not at.metric
    assert "10:29:00 ET" in html_of(press(at, "past_earlier"), "pg-past")


def test_a_moment_of_an_older_program_shows_what_it_has_and_says_what_it_has_not(
    start: Start, database: Database
) -> None:
    """As written before stress, volatilities of underlyings, streams and sums by account were known."""
    old = json.loads(to_json(moment(-DAY)))
    for name in ("stress", "metrics", "market", "account_exposures", "changes", "groups", "underlyings", "buckets"):
        del old[name]
    for row in old["sources"]:
        for name in ("streams", "warnings", "clock_skew", "condition", "since", "action", "retries"):
            del row[name]
    with database.writing(durable=False) as connection:
        connection.execute(update(CAPTURES).values(snapshot=packed(json.dumps(old).encode())))
    start(book(), database=database)
    at = look_at(shown("risk.py"))
    assert "this moment was kept by a version that did not revalue the book" in words(at)
    assert "Excess then" in {m.label for m in at.metric}
    for page in OF_THE_PAST:
        at = at.switch_page(page).run()
        assert not at.exception, at.exception
        assert "10:30:00 ET" in html_of(at, "pg-then")


def test_a_database_that_is_away_is_a_sentence_and_now_goes_on(start: Start, database: Database) -> None:
    start(book(), database=database)
    at = shown("risk.py")
    path = database.folder / FILE
    database.close()
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).write_bytes(b"not a database" * 1000)
    at = look_at(at)
    assert f"{FILE} cannot be read now:" in words(at)
    assert "BREACH 2" in html_of(at, "pg-bar")
    assert html_of(press(at, "past_leave"), "pg-bar")


def test_without_a_database_there_is_no_door(start: Start) -> None:
    start(book())
    at = shown("risk.py")
    assert "past_open" not in {button.key for button in at.button}


def test_the_past_is_read_once_and_not_at_every_look(start: Start, database: Database) -> None:
    start(book(), database=database)
    at = look_at(shown("risk.py"))
    with queries() as asked:
        for page in (*OF_THE_PAST, "connections.py", "risk.py"):
            at = at.switch_page(page).run()
            at = at.run()
        assert asked == []
        press(at, "past_later")
        assert asked


# --- times ---


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ((2026, 11, 17, 10, 30), (2026, 11, 17, 15, 30)),
        ((2026, 7, 1, 10, 30), (2026, 7, 1, 14, 30)),
        ((2026, 11, 1, 1, 30), (2026, 11, 1, 6, 30)),  # comes twice: the later one, in winter time
        ((2026, 3, 8, 2, 30), (2026, 3, 8, 7, 30)),  # is left out: 03:30 in summer time
    ],
)
def test_clocks_of_new_york(local: tuple[int, ...], utc: tuple[int, ...]) -> None:
    assert new_york(datetime(*local)) == datetime(*utc, tzinfo=UTC)  # type: ignore[misc, arg-type]  # noqa: DTZ001  # five numbers each, New York clocks


@pytest.mark.parametrize(
    ("utc", "said"),
    [
        (datetime(2026, 11, 17, 15, 32, tzinfo=UTC), "Tue 17 Nov 2026 10:32:00 ET"),
        (datetime(2026, 11, 1, 5, 30, tzinfo=UTC), "Sun 1 Nov 2026 01:30:00 EDT"),
        (datetime(2026, 11, 1, 6, 30, tzinfo=UTC), "Sun 1 Nov 2026 01:30:00 EST"),
    ],
)
def test_a_time_is_said_without_doubt(utc: datetime, said: str) -> None:
    assert full_time(utc) == said


@pytest.mark.parametrize("ground", ["stripe", "between", "body"])
@pytest.mark.parametrize("theme", [0, 1])
def test_the_band_can_be_read_in_both_themes(ground: str, theme: int) -> None:
    ink, back = luminance(PAST["ink"][theme]), luminance(PAST[ground][theme])
    assert (max(ink, back) + 0.05) / (min(ink, back) + 0.05) >= 4.5

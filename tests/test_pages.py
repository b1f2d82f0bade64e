"""The pages in every state a person can meet them in, drawn from a real engine that reads a source defined here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from guardrails.engine import Engine, EngineSettings
from guardrails.matrix import MatrixFile
from guardrails.settings import Settings
from guardrails.store.database import Database
from guardrails.values import Source, SourceState, Stream, View
from pages._engine import Wiring
from tests.books import IBKR, NOW, ROOT, TASTY, account, market, option, stock, view

SHELL = str(ROOT / "pages" / "_shell.py")
PAGES = (
    "risk.py", "positions.py", "ticket.py", "scenarios.py", "alerts.py", "limits.py", "history.py", "journal.py",
    "connections.py", "data.py",
)  # fmt: skip
MATRIX_FILE = MatrixFile.open(ROOT / "risk_matrix.yaml")
GREEKS = "-0.20 0.001 0.50 -0.10 0.20"


class Said:
    """A source that says what it was given, or nothing at all."""

    name = "test"

    def __init__(self, words: View | None) -> None:
        self.words = words

    async def view(self, now: datetime) -> View:
        if self.words is None:
            await asyncio.Event().wait()
        assert self.words is not None
        return self.words

    async def close(self) -> None:
        return None


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time


Start = Callable[..., Engine]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start an engine on a source's words and wire the pages to it."""
    running: list[Engine] = []

    def begin(
        words: View | None,
        *,
        wait: bool = True,
        run: bool = True,
        refresh: float = 0.2,
        database: Database | None = None,
    ) -> Engine:
        settings = EngineSettings(tmp_path, refresh_seconds=refresh, snapshot_seconds=3600)
        engine = Engine([Said(words)], MATRIX_FILE, settings, Clock())
        monkeypatch.setattr("pages._engine.wiring", lambda: Wiring(engine, None, Settings(), database))
        if run:
            running.append(engine)
            engine.start()
        deadline = time.monotonic() + 30
        while wait and run and (engine.latest is None or engine.restored) and time.monotonic() < deadline:
            time.sleep(0.02)
        return engine

    yield begin
    for engine in running:
        engine.stop()


def shown(page: str) -> AppTest:
    """The page as a first visit draws it."""
    at = AppTest.from_file(SHELL, default_timeout=30).run()
    at = at.switch_page(page).run() if page != "risk.py" else at
    assert not at.exception, at.exception
    return at


def words(at: AppTest) -> str:
    """Everything a page says, tags and all."""
    blocks = [element.proto.body for element in at.get("html") if not element.proto.body.startswith("<style")]
    native = [*at.subheader, *at.markdown, *at.caption]
    return "\n".join([*blocks, *(element.value for element in native), *(m.label + " " + m.value for m in at.metric)])


def book(count: int = 4) -> View:
    """`count` options of one expiry over two accounts, priced and with Greeks, a few in packages."""
    strikes = [4000 + 5 * i for i in range(count)]
    owners = (IBKR, IBKR, TASTY, TASTY)
    options = [
        option(f"SPXW  261218P{k:05d}000", 1.0 if i % 2 else -1.0, GREEKS, mark=2.0, account=owners[i % 4])
        for i, k in enumerate(strikes)
    ]
    return view(*options, accounts=[account(), account(TASTY)], at=market({"SPX": 1.0}))


@pytest.mark.parametrize("page", PAGES)
def test_before_the_first_answer_every_page_says_what_it_waits_for(start: Start, page: str) -> None:
    start(book(), run=False)
    said = words(shown(page))
    assert "No data yet" in said
    assert "pg-silent" in said
    assert "pg-ok" not in said


@pytest.mark.parametrize("page", PAGES)
def test_a_book_is_drawn_on_every_page(start: Start, page: str) -> None:
    start(book())
    said = words(shown(page))
    assert "pg-silent" not in said
    assert "read-only" in said
    assert "NORMAL" in said
    assert "U0000004567" not in said
    assert "VIX 17.0, VIX3M 19.0" in said
    assert "10:30:00 ET" in said


def test_nothing_held_is_not_called_a_flat_book(start: Start) -> None:
    start(view(at=market()))
    said = words(shown("risk.py"))
    assert "an empty answer is not a flat book" in said
    assert shown("positions.py").dataframe[0].value.empty


def test_what_comes_from_outside_never_becomes_markup(start: Start) -> None:
    evil = "<img src=x onerror=alert(1)>"
    words_of = book()
    streams = (Stream(evil, NOW, works=False, detail=evil),)
    more = replace(words_of.source, detail=evil, exclusions=(evil,), condition=evil, action=evil, streams=streams)
    start(replace(words_of, source=replace(more, warnings=(evil,))))
    for page, times in (("data.py", 1), ("connections.py", 4), ("risk.py", 1)):
        said = words(shown(page))
        assert evil not in said
        assert said.count("&lt;img src=x") >= times, page


def test_a_silent_source_turns_the_bar_grey_and_says_since_when(start: Start) -> None:
    silent = Source("test", SourceState.STALE, NOW - timedelta(seconds=22))
    start(replace(book(), source=silent))
    said = words(shown("risk.py"))
    assert "pg-silent" in said
    assert "test has gone silent: no data since 10:29:38 ET (22 s)" in said
    assert "Every limit that is set is kept" not in said
    assert set(shown("positions.py").dataframe[1].value["Level"]) == {"? UNKNOWN"}
    distrusted = shown("data.py").dataframe[0].value
    assert set(distrusted["Why"]) == {"test has gone silent: no data since 10:29:38 ET (22 s)"}
    assert len(distrusted) == len(shown("positions.py").dataframe[1].value)


def test_a_dead_engine_does_not_look_calm(start: Start) -> None:
    engine = start(book())
    assert "pg-pill pg-ok" in words(shown("risk.py"))
    engine.stop()
    engine.now.time = NOW + timedelta(seconds=22)  # type: ignore[attr-defined]  # the clock above
    said = words(shown("risk.py"))
    assert "No data since 10:30:00 ET (22 s)" in said
    assert "pg-silent" in said
    assert "✓</span> OK 0" in said
    assert "has stopped" in words(shown("data.py"))


@pytest.mark.parametrize(("seconds", "dark"), [(300, False), (301, True)])
def test_a_snapshot_goes_dark_after_five_periods(start: Start, seconds: int, *, dark: bool) -> None:
    engine = start(book(), refresh=60.0)
    engine.now.time = NOW + timedelta(seconds=seconds)  # type: ignore[attr-defined]  # the clock above
    assert ("No data since" in words(shown("limits.py"))) is dark


def test_the_last_run_is_shown_with_its_age_and_its_lights_out(start: Start) -> None:
    start(book()).stop()
    engine = start(None, wait=False)
    engine.now.time = NOW + timedelta(hours=20)  # type: ignore[attr-defined]
    said = words(shown("risk.py"))
    assert "Showing the last run: no data since Wed 18 Nov 10:30 ET (20 h)" in said
    assert "✓</span> OK 0" in said


# --- Connections ---


LINKED = Source(
    "test", SourceState.LIVE, NOW - timedelta(seconds=1), "Connected.", condition="connected",
    since=NOW - timedelta(minutes=28), clock_skew=0.0,
    streams=(
        Stream("account IBKR •••4567", NOW - timedelta(seconds=120)),
        Stream("daily closes", None, works=None),
        Stream("quotes", NOW - timedelta(seconds=300), works=False, detail="no quote although the market is open"),
    ),
)  # fmt: skip


def linked(**changes: object) -> View:
    """The book from a source with a connection of its own."""
    return replace(book(), source=replace(LINKED, **changes))  # type: ignore[arg-type]  # tests give matching fields


def light_of(page: str, name: str = "test") -> str:
    """The piece of the page that holds the light of a source."""
    return page.partition(f"<b>{name}</b> ")[0].rpartition("<li>")[2]


def test_a_source_says_condition_since_when_last_word_and_clock(start: Start) -> None:
    start(linked(streams=()))
    said = words(shown("connections.py"))
    assert "speaks: connected since Wed 18 Nov 10:02 ET (28 min), last word 1 s ago." in said
    assert "Its clock agrees with ours." in said
    assert "What to do" not in said
    assert "pg-pill pg-ok" in light_of(said)


def test_streams_stand_with_state_age_and_detail_what_fails_first(start: Start) -> None:
    start(linked())
    at = shown("connections.py")
    table = at.dataframe[0].value
    assert "pg-pill pg-watch" in light_of(words(at))
    assert table["Stream"].tolist() == ["quotes", "daily closes", "account IBKR •••4567"]
    assert table["State"].tolist() == ["◐ does not work", "? not heard yet", "✓ works"]
    assert table["Age s"].tolist()[::2] == [300.0, 120.0]
    assert table["Age s"].isna().tolist() == [False, True, False]
    assert table["Detail"].tolist()[0] == "no quote although the market is open"


def test_a_connection_that_is_down_says_why_how_often_and_what_to_do(start: Start) -> None:
    down = {"state": SourceState.DOWN, "condition": "client_id_in_use", "retries": 7, "warnings": ("half of it",)}
    start(linked(**down, action="Close the other program."))
    at = shown("connections.py")
    said = words(at)
    assert "is not connected: client id in use since" in said
    assert "7 attempts to connect so far." in said
    assert "<b>What to do: Close the other program.</b>" in said
    assert "Works in part: half of it" in said
    assert "pg-silent" in said
    assert "pg-pill pg-unknown" in light_of(said)
    assert at.dataframe[0].value["State"].tolist() == ["? does not work", "? not known", "? not known"]


def test_a_clock_that_is_off_is_said_with_what_to_do(start: Start) -> None:
    start(linked(clock_skew=-3.5))
    said = words(shown("connections.py"))
    assert "The clock of test is 3.5 s behind ours" in said
    assert "NTP" in said


def test_an_old_snapshot_claims_no_connection(start: Start) -> None:
    engine = start(linked())
    engine.stop()
    engine.now.time = NOW + timedelta(seconds=22)  # type: ignore[attr-defined]  # the clock above
    at = shown("connections.py")
    assert "is not known now. Last seen: connected since" in words(at)
    assert "last word 23 s ago" in words(at)
    assert at.dataframe[0].value["State"].tolist() == ["◐ does not work", "? not known", "? not known"]
    assert "pg-pill pg-unknown" in light_of(words(at))


def test_a_source_that_falls_silent_is_not_said_to_speak(start: Start) -> None:
    start(linked(time=NOW - timedelta(seconds=31)))
    assert "is not heard now: connected since" in words(shown("connections.py"))


def test_a_closed_market_is_quiet_not_broken(start: Start) -> None:
    night = market({"SPX": 1.0})
    start(replace(linked(state=SourceState.CLOSED), market=replace(night, open=False)))
    assert "is quiet because its market is closed" in words(shown("connections.py"))


def test_what_must_be_on_in_tws_is_shown_for_ibkr_only(start: Start) -> None:
    start(linked())
    assert not shown("connections.py").expander
    start(linked(name="ibkr", state=SourceState.DOWN))
    at = shown("connections.py")
    assert at.expander[0].label == "What must be on in TWS or IB Gateway"
    assert at.expander[0].proto.expanded
    said = words(at)
    for word in ("Enable ActiveX and Socket Clients", "7496", "4002", "Read-Only API", "127.0.0.1", "Download open"):
        assert word in said


def test_settings_of_ibkr_mask_the_account(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IBKR_ACCOUNT", "U0000004567")
    monkeypatch.setenv("IBKR_PORT", "7497")
    start(linked(name="ibkr"))
    table = shown("connections.py").table[0].value["In force"]
    assert table["IBKR_ACCOUNT"] == "•••4567"
    assert table["IBKR_PORT"] == "7497 (TWS, paper)"
    assert (table["IBKR_HOST"], table["IBKR_CLIENT_ID"], table["IBKR_MARKET_DATA_LINES"]) == ("127.0.0.1", "17", "100")


def test_the_bar_leads_to_connections(start: Start) -> None:
    start(book())
    assert '<a href="connections"' in words(shown("risk.py"))


@pytest.mark.parametrize(("sma", "shown_as"), [(None, ""), (-1200.0, "SMA −$1,200"), (0.0, "SMA $0")])
def test_sma_is_shown_when_it_is_reported(start: Start, sma: float | None, shown_as: str) -> None:
    owners = (account(sma=sma, time=NOW - timedelta(minutes=2)), account(TASTY))
    start(replace(book(), accounts=owners))
    at = shown("risk.py")
    captions = "\n".join(caption.value for caption in at.caption)
    assert "margin 2 min old" in words(at)
    assert (shown_as in captions) if shown_as else ("SMA" not in captions)


def test_filters_narrow_tables_and_totals(start: Start) -> None:
    start(book(8))
    at = shown("positions.py")
    assert len(at.dataframe[1].value) == 8
    at = at.multiselect(key="pick_broker").set_value(["tastytrade"]).run()
    assert set(at.dataframe[1].value["Account"]) == {"tastytrade •••0001"}
    assert len(at.dataframe[1].value) == 4
    at = at.multiselect(key="pick_expiry").set_value(["0-7"]).run()
    assert len(at.dataframe[1].value) == 0


def test_an_unknown_part_makes_the_total_unknown(start: Start) -> None:
    blind = option("SPXW  261218P05000000", -1.0)
    start(view(stock("AAPL", 100, 200.0), blind, at=market({"AAPL": 1.2, "SPX": 1.0}, AAPL=200.0)))
    at = shown("positions.py")
    assert {m.label: m.value for m in at.metric}["Theta $/day"] == "?"
    assert "none" not in str(at.dataframe[1].value["Level"].tolist()).lower()
    assert "? UNKNOWN" in at.dataframe[1].value["Level"].tolist()
    assert "SPXW 18Dec26 5000P" in shown("data.py").dataframe[0].value["Position"].tolist()


def test_every_limit_is_read_aloud_and_unset_ones_say_so(start: Start) -> None:
    engine = start(book())
    said = words(shown("limits.py"))
    for key in type(engine.matrix.regime("crisis_mode").limits).model_fields:
        assert f"[{key}]" in said
    assert "not set" in said
    assert engine.matrix.version in said


def test_a_thousand_positions_are_drawn(start: Start) -> None:
    start(book(1000))
    for page in ("risk.py", "positions.py"):
        assert not shown(page).run().exception


def test_more_rows_than_are_sent_at_once_are_still_drawn(start: Start) -> None:
    strikes = range(4000, 4000 + 5 * 2100, 5)
    rows = [option(f"SPXW  261218P{strike:05d}000", -1.0, GREEKS, mark=2.0) for strike in strikes]
    start(view(*rows, at=market({"SPX": 1.0})))
    assert len(shown("positions.py").dataframe[0].value) == 2100

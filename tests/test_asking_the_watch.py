"""A command line asks the program that watches, through the store they share; a dead one is not waited for long."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from adapters import open_sources
from guardrails import asking_the_watch, simulate_command
from guardrails.asking_the_watch import AUTHOR, NOBODY, ask_the_watch
from guardrails.engine import Engine
from guardrails.errors import OrderError
from guardrails.matrix import load
from guardrails.order_json import impact_of
from guardrails.requests import Answer, Kind, Said
from guardrails.safety import SafetyState
from guardrails.safety_command import set_state
from guardrails.settings import Settings
from guardrails.simulate_command import Asked, answer
from guardrails.store import requests
from guardrails.store.books import book_of
from guardrails.store.database import open_database
from guardrails.store.lease import Leases, Program
from tests.stored import MATRIX_TEXT, change, eventually, wait_for_parts
from tests.stored import ask as rows_of
from tests.wired import NUMBERS, Ticking, is_ready, running, settings_of, typed

DEMO = ("demo",)
BACK = typed(("SPXW  261211P06355000", 1), limit=4.5)
SHARES = typed(("AAPL", -10), limit=None, account="0001")


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path, MATRIX_TEXT)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who watches looks for requests as often as when a page is open, and is waited for on a busy machine, too."""
    monkeypatch.setattr(requests, "SELDOM_SECONDS", 0.1)
    monkeypatch.setattr(asking_the_watch, "TAKEN_WITHIN", timedelta(seconds=60))
    monkeypatch.setattr(asking_the_watch, "ANSWER_SECONDS", 90.0)
    wait_for_parts(monkeypatch)


@pytest.fixture
def engine(settings: Settings, clock: Ticking) -> Iterator[Engine]:
    with running(settings, clock) as one:
        assert eventually(lambda: is_ready(one))
        yield one


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is waited for as long as in earnest."""
    monkeypatch.setattr(asking_the_watch, "TAKEN_WITHIN", timedelta(seconds=0.5))


def simulated(settings: Settings, clock: Ticking, order: str, *, as_json: bool = True) -> int:
    """What the command does in a program of its own."""
    asked = Asked(order, settings, load(settings.guardrails_matrix), DEMO)
    return answer(asked, open_sources(DEMO, settings, clock), clock, as_json=as_json)


def held(settings: Settings, clock: Ticking) -> None:
    """A program has the book, and died without giving it back."""
    database = open_database(settings.guardrails_data_dir, clock)
    Leases(database, Program("dead", "elsewhere", 1)).hold(book_of(DEMO, settings.guardrails_demo_scenario), clock())
    database.close()


@contextmanager
def taking(settings: Settings, content: str | None) -> Iterator[None]:
    """Somebody takes what is asked and answers `content`, or nothing at all."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.02):
            for (key,) in rows_of(settings.guardrails_data_dir, "SELECT key FROM requests WHERE taken_by IS NULL"):
                change(settings.guardrails_data_dir, f"UPDATE requests SET taken_by = 'x' WHERE key = '{key}'")  # noqa: S608  # our own key
                if content is not None:
                    _answer(settings, key, content)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)


def _answer(settings: Settings, key: str, content: str) -> None:
    book = rows_of(settings.guardrails_data_dir, "SELECT book FROM requests WHERE key = ?", key)[0][0]
    names = {name for (name,) in rows_of(settings.guardrails_data_dir, "SELECT name FROM pragma_table_info('answers')")}
    told = {"key": key, "book": book, "time": 1, "said": "done", "words": "", "content": content}
    used = {name: value for name, value in told.items() if name in names}
    values = ", ".join(repr(value) for value in used.values())
    change(settings.guardrails_data_dir, f"INSERT INTO answers ({', '.join(used)}) VALUES ({values})")  # noqa: S608  # ours


def test_where_nobody_watches_nothing_is_asked(settings: Settings, clock: Ticking) -> None:
    assert ask_the_watch(Kind.SAFETY, {}, settings, DEMO, clock) == NOBODY
    assert rows_of(settings.guardrails_data_dir, "SELECT count(*) FROM requests") == [(0,)]


def test_the_program_that_watches_answers_in_full_and_knows_who_asked(
    engine: Engine, settings: Settings, clock: Ticking
) -> None:
    told = ask_the_watch(Kind.SIMULATE, {"order": BACK, "preview": "yes"}, settings, DEMO, clock)
    assert isinstance(told, Answer)
    assert told.said is Said.DONE
    assert impact_of(told.content).order.limit == 4.5
    assert not any(number in told.content for number in NUMBERS)
    assert ask_the_watch(Kind.SAFETY, {}, settings, ("demo", "ibkr"), clock) == NOBODY, "another book"
    assert set_state("reduce-only", "storm", settings, DEMO, clock)[0] == 0
    assert engine.orders is not None
    safety = engine.orders.safety
    assert (safety.state, safety.author, safety.reason) == (SafetyState.REDUCE_ONLY, AUTHOR, "storm")
    code, words = set_state("NORMAL", "back", settings, DEMO, clock)
    assert code == 3
    assert "the cooling-off has not ended" in words


def test_simulate_asks_the_watch_looks_at_no_broker_and_prints_no_account_number(
    engine: Engine, settings: Settings, clock: Ticking, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    async def nobody(*_: object) -> None:
        raise AssertionError("two programs cannot share a login")

    monkeypatch.setattr(simulate_command, "_by_ourselves", nobody)
    full = json.dumps({**json.loads(BACK), "account": NUMBERS[0]})
    codes = [simulated(settings, clock, order) for order in (BACK, full)]
    assert codes == [0, 0]
    assert simulated(settings, clock, SHARES, as_json=False) in (0, 1, 2)
    out = capsys.readouterr().out
    assert not any(number in out for number in NUMBERS)
    with pytest.raises(OrderError, match="not JSON"):
        simulated(settings, clock, "{")
    bodies = rows_of(settings.guardrails_data_dir, "SELECT body FROM requests")
    assert bodies
    assert not any(number in body for (body,) in bodies for number in NUMBERS)


def test_what_was_set_while_somebody_watched_counts_after_that_ended(
    settings: Settings, clock: Ticking, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(settings, clock) as engine:
        assert eventually(lambda: is_ready(engine))
        assert set_state("REDUCE_ONLY", "storm", settings, DEMO, clock)[0] == 0
    clock.move(5)
    assert simulated(settings, clock, SHARES) == 2
    assert "safety_state" in {one["code"] for one in json.loads(capsys.readouterr().out)["reasons"]}
    assert simulated(settings, clock, BACK) in (0, 1)


def test_a_holder_that_died_is_not_waited_for_and_the_order_is_judged_here(
    settings: Settings, clock: Ticking, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    held(settings, clock)
    told = ask_the_watch(Kind.SIMULATE, {"order": BACK}, settings, DEMO, clock)
    assert told == "the program that watched this book does not answer"
    assert simulated(settings, clock, BACK) in (0, 1)
    assert json.loads(capsys.readouterr().out)["kind"] == "EXIT"
    # nobody will do later what was given up here
    assert rows_of(settings.guardrails_data_dir, "SELECT count(*) FROM requests WHERE taken_by IS NULL") == [(0,)]
    assert set_state("NO_NEW_RISK", "storm", settings, DEMO, clock) == (
        3, "Nothing was set: the program that watched this book does not answer.",
    )  # fmt: skip
    assert set_state("STOPPED", "storm", settings, DEMO, clock)[0] == 0
    assert (settings.guardrails_data_dir / "STOP").read_text(encoding="utf-8") == "storm\n"


def test_what_was_taken_and_never_answered_is_not_known_to_be_undone(
    settings: Settings, clock: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking_the_watch, "ANSWER_SECONDS", 3.0)
    held(settings, clock)
    with taking(settings, None):
        told = ask_the_watch(Kind.SAFETY, {"state": "NORMAL", "reason": "x"}, settings, DEMO, clock)
        assert isinstance(told, Answer)
        assert told.said is Said.UNKNOWN
        with pytest.raises(OrderError, match="no word came back"):
            simulated(settings, clock, BACK)


@pytest.mark.parametrize("rubbish", ["", "{", "null", '{"verdict": "ALLOW"}'])
def test_an_answer_that_cannot_be_read_is_no_verdict(settings: Settings, clock: Ticking, rubbish: str) -> None:
    held(settings, clock)
    with taking(settings, rubbish), pytest.raises(OrderError, match="run the same version"):
        simulated(settings, clock, BACK)


Spoil = Callable[[Path], object]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "guardrails.db").write_bytes(b"\x00rubbish" * 500),
        lambda folder: (folder / "guardrails.db").mkdir(),
        lambda folder: (folder / "STOP").mkdir(),
    ],
)
def test_a_spoilt_data_folder_keeps_no_simulation_back(
    settings: Settings, clock: Ticking, spoil: Spoil, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.guardrails_data_dir.mkdir(mode=0o700)
    spoil(settings.guardrails_data_dir)
    assert simulated(settings, clock, BACK) in (0, 1, 2)
    assert json.loads(capsys.readouterr().out)["kind"] == "EXIT"

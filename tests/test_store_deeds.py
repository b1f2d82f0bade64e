"""Orders, fills, journal, overrides, safety and flatten in the store: what is handed over survives, and is found again
without an account number.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from guardrails.audit import verify_store
from guardrails.execution.values import Deed, FlattenRun, JournalEntry, JournalKind, OpenDeeds, OrderRecord, RunState
from guardrails.flatten.values import Plan, PlannedClose, Wish
from guardrails.gate.values import Override
from guardrails.memory import Memory, account_key
from guardrails.orders import BrokerOrder, Fill, OrderState
from guardrails.orders_now import Discipline, OrdersNow
from guardrails.requests import Answer, Kind, Request, Said
from guardrails.safety import Cause, Safety, SafetyChange, SafetyState
from guardrails.store.books import book_of
from guardrails.store.database import FILE, Database
from guardrails.store.deed_rows import deed_news
from guardrails.store.deed_texts import hidden_document, hidden_text
from guardrails.store.deeds_open import open_deeds
from guardrails.store.journal_history import JournalFilter, csv_rows, entries
from guardrails.store.metadata import StoreError
from guardrails.store.news import Numbers
from guardrails.store.packing import unpacked
from guardrails.store.proof import insert_proven
from guardrails.store.spool import waiting_rows
from guardrails.store.writer import Writer
from guardrails.values import AccountId
from tests.books import IBKR, NOW, ROOT, TASTY
from tests.stored import HEALTHY, MATRIX_TEXT, Lock, ask, change, eventually, moment, on_server, opened, wait_for_parts
from tests.traded import P5600, P5700, at, entry, fill, leg, record, spread, then

SOURCES = ["ibkr"]
BOOK = book_of(SOURCES)
PAPER = "DU" + "1234567"
Begin = Callable[..., Writer]


class Clock:
    def __init__(self) -> None:
        self.minutes = 60.0

    def __call__(self) -> datetime:
        return at(self.minutes)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def begin(tmp_path: Path, kind: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Starts a writer on the database in tmp_path, with the spool of that folder unless it is given another."""
    wait_for_parts(monkeypatch)
    begun: list[tuple[Writer, Database]] = []

    def start(*, spool: Path | None = None, busy_seconds: float = 5.0, **more: Any) -> Writer:
        database = opened(tmp_path, busy_seconds)
        options: dict[str, Any] = {"retry_seconds": 0.02, "beat_seconds": 0.05, "dead_seconds": 100.0, **more}
        writer = Writer(database, spool or tmp_path / "spool", clock, **options)
        begun.append((writer, database))
        writer.start()
        return writer

    yield start
    for writer, database in begun:
        writer.stop(20)
        database.close()


def hand(writer: Writer, *deeds: Deed) -> bool:
    """Whether all of it is kept."""
    return writer.hand_deeds(SOURCES, "", deeds).wait(20)


def found(writer: Writer, since: datetime = NOW) -> OpenDeeds:
    return writer.open_deeds(SOURCES, "", since)


def stored(one: OrderRecord) -> OrderRecord:
    """As it comes back."""
    return replace(one, order=replace(one.order, account=one.order.account.hidden))


def override(**more: Any) -> Override:
    given = Override("ov-1", "short_vega", "portfolio", "Ann", "rolls at three", at(0), at(120))
    return replace(given, **more)


def run_of(**more: Any) -> FlattenRun:
    close = PlannedClose(1, spread(), "BUY 2", str(IBKR), 8.5, 8.7, 9.0, 1_700.0, 1_740.0, 9_000.0, 5.3)
    plan = Plan("plan-1", at(0), Wish(), (), (close,), (), (), 1_700.0, 1_740.0, "CLOSE 2 SHORTS", "f00d")
    text = TypeAdapter(Plan).dump_json(plan).decode()
    return replace(FlattenRun("run-1", at(0), "Ann", RunState.RUNNING, text, at(1), orders={"1": "g-1"}), **more)


def change_of(new: SafetyState, minutes: float) -> SafetyChange:
    safety = Safety(new, at(minutes), Cause.PERSON, "Ann", "lunch", at(minutes + 30), "set it back")
    return SafetyChange(at(minutes), SafetyState.NORMAL, safety)


EVERY: tuple[Deed, ...] = (
    record(before=then(), references=("77",), rationale="premium is rich", overrides=("ov-1",)),
    fill("e-1", P5700, -2, 8.4),
    entry("fill:g-1", 1, leg(P5700, -2, 8.4), before=then()),
    override(),
    change_of(SafetyState.NO_NEW_RISK, 3),
    run_of(),
)

# --- what is kept ---


def test_every_deed_is_found_as_it_was_but_for_the_account_number(begin: Begin) -> None:
    writer = begin()
    assert hand(writer, *EVERY)
    again = found(writer)
    order, filled, told, leave, safety, running = EVERY
    assert isinstance(order, OrderRecord)
    assert isinstance(filled, Fill)
    assert isinstance(running, FlattenRun)
    assert again.orders == (stored(order),)
    assert again.orders[0].owner == account_key(IBKR)
    assert again.fills == (replace(filled, account=IBKR.hidden),)
    assert (again.entries, again.overrides, again.safety) == ((told,), (leave,), safety)
    assert replace(again.runs[0], plan="") == replace(running, plan="")
    plan, before = (TypeAdapter(Plan).validate_json(text) for text in (again.runs[0].plan, running.plan))
    assert plan.closes[0].order == replace(before.closes[0].order, account=IBKR.hidden)
    assert replace(plan, closes=()) == replace(before, closes=())


def test_all_of_a_call_is_one_transaction_and_every_row_is_proven(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    assert hand(writer, *EVERY)
    kinds = [kind for (kind,) in ask(tmp_path, "SELECT kind FROM evidence ORDER BY seq")]
    assert kinds == ["order", "fill", "journal", "override", "safety", "flatten"]
    bodies = [json.loads(body) for (body,) in ask(tmp_path, "SELECT body FROM evidence ORDER BY seq")]
    assert all(len(body["content_hash"]) == 64 for body in bodies)
    writer.stop(20)
    place = on_server(tmp_path)
    assert verify_store(tmp_path, None if place is None else place.url)[0] == 0


def test_one_that_could_not_be_read_back_takes_all_of_its_call_with_it(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    bad = fill("e-2", P5700, 1, float("nan"))  # no adapter may tell of it; a null could not be read back
    assert not writer.hand_deeds(SOURCES, "", [record(), bad]).wait(0)
    assert writer.health().lost == 2
    assert hand(writer, override())
    assert ask(tmp_path, "SELECT count(*) FROM orders") == [(0,)]


def test_nothing_handed_over_is_kept_at_once(begin: Begin) -> None:
    assert begin().hand_deeds(SOURCES, "", ()).wait(0)


# --- no account number ---


def test_no_account_number_reaches_the_database_or_what_readers_are_shown(
    tmp_path: Path, begin: Begin, kind: str
) -> None:
    odd = AccountId("IBKR", "SANDBOX99871")  # of no form that could be known by its looks
    names = [row.name for row in HEALTHY.snapshot.sources]
    writer = begin()
    second = begin(spool=tmp_path / "second")
    assert writer.part(names).watches
    assert not second.part(names).watches
    words = f"moved from {PAPER} to {TASTY.number}, {odd.number} stays"
    one = record(order=spread(account=odd), rationale=words, detail=words, owner="")
    foreign = BrokerOrder(TASTY, f"r-{TASTY.number}", "", (), 1.0, 0.0, OrderState.WORKING, words=words)
    plan = run_of(plan=hidden_free(run_of().plan, IBKR, odd))
    assert hand(writer, one, fill("e-1", P5700, -2, 8.4, account=odd), replace(plan, words=words))
    assert hand(writer, record("g-2"), entry("n-1", 1, words=words), change_of(SafetyState.NORMAL, 1))
    shown = OrdersNow(NOW, records=(one,), others=(foreign,), runs=(plan,), discipline=Discipline(sent=1))
    writer.keep(moment(0), MATRIX_TEXT, HEALTHY.portfolio, memory=Memory(), orders=shown)
    assert eventually(lambda: second.part(names).published is not None)
    blob = b"".join(unpacked(bytes(row)) for (row,) in ask(tmp_path, "SELECT orders FROM latest"))
    writer.stop(20)
    if kind == "sqlite":
        content = b"".join(path.read_bytes() for path in (tmp_path / FILE, *tmp_path.glob(f"{FILE}-*")))
    else:
        names = ["orders", "fills", "journal", "overrides", "safety_changes", "flatten_runs", "evidence", "books"]
        content = repr([ask(tmp_path, f"SELECT * FROM {name}") for name in names]).encode()  # noqa: S608  # as listed
    for number in (IBKR.number, TASTY.number, PAPER):
        assert number.encode() not in content + blob
    assert odd.number.encode() not in blob.replace(words.encode(), b"")
    rows = ask(tmp_path, "SELECT account, account_hash, content FROM orders WHERE order_key = 'g-1'")
    assert rows[0][:2] == ("•••9871", account_key(odd))
    assert odd.number not in rows[0][2]


def hidden_free(plan: str, before: AccountId, after: AccountId) -> str:
    """A plan of another account."""
    return plan.replace(before.number, after.number)


def test_keys_that_look_like_account_numbers_stay_as_they_are() -> None:
    key = "7AB" + "C4K2X9"  # as a tastytrade account may be numbered
    kept = json.loads(hidden_document({"token": key, "note": key, "overrides": [key]}))
    assert (kept["token"], kept["overrides"]) == (key, [key])
    assert key not in kept["note"]
    assert hidden_text(key, exact=True) == key


def test_json_inside_stays_json_whatever_is_taken_out_of_it() -> None:
    told = json.dumps(
        {"note": f"see https://host:{'pass'}{'word'}@tws", "mail": "a@b.c", "account": IBKR.number, "why": PAPER}
    )
    assert json.loads(hidden_text(told)) == {
        "note": "see https://host:•••@tws",
        "mail": "a@b.c",
        "account": "•••4567",
        "why": "•••4567",
    }


# --- what is true last ---


def test_the_last_word_on_an_order_counts_and_what_is_long_over_is_left_out(begin: Begin, clock: Clock) -> None:
    writer = begin()
    old = record("g-0", OrderState.FILLED, -600)
    working = record("g-1", OrderState.WORKING, -900)
    assert hand(writer, old, working, record("g-2", OrderState.SENT, 1))
    clock.minutes = 61
    assert hand(writer, record("g-2", OrderState.PARTIAL, 2, filled=1.0))
    clock.minutes = 62
    assert hand(writer, record("g-2", OrderState.FILLED, 3, filled=2.0))
    assert {one.key: one.state for one in found(writer).orders} == {
        "g-1": OrderState.WORKING, "g-2": OrderState.FILLED,
    }  # fmt: skip


def test_an_order_that_rests_for_months_is_still_found(begin: Begin, clock: Clock) -> None:
    writer = begin()
    assert hand(writer, record("gtc", OrderState.WORKING, 0))
    clock.minutes = 60 * 24 * 300
    assert [one.key for one in found(writer, at(60 * 24 * 299)).orders] == ["gtc"]


def test_a_later_run_counts_more_than_an_earlier_one(begin: Begin, clock: Clock) -> None:
    """The later run's own count begins anew, so only the time of handing over tells the order."""
    first = begin()
    assert hand(first, record("g-1", OrderState.SENT, 5), override(), entry("fill:g-1", 0, leg(P5700, -2, 8.4)))
    first.stop(20)
    clock.minutes = 61
    second = begin()
    assert eventually(lambda: second.health().queued == 0)
    told = entry("fill:g-1", 0, leg(P5700, -2, 8.4), after=then())
    assert hand(second, record("g-1", OrderState.UNKNOWN, 5), override(ended=at(61)), told)
    again = found(second)
    assert [one.state for one in again.orders] == [OrderState.UNKNOWN]
    assert (again.overrides, again.entries) == ((), (told,))


def test_a_correction_replaces_the_execution_and_an_older_revision_does_not_come_back(begin: Begin) -> None:
    writer = begin()
    assert hand(writer, fill("e-1", P5700, -2, 8.4, fees=None), fill("e-1", P5700, -2, 8.3, revision=2))
    assert hand(writer, fill("e-1", P5700, -2, 8.4))
    assert [(one.price, one.revision) for one in found(writer).fills] == [(8.3, 2)]
    assert hand(writer, fill("e-1", P5700, -2, 8.3, revision=2, fees=1.5))
    assert [one.fees for one in found(writer).fills] == [1.5]


def test_fills_of_before_the_session_are_left_out(begin: Begin) -> None:
    writer = begin()
    assert hand(writer, fill("e-1", P5700, -2, 8.4, -1), fill("e-2", P5700, -2, 8.4, 0))
    assert [one.execution for one in found(writer).fills] == ["e-2"]


def test_the_last_safety_state_is_found_however_old_it_is(begin: Begin, clock: Clock) -> None:
    writer = begin()
    assert found(writer).safety is None
    assert hand(writer, change_of(SafetyState.STOPPED, 0))
    clock.minutes = 61
    assert hand(writer, change_of(SafetyState.REDUCE_ONLY, 1))
    clock.minutes = 60 * 24 * 900
    last = found(writer, at(clock.minutes)).safety
    assert last is not None
    assert last.new.state is SafetyState.REDUCE_ONLY


def test_overrides_in_force_and_used_ones_of_the_session_are_found(begin: Begin, clock: Clock) -> None:
    writer = begin()
    over = override(key="over", until=at(-5))
    assert hand(writer, override(), over, override(key="used", until=at(5), used=("g-1",)))
    assert [one.key for one in found(writer).overrides] == ["ov-1", "used"]
    clock.minutes = 200
    assert [one.key for one in found(writer).overrides] == ["used"]


def test_a_run_that_is_done_is_not_brought_back(begin: Begin, clock: Clock) -> None:
    writer = begin()
    assert hand(writer, run_of(), run_of(key="run-2"))
    clock.minutes = 61
    assert hand(writer, run_of(state=RunState.DONE, words="flat"))
    assert [one.key for one in found(writer).runs] == ["run-2"]


def test_entries_without_an_after_and_those_of_open_trades_are_found(begin: Begin) -> None:
    writer = begin()
    month = -60 * 24 * 30
    opened_then = entry("a", month, leg(P5700, -2, 8.4), after=then())
    other = entry("b", month, leg(P5600, 1, 5.0), after=then(), underlying="XSP")
    closed = entry("c", month + 99, leg(P5600, -1, 6.0), after=then(), underlying="XSP")
    fresh = entry("d", -60 * 24, leg(P5600, -1, 5.0, held=1.0), underlying="RUT")
    assert hand(writer, opened_then, other, closed, fresh, entry("note", 0, words="calm"))
    assert [one.key for one in found(writer).entries] == ["a", "d"]


# --- while the database is away ---


def test_what_waits_in_memory_and_in_a_spool_is_found_too(tmp_path: Path, begin: Begin) -> None:
    writer = begin(busy_seconds=0.05)
    assert hand(writer, record("g-1", OrderState.WORKING, 1))
    lock = Lock(tmp_path)
    assert hand(writer, record("g-1", OrderState.PARTIAL, 2, filled=1.0), fill("e-1", P5700, -1, 8.4))
    assert writer.health().spooled
    waiting = waiting_rows(tmp_path / "spool")
    lock.release()
    database = opened(tmp_path)
    with database.reading() as connection:
        again = open_deeds(connection, BOOK.key, waiting, NOW, at(60))
    database.close()
    assert [one.state for one in again.orders] == [OrderState.PARTIAL]
    assert [one.execution for one in again.fills] == ["e-1"]
    assert IBKR.number.encode() not in b"".join(path.read_bytes() for path in (tmp_path / "spool").iterdir())


def test_rows_may_be_in_the_database_and_in_a_spool(tmp_path: Path, kind: str) -> None:
    database = opened(tmp_path)
    news = deed_news(BOOK, EVERY, Numbers("run"), at(60))
    with database.writing(durable=True) as connection:
        assert len(insert_proven(connection, news.rows)) == len(EVERY)
        assert insert_proven(connection, news.rows) == []
    with database.reading() as connection:
        again = open_deeds(connection, BOOK.key, (), NOW, at(60))
        assert again == open_deeds(connection, BOOK.key, news.rows, NOW, at(60))
    assert len(again.orders) == len(again.fills) == len(again.runs) == 1
    database.close()


KILLED = """
import os, sys
from pathlib import Path
from guardrails.store.writer import Writer
from tests.stored import opened
from tests.test_store_deeds import SOURCES, at
from tests.traded import record
folder = Path(sys.argv[1])
writer = Writer(opened(folder), folder / "spool", lambda: at(60))
writer.start()
assert writer.hand_deeds(SOURCES, "", [record("g-9")]).wait(20)
print("durable", flush=True)
os.kill(os.getpid(), 9)
"""


def test_an_intent_that_was_called_durable_survives_a_kill(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, capture_output=True, check=False, timeout=180,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (told.returncode, told.stdout.decode().split()) == (-signal.SIGKILL, ["durable"]), told.stderr.decode()
    database = opened(tmp_path)
    with database.reading() as connection:
        again = open_deeds(connection, BOOK.key, waiting_rows(tmp_path / "spool"), NOW, at(60))
    database.close()
    assert [one.key for one in again.orders] == ["g-9"]


# --- what cannot be read ---


@pytest.mark.parametrize("table", ["orders", "fills", "safety_changes", "flatten_runs"])
def test_what_may_live_and_cannot_be_read_is_an_error(tmp_path: Path, begin: Begin, table: str) -> None:
    writer = begin()
    assert hand(writer, *EVERY)
    change(tmp_path, f"UPDATE {table} SET content = '{{}}'")  # noqa: S608  # as listed
    with pytest.raises(StoreError, match=f"a row of {table} cannot be read by this program"):
        found(writer)


def test_an_entry_that_cannot_be_read_is_left_out(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    assert hand(writer, *EVERY)
    change(tmp_path, "UPDATE journal SET content = '{}'")
    change(tmp_path, "UPDATE overrides SET content = 'x'")
    again = found(writer)
    assert (again.entries, again.overrides, len(again.orders)) == ((), (), 1)


def test_a_database_that_does_not_answer_says_so(tmp_path: Path) -> None:
    class Away:
        name = "the database"
        generation = 0

        def reading(self) -> Any:
            raise OSError("gone")

    writer = Writer(Away(), tmp_path, lambda: NOW)  # type: ignore[arg-type]  # a database that is away
    with pytest.raises(StoreError, match="the database does not say which orders are open"):
        found(writer)


# --- what others are shown, and answers with content ---


def test_a_reader_is_shown_the_orders_and_other_versions_do_not_hide_the_snapshot(
    tmp_path: Path, begin: Begin, kind: str
) -> None:
    from guardrails.store.packing import packed  # noqa: PLC0415  # only what this test needs to write by hand

    names = [row.name for row in HEALTHY.snapshot.sources]
    first, second = begin(), begin(spool=tmp_path / "second")
    assert first.part(names).watches
    assert not second.part(names).watches
    now = OrdersNow(NOW, Safety(SafetyState.NO_NEW_RISK), records=(record(),), overrides=(override(),))
    first.keep(moment(0), MATRIX_TEXT, HEALTHY.portfolio, memory=Memory(), orders=now)

    def shown() -> OrdersNow | None:
        published = second.part(names).published
        return None if published is None else published.orders

    expected = replace(now, records=(stored(record()),))
    assert eventually(lambda: shown() == expected)
    content = packed(b'{"as_of": "later"}').hex()
    value = f"x'{content}'" if kind == "sqlite" else f"decode('{content}', 'hex')"
    change(tmp_path, f"UPDATE latest SET time = time + 1, orders = {value}")  # noqa: S608  # the bytes above
    assert eventually(lambda: "another version" in getattr(shown(), "problem", ""))
    told = shown()
    assert told is not None
    assert told.safety.state is not SafetyState.NORMAL


def test_an_answer_brings_its_content_and_a_request_its_keys(tmp_path: Path, begin: Begin, clock: Clock) -> None:
    names = [row.name for row in HEALTHY.snapshot.sources]
    first, second = begin(), begin(spool=tmp_path / "second")
    assert first.part(names).watches
    assert not second.part(names).watches
    token = "7AB" + "C4K2X9"
    body = {"order": json.dumps({"account": IBKR.number, "rationale": "x"}), "token": token, "reason": PAPER}
    second.ask(Request("r-1", clock(), clock() + timedelta(seconds=15), "Ann", Kind.SUBMIT, body))
    taken: list[Request] = []
    assert eventually(lambda: taken.extend(first.requests()) or bool(taken))
    assert taken[0].body["token"] == token
    assert json.loads(taken[0].body["order"]) == {"account": "•••4567", "rationale": "x"}
    assert taken[0].body["reason"] == "•••4567"
    content = json.dumps({"token": token, "words": f"https://x and {PAPER} a@b"})
    first.answer(Answer("r-1", clock(), Said.DONE, "sent", content))
    assert eventually(lambda: second.answered("r-1") is not None)
    answer = second.answered("r-1")
    assert answer is not None
    assert json.loads(answer.content) == {"token": token, "words": "https://x and •••4567 a@b"}


# --- the page ---


def test_the_history_tells_each_entry_as_it_was_told_last(tmp_path: Path, begin: Begin, clock: Clock) -> None:
    writer, database = begin(), opened(tmp_path)
    high, late = then("high_volatility"), entry("c", 300, words="note", kind=JournalKind.NOTE, tag="")
    assert hand(writer, entry("a", 0, leg(P5700, -2, 8.4)), entry("b", 5, leg(P5600, 1, 5.0), tag="FLATTEN"), late)
    clock.minutes = 61
    whole = entry("a", 0, leg(P5700, -2, 8.4), before=high, after=then())
    assert hand(writer, whole)

    def keys(**chosen: Any) -> list[str]:
        return [one.key for one in entries(database, BOOK.key, JournalFilter(**chosen), 10)]

    assert keys() == ["c", "b", "a"]
    assert entries(database, BOOK.key, JournalFilter(regime="high_volatility"), 10) == [whole]
    assert keys(tag="FLATTEN") == ["b"]
    assert keys(kind=JournalKind.NOTE) == ["c"]
    assert keys(underlying="RUT") == keys(account="IBKR •••0000") == []
    assert keys(begin=at(1), end=at(300)) == ["b"]
    assert [one.key for one in entries(database, BOOK.key, JournalFilter(), 2)] == ["c", "b"]
    assert entries(database, "other", JournalFilter(), 9) == []
    database.close()


def test_a_file_has_a_row_for_each_leg_and_unknown_is_empty() -> None:
    told: list[JournalEntry] = [
        entry("a", 0, leg(P5700, -2, 8.4), leg(P5600, 2, None), before=then(findings={"gamma portfolio": "WATCH"})),
        entry("n", 1, words="a note"),
    ]
    rows = csv_rows(told, {"a": "t-1"})
    assert [(row["entry"], row["leg"], row["leg_price"]) for row in rows] == [
        ("a", "SPXW 18Dec26 5700P", 8.4), ("a", "SPXW 18Dec26 5600P", None), ("n", None, None),
    ]  # fmt: skip
    assert (rows[0]["trade"], rows[0]["regime_before"], rows[0]["vix_before"]) == ("t-1", "neutral_volatility", 17.0)
    assert (rows[0]["findings_before"], rows[0]["regime_after"]) == ("gamma portfolio: WATCH", None)
    assert {tuple(row) for row in rows} == {tuple(rows[0])}
    assert rows[0]["time"] == datetime(2026, 11, 18, 15, 30, tzinfo=UTC).isoformat()


# --- the demo beside a live book ---


@pytest.mark.parametrize(("sources", "scenario"), [(["ibkr"], ""), (["demo"], "crash"), (["demo", "ibkr"], "calm")])
@pytest.mark.parametrize("waits", [False, True], ids=["stored", "waiting"])
def test_what_the_demo_did_is_nothing_to_another_book(
    begin: Begin, tmp_path: Path, sources: list[str], scenario: str, *, waits: bool
) -> None:
    writer = begin(busy_seconds=0.05)
    lock = Lock(tmp_path) if waits else None
    assert writer.hand_deeds(["demo"], "calm", EVERY).wait(20)
    if lock is not None:
        lock.release()
    assert writer.open_deeds(sources, scenario, NOW) == OpenDeeds()
    own = writer.open_deeds(["demo"], "calm", NOW)
    assert (len(own.orders), len(own.fills), len(own.entries), len(own.overrides), len(own.runs)) == (1, 1, 1, 1, 1)
    assert own.safety is not None

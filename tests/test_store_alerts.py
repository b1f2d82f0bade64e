"""Alerts in the store: what is handed over survives with its proof, and what is open is found again."""

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
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from guardrails import redaction
from guardrails.alerts.values import (
    Alert,
    AlertsNow,
    Delivery,
    DeliveryState,
    Event,
    OpenAlerts,
    Problem,
    Reason,
    Severity,
    Silence,
    State,
)
from guardrails.audit import verify_store
from guardrails.memory import Memory
from guardrails.store import alert_history, texts
from guardrails.store.alert_rows import alert_news, counts
from guardrails.store.alerts_open import open_alerts
from guardrails.store.books import Book, book_of
from guardrails.store.condition import condition
from guardrails.store.database import Database
from guardrails.store.evidence_head import HEAD_FILE, read_head
from guardrails.store.following import Published
from guardrails.store.inbox import Inbox
from guardrails.store.lease import DEAD_SECONDS, Leases, Program
from guardrails.store.metadata import StoreError
from guardrails.store.news import Numbers
from guardrails.store.proof import insert_proven
from guardrails.store.steps import Step, latest
from guardrails.store.writer import Writer
from tests.alerted import BREACH, acknowledged, alert, at, delivery, fired, message, resolved
from tests.books import NOW, ROOT, TASTY
from tests.stored import HEALTHY, MATRIX_TEXT, Lock, ask, change, eventually, moment, on_server, opened, wait_for_parts

SOURCES = ["ibkr"]
BOOK = book_of(SOURCES)
Begin = Callable[..., Writer]


def now() -> datetime:
    return at(60)


@pytest.fixture
def begin(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Starts a writer on the database in tmp_path, with the spool of that folder unless it is given another."""
    wait_for_parts(monkeypatch)
    begun: list[tuple[Writer, Database]] = []

    def start(*, spool: Path | None = None, busy_seconds: float = 5.0, **more: Any) -> Writer:
        database = opened(tmp_path, busy_seconds)
        options: dict[str, Any] = {"retry_seconds": 0.02, "beat_seconds": 0.05, "dead_seconds": 100.0, **more}
        writer = Writer(database, spool or tmp_path / "spool", now, **options)
        begun.append((writer, database))
        writer.start()
        return writer

    yield start
    for writer, database in begun:
        writer.stop(20)
        database.close()


def hand(writer: Writer, *told: Event | Delivery) -> bool:
    """Whether all of it is kept."""
    events = [one for one in told if isinstance(one, Event)]
    deliveries = [one for one in told if isinstance(one, Delivery)]
    return writer.hand_alerts(SOURCES, "", events, deliveries).wait(20)


def found(writer: Writer) -> OpenAlerts:
    return writer.open_alerts(SOURCES, "")


def sent(one: Delivery, seconds: float = 1.0) -> Delivery:
    return replace(one, state=DeliveryState.SENT, attempts=1, detail="ok", changed=at(seconds))


# --- what is kept ---


def test_a_step_is_kept_with_its_deliveries_in_one_transaction(tmp_path: Path, kind: str) -> None:
    database = opened(tmp_path)
    writer, open_now, committed = Writer(database, tmp_path / "spool", now), set[str](), list[set[str]]()

    @event.listens_for(database.engine, "before_cursor_execute")
    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        for table in ("alerts", "deliveries", "evidence"):
            if statement.replace('"', "").startswith(f"INSERT INTO {table} "):
                open_now.add(table)

    @event.listens_for(database.engine, "commit")
    def close(_connection: Any) -> None:
        committed.append(set(open_now))
        open_now.clear()

    writer.start()
    assert hand(writer, fired(), delivery())
    assert [tables for tables in committed if tables] == [{"alerts", "deliveries", "evidence"}]
    writer.stop(20)
    database.close()


def test_the_rows_say_what_a_person_asks_for(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    silence = Silence("Ann", at(5), at(3_605), "earnings tonight")
    quiet = Event(at(5), alert(silence=silence), State.SILENCED, Reason.SILENCED, "Ann", "earnings tonight")
    assert hand(writer, fired(), delivery(), quiet)
    names = "alert, check_name, subject, severity, state, author, reason, message, words, times_told, acted"
    assert ask(tmp_path, f"SELECT {names} FROM alerts ORDER BY id") == [  # noqa: S608  # the names above
        ("vega portfolio", "vega", "portfolio", "BREACH", "fired", None, "first notice", "vega is over", None, 1, 0),
        ("vega portfolio", "vega", "portfolio", "BREACH", "silenced", "Ann", "silenced", "vega is over",
         "earnings tonight", 1, 0),
    ]  # fmt: skip
    assert ask(tmp_path, "SELECT until - time FROM alerts ORDER BY id") == [(None,), (3_600_000_000,)]
    assert ask(tmp_path, "SELECT delivery, alerts, channel, attempt, state FROM deliveries") == [
        ("m1 slack", '["vega portfolio"]', "slack", 0, "waiting")
    ]


def test_every_row_is_proven_and_the_log_verifies(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    one = delivery()
    assert hand(writer, fired(), one)
    assert hand(writer, sent(one))
    kinds = [kind for (kind,) in ask(tmp_path, "SELECT kind FROM evidence ORDER BY seq")]
    assert kinds == ["delivery", "alert", "delivery"]
    bodies = [json.loads(body) for (body,) in ask(tmp_path, "SELECT body FROM evidence ORDER BY seq")]
    assert [body["state"] for body in bodies] == ["waiting", "fired", "sent"]
    place = on_server(tmp_path)
    url = None if place is None else place.url
    assert eventually(lambda: (read_head(tmp_path / HEAD_FILE) or {}).get(BOOK.key, (0, ""))[0] == 3)
    assert verify_store(tmp_path, url)[0] == 0
    works, words = condition(tmp_path, url)
    assert (works, "1 steps of alerts, 3 entries of evidence" in words) == (True, True), words
    change(tmp_path, "UPDATE evidence SET body = replace(body, 'fired', 'resolved') WHERE kind = 'alert'")
    assert verify_store(tmp_path, url)[0] == 2


def test_of_rows_sent_again_only_the_new_ones_are_proven(tmp_path: Path, kind: str) -> None:
    database = opened(tmp_path)
    for events, new in (([fired()], 1), ([fired(), fired("gamma"), fired("delta")], 2)):
        news = alert_news(BOOK, events, [], Numbers("run"))  # the first is number 1 of this run both times
        with database.writing(durable=True) as connection:
            assert len(insert_proven(connection, news.rows)) == new
    database.close()
    checks = [json.loads(body)["check_name"] for (body,) in ask(tmp_path, "SELECT body FROM evidence ORDER BY seq")]
    assert checks == ["vega", "gamma", "delta"]


def test_no_account_number_is_stored_nor_a_row_left_unproven_because_of_one(tmp_path: Path, begin: Begin) -> None:
    writer, words = begin(), f"{TASTY.number}: order rejected, see https://host:{'pass'}{'word'}@tws"
    told = alert()
    loud = replace(told, problem=replace(told.problem, message=words, next_action=words))
    spoken = Event(at(0), loud, State.FIRED, Reason.FIRST, words, words)
    assert hand(writer, spoken, delivery(message=message(title=words), detail=words))
    rows = [repr(ask(tmp_path, f"SELECT * FROM {name}")) for name in ("alerts", "deliveries", "evidence")]  # noqa: S608  # as listed
    assert [TASTY.number in row or "password" in row for row in rows] == [False] * 3
    assert "•••0001" in rows[0]
    assert ask(tmp_path, "SELECT count(*) FROM evidence WHERE body LIKE '%not_written%'") == [(0,)]
    assert found(writer).alerts[0].problem.message == "•••0001: order rejected, see https://host:•••@tws"


def test_nothing_handed_over_is_kept_at_once(begin: Begin) -> None:
    assert begin().hand_alerts(SOURCES, "", (), ()).wait(0)


def test_each_of_a_batch_is_kept_when_the_batch_is_and_not_before() -> None:
    inbox = Inbox(100, 0)
    places = [inbox.put_news(alert_news(BOOK, [fired()], [], Numbers("run"))) for _ in range(2)]

    def kept() -> list[bool]:
        return [place is not None and place.wait(0) for place in places]

    inbox.settle()  # of nothing, as after telemetry alone
    assert kept() == [False, False]
    inbox.take_news()
    assert kept() == [False, False]
    inbox.put_back()
    inbox.take_news()
    places.append(inbox.put_news(alert_news(BOOK, [fired()], [], Numbers("run"))))
    inbox.settle()
    assert kept() == [True, True, False]


def test_what_finds_no_room_is_said_and_not_called_kept(tmp_path: Path, begin: Begin) -> None:
    writer = begin(max_rows=1, busy_seconds=0.01)
    blocked = tmp_path / "spool"
    lock = Lock(tmp_path)
    blocked.rename(tmp_path / "away")
    blocked.write_text("a file where the folder was")  # neither the database nor the disk takes anything
    first, second = (writer.hand_alerts(SOURCES, "", (fired(),), ()) for _ in range(2))
    assert not second.wait(0)
    assert "1 changes found no room in memory" in writer.health().problem
    assert not first.wait(0.1)
    lock.release()
    assert first.wait(20)


def test_what_cannot_be_written_is_not_called_kept_and_raises_nothing(begin: Begin) -> None:
    writer = begin()
    assert not writer.hand_alerts(SOURCES, "", ("nonsense",), ()).wait(0)  # type: ignore[arg-type]
    assert writer.health().lost == 1


# --- what is found again ---


def test_what_is_open_is_found_as_it_was(begin: Begin) -> None:
    writer = begin()
    waits, fails, done, dead = (delivery(f"m{n}", seconds=n) for n in range(4))
    failed = replace(fails, state=DeliveryState.FAILED, attempts=2, due=at(9), detail="HTTP 500", changed=at(3))
    given_up = replace(dead, state=DeliveryState.DEAD, attempts=1, detail="no such channel", changed=at(4))
    held = acknowledged("gamma", 5)
    assert hand(writer, fired("vega"), fired("gamma"), fired("delta"), waits, fails, done, dead)
    assert hand(writer, failed, sent(done, 2), given_up, held, resolved("delta", 6))
    again = found(writer)
    assert again.alerts == (held.alert, fired("vega").alert)
    assert again.deliveries == (waits, failed)
    assert found(writer) == again


def test_what_is_sent_again_by_a_person_is_open_with_its_new_time(begin: Begin) -> None:
    writer, one = begin(), delivery()
    assert hand(writer, one)
    assert hand(writer, replace(one, state=DeliveryState.DEAD, attempts=3, changed=at(1)))
    assert found(writer).deliveries == ()
    again = replace(one, created=at(50), changed=at(50), detail="sent again by Ann")
    assert hand(writer, again)
    assert found(writer).deliveries == (again,)


def test_what_gave_way_to_a_newer_message_is_not_open_and_its_message_is_kept_once(
    tmp_path: Path, begin: Begin
) -> None:
    """Another run lets it give way a moment later: its own count begins anew, so only the time tells the order."""
    first, one = begin(), delivery()
    assert hand(first, *(delivery(f"m{n}") for n in range(2, 5)), one)
    first.stop(20)
    second = begin()
    assert found(second).deliveries[0] == one
    assert hand(second, replace(one, state=DeliveryState.SUPERSEDED, detail="a newer message", changed=at(30)))
    assert [again.message.key for again in found(second).deliveries] == ["m2", "m3", "m4"]
    rows = ask(tmp_path, "SELECT state, content <> '' FROM deliveries WHERE delivery = 'm1 slack' ORDER BY id")
    assert [(state, bool(is_kept)) for state, is_kept in rows] == [("waiting", True), ("superseded", False)]
    database = opened(tmp_path)
    (row,) = (row for row in alert_history.deliveries(database, BOOK.key, at(0), 9) if row.key == "m1 slack")
    assert (row.state, row.created, row.changed, row.message) == (DeliveryState.SUPERSEDED, at(0), at(30), one.message)
    database.close()


def test_what_was_given_up_is_found_again_by_its_key_however_old(begin: Begin) -> None:
    days = timedelta(days=90) / timedelta(seconds=1)
    writer, one = begin(), delivery(seconds=-days)
    dead = replace(one, state=DeliveryState.DEAD, attempts=3, detail="410 gone", changed=at(1 - days))
    assert hand(writer, one, delivery("m2"))
    assert writer.given_up(SOURCES, "", one.key) is None
    assert hand(writer, dead)
    assert writer.given_up(SOURCES, "", one.key) == dead
    assert [writer.given_up(SOURCES, "", key) for key in ("m2 slack", "m3 slack")] == [None, None]
    assert writer.given_up(["demo"], "calm", one.key) is None


@pytest.mark.parametrize("state", [DeliveryState.SENT, DeliveryState.WAITING])
def test_what_was_sent_or_waits_again_is_not_given_up_any_more(begin: Begin, state: DeliveryState) -> None:
    writer, one = begin(), delivery()
    dead = replace(one, state=DeliveryState.DEAD, attempts=3, changed=at(1))
    assert hand(writer, one, dead, replace(one, state=state, attempts=4 * (state is DeliveryState.SENT),
                                           created=at(2), changed=at(2)))  # fmt: skip
    assert writer.given_up(SOURCES, "", one.key) is None


def test_what_any_row_calls_sent_was_not_given_up(begin: Begin) -> None:
    writer, one = begin(), delivery()
    assert hand(writer, one, sent(one), replace(one, state=DeliveryState.DEAD, attempts=3, changed=at(2)))
    assert writer.given_up(SOURCES, "", one.key) is None


def test_a_test_that_failed_is_not_sent_again(begin: Begin) -> None:
    writer, one = begin(), delivery(message=message(test=True))
    assert hand(writer, one, replace(one, state=DeliveryState.DEAD, attempts=1, changed=at(1)))
    assert writer.given_up(SOURCES, "", one.key) is None


def test_what_was_given_up_is_found_also_while_the_database_takes_no_rows(tmp_path: Path, begin: Begin) -> None:
    writer, one = begin(busy_seconds=0.01), delivery()
    lock = Lock(tmp_path)
    dead = replace(one, state=DeliveryState.DEAD, attempts=3, changed=at(1))
    assert hand(writer, one, dead)
    assert writer.given_up(SOURCES, "", one.key) == dead
    lock.release()


def test_a_database_that_cannot_be_read_is_no_message_that_was_never_given_up(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    assert hand(writer, delivery())
    change(tmp_path, "DROP TABLE deliveries")
    with pytest.raises(StoreError, match="does not say what was given up"):
        writer.given_up(SOURCES, "", "m1 slack")


def test_what_this_program_has_kept_since_it_began_to_watch_does_not_hide_what_was_acknowledged_before(
    tmp_path: Path, begin: Begin
) -> None:
    """The database is read late: by then the second program has told of vega anew, and of gamma."""
    first, second = begin(), begin(spool=tmp_path / "second")
    before, left, own = acknowledged("vega", -20), delivery("left", seconds=-20), delivery("own", seconds=10)
    assert hand(first, fired("vega", -30), before, left)
    assert hand(second, fired("delta", -5))  # of a watch before this one
    assert hand(second, fired("vega", 0), fired("gamma", 10), own)
    late = second.open_alerts(SOURCES, "", at(0))
    assert {one.problem.check for one in late.alerts} == {"vega", "delta"}
    assert next(one for one in late.alerts if one.problem.check == "vega") == before.alert
    assert late.deliveries == (left,)
    whole = second.open_alerts(SOURCES, "")
    assert {one.problem.check for one in whole.alerts} == {"vega", "delta", "gamma"}
    assert {one.key for one in whole.deliveries} == {"left slack", "own slack"}


def test_a_secret_that_is_a_plain_word_does_not_change_by_what_name_an_alert_is_found_again(
    tmp_path: Path, begin: Begin
) -> None:
    """ALERT_URLS=ibkr=ntfy://ibkr: what is hidden in texts behind a colon is part of every account's subject too."""
    texts.text.cache_clear()
    redaction.hide("ibkr=ntfy://ibkr")
    assert redaction.redact("account:IBKR") == "account:•••"
    writer, number = begin(), "U" + "0004567"
    told = Problem("margin_cushion", f"account:IBKR {number}", BREACH, f"ntfy://ibkr, {number}")
    held = replace(alert(), problem=told, held_by="source_state source:ibkr", reached=("ibkr",))
    one = replace(delivery(), key="m1:ibkr", channel="ibkr", alerts=(held.identity,))
    assert hand(writer, Event(at(0), held, State.FIRED, Reason.FIRST), one)
    texts.text.cache_clear()
    [again], [waits] = found(writer).alerts, found(writer).deliveries
    masked = f"account:IBKR •••{number[-4:]}"
    assert (again.identity, again.problem.message) == (f"margin_cushion {masked}", f"ntfy://•••, •••{number[-4:]}")
    assert (again.held_by, again.reached) == (held.held_by, held.reached)
    assert ask(tmp_path, "SELECT alert, subject FROM alerts") == [(again.identity, masked)]
    assert (waits.key, waits.channel, waits.alerts) == ("m1:ibkr", "ibkr", (again.identity,))


def test_each_book_has_its_own(begin: Begin) -> None:
    writer = begin()
    assert writer.hand_alerts(["demo"], "calm", (fired(),), (delivery(),)).wait(20)
    assert found(writer) == OpenAlerts()
    assert writer.open_alerts(["demo"], "crash") == OpenAlerts()
    assert len(writer.open_alerts(["demo"], "calm").alerts) == 1


def test_rows_that_only_a_spool_has_are_found_also_those_of_a_program_that_was_killed(
    tmp_path: Path, begin: Begin
) -> None:
    killed = begin(busy_seconds=0.01)
    with opened(tmp_path).reading():
        pass
    lock = Lock(tmp_path)
    waits = delivery()
    assert hand(killed, fired(), waits)
    assert killed.health().spooled > 0
    other = begin(busy_seconds=0.01)  # the file of the first is still its own
    for writer in (killed, other):
        assert (found(writer).alerts, found(writer).deliveries) == ((fired().alert,), (waits,))
    assert hand(other, sent(waits))
    assert found(other).deliveries == ()
    lock.release()
    killed.stop(20)
    other.stop(20)
    last = begin()  # of the two spools it takes up one, if both still hold rows
    assert eventually(lambda: last.health().spooled == 0)
    assert (found(last).alerts, found(last).deliveries) == ((fired().alert,), ())


def test_a_killed_program_leaves_every_message_that_it_was_told_is_kept(tmp_path: Path) -> None:
    code = f"from tests.test_store_alerts import die; die({str(tmp_path)!r})"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=180)
    assert ended.returncode == -signal.SIGKILL
    database = opened(tmp_path)
    writer = Writer(database, tmp_path / "spool", now)
    again = found(writer)
    database.close()
    assert (again.alerts, again.deliveries) == ((fired().alert,), (delivery(),))


def die(folder: str) -> None:
    """A program that is killed between the commit and the first attempt to send."""
    writer = Writer(opened(Path(folder)), Path(folder) / "spool", now)
    writer.start()
    if hand(writer, fired(), delivery()):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_late_row_brings_back_neither_an_alert_nor_a_message(tmp_path: Path, begin: Begin) -> None:
    """The second program reads, so what it hands over waits in its spool until the first has ended."""
    first, second = begin(), begin(spool=tmp_path / "second")
    assert first.part(SOURCES).watches
    assert not second.part(SOURCES).watches
    one = delivery()
    failed = replace(one, state=DeliveryState.FAILED, attempts=1, due=at(99), changed=at(50))
    assert hand(second, fired("vega", 1), fired("gamma", 1), one, failed)
    assert hand(first, fired("vega", 2), resolved("vega", 40), acknowledged("gamma", 30), sent(one, 10))
    first.stop(20)
    assert eventually(lambda: second.part(SOURCES).watches and second.health().spooled == 0)
    assert ask(tmp_path, "SELECT count(*) FROM alerts") == [(5,)]
    again = found(second)
    assert [(one.problem.check, one.state) for one in again.alerts] == [("gamma", State.ACKNOWLEDGED)]
    assert again.deliveries == ()


def test_a_clock_set_back_does_not_bring_back_what_the_same_program_resolved(begin: Begin) -> None:
    writer = begin()
    assert hand(writer, fired("vega", 50))
    assert hand(writer, resolved("vega", 20))
    assert found(writer).alerts == ()


STEPS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.sampled_from(["fired", "resolved"])), max_size=12
)


@given(STEPS, st.randoms(use_true_random=False))
def test_what_is_true_last_does_not_depend_on_the_order_in_which_rows_come(
    told: list[tuple[str, int, str]], dice: Any
) -> None:
    steps = [Step(run, number, time, "x", state) for number, (run, time, state) in enumerate(told)]
    mixed = list(steps)
    dice.shuffle(mixed)
    assert latest(mixed) == latest(steps)
    if len({step.run for step in steps}) == 1:
        assert latest(steps)["x"] == steps[-1]


@pytest.mark.parametrize(("days", "is_found"), [(29.9, True), (30.1, False)])
def test_what_is_older_than_thirty_days_is_not_brought_back(begin: Begin, days: float, *, is_found: bool) -> None:
    writer, old = begin(), -days * 86_400 + 60
    assert hand(writer, fired("vega", old), delivery(seconds=old))
    assert [len(found(writer).alerts), len(found(writer).deliveries)] == [int(is_found)] * 2


def test_an_alert_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    assert hand(writer, fired("vega"), fired("gamma"), delivery("m1"), delivery("m2"))
    change(tmp_path, "UPDATE alerts SET evidence = '{}' WHERE check_name = 'vega'")
    change(tmp_path, "UPDATE deliveries SET content = '[]' WHERE delivery = 'm1 slack'")
    again = found(writer)
    assert [one.problem.check for one in again.alerts] == ["gamma"]
    assert [one.key for one in again.deliveries] == ["m2 slack"]


def test_what_is_not_finite_comes_back_as_unknown(begin: Begin) -> None:
    writer, told = begin(), alert()
    odd = replace(told, problem=replace(told.problem, value=float("nan"), limit=float("inf"), message="\ud800 \x00"))
    assert hand(writer, Event(at(0), odd, State.FIRED, Reason.FIRST))
    problem = found(writer).alerts[0].problem
    assert (problem.value, problem.limit, problem.message) == (None, None, "? ?")


# --- what was told today ---


def midnight() -> float:
    """Seconds from NOW to the beginning of that day in New York, which is five hours behind UTC then."""
    return (datetime(2026, 11, 18, 5, tzinfo=UTC) - NOW).total_seconds()


def test_messages_of_this_day_that_count_are_counted_once_each(begin: Begin) -> None:
    writer, today = begin(), midnight()
    watch = {"severity": Severity.WATCH}
    told = [
        delivery(message=message("before", today - 1, **watch)),
        delivery(message=message("first", today, **watch), seconds=today),
        delivery(channel="email", message=message("first", today, **watch), seconds=today),
        delivery(message=message("second", 0, **watch)),
        delivery(message=message("loud", 0, Severity.CRITICAL)),
    ]
    told[0] = replace(told[0], created=at(today - 1), changed=at(today - 1))
    assert hand(writer, *told)
    assert hand(writer, sent(told[0], 5), sent(told[1], 5))
    assert found(writer).told_today == 2


@pytest.mark.parametrize(
    ("severity", "reason", "expected"),
    [
        (Severity.WATCH, "first notice", True),
        (Severity.UNKNOWN, "worsened", True),
        (Severity.BREACH, "first notice", False),
        (Severity.BREACH, "nobody acknowledged it for 5 min", False),
        (Severity.BREACH, "repeat due: told 3 times, nobody acknowledged it", True),
        (Severity.BREACH, "resolved", True),
        (Severity.CRITICAL, "repeat due: told 3 times, nobody acknowledged it", False),
        (Severity.WATCH, "in the digest, suppressed by quiet hours", False),
    ],
)
def test_what_counts_against_the_budget(severity: Severity, reason: str, *, expected: bool) -> None:
    told = message("m", 0, severity, reason=reason)
    assert counts(told) == expected
    assert not counts(replace(told, test=True))


def test_what_is_only_over_and_the_first_word_of_blindness_cost_nothing_of_it() -> None:
    warning = message("m", 0, Severity.UNKNOWN)
    over = replace(warning.lines[0], state=State.RESOLVED, reason="resolved")
    assert not counts(replace(warning, lines=(over,), resolved=True))
    assert counts(replace(warning, lines=(over, warning.lines[0])))
    assert not counts(replace(warning, lines=(replace(warning.lines[0], alert="margin_cushion account:IBKR •••4567"),)))


# --- what readers are shown ---

SHOWN = AlertsNow(NOW, told_today=3, budget=20, problem="nothing is sent", counts={"fired": 2})


def test_alerts_are_shown_to_readers_and_may_be_absent(tmp_path: Path, begin: Begin) -> None:
    names = [row.name for row in HEALTHY.snapshot.sources]
    first, second = begin(), begin(spool=tmp_path / "second")
    assert first.part(names).watches
    assert not second.part(names).watches
    for seconds, alerts in ((0, SHOWN), (5, None)):
        first.keep(moment(seconds), MATRIX_TEXT, HEALTHY.portfolio, memory=Memory(), alerts=alerts)
        expected = Published(moment(seconds), Memory(), alerts)
        assert eventually(lambda expected=expected: second.part(names).published == expected)


def test_alerts_of_another_version_do_not_hide_the_snapshot(tmp_path: Path, begin: Begin, kind: str) -> None:
    from guardrails.store.packing import packed  # noqa: PLC0415  # only what this test needs to write by hand

    names = [row.name for row in HEALTHY.snapshot.sources]
    first, second = begin(), begin(spool=tmp_path / "second")
    assert first.part(names).watches
    assert not second.part(names).watches
    first.keep(moment(0), MATRIX_TEXT, HEALTHY.portfolio, memory=Memory(), alerts=SHOWN)
    assert eventually(lambda: ask(tmp_path, "SELECT count(*) FROM latest") == [(1,)])
    content = packed(b'{"as_of": "later"}').hex()
    value = f"x'{content}'" if kind == "sqlite" else f"decode('{content}', 'hex')"
    change(tmp_path, f"UPDATE latest SET time = time + 1, alerts = {value}")  # noqa: S608  # the bytes above

    def shown() -> AlertsNow | None:
        published = second.part(names).published
        return None if published is None else published.alerts

    assert eventually(lambda: "another version" in getattr(shown(), "problem", ""))


# --- who watched before ---


def test_a_program_that_takes_over_from_a_dead_one_knows_its_name(tmp_path: Path, kind: str) -> None:
    database, passed = opened(tmp_path), [1_000.0]
    book = Book("b", "ibkr")
    first = Leases(database, Program("run-1", "desk", os.getpid()), monotonic=lambda: passed[0])
    second = Leases(database, Program("run-2", "laptop", os.getpid()), monotonic=lambda: passed[0])
    assert first.hold(book, NOW).died == ""
    assert second.hold(book, NOW).died == ""
    passed[0] += DEAD_SECONDS
    assert second.hold(book, NOW).died == f"desk, process {os.getpid()}"
    assert second.hold(book, NOW).died == ""  # told once
    second.give_back()
    assert (first.hold(book, NOW).writes, first.hold(book, NOW).died) == (True, "")
    database.close()


def test_the_part_of_a_program_says_whom_it_follows_until_it_ends(tmp_path: Path, begin: Begin, kind: str) -> None:
    database = opened(tmp_path)
    assert Leases(database, Program("run-0", "laptop", os.getpid())).hold(BOOK, NOW).writes
    second = begin(dead_seconds=0.3)
    assert eventually(lambda: second.part(SOURCES).watches)
    assert second.part(SOURCES).died == f"laptop, process {os.getpid()}"
    beats = ask(tmp_path, "SELECT beat FROM leases")
    assert eventually(lambda: ask(tmp_path, "SELECT beat FROM leases") > beats)
    assert second.part(SOURCES).died == f"laptop, process {os.getpid()}"
    second.stop(20)
    third = begin()
    assert eventually(lambda: third.part(SOURCES).watches)
    assert third.part(SOURCES).died == ""
    database.close()


# --- the page ---


def test_the_timeline_is_the_newest_first_and_bounded(begin: Begin, tmp_path: Path) -> None:
    writer, database = begin(), opened(tmp_path)
    assert hand(writer, fired("vega", 0), acknowledged("vega", 120), resolved("vega", 300))
    rows = alert_history.timeline(database, BOOK.key, at(0), at(300), 10)
    assert [(row.time, row.state, row.reason, row.author, row.words) for row in rows] == [
        (at(120), State.ACKNOWLEDGED, "acknowledged", "Ann", "rolling it"),
        (at(0), State.FIRED, "first notice", "", ""),
    ]
    assert (rows[0].alert, rows[0].check, rows[0].subject) == ("vega portfolio", "vega", "portfolio")
    assert (rows[0].severity, rows[0].message, rows[0].until) == (BREACH, "vega is over", None)
    assert [row.state for row in alert_history.timeline(database, BOOK.key, at(0), at(999), 1)] == [State.RESOLVED]
    assert alert_history.timeline(database, "other", at(0), at(999), 9) == []
    database.close()


def test_deliveries_are_as_they_stand_and_none_that_was_given_up_is_cut_off(begin: Begin, tmp_path: Path) -> None:
    writer, database = begin(), opened(tmp_path)
    told = [delivery(f"m{n}", seconds=n) for n in range(5)]
    dead = replace(told[0], state=DeliveryState.DEAD, attempts=2, detail="no such channel", changed=at(1))
    tried = replace(told[4], state=DeliveryState.FAILED, attempts=1, detail="HTTP 500", due=at(70), changed=at(20))
    assert hand(writer, *told)
    assert hand(writer, dead, tried)
    rows = alert_history.deliveries(database, BOOK.key, at(0), 2)
    assert [(row.key, row.state, row.attempts) for row in rows] == [
        ("m4 slack", DeliveryState.FAILED, 1),
        ("m3 slack", DeliveryState.WAITING, 0),
        ("m0 slack", DeliveryState.DEAD, 2),
    ]
    assert (rows[0].created, rows[0].changed, rows[0].due, rows[0].detail) == (at(4), at(20), at(70), "HTTP 500")
    assert rows[2].message == told[0].message
    assert rows[2].alerts == ("vega portfolio",)
    database.close()


def test_each_check_is_counted_by_its_alerts(begin: Begin, tmp_path: Path) -> None:
    """Vega fires three times: acknowledged after 2 and after 4 minutes, once not told; gamma before the range."""
    writer, database = begin(), opened(tmp_path)
    acted = replace(alert("vega", 1_000), acted=True)
    steps = [
        fired("gamma", -10), resolved("gamma", 5, since=-10),
        fired("vega", 0), acknowledged("vega", 120, since=0), acknowledged("vega", 500, since=0),
        resolved("vega", 600, since=0),
        fired("vega", 1_000), acknowledged("vega", 1_240, since=1_000),
        Event(at(1_300), acted, State.ACKNOWLEDGED, Reason.ACTED, "Ann"),
        fired("vega", 2_000, times_told=0, held=Reason.HELD_QUIET),
    ]  # fmt: skip
    assert hand(writer, *steps)
    assert alert_history.counts(database, BOOK.key, at(0)) == [
        alert_history.CheckCount("vega", fired=3, told=2, acknowledged=2, acted=1, median_minutes=3.0)
    ]
    database.close()


def test_reading_needs_no_writer(tmp_path: Path, kind: str) -> None:
    """The rows alone, as another program or a copy of the database has them."""
    database = opened(tmp_path)
    news = alert_news(BOOK, [fired()], [delivery()], Numbers("run"))
    with database.writing(durable=True) as connection:
        insert_proven(connection, news.rows)
    with database.reading() as connection:
        again = open_alerts(connection, BOOK.key, (), at(60))
        assert again == open_alerts(connection, BOOK.key, news.rows, at(60))  # rows may be in both
    assert again == OpenAlerts((fired().alert,), (delivery(),), 0)
    assert isinstance(again.alerts[0], Alert)
    database.close()


@pytest.mark.parametrize("hours", [1, 24 * 40])
def test_the_first_rows_in_a_torn_spool_are_the_messages(hours: int) -> None:
    """Should only the beginning have reached the disk, a message is sent again rather than lost."""
    news = alert_news(BOOK, [fired("vega", -hours * 3_600)], [delivery()], Numbers("run"))
    assert [name for name, _ in news.rows] == ["books", "deliveries", "alerts"]
    assert news.time == (NOW - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

"""The clock of the machine is set back: what is done after that is true at the next start, also between two runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from guardrails.alerts.values import Event
from guardrails.audit import verify_store
from guardrails.execution.values import Deed
from guardrails.findings import Level
from guardrails.orders import OrderState
from guardrails.safety import Cause, Safety, SafetyChange, SafetyState
from guardrails.store.books import book_of
from guardrails.store.history_deeds import deeds
from guardrails.store.history_findings import lanes
from guardrails.store.metadata import micros
from guardrails.store.writer import Writer
from tests import stored
from tests.alerted import acknowledged, fired, resolved
from tests.books import NOW
from tests.stored import Lock, eventually, finding, moment, on_server, opened
from tests.traded import at, record

SOURCES = ["ibkr"]
NORMAL, STOPPED = SafetyState.NORMAL, SafetyState.STOPPED


@contextmanager
def life(folder: Path, minutes: float, busy_seconds: float = 5.0) -> Iterator[Writer]:
    """One start of the program, by whose clock it is so many minutes after NOW."""
    database = opened(folder, busy_seconds)
    writer = Writer(
        database, folder / "spool", lambda: at(minutes), retry_seconds=0.02, beat_seconds=0.05, dead_seconds=0.2
    )
    writer.start()
    writer.open_deeds(SOURCES, "", NOW)
    yield writer
    writer.stop(20)
    database.close()


def hand(writer: Writer, *deeds: Deed) -> None:
    assert writer.hand_deeds(SOURCES, "", deeds).wait(20)


def change(old: SafetyState, new: SafetyState, minutes: float) -> SafetyChange:
    return SafetyChange(at(minutes), old, Safety(new, at(minutes), Cause.PERSON, "Ann", "lunch"))


def truth(writer: Writer) -> tuple[list[OrderState], SafetyState | None]:
    again = writer.open_deeds(SOURCES, "", NOW)
    return [one.state for one in again.orders], None if again.safety is None else again.safety.new.state


def test_what_is_done_after_the_clock_was_set_back_counts_at_the_next_start(tmp_path: Path, kind: str) -> None:
    with life(tmp_path, 60) as first:
        hand(first, record("g-1", OrderState.WORKING, 60), change(STOPPED, NORMAL, 60))
    with life(tmp_path, 0) as second:
        hand(second, record("g-1", OrderState.FILLED, 1, filled=2.0), change(NORMAL, STOPPED, 1))
        assert truth(second) == ([OrderState.FILLED], STOPPED)
    with life(tmp_path, 5) as third:
        assert truth(third) == ([OrderState.FILLED], STOPPED)
        hand(third, change(STOPPED, NORMAL, 6))
    with life(tmp_path, 7) as fourth:
        assert truth(fourth) == ([OrderState.FILLED], NORMAL)
    place = on_server(tmp_path)
    assert verify_store(tmp_path, None if place is None else place.url)[0] == 0


@pytest.mark.parametrize("minutes", [5, 90])
def test_what_was_set_after_the_clock_was_set_back_stands_on_the_time_line_when_it_was_set(
    tmp_path: Path, kind: str, minutes: float
) -> None:
    """Within the hour as well as behind it: who looks back must not see NORMAL where it was STOPPED."""
    with life(tmp_path, 60) as first:
        hand(first, change(STOPPED, NORMAL, 60))
    with life(tmp_path, 0) as second:
        hand(second, change(NORMAL, STOPPED, 1))
        hand(second, change(STOPPED, SafetyState.REDUCE_ONLY, 3))
    database = opened(tmp_path)
    with database.reading() as connection:
        found = deeds(connection, book_of(SOURCES).key, micros(at(0)), micros(at(minutes))).safety
    database.close()
    told = [(step.time, step.state) for step in found]
    assert told[-2:] == [(micros(at(1)), "STOPPED"), (micros(at(3)), "REDUCE_ONLY")]


def test_it_counts_also_against_rows_that_wait_on_the_disk(tmp_path: Path, kind: str) -> None:
    with life(tmp_path, 60, busy_seconds=0.05) as first:
        hand(first, record("g-1", OrderState.SENT, 60))
        lock = Lock(tmp_path)
        hand(first, record("g-1", OrderState.WORKING, 61))
        assert first.health().spooled
        left = (tmp_path / "spool" / "spool.jsonl").read_bytes()
        lock.release()
        assert eventually(lambda: first.health().spooled == 0)
    (tmp_path / "spool" / "spool.jsonl").write_bytes(left)  # as after a crash before the file was emptied
    with life(tmp_path, 0) as second:
        hand(second, record("g-1", OrderState.CANCELLED, 1))
    with life(tmp_path, 5) as third:
        assert truth(third) == ([OrderState.CANCELLED], None)


def tell(writer: Writer, *events: Event) -> None:
    assert writer.hand_alerts(SOURCES, "", events, []).wait(20)


def acknowledgements(writer: Writer) -> list[bool]:
    return [one.acknowledgement is not None for one in writer.open_alerts(SOURCES, "").alerts]


def test_what_became_of_an_alert_after_the_clock_was_set_back_counts_at_the_next_start(
    tmp_path: Path, kind: str
) -> None:
    """What somebody acknowledged by a clock that ran ahead is over; the same fired anew, and nobody has seen it."""
    with life(tmp_path, 600) as first:
        tell(first, fired(seconds=36_000), acknowledged(seconds=36_060, since=36_000))
    with life(tmp_path, 0) as second:
        assert acknowledgements(second) == [True]
        tell(second, resolved(seconds=1, since=36_000), fired(seconds=60))
    with life(tmp_path, 5) as third:
        assert acknowledgements(third) == [False]
        tell(third, acknowledged(seconds=360, since=60))
    with life(tmp_path, 10) as fourth:
        assert acknowledgements(fourth) == [True]


@pytest.mark.parametrize("goes_on", [True, False], ids=["while it runs", "between two runs"])
def test_a_breach_that_stood_when_the_clock_was_set_back_is_on_the_time_line(
    tmp_path: Path, kind: str, *, goes_on: bool
) -> None:
    """It was told by a clock that ran five hours ahead, and has not changed since: it must not wait for that hour."""
    breach = (finding(Level.BREACH),)
    with life(tmp_path, 300) as writer:
        stored.hand(writer, moment(18_000, findings=breach))
        if goes_on:
            stored.hand(writer, moment(10, findings=breach))
        assert writer.settled(20)
    with life(tmp_path, 1) as writer:
        stored.hand(writer, moment(60, findings=breach))
        assert writer.settled(20)
    book = book_of([source.name for source in moment().sources])
    begin, end = micros(at(0)), micros(at(5))
    database = opened(tmp_path)
    with database.reading() as connection:
        found, _ = lanes(connection, book.key, begin, end, [(begin, end)])
    database.close()
    seconds = {lane.check: lane.seconds(Level.BREACH) for lane in found}
    assert seconds["vega"] == (290 if goes_on else 240)
    place = on_server(tmp_path)
    assert verify_store(tmp_path, None if place is None else place.url)[0] == 0

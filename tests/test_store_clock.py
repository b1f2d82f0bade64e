"""The clock of the machine is set back: what is done after that is true at the next start, also between two runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from guardrails.audit import verify_store
from guardrails.execution.values import Deed
from guardrails.orders import OrderState
from guardrails.safety import Cause, Safety, SafetyChange, SafetyState
from guardrails.store.writer import Writer
from tests.books import NOW
from tests.stored import Lock, eventually, on_server, opened
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
    writer.stop()
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

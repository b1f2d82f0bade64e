"""What the pages say of the store: never that the history is kept while it is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from guardrails.health import Health
from guardrails.store.health import StoreHealth
from pages._kept import not_kept, store_lines
from tests.books import NOW

FINE = StoreHealth(
    queued=0, spooled=0, dropped=0, refused=0, lost=0, last_written=NOW - timedelta(seconds=5), keeps=True, problem=""
)


def said(store: StoreHealth | None, watched_by: str = "") -> tuple[str, str]:
    health = Health(
        alive=True, last_cycle=NOW, cycle_seconds=0.1, cycles=7, problems=(), store_writable=True, store=store,
        watched_by=watched_by,
    )  # fmt: skip
    return " ".join(store_lines(health, NOW)), not_kept(health)


def test_a_store_that_works_says_so_and_history_is_silent() -> None:
    assert said(FINE) == ("The history is kept: last written 5 s ago.", "")


@pytest.mark.parametrize(
    ("keeps", "begins"),
    [
        (True, "Not all of the history is kept now: "),
        (False, "The history is not kept now, and what waits in memory is lost when the program ends: "),
    ],
)
def test_a_store_in_trouble_does_not_claim_that_the_history_is_kept(keeps: bool, begins: str) -> None:  # noqa: FBT001  # a table's column
    stuck = replace(FINE, queued=260, spooled=5, dropped=6, keeps=keeps, problem="it is locked.")
    on_data, on_history = said(stuck)
    assert on_data == (
        f"{begins}last written 5 s ago; 260 waiting in memory, 5 on the disk; "
        "6 moments of telemetry were not kept since the start."
    )
    assert on_history == f"{begins}it is locked."


def test_without_a_store_and_as_a_reader_nothing_is_claimed() -> None:
    assert said(None) == ("No history is kept.", "")
    assert said(None, "desk-pc, process 4711")[0].startswith("desk-pc, process 4711 reads the brokers and writes")

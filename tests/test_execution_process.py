"""The program in a process of its own, killed with kill -9 in the middle of orders at a stand-in of TWS.

Every order was sent once, no execution is lost or counted twice, a flatten goes on where it ended, and the safety state
is the same; at length in `benchmarks.orders_crash`.
"""

from __future__ import annotations

from pathlib import Path

from tests.order_crashes import crash_many

SEED = 5
AIMS = ("wire after 1", "flatten send after 2")
"""once the bytes of an order are written and before anything is heard of it, and between two orders of a flatten"""


def test_a_program_that_is_killed_in_the_middle_of_orders_loses_nothing_and_sends_nothing_twice(tmp_path: Path) -> None:
    lives = list(crash_many(tmp_path, len(AIMS), SEED, aims=AIMS, kinds=("orders", "flatten")))
    assert [life.wrong for life in lives if life.wrong] == []
    assert [life.met for life in lives] == [True, True]
    assert lives[0].sent >= 1
    # two of the flatten had gone when it died; that it went on by itself until all was flat is among what is checked.
    # How many more that took depends on what the orders before had left
    assert lives[1].sent >= lives[0].sent + 2

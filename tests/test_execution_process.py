"""The program in a process of its own, killed with kill -9 in the middle of orders at a stand-in of TWS.

Every order was sent once, no execution is lost or counted twice, and the safety state is the same; at length in
`benchmarks.orders_crash`.
"""

from __future__ import annotations

from pathlib import Path

from tests.order_crashes import crash_many

KILLS, SEED = 2, 3


def test_a_program_that_is_killed_in_the_middle_of_orders_loses_nothing_and_sends_nothing_twice(tmp_path: Path) -> None:
    lives = list(crash_many(tmp_path, KILLS, SEED))
    assert len(lives) == KILLS
    assert lives[-1].sent > 0
    assert [life.wrong for life in lives if life.wrong] == []

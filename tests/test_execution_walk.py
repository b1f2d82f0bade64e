"""A thousand steps of chance on rough lines: nothing twice, nothing lost, nothing that lives is shown as over.

At length: `python -m tests.order_walk 100 400` walks a hundred seeds.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.order_walk import walk

SEEDS, STEPS = range(10), 100


def test_after_a_thousand_steps_of_chance_the_program_knows_what_the_venue_knows(tmp_path: Path) -> None:
    walks = walk(tmp_path, SEEDS, STEPS)
    done = sum((one.done for one in walks), Counter[str]())
    assert done.total() == 1_000
    assert min(done.values()) >= 10, done  # every kind of step was taken
    assert sum(len(one.exchange.log) for one in walks) > 60
    assert sum(len(one.exchange.fills) for one in walks) > 60

"""Long runs of the store under faults; each prints rows of the table, exit code 1 when a goal is missed.

python -m benchmarks.store_faults kills 200      # kill -9, half of them within a transaction; --on PostgreSQL too
python -m benchmarks.store_faults hang 60        # the database hangs for so many seconds under a running engine
python -m benchmarks.store_faults two 25         # the first of two programs is killed; or asleep for 25 s
python -m benchmarks.store_faults soak 10        # so many minutes of writing, rolling up and reading
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.store_hang import hang
from benchmarks.store_soak import soak
from benchmarks.store_two import two
from benchmarks.timing import Row
from tests.store_deaths import kill_many

SEED = 20261121
KINDS = ("SQLite", "PostgreSQL")


def kills(count: int, kind: str) -> Iterator[Row]:
    """Kill a writer `count` times, start again, and look at what the database holds."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # the server of the tests runs as somebody else
        lives = list(kill_many(Path(folder), count, SEED, kind.lower().replace("postgresql", "postgres")))
    inside, spooled = sum(life.inside for life in lives), sum(life.spooled > 0 for life in lives)
    acknowledged = sum((Counter(life.acknowledged) for life in lives), Counter[str]())
    stored = sum((Counter(life.stored) for life in lives), Counter[str]())
    asked = acknowledged.pop("requests", 0)
    wrong = [line for life in lives for line in life.wrong]
    told = f"{acknowledged.total():,} rows of {len(acknowledged)} tables acknowledged, {stored.total():,} stored, "
    told += f"{asked} requests handed out"
    bad = "".join(f"; {line}" for line in wrong[:3])
    name = f"{kind}: {count} times kill -9, {inside} within a transaction, {spooled} with rows in the spool only"
    yield Row(name, f"{told}; {len(wrong)} lost, out of order, or not proven{bad}", "none", not wrong)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store_faults", description=__doc__)
    parser.add_argument("run", choices=("kills", "hang", "two", "soak"))
    parser.add_argument("much", type=int, help="times, seconds or minutes")
    parser.add_argument("--on", choices=KINDS, action="append", help="one kind of database; by default both")
    options = parser.parse_args()
    logging.disable()
    missed = False
    for kind in options.on or KINDS:
        run = {"kills": kills, "hang": hang, "two": two, "soak": soak}[options.run]
        for row in run(options.much, kind):
            print(row, flush=True)
            missed = missed or row.met is False
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())

"""kill -9 in the middle of orders, again and again; prints rows of the table, exit code 1 when something was wrong.

python -m benchmarks.orders_crash 40                      # so many times, on SQLite
python -m benchmarks.orders_crash 20 --on PostgreSQL      # and on a server of its own

Each life is told on standard error as it ends, and the rows also when it is cut short by Ctrl-C or --minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.timing import Row
from tests.order_crashes import Life, crash_many
from tests.postgres import start_server

SEED = 20261122
KINDS = ("SQLite", "PostgreSQL")


def rows(kind: str, lives: list[Life]) -> Iterator[Row]:
    """What came of all of them."""
    wrong = [line for life in lives for line in life.wrong]
    doubted, restarts = sum(life.doubted for life in lives), sum(life.restarts for life in lives)
    told = f"{lives[-1].sent} orders sent once each, {doubted} in doubt that never arrived; {len(wrong)} things wrong"
    bad = "".join(f"; {line}" for line in wrong[:3])
    killed = f"{kind}: {len(lives)} times kill -9 in the middle of orders, {restarts} more on the way back"
    yield Row(killed, f"{told}{bad}", "none", not wrong)
    met = Counter(life.aim.rpartition(" ")[0] for life in lives if life.met)
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(Counter(life.kind for life in lives).items()))
    steps = f"{sum(met.values())} at {len(met)} named steps, {len(lives) - sum(met.values())} at any moment; {kinds}"
    seconds = sorted(life.seconds for life in lives)[len(lives) // 2]
    yield Row(f"{kind}: where they died", steps, "", None)
    yield Row(f"{kind}: one life and the look at what it left, median", f"{seconds:.1f} s", "", None)


def _line(number: int, life: Life) -> str:
    where = f"at `{life.aim}`" if life.met else "at a moment"
    told = "; ".join(life.wrong) or "nothing wrong"
    return f"{time.strftime('%T')} {number}: {life.kind} {where}, {life.seconds:.0f} s, {life.sent} sent: {told}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orders_crash", description=__doc__)
    parser.add_argument("kills", type=int, help="how many times")
    parser.add_argument("--on", choices=KINDS, default=KINDS[0], help="the kind of database")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--minutes", type=float, default=60.0, help="no life begins after so many")
    parser.add_argument("--folder", type=Path, help="the data folder, which is then kept")
    options = parser.parse_args()
    lives: list[Life] = []
    end = time.monotonic() + 60.0 * options.minutes
    with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory() as folder, _url(options.on) as url:
        for life in crash_many(options.folder or Path(folder), options.kills, options.seed, url):
            lives.append(life)
            print(_line(len(lives), life), file=sys.stderr, flush=True)
            if time.monotonic() > end:
                break
    told = list(rows(options.on, lives)) if lives else []
    for row in told:
        print(row, flush=True)
    return int(not told or any(row.met is False for row in told))


@contextmanager
def _url(kind: str) -> Iterator[str]:
    """DATABASE_URL of a new server; empty for a file."""
    if kind == KINDS[0]:
        yield ""
        return
    server = start_server()
    try:
        yield server.url(server.fresh("template0"))
    finally:
        server.remove()


if __name__ == "__main__":
    sys.exit(main())

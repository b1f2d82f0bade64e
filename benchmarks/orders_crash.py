"""kill -9 in the middle of orders, again and again; prints a row of the table, exit code 1 when something was wrong.

python -m benchmarks.orders_crash 40                      # so many times, on SQLite
python -m benchmarks.orders_crash 20 --on PostgreSQL      # and on a server of its own
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.timing import Row
from tests.order_crashes import Life, crash_many
from tests.postgres import start_server

SEED = 20261122
KINDS = ("SQLite", "PostgreSQL")


def row(kind: str, lives: list[Life]) -> Row:
    """What came of all of them."""
    wrong = [line for life in lives for line in life.wrong]
    sent, doubted = lives[-1].sent, sum(life.doubted for life in lives)
    told = f"{sent} orders sent once each, {doubted} in doubt that never arrived; {len(wrong)} things wrong"
    bad = "".join(f"; {line}" for line in wrong[:3])
    return Row(f"{kind}: {len(lives)} times kill -9 in the middle of orders", f"{told}{bad}", "none", not wrong)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orders_crash", description=__doc__)
    parser.add_argument("kills", type=int, help="how many times")
    parser.add_argument("--on", choices=KINDS, default=KINDS[0], help="the kind of database")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    lives: list[Life] = []
    with tempfile.TemporaryDirectory() as folder, _url(options.on) as url:
        for number, life in enumerate(crash_many(Path(folder), options.kills, options.seed, url)):
            print(f"{number + 1}: {life.sent} sent, {'; '.join(life.wrong) or 'nothing wrong'}", file=sys.stderr)
            lives.append(life)
    told = row(options.on, lives)
    print(told)
    return int(told.met is False)


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

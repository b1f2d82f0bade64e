"""Ten minutes of faults, one every five seconds: does anything grow? `python -m benchmarks.soak --minutes 10`.

Against the stand-in of `gateway.py`. Figures are taken at rest (mended, live for two seconds, garbage collected) after
the first minute and then each minute. Two laws are watched on the way: never live with less than the whole book, and
always live again. `--trace` tells which lines of code hold more memory at the end than after the first minute.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import random
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass

from benchmarks.gateway import Probed, StandIn, reading
from benchmarks.live import LIVE, LOOK_SECONDS, RESOURCES, RSS_GROWTH, Resources, is_live, resources, told, until
from guardrails.engine import Engine

OPTIONS = 100
FAULT_SECONDS = 5.0
REST_SECONDS = 2.0
BACK_SECONDS = 90.0
SEED = 20261121


@dataclass(frozen=True, slots=True)
class Figures:
    """What the process holds at one moment of rest."""

    seconds: float
    faults: int
    held: Resources


class Soak:
    """One run; `wrong` collects what must never be."""

    def __init__(self, stand: StandIn, engine: Engine, source: Probed) -> None:
        self.stand, self.engine, self.source = stand, engine, source
        self.began = time.perf_counter()
        self.done: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.back: dict[str, float] = {}
        """the longest time each fault took to be live again, from its mending"""

    def watch(self, seconds: float) -> None:
        """Look at every Snapshot for so long."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.look()
            time.sleep(LOOK_SECONDS)

    def look(self) -> None:
        latest = self.engine.latest
        if latest is not None and told(latest).state in LIVE and len(latest.positions) != OPTIONS:
            self.wrong[f"live with {len(latest.positions)} of {OPTIONS} positions"] += 1
        for problem in self.engine.health().problems:
            self.wrong[problem] += 1

    def once(self, name: str, fault: Callable[[Soak], None]) -> None:
        """Have one fault, mend everything, and wait for what is left of the five seconds."""
        began = time.perf_counter()
        fault(self)
        self.mend()
        self.done[name] += 1
        mended = time.perf_counter()
        while not is_live(self.engine.latest, OPTIONS) and time.perf_counter() - mended < BACK_SECONDS:
            self.look()
            time.sleep(LOOK_SECONDS)
        self.back[name] = max(self.back.get(name, 0.0), time.perf_counter() - mended)
        if self.back[name] >= BACK_SECONDS:
            self.wrong[f"not live {BACK_SECONDS:.0f} s after {name}"] += 1
        self.watch(FAULT_SECONDS - (time.perf_counter() - began))

    def mend(self) -> None:
        self.stand.tell("silence", False)  # noqa: FBT003  # the stand-in's own way to say it
        self.stand.tell("mend")
        self.stand.tell("listen")

    def figures(self) -> Figures:
        """Taken at rest."""
        until(self.engine, lambda snapshot: is_live(snapshot, OPTIONS), BACK_SECONDS)
        self.watch(REST_SECONDS)
        gc.collect()
        return Figures(time.perf_counter() - self.began, sum(self.done.values()), resources(self.source.loop))


def _drop(soak: Soak) -> None:
    soak.stand.tell("drop")
    until(soak.engine, lambda snapshot: told(snapshot).state not in LIVE, FAULT_SECONDS)


def _refuse(soak: Soak) -> None:
    soak.stand.tell("refuse")
    soak.stand.tell("drop")
    soak.watch(2.0)


def _half_open(soak: Soak) -> None:
    soak.stand.tell("silence", True)  # noqa: FBT003  # as above
    soak.watch(3.0)


def _notices(first: int, last: int) -> Callable[[Soak], None]:
    def fault(soak: Soak) -> None:
        soak.stand.tell("say", first)
        soak.watch(1.5)
        soak.stand.tell("say", last)

    return fault


def _having(name: str, lasting: float, *, anew: bool, **how: object) -> Callable[[Soak], None]:
    """A named fault for so long, with a new connection on top when only that asks again."""

    def fault(soak: Soak) -> None:
        soak.stand.tell("fault", name, **how)
        if anew:
            soak.stand.tell("drop")
        soak.watch(lasting)

    return fault


FAULTS: dict[str, Callable[[Soak], None]] = {
    "drop": _drop,
    "refuse": _refuse,
    "half_open": _half_open,
    "link_kept": _notices(1100, 1102),
    "link_data_lost": _notices(1100, 1101),
    "farm": _notices(2103, 2104),
    "mute_positions": _having("mute_positions", 3.0, anew=True),
    "empty_positions": _having("empty_positions", 3.0, anew=True),
    "nan_greeks": _having("nan_greeks", 2.0, anew=False),
    "no_permission": _having("no_permission", 2.0, anew=True, code=354),
    "slow": _having("slow", 3.0, anew=True, seconds=0.5),
}


def soak(minutes: float, *, trace: bool = False) -> tuple[list[Figures], Soak]:
    """The figures of every minute, and the run."""
    chance = random.Random(SEED)  # noqa: S311  # the same faults every time, not a secret
    with StandIn(OPTIONS, lines=200) as stand, reading(stand.port, lines=150) as (engine, source):
        stand.tell("stream", 2.0, walk=True)
        until(engine, lambda snapshot: is_live(snapshot, OPTIONS))
        run, table = Soak(stand, engine, source), list[Figures]()
        for minute in range(1, max(2, round(minutes)) + 1):
            while time.perf_counter() - run.began < 60.0 * minute - REST_SECONDS:
                name = chance.choice(sorted(FAULTS))
                run.once(name, FAULTS[name])
            table.append(run.figures())
            print(json.dumps(asdict(table[-1])), file=sys.stderr, flush=True)
            if trace and minute == 1:
                tracemalloc.start(12)
                first = tracemalloc.take_snapshot()
        if trace:
            grown = tracemalloc.take_snapshot().compare_to(first, "lineno")
            print("\n".join(str(line) for line in grown[:25]), file=sys.stderr)
    return table, run


def grown(table: list[Figures]) -> list[str]:
    """Names of the figures that are higher at the end than after the first minute."""
    first, last = table[0].held, table[-1].held
    names = [name for name in ("tasks", "threads", "sockets", "files") if getattr(last, name) > getattr(first, name)]
    return [*names, *(["rss_mb"] if last.rss_mb > first.rss_mb * RSS_GROWTH else [])]


def report(table: list[Figures], run: Soak) -> str:
    """The table in Markdown and what went wrong."""
    lines = [f"| {row.seconds:.0f} | {row.faults} | {row.held} |" for row in table]
    had = ", ".join(f"{name} {count} ({run.back[name]:.1f} s)" for name, count in sorted(run.done.items()))
    wrong = "; ".join(f"{text} ({count})" for text, count in sorted(run.wrong.items()))
    return "\n".join([
        f"{os.cpu_count()} cores, seed {SEED}.",
        "",
        f"| second | faults so far | {RESOURCES} |",
        "|---|---|---|---|---|---|---|",
        *lines,
        "",
        f"Faults, and the longest time from mending until live again: {had}.",
        f"Grown: {', '.join(grown(table)) or 'nothing'}. Wrong: {wrong or 'nothing'}.",
    ])  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("ib_async").setLevel(logging.CRITICAL)  # it words every attempt that fails as an error
    table, run = soak(options.minutes, trace=options.trace)
    print(report(table, run))
    return int(bool(grown(table) or run.wrong))


if __name__ == "__main__":
    sys.exit(main())

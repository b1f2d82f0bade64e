"""Ten minutes of faults at tastytrade, one every five seconds: `python -m benchmarks.tastytrade_soak --minutes 10`.

Every fault of the stand-in's table may come, and connections lost, refused and silent. Figures are taken at rest
(mended, all Greeks there for two seconds, garbage collected) at the start and then each minute. Three laws
are watched: never live with another than the whole book, always live again, never a second quote socket.
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
from collections import Counter
from dataclasses import asdict, dataclass

from adapters.tastytrade.login import Session
from benchmarks.live import LIVE, LOOK_SECONDS, RESOURCES, RSS_GROWTH, Resources, resources, told, until
from benchmarks.tastytrade_book import ACCOUNTS, StandIn
from benchmarks.tastytrade_faults import NAMES, SETTINGS, have, mend
from benchmarks.tastytrade_reader import Probed, ahead, has_greeks, reading
from guardrails.engine import Engine
from guardrails.findings import Level
from guardrails.snapshot import Snapshot

OPTIONS = 200
FAULT_SECONDS, LASTING_SECONDS, ASKING_SECONDS, REST_SECONDS, BACK_SECONDS = 5.0, 3.5, 0.7, 2.0, 150.0
SEED = 20261123
FIRST_HELD = -2
"""contracts of the book's first option, in its first account"""
MOST_THREADS = 2 + min(32, (os.cpu_count() or 1) + 4)
"""the main one, the engine's, and the workers asyncio makes as they are needed and keeps"""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the process holds at one moment of rest, and what the stand-in has counted by then."""

    seconds: float
    faults: int
    held: Resources
    sessions: int
    """of the SDK, alive in this process"""
    logins: int
    quote_sockets: int
    """open at the stand-in now"""
    most_quote_sockets: int
    all_quote_sockets: int


@dataclass(slots=True)
class Dark:
    """A time without the whole book, live, with all Greeks."""

    began: float
    faults: list[str]
    """had in it, in order"""
    seconds: float = 0.0


class Soak:
    """One run; `wrong` collects what must never be."""

    def __init__(self, stand: StandIn, engine: Engine, source: Probed) -> None:
        self.stand, self.engine, self.source = stand, engine, source
        self.began = time.perf_counter()
        self.done: Counter[str] = Counter()
        self.shown: Counter[str] = Counter()
        """how often a fault could be seen in a Snapshot before the next began"""
        self.wrong: Counter[str] = Counter()
        """Snapshots in which it was so"""
        self.dark: list[Dark] = []
        self.now = "the start"
        self._seen, self._shows = engine.latest, False
        assert self._seen is not None  # it is live
        self._held = {(row.account, row.key): row.quantity for row in self._seen.positions}
        self._lost: Dark | None = None

    def watch(self, seconds: float) -> None:
        """Look at every Snapshot for so long."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.look()
            time.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Judge the latest Snapshot, once."""
        latest = self.engine.latest
        if latest is None or latest is self._seen:
            return
        self._seen = latest
        said, whole = told(latest), has_greeks(latest, OPTIONS)
        self._shows |= not whole or bool(said.warnings) or any(one.works is False for one in said.streams)
        if said.state in LIVE and (mistake := self._mistake(latest)):
            self.wrong[f"live with {mistake} ({self.now})"] += 1
        for problem in self.engine.health().problems:
            self.wrong[f"{problem} ({self.now})"] += 1
        if not whole and self._lost is None:
            self._lost = Dark(time.perf_counter(), [self.now])
        elif whole and self._lost is not None:
            self._lost.seconds = time.perf_counter() - self._lost.began
            self.dark.append(self._lost)
            self._lost = None

    def _mistake(self, latest: Snapshot) -> str:
        """What differs from what is held and is not marked as unknown; nothing when it is the whole book."""
        rows = latest.positions
        apart = len({(row.account, row.key) for row in rows})
        if (len(rows), apart) != (OPTIONS, OPTIONS):
            return f"{len(rows)} rows, {apart} of {OPTIONS} positions"
        plain = [row for row in rows if row.level is not Level.UNKNOWN]
        other = sum(self._held.get((row.account, row.key)) != row.quantity for row in plain)
        return f"{other} rows that are not held so" if other else ""

    def once(self, name: str, how: dict[str, object]) -> None:
        """Have one fault and mend it, five seconds in all, whether it is over by then or not."""
        began, self.now, self._shows = time.perf_counter(), name, False
        if self._lost is not None:
            self._lost.faults.append(name)
        have(self.stand, name, how)
        while time.perf_counter() - began < LASTING_SECONDS:
            self.ask()
            self.watch(ASKING_SECONDS)
        mend(self.stand)
        self.done[name] += 1
        self.watch(FAULT_SECONDS - (time.perf_counter() - began))
        self.shown[name] += self._shows

    def ask(self) -> None:
        """Make a fault of any read felt: announce a position as it is, and a balance, and have all else read again."""
        self.stand.tell("set_position", ACCOUNTS[0], "option0", FIRST_HELD)
        self.stand.tell("set_balance", ACCOUNTS[0])
        self.source.read_again()

    def figures(self) -> Figures:
        """Taken at rest."""
        end = time.perf_counter() + BACK_SECONDS
        while self._lost is not None and time.perf_counter() < end:
            self.look()
            time.sleep(LOOK_SECONDS)
        if self._lost is not None:
            self.wrong[f"not live after {BACK_SECONDS:.0f} s of rest"] += 1
        self.now = "rest"
        self.watch(REST_SECONDS)
        gc.collect()
        most = self.stand.tell("most_sockets")["dxlink"]
        if most > 1:
            self.wrong[f"{most} quote sockets at once"] = 1
        return Figures(
            seconds=time.perf_counter() - self.began,
            faults=sum(self.done.values()),
            held=resources(self.source.loop),
            sessions=sum(type(one) is Session for one in gc.get_objects()),
            logins=self.stand.tell("tokens"),
            quote_sockets=self.stand.tell("sockets")["dxlink"],
            most_quote_sockets=most,
            all_quote_sockets=self.stand.tell("all_sockets")["dxlink"],
        )


def soak(minutes: float) -> tuple[list[Figures], Soak]:
    """The figures at the start and of every minute, and the run. Every fault comes once before any comes again."""
    chance, names = random.Random(SEED), list[str]()  # noqa: S311  # the same faults every time, not a secret
    by = ahead()
    with StandIn(OPTIONS, by) as stand, reading(stand.port, by) as (engine, source):
        stand.tell("stream", per_symbol=2.0, walk=True)
        until(engine, lambda snapshot: has_greeks(snapshot, OPTIONS))
        run = Soak(stand, engine, source)
        table = [_noted(run.figures())]
        for minute in range(1, max(2, round(minutes)) + 1):
            while time.perf_counter() - run.began < 60.0 * minute - REST_SECONDS:
                if not names:
                    names = chance.sample(NAMES, len(NAMES))
                name = names.pop()
                run.once(name, chance.choice(SETTINGS.get(name, [{}])))
            table.append(_noted(run.figures()))
        if mistakes := stand.tell("mistakes"):
            run.wrong[f"the stand-in itself went wrong: {mistakes}"] = 1
    return table, run


def _noted(figures: Figures) -> Figures:
    print(json.dumps(asdict(figures)), file=sys.stderr, flush=True)
    return figures


def grown(table: list[Figures]) -> list[str]:
    """Names of the figures that are higher at the end than both at the start and after two minutes.

    Two moments, because how many connections the client keeps warm, and whether the announcements are connected just
    then, changes from one rest to the next.
    """
    begun, first, last = table[0], table[min(2, len(table) - 2)], table[-1]
    more = [
        name
        for name in ("tasks", "sockets", "files")
        if getattr(last.held, name) > max(getattr(begun.held, name), getattr(first.held, name))
    ]
    more += ["sessions"] if last.sessions > 1 else []
    more += ["threads"] if last.held.threads > MOST_THREADS else []
    return [*more, *(["rss_mb"] if last.held.rss_mb > first.held.rss_mb * RSS_GROWTH else [])]


def report(table: list[Figures], run: Soak) -> str:
    """The table in Markdown and what went wrong."""
    lines = [
        f"| {row.seconds:.0f} | {row.faults} | {row.held} | {row.sessions} | {row.logins} "
        f"| {row.quote_sockets} now, {row.most_quote_sockets} at most, {row.all_quote_sockets} in all |"
        for row in table
    ]
    had = ", ".join(f"{name} {run.shown[name]} of {count}" for name, count in sorted(run.done.items()))
    longest = sorted(run.dark, key=lambda one: -one.seconds)[:12]
    dark = "; ".join(f"{one.seconds:.1f} s ({', '.join(one.faults)})" for one in longest)
    wrong = "; ".join(f"{text} ({count})" for text, count in sorted(run.wrong.items()))
    return "\n".join([
        f"{os.cpu_count()} cores, seed {SEED}.",
        "",
        f"| second | faults so far | {RESOURCES} | sessions | logins | quote sockets |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *lines,
        "",
        f"Faults, and how many of each could be seen in a Snapshot: {had}.",
        f"{len(run.dark)} times dark, {sum(one.seconds for one in run.dark):.0f} s in all, the longest: {dark}.",
        f"Never had: {', '.join(sorted(set(NAMES) - run.done.keys())) or 'none'}.",
        f"Grown: {', '.join(grown(table)) or 'nothing'}. Wrong: {wrong or 'nothing'}.",
    ])  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tastytrade_soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # every fault is worded many times; what counts is in the Snapshots
    table, run = soak(options.minutes)
    print(report(table, run))
    return int(bool(grown(table) or run.wrong))


if __name__ == "__main__":
    sys.exit(main())

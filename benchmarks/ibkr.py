"""IBKR live: seconds to the first whole Snapshot, cost of streaming quotes, seconds until a drop shows and is over.

The real engine with the real client library in this process, the stand-in of `gateway.py` in another. Everything is
read from `engine.latest`, as a page does.
"""

from __future__ import annotations

import gc
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import ib_async

from benchmarks.gateway import StandIn, reading
from benchmarks.live import ROOT, is_live, lags, on_loop, profiled, spent, told, until
from benchmarks.timing import Row, ms
from guardrails.engine import Engine
from guardrails.snapshot import Snapshot

HELD, STREAMED = 200, 100
STARTS, REPETITIONS = 5, 20
WATCHED_SECONDS = 30.0
SETTLING_SECONDS = 5.0
OUTAGE_SECONDS = (0.5, 2.5)
"""how long the stand-in stays away after a drop has shown: any moment of our own knocking"""
GIVEN_UP_SECONDS = 8.0
"""half-open for longer than the session is kept"""
IN_TURNS = "refreshed in turns"
ROTATING_AT_ONCE = 20
"""of 100 lines a fifth goes round, and as many may just have been given back"""
DARK = ("stale", "down", "connecting")
LAG_GOAL_MS, CPU_GOAL = 50.0, 15.0


def live() -> list[Row]:
    """All rows of this part."""
    return [*start(), *streaming(), *rotation(), *drops(), *half_open()]


def start() -> list[Row]:
    """From nothing to 200 positions with the money of both accounts, and to the Greeks of all fixed lines."""
    warm, fixed, cold = [], [], []
    with StandIn(HELD) as stand:
        for _ in range(STARTS):
            began = time.perf_counter()
            with reading(stand.port) as (engine, _):
                until(engine, whole)
                warm.append(time.perf_counter() - began)
                until(engine, all_fixed_have_greeks)
                fixed.append(time.perf_counter() - began)
        for _ in range(STARTS):
            began = time.perf_counter()
            command = [sys.executable, "-c", f"import benchmarks.ibkr as one; one.once({stand.port})"]
            subprocess.run(command, cwd=ROOT, check=True)
            cold.append(time.perf_counter() - began)
    what = f"{HELD} positions, %s to the first synchronised Snapshot, worst of {STARTS}"
    return [
        Row(what % "engine start", f"{max(warm):.2f} s", "< 3 s", max(warm) < 3.0),
        Row(what % "new process", f"{max(cold):.2f} s", "< 3 s", max(cold) < 3.0),
        Row("and until every line of its own has Greeks", f"{max(fixed):.2f} s"),
    ]


def once(port: int) -> None:
    """Start, be synchronised, stop: what a new process is timed on."""
    with reading(port) as (engine, _):
        until(engine, whole)


def whole(snapshot: Snapshot) -> bool:
    return is_live(snapshot, HELD)


def all_fixed_have_greeks(snapshot: Snapshot) -> bool:
    """Whether every option that need not take turns shows the broker's Greeks, once it is known who must."""
    fixed = [row for row in snapshot.positions if not any(IN_TURNS in note for note in row.notes)]
    return 0 < len(fixed) < len(snapshot.positions) and all(row.greeks_source == "ibkr" for row in fixed)


def streaming() -> list[Row]:
    """Lag of the engine's loop and share of one core, quiet, at 50 updates a second in all, and at 50 for each line."""
    rows = []
    with StandIn(STREAMED, lines=200) as stand, reading(stand.port, lines=150) as (engine, source):
        until(engine, every_option_streams)
        lines = STREAMED + 13
        for what, rate in (("no updates", 0.0), ("50 updates/s in all", 50 / lines), ("50 updates/s each", 50.0)):
            stand.tell("stream", rate, walk=True)
            time.sleep(SETTLING_SECONDS)
            share = core_share(WATCHED_SECONDS)
            late = on_loop(source.loop, lags(WATCHED_SECONDS), WATCHED_SECONDS + 30.0)
            assert is_live(engine.latest, STREAMED)
            half, most = statistics.median(late), statistics.quantiles(late, n=100)[98]
            goals = ("", "") if not rate else (f"p99 < {LAG_GOAL_MS:.0f} ms", f"< {CPU_GOAL:.0f} % of one core")
            label = f"{STREAMED} options, {what}"
            lagged = f"p50 {ms(half * 1000)}, p99 {ms(most * 1000)}, worst {ms(max(late) * 1000)}"
            rows += [
                Row(f"{label}: engine loop lag", lagged, goals[0], most * 1000 < LAG_GOAL_MS if rate else None),
                Row(f"{label}: process", f"{share:.1f} % of one core", goals[1], share < CPU_GOAL if rate else None),
            ]
    return rows


def every_option_streams(snapshot: Snapshot) -> bool:
    return is_live(snapshot, STREAMED) and all(row.greeks_source == "ibkr" for row in snapshot.positions)


def rotation() -> list[Row]:
    """What the client library keeps of the options that take turns, on one connection that is never lost.

    The soak cannot show it: each of its faults ends a session, and with it what the session kept.
    """
    with StandIn(HELD) as stand, reading(stand.port) as (engine, _):
        stand.tell("stream", 1.0, walk=True)
        until(engine, whole)
        time.sleep(3 * SETTLING_SECONDS)
        before = tickers()
        time.sleep(WATCHED_SECONDS)
        after = tickers()
    what = f"{HELD} options on 100 lines, growth of tickers kept over {WATCHED_SECONDS:.0f} s"
    return [Row(what, f"{before} to {after}", "none", after <= before + ROTATING_AT_ONCE)]


def tickers() -> int:
    """Tickers of the client library alive in this process."""
    gc.collect()
    return sum(type(one) is ib_async.Ticker for one in gc.get_objects())


def core_share(seconds: float) -> float:
    """Percent of one core this process uses, the stand-in not counted."""
    before, began = spent(), time.perf_counter()
    time.sleep(seconds)
    return (spent() - before) / (time.perf_counter() - began) * 100.0


def profile(seconds: float = 20.0) -> str:
    """Where the engine's own thread spends its time at 50 updates a second for each of 100 options."""
    with StandIn(STREAMED, lines=200) as stand, reading(stand.port, lines=150) as (engine, source):
        until(engine, every_option_streams)
        stand.tell("stream", 50.0, walk=True)
        time.sleep(SETTLING_SECONDS)
        return profiled(source.loop, seconds)


def drops() -> list[Row]:
    """The connection is reset and new ones are refused; some seconds later the stand-in listens again."""

    def lose(stand: StandIn) -> None:
        stand.tell("refuse")
        stand.tell("drop")

    return outages("dropped and refused", lose, lambda stand: stand.tell("listen"))


def half_open() -> list[Row]:
    """The other side falls silent with the socket open; and for so long that the session is given up."""

    def lose(stand: StandIn) -> None:
        stand.tell("silence", True)  # noqa: FBT003  # the stand-in's own way to say it

    def mend(stand: StandIn) -> None:
        stand.tell("silence", False)  # noqa: FBT003  # as above

    long = (GIVEN_UP_SECONDS, GIVEN_UP_SECONDS + 4.0)
    return [
        *outages("half-open", lose, mend),
        *outages("half-open until given up", lose, mend, count=REPETITIONS // 4, away=long),
    ]


def outages(
    what: str,
    lose: Callable[[StandIn], None],
    mend: Callable[[StandIn], None],
    *,
    count: int = REPETITIONS,
    away: tuple[float, float] = OUTAGE_SECONDS,
) -> list[Row]:
    """Seconds until a Snapshot says so, and from the end of the outage until a Snapshot is live and whole again."""
    chance, marked, back = random.Random(17), [], []  # noqa: S311  # the same moments every time, not a secret
    with StandIn(HELD) as stand, reading(stand.port) as (engine, _):
        stand.tell("stream", 1.0, walk=True)
        until(engine, whole)
        for _ in range(count):
            time.sleep(chance.uniform(1.0, 2.5))
            marked.append(timed(engine, stand, lose, lambda snapshot: told(snapshot).state in DARK))
            time.sleep(chance.uniform(*away))
            back.append(timed(engine, stand, mend, whole))
    return [outage(f"{what}: until a Snapshot says so", marked), outage(f"{what}: from its end until live", back)]


def timed(engine: Engine, stand: StandIn, act: Callable[[StandIn], None], holds: Callable[[Snapshot], bool]) -> float:
    began = time.perf_counter()
    act(stand)
    until(engine, holds)
    return time.perf_counter() - began


def outage(what: str, taken: list[float]) -> Row:
    measured = f"worst {max(taken):.2f} s, median {statistics.median(taken):.2f} s of {len(taken)}"
    return Row(what, measured, "< 2 s", max(taken) < 2.0)

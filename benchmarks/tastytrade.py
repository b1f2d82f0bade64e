"""tastytrade live: seconds to the first Greeks, and the cost of streaming.

The stand-in has a process of its own (`tastytrade_book.py`); what reads it is in `tastytrade_reader.py`. Clocks of both
are moved to 11:00 in New York of the next session. Everything about the engine is read from `engine.latest`.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from benchmarks.live import ROOT, is_live, lags, on_loop, profiled, spent, until
from benchmarks.tastytrade_book import LARGEST, StandIn, book
from benchmarks.tastytrade_outages import outages
from benchmarks.tastytrade_reader import HELD, SETTLING_SECONDS, ahead, has_greeks, reading
from benchmarks.timing import Row, ms
from guardrails.calendar import exchange_date

STARTS, ROUNDS = 5, 3
WATCHED_SECONDS = 6.0
RATES = (2_000, 5_000)
AS_DUE, ALONE = 20_000, 1
"""events in one message: what came due in 50 ms, or one"""
LAG_GOAL_MS, CPU_GOAL = 50.0, 40.0
Found = dict[str, Any]


def live() -> list[Row]:
    """All rows of this part."""
    return [*start(), *streaming(), *idling(), *outages()]


def start() -> list[Row]:
    """From nothing to 200 positions, and to the Greeks of all of them: a new engine, a new process."""
    by, warm, warm_live, cold = ahead(), [], [], []
    with StandIn(HELD, by) as stand:
        for _ in range(STARTS):
            began = time.perf_counter()
            with reading(stand.port, by) as (engine, _):
                until(engine, lambda snapshot: is_live(snapshot, HELD))
                warm_live.append(time.perf_counter() - began)
                until(engine, lambda snapshot: has_greeks(snapshot, HELD))
                warm.append(time.perf_counter() - began)
        for _ in range(STARTS):
            told = f"one.once({stand.port}, {by.total_seconds()}, {HELD}, {time.time()})"
            cold.append(_apart(told))
    parts = {name: [each[name] for each in cold] for name in ("imported", "live", "greeks")}
    what = f"{HELD} options, %s to %s, worst of {STARTS}"
    goal = "< 4 s"
    return [
        Row(what % ("engine start", "the first whole Snapshot"), _seconds(warm_live)),
        Row(what % ("engine start", "the first Snapshot with all Greeks"), _seconds(warm), goal, max(warm) < 4.0),
        Row(what % ("new process", "the first whole Snapshot"), _seconds(parts["live"])),
        Row(what % ("new process", "the first Snapshot with all Greeks"), _seconds(parts["greeks"]), goal,
            max(parts["greeks"]) < 4.0),
        Row("of that, start of Python and imports", _seconds(parts["imported"])),
    ]  # fmt: skip


def streaming() -> list[Row]:
    """Lag and share of a core at so many Greeks a second: the engine, the adapter and the SDK by themselves.

    The three take turns at each rate, `ROUNDS` times.
    """
    cases = [("no events", 0, AS_DUE), *((f"{rate:,}/s", rate, AS_DUE) for rate in RATES)]
    cases.append((f"{RATES[0]:,}/s, each a message", RATES[0], ALONE))
    found: dict[tuple[str, str], list[Found]] = {}
    by, names = ahead(), _streamers(HELD)
    for _ in range(ROUNDS):
        for what, rate, together in cases:
            for who in ("engine", "adapter", "sdk") if rate else ("engine",):
                with StandIn(HELD, by) as stand:
                    stand.tell("only", ("Greeks",), rate, together)
                    told = f"one.{who}({stand.port}, {by.total_seconds()}, {HELD}, {WATCHED_SECONDS})"
                    one = _engine(stand.port, by) if who == "engine" else _apart(told, names)
                    found.setdefault((what, who), []).append(one)
    return [row for what, rate, _ in cases for row in _streamed(what, rate, found)]


def _streamed(what: str, rate: int, found: dict[tuple[str, str], list[Found]]) -> Iterator[Row]:
    words = {"engine": "engine", "adapter": "adapter alone", "sdk": "SDK alone, queue into a dict"}
    for who, word in words.items():
        rounds = found.get((what, who))
        if rounds is None:
            continue
        label = f"{HELD} options, {what}: {word}"
        goals = ("", "") if who != "engine" or not rate else (f"p99 < {LAG_GOAL_MS:.0f} ms", f"< {CPU_GOAL:.0f} %")
        shares, most = [one["share"] for one in rounds], [_p99(one["lags"]) for one in rounds]
        absorbed = min(one["events"] for one in rounds)
        taken = f", {absorbed:,.0f} events/s taken in" if rate else ""
        yield Row(f"{label}, share of a core", f"{_spread(shares, '%')}{taken}", goals[1],
                  max(shares) < CPU_GOAL if goals[1] else None)  # fmt: skip
        worst = max(max(one["lags"]) for one in rounds) * 1000
        yield Row(f"{label}, loop lag", f"p99 {_spread(most, 'ms')}, worst {ms(worst)}", goals[0],
                  max(most) < LAG_GOAL_MS if goals[0] else None)  # fmt: skip
    if rate:
        ours, theirs = (statistics.median(_cost(one) for one in found[what, who]) for who in ("adapter", "sdk"))
        yield Row(f"{HELD} options, {what}: processor time of one event",
                  f"adapter {ours:.0f} us, SDK {theirs:.0f} us: {ours / theirs:.2f} of the SDK's")  # fmt: skip


def _cost(one: Found) -> float:
    """Microseconds of processor time for each event."""
    return float(one["share"] / 100.0 / one["events"] * 1e6)


def _engine(port: int, by: timedelta) -> Found:
    """The same figures of an engine in this process."""
    with reading(port, by) as (engine, source):
        until(engine, lambda snapshot: has_greeks(snapshot, HELD))
        time.sleep(SETTLING_SECONDS)
        before, used, began = source.events, spent(), time.perf_counter()
        time.sleep(WATCHED_SECONDS)
        lasted = time.perf_counter() - began
        share, events = (spent() - used) / lasted * 100.0, (source.events - before) / lasted
        late = on_loop(source.loop, lags(WATCHED_SECONDS), WATCHED_SECONDS + 30.0)
        assert is_live(engine.latest, HELD)
    return {"share": share, "events": events, "lags": late}


def idling() -> list[Row]:
    """The adapter with nothing coming in, looked at every two seconds, following 200 and 2,000 options."""
    rows, by = [], ahead()
    for followed in (HELD, LARGEST):
        names = "\n".join(list(book(followed, 0, _today(by)).instruments)[-followed:])
        with StandIn(followed, by, held=2) as stand:
            told = f"one.idle({stand.port}, {by.total_seconds()}, {followed}, {WATCHED_SECONDS})"
            rounds = [_apart(told, names) for _ in range(ROUNDS)]
        shares, most = [one["share"] for one in rounds], [_p99(one["lags"]) for one in rounds]
        worst = max(max(one["lags"]) for one in rounds) * 1000
        label = f"{followed:,} options followed, no events: adapter"
        rows.append(Row(f"{label}, share of a core", _spread(shares, "%")))
        rows.append(Row(f"{label}, loop lag", f"p99 {_spread(most, 'ms')}, worst {ms(worst)}"))
    return rows


def profile(rate: int = 2_000, seconds: float = 15.0, together: int = AS_DUE) -> str:
    """Where the engine's own thread spends its time while Greeks stream."""
    by = ahead()
    with StandIn(HELD, by) as stand, reading(stand.port, by) as (engine, source):
        stand.tell("only", ("Greeks",), rate, together)
        until(engine, lambda snapshot: has_greeks(snapshot, HELD))
        time.sleep(SETTLING_SECONDS)
        return profiled(source.loop, seconds)


def _apart(told: str, given: str = "") -> Found:
    """What a new process prints last, as JSON."""
    code = f"import benchmarks.tastytrade_reader as one; {told}"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, input=given, capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise RuntimeError(f"{told} ended with {run.returncode}: {run.stderr[-2000:]}")
    return json.loads(run.stdout.splitlines()[-1])  # type: ignore[no-any-return]  # an object


def _streamers(options: int) -> str:
    rows = book(options, 0, _today(ahead())).instruments.values()
    return "\n".join(row["streamer-symbol"] for row in rows if row["instrument-type"] == "Equity Option")


def _today(by: timedelta) -> date:
    return exchange_date(datetime.now(UTC) + by)


def _p99(late: Sequence[float]) -> float:
    """Milliseconds."""
    return statistics.quantiles(late, n=100)[98] * 1000


def _spread(figures: Sequence[float], unit: str) -> str:
    low, high = min(figures), max(figures)
    return f"{statistics.median(figures):.1f} {unit} ({low:.1f} to {high:.1f})"


def _seconds(taken: Sequence[float]) -> str:
    return f"{max(taken):.2f} s (median {statistics.median(taken):.2f} s)"

"""The stress of a whole book: what every cycle computes, the grid, a slider; 1,000 positions, and ten times as many.

    .venv/bin/python -m benchmarks stress

The book is that of `book.py`: 50 underlyings, nine in ten options American, two accounts. Kernels are compiled before
the clock starts. "Every cycle" is curve, trough, ladder, named days, gaps, spreads and the margin of both accounts.
"""

from __future__ import annotations

import asyncio
import statistics
import threading
import time

from benchmarks import book
from benchmarks.assessment import MATRIX
from benchmarks.timing import Row, medians, ms
from guardrails.assess import Assessment, assess
from guardrails.memory import Memory
from guardrails.pricing import compiled
from guardrails.stress.book import book_of
from guardrails.stress.grid import GridAxes, grid_of
from guardrails.stress.liquidation import distances
from guardrails.stress.outcome import outcome
from guardrails.stress.shocks import Shock
from guardrails.stress.standing import standing_of

PERIOD_MS = 2000.0
"""of the engine"""
SLIDER_MS = 300.0
CURVE = [Shock("", step / 100.0, vol=0.05, days=7.0) for step in range(-30, 31)]


def stress() -> list[Row]:
    """At 1,000 and 10,000 positions; how many times as long ten times as many take; the lag of the loop meanwhile."""
    compiled.prepare()
    few, many = measured(1000), measured(10000)
    rows = [row for count, found in ((1000, few), (10000, many)) for row in lines(count, found)]
    grown = many["grid"] / few["grid"]
    return [*rows, Row("grid: 10,000 against 1,000 positions", f"{grown:.1f}x", "<= 11x", grown <= 11), lag()]


def assessed(count: int) -> Assessment:
    view = [book.view(count)]
    return assess(view, MATRIX, assess(view, MATRIX, Memory(), book.NOW).memory, book.NOW)


def measured(count: int) -> dict[str, float]:
    view, found = [book.view(count)], assessed(count)
    held, limits, portfolio = book_of(found.portfolio), found.limits, found.portfolio
    standing = standing_of(portfolio, limits)
    assert not isinstance(standing, str), standing
    assert not standing.unvalued.any()
    one = GridAxes(days=(0.0,), vols=(0.05,))
    return medians({
        "book": lambda: book_of(portfolio),
        "standing": lambda: standing_of(portfolio, limits),
        "distance": lambda: distances(standing),
        "cycle": lambda: assess(view, MATRIX, found.memory, book.NOW),
        "grid": lambda: grid_of(held),
        "slice": lambda: grid_of(held, one),
        "curve": lambda: outcome(held, CURVE),
    })  # fmt: skip


def lines(count: int, taken: dict[str, float]) -> list[Row]:
    size, goal = f"{count:,} positions", count == 1000

    def row(what: str, name: str, most: float) -> Row:
        within = taken[name] <= most
        return Row(f"{size}: {what}", ms(taken[name]), f"<= {most:.0f} ms" if goal else "", within if goal else None)

    return [
        Row(f"{size}: the book as columns", ms(taken["book"])),
        row("stress and margin of every cycle", "standing", PERIOD_MS),
        Row(f"{size}: distance to liquidation of both accounts", ms(taken["distance"])),
        row("whole cycle with all of it", "cycle", PERIOD_MS),
        row("grid of 21 x 9 x 3 cells", "grid", PERIOD_MS),
        row("one slice of it (a slider of volatility or date)", "slice", SLIDER_MS),
        row("a curve of 61 moves", "curve", SLIDER_MS),
    ]


def lag() -> Row:
    """How late a task wakes that sleeps 10 ms on an asyncio loop, while another thread computes grids without pause."""
    held, over = book_of(assessed(1000).portfolio), threading.Event()

    def compute() -> None:
        while not over.is_set():
            grid_of(held)

    async def asleep() -> list[float]:
        late = []
        for _ in range(300):
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            late.append((time.perf_counter() - began - 0.01) * 1000.0)
        return late

    quiet = sorted(asyncio.run(asleep()))
    thread = threading.Thread(target=compute)
    thread.start()
    try:
        busy = sorted(asyncio.run(asleep()))
    finally:
        over.set()
        thread.join()
    worst = f"p99 {busy[-3]:.1f} ms, without {quiet[-3]:.1f} ms"
    return Row("lag of a loop beside grids without pause", f"median {statistics.median(busy):.1f} ms, {worst}")

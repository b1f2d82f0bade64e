"""How everything here is timed: medians of many runs, contenders turn by turn, so that noise hits all alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

BUDGET_SECONDS = 4.0
"""for all contenders of one comparison"""
FEWEST, MOST = 9, 400


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    goal: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        verdict = {None: "", True: "met", False: "**missed**"}[self.met]
        return f"| {self.what} | {self.measured} | {self.goal} | {verdict} |"


def medians(contenders: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Median milliseconds of each contender; they take turns, after one run each that does not count."""
    once = sum(_seconds(run) for run in contenders.values())
    turns = min(MOST, max(FEWEST, int(BUDGET_SECONDS / max(once, 1e-6))))
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    gc.collect()
    gc.disable()
    try:
        for _ in range(turns):
            for name, run in contenders.items():
                taken[name].append(_seconds(run))
    finally:
        gc.enable()
    return {name: statistics.median(seconds) * 1000.0 for name, seconds in taken.items()}


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def ms(value: float) -> str:
    """Milliseconds with three digits that matter."""
    return f"{value:.3g} ms" if value < 100 else f"{value:,.0f} ms"

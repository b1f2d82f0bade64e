"""A small exact solver: least cost over whole amounts, for pairing some dozens of legs.

Dense simplex with branch and bound: textbook methods (Dantzig 1947, Land and Doig 1960; Bland's rule against cycling).
A solver library would be a dependency of 30 MB for programs of at most some hundred columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from guardrails.columns import Array

TINY = 1e-9
WHOLE = 1e-6
"""how near to a whole number counts as one"""
CLOSELY, NEARLY = 1e-3, 1e-2
"""shares of the best cost so far by which another must be cheaper to be looked for: at first, and then"""
CLOSE_NODES, MOST_NODES = 10, 100
"""nodes looked into so closely, and in all, after a first whole solution was found"""
_MOST_DIVES = 1500
"""looked into for that first one"""
MOST_PIVOTS = 4000
"""of one relaxation"""
MOST_WORK = 2e7
"""numbers that all pivots after the first relaxation may touch: about 50 ms; a watch must not wait for a proof"""
_STALLED = 40
"""pivots without gain after which Bland's rule, slower but safe from cycles, takes over"""


@dataclass(frozen=True, slots=True)
class Program:
    """Minimise cost @ x over x >= 0 with rows @ x == right; `right` is not negative.

    The columns `start` are the identity, so x[start] = right is a first solution.
    """

    cost: Array
    rows: Array
    right: Array
    start: NDArray[np.intp]
    whole: NDArray[np.bool_]
    """columns that must be whole numbers"""


@dataclass(slots=True)
class Draft:
    """A program while its columns are being written; every row needs one column that starts it."""

    height: int
    costs: list[float] = field(default_factory=list)
    columns: list[dict[int, float]] = field(default_factory=list)
    whole: list[bool] = field(default_factory=list)
    start: dict[int, int] = field(default_factory=dict)

    def add(self, cost: float, entries: dict[int, float], *, starts: int | None = None, whole: bool = True) -> int:
        """Add one column, of `entries` by row, and return its place; `starts` is the row whose first amount it is."""
        if starts is not None:
            self.start[starts] = len(self.costs)
        self.costs.append(cost)
        self.columns.append(entries)
        self.whole.append(whole)
        return len(self.costs) - 1

    def program(self, right: Sequence[float]) -> Program:
        """The finished program with these right sides."""
        cells = np.zeros((self.height, len(self.costs)))
        for place, column in enumerate(self.columns):
            cells[list(column), place] = list(column.values())
        return Program(
            np.array(self.costs), cells, np.array(right, dtype=np.float64),
            np.array([self.start[row] for row in range(self.height)], dtype=np.intp), np.array(self.whole, dtype=bool),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Solution:
    """The best x found."""

    x: Array
    proven: bool
    """whether nothing can be cheaper by more than NEARLY; False when the search was cut short"""


@dataclass(slots=True)
class _Tableau:
    """Rows of the current basis, the right side in the last column, reduced costs in the last row."""

    cells: Array
    basis: list[int]

    @property
    def cost(self) -> float:
        return -float(self.cells[-1, -1])

    def pivot(self, row: int, column: int) -> None:
        self.cells[row] /= self.cells[row, column]
        factors = self.cells[:, column].copy()
        factors[row] = 0.0
        touched = np.flatnonzero(factors)
        self.cells[touched] -= factors[touched, None] * self.cells[row]
        self.basis[row] = column

    def with_bound(self, row: int, *, up: bool) -> _Tableau:
        """A copy in which the basic amount of `row` is at least its ceiling, or at most its floor."""
        value = self.cells[row, -1]
        bound = self.cells[row, :-1].copy() if up else -self.cells[row, :-1]
        bound[self.basis[row]] = 0.0
        right = value - np.ceil(value) if up else np.floor(value) - value
        height, width = self.cells.shape
        cells = np.zeros((height + 1, width + 1))
        cells[: height - 1, : width - 1], cells[: height - 1, -1] = self.cells[:-1, :-1], self.cells[:-1, -1]
        cells[height - 1, : width - 1], cells[height - 1, width - 1], cells[height - 1, -1] = bound, 1.0, right
        cells[-1, : width - 1], cells[-1, -1] = self.cells[-1, :-1], self.cells[-1, -1]
        return _Tableau(cells, [*self.basis, width - 1])


def solve(program: Program, below: float = math.inf) -> Solution:
    """The cheapest whole solution; where the search had to be cut short, the best found (at worst the start).

    Only what costs less than `below` is looked for; when there is nothing the start comes back.
    """
    scale = max(float(np.abs(program.cost).max(initial=0.0)), 1.0)
    best = np.zeros(len(program.cost))
    best[program.start] = program.right
    bound = min(float(program.cost @ best), below) / scale
    open_nodes, proven = [_first(program, scale)], True
    if not _improve(open_nodes[0]):
        return Solution(best, proven=False)
    found, work = math.isfinite(below), 0.0
    left, gap = (MOST_NODES if found else _MOST_DIVES), CLOSELY
    while open_nodes and left and work < MOST_WORK:
        left -= 1
        gap = NEARLY if found and left < MOST_NODES - CLOSE_NODES else gap
        node = open_nodes.pop()
        if not _promises(node, bound, gap):
            continue
        split = _broken(node, program.whole)
        if split is None:
            best, bound = _amounts(node, len(program.cost)), node.cost
            left, found = left if found else MOST_NODES, True
            continue
        children = [node.with_bound(split, up=up) for up in (False, True)]
        pivots, told = zip(*(_restore(child) for child in children), strict=True)
        work += sum(pivots) * node.cells.size
        proven = proven and None not in told
        alive = [child for child, works in zip(children, told, strict=True) if works]
        open_nodes += sorted(alive, key=lambda child: -child.cost)  # the cheaper one is looked into first
    return Solution(best, proven and not any(_promises(node, bound, NEARLY) for node in open_nodes))


def _promises(node: _Tableau, bound: float, gap: float) -> bool:
    return node.cost < bound - max(TINY, gap * abs(bound))


def _first(program: Program, scale: float) -> _Tableau:
    height, width = program.rows.shape
    cells = np.zeros((height + 1, width + 1))
    cells[:-1, :-1], cells[:-1, -1] = program.rows, program.right
    cost = program.cost / scale
    cells[-1, :-1] = cost - cost[program.start] @ program.rows
    cells[-1, -1] = -cost[program.start] @ program.right
    return _Tableau(cells, [int(column) for column in program.start])


def _improve(tableau: _Tableau) -> bool:
    """Primal simplex to the optimum; False when it did not get there."""
    stalled, last = 0, tableau.cost
    for _ in range(MOST_PIVOTS):
        reduced = tableau.cells[-1, :-1]
        column = int(np.argmin(reduced)) if stalled < _STALLED else int(np.argmax(reduced < -TINY))
        if reduced[column] >= -TINY:
            return True
        entries, right = tableau.cells[:-1, column], tableau.cells[:-1, -1]
        usable = np.flatnonzero(entries > TINY)
        if not len(usable):
            return False
        ratios = right[usable] / entries[usable]
        ties = usable[ratios <= ratios.min() + TINY]
        tableau.pivot(int(min(ties, key=lambda row: tableau.basis[row])), column)
        stalled = 0 if tableau.cost < last - TINY else stalled + 1
        last = tableau.cost
    return False


def _restore(tableau: _Tableau) -> tuple[int, bool | None]:
    """Dual simplex after a bound was added: pivots, and whether it is satisfied; None when it did not get there."""
    for pivots in range(MOST_PIVOTS):
        row = int(np.argmin(tableau.cells[:-1, -1]))
        if tableau.cells[row, -1] >= -TINY:
            return pivots, True
        entries = tableau.cells[row, :-1]
        usable = np.flatnonzero(entries < -TINY)
        if not len(usable):
            return pivots, False
        ratios = np.maximum(tableau.cells[-1, usable], 0.0) / -entries[usable]
        tableau.pivot(row, int(usable[np.argmin(ratios)]))
    return MOST_PIVOTS, None


def _broken(tableau: _Tableau, whole: NDArray[np.bool_]) -> int | None:
    """Row of the amount that must be whole and is farthest from it; None when all are."""
    inner = [row for row, column in enumerate(tableau.basis) if column < len(whole) and whole[column]]
    if not inner:
        return None
    values = tableau.cells[inner, -1]
    away = np.abs(values - np.round(values))
    worst = int(np.argmax(away))
    return inner[worst] if away[worst] > WHOLE else None


def _amounts(tableau: _Tableau, count: int) -> Array:
    x = np.zeros(count)
    for row, column in enumerate(tableau.basis):
        if column < count:
            x[column] = tableau.cells[row, -1]
    return np.maximum(x, 0.0)

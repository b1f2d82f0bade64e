"""The integer program against trying every whole solution, and where simplex methods are known to circle."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.margin.integer_program import CLOSELY, Draft, Program, solve


def packing(gains: list[int], weights: list[list[int]], limits: list[int]) -> Program:
    """Choose whole amounts that gain most within the limits; the amounts left over start."""
    draft = Draft(len(limits))
    for gain, column in zip(gains, zip(*weights, strict=True), strict=True):
        draft.add(-float(gain), {row: float(weight) for row, weight in enumerate(column)})
    for row in range(len(limits)):
        draft.add(0.0, {row: 1.0}, starts=row, whole=False)
    return draft.program([float(limit) for limit in limits])


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 4), st.integers(1, 3))
def test_no_whole_solution_is_cheaper(data: st.DataObject, columns: int, rows: int) -> None:
    few = st.integers(1, 9)
    gains = data.draw(st.lists(few, min_size=columns, max_size=columns))
    weights = data.draw(st.lists(st.lists(few, min_size=columns, max_size=columns), min_size=rows, max_size=rows))
    limits = data.draw(st.lists(st.integers(0, 12), min_size=rows, max_size=rows))
    best = max(
        float(np.dot(gains, x))
        for x in product(*(range(13) for _ in range(columns)))
        if (np.array(weights) @ x <= limits).all()
    )
    program = packing(gains, weights, limits)
    solution = solve(program)
    assert solution.proven
    assert -(program.cost @ solution.x) == pytest.approx(best, rel=CLOSELY)
    assert program.rows @ solution.x == pytest.approx(program.right)
    assert solution.x[:columns] == pytest.approx(np.round(solution.x[:columns]))


def test_half_amounts_are_refused_where_whole_ones_are_asked() -> None:
    """Two pieces of 2 in a room of 3: one fits, not one and a half."""
    program = packing([1], [[2]], [3])
    assert solve(program).x[0] == 1.0


def test_the_example_that_circles_is_solved() -> None:
    """E. M. L. Beale, 1955: the textbook rule returns to where it began; the optimum is -1/20."""
    rows = np.array([
        [0.25, -60.0, -1 / 25, 9.0, 1.0, 0.0, 0.0],
        [0.50, -90.0, -1 / 50, 3.0, 0.0, 1.0, 0.0],
        [0.00, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
    ])  # fmt: skip
    program = Program(np.array([-0.75, 150.0, -1 / 50, 6.0, 0.0, 0.0, 0.0]), rows, np.array([0.0, 0.0, 1.0]),
                      np.array([4, 5, 6]), np.zeros(7, dtype=bool))  # fmt: skip
    solution = solve(program)
    assert solution.proven
    assert program.cost @ solution.x == pytest.approx(-0.05)


def test_where_nothing_is_cheaper_the_start_comes_back() -> None:
    program = packing([3, 2], [[1, 1]], [4])
    solution = solve(program, below=-12.0)
    assert solution.x.tolist() == [0.0, 0.0, 4.0]

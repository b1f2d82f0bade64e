"""The grid: every cell is the outcome of the same shock, for every kind of position."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.portfolio import Portfolio
from guardrails.stress.book import book_of
from guardrails.stress.grid import DAYS, SPOTS, VOLS, GridAxes, grid_of
from guardrails.stress.outcome import outcome
from guardrails.values import Observed
from tests.books import IBKR, NOW, TASTY, account, book, future, market, option, stock


def mixed() -> Portfolio:
    """One of everything: index and share options, one to be exercised now, a future, an unknown beta, options on VIX,
    VXX, an option without volatility.
    """
    at = market({"XYZ": 1.5}, XYZ=200.0, ABC=50.0, VIX=17.0, VXX=50.0, **{"/ESZ26": 6000.0})
    at = replace(at, risk_free=Observed(0.05, NOW, "test"))
    return book(
        option("SPXW  261218P05800000", -2, "-0.3 0.001 5 -1 0.20", mark=60.0),
        option("SPXW  261125C06100000", 3, "0.3 0.001 5 -1 0.14", mark=20.0, account=TASTY),
        option("XYZ   261218C00210000", -3, "0.4 0.01 0.1 -0.1 0.40", mark=6.0),
        option("XYZ   270618P00400000", 2, "-1 0 0 0 0.20", mark=200.0),
        stock("XYZ", 100, 200.0),
        future("/ESZ26", -1, 6000.0, 50.0),
        option("ABC   261218P00045000", 5, "-0.3 0.01 0.1 -0.1 0.50", mark=1.0),
        option("VIX   261216C00025000", -10, "0.3 0.05 0.02 -0.01 0.90", mark=0.6),
        option("VIX   270120P00016000", 4, "-0.3 0.05 0.02 -0.01 0.80", mark=1.1),
        stock("VXX", 40, 50.0, account=TASTY),
        option("ABC   261127C00060000", -5, mark=0.2),
        accounts=[account(), account(TASTY)],
        at=at,
    )


@pytest.mark.parametrize(("uniform", "parallel"), [(False, False), (True, False), (False, True)])
def test_a_cell_is_the_outcome_of_its_shock(*, uniform: bool, parallel: bool) -> None:
    held = book_of(mixed())
    axes = GridAxes((-0.2, -0.05, 0.0, 0.04), (-0.03, 0.0, 0.25), (0.0, 7.0, 30.0), uniform=uniform, parallel=parallel)
    grid = grid_of(held, axes)
    one_by_one = outcome(held, axes.shocks())
    # options on shares are American: on a grid they share exercise boundaries, to a millionth of the 120,000 dollars
    american = grid.outcome.of_underlying("XYZ") | grid.outcome.of_underlying("ABC")
    for side in ("low", "high"):
        cells, expected = getattr(grid.outcome, side), getattr(one_by_one, side)
        np.testing.assert_allclose(cells[~american], expected[~american], rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(cells[american], expected[american], rtol=0, atol=0.12)
    low, high = grid.total()
    for s, spot in enumerate(axes.spots):
        for v, vol in enumerate(axes.vols):
            for d, days in enumerate(axes.days):
                cell = outcome(held, [axes.shock(spot, vol, days)]).total(0)
                assert (low[s, v, d], high[s, v, d]) == (
                    pytest.approx(cell.low, abs=0.3),
                    pytest.approx(cell.high, abs=0.3),
                )


def test_accounts_and_underlyings_add_up_to_the_book() -> None:
    grid = grid_of(book_of(mixed()), GridAxes((-0.1, 0.1), (0.0, 0.1), (0.0,)))
    found = grid.outcome
    by_account = sum(grid.total(found.of_account(owner))[0] for owner in (IBKR, TASTY))
    by_underlying = sum(grid.total(found.of_underlying(name))[0] for name in found.underlyings)
    np.testing.assert_allclose(by_account, grid.total()[0])
    np.testing.assert_allclose(by_underlying, grid.total()[0])


def test_the_default_grid_has_567_cells_and_one_of_them_is_now() -> None:
    grid = grid_of(book_of(book(option("SPXW  261218P05800000", -2, "-0.3 0.001 5 -1 0.20", mark=60.0))))
    low, high = grid.total()
    assert low.shape == (21, 9, 3) == (len(SPOTS), len(VOLS), len(DAYS))
    now = SPOTS.index(0.0), VOLS.index(0.0), 0
    assert (low[now], high[now]) == (pytest.approx(0.0, abs=1e-6), pytest.approx(0.0, abs=1e-6))
    worst = grid.worst()
    assert (worst.index, worst.vol, worst.days) == (-0.30, 0.40, 0.0)


def test_a_grid_without_positions_is_zero() -> None:
    low, high = grid_of(book_of(book())).total()
    assert not low.any()
    assert not high.any()


@given(st.floats(-0.4, 0.2), st.floats(-0.05, 1.0))
@settings(max_examples=25, deadline=None)
def test_bounds_are_in_order(spot: float, vol: float) -> None:
    low, high = grid_of(book_of(mixed()), GridAxes((spot,), (vol,), (0.0, 14.0))).total()
    assert (low <= high + 1e-6).all()

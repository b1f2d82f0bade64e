"""What is said of a measure that is known between two bounds only."""

from __future__ import annotations

import math

import pytest

from guardrails.checks import measured, stress
from guardrails.intervals import Interval


@pytest.mark.parametrize(
    ("low", "high", "said", "short"),
    [
        (-40_351.4, -40_350.6, "is about −$40,351", "about −$40,351"),
        (-40_351.6, -40_350.6, "lies between −$40,352 and −$40,351", "between −$40,352 and −$40,351"),
        (-math.inf, -3.0, "is at most −$3", "at most −$3"),
        (3.0, math.inf, "is at least $3", "at least $3"),
    ],
)
def test_bounds_that_read_the_same_are_said_once(low: float, high: float, said: str, short: str) -> None:
    assert measured._range(Interval(low, high), "USD") == said
    assert stress._between(Interval(low, high)) == short

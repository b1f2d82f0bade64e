"""The quantity offered instead of a blocked one is the largest that passes, not only one that does."""

from __future__ import annotations

import pytest

from guardrails.gate.values import Verdict
from tests.gate_books import MARKET, OPTIONS
from tests.gates import ground
from tests.test_gate_projected import MEASURES, asked, limits_for, row, weighted


@pytest.mark.parametrize("measure", MEASURES)
def test_seven_short_fit_under_a_limit_of_seven_and_a_half_so_six_more_than_one_are_offered(measure: str) -> None:
    key = OPTIONS[1]
    each = weighted({key: -1.0})
    loose = {name: 1_000.0 * max(each.values()) for name in MEASURES}
    on = ground(row(key, -1.0), at=MARKET, limits=limits_for({**loose, measure: 7.5 * each[measure]}))

    found = asked({key: -20.0}, on)

    assert (found.verdict, found.max_quantity) == (Verdict.BLOCK, 6)

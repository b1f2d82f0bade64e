"""Concentration where all of a measure lies in a group that is not judged."""

from __future__ import annotations

from guardrails.checks.concentration import vega_concentration
from guardrails.findings import Level
from tests.books import book, market, option, stock, with_limits


def test_an_exempt_group_is_never_named_against_a_limit_that_does_not_hold_for_it() -> None:
    """Named it would read OK at 100 % of a limit of 60 %."""
    short = option("SPXW  261218P05500000", -2, "-0.2 0.001 5.0 -1.0 0.2")
    for positions in ((short, stock("MSFT", 9, 500.0)), (stock("MSFT", 9, 500.0), short)):
        (found,) = vega_concentration(book(*positions, at=market(SPX=6600.0, MSFT=500.0)), with_limits())
        assert (found.subject, found.level, found.value) == ("underlying:MSFT", Level.OK, 0.0)

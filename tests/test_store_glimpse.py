"""A glimpse of a stored moment says of the regime what the whole moment says, whatever its texts hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from guardrails.assess import Inputs
from guardrails.carried import readings_in
from guardrails.findings import Level
from guardrails.store.captures import PERIOD, Captured, capture_row
from guardrails.store.metadata import moment
from guardrails.values import Observed, View
from tests.books import NOW
from tests.healthy import healthy
from tests.stored import HEALTHY

ODD = '"],"market":{"vix":null},"positions":[{"x":"],\\"market\\":{'
"""what stands around positions, in a text"""


def captured(*views: View) -> Captured:
    row: Any = capture_row("b", PERIOD, Inputs(views, healthy().memory, NOW), HEALTHY.snapshot)
    return Captured(moment(row[1]), row[2], Level(row[3]), *row[4:])


def view(name: str, vix: float, *, text: str = "", held: bool = True) -> View:
    whole = healthy().view()
    reading = Observed(vix, NOW, name)
    return replace(
        whole,
        source=replace(whole.source, name=name, detail=text),
        accounts=tuple(replace(one, source=text or one.source) for one in whole.accounts),
        positions=tuple(replace(one, reasons=(text,)) for one in whole.positions) if held else (),
        market=replace(whole.market, vix=reading),
    )


@pytest.mark.parametrize(
    "views",
    [
        (view("a", 17.0),),
        (view("a", 17.0, held=False),),
        (view("a", 17.0), view("b", 18.0)),
        (view("a", 17.0, held=False), view("b", 18.0)),
        (view("a", 17.0, text=ODD), view("b", 18.0, text=ODD, held=False), view("c", 19.0, text=ODD)),
        (),
    ],
)
def test_it_is_as_the_whole(views: tuple[View, ...]) -> None:
    one = captured(*views)
    glimpse, whole = one.read_glimpse(), one.read_kept()
    assert [each.source for each in glimpse.views] == [each.source for each in whole.views]
    assert (glimpse.memory, glimpse.now) == (whole.memory, whole.now)
    assert readings_in(glimpse.views, glimpse.now) == readings_in(whole.views, whole.now)
    assert {each.market.vix and each.market.vix.value for each in glimpse.views} == {
        each.market.vix and each.market.vix.value for each in views
    }

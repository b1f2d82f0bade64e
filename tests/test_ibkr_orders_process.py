"""The stand-in for TWS in a process of its own takes orders and is driven from outside, as browser tests do it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from adapters.ibkr.source import Gateway, IbkrSource
from guardrails.orders import Leg, Order
from tests.brokers.tws_control import Control
from tests.ibkr import ROOT, clock, run, until
from tests.ibkr_orders import MINE, PAPER, spread, spxw, state, told
from tests.test_ibkr_orders import KEY


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    """Of the stand-in and of its control."""
    command = [sys.executable, "-m", "tests.brokers.tws", "--port", "0", "--orders", "--chain", "--control", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.fullmatch(r"listening on (\d+) controlled on (\d+)\n", process.stdout.readline())
        assert found is not None
        yield int(found[1]), int(found[2])
        process.kill()


def test_a_condor_is_sent_as_one_package_filled_in_parts_from_outside(ports: tuple[int, int]) -> None:
    control = Control(ports[1])
    legs = tuple(Leg(spxw(strike, right), ratio) for strike, right, ratio in (
        (5400, "P", 1), (5450, "P", -1), (6400, "C", -1), (6450, "C", 1),
    ))  # fmt: skip
    condor = Order(MINE, legs, 3, -4.15)

    async def test() -> None:
        source = IbkrSource(Gateway(port=ports[0]), clock, PAPER)
        try:
            await until(source, lambda view: view.positions != ())
            await told(source, lambda read: not read.missing)
            await source.submit(condor, KEY)
            await state(source, KEY, "WORKING")
            control("desk", "fill", KEY, 1)
            assert (await state(source, KEY, "PARTIAL")).filled == 1
            control("desk", "fill", KEY, 2)
            assert (await state(source, KEY, "FILLED")).legs == legs
            held = await source.held(MINE)
            assert [held[leg.instrument.key] for leg in legs] == [3, -3, -3, 3]
            read = source.orders()
            paid = sum(fill.quantity * fill.price for fill in read.fills if fill.key == KEY)
            assert paid == pytest.approx(3 * -4.15)
            control("fault", "reject_order", times=1)
            await source.submit(spread(), "PG-0002")
            await state(source, "PG-0002", "REJECTED")
        finally:
            await source.close()

    run(test())
    assert [(one["what"], one["ref"]) for one in control("sent")] == [("new", KEY), ("new", "PG-0002")]
    with pytest.raises(RuntimeError, match="KeyError"):
        control("desk", "fill", "nothing")
    with pytest.raises(RuntimeError, match="choose one of"):
        control("nonsense")

"""Every key of the `orders` section changes what may be sent, or how; a key without a case here fails the test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from guardrails.alerts.values import AlertRow, AlertsNow, Problem, Severity, State
from guardrails.assess import Assessment
from guardrails.execution.values import OrderRecord
from guardrails.flatten.values import Plan, Scope, Wish
from guardrails.gate.ground import Ground
from guardrails.matrix import RiskMatrix
from guardrails.matrix.orders import OrderRules
from guardrails.orders import Order, OrderState
from guardrails.requests import Kind, Said
from guardrails.safety import SafetyState
from guardrails.values import Market
from tests.books import IBKR, NOW, with_limits
from tests.exchange import LONG_PUT_SYMBOL, NAME, Program, Shelf, assessed, listed, typed
from tests.exchange import Plan as Fate
from tests.gates import UNSET_LIMITS, ask, blocks, ground, order, quoted, record, with_quotes
from tests.healthy import SPX_PUT
from tests.test_flatten_service import Desk, desk
from tests.test_outcomes import Case, Scene, leaves

P5700, P5600 = "SPXW  261218P05700000", "SPXW  261218P05600000"
MARKET = with_quotes(quoted(), **{P5700: (9.5, 10.5, "-0.25 0.0010 5 -1.5 0.20")})
"""the put: 9.50 is received for it at once, its middle is 10.00"""
SELL = order((P5700, -1), limit=-9.5)

# --- guards of the gate


def refused(one: Order = SELL, at: Market = MARKET, *sent: OrderRecord) -> Scene:
    """Which guards refuse an order in a book without limits, a quarter of an hour after the open."""

    def scene(matrix: RiskMatrix) -> set[str]:
        stands: Ground = ground(limits=with_limits(matrix=matrix, **UNSET_LIMITS), at=at, sent=tuple(sent))
        return blocks(ask(one, stands))

    return scene


def quoted_ago(seconds: float) -> Market:
    """The same market, when the put was quoted so long ago."""
    time = NOW - timedelta(seconds=seconds)
    return replace(MARKET, quotes={key: replace(quote, time=time) for key, quote in MARKET.quotes.items()})


OTHER = record(order((P5600, -1), limit=-9.0), seconds=5, state=OrderState.FILLED)
SAME = record(SELL, seconds=5, state=OrderState.FILLED)

# --- what the service does


def served(told: Callable[[Program, RiskMatrix], Awaitable[Any]]) -> Scene:
    """What `told` finds with a program on an exchange, under the matrix."""

    def scene(matrix: RiskMatrix) -> Any:
        async def lived(folder: Path) -> Any:
            async with asyncio.timeout(60), Program(listed(), Shelf(), folder, matrix=matrix) as program:
                return await told(program, matrix)

        with TemporaryDirectory() as folder:
            return asyncio.run(lived(Path(folder)))

    return scene


async def _rejected(program: Program, matrix: RiskMatrix) -> str:
    """What is said of the safety state once as many orders were rejected as it takes."""
    for number in range(matrix.orders.rejects_a_minute):
        assert program.execution.safety.now.state is SafetyState.NORMAL
        program.exchange.plans.append(Fate.REJECT)
        await program.send(typed((LONG_PUT_SYMBOL, 1), limit=10.0 + number))
    assert await program.until(lambda: program.execution.safety.now.state is SafetyState.NO_NEW_RISK)
    return program.execution.safety.now.reason


async def _after_half_an_hour(program: Program, _: RiskMatrix) -> Said:
    """What is said to NORMAL thirty minutes after a person stopped new risk."""
    assert (await program.ask(Kind.SAFETY, state="NO_NEW_RISK", reason="lunch")).said is Said.DONE
    program.clock.move(30 * 60)
    return (await program.ask(Kind.SAFETY, state="NORMAL", reason="back")).said


async def _overridden(program: Program, _: RiskMatrix) -> tuple[Said, Said]:
    """What is said to an override of half an hour, and to an order of more contracts than the gate lets through."""
    order = typed((LONG_PUT_SYMBOL, 6))
    leave = await program.ask(Kind.OVERRIDE, check="order_size", reason="big day", minutes="30")
    simulated = await program.ask(Kind.SIMULATE, order=order)
    token = "" if '"approval":null' in simulated.content else await program.token(order)
    return leave.said, (await program.ask(Kind.SUBMIT, order=order, token=token, reason="big day")).said


UNTAKEN = AlertRow(
    "vega", "vega", "portfolio", "greeks", Severity.CRITICAL, State.FIRED,
    Problem("vega", "portfolio", Severity.CRITICAL, "Vega is over."), NOW, NOW, NOW, 1, asked=NOW,
)  # fmt: skip
"""nobody has acknowledged it"""
IGNORED = {"orders.unacknowledged": {"after_minutes": 30}}


def untaken(matrix: RiskMatrix) -> SafetyState:
    """The safety state thirty minutes after people were asked to acknowledge a CRITICAL alert."""

    async def lived(folder: Path) -> SafetyState:
        looks: list[AlertsNow] = []

        def looked_at() -> AlertsNow:
            looks.append(AlertsNow(NOW, (UNTAKEN,)))
            return looks[-1]

        async with asyncio.timeout(60), Program(listed(), Shelf(), folder, matrix=matrix, alerts=looked_at) as at:
            at.clock.move(30 * 60)
            at.see()
            before = len(looks)
            # one look may have begun before the clock was moved; the next is over when there is one more
            assert await at.until(lambda: len(looks) >= before + 3, 30.0)
            return at.execution.safety.now.state

    with TemporaryDirectory() as folder:
        return asyncio.run(lived(Path(folder)))


# --- flatten

DECEMBER = Wish(Scope.EXPIRY, expiry=date(2026, 12, 18), accounts=(str(IBKR),))
"""the one short put on the index of the healthy book"""
Found = Callable[[Desk], Awaitable[Any]]


def flattened(told: Found, bid: float | None = 8.0, ask_: float = 9.0, quantity: float = -1.0) -> Scene:
    """What `told` finds where that put is quoted and held like this, under the matrix."""

    def scene(matrix: RiskMatrix) -> Any:
        async def lived(folder: Path) -> Any:
            async with asyncio.timeout(60), desk(listed(), Shelf(), folder) as at:
                at.execution.see(_seen(at, matrix, bid, ask_, quantity), (NAME,))
                return await told(at)

        with TemporaryDirectory() as folder:
            return asyncio.run(lived(Path(folder)))

    return scene


def _seen(at: Desk, matrix: RiskMatrix, bid: float | None, ask_: float, quantity: float) -> Assessment:
    seen = assessed(at.exchange)
    held = tuple(
        replace(one, bid=bid, ask=ask_, quantity=quantity) if one.instrument.symbol == SPX_PUT else one
        for one in seen.portfolio.positions
    )
    portfolio = replace(seen.portfolio, positions=held)
    return replace(seen, portfolio=portfolio, limits=replace(seen.limits, matrix=matrix))


async def _plan(at: Desk) -> Plan:
    return await at.plan(DECEMBER)


async def _cap(at: Desk) -> float | None:
    """How far its limit would be walked."""
    return (await _plan(at)).closes[0].cap


async def _sizes(at: Desk) -> list[int]:
    """Contracts of the orders."""
    return [close.order.quantity for close in (await _plan(at)).closes]


async def _walked_after(at: Desk, seconds: float, every: float = 0.0) -> float | None:
    """The limit of the order that many seconds after it was sent; what must not come is looked for a moment only."""
    await at.begin(DECEMBER)
    await at.until(lambda: len(at.orders) == 1)
    first = at.orders[0].limit
    assert first == 8.5
    await at.until(lambda: next(iter(at.execution.records.values())).state is OrderState.WORKING)
    at.exchange.clock.move(seconds)
    await at.program.until(lambda: at.orders[0].limit != first, 10.0 if every <= seconds else 0.3)
    return at.orders[0].limit


CASES: Mapping[str, Case] = {
    # 8.00 is 1.50 below what the market pays at once
    "price_collar": Case(refused(order((P5700, -1), limit=-8.0)), 0.14, 0.15, ({"price_collar"}, set())),
    "max_contracts": Case(refused(order((P5700, -1), quantity=2, limit=-9.5)), 1, 2, ({"order_size"}, set())),
    # one put on 6,000 in an account of 100,000
    "max_notional_pct_nlv": Case(refused(), 5.9, 6.0, ({"order_notional"}, set())),
    "duplicate_seconds": Case(refused(SELL, MARKET, SAME), 6.0, 5.0, ({"duplicate"}, set())),
    "most_a_minute": Case(refused(SELL, MARKET, OTHER), 1, 2, ({"throttle"}, set())),
    "quote_stale_seconds": Case(refused(SELL, quoted_ago(61)), 60.0, 61.0, ({"quote_stale"}, set())),
    "rejects_a_minute": Case(
        served(_rejected), 2, 4,
        ("2 orders were rejected or failed within a minute", "4 orders were rejected or failed within a minute"),
    ),
    "cooling_off_minutes": Case(served(_after_half_an_hour), 30.0, 31.0, (Said.DONE, Said.REFUSED)),
    "overridable": Case(
        served(_overridden), [], ["order_size"], ((Said.REFUSED, Said.REFUSED), (Said.DONE, Said.DONE)),
    ),
    "override_minutes": Case(
        served(_overridden), 29.0, 30.0, ((Said.REFUSED, Said.REFUSED), (Said.DONE, Said.DONE)),
        {"orders.overridable": ["order_size"]},
    ),
    "unacknowledged.after_minutes": Case(
        untaken, 30.0, 31.0, (SafetyState.NO_NEW_RISK, SafetyState.NORMAL), IGNORED,
    ),
    "unacknowledged.state": Case(
        untaken, "NO_NEW_RISK", "REDUCE_ONLY", (SafetyState.NO_NEW_RISK, SafetyState.REDUCE_ONLY), IGNORED,
    ),
    # its middle is 8.50 and its width 1.00
    "flatten.slippage_cap": Case(flattened(_cap), 0.5, 1.5, (9.0, 10.0)),
    "flatten.worthless": Case(flattened(_sizes, None, 0.10), 0.10, 0.09, ([], [1])),
    "flatten.most_at_once": Case(flattened(_sizes, quantity=-3.0), 2, 3, ([2, 1], [3])),
    "flatten.steps": Case(flattened(lambda at: _walked_after(at, 15)), 1, 2, (9.0, 8.75)),
    "flatten.step_seconds": Case(
        lambda matrix: flattened(lambda at: _walked_after(at, 20, matrix.orders.flatten.step_seconds))(matrix),
        20.0, 21.0, (9.0, 8.5), {"orders.flatten.steps": 1},
    ),
}  # fmt: skip


def test_every_key_of_the_section_has_a_case() -> None:
    assert set(CASES) == set(leaves(OrderRules))


@pytest.mark.parametrize("path", sorted(CASES))
def test_every_key_of_the_section_changes_what_is_sent(path: str) -> None:
    case = CASES[path]
    assert case.verdicts(f"orders.{path}") == case.gives

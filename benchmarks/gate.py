"""What an order would do: the numeric what-if against one order check of nautilus_trader, and the Impact with stress.

    .venv/bin/python -m benchmarks gate

The peer needs an older pandas, so it runs in an environment of its own, made at the first run and kept, and in a
process of its own; both take turns. It sends one limit order of one option through its RiskEngine (price, quantity,
notional, free cash of a cash account) to an endpoint that does nothing; that it denies an order beyond the notional and
one beyond the cash is asserted first. Ours are four legs, the sums of the whole book and every limit that is linear in
them. The book is that of `book.py`; the order is an iron condor on SPX, quoted and new to the book.

The Impact is `simulate` with every guard and a broker's answer that is there already. What a cycle remembers of itself
is kept, of the books in which working orders have filled too, but for the row that says it is the first of a cycle.
Beside the wall clock stands the CPU of the process, which other work on the machine disturbs less.
"""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from benchmarks import book
from benchmarks.peers import environment
from benchmarks.stress import assessed
from benchmarks.timing import Row, medians, ms
from guardrails.gate.ground import Ground
from guardrails.gate.numeric import Numbers, NumericLeg, leg_of
from guardrails.gate.projection import Prepared, prepare, project
from guardrails.gate.simulate import simulate
from guardrails.orders import BrokerOrder, Figure, Leg, Order, OrderState, Preview, Trade
from guardrails.pricing import compiled
from guardrails.stress.standing import standing_of
from guardrails.symbols import occ
from guardrails.values import Greeks, Quote

PINNED = ("nautilus_trader==1.221.0", "pandas<3")
SIZES = (100, 1_000, 10_000)
MAIN = 1_000
CHECKS, TURNS, CPU_TURNS = 2_000, 60, 5
IMPACT_MS, TIMES, FLAT = 30.0, 2.0, 1.5
CONDOR = (
    ("SPXW  261218P05500000", -1.0, 22.0, -0.12), ("SPXW  261218P05400000", 1.0, 16.0, -0.09),
    ("SPXW  261218C06500000", -1.0, 11.0, 0.08), ("SPXW  261218C06600000", 1.0, 7.0, 0.05),
)  # fmt: skip
"""symbol, quantity, price, delta"""

PEER = """
import sys, time
import pandas as pd
from nautilus_trader.accounting.factory import AccountFactory
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import MessageBus, TestClock
from nautilus_trader.common.factories import OrderFactory
from nautilus_trader.config import RiskEngineConfig
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import SubmitOrder
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import AccountType, AssetClass, OptionKind, OrderSide
from nautilus_trader.model.events import AccountState
from nautilus_trader.model.identifiers import AccountId, InstrumentId, StrategyId, Symbol, TraderId, Venue
from nautilus_trader.model.instruments import OptionContract
from nautilus_trader.model.objects import AccountBalance, Money, Price, Quantity
from nautilus_trader.portfolio.portfolio import Portfolio
from nautilus_trader.risk.engine import RiskEngine

clock, trader, strategy = TestClock(), TraderId("TESTER-001"), StrategyId("S-001")
bus, cache = MessageBus(trader_id=trader, clock=clock), Cache()
name = InstrumentId(Symbol("AAPL261218C00210000"), Venue("OPRA"))
engine = RiskEngine(
    portfolio=Portfolio(msgbus=bus, cache=cache, clock=clock), msgbus=bus, cache=cache, clock=clock,
    config=RiskEngineConfig(max_order_submit_rate="1000000000/00:00:01", max_notional_per_order={str(name): 5_000_000}),
)
option = OptionContract(
    instrument_id=name, raw_symbol=name.symbol, asset_class=AssetClass.EQUITY, currency=USD, price_precision=2,
    price_increment=Price.from_str("0.01"), multiplier=Quantity.from_int(100), lot_size=Quantity.from_int(1),
    underlying="AAPL", option_kind=OptionKind.CALL, activation_ns=0,
    expiration_ns=pd.Timestamp("2030-12-18", tz="UTC").value, strike_price=Price.from_str("210.00"),
    ts_event=0, ts_init=0,
)
cache.add_instrument(option)
money = AccountBalance(Money(1_000_000, USD), Money(0, USD), Money(1_000_000, USD))
state = AccountState(
    account_id=AccountId("OPRA-001"), account_type=AccountType.CASH, base_currency=USD, reported=True,
    balances=[money], margins=[], info={}, event_id=UUID4(), ts_event=0, ts_init=0,
)
cache.add_account(AccountFactory.create(state))
ten = Quantity.from_int(10)
cache.add_quote_tick(QuoteTick(name, Price.from_str("3.05"), Price.from_str("3.15"), ten, ten, 0, 0))
passed, denied = [], []
bus.register(endpoint="ExecEngine.execute", handler=passed.append)
bus.register(endpoint="ExecEngine.process", handler=denied.append)
factory = OrderFactory(trader_id=trader, strategy_id=strategy, clock=clock)


def command(contracts):
    order = factory.limit(name, OrderSide.BUY, Quantity.from_int(contracts), Price.from_str("3.10"))
    return SubmitOrder(
        trader_id=trader, strategy_id=strategy, position_id=None, order=order, command_id=UUID4(), ts_init=0
    )


for contracts in (1, 10_000, 100_000):  # 310 dollars, more than the cash, more than the notional
    engine.execute(command(contracts))
assert len(passed) == 1, passed
assert "FREE" in str(denied[0]) and "NOTIONAL" in str(denied[1]), denied
commands = [command(1) for _ in range(int(sys.argv[1]))]
print("ready", flush=True)
for _ in sys.stdin:
    passed.clear()
    began = time.perf_counter()
    for one in commands:
        engine.execute(one)
    taken = time.perf_counter() - began
    assert len(passed) == len(commands)
    print(taken / len(commands), flush=True)
"""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A book, an order for it, and the order as numbers."""

    prepared: Prepared
    trades: tuple[Trade, ...]
    numbers: Numbers
    legs: tuple[NumericLeg, ...]


def gate() -> list[Row]:
    """The numeric what-if at three sizes beside the peer, then the whole Impact."""
    compiled.prepare()
    asked = {count: _asked(count) for count in SIZES}
    for one in asked.values():
        _assert_equal(one)
    return [*_numeric(asked), *(row for count in SIZES for row in _impact(count, asked[count]))]


def _asked(count: int) -> _Asked:
    found = assessed(count)
    quoted = {occ.parse(symbol): (price, delta) for symbol, _, price, delta in CONDOR}
    market = replace(
        found.portfolio.market,
        quotes={each.key: Quote(price - 0.1, price + 0.1, book.READ, book.SOURCE)
                for each, (price, _) in quoted.items()},
        greeks={each.key: Greeks(delta, 2e-4, 4.0, -1.0, 0.2, book.SOURCE, book.READ)
                for each, (_, delta) in quoted.items()},
    )  # fmt: skip
    portfolio = replace(found.portfolio, market=market)
    prepared = prepare(portfolio, found.limits, found.snapshot.findings)
    trades = tuple(Trade(book.ACCOUNTS[0], occ.parse(symbol), quantity) for symbol, quantity, _, _ in CONDOR)
    legs = tuple(leg_of(prepared, trade.account, trade.instrument, trade.quantity) for trade in trades)
    return _Asked(prepared, trades, Numbers.of(prepared), legs)


def _assert_equal(one: _Asked) -> None:
    """Refuse to time what-ifs that do not agree on every sum, and an Impact that is not the whole revaluation."""
    ours, found = one.numbers.after(one.legs), project(one.prepared, one.trades)
    theirs = found.measures
    for mine, full in (
        (ours.delta, theirs.delta_dollars), (ours.beta_delta, theirs.beta_delta_dollars),
        (ours.gamma, theirs.gamma_1pct_dollars), (ours.vega_30d, theirs.vega_30d_per_point),
        (ours.theta, theirs.theta_per_day),
    ):  # fmt: skip
        assert full is not None
        assert abs(mine - full) <= 1e-9 * max(abs(full), 1.0), (mine, full)
    whole = standing_of(found.portfolio, one.prepared.limits)
    assert not isinstance(whole, str), whole
    assert not isinstance(found.stress, str), found.stress
    for place in range(len(whole.curve.shocks)):
        apart = found.stress.curve.total(place).low - whole.curve.total(place).low
        assert abs(apart) <= 1e-9 * max(abs(whole.curve.total(place).low), 1.0), apart
    assert not found.unknown, found.unknown


def _numeric(asked: dict[int, _Asked]) -> list[Row]:
    """Microseconds of sums and verdicts of four legs; the peer takes its turn after each."""
    taken: dict[int, list[float]] = {count: [] for count in SIZES}
    peers: list[float] = []
    with _Peer() as peer:
        gc.collect()
        gc.disable()
        try:
            for _ in range(TURNS):
                for count, one in asked.items():
                    taken[count].append(_each(one.numbers.breaches, one.legs))
                peers.append(peer.run())
        finally:
            gc.enable()
    us = {count: statistics.median(values) * 1e6 for count, values in taken.items()}
    theirs = statistics.median(peers) * 1e6
    ratio, grown = us[MAIN] / theirs, us[SIZES[-1]] / us[SIZES[0]]
    made = medians({
        "legs": lambda: leg_of(asked[MAIN].prepared, book.ACCOUNTS[0], asked[MAIN].trades[0].instrument),
        "numbers": lambda: Numbers.of(asked[MAIN].prepared),
    })  # fmt: skip
    sizes = ", ".join(f"{us[count]:.1f}" for count in SIZES)
    return [
        Row("numeric what-if of four legs at 100, 1,000, 10,000 positions", f"{sizes} us", f"flat: <= {FLAT:g}x",
            grown <= FLAT),
        Row("against one option order through nautilus_trader 1.221.0, cash account, in turns",
            f"{ratio:.2f}x its {theirs:.1f} us", f"<= {TIMES:g}x", ratio <= TIMES),
        Row(f"{MAIN:,} positions: made once: a leg; the sums of a cycle", f"{ms(made['legs'])}; {ms(made['numbers'])}"),
    ]  # fmt: skip


def _each(run: Callable[[Sequence[NumericLeg]], object], legs: Sequence[NumericLeg]) -> float:
    began = time.perf_counter()
    for _ in range(CHECKS):
        run(legs)
    return (time.perf_counter() - began) / CHECKS


def _impact(count: int, one: _Asked) -> list[Row]:
    """Everything after an order: rows, sums, stress, margin estimates and all findings."""
    portfolio, limits = one.prepared.portfolio, one.prepared.limits
    after = project(one.prepared, one.trades).portfolio
    order, answer = _order(one), _answer(one)

    def asked(packages: int, working: int, prepared: Prepared) -> None:
        ground = Ground(prepared, book.NOW, working=_working(one, working))
        simulate(replace(order, quantity=packages), ground, answer, book.SOURCE)

    if count != MAIN:
        few = {"the Impact": (1, 0)}
    else:
        few = {
            "the Impact": (1, 0), "the same beside 4 working orders": (1, 4), "beside 12": (1, 12),
            "blocked, with the largest quantity that passes": (200, 0), "the same beside 4 working orders ": (200, 4),
        }  # fmt: skip
    cpu = {name: _cpu(lambda given=given: asked(*given, one.prepared)) for name, given in few.items()}
    cpu["the Impact, the first of a cycle"] = _cpu(
        lambda: asked(1, 0, prepare(portfolio, limits, one.prepared.findings))
    )
    taken = medians({
        "impact": lambda: asked(1, 0, one.prepared),
        "whole": lambda: standing_of(after, limits),
        "prepare": lambda: prepare(portfolio, limits, one.prepared.findings),
    })  # fmt: skip
    goal, size = count == MAIN, f"{count:,} positions"
    return [
        Row(f"{size}: the Impact of four legs, wall clock", ms(taken["impact"]),
            f"<= {IMPACT_MS:g} ms" if goal else "", taken["impact"] <= IMPACT_MS if goal else None),
        *(Row(f"{size}: {name.strip()}, CPU", ms(value)) for name, value in cpu.items()),
        Row(f"{size}: the stress alone, all of it revalued", ms(taken["whole"])),
        Row(f"{size}: made ready, once a cycle", ms(taken["prepare"])),
    ]  # fmt: skip


def _cpu(run: Callable[[], object]) -> float:
    """Median milliseconds of the processor."""
    run()
    taken = []
    for _ in range(CPU_TURNS):
        began = time.process_time()
        run()
        taken.append(time.process_time() - began)
    return statistics.median(taken) * 1000.0


def _order(one: _Asked) -> Order:
    legs = tuple(Leg(trade.instrument, int(trade.quantity)) for trade in one.trades)
    return Order(book.ACCOUNTS[0], legs, 1, -10.0)


def _answer(one: _Asked) -> Preview:
    """A broker's: the order takes 10,000 dollars."""
    owner = one.prepared.portfolio.accounts[0]
    worth, held = owner.net_liquidation, owner.margins[0].maintenance
    assert worth is not None
    assert held is not None
    margin = Figure(held, 10_000.0, held + 10_000.0)
    return Preview(book.NOW, margin, margin, Figure(worth, 0.0, worth), "USD")


def _working(one: _Asked, count: int) -> tuple[BrokerOrder, ...]:
    """Single options of several underlyings, held ones, bought and sold by turns."""
    rows = [p for p in one.prepared.portfolio.positions if p.account == book.ACCOUNTS[0] and p.instrument.is_option]
    return tuple(
        BrokerOrder(p.account, str(at), "", (Leg(p.instrument, 1 if at % 2 else -1),), 1, 0, OrderState.WORKING)
        for at, p in enumerate(rows[: 7 * count : 7])
    )


class _Peer:
    """The peer's process."""

    def __enter__(self) -> Self:
        command = [str(environment("nautilus_trader", PINNED)), "-c", PEER, str(CHECKS)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin
        assert self._process.stdout
        self._ask, self._told = self._process.stdin, self._process.stdout
        if self._told.readline().strip() != "ready":
            raise RuntimeError("nautilus_trader did not start: see its words above")
        return self

    def __exit__(self, *_: object) -> None:
        self._ask.close()
        self._process.wait(10)
        self._told.close()

    def run(self) -> float:
        """Seconds of one check, of a batch of them."""
        self._ask.write("again\n")
        self._ask.flush()
        return float(self._told.readline())


if __name__ == "__main__":
    rows = gate()
    print("\n".join(map(str, rows)))
    sys.exit(int(any(row.met is False for row in rows)))

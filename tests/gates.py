"""Grounds, orders and brokers' answers in readable form: the tests' own way to ask the gate. Real values, no mocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from guardrails import checks
from guardrails.execution.values import OrderRecord
from guardrails.gate.ground import Ground
from guardrails.gate.projection import prepare
from guardrails.gate.simulate import simulate
from guardrails.gate.values import Impact
from guardrails.limits import Limits
from guardrails.matrix import RiskMatrix
from guardrails.orders import BrokerOrder, Figure, Leg, Order, OrderState, Preview
from guardrails.portfolio import AccountHistory, Portfolio
from guardrails.symbols import parse
from guardrails.values import Account, AccountId, Greeks, Market, Observed, Position, Price, Quote
from tests.books import IBKR, MATRIX, NOW, book, market, with_limits
from tests.stressed import stressed

UNSET_LIMITS: dict[str, Any] = {
    "max_beta_delta": None, "max_beta_delta_pct_nlv": None, "max_negative_vega": None,
    "max_negative_vega_pct_nlv": None, "max_gamma": None, "max_gamma_pct_nlv": None, "max_near_expiry_gamma": None,
    "max_near_expiry_gamma_pct_nlv": None, "min_daily_theta": None, "max_daily_theta": None,
    "max_daily_theta_pct_nlv": None, "theta_vega_ratio": None, "max_single_underlying_vega_pct": None,
    "max_single_underlying_delta_pct": None, "max_single_underlying_margin_pct": None, "max_position_contracts": None,
    "max_position_notional_pct_nlv": None, "short_option_dte": None, "min_cushion": None, "watch_cushion": None,
    "max_margin_utilisation": None, "max_daily_loss_pct": None, "watch_daily_loss_pct": None, "max_drawdown_pct": None,
    "stress": None,
}  # fmt: skip
"""no limit at all: a test names those it is about"""


def limited(rules: dict[str, Any] | None = None, **keys: Any) -> Limits:
    """No limits but `keys`, and the shipped rules of single orders but `rules`."""
    matrix: RiskMatrix = MATRIX
    if rules:
        matrix = MATRIX.model_copy(update={"orders": MATRIX.orders.model_copy(update=rules)})
    return with_limits(matrix=matrix, **{**UNSET_LIMITS, **keys})


def ground(
    *positions: Position,
    limits: Limits | None = None,
    accounts: Sequence[Account] | None = None,
    at: Market | None = None,
    now: datetime = NOW,
    gaps: tuple[str, ...] = (),
    history: dict[AccountId, AccountHistory] | None = None,
    **more: Any,
) -> Ground:
    """The ground on which a book of these positions stands, judged by `limits`; `more` are fields of Ground."""
    rules = limits or limited()
    make = book if rules.keys.stress is None else stressed
    extra: dict[str, Any] = {} if rules.keys.stress is None else {"limits": rules}
    made = make(*positions, accounts=accounts, at=at or quoted(), now=now, gaps=gaps, history=history, **extra)
    return ground_of(made, rules, **more)


def ground_of(portfolio: Portfolio, limits: Limits, **more: Any) -> Ground:
    """The ground of a book that is there already."""
    findings = checks.run(portfolio, limits)
    return Ground(prepare(portfolio, limits, findings), portfolio.time, **more)


def quoted(time: datetime = NOW, betas: dict[str, float] | None = None, **quotes: tuple[float, float]) -> Market:
    """The usual prices with MES and ES, and quotes of nobody's options by OCC symbol (underscores for blanks)."""
    base = market(betas, time, QQQ=500.0, AAPL=250.0)
    futures = {name: Price(6000.0, time, "test", 5999.75, 6000.25) for name in ("/ESZ26", "/MESZ26")}
    said = {key_of(symbol): Quote(bid, ask, time, "test") for symbol, (bid, ask) in quotes.items()}
    return replace(base, prices={**base.prices, **futures}, quotes=said, risk_free=Observed(0.04, time, "test"))


def with_quotes(at: Market, **quotes: tuple[float, float, str]) -> Market:
    """`at` with (bid, ask, "delta gamma vega theta iv") of more instruments."""
    said, greeks = dict(at.quotes), dict(at.greeks)
    for symbol, (bid, ask, words) in quotes.items():
        values = [float(word) for word in words.split()]
        said[key_of(symbol)] = Quote(bid, ask, NOW, "test")
        greeks[key_of(symbol)] = Greeks(*values, "test", NOW)
    return replace(at, quotes=said, greeks=greeks)


def key_of(symbol: str) -> str:
    """The key of a symbol in which underscores stand for blanks."""
    return parse(symbol.replace("_", " "), NOW.date()).key


def order(
    *legs: tuple[str, int], quantity: int = 1, limit: float | None = None, owner: AccountId = IBKR, **more: Any
) -> Order:
    """An order of legs as (symbol, ratio)."""
    made = tuple(Leg(parse(symbol, NOW.date()), ratio) for symbol, ratio in legs)
    return Order(owner, made, quantity, limit, **more)


def answer(excess: float = 40_000.0, takes: float = 1_000.0, worth: float = 100_000.0, **more: Any) -> Preview:
    """What a broker says: the order takes `takes` of margin and leaves `excess`."""
    held = worth - excess
    margin = Figure(held - takes, takes, held)
    return replace(Preview(NOW, margin, margin, Figure(worth, 0.0, worth), "USD"), **more)


def resting(
    *legs: tuple[str, int], quantity: float = 1, filled: float = 0, owner: AccountId = IBKR, **more: Any
) -> BrokerOrder:
    """A working order of somebody."""
    made = tuple(Leg(parse(symbol, NOW.date()), ratio) for symbol, ratio in legs)
    base = BrokerOrder(owner, "17", "", made, quantity, filled, OrderState.WORKING, sender="TWS")
    return replace(base, **more)


def record(one: Order, seconds: float = 5.0, state: OrderState = OrderState.WORKING, **more: Any) -> OrderRecord:
    """An order of ours, sent some seconds ago."""
    when = NOW - timedelta(seconds=seconds)
    return replace(OrderRecord("k-1", one, state, when, when, "Ada", "ticket", kind="NEW_RISK"), **more)


def ask(one: Order, on: Ground, preview: Preview | None = None) -> Impact:
    """What the gate says of `one`, with an answer of the broker that leaves plenty."""
    return simulate(one, on, preview or answer(), "test")


def codes(impact: Impact) -> set[str]:
    """Codes of the reasons."""
    return {reason.code for reason in impact.reasons}


def blocks(impact: Impact) -> set[str]:
    """Codes of the reasons that refuse it."""
    return {reason.code for reason in impact.reasons if reason.verdict == "BLOCK"}

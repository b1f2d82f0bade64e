"""A small world for simulated trades: instruments that are quoted whoever holds them, books of them, and the book that
really holds the result, made from scratch without the code under test.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from guardrails import checks
from guardrails.assess import build_portfolio
from guardrails.findings import Finding
from guardrails.gate.projection import Prepared, prepare
from guardrails.instruments import Instrument, Right
from guardrails.limits import Limits
from guardrails.matrix import DteAlarm
from guardrails.memory import Memory
from guardrails.orders import Trade
from guardrails.portfolio import Portfolio
from guardrails.stress.standing import standing_of
from guardrails.symbols import contracts, occ
from guardrails.values import Account, AccountId, Dividend, Greeks, Market, Observed, Position, Quote
from tests.books import IBKR, NOW, TASTY, account, market, view
from tests.stressed import stress_limits

LEVELS = {"SPX": 6000.0, "SPY": 600.0, "AAPL": 200.0, "XYZ": 50.0, "VIX": 17.0, "/ESZ26": 6010.0, "TSLA": 400.0}
_OPTIONS = (
    "SPXW  261218P05700000", "SPXW  261218P05600000", "SPXW  261218C06300000", "SPXW  270115P05500000",
    "SPY   261218P00580000", "SPY   261218C00620000", "AAPL  261218C00210000", "AAPL  261218P00190000",
    "AAPL  270115C00220000", "XYZ   261218P00045000", "VIX   261216C00022000", "TSLA  261127C00420000",
)  # fmt: skip
_FUTURE_OPTIONS = tuple(
    contracts.future_option("ES", 2026, 12, date(2026, 12, 18), right, Decimal(strike), "/ESZ26")
    for right, strike in ((Right.PUT, 5800), (Right.CALL, 6200))
)
SHARES = tuple(contracts.equity(name) for name in ("SPY", "AAPL", "XYZ", "TSLA"))
UNIVERSE: tuple[Instrument, ...] = (
    *(occ.parse(symbol) for symbol in _OPTIONS), *_FUTURE_OPTIONS, contracts.future("ES", 2026, 12), *SHARES,
)  # fmt: skip
SILENT = occ.parse("TSLA  270115C00450000")
"""nobody says anything of it"""


def multiplier(instrument: Instrument) -> float:
    """By the contract: 50 for what is of /ES, 100 for options, 1 for shares."""
    return 50.0 if "/ES" in instrument.underlying else 100.0 if instrument.is_option else 1.0


def world(chance: random.Random | None = None) -> Market:
    """Prices, quotes and Greeks of the universe; a share that pays, one without a beta."""
    draw = chance or random.Random(7)  # noqa: S311  # a reproducible market
    base = market({"SPY": 1.0, "AAPL": 1.2, "TSLA": 1.9}, **LEVELS)
    quotes, greeks = {}, {}
    for each in UNIVERSE:
        if each.is_option:
            price = round(0.02 * LEVELS[each.underlying] * draw.uniform(0.3, 1.5), 2)
            sign = 1.0 if each.right is Right.CALL else -1.0
            quotes[each.key] = Quote(round(price * 0.98, 3), round(price * 1.02, 3), NOW, "test")
            greeks[each.key] = Greeks(
                sign * draw.uniform(0.1, 0.6), 0.01 / multiplier(each), draw.uniform(0.05, 3.0),
                -draw.uniform(0.02, 1.5), draw.uniform(0.15, 0.6), "test", NOW,
            )  # fmt: skip
    paid = Dividend(date(2026, 12, 10), 0.25, "USD", "test", NOW)
    return replace(
        base, quotes=quotes, greeks=greeks, dividends={"AAPL": (paid,)}, risk_free=Observed(0.04, NOW, "test")
    )


@dataclass(frozen=True, slots=True)
class Case:
    """A book, what is traded, and the market both live in."""

    held: Mapping[tuple[AccountId, Instrument], float]
    trades: tuple[Trade, ...]
    market: Market
    accounts: tuple[Account, ...]


def case(seed: int) -> Case:
    """Up to a dozen positions in two accounts, one to four trades: opening, closing, flipping, twice in one thing."""
    chance = random.Random(seed)  # noqa: S311  # reproducible
    universe = (*UNIVERSE, SILENT) if chance.random() < 0.3 else UNIVERSE
    held = {
        (chance.choice((IBKR, TASTY)), instrument): float(chance.choice((-3, -2, -1, 1, 2, 4)) * _lot(instrument))
        for instrument in chance.sample(universe, chance.randint(1, 12))
    }
    trades = []
    for _ in range(chance.randint(1, 4)):
        if held and chance.random() < 0.5:
            (owner, instrument), quantity = chance.choice(list(held.items()))
            trades.append(Trade(owner, instrument, -quantity * chance.choice((0.5, 1.0, 1.0, 2.0))))
        else:
            instrument = chance.choice(universe)
            size = float(chance.choice((-2, -1, 1, 3)) * _lot(instrument))
            trades.append(Trade(chance.choice((IBKR, TASTY)), instrument, size))
    accounts = (account(IBKR, 150_000.0), account(TASTY, 80_000.0, margin_by_underlying={"SPX": 9_000.0}))
    return Case(held, tuple(trades), world(chance), accounts)


def _lot(instrument: Instrument) -> int:
    return 100 if instrument in SHARES else 2 if instrument.is_option else 1


def limits() -> Limits:
    """Limits tight enough that books of this world break some of them."""
    found = stress_limits(single_name_gap=0.05, spreads_widen=0.05, february_2018=0.1, black_monday_1987=0.5)
    alarm = DteAlarm(breach=5, watch=21)
    keys = found.keys.model_copy(update={
        "max_position_contracts": 4, "max_single_underlying_delta_pct": 0.4, "max_single_underlying_margin_pct": 0.4,
        "short_option_dte": found.keys.short_option_dte and found.keys.short_option_dte.model_copy(
            update={"physical": alarm}
        ),
    })  # fmt: skip
    return replace(found, keys=keys)


def after(one: Case) -> dict[tuple[AccountId, Instrument], float]:
    """What is held in the end, by adding up."""
    found = dict(one.held)
    for trade in one.trades:
        place = (trade.account, trade.instrument)
        found[place] = found.get(place, 0.0) + trade.quantity
    return {place: quantity for place, quantity in found.items() if abs(quantity) > 1e-9}


def portfolio(
    held: Mapping[tuple[AccountId, Instrument], float], one: Case, rules: Limits, accounts: Sequence[Account] = ()
) -> Portfolio:
    """The book that really holds `held`, as a cycle would see it."""
    rows = [
        Position(owner, instrument, quantity, multiplier(instrument), "test", NOW, day_pnl=0.0)
        for (owner, instrument), quantity in held.items()
    ]
    views = [view(*rows, accounts=accounts or one.accounts, at=one.market)]
    found = build_portfolio(views, one.market, rules, Memory(), NOW, market_open=True)
    return replace(found, stress=standing_of(found, rules))


def judged(held: Portfolio, rules: Limits) -> tuple[Finding, ...]:
    """What a cycle finds."""
    return tuple(checks.run(held, rules))


def prepared(one: Case, rules: Limits) -> Prepared:
    """The book before, ready to be asked."""
    before = portfolio(one.held, one, rules)
    return prepare(before, rules, judged(before, rules))

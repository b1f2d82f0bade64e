"""A healthy book that clears every check, and ways to break one thing in it. Real values, no mocks."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import yaml

from guardrails import calendar
from guardrails.assess import Assessment, assess, judge
from guardrails.findings import Finding, Level, worst
from guardrails.matrix import SCENARIO_NAMES, RiskMatrix, parse
from guardrails.memory import Memory
from guardrails.values import (
    Account,
    AccountId,
    Margin,
    MarginView,
    Market,
    Observed,
    Position,
    Price,
    Source,
    SourceState,
    View,
)
from tests.books import IBKR, NOW, ROOT, TASTY, option, stock

SHIPPED = (ROOT / "risk_matrix.yaml").read_text(encoding="utf-8")
VIEWS = (MarginView.CURRENT, MarginView.FULL, MarginView.LOOK_AHEAD)
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""ten times as fast, where PyYAML was built with them"""
BEFORE = NOW - timedelta(minutes=3)
"""time of the account reading that a healthy memory starts from"""

SPX_PUT, NEAR_PUT, AAPL_PUT = "SPXW  261218P05590000", "SPXW  261125P05810000", "AAPL  261218P00252500"
"""at strikes where our model says about the 10.00 that they are quoted at"""
SPY_SHARES, AAPL_SHARES = "SPY", "AAPL"

STRESSED = frozenset({"stress_ladder", "stress_scenarios", "stress_excess", "model_residual"})
"""the checks that rest on the book's values after a shock, and are UNKNOWN without: an option needs a volatility and
its own price for them, and one of the healthy book's five is more than may be without
"""
GENEROUS: Mapping[str, Any] = {
    "max_beta_delta": 1_000.0,
    "max_beta_delta_pct_nlv": 2.0,
    "max_negative_vega": -100_000.0,
    "max_negative_vega_pct_nlv": -0.02,
    "max_gamma": 10_000_000.0,
    "max_gamma_pct_nlv": 5.0,
    "max_near_expiry_gamma": 10_000_000.0,
    "max_near_expiry_gamma_pct_nlv": 5.0,
    "min_daily_theta": -1_000.0,
    "max_daily_theta": 10_000.0,
    "max_daily_theta_pct_nlv": 0.05,
    "theta_vega_ratio": {"green_min": 0.0, "green_max": 2.0, "red_min": 0.0, "red_max": 2.0},
    "max_single_underlying_vega_pct": 0.9,
    "max_single_underlying_delta_pct": 0.9,
    "max_single_underlying_margin_pct": 0.9,
    "max_position_contracts": 50,
    "max_position_notional_pct_nlv": 20.0,
    "max_drawdown_pct": 0.5,
    "stress": {
        "ladder": [{"index": -0.10, "max_loss_pct_nlv": 0.9}, {"index": 0.05, "max_loss_pct_nlv": 0.9}],
        "stress_loss_pct_nlv": dict.fromkeys(SCENARIO_NAMES, 0.9),
        "min_excess_after": [-0.10, 0.05],
        "max_unvalued_share": 0.05,
    },
}
"""limits that the healthy book is far from, each one set"""


def edited(changes: Mapping[str, Any], text: str = SHIPPED) -> RiskMatrix:
    """The shipped matrix with keys changed, through the real parser; `regimes.*.…` means every regime."""
    return _parsed(edited_text(changes, text))


def edited_text(changes: Mapping[str, Any], text: str = SHIPPED) -> str:
    """The same as the text of a file."""
    data = pickle.loads(_read(text))  # noqa: S301  # made below
    for path, value in changes.items():
        starts = list(data["regimes"]) if path.startswith("regimes.*.") else [""]
        for name in starts:
            *parents, last = path.replace("*", name, 1).split(".") if name else path.split(".")
            place = data
            for part in parents:
                place = place[int(part) if isinstance(place, list) else part]
            place[last] = deepcopy(value)  # the parser refuses YAML anchors
    return yaml.dump(data, Dumper=DUMPER, sort_keys=False)


@cache
def _read(text: str) -> bytes:
    """What the text says, to be changed by whoever takes it out: nearly all edit the same few."""
    return pickle.dumps(yaml.load(text, LOADER))  # noqa: S506  # one of the two safe ones


@cache
def _parsed(text: str) -> RiskMatrix:
    return parse(text)


def limited(**limits: Any) -> RiskMatrix:
    """The generous matrix with some limits changed in every regime."""
    return edited({f"regimes.*.limits.{key}": value for key, value in {**GENEROUS, **limits}.items()})


GENEROUS_MATRIX = limited()


def closes(value: float, days: int = 60, now: datetime = NOW) -> tuple[tuple[Any, float], ...]:
    """`days` official daily closes at `value`, the last one of yesterday."""
    today = calendar.exchange_date(now)
    sessions = calendar.sessions_between(today - timedelta(days=2 * days), calendar.previous_session(today))
    return tuple((day, value) for day in sessions[-days:])


@dataclass(frozen=True, slots=True)
class World:
    """Everything an assessment is made from."""

    positions: Mapping[str, Position]
    accounts: Mapping[AccountId, Account]
    market: Market
    source: Source
    memory: Memory
    matrix: RiskMatrix = GENEROUS_MATRIX
    now: datetime = NOW

    def view(self) -> View:
        """What the one source says."""
        return View(self.source, tuple(self.accounts.values()), tuple(self.positions.values()), self.market)

    def assess(self) -> Assessment:
        """The verdict."""
        return assess([self.view()], self.matrix, self.memory, self.now)

    def unstressed(self) -> Assessment:
        """The same without revaluing anything, which is most of the work: for what does not rest on stress."""
        return assess([self.view()], self.matrix, self.memory, self.now, compiling=True)

    def findings(self) -> tuple[Finding, ...]:
        """What the checks find, without the rows of a Snapshot, which are half of the work."""
        return judge([self.view()], self.matrix, self.memory, self.now).findings

    def findings_of(self, *names: str) -> tuple[Finding, ...]:
        """What these checks find; the book is revalued, nine tenths of the work, only when one of them rests on it."""
        revalued = not STRESSED.isdisjoint(names)
        found = judge([self.view()], self.matrix, self.memory, self.now, compiling=not revalued).findings
        return tuple(finding for finding in found if finding.check in names)

    def position(self, name: str, **changes: Any) -> World:
        """With one position changed."""
        return replace(self, positions={**self.positions, name: replace(self.positions[name], **changes)})

    def greeks(self, name: str, **changes: Any) -> World:
        """With some Greeks of one position changed."""
        held = self.positions[name].greeks
        return self if held is None else self.position(name, greeks=replace(held, **changes))

    def add(self, name: str, position: Position) -> World:
        """With one more position."""
        return replace(self, positions={**self.positions, name: position})

    def account(self, number: AccountId, **changes: Any) -> World:
        """With one account changed."""
        return replace(self, accounts={**self.accounts, number: replace(self.accounts[number], **changes)})

    def priced(self, symbol: str, price: Price | None) -> World:
        """With one price changed, or taken away."""
        prices = {**self.market.prices, symbol: price} if price else dict(self.market.prices)
        if price is None:
            prices.pop(symbol, None)
        return replace(self, market=replace(self.market, prices=prices))

    def markets(self, **changes: Any) -> World:
        """With fields of the market changed."""
        return replace(self, market=replace(self.market, **changes))


@cache
def healthy() -> World:
    """Two accounts, shares and short puts, all known, all fresh, all far from every limit."""
    accounts = {number: _account(number, NOW) for number in (IBKR, TASTY)}
    world = World(
        positions=dict(_positions()),
        accounts=accounts,
        market=_market(),
        source=Source("test", SourceState.LIVE, NOW),
        memory=Memory(),
    )
    earlier = replace(world, accounts={number: _account(number, BEFORE) for number in (IBKR, TASTY)})
    return replace(world, memory=earlier.unstressed().memory)


def _positions() -> Iterable[tuple[str, Position]]:
    quoted = {"bid": 9.9, "ask": 10.1, "mark": 10.0, "quote_time": NOW, "mark_time": NOW, "day_pnl": 0.0}
    yield SPY_SHARES, stock("SPY", 100, 600.0, day_pnl=0.0)
    yield AAPL_SHARES, stock("AAPL", 100, 250.0, TASTY, day_pnl=0.0)
    yield SPX_PUT, option(SPX_PUT, -1, "-0.2 0.0005 4 -1 0.18", **quoted)
    yield NEAR_PUT, option(NEAR_PUT, -1, "-0.05 0.0002 1 -1 0.2", **quoted)
    yield AAPL_PUT, option(AAPL_PUT, -1, "-0.2 0.01 0.2 -0.1 0.3", TASTY, **quoted)


def _account(number: AccountId, time: datetime) -> Account:
    opened, _ = calendar.session_bounds(calendar.session_of(NOW))
    return Account(
        number,
        "test",
        time,
        net_liquidation=500_000.0,
        cash=400_000.0,
        day_pnl=0.0,
        margins=tuple(Margin(view, "total", 500_000.0, 50_000.0, 450_000.0) for view in VIEWS),
        expected_views=VIEWS,
        margin_by_underlying={"SPX": 30_000.0, "SPY": 10_000.0, "AAPL": 10_000.0},
        prior_net_liquidation=Observed(500_000.0, opened - timedelta(hours=17), "test"),
        cash_flows=0.0,
        margin_call=False,
    )


def _market() -> Market:
    levels = {"SPX": 6000.0, "SPY": 600.0, "AAPL": 250.0}
    return Market(
        vix=Observed(17.0, NOW, "test"),
        vix3m=Observed(19.0, NOW, "test"),
        vix_closes=closes(17.0),
        vix3m_closes=closes(19.0),
        prices={symbol: Price(value, NOW, "test") for symbol, value in levels.items()},
        betas={"AAPL": Observed(1.2, NOW, "test")},
        fx={"EUR": Observed(1.1, NOW, "test")},
        risk_free=Observed(0.04, NOW, "test"),
    )


def levels(findings: Iterable[Finding]) -> dict[str, Level]:
    """The worst level of each check."""
    found: dict[str, list[Level]] = {}
    for finding in findings:
        found.setdefault(finding.check, []).append(finding.level)
    return {check: worst(seen) for check, seen in found.items()}

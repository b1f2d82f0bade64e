"""Tiny books in readable form: the tests' own way to write down a portfolio. Real values, no mocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from guardrails.exposures import measure_exposures
from guardrails.instruments import Instrument, Kind
from guardrails.limits import Limits
from guardrails.matrix import RiskMatrix, load
from guardrails.portfolio import AccountHistory, Portfolio, total_net_liquidation
from guardrails.symbols import occ
from guardrails.values import (
    Account,
    AccountId,
    Greeks,
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

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

NOW = datetime(2026, 11, 18, 15, 30, tzinfo=UTC)
"""a Wednesday, 10:30 in New York, market open"""
IBKR = AccountId("IBKR", "U0000004567")
TASTY = AccountId("tastytrade", "5WT00001")

MATRIX: RiskMatrix = load(ROOT / "risk_matrix.yaml")


def with_limits(regime: str = "neutral_volatility", matrix: RiskMatrix = MATRIX, **changed: Any) -> Limits:
    """The shipped limits of `regime` with some keys changed."""
    keys = matrix.regime(regime).limits.model_copy(update=changed)
    return Limits(regime=regime, keys=keys, matrix=matrix, regime_reason="VIX is 17.00")


def stock(symbol: str, quantity: float | None, price: float | None, account: AccountId = IBKR, **more: Any) -> Position:
    """A share position marked at `price`."""
    instrument = Instrument(Kind.EQUITY, symbol, symbol, symbol)
    return _position(account, instrument, quantity, 1.0, price, **more)


def future(symbol: str, quantity: float, price: float, multiplier: float, account: AccountId = IBKR) -> Position:
    """A futures position."""
    return _position(account, Instrument(Kind.FUTURE, symbol, symbol, symbol[:-3]), quantity, multiplier, price)


def option(
    symbol: str, quantity: float | None, greeks: str | None = None, account: AccountId = IBKR, **more: Any
) -> Position:
    """An option by its OCC symbol; `greeks` as `delta gamma vega theta [iv]` of one unit."""
    position = _position(account, occ.parse(symbol), quantity, more.pop("multiplier", 100.0), more.pop("mark", None))
    if greeks is not None:
        delta, gamma, vega, theta, *iv = (float(value) for value in greeks.split())
        position = replace(position, greeks=Greeks(delta, gamma, vega, theta, iv[0] if iv else None, "test", NOW))
    return replace(position, **more)


def _position(
    account: AccountId,
    instrument: Instrument,
    quantity: float | None,
    multiplier: float,
    price: float | None,
    **more: Any,
) -> Position:
    held = Position(account, instrument, quantity, multiplier, "test", NOW, mark=price, mark_time=NOW)
    return replace(held, **more)


def account(
    number: AccountId = IBKR, net_liquidation: float | None = 100_000.0, excess: float | None = None, **more: Any
) -> Account:
    """An account with one margin view; half its money is excess unless said otherwise."""
    free = excess if excess is not None or net_liquidation is None else net_liquidation / 2
    used = None if net_liquidation is None or free is None else net_liquidation - free
    margin = Margin(MarginView.CURRENT, "total", net_liquidation, used, free)
    return replace(Account(number, "test", NOW, net_liquidation=net_liquidation, margins=(margin,)), **more)


def market(betas: Mapping[str, float] | None = None, time: datetime = NOW, **prices: float) -> Market:
    """Prices by symbol; SPX 6,000 and SPY 600 are always there."""
    levels = {"SPX": 6000.0, "SPY": 600.0, **prices}
    return Market(
        vix=Observed(17.0, time, "test"),
        vix3m=Observed(19.0, time, "test"),
        prices={symbol: Price(value, time, "test") for symbol, value in levels.items()},
        betas={symbol: Observed(value, time, "test") for symbol, value in (betas or {}).items()},
    )


def book(
    *positions: Position,
    accounts: Sequence[Account] | None = None,
    at: Market | None = None,
    now: datetime = NOW,
    history: Mapping[AccountId, AccountHistory] | None = None,
    gaps: tuple[str, ...] = (),
) -> Portfolio:
    """A Portfolio of these positions, valued as they are."""
    where = at or market()
    owners = (account(),) if accounts is None else tuple(accounts)
    return Portfolio(
        time=now,
        accounts=owners,
        positions=positions,
        market=where,
        sources=(Source("test", SourceState.LIVE, now),),
        exposures=measure_exposures(positions, where, now),
        history=history or {},
        net_liquidation=total_net_liquidation(owners, where),
        gaps=gaps,
        data_age_seconds=0.0,
    )


def view(
    *positions: Position, accounts: Sequence[Account] | None = None, at: Market | None = None, state: str = "live"
) -> View:
    """What one source would say."""
    owners = (account(),) if accounts is None else tuple(accounts)
    return View(Source("test", SourceState(state), NOW), owners, positions, at or market())


def day(text: str) -> date:
    """A date from ISO text."""
    return date.fromisoformat(text)

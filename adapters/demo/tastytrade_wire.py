"""What the simulated tastytrade API and its dxFeed stream send; nothing here is a value of the domain.

Numbers are strings; a quantity is unsigned and carries its sign as a direction; `mark` is the whole position and
`mark-price` one unit; the margin report is by underlying; events are per streamer symbol and carry no time of their own
that could be trusted, so `received` is what counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

from adapters.demo.book import TASTYTRADE
from adapters.demo.margin import Requirement
from adapters.demo.market import INDEX, RATE, Levels
from adapters.demo.marks import FuturePrice, Holding
from adapters.demo.metrics import metrics
from adapters.demo.money import PRIOR, Segment
from guardrails import calendar
from guardrails.instruments import Kind
from guardrails.symbols import dxfeed, tastytrade

Record = dict[str, object]
_TYPE = {
    Kind.EQUITY: "Equity", Kind.OPTION: "Equity Option", Kind.INDEX_OPTION: "Equity Option", Kind.FUTURE: "Future",
    Kind.FUTURE_OPTION: "Future Option",
}  # fmt: skip
_FLAGS = (
    "is-closed", "is-frozen", "is-closing-only", "is-futures-closing-only", "is-cryptocurrency-closing-only",
    "is-risk-reducing-only", "is-in-margin-call", "is-in-day-trade-equity-maintenance-call",
)  # fmt: skip
_CALLS = ("reg-t-call-value", "day-trading-call-value", "day-equity-call-value")


@dataclass(frozen=True, slots=True)
class Messages:
    """Everything tastytrade said last."""

    received: datetime
    positions: tuple[Record, ...]
    balance: Record
    status: Record
    """trading status"""
    last_balance: Record
    """balance snapshot of the last end of day"""
    transfers: tuple[Record, ...]
    """deposits and withdrawals since; an empty answer says there were none"""
    margin_report: Record
    metrics: tuple[Record, ...]
    events: tuple[Record, ...]


def messages(
    holdings: Sequence[Holding], whole: Segment, asked: Sequence[Requirement], levels: tuple[Levels, Levels],
    futures: Sequence[FuturePrice], now: datetime, last_close: datetime,
) -> Messages:  # fmt: skip
    """The messages at `now`; `levels` are those of now and of the previous close."""
    return Messages(
        received=now,
        positions=tuple(_position(holding, now) for holding in holdings),
        balance=_balance(whole, holdings, now),
        status={"account-number": TASTYTRADE, **dict.fromkeys(_FLAGS, False)},
        last_balance=_last_balance(last_close),
        transfers=(),
        margin_report=_margin_report(whole, asked),
        metrics=metrics(levels[0], now, last_close),
        events=tuple(_events(holdings, levels, futures)),
    )


def candles(symbol: str, closes: Sequence[tuple[date, float]]) -> tuple[Record, ...]:
    """Daily candles as dxFeed sends them: dated by the midnight that begins the day."""
    return tuple(
        {
            "eventType": "Candle",
            "eventSymbol": f"{symbol}{{=d,tho=true}}",
            "time": int(calendar.at(day, time(0)).timestamp() * 1000),
            "close": close,
        }
        for day, close in closes
    )


def _position(holding: Holding, now: datetime) -> Record:
    line, held = holding.line, holding.line.instrument
    size = abs(line.quantity) * line.multiplier
    record: Record = {
        "account-number": TASTYTRADE,
        "symbol": tastytrade.format(held),
        "instrument-type": _TYPE[held.kind],
        "underlying-symbol": _contract(held.underlying or held.symbol),
        "quantity": f"{abs(line.quantity):g}",
        "quantity-direction": "Long" if line.quantity > 0 else "Short",
        "close-price": f"{holding.settled.mark:g}",
        "average-open-price": f"{holding.cost:g}",
        "average-daily-market-close-price": f"{holding.settled.mark:.10g}",
        "multiplier": f"{line.multiplier:g}",
        "cost-effect": "Credit" if line.quantity > 0 else "Debit",
        "is-suppressed": False,
        "is-frozen": False,
        "restricted-quantity": "0",
        "mark": f"{size * holding.mark.mark:.2f}",
        "mark-price": f"{holding.mark.mark:.10g}",
        "realized-day-gain": "0.0",
        "realized-day-gain-effect": "None",
        "realized-day-gain-date": calendar.exchange_date(now).isoformat(),
        "updated-at": now.isoformat(),
    }
    end = calendar.last_trade(held)
    return record if end is None else record | {"expires-at": end.isoformat()}


def _contract(symbol: str) -> str:
    return symbol[:-2] + symbol[-1] if symbol.startswith("/") else symbol


def _balance(whole: Segment, holdings: Sequence[Holding], now: datetime) -> Record:
    excess = whole.net_liquidation - whole.maintenance
    shares = [holding for holding in holdings if holding.line.instrument.kind is Kind.EQUITY]
    options = [holding for holding in holdings if holding.line.instrument.is_option]
    return {
        "account-number": TASTYTRADE,
        "currency": "USD",
        "cash-balance": f"{whole.cash:.2f}",
        "long-equity-value": f"{sum(h.value for h in shares if h.value > 0):.2f}",
        "short-equity-value": f"{-sum(h.value for h in shares if h.value < 0):.2f}",
        "long-derivative-value": f"{sum(h.value for h in options if h.value > 0):.2f}",
        "short-derivative-value": f"{-sum(h.value for h in options if h.value < 0):.2f}",
        "net-liquidating-value": f"{whole.net_liquidation:.2f}",
        "margin-equity": f"{whole.net_liquidation:.2f}",
        "maintenance-requirement": f"{whole.maintenance:.2f}",
        "maintenance-excess": f"{excess:.2f}",
        "derivative-buying-power": f"{max(excess, 0.0):.2f}",
        "equity-buying-power": f"{max(2.0 * excess, 0.0):.2f}",
        "used-derivative-buying-power": f"{whole.maintenance:.2f}",
        "maintenance-call-value": f"{max(-excess, 0.0):.2f}",
        **dict.fromkeys(_CALLS, "0.0"),
        "updated-at": now.isoformat(),
    }


def _last_balance(close: datetime) -> Record:
    return {
        "account-number": TASTYTRADE,
        "snapshot-date": calendar.exchange_date(close).isoformat(),
        "time-of-day": "EOD",
        "net-liquidating-value": f"{sum(PRIOR[TASTYTRADE].values()):.2f}",
        "updated-at": close.isoformat(),
    }


def _margin_report(whole: Segment, asked: Sequence[Requirement]) -> Record:
    """The report; requirements carry the sign of a debit."""
    by_underlying: dict[str, float] = {}
    for requirement in asked:
        code = requirement.underlying
        by_underlying[code] = by_underlying.get(code, 0.0) + requirement.now
    return {
        "account-number": TASTYTRADE,
        "maintenance-requirement": f"-{whole.maintenance:.2f}",
        "maintenance-excess": f"{whole.net_liquidation - whole.maintenance:.2f}",
        "groups": [
            {
                "description": code,
                "code": code,
                "underlying-symbol": _contract(code),
                "maintenance-requirement": f"-{dollars:.2f}",
                "maintenance-requirement-effect": "Debit",
            }
            for code, dollars in by_underlying.items()
        ],
    }


def _events(
    holdings: Sequence[Holding], levels: tuple[Levels, Levels], futures: Sequence[FuturePrice]
) -> Iterator[Record]:
    spots, settled = levels[0].spots, levels[1].spots
    for name, price in spots.items():
        yield from _traded(name, price, settled[name])
        if name != INDEX:
            yield _quote(name, round(price - 0.01, 2), round(price + 0.01, 2))
    for it in futures:
        streamer = dxfeed.format(it.contract)
        yield from _traded(streamer, it.price, it.settled)
        yield _quote(streamer, it.price - 0.25, it.price + 0.25)
    yield from _traded("VIX", levels[0].vix, levels[1].vix)
    yield from _traded("VIX3M", levels[0].vix3m, levels[1].vix3m)
    for holding in holdings:
        if holding.mark.option is not None:
            yield from _option_events(holding)


def _option_events(holding: Holding) -> Iterator[Record]:
    symbol, mark, value = dxfeed.format(holding.line.instrument), holding.mark, holding.mark.option
    yield _quote(symbol, mark.bid, mark.ask)
    if value is not None:
        yield {
            "eventType": "Greeks",
            "eventSymbol": symbol,
            "price": value.price,
            "volatility": value.iv,
            "delta": value.delta,
            "gamma": value.gamma,
            "theta": value.theta,
            "rho": value.rho,
            "vega": value.vega,
        }
        yield {"eventType": "TheoPrice", "eventSymbol": symbol, "interest": RATE, "underlyingPrice": mark.spot}


def _traded(symbol: str, price: float, close: float) -> Iterator[Record]:
    yield {"eventType": "Trade", "eventSymbol": symbol, "price": price}
    yield {"eventType": "Summary", "eventSymbol": symbol, "prevDayClosePrice": close}


def _quote(symbol: str, bid: float, ask: float) -> Record:
    return {"eventType": "Quote", "eventSymbol": symbol, "bidPrice": bid, "askPrice": ask, "bidTime": 0, "askTime": 0}

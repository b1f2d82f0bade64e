"""What the simulated TWS sends, in its words, units and quirks; nothing here is a value of the domain.

Account values are text with `-S` and `-C` for the segments; averageCost of a derivative includes the multiplier; an
AM-settled option is dated by its last trading day while its localSymbol carries the settlement day; an index has no
bid and no ask, which TWS writes as -1.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.demo.book import IBKR
from adapters.demo.market import INDEX, Levels
from adapters.demo.marks import FuturePrice, Holding, Mark
from adapters.demo.money import Segment
from guardrails import calendar
from guardrails.instruments import Instrument, Kind, Settlement
from guardrails.products import product_root
from guardrails.symbols import ibkr_text

Record = dict[str, object]
_SEC_TYPE = {
    Kind.EQUITY: "STK", Kind.INDEX: "IND", Kind.OPTION: "OPT", Kind.INDEX_OPTION: "OPT", Kind.FUTURE: "FUT",
    Kind.FUTURE_OPTION: "FOP", Kind.CASH: "CASH",
}  # fmt: skip
_WATCHED = (
    Instrument(Kind.INDEX, INDEX, INDEX, INDEX),
    Instrument(Kind.EQUITY, "SPY", "SPY", "SPY"),
    Instrument(Kind.EQUITY, "QQQ", "QQQ", "QQQ"),
)
_NO_QUOTE = -1.0


@dataclass(frozen=True, slots=True)
class Messages:
    """Everything TWS said last."""

    received: datetime
    portfolio: tuple[Record, ...]
    tickers: tuple[Record, ...]
    account_values: tuple[Record, ...]
    pnl: Record


def messages(
    holdings: Sequence[Holding], parts: Mapping[bool, Segment], levels: tuple[Levels, Levels],
    futures: Sequence[FuturePrice], now: datetime, made: float = 0.0,
) -> Messages:  # fmt: skip
    """The messages at `now`; `levels` are those of now and of the previous close, `made` by trades of the day."""
    day = sum(holding.day_pnl for holding in holdings) + made
    return Messages(
        received=now,
        portfolio=tuple(_row(holding) for holding in holdings),
        tickers=(*(_option_ticker(h, now) for h in holdings if h.mark.option), *_tickers(levels, futures, now)),
        account_values=tuple(_account_values(parts, holdings, levels[0], now)),
        pnl={"account": IBKR, "dailyPnL": round(day, 2)},
    )


def _contract(held: Instrument, multiplier: float) -> Record:
    """The contract fields of a position."""
    record: Record = {
        "conId": _con_id(held),
        "secType": _SEC_TYPE[held.kind],
        "symbol": product_root(held.underlying or held.symbol).lstrip("/"),
        "localSymbol": "EUR.USD" if held.kind is Kind.CASH else ibkr_text.local_symbol(held),
        "tradingClass": held.root.lstrip("/") or held.symbol,
        "lastTradeDateOrContractMonth": _last_trade(held),
        "strike": 0.0,
        "right": "0",
        "multiplier": "" if multiplier == 1 else f"{multiplier:g}",
        "currency": "USD",
    }
    if held.strike is not None and held.right is not None:
        record |= {"strike": float(held.strike), "right": held.right.value}
    if held.kind is Kind.FUTURE_OPTION:
        record["underSymbol"] = _one_digit(held.underlying)
    return record


def _con_id(held: Instrument) -> int:
    return 100_000_000 + zlib.crc32(held.key.encode()) % 600_000_000


def _one_digit(contract: str) -> str:
    """`/ESZ26` as `ESZ6`."""
    return contract[1:-2] + contract[-1]


def _last_trade(held: Instrument) -> str:
    if held.expiry is None:
        return ""
    early = held.kind is Kind.INDEX_OPTION and held.settlement is Settlement.CASH_AM
    return f"{calendar.previous_session(held.expiry) if early else held.expiry:%Y%m%d}"


def _row(holding: Holding) -> Record:
    """One row of the portfolio, with the contract details and the single-position P&L that belong to it."""
    line, price = holding.line, holding.mark.mark
    size = line.quantity * line.multiplier
    return _contract(line.instrument, line.multiplier) | {
        "account": IBKR,
        "position": line.quantity,
        "marketPrice": price,
        "marketValue": round(size * price, 2),
        "averageCost": holding.cost * line.multiplier,
        "unrealizedPNL": round(size * (price - holding.cost), 2),
        "realizedPNL": 0.0,
        "dailyPnL": round(holding.day_pnl, 2),
    }


def _option_ticker(holding: Holding, now: datetime) -> Record:
    mark, value = holding.mark, holding.mark.option
    ticker = _ticker(holding.line.instrument, mark, holding.settled.mark, now)
    if value is not None:
        ticker["modelGreeks"] = {
            "impliedVol": value.iv,
            "delta": value.delta,
            "optPrice": value.price,
            "pvDividend": 0.0,
            "gamma": value.gamma,
            "vega": value.vega,
            "theta": value.theta,
            "undPrice": mark.spot,
        }
    return ticker


def _ticker(held: Instrument, mark: Mark, close: float, now: datetime) -> Record:
    quoted = held.kind is not Kind.INDEX
    return {
        "contract": _contract(held, 1.0),
        "time": now.isoformat(),
        "marketDataType": 1,
        "bid": mark.bid if quoted else _NO_QUOTE,
        "ask": mark.ask if quoted else _NO_QUOTE,
        "last": mark.mark,
        "close": close,
    }


def _tickers(levels: tuple[Levels, Levels], futures: Sequence[FuturePrice], now: datetime) -> Iterator[Record]:
    """Tickers of what the book is struck on."""
    spots, settled = levels[0].spots, levels[1].spots
    for held in _WATCHED:
        price = spots[held.symbol]
        yield _ticker(
            held, Mark(price, round(price - 0.01, 2), round(price + 0.01, 2), price), settled[held.symbol], now
        )
    for it in futures:
        yield _ticker(it.contract, Mark(it.price, it.price - 0.25, it.price + 0.25, it.price), it.settled, now)


def _account_values(
    parts: Mapping[bool, Segment], holdings: Sequence[Holding], levels: Levels, now: datetime
) -> Iterator[Record]:
    whole = parts[False] + parts[True]
    yield _value("AccountReady", "true", "")
    for suffix, segment in (("", whole), ("-S", parts[False]), ("-C", parts[True])):
        yield from _segment(suffix, segment)
    yield _value("Cushion", f"{(whole.net_liquidation - whole.maintenance) / whole.net_liquidation:.6f}", "")
    yield _value("LookAheadNextChange", str(int(_next_close(now).timestamp())), "")
    yield _value("DayTradesRemaining", "-1", "")
    euros = sum(h.line.quantity for h in holdings if h.line.instrument.kind is Kind.CASH)
    dollars = whole.cash - euros * levels.eurusd
    for currency, amount, rate in (("EUR", euros, levels.eurusd), ("USD", dollars, 1.0), ("BASE", whole.cash, 1.0)):
        yield _value("CashBalance", f"{amount:.2f}", currency)
        yield _value("ExchangeRate", f"{rate:.5f}", currency)


def _segment(suffix: str, segment: Segment) -> Iterator[Record]:
    yield _value(f"NetLiquidation{suffix}", f"{segment.net_liquidation:.2f}")
    yield _value(f"EquityWithLoanValue{suffix}", f"{segment.net_liquidation:.2f}")
    yield _value(f"TotalCashValue{suffix}", f"{segment.cash:.2f}")
    views = (("", segment.maintenance), ("Full", segment.overnight), ("LookAhead", segment.ahead))
    for prefix, maintenance in views:
        initial = 1.1 * maintenance
        yield _value(f"{prefix}InitMarginReq{suffix}", f"{initial:.2f}")
        yield _value(f"{prefix}MaintMarginReq{suffix}", f"{maintenance:.2f}")
        yield _value(f"{prefix}AvailableFunds{suffix}", f"{segment.net_liquidation - initial:.2f}")
        yield _value(f"{prefix}ExcessLiquidity{suffix}", f"{segment.net_liquidation - maintenance:.2f}")
    if not suffix:
        yield _value("BuyingPower", f"{max(4.0 * (segment.net_liquidation - 1.1 * segment.maintenance), 0.0):.2f}")


def _value(tag: str, value: str, currency: str = "USD") -> Record:
    return {"account": IBKR, "tag": tag, "value": value, "currency": currency, "modelCode": ""}


def _next_close(now: datetime) -> datetime:
    """The next close of regular trading, when intraday margin turns into overnight margin."""
    session = calendar.session_on_or_before(calendar.exchange_date(now))
    close = calendar.session_bounds(session)[1]
    return close if close > now else calendar.session_bounds(calendar.next_session(session))[1]

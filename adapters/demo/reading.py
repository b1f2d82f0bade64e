"""From the simulated brokers' messages to accounts, positions and prices, by the translators real records go through.

Only market data (ticks, Greeks, events) is read here, and what IBKR's demo says of the last end of day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from adapters.demo import ibkr_wire, tastytrade_wire
from adapters.demo.book import TASTYTRADE
from adapters.ibkr import rows as ibkr_rows
from adapters.tastytrade import metrics as tastytrade_metrics
from adapters.tastytrade import money as tastytrade_money
from adapters.tastytrade import rows as tastytrade_rows
from guardrails import calendar
from guardrails.instruments import Kind
from guardrails.symbols import dxfeed
from guardrails.values import Account, AccountId, Greeks, Market, Observed, Position, Price, finite

_DAY = "%Y%m%d"


@dataclass(frozen=True, slots=True)
class Part:
    """What one broker's messages say."""

    account: Account
    positions: tuple[Position, ...]
    market: Market


def read_ibkr(sent: ibkr_wire.Messages, source: str, last_close: datetime) -> Part:
    """Account, positions and prices from TWS messages."""
    today = calendar.exchange_date(sent.received)
    account = AccountId(ibkr_rows.BROKER, str(sent.pnl["account"]))
    reading = ibkr_rows.Reading(account, source, sent.received, written=today, today=today)
    tickers = {_con_id(ticker): ticker for ticker in sent.tickers}
    values = [
        ibkr_rows.AccountValue(str(row["tag"]), str(row["value"]), str(row["currency"])) for row in sent.account_values
    ]
    money = ibkr_rows.to_account(values, account, source, sent.received)
    day = finite(sent.pnl["dailyPnL"])
    prior = None
    if day is not None and money.net_liquidation is not None:
        prior = Observed(round(money.net_liquidation - day, 2), last_close, source)
    return Part(
        account=replace(money, day_pnl=day, prior_net_liquidation=prior),
        positions=tuple(_ibkr_position(row, tickers.get(row["conId"]), reading) for row in sent.portfolio),
        market=Market(
            prices=dict(_ibkr_prices(sent, today)),
            fx={
                value.currency: Observed(float(value.value), sent.received, source)
                for value in values
                if value.tag == "ExchangeRate" and value.currency not in ("USD", "BASE")
            },
        ),
    )


def _con_id(ticker: Mapping[str, Any]) -> object:
    return ticker["contract"]["conId"]


def _ibkr_contract(row: Mapping[str, Any]) -> ibkr_rows.Contract:
    day = str(row["lastTradeDateOrContractMonth"])
    return ibkr_rows.Contract(
        sec_type=str(row["secType"]),
        symbol=str(row["symbol"]),
        local_symbol=str(row["localSymbol"]),
        trading_class=str(row["tradingClass"]),
        expiry=date(int(day[:4]), int(day[4:6]), int(day[6:])) if day else None,
        strike=finite(row["strike"]) or None,
        right=str(row["right"]),
        currency=str(row["currency"]),
        underlying=str(row.get("underSymbol", "")),
    )


def _ibkr_position(row: Mapping[str, Any], ticker: Mapping[str, Any] | None, reading: ibkr_rows.Reading) -> Position:
    figures = ibkr_rows.Figures(
        quantity=finite(row["position"]),
        multiplier=finite(row["multiplier"]),
        price=finite(row["marketPrice"]),
        value=finite(row["marketValue"]),
        average_cost=finite(row["averageCost"]),
        open_pnl=finite(row["unrealizedPNL"]),
        day_pnl=finite(row["dailyPnL"]),
    )
    position = ibkr_rows.to_position(_ibkr_contract(row), figures, reading)
    if ticker is None:
        return position
    time = datetime.fromisoformat(ticker["time"])
    bid, ask = _quoted(ticker["bid"]), _quoted(ticker["ask"])
    greeks = ticker.get("modelGreeks")
    return replace(
        position, bid=bid, ask=ask, quote_time=time, greeks=None if greeks is None else _ibkr_greeks(greeks, time)
    )


def _quoted(value: object) -> float | None:
    """TWS writes -1 where there is no quote."""
    number = finite(value)
    return number if number is not None and number >= 0 else None


def _ibkr_greeks(sent: Mapping[str, Any], time: datetime) -> Greeks:
    return Greeks(
        delta=finite(sent["delta"]),
        gamma=finite(sent["gamma"]),
        vega=finite(sent["vega"]),
        theta=finite(sent["theta"]),
        iv=finite(sent["impliedVol"]),
        source="ibkr",
        time=time,
    )


def _ibkr_prices(sent: ibkr_wire.Messages, today: date) -> Iterable[tuple[str, Price]]:
    """Prices of what is no option, by canonical symbol."""
    for ticker in sent.tickers:
        row, last = ticker["contract"], finite(ticker["last"])
        if not isinstance(row, dict) or row["secType"] not in ("STK", "IND", "FUT") or last is None:
            continue
        held = ibkr_rows.instrument(_ibkr_contract(row), today)
        time = datetime.fromisoformat(str(ticker["time"]))
        yield (
            held.symbol,
            Price(last, time, "ibkr", _quoted(ticker["bid"]), _quoted(ticker["ask"]), finite(ticker["close"])),
        )


def read_tastytrade(sent: tastytrade_wire.Messages, source: str, made: float = 0.0) -> Part:
    """Account, positions and prices from API answers and dxFeed events; `made` is what trades of the day made."""
    today = calendar.exchange_date(sent.received)
    reading = tastytrade_rows.Reading(source, sent.received, written=today, today=today)
    events = _by_type(sent.events)
    records = tastytrade_money.AccountRecords(
        number=TASTYTRADE,
        read=sent.received,
        balance=sent.balance,
        status=sent.status,
        margin=sent.margin_report,
        last_end_of_day=sent.last_balance,
        transfers=sent.transfers,
    )
    positions = [tastytrade_rows.to_position(record, reading) for record in sent.positions]
    return Part(
        account=replace(
            tastytrade_money.to_account(records, source),
            day_pnl=None if (day := tastytrade_money.day_pnl(positions)) is None else day + made,
        ),
        positions=tuple(_with_events(position, events, sent.received) for position in positions),
        market=_tastytrade_market(sent, events),
    )


_Events = Mapping[str, Mapping[str, Mapping[str, Any]]]


def _by_type(events: Iterable[Mapping[str, Any]]) -> _Events:
    """The last event of every symbol by type."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for event in events:
        found.setdefault(event["eventType"], {})[event["eventSymbol"]] = event
    return found


def _with_events(position: Position, events: _Events, time: datetime) -> Position:
    if position.instrument.kind is Kind.OTHER:
        return position
    symbol = dxfeed.format(position.instrument)
    quote, greeks = (events.get(kind, {}).get(symbol) for kind in ("Quote", "Greeks"))  # none of a book without options
    if quote is not None:
        position = replace(position, bid=finite(quote["bidPrice"]), ask=finite(quote["askPrice"]), quote_time=time)
    return position if greeks is None else replace(position, greeks=_dxfeed_greeks(greeks, time))


def _dxfeed_greeks(event: Mapping[str, Any], time: datetime) -> Greeks:
    return Greeks(
        delta=finite(event["delta"]),
        gamma=finite(event["gamma"]),
        vega=finite(event["vega"]),
        theta=finite(event["theta"]),
        iv=finite(event["volatility"]),
        source="tastytrade",
        time=time,
        rho=finite(event["rho"]),
    )


def _tastytrade_market(sent: tastytrade_wire.Messages, events: _Events) -> Market:
    time, trades = sent.received, events["Trade"]
    rates = [rate for event in events.get("TheoPrice", {}).values() if (rate := finite(event["interest"])) is not None]
    return Market(
        vix=_level(trades.get("VIX"), time),
        vix3m=_level(trades.get("VIX3M"), time),
        prices={
            dxfeed.parse(symbol).symbol: price
            for symbol in trades
            if (price := _price(symbol, events, time)) is not None
        },
        betas={
            symbol: beta
            for row in sent.metrics
            if (symbol := tastytrade_metrics.symbol_of(row, time)) is not None
            and (beta := tastytrade_metrics.to_beta(row, "tastytrade", time)) is not None
        },
        risk_free=Observed(rates[0], time, "tastytrade") if rates else None,
        metrics={
            found.symbol: found
            for row in sent.metrics
            if (found := tastytrade_metrics.to_metrics(row, "tastytrade", time)) is not None
        },
        dividends={
            symbol: paid
            for row in sent.metrics
            if (symbol := tastytrade_metrics.symbol_of(row, time)) is not None
            and (paid := tastytrade_metrics.to_dividends(row, "tastytrade", time)) != ()
        },
        yields={
            symbol: share
            for row in sent.metrics
            if (symbol := tastytrade_metrics.symbol_of(row, time)) is not None
            and (share := tastytrade_metrics.to_yield(row, "tastytrade", time)) is not None
        },
    )


def _level(trade: Mapping[str, Any] | None, time: datetime) -> Observed | None:
    value = None if trade is None else finite(trade["price"])
    return None if value is None else Observed(value, time, "tastytrade")


def _price(symbol: str, events: _Events, time: datetime) -> Price | None:
    value = finite(events["Trade"][symbol]["price"])
    if value is None:
        return None
    quote, summary = events["Quote"].get(symbol, {}), events["Summary"].get(symbol, {})
    return Price(
        value, time, "tastytrade", finite(quote.get("bidPrice")), finite(quote.get("askPrice")),
        finite(summary.get("prevDayClosePrice")),
    )  # fmt: skip


def daily_closes(candles: Iterable[Mapping[str, Any]]) -> tuple[tuple[date, float], ...]:
    """Closes by exchange date, oldest first, from daily candles."""
    found = {}
    for candle in candles:
        close = finite(candle["close"])
        if close is not None:
            found[calendar.exchange_date(datetime.fromtimestamp(candle["time"] / 1000.0, calendar.NEW_YORK))] = close
    return tuple(sorted(found.items()))

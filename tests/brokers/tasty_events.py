"""dxFeed events about the instruments of a book, as named fields in dxFeed's own order; absent numbers are "NaN"."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from tests.brokers.tasty_book import Row

if TYPE_CHECKING:
    from tests.brokers.tasty import Tasty

Event = dict[str, Any]
NAN = "NaN"
REMOVE, BEGIN, END = 0x2, 0x4, 0x8
"""event flags: removed, the snapshot begins, the snapshot ends"""
TICKING = ("Quote", "Greeks", "Trade", "TheoPrice", "Underlying")
"""types that move while the stream runs"""
KINDS = (*TICKING, "Summary", "Profile", "Candle")
GREEKS = ("price", "volatility", "delta", "gamma", "theta", "rho", "vega")
EPOCH = date(1970, 1, 1)


def event(tasty: Tasty, kind: str, symbol: str) -> Event | None:
    """The event of one type about a streamer symbol now; None when dxFeed would stay silent."""
    row = tasty.book.streamed(symbol)
    if row is None or kind not in MAKERS or tasty.hit("silent_symbols", symbols=symbol):
        return None
    told = tasty.book.market.get(row["symbol"], {})
    now = int(tasty.clock().timestamp() * 1000)
    figures = MAKERS[kind](tasty, row, told, now)
    if figures is None:
        return None
    if kind == "Greeks" and tasty.hit("nan_greeks", symbols=symbol):
        figures |= dict.fromkeys(GREEKS, NAN)
    return {"eventType": kind, "eventSymbol": symbol, "eventTime": 0, **figures}


def _or_nan(value: float | None, nudge: float = 0.0) -> float | str:
    return NAN if value is None else round(value + nudge, 6)


def _indexed(tasty: Tasty, now: int) -> Event:
    """Index and time of an indexed event: milliseconds and a sequence."""
    sequence = tasty.next_sequence()
    return {"eventFlags": 0, "index": (now // 1000 << 32) + sequence, "time": now, "sequence": sequence}


def _quote(tasty: Tasty, row: Row, told: Row, now: int) -> Event:
    nudge = tasty.nudge()
    return {
        "sequence": 0, "timeNanoPart": 0, "bidTime": 0, "bidExchangeCode": "Q", "askTime": 0, "askExchangeCode": "Q",
        "bidPrice": _or_nan(told.get("bid"), nudge), "askPrice": _or_nan(told.get("ask"), nudge),
        "bidSize": _or_nan(told.get("bid_size", 10.0)), "askSize": _or_nan(told.get("ask_size", 10.0)),
    }  # fmt: skip


def _greeks(tasty: Tasty, row: Row, told: Row, now: int) -> Event | None:
    known = told.get("greeks")
    return known and {**_indexed(tasty, now), **{name: _or_nan(known.get(name)) for name in GREEKS}}


def _trade(tasty: Tasty, row: Row, told: Row, now: int) -> Event | None:
    last, close = told.get("last"), told.get("close")
    if last is None:
        return None
    change = None if close is None else last - close
    return {
        "time": now, "timeNanoPart": 0, "sequence": tasty.next_sequence(), "exchangeCode": "Q",
        "dayId": _day_id(tasty.book.today), "tickDirection": "ZERO_UP", "extendedTradingHours": False,
        "price": _or_nan(last, tasty.nudge()), "change": _or_nan(change), "size": 1,
        "dayVolume": _or_nan(told.get("volume")), "dayTurnover": NAN,
    }  # fmt: skip


def _summary(tasty: Tasty, row: Row, told: Row, now: int) -> Event:
    return {
        "dayId": _day_id(tasty.book.today), "dayClosePriceType": "REGULAR",
        "prevDayId": _day_id(tasty.book.sessions(1)[0]), "prevDayClosePriceType": "FINAL",
        "openInterest": told.get("open_interest", 0), "dayOpenPrice": _or_nan(told.get("open")),
        "dayHighPrice": _or_nan(told.get("high")), "dayLowPrice": _or_nan(told.get("low")), "dayClosePrice": NAN,
        "prevDayClosePrice": _or_nan(told.get("close")), "prevDayVolume": NAN,
    }  # fmt: skip


def _profile(tasty: Tasty, row: Row, told: Row, now: int) -> Event:
    beta = tasty.book.metrics.get(row["symbol"], {}).get("beta")
    halted = bool(told.get("halted"))
    return {
        "description": row.get("description", row["symbol"]), "shortSaleRestriction": "INACTIVE",
        "tradingStatus": "HALTED" if halted else "ACTIVE", "haltStartTime": 0, "haltEndTime": 0, "exDividendDayId": 0,
        "statusReason": None, "high52WeekPrice": NAN, "low52WeekPrice": NAN,
        "beta": NAN if beta is None else float(beta), "shares": NAN, "highLimitPrice": NAN, "lowLimitPrice": NAN,
        "earningsPerShare": NAN, "exDividendAmount": NAN, "dividendFrequency": NAN, "freeFloat": NAN,
    }  # fmt: skip


def _theo(tasty: Tasty, row: Row, told: Row, now: int) -> Event | None:
    known = told.get("greeks")
    if not known:
        return None
    under = tasty.book.known(row.get("underlying-symbol", ""))
    return {
        **_indexed(tasty, now), "price": _or_nan(known.get("price")),
        "underlyingPrice": _or_nan(tasty.book.price(under["symbol"]) if under else None),
        "delta": _or_nan(known.get("delta")), "gamma": _or_nan(known.get("gamma")),
        "dividend": _or_nan(known.get("dividend", 0.0)), "interest": float(tasty.book.risk_free_rate),
    }  # fmt: skip


def _underlying(tasty: Tasty, row: Row, told: Row, now: int) -> Event | None:
    index = tasty.book.metrics.get(row["symbol"], {}).get("implied-volatility-index")
    if index is None:
        return None
    volatility = float(index)
    return {
        **_indexed(tasty, now), "volatility": volatility, "frontVolatility": volatility, "backVolatility": volatility,
        "callVolume": 1000, "putVolume": 900, "optionVolume": 1900, "putCallRatio": 0.9,
    }  # fmt: skip


MAKERS = {
    "Quote": _quote, "Greeks": _greeks, "Trade": _trade, "Summary": _summary, "Profile": _profile, "TheoPrice": _theo,
    "Underlying": _underlying,
}  # fmt: skip


def candles(tasty: Tasty, symbol: str, from_time: int) -> list[Event]:
    """Daily candles of `SPX{=d,tho=true}` since `from_time` (ms), newest first, flagged as one snapshot.

    Other widths have none: an empty snapshot, which is one removed event. Silence for an unknown symbol.
    """
    name, _, attributes = symbol.partition("{")
    row = tasty.book.streamed(name)
    if row is None or tasty.hit("silent_symbols", symbols=name):
        return []
    daily = attributes.rstrip("}").split(",")[0] in ("=d", "=1d", "=D")
    bars = tasty.book.bars(row["symbol"])[::-1] if daily else []
    told = [_candle(tasty, symbol, *bar) for bar in bars]
    told = [candle for candle in told if candle["time"] >= from_time]
    if not told or tasty.hit("candle_tail"):
        told.append(_no_candle(symbol))
    told[0]["eventFlags"] |= BEGIN
    told[-1]["eventFlags"] |= END
    return told


def _candle(tasty: Tasty, symbol: str, day: date, opened: float, close: float) -> Event:
    began = int(datetime.combine(day, time(0), tasty.candle_zone).timestamp() * 1000)
    return {
        "eventType": "Candle", "eventSymbol": symbol, "eventTime": 0, "eventFlags": 0, "index": began // 1000 << 32,
        "time": began, "sequence": 0, "count": 100, "volume": 1000.0, "vwap": close, "bidVolume": NAN, "askVolume": NAN,
        "impVolatility": NAN, "openInterest": NAN, "open": opened, "high": max(opened, close),
        "low": min(opened, close), "close": close,
    }  # fmt: skip


def _no_candle(symbol: str) -> Event:
    blank = dict.fromkeys(("volume", "vwap", "bidVolume", "askVolume", "impVolatility", "openInterest"), NAN)
    figures = dict.fromkeys(("open", "high", "low", "close"), NAN)
    return {
        "eventType": "Candle", "eventSymbol": symbol, "eventTime": 0, "eventFlags": REMOVE, "index": 0, "time": 0,
        "sequence": 0, "count": 0, **blank, **figures,
    }  # fmt: skip


def _day_id(day: date) -> int:
    return (day - EPOCH).days

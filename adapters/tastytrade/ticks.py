"""The last word of the stream about every symbol, without sentinels, stamped with its arrival.

dxFeed writes "NaN" where it has no figure and often leaves its own times at 0. An event whose figures are NaN is news:
it takes the place of the last good ones, which must not look live (tastytrade facts 7). The first event of a symbol on
a socket is a picture of what was last known, perhaps hours ago: it counts as old as it says it is. Units are dxFeed's:
volatility a fraction, vega and rho per point, theta per calendar day, all of one unit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from guardrails.calendar import NEW_YORK
from guardrails.values import Greeks, Quote, finite

SOURCE = "tastytrade"
_REMOVE_EVENT = 0x2
Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Traded:
    """Last trade of a symbol; of an index its level."""

    price: float
    time: datetime


class Ticks:
    """Last values by streamer symbol; they outlive the socket they came from and keep the time they arrived."""

    def __init__(self) -> None:
        self.greeks: dict[str, Greeks] = {}
        self.quotes: dict[str, Quote] = {}
        self.trades: dict[str, Traded] = {}
        self.previous_closes: dict[str, float] = {}
        self.candles: dict[str, dict[date, float]] = {}
        """daily closes by candle symbol, see `daily`"""
        self.candle_times: dict[str, datetime] = {}
        self.events = 0
        self.garbage = 0
        """messages that could not be read"""
        self._delay = timedelta()
        self._seen: set[tuple[str, str]] = set()
        self._takers: Mapping[str, Callable[[str, Fields, datetime], None]] = {
            "Greeks": self._greeks,
            "Quote": self._quote,
            "Trade": self._trade,
            "Summary": self._summary,
            "Candle": self._candle,
        }

    def begin(self, delay: timedelta) -> None:
        """A new socket begins, of which everything is `delay` old when it arrives."""
        self._delay = delay
        self._seen.clear()

    def take(self, kind: str, fields: Fields, now: datetime) -> None:
        """Take in one event of `kind`; one without a symbol or of a kind that was not asked for is counted."""
        symbol, taker = fields.get("eventSymbol"), self._takers.get(kind)
        if not isinstance(symbol, str) or taker is None:
            self.garbage += 1
            return
        self.events += 1
        taker(symbol, fields, self._dated(kind, symbol, fields, now) - self._delay)

    def _dated(self, kind: str, symbol: str, fields: Fields, now: datetime) -> datetime:
        """Arrival; of the first event on a socket its own time, where it has one that lies before."""
        if (kind, symbol) in self._seen:
            return now
        self._seen.add((kind, symbol))
        own = max(finite(fields.get(name)) or 0.0 for name in ("time", "bidTime", "askTime")) / 1000.0
        return min(now, datetime.fromtimestamp(own, UTC)) if 0 < own < now.timestamp() else now

    def take_rows(self, kind: str, names: Sequence[str], flat: Sequence[object], now: datetime) -> None:
        """Take in events written one after the other without their field names."""
        if not names or len(flat) % len(names):
            self.garbage += 1
            return
        for start in range(0, len(flat), len(names)):
            self.take(kind, dict(zip(names, flat[start : start + len(names)], strict=True)), now)

    def keep(self, symbols: set[str]) -> None:
        """Forget what is no longer asked for."""
        for table in (self.greeks, self.quotes, self.trades, self.previous_closes):
            for symbol in table.keys() - symbols:
                del table[symbol]
        self._seen = {(kind, symbol) for kind, symbol in self._seen if symbol in symbols}

    def begin_kind(self, kind: str) -> None:
        """Events of `kind` are asked for anew: the next one of each symbol is a first picture again."""
        self._seen = {(seen, symbol) for seen, symbol in self._seen if seen != kind}

    def _greeks(self, symbol: str, fields: Fields, now: datetime) -> None:
        delta, gamma, vega, theta, rho, iv = (
            finite(fields.get(name)) for name in ("delta", "gamma", "vega", "theta", "rho", "volatility")
        )
        self.greeks[symbol] = Greeks(delta, gamma, vega, theta, iv, SOURCE, now, rho)

    def _quote(self, symbol: str, fields: Fields, now: datetime) -> None:
        bid, ask = finite(fields.get("bidPrice")), finite(fields.get("askPrice"))
        self.quotes[symbol] = Quote(bid, ask, now, SOURCE)

    def _trade(self, symbol: str, fields: Fields, now: datetime) -> None:
        price = finite(fields.get("price"))
        if price is None or (price <= 0 and not symbol.startswith("/")):  # only futures trade at zero and below
            self.trades.pop(symbol, None)
        else:
            self.trades[symbol] = Traded(price, now)

    def _summary(self, symbol: str, fields: Fields, _: datetime) -> None:
        close = finite(fields.get("prevDayClosePrice"))
        if close is None:
            self.previous_closes.pop(symbol, None)
        else:
            self.previous_closes[symbol] = close

    def _candle(self, symbol: str, fields: Fields, now: datetime) -> None:
        """A day's bar; its time is the midnight in New York or in UTC that begins the day, depending on the symbol."""
        time, close = finite(fields.get("time")), finite(fields.get("close"))
        day = None if time is None else _day(time)
        if day is None:
            self.garbage += 1
            return
        closes = self.candles.setdefault(symbol, {})
        self.candle_times[symbol] = now
        if close is None or int(finite(fields.get("eventFlags")) or 0) & _REMOVE_EVENT:
            closes.pop(day, None)
        else:
            closes[day] = close


def daily(symbol: str) -> str:
    """Name of the daily bars of the regular session, as the SDK asks for them."""
    return f"{symbol}{{=d,tho=true}}"


def _day(milliseconds: float) -> date | None:
    """The day a bar is of: 00:00 UTC is the evening before in New York and means the day of its UTC date."""
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000.0, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.date() if (moment.hour, moment.minute) == (0, 0) else moment.astimezone(NEW_YORK).date()

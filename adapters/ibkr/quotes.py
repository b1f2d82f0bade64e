"""What a TWS ticker says, as a Quote without sentinels, and what it makes of a position.

A ticker is shared and changes in place, and most of what it holds may be unset: NaN before the first tick, -1 for a
side without size, -2 for vega and theta that were never computed, 1.797e308. Delayed quotes arrive now and are a
quarter of an hour old. Greeks come on their own: one that was not sent again is as old as when it came (IBKR facts 0.8
and 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from typing import Protocol

from guardrails.values import Greeks, Position, Price, finite

SOURCE = "ibkr"
DELAY = timedelta(minutes=15)
"""the least a delayed quote is old; IBKR says 15 to 20 minutes"""
_UNSET_GREEK = -2.0


class DataType(IntEnum):
    """What kind of market data TWS sends for a contract."""

    LIVE = 1
    FROZEN = 2
    DELAYED = 3
    DELAYED_FROZEN = 4

    @property
    def delayed(self) -> bool:
        """Whether quotes are dated back by `DELAY`."""
        return self in (DataType.DELAYED, DataType.DELAYED_FROZEN)


_NOTES = {
    DataType.FROZEN: "IBKR sends frozen quotes (the last ones before the close)",
    DataType.DELAYED: "IBKR sends delayed quotes (15 to 20 minutes old)",
    DataType.DELAYED_FROZEN: "IBKR sends delayed quotes (15 to 20 minutes old), frozen at the close",
}


class Computation(Protocol):
    """The figures of one option computation that count here."""

    @property
    def impliedVol(self) -> float | None: ...  # noqa: D102, N802  # ib_async's names, here and below
    @property
    def delta(self) -> float | None: ...  # noqa: D102
    @property
    def gamma(self) -> float | None: ...  # noqa: D102
    @property
    def vega(self) -> float | None: ...  # noqa: D102
    @property
    def theta(self) -> float | None: ...  # noqa: D102
    @property
    def optPrice(self) -> float | None: ...  # noqa: D102, N802
    @property
    def undPrice(self) -> float | None: ...  # noqa: D102, N802


class SentDividends(Protocol):
    """IBKR's tick 59, which generic tick 456 asks for."""

    @property
    def past12Months(self) -> float | None: ...  # noqa: D102, N802
    @property
    def next12Months(self) -> float | None: ...  # noqa: D102, N802
    @property
    def nextDate(self) -> date | None: ...  # noqa: D102, N802
    @property
    def nextAmount(self) -> float | None: ...  # noqa: D102, N802


class Ticker(Protocol):
    """The fields of an ib_async ticker that count here."""

    time: datetime | None
    marketDataType: int  # noqa: N815
    bid: float
    bidSize: float  # noqa: N815
    ask: float
    askSize: float  # noqa: N815
    last: float
    close: float
    markPrice: float  # noqa: N815
    halted: float

    @property
    def dividends(self) -> SentDividends | None: ...  # noqa: D102
    @property
    def modelGreeks(self) -> Computation | None: ...  # noqa: D102, N802


@dataclass(frozen=True, slots=True)
class Payout:
    """What a share pays, in its own currency; None where IBKR does not say."""

    year: float | None
    """sum over the next twelve months, else over the past"""
    next_date: date | None
    """IBKR says only "the next single dividend date"; taken as the ex-date"""
    next_amount: float | None
    time: datetime
    """since when it has said this"""


@dataclass(frozen=True, slots=True)
class Quote:
    """One ticker at one moment; None where it says nothing. Prices are of one unit, as the exchange quotes it."""

    bid: float | None = None
    ask: float | None = None
    last: float | None = None
    close: float | None = None
    """previous session's close"""
    mark_price: float | None = None
    """IBKR's own mark"""
    halted: float | None = None
    """0 no, 1 halted, 2 volatility pause"""
    model: Greeks | None = None
    """of IBKR's option model, with the time they arrived; its figures may be None one by one"""
    model_price: float | None = None
    underlying_price: float | None = None
    """what the model took for the underlying (the future, for an option on one)"""
    time: datetime | None = None
    """arrival of the last tick, dated back by `DELAY` when the data is delayed; None when nothing arrived"""
    data_type: DataType = DataType.LIVE
    payout: Payout | None = None
    computation: object | None = field(default=None, compare=False, repr=False)
    """the very object the Greeks came from, to tell whether they were sent again"""


def read_quote(ticker: Ticker, before: Quote | None) -> Quote:
    """The quote a ticker holds now; `before`, the one read last, serves only to date Greeks not sent again since."""
    data_type = _data_type(ticker.marketDataType)
    time = _arrival(ticker.time, data_type)
    computed = ticker.modelGreeks
    return Quote(
        bid=_side(ticker.bid, ticker.bidSize),
        ask=_above_zero(_side(ticker.ask, ticker.askSize)),
        last=_above_zero(ticker.last),
        close=_above_zero(ticker.close),
        mark_price=_above_zero(ticker.markPrice),
        halted=_not_negative(ticker.halted),
        model=None if computed is None else _greeks(computed, _computed_at(computed, time, before)),
        model_price=None if computed is None else _not_negative(computed.optPrice),
        underlying_price=None if computed is None else _above_zero(computed.undPrice),
        time=time,
        data_type=data_type,
        payout=_payout(ticker.dividends, time, None if before is None else before.payout),
        computation=computed,
    )


def _payout(sent: SentDividends | None, time: datetime | None, before: Payout | None) -> Payout | None:
    """What is said now; what was said before stands while nothing is, and keeps its time while it is the same."""
    if sent is None or time is None:
        return before
    year = _not_negative(sent.next12Months)
    year = _not_negative(sent.past12Months) if year is None else year
    told = sent.nextDate  # with a time of day, should IBKR ever send one, it is a datetime
    day = told.date() if isinstance(told, datetime) else told
    amount = _not_negative(sent.nextAmount)
    if before is not None and (before.year, before.next_date, before.next_amount) == (year, day, amount):
        return before
    return Payout(year, day, amount, time)


def _data_type(number: int) -> DataType:
    """What TWS said the data is; a number it does not document counts as the worst."""
    try:
        return DataType(number)
    except ValueError:
        return DataType.DELAYED_FROZEN


def _arrival(time: datetime | None, data_type: DataType) -> datetime | None:
    """The moment in UTC the data is from; None for a time without zone: ib_async has those only before any message."""
    if time is None or time.tzinfo is None:
        return None
    return time.astimezone(UTC) - (DELAY if data_type.delayed else timedelta(0))


def _not_negative(value: object) -> float | None:
    number = finite(value)
    return number if number is not None and number >= 0 else None


def _above_zero(value: object) -> float | None:
    return _not_negative(value) or None


def _side(price: object, size: object) -> float | None:
    """One side of the quote; a side for no contracts is no quote, and nothing held here trades below zero."""
    return None if finite(size) == 0 else _not_negative(price)


def _computed_at(computed: object, time: datetime | None, before: Quote | None) -> datetime | None:
    """When the Greeks came: now, unless they are the very object seen before."""
    if before is None or computed is not before.computation:
        return time
    return None if before.model is None else before.model.time


def _greeks(computed: Computation, time: datetime | None) -> Greeks | None:
    """The Greeks of one unit; None when there is not one figure, or it is not known since when they stand."""
    figures = [_greek(value) for value in (computed.delta, computed.gamma, computed.vega, computed.theta)]
    volatility = _above_zero(computed.impliedVol)
    if time is None or (volatility is None and not any(figures)):  # all zero without a volatility is nothing computed
        return None
    delta, gamma, vega, theta = figures
    return Greeks(delta, gamma, vega, theta, volatility, SOURCE, time)


def _greek(value: object) -> float | None:
    """A Greek, or None: -2 is how TWS writes unset, and an honest -2 cannot be told from it."""
    number = finite(value)
    return None if number == _UNSET_GREEK else number


def _middle(quote: Quote) -> float | None:
    """Middle of a two-sided quote; None when a side is missing, zero, or the two are crossed."""
    if not quote.bid or quote.ask is None or quote.bid > quote.ask:
        return None
    return (quote.bid + quote.ask) / 2.0


def price_of(quote: Quote) -> float | None:
    """Price of what is no option: the last trade while it lies within the quote, else the middle, else IBKR's mark.

    A quiet hour moves the quote away from the last trade, which then is the price of another time.
    """
    middle = _middle(quote)
    if quote.last is None or middle is None or quote.bid is None or quote.ask is None:
        return quote.last or middle or quote.mark_price
    return quote.last if quote.bid <= quote.last <= quote.ask else middle


def to_price(quote: Quote, source: str) -> Price | None:
    """The price of what is no option; None when only a close is known, or not since when."""
    value = price_of(quote)
    if value is None or quote.time is None:
        return None
    return Price(value, quote.time, source, quote.bid, quote.ask, quote.close)


def to_mark(quote: Quote) -> tuple[float | None, datetime | None]:
    """Price of an option and its time: the middle of a two-sided quote, else the model's price, else the last trade."""
    middle = _middle(quote)
    if middle is not None:
        return middle, quote.time
    if quote.model_price is not None and quote.model is not None:
        return quote.model_price, quote.model.time
    return (None, None) if quote.last is None else (quote.last, quote.time)


def apply(
    position: Position,
    quote: Quote,
    *,
    traded_today: bool = False,
    executed: Sequence[tuple[float, float]] = (),
) -> Position:
    """`position` with what the quote says of it: bid, ask, mark, Greeks, and profit in its own currency.

    `executed` are today's fills as (signed quantity, price of one unit). With `traded_today` and no fills the day's
    profit is None. A quote of unknown age leaves the figures as they are.
    """
    note = _NOTES.get(quote.data_type)
    held = position if note is None else replace(position, notes=(*position.notes, note))
    if quote.time is None:
        return held
    option = position.instrument.is_option
    mark, marked = to_mark(quote) if option else (price_of(quote), quote.time)
    if mark is None or marked is None:
        mark, marked = position.mark, position.mark_time
    held = replace(
        held,
        bid=quote.bid,
        ask=quote.ask,
        quote_time=quote.time if (quote.bid, quote.ask) != (None, None) else None,
        mark=mark,
        mark_time=marked,
        greeks=quote.model if option else None,
    )
    unclear = traded_today and not executed
    return replace(held, day_pnl=None if unclear else _day_pnl(held, quote.close, executed), open_pnl=_open_pnl(held))


def _day_pnl(position: Position, close: float | None, executed: Sequence[tuple[float, float]]) -> float | None:
    """Profit since the close: what is held now, less what was held then at the close, less what was paid since.

    quantity × mark − (quantity − Σ traded) × close − Σ traded × price, times the multiplier. What was opened today
    needs no close.
    """
    quantity, factor, mark = position.quantity, position.multiplier, position.mark
    if quantity is None or factor is None or mark is None:
        return None
    carried = quantity - sum(traded for traded, _ in executed)
    if close is None and carried:
        return None
    paid = sum(traded * price for traded, price in executed)
    return finite((quantity * mark - carried * (close or 0.0) - paid) * factor)


def _open_pnl(position: Position) -> float | None:
    """(mark − average price) × quantity × multiplier."""
    quantity, factor, mark, cost = position.quantity, position.multiplier, position.mark, position.average_price
    if quantity is None or factor is None or mark is None or cost is None:
        return None
    return finite((mark - cost) * quantity * factor)

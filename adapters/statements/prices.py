"""The user's own price file: quotes of options, prices of underlyings, VIX and VIX3M, betas, exchange rates.

CSV with the columns symbol, price, bid, ask, iv, beta, time; all but symbol may be missing, order and case do not
matter. Rows find positions by Instrument, never by spelling: `.SPXW261120P5500` and `SPXW 261120P05500000` are the
same. A row without time is as of now, because the user hands it over as current; a time without a zone is New York
time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from adapters.statements.book import Cells, Line
from adapters.statements.decode import display_name, read_text
from adapters.statements.fields import moment
from adapters.statements.sections import TROUBLE, lowered, named, rows
from guardrails import calendar, symbols
from guardrails.errors import SourceError, SymbolError
from guardrails.instruments import Instrument, Kind
from guardrails.values import Greeks, Market, Observed, Position, Price, View

COLUMNS = ("symbol", "price", "bid", "ask", "iv", "beta", "time")
SOURCE = "statement"
"""source of a volatility given by the user: the model computes the Greeks from it"""
_NEVER_ZERO = (Kind.EQUITY, Kind.INDEX, Kind.CASH, Kind.CRYPTO)
_HIGHEST_IV = 5.0
"""500 %: a volatility above it is a percent taken for a fraction"""


@dataclass(frozen=True, slots=True)
class Quote:
    """One row: what is given of one instrument."""

    instrument: Instrument
    time: datetime
    price: float | None = None
    bid: float | None = None
    ask: float | None = None
    iv: float | None = None
    """annual volatility as a fraction"""
    beta: float | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """A price file: quotes by instrument key, and what could not be used."""

    source: str
    quotes: Mapping[str, Quote] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    """rows that were refused, each with file, line and field"""
    notes: tuple[str, ...] = ()


def read_prices(path: Path, now: datetime) -> Prices:
    """The prices of a file; SourceError when it cannot be read or has no column symbol."""
    name = display_name(path)
    source = f"prices:{name}"
    header: list[str] = []
    quotes: dict[str, Quote] = {}
    problems: list[str] = []
    dropped: set[str] = set()
    for number, cells in rows(read_text(path)):
        if not header:
            header = lowered(cells)
            _require(header, name)
            continue
        line = named(number, cells, header)
        found = _quote(line, name, now, problems)
        if found is not None:
            _keep(found, quotes, dropped, f"{name} line {number}", problems)
    return Prices(source, quotes, tuple(problems), _notes(header, quotes, name))


def _require(header: list[str], name: str) -> None:
    if "symbol" not in header:
        raise SourceError(f"{name} has no column symbol: its first line must name columns among {', '.join(COLUMNS)}")
    if not set(header) & set(COLUMNS[1:6]):
        raise SourceError(
            f"{name} has no column among {', '.join(COLUMNS[1:6])}: there is nothing to read beside the symbols"
        )


def _notes(header: list[str], quotes: Mapping[str, Quote], name: str) -> tuple[str, ...]:
    return (f"{name} has no column time: its {len(quotes)} rows are taken as current",) if "time" not in header else ()


def _keep(found: Quote, quotes: dict[str, Quote], dropped: set[str], place: str, problems: list[str]) -> None:
    """Files a quote; a second, different row for the same instrument removes both."""
    key = found.instrument.key
    if key in dropped or (key in quotes and quotes[key] != found):
        problems.append(f"{place}: {found.instrument.symbol} is given twice with different figures, neither is used")
        quotes.pop(key, None)
        dropped.add(key)
        return
    quotes[key] = found


def _quote(line: Line, name: str, now: datetime, problems: list[str]) -> Quote | None:
    """The quote of a row; None, with the reason in `problems`, when any of its cells is wrong."""
    cells = Cells(line, f"{name} line {line.number}")
    if TROUBLE in line.cells:
        problems.append(f"{cells.place}: {line.cells[TROUBLE]}")
        return None
    time = _time(line, cells, now)
    try:
        instrument = symbols.parse(line.text("symbol"), calendar.exchange_date(now))
    except SymbolError as error:
        problems.append(f"{cells.place}: {error}")
        return None
    price, bid, ask = (cells.number(column) for column in ("price", "bid", "ask"))
    iv, beta = _fraction(line, cells), cells.number("beta")
    for column, value in (("price", price), ("bid", bid), ("ask", ask)):
        if value is not None and value < 0 and instrument.kind is not Kind.FUTURE:
            cells.reasons.append(f"{cells.place}: {column} {value:g} is below zero")
    if price == 0 and instrument.kind in _NEVER_ZERO:
        cells.reasons.append(f"{cells.place}: price of {instrument.symbol} is 0")
    if bid is not None and ask is not None and bid > ask:
        cells.reasons.append(f"{cells.place}: bid {bid:g} is above ask {ask:g}")
    if not cells.reasons and (price, bid, ask, iv, beta) == (None,) * 5:
        cells.reasons.append(f"{cells.place}: {instrument.symbol} has no figure")
    problems += cells.reasons
    if cells.reasons or time is None:
        return None
    return Quote(instrument, time, price, bid, ask, iv, beta)


def _fraction(line: Line, cells: Cells) -> float | None:
    """Volatility as a fraction; `25%` is 0.25, a bare 25 is refused."""
    value = cells.number("iv")
    if value is None:
        return None
    value = value / 100.0 if line.text("iv").endswith("%") else value
    if not 0 < value <= _HIGHEST_IV:
        cells.reasons.append(f"{cells.place}: iv {value:g} is not in 0 to {_HIGHEST_IV:g}; write 0.25 or 25% for 25 %")
        return None
    return value


def _time(line: Line, cells: Cells, now: datetime) -> datetime | None:
    text = line.text("time")
    if not text:
        return now
    try:
        found = moment(text)
    except ValueError as error:
        cells.reasons.append(f"{cells.place}: time {error}")
        return None
    if found > now:
        cells.reasons.append(f"{cells.place}: time {text} is after now ({now:%Y-%m-%d %H:%M} UTC)")
        return None
    return found


def apply_prices(view: View, prices: Prices) -> View:
    """`view` with the prices of the file: quotes on the positions they name, the rest in its Market."""
    positions = tuple(_repriced(position, prices.quotes.get(position.instrument.key)) for position in view.positions)
    return replace(view, positions=positions, market=_market(view.market, prices))


def _repriced(position: Position, quote: Quote | None) -> Position:
    """The position with the row's figures; any price in the row replaces mark, bid and ask together.

    Left beside it, an older quote would contradict the newer price or be preferred to it.
    """
    if quote is None:
        return position
    if (price := _mid(quote)) is not None or quote.bid is not None or quote.ask is not None:
        position = replace(
            position,
            mark=price,
            mark_time=None if price is None else quote.time,
            bid=quote.bid,
            ask=quote.ask,
            quote_time=None if quote.bid is None and quote.ask is None else quote.time,
        )
    if quote.iv is None:
        return position
    return replace(position, greeks=Greeks(None, None, None, None, quote.iv, SOURCE, quote.time))


def _mid(quote: Quote) -> float | None:
    """The price of a row, else the middle of its quote."""
    if quote.price is None and quote.bid is not None and quote.ask is not None:
        return (quote.bid + quote.ask) / 2.0
    return quote.price


def _market(market: Market, prices: Prices) -> Market:
    """`market` with the rows that are no option: prices and betas by symbol, VIX and VIX3M, exchange rates."""
    plain = [quote for quote in prices.quotes.values() if not quote.instrument.is_option]
    priced = [(quote.instrument, price) for quote in plain if (price := _price(quote, prices.source)) is not None]
    found = {thing.symbol: price for thing, price in priced if thing.kind is not Kind.CASH}
    rates = {
        thing.symbol: Observed(rate.value, rate.time, rate.source) for thing, rate in priced if thing.kind is Kind.CASH
    }
    betas = _betas(plain, prices.source)
    return replace(
        market,
        vix=_observed(found.get("VIX")) or market.vix,
        vix3m=_observed(found.get("VIX3M")) or market.vix3m,
        prices={**market.prices, **found},
        betas={**market.betas, **betas},
        fx={**market.fx, **rates},
    )


def _price(quote: Quote, source: str) -> Price | None:
    value = _mid(quote)
    return None if value is None else Price(value, quote.time, source, quote.bid, quote.ask)


def _betas(quotes: Iterable[Quote], source: str) -> dict[str, Observed]:
    return {
        quote.instrument.symbol: Observed(quote.beta, quote.time, source) for quote in quotes if quote.beta is not None
    }


def _observed(price: Price | None) -> Observed | None:
    return None if price is None else Observed(price.value, price.time, price.source)

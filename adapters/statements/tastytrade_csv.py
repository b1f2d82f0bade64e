"""tastytrade positions CSV into the records of the API, from either of its two shapes.

One has the API's own field names as columns. The other is the web platform's table, of which only the visible columns
are exported: quantity is signed, Trade Price is a cash effect (negative for what was paid), Mark is one unit and Net
Liq the whole position. Its Greeks are per position or per unit, as the screen was set, so they are not read; IV Rank
is no volatility. The web shape has no multiplier: one is taken only where the row's own money figures leave exactly
one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from adapters.statements.book import Book, Cells, File, Line
from adapters.statements.detect import is_position_header
from adapters.statements.fields import DayOrder, day
from adapters.statements.sections import TROUBLE, lowered, named, rows, unfinished
from adapters.statements.tastytrade import Record, to_book
from adapters.tastytrade.rows import kebab
from guardrails.errors import SourceError, SymbolError
from guardrails.products import INDEX_ROOTS
from guardrails.symbols import tastytrade as symbols
from guardrails.values import Price

_TYPES = {
    "stock": "Equity", "stocks": "Equity", "equity": "Equity", "etf": "Equity",
    "option": "Equity Option", "options": "Equity Option",
    "equity option": "Equity Option", "equity_option": "Equity Option",
    "future": "Future", "futures": "Future",
    "future option": "Future Option", "futures option": "Future Option", "futures_option": "Future Option",
    "future_option": "Future Option", "futures options": "Future Option",
    "crypto": "Cryptocurrency", "cryptocurrency": "Cryptocurrency",
}  # fmt: skip
_GREEKS = ("delta", "/ delta", "β delta", "theta", "gamma", "vega")
_MULTIPLIERS = (10.0, 50.0, 100.0, 150.0, 1000.0)
"""what listed US option contracts have: minis, splits, the standard, the few large ones"""


def read(text: str, file: File) -> Book:
    """The Book of a positions CSV; SourceError when a column that cannot be spared is missing."""
    last = unfinished(text)
    header: list[str] = []
    records: list[Record] = []
    prices: dict[str, Price] = {}
    for number, cells in rows(text):
        if not header:
            header = lowered(cells) if is_position_header(cells) else []
            continue
        line = named(number, cells, header)
        if number == last and len(cells) < len(header):
            line = Line(number, {**line.cells, TROUBLE: "the file breaks off in it"})
        if line.text("symbol").lower() in ("total", "totals"):
            continue
        record = _api_record(line, file) if _is_api(header) else _web_record(line, file, prices)
        records.append(record)
    if not records:
        raise SourceError(f"{file.name} has column names but no position under them: export the positions again")
    book = to_book(records, [], file, prices=prices)
    skipped = [name for name in _GREEKS if name in header]
    if not skipped:
        return book
    note = f"{file.name}: columns {', '.join(skipped)} are not read, their unit depends on the screen"
    return replace(book, notes=(*book.notes, note))


def _is_api(header: list[str]) -> bool:
    return "quantity-direction" in kebab(dict.fromkeys(header, ""))


def _api_record(line: Line, file: File) -> Record:
    """The row as the API would have sent it."""
    cells = Cells(line, f"{file.name} line {line.number}")
    cells.reasons += [f"{cells.place}: {line.cells[TROUBLE]}"] if TROUBLE in line.cells else []
    fields = {name: cell for name, cell in line.cells.items() if cell and name != TROUBLE}
    return Record(line.number, kebab(fields), tuple(cells.reasons))


def _web_record(line: Line, file: File, prices: dict[str, Price]) -> Record:
    """The row of the web platform in the fields of the API; its price of the underlying goes into `prices`."""
    cells = Cells(line, f"{file.name} line {line.number}")
    cells.reasons += [f"{cells.place}: {line.cells[TROUBLE]}"] if TROUBLE in line.cells else []
    quantity = cells.number("quantity")
    kind = _TYPES.get(line.text("type", "instrument type").lower(), line.text("type", "instrument type"))
    mark, paid = cells.number("mark"), cells.number("trade price")
    bid, ask = cells.number("bid (sell)", "bid"), cells.number("ask (buy)", "ask")
    fields: dict[str, object] = {
        "account-number": line.text("account", "account number"),
        "symbol": _symbol(line, kind, cells),
        "instrument-type": kind,
        "quantity": None if quantity is None else abs(quantity),
        "quantity-direction": None if quantity is None else _direction(quantity),
        "mark-price": None if mark is None else abs(mark),
        "average-open-price": None if paid is None else abs(paid),
        "multiplier": _multiplier(line, kind, quantity, cells),
        "bid": bid,
        "ask": ask,
    }
    if cells.reasons and quantity is None:
        fields["quantity-direction"] = (
            "Long"  # already told why: without a direction a second reason would say the same
        )
    last = cells.number("underlying last price")
    _underlying_price(fields, last, prices, file)
    present = {name: value for name, value in fields.items() if value not in (None, "")}
    return Record(line.number, present, tuple(cells.reasons))


def _direction(quantity: float) -> str:
    return "Zero" if quantity == 0 else "Long" if quantity > 0 else "Short"


def _symbol(line: Line, kind: str, cells: Cells) -> str:
    """The symbol of the row; an option under its bare underlying is spelled out from expiry, strike and right."""
    symbol = line.text("symbol")
    if kind != "Equity Option" or any(character.isdigit() for character in symbol[1:]):
        return symbol
    right, strike = line.text("call/put", "c/p").upper()[:1], cells.number("strike price", "strike")
    try:
        expiry: date | None = day(line.text("exp date", "expiration", "expiration date"), DayOrder.MONTH_FIRST)
    except ValueError as error:
        cells.reasons.append(f"{cells.place}: exp date {error}")
        return symbol
    if right not in ("C", "P") or strike is None or expiry is None:
        cells.reasons.append(f"{cells.place}: an option of {symbol} without call/put or strike price")
        return symbol
    if len({root.root for root in INDEX_ROOTS.values() if root.underlying == symbol}) > 1:
        cells.reasons.append(f"{cells.place}: {symbol} has options of several roots and the row does not say which")
    return f"{symbol.replace('/', ''):<6}{expiry:%y%m%d}{right}{round(strike * 1000):08d}"


def _multiplier(line: Line, kind: str, quantity: float | None, cells: Cells) -> float | None:
    """The multiplier stated, else the one that Net Liq and Mark, or Cost and Trade Price, leave for an option."""
    stated = cells.number("multiplier")
    if stated is not None or kind != "Equity Option" or not quantity:
        return stated
    for total, unit in (("net liq", "mark"), ("cost", "trade price")):
        found = _fitting(cells.number(total), quantity, line.text(unit), cells.number(unit))
        if found is not None:
            return found
    return None


def _fitting(total: float | None, quantity: float, text: str, unit: float | None) -> float | None:
    """The one usual multiplier at which `quantity` at the price printed as `text` is worth `total`, else None."""
    if total is None or not unit:
        return None
    decimals = re.search(r"\.(\d+)", text)
    half = 0.5 * 10.0 ** -len(decimals[1]) if decimals else 0.5
    each = abs(total / quantity)
    highest = each / max(abs(unit) - half, half / 10)
    lowest = each / (abs(unit) + half)
    found = [candidate for candidate in _MULTIPLIERS if lowest <= candidate <= highest]
    return found[0] if len(found) == 1 else None


def _underlying_price(fields: Mapping[str, object], last: float | None, prices: dict[str, Price], file: File) -> None:
    """Files the price of what the row is struck on, or of the share or future itself."""
    if last is None or last <= 0:
        return
    try:
        held = symbols.parse(str(fields["symbol"]), str(fields["instrument-type"]), file.today)
    except SymbolError:
        return
    prices[held.underlying or held.symbol] = Price(last, min(file.modified, file.now), file.source)

"""IBKR activity statement CSV into a Book.

A file of sections: every line begins with its section and Header, Data, Total or SubTotal. Position rows name options
in words (`SPXW 20NOV26 5500 P`); the Financial Instrument Information adds symbol, expiry, multiplier and underlying.
Only the English statement is read: section and column names of others are refused by name, not misread.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from adapters.ibkr.rows import BROKER, Contract, Figures
from adapters.statements import money
from adapters.statements.book import NO_ACCOUNT, Book, Cells, File, Line, gap, priced_underlyings
from adapters.statements.fields import day, shown
from adapters.statements.holdings import Holding, settle
from adapters.statements.sections import TROUBLE, breaks_off_in, sections
from adapters.trust import NO_CURRENCY
from guardrails.errors import SourceError
from guardrails.values import AccountId, Market, Position

_POSITIONS = ("open positions", "long open positions", "short open positions")
_CATEGORIES = {
    "stocks": "STK", "etfs": "STK", "equity and index options": "OPT", "futures": "FUT", "options on futures": "FOP",
    "futures options": "FOP", "warrants": "WAR", "bonds": "BOND", "treasury bills": "BILL", "mutual funds": "FUND",
    "cfds": "CFD", "crypto": "CRYPTO", "cryptocurrencies": "CRYPTO", "forex": "CASH", "structured products": "IOPT",
}  # fmt: skip
_NO_FLOW = ("starting value", "ending value")
_FLOWS = (
    "deposits & withdrawals", "deposits", "withdrawals", "internal transfers", "account transfers", "asset transfers",
    "position transfers", "debit card activity", "bill pay", "grant activity", "stock grant activity",
)  # fmt: skip
_PERIOD_DAY = re.compile(r"([A-Z][a-z]+ \d{1,2}),? (\d{4})")
_ROUNDING = 0.01
"""the entries of Change in NAV add up to its ending value to a cent"""


@dataclass(frozen=True, slots=True)
class _About:
    """What the head of the statement says."""

    account: AccountId
    base: str
    day: date
    one_day: bool
    notes: tuple[str, ...]


def read(text: str, file: File) -> Book:
    """The Book of an activity statement; SourceError when it is in another language or says nothing of a book."""
    parts = sections(text)
    if not any(name in parts for name in ("statement", "account information", "net asset value", *_POSITIONS)):
        first = next(iter(parts), "none")
        raise SourceError(
            f"{file.name} has no known section (its first is {shown(first)}): set the statement's language to English"
        )
    about = _about(parts, file)
    lines = [(section, line) for section in _POSITIONS for line in parts.get(section, [])]
    facts = _facts(parts.get("financial instrument information", []))
    rows = [_holding(line, section, about, facts, file) for section, line in lines if not _is_total(line)]
    settled = settle(rows, file)
    sheets, notes = _sheets(parts, about, file), about.notes
    if about.account in (owners := {row.account for row in rows}) and len(owners) > 1:
        sheets = [replace(sheet, total=None, cash=None, began=None, flows=None) for sheet in sheets]
        notes += (f"{file.name} gives one net asset value for several accounts: export a statement of each account",)
    gaps = [] if rows else [_no_positions(about, file)]
    if breaks_off_in(text, _POSITIONS):
        gaps.append(_cut_short(about, file))
    return Book(
        positions=(*settled.positions, *gaps),
        accounts=money.accounts(sheets, [*settled.positions, *gaps], file),
        market=Market(
            prices=priced_underlyings(settled.positions),
            fx=money.dollars_per(_rates(parts, about), file),
        ),
        left_out=settled.left_out,
        notes=notes,
    )


def _about(parts: Mapping[str, Sequence[Line]], file: File) -> _About:
    fields = {
        line.text("field name").lower(): line.text("field value")
        for section in ("statement", "account information")
        for line in parts.get(section, [])
    }
    account = AccountId(BROKER, (fields.get("account") or NO_ACCOUNT).split()[0])
    base = fields.get("base currency", "").upper() or NO_CURRENCY
    period = _PERIOD_DAY.findall(fields.get("period", ""))
    for text in ([f"{period[-1][0]}, {period[-1][1]}"] if period else []) + [fields.get("whengenerated", "")]:
        try:
            dated = day(text)
        except ValueError:
            continue
        return _About(account, base, dated, bool(period) and _is_one_day(fields["period"]), ())
    note = f"{file.name} has no period that can be read: {file.dated} is taken"
    return _About(account, base, file.dated, one_day=False, notes=(note,))


def _is_one_day(period: str) -> bool:
    days = [text.strip() for text in period.split(" - ")]
    return len(days) == 1 or days[0] == days[-1]


def _is_total(line: Line) -> bool:
    return line.text("datadiscriminator").lower() in ("total", "subtotal")


def _facts(lines: Sequence[Line]) -> dict[tuple[str, str], Line]:
    """Rows of the Financial Instrument Information by category and by each name they give an instrument."""
    found: dict[tuple[str, str], Line] = {}
    for line in lines:
        category = line.text("asset category").lower()
        names = [name.strip() for name in line.text("symbol").split(",")]
        for name in (line.text("description"), *names):
            if name:
                found.setdefault((category, " ".join(name.split())), line)
    return found


def _holding(line: Line, section: str, about: _About, facts: Mapping[tuple[str, str], Line], file: File) -> Holding:
    cells = Cells(line, f"{file.name} line {line.number}")
    category, symbol = line.text("asset category"), line.text("symbol")
    fact = facts.get((category.lower(), " ".join(symbol.split())), Line(0, {}))
    told = Cells(fact, f"{file.name} line {fact.number}")
    level = line.text("datadiscriminator").lower()
    if TROUBLE in line.cells:
        cells.reasons.append(f"{cells.place}: {line.cells[TROUBLE]}")
    if not symbol:
        cells.reasons.append(f"{cells.place}: no symbol")
    if level not in ("", "summary", "lot"):
        cells.reasons.append(f"{cells.place}: DataDiscriminator {shown(level)} is neither Summary nor Lot")
    quantity, stated = cells.number("quantity"), cells.number("mult", "multiplier")
    multiplier = told.number("multiplier")
    if None not in (stated, multiplier) and stated != multiplier:
        cells.reasons.append(f"{cells.place}: mult {stated:g} contradicts line {fact.number}, which has {multiplier:g}")
    if section.startswith("short") and quantity is not None and quantity > 0:
        cells.reasons.append(f"{cells.place}: quantity {quantity:g} is above zero among the short positions")
    figures = Figures(
        quantity=quantity,
        multiplier=multiplier if stated is None else stated,
        price=cells.number("close price", "mark price"),
        value=cells.number("value"),
        average_cost=cells.number("cost price"),
        cost_has_multiplier=False,
        open_pnl=cells.number("unrealized p/l", "unrealized p&l", "unrealized pnl"),
    )
    return Holding(
        line=line,
        account=AccountId(BROKER, line.text("account").split()[0]) if line.text("account") else about.account,
        contract=_contract(line, category, symbol, fact, told),
        figures=figures,
        day=about.day,
        is_lot=level == "lot",
        model=line.text("model"),
        reasons=(*cells.reasons, *told.reasons),
    )


def _contract(line: Line, category: str, symbol: str, fact: Line, told: Cells) -> Contract:
    """The contract of a row, completed by what the Financial Instrument Information says of it."""
    kind = _CATEGORIES.get(category.lower(), category)
    local = _spelling(fact, symbol) or symbol
    expiry = fact.text("expiry")
    try:
        expires = day(expiry) if expiry else None
    except ValueError as error:
        told.reasons.append(f"{told.place}: expiry {error}")
        expires = None
    return Contract(
        sec_type=kind,
        symbol=symbol if kind in ("STK", "CRYPTO") else _product(kind, symbol, fact),
        local_symbol=symbol if kind == "STK" else local,
        expiry=expires,
        strike=told.number("strike"),
        right=fact.text("type").upper()[:1] if kind in ("OPT", "FOP") else "",
        currency=line.text("currency").upper(),
        description=symbol if kind == "OPT" else fact.text("description") or symbol,
        underlying=fact.text("underlying", "underlying symbol") if kind == "FOP" else "",
    )


def _spelling(fact: Line, symbol: str) -> str:
    """The symbol of an instrument; of several, which a corporate action leaves, the adjusted one (`QZD1`), else the
    one that begins like the row."""
    names = [name.strip() for name in fact.text("symbol").split(",")]
    if len(names) == 1:
        return names[0]
    adjusted = [name for name in names if name.split(" ")[0][-1:].isdigit()]
    alike = [name for name in names if name.split(" ")[0] == symbol.split(" ", maxsplit=1)[0]]
    return (*adjusted, *alike, *names)[0]


def _product(kind: str, symbol: str, fact: Line) -> str:
    """Underlying of an option, product of a future: `CL` of an option whose description is `CL 17NOV26 75 C`."""
    if kind == "FOP":
        return (fact.text("description") or symbol).partition(" ")[0]
    return fact.text("underlying", "underlying symbol") or symbol


def _no_positions(about: _About, file: File) -> Position:
    reason = f"{file.name} has no Open Positions section: include it in the statement, its absence is not a flat book"
    return gap(about.account, file.source, file.close(about.day), "no Open Positions", reason)


def _cut_short(about: _About, file: File) -> Position:
    reason = f"{file.name} ends among the open positions, before their totals: rows may be missing, export it again"
    return gap(about.account, file.source, file.close(about.day), "rest of the file", reason)


def _sheets(parts: Mapping[str, Sequence[Line]], about: _About, file: File) -> list[money.Sheet]:
    """The balance sheet of the statement's last day."""
    totals: dict[str, Cells] = {}
    for line in parts.get("net asset value", []):
        totals[line.text("asset class").lower()] = Cells(line, f"{file.name} line {line.number}")
    total, cash = totals.get("total"), totals.get("cash")
    return [
        money.Sheet(
            about.account,
            about.day,
            about.base,
            total=total.number("current total") if total else None,
            cash=cash.number("current total") if cash else None,
            began=total.number("prior total") if total and about.one_day else None,
            flows=_flows(parts.get("change in nav", []), file) if about.one_day else None,
        )
    ]


def _flows(lines: Sequence[Line], file: File) -> float | None:
    """Deposits minus withdrawals of the period; zeros are not printed, so the list must add up to be complete."""
    entries: dict[str, float] = {}
    for line in lines:
        amount = Cells(line, file.name).number("field value")
        if amount is not None:
            entries[line.text("field name").lower()] = amount
    start, end = (entries.get(name) for name in _NO_FLOW)
    moved = sum(amount for name, amount in entries.items() if name not in _NO_FLOW)
    if start is None or end is None or abs(start + moved - end) > _ROUNDING:
        return None
    return sum(amount for name, amount in entries.items() if name in _FLOWS)


def _rates(parts: Mapping[str, Sequence[Line]], about: _About) -> list[money.Rate]:
    rates = [money.Rate(about.base, about.base, 1.0, about.day)]
    for line in parts.get("base currency exchange rate", []):
        currency = line.text("currency", "fromcurrency")
        base = line.text("tocurrency") or about.base
        rates += money.rate(currency, base, line.text("exchange rate", "exchangerate", "rate"), _rate_day(line, about))
    return rates


def _rate_day(line: Line, about: _About) -> date:
    try:
        return day(line.text("date")) if line.text("date") else about.day
    except ValueError:
        return about.day

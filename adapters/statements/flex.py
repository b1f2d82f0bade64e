"""IBKR Flex Query XML into a Book: open positions, equity summary, change in NAV, conversion rates.

The user chooses the fields and the date format of a query, so every attribute may be missing and dates come in seven
forms. Figures are as of the close of the report date; the time of generation says only when they were printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from adapters.ibkr.rows import BROKER, Contract, Figures
from adapters.statements import money
from adapters.statements.book import NO_ACCOUNT, Book, Cells, File, LeftOut, Line, gap, priced_underlyings
from adapters.statements.fields import DayOrder, day, day_order, masked
from adapters.statements.flex_xml import Element, FlexXml, read_elements
from adapters.statements.holdings import Holding, settle
from adapters.trust import NO_CURRENCY
from guardrails.errors import SourceError
from guardrails.symbols import ibkr_text
from guardrails.values import AccountId, Market, Position

_Cells = Mapping[str, str]
_DATES = ("reportdate", "todate", "fromdate", "whengenerated", "expiry")
_BARE_SYMBOL = 8
"""longest ticker; an option symbol that carries its terms is longer"""
_FLOWS = ("internalcashtransfers", "assettransfers", "debitcardactivity", "billpay", "grantactivity")
"""flows beside depositsWithdrawals; they count when the query includes them"""


@dataclass(frozen=True, slots=True)
class _Statement:
    """One FlexStatement: the elements in it and what they have in common."""

    account: AccountId
    day: date
    base: str
    elements: tuple[Element, ...]

    def named(self, tag: str) -> list[Element]:
        """Its elements of that name."""
        return [element for element in self.elements if element.tag == tag]


@dataclass(frozen=True, slots=True)
class _Change:
    """Change in net asset value over a period."""

    start: date | None
    end: date | None
    began: float | None
    flows: float | None


def read(text: str, file: File) -> Book:
    """The Book of a Flex XML file; SourceError when it holds no statement at all."""
    xml = read_elements(text, file.name)
    if "FlexStatementResponse" in xml.roots or (not xml.elements and xml.told):
        told = " ".join(xml.told[key] for key in ("Status", "ErrorCode", "ErrorMessage") if xml.told.get(key))
        said = masked(told) or "no reason given"
        raise SourceError(f"{file.name} is a refusal by IBKR, not a statement: {said}")
    if not xml.elements:
        raise SourceError(xml.broken or f"{file.name} holds no FlexStatement: export an Activity Flex Query as XML")
    order = day_order(element.attributes.get(key, "") for element in xml.elements for key in _DATES)
    notes: list[str] = []
    statements = [_statement(elements, order, file, notes) for elements in _by_statement(xml.elements)]
    current, older = _current(statements)
    settled = settle([row for statement in current for row in _holdings(statement, order, file)], file)
    gaps = _gaps(current, xml, file)
    rates = [rate for statement in statements for rate in _rates(statement, order)]
    sheets = [sheet for statement in statements for sheet in _sheets(statement, order, file, notes)]
    return Book(
        positions=(*settled.positions, *gaps),
        accounts=money.accounts(sheets, [*settled.positions, *gaps], file),
        market=Market(prices=priced_underlyings(settled.positions), fx=money.dollars_per(rates, file)),
        left_out=(*settled.left_out, *older),
        notes=(*notes, *((xml.broken,) if xml.broken else ())),
    )


def _current(statements: Sequence[_Statement]) -> tuple[list[_Statement], list[LeftOut]]:
    """The latest statement of each account, and the position rows of the earlier ones: they may be sold since."""
    newest: dict[AccountId, date] = {}
    for statement in statements:
        newest[statement.account] = max(statement.day, newest.get(statement.account, statement.day))
    current = [statement for statement in statements if statement.day == newest[statement.account]]
    older = [
        LeftOut(element.line, f"of the statement of {statement.day}, one of {newest[statement.account]} is here too")
        for statement in statements
        if statement.day != newest[statement.account]
        for element in statement.named("OpenPosition")
    ]
    return current, older


def _by_statement(elements: Iterable[Element]) -> list[list[Element]]:
    groups: dict[int, list[Element]] = {}
    for element in elements:
        groups.setdefault(element.statement, []).append(element)
    return list(groups.values())


def _statement(elements: Sequence[Element], order: DayOrder, file: File, notes: list[str]) -> _Statement:
    """One statement with its account, date and base currency."""
    by_tag = {element.tag: element.attributes for element in reversed(elements)}
    head, about = by_tag.get("FlexStatement", {}), by_tag.get("AccountInformation", {})
    rows = by_tag.get("OpenPosition", {})
    number = next((cells["accountid"] for cells in (head, about, rows) if cells.get("accountid")), NO_ACCOUNT)
    summary = by_tag.get("EquitySummaryByReportDateInBase", {})
    base = about.get("currency") or summary.get("currency") or _base_by_rate(elements)
    as_of = _day(head, ("todate", "whengenerated"), order, file, notes)
    return _Statement(AccountId(BROKER, number), as_of, base.upper(), tuple(elements))


def _base_by_rate(elements: Iterable[Element]) -> str:
    """The currency whose rate to base is 1, for a file that names no base; XXX (ISO: none) when nothing tells."""
    ones = {
        element.attributes.get("currency", "")
        for element in elements
        if element.tag == "OpenPosition" and element.attributes.get("fxratetobase", "") in ("1", "1.0")
    } - {""}
    return ones.pop() if len(ones) == 1 else NO_CURRENCY


def _day(attributes: Mapping[str, str], names: tuple[str, ...], order: DayOrder, file: File, notes: list[str]) -> date:
    """The date of a statement; without a readable one the file's own date, with a note."""
    for name in names:
        text = attributes.get(name, "")
        if not text:
            continue
        try:
            return day(text, order)
        except ValueError as error:
            notes.append(f"{file.name}: {name} {error}")
    notes.append(f"{file.name} names no date that can be read: {file.dated} is taken")
    return file.dated


def _holdings(statement: _Statement, order: DayOrder, file: File) -> list[Holding]:
    more = {element.attributes.get("conid", ""): element.attributes for element in statement.named("SecurityInfo")}
    rows = statement.named("OpenPosition")
    known = {**{row.attributes["conid"]: row.attributes for row in rows if row.attributes.get("conid")}, **more}
    return [_holding(row, statement, order, file, _facts(row, more, known)) for row in rows]


def _facts(row: Element, more: Mapping[str, _Cells], known: Mapping[str, _Cells]) -> dict[str, str]:
    """What the SecurityInfo of the same conid adds to a row, and the contract an option on a future is struck on."""
    info = more.get(row.attributes.get("conid") or "no conid", {})
    facts = {key: value for key, value in info.items() if value}
    struck_on = known.get(row.attributes.get("underlyingconid") or "no conid", {})
    if struck_on.get("assetcategory", "").upper() == "FUT" and struck_on.get("symbol"):
        facts["underlying contract"] = struck_on["symbol"]
    return facts


def _holding(element: Element, statement: _Statement, order: DayOrder, file: File, facts: _Cells) -> Holding:
    """One OpenPosition row; what it leaves out is taken from `facts`."""
    line = Line(element.line, {**facts, **{key: value for key, value in element.attributes.items() if value.strip()}})
    cells = Cells(line, f"{file.name} line {line.number}")
    dated = _row_day(line, "reportdate", order, cells)
    expiry = _expiry(line, order, cells)
    contract = Contract(
        sec_type=line.text("assetcategory", "assetclass").upper(),
        symbol=_product(line),
        local_symbol=line.text("symbol"),
        expiry=expiry,
        strike=cells.number("strike"),
        right=line.text("putcall").upper()[:1],
        currency=line.text("currency", "currencyprimary").upper(),
        description=line.text("description"),
        underlying=line.text("underlying contract", "underlyingsymbol"),
    )
    figures = Figures(
        quantity=cells.number("position", "quantity"),
        multiplier=cells.number("multiplier"),
        price=cells.number("markprice", "closeprice"),
        value=cells.number("positionvalue", "value"),
        average_cost=cells.number("costbasisprice", "openprice"),
        cost_has_multiplier=False,
        open_pnl=cells.number("fifopnlunrealized", "unrealizedpnl"),
    )
    account = AccountId(BROKER, line.text("accountid", "clientaccountid") or statement.account.number)
    return Holding(
        line, account, contract, figures, dated or statement.day, _is_lot(line),
        line.text("model"), tuple(cells.reasons),
    )  # fmt: skip


def _is_lot(line: Line) -> bool:
    """Whether the row is one lot of a holding; a query that omits the level of detail gives only lots an open time."""
    level = line.text("levelofdetail").upper()
    return level == "LOT" if level else bool(line.text("opendatetime"))


def _product(line: Line) -> str:
    """Symbol of a share or coin, underlying of an option, product of a future."""
    own, underlying = line.text("symbol"), line.text("underlyingsymbol")
    if line.text("assetcategory", "assetclass").upper() in ("OPT", "FUT", "FOP", "FSFOP", "FSOPT"):
        return underlying or own
    return own


def _expiry(line: Line, order: DayOrder, cells: Cells) -> date | None:
    """The expiry field; an ambiguous one is not missed where the option's symbol or description carries the date."""
    kept = list(cells.reasons)
    found = _row_day(line, "expiry", order, cells)
    listed = line.text("assetcategory", "assetclass").upper() == "OPT" and len(line.text("symbol")) > _BARE_SYMBOL
    if found is None and (listed or ibkr_text.read_option(line.text("description").upper())):
        cells.reasons[:] = kept
    return found


def _row_day(line: Line, name: str, order: DayOrder, cells: Cells) -> date | None:
    text = line.text(name)
    if not text:
        return None
    try:
        return day(text, order)
    except ValueError as error:
        cells.reasons.append(f"{cells.place}: {name} {error}")
        return None


def _gaps(statements: Sequence[_Statement], xml: FlexXml, file: File) -> list[Position]:
    """UNKNOWN positions for what the file should say and does not."""
    gaps = []
    for statement in statements:
        if not statement.named("OpenPositions") and not statement.named("OpenPosition"):
            reason = f"{file.name} has no Open Positions for this account: add the section to the Flex query"
            gaps.append(gap(statement.account, file.source, file.close(statement.day), "no Open Positions", reason))
    if xml.broken:
        last = statements[-1]
        gaps.append(gap(last.account, file.source, file.close(last.day), "rest of the file", xml.broken))
    return gaps


def _rates(statement: _Statement, order: DayOrder) -> list[money.Rate]:
    """Every rate of the statement to its base currency; unreadable ones are no rates."""
    rates = [money.Rate(statement.base, statement.base, 1.0, statement.day)]
    for element in statement.elements:
        cells = element.attributes
        if element.tag == "ConversionRate":
            pair = (cells.get("fromcurrency", ""), cells.get("tocurrency", ""), cells.get("rate", ""))
        elif element.tag == "OpenPosition":
            pair = (cells.get("currency", ""), statement.base, cells.get("fxratetobase", ""))
        else:
            continue
        try:
            dated = day(cells["reportdate"], order) if cells.get("reportdate") else statement.day
        except ValueError:
            continue
        rates += money.rate(*pair, dated)
    return rates


def _sheets(statement: _Statement, order: DayOrder, file: File, notes: list[str]) -> list[money.Sheet]:
    """Balance sheets by date, the change of the period joined to the one it ends with; what is unreadable is noted."""
    changes: dict[AccountId, _Change] = {}
    sheets = [money.Sheet(statement.account, statement.day, statement.base)]
    for element in statement.elements:
        if element.tag not in ("ChangeInNAV", "EquitySummaryByReportDateInBase"):
            continue
        line = Line(element.line, element.attributes)
        cells = Cells(line, f"{file.name} line {line.number}")
        account = AccountId(BROKER, line.text("accountid") or statement.account.number)
        if element.tag == "ChangeInNAV":
            moved, others = cells.number("depositswithdrawals"), [cells.number(name) or 0.0 for name in _FLOWS]
            changes[account] = _Change(
                _row_day(line, "fromdate", order, cells), _row_day(line, "todate", order, cells),
                cells.number("startingvalue"), None if moved is None or cells.reasons else moved + sum(others),
            )  # fmt: skip
        elif (dated := _row_day(line, "reportdate", order, cells)) is not None:
            sheets.append(money.Sheet(account, dated, statement.base, cells.number("total"), cells.number("cash")))
        notes += cells.reasons
    return [_joined(sheet, changes.get(sheet.account)) for sheet in sheets]


def _joined(sheet: money.Sheet, change: _Change | None) -> money.Sheet:
    """The sheet with what a change over exactly its day says: where the day began and what flowed in."""
    if change is None or change.start != sheet.day or change.end != sheet.day:
        return sheet
    return replace(sheet, began=change.began, flows=change.flows)

"""What accounts were worth day by day: the Net Asset Value section of IBKR Flex Query XML.

Its `EquitySummaryByReportDateInBase` says the total of an account at the close of each report date, in the base
currency, of weekdays also on which the New York exchange is closed. Nothing is added up or guessed: a row of a sum of
accounts, of a part of one, or that two places tell differently, is left out and said to be.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import groupby
from pathlib import Path

from adapters.ibkr.rows import BROKER
from adapters.statements.book import Book, LeftOut, Line
from adapters.statements.decode import display_name, read_text
from adapters.statements.detect import Format, detect
from adapters.statements.fields import DayOrder, day, day_order, number
from adapters.statements.flex_xml import Element, FlexXml, read_elements
from guardrails import calendar
from guardrails.errors import SourceError
from guardrails.past import NetLiquidations, Past, doubts, is_holiday
from guardrails.values import AccountId

_ROW, _HEAD, _ABOUT = "EquitySummaryByReportDateInBase", "FlexStatement", "AccountInformation"
_NUMBER = re.compile(r"[A-Za-z]{1,3}\d{5,}")
"""an account; `Consolidated`, `-` or a list of accounts is none"""
_CURRENCY = re.compile(r"[A-Z]{3}")
_AFTERNOON = time(16, 0)
_WANTED = "an Activity Flex Query with Net Asset Value (NAV) in Base"
_AGREE = 0.001
"""share by which two tellings of one day may differ"""


@dataclass(frozen=True, slots=True)
class _Total:
    """One row that could be read."""

    file: str
    line: int
    account: AccountId
    currency: str
    day: date
    value: float

    @property
    def place(self) -> str:
        return f"{self.file} line {self.line}"


def read_equity(paths: Sequence[Path], now: datetime) -> Past:
    """Net liquidation at the close of every report date, of all accounts of these files.

    What a file cannot give is a sentence in `problems`, with its line; nothing is raised.
    """
    totals: list[_Total] = []
    said = Past()
    for path in paths:
        try:
            found, told = _read(path)
        except SourceError as error:
            said += Past(problems=(str(error),))
        else:
            totals += found
            said += told
    once, contradictions = _once(totals)
    return _histories(once, now) + Past(problems=contradictions) + said


def _read(path: Path) -> tuple[list[_Total], Past]:
    name = display_name(path)
    content = read_text(path)
    if (found_format := detect(content, name)) is not Format.FLEX:
        raise SourceError(f"{name} is {found_format.value}, which has no value by day: export {_WANTED} as XML")
    xml = read_elements(content, name)
    rows = [element for element in xml.elements if element.tag == _ROW]
    if not rows:
        raise SourceError(_nothing(xml, name))
    order = day_order(row.attributes.get("reportdate", "") for row in rows)
    heads = {(element.statement, element.tag): element.attributes for element in reversed(xml.elements)}
    found: list[_Total] = []
    refused: list[LeftOut] = []
    aside: list[LeftOut] = []
    for row in rows:
        try:
            total = _total(row, heads, order, name)
        except ValueError as error:
            refused.append(LeftOut(row.line, str(error)))
            continue
        if total is None:
            aside.append(LeftOut(row.line, "of a model portfolio, a part of its account"))
        elif is_holiday(total.day):
            aside.append(LeftOut(row.line, "of a holiday of the New York exchange, which has no close"))
        else:
            found.append(total)
    broken = (xml.broken,) if xml.broken else ()
    said = Past(problems=(*_told(refused, name), *broken), notes=_told(aside, name))
    return found, said


def _nothing(xml: FlexXml, name: str) -> str:
    if "FlexStatementResponse" in xml.roots:
        return f"{name} is a refusal by IBKR, not a statement: run the Flex query again"
    return xml.broken or (
        f"{name} has no net asset value by date: add Net Asset Value (NAV) in Base, with Report Date and Total, "
        "to the Activity Flex Query, choose a period with a trading day, and export it as XML"
    )


def _told(rows: Sequence[LeftOut], name: str) -> tuple[str, ...]:
    return Book(left_out=tuple(rows)).exclusions(name)


def _total(
    row: Element, heads: Mapping[tuple[int, str], Mapping[str, str]], order: DayOrder, name: str
) -> _Total | None:
    """What the row says; None for a part of an account, ValueError with the reason for what cannot be taken."""
    line = Line(row.line, row.attributes)
    head, about = heads.get((row.statement, _HEAD), {}), heads.get((row.statement, _ABOUT), {})
    if line.text("model"):
        return None
    account = (line.text("accountid") or head.get("accountid", "")).strip()
    if not _NUMBER.fullmatch(account):
        raise ValueError("names no single account: a sum over several cannot be told from one, export them one by one")
    currency = (line.text("currency") or about.get("currency", "")).strip().upper()
    if not _CURRENCY.fullmatch(currency):
        raise ValueError("names no base currency: add Currency to Net Asset Value or to Account Information")
    if not line.text("reportdate"):
        raise ValueError("has no reportDate")
    dated = day(line.text("reportdate"), order)
    value = number(line.text("total"))
    if value is None:
        raise ValueError("has no total")
    return _Total(name, row.line, AccountId(BROKER, account.upper()), currency, dated, value)


def _once(totals: Iterable[_Total]) -> tuple[list[_Total], tuple[str, ...]]:
    """One row for each account and day, and what is told in two ways: of those neither can be taken."""
    told: dict[tuple[AccountId, date], list[_Total]] = defaultdict(list)
    for total in totals:
        told[total.account, total.day].append(total)
    kept: list[_Total] = []
    contradictions: list[str] = []
    for (account, dated), rows in told.items():
        low, high = min(row.value for row in rows), max(row.value for row in rows)
        if high - low <= _AGREE * abs(high) and len({row.currency for row in rows}) == 1:
            kept.append(rows[0])
        else:
            places = " and ".join(f"{row.place} {row.value:,.2f} {row.currency}" for row in rows)
            contradictions.append(f"{account} on {dated} is told in two ways, none is taken: {places}")
    return kept, tuple(contradictions)


def _histories(totals: Iterable[_Total], now: datetime) -> Past:
    """The rows of each account and file as values at the close of their sessions; the doubtful ones are told."""
    histories: list[NetLiquidations] = []
    refused: dict[str, list[LeftOut]] = defaultdict(list)
    for rows in _by_account(totals):
        values = [(_close(row.day), row.value) for row in rows]
        wrong = doubts(values, now, price=False)
        for place, why in wrong.items():
            refused[rows[place].file].append(LeftOut(rows[place].line, why))
        good = tuple(value for place, value in enumerate(values) if place not in wrong)
        if good:
            first = rows[0]
            histories.append(NetLiquidations(first.account, first.currency, good, f"statement:{first.file}"))
    return Past(tuple(histories), problems=tuple(line for file, outs in refused.items() for line in _told(outs, file)))


def _by_account(totals: Iterable[_Total]) -> list[list[_Total]]:
    def owner(row: _Total) -> tuple[str, str, str]:
        return row.account.number, row.currency, row.file

    ordered = sorted(totals, key=lambda row: (owner(row), row.day))
    return [list(rows) for _, rows in groupby(ordered, key=owner)]


def _close(day_of: date) -> datetime:
    """Close of its session; the end of the afternoon on a day without one, which is then refused as such."""
    return calendar.session_bounds(day_of)[1] if calendar.is_session(day_of) else calendar.at(day_of, _AFTERNOON)

"""IBKR position rows into positions: SUMMARY beside LOT rows, duplicates, several dates, zero quantities.

The same rules hold for Flex XML and for the activity CSV: the latest date of an account counts; a SUMMARY row counts
and its LOT rows are checked against it; lots without a summary are added up; identical rows count once; contradictory
rows are UNKNOWN.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from adapters.ibkr.rows import Contract, Figures, Reading, to_position
from adapters.statements.book import File, LeftOut, Line
from guardrails.values import AccountId, Position

_LOT_TOLERANCE = 1e-6
"""fractional shares are printed with four decimals or more"""


@dataclass(frozen=True, slots=True)
class Holding:
    """One position row as the file has it."""

    line: Line
    account: AccountId
    contract: Contract
    figures: Figures
    day: date
    is_lot: bool = False
    model: str = ""
    """advisors split an account into models; the same holding in two models is two rows"""
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes two rows the same holding."""
        named = self.contract
        what = named.local_symbol or named.description or named.symbol
        return (self.account.number, self.model, named.sec_type, what, named.currency, self.line.text("conid"))


@dataclass(frozen=True, slots=True)
class Settled:
    """The rows of a file, each in exactly one place."""

    positions: tuple[Position, ...]
    left_out: tuple[LeftOut, ...]


def settle(holdings: Sequence[Holding], file: File) -> Settled:
    """One position per holding of the latest date of its account, and what was left out."""
    current, left_out = _latest(holdings)
    groups: dict[tuple[str, ...], list[Holding]] = defaultdict(list)
    for holding in current:
        groups[holding.identity].append(holding)
    positions: list[Position] = []
    for group in groups.values():
        kept, dropped = _one_group(group)
        left_out += dropped
        for holding in kept:
            if holding.figures.quantity == 0 and not holding.reasons:
                left_out.append(LeftOut(holding.line.number, f"{holding.identity[3]} has quantity 0"))
            else:
                positions.append(_position(holding, file))
    return Settled(tuple(positions), tuple(left_out))


def _latest(holdings: Sequence[Holding]) -> tuple[list[Holding], list[LeftOut]]:
    newest: dict[AccountId, date] = {}
    for holding in holdings:
        newest[holding.account] = max(holding.day, newest.get(holding.account, holding.day))
    current = [holding for holding in holdings if holding.day == newest[holding.account]]
    older = [holding for holding in holdings if holding.day != newest[holding.account]]
    return current, [
        LeftOut(old.line.number, f"dated {old.day}, the file has {newest[old.account]} too") for old in older
    ]


def _one_group(group: list[Holding]) -> tuple[list[Holding], list[LeftOut]]:
    """The rows of one holding that count, and the others."""
    summaries = [holding for holding in group if not holding.is_lot]
    lots = [holding for holding in group if holding.is_lot]
    if not summaries:
        return [_summed(lots)], [LeftOut(lot.line.number, "LOT row, added up with its first") for lot in lots[1:]]
    kept, dropped = _distinct(summaries)
    dropped += [LeftOut(lot.line.number, "LOT row, contained in its SUMMARY row") for lot in lots]
    return ([_checked(kept[0], lots)] if len(kept) == 1 else kept), dropped


def _distinct(rows: list[Holding]) -> tuple[list[Holding], list[LeftOut]]:
    """Rows without their exact repetitions; rows that contradict each other carry the reason."""
    kept: list[Holding] = []
    dropped: list[LeftOut] = []
    for row in rows:
        twin = next((other for other in kept if other.line.cells == row.line.cells), None)
        if twin is None:
            kept.append(row)
            continue
        dropped.append(LeftOut(row.line.number, f"the same as line {twin.line.number}"))
        note = f"line {row.line.number} repeats it and is not counted"
        kept = [replace(other, notes=(*other.notes, note)) if other is twin else other for other in kept]
    if len(kept) > 1:
        lines = ", ".join(str(row.line.number) for row in kept)
        reason = f"lines {lines} name the same holding with different figures"
        kept = [replace(row, reasons=(*row.reasons, reason)) for row in kept]
    return kept, dropped


def _checked(summary: Holding, lots: list[Holding]) -> Holding:
    """The summary, doubted when its lots add up to something else."""
    sizes = [lot.figures.quantity for lot in lots]
    if not sizes or None in sizes or summary.figures.quantity is None:
        return summary
    total = math.fsum(size or 0.0 for size in sizes)
    if abs(total - summary.figures.quantity) <= _LOT_TOLERANCE * max(1.0, abs(total)):
        return summary
    reason = f"quantity {summary.figures.quantity:g} contradicts its LOT rows, which add up to {total:g}"
    return replace(summary, reasons=(*summary.reasons, reason))


def _summed(lots: list[Holding]) -> Holding:
    """Lots of one holding as one row; UNKNOWN when one of them is, or when two cannot be told apart."""
    first = lots[0]
    if len(lots) == 1:
        return first
    reasons = tuple(reason for lot in lots for reason in lot.reasons)
    if len({tuple(sorted(lot.line.cells.items())) for lot in lots}) < len(lots):
        reasons = (*reasons, f"line {first.line.number} and later: identical LOT rows, one lot twice or two lots")
    sizes = [lot.figures.quantity for lot in lots]
    total = None if None in sizes else math.fsum(size or 0.0 for size in sizes)
    costs = [lot.figures.average_cost for lot in lots]
    paid = (
        None
        if None in costs or not total
        else math.fsum((c or 0.0) * (s or 0.0) for c, s in zip(costs, sizes, strict=True))
    )
    values = [lot.figures.value for lot in lots]
    figures = replace(
        first.figures,
        quantity=total,
        average_cost=None if paid is None or not total else paid / total,
        value=None if None in values else math.fsum(value or 0.0 for value in values),
        open_pnl=None,
    )
    return replace(first, figures=figures, reasons=reasons, notes=(*first.notes, f"sum of {len(lots)} LOT rows"))


def _position(holding: Holding, file: File) -> Position:
    place = f"{file.name} line {holding.line.number}"
    reading = Reading(
        account=holding.account,
        source=file.source,
        time=file.close(holding.day),
        written=holding.day,
        today=file.today,
        place=place,
        reasons=holding.reasons,
        notes=(place, *holding.notes),
    )
    return to_position(holding.contract, holding.figures, reading)

"""What a statement file amounts to, whatever its format, and the small values its readers share.

Every row of a file ends in exactly one of two places: `Book.positions` (good or UNKNOWN with reasons) or
`Book.left_out` (with the reason). A part of the file that could not be read is itself an UNKNOWN position, so that no
check can pass over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from itertools import groupby

from adapters.statements.fields import number
from guardrails import calendar
from guardrails.instruments import Instrument, Kind
from guardrails.values import Account, AccountId, Market, Position, Price

NO_ACCOUNT = "none"
"""stands for the number of an account when a file does not name one"""
_CLOSE = time(16, 0)
_SHOWN_LINES = 5


@dataclass(frozen=True, slots=True)
class File:
    """The file being read and the clock it is read by."""

    name: str
    """for messages: no folder, account numbers masked"""
    now: datetime
    modified: datetime
    """when it was last written: the only clock of an export that carries no time"""

    @property
    def source(self) -> str:
        """Name of the source its values carry."""
        return f"statement:{self.name}"

    @property
    def today(self) -> date:
        """Exchange date of `now`."""
        return calendar.exchange_date(self.now)

    @property
    def dated(self) -> date:
        """Exchange date a file without a date of its own is taken to be of: when it was written, at most `today`."""
        return calendar.exchange_date(min(self.modified, self.now))

    def close(self, day: date) -> datetime:
        """Session close of `day`, `now` when it is still to come today; 16:00 New York on a day without session."""
        moment = calendar.session_bounds(day)[1] if calendar.is_session(day) else calendar.at(day, _CLOSE)
        return self.now if moment > self.now and day == self.today else moment


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a file: its line number and its cells by lower-case name."""

    number: int
    cells: Mapping[str, str]

    def text(self, *names: str) -> str:
        """The first cell among `names` that holds something, stripped; empty when none does."""
        for name in names:
            cell = self.cells.get(name, "").strip()
            if cell:
                return cell
        return ""


@dataclass(slots=True)
class Cells:
    """Reads the numbers of one Line and gathers what is wrong with them."""

    line: Line
    place: str
    """`positions.csv line 7`"""
    reasons: list[str] = field(default_factory=list)

    def number(self, *names: str) -> float | None:
        """The number in the first of these cells that holds any; None when absent or, with a reason, unreadable."""
        for name in names:
            text = self.line.cells.get(name, "")
            if not text.strip():
                continue
            try:
                return number(text)
            except ValueError as error:
                self.reasons.append(f"{self.place}: {name} {error}")
                return None
        return None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that became no position, and why."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Book:
    """Everything one file says."""

    positions: tuple[Position, ...] = ()
    accounts: tuple[Account, ...] = ()
    market: Market = field(default_factory=Market)
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    """what a person should know about the file"""
    has_positions: bool = True
    """whether the file claims to list positions; a file of balances does not"""

    def exclusions(self, name: str) -> tuple[str, ...]:
        """What was left out in plain words, rows of one reason together, then the notes."""
        ordered = sorted(self.left_out, key=lambda out: (out.why, out.line))
        groups = [(why, [out.line for out in outs]) for why, outs in groupby(ordered, key=lambda out: out.why)]
        return (*(f"{name} {_lines(lines)}: {why}" for why, lines in groups), *self.notes)


def _lines(numbers: list[int]) -> str:
    shown = ", ".join(str(line) for line in numbers[:_SHOWN_LINES])
    more = len(numbers) - _SHOWN_LINES
    return f"line{'s' if len(numbers) > 1 else ''} {shown}{f' and {more} more' if more > 0 else ''}"


def gap(account: AccountId, source: str, moment: datetime, symbol: str, reason: str) -> Position:
    """An UNKNOWN position that stands for what the file should say and does not."""
    thing = Instrument(Kind.OTHER, symbol, symbol, symbol)
    return Position(account, thing, None, None, source, moment, multiplier_source="", reasons=(reason,))


def priced_underlyings(positions: Iterable[Position]) -> dict[str, Price]:
    """Prices of shares and futures as the statement marks them, by canonical symbol; doubtful rows give none."""
    return {
        held.instrument.symbol: Price(held.mark, held.mark_time or held.time, held.source)
        for held in positions
        if held.instrument.kind in (Kind.EQUITY, Kind.FUTURE) and held.mark is not None and not held.reasons
    }

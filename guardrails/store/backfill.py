"""The past that others kept, stored beside what this program saw itself: `account_quarters` and `market_closes`.

What is stored is never changed, neither what was seen live nor an earlier backfill: told otherwise by more than a
thousandth, both words are shown to a person. So running it again adds what is new and nothing else. A backfilled
value stands under an origin of its own beside live ones of the same day; which of them a chart draws is its choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from guardrails import calendar
from guardrails.memory import account_key
from guardrails.past import Closes, NetLiquidations, Past, doubts, of_day
from guardrails.store.books import Book
from guardrails.store.columns import BACKFILL
from guardrails.store.database import Database
from guardrails.store.faults import reason
from guardrails.store.inserts import Row, insert
from guardrails.store.metadata import StoreError, micros, moment
from guardrails.store.own_accounts import of_this_book
from guardrails.store.quarters import ACCOUNT_QUARTERS, MARKET_CLOSES, QUARTER_MICROS
from guardrails.store.schema import BOOKS
from guardrails.store.texts import text

_AGREE = 0.001
"""share by which a value may differ from the stored one and still say the same"""
_SHOWN = 20
"""sentences of one kind that are printed; a wrong file gives thousands"""
_EXAMPLES = 3
_UNKNOWN = (None,) * 6
"""columns of `account_quarters` from `excess_liquidity` to `day_pnl`: no history tells them"""

_Key = TypeVar("_Key")
"""quarter or day"""


@dataclass(frozen=True, slots=True)
class Stored:
    """What came of storing a past."""

    new: int = 0
    known: int = 0
    """stored before, and the same"""
    contradicted: int = 0
    """stored before, and told otherwise now: what is stored stays"""
    contradicting: tuple[str, ...] = ()
    """the same in words, one sentence a series"""
    refused: tuple[str, ...] = ()
    """not to be believed, and why"""

    def __add__(self, other: Stored) -> Stored:
        """Both together."""
        return Stored(
            self.new + other.new,
            self.known + other.known,
            self.contradicted + other.contradicted,
            self.contradicting + other.contradicting,
            self.refused + other.refused,
        )


def add_past(database: Database, book: Book, given: Past, offered: Past, now: datetime, only: str = "") -> Stored:
    """Store what files `given` by a person and sources `offered` say, in one durable transaction; `only` as in
    `of_this_book`.

    StoreError when the database takes nothing; then nothing was stored.
    """
    try:
        with database.writing(durable=True) as connection:
            own, strange = of_this_book(connection, book, given.net_liquidations, only)
            done = store_past(connection, book, replace(given, net_liquidations=own) + offered, now)
    except DBAPIError as error:
        raise StoreError(f"{database.name} takes no rows ({reason(error)}): nothing was stored, try again") from error
    return done + Stored(refused=strange)


def outcome(past: Past, done: Stored, database: Database) -> tuple[list[str], int]:
    """What to tell a person, worst last, and the exit code: 3 when anything was not taken, else 0."""
    problems = [*past.problems, *done.refused]
    lines = [
        f"{done.new:,} values added to {database.name}, {done.known:,} were there already, "
        f"{done.contradicted:,} are stored otherwise and stay so",
        *_listed("left out", past.notes),
        *_listed("contradiction", done.contradicting),
        *_listed("refused", problems),
        *_listed("database", database.problems),
    ]
    return lines, 3 if problems or done.contradicting else 0


def _listed(what: str, sentences: Sequence[str]) -> Iterator[str]:
    yield from (f"{what}: {sentence}" for sentence in sentences[:_SHOWN])
    if len(sentences) > _SHOWN:
        yield f"{what}: and {len(sentences) - _SHOWN:,} more"


def store_past(connection: Connection, book: Book, past: Past, now: datetime) -> Stored:
    """Store all of it in the transaction of `connection`; `now` bounds what can be past.

    A net liquidation stands in the quarter of an hour that ends with it, or in which it falls, of several there the
    last; a close under its symbol and exchange date.
    """
    done = Stored()
    if past.net_liquidations or past.closes:
        insert(connection, BOOKS, [(book.key, book.names, micros(now))])
    for history in past.net_liquidations:
        done += _store_account(connection, book, history, now)
    for closes in past.closes:
        done += _store_symbol(connection, book, closes, now)
    return done


def _store_account(connection: Connection, book: Book, told: NetLiquidations, now: datetime) -> Stored:
    owner, c = account_key(told.account), ACCOUNT_QUARTERS.c
    source, currency = text(told.source), text(told.currency)
    good, refused = _believed(told.values, str(told.account), source, now, price=False)
    words = {_quarter(when): _Word(float(value), currency, source) for when, value in good}
    query = select(c.time, c.net_liquidation, c.currency, c.source).where(
        c.book == book.key, c.account_hash == owner, c.origin == BACKFILL
    )
    before = {row[0]: _Word(*row[1:]) for row in connection.execute(query)}
    names = (text(told.account.masked), text(told.account.broker), currency)
    rows: list[Row] = [
        (book.key, owner, quarter, BACKFILL, *names, word.value, *_UNKNOWN, source)
        for quarter, word in words.items()
        if quarter not in before
    ]
    new = insert(connection, ACCOUNT_QUARTERS, rows)
    return _compared(told.account, words, before, _end) + Stored(new, refused=refused)


def _store_symbol(connection: Connection, book: Book, told: Closes, now: datetime) -> Stored:
    c, symbol, source = MARKET_CLOSES.c, text(told.symbol), text(told.source)
    good, refused = _believed([(of_day(day), value) for day, value in told.values], symbol, source, now, price=True)
    words = {calendar.exchange_date(when).isoformat(): _Word(float(value), "", source) for when, value in good}
    query = select(c.day, c.close, c.source).where(c.book == book.key, c.symbol == symbol)
    before = {day: _Word(close, "", origin) for day, close, origin in connection.execute(query)}
    rows: list[Row] = [
        (book.key, symbol, day, word.value, BACKFILL, source) for day, word in words.items() if day not in before
    ]
    new = insert(connection, MARKET_CLOSES, rows)
    return _compared(symbol, words, before, str) + Stored(new, refused=refused)


@dataclass(frozen=True, slots=True)
class _Word:
    """What somebody said of one moment."""

    value: float | None
    unit: str
    source: str

    def __str__(self) -> str:
        figure = "nothing" if self.value is None else f"{self.value:,.2f} {self.unit}".strip()
        return f"{figure} ({self.source})"


def _believed(
    values: Sequence[tuple[datetime, float]], subject: str, source: str, now: datetime, *, price: bool
) -> tuple[list[tuple[datetime, float]], tuple[str, ...]]:
    """The values in the order of their times without the doubtful ones, and why those are not stored."""
    wrong = doubts(values, now, price=price)
    good = sorted(value for place, value in enumerate(values) if place not in wrong)
    return good, tuple(f"{source}, {subject}: {why}" for why in wrong.values())


def _agree(one: _Word, other: _Word) -> bool:
    if one.value is None or other.value is None or one.unit != other.unit:
        return False
    return abs(one.value - other.value) <= _AGREE * max(abs(one.value), abs(other.value))


def _compared(
    subject: object, words: Mapping[_Key, _Word], before: Mapping[_Key, _Word], time_of: Callable[[_Key], str]
) -> Stored:
    """What of `words` was stored before, the same or otherwise; the latter in one sentence, however many they are."""
    known = [key for key in words if key in before]
    other = [f"{time_of(key)}: {before[key]} and {words[key]}" for key in known if not _agree(before[key], words[key])]
    if not other:
        return Stored(known=len(known))
    more = f"; and {len(other) - _EXAMPLES:,} more" if len(other) > _EXAMPLES else ""
    sentence = f"{subject}, stored and stays, and told now: {'; '.join(other[:_EXAMPLES])}{more}"
    return Stored(known=len(known) - len(other), contradicted=len(other), contradicting=(sentence,))


def _quarter(when: datetime) -> int:
    """The beginning of the quarter of an hour that `when` ends or falls into, in microseconds."""
    return (micros(when) - 1) // QUARTER_MICROS * QUARTER_MICROS


def _end(quarter: int) -> str:
    return f"{moment(quarter + QUARTER_MICROS).astimezone(calendar.NEW_YORK):%Y-%m-%d %H:%M} New York"

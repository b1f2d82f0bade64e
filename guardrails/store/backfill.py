"""The past that others kept, stored beside what this program saw itself: `account_quarters` and `market_closes`.

What is stored is never changed, neither what was seen live nor an earlier backfill: told otherwise by more than a
thousandth, both words are shown to a person. So running it again adds what is new and nothing else. A backfilled
value stands under an origin of its own beside live ones of the same day; which of them a chart draws is its choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, select, union
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
from guardrails.store.quarters import ACCOUNT_QUARTERS, MARKET_CLOSES, QUARTER_MICROS
from guardrails.store.schema import ACCOUNT_VALUES, BOOKS, POSITIONS
from guardrails.store.texts import text
from guardrails.values import AccountId

AGREE = 0.001
"""share by which a value may differ from the stored one and still say the same"""
_SHOWN = 20
"""sentences of one kind that are printed; a wrong file gives thousands"""
_EXAMPLES = 3
ONE_BROKER = ("ibkr", "tastytrade")
"""sources that are one broker of their own name; a file may tell of any"""
_UNKNOWN = (None,) * 6
"""columns of `account_quarters` from `excess_liquidity` to `day_pnl`: no history tells them"""


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


def of_this_book(
    connection: Connection, book: Book, histories: Sequence[NetLiquidations], only: str = ""
) -> tuple[tuple[NetLiquidations, ...], tuple[str, ...]]:
    """The histories of accounts this book was seen to have, and why not the others; while none was seen yet, of all
    that its sources can have. `only` is the number of the one account that is read at IBKR; empty for every one.

    For files: one of somebody else's account must not become part of this book's past.
    """
    known = _accounts_of(connection, book)
    strange: dict[tuple[AccountId, str], str] = {}
    own = []
    for told in histories:
        if why := _strange(told.account, known, book.names.split(","), only):
            strange[told.account, told.source] = why
        else:
            own.append(told)
    return tuple(own), tuple(f"{source}: {account} {why}" for (account, source), why in strange.items())


def _strange(account: AccountId, known: Mapping[str, str], sources: Sequence[str], only: str) -> str:
    """Why `account` cannot be one of the book of `sources`; empty when it can."""
    if account_key(account) in known:
        return ""
    if known:
        return (
            f"is none of the accounts of these sources ({', '.join(sorted(set(known.values())))}); name its broker in "
            "GUARDRAILS_SOURCES and let the program see the account once, then try again"
        )
    if not all(source in ONE_BROKER for source in sources):  # a file may be of any
        return ""
    if account.broker.casefold() not in sources:
        return f"is of a broker that GUARDRAILS_SOURCES does not name ({', '.join(sources)}): name it there first"
    if only and account.broker.casefold() == "ibkr" and account.number.casefold() != only.casefold():
        return f"is not the one account that IBKR_ACCOUNT names (•••{only[-4:]}): correct it, or leave it out"
    return ""


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
    """Store all of it in the transaction of `connection`; `now` bounds what can be past."""
    return store_net_liquidations(connection, book, past.net_liquidations, now) + store_closes(
        connection, book, past.closes, now
    )


def store_net_liquidations(
    connection: Connection, book: Book, histories: Iterable[NetLiquidations], now: datetime
) -> Stored:
    """Store each value in the quarter of an hour that ends with it, or in which it falls; of several there the last."""
    done = Stored()
    for told in histories:
        _begin(connection, book, now)
        done += _store_account(connection, book, told, now)
    return done


def store_closes(connection: Connection, book: Book, closes: Iterable[Closes], now: datetime) -> Stored:
    """Store each close under its symbol and exchange date."""
    done = Stored()
    for told in closes:
        _begin(connection, book, now)
        done += _store_symbol(connection, book, told, now)
    return done


def _begin(connection: Connection, book: Book, now: datetime) -> None:
    insert(connection, BOOKS, [(book.key, book.names, micros(now))])


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
    other = [
        f"{_end(quarter):%Y-%m-%d %H:%M} New York: {before[quarter]} and {word}"
        for quarter, word in words.items()
        if quarter in before and not _agree(before[quarter], word)
    ]
    return Stored(new, len(words) - len(rows) - len(other), len(other), _contradiction(told.account, other), refused)


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
    other = [
        f"{day}: {before[day]} and {word}"
        for day, word in words.items()
        if day in before and not _agree(before[day], word)
    ]
    return Stored(new, len(words) - len(rows) - len(other), len(other), _contradiction(symbol, other), refused)


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
    return abs(one.value - other.value) <= AGREE * max(abs(one.value), abs(other.value))


def _contradiction(subject: object, other: Sequence[str]) -> tuple[str, ...]:
    """One sentence of one series, whatever the number of its values."""
    if not other:
        return ()
    more = f"; and {len(other) - _EXAMPLES:,} more" if len(other) > _EXAMPLES else ""
    return (f"{subject}, stored and stays, and told now: {'; '.join(other[:_EXAMPLES])}{more}",)


def _quarter(when: datetime) -> int:
    """The beginning of the quarter of an hour that `when` ends or falls into, in microseconds."""
    return (micros(when) - 1) // QUARTER_MICROS * QUARTER_MICROS


def _end(quarter: int) -> datetime:
    return moment(quarter + QUARTER_MICROS).astimezone(calendar.NEW_YORK)


def _accounts_of(connection: Connection, book: Book) -> Mapping[str, str]:
    """The accounts that were seen live, by `account_key`, each with its broker and mask."""
    live = (
        select(table.c.account_hash, table.c.broker, table.c.account).where(table.c.book == book.key, *conditions)
        for table, conditions in (
            (POSITIONS, ()),
            (ACCOUNT_VALUES, (ACCOUNT_VALUES.c.origin != BACKFILL,)),
            (ACCOUNT_QUARTERS, (ACCOUNT_QUARTERS.c.origin != BACKFILL,)),
        )
    )
    return {owner: f"{broker} {mask}" for owner, broker, mask in connection.execute(union(*live))}

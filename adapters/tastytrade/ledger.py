"""What the accounts hold and are worth: read when something is announced, and every few seconds in any case.

A list that is not whole is no list, and an empty one is believed only when the account's own balance agrees: what was
read last stays, with its time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from adapters.condition import Condition, Lost
from adapters.tastytrade import conditions
from adapters.tastytrade.api import PAGE, Api, Incomplete, Record, Refused
from adapters.tastytrade.due import Due
from adapters.tastytrade.holdings import apart, believed, holds_nothing, named
from adapters.tastytrade.money import net_liquidation_history
from adapters.tastytrade.rows import BROKER
from guardrails import calendar
from guardrails.ending import uncancelled
from guardrails.errors import SourceError
from guardrails.values import AccountId, Observed

log = logging.getLogger(__name__)
_Read = TypeVar("_Read")

EVERY_OPEN, EVERY_CLOSED = timedelta(seconds=10), timedelta(seconds=30)
DETAILS_EVERY, CLOSE_EVERY, ACCOUNTS_EVERY = timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=10)
ACCOUNTS_AGAIN = timedelta(minutes=1)
SILENT_OPEN, SILENT_CLOSED = timedelta(seconds=30), timedelta(minutes=3)
AGAIN = (1.0, 1.0, 2.0, 5.0, 10.0)
"""seconds until what failed, or is doubted, is read again"""
DOUBT_PAUSES = (0.3, 0.7)
"""seconds before positions that are wanted now and not believed are read again"""
_ROUNDS = ("accounts", "books", "details", "close")
PERSISTS = timedelta(seconds=25)
"""prices of list and balance may lie further apart than is allowed for"""
_OF_ONE_PATH = ("unreachable", "rate_limited")
"""what may be so of one path only; were it so of all, the positions say it"""
_LOOK_SECONDS = 0.2
_HISTORY = timedelta(days=10)


@dataclass(slots=True)
class Book:
    """What one account said last, each part with the time at which it was read."""

    number: str
    rows: tuple[Record, ...] = ()
    balance: Record | None = None
    status: Record | None = None
    margin: Record | None = None
    last_end_of_day: Record | None = None
    transfers: tuple[Record, ...] | None = None
    times: dict[str, datetime] = field(default_factory=dict)
    """by part: positions, balance, status, margin, close, transfers"""
    troubles: dict[str, str] = field(default_factory=dict)
    """why a part could not be read the last time"""
    apart: tuple[str, ...] = ()
    """values of the balance that the rows, read with it, do not come to by far"""
    moved: datetime | None = None
    """when the balance was last seen to differ from the one before, or to hold nothing that could move it"""
    doubted: bool = False
    """the last list of positions was shorter than the balance speaks for"""
    doubted_since: datetime | None = None
    believed_balance: Record | None = None
    """the balance that came with the rows that are believed"""

    @property
    def settled(self) -> bool:
        """Whether every part was read or refused once."""
        parts = {"positions", "status", "margin", "close"} | ({"transfers"} if self.last_end_of_day else set())
        return not self.doubted and parts <= {*self.times, *self.troubles}

    @property
    def time(self) -> datetime | None:
        """When positions and balance were last read whole."""
        times = [self.times.get(name) for name in ("positions", "balance")]
        return None if None in times else min(time for time in times if time is not None)


class Ledger:
    """Every account of the login. All of it belongs to the loop it is run on."""

    def __init__(self, api: Api, clock: Callable[[], datetime], changed: Callable[[], None]) -> None:
        self.books: dict[str, Book] = {}
        self.trouble: Condition | None = conditions.CONNECTING
        """why nothing can be read now, None while it can"""
        self.retries = 0
        self.version = 0
        """counts the changes of what is held, not of what it is worth"""
        self.unlisted = ""
        """why the list of accounts could not be read again"""
        self.gone: tuple[str, ...] = ()
        """accounts that were read before and are no longer offered: what they hold cannot be seen"""
        self._api, self._clock, self._changed = api, clock, changed
        self._due = Due(clock)
        self._restless = 0

    def prompt(self) -> None:
        """Read positions and balances as soon as may be: something was announced."""
        if self.trouble is None:
            self._due.again("books")

    @property
    def settled(self) -> bool:
        """Whether every account was read whole, the slow parts included."""
        return bool(self.books) and all(book.settled for book in self.books.values())

    def late(self, now: datetime) -> bool:
        """Whether an account was not read whole for too long."""
        allowed = SILENT_OPEN if calendar.is_open(now) else SILENT_CLOSED
        return any(book.time is None or not -allowed < now - book.time <= allowed for book in self.books.values())

    async def net_liquidations(self, back: str) -> dict[AccountId, tuple[Observed, ...]]:
        """Net liquidation of each account over the past, oldest first; empty where there is none."""
        found = {}
        for number in list(self.books):
            try:
                rows = await self._api.items(f"/accounts/{number}/net-liq/history", {"time-back": back})
            except (Refused, Incomplete):
                rows = ()
            found[AccountId(BROKER, number)] = net_liquidation_history(rows)
        return found

    async def read_anew(self, number: str) -> tuple[Record, ...]:
        """The rows of one account, read now and believed to be all; SourceError, without its number, when not."""
        book = self.books.get(number)
        if book is None or number in self.gone:
            raise SourceError("tastytrade does not offer this account to this login.")
        for pause in (*DOUBT_PAUSES, None):
            try:
                await self._read_book(book)
            except Lost as lost:
                raise SourceError(f"positions cannot be read: {lost.condition.sentence}") from None
            self._changed()
            if trouble := book.troubles.get("positions"):
                raise SourceError(f"positions cannot be read: {trouble}.")
            if not book.doubted:
                return book.rows
            if pause is not None:  # a trade may lie between the balance and the list read after it
                await asyncio.sleep(pause)
        raise SourceError(conditions.EMPTY_DOUBTED.sentence)

    async def run(self) -> None:
        """Return never."""
        while True:
            before = self.trouble
            try:
                await self._round()
            except Lost as lost:
                self._failed(lost.condition)
            except (Refused, Incomplete) as error:
                self._failed(conditions.failing(str(error)))
            except Exception as error:
                log.exception("reading the accounts failed")
                self._failed(conditions.failing(type(error).__name__))
            else:
                self.trouble, self.retries = None, 0
            if before is not self.trouble:
                self._changed()
            await self._until_due()

    def _failed(self, condition: Condition) -> None:
        if self.trouble is None or self.trouble.name != condition.name:
            log.warning("tastytrade: %s", condition.sentence)
        self.trouble = condition
        self.retries += 1
        self._due.again("books")

    async def _until_due(self) -> None:
        """Sleep in short pieces: the clock decides, and a machine that was asleep finds it moved."""
        restless = self.trouble is not None or any(book.doubted or book.time is None for book in self.books.values())
        self._restless = self._restless + 1 if restless else 0
        self._due.done("again", timedelta(seconds=AGAIN[max(min(self._restless, len(AGAIN)), 1) - 1]))
        while "again" not in self._due or not (restless or any(name in self._due for name in _ROUNDS)):  # noqa: ASYNC110  # a clock that is moved sets no event
            await asyncio.sleep(_LOOK_SECONDS)

    async def _round(self) -> None:
        if "accounts" in self._due:
            await self._read_accounts()
        every = EVERY_OPEN if calendar.is_open(self._clock()) else EVERY_CLOSED
        restless = any(book.doubted or book.time is None for book in self.books.values())
        if restless or "books" in self._due:
            self._due.done("books", every)  # what is announced meanwhile is read again
            await self._each(self._read_book)
            self.trouble, self.retries = None, 0  # there is a way in; what follows are parts it can do without
            self._changed()
        if "details" in self._due:
            await self._each(self._read_details)
            self._due.done("details", DETAILS_EVERY)
        if "close" in self._due:
            await self._each(self._read_close)
            self._due.done("close", CLOSE_EVERY)

    async def _each(self, read: Callable[[Book], Coroutine[Any, Any, None]]) -> None:
        """Read one thing of every account at once; Lost when there is no way in."""
        try:
            async with asyncio.TaskGroup() as group:
                for book in self.books.values():
                    if book.number not in self.gone:
                        group.create_task(uncancelled(read(book)))
        except ExceptionGroup as several:
            lost, rest = several.split(Lost)
            raise (lost or rest or several).exceptions[0] from None

    async def _read_accounts(self) -> None:
        """The accounts of the login; while they are known already, a failure is told and the books are still read."""
        self._due.done("accounts", ACCOUNTS_AGAIN)
        try:
            self._open_books(await self._api.items("/customers/me/accounts"))
        except (Lost, Refused, Incomplete) as error:
            if not self.books:
                self._due.again("accounts")
                raise
            self.unlisted = error.condition.sentence if isinstance(error, Lost) else str(error)
            return
        self.unlisted = ""
        if not self.gone:
            self._due.done("accounts", ACCOUNTS_EVERY)

    def _open_books(self, rows: Sequence[Record]) -> None:
        """A book for each open account of the login, and which of those read before are gone."""
        offered = [account for row in rows if isinstance(account := row.get("account"), dict)]
        if len(offered) < len(rows):
            raise Incomplete("the list of accounts has rows without an account")
        still = [account for account in offered if account.get("is-closed") is not True]
        numbers = [str(account.get("account-number") or "") for account in still]
        if "" in numbers:
            raise Incomplete("an account has no number")
        self.gone = tuple(sorted(set(self.books) - set(numbers)))
        if not numbers and not self.books:
            raise Lost(conditions.no_account())
        for number in numbers:
            self.books.setdefault(number, Book(number))

    async def _read_book(self, book: Book) -> None:
        base = f"/accounts/{book.number}"
        try:
            balance = await self._api.get(f"{base}/balances/USD")
            rows = await self._api.items(f"{base}/positions", {"include-marks": "true"})
        except (Refused, Incomplete) as error:
            if book.troubles.get("positions") != str(error):
                log.warning("tastytrade: the book of •••%s could not be read: %s", book.number[-4:], error)
            book.troubles["positions"] = str(error)
            return
        book.troubles.pop("positions", None)
        now = self._clock()
        if (book.balance is not None and _figures(balance) != _figures(book.balance)) or holds_nothing(balance):
            book.moved = now
        book.balance, book.times["balance"] = balance, now
        whole = believed(rows, balance, book.rows, book.believed_balance) or self._persists(book, rows, now)
        book.doubted_since = None if whole else book.doubted_since or now
        book.doubted = not whole
        if whole:
            book.believed_balance, book.apart = balance, apart(rows, balance)
            self.version += named(rows) != named(book.rows)
            book.rows, book.times["positions"] = rows, now

    @staticmethod
    def _persists(book: Book, rows: Sequence[Record], now: datetime) -> bool:
        """Whether a list that is not empty has been told for so long that it is true although the balance differs."""
        told = book.doubted_since is not None and now - book.doubted_since > PERSISTS
        return told and holds_nothing(book.balance or {}) is False and bool(rows)

    async def _read_details(self, book: Book) -> None:
        status = await self._part(book, "status", self._api.get(f"/accounts/{book.number}/trading-status"))
        margin = await self._part(book, "margin", self._api.get(f"/margin/accounts/{book.number}/requirements"))
        book.status, book.margin = status, margin

    async def _read_close(self, book: Book) -> None:
        """The balance at the end of the last session, and the money moved since."""
        session = calendar.session_of(self._clock())
        base = f"/accounts/{book.number}"
        asked = {"per-page": PAGE, "time-of-day": "EOD", "currency": "USD", "start-date": f"{session - _HISTORY}"}
        rows = await self._part(book, "close", self._api.items(f"{base}/balance-snapshots", asked))
        before = [row for row in rows or () if (day := _date(row)) is not None and day < session]
        book.last_end_of_day = max(before, key=lambda row: str(row["snapshot-date"]), default=None)
        day = None if book.last_end_of_day is None else _date(book.last_end_of_day)
        if day is None:
            book.transfers = None
            return
        moved = {"per-page": PAGE, "types[]": ["Money Movement", "Receive Deliver"], "start-date": f"{day}"}
        book.transfers = await self._part(book, "transfers", self._api.items(f"{base}/transactions", moved))

    async def _part(self, book: Book, name: str, read: Coroutine[Any, Any, _Read]) -> _Read | None:
        """One part of an account that it can do without; None, with the reason kept, when it cannot be read."""
        try:
            found = await read
        except Lost as lost:
            if lost.condition.name not in _OF_ONE_PATH:
                raise
            book.troubles[name] = lost.condition.sentence
            return None
        except (Refused, Incomplete) as error:
            book.troubles[name] = str(error)
            return None
        book.troubles.pop(name, None)
        book.times[name] = self._clock()
        return found


def _figures(balance: Record) -> dict[str, object]:
    return {name: value for name, value in balance.items() if name != "updated-at"}


def _date(row: Record) -> date | None:
    try:
        return date.fromisoformat(str(row.get("snapshot-date"))[:10])
    except ValueError:
        return None

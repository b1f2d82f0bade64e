"""Keeps what is known of the orders of every account, whoever sent them: read when something is announced, and every
few seconds in any case; more often while an order of this program works.

The list of today's orders comes whole. One that was acknowledged to us and is not in it is asked for by its number.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from adapters.condition import Lost
from adapters.tastytrade.api import PAGE, Api, Incomplete, Record, Refused
from adapters.tastytrade.due import Due
from adapters.tastytrade.fees import fees_of
from adapters.tastytrade.ledger import Ledger
from adapters.tastytrade.replaced import chains
from adapters.tastytrade.rows import BROKER
from adapters.tastytrade.sheets import Sheet
from adapters.tastytrade.ticks import SOURCE
from guardrails import calendar, wording
from guardrails.errors import SourceError
from guardrails.orders import BrokerOrder, Fill, OrdersRead
from guardrails.values import AccountId, Stream

log = logging.getLogger(__name__)

WORKING, EVERY_OPEN, EVERY_CLOSED = timedelta(seconds=1), timedelta(seconds=20), timedelta(seconds=60)
"""between two readings while an order of ours works, and otherwise; most of what changes is announced"""
LATE = timedelta(minutes=3)
"""what is known of orders for longer is not the whole of it"""
AGAIN = timedelta(seconds=3)
"""what could not be read is read again after"""
FEES_EVERY = timedelta(minutes=1)
READ_SECONDS = 15.0
"""longest reading of all orders anew"""
_LOOK_SECONDS = 0.1
_NOT_LISTED = 404


class Desk:
    """Every account of the login. All of it belongs to the loop it is run on."""

    def __init__(self, api: Api, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self.sheets: dict[str, Sheet] = {}
        self._api, self._ledger, self._clock = api, ledger, clock
        self._due = Due(clock)
        self._said = asyncio.Event()
        self._reading = asyncio.Lock()
        self._last: OrdersRead | None = None
        self._prompted = False

    # what is known

    def read(self) -> OrdersRead:
        """Everything said up to now; `missing` while an account has not been read lately, or cannot be."""
        last = self._known()
        age, trouble = self._clock() - last.time, self._ledger.trouble
        late = "" if timedelta() <= age <= LATE else f"orders were not read for {wording.age(abs(age.total_seconds()))}"
        more = [part for part in (last.missing, late, "" if trouble is None else trouble.sentence) if part]
        return last if len(more) == bool(last.missing) else replace(last, missing="; ".join(more))

    def _known(self) -> OrdersRead:
        if self._last is None:
            self._last = self._composed()
        return self._last

    async def ordered(self) -> None:
        """Return when something new was said of an order."""
        await self._said.wait()
        self._said.clear()

    def records_of(self, order: BrokerOrder) -> list[tuple[BrokerOrder, Record]]:
        """The records that make up `order`, each with what it says, oldest first; empty when it is not known."""
        sheet = self._sheet(order.account.number)
        for chain in chains(sheet.parts(self._clock())):
            if any(part.order.reference == order.reference for part in chain):
                return [(part.order, sheet.records[part.order.reference]) for part in chain]
        return []

    def stream(self) -> Stream:
        """How the orders are told of, as one of the streams of the source."""
        sheets = self.sheets.values()
        times = [sheet.time for sheet in sheets if sheet.time is not None]
        trouble = next((sheet.trouble for sheet in sheets if sheet.trouble), "")
        if not times:
            return Stream("orders", None, works=False if trouble else None, detail=trouble)
        return Stream("orders", min(times), works=not trouble, detail=trouble or f"{len(self.read().orders)} today")

    # what is heard

    def wake(self) -> None:
        """Let whoever waits for news look again."""
        self._said.set()

    def prompt(self) -> None:
        """Read as soon as may be: something was announced, or is in doubt."""
        self._prompted = True
        self._due.again("orders")

    def take(self, number: str, record: object, key: str = "") -> None:
        """A record that answered a request of ours, of the order that was sent under `key`."""
        if isinstance(record, dict) and _is_numbered(record):
            sheet = self._sheet(number)
            if key:
                sheet.own(str(record["id"]).strip(), key)
            sheet.keep(record)
            self._tell()

    def refuse(self, order: BrokerOrder) -> None:
        """An order of ours that was turned away for certain."""
        self._sheet(order.account.number).refused[order.key] = order
        self._tell()

    async def run(self) -> None:
        """Return never."""
        while True:
            if self._ledger.books and self._ledger.trouble is None and "orders" in self._due:
                try:
                    await self._read()
                except Exception:
                    log.exception("reading the orders failed")
                    self._due.done("orders", AGAIN)
            await asyncio.sleep(_LOOK_SECONDS)

    async def read_anew(self) -> OrdersRead:
        """Ask for the orders and fees of every account now; SourceError unless all have answered."""
        try:
            async with asyncio.timeout(READ_SECONDS):
                await self._read()
        except TimeoutError:
            raise SourceError(f"tastytrade did not list the orders within {READ_SECONDS:g} s.") from None
        if not self.sheets:
            raise SourceError("the accounts of this login are not known yet.")
        trouble = [
            f"{AccountId(BROKER, sheet.number)}: {sheet.trouble}" for sheet in self.sheets.values() if sheet.trouble
        ]
        if trouble:
            raise SourceError(f"the orders cannot be read ({'; '.join(trouble)}).")
        return self.read()

    # reading

    async def _read(self) -> None:
        async with self._reading:
            self._prompted = False
            self._due.done("orders", AGAIN)  # also should this be broken off; what is announced meanwhile counts anew
            before = self._known()
            for number in self._ledger.books:
                await self._read_sheet(self._sheet(number))
            await self._read_fees()
            self._last = self._composed()
            if not self._prompted:
                self._due.done("orders", self._pause())
        if _without_time(self._last) != _without_time(before):
            self._said.set()

    def _pause(self) -> timedelta:
        if any(sheet.trouble for sheet in self.sheets.values()):
            return AGAIN
        if any(order.key and not order.state.is_over for order in self.read().orders):
            return WORKING
        return EVERY_OPEN if calendar.is_open(self._clock()) else EVERY_CLOSED

    async def _read_sheet(self, sheet: Sheet) -> None:
        base, asked = f"/accounts/{sheet.number}/orders", self._clock()
        known = set(sheet.records)
        try:
            rows = await self._api.items(f"{base}/live")
            numbered = [row for row in rows if _is_numbered(row)]
            for row in numbered:
                sheet.keep(row)
            listed = {str(row["id"]).strip() for row in numbered}
            for reference in sheet.unlisted(known - listed, self._clock()):
                await self._read_one(sheet, base, reference)
        except Lost as lost:
            sheet.trouble = lost.condition.sentence
        except (Refused, Incomplete) as error:
            sheet.trouble = str(error)
        else:
            odd = len(rows) - len(numbered)
            sheet.trouble = f"{odd} of {len(rows)} orders have no number" if odd else ""
            sheet.time = asked
            sheet.forget(self._clock())

    async def _read_one(self, sheet: Sheet, base: str, reference: str) -> None:
        try:
            sheet.keep(await self._api.get(f"{base}/{reference}"))
            sheet.gone.discard(reference)
        except Refused as refused:
            if refused.status != _NOT_LISTED:
                raise
            sheet.gone.add(reference)

    async def _read_fees(self) -> None:
        """What today's trades cost, where a fill does not say yet; fills count without."""
        wanting = {fill.account.number for fill in self._composed().fills if fill.fees is None}
        for number in wanting:
            name = f"fees {number}"
            if name not in self._due:
                continue
            self._due.done(name, FEES_EVERY)
            asked = {"per-page": PAGE, "types[]": ["Trade"], "start-date": f"{calendar.exchange_date(self._clock())}"}
            try:
                rows = await self._api.items(f"/accounts/{number}/transactions", asked)
            except (Lost, Refused, Incomplete):
                continue
            self._sheet(number).charge(fees_of(rows))

    # composing

    def _sheet(self, number: str) -> Sheet:
        return self.sheets.setdefault(number, Sheet(number))

    def _tell(self) -> None:
        self._last = None
        self._said.set()

    def _composed(self) -> OrdersRead:
        orders: list[BrokerOrder] = []
        fills: list[Fill] = []
        missing: list[str] = []
        now = self._clock()
        for number in {**dict.fromkeys(self._ledger.books), **self.sheets}:
            sheet = self._sheet(number)
            own, done = sheet.said(now)
            orders += own
            fills += done
            if sheet.trouble or sheet.time is None:
                missing.append(f"orders of {AccountId(BROKER, number)}: {sheet.trouble or 'not read yet'}")
        times = [sheet.time for sheet in self.sheets.values() if sheet.time is not None]
        if not self.sheets:
            missing.append("orders: the accounts are not known yet")
        return OrdersRead(SOURCE, min(times, default=now), tuple(orders), tuple(fills), "; ".join(missing))


def _is_numbered(record: Record) -> bool:
    return isinstance(record.get("id"), (int, str)) and bool(str(record["id"]).strip())


def _without_time(read: OrdersRead) -> OrdersRead:
    return replace(read, time=datetime.min)  # noqa: DTZ901  # only so that two readings compare by what they say

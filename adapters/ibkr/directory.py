"""What IBKR says a contract is: exchange, underlying, true expiry. Asked once for each contract, kept for good.

A position's contract comes without an exchange and an option does not name what it is struck on by number, so neither
can be subscribed to before IBKR was asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import ib_async

from adapters.ibkr import rows
from adapters.ibkr.contracts import described, requestable, underlying_request
from adapters.ibkr.session import Refused, Session
from guardrails.calendar import exchange_date
from guardrails.errors import SymbolError
from guardrails.instruments import Instrument, Kind

_AT_ONCE = 8
INDICES = (("VIX", "CBOE"), ("VIX3M", "CBOE"), ("SPX", "CBOE"))
"""asked for whatever is held: the regime and the beta weights rest on them"""


@dataclass(frozen=True, slots=True)
class Listing:
    """One contract as it can be subscribed to, or why it cannot."""

    contract: ib_async.Contract | None
    details: ib_async.ContractDetails | None = None
    reason: str = ""


class Directory:
    """Contracts by number and underlyings by canonical symbol; outlives sessions."""

    def __init__(self) -> None:
        self.listings: dict[int, Listing] = {}
        self.underlyings: dict[str, int] = {}
        """canonical symbol -> contract id"""
        self.futures: dict[int, str] = {}
        """contract id of a future option -> local symbol of the future it is exercised into"""
        self._unresolved: set[str] = set()

    def copy(self) -> Directory:
        """The same knowledge, unmoved by what is learned later."""
        other = Directory()
        other.listings, other.underlyings, other.futures = (
            dict(self.listings),
            dict(self.underlyings),
            dict(self.futures),
        )
        return other

    def resolved(self, held: Iterable[ib_async.Position]) -> bool:
        """Whether everything about `held` has been asked and answered."""
        return all(row.contract.conId in self.listings for row in held)

    def retry(self) -> None:
        """Ask again for what could not be found, which a new connection may."""
        self._unresolved.clear()
        self.listings = {number: entry for number, entry in self.listings.items() if entry.contract is not None}

    async def learn(self, session: Session, held: Iterable[ib_async.Position]) -> None:
        """Ask for everything about `held` that is not known yet."""
        room = asyncio.Semaphore(_AT_ONCE)

        async def bounded(row: ib_async.Position) -> None:
            async with room:
                await self._learn_one(session, row.contract)

        async def index(symbol: str, exchange: str) -> None:
            async with room:
                await self._underlying(session, symbol, ib_async.Index(symbol, exchange, "USD"))

        new = {row.contract.conId: row for row in held if row.contract.conId not in self.listings}
        missing = [(s, e) for s, e in INDICES if s not in self.underlyings and s not in self._unresolved]
        await asyncio.gather(*(index(*pair) for pair in missing))
        await asyncio.gather(*(bounded(row) for row in new.values()))

    async def _learn_one(self, session: Session, contract: ib_async.Contract) -> None:
        found, reason = None, ""
        if contract.secType == "FOP" or requestable(contract) is None:
            found, reason = await self._details(session, ib_async.Contract(conId=contract.conId))
        ready = requestable(contract, found)
        if ready is None and not reason:
            reason = "it has no exchange quotes could be asked of"
        instrument = _instrument(session, contract, found)
        if instrument is not None:
            if instrument.is_option:
                await self._underlying_of(session, contract, instrument, found)
            elif ready is not None:
                self.underlyings.setdefault(instrument.symbol, contract.conId)
        self.listings[contract.conId] = Listing(ready, found, reason)

    async def _underlying_of(
        self, session: Session, contract: ib_async.Contract, option: Instrument, found: ib_async.ContractDetails | None
    ) -> None:
        if option.kind is Kind.FUTURE_OPTION:
            if found is not None and found.underConId:
                local = await self._future(session, found.underConId)
                if local:
                    self.futures[contract.conId] = local
            return
        if option.underlying in self.underlyings or option.underlying in self._unresolved:
            return
        self._unresolved.add(option.underlying)  # nobody else need ask meanwhile
        asked = underlying_request(option, contract.currency)
        if asked is not None and await self._underlying(session, option.underlying, asked):
            return
        details, _ = await self._details(session, ib_async.Contract(conId=contract.conId))
        if details is not None and details.underConId:
            asked = ib_async.Contract(conId=details.underConId)
            await self._underlying(session, option.underlying, asked)

    async def _future(self, session: Session, con_id: int) -> str:
        """Local symbol of the future, which is listed on the way."""
        listing = self.listings.get(con_id)
        if listing is None or listing.details is None:
            details, reason = await self._details(session, ib_async.Contract(conId=con_id))
            ready = None if details is None or details.contract is None else requestable(details.contract, details)
            listing = self.listings[con_id] = Listing(ready, details, reason)
            instrument = None if ready is None else _instrument(session, ready, details)
            if instrument is not None:
                self.underlyings.setdefault(instrument.symbol, con_id)
        known = listing.details.contract if listing.details is not None else listing.contract
        return "" if known is None else known.localSymbol

    async def _underlying(self, session: Session, symbol: str, asked: ib_async.Contract) -> bool:
        details, _ = await self._details(session, asked)
        ready = None if details is None or details.contract is None else requestable(details.contract, details)
        if ready is None:
            self._unresolved.add(symbol)
            return False
        self.listings.setdefault(ready.conId, Listing(ready, details))
        self.underlyings[symbol] = ready.conId
        self._unresolved.discard(symbol)
        return True

    async def _details(self, session: Session, asked: ib_async.Contract) -> tuple[ib_async.ContractDetails | None, str]:
        """The one match, or none and why."""
        try:
            found = await session.details(asked)
        except Refused as refused:
            return None, f"IBKR does not know its contract ({refused})"
        except TimeoutError:
            return None, "IBKR did not say what its contract is"
        named = [e for e in found if e.contract is not None and asked.secType in ("", e.contract.secType)]
        if len(named) != 1:
            return None, f"IBKR lists {len(named)} contracts of that name"
        return named[0], ""


def _instrument(
    session: Session, contract: ib_async.Contract, details: ib_async.ContractDetails | None
) -> Instrument | None:
    try:
        return rows.instrument(described(contract, details), exchange_date(session.clock()))
    except SymbolError:
        return None

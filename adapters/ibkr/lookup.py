"""Contracts of instruments that nobody holds, and instruments of contracts that others trade; asked once, then kept.

What is found must read back as the very instrument that was asked for: an order for a neighbour of it would be real.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import ib_async

from adapters.ibkr import rows
from adapters.ibkr.contracts import described, requestable, to_contract, underlying_request
from adapters.ibkr.directory import Directory
from adapters.ibkr.session import Refused, Session
from guardrails.calendar import exchange_date
from guardrails.errors import SymbolError
from guardrails.instruments import Instrument, Kind

_AT_ONCE = 8
_DOLLAR = "USD"


@dataclass(frozen=True, slots=True)
class Known:
    """One contract that was understood."""

    instrument: Instrument
    contract: ib_async.Contract
    """fit for requests and orders"""
    details: ib_async.ContractDetails | None = None


class Lookup:
    """What is known beside the book; outlives sessions and belongs to the loop it is used on."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._by_number: dict[int, Known] = {}
        self._by_key: dict[str, Known] = {}
        self._refused: dict[int, str] = {}
        self._not_listed: set[str] = set()

    def known(self, session: Session | None, con_id: int) -> Known | None:
        """What the contract is, as far as it was asked; of what is held the directory knows it."""
        found = self._by_number.get(con_id)
        if found is not None or session is None:
            return found
        listing = self._directory.listings.get(con_id)
        if listing is None or listing.contract is None:
            return None
        local = self._directory.futures.get(con_id, "")
        if listing.contract.secType == "FOP" and not local:
            return None
        return self._keep(session, con_id, listing.contract, listing.details, local)

    def reason(self, con_id: int) -> str:
        """Why a contract is not known."""
        return self._refused.get(con_id, "it is not looked up yet")

    def is_refused(self, con_id: int) -> bool:
        """Whether IBKR could not say what it is."""
        return con_id in self._refused

    def retry(self) -> None:
        """Ask again for what was refused."""
        self._refused.clear()
        self._not_listed.clear()

    async def learn(self, session: Session, contracts: Mapping[int, ib_async.Contract | None]) -> None:
        """Ask what these are, by contract number; each answer is bounded, what does not answer stays unknown."""
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(con_id: int) -> None:
            async with room:
                await self._learn_one(session, con_id)

        new = [number for number in contracts if number and self.known(session, number) is None]
        await asyncio.gather(*(one(number) for number in new if number not in self._refused))

    async def contract(self, session: Session, instrument: Instrument) -> tuple[Known | None, str]:
        """The contract of an instrument: the one held, else the one IBKR knows by its terms; or why there is none."""
        found = self._by_key.get(instrument.key) or self._held(session, instrument)
        if found is not None:
            return found, ""
        asked = _request(instrument)
        if asked is None:
            return None, "IBKR has no name for it"
        details, reason = await self._details(session, asked)
        if details is None or details.contract is None:
            return None, reason
        known = await self._understood(session, details)
        if known is None:
            return None, self.reason(details.contract.conId)
        if known.instrument.key != instrument.key:
            return None, f"IBKR lists {known.instrument.label} under its terms"
        return known, ""

    async def listed(self, session: Session, instrument: Instrument) -> Known | None:
        """The contract of an instrument, asked for once in a session."""
        known = self._by_key.get(instrument.key)
        if known is not None or instrument.key in self._not_listed:
            return known
        known, _ = await self.contract(session, instrument)
        if known is None:
            self._not_listed.add(instrument.key)
        return known

    async def take(self, session: Session, found: Iterable[ib_async.ContractDetails]) -> list[Instrument]:
        """The instruments of what IBKR has listed, in its order; what cannot be understood is left out."""
        known = [await self._understood(session, details) for details in found if details.contract is not None]
        return [one.instrument for one in known if one is not None]

    def _held(self, session: Session, instrument: Instrument) -> Known | None:
        for row in session.rows.values():
            known = self.known(session, row.contract.conId)
            if known is not None and known.instrument.key == instrument.key:
                return known
        return None

    async def _learn_one(self, session: Session, con_id: int) -> None:
        details, reason = await self._details(session, ib_async.Contract(conId=con_id))
        if details is None:
            self._refused[con_id] = reason
            return
        await self._understood(session, details)

    async def _understood(self, session: Session, details: ib_async.ContractDetails) -> Known | None:
        contract = details.contract
        if contract is None:
            return None
        found = self._by_number.get(contract.conId)
        if found is not None and found.details is not None:
            return found
        local = ""
        if contract.secType == "FOP" and details.underConId:
            future = await self._future(session, details.underConId)
            local = "" if future is None else future.localSymbol
        return self._keep(session, contract.conId, contract, details, local)

    async def _future(self, session: Session, con_id: int) -> ib_async.Contract | None:
        known = self.known(session, con_id)
        if known is None and con_id not in self._refused:
            await self._learn_one(session, con_id)
            known = self._by_number.get(con_id)
        return None if known is None else known.contract

    async def details_of(self, session: Session, known: Known) -> ib_async.ContractDetails | None:
        """Its details; of a held contract they may not have been asked yet."""
        if known.details is not None:
            return known.details
        details, _ = await self._details(session, ib_async.Contract(conId=known.contract.conId))
        if details is not None:
            await self._understood(session, details)
        return details

    def _keep(
        self,
        session: Session,
        con_id: int,
        contract: ib_async.Contract,
        details: ib_async.ContractDetails | None,
        local: str,
    ) -> Known | None:
        ready = requestable(contract, details)
        today = exchange_date(session.clock())
        try:
            instrument = rows.instrument(described(contract, details, underlying_local_symbol=local), today)
        except SymbolError as error:
            self._refused[con_id] = str(error)
            return None
        if ready is None:
            self._refused[con_id] = "it has no exchange"
            return None
        known = self._by_number[con_id] = Known(instrument, ready, details)
        self._by_key[instrument.key] = known
        return known

    async def _details(self, session: Session, asked: ib_async.Contract) -> tuple[ib_async.ContractDetails | None, str]:
        """The one match, or none and why."""
        try:
            found = await session.details(asked)
        except Refused as refused:
            return None, f"IBKR does not know it ({refused})"
        except (TimeoutError, ConnectionError):
            return None, "IBKR did not say what it is"
        if len(found) != 1:
            return None, f"IBKR lists {len(found)} contracts of that name"
        return found[0], ""


def _request(instrument: Instrument) -> ib_async.Contract | None:
    if instrument.kind is Kind.INDEX:
        return underlying_request(instrument, _DOLLAR)
    return to_contract(instrument)

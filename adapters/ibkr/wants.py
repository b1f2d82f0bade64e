"""Which contracts should stream, most important first: what the regime and the underlyings rest on, then short options
near their expiry."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime

import ib_async

from adapters.ibkr.contracts import described
from adapters.ibkr.directory import INDICES, Directory
from adapters.ibkr.lines import Want, rank_of
from adapters.ibkr.lookup import Known, Lookup
from adapters.ibkr.session import Session
from guardrails.calendar import exchange_date
from guardrails.instruments import Instrument
from guardrails.orders import MAX_LEGS

_OPTIONS = ("OPT", "FOP")
_AT_ONCE = 8


def wanted(
    held: Iterable[ib_async.Position], directory: Directory, now: datetime
) -> tuple[list[Want], dict[int, ib_async.Contract]]:
    """The wants, and by contract id what to subscribe to; contracts that cannot be are left out."""
    ranks: dict[int, tuple[int, ...]] = {}
    today = exchange_date(now)

    def add(con_id: int, rank: tuple[int, ...]) -> None:
        ranks[con_id] = min(rank, ranks.get(con_id, rank))

    indices = {directory.underlyings.get(symbol) for symbol, _ in INDICES}
    for con_id in directory.underlyings.values():
        add(con_id, rank_of("index" if con_id in indices else "underlying", short=False, days=None))
    for row in held:
        contract = row.contract
        if contract.secType in ("CASH", "BAG"):
            continue
        if contract.secType not in _OPTIONS:
            add(contract.conId, rank_of("linear", short=row.position < 0, days=None))
            continue
        last = described(contract, None).expiry
        days = None if last is None else (last - today).days
        add(contract.conId, rank_of("option", short=row.position < 0, days=days))
    listed = {con_id: directory.listings[con_id].contract for con_id in ranks if con_id in directory.listings}
    contracts = {con_id: contract for con_id, contract in listed.items() if contract is not None}
    return [Want(con_id, rank) for con_id, rank in sorted(ranks.items(), key=lambda item: item[1])], contracts


async def looked_at(session: Session, lookup: Lookup, instruments: Sequence[Instrument]) -> tuple[Known, ...]:
    """The contracts of what somebody looks at, in that order; what IBKR does not know is left out."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(instrument: Instrument) -> Known | None:
        async with room:
            return await lookup.listed(session, instrument)

    found = await asyncio.gather(*(one(instrument) for instrument in instruments))
    return tuple(known for known in found if known is not None)


def room_for(looked: Iterable[int], held: Sequence[Want], budget: int) -> list[Want]:
    """Wants for the contracts that are looked at, as many as lines are left beside those of `held`, the first first.

    Where the held ones take turns already, the legs of one order take turns with them.
    """
    known = {want.con_id for want in held}
    new = [con_id for con_id in looked if con_id not in known]
    room = budget - len(held) if len(held) <= budget else MAX_LEGS
    return [Want(con_id, rank_of("looked_at", days=place)) for place, con_id in enumerate(new[:room])]

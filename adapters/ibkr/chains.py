"""What options are listed: the expiries of an underlying at once, the contracts of one expiry when they are wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from datetime import date, datetime
from typing import TypeVar

import ib_async

from adapters.ibkr.contracts import product_request, requestable
from adapters.ibkr.lookup import Lookup
from adapters.ibkr.session import Refused, Session
from guardrails import calendar
from guardrails.calendar import exchange_date
from guardrails.errors import SourceError, SymbolError
from guardrails.instruments import Instrument, Kind, Settlement
from guardrails.orders import ChainExpiry
from guardrails.products import FUTURES, INDEX_ROOTS, option_code
from guardrails.symbols import parse

_Answer = TypeVar("_Answer")
ANSWER_SECONDS = 20.0
"""the contracts of one SPX expiry are hundreds, and IBKR is slow with them"""
_CONTRACT_MONTHS = 4
"""of a futures product: options on later contracts are asked for by the contract's own symbol"""


async def expiries(session: Session, lookup: Lookup, underlying: str) -> tuple[ChainExpiry, ...]:
    """Expiries of the options on `underlying`, nearest first; SourceError when IBKR does not say."""
    found: set[ChainExpiry] = set()
    for instrument, contract in await _underlyings(session, lookup, underlying):
        exchange = contract.exchange if contract.secType == "FUT" else ""
        asked = session.ib.reqSecDefOptParamsAsync(contract.symbol, exchange, contract.secType, contract.conId)
        chains = await _answer(session, asked, underlying)
        found.update(_expiries(instrument, chains))
    if not found:
        raise SourceError(f"IBKR lists no options on {underlying}.")
    today = exchange_date(session.clock())
    kept = [one for one in found if one.expiry >= today]
    return tuple(sorted(kept, key=lambda one: (one.expiry, one.root, one.underlying)))


async def listed(session: Session, lookup: Lookup, expiry: ChainExpiry) -> tuple[Instrument, ...]:
    """The options of one expiry by strike, calls before puts; SourceError when IBKR does not say."""
    ((_, under),) = await _underlyings(session, lookup, expiry.underlying, single=True)
    on_future = under.secType == "FUT"
    early = expiry.settlement is Settlement.CASH_AM and not on_future
    last_trade = calendar.previous_session(expiry.expiry) if early else expiry.expiry
    asked = ib_async.Contract(
        secType="FOP" if on_future else "OPT",
        symbol=under.symbol,
        exchange=under.exchange if on_future else "SMART",
        currency=under.currency,
        lastTradeDateOrContractMonth=f"{last_trade:%Y%m%d}",
        tradingClass=expiry.root,
    )
    details = await _answer(session, session.ib.reqContractDetailsAsync(asked), expiry.underlying, asked)
    own = [one for one in details if not on_future or one.underConId in (0, under.conId)]
    found = [
        one for one in await lookup.take(session, own) if one.expiry == expiry.expiry and one.strike is not None
    ]  # fmt: skip
    if not found:
        raise SourceError(f"IBKR lists no options {expiry.root} of {expiry.expiry:%d %b %Y}.")
    return tuple(sorted(found, key=lambda one: (one.strike, one.right)))


async def _underlyings(
    session: Session, lookup: Lookup, underlying: str, *, single: bool = False
) -> list[tuple[Instrument, ib_async.Contract]]:
    """What the options are struck on: the instrument itself, or the nearest contracts of a futures product."""
    today = exchange_date(session.clock())
    if underlying in FUTURES and not single:
        return await _contract_months(session, lookup, underlying)
    try:
        instrument = parse(underlying, today)
    except SymbolError as error:
        raise SourceError(str(error)) from None
    known, reason = await lookup.contract(session, instrument)
    if known is None:
        raise SourceError(f"{underlying}: {reason}.")
    return [(known.instrument, known.contract)]


async def _contract_months(
    session: Session, lookup: Lookup, product: str
) -> list[tuple[Instrument, ib_async.Contract]]:
    asked = product_request(product)
    details = await _answer(session, session.ib.reqContractDetailsAsync(asked), product, asked)
    today = f"{exchange_date(session.clock()):%Y%m%d}"
    found = []
    for one in details:
        ready = None if one.contract is None else requestable(one.contract, one)
        if ready is not None and ready.lastTradeDateOrContractMonth >= today:
            found += [(instrument, ready) for instrument in await lookup.take(session, [one])]
    if not found:
        raise SourceError(f"IBKR lists no contracts of {product}.")
    return sorted(found, key=lambda pair: pair[1].lastTradeDateOrContractMonth)[:_CONTRACT_MONTHS]


async def _answer(
    session: Session, asked: Awaitable[_Answer], what: str, contract: ib_async.Contract | None = None
) -> _Answer:
    try:
        return await session.answer(asked, ANSWER_SECONDS, contract)
    except Refused as refused:
        raise SourceError(f"{what}: IBKR does not list its options ({refused}).") from None
    except (TimeoutError, ConnectionError):
        raise SourceError(f"{what}: IBKR did not say which options it has.") from None


def _expiries(underlying: Instrument, chains: Iterable[ib_async.OptionChain]) -> Iterable[ChainExpiry]:
    for chain in chains:
        root = chain.tradingClass
        settlement = _settlement(underlying, root)
        # IBKR dates by the last trade, which for an index option of AM settlement is the session before
        early = settlement is Settlement.CASH_AM and underlying.kind is not Kind.FUTURE
        for text in chain.expirations:
            day = _day(text)
            if day is not None:
                yield ChainExpiry(underlying.symbol, calendar.next_session(day) if early else day, root, settlement)


def _settlement(underlying: Instrument, root: str) -> Settlement | None:
    if underlying.kind is Kind.FUTURE:
        code = option_code(root)
        return None if code is None else code.settlement
    index = INDEX_ROOTS.get(root)
    if index is not None:
        return index.settlement
    return Settlement.PHYSICAL if underlying.kind is Kind.EQUITY else None


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007  # a day only
    except ValueError:
        return None

"""The book as a flatten sees it while it runs: what is held, quoted and open, from the last cycle and fresh reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from guardrails import calendar, symbols
from guardrails.errors import SymbolError
from guardrails.flatten.hours import closed
from guardrails.flatten.pricing import Quoted
from guardrails.flatten.scope import lines_of
from guardrails.gate.cover import Holding
from guardrails.instruments import Instrument, Kind
from guardrails.portfolio import Portfolio
from guardrails.values import AccountId


def holdings_of(
    account: AccountId, portfolio: Portfolio, fresh: Mapping[str, float] | None, named: Iterable[Instrument]
) -> tuple[Holding, ...]:
    """What `account` holds: quantities as `fresh` has them, else as the book; contracts as the book or `named` does.

    What cannot be read at all stands there as something of unknown kind and its own key.
    """
    known = {line.key: line.holding for line in lines_of(portfolio, named=False) if line.account == account}
    if fresh is None:
        return tuple(known.values())
    instruments = {instrument.key: instrument for instrument in named}
    found = []
    for key, quantity in fresh.items():
        if key in known:
            found.append(Holding(account, known[key].instrument, quantity, known[key].multiplier))
        elif quantity:
            instrument = instruments.get(key) or _read(key, portfolio.time)
            found.append(Holding(account, instrument, quantity, None))
    return tuple(found)


def quotes_of(portfolio: Portfolio) -> Quoted:
    """Bid and ask of everything that is held, by `Instrument.key`."""
    return {line.key: (line.bid, line.ask) for line in lines_of(portfolio, named=False)}


def shut(instruments: Iterable[Instrument], portfolio: Portfolio, now: datetime) -> Mapping[str, str]:
    """Why each of them does not trade at `now`, by key; those that do are not named."""
    told = {instrument.key: closed(instrument, portfolio, now) for instrument in instruments}
    return {key: why for key, why in told.items() if why}


def _read(key: str, now: datetime) -> Instrument:
    kind, _, symbol = key.partition(":")
    try:
        found = symbols.parse(symbol, calendar.exchange_date(now))
    except SymbolError:
        return Instrument(Kind.OTHER, symbol)
    return found if found.key == key else Instrument(Kind.OTHER, f"{kind} {symbol}")

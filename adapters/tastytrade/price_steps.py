"""Which limits tastytrade takes, from the tick sizes in its instrument records.

A record lists pairs of a value and the price up to which it holds; the last pair has none. A package of options is
priced in the finest of them: the exchanges' complex books are no coarser.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from urllib.parse import quote

from adapters.condition import Lost
from adapters.tastytrade.api import Api, Incomplete, Record, Refused
from guardrails.errors import SourceError, SymbolError
from guardrails.instruments import Instrument, Kind
from guardrails.orders import Order, PriceRule
from guardrails.products import FUTURES, product_root
from guardrails.symbols import tastytrade as symbols

Steps = tuple[tuple[Decimal, Decimal], ...]

_SHARES: Steps = ((Decimal(0), Decimal("0.0001")), (Decimal(1), Decimal("0.01")))
"""Regulation NMS, rule 612"""
_OPTIONS: Steps = ((Decimal(0), Decimal("0.05")), (Decimal(3), Decimal("0.10")))
"""the coarsest that any class of listed options is quoted in; in a finer class they are valid as well"""
_NAMES: Mapping[Kind, str] = {
    Kind.EQUITY: "tick-sizes",
    Kind.OPTION: "option-tick-sizes",
    Kind.INDEX_OPTION: "option-tick-sizes",
    Kind.FUTURE: "tick-sizes",
    Kind.FUTURE_OPTION: "option-tick-sizes",
}
_NOT_LISTED = 404


async def rule_for(api: Api, order: Order, known: dict[str, Record]) -> PriceRule:
    """The increments of this package's price; SourceError when tastytrade does not say them and no rule does.

    `known` are records read before, by path; what is read is added.
    """
    found = [await _steps(api, leg.instrument, known) for leg in order.legs]
    if len(found) == 1:
        return PriceRule(found[0])
    return PriceRule(((Decimal(0), max(min(tick for _, tick in steps) for steps in found)),))


def steps_of(sizes: object) -> Steps:
    """The increments of one list of tick sizes, from 0 upwards; empty when it cannot be read."""
    rows = [row for row in sizes if isinstance(row, dict)] if isinstance(sizes, list) else []
    pairs = [(_decimal(row.get("threshold")), _decimal(row.get("value"))) for row in rows if not row.get("symbol")]
    if not pairs or any(tick is None or tick <= 0 for _, tick in pairs):
        return ()
    bounded = sorted((upto, tick) for upto, tick in pairs if upto is not None and tick is not None)
    rest = [tick for upto, tick in pairs if upto is None and tick is not None]
    if len(rest) > 1 or not (rest or bounded):
        return ()
    ticks = [tick for _, tick in bounded] + rest
    starts = [Decimal(0), *(upto for upto, _ in bounded)]
    return tuple(zip(starts, ticks, strict=False))


async def _steps(api: Api, instrument: Instrument, known: dict[str, Record]) -> Steps:
    record = await _record(api, instrument, known)
    found = steps_of(record.get(_NAMES.get(instrument.kind, "")))
    if instrument.kind is Kind.FUTURE and not found and (tick := _decimal(record.get("tick-size"))):
        found = ((Decimal(0), tick),)
    return found or _by_rule(instrument)


def _by_rule(instrument: Instrument) -> Steps:
    """What holds whatever the record leaves out; SourceError where nothing does."""
    if instrument.kind is Kind.EQUITY:
        return _SHARES
    if instrument.kind in (Kind.OPTION, Kind.INDEX_OPTION):
        return _OPTIONS
    spec = FUTURES.get(product_root(instrument.symbol)) if instrument.kind is Kind.FUTURE else None
    if spec is None:
        raise SourceError(f"tastytrade does not say in which steps {instrument.label} is priced.")
    return ((Decimal(0), Decimal(str(spec.tick))),)


async def _record(api: Api, instrument: Instrument, known: dict[str, Record]) -> Record:
    """The record that lists the tick sizes: of the share or future itself, or of what an option is struck on."""
    name = instrument.underlying if instrument.is_option else instrument.symbol
    try:
        path = _path(instrument, name)
        if path not in known:
            known[path] = await api.get(path)
        return known[path]
    except SymbolError as error:
        raise SourceError(str(error)) from None
    except Lost as lost:
        raise SourceError(f"price steps cannot be read: {lost.condition.sentence}") from None
    except Incomplete as error:
        raise SourceError(f"price steps cannot be read: {error}.") from None
    except Refused as refused:
        if refused.status == _NOT_LISTED:
            return {}
        raise SourceError(f"price steps cannot be read: {refused}.") from None


def _path(instrument: Instrument, name: str) -> str:
    if instrument.kind not in (Kind.FUTURE, Kind.FUTURE_OPTION):
        return f"/instruments/equities/{quote(name, safe='')}"
    contract = symbols.format(Instrument(Kind.FUTURE, name, name, product_root(name)))
    return f"/instruments/futures/{quote(contract.removeprefix('/'), safe='')}"


def _decimal(value: object) -> Decimal | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None

"""tastytrade symbols, as positions, orders and exports carry them.

    SPY, BRK/B, BTC/USD                 share or index, coin
    SPY   250321P00590000               option: OCC, with the class behind a slash (`BRK/B 250321C00450000`)
    /ESZ6                               future, one digit of year
    ./ESU3 EW4N3 230728C3990            option on a future: the future in 5 columns, the option in 6,
    ./MNQZ5D4AU5 250922C24575           so that a long future is followed by no space at all

The future inside a future option becomes `Instrument.underlying`.
"""

from __future__ import annotations

import re
from datetime import date

from guardrails.errors import SymbolError
from guardrails.instruments import Instrument, Kind
from guardrails.products import INDICES
from guardrails.symbols import contracts, occ

_FUTURE = re.compile(r"/(?P<root>[A-Z0-9]{1,4}?)(?P<month>[FGHJKMNQUVXZ])(?P<year>[0-9]{1,2})")
_FUTURE_OPTION = re.compile(
    r"\./(?P<root>[A-Z0-9]{1,4}?)(?P<root_month>[FGHJKMNQUVXZ])(?P<root_year>[0-9])\s*"
    r"(?P<code>[A-Z0-9]{1,5}?)(?P<month>[FGHJKMNQUVXZ])(?P<year>[0-9])\s+"
    r"(?P<day>[0-9]{6})(?P<right>[CP])(?P<strike>[0-9]+(?:\.[0-9]+)?)"
)
_COIN = re.compile(r"[A-Z0-9]{2,10}/USD[A-Z]?")
_KINDS = {
    "equity": Kind.EQUITY,
    "equity option": Kind.OPTION,
    "future": Kind.FUTURE,
    "future option": Kind.FUTURE_OPTION,
    "cryptocurrency": Kind.CRYPTO,
    "index": Kind.INDEX,
}
_WORDS = {Kind.EQUITY: contracts.equity, Kind.INDEX: contracts.index}


def parse(symbol: str, instrument_type: str, as_of: date) -> Instrument:
    """The instrument of a record; SymbolError with the reason when symbol and type name none.

    `instrument_type` is tastytrade's (`Equity Option`), or empty to go by the shape; `as_of` decides the decade of a
    one-digit year where no expiry does.
    """
    text = symbol.strip()
    try:
        return _read(text, _kind(instrument_type) if instrument_type else _shape(text), as_of)
    except ValueError as error:
        raise SymbolError(symbol[:80], "tastytrade", str(error)) from error


def _kind(instrument_type: str) -> Kind:
    kind = _KINDS.get(re.sub(r"[-_ ]+", " ", instrument_type.strip().lower()))
    if kind is None:
        raise ValueError(f"the instrument type {instrument_type[:40]!r} has no risk model")
    return kind


def _shape(text: str) -> Kind:
    if text.startswith("./"):
        return Kind.FUTURE_OPTION
    if text.startswith("/"):
        return Kind.FUTURE
    if _COIN.fullmatch(text):
        return Kind.CRYPTO
    if len(text) > 15:
        return Kind.OPTION
    return Kind.INDEX if text in INDICES else Kind.EQUITY


def _read(text: str, kind: Kind, as_of: date) -> Instrument:
    if kind is Kind.OPTION:
        return occ.parse(text)
    if kind is Kind.FUTURE:
        return _future(text, as_of)
    if kind is Kind.FUTURE_OPTION:
        return _future_option(text)
    if kind is Kind.CRYPTO:
        return contracts.coin(text)
    return _WORDS[kind](text)


def _future(text: str, as_of: date) -> Instrument:
    found = _FUTURE.fullmatch(text)
    if found is None:
        raise ValueError("a slash, the product, a month code and the year are expected")
    return contracts.future(found["root"], *contracts.Month.read(found["month"], found["year"], as_of))


def _future_option(text: str) -> Instrument:
    found = _FUTURE_OPTION.fullmatch(text)
    if found is None:
        raise ValueError("./ with a future, an option code, yymmdd, C or P and a strike are expected")
    terms = contracts.Terms.read(found["day"], found["right"], found["strike"])
    month = contracts.Month.read(found["month"], found["year"], terms.expiry)
    struck_on = contracts.Month.read(found["root_month"], found["root_year"], terms.expiry)
    return contracts.future_option(
        found["code"], month.year, month.month, *terms, contracts.future(found["root"], *struck_on).symbol
    )


def format(instrument: Instrument) -> str:  # noqa: A001  # always read through the module: tastytrade.format
    """The symbol orders are placed with; SymbolError when there is none, or the future of an option is not known."""
    if instrument.kind in (Kind.EQUITY, Kind.INDEX, Kind.CRYPTO):
        return instrument.symbol
    if instrument.kind in (Kind.OPTION, Kind.INDEX_OPTION):
        return f"{occ.slashed_root(instrument):<6}{occ.format(instrument)[6:]}"
    if instrument.kind is Kind.FUTURE:
        return _one_digit(instrument.symbol)
    if instrument.kind is Kind.FUTURE_OPTION and instrument.expiry is not None:
        if not _FUTURE.fullmatch(instrument.underlying):
            raise SymbolError(instrument.symbol, "tastytrade", "the futures contract it is exercised into is not known")
        contract, terms = instrument.symbol.removeprefix("./").split(" ")
        future = _one_digit(instrument.underlying).removeprefix("/")
        return f"./{future:<5}{_one_digit(contract):<6}{terms}"
    raise SymbolError(instrument.symbol, "tastytrade", f"a {instrument.kind.value} has none")


def _one_digit(contract: str) -> str:
    return contract[:-2] + contract[-1]

"""Symbols of every party, translated to Instruments: a module per scheme, with `parse` and where it applies `format`.

    occ          listed options in 21 characters
    dxfeed       what quotes are subscribed under
    tastytrade   positions and orders
    ibkr         contracts and statement lines; ibkr_text reads and writes their spelling
    expiries     what a date in a record means
    contracts    builds the canonical symbol all of them arrive at

`parse` is for files written by people and programs alike, where the scheme is not known.
"""

from __future__ import annotations

import re
from datetime import date

from guardrails.errors import SymbolError
from guardrails.instruments import Instrument, Kind
from guardrails.products import FUTURES
from guardrails.symbols import contracts, dxfeed, ibkr, occ, tastytrade

__all__ = ["dxfeed", "ibkr", "occ", "parse", "tastytrade"]

_CURRENCIES = frozenset({
    "AUD", "BRL", "CAD", "CHF", "CNH", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS",
    "INR", "JPY", "KRW", "MXN", "NOK", "NZD", "PLN", "SEK", "SGD", "THB", "TRY", "ZAR",
})  # fmt: skip
_PAIR = re.compile(r"(?P<first>[A-Z0-9]{2,10})/USD")
_FUTURE_WORD = re.compile(r"[A-Z0-9]{1,4}[FGHJKMNQUVXZ][0-9]{1,2}")
_CANONICAL = re.compile(
    r"\./(?P<code>[A-Z0-9]{1,5}?)(?P<month>[FGHJKMNQUVXZ])(?P<year>[0-9]{2}) "
    r"(?P<day>[0-9]{6})(?P<right>[CP])(?P<strike>[0-9]+(\.[0-9]+)?)"
)


def parse(text: str, as_of: date) -> Instrument:
    """The instrument `text` names in any scheme; SymbolError when none can read it.

    A bare word is an index when products knows it as one, else a share: `ES` is Eversource. `/ES` without a month is
    the product, for the price of a future whose contract is not known. `EUR/USD` is cash in euro. `as_of`, the date the
    text was written on, decides the decade of one-digit years.
    """
    try:
        return _read(text.strip().upper(), as_of)
    except ValueError as error:
        raise SymbolError(text[:80], "known", str(error)) from error


def _read(text: str, as_of: date) -> Instrument:
    if text in FUTURES:
        return Instrument(Kind.FUTURE, text, text, text)
    if text.startswith("."):
        return _dotted(text, as_of)
    if ":" in text:
        return dxfeed.parse(text if "/" in text else f"/{text}")
    if text.startswith("/"):
        return tastytrade.parse(text, "Future", as_of)
    pair = _PAIR.fullmatch(text)
    if pair is not None:
        return contracts.cash(pair["first"]) if pair["first"] in _CURRENCIES else contracts.coin(text)
    if contracts.WORD.fullmatch(text) and not _FUTURE_WORD.fullmatch(text):
        return contracts.bare_word(text)
    return ibkr.parse_statement(text, as_of)


def _dotted(text: str, as_of: date) -> Instrument:
    found = _CANONICAL.fullmatch(text)
    if found is not None:
        terms = contracts.Terms.read(found["day"], found["right"], found["strike"])
        month = contracts.Month.read(found["month"], found["year"], as_of)
        return contracts.future_option(found["code"], month.year, month.month, *terms)
    return tastytrade.parse(text, "Future Option", as_of) if " " in text else dxfeed.parse(text)

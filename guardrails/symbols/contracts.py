"""Instruments from their parts: the one place that writes canonical symbols, so that all schemes reach the same key.

One-digit years. `/ESZ6` repeats every decade. It means the first contract of that month and digit that was not over
three months before the date at hand: the date the text was written on, or the expiry when that is known.

Everything here raises ValueError with the reason; the schemes turn it into a SymbolError that quotes their text.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from guardrails.instruments import Instrument, Kind, Right, Settlement
from guardrails.products import CLASS_SHARES, INDEX_ROOTS, INDICES, option_code

MONTH_CODES = "FGHJKMNQUVXZ"
"""January to December, as futures exchanges write them"""
CENTURY = 2000
"""two-digit years count from here: what is listed now began and ends in this century"""
WORD = re.compile(r"[A-Z0-9]{1,10}([ ./](?:[A-Z]|PR[A-Z]?|WS|WT|RT|UN))?")
"""a ticker that may stand alone: with a class, a preferred series, warrants, rights or units, but no second word"""
_SHARE = re.compile(r"[A-Z0-9]{1,10}(/[A-Z0-9]{1,4}){0,2}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_COIN = re.compile(r"[A-Z0-9]{1,10}/[A-Z]{3,5}")
_CODE = re.compile(r"[A-Z0-9]{1,6}")
_OVER_FOR = timedelta(days=92)
_NAMED_LATER = timedelta(days=92)
"""the month in an option's name begins at most about two months after the expiry"""
_NAMED_EARLIER = timedelta(days=7)
"""a weekly moved by a holiday may expire in the first days of the next month"""


class Terms(NamedTuple):
    """What every option has, in the order in which `option` and `future_option` take it."""

    expiry: date
    right: Right
    strike: Decimal

    @classmethod
    def read(cls, day: str, right: str, strike: str) -> Terms:
        """From a day as yymmdd, C or P, and a number."""
        return cls(short_date(day), Right(right), strike_price(strike))


class Month(NamedTuple):
    """Year and month a futures contract or an option on one is named by, in the order in which `future` takes them."""

    year: int
    month: int

    @classmethod
    def read(cls, code: str, digits: str, reference: date) -> Month:
        """From a month code and one or two digits of year; `reference` decides the decade of one, see the module."""
        month = month_of(code)
        if len(digits) > 1:
            return cls(CENTURY + int(digits), month)
        floor = reference - _OVER_FOR
        named = cls(floor.year + (int(digits) - floor.year) % 10, month)
        return named if named.later(1).begins > floor else cls(named.year + 10, month)

    @property
    def begins(self) -> date:
        """First day of the month."""
        return date(self.year, self.month, 1)

    @property
    def text(self) -> str:
        """Month code and two digits of year: `Z26`."""
        return f"{MONTH_CODES[self.month - 1]}{self.year % 100:02d}"

    def later(self, months: int) -> Month:
        """The month that many months later."""
        count = self.year * 12 + self.month - 1 + months
        return Month(count // 12, count % 12 + 1)


def month_of(code: str) -> int:
    """Number of the month with this code: Z is 12."""
    return MONTH_CODES.index(code) + 1


def short_date(text: str) -> date:
    """The date written as yymmdd."""
    try:
        return date(CENTURY + int(text[:2]), int(text[2:4]), int(text[4:6]))
    except ValueError:
        raise ValueError(f"{text} is not a date as yymmdd") from None


def strike_price(value: Decimal | float | str) -> Decimal:
    """A strike as an exact number above zero."""
    try:
        strike = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"strike {value!r} is not a number") from None
    if not strike.is_finite() or strike <= 0:
        raise ValueError(f"strike {value} is not above zero")
    return strike


def plain(strike: Decimal) -> str:
    """A strike without exponent and without zeros that carry nothing: `3990`, `590.25`."""
    return f"{strike.normalize():f}"


def equity(symbol: str) -> Instrument:
    """A share or fund; the class in `symbol` may stand behind a slash, a point or a space: `BRK B` is `BRK/B`."""
    text = _ticker(symbol)
    return Instrument(Kind.EQUITY, text, text, text)


def index(symbol: str) -> Instrument:
    """An index by its symbol."""
    text = _ticker(symbol)
    return Instrument(Kind.INDEX, text, text, text)


def bare_word(symbol: str) -> Instrument:
    """The index of that name if products knows one, else the share; stricter than `equity`: nothing says it is one."""
    if not WORD.fullmatch(symbol):
        raise ValueError("no form of option, future or share fits")
    return index(symbol) if symbol in INDICES else equity(symbol)


def _ticker(symbol: str) -> str:
    text = re.sub(r"[ ./]+", "/", symbol.strip().upper())
    if not _SHARE.fullmatch(text):
        raise ValueError("a ticker of letters and digits is expected")
    return text


def coin(pair: str) -> Instrument:
    """A coin against its currency: `BTC/USD`."""
    if not _COIN.fullmatch(pair):
        raise ValueError("a coin and a currency with a slash between are expected")
    return Instrument(Kind.CRYPTO, pair, pair, pair)


def cash(currency: str) -> Instrument:
    """An amount of a currency: `EUR`."""
    if not _CURRENCY.fullmatch(currency):
        raise ValueError("a currency of three letters is expected")
    return Instrument(Kind.CASH, currency, currency, currency)


def option(root: str, expiry: date, right: Right, strike: Decimal) -> Instrument:
    """An option on a share, an ETF or an index, by its OCC root; a class may stand behind a slash (`BRK/B`)."""
    name = root.replace("/", "")
    if not _CODE.fullmatch(name) or name.isdigit():
        raise ValueError(f"{root!r} is not an option root of one to six letters and digits")
    thousandths = strike * 1000
    if thousandths != thousandths.to_integral_value() or thousandths >= 10**8:
        raise ValueError(f"strike {plain(strike)} does not fit five digits and three decimals")
    if expiry.year // 100 * 100 != CENTURY:
        raise ValueError(f"expiry {expiry} is not of this century")
    kind, underlying, settlement, adjusted = _listed(name, root)
    symbol = f"{name:<6}{expiry:%y%m%d}{right.value}{int(thousandths):08d}"
    return Instrument(kind, symbol, underlying, name, expiry, Decimal(plain(strike)), right, settlement, adjusted)


def _listed(name: str, spelled: str) -> tuple[Kind, str, Settlement | None, bool]:
    """Kind, underlying, settlement and whether the terms were changed.

    A digit behind the root marks an adjusted deliverable, one in front a FLEX option with terms of its own: neither may
    be priced as if it were standard.
    """
    listed = INDEX_ROOTS.get(name)
    if listed is not None:
        return Kind.INDEX_OPTION, listed.underlying, listed.settlement, False
    if name in INDICES:
        return Kind.INDEX_OPTION, name, None, False
    bare = name.strip("0123456789")
    adjusted = bare != name
    if adjusted and bare in INDEX_ROOTS:
        return Kind.INDEX_OPTION, INDEX_ROOTS[bare].underlying, None, True
    underlying = spelled if "/" in spelled and not adjusted else CLASS_SHARES.get(bare, bare)
    return Kind.OPTION, underlying, Settlement.PHYSICAL, adjusted


def future(root: str, year: int, month: int, expiry: date | None = None) -> Instrument:
    """A futures contract by product root without slash and contract month."""
    symbol = f"/{root}{Month(year, month).text}"
    if expiry is not None:
        _agree(symbol, Month(year, month), expiry)
    return Instrument(Kind.FUTURE, symbol, symbol, f"/{root}", expiry)


def future_option(  # the parts stand in the order in which the symbol has them
    code: str, year: int, month: int, expiry: date, right: Right, strike: Decimal, underlying: str = ""
) -> Instrument:
    """An option on a future by its product code and the month in its name; `underlying` is the contract if it is known.

    Without it the underlying is the product (`/ES`), or empty when the code is unknown too.
    """
    contract = f"{code}{Month(year, month).text}"
    _agree(contract, Month(year, month), expiry)
    known = option_code(code)
    return Instrument(
        kind=Kind.FUTURE_OPTION,
        symbol=f"./{contract} {expiry:%y%m%d}{right.value}{plain(strike)}",
        underlying=underlying or (known.root if known else ""),
        root=code,
        expiry=expiry,
        strike=Decimal(plain(strike)),
        right=right,
        settlement=known.settlement if known else None,
    )


def _agree(contract: str, month: Month, expiry: date) -> None:
    if month.later(1).begins <= expiry - _NAMED_EARLIER or month.begins > expiry + _NAMED_LATER:
        raise ValueError(f"the month in {contract} ({month.begins:%Y-%m}) contradicts the expiry {expiry}")

"""How IBKR spells contracts in one line of text, read and written.

SPX   200117P03205000        localSymbol of an option: OCC
ESZ6, ZN   DEC 26            localSymbol of a future; FESX 20261218 M at Eurex
EW4N6 C6400                  localSymbol of a future option: no day
CLNE 15SEP23 10 C            statement
BRK B                        class share
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from guardrails.errors import SymbolError
from guardrails.instruments import Instrument, Kind, Right
from guardrails.products import FUTURES, option_code
from guardrails.symbols import contracts, occ

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTH = "|".join(_MONTHS)
_CONTRACT = r"(?P<root>[A-Z0-9]{1,5}?)(?P<month>[FGHJKMNQUVXZ])(?P<year>[0-9]{1,2})"
_STRIKE = r"(?P<strike>[0-9]+(?:\.[0-9]+)?)"
_FUTURE = re.compile(_CONTRACT)
_SPELLED_FUTURE = re.compile(rf"(?P<root>[A-Z0-9]{{1,4}}) +(?P<month>{_MONTH}) ?(?P<year>[0-9]{{2}})")
_DATED_FUTURE = re.compile(r"(?P<root>[A-Z0-9]{1,5}) +(?P<year>20[0-9]{2})(?P<month>0[1-9]|1[0-2])[0-9]{2} +M")
_FUTURE_OPTION = re.compile(rf"{_CONTRACT} +(?P<right>[CP]) ?{_STRIKE}")
_OPTION = re.compile(
    rf"(?P<root>[A-Z0-9]+(?: [A-Z])?) +(?P<day>[0-9]{{1,2}})(?P<month>{_MONTH})(?P<year>[0-9]{{2}})"
    rf" +{_STRIKE} +(?P<right>[CP])"
)
_PAIR = re.compile(r"[A-Z]{3}\.[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class NamedOption:
    """A future option as its localSymbol names it, without a day."""

    code: str
    month_code: str
    digits: str
    right: Right
    strike: Decimal

    def month(self, expiry: date) -> contracts.Month:
        """The month in its name, with the decade of the expiry."""
        return contracts.Month.read(self.month_code, self.digits, expiry)


def read_future(text: str, reference: date) -> tuple[str, contracts.Month] | None:
    """Product and month of `ESZ6` or `ZN   DEC 26`, else None; `reference` decides the decade of one digit."""
    if found := _FUTURE.fullmatch(text):
        return found["root"], contracts.Month.read(found["month"], found["year"], reference)
    if found := _SPELLED_FUTURE.fullmatch(text):
        year = contracts.CENTURY + int(found["year"])
        return found["root"], contracts.Month(year, _MONTHS.index(found["month"]) + 1)
    if found := _DATED_FUTURE.fullmatch(text):
        return found["root"], contracts.Month(int(found["year"]), int(found["month"]))
    return None


def read_future_option(text: str) -> NamedOption | None:
    """What `EW4N6 C6400` says, else None."""
    found = _FUTURE_OPTION.fullmatch(text)
    if found is None:
        return None
    strike = contracts.strike_price(found["strike"])
    return NamedOption(found["root"], found["month"], found["year"], Right(found["right"]), strike)


def read_option(text: str) -> tuple[str, contracts.Terms] | None:
    """Root and terms of `CLNE 15SEP23 10 C`, else None; ValueError when its date does not exist."""
    found = _OPTION.fullmatch(text)
    if found is None:
        return None
    month = _MONTHS.index(found["month"]) + 1
    day = contracts.short_date(f"{found['year']}{month:02d}{int(found['day']):02d}")
    return found["root"], contracts.Terms(day, Right(found["right"]), contracts.strike_price(found["strike"]))


def shape(line: str) -> str:
    """The contract type a line has by its form: STK, OPT, FUT, FOP or CASH; ValueError when two types share it."""
    spelled = _OPTION.fullmatch(line)
    known = option_code(spelled["root"]) if spelled else None
    if spelled and known and not spelled["root"].isalpha():
        raise ValueError(f"{spelled['root']} may be adjusted shares or an option on {known.root}: give the type")
    if _FUTURE_OPTION.fullmatch(line):
        return "FOP"
    contract = _FUTURE.fullmatch(line)
    if _SPELLED_FUTURE.fullmatch(line) or (contract and f"/{contract['root']}" in FUTURES):
        return "FUT"
    if _PAIR.fullmatch(line):
        return "CASH"
    return "STK" if contracts.WORD.fullmatch(line) else "OPT"


def local_symbol(instrument: Instrument) -> str:
    """The localSymbol TWS gives the instrument: `BRK B`, OCC, `ESZ6`, `EW4N6 C6400`; SymbolError when there is none."""
    if instrument.kind in (Kind.OPTION, Kind.INDEX_OPTION):
        return occ.format(instrument)
    if instrument.kind in (Kind.EQUITY, Kind.INDEX):
        return instrument.symbol.replace("/", " ")
    if instrument.kind is Kind.FUTURE:
        return _one_digit(instrument.symbol)
    if instrument.kind is Kind.FUTURE_OPTION and instrument.strike is not None and instrument.right is not None:
        contract = _one_digit(instrument.symbol.split(" ")[0])
        return f"{contract} {instrument.right.value}{contracts.plain(instrument.strike)}"
    raise SymbolError(instrument.symbol, "IBKR", f"a {instrument.kind.value} has no localSymbol of ours")


def _one_digit(contract: str) -> str:
    bare = contract.lstrip("./")
    return bare[:-2] + bare[-1]


def statement_line(instrument: Instrument) -> str:
    """An option as statements print it, `SPXW 20NOV26 5500 P`; SymbolError for anything else."""
    expiry, strike, right = instrument.expiry, instrument.strike, instrument.right
    if expiry is None or strike is None or right is None:
        raise SymbolError(instrument.symbol, "IBKR statement", f"a {instrument.kind.value} is no option with its terms")
    root = occ.slashed_root(instrument).replace("/", " ")
    return f"{root} {expiry.day:02d}{_MONTHS[expiry.month - 1]}{expiry:%y} {contracts.plain(strike)} {right.value}"

"""IBKR contracts: type, symbol, localSymbol, trading class and last trade date, as TWS and Flex Queries name them.

What the fields hide (domain facts 0.2 and 5):

- The last trade date of an AM-settled option is the day BEFORE it settles: 20200116 for `SPX   200117P03205000`. The
  localSymbol carries the true expiry. Without it the date of an AM root is moved to the next session, and refused
  when that is not the monthly settlement day, because it would then be another option (SPXW). `symbol` SPX alone
  does not tell AM from PM.
- `symbol` is not the product. Silver SI is class SI (5000 oz) or SIL (1000), EUR is 6E or M6E, VIX futures are class VX
  or VXM, bitcoin futures have the symbol BRR. The class or the localSymbol tells.
- A future option is named by its own month, often not that of its expiry; without a localSymbol the code must be known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from guardrails.errors import SymbolError
from guardrails.instruments import Instrument, Right, Settlement
from guardrails.products import FUTURES, INDEX_ROOTS, option_code
from guardrails.symbols import contracts, expiries, ibkr_text, occ
from guardrails.values import finite

_DATE = re.compile(r"(?P<year>[0-9]{4})-?(?P<month>[0-9]{2})(?:-?(?P<day>[0-9]{2}))?(?:[ ;T].*)?")
_AMBIGUOUS = frozenset({"SI", "VIX", "EUR", "JPY", "GBP", "AUD", "CAD", "CHF", "BRR"})
"""symbols that stand for several futures products, or for one of another name"""
_LAST_TRADE_BEFORE = timedelta(days=4)
"""AM settlement behind a long weekend; Saturday expiries until 2015"""


@dataclass(frozen=True, slots=True)
class _Contract:
    symbol: str
    local_symbol: str
    trading_class: str
    expiry: date | None
    month: contracts.Month | None
    """contract month where the date has no day"""
    strike: Decimal | None
    right: Right | None
    currency: str
    underlying: str
    as_of: date


def from_contract(
    sec_type: str,
    symbol: str,
    *,
    as_of: date,
    local_symbol: str = "",
    trading_class: str = "",
    last_trade_date: str = "",
    strike: Decimal | float | str | None = None,
    right: str = "",
    currency: str = "",
    underlying: str = "",
) -> Instrument:
    """The instrument of a TWS contract or Flex row; SymbolError with the reason when the fields name none.

    `last_trade_date` is lastTradeDateOrContractMonth (YYYYMMDD, YYYYMM, also with dashes or a time behind);
    `underlying` the future an option is exercised into (`ESU6`) if the record says so; `as_of` decides the decade of a
    one-digit year where no date does.
    """
    try:
        expiry, month = _date(last_trade_date.strip())
        contract = _Contract(
            symbol=symbol.strip().upper(),
            local_symbol=local_symbol.strip().upper(),
            trading_class=trading_class.strip().upper(),
            expiry=expiry,
            month=month,
            strike=_strike(strike),
            right=_RIGHTS.get(right.strip().upper()),
            currency=currency.strip().upper(),
            underlying=underlying.strip().upper(),
            as_of=as_of,
        )
        return _builder(sec_type.strip().upper())(contract)
    except ValueError as error:
        raise SymbolError((local_symbol or symbol).strip()[:80], "IBKR", str(error)) from error


_RIGHTS = {"C": Right.CALL, "CALL": Right.CALL, "P": Right.PUT, "PUT": Right.PUT}
"""anything else (empty, 0, ?) is what IBKR writes for no option"""


def parse_statement(
    text: str, as_of: date, *, sec_type: str = "", expiry: date | None = None, underlying: str = ""
) -> Instrument:
    """The instrument a statement line names (`CLNE 15SEP23 10 C`, `ESZ6`, `BRK B`); SymbolError when it names none.

    `sec_type` is the section the line stands in (STK, OPT, FUT, FOP, CASH). Without it the form decides, and an option
    is one on a share or an index; `expiry` completes a future option written as `EW4N6 C6400`.
    """
    line = text.strip().upper()
    try:
        kind = sec_type or ibkr_text.shape(line)
    except ValueError as error:
        raise SymbolError(text[:80], "IBKR statement", str(error)) from error
    day = expiry.isoformat() if expiry else ""
    return from_contract(kind, line, local_symbol=line, last_trade_date=day, underlying=underlying, as_of=as_of)


def _date(text: str) -> tuple[date | None, contracts.Month | None]:
    if not text:
        return None, None
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(f"the date {text[:40]!r} is not YYYYMMDD or YYYYMM")
    try:
        day = date(int(found["year"]), int(found["month"]), int(found["day"] or 1))
    except ValueError:
        raise ValueError(f"the date {text[:40]!r} does not exist") from None
    return (day, None) if found["day"] else (None, contracts.Month(day.year, day.month))


def _strike(value: Decimal | float | str | None) -> Decimal | None:
    """TWS writes 0 or an unset double for what has no strike."""
    number = finite(value)
    return contracts.strike_price(value) if value is not None and number is not None and number > 0 else None


def _builder(sec_type: str) -> Callable[[_Contract], Instrument]:
    build = _BUILDERS.get(sec_type)
    if build is None:
        raise ValueError(f"the contract type {sec_type[:20]!r} is no single instrument with a risk model")
    return build


def _stock(contract: _Contract) -> Instrument:
    return contracts.equity(contract.symbol)


def _index(contract: _Contract) -> Instrument:
    return contracts.index(contract.symbol)


def _cash(contract: _Contract) -> Instrument:
    """A currency pair is held as its first currency: `EUR.USD` is an amount of euro."""
    return contracts.cash(contract.symbol.partition(".")[0])


def _coin(contract: _Contract) -> Instrument:
    return contracts.coin(f"{contract.symbol.partition('.')[0]}/{contract.currency}")


def _option(contract: _Contract) -> Instrument:
    try:
        listed = occ.parse(contract.local_symbol)
    except SymbolError:
        listed = _unlisted(contract)
    _agree(listed, contract)
    return listed


def _unlisted(contract: _Contract) -> Instrument:
    """An option without an OCC symbol, from a statement line or from the single fields."""
    spelled = ibkr_text.read_option(contract.local_symbol)
    if spelled is not None:
        root, terms = spelled
    else:
        root, terms = contract.trading_class or contract.symbol, _terms(contract)
        index = None if contract.trading_class else INDEX_ROOTS.get(root)
        if index and index.settlement is Settlement.CASH_AM:
            raise ValueError(
                f"{root} settles AM or PM by the class of the option: localSymbol or tradingClass is needed"
            )
    expiry = expiries.settlement_day(root, terms.expiry)
    return contracts.option(root.replace(" ", "/"), expiry, terms.right, terms.strike)


def _agree(option: Instrument, contract: _Contract) -> None:
    """Refuses an option whose text and fields contradict each other."""
    if contract.expiry and option.expiry:
        early = option.expiry - contract.expiry
        if not timedelta(0) <= early <= _LAST_TRADE_BEFORE:
            raise ValueError(f"its expiry {option.expiry} contradicts the last trade date {contract.expiry}")
    if contract.strike not in (None, option.strike):
        raise ValueError(f"its strike contradicts the field, {contract.strike}")
    if contract.right not in (None, option.right):
        raise ValueError(f"its right contradicts the field, {contract.right}")


def _terms(contract: _Contract) -> contracts.Terms:
    if contract.expiry is None or contract.right is None or contract.strike is None:
        raise ValueError("an option needs its day of expiry, right and strike")
    return contracts.Terms(contract.expiry, contract.right, contract.strike)


def _future(contract: _Contract) -> Instrument:
    named = ibkr_text.read_future(contract.local_symbol, contract.expiry or contract.as_of)
    if named is not None:
        root, month = named
        return contracts.future(root, *month, contract.expiry)
    root = contract.trading_class or contract.symbol
    if not contract.trading_class and root in _AMBIGUOUS:
        raise ValueError(f"{root} stands for several futures: localSymbol or tradingClass is needed")
    if contract.month is not None:
        return contracts.future(root, *contract.month)
    spec = FUTURES.get(f"/{root}")
    if contract.expiry is None or spec is None:
        raise ValueError("its contract month is not known: localSymbol is needed")
    month = contracts.Month(contract.expiry.year, contract.expiry.month).later(spec.months_ahead)
    return contracts.future(root, *month, contract.expiry)


def _future_option(contract: _Contract) -> Instrument:
    named = ibkr_text.read_future_option(contract.local_symbol)
    if named is not None:
        if contract.expiry is None:
            raise ValueError("its symbol names no day: the last trade date is needed")
        if contract.right not in (None, named.right):
            raise ValueError(f"its right contradicts the field, {contract.right}")
        # the exchange's spelling may leave out the decimal point, the field never does
        terms = contracts.Terms(contract.expiry, named.right, contract.strike or named.strike)
        code, month = named.code, named.month(contract.expiry)
    else:
        code, terms = ibkr_text.read_option(contract.local_symbol) or (contract.trading_class, _terms(contract))
        month = expiries.option_month(code, terms.expiry)
    return contracts.future_option(code, month.year, month.month, *terms, _exercised_into(code, terms.expiry, contract))


def _exercised_into(code: str, expiry: date, contract: _Contract) -> str:
    """The contract the record names, else the product of the symbol if the code is unknown; empty to go by the code."""
    named = ibkr_text.read_future(contract.underlying, expiry)
    if named is not None:
        root, month = named
        return contracts.future(root, *month).symbol
    product = f"/{contract.symbol}"
    return product if option_code(code) is None and product in FUTURES and contract.symbol not in _AMBIGUOUS else ""


_BUILDERS: Mapping[str, Callable[[_Contract], Instrument]] = {
    "STK": _stock,
    "IND": _index,
    "OPT": _option,
    "FUT": _future,
    "FOP": _future_option,
    "CASH": _cash,
    "CRYPTO": _coin,
}

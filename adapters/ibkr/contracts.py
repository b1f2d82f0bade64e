"""TWS contracts into the records that `rows` translates, and instruments into contracts that TWS accepts.

Facts that bite (IBKR facts 0.11, 3, 5): contracts out of positions() name no exchange, and a request without one is
refused (321); the last trade date of an AM-settled option is the day before it settles; multipliers are text; `right`
is "0" or "?" for what is no option; every combination carries the same conId, so it identifies nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta

import ib_async

from adapters.ibkr import rows
from guardrails import calendar
from guardrails.instruments import Instrument, Kind, Settlement
from guardrails.products import FUTURES, INDEX_ROOTS, option_code, product_root
from guardrails.symbols import contracts as canonical
from guardrails.values import finite

SMART, DOLLAR = "SMART", "USD"
_ROUTED = ("STK", "OPT")
_RIGHTS: Mapping[str, str] = {"C": "C", "CALL": "C", "P": "P", "PUT": "P"}
_INDEX_EXCHANGES: Mapping[str, str] = {
    **dict.fromkeys(("SPX", "XSP", "OEX", "DJX", "VIX", "VIX1D", "VIX9D", "VIX3M", "VIX6M", "VIX1Y", "VVIX"), "CBOE"),
    "NDX": "NASDAQ",
    "RUT": "RUSSELL",
}
_FUTURE_SYMBOLS: Mapping[str, str] = {
    "6E": "EUR", "M6E": "EUR", "6J": "JPY", "6B": "GBP", "6A": "AUD", "6C": "CAD", "6S": "CHF",
    "VX": "VIX", "VXM": "VIX", "SIL": "SI", "BTC": "BRR",
}  # fmt: skip
"""products whose symbol at IBKR is not their class (domain facts 5); the class is always named beside it"""
_DAY = re.compile(r"([0-9]{8})(?:[ ;T-].*)?")
_CARRIES_DAY = re.compile(r"[0-9]{6}")
"""an OCC symbol and Eurex's own both hold one; a bare root does not"""
_MONTH = re.compile(r"(?P<code>[FGHJKMNQUVXZ])(?P<year>[0-9]{2})")
_LAST_TRADE_BEFORE = timedelta(days=4)
"""how long before its expiry an option may last trade: AM settlement behind a long weekend"""


def described(
    contract: ib_async.Contract, details: ib_async.ContractDetails | None, *, underlying_local_symbol: str = ""
) -> rows.Contract:
    """What identifies the holding, completed from `details` where the contract itself is silent.

    `underlying_local_symbol` is the future an option is exercised into (`ESU6`), when details.underConId was looked up.
    """
    known = _same(contract, details) or contract
    return rows.Contract(
        sec_type=contract.secType,
        symbol=contract.symbol or known.symbol,
        local_symbol=contract.localSymbol or known.localSymbol,
        trading_class=contract.tradingClass or known.tradingClass,
        expiry=_expiry(contract, known, details),
        strike=finite(contract.strike) or finite(known.strike) or None,
        right=_right(contract) or _right(known),
        currency=contract.currency or known.currency,
        underlying=underlying_local_symbol,
    )


def _same(contract: ib_async.Contract, details: ib_async.ContractDetails | None) -> ib_async.Contract | None:
    """The contract inside `details`, unless it is missing or another one."""
    found = None if details is None else details.contract
    if found is None or (contract.conId and found.conId and contract.conId != found.conId):
        return None
    return found


def _right(contract: ib_async.Contract) -> str:
    return _RIGHTS.get(contract.right.strip().upper(), "")


def _expiry(
    contract: ib_async.Contract, known: ib_async.Contract, details: ib_async.ContractDetails | None
) -> date | None:
    """The last trade date, or the real expiration where no symbol carries it; None when the two cannot both be true."""
    last_trade = _day(contract.lastTradeDateOrContractMonth) or _day(known.lastTradeDateOrContractMonth)
    settles = _day(details.realExpirationDate) if details is not None and known is details.contract else None
    local = contract.localSymbol or known.localSymbol
    if settles is None or contract.secType not in ("OPT", "FOP"):
        return last_trade
    if contract.secType == "OPT" and _CARRIES_DAY.search(local):
        return last_trade
    if last_trade is not None and not timedelta(0) <= settles - last_trade <= _LAST_TRADE_BEFORE:
        return None
    return settles


def _day(text: str) -> date | None:
    """The date in YYYYMMDD, with or without a time behind; None for a bare month and for what is no date."""
    found = _DAY.fullmatch(text.strip())
    if found is None:
        return None
    digits = found[1]
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def figures(position: ib_async.Position, price: float | None = None) -> rows.Figures:
    """The numbers of one position row; `price` is of one unit, as the portfolio row or a quote states it."""
    return rows.Figures(
        quantity=finite(position.position),
        multiplier=finite(position.contract.multiplier) or None,  # TWS writes "" or "0" where there is none
        price=finite(price),
        average_cost=finite(position.avgCost),
    )


def requestable(
    contract: ib_async.Contract, details: ib_async.ContractDetails | None = None
) -> ib_async.Contract | None:
    """A new contract with conId and exchange, fit for any request; None when one of the two cannot be known.

    A combination is None: it has no details and no conId of its own.
    """
    known = _same(contract, details)
    exchange = _exchange(contract, known, details if known is not None else None)
    if contract.secType == "BAG" or not contract.conId or not exchange:
        return None
    known = known or contract
    return ib_async.Contract(
        secType=contract.secType,
        conId=contract.conId,
        symbol=contract.symbol or known.symbol,
        lastTradeDateOrContractMonth=contract.lastTradeDateOrContractMonth or known.lastTradeDateOrContractMonth,
        strike=finite(contract.strike) or 0.0,
        right=_right(contract),
        multiplier=contract.multiplier or known.multiplier,
        exchange=exchange,
        currency=contract.currency or known.currency,
        localSymbol=contract.localSymbol or known.localSymbol,
        tradingClass=contract.tradingClass or known.tradingClass,
    )


def _exchange(
    contract: ib_async.Contract, known: ib_async.Contract | None, details: ib_async.ContractDetails | None
) -> str:
    """Where to ask for it, empty when that is not known; shares and their options through SMART where it has them."""
    valid = [] if details is None else [name for name in details.validExchanges.split(",") if name]
    if contract.secType == "CASH":
        return "IDEALPRO"
    if contract.secType in _ROUTED and (not valid or SMART in valid):
        return SMART
    return contract.exchange or (known.exchange if known is not None else "") or (valid[0] if valid else "")


def underlying_request(instrument: Instrument, currency: str) -> ib_async.Contract | None:
    """What to qualify for the price the option is struck on; None for futures, where details.underConId tells.

    An index of no known exchange is asked without one.
    """
    name = instrument.underlying
    if not name:
        return None
    if instrument.kind in (Kind.OPTION, Kind.EQUITY):
        return ib_async.Stock(_spelled(name), SMART, currency)
    if instrument.kind in (Kind.INDEX_OPTION, Kind.INDEX):
        return ib_async.Index(name, _INDEX_EXCHANGES.get(name, ""), currency)
    return None


def _spelled(symbol: str) -> str:
    """Class shares as IBKR writes them: `BRK B`."""
    return symbol.replace("/", " ")


def to_contract(instrument: Instrument) -> ib_async.Contract | None:
    """The contract to qualify for an order leg that is not held, in US dollars; None when none can be written."""
    if instrument.kind is Kind.EQUITY:
        return ib_async.Stock(_spelled(instrument.symbol), SMART, DOLLAR)
    if instrument.kind is Kind.FUTURE:
        return _future(instrument)
    expiry, strike, right = instrument.expiry, instrument.strike, instrument.right
    if not instrument.is_option or expiry is None or strike is None or right is None:
        return None
    asked = ib_async.Contract(strike=float(strike), right=right.value, currency=DOLLAR, tradingClass=instrument.root)
    if instrument.kind is Kind.FUTURE_OPTION:
        return _future_option(asked, instrument, expiry)
    if instrument.kind is Kind.INDEX_OPTION and instrument.root not in INDEX_ROOTS:
        return None  # listed abroad: neither dollars nor SMART
    early = instrument.settlement is Settlement.CASH_AM
    asked.secType, asked.exchange = "OPT", SMART
    asked.symbol = _spelled(instrument.underlying)
    asked.lastTradeDateOrContractMonth = f"{calendar.previous_session(expiry) if early else expiry:%Y%m%d}"
    return asked


def _future(instrument: Instrument) -> ib_async.Contract | None:
    """None for a product without a month (`/ES`)."""
    month = _MONTH.fullmatch(instrument.symbol.removeprefix(instrument.root))
    if month is None:
        return None
    year, number = canonical.CENTURY + int(month["year"]), canonical.month_of(month["code"])
    asked = ib_async.Future(lastTradeDateOrContractMonth=f"{year}{number:02d}", currency=DOLLAR)
    _name_product(asked, instrument.root)
    asked.tradingClass = instrument.root.lstrip("/")
    return asked


def product_request(product: str) -> ib_async.Contract:
    """What to ask for every contract month of a futures product (`/ES`)."""
    asked = ib_async.Future(currency=DOLLAR)
    _name_product(asked, product)
    asked.tradingClass = product.lstrip("/")
    return asked


def _future_option(asked: ib_async.Contract, instrument: Instrument, expiry: date) -> ib_async.Contract | None:
    """None when neither the code nor the record names the product it is exercised into."""
    known = option_code(instrument.root)
    product = known.root if known is not None else product_root(instrument.underlying)
    if not product:
        return None
    asked.secType, asked.lastTradeDateOrContractMonth = "FOP", f"{expiry:%Y%m%d}"
    _name_product(asked, product)
    return asked


def _name_product(asked: ib_async.Contract, product: str) -> None:
    """Writes IBKR's symbol and the exchange of a futures product; no exchange when the product is not in the table."""
    spec = FUTURES.get(product)
    bare = product.lstrip("/")
    asked.symbol = _FUTURE_SYMBOLS.get(bare, bare)
    asked.exchange = spec.exchange if spec is not None else ""

"""dxFeed symbols, as quotes and Greeks are subscribed under.

    SPY, SPX, BRK/B           share, index
    .SPY250321P590.25         option: root, yymmdd, C or P, strike
    /ESZ26:XCME               future, market behind the colon
    ./EW4N23C3990:XCME        option on a future: month and year, no day
    BTC/USD:CXTALP            coin

A future option without its day is not one contract's name: unless the caller knows the expiry, the Instrument comes
back with expiry None and a symbol (`./EW4N23 C3990`) that matches no canonical key.
"""

from __future__ import annotations

import re
from datetime import date

from guardrails.errors import SymbolError
from guardrails.instruments import Instrument, Kind, Right
from guardrails.products import FUTURES, option_code, product_root
from guardrails.symbols import contracts, occ

_STRIKE = r"(?P<strike>[0-9]+(?:\.[0-9]+)?)"
_OPTION = re.compile(rf"\.(?P<root>[A-Z0-9/]+?)(?P<day>[0-9]{{6}})(?P<right>[CP]){_STRIKE}")
_FUTURE = re.compile(r"/(?P<root>[A-Z0-9]{1,4}?)(?P<month>[FGHJKMNQUVXZ])(?P<year>[0-9]{2})(?::[A-Z]+)?")
_FUTURE_OPTION = re.compile(
    rf"\./(?P<code>[A-Z0-9]{{1,5}}?)(?P<month>[FGHJKMNQUVXZ])(?P<year>[0-9]{{2}})(?P<right>[CP]){_STRIKE}(?::[A-Z]+)?"
)
_COIN = re.compile(r"(?P<pair>[A-Z0-9]{2,10}/[A-Z]{3,4}):CXTALP")
_COIN_MARKET = "CXTALP"


def parse(text: str, *, expiry: date | None = None, underlying: str = "") -> Instrument:
    """The instrument a streamer symbol names; SymbolError with the reason when it names none.

    `expiry` and `underlying` (`/ESU26`) complete a future option, whose symbol carries neither.
    """
    try:
        return _read(text.strip(), expiry, underlying)
    except ValueError as error:
        raise SymbolError(text[:80], "dxFeed", str(error)) from error


def _read(text: str, expiry: date | None, underlying: str) -> Instrument:
    if found := _FUTURE_OPTION.fullmatch(text):
        return _future_option(found, expiry, underlying)
    if found := _FUTURE.fullmatch(text):
        return contracts.future(found["root"], *_month(found))
    if found := _OPTION.fullmatch(text):
        return contracts.option(found["root"], *contracts.Terms.read(found["day"], found["right"], found["strike"]))
    if found := _COIN.fullmatch(text):
        return contracts.coin(found["pair"])
    return contracts.bare_word(text)


def _month(found: re.Match[str]) -> contracts.Month:
    return contracts.Month.read(found["month"], found["year"], date.min)  # two digits need no reference


def _future_option(found: re.Match[str], expiry: date | None, underlying: str) -> Instrument:
    code, right, strike = found["code"], Right(found["right"]), contracts.strike_price(found["strike"])
    if expiry is not None:
        return contracts.future_option(code, *_month(found), expiry, right, strike, underlying)
    known = option_code(code)
    return Instrument(
        kind=Kind.FUTURE_OPTION,
        symbol=f"./{code}{_month(found).text} {right.value}{contracts.plain(strike)}",
        underlying=underlying or (known.root if known else ""),
        root=code,
        strike=strike,
        right=right,
        settlement=known.settlement if known else None,
    )


def format(instrument: Instrument) -> str:  # noqa: A001  # always read through the module: dxfeed.format
    """The streamer symbol; SymbolError when there is none or the market of a future is not known.

    Fit for a fallback only: a wrong streamer symbol is answered by silence, so the broker's own comes first.
    """
    if instrument.kind in (Kind.EQUITY, Kind.INDEX):
        return instrument.symbol
    if instrument.kind is Kind.CRYPTO:
        return f"{instrument.symbol}:{_COIN_MARKET}"
    if instrument.kind is Kind.FUTURE:
        return f"{instrument.symbol}:{_market(instrument, instrument.root)}"
    strike, right, expiry = instrument.strike, instrument.right, instrument.expiry
    if strike is None or right is None or expiry is None:
        raise SymbolError(instrument.symbol, "dxFeed", f"a {instrument.kind.value} without its terms has none")
    if instrument.kind is Kind.FUTURE_OPTION:
        contract = instrument.symbol.split(" ")[0]
        market = _market(instrument, product_root(instrument.underlying))
        return f"{contract}{right.value}{contracts.plain(strike)}:{market}"
    return f".{occ.slashed_root(instrument)}{expiry:%y%m%d}{right.value}{contracts.plain(strike)}"


def _market(instrument: Instrument, root: str) -> str:
    spec = FUTURES.get(root)
    if spec is None:
        raise SymbolError(instrument.symbol, "dxFeed", f"the market of {root or 'its future'} is not known")
    return spec.mic

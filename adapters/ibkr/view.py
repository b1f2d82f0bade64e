"""From what one session has heard to accounts, positions and market; pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

import ib_async

from adapters.ibkr import money, rows
from adapters.ibkr.contracts import described, figures
from adapters.ibkr.directory import Directory
from adapters.ibkr.quotes import Payout, Quote, apply, price_of, to_price
from adapters.trust import NO_CURRENCY
from guardrails.calendar import exchange_date
from guardrails.instruments import Instrument, Kind
from guardrails.values import (
    Account,
    AccountId,
    Dividend,
    Greeks,
    Market,
    Observed,
    Position,
    Price,
    Source,
    SourceState,
    View,
    finite,
)
from guardrails.values import Quote as Bid

SOURCE = "ibkr"
MODEL = "ibkr model"
"""an underlying without a quote of its own is taken from the option model's underlying price"""
_OUTDATED = timedelta(minutes=5)
"""a quote older than the model's own price by more, as delayed ones are, says less than the model"""
Executed = Mapping[tuple[str, int], Sequence[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class Heard:
    """Everything one session has said, as the client library has it, with the times at which it was heard."""

    time: datetime | None
    """when the other side last answered anything"""
    rows: tuple[ib_async.Position, ...]
    rows_time: datetime
    accounts: tuple[str, ...]
    values: tuple[ib_async.AccountValue, ...]
    account_times: Mapping[str, datetime]
    pnl: Mapping[str, float | None]
    directory: Directory
    quotes: Mapping[int, Quote]
    contract_errors: Mapping[int, tuple[int, str]]
    rotating: frozenset[int] = frozenset()
    executed: Executed | None = None
    """today's fills by account and contract: signed quantity, price; None when IBKR did not say"""
    closes: Mapping[str, tuple[tuple[date, float], ...]] = field(default_factory=dict)
    looked_at: Mapping[int, Instrument] = field(default_factory=dict)
    """what is streamed although nobody need hold it, by contract id"""


Translated = dict[tuple[str, int], tuple[tuple[object, ...], Position]]
"""by account and contract: what a position was made from, and the position"""


def composed(heard: Heard, now: datetime, translated: Translated | None = None) -> View:
    """The book as it was heard; the state of its source is for the caller to judge.

    `translated` is brought up to date: of a large book only what has changed since is translated again.
    """
    positions = positions_of(heard, now, {} if translated is None else translated)
    source = Source(SOURCE, SourceState.LIVE, heard.time)
    return View(source, accounts_of(heard), positions, market_of(heard, positions))


def accounts_of(heard: Heard) -> tuple[Account, ...]:
    """The money of every account; one of which nothing was heard is there without figures."""
    return tuple(_account(number, heard) for number in heard.accounts)


def positions_of(heard: Heard, now: datetime, translated: Translated) -> tuple[Position, ...]:
    """Every row, also those that cannot be understood, and cash in foreign currencies."""
    today, listings, futures = exchange_date(now), heard.directory.listings, heard.directory.futures
    found = []
    for row in heard.rows:
        con_id = row.contract.conId
        place = row.account, con_id
        executed = None if heard.executed is None else tuple(heard.executed.get(place, ()))
        made_from = (
            row.position, row.avgCost, heard.rows_time, today, listings.get(con_id), futures.get(con_id, ""),
            heard.quotes.get(con_id), heard.contract_errors.get(con_id), con_id in heard.rotating, executed,
        )  # fmt: skip
        known = translated.get(place)
        if known is None or known[0] != made_from:
            known = translated[place] = (made_from, _position(row, heard, today, executed))
        found.append(known[1])
    if len(translated) > len(heard.rows):
        held = {(row.account, row.contract.conId) for row in heard.rows}
        for place in [place for place in translated if place not in held]:
            del translated[place]
    return (*found, *_cash(heard, today))


def market_of(heard: Heard, positions: Sequence[Position]) -> Market:
    """Prices of everything that is no option, VIX and VIX3M, rates, daily closes."""
    prices = dict(_prices(heard))
    for row, position in zip(heard.rows, positions, strict=False):  # foreign cash follows the rows
        _from_model(position, heard.quotes.get(row.contract.conId), prices)
    for symbol, price in _looked_at_prices(heard):
        prices.setdefault(symbol, price)
    fx: dict[str, Observed] = {}
    for number in heard.accounts:
        time = heard.account_times.get(number)
        if time is not None:
            fx.update(money.rates(money.rows_of(heard.values, number), time, SOURCE))
    return Market(
        vix=_level(prices.get("VIX")),
        vix3m=_level(prices.get("VIX3M")),
        vix_closes=heard.closes.get("VIX", ()),
        vix3m_closes=heard.closes.get("VIX3M", ()),
        prices=prices,
        greeks=dict(_looked_at_greeks(heard)),
        quotes=dict(_looked_at_quotes(heard)),
        fx=fx,
        dividends=dict(_dividends(heard)),
        yields=dict(_yields(heard)),
    )


def _account(number: str, heard: Heard) -> Account:
    identity, time = AccountId(rows.BROKER, number), heard.account_times.get(number)
    if time is None:
        return Account(identity, SOURCE, heard.rows_time, currency=NO_CURRENCY, expected_views=rows.VIEWS)
    account = rows.to_account(money.rows_of(heard.values, number), identity, SOURCE, time)
    return replace(account, day_pnl=finite(heard.pnl.get(number)))


def _reading(number: str, heard: Heard, today: date) -> rows.Reading:
    identity = AccountId(rows.BROKER, number)
    return rows.Reading(identity, SOURCE, heard.rows_time, written=today, today=today, place="IBKR position")


def _position(
    row: ib_async.Position, heard: Heard, today: date, executed: Sequence[tuple[float, float]] | None
) -> Position:
    con_id = row.contract.conId
    listing, quote = heard.directory.listings.get(con_id), heard.quotes.get(con_id)
    details = None if listing is None else listing.details
    contract = described(row.contract, details, underlying_local_symbol=heard.directory.futures.get(con_id, ""))
    reading = _reading(row.account, heard, today)
    reasons, notes = _doubts(con_id, heard)
    reading = replace(reading, reasons=reasons, notes=notes)
    price = None if quote is None or contract.sec_type in ("OPT", "FOP") else quote.last
    position = rows.to_position(contract, figures(row, price), reading)
    if quote is None or position.instrument.kind is Kind.CASH:
        return position
    priced = apply(position, quote, executed=executed or ())
    return priced if executed is not None else replace(priced, day_pnl=None)


def _doubts(con_id: int, heard: Heard) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Reasons against a row and notes about it that do not lie in the row itself."""
    listing, error = heard.directory.listings.get(con_id), heard.contract_errors.get(con_id)
    reasons = (listing.reason,) if listing is not None and listing.reason and listing.contract is None else ()
    notes = []
    if error is not None:
        notes.append(f"IBKR gives no quotes for it ({error[0]}: {error[1]})")
    if con_id in heard.rotating:
        notes.append("its quote is refreshed in turns: more options are held than market data lines are free")
    return reasons, tuple(notes)


def _cash(heard: Heard, today: date) -> Iterator[Position]:
    """Foreign cash of the ledger, unless the currency is already a position of its own."""
    for number in heard.accounts:
        if number not in heard.account_times:
            continue
        listed = {row.contract.symbol for row in heard.rows if row.account == number and row.contract.secType == "CASH"}
        reading = replace(_reading(number, heard, today), time=heard.account_times[number])
        for position in money.cash(money.rows_of(heard.values, number), reading.account, reading):
            if position.instrument.symbol not in listed:
                yield position


def _prices(heard: Heard) -> Iterator[tuple[str, Price]]:
    for symbol, con_id in heard.directory.underlyings.items():
        quote = heard.quotes.get(con_id)
        price = None if quote is None else to_price(quote, SOURCE)
        if price is not None:
            yield symbol, price


def _looked_at_prices(heard: Heard) -> Iterator[tuple[str, Price]]:
    for con_id, instrument in heard.looked_at.items():
        quote = heard.quotes.get(con_id)
        price = None if quote is None or instrument.is_option else to_price(quote, SOURCE)
        if price is not None:
            yield instrument.symbol, price


def _looked_at_greeks(heard: Heard) -> Iterator[tuple[str, Greeks]]:
    for con_id, instrument in heard.looked_at.items():
        quote = heard.quotes.get(con_id)
        if instrument.is_option and quote is not None and quote.model is not None:
            yield instrument.key, quote.model


def _looked_at_quotes(heard: Heard) -> Iterator[tuple[str, Bid]]:
    """A quote of unknown age says nothing."""
    for con_id, instrument in heard.looked_at.items():
        quote = heard.quotes.get(con_id)
        if instrument.is_option and quote is not None and quote.time is not None:
            yield instrument.key, Bid(quote.bid, quote.ask, quote.time, SOURCE)


def _payouts(heard: Heard) -> Iterator[tuple[str, Quote, Payout, str]]:
    """Underlyings of which IBKR says what they pay, with the currency it is paid in."""
    for symbol, con_id in heard.directory.underlyings.items():
        quote, listing = heard.quotes.get(con_id), heard.directory.listings.get(con_id)
        if quote is not None and quote.payout is not None and listing is not None and listing.contract is not None:
            yield symbol, quote, quote.payout, listing.contract.currency


def _dividends(heard: Heard) -> Iterator[tuple[str, tuple[Dividend, ...]]]:
    for symbol, _, payout, currency in _payouts(heard):
        if payout.next_date is not None and payout.next_amount:
            yield symbol, (Dividend(payout.next_date, payout.next_amount, currency, SOURCE, payout.time),)


def _yields(heard: Heard) -> Iterator[tuple[str, Observed]]:
    """What a year pays over the price, continuous."""
    for symbol, quote, payout, _ in _payouts(heard):
        price = price_of(quote)
        if payout.year is not None and price:
            yield symbol, Observed(math.log1p(payout.year / price), payout.time, SOURCE)


def _from_model(position: Position, quote: Quote | None, prices: dict[str, Price]) -> None:
    """Take the underlying's price from the option model where the underlying has no quote of its own."""
    name = position.instrument.underlying
    if not position.instrument.is_option or quote is None or quote.model is None or quote.underlying_price is None:
        return
    held, time = prices.get(name), quote.model.time
    if held is None or (held.source == MODEL and held.time < time) or time - held.time > _OUTDATED:
        prices[name] = Price(quote.underlying_price, time, MODEL)


def _level(price: Price | None) -> Observed | None:
    return None if price is None else Observed(price.value, price.time, price.source)

"""From what the accounts, the stream and the reference data said to accounts, positions and market; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from adapters.tastytrade import metrics, money, rows
from adapters.tastytrade.api import Record
from adapters.tastytrade.directory import REGIME, Plan
from adapters.tastytrade.ledger import Book
from adapters.tastytrade.ticks import SOURCE, Ticks, Traded, daily
from guardrails import calendar
from guardrails.instruments import Instrument, Kind
from guardrails.values import (
    Account,
    Dividend,
    Greeks,
    Market,
    Metrics,
    Observed,
    Position,
    Price,
    Quote,
    Source,
    SourceState,
    View,
)


@dataclass(frozen=True, slots=True)
class Heard:
    """A copy of everything that was said, which another thread may read."""

    time: datetime | None
    """when anything was last heard"""
    books: tuple[Book, ...]
    plan: Plan
    greeks: Mapping[str, Greeks]
    """by streamer symbol, as the next four"""
    quotes: Mapping[str, Quote]
    trades: Mapping[str, Traded]
    previous_closes: Mapping[str, float]
    candles: Mapping[str, Mapping[date, float]]
    metrics: Mapping[str, tuple[Record, datetime]]
    risk_free: Observed | None
    expiries: Mapping[str, date]
    """last trading day of futures"""


@dataclass(frozen=True, slots=True)
class Translated:
    """A row, the position it says, and what its day's profit is counted from."""

    row: Record
    today: date
    position: Position
    basis: rows.DayBasis


_WIDE = 0.02
"""share of its middle from which a quote of what is no option is too wide to be a price"""
Known = dict[tuple[str, str], Translated]
"""by account and symbol: what was translated before"""


def heard(books: Iterable[Book], plan: Plan, ticks: Ticks, expiries: Mapping[str, date], **rest: object) -> Heard:
    """A copy of what these hold now; `rest` are the other fields of Heard."""
    return Heard(
        books=tuple(replace(book, times=dict(book.times), troubles=dict(book.troubles)) for book in books),
        plan=plan,
        greeks=dict(ticks.greeks),
        quotes=dict(ticks.quotes),
        trades=dict(ticks.trades),
        previous_closes=dict(ticks.previous_closes),
        candles={symbol: dict(closes) for symbol, closes in ticks.candles.items()},
        expiries=dict(expiries),
        **rest,  # type: ignore[arg-type]  # the caller names them
    )


def composed(said: Heard, now: datetime, known: Known) -> View:
    """The book as it was heard; the state of its source is for the caller to judge. `known` is brought up to date."""
    prices = dict(_prices(said))
    today = calendar.exchange_date(now)
    streamers = {key: streamer for streamer, key in said.plan.options.items()}
    held: list[Position] = []
    accounts = []
    for book in said.books:
        own = list(_positions(book, said, prices, streamers, today, known))
        accounts.append(_account(book, own, now))
        held += _told_once([position for position in own if rows.is_open(position)])
    used = {(position.account.number, position.instrument.symbol) for position in held}
    if len(known) > 2 * len(used) + 100:  # what was closed long ago
        known.clear()
    return View(Source(SOURCE, SourceState.LIVE, said.time), tuple(accounts), tuple(held), _market(said, prices, today))


def _told_once(own: Sequence[Position]) -> Iterator[Position]:
    """Positions of one account, with a reason where an instrument is listed twice: two lots, or one counted twice."""
    times = Counter(position.instrument.key for position in own)
    for position in own:
        count = times[position.instrument.key]
        doubt = () if count == 1 else (f"listed {count} times in this account: it may be counted too often",)
        yield replace(position, reasons=(*position.reasons, *doubt)) if doubt else position


def instruments_of(books: Iterable[Book], today: date, known: Known) -> list[Instrument]:
    """What the accounts hold, each once."""
    found = {}
    for book in books:
        for row in book.rows:
            position = _translated(book, row, today, known).position
            if rows.is_open(position) and position.instrument.kind is not Kind.OTHER:
                found[position.instrument.key] = position.instrument
    return list(found.values())


def _positions(
    book: Book, said: Heard, prices: Mapping[str, Price], streamers: Mapping[str, str], today: date, known: Known
) -> Iterator[Position]:
    for row in book.rows:
        found = _translated(book, row, today, known)
        position = found.position
        if position.instrument.kind is Kind.FUTURE and position.instrument.expiry is None:
            expiry = said.expiries.get(position.instrument.symbol)
            position = replace(position, instrument=replace(position.instrument, expiry=expiry))
        time = book.times.get("positions", position.time)
        position = replace(position, time=time, mark_time=None if position.mark is None else time)
        quote = said.quotes.get(streamers.get(position.instrument.key, ""))
        mark, marked = None, None
        if position.instrument.is_option and quote is not None:
            mark, marked = _middle(quote), quote.time
        elif (price := prices.get(position.instrument.symbol)) is not None:
            mark, marked = price.value, price.time
            quote = Quote(price.bid, price.ask, price.time, SOURCE)
        yield rows.priced(position, found.basis, quote, mark, marked)


def _translated(book: Book, row: Record, today: date, known: Known) -> Translated:
    """The row as a position, translated again only when it says something new."""
    place = book.number, f"{row.get('instrument-type')} {row.get('symbol')}"
    before = known.get(place)
    if before is not None and before.today == today and (before.row is row or before.row == row):
        return before
    time = book.times.get("positions") or book.times["balance"]
    reading = rows.Reading(SOURCE, time, written=today, today=today, place="tastytrade position")
    own = {**row, "account-number": row.get("account-number") or book.number}
    position = rows.to_position(own, reading)
    if str(own["account-number"]) != book.number:
        position = replace(position, reasons=(*position.reasons, "listed by another account than its own"))
    found = Translated(row, today, position, rows.day_basis(rows.kebab(own), today))
    known[place] = found
    return found


def _account(book: Book, own: Iterable[Position], now: datetime) -> Account:
    """The money of an account, as old as the broker says or as when its figures were last seen to move.

    Whether `updated-at` follows the prices or only the cash is not documented; figures that move are not old.
    """
    read = book.times.get("balance", now)
    records = money.AccountRecords(
        number=book.number, read=read, balance=book.balance, status=book.status, margin=book.margin,
        last_end_of_day=book.last_end_of_day, transfers=book.transfers,
    )  # fmt: skip
    account = replace(money.to_account(records, SOURCE), day_pnl=money.day_pnl(own))
    if book.moved is None or account.net_liquidation is None:
        return account
    return replace(account, time=max(account.time, book.moved))


def _market(said: Heard, prices: Mapping[str, Price], today: date) -> Market:
    measured: dict[str, Metrics] = {}
    betas: dict[str, Observed] = {}
    yields: dict[str, Observed] = {}
    dividends: dict[str, tuple[Dividend, ...]] = {}
    for record, read in said.metrics.values():
        symbol = metrics.symbol_of(record, read)
        found, beta = metrics.to_metrics(record, SOURCE, read), metrics.to_beta(record, SOURCE, read)
        if found is not None:
            measured[found.symbol] = found
        if symbol is None:
            continue
        if beta is not None:
            betas[symbol] = beta
        if (paid := metrics.to_dividends(record, SOURCE, read)) != ():
            dividends[symbol] = paid
        if (share := metrics.to_yield(record, SOURCE, read)) is not None:
            yields[symbol] = share
    return Market(
        vix=_level(prices.get("VIX")),
        vix3m=_level(prices.get("VIX3M")),
        vix_closes=_closes(said, REGIME[0], today),
        vix3m_closes=_closes(said, REGIME[1], today),
        prices=prices,
        betas=betas,
        risk_free=said.risk_free,
        metrics=measured,
        greeks={key: said.greeks[streamer] for streamer, key in said.plan.options.items() if streamer in said.greeks},
        quotes={key: said.quotes[streamer] for streamer, key in said.plan.options.items() if streamer in said.quotes},
        dividends=dividends,
        yields=yields,
    )


def _prices(said: Heard) -> Iterator[tuple[str, Price]]:
    """Prices of what is no option by canonical symbol."""
    for streamer, symbol in said.plan.prices.items():
        trade, quote = said.trades.get(streamer), said.quotes.get(streamer)
        found = _price(trade, quote)
        if found is not None:
            yield symbol, replace(found, close=said.previous_closes.get(streamer))


def _price(trade: Traded | None, quote: Quote | None) -> Price | None:
    """The last trade while it lies within the quote; else the younger of trade and middle, as old as it is itself.

    A quiet hour moves the quote away from the last trade; a wide quote, as after hours, says less than a trade.
    """
    middle = None if quote is None else _middle(quote)
    if quote is None or middle is None or quote.bid is None or quote.ask is None:
        return None if trade is None else Price(trade.price, trade.time, SOURCE)
    of_quote = Price(middle, quote.time, SOURCE, quote.bid, quote.ask)
    if trade is None:
        return of_quote
    if quote.bid <= trade.price <= quote.ask:
        return replace(of_quote, value=trade.price, time=max(trade.time, quote.time))
    wide = quote.ask - quote.bid > _WIDE * middle
    return Price(trade.price, trade.time, SOURCE) if wide or trade.time > quote.time else of_quote


def _middle(quote: Quote) -> float | None:
    """Middle of a two-sided quote; None when a side is missing or they are crossed."""
    if quote.bid is None or quote.ask is None or not 0 < quote.bid <= quote.ask:
        return None
    return (quote.bid + quote.ask) / 2.0


def _level(price: Price | None) -> Observed | None:
    return None if price is None else Observed(price.value, price.time, price.source)


def _closes(said: Heard, symbol: str, today: date) -> tuple[tuple[date, float], ...]:
    """Official daily closes, oldest first; today's bar is still being made."""
    closes = said.candles.get(daily(symbol), {})
    return tuple(sorted((day, close) for day, close in closes.items() if day < today))

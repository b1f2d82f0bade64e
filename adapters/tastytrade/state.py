"""How the connection is told to a person: the one condition it is in, and each stream by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from adapters.condition import Condition
from adapters.tastytrade import conditions
from adapters.tastytrade.api import Api
from adapters.tastytrade.directory import REGIME, Plan
from adapters.tastytrade.feed import Feed
from adapters.tastytrade.ledger import Book, Ledger
from adapters.tastytrade.notices import Notices
from adapters.tastytrade.reference import Reference
from adapters.tastytrade.rows import BROKER
from adapters.tastytrade.ticks import daily
from guardrails import calendar, wording
from guardrails.values import AccountId, SourceState, Stream

_SKEW_SECONDS = 2.0
_QUIET_SYMBOL = timedelta(minutes=5)
_MUCH_GARBAGE = 10
_NO_GREEKS = timedelta(seconds=60)
_NO_CLOSES = timedelta(seconds=60)
_LATE_BOOK = timedelta(seconds=20)
_OLD_METRICS = timedelta(minutes=30)
_PARTS = {
    "status": "trading status", "margin": "margin report", "close": "last end of day", "transfers": "money movements",
}  # fmt: skip


def condition_of(ledger: Ledger, feed: Feed, now: datetime) -> Condition:
    """The worst that is true now."""
    trouble = ledger.trouble
    if trouble is not None and trouble.state in (SourceState.DOWN, SourceState.CONNECTING):
        return trouble
    books = ledger.books.values()
    if not books:  # nothing was read yet: whatever holds that up, it is not an empty book
        return replace(trouble or conditions.CONNECTING, state=SourceState.CONNECTING)
    if ledger.gone:
        return conditions.accounts_gone(ledger.gone)
    if any(book.doubted for book in books):
        return conditions.EMPTY_DOUBTED
    if unread := [book for book in books if book.time is None]:
        failing = {book.number: why for book in unread if (why := book.troubles.get("positions"))}
        return conditions.accounts_unread(failing) if failing else conditions.CONNECTING
    if ledger.late(now):
        return trouble or conditions.POSITIONS_SILENT
    if feed.streamer is None:
        return feed.trouble
    if feed.quiet(now):
        return conditions.QUOTES_CONNECTING if feed.data is None else conditions.QUOTES_SILENT
    return conditions.CONNECTED if calendar.is_open(now) else conditions.MARKET_CLOSED


def streams_of(
    api: Api, ledger: Ledger, feed: Feed, notices: Notices, reference: Reference, plan: Plan, now: datetime
) -> tuple[Stream, ...]:
    """Connection, each account, quotes, daily closes, announcements and metrics, each with its last word."""
    works = None if ledger.trouble is conditions.CONNECTING else ledger.trouble is None
    return (
        Stream("connection", api.answered, works=works, detail=_clock(api)),
        *(_book(book, ledger, now) for book in ledger.books.values()),
        _quotes(feed, plan, now),
        *(_closes(symbol, feed, now) for symbol in REGIME),
        _notices(notices),
        _metrics(reference, now),
    )


def warnings_of(ledger: Ledger, feed: Feed, reference: Reference, plan: Plan, now: datetime) -> tuple[str, ...]:
    """What works only in part."""
    return tuple(_warnings(ledger, feed, reference, plan, now))


def _warnings(ledger: Ledger, feed: Feed, reference: Reference, plan: Plan, now: datetime) -> Iterator[str]:
    if feed.delayed:
        yield "quotes are delayed by 15 minutes (demo level of the quote stream)"
    if plan.missing and not reference.directory.unknown(reference.instruments):
        yield f"tastytrade has no streamer symbol for {wording.names(list(plan.missing), 3)}"
    if ledger.unlisted:
        yield f"the list of accounts cannot be read again, a new one would not be seen ({ledger.unlisted})"
    for book in ledger.books.values():
        if book.apart and not book.doubted:
            yield f"{_name(book)}: its positions do not come to its balance of {wording.names(list(book.apart), 3)}"
        failing = [_PARTS[name] for name in book.troubles if name in _PARTS]
        if failing:
            why = next(text for name, text in book.troubles.items() if name in _PARTS)
            yield f"{_name(book)}: {wording.names(failing, 4)} cannot be read ({why})"
    yield from _of_stream(feed, plan, now)
    if reference.directory_complaint:
        yield f"streamer symbols cannot be looked up: {reference.directory_complaint}"
    if reference.complaint:
        yield f"market metrics are not whole: {reference.complaint}"


def _of_stream(feed: Feed, plan: Plan, now: datetime) -> Iterator[str]:
    """What works only in part of the quote stream."""
    if mute := silent_symbols(feed, plan, now):
        yield f"{len(mute)} of {len(plan.options)} options have had no Greeks since they were asked for"
    if blank := [name for name in plan.options if (said := feed.ticks.greeks.get(name)) and said.delta is None]:
        yield f"{len(blank)} of {len(plan.options)} options have Greeks without figures (NaN)"
    if calendar.is_open(now) and not feed.quiet(now) and (since := _without_greeks(feed, plan, now)) is not None:
        yield f"no Greeks have come for {wording.age(since)} although quotes move"
    if feed.ticks.garbage > _MUCH_GARBAGE:
        yield f"{feed.ticks.garbage} messages of the quote stream could not be read"
    streamer = feed.streamer
    if streamer is not None and streamer.ear.complaint:
        yield f"the quote stream complained: {streamer.ear.complaint}"


def _without_greeks(feed: Feed, plan: Plan, now: datetime) -> float | None:
    """Seconds without Greeks of any option where that is too long for a stream that works, else None."""
    last = max((said.time for name, said in feed.ticks.greeks.items() if name in plan.options), default=None)
    return None if last is None or now - last <= _NO_GREEKS else (now - last).total_seconds()


def silent_symbols(feed: Feed, plan: Plan, now: datetime) -> list[str]:
    """Options of which no Greeks came although they were asked for a while ago."""
    return [
        streamer
        for streamer in plan.options
        if streamer not in feed.ticks.greeks and now - feed.asked.get(streamer, now) > timedelta(seconds=15)
    ]


def _clock(api: Api) -> str:
    skew = api.skew.seconds
    return "" if skew is None or abs(skew) <= _SKEW_SECONDS else f"its clock {wording.skew(skew)}"


def _name(book: Book) -> str:
    return str(AccountId(BROKER, book.number))


def _book(book: Book, ledger: Ledger, now: datetime) -> Stream:
    trouble = book.troubles.get("positions", "")
    if book.doubted:
        trouble = "the list of positions is shorter than the balance speaks for, which is not believed"
    if book.time is None:
        return Stream(f"account {_name(book)}", None, works=False if trouble else None, detail=trouble)
    if not trouble and ledger.trouble is not None and now - book.time > _LATE_BOOK:
        trouble = ledger.trouble.sentence
    return Stream(f"account {_name(book)}", book.time, works=not trouble, detail=trouble or f"{len(book.rows)} rows")


def _quotes(feed: Feed, plan: Plan, now: datetime) -> Stream:
    if feed.streamer is None:
        works = None if feed.trouble is conditions.QUOTES_CONNECTING and not feed.retries else False
        return Stream("quotes", feed.data, works=works, detail=feed.trouble.sentence)
    ear = feed.streamer.ear
    detail = f"{len(plan.options)} options and {len(plan.prices)} prices"
    still = [each for each in feed.ticks.greeks.values() if now - each.time > _QUIET_SYMBOL]
    if still and calendar.is_open(now):
        detail += f", {len(still)} options quiet for more than {wording.age(_QUIET_SYMBOL.total_seconds())}"
    if feed.ticks.garbage:
        detail += f", {feed.ticks.garbage} unreadable messages"
    return Stream(
        "quotes", ear.data or feed.data, works=None if ear.data is None else not feed.quiet(now), detail=detail
    )


def _closes(symbol: str, feed: Feed, now: datetime) -> Stream:
    closes = feed.ticks.candles.get(daily(symbol), {})
    if not closes:
        waited = now - feed.asked.get(symbol, now)
        detail = "asked for, not heard yet" if waited <= _NO_CLOSES else "asked for, but nothing comes"
        return Stream(f"closes of {symbol}", None, works=None if waited <= _NO_CLOSES else False, detail=detail)
    time = feed.ticks.candle_times.get(daily(symbol))
    past = [day for day in closes if day < calendar.exchange_date(now)] or list(closes)
    return Stream(f"closes of {symbol}", time, detail=f"{len(past)} days until {max(past):%d %b}")


def _notices(notices: Notices) -> Stream:
    if notices.live:
        return Stream("announcements", notices.heard, detail="changes of accounts are read at once")
    detail = notices.complaint or "connecting"
    return Stream(
        "announcements", notices.heard, works=False if notices.complaint else None,
        detail=f"{detail}; accounts are read every few seconds all the same",
    )  # fmt: skip


def _metrics(reference: Reference, now: datetime) -> Stream:
    detail = f"{len(reference.metrics)} of {len(reference.symbols)} underlyings"
    time = reference.metrics_time
    works = (False if reference.unmeasured else None) if time is None else now - time <= _OLD_METRICS
    return Stream("market metrics", reference.metrics_time, works=works, detail=detail)

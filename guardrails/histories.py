"""Asking the sources what they kept of the past: net liquidation by day, closes of VIX and VIX3M.

A past that is missing is a chart that begins later, no more: nothing here raises, and everything is bounded in time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise

from guardrails import calendar
from guardrails.brokers import Broker, LiveBroker, NetLiquidationHistory
from guardrails.errors import SourceError
from guardrails.past import Closes, NetLiquidations, Past, is_holiday
from guardrails.values import AccountId, Observed, View

log = logging.getLogger(__name__)

ANSWER_SECONDS = 60.0
"""how long one source may take to tell its past, all accounts together"""
SETTLE_SECONDS, CLOSE_SECONDS = 30.0, 10.0
_BACK = ("all", "1y", "1m")
"""what is asked for in turn, until the steps are fine enough to tell the day of each value"""
_DAILY = timedelta(hours=12)
"""rows further apart than this are not within one session"""


def at_ends(history: Sequence[Observed], now: datetime) -> tuple[tuple[datetime, float], ...] | None:
    """Values at the ends of intervals by the moment they were true; `history` says when each interval began.

    Where most sessions have one row, each is its whole day and ends with the session; else a row ends where the next
    of its session begins, and one that stands alone as long after as most do. What has not ended by `now` is left out.
    None when the rows are further apart than sessions: whose close they are is not known.
    """
    sessions: dict[datetime, list[Observed]] = {}
    for row in sorted(history, key=lambda row: row.time):
        sessions.setdefault(_close_after(row.time), []).append(row)
    days = [calendar.exchange_date(close) for close in sessions]
    if sum(calendar.next_session(day) == later for day, later in pairwise(days)) * 2 < len(days) - 1:
        return None
    steps = {close: [later.time - row.time for row, later in pairwise(rows)] for close, rows in sessions.items()}
    within = sorted(step for told in steps.values() for step in told if step < _DAILY)
    daily = sum(min(told, default=_DAILY) >= _DAILY for told in steps.values())
    is_daily = daily * 2 > len(sessions) or not within
    found: list[tuple[datetime, float]] = []
    for close, rows in sessions.items():
        if is_daily:
            found.append((close, rows[-1].value))
            continue
        own = [*steps[close], steps[close][-1] if steps[close] else within[len(within) // 2]]
        found += [(row.time + step, row.value) for row, step in zip(rows, own, strict=True)]
    return tuple((end, value) for end, value in found if end <= now)


def _close_after(began: datetime) -> datetime:
    """Close of the session in which a day that began then ends; a day may begin the evening before."""
    day = calendar.session_on_or_before(calendar.exchange_date(began))
    close = calendar.session_bounds(day)[1]
    return close if began < close else calendar.session_bounds(calendar.next_session(day))[1]


async def past_of(sources: Sequence[Broker], now: datetime) -> Past:
    """What these sources tell of the past; one that cannot is a sentence in `problems`, never an exception.

    Takes at most ANSWER_SECONDS. They must be connected: what a source does not know yet it does not tell.
    """
    found = Past()
    for told in await asyncio.gather(*(_told(source, now) for source in sources)):
        found += told
    return found


async def past_once(sources: Sequence[Broker], clock: Callable[[], datetime]) -> Past:
    """The same for a single look: wait until they are connected, ask, close them all."""
    try:
        await asyncio.gather(*(_settle(source) for source in sources if isinstance(source, LiveBroker)))
        return await past_of(sources, clock())
    finally:
        await asyncio.gather(*(_close(source) for source in sources))


async def _settle(source: LiveBroker) -> None:
    try:
        with suppress(TimeoutError):  # what has not answered by then is missing, and said to be
            async with asyncio.timeout(SETTLE_SECONDS):
                await source.settle()
    except Exception:
        log.exception("waiting for %s failed", source.name)


async def _close(source: Broker) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await source.close()
    except Exception:
        log.exception("closing %s failed", source.name)


async def _told(source: Broker, now: datetime) -> Past:
    """The past of one source: of what it told before it failed, nothing is lost."""
    past = Past()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            view = await source.view(now)
            past += Past(closes=_closes(view))
            if isinstance(source, NetLiquidationHistory):
                past += await _money(source, view, now)
    except SourceError as error:
        past += Past(problems=(f"{source.name}: its past cannot be read: {error}",))
    except TimeoutError:
        past += Past(problems=(f"{source.name} did not tell its past within {ANSWER_SECONDS:.0f} s",))
    except Exception as error:
        log.exception("asking %s for its past failed", source.name)
        past += Past(problems=(f"{source.name}: its past cannot be read ({type(error).__name__}); see the log",))
    return past


def _closes(view: View) -> tuple[Closes, ...]:
    series = {"VIX": view.market.vix_closes, "VIX3M": view.market.vix3m_closes}
    kept = {symbol: tuple(row for row in told if not is_holiday(row[0])) for symbol, told in series.items()}
    return tuple(Closes(symbol, told, view.source.name) for symbol, told in kept.items() if told)


async def _money(source: NetLiquidationHistory, view: View, now: datetime) -> Past:
    for back in _BACK:
        told = await source.net_liquidations(back)
        values = {account: await asyncio.to_thread(at_ends, history, now) for account, history in told.items()}
        if all(ends is not None for ends in values.values()):
            break
    own = {account.id: account.currency for account in view.accounts}
    return Past(
        tuple(
            NetLiquidations(account, own[account], ends, source.name)
            for account, ends in values.items()
            if ends and account in own
        ),
        problems=tuple(_untold(view, values)),
    )


def _untold(view: View, values: Mapping[AccountId, tuple[tuple[datetime, float], ...] | None]) -> Iterator[str]:
    """Why there is no past of an account, or of any."""
    name, known = view.source.name, {account.id for account in view.accounts}
    if not values:
        yield f"{name} told the past of no account. {view.source.detail}".strip()
    for account, ends in values.items():
        if ends is None:
            yield f"{name}: the values of {account} are too far apart to tell of which days they are"
        elif not ends:
            yield f"{name} gave no past of {account}"
        elif account not in known:
            yield f"{name}: the past of {account} is in no known currency, because the account itself is not read"

"""What reads the stand-in for tastytrade: the engine, the adapter by itself, or the SDK by itself.

Nothing of the stand-in is imported here, so that a new process that starts from here is as light as the program's own.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.tastytrade.source import Access, TastytradeSource
from benchmarks.live import PATIENCE_SECONDS, is_live, lags, running, spent, until
from guardrails import calendar
from guardrails.engine import Engine
from guardrails.instruments import Instrument
from guardrails.snapshot import Snapshot
from guardrails.symbols import tastytrade as symbols
from guardrails.values import View

HELD = 200
"""options in the usual book"""
DRAIN_SECONDS, REFRESH_SECONDS, SETTLING_SECONDS = 0.01, 2.0, 4.0
SECRET, REFRESH = "not-a-secret", "not-a-refresh-token"  # what the stand-in takes
Now = Callable[[], datetime]


def ahead() -> timedelta:
    """From now to the next 11:00 in New York of a session: with the market open, silence means something."""
    now = datetime.now(UTC)
    day = calendar.next_session(calendar.exchange_date(now))
    return calendar.session_bounds(day)[0] + timedelta(minutes=90) - now


def moved(by: timedelta) -> Now:
    """The real time, that much later."""
    return lambda: datetime.now(UTC) + by


class Probed(TastytradeSource):
    """The product's source, which also remembers on which loop it is read."""

    loop: asyncio.AbstractEventLoop | None = None

    async def view(self, now: datetime) -> View:
        self.loop = asyncio.get_running_loop()
        return await super().view(now)

    @property
    def events(self) -> int:
        """Events taken in so far."""
        return 0 if self._kept is None else self._kept.feed.ticks.events

    @property
    def talking(self) -> object:
        """The open quote socket, once it has brought data."""
        streamer = None if self._kept is None else self._kept.feed.streamer
        return None if streamer is None or streamer.ear.data is None else streamer

    def read_again(self) -> None:
        """Have everything read over REST again as soon as may be; called from any thread."""
        kept, loop = self._kept, self.loop
        assert kept is not None and loop is not None  # noqa: PT018  # it was looked at before
        for name in ("accounts", "books", "details", "close"):
            loop.call_soon_threadsafe(kept.ledger._due.again, name)  # noqa: SLF001  # else only the clock makes it due
        for name in ("metrics", "rate", "symbols"):
            loop.call_soon_threadsafe(kept.reference._due.again, name)  # noqa: SLF001  # as above

    @property
    def asked(self) -> int:
        """Symbols subscribed on the open socket."""
        return 0 if self._kept is None else len(self._kept.feed.asked)


def source(port: int, now: Now) -> Probed:
    return Probed(Access(SECRET, REFRESH, f"http://127.0.0.1:{port}"), now)


@contextmanager
def reading(port: int, by: timedelta) -> Iterator[tuple[Engine, Probed]]:
    """An engine as the program makes it, started, with nothing but this source."""
    now = moved(by)
    only = source(port, now)
    with running(only, now) as engine:
        yield engine, only


def has_greeks(snapshot: Snapshot | None, options: int, since: datetime | None = None) -> bool:
    """Whether it is live and every option shows tastytrade's Greeks, none of them from before `since`."""
    if snapshot is None or not is_live(snapshot, options):
        return False
    ages = [row.greeks_age_seconds for row in snapshot.positions if row.greeks_source == "tastytrade"]
    oldest = float("inf") if since is None else (snapshot.as_of - since).total_seconds()
    return len(ages) == options and all(age is not None and age <= oldest for age in ages)


def once(port: int, by_seconds: float, options: int, began: float) -> None:
    """Start, have all Greeks, stop; prints the seconds since `began` (of time.time) of each step."""
    steps = {"imported": time.time() - began}
    with reading(port, timedelta(seconds=by_seconds)) as (engine, _):
        until(engine, lambda snapshot: is_live(snapshot, options))
        steps["live"] = time.time() - began
        until(engine, lambda snapshot: has_greeks(snapshot, options))
        steps["greeks"] = time.time() - began
    print(json.dumps(steps))


# the adapter and the SDK, each by itself


def adapter(port: int, by_seconds: float, options: int, seconds: float) -> None:
    """The source without an engine and without looks at it: prints the share of a core, the lag and the events."""

    async def work() -> None:
        now = moved(timedelta(seconds=by_seconds))
        one = source(port, now)
        await one.view(now())
        await _until(lambda: one.asked > options)
        print(json.dumps(await _watched(seconds, lambda: one.events)))
        await one.close()

    asyncio.run(work())


def idle(port: int, by_seconds: float, names: int, seconds: float) -> None:
    """The source without an engine, following `names` options (from standard input) and looked at as an engine does."""

    async def work() -> None:
        now = moved(timedelta(seconds=by_seconds))
        one = source(port, now)
        one.follow([_instrument(line, now()) for line in sys.stdin.read().splitlines()])
        await one.view(now())
        await _until(lambda: one.asked > names)

        async def look() -> None:
            while True:
                await one.view(now())
                await asyncio.sleep(REFRESH_SECONDS)

        looking = asyncio.create_task(look())
        found = await _watched(seconds, lambda: one.events)
        looking.cancel()
        print(json.dumps(found))
        await one.close()

    asyncio.run(work())


def _instrument(symbol: str, now: datetime) -> Instrument:
    return symbols.parse(symbol, "Equity Option", calendar.exchange_date(now))


def sdk(port: int, _: float, __: int, seconds: float) -> None:
    """The peer: the SDK's own streamer, emptied into a dict every 10 ms. Streamer symbols come on standard input."""
    from tastytrade import DXLinkStreamer, Session  # noqa: PLC0415  # the adapter has them imported already
    from tastytrade.dxfeed import Greeks  # noqa: PLC0415  # as above

    logging.getLogger("tastytrade").setLevel(logging.WARNING)  # it makes a record of every message otherwise

    async def work() -> None:
        names = sys.stdin.read().split()
        session = Session(SECRET, REFRESH, trust_env=False)
        session._client.base_url = f"http://127.0.0.1:{port}"  # noqa: SLF001  # it has no other way
        last: dict[str, Greeks] = {}
        count = 0
        async with DXLinkStreamer(session) as streamer:
            await streamer.subscribe(Greeks, names, refresh_interval=0.5)

            async def drain() -> None:
                nonlocal count
                while True:
                    while (event := streamer.get_event_nowait(Greeks)) is not None:
                        last[event.event_symbol] = event
                        count += 1
                    await asyncio.sleep(DRAIN_SECONDS)

            draining = asyncio.create_task(drain())
            await _until(lambda: len(last) == len(names))
            print(json.dumps(await _watched(seconds, lambda: count)))
            draining.cancel()

    asyncio.run(work())


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110  # asked, not told
            await asyncio.sleep(0.05)


async def _watched(seconds: float, count: Callable[[], int]) -> dict[str, Any]:
    """Percent of one core, then lag; each over `seconds`, the events with the first."""
    await asyncio.sleep(SETTLING_SECONDS)
    before, used, began = count(), spent(), time.perf_counter()
    await asyncio.sleep(seconds)
    lasted = time.perf_counter() - began
    share, events = (spent() - used) / lasted * 100.0, (count() - before) / lasted
    return {"share": share, "events": events, "lags": await lags(seconds)}

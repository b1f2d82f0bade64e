"""One look at all sources: they settle, feeds are told what the others hold, they settle again, and all are closed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

import pytest

from guardrails.assess import assess
from guardrails.brokers import Broker, MarketFeed
from guardrails.errors import SourceError
from guardrails.instruments import Instrument
from guardrails.look import look
from guardrails.memory import Memory
from guardrails.orders import Order, Preview
from guardrails.symbols import occ
from guardrails.values import Greeks, Market, Source, SourceState, View
from tests.books import IBKR, MATRIX, NOW, TASTY, account, market, option

PUT = "SPXW  261218P05800000"
KEY = occ.parse(PUT).key
SECONDS = 0.2
"""what these tests let settling take in all"""


class File:
    """A source without a connection."""

    def __init__(self, name: str, view: View) -> None:
        self.name = name
        self.says: View | Exception = view
        self.told: list[str] = []

    async def view(self, now: datetime) -> View:
        self.told.append("view")
        assert now == NOW
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    async def close(self) -> None:
        self.told.append("close")


class Live(File):
    """A source that needs a moment before it knows anything."""

    def __init__(self, name: str, view: View, *, settles: bool | Exception = True) -> None:
        super().__init__(name, replace(view, positions=()))
        self.knows = view
        self.settles = settles

    async def changed(self) -> None:
        await asyncio.Event().wait()

    async def settle(self) -> None:
        self.told.append("settle")
        if isinstance(self.settles, Exception):
            raise self.settles
        await asyncio.sleep(0)  # an answer comes later than the question
        self.says = self.knows
        if not self.settles:
            await asyncio.Event().wait()

    async def preview(self, order: Order) -> Preview:
        return Preview(NOW, unknown="not asked")


class Feed(Live):
    """A live source that streams Greeks of whatever it follows, once it has settled after that."""

    refuses: Exception | None = None

    def follow(self, instruments: Collection[Instrument]) -> None:
        self.told.append("follow")
        if self.refuses is not None:
            raise self.refuses
        greeks = {i.key: Greeks(-0.25, 0.001, 5.0, -1.5, 0.17, self.name, NOW) for i in instruments}
        self.knows = replace(self.knows, market=replace(self.knows.market, greeks=greeks))


def ibkr() -> View:
    held = option(PUT, -1, source="ibkr")
    return View(Source("ibkr", SourceState.LIVE, NOW), (account(IBKR),), (held,), Market())


def tasty() -> View:
    return View(Source("tastytrade", SourceState.LIVE, NOW), (account(TASTY),), (), market())


def looked(*sources: Broker) -> tuple[list[View], Mapping[str, str]]:
    async def bounded() -> tuple[list[View], Mapping[str, str]]:
        async with asyncio.timeout(15):
            return await look(sources, lambda: NOW, SECONDS)

    return asyncio.run(bounded())


def test_a_feed_is_told_what_the_others_hold_once_they_have_settled() -> None:
    feed, holder = Feed("tastytrade", tasty()), Live("ibkr", ibkr())
    assert isinstance(feed, MarketFeed)
    assert not isinstance(holder, MarketFeed)
    views, problems = looked(feed, holder)
    assert problems == {}
    assert [view.source.name for view in views] == ["tastytrade", "ibkr"]
    assert set(views[0].market.greeks) == {KEY}
    assert feed.told == ["settle", "view", "follow", "settle", "view", "close"]
    row = assess(views, MATRIX, Memory(), NOW).snapshot.positions[0]
    assert (row.delta, row.greeks_source) == (-0.25, "tastytrade")


def test_what_a_file_holds_is_followed_too() -> None:
    feed, file = Feed("tastytrade", tasty()), File("statement:a.csv", ibkr())
    assert set(looked(file, feed)[0][1].market.greeks) == {KEY}


def test_alone_or_without_a_feed_nothing_is_told_and_settling_happens_once() -> None:
    feed = Feed("tastytrade", replace(tasty(), positions=(option(PUT, 1),)))
    looked(feed)
    assert feed.told == ["settle", "view", "close"]
    one, other = Live("ibkr", ibkr()), Live("other", tasty())
    looked(one, other)
    assert one.told == other.told == ["settle", "view", "close"]


def test_where_the_others_hold_nothing_there_is_nothing_to_follow() -> None:
    feed = Feed("tastytrade", tasty())
    looked(feed, Live("ibkr", replace(ibkr(), positions=())))
    assert "follow" not in feed.told


def test_a_source_that_never_settles_does_not_keep_the_feed_from_being_told() -> None:
    feed, holder = Feed("tastytrade", tasty()), Live("ibkr", ibkr(), settles=False)
    views, _ = looked(feed, holder)
    assert set(views[0].market.greeks) == {KEY}
    assert holder.told == ["settle", "view", "settle", "view", "close"]


def test_a_feed_that_never_settles_is_read_all_the_same() -> None:
    feed, holder = Feed("tastytrade", tasty(), settles=False), Live("ibkr", ibkr())
    views, _ = looked(feed, holder)
    assert set(views[0].market.greeks) == {KEY}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("login of U0000004567 failed"), "failed (RuntimeError); see the log"),
        (SourceError("full"), "full"),
    ],
)
def test_a_feed_that_refuses_is_a_problem_and_still_read(error: Exception, said: str) -> None:
    feed, holder = Feed("tastytrade", tasty()), Live("ibkr", ibkr())
    feed.refuses = error
    views, problems = looked(feed, holder)
    assert problems == {"follow tastytrade": said}
    assert [view.source.state for view in views] == [SourceState.LIVE, SourceState.LIVE]


@pytest.mark.parametrize(
    ("error", "said"),
    [(RuntimeError("login of U0000004567 failed"), "RuntimeError"), (SourceError("refused"), "refused")],
)
def test_a_source_that_fails_is_down_and_the_rest_is_read(error: Exception, said: str) -> None:
    in_view, in_settle = File("statement:a.csv", ibkr()), Live("ibkr", ibkr(), settles=error)
    in_view.says = error
    feed = Feed("tastytrade", tasty())
    views, problems = looked(in_view, in_settle, feed)
    assert [(view.source.state, view.source.detail) for view in views[:2]] == [(SourceState.DOWN, said)] * 2
    assert views[2].source.state is SourceState.LIVE
    assert problems == {}
    assert in_settle.told == ["settle", "close"]  # what failed is not asked again
    assert all(source.told[-1] == "close" for source in (in_view, in_settle, feed))


def test_a_source_that_cannot_be_closed_does_not_take_the_answer_away() -> None:
    class Stuck(File):
        async def close(self) -> None:
            raise OSError(9, "bad file descriptor")

    other = File("statement:b.csv", tasty())
    views, _ = looked(Stuck("statement:a.csv", ibkr()), other)
    assert len(views) == 2
    assert other.told[-1] == "close"

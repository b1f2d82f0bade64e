"""How work on a loop ends: what leaks out of a library is an error, and never a part that is gone without a word."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

import pytest

from guardrails.ending import CancelledFromWithinError, endless, uncancelled
from tests import ibkr, tasty
from tests.brokers.tasty import Tasty
from tests.brokers.tws import Tws

Kind = Callable[[Awaitable[None]], Awaitable[None]]


async def leaking() -> None:
    """Wait for a future that a library cancels."""
    waited_for: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waited_for.cancel()
    await waited_for


async def failing() -> None:
    raise ConnectionResetError


async def for_ever() -> None:
    await asyncio.Event().wait()


async def stubborn() -> None:
    """Go on after being asked to end, and return then."""
    try:
        await for_ever()
    except asyncio.CancelledError:
        await asyncio.sleep(0)


@pytest.mark.parametrize("kind", [uncancelled, endless])
def test_a_cancellation_from_within_is_an_error_and_others_go_through(kind: Kind) -> None:
    with pytest.raises(CancelledFromWithinError):
        asyncio.run(kind(leaking()))  # type: ignore[arg-type]  # both are coroutine functions
    with pytest.raises(ConnectionResetError):
        asyncio.run(kind(failing()))  # type: ignore[arg-type]  # as above


def test_only_what_never_ends_may_not_end() -> None:
    asyncio.run(uncancelled(asyncio.sleep(0)))
    with pytest.raises(RuntimeError, match="has ended"):
        asyncio.run(endless(asyncio.sleep(0)))


@pytest.mark.parametrize("kind", [uncancelled, endless])
@pytest.mark.parametrize("work", [for_ever, stubborn])
def test_who_is_asked_to_end_ends_without_an_error(kind: Kind, work: Callable[[], Awaitable[None]]) -> None:
    async def asked() -> bool:
        task = asyncio.ensure_future(kind(work()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        return task.cancelled() or task.exception() is None

    assert asyncio.run(asked())


def parts() -> dict[str, asyncio.Task[None]]:
    """The tasks of a connection, which never end, by the name of their work."""
    tasks = [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__name__", "") == "endless"]
    return {inspect.getcoroutinelocals(task.get_coro())["work"].__qualname__: task for task in tasks}  # type: ignore[arg-type]  # of a coroutine function


async def leak_into(task: asyncio.Task[None]) -> None:
    """Cancel what `task` waits for, as a library does that loses its connection, until it takes note of it."""
    while not task.done():
        waited_for = task._fut_waiter  # type: ignore[attr-defined]  # of CPython; no library leaks when a test wants it
        if waited_for is not None:
            waited_for.cancel()
        await asyncio.wait({task}, timeout=0.05)


def test_no_part_of_a_connection_to_ibkr_is_gone_without_a_word() -> None:
    async def work() -> None:
        with Tws(ibkr.mixed()) as tws:
            async with ibkr.reading(tws) as source:
                await ibkr.connected(source)
                names = sorted(parts())
                assert len(names) == 7
                for name in names:
                    await leak_into(parts()[name])
                    view = await ibkr.condition(source, "failed")
                    assert "CancelledFromWithinError" in view.source.detail
                    await ibkr.connected(source)

    ibkr.run(work())


def test_no_part_of_a_connection_to_tastytrade_is_gone_without_a_word() -> None:
    clock = tasty.Clock()

    async def work() -> None:
        with Tasty(tasty.opened(clock), rate=5, clock=clock) as server:
            async with tasty.reading(server, clock) as source:
                await tasty.settled(source, clock)
                names = sorted(parts())
                assert len(names) == 6
                for name in (names[0], names[-1]):  # all are begun anew, which takes some seconds each time
                    old = parts()
                    await leak_into(old[name])
                    await tasty.until(
                        source, clock,
                        lambda _, old=old: len(parts()) == 6 and not {*parts().values()} & {*old.values()},
                    )  # fmt: skip
                    view = await tasty.condition(source, clock, "connected")
                    assert len(view.positions) == 14

    tasty.run(work())

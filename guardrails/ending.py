"""How work on an asyncio loop may end: by itself, by being asked to, or by a cancellation that leaks out of a library.

A TaskGroup takes the last for the second, and a part that others rely on is gone without a word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


class CancelledFromWithinError(RuntimeError):
    """Something that a task waited for was cancelled, though nobody asked the task to end."""


def cancellations() -> int:
    """How many times the task that runs now was itself asked to end, unlike something that it waits for."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


async def uncancelled(work: Awaitable[None]) -> None:
    """Await `work`; CancelledFromWithinError when it was cancelled though the task that runs now was not."""
    before = cancellations()
    try:
        await work
    except asyncio.CancelledError as error:
        if cancellations() > before:
            raise
        raise CancelledFromWithinError("what was waited for was cancelled, and nobody asked for that") from error


async def endless(work: Awaitable[None]) -> None:
    """Await `work` until this task is cancelled; RuntimeError when it ends in any other way without an error."""
    before = cancellations()
    await uncancelled(work)
    if cancellations() == before:
        raise RuntimeError("work that never ends has ended")

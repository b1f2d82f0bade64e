"""A thread with an asyncio loop of its own, which is started and stopped from others."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


class LoopThread:
    """One loop at a time; whoever calls `start` and `stop` sees to it that they do not run beside each other."""

    def __init__(self, name: str, main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
        """`main` runs on the loop until it returns, which it does soon after the event it is given is set."""
        self._name, self._main = name, main
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._asked_to_stop = threading.Event()

    @property
    def is_alive(self) -> bool:
        """Whether the loop runs; from any thread."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def has_ended(self) -> bool:
        """Whether it never began, or was seen to end after a `stop`."""
        return self._thread is None

    def start(self) -> None:
        """Begin a new loop; RuntimeError while the one before goes on."""
        if self.is_alive:
            raise RuntimeError(f"the loop of {self._name} goes on; stop it, and wait until it has ended")
        self._asked_to_stop.clear()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name=self._name, daemon=True)
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Ask `main` to return, and wait for at most `seconds`; after that it may still be alive, which is logged."""
        self._asked_to_stop.set()  # before the loop is looked at: it may not have begun
        loop, stopping, thread = self._loop, self._stopping, self._thread
        if thread is None:
            return
        if loop is not None and stopping is not None and not loop.is_closed():
            loop.call_soon_threadsafe(stopping.set)
        thread.join(seconds)
        if thread.is_alive():
            log.error(
                "the loop of %s has not ended within %g s: something that it waits for hangs", self._name, seconds
            )
        else:
            self._thread = None

    async def _run(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        if self._asked_to_stop.is_set():
            self._stopping.set()
        await self._main(self._stopping)

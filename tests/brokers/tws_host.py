"""The thread and the listening socket of the stand-in, so that a test on any loop can drive it."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 60.0
"""seconds a caller waits for the server's own thread before it gives up"""


class Host:
    """One thread with one loop and at most one listening socket."""

    def __init__(self, accept: Callable[[], asyncio.Protocol], port: int) -> None:
        self.port = port
        self._accept = accept
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None
        self._place: socket.socket | None = None
        """bound, and never listens: nobody else is given the port while new connections are refused"""

    def start(self) -> None:
        """Run the thread and listen. OSError when the port is taken."""
        if sys.platform == "linux":  # elsewhere two sockets cannot have one port
            self._place = socket.socket()
            self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._place.bind(("127.0.0.1", self.port))
            self.port = self._place.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tws", daemon=True)
        self._thread.start()
        self.listen()

    def stop(self) -> None:
        """End the thread; harmless when it is not running."""
        if self._loop is None or self._thread is None:
            return
        self.refuse()
        loop, self._loop = self._loop, None
        loop.call_soon_threadsafe(loop.call_later, 0.02, loop.stop)  # lets the last resets leave first
        self._thread.join(PATIENCE)
        loop.close()
        if self._place is not None:
            self._place.close()

    def listen(self) -> None:
        """Accept connections, on the same port as before; nothing new when it listens already."""
        if self._loop is None or self._server is not None:
            return
        making = self._loop.create_server(self._accept, "127.0.0.1", self.port, reuse_address=True)
        self._server = asyncio.run_coroutine_threadsafe(making, self._loop).result(PATIENCE)
        self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Close the listening socket; connections that exist live on."""
        server, self._server = self._server, None
        if server is not None:
            self.do(server.close)

    def do(self, work: Callable[[], T]) -> T:
        """What `work` returns when the server's own thread runs it; at once while there is no thread."""
        if self._loop is None or threading.current_thread() is self._thread:
            return work()
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001, RUF100  # handed to the thread that asked
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result(PATIENCE)

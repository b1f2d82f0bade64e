"""A stand-in for a broker in a process of its own: what it costs must not be counted as ours."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Self


class Apart:
    """The stand-in's process; `port` is where it listens."""

    def __init__(self, serve: Callable[..., None], *given: object) -> None:
        """`serve` is called there with what is given and a connection to `obey`."""
        spawned = multiprocessing.get_context("spawn")
        self._control, theirs = spawned.Pipe()
        self._process = spawned.Process(target=serve, args=(*given, theirs), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self.port = int(self._control.recv())
        return self

    def __exit__(self, *_: object) -> None:
        self._control.send(None)
        self._process.join(10)

    def tell(self, name: str, *places: object, **names: object) -> Any:
        """Call a method of the stand-in there and return its answer; a value is read."""
        self._control.send((name, places, names))
        return self._control.recv()


def obey(server: Any, control: Connection) -> None:
    """Tell the port of `server`, then do what is told until told to end."""
    control.send(server.port)
    while (told := control.recv()) is not None:
        name, places, names = told
        found = getattr(server, name)
        control.send(found(*places, **names) if callable(found) else found)

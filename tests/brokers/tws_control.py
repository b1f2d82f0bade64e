"""The controls of a stand-in that runs as a process of its own: one JSON object a line, over a port beside its own.

{"do": "fault", "args": ["reject_order"], "with": {"times": 1}}
{"do": "desk", "args": ["fill", "KEY-1", 2], "with": {}}
{"do": "sent"}
"""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.brokers.tws import Tws

PLAIN = ("fault", "mend", "drop", "silence", "say", "set_position", "set_value", "set_quote", "refuse", "listen")


def listen(tws: Tws, port: int) -> int:
    """Take commands on `port` (0: any free one) as long as the process lives; the port."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                try:
                    told = {"answer": done(tws, json.loads(line))}
                except Exception as error:  # told to the test that asked
                    told = {"error": f"{type(error).__name__}: {error}"}
                self.wfile.write(json.dumps(told).encode() + b"\n")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="tws control", daemon=True).start()
    return int(server.server_address[1])


def done(tws: Tws, told: dict[str, Any]) -> Any:
    """What a command answers; ValueError for one that is not known."""
    what, args, more = told["do"], told.get("args", []), told.get("with", {})
    if what == "desk":
        return tws.on_desk(*args, **more)
    if what == "sent":
        return [asdict(one) for one in tws.sent]
    if what == "positions":
        return [[account, number, *held] for (account, number), held in tws.book.positions.items()]
    if what == "executions":
        return [dict(row) for row in tws.book.executions]
    if what == "orders":
        return {row.get("orderRef", ""): _row(row) for row in (*tws.book.completed_orders, *tws.book.open_orders)}
    if what == "refs":
        return {row["orderRef"]: row["status"] for row in tws.book.open_orders if row.get("orderRef")}
    if what not in PLAIN:
        message = f"{what!r}: choose one of desk, sent, positions, refs, orders, executions, {', '.join(PLAIN)}"
        raise ValueError(message)
    return getattr(tws, what)(*args, **more)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    told = {name: row.get(name) for name in ("status", "filled", "totalQuantity", "clientId", "permId", "lmtPrice")}
    return told | {"filled": row.get("filled", row.get("filledQuantity"))}


class Control:
    """The same commands from another process."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __call__(self, do: str, *args: Any, **more: Any) -> Any:
        """The answer; RuntimeError with the stand-in's words when it went wrong."""
        with socket.create_connection(("127.0.0.1", self._port), 10) as line, line.makefile("rwb") as stream:
            stream.write(json.dumps({"do": do, "args": args, "with": more}).encode() + b"\n")
            stream.flush()
            told = json.loads(stream.readline())
        if "error" in told:
            raise RuntimeError(told["error"])
        return told["answer"]

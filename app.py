"""Start the engine with the server, before any browser; serve pages and the small HTTP API; stop both together."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
import webbrowser
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import FrameType

import streamlit as st
import uvicorn
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from guardrails import http, logs, order_http, redaction
from guardrails.engine import Engine
from guardrails.errors import GuardrailsError
from guardrails.settings import load_settings
from pages._runs import lose_nothing_between_runs

WRONG_USAGE = 64
ANY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
LISTENS_AFTER_SECONDS = 0.3
"""the server accepts connections as soon as the lifespan has begun"""


def stop_with_zero() -> None:
    """Make SIGINT and SIGTERM end the process with 0: being told to stop is no failure.

    The server stops cleanly on both, but then raises the signal once more, and the shell sees 130 or 143.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        server = getattr(signal.getsignal(number), "__self__", None)
        if isinstance(server, uvicorn.Server):
            signal.signal(number, asking(server))


def asking(server: uvicorn.Server) -> Callable[[int, FrameType | None], None]:
    """A signal handler that asks `server` to stop, and at the second time not to wait for open pages."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    return ask


def open_browser() -> None:
    """Show the pages to the person who started them, unless headless; for an `st.App` Streamlit leaves that to us."""
    if not st.get_option("server.headless"):
        url = f"http://{st.get_option('server.address')}:{st.get_option('server.port')}"
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """The engine, its alerts and its dead-man's switch run exactly as long as the server."""
    from pages._engine import wiring  # noqa: PLC0415  # inside the hook: only now does Streamlit's cache exist

    redaction.install()
    try:
        settings = load_settings()
        logs.install(settings.guardrails_data_dir)
        service = wiring()
    except GuardrailsError as error:
        sentence = f"Portfolio Guardrails cannot start:\n{error}"
        print(sentence, file=sys.stderr, flush=True)
        # Nothing runs yet, and an exception would bury the sentence under a traceback of the server.
        os._exit(WRONG_USAGE)  # public in spite of its name
    stop_with_zero()
    service.start()
    asyncio.get_running_loop().call_later(LISTENS_AFTER_SECONDS, open_browser)
    try:
        yield
    finally:
        service.stop()


def answering(answer: Callable[[Engine], http.Answer]) -> Callable[[Request], Response]:
    """A route's handler for one of the answers of `guardrails.http`; Starlette runs it outside its own loop."""

    def handle(_: Request) -> Response:
        from pages._engine import engine  # noqa: PLC0415  # as above

        status, media_type, body = answer(engine())
        return Response(body, status, media_type=media_type, headers={"cache-control": "no-store"})

    return handle


def posting(
    answer: Callable[[Engine, order_http.Call], Awaitable[order_http.Reply]],
) -> Callable[..., Awaitable[Response]]:
    """A route's handler for one of the answers of `guardrails.order_http`, behind its doorkeeper."""

    async def handle(request: Request) -> Response:
        from pages._engine import wiring  # noqa: PLC0415  # as above

        if request.method != "POST":  # else the page that Streamlit has for every path would answer it
            return Response(status_code=405, headers={"allow": "POST", "cache-control": "no-store"})
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > order_http.MOST_BYTES:  # the rest is not even read
                break
        call = order_http.Call(dict(request.headers), bytes(body))
        wired = wiring()
        if not doorkeepers:
            doorkeepers.append(order_http.Doorkeeper(wired.settings.guardrails_api_token, time.monotonic))
        status, media_type, content, headers = doorkeepers[0].refusal(call) or await answer(wired.engine, call)
        return Response(content, status, media_type=media_type, headers={"cache-control": "no-store", **headers})

    return handle


doorkeepers: list[order_http.Doorkeeper] = []
"""the one of this process, from the first call on"""

lose_nothing_between_runs()
app = st.App(
    Path(__file__).parent / "pages" / "_shell.py",
    lifespan=lifespan,
    routes=[
        Route("/healthz", answering(http.healthz)),
        Route("/readyz", answering(http.readyz)),
        Route("/metrics", answering(http.metrics)),
        Route("/api/snapshot", answering(http.snapshot)),
        Route("/api/simulate", posting(order_http.simulate), methods=ANY_METHOD),
        Route("/api/orders", posting(order_http.submit), methods=ANY_METHOD),
    ],
    middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1"])],
)

if __name__ == "__main__":
    with suppress(KeyboardInterrupt):  # Ctrl-C is how one stops it
        app.run()

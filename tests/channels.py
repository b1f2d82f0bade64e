"""The other side of the channels: HTTP and SMTP servers that answer as a test wants, and what is sent to them."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections import deque
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from guardrails.alerts.values import Alert, Notice, Problem, Reason, Severity

NOW = datetime(2026, 11, 18, 20, 31, 5, tzinfo=UTC)
"""15:31:05 in New York"""
LINK = "http://127.0.0.1:8501"
SECRET = "-".join(("T0PLANTED", "B0PLANTED", "xyzzy7plugh"))
"""what must stand in no receipt and no log"""
PASSWORD = "-".join(("open", "sesame", "7"))


# --- what is told ---


def problem(check: str = "margin_cushion", subject: str = "account:IBKR •••4567", **more: Any) -> Problem:
    """A cushion that is too thin, unless told otherwise."""
    told = {
        "severity": Severity.BREACH,
        "message": "Margin cushion, IBKR •••4567: 14 % (look-ahead, excess $35,100), at least 20 %.",
        "value": 0.14,
        "limit": 0.20,
        "unit": "fraction",
        "headroom": -0.06,
        "data_age_seconds": 3.0,
        "next_action": "Close 1 of SPXW 18Dec26 5700P (frees $9,800).",
    }
    return Problem(check, subject, **{**told, **more})


def notice(reason: Reason = Reason.FIRST, seconds: float = 240.0, **more: Any) -> Notice:
    """About an alert that went wrong `seconds` ago; `more` goes to the problem, or to the alert."""
    about = {name: more.pop(name) for name in list(more) if name in _ALERT}
    what = problem(**more)
    begun = NOW - timedelta(seconds=seconds)
    facts = {"severity": what.severity, "step": 0, "since": begun, "last_wrong": NOW, "fired": begun, **about}
    return Notice(Alert(what, **facts), reason, ("slack", "email"))


_ALERT = {"last_wrong", "fired", "times_told", "past_silences", "held", "told"}


# --- HTTP ---


@dataclass(frozen=True, slots=True)
class Said:
    """One request that arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answers; `manner` is how it misbehaves."""

    status: int = 200
    body: bytes = b"ok"
    headers: Mapping[str, str] = field(default_factory=dict)
    manner: str = ""
    """`hang` says nothing, `drip_head` and `drip_body` say a byte now and then, `endless` never stops, `reset` cuts"""


class Web:
    """A server on loopback that answers with `replies` in turn, then always with 200 `ok`."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[Said] = []
        self.replies: deque[Reply] = deque()
        self.cut = threading.Event()
        """set when a client left in the middle of an answer"""
        self.closing = threading.Event()
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                headers = {name.lower(): value for name, value in self.headers.items()}
                web.requests.append(Said(self.command, self.path, headers, body))
                web.answer(self, web.replies.popleft() if web.replies else Reply())

            do_GET = do_POST  # noqa: N815  # http.server looks for this name

            def log_message(self, *_: Any) -> None:
                """Not on the terminal of the tests."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.scheme = "http" if context is None else "https"
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that left is no news
        self.port = int(self.server.server_address[1])

    def url(self, path: str = "/") -> str:
        """Address of `path`."""
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def answer(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        """Answer in the manner of `reply`."""
        connection = handler.connection
        if reply.manner == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.close_connection = True
            connection.close()
            return
        if reply.manner in ("hang", "drip_head"):
            self._drip(handler, b"" if reply.manner == "hang" else b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 5000)
            return
        handler.send_response_only(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        length = 10**9 if reply.manner else len(reply.body)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        if reply.manner == "drip_body":
            self._drip(handler, b"o" * 5000)
        elif reply.manner == "endless":
            self._endless(handler)
        else:
            handler.wfile.write(reply.body)

    def _drip(self, handler: BaseHTTPRequestHandler, words: bytes) -> None:
        handler.close_connection = True
        try:
            for place in range(5000):
                if self.closing.wait(0.05):
                    return
                if words:
                    handler.wfile.write(words[place : place + 1])
                    handler.wfile.flush()
        except OSError:
            self.cut.set()

    def _endless(self, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        try:
            while not self.closing.is_set():
                handler.wfile.write(b"o" * 65_536)
        except OSError:
            self.cut.set()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(20)


# --- certificates ---


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate for this machine, made for one test run, and the TLS of a server that shows it."""

    path: Path
    key: Path

    def server(self) -> ssl.SSLContext:
        """TLS of a server with it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path, self.key)
        return context

    def trust(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As if the machine trusted it."""
        monkeypatch.setenv("SSL_CERT_FILE", str(self.path))
        monkeypatch.delenv("SSL_CERT_DIR", raising=False)


def certificate(folder: Path, name: str = "localhost") -> Certificate:
    """A new one for `name`, signed by itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.fail("there is no openssl to make a certificate with: install Debian's package openssl")
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    subject = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    command = (openssl, "req", "-x509", *curve, "-keyout", str(made.key), "-out", str(made.path), *subject)
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return made


# --- SMTP ---


class Mailbox:
    """What an SMTP server does with mail: takes it, or answers as a test wants."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.logins: list[tuple[str, str]] = []
        self.recipients: dict[str, str] = {}
        """answer to RCPT by address, instead of 250"""
        self.sender = ""
        """answer to MAIL FROM, instead of 250"""
        self.data = ""
        """answer to DATA, instead of 250"""
        self.encrypted: list[bool] = []

    async def handle_MAIL(  # noqa: N802  # aiosmtpd looks for this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.sender:
            return self.sender
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802  # as above
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.recipients:
            return self.recipients[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # as above
        if self.data:
            return self.data
        self.taken.append(envelope)
        self.encrypted.append(session.ssl is not None)
        return "250 taken"

    def authenticator(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        """Whether the user is `ann` with the password."""
        given = (data.login.decode(), data.password.decode())
        self.logins.append(given)
        return AuthResult(success=given == ("ann", PASSWORD), handled=False)


class _OnItsOwnPort(Controller):
    """One that listens on a port which nobody can have taken meanwhile."""

    def __init__(self, box: Mailbox, **more: Any) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        super().__init__(box, hostname="127.0.0.1", port=self._listening.getsockname()[1], **more)

    def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
        return self.loop.create_server(self._factory_invoker, sock=self._listening, ssl=self.ssl_context)


@contextmanager
def mail_server(box: Mailbox, certified: Certificate | None = None, **more: Any) -> Iterator[int]:
    """An SMTP server on loopback: with STARTTLS and AUTH when it has a certificate. Yields its port."""
    facts: dict[str, Any] = {}
    if certified is not None:
        facts = {
            "tls_context": certified.server(),
            "require_starttls": True,
            "authenticator": box.authenticator,
            "auth_required": True,
        }
    controller = _OnItsOwnPort(box, ready_timeout=180.0, **{**facts, **more})
    controller.start()
    try:
        yield int(controller.port)
    finally:
        controller.stop()


@contextmanager
def line_server(*lines: bytes, then: str = "close") -> Iterator[int]:
    """A server that greets, answers each line it hears with the next of `lines`, and then closes or hangs."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        with listening:
            listening.settimeout(0.1)
            while not over.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

    def talk(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as heard:
            try:
                for place, line in enumerate(lines):
                    if place and not heard.readline():
                        return
                    while place and lines[place - 1].startswith(b"354") and heard.readline() != b".\r\n":
                        continue
                    connection.sendall(line)
                if then == "hang":
                    over.wait(30)
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        over.set()
        thread.join(20)


_HELD: list[socket.socket] = []


def free_port() -> int:
    """A port on which nothing listens, and nothing can: it is held until the end of this process."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    _HELD.append(held)
    return int(held.getsockname()[1])


def encoded(*parts: str) -> str:
    """As AUTH sends it."""
    return base64.b64encode("\0".join(parts).encode()).decode()

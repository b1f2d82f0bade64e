"""One HTTP request to a service that takes messages, bounded in time and in what is read of the answer."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from adapters.channels.bounded import is_lasting, within, words_of
from guardrails.alerts.message import clean
from guardrails.alerts.values import Outcome, Receipt

SECONDS = 10.0
_MOST_BYTES = 65_536
_MOST_WORDS = 160
_LATER = {407, 408, 425, 429}
"""a proxy wants a password, request timeout, too early, too many requests; everything from 500 up may pass too, and
every 3xx: it is mostly somebody in between, such as a portal that wants a log-in, and no word of the service"""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """names in lower case"""
    text: str
    """the first 64 KB"""


class _Leash:
    """Holds the connections of one attempt, so that they can be cut from another thread."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []
        self._over = False

    def hold(self, connection: socket.socket) -> None:
        """Take a second handle: TLS takes the first one away."""
        self._held.append(connection.dup())
        if self._over:  # it came after the cut
            self.cut()

    def cut(self) -> None:
        """End every connection, whatever it waits for."""
        self._over = True
        for held in self._held:
            with contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Close the second handles."""
        for held in self._held:
            held.close()


class _Plain(http.client.HTTPConnection):
    """Gives its socket to the leash as soon as there is one."""

    leash: _Leash

    def connect(self) -> None:
        super().connect()
        self.leash.hold(self.sock)


class _Encrypted(http.client.HTTPSConnection, _Plain):
    """The same under TLS: HTTPSConnection connects through `_Plain` and then shakes hands."""


def _maker(kind: type[_Plain], leash: _Leash, **fixed: Any) -> Callable[..., _Plain]:
    def make(host: str, **more: Any) -> _Plain:
        connection = kind(host, **fixed, **more)
        connection.leash = leash
        return connection

    return make


class _Leashed(HTTPHandler):
    """Opens http and https with connections that can be cut."""

    https_request = HTTPHandler.http_request

    def __init__(self, leash: _Leash) -> None:
        super().__init__()
        self._leash = leash

    def http_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(_maker(_Plain, self._leash), req)

    def https_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(_maker(_Encrypted, self._leash, context=verified()), req)


class _NoRedirect(HTTPRedirectHandler):
    """A POST that is sent on arrives as a GET without its body, and a 200 would say that the message was taken."""

    def redirect_request(self, *_: Any) -> None:
        return None


def verified() -> ssl.SSLContext:
    """TLS with verified certificates; SSL_CERT_FILE names others than those of the machine."""
    return ssl.create_default_context()


def ask(request: Request, *, follow: bool = False, seconds: float = SECONDS) -> Reply:
    """What the other side answers, whatever its status; proxies as the environment names them.

    Raises TimeoutError, other OSErrors, http.client.HTTPException and ValueError; none may be shown as it stands.
    """
    leash = _Leash()
    return within(seconds, partial(_ask, request, leash, follow=follow, seconds=seconds), leash.cut)


def _ask(request: Request, leash: _Leash, *, follow: bool, seconds: float) -> Reply:
    director = OpenerDirector()
    redirects = HTTPRedirectHandler() if follow else _NoRedirect()
    errors = (HTTPErrorProcessor(), HTTPDefaultErrorHandler(), UnknownHandler())
    for handler in (ProxyHandler(), _Leashed(leash), redirects, *errors):
        director.add_handler(handler)
    try:
        try:
            answer = director.open(request, timeout=seconds + 1.0)  # of one read; the limit of the whole comes first
        except HTTPError as error:
            answer = error
        with contextlib.closing(answer):
            text = answer.read(_MOST_BYTES).decode("utf-8", "replace")
            return Reply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, text)
    finally:
        leash.release()


def host_of(url: str) -> str:
    """The name of the host, which is all of an address that may be told; `an unreadable address`."""
    try:
        return urlsplit(url).hostname or "an address without a host"
    except ValueError:
        return "an unreadable address"


def problem_of(url: str, setting: str) -> str:
    """Why `url` cannot be asked, naming the setting; empty when it can. Never repeats it."""
    try:
        parts = urlsplit(url)
        works = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        works = False
    if works and (parts.username is not None or parts.password is not None):
        return f"{setting} has a user name or a password before the @, which is not sent; copy the address without it"
    if works and url.isascii() and url.isprintable() and " " not in url:
        return ""
    return f"{setting} is not an address that begins with https:// and has no blanks; copy it anew from the service"


def receipt_of(reply: Reply, host: str) -> Receipt:
    """SENT for a 2xx, FAILED for what may pass, REFUSED for the rest, with the first words of the answer."""
    words = clean(reply.text, _MOST_WORDS)
    told = f"{host} answered {reply.status}" + (f": {words}" if words else "")
    if 200 <= reply.status < 300:
        return Receipt(Outcome.SENT, told)
    if reply.status in _LATER or 300 <= reply.status < 400 or reply.status >= 500:
        return Receipt(Outcome.FAILED, told, retry_after(reply.headers))
    return Receipt(Outcome.REFUSED, told)


def receipt_of_error(error: BaseException, host: str) -> Receipt:
    """REFUSED for a wrong certificate, else FAILED."""
    outcome = Outcome.REFUSED if is_lasting(error) else Outcome.FAILED
    return Receipt(outcome, f"{host}: {words_of(error)}")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that Retry-After asks for (RFC 9110 10.2.3: a number, or a date, which counts from the answer's own
    Date so that no clock of ours matters); None when it says nothing usable."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    until, said = _moment(text), _moment(headers.get("date", ""))
    return None if until is None or said is None else max((until - said).total_seconds(), 0.0)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

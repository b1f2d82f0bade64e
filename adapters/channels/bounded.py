"""What every channel does the same: it waits so long and no longer, and says what went wrong without a secret.

The time limits of the standard library hold for one read each, so that a server which sends a byte every few seconds
is never late. Here one limit holds for the whole attempt, looking up the name included.
"""

from __future__ import annotations

import errno
import http.client
import os
import queue
import smtplib
import socket
import ssl
import threading
import urllib.error
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_Done = TypeVar("_Done")
_Kept = TypeVar("_Kept")
_WRONG_SPEECH = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE")
"""OpenSSL's words for a server that speaks no TLS, or none that may still be used"""
_ROUTES = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL}


def within(seconds: float, work: Callable[[], _Done], cut: Callable[[], None]) -> _Done:
    """What `work` returns or raises; TimeoutError when that takes longer, after `cut` has ended its connections.

    The thread is abandoned then: nothing can end a look-up of a name from outside.
    """
    box: queue.SimpleQueue[tuple[_Done | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            box.put((work(), None))
        except BaseException as error:  # handed over, whatever it is: the caller must not wait for nothing
            box.put((None, error))

    threading.Thread(target=run, name="channel attempt", daemon=True).start()
    try:
        done, error = box.get(timeout=seconds)
    except queue.Empty:
        cut()
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return done  # type: ignore[return-value]  # None only where that is what work returned


class Recent(Generic[_Kept]):
    """What is remembered of the last `most` messages, by key; the oldest is forgotten first."""

    def __init__(self, most: int = 200) -> None:
        self._most = most
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def get(self, key: str, otherwise: _Kept) -> _Kept:
        """What was kept under `key`."""
        return self._kept.get(key, otherwise)

    def keep(self, key: str, value: _Kept) -> None:
        """Remember `value`."""
        self._kept[key] = value
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)


def is_lasting(error: BaseException) -> bool:
    """Whether the same attempt can never succeed: the other side has the wrong certificate, or speaks no TLS."""
    cause = _cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return True
    return isinstance(cause, ssl.SSLError) and cause.reason in _WRONG_SPEECH


def words_of(error: BaseException) -> str:
    """What went wrong in our own words: the libraries' texts may quote an address with its password."""
    cause = _cause(error)
    if isinstance(cause, TimeoutError):
        return str(cause) if str(cause).startswith("no answer within") else "no answer in time"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message.rstrip('.')}"
    if isinstance(cause, ssl.SSLError) and cause.reason in _WRONG_SPEECH:
        return "it speaks no TLS on this port, or none that is secure"
    if isinstance(cause, ssl.SSLError):
        return f"the encrypted connection failed ({cause.reason or 'no reason given'})"
    if isinstance(cause, socket.gaierror):
        return "the name of the host cannot be looked up"
    if isinstance(cause, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(cause, smtplib.SMTPServerDisconnected) and "timed out" in str(cause):
        return "no answer in time"
    if isinstance(cause, ConnectionError | http.client.RemoteDisconnected | smtplib.SMTPServerDisconnected):
        return "the connection was cut"
    if isinstance(cause, OSError) and cause.errno in _ROUTES:
        return "the host cannot be reached"
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno).lower()
    if isinstance(cause, http.client.HTTPException):
        return "the answer is not HTTP"
    return f"{type(cause).__name__} while sending"


def _cause(error: BaseException) -> BaseException:
    """The error that urllib wraps."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return error.reason
    return error

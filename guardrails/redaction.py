"""Account numbers, tokens and passwords are taken out of texts that others wrote: a broker's error message, a
traceback. Our own texts never hold them; the log is where what nobody thought of arrives.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import TextIO

MASK = "•••"

_ACCOUNT = re.compile(
    r"(?<![A-Za-z0-9])"
    r"(?:D?[UFI]\d{5,9}"  # IBKR: live or paper user, advisor, advisor's client
    r"|\d[A-Z]{2}(?=[A-Z]*\d)[A-Z0-9]{4,6})"  # tastytrade; a digit more keeps words in capitals readable
    r"(?![A-Za-z0-9])"
)
_BEARER = re.compile(r"\b(bearer\s+)(?!token\b)[\w.~+/=-]+", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?")
_PASSWORD = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://[^\s:/@]*:)\S*@")
"""up to the last @: a password that was not escaped may hold one"""
_CHATTERS = ("ib_async", "eventkit", "tastytrade", "httpx2", "httpcore2")
"""they print whole positions, tokens and an error at every attempt; the adapters report their conditions themselves"""


def redact(text: str) -> str:
    """`text` with account numbers cut to their last four, and without bearer tokens, JWTs and passwords in URLs."""
    text = _PASSWORD.sub(rf"\1{MASK}@", text)
    text = _JWT.sub(MASK, _BEARER.sub(rf"\1{MASK}", text))
    return _ACCOUNT.sub(lambda found: MASK + found[0][-4:], text)


class RedactingFormatter(logging.Formatter):
    """Writes a record, its traceback included, as `redact` leaves it; times in UTC."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        """The whole text of `record`, redacted."""
        return redact(super().format(record))


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at that moment, which whoever runs this process may have exchanged."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def install() -> None:
    """Send warnings and worse to standard error, redacted, and quiet the libraries; further calls change nothing.

    Handlers that are there already stay as they are.
    """
    for name in _CHATTERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    root = logging.getLogger()
    if any(isinstance(handler, _StandardError) for handler in root.handlers):
        return
    handler = _StandardError()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(RedactingFormatter())
    root.addHandler(handler)

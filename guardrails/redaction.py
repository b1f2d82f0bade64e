"""Account numbers, tokens and passwords are taken out of texts that others wrote: a broker's error message, a
traceback. Our own texts never hold them; the log is where what nobody thought of arrives.

Some are known by how they look; the secrets of the settings are known by value (`hide_settings`), whatever they look
like and however they are encoded.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TextIO

from pydantic import BaseModel, SecretBytes, SecretStr

from guardrails import hidden

MASK = "•••"

_ACCOUNT = re.compile(
    r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"  # or after the end of a line as a representation writes it
    r"(?:D?[UFI]\d{5,9}"  # IBKR: live or paper user, advisor, advisor's client
    r"|\d[A-Z]{2}(?=[A-Z]*\d)[A-Z0-9]{4,6})"  # tastytrade; a digit more keeps words in capitals readable
    r"(?![A-Za-z0-9])"
)
_BEARER = re.compile(r"\b(bearer\s+)(?!token\b)[\w.~+/=-]+", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?")
_PASSWORD = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://[^\s:/@]*:)\S*@")
"""up to the last @: a password that was not escaped may hold one"""
_NAMED = re.compile(r"\b(\w*pass(?:word|wd|phrase)=)(?:'[^']*'|\"[^\"]*\"|[^\s&;,'\"]+)", re.IGNORECASE)
"""in a query, or in the connection string of a driver"""
_OF_DRIVERS = ("PGPASSWORD",)
"""variables that drivers read by themselves, which are no settings"""
_CHATTERS = ("ib_async", "eventkit", "tastytrade", "httpx2", "httpcore2")
"""they print whole positions, tokens and an error at every attempt; the adapters report their conditions themselves"""
_LINE_LENGTH = 6
"""a shorter line of a secret of several lines may stand in any text"""

_guard = threading.Lock()
_values: hidden.Values = {}
"""what `hide` was told; replaced whole, so that `redact` needs no lock"""


def hide(*secrets: str) -> None:
    """Let no text that passes `redact` hold one of the `secrets` from now on; callable from any thread.

    A secret may be of several lines, a list of account numbers, or one URL or more: then its telling parts are hidden
    too (`hidden.parts_of_urls`). One of less than six characters is hidden only where it is a whole word.
    """
    global _values  # noqa: PLW0603  # the log is one per process, and so is what may not be in it
    with _guard:
        known = [value for same in _values.values() for value in same]
        _values = hidden.grouped([*known, *(way for secret in secrets for way in _ways(secret))])


def hide_settings(settings: BaseModel) -> None:
    """Hide the value of every field of `settings` that holds a `SecretStr`, also within a list or a mapping, and the
    passwords that drivers take from the environment."""
    hide(*(secret for name in type(settings).model_fields for secret in _secrets(getattr(settings, name))))
    hide(*(os.environ.get(name, "") for name in _OF_DRIVERS))


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, SecretBytes):
        yield value.get_secret_value().decode("utf-8", "replace")
    elif isinstance(value, Mapping):
        yield from (secret for item in value.values() for secret in _secrets(item))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (secret for item in value for secret in _secrets(item))


def _ways(secret: str) -> Iterator[hidden.Hidden]:
    secret = secret.strip()
    numbers = re.split(r"[,;\s]+", secret)
    if all(map(_ACCOUNT.fullmatch, numbers)):
        yield from (way for number in numbers for way in hidden.ways(number, MASK + number[-4:]))
        return
    lines = [line.strip() for line in secret.splitlines()] if "\n" in secret else []
    is_url = "://" in secret
    whole = [] if is_url or not secret else [secret]
    for text in (*whole, *(line for line in lines if len(line) >= _LINE_LENGTH)):
        yield from hidden.ways(text, MASK)
    for part, only_in_url in hidden.parts_of_urls(secret) if is_url else ():
        yield from (hidden.ways_in_url if only_in_url else hidden.ways)(part, MASK)


def redact(text: str) -> str:
    """`text` without what `hide` was told, bearer tokens, JWTs and the passwords of URLs and connection strings, and
    with account numbers cut to four."""
    text = hidden.without(text, _values)
    # what is looked for first is found, or not, in a twentieth of the time
    text = _PASSWORD.sub(rf"\1{MASK}@", text) if "://" in text else text
    text = _NAMED.sub(rf"\1{MASK}", text) if "pass" in (lowered := text.lower()) else text
    text = _BEARER.sub(rf"\1{MASK}", text) if "bearer" in lowered else text
    text = _JWT.sub(MASK, text) if "eyJ" in text else text
    return without_accounts(text)


def without_accounts(name: str) -> str:
    """`name` with account numbers cut to four, and nothing else: for names of our own by which something is found
    again. What `hide` was told may be a word like any other, such as the topic of an address."""
    return _ACCOUNT.sub(lambda found: MASK + found[0][-4:], name)


class RedactingFormatter(logging.Formatter):
    """Writes a record, its traceback included, as `redact` leaves it; times in UTC."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        """The whole text of `record`, redacted."""
        return redact(super().format(record))


class StandardError(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at that moment, which whoever runs this process may have exchanged."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write `record` there."""
        self.stream = sys.stderr
        super().emit(record)


def install() -> None:
    """Send warnings and worse to standard error, redacted, and quiet the libraries; further calls change nothing.

    Handlers that are there already stay as they are.
    """
    for name in _CHATTERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    root = logging.getLogger()
    if any(isinstance(handler, StandardError) for handler in root.handlers):
        return
    handler = StandardError()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(RedactingFormatter())
    root.addHandler(handler)

"""Every other service, by Apprise URLs: Telegram, Discord, PagerDuty, ntfy, Pushover and a hundred more.

ALERT_URLS lists them with commas or blanks between, each with a name before it or without:

    phone=ntfy://topic, tgram://token/chat

Such a URL is a secret in every part, so nothing of it is ever told but its scheme and the name.
"""

from __future__ import annotations

import importlib
import logging
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import unquote

from pydantic import SecretStr

from adapters.channels.bounded import within, words_of
from guardrails.alerts.message import clean
from guardrails.alerts.plain import text_of
from guardrails.alerts.values import Message, Outcome, Receipt, Severity
from guardrails.redaction import MASK

SETTING = "ALERT_URLS"
SECONDS = 25.0
MISSING = "the package apprise is not installed: pip install 'portfolio-guardrails[apprise]'"
_BETWEEN = re.compile(r"[\s,]+(?=(?:[\w-]+=)?[A-Za-z][\w+.-]*://)|\s+")
"""a comma inside a URL belongs to it, unless another URL begins behind it"""
_ENTRY = re.compile(r"(?:([\w-]+)=)?(([A-Za-z][\w+.-]*)://\S+)", re.ASCII)
_PIECES = re.compile(r"[/:@?&=,;#+\s]+")
_PARTS = 3
"""messages that a service with short ones gets for one of ours; apprise waits seconds between them"""
_WORDS = 200
_QUIET = ("urllib3", "requests")
"""they tell every address at DEBUG"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One element of ALERT_URLS."""

    name: str
    scheme: str
    url: SecretStr
    problem: str = ""


def entries(text: str) -> Iterator[Entry]:
    """The elements of ALERT_URLS; one that cannot be read has a problem that tells its place, not its text."""
    for place, part in enumerate(filter(None, _BETWEEN.split(text.strip(" ,\t\r\n"))), start=1):
        found = _ENTRY.fullmatch(part.rstrip(","))
        if found is None:
            problem = f"entry {place} of {SETTING} is not a URL: write scheme://... or name=scheme://..."
            yield Entry(f"url-{place}", "", SecretStr(""), problem)
        else:
            scheme = found[3].lower()
            yield Entry((found[1] or scheme).lower(), scheme, SecretStr(found[2]))


class AppriseChannel:
    """One service; apprise is imported when the first one is made."""

    def __init__(self, entry: Entry, seconds: float = SECONDS) -> None:
        self.name = entry.name
        self.kind = entry.scheme or "Apprise"
        self._secrets = secrets_of(entry.url.get_secret_value())
        self._seconds = seconds
        self._service: Any = None
        self.problem = entry.problem
        if not self.problem:
            self._service, self.problem = _service(entry)
        if self._service is not None:
            self.kind = clean(str(self._service.service_name), 40)

    def send(self, message: Message) -> Receipt:
        """SENT when apprise says so; it does not tell what may pass from what may not, so all else is FAILED."""
        if self._service is None:
            return Receipt(Outcome.REFUSED, self.problem)
        try:
            taken, said = within(self._seconds, partial(_notify, self._service, message), lambda: None)
        except Exception as error:  # whatever a plug-in raises, the other channels go on
            return Receipt(Outcome.FAILED, f"{self.kind}: {words_of(error)}")
        if taken:
            return Receipt(Outcome.SENT, f"{self.kind} took it")
        told = clean(scrubbed(said, self._secrets), _WORDS) or "no reason given"
        return Receipt(Outcome.FAILED, f"{self.kind} did not take it: {told}")


def secrets_of(url: str) -> tuple[str, ...]:
    """Every part of `url` but its scheme, as it stands and decoded, the longest first; what is shorter than 3 is no
    secret."""
    rest = url.partition("://")[2]
    parts = {rest, unquote(rest), *_PIECES.split(rest), *_PIECES.split(unquote(rest))}
    parts |= {unquote(part) for part in parts}
    return tuple(sorted((part for part in parts if len(part) >= 3), key=len, reverse=True))


def scrubbed(text: str, secrets: Sequence[str]) -> str:
    """`text` without any of `secrets`, in capitals or not."""
    for secret in secrets:
        text = re.sub(re.escape(secret), MASK, text, flags=re.IGNORECASE)
    return text


class _Listener(logging.Filter):
    """Keeps what apprise says for whoever sends in that thread, and lets nothing through to any handler."""

    def __init__(self) -> None:
        super().__init__()
        self._heard = threading.local()

    def begin(self) -> list[str]:
        """What is said in this thread from now on."""
        self._heard.said = []
        return self._heard.said  # type: ignore[no-any-return]  # the list above

    def filter(self, record: logging.LogRecord) -> bool:
        """False, always; the first few warnings are kept."""
        said = getattr(self._heard, "said", None)
        if said is not None and record.levelno >= logging.WARNING and len(said) < 3:
            said.append(record.getMessage()[:_WORDS])
        return False


_LISTENER = _Listener()


def _service(entry: Entry) -> tuple[Any, str]:
    """The plug-in, or None and why there is none."""
    try:
        apprise = importlib.import_module("apprise")
    except ImportError:
        return None, MISSING
    _hush()
    asset = apprise.AppriseAsset(
        app_id="Portfolio Guardrails", app_desc="Portfolio Guardrails", secure_logging=True, http_redirects=False
    )  # a POST that is sent on arrives as a GET without its body and would count as taken
    try:
        service = apprise.Apprise.instantiate(entry.url.get_secret_value(), asset=asset)
    except Exception:  # a plug-in's own way to say that it cannot read its URL
        service = None
    if service is None:
        return None, f"the URL of {entry.name} ({entry.scheme}) in {SETTING} is not one that apprise can use"
    if service.overflow_mode is apprise.OverflowMode.UPSTREAM:  # nobody chose: the service would refuse what is longer
        service.overflow_mode = apprise.OverflowMode.SPLIT
    return service, ""


def _hush() -> None:
    """Its log holds addresses, so nothing of it reaches ours; what it says of an attempt stands in the receipt."""
    logger = logging.getLogger("apprise")
    logger.addFilter(_LISTENER)  # once, however often it is asked
    logger.propagate = False  # what loggers below it say
    for name in _QUIET:
        if logging.getLogger(name).level == logging.NOTSET:
            logging.getLogger(name).setLevel(logging.WARNING)


def _notify(service: Any, message: Message) -> tuple[bool, str]:
    """Whether it was taken, and what apprise said, in which secrets may stand."""
    said = _LISTENER.begin()
    body = text_of(replace(message, title=""), _PARTS * int(service.body_maxlen)).strip()
    taken = service.notify(body=body, title=message.title, notify_type=_kind(message), body_format="text")
    return bool(taken), "; ".join(said)


def _kind(message: Message) -> str:
    """What apprise makes an icon, a colour or an urgency of."""
    if message.test:
        return "info"
    if message.resolved:
        return "success"
    return "failure" if message.severity in (Severity.CRITICAL, Severity.BREACH) else "warning"

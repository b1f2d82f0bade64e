"""`POST /api/simulate` and `POST /api/orders`: who may ask, how often, and what is answered.

A request passes, in this order: a token is set, the page that asks (Origin) is our own, the right token, not too many,
JSON of a sane size. Then it is asked of the program that watches, as a page would. A storm of wrong tokens is turned
away without keeping the right one out: who guesses must not be able to stop who closes a position.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from pydantic import SecretStr

from guardrails import requests
from guardrails.gate.values import Impact, Verdict
from guardrails.http import JSON
from guardrails.order_json import each_once, impact_document, impact_of
from guardrails.redaction import redact
from guardrails.requests import Kind, Said

Reply = tuple[int, str, bytes, dict[str, str]]
"""status, media type, body, headers"""

MOST_BYTES = 64 * 1024
A_MINUTE, WRONG_A_MINUTE = 120, 10
"""requests with the right token, and with a wrong one, answered within a minute"""
ANSWER_SECONDS, LOOK_SECONDS = 30.0, 0.02
AUTHOR = "HTTP API"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_BESIDE = ("token", "reason")
"""keys that may stand beside those of an order: an approval, and the reason against a warning"""


class Asked(Protocol):
    """What is needed of the engine."""

    def ask(self, kind: str, body: Mapping[str, str], author: str) -> str:
        """Ask the program that watches; the key of the answer."""

    def answer(self, key: str) -> requests.Answer | None:
        """What came of it; None while it is not known."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request, as far as it matters."""

    headers: Mapping[str, str]
    """names in lower case"""
    body: bytes


class Doorkeeper:
    """Lets calls in; one per process, callable from any thread."""

    def __init__(self, token: SecretStr | None, steady: Callable[[], float]) -> None:
        """`token` is GUARDRAILS_API_TOKEN; without one nobody comes in."""
        self._token = "" if token is None else token.get_secret_value().strip()
        self._steady = steady
        self._guard = threading.Lock()
        self._right: deque[float] = deque()
        self._wrong: deque[float] = deque()

    def refusal(self, call: Call) -> Reply | None:
        """Why `call` is turned away; None when it may come in."""
        if not self._token:
            return error(403, "GUARDRAILS_API_TOKEN is not set, so nobody may simulate or send orders by HTTP.")
        origin = call.headers.get("origin")
        if origin is not None and not _is_ours(origin, call.headers.get("host", "")):
            return error(403, "The page that asks is not one of this program.")
        if not self._is_right(call.headers.get("authorization", "")):
            if (wait := self._counted(self._wrong, WRONG_A_MINUTE)) > 0:
                return error(429, "Too many wrong tokens; wait.", {"retry-after": f"{wait:.0f}"})
            return error(401, "Send the header Authorization: Bearer and the token.", {"www-authenticate": "Bearer"})
        if (wait := self._counted(self._right, A_MINUTE)) > 0:
            return error(429, f"More than {A_MINUTE} requests within a minute; wait.", {"retry-after": f"{wait:.0f}"})
        if call.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            return error(415, f"Send the order as {JSON}.")
        if len(call.body) > MOST_BYTES:
            return error(413, f"The order has {len(call.body):,} bytes, {MOST_BYTES:,} are taken.")
        return None

    def _is_right(self, header: str) -> bool:
        scheme, _, told = header.partition(" ")
        same = hmac.compare_digest(told.strip().encode("utf-8", "replace"), self._token.encode("utf-8", "replace"))
        return same and scheme.lower() == "bearer"

    def _counted(self, times: deque[float], most: int) -> float:
        """Count one more; seconds until one is answered again, 0 when this one is. Looked at and counted in one step,
        so that what comes at the same moment is not answered beyond the bound."""
        with self._guard:
            now = self._steady()
            while times and now - times[0] >= 60.0:
                times.popleft()
            if len(times) >= most:
                return max(60.0 - (now - times[0]), 1.0)
            times.append(now)
            return 0.0


def _is_ours(origin: str, host: str) -> bool:
    """Whether a page of this program sent it: same host and port, on this machine."""
    try:
        parts = urlsplit(origin)
        return parts.hostname in _LOOPBACK and parts.netloc.lower() == host.lower()
    except ValueError:
        return False


async def simulate(engine: Asked, call: Call) -> Reply:
    """200 with the Impact; 400 when the order cannot be read, 503 when nobody answers."""
    told = _object(call.body)
    if told is None or any(key in told for key in _BESIDE):
        return error(400, "The body must be one order, a JSON object; see docs/orders.md.")
    answer = await _asked(engine, Kind.SIMULATE, {"order": json.dumps(told), "preview": "yes"})
    if answer is None or answer.said is not Said.DONE:
        return _no_impact(answer, 503)
    impact = _impact(answer.content)
    return _no_impact(answer, 503) if impact is None else _json(200, impact_document(impact))


async def submit(engine: Asked, call: Call) -> Reply:
    """201 once the order was handed to the broker, 422 with the reasons when it is blocked, 400 when it is no order.

    Beside the keys of an order `token` may name the approval of a simulation; without one the order is simulated now.
    A WARN is sent only with a `reason`. 504: it is not known whether it was sent; ask /api/snapshot, do not repeat it.
    """
    told = _object(call.body)
    if told is None:
        return error(400, "The body must be one order, a JSON object; see docs/orders.md.")
    beside = {key: told.pop(key) for key in _BESIDE if key in told}
    if not all(isinstance(value, str) for value in beside.values()):
        return error(400, "token and reason are texts.")
    order = json.dumps(told)
    if not beside.get("token"):
        answer = await _asked(engine, Kind.SIMULATE, {"order": order, "preview": "yes"})
        if answer is None or answer.said is not Said.DONE:
            return _no_impact(answer, 503)
        impact = _impact(answer.content)
        if impact is None or impact.approval is None or impact.verdict is Verdict.BLOCK:
            return _no_impact(answer, 503) if impact is None else _json(422, impact_document(impact))
        beside["token"] = impact.approval.token
    body = {"order": order, "rationale": str(told.get("rationale", "")), "origin": "api", "tag": "MANUAL", **beside}
    answer = await _asked(engine, Kind.SUBMIT, body)
    if answer is None or answer.said is Said.UNKNOWN:
        return error(504, "It is not known whether the order was sent. Look at the blotter; do not send it again.")
    sent = _object(answer.content.encode()) or {}
    impact = _impact(json.dumps(sent.get("impact"))) if sent.get("impact") else None
    document = {} if impact is None else impact_document(impact)
    if answer.said is not Said.DONE:
        document.setdefault("verdict", Verdict.BLOCK.value)
        if not document.get("reasons") or document["verdict"] != Verdict.BLOCK.value:
            refused = {"code": answer.said.value, "check": "", "subject": "", "message": redact(answer.words)}
            document["reasons"] = [refused, *document.get("reasons", [])]
        return _json(422, document)
    return _json(201, {**document, "order": {"key": sent.get("key", ""), "state": sent.get("state", "")}})


async def _asked(engine: Asked, kind: Kind, body: Mapping[str, str]) -> requests.Answer | None:
    """The answer, or None when none came within `ANSWER_SECONDS`."""
    key = await asyncio.to_thread(engine.ask, kind, body, AUTHOR)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            while (answer := engine.answer(key)) is None:  # noqa: ASYNC110  # it comes from another thread or program
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        return None
    return answer


def _no_impact(answer: requests.Answer | None, status: int) -> Reply:
    if answer is None:
        return error(status, "The program that watches did not answer; nothing was sent.")
    return error(400 if answer.said is Said.REFUSED else status, redact(answer.words))


def _object(body: bytes) -> dict[str, Any] | None:
    """What `body` holds; None when it is no object, names something twice, or holds text that cannot be kept."""
    try:
        told = json.loads(body, object_pairs_hook=each_once)
        kept = json.dumps(told, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and b"\\u0000" not in kept else None


def _impact(text: str) -> Impact | None:
    try:
        return impact_of(text)
    except ValueError:
        return None


def error(status: int, words: str, headers: Mapping[str, str] | None = None) -> Reply:
    """A refusal in words."""
    code, media_type, body, _ = _json(status, {"error": words})
    return code, media_type, body, dict(headers or {})


def _json(status: int, body: object) -> Reply:
    return status, JSON, json.dumps(body).encode(), {}

"""Reads from the REST API through the SDK's session: what the SDK leaves out (status, Retry-After, retries, an answer
to a dead token, all pages) is added here, and answers come back as raw records, so that one bad row stays one row.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import tastytrade
from tastytrade.utils import TastytradeError

from adapters.condition import Condition, Lost
from adapters.skew import Skew
from adapters.tastytrade import conditions
from adapters.tastytrade.access import Access
from guardrails.redaction import redact

log = logging.getLogger(__name__)

Record = Mapping[str, Any]

_MARGIN_SECONDS = 60.0
"""how long before its end the SDK replaces a token"""
READ_SECONDS = 10.0
"""longest wait for one answer, all of it"""
TRIES = 3
PATIENCE_SECONDS = 5.0
"""longest pause within one read; a longer Retry-After ends it"""
PAGE = 250
_MOST_PAGES = 200
_LOGIN_PAUSES = (2.0, 5.0, 15.0, 60.0, 300.0)
"""seconds until the next login after one that failed; too many block the address for hours"""
_GRANT_PAUSE = timedelta(minutes=30)
_FORCED_PAUSE = timedelta(seconds=60)
_TERMINAL = ("invalid_grant", "invalid_client")
_UNAUTHORISED = 401


class Session(tastytrade.Session):
    """The SDK's session at a base URL of our choice; it remembers the status of its last login."""

    def __init__(self, access: Access) -> None:
        self.login_status: int | None = None
        self.login_wait: float | None = None
        super().__init__(
            access.secret,
            access.refresh,
            is_test=access.sandbox,
            timeout=httpx2.Timeout(5.0),
            trust_env=not access.loopback,
            event_hooks={"response": [self._noticed]},
        )
        self._client.base_url = httpx2.URL(access.base_url)

    async def _noticed(self, response: httpx2.Response) -> None:
        if response.request.url.path.endswith("/oauth/token"):
            self.login_status, self.login_wait = response.status_code, retry_after(response)

    async def refresh(self, force: bool = False) -> None:  # noqa: FBT001, FBT002  # the SDK's
        """As the SDK, but a token of short life is not replaced at every call, as its margin of 60 s would have it."""
        before = self.session_expiration
        await super().refresh(force)
        if self.session_expiration != before:
            life = self.session_expiration - time.time()  # the clock the SDK counts with
            self.session_expiration += max(_MARGIN_SECONDS - life / 4.0, 0.0)

    @property
    def valid(self) -> bool:
        """Whether the token in force need not be replaced yet."""
        return time.time() < self.session_expiration - _MARGIN_SECONDS

    async def ask(self, path: str, params: Mapping[str, Any] | None) -> httpx2.Response:
        """One GET with the token in force, whatever the answer."""
        return await self._client.get(path, params=None if params is None else dict(params))

    async def send(self, path: str, body: Mapping[str, Any]) -> httpx2.Response:
        """One POST with the token in force, whatever the answer."""
        return await self._client.post(path, json=dict(body))

    async def aclose(self) -> None:
        """Close the pool."""
        await self._client.aclose()


class Refused(Exception):  # noqa: N818  # an answer, not always a fault
    """The API answered with an error: its status and its own words, redacted."""

    def __init__(self, status: int, said: str) -> None:
        self.status, self.said = status, said
        super().__init__(f"{status}: {said}")


class Incomplete(Exception):  # noqa: N818  # as above
    """An answer that is not the whole list, or not of the shape that was asked for."""


class Api:
    """One session, its login guarded. All of it belongs to the loop it was made on."""

    def __init__(self, access: Access, clock: Callable[[], datetime]) -> None:
        self.session = Session(access)
        self.skew = Skew()
        self.answered: datetime | None = None
        """when the API last answered anything"""
        self._clock = clock
        self._login_lock = asyncio.Lock()
        self._failed_logins = 0
        self._no_login_before: datetime | None = None
        self._login_trouble: Condition = conditions.CONNECTING
        self._forced: datetime | None = None
        self._not_before: datetime | None = None
        """until then the other side wants to be left alone"""

    async def get(self, path: str, params: Mapping[str, Any] | None = None) -> Record:
        """`data` of the answer. Lost when there is no way in; Refused or Incomplete when the answer is of no use."""
        return self._data(path, await self._json(path, params))

    async def items(self, path: str, params: Mapping[str, Any] | None = None) -> tuple[Record, ...]:
        """Every row of a list, over all its pages; Incomplete unless they are whole."""
        rows: list[Record] = []
        for page in range(_MOST_PAGES):
            asked = {**(params or {}), **({"page-offset": page} if page else {})}
            answer = await self._json(path, asked)
            found = self._data(path, answer).get("items")
            if not isinstance(found, list):
                raise Incomplete(f"{path} has no list of items")
            rows += [row if isinstance(row, dict) else {"unreadable": row} for row in found]
            turned = answer.get("pagination")
            if not isinstance(turned, dict):
                return tuple(rows)
            told, total = (_count(turned.get(name)) for name in ("page-offset", "total-pages"))
            if told != page or total is None:
                raise Incomplete(f"{path} gave page {told} of {total} when asked for page {page}")
            if page >= total - 1:
                whole = _count(turned.get("total-items"))
                if whole is not None and whole != len(rows):
                    raise Incomplete(f"{path} has {whole} rows but gave {len(rows)}")
                return tuple(rows)
            if not found:
                raise Incomplete(f"{path} gave an empty page {page} of {total}")
        raise Incomplete(f"{path} has more than {_MOST_PAGES} pages")

    async def post(self, path: str, body: Mapping[str, Any]) -> Record:
        """`data` of the answer to one POST, never sent twice."""
        await self.enter()
        async with asyncio.timeout(READ_SECONDS):
            answer = await self.session.send(path, body)
        self._heard(answer, self._clock())
        return self._data(path, self._read(path, answer))

    async def enter(self, refused: str = "") -> None:
        """Have a valid access token; `refused` is one that was answered with 401 and must be replaced.

        Lost with the condition when there is none and it is not the time to try again.
        """
        async with self._login_lock:
            now = self._clock()
            force = bool(refused) and self.session.session_token == refused
            if force and self._forced is not None and now - self._forced < _FORCED_PAUSE:
                raise Lost(conditions.NOT_AUTHORISED)
            pausing = self._no_login_before is not None and now < self._no_login_before
            if pausing and (force or not self.session.valid):
                raise Lost(self._login_trouble)
            self._forced = now if force else self._forced
            try:
                async with asyncio.timeout(READ_SECONDS):
                    await self.session.refresh(force)
            except Exception as error:
                raise Lost(self._login_failed(error)) from None
            self._failed_logins, self._no_login_before = 0, None

    def _login_failed(self, error: Exception) -> Condition:
        now, status = self._clock(), self.session.login_status
        said = f"{error}"
        if isinstance(error, (httpx2.TransportError, TimeoutError, OSError)):
            trouble = conditions.unreachable(type(error).__name__)
            if isinstance(error, httpx2.ConnectError):  # nobody was there to count it
                self._failed_logins = min(self._failed_logins, 1)
        elif isinstance(error, TastytradeError) and any(word in said for word in _TERMINAL):
            self._login_trouble, self._no_login_before = conditions.GRANT_REFUSED, now + _GRANT_PAUSE
            return self._login_trouble
        else:
            trouble = conditions.login_failing(_short(said) if isinstance(error, TastytradeError) else "no token in it")
        pause = _LOGIN_PAUSES[min(self._failed_logins, len(_LOGIN_PAUSES) - 1)] * _jitter()
        wait = self.session.login_wait if status is not None and status >= 400 else None  # HTTP
        self._failed_logins += 1
        self._login_trouble, self._no_login_before = trouble, now + timedelta(seconds=max(pause, wait or 0.0))
        return trouble

    async def _json(self, path: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
        """The whole answer; reads that may succeed later are tried again."""
        if self._not_before is not None and (self._not_before - self._clock()).total_seconds() > PATIENCE_SECONDS:
            raise Lost(conditions.RATE_LIMITED)
        for attempt in range(1, TRIES + 1):
            pause = 0.3 * 3**attempt * _jitter() / 2
            try:
                return await self._once(path, params)
            except (httpx2.TransportError, TimeoutError) as error:
                if attempt == TRIES:
                    raise Lost(conditions.unreachable(type(error).__name__)) from None
            except _Later as later:
                if later.limited and later.wait is not None:
                    self._not_before = self._clock() + timedelta(seconds=later.wait)
                if attempt == TRIES or (later.wait or 0.0) > PATIENCE_SECONDS:
                    raise (Lost(conditions.RATE_LIMITED) if later.limited else later.refused) from None
                pause = max(pause, later.wait or 0.0)
            await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    async def _once(self, path: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
        await self.enter()
        for second in (False, True):
            token, sent = self.session.session_token, self._clock()
            async with asyncio.timeout(READ_SECONDS):
                answer = await self.session.ask(path, params)
            self._heard(answer, sent)
            if answer.status_code != _UNAUTHORISED:
                return self._read(path, answer)
            if not second:
                await self.enter(refused=token)
        raise Lost(conditions.NOT_AUTHORISED)

    def _heard(self, answer: httpx2.Response, sent: datetime) -> None:
        self.answered = self._clock()
        try:
            told = parsedate_to_datetime(answer.headers.get("Date", ""))
        except (TypeError, ValueError):
            return
        self.skew.heard(told if told.tzinfo else told.replace(tzinfo=UTC), sent, self.answered)

    def _read(self, path: str, answer: httpx2.Response) -> dict[str, Any]:
        status = answer.status_code
        try:
            content: Any = answer.json()
        except ValueError:
            content = None
        if status // 100 != 2:  # HTTP
            refused = Refused(status, _short(_said(content)))
            if status == 429 or status >= 500:  # HTTP
                raise _Later(refused, retry_after(answer), limited=status == 429)  # HTTP
            raise refused
        if not isinstance(content, dict):
            raise _Later(Refused(status, f"{path} is not JSON"), None, limited=False)
        return content

    @staticmethod
    def _data(path: str, answer: Mapping[str, Any]) -> Record:
        data = answer.get("data")
        if not isinstance(data, dict) or not data:
            raise Incomplete(f"{path} has no data")
        return data


class _Later(Exception):  # noqa: N818  # an answer, not always a fault
    """The same read may succeed later."""

    def __init__(self, refused: Refused, wait: float | None, *, limited: bool) -> None:
        self.refused, self.wait, self.limited = refused, wait, limited
        super().__init__(str(refused))


def retry_after(answer: httpx2.Response) -> float | None:
    """Seconds the other side asks to wait, if it does so in seconds."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else None


def _said(content: object) -> str:
    """The error in its own words."""
    error = content.get("error") if isinstance(content, dict) else None
    if isinstance(error, dict):
        return f"{error.get('code', '')} {error.get('message', '')}".strip()
    return "no reason given"


def _short(text: str) -> str:
    return redact(" ".join(text.split()))[:160]


def _count(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None


def _jitter() -> float:
    return random.uniform(0.8, 1.2)  # noqa: S311  # jitter, not a secret

"""The login: the SDK's session at a base URL of our choice, and a guard so that failures never become a storm."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx2
import tastytrade
from tastytrade.utils import TastytradeError

from adapters.condition import Condition, Lost
from adapters.tastytrade import conditions
from adapters.tastytrade.access import Access
from guardrails.redaction import redact

LOGIN_SECONDS = 10.0
_MARGIN_SECONDS = 60.0
"""how long before its end the SDK replaces a token"""
_PAUSES = (2.0, 5.0, 15.0, 60.0, 300.0)
"""seconds until the next login after one that failed; too many block the address for hours"""
_GRANT_PAUSE, _FORCED_PAUSE = timedelta(minutes=30), timedelta(seconds=60)
_TERMINAL = ("invalid_grant", "invalid_client")


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

    async def tell(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx2.Response:
        """One request that may change something, with the token in force; no redirect is followed."""
        content = None if body is None else dict(body)
        return await self._client.request(method, path, json=content, follow_redirects=False)

    async def aclose(self) -> None:
        """Close the pool."""
        await self._client.aclose()


class Login:
    """Has a token that is in force, or says why not. It belongs to the loop it was made on."""

    def __init__(self, session: Session, clock: Callable[[], datetime]) -> None:
        self.session = session
        self._clock = clock
        self._lock = asyncio.Lock()
        self._failures = 0
        self._failed: tuple[datetime, timedelta] | None = None
        """when the last login failed, and how long to wait since"""
        self._trouble: Condition = conditions.CONNECTING
        self._forced: datetime | None = None
        self._accepted = ""

    def accepted(self, token: str) -> None:
        """`token` opened the door: should it be refused later, a login is worth another try at once."""
        self._accepted = token

    async def enter(self, refused: str = "") -> None:
        """Have a valid access token; `refused` is one that was answered with 401 and must be replaced.

        Lost with the condition when there is none and it is not the time to try again.
        """
        async with self._lock:
            now = self._clock()
            force = bool(refused) and self.session.session_token == refused
            lately = self._forced is not None and timedelta() <= now - self._forced < _FORCED_PAUSE
            if force and lately and self._accepted != refused:
                raise Lost(conditions.NOT_AUTHORISED)
            if (force or not self.session.valid) and self._pausing(now):
                raise Lost(self._trouble)
            token = self.session.session_token
            try:
                async with asyncio.timeout(LOGIN_SECONDS):
                    await self.session.refresh(force)
            except Exception as error:
                self.session.session_expiration = 0.0 if force else self.session.session_expiration  # it is refused
                raise Lost(self._went_wrong(error)) from None
            self._forced = now if force else self._forced
            if self.session.session_token != token:
                self._failures, self._failed = 0, None

    def _pausing(self, now: datetime) -> bool:
        """Whether a login failed so lately that it is not tried again; not when the clock was set back since."""
        return self._failed is not None and timedelta() <= now - self._failed[0] < self._failed[1]

    def _went_wrong(self, error: Exception) -> Condition:
        said, status = str(error), self.session.login_status
        pause = timedelta(seconds=_PAUSES[min(self._failures, len(_PAUSES) - 1)] * jitter())
        if isinstance(error, httpx2.ConnectError):  # nobody was there to count it
            trouble, self._failures = conditions.unreachable(type(error).__name__), min(self._failures, 1)
        elif isinstance(error, (httpx2.TransportError, TimeoutError, OSError)):
            trouble = conditions.unreachable(type(error).__name__)
        elif not isinstance(error, TastytradeError):
            trouble = conditions.login_failing("no token in the answer")
        elif any(word in said for word in _TERMINAL):
            trouble, pause = conditions.GRANT_REFUSED, _GRANT_PAUSE
        else:
            trouble = conditions.login_failing(shortened(said))
        if status is not None and status >= 400 and self.session.login_wait is not None:
            pause = max(pause, timedelta(seconds=self.session.login_wait))
        self._failures += 1
        self._trouble, self._failed = trouble, (self._clock(), pause)
        return trouble


def retry_after(answer: httpx2.Response) -> float | None:
    """Seconds the other side asks to wait, if it does so in seconds; a day at most."""
    text = answer.headers.get("Retry-After", "")
    return min(float(text), 86_400.0) if text.isascii() and text.isdigit() else None


def shortened(text: str) -> str:
    """Words of the other side as they may be shown: redacted, on one line."""
    return redact(" ".join(text.split()))[:160]


def jitter() -> float:
    """A factor near 1, so that many clients do not knock at the same moment."""
    return random.uniform(0.8, 1.2)  # noqa: S311  # jitter, not a secret

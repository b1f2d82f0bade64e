"""Reads from the REST API through the SDK's session: what the SDK leaves out (status, Retry-After, retries, an answer
to a dead token, all pages) is added here, and answers come back as raw records, so that one bad row stays one row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from adapters.condition import Lost
from adapters.skew import Skew
from adapters.tastytrade import conditions
from adapters.tastytrade.access import Access
from adapters.tastytrade.login import Login, Session, jitter, retry_after, shortened
from guardrails.redaction import redact

Record = Mapping[str, Any]

READ_SECONDS = 10.0
"""longest wait for one answer, all of it"""
TRIES = 3
PATIENCE_SECONDS = 5.0
"""longest pause within one read; a longer Retry-After ends it"""
UNASKED_WAIT = 20.0
"""pause after a second "too often" that does not say for how long"""
PAGE = 250
_MOST_PAGES = 200
_UNAUTHORISED = 401


class Refused(Exception):  # noqa: N818  # an answer, not always a fault
    """The API answered with an error: its status and its own words, redacted."""

    def __init__(self, status: int, said: str) -> None:
        self.status, self.said = status, redact(said)
        super().__init__(f"{status}: {self.said}")


class Incomplete(Exception):  # noqa: N818  # as above
    """An answer that is not the whole list, or not of the shape that was asked for."""

    def __init__(self, said: str) -> None:
        super().__init__(redact(said))


class Api:
    """One session, its login guarded. All of it belongs to the loop it was made on."""

    def __init__(self, access: Access, clock: Callable[[], datetime]) -> None:
        self.session = Session(access)
        self.login = Login(self.session, clock)
        self.skew = Skew()
        self.answered: datetime | None = None
        """when the API last answered anything"""
        self._clock = clock
        self._told_to_wait: tuple[datetime, float] | None = None
        """when the other side asked to be left alone, and for how many seconds"""

    async def get(self, path: str, params: Mapping[str, Any] | None = None) -> Record:
        """`data` of the answer. Lost when there is no way in; Refused or Incomplete when the answer is of no use."""
        return self._data(path, await self._json(path, params))

    async def items(self, path: str, params: Mapping[str, Any] | None = None) -> tuple[Record, ...]:
        """Every row of a list, over all its pages; Incomplete unless they are whole."""
        rows: list[Record] = []
        before: list[Any] = []
        for page in range(_MOST_PAGES):
            asked = {**(params or {}), **({"page-offset": page} if page else {})}
            answer = await self._json(path, asked)
            found = self._data(path, answer).get("items")
            if not isinstance(found, list):
                raise Incomplete(f"{path} has no list of items")
            if found and found == before:
                raise Incomplete(f"{path} gave page {page - 1} again as page {page}")
            before = found
            rows += [row if isinstance(row, dict) else {"unreadable": row} for row in found]
            turned = answer.get("pagination")
            if not isinstance(turned, dict):
                if page:
                    raise Incomplete(f"{path} does not say which page came after page {page - 1}")
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

    async def _json(self, path: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
        """The whole answer; reads that may succeed later are tried again."""
        if self._told_to_wait is not None:
            since, wait = self._told_to_wait
            if 0 <= (self._clock() - since).total_seconds() < wait - PATIENCE_SECONDS:
                raise Lost(conditions.RATE_LIMITED)
        for attempt in range(1, TRIES + 1):
            pause = 0.3 * 3**attempt * jitter() / 2
            try:
                return await self._once(path, params)
            except (httpx2.TransportError, TimeoutError) as error:
                if attempt == TRIES:
                    raise Lost(conditions.unreachable(type(error).__name__)) from None
            except _Later as later:
                if later.limited and (later.wait is not None or attempt > 1):
                    self._told_to_wait = (self._clock(), later.wait or UNASKED_WAIT)
                if attempt == TRIES or (later.limited and attempt > 1) or (later.wait or 0.0) > PATIENCE_SECONDS:
                    raise (Lost(conditions.RATE_LIMITED) if later.limited else later.refused) from None
                pause = max(pause, later.wait or 0.0)
            await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    async def _once(self, path: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
        await self.login.enter()
        for second in (False, True):
            token, sent = self.session.session_token, self._clock()
            async with asyncio.timeout(READ_SECONDS):
                answer = await self.session.ask(path, params)
            self._heard(answer, sent)
            if answer.status_code != _UNAUTHORISED:
                self.login.accepted(token)
                return self._read(path, answer)
            if not second:
                await self.login.enter(refused=token)
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
        except (ValueError, RecursionError):
            content = None
        if status // 100 != 2:  # HTTP
            refused = Refused(status, shortened(_said(content)))
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


def _said(content: object) -> str:
    """The error in its own words."""
    error = content.get("error") if isinstance(content, dict) else None
    if isinstance(error, dict):
        return f"{error.get('code', '')} {error.get('message', '')}".strip()
    return "no reason given"


def _count(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None

"""The REST API through the SDK's session: what the SDK leaves out (status, Retry-After, retries, an answer to a dead
token, all pages) is added here, and answers come back as raw records, so that one bad row stays one row. Only reads are
tried again; a write goes out once, and what became of it is told apart: refused, not sent, not known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx2

from adapters.condition import Lost
from adapters.skew import Skew
from adapters.tastytrade import conditions
from adapters.tastytrade.access import Access
from adapters.tastytrade.login import Login, Session, jitter, retry_after, shortened
from guardrails.errors import NotSentError, SourceError
from guardrails.redaction import redact

Record = Mapping[str, Any]
_Read = TypeVar("_Read")

READ_SECONDS = 10.0
"""longest wait for one answer, all of it"""
LOOK_UP_SECONDS = 20.0  # for what takes several answers
TRIES = 3
PATIENCE_SECONDS = 5.0
"""longest pause within one read; a longer Retry-After ends it"""
UNASKED_WAIT = 20.0
"""pause after a second "too often" that does not say for how long"""
PAGE = 250
_MOST_PAGES = 200
_UNAUTHORISED = 401
WRITE_SECONDS = 6.0
"""longest wait for the answer to one write"""
_TOOK_NOTHING = (400, 401, 403, 404, 405, 415, 422, 429)
"""answers after which it is certain that nothing was done; after any other it is not"""
_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
"""failures before the first byte of a request"""


class Refused(Exception):  # noqa: N818  # an answer, not always a fault
    """The API answered with an error: its status and its own words, redacted."""

    def __init__(self, status: int, said: str) -> None:
        self.status, self.said = status, redact(said)
        super().__init__(f"{status}: {self.said}")


class Unheard(Exception):  # noqa: N818  # as above
    """What became of a write is not known: its answer was lost, or says that something failed on the way."""

    def __init__(self, said: str) -> None:
        self.said = redact(said)
        super().__init__(f"{self.said}: what tastytrade did is not known.")


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

    async def tell(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Record:
        """`data` of the answer to one write (empty when it cannot be read, although it was accepted); never repeated.

        Refused when the API says why it did nothing, NotSentError when nothing was sent, Unheard when it is not known
        what became of it.
        """
        try:
            await self.login.enter()
        except Lost as lost:
            raise NotSentError(f"{lost.condition.sentence.rstrip('.')}; nothing was sent.") from None
        token, sent = self.session.session_token, self._clock()
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                answer = await self.session.tell(method, path, body)
        except _UNSENT as error:
            raise NotSentError(f"tastytrade cannot be reached ({type(error).__name__}); nothing was sent.") from None
        except (httpx2.TransportError, TimeoutError) as error:
            raise Unheard(f"the answer was lost ({type(error).__name__})") from None
        self._heard(answer, sent)
        status, content = answer.status_code, _content(answer)
        if status // 100 == 2:  # HTTP
            data = content.get("data") if isinstance(content, dict) else None
            return data if isinstance(data, dict) else {}
        said = shortened(_said(content))
        if status == _UNAUTHORISED:
            with suppress(Lost):  # the next call finds a token that opens the door, or says why there is none
                await self.login.enter(refused=token)
        if status in _TOOK_NOTHING:
            raise Refused(status, said)
        raise Unheard(f"tastytrade answered {status} ({said})")

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
        status, content = answer.status_code, _content(answer)
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


async def bounded(read: Coroutine[Any, Any, _Read], what: str, seconds: float = LOOK_UP_SECONDS) -> _Read:
    """The answer to a read of more than one part; SourceError when it takes too long."""
    try:
        async with asyncio.timeout(seconds):
            return await read
    except TimeoutError:
        raise SourceError(f"{what} could not be read within {seconds:g} s.") from None


class _Later(Exception):  # noqa: N818  # an answer, not always a fault
    """The same read may succeed later."""

    def __init__(self, refused: Refused, wait: float | None, *, limited: bool) -> None:
        self.refused, self.wait, self.limited = refused, wait, limited
        super().__init__(str(refused))


def _content(answer: httpx2.Response) -> Any:
    """The JSON of an answer; None when it is none."""
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return None


def _said(content: object) -> str:
    """The error in its own words: first the particular ones, as those of an order, then the one around them."""
    error = content.get("error") if isinstance(content, dict) else None
    if not isinstance(error, dict):
        return "no reason given"
    inner = error.get("errors")
    parts = [each for each in inner if isinstance(each, dict)] if isinstance(inner, list) else []
    return "; ".join(f"{each.get('code', '')} {each.get('message', '')}".strip() for each in (*parts, error))


def _count(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None

"""One book, several programs: one of them watches the brokers, the others show what it sees and go on when it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from guardrails.awake import Awake
from guardrails.jobs import Problems
from guardrails.keeper import Part, Published
from guardrails.latest import Latest
from guardrails.partners import Partners
from guardrails.readings import CLOSE_SECONDS, Readings
from guardrails.recording import Recording

log = logging.getLogger(__name__)


class Sharing:
    """The part of this program; belongs to the engine's loop, but for what is read."""

    def __init__(
        self,
        partners: Partners,
        awake: Awake,
        readings: Readings,
        latest: Latest,
        recording: Recording,
        problems: Problems,
        clock: Callable[[], datetime],
    ) -> None:
        self._partners, self._awake, self._readings = partners, awake, readings
        self._latest, self._recording, self._problems, self._now = latest, recording, problems, clock
        self._watching = asyncio.Event()
        self.since: datetime | None = None
        """since when this program reads the brokers itself; None while it does not, or may have slept"""
        self.taken_over: tuple[datetime, str] | None = None
        """when this program found that another one had died without a word, and took over; and which one"""
        self.published: Published | None = None
        """what was last taken over from another program"""

    @property
    def watches(self) -> bool:
        """Whether this program reads the brokers itself."""
        return self._watching.is_set()

    def begin(self) -> None:
        """Belong to the loop that runs now, which does not know its part yet."""
        self._watching, self.since = asyncio.Event(), None

    async def while_watching(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` as soon as this program watches."""
        await self._watching.wait()
        await work()

    async def look(self) -> None:
        """Watch, unless another program does: then show what that one sees, and go on from it when it ends."""
        asked_at, store = self._awake.now(), self._partners.store
        if store is None:
            self._begin_watching()
            self._awake.confirm(asked_at)
            return
        self._pause_after_sleep()
        part = await asyncio.to_thread(store.part, self._latest.names, self._latest.scenario)
        before, self._latest.watched_by = self._latest.watched_by, part.holder  # first: nobody takes its words for ours
        self._tell(part, before)
        published = part.published
        if published is not None and published is not self.published and self._latest.is_news(published.snapshot):
            self.published = published
            self._latest.adopt(published, is_shown=not part.watches)
        self._problems.say("store", store.health().problem)
        if part.watches:
            self._begin_watching()
        elif self.watches:
            await self._leave()
        self._awake.confirm(asked_at)

    def _tell(self, part: Part, before: str) -> None:
        if part.watches and before:
            log.warning("%s watches no more; this program does now", before)
        if part.watches and part.died and not self.watches:
            self.taken_over = self._now(), part.died
        elif part.holder and part.holder != before:
            log.warning("%s watches this book; this program shows what it sees", part.holder)

    def _pause_after_sleep(self) -> None:
        """Tell nothing until it is known again who watches: this program may have slept past its lease."""
        slept = self._awake.slept
        if not slept or not self.watches:
            return
        log.warning("this program stood still for %.0f s; it asks who watches now", slept)
        self.since = None
        self._partners.idle()

    def _begin_watching(self) -> None:
        if self.watches and self.since is not None:
            return
        self.since = self._now()
        self._partners.begin(self._latest.names, self._latest.scenario)
        self._watching.set()

    async def _leave(self) -> None:
        """Leave the book and its brokers to the other program."""
        self._watching.clear()
        self.since = None
        self._partners.idle()
        self._problems.keep_only("store")
        self._recording.is_writable = True
        await self._readings.lose(CLOSE_SECONDS)

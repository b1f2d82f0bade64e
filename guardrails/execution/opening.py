"""The beginning of a watch: what was done before is taken up, and every broker asked, before anything may be sent."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from guardrails.errors import GuardrailsError
from guardrails.execution import intents
from guardrails.execution.desk import Desk
from guardrails.execution.following import Following
from guardrails.execution.position_watch import PositionWatch
from guardrails.execution.values import OpenDeeds, OrderRecord
from guardrails.memory import remembered_as, sources_key

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 1.0
"""before a store that could not be read is tried again"""


class Opening:
    """Belongs to the loop."""

    def __init__(self, desk: Desk, following: Following) -> None:
        self._desk, self._following = desk, following
        self.wanted: tuple[tuple[str, ...], str] | None = None
        """sources and scenario of the book that is watched; None when another program watches it"""
        self.generation = 0
        """how many times that changed"""
        self._unread = ""
        """why the intents in the file are not known"""
        self._reading: asyncio.Task[OpenDeeds] | None = None

    def want(self, wanted: tuple[tuple[str, ...], str] | None) -> None:
        """Watch another book, or none; nothing is sent before it is open."""
        self.wanted, self.generation = wanted, self.generation + 1
        self._desk.is_open = False
        self._desk.pulse()

    async def run(self) -> None:
        """Take up what was done before, and ask every broker, before anything may be sent.

        A broker that does not answer keeps nobody from the others, nor does a store that cannot be read: exits go out
        all the same, and the gate knows what is not known. The store is tried again until it can be read.
        """
        opened, is_read = -1, True
        while True:
            generation, wanted = self.generation, self.wanted
            if wanted is None or (opened == generation and is_read):
                await self._desk.wait(self._desk.waits.tick)
                continue
            is_new = opened != generation
            if is_new:
                await self._begin_book(*wanted)
            asked = [venue.read_anew() for venue in self._desk.venues] if is_new else []
            before, _ = await asyncio.gather(self._read_before(), asyncio.gather(*asked))
            if generation != self.generation:
                continue
            await self._take_up(before, is_new=is_new)
            if generation != self.generation:  # it ended meanwhile
                continue
            self._desk.is_open, self._desk.opened = True, self._desk.opened + 1
            self._desk.pulse()
            opened, is_read = generation, before is not None
            if not is_read:
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _begin_book(self, sources: tuple[str, ...], scenario: str) -> None:
        self._unread = ""
        self._reading = None  # one that is under way is of another book
        self._following.begin()
        self._desk.problem, self._desk.is_past_known = "", False
        self._desk.deeds.begin(sources, scenario)
        self._desk.before.clear()
        self._desk.positions = PositionWatch()
        for venue in self._desk.venues:
            venue.begin()
        self._desk.book = sources_key(remembered_as(sources, scenario))
        # what was set counts as soon as it is shown, while the store is still being read
        await asyncio.to_thread(self._desk.safety.read, self._desk.book, self._desk.clock())

    async def _read_before(self) -> OpenDeeds | None:
        """What the store has; None when it cannot be read, or not in time: then the same read is waited for again."""
        if self._reading is None:
            self._reading = asyncio.create_task(asyncio.to_thread(self._desk.deeds.read, self._desk.clock()))
        reading = self._reading
        await asyncio.wait({reading}, timeout=self._desk.waits.read)
        if not reading.done():
            self._desk.problem = f"what was done before cannot be read: no answer in {self._desk.waits.read:g} s"
            return None
        self._reading = None
        try:
            return reading.result()
        except GuardrailsError as error:
            self._desk.problem = f"what was done before cannot be read: {error}"
        except Exception as error:  # a store may raise what it likes: it is not known then
            log.exception("what was done before cannot be read")
            self._desk.problem = f"what was done before cannot be read ({type(error).__name__})"
        return None

    async def _take_up(self, before: OpenDeeds | None, *, is_new: bool) -> None:
        desk, now = self._desk, self._desk.clock()
        known = set() if is_new else set(desk.deeds.records)
        desk.deeds.take_up(before or OpenDeeds())
        desk.is_past_known = before is not None
        desk.problem = desk.problem if before is None else self._unread
        if is_new:
            saved, unread = await asyncio.to_thread(self._saved_intents)
            self._unread = unread
            desk.problem = "; ".join(filter(None, (desk.problem, unread)))
            for record in saved:
                desk.deeds.unkept.add(record.key)
                desk.deeds.records.setdefault(record.key, record)
            stored = None if before is None else before.safety
            await asyncio.to_thread(desk.safety.open, desk.book, stored, now)
        if before is not None and desk.deeds.is_stored:
            desk.safety.tell_untold(before.safety)
        # a file STOP that lay there counts before anything can be sent
        await asyncio.to_thread(desk.safety.look, now, timedelta(minutes=desk.matrix.orders.cooling_off_minutes))
        if desk.seen is not None:
            desk.see(desk.seen)
        back = tuple(desk.deeds.records) if is_new else [record.key for record in (before or OpenDeeds()).orders]
        self._following.doubt_unsent([key for key in back if key not in known])
        for venue in desk.venues:
            self._following.absorb(venue)
        if desk.is_past_known:
            self._following.tell_unclaimed()

    def _saved_intents(self) -> tuple[tuple[OrderRecord, ...], str]:
        """What stands in the file, and why that is not known."""
        try:
            return intents.read(self._desk.data_dir, self._desk.book), ""
        except OSError as error:
            log.exception("%s cannot be read", intents.FILE)
            return (), f"orders may stand in {intents.FILE}, which cannot be read ({error.strerror})"

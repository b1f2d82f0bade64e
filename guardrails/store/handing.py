"""What of each Snapshot is kept: worked out on the engine's thread, so that no change between two moments is lost.

Changes must survive and are handed over whole. Telemetry is due every few seconds and at each change; the whole moment
every minute, and soon after a change.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from guardrails.assess import Inputs
from guardrails.intake import CLOCK_SKEW
from guardrails.keeper import Kept
from guardrails.portfolio import Portfolio
from guardrails.snapshot import Snapshot
from guardrails.store.books import book_of, owners_of
from guardrails.store.captures import LEVEL, PERIOD
from guardrails.store.faults import reason
from guardrails.store.inbox import Inbox, Nowhere, Place
from guardrails.store.news import News, Numbers, Seen, is_matrix, news_of
from guardrails.store.schema import FINDING_TRANSITIONS, REGIME_CHANGES
from guardrails.store.telemetry import Capture, Moment
from guardrails.stress.recorded import recorded_of

log = logging.getLogger(__name__)

SETTLE = timedelta(seconds=10)
"""at most so often is a whole moment kept because of a change: a level that flaps must not fill the disk"""
_CLOSED_EVERY = timedelta(minutes=15)
"""between whole moments while the market is closed and little moves"""
_TOLD = (FINDING_TRANSITIONS.name, REGIME_CHANGES.name)


class Handing:
    """Puts into `inbox` what is to be kept; belongs to one thread, but for what says that it does not."""

    def __init__(self, inbox: Inbox, numbers: Numbers, every: float, capture_every: float) -> None:
        self._inbox, self._numbers = inbox, numbers
        self._every, self._capture_every = timedelta(seconds=every), timedelta(seconds=capture_every)
        self._seen = Seen()
        self._last: Snapshot | None = None
        """the last one of which telemetry was handed over"""
        self._captured: Snapshot | None = None
        """the last one that was handed over whole"""
        self._changed = False
        """something has changed since then"""
        self._anew = threading.Event()
        self.lost = 0
        """moments, steps of alerts and deeds since the start of which nothing could be kept, as the memory was full of
        what must survive"""
        self.problem = ""

    def begin_anew(self) -> None:
        """Hand over everything again, from the next Snapshot on; from any thread."""
        self._anew.set()

    def take(
        self, snapshot: Snapshot, matrix_text: str, portfolio: Portfolio, scenario: str, inputs: Inputs | None
    ) -> None:
        """Hand over a copy of one moment; never raises."""
        try:
            self._take(snapshot, matrix_text, portfolio, scenario, inputs)
        except Exception as error:  # the engine outlives whatever the store does
            said = f"the last snapshot was not kept ({type(error).__name__}); see the log"
            if said != self.problem:
                log.exception("a snapshot could not be handed to the store")
            self.problem = said

    def hand(self, make: Callable[[], News], count: int, what: str) -> Kept:
        """Hand over the `count` things of which `make` makes the news, all of them or none; from any thread, never
        raises. What it returns says when they are kept.
        """
        if not count:
            return Place(self._inbox, 0)
        try:
            place = self._inbox.put_news(make())
        except Exception as error:  # whoever hands over goes on, and is told that it is not kept
            log.error("%d %s cannot be written (%s: %s)", count, what, type(error).__name__, reason(error))  # noqa: TRY400  # a trace would show the values
            place = None
        if place is None:
            self.lost += count
        return place or Nowhere()

    def _take(
        self, snapshot: Snapshot, matrix_text: str, portfolio: Portfolio, scenario: str, inputs: Inputs | None
    ) -> None:
        book, owners = book_of((row.name for row in snapshot.sources), scenario), owners_of(portfolio)
        if self._anew.is_set():
            self._anew.clear()
            self._seen, self._last, self._captured = Seen(), None, None
        if self._last is not None and snapshot.as_of < self._last.as_of - CLOCK_SKEW:
            self._seen = Seen()  # the clock was set back: what stands now was told of a time that is yet to come
        problem = ""
        news, seen = news_of(self._seen, snapshot, matrix_text, owners, book, self._numbers)
        if seen.matrix_version != snapshot.matrix_version and not is_matrix(matrix_text, snapshot):
            problem = (
                f"the text of the matrix in force, {snapshot.matrix_version}, is not kept: another was handed over"
            )
        if not news.rows or self._inbox.put_news(news):
            self._seen = seen
        else:
            self.lost += 1
        self.problem = problem
        self._changed |= any(name in _TOLD for name, _ in news.rows)
        capture = None if inputs is None else self._capture(snapshot, inputs, portfolio)
        if news.rows or capture is not None or self._is_due(snapshot):
            self._inbox.put_moment(Moment(book, snapshot, owners, capture))
            self._last = snapshot

    def _is_due(self, snapshot: Snapshot) -> bool:
        last = self._last
        if last is None or (last.level, last.regime.name) != (snapshot.level, snapshot.regime.name):
            return True
        return not last.as_of <= snapshot.as_of < last.as_of + self._every

    def _capture(self, snapshot: Snapshot, inputs: Inputs, portfolio: Portfolio) -> Capture | None:
        """Whether this moment is kept whole, and why."""
        last = self._captured
        gone = None if last is None else snapshot.as_of - last.as_of
        every = self._capture_every if snapshot.market_open else max(self._capture_every, _CLOSED_EVERY)
        if gone is None or gone < timedelta() or gone >= every:
            cause = PERIOD
        elif self._changed and gone >= SETTLE:
            cause = LEVEL
        else:
            return None
        if self._changed:
            cause = LEVEL
        self._captured, self._changed = snapshot, False
        return Capture(cause, inputs, recorded_of(portfolio.stress))

"""What has been handed over and is not kept yet: two bounded queues between the engine's thread and the writer's.

Nothing here does I/O, so whoever hands over never waits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from guardrails.store.news import News
from guardrails.store.telemetry import Moment

_BATCH = 100


class Inbox:
    """News wait in order until they are settled: kept in the database or on the disk. Moments may be dropped."""

    def __init__(self, max_rows: int, max_moments: int) -> None:
        self._max_rows, self._max_moments = max_rows, max_moments
        self._changed = threading.Condition()
        self._news: deque[News] = deque()
        self._in_hand: list[News] = []
        self._moments: deque[Moment] = deque()
        self._rows = 0
        """of the news that wait or are in hand"""
        self._put = self._settled = 0
        """how many news were ever queued, and how many of them, the first, are kept"""
        self.dropped = 0
        """moments"""

    @property
    def waiting(self) -> int:
        """Rows that must survive and moments that wait."""
        return self._rows + len(self._moments)

    def put_news(self, news: News) -> Place | None:
        """Queue `news`; None when there is no room, then nothing is queued."""
        with self._changed:
            if self._rows + len(news.rows) > self._max_rows and self._rows:
                return None
            self._news.append(news)
            self._rows += len(news.rows)
            self._put += 1
            self._changed.notify_all()
            return Place(self, self._put)

    def put_moment(self, moment: Moment) -> None:
        """Queue `moment`; the oldest gives way when there is no room."""
        with self._changed:
            if len(self._moments) >= self._max_moments:
                self._moments.popleft()
                self.dropped += 1
            self._moments.append(moment)
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Until something waits, or `wake` is called, or `seconds` have passed."""
        with self._changed:
            if not self._news and not self._moments:
                self._changed.wait(seconds)

    def wake(self) -> None:
        """End a `wait`."""
        with self._changed:
            self._changed.notify_all()

    def take_news(self) -> list[News]:
        """The oldest news, which are then in hand until `settle` or `put_back`."""
        with self._changed:
            self._in_hand = [self._news.popleft() for _ in range(min(_BATCH, len(self._news)))]
            return self._in_hand

    def settle(self) -> None:
        """What is in hand is kept."""
        with self._changed:
            self._rows -= sum(len(news.rows) for news in self._in_hand)
            self._settled += len(self._in_hand)
            self._in_hand = []
            self._changed.notify_all()

    def put_back(self) -> None:
        """What is in hand could not be kept anywhere; it is the oldest again."""
        with self._changed:
            self._news.extendleft(reversed(self._in_hand))
            self._in_hand = []

    def take_moment(self) -> Moment | None:
        """The oldest moment."""
        with self._changed:
            return self._moments.popleft() if self._moments else None

    def settled(self, seconds: float) -> bool:
        """Wait until no news wait; whether that came within `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._news and not self._in_hand, seconds)

    def kept(self, place: int, seconds: float) -> bool:
        """Wait until the news queued as the `place`-th are kept; whether that came within `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._settled >= place, seconds)

    def unsettled(self) -> Sequence[News]:
        """All news that are not known to be kept, the oldest first."""
        with self._changed:
            return [*self._in_hand, *self._news]


@dataclass(frozen=True, slots=True)
class Place:
    """Where news stand in the queue (`guardrails.keeper.Kept`)."""

    inbox: Inbox
    number: int

    def wait(self, seconds: float) -> bool:
        """Wait until they are in the database or the spool; whether that came within `seconds`."""
        return self.inbox.kept(self.number, seconds)


class Nowhere:
    """Of news for which there was no room (`guardrails.keeper.Kept`)."""

    def wait(self, seconds: float) -> bool:  # noqa: ARG002  # there is nothing to wait for
        """False, at once."""
        return False

"""The beat of the market data: so many updates a second over what is subscribed, one after another."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from tests.brokers.tasty_events import TICKING, Event, event

if TYPE_CHECKING:
    from tests.brokers.tasty_dxlink import Channel, DxLink

BEAT = 0.05
"""seconds between two beats"""
MOST = 20_000
"""updates of one beat, so that a rate beyond the machine does not pile up"""


class Stream:
    """Who is next, and how much is due. `total` and `per_symbol` are updates a second; a total wins.

    Only events of `kinds` move. What came due in one beat is one message for each channel, or messages of at most
    `together` events.
    """

    def __init__(
        self, *, total: float = 0.0, per_symbol: float = 0.0, kinds: Collection[str] = TICKING, together: int = MOST
    ) -> None:
        self._total = total
        self._per_symbol = per_symbol
        self._kinds = kinds
        self._together = together
        self._due = 0.0
        self._last: float | None = None
        self._next = 0

    def beat(self, feeds: Sequence[DxLink], now: float) -> None:
        """Send what came due since the last beat; `now` in seconds of any steady clock."""
        since, self._last = now - (now if self._last is None else self._last), now
        if not self._total and not self._per_symbol:
            return
        moving = [one for feed in feeds for one in feed.ticking() if one[2] in self._kinds]
        if not moving:
            return
        self._due = min(self._due + since * (self._total or self._per_symbol * len(moving)), MOST)
        count, self._due = int(self._due), self._due % 1
        batches: dict[tuple[int, int], tuple[DxLink, Channel, list[Event]]] = {}
        silent = 0
        while count and silent < len(moving):  # what has nothing to say does not take from the others
            feed, channel, kind, symbol = moving[self._next % len(moving)]
            self._next += 1
            told = event(feed.tasty, kind, symbol)
            if told is None:
                silent += 1
                continue
            count, silent = count - 1, 0
            batches.setdefault((id(feed), channel.number), (feed, channel, []))[2].append(told)
        for feed, channel, events in batches.values():
            for start in range(0, len(events), self._together):
                feed.tell(channel, events[start : start + self._together])

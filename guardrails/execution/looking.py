"""What is streamed because somebody looks at it: the legs of tickets, the rows of one chain; for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from guardrails.execution.venues import Venue
from guardrails.instruments import Instrument


class Looking:
    """Belongs to the loop."""

    def __init__(self, clock: Callable[[], datetime], lapse_seconds: float) -> None:
        self._clock, self._lapse = clock, timedelta(seconds=lapse_seconds)
        self._legs: dict[tuple[str, Instrument], datetime] = {}
        self._chain: tuple[str, tuple[Instrument, ...], datetime] | None = None
        self._told: dict[str, frozenset[Instrument]] = {}

    def begin(self) -> None:
        """Nobody looks at anything, and no broker knows."""
        self._legs.clear()
        self._told.clear()
        self._chain = None

    def at_legs(self, venue: Venue, instruments: Iterable[Instrument]) -> None:
        """Somebody looks at an order of these."""
        now = self._clock()
        for instrument in instruments:
            self._legs[venue.name, instrument] = now
        self.tell([venue])

    def at_chain(self, venue: Venue, instruments: Iterable[Instrument]) -> None:
        """Somebody looks at the chain of one expiry, and at none he looked at before."""
        self._chain = (venue.name, tuple(instruments), self._clock())
        self.tell([venue])

    def wanted(self, name: str = "") -> tuple[Instrument, ...]:
        """What is to be streamed, of the broker `name` or of all."""
        since = self._clock() - self._lapse
        self._legs = {key: at for key, at in self._legs.items() if at >= since}
        if self._chain is not None and self._chain[2] < since:
            self._chain = None
        found = dict.fromkeys(instrument for broker, instrument in self._legs if name in ("", broker))
        if self._chain is not None and name in ("", self._chain[0]):
            found |= dict.fromkeys(self._chain[1])
        return tuple(found)

    def tell(self, venues: Iterable[Venue]) -> None:
        """Tell those brokers for which it has changed."""
        for venue in venues:
            wanted = self.wanted(venue.name)
            if self._told.get(venue.name, frozenset()) != frozenset(wanted):
                venue.broker.look_at(wanted)
                self._told[venue.name] = frozenset(wanted)

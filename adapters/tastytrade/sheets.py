"""The orders of one account as they were told, record by record. None is forgotten within the day, and a record older
than the one that is known changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from adapters.tastytrade.api import Record
from adapters.tastytrade.fields import text_of
from adapters.tastytrade.fills import KEY, Told, instant, told
from adapters.tastytrade.replaced import joined
from guardrails import calendar
from guardrails.orders import BrokerOrder, Fill, OrderState

LATELY = timedelta(minutes=10)
"""what ended before midnight is told for so long after it, so that nobody misses it"""


@dataclass(slots=True)
class Sheet:
    """The orders of one account."""

    number: str
    records: dict[str, Record] = field(default_factory=dict)
    """today's and those that still work, by id"""
    refused: dict[str, BrokerOrder] = field(default_factory=dict)
    """ours that were turned away before they got a number, by key"""
    fees: dict[str, float] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    """ours by id, as we were answered: a record may come back without the key under which it was sent"""
    time: datetime | None = None
    """when the list was last read whole"""
    trouble: str = ""
    gone: set[str] = field(default_factory=set)
    """ids that tastytrade no longer knows"""
    _parts: dict[str, tuple[Record, Told]] = field(default_factory=dict)
    """what each record says, translated once"""

    def parts(self, now: datetime) -> list[Told]:
        """What every record says, in the order in which they came."""
        kept = self._parts
        self._parts = {}
        for reference, record in self.records.items():
            before = kept.get(reference)
            if before is None or before[0] is not record:
                before = (record, told(record, self.number, self.time or now, self.fees))
            self._parts[reference] = before
        return [part for _, part in self._parts.values()]

    def said(self, now: datetime) -> tuple[list[BrokerOrder], list[Fill]]:
        """The orders, and the fills of today or of just before midnight."""
        orders, done = joined(self.parts(now))
        orders = [_gone(order) if order.reference in self.gone else order for order in orders]
        orders += [order for key, order in self.refused.items() if all(each.key != key for each in orders)]
        today = calendar.exchange_date(now)
        return orders, [fill for fill in done if calendar.exchange_date(fill.time) == today or now - fill.time < LATELY]

    def own(self, reference: str, key: str) -> None:
        """The order `reference` was sent by us, under `key`."""
        self.keys[reference] = key
        if reference in self.records:  # it was listed before the answer came
            self.records[reference] = _keyed(self.records[reference], key)

    def keep(self, record: Record) -> None:
        """Take a record that has a number, unless what is known of its order is newer."""
        reference = str(record["id"]).strip()
        self.gone.discard(reference)
        record = _keyed(record, self.keys.get(reference, ""))
        before = self.records.get(reference)
        if before is not None:
            was, now = (instant(each.get("updated-at")) for each in (before, record))
            if before == record or (was is not None and now is not None and now < was):
                return
        self.records[reference] = record

    def unlisted(self, missing: set[str], now: datetime) -> list[str]:
        """Orders among `missing` that may still work, and those put in place of one and not known yet."""
        parts = self.parts(now)
        alive = {part.order.reference for part in parts if not part.order.state.is_over}
        later = {part.replaced_by for part in parts if part.replaced_by and part.replaced_by not in self.records}
        return sorted((alive & missing) | later)

    def forget(self, now: datetime) -> None:
        """Drop what was over before today."""
        for order in [part.order for part in self.parts(now)]:
            if order.state.is_over and _past(order, now):
                self.records.pop(order.reference, None)
                self.keys.pop(order.reference, None)
        for key, order in list(self.refused.items()):
            if _past(order, now):
                del self.refused[key]

    def charge(self, fees: dict[str, float]) -> None:
        """Take what trades cost."""
        self.fees.update(fees)
        self._parts.clear()


def _keyed(record: Record, key: str) -> Record:
    """`record` with `key`, where it bears none itself."""
    return {**record, KEY: key} if key and not text_of(record.get(KEY)) else record


def _gone(order: BrokerOrder) -> BrokerOrder:
    """An order that was acknowledged and that tastytrade now denies knowing."""
    if order.state.is_over:
        return order
    return replace(order, state=OrderState.UNKNOWN, words="tastytrade no longer lists it")


def _past(order: BrokerOrder, now: datetime) -> bool:
    """Whether it last changed before today, and not just before midnight."""
    time = order.time or now
    return calendar.exchange_date(time) < calendar.exchange_date(now) and now - time > LATELY

"""What was done and is remembered: orders, executions, entries, overrides, runs; and the way of it to the store."""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta

from guardrails import calendar
from guardrails.execution.fills import Identity, group_of, groups_of, identity_of, is_of
from guardrails.execution.values import Deed, FlattenRun, JournalEntry, OpenDeeds, OrderRecord, RunState
from guardrails.gate.values import Override
from guardrails.keeper import Kept, OrderStore
from guardrails.memory import account_key
from guardrails.orders import Fill
from guardrails.reserve import Room
from guardrails.safety import SafetyChange
from guardrails.values import AccountId

log = logging.getLogger(__name__)


class Deeds:
    """Belongs to the loop, but for `read`."""

    def __init__(self, store: OrderStore | None) -> None:
        self._store = store
        self._book: tuple[tuple[str, ...], str] = ((), "")
        self.records: dict[str, OrderRecord] = {}
        self.fills: dict[Identity, Fill] = {}
        """changed by methods of this class alone"""
        self._groups: defaultdict[str | Identity, dict[Identity, Fill]] = defaultdict(dict)
        """the same by order: what brokers tell is held against every order, many times a second"""
        self.entries: dict[str, JournalEntry] = {}
        self.overrides: dict[str, Override] = {}
        self.runs: dict[str, FlattenRun] = {}
        self._handed: deque[tuple[datetime, Kept, tuple[Deed, ...]]] = deque()
        """what may not be durable yet"""
        self.unkept: set[str] = set()
        """keys of orders whose intent stands in the file alone"""

    @property
    def is_stored(self) -> bool:
        """Whether there is a store at all."""
        return self._store is not None

    def is_lost(self) -> bool:
        """Whether another program is known to write the book."""
        return self._store is not None and self._store.is_lost()

    def room(self) -> Room | None:
        """What the store keeps for the day on which the disk is full; None when there is no store."""
        return None if self._store is None else self._store.room()

    def begin(self, sources: Sequence[str], scenario: str) -> None:
        """Be of another book, of which nothing is known yet."""
        self._book = (tuple(sources), scenario)
        for remembered in (self.records, self.fills, self._groups, self.entries, self.overrides, self.runs):
            remembered.clear()
        self._handed.clear()
        self.unkept.clear()

    def read(self, now: datetime) -> OpenDeeds:
        """What the store has of the book since its day began; it blocks, and raises StoreError."""
        if self._store is None:
            return OpenDeeds()
        return self._store.open_deeds(*self._book, calendar.at(calendar.exchange_date(now), time()))

    def take_up(self, before: OpenDeeds) -> None:
        """Go on from what the store has; what happened since counts more."""
        self.records = {**{record.key: record for record in before.orders}, **self.records}
        for fill in before.fills:
            if identity_of(fill) not in self.fills:
                self.remember(fill)
        self.entries = {**{entry.key: entry for entry in before.entries}, **self.entries}
        self.overrides = {**{one.key: one for one in before.overrides}, **self.overrides}
        self.runs = {**{run.key: run for run in before.runs}, **self.runs}

    def name(self, accounts: Iterable[AccountId]) -> None:
        """Give records that were read back their accounts, which the store has without numbers."""
        known = {account_key(account): account for account in accounts}
        for record in self.records.values():
            account = known.get(record.owner)
            if account is not None and record.order.account != account:
                self.records[record.key] = replace(record, order=replace(record.order, account=account))

    def name_fills(self, told: Iterable[Fill]) -> None:
        """Give executions that were read back their accounts."""
        for fill in told:
            held = self.fills.get(identity_of(fill))
            if held is not None and held.account != fill.account:
                self.remember(replace(held, account=fill.account))

    def do(self, now: datetime, *deeds: Deed) -> Kept | None:
        """Remember `deeds` and hand them over in one transaction; None when there is no store."""
        for deed in deeds:
            self.remember(deed)
        if self._store is None or not deeds:
            return None
        kept = self._store.hand_deeds(*self._book, deeds)
        self._handed.append((now, kept, deeds))
        return kept

    def hand_again(self, now: datetime, after: timedelta) -> Kept | None:
        """Hand over once more what is not durable `after` it was handed over, as it is known now.

        None when there is nothing of the kind. The store adds rows and the last one counts: twice does no harm.
        """
        late: dict[object, Deed] = {}
        while self._handed and (now - self._handed[0][0] > after or self._handed[0][1].wait(0.0)):
            _, kept, deeds = self._handed.popleft()
            if not kept.wait(0.0):
                late |= {_identity(deed): deed for deed in deeds}
        current = {_identity(deed): deed for deed in self._all()}
        again = [current.get(identity, deed) for identity, deed in late.items()]
        return self.do(now, *again) if again else None

    def _all(self) -> Iterator[Deed]:
        for known in (self.records, self.fills, self.entries, self.overrides, self.runs):
            yield from known.values()

    def fills_of(self, record: OrderRecord) -> list[Fill]:
        """All executions of one order, oldest first."""
        found = (fill for group in groups_of(record) for fill in self._groups.get(group, {}).values())
        return sorted((fill for fill in found if is_of(fill, record)), key=lambda fill: fill.time)

    def forget(self, before: datetime) -> None:
        """Drop what is over since `before`, as a program that begins now would not read it either.

        What stands unexplained keeps the executions since then, as its explanation may rest on them.
        """
        standing = [entry.time for entry in self.entries.values() if entry.stands]
        before = min([before, *standing])
        self.records = {key: one for key, one in self.records.items() if not one.state.is_over or one.changed >= before}
        kept = {identity_of(fill) for record in self.records.values() for fill in self.fills_of(record)}
        for identity, fill in list(self.fills.items()):
            if fill.time < before and identity not in kept:
                self._drop(identity)
        self.entries = {key: one for key, one in self.entries.items() if one.stands or one.time >= before}
        self.overrides = {key: one for key, one in self.overrides.items() if one.until >= before}
        self.runs = {
            key: one for key, one in self.runs.items() if one.state is not RunState.DONE or one.changed >= before
        }

    def _drop(self, identity: Identity) -> None:
        fill = self.fills.pop(identity, None)
        if fill is not None and (group := self._groups.get(group_of(fill))) is not None:
            group.pop(identity, None)
            if not group:
                del self._groups[group_of(fill)]

    def remember(self, deed: Deed) -> None:
        """Know `deed` from now on, without handing it over."""
        if isinstance(deed, OrderRecord):
            self.records[deed.key] = deed
        elif isinstance(deed, Fill):
            identity = identity_of(deed)
            self._drop(identity)  # a correction may name the order that the first word did not
            self.fills[identity] = self._groups[group_of(deed)][identity] = deed
        elif isinstance(deed, JournalEntry):
            self.entries[deed.key] = deed
        elif isinstance(deed, Override):
            self.overrides[deed.key] = deed
        elif isinstance(deed, FlattenRun):
            self.runs[deed.key] = deed
        elif not isinstance(deed, SafetyChange):
            log.error("%s is no deed", type(deed).__name__)


def _identity(deed: Deed) -> object:
    if isinstance(deed, Fill):
        return identity_of(deed)
    return (deed.time, deed.new.state) if isinstance(deed, SafetyChange) else (type(deed), deed.key)

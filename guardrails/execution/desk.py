"""What the parts of execution share: the brokers, what was done, the safety state, the book as last seen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from guardrails.alerts.values import AlertsNow
from guardrails.assess import Assessment
from guardrails.brokers import TradingBroker
from guardrails.execution import journaling
from guardrails.execution.asked import RefusedError
from guardrails.execution.deeds import Deeds
from guardrails.execution.kept_room import KeptRoom
from guardrails.execution.position_watch import PositionWatch
from guardrails.execution.safety_file import SafetyFile
from guardrails.execution.values import Deed, OrderRecord
from guardrails.execution.venues import Venue
from guardrails.execution.waits import Waits
from guardrails.keeper import Kept, OrderStore
from guardrails.matrix import RiskMatrix
from guardrails.memory import account_key
from guardrails.orders import OrderState
from guardrails.safety import SafetyChange
from guardrails.values import AccountId, SourceState

log = logging.getLogger(__name__)

_MINUTE = timedelta(minutes=1)


class Desk:
    """Belongs to the loop, but for `safety`, which may be asked and changed from any thread."""

    def __init__(
        self,
        brokers: Sequence[TradingBroker],
        store: OrderStore | None,
        clock: Callable[[], datetime],
        matrix: Callable[[], RiskMatrix],
        data_dir: Path,
        waits: Waits,
        new_key: Callable[[], str],
        *,
        slept: Callable[[], float] = lambda: 0.0,
        alerts: Callable[[], AlertsNow | None] = lambda: None,
    ) -> None:
        self._slept, self.alerts = slept, alerts
        self.clock, self.waits, self.data_dir, self.new_key = clock, waits, data_dir, new_key
        self._matrix = matrix
        self.venues = tuple(Venue(broker, clock, waits) for broker in brokers)
        self.deeds = Deeds(store)
        self.safety = SafetyFile(data_dir, self._safety_changed)
        self.positions = PositionWatch()
        self.seen: Assessment | None = None
        """the last cycle"""
        self.is_open = False
        """whether this program watches and has taken up what was done before"""
        self.opened = 0
        """how many times it was"""
        self.book = ""
        """`guardrails.memory.sources_key` of what is watched; empty before anything is"""
        self.problem = ""
        """why what was done before is not known; empty when it is"""
        self.is_past_known = False
        """whether the store has told which orders are ours; before that nobody knows whose an execution is"""
        self.room: KeptRoom | None = None
        """what is kept for a full disk; None before it is known"""
        self.before: dict[str, dict[str, float]] = {}
        """what the account held when an order of ours was sent, by key of the order"""
        self._homes: dict[str, str] = {}
        """name of the source by `account_key`"""
        self._locks: dict[AccountId, asyncio.Lock] = {}
        self._failures: list[datetime] = []
        self._faults: dict[str, tuple[datetime, str]] = {}
        """what failed in this program itself, by what it was: when it last did, and how"""
        self._changed = asyncio.Event()
        self.loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> None:
        """Belong to the loop that runs now, and know nothing of what was before."""
        self.loop = asyncio.get_running_loop()
        self._locks, self._failures, self._changed = {}, [], asyncio.Event()
        self.before.clear()
        self.is_open, self.problem = False, ""
        for venue in self.venues:
            venue.begin()

    @property
    def matrix(self) -> RiskMatrix:
        """The limits in force."""
        return self._matrix()

    @property
    def accounts(self) -> tuple[AccountId, ...]:
        """All that are known."""
        return () if self.seen is None else tuple(account.id for account in self.seen.portfolio.accounts)

    def see(self, assessment: Assessment) -> None:
        """Take one more cycle."""
        self.seen = assessment
        self._homes |= {account_key(one.id): one.source for one in assessment.portfolio.accounts}
        self.deeds.name(account.id for account in assessment.portfolio.accounts)
        self.pulse()

    def stage(self, venue: Venue) -> tuple[object, ...]:
        """Changes when a broker must be asked anew: this program began, its accounts became known, it is back."""
        sources = () if self.seen is None else self.seen.portfolio.sources
        back = [one.since for one in sources if one.name == venue.name and one.state is SourceState.LIVE]
        return self.opened, venue.name in self._homes.values(), *back

    def home_of(self, record: OrderRecord) -> str:
        """Name of the source that the account of `record` belongs to; empty while it is not known."""
        return self._homes.get(record.owner or account_key(record.order.account), "")

    def venue_of(self, account: AccountId) -> Venue:
        """Where orders of `account` are sent; RefusedError when nowhere."""
        home = self._homes.get(account_key(account), "")
        for venue in self.venues:
            if venue.name == home:
                return venue
        raise RefusedError(f"No orders can be sent for {account}: its source {home or 'is not known and'} takes none.")

    def why_not(self) -> str:
        """Why this program may send nothing at this moment, in words; empty when it may."""
        if not self.is_open or self.deeds.is_lost():
            return "another program watches this book now"
        if slept := self._slept():
            return f"this program stood still for {slept:.0f} s, and another one may watch this book"
        return ""

    def venue_that_sends(self, account: AccountId) -> Venue:
        """The same, once orders may be sent at all."""
        if not self.is_open:
            raise RefusedError("This program does not watch this book, or has just begun: nothing was sent.")
        return self.venue_of(account)

    def record(self, key: str) -> OrderRecord:
        """Our order `key`; RefusedError when there is none."""
        record = self.deeds.records.get(key)
        if record is None:
            raise RefusedError(f"No order {key[:20] or 'without a key'} of this program is known.")
        return record

    def lock(self, account: AccountId) -> asyncio.Lock:
        """Held by whoever sends for `account`: one order after the other."""
        return self._locks.setdefault(account, asyncio.Lock())

    def do(self, *deeds: Deed) -> Kept | None:
        """Remember and hand over, and tell whoever waits for a change; see `Deeds.do`."""
        kept = self.deeds.do(self.clock(), *deeds)
        for deed in deeds:
            if isinstance(deed, OrderRecord):
                log.info("order %s is %s%s", deed.key, deed.state.value, f": {deed.detail}" if deed.detail else "")
        self.pulse()
        return kept

    def pulse(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Until something changes, at most so long."""
        changed = self._changed
        try:
            async with asyncio.timeout(seconds):
                await changed.wait()
        except TimeoutError:
            return

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether `condition` came true in time; it is asked again whenever something changes."""
        end = asyncio.get_running_loop().time() + seconds
        while not condition():
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            await self.wait(left)
        return True

    def failed(self) -> None:
        """An order was rejected, or failed."""
        self._failures.append(self.clock())
        self.pulse()

    def failures(self) -> int:
        """Orders that were rejected or failed within the last minute."""
        now = self.clock()
        self._failures = [at for at in self._failures if now - at < _MINUTE]
        return len(self._failures)

    def fail(self, what: str, error: BaseException) -> None:
        """Something of this program itself failed, which a person must see; who calls it has logged it."""
        self._faults[what] = self.clock(), f"failed ({type(error).__name__}); see the log"

    def faults(self) -> dict[str, str]:
        """What failed within the last minute, by what it was; may be asked from any thread."""
        now = self.clock()
        return {what: words for what, (at, words) in list(self._faults.items()) if now - at < _MINUTE}

    def doubts(self) -> list[OrderRecord]:
        """Our orders of which it is not known what became; may be asked from any thread."""
        return [record for record in list(self.deeds.records.values()) if record.state is OrderState.UNKNOWN]

    def doubtful(self) -> tuple[str, ...]:
        """The same in words, and what else is not known of what was done before."""
        words = [f"order {record.key} ({record.order.account}): {record.detail}" for record in self.doubts()]
        return tuple(words + ([self.problem] if self.problem else []))

    def _safety_changed(self, change: SafetyChange) -> None:
        entry = journaling.safety_entry(self.new_key(), change)
        if self.loop is not None and self.loop.is_running():
            self.loop.call_soon_threadsafe(self.do, change, entry)
        else:
            self.do(change, entry)

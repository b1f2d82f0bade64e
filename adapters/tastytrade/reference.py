"""What changes slowly: market metrics, the risk-free rate, streamer symbols. Read when wanted, then now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from adapters.condition import Lost
from adapters.tastytrade.api import Api, Incomplete, Record, Refused
from adapters.tastytrade.directory import Directory
from adapters.tastytrade.due import Due
from adapters.tastytrade.ticks import SOURCE
from guardrails.instruments import Instrument
from guardrails.values import Observed, finite

log = logging.getLogger(__name__)

METRICS_EVERY, RATE_EVERY = timedelta(minutes=10), timedelta(hours=6)
AGAIN, LOOK_UP_AGAIN = timedelta(minutes=1), timedelta(seconds=15)
"""what failed is tried again after"""
_BATCH = 50
_MOST_REQUESTS = 40
"""in one round, should single symbols spoil their batches"""
_FOR_ALL = (403, 404)
"""answers that do not lie in a symbol: the sandbox has no metrics"""
_LOOK_SECONDS = 0.2


class Reference:
    """All of it belongs to the loop it is run on."""

    def __init__(self, api: Api, clock: Callable[[], datetime]) -> None:
        self.directory = Directory()
        self.metrics: dict[str, tuple[Record, datetime]] = {}
        """record of each underlying and when it was read"""
        self.unmeasured: dict[str, str] = {}
        """underlyings without a record, and why"""
        self.metrics_time: datetime | None = None
        """when a round of metrics last succeeded"""
        self.risk_free: Observed | None = None
        self.complaint = ""
        """why the last round of metrics was not whole"""
        self.directory_complaint = ""
        """why streamer symbols could not be looked up"""
        self.instruments: Collection[Instrument] = ()
        self.symbols: frozenset[str] = frozenset()
        """underlyings of which metrics are wanted, as tastytrade names them"""
        self._api, self._clock = api, clock
        self._due = Due(clock)
        self._read: frozenset[str] = frozenset()

    def want(self, instruments: Collection[Instrument], symbols: frozenset[str]) -> None:
        """Know these instruments and these underlyings."""
        self.instruments, self.symbols = instruments, symbols

    @property
    def settled(self) -> bool:
        """Whether everything wanted has been asked for once."""
        looked_up = not self.directory.unknown(self.instruments) or bool(self.directory_complaint)
        return looked_up and (self.symbols <= self._read or bool(self.complaint)) and self._due.known("rate")

    async def run(self) -> None:
        """Return never."""
        while True:
            for part in (self._look_up, self._measure, self._read_rate):
                try:
                    await part()
                except Lost as lost:
                    self.complaint = lost.condition.sentence
                except Exception:
                    log.exception("reading market metrics failed")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _look_up(self) -> None:
        """Streamer symbols of what is new; what could not be asked is asked again after a while."""
        if self.directory.unknown(self.instruments) and "symbols" in self._due:
            self._due.done("symbols", LOOK_UP_AGAIN)
            self.directory_complaint = ""
            try:
                await self.directory.learn(self._api, self.instruments)
            except (Refused, Incomplete) as error:
                self.directory_complaint = str(error)
                return
            self._due.again("symbols")

    async def _measure(self) -> None:
        new = self.symbols - self._read
        if not ((new and "new metrics" in self._due) or (self.symbols and "metrics" in self._due)):
            return
        for name in ("new metrics", "metrics"):
            self._due.done(name, AGAIN)
        await self._read_metrics(sorted(new or self.symbols))
        self._due.again("new metrics")
        if not self.complaint:
            self._due.done("metrics", METRICS_EVERY)

    async def _read_metrics(self, symbols: Sequence[str]) -> None:
        """Read them in batches; a batch that fails is halved until the symbol that spoils it stands alone."""
        self.complaint = ""
        batches = [symbols[start : start + _BATCH] for start in range(0, len(symbols), _BATCH)]
        requests = 0
        while batches:
            batch = batches.pop(0)
            requests += 1
            try:
                rows = await self._api.items("/market-metrics", {"symbols": ",".join(batch)})
            except (Refused, Incomplete) as error:
                whole = isinstance(error, Refused) and error.status in _FOR_ALL
                if len(batch) > 1 and requests < _MOST_REQUESTS and not whole:
                    half = len(batch) // 2
                    batches += [batch[:half], batch[half:]]
                else:
                    self.complaint = "" if whole else f"{', '.join(batch[:3])}: {error}"
                    self.unmeasured.update(dict.fromkeys(batch, "tastytrade refuses its metrics"))
                continue
            self._take(batch, rows)
        self._read |= frozenset(symbols)

    def _take(self, batch: Sequence[str], rows: Sequence[Record]) -> None:
        now = self._clock()
        self.metrics_time = now
        found = {str(row.get("symbol", "")).strip(): row for row in rows}
        for symbol in batch:
            if symbol in found:
                self.metrics[symbol] = found[symbol], now
                self.unmeasured.pop(symbol, None)
            else:
                self.unmeasured[symbol] = "tastytrade has no metrics of it"

    async def _read_rate(self) -> None:
        if "rate" not in self._due:
            return
        self._due.done("rate", AGAIN)
        try:
            found = await self._api.get("/margin-requirements-public-configuration")
        except (Refused, Incomplete):
            return
        rate = finite(found.get("risk-free-rate"))
        if rate is not None and abs(rate) < 1:
            self.risk_free = Observed(rate, self._clock(), SOURCE)
            self._due.done("rate", RATE_EVERY)

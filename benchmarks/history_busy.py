"""What a day leaves besides the rows of every 15 s: whole moments every minute, changes of level with their evidence,
alerts with their messages, orders with their fills and entries of the journal. All of it through the `Writer`.

A busy day: a level changes every five minutes, which fires or ends an alert that two channels are told of, and one
order is sent, changed and filled in two parts every four minutes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from benchmarks import book
from guardrails.alerts.values import DeliveryState
from guardrails.assess import Assessment, Inputs
from guardrails.findings import Level
from guardrails.orders import OrderState
from guardrails.portfolio import Portfolio
from guardrails.snapshot import Snapshot
from guardrails.store.sqlite import SqliteDatabase
from guardrails.store.writer import Writer
from guardrails.values import Position, View
from tests.alerted import delivery, fired, resolved
from tests.traded import P5600, P5700, entry, fill, leg, record, then

CAPTURE, CHANGE, ORDER = timedelta(seconds=60), timedelta(minutes=5), timedelta(minutes=4)
SOURCES = [book.SOURCE]
_STATES = (OrderState.INTENT_SAVED, OrderState.SENT, OrderState.WORKING, OrderState.PARTIAL, OrderState.FILLED)


class BusyDay:
    """Hands one moment after another to a writer of its own."""

    def __init__(self, database: SqliteDatabase, folder: Path, first: Assessment, held: Sequence[Position]) -> None:
        self.writer = Writer(database, folder / "spool", lambda: self._now, every=1.0)
        self._now, self._first, self._held = book.NOW, first, held
        self._portfolio: Portfolio = first.portfolio
        self._view, self._changes, self.orders = book.view(len(held)), 0, 0
        self.writer.start()

    def keep(self, snapshot: Snapshot, text: str, figures: dict[str, np.ndarray], since: timedelta) -> None:
        """Hand over `snapshot`, which is of so long after the opening, and wait until it is written."""
        self._now = snapshot.as_of
        whole = since % CAPTURE == timedelta()
        if since % CHANGE == CHANGE / 2:
            self._changes += 1
            self._tell_of_change()
            whole = True
        if since % ORDER == timedelta():
            self._trade()
        turned = snapshot.findings[0]
        level = Level.WATCH if self._changes % 2 else Level.OK
        snapshot = replace(snapshot, findings=(replace(turned, level=level), *snapshot.findings[1:]))
        inputs = Inputs((self._looked(figures),), self._first.memory, self._now) if whole else None
        self.writer.keep(snapshot, text, self._portfolio, inputs=inputs)
        while self.writer.health().queued:
            time.sleep(0.0005)

    def stop(self) -> None:
        """Nothing may have been lost, or less than a day would be weighed."""
        health = self.writer.health()
        self.writer.stop()
        assert (health.dropped, health.lost, health.spooled, health.problem) == (0, 0, 0, ""), health

    def _tell_of_change(self) -> None:
        check, seconds = f"check{self._changes // 2}", (self._now - book.NOW).total_seconds()
        event = fired(check, seconds) if self._changes % 2 else resolved(check, seconds, seconds - 300.0)
        told = [delivery(f"m{self._changes}", channel, seconds) for channel in ("slack", "mail")]
        sent = [replace(each, state=DeliveryState.SENT, changed=self._now) for each in told]
        self.writer.hand_alerts(SOURCES, "", [event], told)
        self.writer.hand_alerts(SOURCES, "", [], sent)

    def _trade(self) -> None:
        self.orders += 1
        key, minutes = f"g-{self.orders}", (self._now - book.NOW).total_seconds() / 60.0
        levels = {f"{finding.check} {finding.subject}": "WATCH" for finding in self._first.snapshot.findings[:5]}
        before = then(findings=levels)
        self.writer.hand_deeds(SOURCES, "", [record(key, state, minutes, before=before) for state in _STATES])
        fills = [
            fill(f"e-{key}-{n}-{part.key}", part, size, 20.0 + n, minutes, key=key)
            for n in range(2)
            for part, size in ((P5700, -1.0), (P5600, 1.0))
        ]
        legs = (leg(P5700, -2.0, 20.5), leg(P5600, 2.0, 12.5))
        for after in (None, before):
            self.writer.hand_deeds(SOURCES, "", [entry(key, minutes, *legs, before=before, after=after)])
        self.writer.hand_deeds(SOURCES, "", fills)

    def _looked(self, figures: dict[str, np.ndarray]) -> View:
        """What the sources say now."""
        columns = {name: figures[name].tolist() for name in ("mark", "delta", "gamma", "vega", "theta", "iv", "spot")}
        held = tuple(self._seen(position, dict(zip(columns, each, strict=True))) for position, each in zip(
            self._held, zip(*columns.values(), strict=True), strict=True
        ))  # fmt: skip
        names = [position.instrument.underlying or position.instrument.symbol for position in self._held]
        spots = dict(zip(names, columns["spot"], strict=True))
        market = self._view.market
        prices = {
            name: replace(price, value=spots.get(name, price.value), time=self._now)
            for name, price in market.prices.items()
        }
        source = replace(self._view.source, time=self._now)
        return replace(self._view, source=source, positions=held, market=replace(market, prices=prices))

    def _seen(self, position: Position, now: dict[str, float]) -> Position:
        mark, at = now.pop("mark"), self._now
        position = replace(position, time=at, mark=mark, mark_time=at)
        if position.greeks is None:
            return position
        now.pop("spot")
        greeks = replace(position.greeks, time=at, **now)
        return replace(position, bid=mark - 0.02, ask=mark + 0.02, quote_time=at, greeks=greeks)

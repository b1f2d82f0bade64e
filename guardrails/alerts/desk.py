"""The desk: one thread that makes alerts of what the engine sees, keeps them, and has them told.

The engine hands each cycle over and goes on. The thread works through the cycles in order, and looks at least once a
second whether something is due: a repeat, an escalation, the end of a silence, a digest, or a cycle that does not
come. It works only while this program watches a book (`begin`); what another run or program has left of it is read
first. Nothing that goes wrong here ends the thread: `now.problem` says it, and the next look tries again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime

from guardrails.alerts.asked import Asked
from guardrails.alerts.channel import Channel
from guardrails.alerts.ledger import COUNTS, Ledger, Ways
from guardrails.alerts.opening import Opening
from guardrails.alerts.seen import SeenQueue
from guardrails.alerts.sending import Manner, Sending
from guardrails.alerts.values import AlertsNow, ChannelRow, Delivery, WatchRow
from guardrails.alerts.watching import LOOK_SECONDS, Watching
from guardrails.keeper import AlertStore
from guardrails.matrix.alerts import AlertRules
from guardrails.outages import late_after
from guardrails.requests import Answer, Request
from guardrails.snapshot import Snapshot

log = logging.getLogger(__name__)

_FAILS = {
    "watch": "it is not known what to watch",
    "beat": "it is not known how the dead-man's switch does",
    "receipts": "what became of messages is not kept",
    "steps": "alerts cannot be worked out",
    "requests": "what people ask is not done",
    "page": "the alerts shown are old",
}
"""what is wrong when a job fails"""


class Desk:
    """Start it, tell it what to watch, hand it every cycle, stop it; nothing but `stop` waits."""

    def __init__(
        self,
        channels: Sequence[Channel],
        clock: Callable[[], datetime],
        store: AlertStore | None,
        link: str,
        *,
        period_seconds: float = 2.0,
        watch: Callable[[], WatchRow] = WatchRow,
        heartbeat: Callable[[], ChannelRow | None] = lambda: None,
        manner: Manner | None = None,
        steady: Callable[[], float] = time.monotonic,
        holds: Callable[[], bool] = lambda: False,
    ) -> None:
        """`link` is the address of the app without a path, `period_seconds` those of the engine.

        `watch` and `heartbeat` say how the dead-man's switch does; both are asked once a second, and must not block.
        While `holds` says that it is not known whether this program still watches, nothing is worked out or sent.
        """
        self._holds = holds
        self._clock, self._steady, self._store = clock, steady, store
        self._late = late_after(period_seconds)
        self._ask_watch, self._ask_heartbeat = watch, heartbeat
        self._row = WatchRow()
        self._beat: ChannelRow | None = None
        self._sending = Sending(channels, clock, self._told, keeps=self._keeps, manner=manner, holds=holds)
        self._ways = Ways(self._sending, store, link, lambda: self._beat)
        self._asked = Asked(self._answer_elsewhere)
        self._counts = dict.fromkeys(COUNTS, 0)
        self._queue = SeenQueue(clock)
        self._receipts: deque[Delivery] = deque()
        self._changed = threading.Condition()
        """guards what is wanted"""
        self._wanted: tuple[tuple[str, ...], str] | None = None
        self._wanted_since, self._wanted_at = clock(), steady()
        self._generation = 0
        self._has_news = False
        self._watch: Watching | None = None
        self._before: Ledger | None = None
        """of the book that was watched before: an attempt for it may still be under way"""
        self._wrong: dict[str, str] = {}
        """what goes wrong now, by what was tried"""
        self._others: tuple[frozenset[str], Callable[[Request], None]] | None = None
        """kinds of requests that somebody else does, and who"""
        self._now = AlertsNow(clock())
        self._thread: threading.Thread | None = None
        self._stopping = False

    @property
    def now(self) -> AlertsNow:
        """The alerts as they stand; replaced whole after every step."""
        now, thread = self._now, self._thread
        if thread is None or thread.is_alive() or self._stopping:
            return now
        return replace(now, problem="The alerts have ended and nothing is told; start the program again.")

    def start(self) -> None:
        """Start, also again after a stop; nothing is told before `begin`."""
        if self._thread is not None and self._thread.is_alive() and not self._stopping:
            return
        self._stopping = False
        self._sending.start()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def begin(self, sources: Sequence[str], scenario: str) -> None:
        """This program watches the book of these sources from now on; go on from what is stored of it."""
        self._want((tuple(sources), scenario))

    def idle(self) -> None:
        """Another program watches from now on: tell nothing more."""
        self._want(None)

    def see(self, snapshot: Snapshot, rules: AlertRules) -> None:
        """Take one more cycle of the book that is watched."""
        if self._wanted is not None:
            self._queue.put(snapshot, rules, self._generation, self._steady())
            self._wake()

    def do(self, request: Request) -> None:
        """Do what a person asks; `answer` says what came of it."""
        self._asked.put(request)
        self._wake()

    def answer(self, key: str) -> Answer | None:
        """What came of the request `key`; None while it is not known."""
        return self._asked.answer(key)

    def hand_on(self, kinds: Collection[str], take: Callable[[Request], None]) -> None:
        """Hand requests of these kinds that other apps ask to `take`."""
        self._others = frozenset(kinds), take

    def stop(self, seconds: float) -> None:
        """Work through what waits and send it, the loudest first, for at most `seconds`; the store has the rest."""
        end = self._steady() + seconds
        self._stopping = True
        self._wake()
        thread = self._thread
        if thread is not None:
            thread.join(seconds / 2)
        self._sending.stop(max(end - self._steady(), 0.0))
        ended = thread is None or not thread.is_alive()
        if ended:
            self._guarded("receipts", self._take_receipts)
        self._want(None)
        if ended:
            self._exchange()

    def _want(self, wanted: tuple[tuple[str, ...], str] | None) -> None:
        with self._changed:
            if wanted == self._wanted:
                return
            self._wanted, self._generation = wanted, self._generation + 1
            self._wanted_since, self._wanted_at = self._clock(), self._steady()
        watch = self._watch
        if watch is not None:
            watch.ledger.end()
            self._sending.forget()
        self._wake()

    def _wake(self) -> None:
        with self._changed:
            self._has_news = True
            self._changed.notify_all()

    def _told(self, delivery: Delivery) -> None:
        self._receipts.append(delivery)
        self._wake()

    def _keeps(self, delivery: Delivery) -> bool:
        watch = self._watch
        return watch is None or watch.ledger.keeps(delivery)

    def _answer_elsewhere(self, answer: Answer) -> None:
        if self._store is not None:
            self._store.answer(answer)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            with self._changed:
                self._changed.wait_for(lambda: self._has_news, LOOK_SECONDS)
                self._has_news = False
                # one that hung beyond a stop ends when another has begun
                is_last = self._stopping or self._thread is not threading.current_thread()
            is_held = self._holds()  # before it is looked what is wanted, which is known once nothing is held
            self._guarded("watch", self._exchange)
            self._guarded("beat", self._look)
            self._guarded("receipts", self._take_receipts)
            if not is_held:
                self._guarded("steps", self._step)
                self._guarded("requests", self._work)
            self._guarded("page", self._publish)

    def _guarded(self, name: str, job: Callable[[], bool | None]) -> None:
        """Do `job`; what goes wrong is a problem until it goes right. False is that there was nothing to do."""
        try:
            went_right = job() is not False
        except Exception as error:  # the thread outlives whatever goes wrong
            said = f"{_FAILS[name]} ({type(error).__name__}); see the log"
            if self._wrong.get(name) != said:
                log.critical("%s", said, exc_info=True)
            self._wrong[name] = said
            if name == "page":
                self._now = replace(self._now, problem=said)
            if name == "steps" and self._watch is not None:
                self._watch.cry(type(error).__name__, self._clock(), self._steady())
        else:
            if went_right:
                self._wrong.pop(name, None)

    def _exchange(self) -> None:
        """Begin or end to watch, when that is wanted."""
        with self._changed:
            wanted, generation, since, at = self._wanted, self._generation, self._wanted_since, self._wanted_at
        watch = self._watch
        if watch is not None and watch.generation != generation:
            watch.end()
            self._sending.forget()
            self._watch, self._before = None, watch.ledger
            watch = None
        if wanted is None or watch is not None:
            return
        opening = None if self._store is None else Opening(self._store, *wanted, since, self._wake)
        ledger = Ledger(*wanted, self._ways, self._counts)
        if self._before is not None and self._before.book == ledger.book:
            self._before = None
        self._watch = Watching(generation, ledger, opening, self._late, since, at)

    def _look(self) -> None:
        self._row, self._beat = self._ask_watch(), self._ask_heartbeat()

    def _take_receipts(self) -> None:
        receipts = [self._receipts.popleft() for _ in range(len(self._receipts))]
        ledger, before = None if self._watch is None else self._watch.ledger, self._before
        late = []
        if before is not None:
            late = [one for one in receipts if before.is_under_way(one)]
            before.told(late)
        if ledger is not None:
            ledger.told([one for one in receipts if one not in late])
        self._asked.told(receipts, self._clock())

    def _step(self) -> bool:
        watch = self._watch
        if watch is None or not watch.opens(self._clock(), self._steady()):
            return True
        cycles, now = self._queue.take()
        return watch.step(cycles, now, self._steady())

    def _work(self) -> None:
        watch = self._watch
        ready = watch.ledger if watch is not None and watch.is_open else None
        asked = [] if self._store is None or ready is None else self._store.requests()
        kinds, take = self._others or (frozenset(), None)
        for request in asked:
            if take is not None and request.kind in kinds:
                take(request)
        self._asked.work(ready, [one for one in asked if one.kind not in kinds], self._clock())

    def _publish(self) -> None:
        """Replace what pages show."""
        now, watch = self._clock(), self._watch
        shown = AlertsNow(now) if watch is None else watch.shown(now)
        problem = "; ".join(filter(None, [*self._wrong.values(), "" if watch is None else watch.problem]))
        self._now = replace(
            shown, channels=self._sending.rows(), watch=self._row, counts=dict(self._counts), problem=problem
        )

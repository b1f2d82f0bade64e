"""Requests of people and what came of them: each is done once, in time or not at all, and always answered."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from guardrails.alerts.doing import DOINGS, Doing, Later, Reading
from guardrails.alerts.ledger import Ledger
from guardrails.alerts.values import Delivery, DeliveryState
from guardrails.calendar import NEW_YORK
from guardrails.requests import Answer, Request, Said

log = logging.getLogger(__name__)

REMEMBERED = 1_000
"""answers, and keys of what was done"""
READ_SECONDS = 10.0
"""how long a request waits for the store"""
RECEIPT_SECONDS = 45.0
"""how long a test waits for the answer of its channel: an attempt may take 30 s"""


@dataclass(frozen=True, slots=True)
class _Test:
    """A request that waits for a receipt."""

    request: Request
    later: Later
    began: float


@dataclass(frozen=True, slots=True)
class _Read:
    """A request that waits for something that is being read."""

    request: Request
    ledger: Ledger | None
    """that it was asked of"""
    reading: Reading
    began: float


class Asked:
    """`put` and `answer` may be called from any thread, all else belongs to the desk's."""

    def __init__(self, elsewhere: Callable[[Answer], None], doings: Mapping[str, Doing] = DOINGS) -> None:
        """`elsewhere` brings the answers to what other apps asked to them."""
        self._elsewhere, self._doings = elsewhere, doings
        self._guard = threading.Lock()
        self._waiting: list[Request] = []
        self._answers: OrderedDict[str, Answer | None] = OrderedDict()
        """None while it is being done"""
        self._of_others: set[str] = set()
        self._tests: dict[str, _Test] = {}
        """by key of the delivery"""
        self._reads: list[_Read] = []

    def put(self, request: Request) -> None:
        """Take what a person asks on a page of this program."""
        with self._guard:
            self._waiting.append(request)

    def answer(self, key: str) -> Answer | None:
        """What came of the request `key`; None while it is not known."""
        with self._guard:
            return self._answers.get(key)

    def work(self, ledger: Ledger | None, others: Sequence[Request], now: datetime) -> None:
        """Do all that waits and what `others` have asked; without `ledger` nothing can be done yet."""
        with self._guard:
            mine, self._waiting = self._waiting, []
        if ledger is None:
            late = [request for request in mine if now > request.valid_until]
            with self._guard:
                self._waiting[:0] = [request for request in mine if now <= request.valid_until]
            mine = late
        for request in others:
            known = self.answer(request.key)
            if known is None:
                self._of_others.add(request.key)
            else:
                self._elsewhere(known)
        for request in [*mine, *others]:
            self._once(ledger, request, now)
        reads, self._reads = self._reads, []
        for read in reads:
            self._try(read.request, partial(self._go_on, read, ledger, now), now)
        self._give_up_tests(now)

    def told(self, deliveries: Sequence[Delivery], now: datetime) -> None:
        """Answer the tests that these deliveries are."""
        for delivery in deliveries:
            test = self._tests.pop(delivery.key, None)
            if test is not None:
                self._say(test.request, now, *_of_receipt(delivery, test.later, time.monotonic() - test.began))

    def _once(self, ledger: Ledger | None, request: Request, now: datetime) -> None:
        with self._guard:
            if request.key in self._answers:
                return
            self._answers[request.key] = None
            while len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        self._try(request, partial(self._do, ledger, request, now), now)

    def _try(self, request: Request, job: Callable[[], str | Later | Answer | None], now: datetime) -> None:
        """Answer what `job` comes to; None is that it goes on."""
        try:
            came = job()
        except ValueError as error:
            self._say(request, now, Said.REFUSED, _sentence(str(error)))
        except Exception:  # one request must not cost the others, nor the alerts
            log.exception("a request to %s could not be done", request.kind)
            self._say(
                request, now, Said.REFUSED, "It could not be done because of a fault of the program; see the log."
            )
        else:
            if isinstance(came, Answer):
                self._say(request, now, came.said, came.words)
            elif isinstance(came, Later):
                self._tests[came.delivery] = _Test(request, came, time.monotonic())
            elif came is not None:
                self._say(request, now, Said.DONE, came)

    def _do(self, ledger: Ledger | None, request: Request, now: datetime) -> str | Later | Answer | None:
        doing = self._doings.get(request.kind)
        if now > request.valid_until:
            until = f"{request.valid_until.astimezone(NEW_YORK):%H:%M:%S}"
            return Answer(request.key, now, Said.EXPIRED, f"It was not taken before {until} New York and was not done.")
        if doing is None:
            raise ValueError(f"This program does not know how to {request.kind[:40].replace('_', ' ')}; update it.")
        if ledger is None:
            raise ValueError("This program does not watch; nothing was done.")
        came = doing(ledger, request, now)
        if not isinstance(came, Reading):
            return came
        self._reads.append(_Read(request, ledger, came, time.monotonic()))
        return None

    def _go_on(self, read: _Read, ledger: Ledger | None, now: datetime) -> str | None:
        """What came of a request that waited for something to be read; None while it still is."""
        if ledger is not read.ledger:
            raise ValueError("This program does not watch this book any more; nothing was done.")
        if read.reading.letter.is_read:
            return read.reading.then(now)
        if time.monotonic() - read.began > READ_SECONDS:
            raise ValueError("The store does not answer; nothing was done. Try again once it does.")
        self._reads.append(read)
        return None

    def _give_up_tests(self, now: datetime) -> None:
        at = time.monotonic()
        for key in [key for key, test in self._tests.items() if at - test.began > RECEIPT_SECONDS]:
            test = self._tests.pop(key)
            self._say(
                test.request, now, Said.REFUSED, f"{test.later.kind} has not answered in {RECEIPT_SECONDS:.0f} s."
            )

    def _say(self, request: Request, now: datetime, said: Said, words: str) -> None:
        answer = Answer(request.key, now, said, words)
        with self._guard:
            self._answers[request.key] = answer
        if request.key in self._of_others:
            self._of_others.discard(request.key)
            self._elsewhere(answer)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _of_receipt(delivery: Delivery, later: Later, seconds: float) -> tuple[Said, str]:
    if delivery.state is DeliveryState.SENT:
        return Said.DONE, f"{later.kind} took it in {seconds:.1f} s."
    return Said.REFUSED, f"{later.kind} did not take it: {delivery.detail.rstrip('.')}."

"""Attempts to send, each in a thread of its own and with a deadline: a server that never answers holds nobody up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from guardrails.alerts.channel import Channel
from guardrails.alerts.values import Message, Outcome, Receipt

log = logging.getLogger(__name__)

ATTEMPT_SECONDS = 30.0
MOST_STUCK = 3
"""attempts of one channel that were given up and have not come back; until one has, no other begins"""


@dataclass(slots=True)
class _Attempt:
    key: str
    done: threading.Event = field(default_factory=threading.Event)
    receipt: Receipt | None = None
    was_given_up: bool = False


class Attempts:
    """Those of one channel."""

    def __init__(self, channel: Channel, seconds: float, late: Callable[[str, Receipt], None]) -> None:
        """`late` is told, in another thread, what came of the delivery of that key after its attempt was given up."""
        self._channel, self._seconds, self._late = channel, seconds, late
        self._guard = threading.Lock()
        self._stuck = 0

    @property
    def stuck(self) -> int:
        """How many were given up and have not come back."""
        return self._stuck

    def send(self, key: str, message: Message) -> Receipt:
        """One attempt; FAILED when there is no answer within the deadline. Never raises."""
        attempt = _Attempt(key)
        try:
            thread = threading.Thread(
                target=self._run, args=(attempt, message), name=f"send {self._channel.name}", daemon=True
            )
            thread.start()
        except RuntimeError as error:  # no thread is left
            return Receipt(Outcome.FAILED, f"cannot be tried: {error}")
        attempt.done.wait(self._seconds)
        with self._guard:
            if attempt.receipt is not None:
                return attempt.receipt
            attempt.was_given_up = True
            self._stuck += 1
        return Receipt(Outcome.FAILED, f"no answer in {self._seconds:g} s")

    def _run(self, attempt: _Attempt, message: Message) -> None:
        receipt = Receipt(Outcome.FAILED, "ended without an answer")
        try:
            receipt = self._channel.send(message)
        except Exception as error:  # a channel promises not to; a broken promise must not cost the message
            log.exception("sending to %s failed", self._channel.name)
            receipt = Receipt(Outcome.FAILED, f"failed ({type(error).__name__}); see the log")
        finally:
            with self._guard:
                attempt.receipt = receipt
                self._stuck -= attempt.was_given_up
            attempt.done.set()
            if attempt.was_given_up:
                self._late(attempt.key, receipt)

"""Requests of people: each is done once, in time or not at all, and always answered."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from guardrails.calendar import NEW_YORK
from guardrails.requests import Answer, Request, Said

REMEMBERED = 1_000
"""answers"""
Elsewhere = Callable[[Answer], None]


class RefusedError(ValueError):
    """What a person asked for cannot be done; the sentence is for them, `content` what was worked out (JSON)."""

    def __init__(self, words: str, content: str = "") -> None:
        self.content = content
        super().__init__(words)


class InDoubtError(Exception):
    """It is not known whether what a person asked for was done; the sentence says what to look at."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was done."""

    words: str
    content: str = ""


class Asked:
    """What waits and what was answered; every method may be called from any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[Request] = deque(maxlen=REMEMBERED)
        self._answers: OrderedDict[str, Answer | None] = OrderedDict()
        """None while it is being done"""
        self._elsewhere: dict[str, Elsewhere] = {}

    def put(self, request: Request, elsewhere: Elsewhere | None = None) -> bool:
        """Take a request; False when it was taken before. `elsewhere` brings the answer to the app that asked."""
        with self._guard:
            known = request.key in self._answers
            answer = self._answers.get(request.key)
            if not known:
                self._answers[request.key] = None
                self._waiting.append(request)
                while len(self._answers) > REMEMBERED:
                    self._answers.popitem(last=False)
            if elsewhere is not None and answer is None:
                self._elsewhere[request.key] = elsewhere
        if elsewhere is not None and answer is not None:
            elsewhere(answer)
        return not known

    def take(self) -> Request | None:
        """The next request that nobody does yet; None when there is none."""
        with self._guard:
            return self._waiting.popleft() if self._waiting else None

    def answer(self, key: str) -> Answer | None:
        """What came of the request `key`; None while it is not known."""
        with self._guard:
            return self._answers.get(key)

    def say(self, request: Request, now: datetime, said: Said, words: str, content: str = "") -> None:
        """Answer `request`."""
        answer = Answer(request.key, now, said, sentence(words), content)
        with self._guard:
            self._answers[request.key] = answer
            elsewhere = self._elsewhere.pop(request.key, None)
        if elsewhere is not None:
            elsewhere(answer)


def expired(request: Request) -> str:
    """Why a request that came too late is not done."""
    until = f"{request.valid_until.astimezone(NEW_YORK):%H:%M:%S}"
    return f"It was not taken before {until} New York and was not done."


def sentence(text: str) -> str:
    """`text` with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."

"""Messages that an earlier run, or another program, has given up, read from the store when a person wants one again:
each in a thread of its own, as a store that hangs does not hold the desk up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from guardrails.alerts.values import Delivery
from guardrails.errors import GuardrailsError
from guardrails.keeper import AlertStore

log = logging.getLogger(__name__)

MOST_READ = 3
"""that may be read at the same time"""
_HERE = "This message was not given up since this program began to watch; nothing was sent."


class Letter:
    """One that is being read, from the moment it is made."""

    def __init__(self, store: AlertStore, sources: Sequence[str], scenario: str, key: str) -> None:
        self._store, self._sources, self._scenario, self._key = store, tuple(sources), scenario, key
        self._delivery: Delivery | None = None
        self._problem = ""
        self._done = threading.Event()
        threading.Thread(target=self._run, name="letter", daemon=True).start()

    @property
    def is_read(self) -> bool:
        """Whether `delivery` can say what was found."""
        return self._done.is_set()

    @property
    def delivery(self) -> Delivery:
        """What was found; ValueError, with a sentence for a person, when that is nothing."""
        if self._problem:
            raise ValueError(f"Nothing was sent, as the message cannot be read: {self._problem}.")
        if self._delivery is None:
            raise ValueError("This message was not given up, or cannot be read any more; nothing was sent.")
        return self._delivery

    def _run(self) -> None:
        try:
            self._delivery = self._store.given_up(self._sources, self._scenario, self._key)
        except GuardrailsError as error:
            self._problem = str(error)
        except Exception as error:  # whatever the store has, the desk goes on
            log.exception("a message that was given up cannot be read")
            self._problem = type(error).__name__
        finally:
            self._done.set()


class Letters:
    """Those of one book; belongs to the desk's thread."""

    def __init__(self, store: AlertStore | None, sources: Sequence[str], scenario: str) -> None:
        self._store, self._sources, self._scenario = store, tuple(sources), scenario
        self._read: list[Letter] = []

    def read(self, key: str) -> Letter:
        """Begin to read the delivery `key`; ValueError when there is no store, or when it has not answered others."""
        if self._store is None:
            raise ValueError(_HERE)
        self._read = [letter for letter in self._read if not letter.is_read]
        if len(self._read) >= MOST_READ:
            raise ValueError("The store does not answer; nothing was sent. Try again once it does.")
        letter = Letter(self._store, self._sources, self._scenario, key)
        self._read.append(letter)
        return letter

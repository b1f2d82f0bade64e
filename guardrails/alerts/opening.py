"""What is open of a book, read from the store in a thread of its own: a store that hangs does not hold the desk up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from guardrails.alerts.values import OpenAlerts
from guardrails.errors import GuardrailsError
from guardrails.keeper import AlertStore

log = logging.getLogger(__name__)

AGAIN_SECONDS = 0.5


class Opening:
    """Reads until it has succeeded or is cancelled."""

    def __init__(
        self, store: AlertStore, sources: Sequence[str], scenario: str, since: datetime, done: Callable[[], None]
    ) -> None:
        """What this program itself has kept `since` then is left out; `done` is called, in another thread, once
        `result` is there."""
        self.result: OpenAlerts | None = None
        self.problem = ""
        """why it has not succeeded yet"""
        self._store, self._sources, self._scenario, self._done = store, tuple(sources), scenario, done
        self._since = since
        self._cancelled = threading.Event()
        threading.Thread(target=self._run, name="alerts open", daemon=True).start()

    def cancel(self) -> None:
        """Read no more."""
        self._cancelled.set()

    def _run(self) -> None:
        while not self._cancelled.is_set():
            try:
                self.result = self._store.open_alerts(self._sources, self._scenario, self._since)
            except Exception as error:  # whatever the store has, the desk goes on
                why = str(error) if isinstance(error, GuardrailsError) else type(error).__name__
                if why != self.problem:
                    log.warning("what is open cannot be read: %s", why, exc_info=not isinstance(error, GuardrailsError))
                self.problem = why
                self._cancelled.wait(AGAIN_SECONDS)
            else:
                self.problem = ""
                self._done()
                return

"""What the writer's thread does, round after round: look who writes, bring what waits to where it is kept, publish, and
pass on what persons ask.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from guardrails.store.attempts import BRING, FOLLOW, LEAVE, LOOK, PUBLISH, RECORD, REQUESTS, Attempts
from guardrails.store.bringing import Bringing
from guardrails.store.database import Database
from guardrails.store.faults import reason
from guardrails.store.following import LOOK_SECONDS
from guardrails.store.inbox import Inbox
from guardrails.store.metadata import StoreError
from guardrails.store.news import News, Numbers
from guardrails.store.requests import Errands
from guardrails.store.roles import Roles
from guardrails.store.spool import Sent, Spool, waiting_rows
from guardrails.store.telemetry import Moment

log = logging.getLogger(__name__)


class Rounds:
    """Belongs to the writer's thread, but for what says that it does not."""

    def __init__(
        self,
        database: Database,
        spool_folder: Path,
        inbox: Inbox,
        roles: Roles,
        numbers: Numbers,
        clock: Callable[[], datetime],
        begin_anew: Callable[[], None],
        retry_seconds: float,
    ) -> None:
        """`begin_anew` is called when it is no longer known what the database knows of what was handed over."""
        self._database, self._inbox, self._roles, self._now = database, inbox, roles, clock
        self.errands = Errands(database, roles, numbers.run, clock)
        self._retry_seconds = retry_seconds
        self.spool = Spool(spool_folder)
        self.bringing = Bringing(database, roles.leases, numbers, clock, self._look_if_due)
        self._tries = Attempts(database, roles, self.spool, begin_anew, retry_seconds)
        self.keeps = True
        """what must survive finds a place; this and what follows may be read from any thread"""
        self.last_written: datetime | None = None
        self.dropped = 0
        """moments of telemetry that the database did not take"""

    def begin_again(self) -> None:
        """After an end: another program may have the spool by now."""
        self.spool = self._tries.spool = Spool(self.spool.path.parent)

    def run(self, stopping: threading.Event) -> None:
        """Until `stopping`, then one last round."""
        tries = self._tries
        while not stopping.is_set():
            if not self._roles.reads:
                tries.forget(FOLLOW)  # what could not be read of another program is of before this one took over
                pause = min(self._retry_seconds, self._roles.seconds_to_look(), self.errands.seconds_to_run)
                self._inbox.wait(max(pause, tries.rest))
            elif not tries.reached(FOLLOW, Roles.follow, self._roles):
                stopping.wait(LOOK_SECONDS)
            self._look_if_due()
            self._pass(stopping)
            self.spool.keep_room()
            if self._roles.owes:
                tries.reached(PUBLISH, Roles.publish, self._roles)
            else:
                tries.forget(PUBLISH)
            if self.errands.is_due:
                tries.reached(REQUESTS, Errands.run, self.errands)
            else:  # what failed may have been given up since
                tries.forget(REQUESTS)
        tries.at_once()  # one last time, also when the next was not due
        while self._inbox.waiting and self._pass(stopping):
            pass
        tries.reached(REQUESTS, Errands.end, self.errands)
        tries.reached(LEAVE, Roles.leave, self._roles)
        self.spool.close()

    def waiting(self) -> list[Sent]:
        """Rows that are not in the database yet; in the order in which they move on, so that none is missed. From any
        thread.
        """
        return [*self._unsettled(), *waiting_rows(self.spool.path.parent)]

    def lay_down_rest(self) -> None:
        """What is not known to be kept goes to the spool; from the thread that ends this one."""
        left = self._unsettled()
        try:  # this thread may still write some of them: a row that is sent twice is stored once
            self.spool.append(left)
        except (OSError, StoreError) as error:
            log.critical("%d rows that must survive are lost at the stop: %s", len(left), reason(error))

    def problems(self) -> Iterator[str]:
        """What goes wrong now, and rows that no database takes; from any thread."""
        yield from self._tries.problems()
        yield from filter(None, [self.bringing.head_problem])
        if refused := self.spool.refused:
            yield f"{refused} rows were refused by the database and wait in {self.spool.refused_path}"

    def _unsettled(self) -> list[Sent]:
        return [row for news in self._inbox.unsettled() for row in news.rows]

    def _look_if_due(self) -> None:
        if self._roles.seconds_to_look() or not self._tries.reached(LOOK, Roles.look, self._roles):
            return
        if self._roles.reads and self.keeps:  # then it is no fault that this program cannot write
            self._tries.forgive()

    def _pass(self, stopping: threading.Event) -> bool:
        """Bring the oldest of what waits to where it is kept; False when there is no place for it now."""
        news = self._inbox.take_news()
        if news or (self.spool.count and not self._roles.reads):
            is_brought = self._tries.reached(BRING, self._bring, news)
            self.keeps = is_brought or self._tries.laid_down(news, stopping)
            if not self.keeps:
                self._inbox.put_back()
                return False
            self._inbox.settle()
        moment = self._inbox.take_moment()
        if moment is not None and not self._tries.reached(RECORD, self._record, moment):
            self.dropped += 1
        return True

    def _bring(self, news: Sequence[News]) -> None:
        self.bringing.bring(self.spool, news)
        self.last_written = self._now()

    def _record(self, moment: Moment) -> None:
        self.bringing.record(moment)
        self.last_written = self._now()

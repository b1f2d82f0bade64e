"""What the writer tries with the database, how it is told to a person when that fails, and when it is tried again.

Belongs to the writer's thread, but for `problems`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from guardrails.store.database import Database
from guardrails.store.faults import is_damage, reason
from guardrails.store.lease import LeaseError
from guardrails.store.metadata import StoreError
from guardrails.store.news import News
from guardrails.store.roles import Roles
from guardrails.store.spool import Spool

_What = TypeVar("_What")

log = logging.getLogger(__name__)

BRING, RECORD, LOOK, FOLLOW, PUBLISH, REQUESTS, LEAVE = (
    "bring", "record", "look", "follow", "publish", "requests", "leave",
)  # fmt: skip
"""names of what is tried"""
_SPOOL = "spool"
_FAILS = {
    BRING: "takes no rows",
    RECORD: "takes no rows",
    LOOK: "does not say who writes",
    FOLLOW: "does not show what another program sees",
    PUBLISH: "does not show others what this program sees",
    REQUESTS: "does not pass on what persons ask",
    LEAVE: "was not told that this program ends",
}
"""what is wrong when it fails"""


class Attempts:
    """One try at a time; after one that failed the database is left alone for a while."""

    def __init__(
        self, database: Database, roles: Roles, spool: Spool, begin_anew: Callable[[], None], retry_seconds: float
    ) -> None:
        """`begin_anew` is called when it is no longer known what the database knows of what was handed over."""
        self._database, self._roles, self._begin_anew = database, roles, begin_anew
        self._retry_seconds = retry_seconds
        self.spool = spool
        self._wrong: dict[str, str] = {}
        """what goes wrong now, by what was tried"""
        self._refused = set[str]()
        """which of it only because another program writes"""
        self._logged: dict[str, str] = {}
        """what was logged of what still goes wrong; a full disk alternates between two problems of one job"""
        self._not_before = 0.0
        self._seen_files = (database.generation, 0)

    @property
    def rest(self) -> float:
        """Seconds in which the database is left alone."""
        return max(self._not_before - time.monotonic(), 0.0)

    def at_once(self) -> None:
        """Try the next one whenever the last one failed."""
        self._not_before = 0.0

    def problems(self) -> Iterator[str]:
        """What goes wrong now; from any thread."""
        wrong, waiting = self._wrong.copy(), self.spool.count
        yield from wrong.values()
        if wrong and waiting and BRING not in wrong:  # it was not tried while the database is left alone
            yield f"{waiting} rows that must survive wait in {self.spool.path.name}"

    def forget(self, name: str) -> None:
        """What failed is no longer wanted."""
        self._wrong.pop(name, None)

    def forgive(self) -> None:
        """It is no fault any more that this program was refused, as another one writes."""
        for name in self._refused:
            self._wrong.pop(name, None)
        self._refused.clear()

    def reached(self, name: str, job: Callable[[_What], None], what: _What) -> bool:
        """Whether `job` did what it should with the database; after a failure that is left alone for a while."""
        if self.rest:
            return False
        try:
            job(what)
        except Exception as error:  # the thread outlives whatever the database does
            self._failed(name, error)
            return False
        finally:
            self._roles.lost()
            files = (self._database.generation, self._roles.leases.regained)
            if files != self._seen_files:
                self._seen_files = files
                self._begin_anew()
        # a database that takes rows takes telemetry as well, as the next moment will show
        for done in (name, *((RECORD, _SPOOL) if name == BRING else ())):
            self._wrong.pop(done, None)
            self._logged.pop(done, None)
        return True

    def laid_down(self, news: Sequence[News], stopping: threading.Event) -> bool:
        """Whether the rows of `news` are in the spool; else time has passed in which there may be room again."""
        try:
            self.spool.append([row for one in news for row in one.rows])
        except (OSError, StoreError) as error:
            why = reason(error)
            # while the database is left alone after another job failed, bringing itself was not tried
            first = (self._wrong.get(BRING) or next(iter(self._wrong.values()), "")).partition(";")[0]
            said = f"{first or 'the database is left alone'}; nor can {self.spool.path.name} be written ({why})"
            self._log_once(_SPOOL, logging.CRITICAL, said, about=why)
            self._wrong[BRING] = said
            stopping.wait(self._retry_seconds)
            return False
        self._logged.pop(_SPOOL, None)
        return True

    def _failed(self, name: str, error: Exception) -> None:
        why = reason(error)
        if isinstance(error, LeaseError):  # the database works: who writes now can be seen at once
            self._refused.add(name)
        else:
            self._not_before = time.monotonic() + self._retry_seconds
            self._refused.discard(name)
        if is_damage(error):
            try:
                self._database.set_aside()
                self._not_before = 0.0
            except (StoreError, OSError) as another:
                why = reason(another)
        said = f"{self._database.name} {_FAILS[name]} ({why})"
        if name == BRING:
            said += f"; what must survive waits in {self.spool.path.name}"
        elif name == RECORD:
            said += "; telemetry is dropped, and counted"
        self._log_once(name, logging.ERROR, said, None if why != type(error).__name__ else error)
        self._wrong[name] = said

    def _log_once(self, name: str, level: int, said: str, error: Exception | None = None, about: str = "") -> None:
        """Log it unless `about`, else the whole sentence, is what was last logged of this job."""
        if self._logged.get(name) != (about or said):
            log.log(level, "%s", said, exc_info=error)
        self._logged[name] = about or said

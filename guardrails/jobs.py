"""The engine's tasks: each is done again and again, and what goes wrong with one is a problem until it goes right."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from guardrails.ending import cancellations, uncancelled
from guardrails.errors import SourceError

log = logging.getLogger(__name__)


class Problems:
    """What does not work now, by the name of the task; told by the engine's loop, read from any thread."""

    def __init__(self, store: str = "") -> None:
        """`store` is why nothing is kept."""
        self._said: Mapping[str, str] = {"store": store} if store else {}
        """replaced whole, for other threads read it"""

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Name of the task and what is wrong, by name."""
        return sorted(self._said.items())

    def say(self, name: str, said: str) -> None:
        """From now on this is wrong with `name`; nothing when `said` is empty."""
        if self._said.get(name, "") != said:
            others = {task: words for task, words in self._said.items() if task != name}
            self._said = {**others, name: said} if said else others

    def went_wrong(self, name: str, error: BaseException) -> None:
        """Keep what went wrong with `name`, and log it once, not every period."""
        told = isinstance(error, SourceError)
        said = str(error) if told else f"failed ({type(error).__name__}); see the log"
        if self._said.get(name) != said:
            log.warning("%s: %s", name, said, exc_info=None if told else error)
        self.say(name, said)

    def keep_only(self, name: str) -> None:
        """Nothing else is of this program any more."""
        self._said = {task: said for task, said in self._said.items() if task == name}


@dataclass(frozen=True, slots=True)
class Job:
    """One task of the engine."""

    name: str
    work: Callable[[], Awaitable[None]]
    rest: Callable[[], Awaitable[None]]
    """return when it is to be done again"""
    counts: Callable[[], bool] = lambda: True
    """whether what goes wrong is of now, and not of before another program took over"""
    right_after: float | None = None
    """seconds after which one that may go on for ever is seen to work; else it works when it has returned"""


async def keep(job: Job, problems: Problems) -> None:
    """Do `job` until this task is cancelled, whatever goes wrong with it."""
    loop = asyncio.get_running_loop()
    while True:
        before = cancellations()
        seen = None if job.right_after is None else loop.call_later(job.right_after, problems.say, job.name, "")
        try:
            await uncancelled(job.work())
        except Exception as error:  # the loop outlives whatever a job does
            if job.counts():
                problems.went_wrong(job.name, error)
        else:
            problems.say(job.name, "")
        finally:
            if seen is not None:
                seen.cancel()
        if cancellations() > before:  # it failed of being cancelled
            return
        await job.rest()

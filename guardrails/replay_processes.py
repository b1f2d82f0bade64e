"""A long past judged by several processes at once, with the very answer of one.

A moment rests on those before it only through what is carried: the regime, and the readings that confirm a loss, which
begin anew with each session. So the past is cut into parts that begin with a session, and each is given the regime that
the readings before it lead to. When the part before has ended with another one (a moment of it could not be judged),
the part is judged again here: the answer never depends on how many processes there were.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait

from guardrails import calendar, redaction
from guardrails.carried import Carried
from guardrails.pricing import compiled
from guardrails.replay import Course, Judged, Judging, ahead
from guardrails.store.captures import Captured

MOST = 8
"""processes; each holds the program once more in memory"""
WORTH_IT = 1_000
"""moments below which starting a process takes longer than it saves"""
LEAST = 50
"""moments of a part, unless they are the last; at the end all but one process wait for half of one"""
_GARBAGE = 100_000
"""objects more than there were before garbage is looked for; a moment of a thousand positions is made of fewer"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Part:
    """Moments in a row, and what is carried to the first of them."""

    moments: tuple[Captured, ...]
    carried: Carried


@dataclass(frozen=True, slots=True)
class _Done:
    judged: tuple[Judged, ...]
    carried: Carried
    """to the next part"""


_Waiting = deque[tuple[_Part, Future[_Done] | None]]


def processes_for(moments: int) -> int:
    """How many are worth while for so many moments on this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST) if moments >= WORTH_IT else 1


def replay_parts(captured: Iterable[Captured], judging: Judging, processes: int) -> Generator[Judged, None, None]:
    """As `guardrails.replay.replay`, by so many processes; to be closed. The moments are read some parts ahead."""
    here = Course(judging)
    if processes == 1:
        for one in captured:
            yield here.judge(one)
        return
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin, (judging, compiled.state()))
    waiting: _Waiting = deque()
    try:
        for part in _parts(captured, judging):
            waiting.append((part, _sent(pool, part)))
            if len(waiting) > processes + 1:
                yield from _next(waiting, here)
        while waiting:
            yield from _next(waiting, here)
    finally:  # also when nobody wants the rest, and on Ctrl-C
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def frozen() -> Iterator[None]:
    """What is loaded now is not looked through again and again for garbage, nor every moment while it is judged, which
    leaves no cycles behind: an eighth of the time went into that.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_GARBAGE, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _sent(pool: ProcessPoolExecutor, part: _Part) -> Future[_Done] | None:
    try:
        return pool.submit(_judge, part)
    except BrokenProcessPool:
        return None


def _next(waiting: _Waiting, here: Course) -> Iterator[Judged]:
    """The moments of the oldest part, as they were judged elsewhere if that may be believed, else judged here."""
    part, future = waiting.popleft()
    done = None if future is None else _result(future)
    if done is not None and part.carried.regime == here.carried.regime:
        here.carried = done.carried
        yield from done.judged
        return
    for one in part.moments:
        yield here.judge(one)


def _result(future: Future[_Done]) -> _Done | None:
    try:
        return future.result()
    except BrokenProcessPool:
        log.warning("a process that judged the past has died; what was left is judged by one alone")
        return None


def _parts(captured: Iterable[Captured], judging: Judging) -> Iterator[_Part]:
    """The past cut where sessions begin, each part with the regime that the readings before it lead to."""
    moments: list[Captured] = []
    carried = Carried()
    for one in captured:
        if len(moments) >= LEAST and calendar.session_of(one.time) != calendar.session_of(moments[-1].time):
            yield _Part(tuple(moments), carried)
            carried, moments = ahead(moments, judging, carried), []
        moments.append(one)
    if moments:
        yield _Part(tuple(moments), carried)


_asked: list[Judging] = []
"""in a process of the pool, once it has begun: how it judges"""


def _begin(judging: Judging, already: compiled.State) -> None:
    """In a new process: Ctrl-C is for the one that asked, and without that this one has nothing to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    redaction.install()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if compiled.state() is not already:
        compiled.prepare()
    _asked[:] = [judging]
    gc.freeze()
    gc.set_threshold(_GARBAGE, *gc.get_threshold()[1:])


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _judge(part: _Part) -> _Done:
    course = Course(_asked[0], part.carried)
    return _Done(tuple(course.judge(one) for one in part.moments), course.carried)

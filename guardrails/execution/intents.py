"""The last place for an intent: a local file, when neither the database nor its spool takes it.

An order is sent only once its intent and its key are durable. An exit must not wait for a disk that the database shares
with nobody, so its intent goes into `intents.jsonl` then, in which room is kept for exits alone, so that a full disk
refuses none (see `guardrails.reserve`). What stands there is held against the broker at the next start. Each line names
its book, as programs of several books may share a folder. Accounts stand in it without their numbers.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path

from pydantic import TypeAdapter

from guardrails import reserve
from guardrails.execution.values import OrderRecord
from guardrails.reserve import Room

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)

FILE = "intents.jsonl"
ROOM = 1_000_000
"""bytes kept for the next intents"""
ORDER_BYTES = 4_000
"""reckoned for one intent; that of four legs takes some 2,000, and more in a book in which much is wrong"""
_LOCK_SECONDS = 1.0
_GUARD = threading.Lock()
"""one adds while another may be taking out"""


@dataclass(frozen=True, slots=True)
class Intent:
    """One line."""

    book: str
    """`guardrails.memory.sources_key` of what is watched"""
    record: OrderRecord


_INTENT: TypeAdapter[Intent] = TypeAdapter(Intent)


def save(folder: Path, book: str, record: OrderRecord) -> None:
    """Add `record`, and return once it is on the disk; OSError when it cannot be."""
    with _alone(folder) as file:
        reserve.put(file, _line(book, record), reserve.end_of(file))


def read(folder: Path, book: str) -> tuple[OrderRecord, ...]:
    """What was saved of `book`, the last word of each order; lines that cannot be read are logged and left out."""
    try:
        with (folder / FILE).open("rb", buffering=0) as file:
            found = {one.record.key: one.record for _, _, one in _all(file) if one.book == book}
    except FileNotFoundError:
        return ()
    return tuple(found.values())


def settle(folder: Path, book: str, kept: Iterable[str]) -> None:
    """Take the orders of `book` out that are kept elsewhere by now; their room is free again with the last of all."""
    done = {(book, key) for key in kept}
    with _alone(folder) as file:
        left = 0
        for start, end, one in list(_all(file)):
            if (one.book, one.record.key) in done:
                reserve.put_over(file, b" " * (end - start - 1) + b"\n", start)
            else:
                left += 1
        if not left:
            reserve.empty(file, ROOM)


def keep_room(folder: Path) -> Room:
    """See to it that room is kept for the next intents; what is kept now. OSError when the file cannot be written."""
    with _alone(folder) as file:
        return Room(reserve.keep_room(file, reserve.end_of(file), ROOM), ROOM)


def room_in(folder: Path) -> Room | None:
    """What is kept now; only looks, None when there is no file. OSError when it cannot be read."""
    return Room(reserve.kept_in(folder / FILE), ROOM) if (folder / FILE).exists() else None


@contextmanager
def _alone(folder: Path) -> Iterator[FileIO]:
    """The file, while no other thread or program changes it; OSError when one does not let go of it."""
    with _GUARD, reserve.opened(folder / FILE) as file:
        _lock(file)
        yield file


def _lock(file: FileIO) -> None:
    """Until the file is closed; Windows has no such lock."""
    if sys.platform == "win32":
        return
    end = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.005)
        else:
            return


def _all(file: FileIO) -> Iterator[tuple[int, int, Intent]]:
    """Where each line begins and ends, and what it says."""
    end = 0
    for line in file.read(reserve.lines_end(file)).splitlines(keepends=True):
        start, end = end, end + len(line)
        if not line.strip():
            continue
        try:
            yield start, end, _INTENT.validate_json(line)
        except ValueError:
            log.warning("a line of %s cannot be read", FILE)


def _line(book: str, record: OrderRecord) -> bytes:
    hidden = replace(record, order=replace(record.order, account=record.order.account.hidden))
    return _INTENT.dump_json(Intent(book, hidden)) + b"\n"

"""The last place for an intent: a local file, when neither the database nor its spool takes it.

An order is sent only once its intent and its key are durable. An exit must not wait for a disk that the database shares
with nobody, so its intent goes into `intents.jsonl` then; what stands there is held against the broker at the next
start. Each line names its book, as programs of several books may share a folder. Accounts stand in it without their
numbers.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from guardrails.execution.values import OrderRecord
from guardrails.memory import write_atomically

log = logging.getLogger(__name__)

FILE = "intents.jsonl"
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
    line = b"\n" + _line(book, record)  # a line before may be torn
    with _GUARD:
        is_new = not (folder / FILE).exists()
        number = os.open(folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.write(number, line) < len(line):  # a full disk takes a part and says nothing
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(number)
        finally:
            os.close(number)
        if is_new:
            _sync_folder(folder)


def read(folder: Path, book: str) -> tuple[OrderRecord, ...]:
    """What was saved of `book`, the last word of each order; lines that cannot be read are logged and left out."""
    return tuple(one.record for one in _all(folder).values() if one.book == book)


def settle(folder: Path, book: str, kept: Iterable[str]) -> None:
    """Take the orders of `book` out that are kept elsewhere by now; the file goes with the last of all."""
    done = {(book, key) for key in kept}
    with _GUARD:
        left = [one for place, one in _all(folder).items() if place not in done]
        if left:
            write_atomically(folder / FILE, b"".join(_line(one.book, one.record) for one in left))
        else:
            (folder / FILE).unlink(missing_ok=True)


def _all(folder: Path) -> dict[tuple[str, str], Intent]:
    try:
        lines = (folder / FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    found: dict[tuple[str, str], Intent] = {}
    for line in filter(bytes.strip, lines):
        try:
            one = _INTENT.validate_json(line)
        except ValueError:
            log.warning("a line of %s cannot be read", FILE)
            continue
        found[one.book, one.record.key] = one
    return found


def _line(book: str, record: OrderRecord) -> bytes:
    hidden = replace(record, order=replace(record.order, account=record.order.account.hidden))
    return _INTENT.dump_json(Intent(book, hidden)) + b"\n"


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)

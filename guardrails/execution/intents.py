"""The last place for an intent: a local file, when neither the database nor its spool takes it.

An order is sent only once its intent and its key are durable. An exit must not wait for a disk that the database shares
with nobody, so its intent goes into `intents.jsonl` then; what stands there is held against the broker at the next
start. Accounts stand in it without their numbers.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from guardrails.execution.values import OrderRecord

log = logging.getLogger(__name__)

FILE = "intents.jsonl"
_RECORD: TypeAdapter[OrderRecord] = TypeAdapter(OrderRecord)


def save(folder: Path, record: OrderRecord) -> None:
    """Add `record`, and return once it is on the disk; OSError when it cannot be."""
    hidden = replace(record, order=replace(record.order, account=record.order.account.hidden))
    is_new = not (folder / FILE).exists()
    number = os.open(folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(number, b"\n" + _RECORD.dump_json(hidden) + b"\n")  # a line before may be torn
        os.fsync(number)
    finally:
        os.close(number)
    if is_new:
        _sync_folder(folder)


def read(folder: Path) -> tuple[OrderRecord, ...]:
    """What was saved, the last word of each order; lines that cannot be read are logged and left out."""
    try:
        lines = (folder / FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return ()
    found: dict[str, OrderRecord] = {}
    for line in filter(bytes.strip, lines):
        try:
            record = _RECORD.validate_json(line)
        except ValueError:
            log.warning("a line of %s cannot be read", FILE)
            continue
        found[record.key] = record
    return tuple(found.values())


def settle(folder: Path, kept: Iterable[str]) -> None:
    """Take the orders out that are kept elsewhere by now; the file goes with the last of them."""
    done = set(kept)
    left = [record for record in read(folder) if record.key not in done]
    (folder / FILE).unlink(missing_ok=True)
    for record in left:
        save(folder, record)


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)

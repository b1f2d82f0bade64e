"""An order's intent made durable, and a doubt about it written down; the room for intents is kept here."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from guardrails.errors import SourceError
from guardrails.execution import intents, life
from guardrails.execution.desk import Desk
from guardrails.execution.kept_room import KeptRoom
from guardrails.execution.values import OrderRecord
from guardrails.orders import OrderState
from guardrails.reserve import Room

log = logging.getLogger(__name__)


async def keep(desk: Desk, record: OrderRecord, *, may_use_file: bool) -> str:
    """Why `record` is not durable; empty when it is."""
    kept = desk.do(record)
    if kept is not None and await asyncio.to_thread(kept.wait, desk.waits.keep):
        return ""
    if not may_use_file:
        return (
            "its intent cannot be kept: neither the database nor the disk beside it takes it. Exits have room of their "
            "own; for this one run guardrails doctor, and free space on the disk of the data folder"
        )
    try:
        await asyncio.to_thread(intents.save, desk.data_dir, desk.book, record)
    except OSError as error:
        return (
            f"its intent cannot be kept anywhere, not even in {intents.FILE} ({error.strerror}). Free space on the "
            "disk of the data folder and send it again, or close the position in the broker's own program"
        )
    desk.deeds.unkept.add(record.key)
    return ""


def doubt(desk: Desk, key: str, words: str) -> None:
    """In doubt, unless the broker has told of it meanwhile."""
    record = desk.record(key)
    if record.state in (OrderState.INTENT_SAVED, OrderState.SENT, OrderState.WORKING, OrderState.PARTIAL):
        desk.do(life.doubt(record, words, desk.clock()))


def said(error: Exception) -> str:
    """What went wrong, fit to be shown."""
    return str(error)[:200] if isinstance(error, SourceError) else type(error).__name__


async def keep_again(desk: Desk) -> None:
    """Hand over again what the store did not take; intents that stand in the file alone leave it once it does."""
    while True:
        if desk.is_open:
            desk.room = await asyncio.to_thread(_kept_room, desk)
            desk.deeds.hand_again(desk.clock(), timedelta(seconds=desk.waits.hand_again))
            await _settle(desk)
        await desk.wait(desk.waits.tick)


def _kept_room(desk: Desk) -> KeptRoom:
    try:
        exits = intents.keep_room(desk.data_dir)
    except OSError as error:
        log.debug("no room is kept in %s: %s", intents.FILE, error.strerror)
        exits = Room(0, intents.ROOM)
    return KeptRoom(exits, desk.deeds.room())


async def _settle(desk: Desk) -> None:
    keys = {key for key in desk.deeds.unkept if key in desk.deeds.records}
    if not keys or not desk.deeds.is_stored:
        return
    kept = desk.deeds.do(desk.clock(), *(desk.deeds.records[key] for key in keys))
    if kept is not None and await asyncio.to_thread(kept.wait, desk.waits.keep):
        await asyncio.to_thread(intents.settle, desk.data_dir, desk.book, keys)
        desk.deeds.unkept -= keys

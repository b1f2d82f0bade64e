"""An order's intent made durable, and a doubt about it written down."""

from __future__ import annotations

import asyncio

from guardrails.errors import SourceError
from guardrails.execution import intents, life
from guardrails.execution.desk import Desk
from guardrails.execution.values import OrderRecord
from guardrails.orders import OrderState


async def keep(desk: Desk, record: OrderRecord, *, may_use_file: bool) -> str:
    """Why `record` is not durable; empty when it is."""
    kept = desk.do(record)
    if kept is not None and await asyncio.to_thread(kept.wait, desk.waits.keep):
        return ""
    if not may_use_file:
        return "its intent cannot be kept: neither the database nor the disk beside it takes it"
    try:
        await asyncio.to_thread(intents.save, desk.data_dir, record)
    except OSError as error:
        return f"its intent cannot be kept anywhere, not even in {intents.FILE} ({error.strerror})"
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

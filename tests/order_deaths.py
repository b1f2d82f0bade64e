"""Where the program of the crash runs ends itself with SIGKILL: before or after a named step, the n-th time.

`aim("fill before 2")` in a process ends it just before the second time that an execution is handed to the store.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import os
import signal
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from guardrails.execution.values import Deed, FlattenRun, JournalEntry, OrderRecord
from guardrails.orders import Fill
from guardrails.safety import SafetyChange


@dataclass(frozen=True, slots=True)
class Place:
    """One callable of the program, and the steps that a call of it is."""

    module: str
    path: str
    """class and attribute, or attribute"""
    steps: Callable[..., Iterable[str]]
    """of the arguments"""


def _one(name: str) -> Callable[..., Iterable[str]]:
    return lambda *_, **__: (name,)


def _handed(_: object, *deeds: Deed) -> Iterable[str]:
    """What is remembered and handed to the store at once, each kind and state by itself."""
    return {_name(deed) for deed in deeds}


def _name(deed: Deed) -> str:
    if isinstance(deed, OrderRecord):
        return deed.state.value.lower()
    if isinstance(deed, Fill):
        return "fill"
    if isinstance(deed, JournalEntry):
        return f"entry {deed.kind.value}" + (" with after" if deed.after else "")
    if isinstance(deed, SafetyChange):
        return "safety"
    return f"run {deed.state.value}" if isinstance(deed, FlattenRun) else "override"


def _file(path: Any, *_: object) -> Iterable[str]:
    return (f"file {path.name}",)


def _wire(_: object, __: int, ___: object, order: Any) -> Iterable[str]:
    return ("what-if" if order.whatIf else "wire",)


def _action(_: object, action: object, *__: object) -> Iterable[str]:
    return (f"flatten {type(action).__name__.lower()}",)


PLACES = (
    Place("guardrails.execution.judging", "Judge.judge", _one("judge")),
    Place("guardrails.execution.approvals", "Approvals.give", _one("approve")),
    Place("guardrails.execution.approvals", "Approvals.take", _one("approval used")),
    Place("guardrails.execution.desk", "Desk.do", _handed),
    Place("guardrails.execution.sending", "keep", _one("durable")),
    Place("guardrails.execution.following", "Following.reconcile", _one("reconcile")),
    Place("guardrails.execution.opening", "Opening._take_up", _one("take up")),
    Place("guardrails.execution.safety_file", "write_atomically", _file),
    Place("guardrails.flatten.carrying", "Carrying._do", _action),
    Place("guardrails.flatten.flattening", "Flattening._begin", _one("flatten begin")),
    Place("guardrails.flatten.flattening", "Flattening._resume", _one("flatten resume")),
    Place("guardrails.store.bringing", "insert_proven", _one("rows")),
    Place("guardrails.store.bringing", "Bringing._insert", _one("commit")),
    Place("guardrails.store.bringing", "keep_head", _one("head")),
    Place("adapters.ibkr.source", "IbkrSource.submit", _one("submit")),
    Place("adapters.ibkr.source", "IbkrSource.cancel", _one("cancel")),
    Place("adapters.ibkr.source", "IbkrSource.reprice", _one("reprice")),
    Place("ib_async.client", "Client.placeOrder", _wire),
)
"""`after rows` is inside the transaction, `after commit` once it is durable, `after wire` once the bytes are written"""

_STATES = ("intent_saved", "sent", "working", "partial", "filled", "cancel_requested", "cancelled")
ORDER_AIMS = (
    "judge before", "judge after", "what-if after", "approve after", "approval used after", "durable after",
    "submit before", "wire before", "wire after", "submit after", "cancel before", "cancel after", "rows before",
    "rows after", "commit after", "head before", "head after", "fill before", "fill after", "entry fill after",
    "entry fill with after before", "entry fill with after after",
    *(f"{state} {when}" for state in _STATES for when in ("before", "after")),
)  # fmt: skip
FLATTEN_AIMS = (
    "flatten begin before", "flatten begin after", "run running before", "run running after", "flatten read after",
    "flatten send before", "flatten send after", "flatten reprice before", "flatten reprice after", "wire before",
    "wire after", "submit after", "intent_saved after", "sent after", "partial after", "filled before", "filled after",
    "fill before", "reprice before", "reprice after", "entry flatten after",
)  # fmt: skip
SAFETY_AIMS = ("file safety.json before", "file safety.json after", "safety before", "safety after")
START_AIMS = (
    "take up before", "take up after", "reconcile before", "reconcile after", "unknown before", "unknown after",
    "fill before", "fill after", "filled after", "commit after", "rows after", "flatten resume before",
    "flatten resume after", "run running after", "run done before", "run done after", "entry flatten before",
)  # fmt: skip


def aim(text: str) -> None:
    """End this process with SIGKILL at `STEP before|after NUMBER`; nothing when `text` is empty."""
    if not text:
        return
    rest, _, number = text.rpartition(" ")
    step, _, when = rest.rpartition(" ")
    count = itertools.count(1)

    def reached(steps: Collection[str], now: str) -> None:
        if now == when and step in steps and next(count) == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    for place in PLACES:
        owner: Any = import_module(place.module)
        *classes, name = place.path.split(".")
        for one in classes:
            owner = getattr(owner, one)
        setattr(owner, name, _watched(getattr(owner, name), place.steps, reached))


def _watched(call: Any, steps: Callable[..., Iterable[str]], reached: Callable[[Collection[str], str], None]) -> Any:
    if inspect.iscoroutinefunction(call):

        @functools.wraps(call)
        async def later(*args: Any, **more: Any) -> Any:
            names = tuple(steps(*args, **more))
            reached(names, "before")
            answer = await call(*args, **more)
            reached(names, "after")
            return answer

        return later

    @functools.wraps(call)
    def at_once(*args: Any, **more: Any) -> Any:
        names = tuple(steps(*args, **more))
        reached(names, "before")
        answer = call(*args, **more)
        reached(names, "after")
        return answer

    return at_once

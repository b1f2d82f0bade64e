"""Orders, safety and flatten as they stand: what pages read beside the Snapshot; replaced whole after every step."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from guardrails.execution.values import FlattenRun, JournalEntry, OrderRecord
from guardrails.gate.values import Override
from guardrails.orders import BrokerOrder
from guardrails.safety import Safety


@dataclass(frozen=True, slots=True)
class TradingRow:
    """Whether orders can be sent for one account."""

    account: str
    """broker and masked number"""
    source: str
    refusal: str
    """why not, in words; empty when they can"""
    orders_known: bool = True
    """whether its working orders are known"""
    detail: str = ""
    paper: bool = False
    """its orders reach no real exchange"""


@dataclass(frozen=True, slots=True)
class Discipline:
    """How the rules were kept today."""

    sent: int = 0
    warned: int = 0
    """orders sent against a warning, with a reason"""
    overridden: int = 0
    """orders that needed an override"""
    blocked: int = 0
    """orders that were refused at submit"""
    unguarded: int = 0
    """fills at the brokers of orders that did not come through the gate"""
    unguarded_words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OrdersNow:
    """Everything at one moment."""

    as_of: datetime
    safety: Safety = field(default_factory=Safety)
    trading: tuple[TradingRow, ...] = ()
    records: tuple[OrderRecord, ...] = ()
    """of this session and those that are not over, newest first"""
    others: tuple[BrokerOrder, ...] = ()
    """working orders of other senders"""
    overrides: tuple[Override, ...] = ()
    """in force"""
    runs: tuple[FlattenRun, ...] = ()
    """running, and those of this session, newest first"""
    discipline: Discipline = field(default_factory=Discipline)
    problem: str = ""
    """why what is shown may be old or incomplete; empty when it is not"""
    changes: tuple[JournalEntry, ...] = ()
    """changes of positions that nothing explains and nobody has accepted, oldest first"""
    room: str = ""
    """for how many more exits room is kept on the disk, in words; empty before it is known"""


def trading_words(now: OrdersNow) -> str:
    """Where orders can be sent, in few words for the header: `read-only`, `paper IBKR`, `LIVE tastytrade`."""
    able = [row for row in now.trading if not row.refusal]
    if not able:
        return "read-only"
    live = sorted({row.account.partition(" ")[0] for row in able if not row.paper})
    paper = sorted({row.account.partition(" ")[0] for row in able if row.paper})
    return " · ".join(f"{word} {', '.join(names)}" for word, names in (("LIVE", live), ("paper", paper)) if names)

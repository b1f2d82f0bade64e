"""What an order is judged on: the freshest book, what is already on its way, and the state of the program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from guardrails.execution.values import OrderRecord
from guardrails.gate.projection import Prepared
from guardrails.gate.values import Override
from guardrails.limits import Limits
from guardrails.orders import BrokerOrder
from guardrails.portfolio import Portfolio
from guardrails.safety import Safety
from guardrails.values import AccountId


@dataclass(frozen=True, slots=True)
class Ground:
    """All of it at one moment; nothing in here is asked for again while an order is judged."""

    prepared: Prepared
    now: datetime
    working: tuple[BrokerOrder, ...] = ()
    """of every sender in every account; those that are over may be among them"""
    orders_unknown: str = ""
    """why the working orders are not known, in words; empty when they are"""
    safety: Safety = field(default_factory=Safety)
    sent: tuple[OrderRecord, ...] = ()
    """ours of the last minutes, for second clicks and floods, and all that are not over"""
    overrides: tuple[Override, ...] = ()
    confirmed: Mapping[AccountId, Mapping[str, float]] = field(default_factory=dict)
    """positions read from the broker just now, all of an account by `Instrument.key`; may lack accounts"""
    doubtful: tuple[str, ...] = ()
    """our orders of which it is not known what became of them, in words"""

    @property
    def portfolio(self) -> Portfolio:
        """The book as the last cycle has it."""
        return self.prepared.portfolio

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self.prepared.limits

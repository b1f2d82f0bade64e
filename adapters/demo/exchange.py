"""The demo's exchange: orders rest until the simulated quote reaches their limit, and are filled from it in two parts.

Whoever looks at the market moves it: nothing happens between two looks. What was traded in a session is kept in a
file, so that a restart finds the same book; another scenario and the next session begin with a fresh one.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter

from adapters.demo.book import IBKR, TASTYTRADE
from adapters.demo.marks import Mark
from guardrails.memory import write_atomically
from guardrails.orders import BrokerOrder, Fill, Leg, Order, OrderState
from guardrails.values import AccountId

log = logging.getLogger(__name__)

ACCOUNTS = {"IBKR": AccountId("IBKR", IBKR), "tastytrade": AccountId("tastytrade", TASTYTRADE)}
"""by broker"""
FEE = 1.13
"""dollars a contract or future costs; shares cost nothing"""
_REST = timedelta(seconds=1)
"""every order is seen working before it is filled"""
_DUST = 1e-9
_WORKING = (OrderState.WORKING, OrderState.PARTIAL)

Quotes = Callable[[Sequence[Leg]], Sequence[Mark]]
"""marks of the instruments of legs, in their order"""


@dataclass(frozen=True, slots=True)
class Traded:
    """Everything that happened in one session of one scenario."""

    scenario: str = ""
    session: date | None = None
    orders: tuple[BrokerOrder, ...] = ()
    fills: tuple[Fill, ...] = ()
    number: int = 0
    """of the last order"""


@dataclass(slots=True)
class Exchange:
    """Belongs to the loop of the engine."""

    file: Path | None
    """where it is kept; None keeps nothing"""
    traded: Traded = field(default_factory=Traded)

    def begin(self, scenario: str, session: date) -> None:
        """Take up this session where a former run left it, else with nothing traded."""
        found = self._read()
        same = found is not None and (found.scenario, found.session) == (scenario, session)
        self.traded = found if found is not None and same else Traded(scenario, session)

    def take(self, order: Order, key: str, now: datetime) -> None:
        """Let `order` rest under `key`."""
        number = self.traded.number + 1
        resting = BrokerOrder(
            account=order.account,
            reference=f"demo-{number}",
            key=key,
            legs=order.legs,
            quantity=float(order.quantity),
            filled=0.0,
            state=OrderState.WORKING,
            limit=order.limit,
            time_in_force=order.time_in_force.value,
            words="waits for the close" if order.at_close else "",
            time=now,
        )
        self._keep(replace(self.traded, number=number, orders=(*self.traded.orders, resting)))

    def cancel(self, reference: str, now: datetime) -> bool:
        """Whether a working order of that reference was there to be cancelled."""
        return self._change(reference, lambda one: replace(one, state=OrderState.CANCELLED, time=now))

    def reprice(self, reference: str, limit: float, now: datetime) -> bool:
        """Whether a working order of that reference was there to get another limit."""
        return self._change(reference, lambda one: replace(one, limit=limit, time=now))

    def match(self, quotes: Quotes, now: datetime, close: datetime) -> tuple[Fill, ...]:
        """Fill what the quotes reach; what was filled now. This market never closes, so a day's orders last as long as
        its session; what waits for the `close` is filled from then on."""
        before = len(self.traded.fills)
        for order in self.traded.orders:
            if order.state not in _WORKING or order.time is None or now - order.time < _REST:
                continue
            if not order.words or now >= close:
                self._fill(order, quotes(order.legs), now)
        return self.traded.fills[before:]

    def _fill(self, order: BrokerOrder, marks: Sequence[Mark], now: datetime) -> None:
        prices = [mark.ask if leg.ratio > 0 else mark.bid for leg, mark in zip(order.legs, marks, strict=True)]
        natural = sum(leg.ratio * price for leg, price in zip(order.legs, prices, strict=True))
        closed = any(price <= 0 and leg.ratio > 0 for leg, price in zip(order.legs, prices, strict=True))
        if closed or (order.limit is not None and natural > order.limit + _DUST):
            return
        packages = math.ceil(order.remaining / 2.0)
        fills = tuple(
            Fill(
                execution=f"{order.reference}.{len(self.traded.fills) + place:04d}",
                revision=1,
                account=order.account,
                instrument=leg.instrument,
                quantity=leg.ratio * packages,
                price=price,
                time=now,
                key=order.key,
                reference=order.reference,
                fees=FEE * abs(leg.ratio * packages) if _is_contract(leg) else 0.0,
            )
            for place, (leg, price) in enumerate(zip(order.legs, prices, strict=True))
        )
        filled = order.filled + packages
        state = OrderState.FILLED if filled >= order.quantity else OrderState.PARTIAL
        done = replace(order, filled=filled, state=state, time=now, words="")
        others = tuple(done if one.reference == order.reference else one for one in self.traded.orders)
        self._keep(replace(self.traded, orders=others, fills=(*self.traded.fills, *fills)))

    def _change(self, reference: str, change: Callable[[BrokerOrder], BrokerOrder]) -> bool:
        found = [one for one in self.traded.orders if one.reference == reference and one.state in _WORKING]
        if not found:
            return False
        orders = tuple(change(one) if one in found else one for one in self.traded.orders)
        self._keep(replace(self.traded, orders=orders))
        return True

    def _keep(self, traded: Traded) -> None:
        self.traded = traded
        if self.file is None:
            return
        try:
            write_atomically(self.file, _FILE.dump_json(_told(traded, lambda account: account.hidden)))
        except OSError as error:  # an exchange has a disk of its own: ours, when it is full, keeps nobody from trading
            log.warning("the demo may forget its last trades at a restart (%s)", error.strerror)

    def _read(self) -> Traded | None:
        try:
            kept = None if self.file is None else _FILE.validate_json(self.file.read_bytes())
        except (OSError, ValueError):
            return None
        return None if kept is None else _told(kept, lambda account: ACCOUNTS[account.broker])


def _is_contract(leg: Leg) -> bool:
    return leg.instrument.is_option or leg.instrument.expiry is not None or leg.instrument.symbol.startswith("/")


def _told(traded: Traded, named: Callable[[AccountId], AccountId]) -> Traded:
    """The same with other names for the accounts."""
    return replace(
        traded,
        orders=tuple(replace(one, account=named(one.account)) for one in traded.orders),
        fills=tuple(replace(one, account=named(one.account)) for one in traded.fills),
    )


_FILE: TypeAdapter[Traded] = TypeAdapter(Traded)

"""What an account holds, as far as an exit may rest on it: confirmed by the broker, else as the book has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from guardrails import calendar, symbols
from guardrails.errors import SymbolError
from guardrails.gate.ground import Ground
from guardrails.gate.new_legs import multiplier_of
from guardrails.gate.working import Resting
from guardrails.instruments import Instrument, Kind
from guardrails.orders import Order
from guardrails.values import AccountId

_NO_OPTIONS = tuple(f"{kind.value}:" for kind in (Kind.CASH, Kind.EQUITY, Kind.FUTURE, Kind.CRYPTO, Kind.BOND))
"""keys of what is short without needing cover; cash that is owed among it"""


@dataclass(frozen=True, slots=True)
class Holdings:
    """Signed quantities of one account by `Instrument.key`."""

    quantities: Mapping[str, float | None]
    """None: held, but how much is not known"""
    instruments: Mapping[str, Instrument]
    """of every key that can be read"""
    multipliers: Mapping[str, float | None]
    confirmed: bool
    """read from the broker just now, and known to be all"""

    def quantity(self, key: str) -> float | None:
        """What is held; 0 of what is not, None where it is not known."""
        return self.quantities.get(key, 0.0)

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Keys of what is held short, or may be, of which not even the contract can be read."""
        return tuple(
            key
            for key, quantity in self.quantities.items()
            if key not in self.instruments and not key.startswith(_NO_OPTIONS) and (quantity is None or quantity < 0)
        )


def holdings_of(account: AccountId, ground: Ground, order: Order, working: tuple[Resting, ...] = ()) -> Holdings:
    """What `account` holds; contracts and multipliers as the book, `order` and `working` name them."""
    instruments = {leg.instrument.key: leg.instrument for one in working for leg in one.legs}
    instruments |= {leg.instrument.key: leg.instrument for leg in order.legs}
    multipliers: dict[str, float | None] = {}
    book: dict[str, float | None] = {}
    for position in ground.portfolio.positions:
        if position.account != account:
            continue
        key, so_far = position.instrument.key, book.get(position.instrument.key, 0.0)
        quantity = position.quantity
        book[key] = None if quantity is None or so_far is None else so_far + quantity
        instruments[key] = position.instrument
        multipliers[key] = position.multiplier
    told = ground.confirmed.get(account)
    for key in told or ():
        if key not in instruments and (found := _read(key, ground)) is not None:
            instruments[key] = found
    for key in instruments.keys() - multipliers.keys():
        multipliers[key] = multiplier_of(instruments[key], ground.portfolio.positions)[0]
    if told is None:
        return Holdings(book, instruments, multipliers, confirmed=False)
    return Holdings(dict(told), instruments, multipliers, confirmed=True)


def _read(key: str, ground: Ground) -> Instrument | None:
    """The contract of a key that nothing in the book bears; None when it cannot be read."""
    try:
        found = symbols.parse(key.partition(":")[2], calendar.exchange_date(ground.now))
    except (SymbolError, ValueError):
        return None
    return found if found.key == key else None

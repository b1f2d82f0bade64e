"""What is held, line by line, and which of it a person wants closed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from guardrails.flatten.values import Scope, Wish
from guardrails.gate.cover import Holding
from guardrails.gate.new_legs import multiplier_of
from guardrails.instruments import Instrument, Kind
from guardrails.orders import BrokerOrder
from guardrails.portfolio import Portfolio
from guardrails.products import group_of
from guardrails.strategies import packages
from guardrails.values import AccountId, Position, finite

UNORDERED = (Kind.CASH, Kind.CRYPTO, Kind.BOND, Kind.INDEX, Kind.OTHER)
"""what no order of this program trades"""


@dataclass(frozen=True, slots=True)
class Line:
    """Everything one account holds of one instrument."""

    account: AccountId
    instrument: Instrument
    quantity: float | None
    """signed; None when any row of it cannot be read"""
    multiplier: float | None
    currency: str
    rows: tuple[int, ...]
    """of the positions"""
    package: str
    """name of what it was opened with (`guardrails.strategies`); lines of one account that share it belong together"""
    bid: float | None = None
    ask: float | None = None
    quote_time: datetime | None = None
    doubts: tuple[str, ...] = ()
    """why its row cannot be trusted, in words"""

    @property
    def key(self) -> str:
        """Key of the instrument."""
        return self.instrument.key

    @property
    def holding(self) -> Holding:
        """What cover is counted with."""
        return Holding(self.account, self.instrument, self.quantity, self.multiplier)

    @property
    def is_short(self) -> bool:
        """Whether it is, or may be, short."""
        return self.quantity is None or self.quantity < 0


def lines_of(portfolio: Portfolio, *, named: bool = True) -> tuple[Line, ...]:
    """One line per account and instrument that is held or may be; cash and nothing at all are left out.

    Without `named` none knows its package, which is most of the work.
    """
    names = packages(portfolio.positions) if named else ("",) * len(portfolio.positions)
    rows: dict[tuple[AccountId, str], list[int]] = {}
    for row, position in enumerate(portfolio.positions):
        if position.instrument.kind is not Kind.CASH and position.quantity != 0:
            rows.setdefault((position.account, position.instrument.key), []).append(row)
    return tuple(_line(portfolio, tuple(places), names) for places in rows.values())


def _line(portfolio: Portfolio, rows: tuple[int, ...], names: Sequence[str]) -> Line:
    positions = [portfolio.positions[row] for row in rows]
    first = positions[0]
    quantities = [finite(position.quantity) for position in positions]
    known = [quantity for quantity in quantities if quantity is not None]
    multipliers = {position.multiplier for position in positions}
    bid, ask, time = quote_of(positions, portfolio)
    return Line(
        account=first.account,
        instrument=first.instrument,
        quantity=sum(known) if len(known) == len(quantities) else None,
        multiplier=first.multiplier if len(multipliers) == 1 else None,
        currency=first.currency,
        rows=rows,
        package=names[rows[0]],
        bid=bid,
        ask=ask,
        quote_time=time,
        doubts=tuple(dict.fromkeys(reason for position in positions for reason in position.reasons)),
    )


def quote_of(positions: Sequence[Position], portfolio: Portfolio) -> tuple[float | None, float | None, datetime | None]:
    """Bid, ask and time of the newest quote of one instrument that has a side at all."""
    instrument, market = positions[0].instrument, portfolio.market
    told = [(p.quote_time or p.mark_time or p.time, p.bid, p.ask) for p in positions]
    if (streamed := market.quotes.get(instrument.key)) is not None:
        told.append((streamed.time, streamed.bid, streamed.ask))
    price = None if instrument.is_option else market.prices.get(instrument.symbol)
    if price is not None and positions[0].currency == "USD":  # abroad the same symbol may be another listing
        told.append((price.time, price.bid, price.ask))
    sided = [(time, finite(bid), finite(ask)) for time, bid, ask in told]
    sided = [one for one in sided if one[1] is not None or one[2] is not None]
    if not sided:
        return None, None, None
    time, bid, ask = max(sided, key=lambda one: one[0])
    return bid, ask, time


def wanted(lines: Sequence[Line], wish: Wish) -> tuple[Line, ...]:
    """The lines that `wish` names; beside short options, the longs they were opened with when packages stay whole."""
    mine = [line for line in lines if of_account(line.account, wish)]
    if wish.scope is not Scope.SHORT_OPTIONS:
        return tuple(line for line in mine if named(line.instrument, wish))
    shorts = [line for line in mine if line.instrument.is_option and line.is_short]
    if not wish.whole_packages:
        return tuple(shorts)
    opened = {bundle_of(line) for line in shorts if line.package}
    return tuple(line for line in mine if line.instrument.is_option and (line.is_short or bundle_of(line) in opened))


def bundle_of(line: Line) -> tuple[AccountId, str, str]:
    """What lines that were opened together share."""
    return line.account, line.instrument.underlying or line.instrument.symbol, line.package


def of_account(account: AccountId, wish: Wish) -> bool:
    """Whether `wish` means this account."""
    return not wish.accounts or str(account) in wish.accounts


def named(instrument: Instrument, wish: Wish) -> bool:
    """Whether `wish` means what is held of this, apart from its account; of short options alone `wanted` decides."""
    if wish.scope is Scope.UNDERLYING:
        return group_of(instrument.underlying or instrument.symbol) == wish.underlying
    if wish.scope is Scope.EXPIRY:
        return wish.expiry is not None and instrument.expiry == wish.expiry
    return True


def would_open_again(order: BrokerOrder, wish: Wish) -> bool:
    """Whether a working order trades what `wish` closes, even where nothing of it is held yet."""
    if not of_account(order.account, wish):
        return False
    if wish.scope is Scope.SHORT_OPTIONS:
        return any(leg.ratio < 0 and leg.instrument.is_option for leg in order.legs)
    return any(named(leg.instrument, wish) for leg in order.legs)


def working_closes(orders: Sequence[BrokerOrder]) -> Mapping[tuple[AccountId, str], tuple[float, float]]:
    """Units that working orders may still buy and sell, by account and `Instrument.key`."""
    found: dict[tuple[AccountId, str], tuple[float, float]] = {}
    for order in orders:
        for leg in order.legs:
            place = (order.account, leg.instrument.key)
            bought, sold = found.get(place, (0.0, 0.0))
            units = leg.ratio * order.remaining
            found[place] = (bought + max(units, 0.0), sold - min(units, 0.0))
    return found


def opened_by(orders: Sequence[BrokerOrder], lines: Sequence[Line], portfolio: Portfolio) -> Iterator[Holding]:
    """What working orders may open of which nothing is held yet."""
    known = {(line.account, line.key) for line in lines}
    for order in orders:
        for leg in order.legs:
            place = (order.account, leg.instrument.key)
            if place not in known:
                known.add(place)
                yield Holding(order.account, leg.instrument, 0.0, multiplier_of(leg.instrument, portfolio.positions)[0])

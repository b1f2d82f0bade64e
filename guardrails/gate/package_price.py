"""What a package costs now: the newest quote of each leg, and mid and natural of one package as exchanges quote it.

A price is of one package per unit of the largest multiplier of its legs: a covered call of 100 shares and one short
call costs the share less the call. Positive is paid, negative received. Natural is what it costs at once: what is
bought at the ask, what is sold at the bid.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from guardrails.gate.new_legs import multiplier_of
from guardrails.instruments import Instrument, Kind
from guardrails.orders import Leg, Order
from guardrails.portfolio import Portfolio
from guardrails.products import FUTURES, product_root
from guardrails.values import Position, finite

log = logging.getLogger(__name__)

_TICKS = {Kind.OPTION: 0.01, Kind.INDEX_OPTION: 0.05, Kind.EQUITY: 0.01}
_FALLBACK_TICK = 0.05
TICKS = 5
"""that a price may always be off by: what five of the venue's smallest steps make"""


@dataclass(frozen=True, slots=True)
class LegPrice:
    """What the market says of one leg, per unit."""

    leg: Leg
    multiplier: float | None
    bid: float | None = None
    ask: float | None = None
    value: float | None = None
    """last or model price, where there is no quote of both sides"""
    time: datetime | None = None

    @property
    def mid(self) -> float | None:
        """Middle of the quote; of what has none but a price (an index level, a future of a statement), that."""
        if self.bid is None or self.ask is None:
            return self.value if self.bid is None and self.ask is None else None
        return (self.bid + self.ask) / 2.0

    @property
    def at_once(self) -> float | None:
        """What one unit costs, or brings, at once."""
        found = self.ask if self.leg.ratio > 0 else self.bid
        return self.value if found is None and self.bid is None and self.ask is None else found


@dataclass(frozen=True, slots=True)
class PackagePrice:
    """The legs of an order and what one package of them costs."""

    legs: tuple[LegPrice, ...]
    unit: float | None
    """dollars (in the currency of the legs) of 1.00 of the package's price; None when a multiplier is not known"""
    tick: float

    @property
    def mid(self) -> float | None:
        """Of one package; None when any leg has none."""
        return self._sum([each.mid for each in self.legs])

    @property
    def natural(self) -> float | None:
        """What one package costs at once; None when any leg has no quote on the side that is needed."""
        return self._sum([each.at_once for each in self.legs])

    def slack(self, share: float) -> float | None:
        """`share` of the mid, five ticks at least."""
        middle = self.mid
        return None if middle is None else max(share * abs(middle), TICKS * self.tick)

    def _sum(self, prices: Sequence[float | None]) -> float | None:
        total = 0.0
        for each, price in zip(self.legs, prices, strict=True):
            if price is None or each.multiplier is None or not self.unit:
                return None
            total += each.leg.ratio * each.multiplier / self.unit * price
        return round(total, 9)  # sums of cents are not exact in binary


def priced(order: Order, portfolio: Portfolio) -> PackagePrice:
    """What the market of `portfolio` says of the legs of `order`."""
    keys = {leg.instrument.key for leg in order.legs}
    held = [position for position in portfolio.positions if position.instrument.key in keys]
    legs = tuple(
        _leg(leg, [p for p in held if p.instrument.key == leg.instrument.key], portfolio) for leg in order.legs
    )
    units = [each.multiplier for each in legs]
    known = [unit for unit in units if unit is not None]
    return PackagePrice(legs, max(known) if len(known) == len(units) else None, tick_of(order.legs))


def price_of(order: Order, portfolio: Portfolio) -> PackagePrice:
    """The same, and one of which nothing is known when it cannot be computed: an exit needs none."""
    try:
        return priced(order, portfolio)
    except Exception:  # whatever the market holds: without a price new risk is refused
        log.exception("an order cannot be priced")
        return PackagePrice(tuple(LegPrice(leg, None) for leg in order.legs), None, _FALLBACK_TICK)


def tick_of(legs: Sequence[Leg]) -> float:
    """The smallest step the legs' prices take, from tables: the venue's own rule is asked when the order is sent."""
    return max(_tick(leg.instrument) for leg in legs)


def _tick(instrument: Instrument) -> float:
    spec = FUTURES.get(product_root(instrument.underlying or instrument.symbol))
    if spec is not None and instrument.kind in (Kind.FUTURE, Kind.FUTURE_OPTION):
        return spec.tick
    return _TICKS.get(instrument.kind, _FALLBACK_TICK)


def _leg(leg: Leg, held: Sequence[Position], portfolio: Portfolio) -> LegPrice:
    factor = held[0].multiplier if held else multiplier_of(leg.instrument, portfolio.positions)[0]
    said = list(_said(leg, held, portfolio, factor))
    quotes = [each for each in said if each.bid is not None or each.ask is not None]
    newest = max(
        quotes or said, key=lambda each: each.time or datetime.min.replace(tzinfo=portfolio.time.tzinfo), default=None
    )
    return LegPrice(leg, factor) if newest is None else newest


def _said(leg: Leg, held: Sequence[Position], portfolio: Portfolio, factor: float | None) -> Iterator[LegPrice]:
    """All that is said of the price of a leg: streamed quotes, prices of what is no option, rows that are held."""
    instrument, market = leg.instrument, portfolio.market
    if (quote := market.quotes.get(instrument.key)) is not None:
        yield LegPrice(leg, factor, finite(quote.bid), finite(quote.ask), None, quote.time)
    if not instrument.is_option and (price := market.prices.get(instrument.symbol)) is not None:
        yield LegPrice(leg, factor, finite(price.bid), finite(price.ask), finite(price.value), price.time)
    for position in held:
        if position.bid is not None or position.ask is not None:
            yield LegPrice(leg, factor, finite(position.bid), finite(position.ask), None, position.quote_time)
        elif position.mark is not None:
            yield LegPrice(leg, factor, None, None, finite(position.mark), position.mark_time)

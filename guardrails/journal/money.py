"""What turns a price into US dollars: multipliers and rates, as the book knew them. What is not known stays so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from guardrails.instruments import Instrument, Kind
from guardrails.orders import Fill
from guardrails.portfolio import Portfolio
from guardrails.products import product_root, standard_multiplier
from guardrails.values import finite

Number = float | None


@dataclass(frozen=True, slots=True)
class Money:
    """Multipliers by `Instrument.key`, and US dollars per 1.00 of a currency."""

    multipliers: Mapping[str, float] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)

    def multiplier(self, instrument: Instrument) -> Number:
        """Currency units per 1.00 of price: as the book says, else as the contract is defined; None when neither."""
        known = finite(self.multipliers.get(instrument.key))
        return known if known is not None and known > 0 else standard_multiplier(instrument)

    def dollars_per_point(self, instrument: Instrument, currency: str) -> Number:
        """US dollars of one unit per 1.00 of its price; None when multiplier or rate is not known."""
        multiplier, rate = self.multiplier(instrument), self.rate(currency)
        return None if multiplier is None or rate is None else multiplier * rate

    def rate(self, currency: str) -> Number:
        """US dollars per 1.00 of `currency`."""
        return 1.0 if currency == "USD" else finite(self.rates.get(currency))

    def fees(self, fill: Fill) -> Number:
        """Fees of one execution in US dollars; None while they are not known."""
        fees, rate = finite(fill.fees), self.rate(fill.currency)
        return None if fees is None or rate is None else fees * rate


def money_of(portfolio: Portfolio) -> Money:
    """What the positions and the market of `portfolio` say."""
    multipliers = {
        position.instrument.key: position.multiplier
        for position in portfolio.positions
        if position.multiplier is not None
    }
    return Money(multipliers, {currency: rate.value for currency, rate in portfolio.market.fx.items()})


def underlying_of(instrument: Instrument) -> str:
    """What a trade in it is about: `SPX`, `AAPL`, a future by its product (`/ES`)."""
    if instrument.kind is Kind.FUTURE:
        return product_root(instrument.symbol)
    return product_root(instrument.underlying or instrument.symbol)

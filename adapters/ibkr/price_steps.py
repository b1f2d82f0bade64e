"""Which limits IBKR takes: its market rules for single instruments, the exchanges' own increments for packages.

IBKR describes no combination (details of a BAG are refused), so the increment of a package is the table's: .05 for SPX
and SPXW, .01 for everything else on SMART, for futures and their options what their legs have (domain facts 8).
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from decimal import Decimal

import ib_async

from adapters.ibkr.lookup import Known, Lookup
from adapters.ibkr.session import ANSWER_SECONDS, Session
from guardrails.errors import SourceError
from guardrails.instruments import Kind
from guardrails.orders import Order, PriceRule
from guardrails.values import finite

_COARSE = ("SPX", "SPXW")
_CENT, _NICKEL = Decimal("0.01"), Decimal("0.05")


class PriceSteps:
    """The rules that were asked for; they hold for the day and longer."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._rules: dict[int, PriceRule] = {}

    async def rule(self, session: Session, order: Order) -> PriceRule:
        """Which limits the venue takes for `order`; SourceError when IBKR does not say."""
        legs = []
        for leg in order.legs:
            known, reason = await self._lookup.contract(session, leg.instrument)
            if known is None:
                raise SourceError(f"{leg.instrument.label}: {reason}; its price increments are not known.")
            legs.append(known)
        if len(legs) == 1:
            return await self._single(session, legs[0])
        if all(known.instrument.kind in (Kind.FUTURE, Kind.FUTURE_OPTION) for known in legs):
            return _finest([await self._single(session, known) for known in legs], legs)
        coarse = any(known.instrument.root in _COARSE for known in legs)
        return PriceRule(((Decimal(0), _NICKEL if coarse else _CENT),))

    async def _single(self, session: Session, known: Known) -> PriceRule:
        label = known.instrument.label
        details = await self._lookup.details_of(session, known)
        if details is None:
            raise SourceError(f"{label}: IBKR did not say what its price increments are.")
        number = _rule_number(details, known.contract.exchange)
        if number is not None:
            return await self._market_rule(session, number, label)
        tick = finite(details.minTick)
        if tick is None or tick <= 0:
            raise SourceError(f"{label}: IBKR names no price increment for it.")
        return PriceRule(((Decimal(0), Decimal(str(tick))),))

    async def _market_rule(self, session: Session, number: int, label: str) -> PriceRule:
        if number in self._rules:
            return self._rules[number]
        name = f"marketRule-{number}"

        def ask() -> Awaitable[list[ib_async.PriceIncrement]]:
            # the client library's own request gives up after a second and says that there is no rule
            future: Awaitable[list[ib_async.PriceIncrement]] = session.ib.wrapper.startReq(name)  # type: ignore[no-untyped-call]  # the library leaves it untyped
            session.ib.client.reqMarketRule(number)  # type: ignore[no-untyped-call]  # the library leaves it untyped
            return future

        try:
            told = await session.named(name, ask, ANSWER_SECONDS)
        except (TimeoutError, ConnectionError):
            raise SourceError(f"{label}: IBKR did not say what its price increments are.") from None
        rule = _rule(told)
        if rule is None:
            raise SourceError(f"{label}: IBKR's price increments cannot be read.")
        self._rules[number] = rule
        return rule


def _rule_number(details: ib_async.ContractDetails, exchange: str) -> int | None:
    """The rule of `exchange`: rules stand in the order of the valid exchanges; None when none is named."""
    rules = [word.strip() for word in details.marketRuleIds.split(",")]
    places = [word.strip() for word in details.validExchanges.split(",")]
    at = places.index(exchange) if exchange in places else 0
    word = rules[at] if at < len(rules) else rules[0]
    return int(word) if word.isdecimal() else None


def _rule(told: Sequence[ib_async.PriceIncrement]) -> PriceRule | None:
    steps = sorted((Decimal(str(step.lowEdge)), Decimal(str(step.increment))) for step in told if step.increment > 0)
    return PriceRule(tuple(steps)) if steps and steps[0][0] <= 0 else None


def _finest(rules: Sequence[PriceRule], legs: Sequence[Known]) -> PriceRule:
    """A package of options on futures takes the finest increment of its legs, one of futures the coarsest."""
    ticks = [rule.steps[0][1] for rule in rules]
    options = any(known.instrument.kind is Kind.FUTURE_OPTION for known in legs)
    return PriceRule(((Decimal(0), min(ticks) if options else max(ticks)),))

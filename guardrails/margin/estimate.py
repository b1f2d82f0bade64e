"""An account's margin as estimated, beside the broker's own figure: which rule, how much, for which underlying.

Which of the two rules an account is under no broker tells us. The one whose requirement now is nearer (by ratio) to
the broker's maintenance is taken, and said; without the broker's figure the strategy-based one. Futures and their
options are not estimated: the broker's last figure stands for them. Their exchange's scan ranges are in none of our
data, and a ratio of notionals would only look exact. After a shock `stress.futures_margin` raises it where options on
futures are sold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from guardrails import wording
from guardrails.columns import Array
from guardrails.margin import portfolio_margin, strategy
from guardrails.margin.legs import FUTURES, Leg
from guardrails.margin.packages import Pairing
from guardrails.margin.rates import class_group_of
from guardrails.products import product_root
from guardrails.values import Account, AccountId, MarginView

CONVENTION = (
    "Estimate by the published exchange minimum, gross: premium received is not taken off. "
    "The broker's figure decides; house rules and concentration are in it, not here."
)


class Rule(StrEnum):
    """Which way of margining is estimated."""

    STRATEGY = "strategy"
    """Reg T, by packages of legs"""
    PORTFOLIO = "portfolio"
    """by the worst of ten prices"""


@dataclass(frozen=True, slots=True)
class UnderlyingMargin:
    """One underlying of one account (under the portfolio rule one class group)."""

    underlying: str
    amount: float | None
    """estimate in US dollars; None when a leg of it is not known"""
    broker_amount: float | None
    """what the broker reports for it, in US dollars; None when it does not"""
    words: str
    """the rule as applied, or what is missing"""
    products: tuple[str, ...] = ()
    """futures products whose figure this is; none for shares and their options"""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One account; never to be added to another's."""

    account: AccountId
    rule: Rule
    amount: float | None
    """estimated maintenance in US dollars; None when anything is not known"""
    known: float
    """the same of what is known: of the other underlyings, so no more than a part of the truth"""
    broker_amount: float | None
    """the broker's maintenance of the whole account now, in US dollars"""
    by_underlying: tuple[UnderlyingMargin, ...]
    unknown: tuple[str, ...]
    """what is missing, in words"""
    offset: float
    """under the portfolio rule, what index groups save together: the parts add up to the amount plus this"""
    futures: float | None
    """the broker's figure for futures and their options, a part of `amount`; None when it is not known"""
    words: str
    """convention, and why this rule"""
    by_strategy: strategy.Requirement | None = field(default=None, compare=False, repr=False)
    """of its shares and their options, whichever rule was taken"""
    by_scenario: portfolio_margin.Requirement | None = field(default=None, compare=False, repr=False)
    """likewise; None when it was not estimated"""


@dataclass(frozen=True, slots=True)
class Settled:
    """What is known already of an account that differs in a few underlyings from one that was estimated."""

    lines: Mapping[int, strategy.Line]
    """by the place of their package in the pairing"""
    groups: Mapping[str, portfolio_margin.ClassGroup]
    """by name; each lacks nothing"""


def estimate(
    account: Account,
    legs: Sequence[Leg],
    values: Array | None = None,
    usd_per_unit: float | None = None,
    pairing: Pairing | None = None,
    settled: Settled | None = None,
) -> Estimate:
    """Margin of `account`, whose positions are `legs`, at their own prices.

    The `pairing` of its shares and their options is searched unless one is given; what is `settled` is not made anew.

    `values` (n, 10) are unit prices at `portfolio_margin.prices`; without them only the strategy rule is estimated.
    `usd_per_unit` converts the account's currency, in which the broker's figures are; it is 1 for US dollars.
    """
    fx = 1.0 if account.currency == "USD" and usd_per_unit is None else usd_per_unit
    told = _Told(account, math.nan if fx is None else fx)
    rows = [row for row, leg in enumerate(legs) if leg.instrument.kind not in FUTURES]
    securities = [legs[row] for row in rows]
    futures, futures_parts = _futures(told, [leg for leg in legs if leg.instrument.kind in FUTURES and leg.quantity])
    by_strategy = strategy.requirement(securities, pairing, settled.lines if settled else None)
    by_scenario = (
        None
        if values is None
        else portfolio_margin.requirement(securities, values[rows], settled.groups if settled else None)
    )
    rule, why = _choose(by_strategy.total, None if by_scenario is None else by_scenario.total, told.securities(futures))
    if rule is Rule.PORTFOLIO and by_scenario is not None:
        parts, known, unknown, offset = (
            _by_group(by_scenario, told),
            by_scenario.known,
            by_scenario.unknown,
            by_scenario.offset,
        )
    else:
        parts, known, unknown, offset = (
            _by_name(by_strategy, securities, told),
            by_strategy.known,
            by_strategy.unknown,
            0.0,
        )
        why += "" if by_strategy.proven else " The pairing is the best found; a cheaper one may exist."
    lacking = (*unknown, *(part.words for part in futures_parts if part.amount is None))
    known += futures or 0.0
    return Estimate(
        account=account.id, rule=rule, amount=None if lacking else known, known=known, broker_amount=told.total,
        by_underlying=(*parts, *futures_parts), unknown=lacking, offset=offset, futures=futures,
        words=f"{CONVENTION} {why}", by_strategy=by_strategy, by_scenario=by_scenario,
    )  # fmt: skip


def after(made: Estimate, legs: Sequence[Leg], price: Array, spot: Array, values: Array | None = None) -> Array:
    """The requirement (M,) of the account in M scenarios by the rule of `made`; futures as the broker last said.

    `price` (n, M) unit prices, `spot` (n, M) underlyings, `values` (n, M, 10) for the portfolio rule, rows as `legs`.
    NaN where it is not known.
    """
    rows = [row for row, leg in enumerate(legs) if leg.instrument.kind not in FUTURES]
    securities = [legs[row] for row in rows]
    futures = math.nan if made.futures is None else made.futures
    if made.rule is Rule.STRATEGY:
        return strategy.at(securities, price[rows], spot[rows]) + futures
    if values is None:
        return np.full(price.shape[1], math.nan)
    return portfolio_margin.at(securities, price[rows], values[rows]) + futures


def against_net_liquidation(made: Estimate, legs: Sequence[Leg], price: Array, requirement: Array) -> Array:
    """What net liquidation must exceed (M,), given `requirement` from `after`: excess = net liquidation - this.

    Under the strategy rule options count for nothing in equity, so their value is added; a short one's is taken off.
    """
    return requirement + strategy.option_value(legs, price) if made.rule is Rule.STRATEGY else requirement


class _Told:
    """The broker's maintenance now, in US dollars; None where it does not say."""

    def __init__(self, account: Account, fx: float) -> None:
        self._fx = fx
        segments = {m.segment: m.maintenance for m in account.margins if m.view is MarginView.CURRENT}
        self.total = self._usd(segments.get("total"))
        self._securities, self.commodities = (
            self._usd(segments.get("securities")),
            self._usd(segments.get("commodities")),
        )
        self._names = account.margin_by_underlying

    def securities(self, futures: float | None) -> float | None:
        """Of shares and their options: the segment, else the names that are no futures, else all but `futures`.

        The names come before the total because it is not certain that every broker's total has its futures in it.
        """
        if self._securities is not None or self.total is None or futures == 0.0:
            return self.total if self._securities is None else self._securities
        named = {name: value for name, value in (self._names or {}).items() if not name.startswith("/")}
        if named:
            return self.of(named)
        return None if futures is None else self.total - futures

    def of(self, names: Mapping[str, float]) -> float | None:
        """The sum of these."""
        return self._usd(math.fsum(names.values())) if names else None

    def by(self, alike: Mapping[str, str]) -> Mapping[str, float | None]:
        """What it reports for all names together that `alike` maps to the same."""
        found: dict[str, dict[str, float]] = {}
        for name, value in (self._names or {}).items():
            found.setdefault(alike[name], {})[name] = value
        return {name: self.of(values) for name, values in found.items()}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._names or ())

    def _usd(self, value: float | None) -> float | None:
        return None if value is None or not math.isfinite(value * self._fx) else value * self._fx


def _choose(by_strategy: float, by_scenario: float | None, broker: float | None) -> tuple[Rule, str]:
    if by_scenario is None:
        return Rule.STRATEGY, "Strategy-based (Reg T); portfolio margin was not estimated."
    if broker is None or not broker > 0.0:
        return Rule.STRATEGY, "Strategy-based (Reg T), as the broker's figure to compare with is not known."
    if not (by_strategy > 0.0 and by_scenario > 0.0):
        return Rule.STRATEGY, "Strategy-based (Reg T), as the two rules cannot be compared."
    apart = {
        Rule.STRATEGY: abs(math.log(by_strategy / broker)),
        Rule.PORTFOLIO: abs(math.log(by_scenario / broker)),
    }
    rule = min(apart, key=lambda one: apart[one])
    named = {Rule.STRATEGY: "Strategy-based (Reg T)", Rule.PORTFOLIO: "Portfolio margin"}[rule]
    return rule, (
        f"{named}, inferred: strategy-based {wording.money(by_strategy)}, portfolio margin "
        f"{wording.money(by_scenario)}, the broker's figure {wording.money(broker)}."
    )


def _by_name(found: strategy.Requirement, legs: Sequence[Leg], told: _Told) -> tuple[UnderlyingMargin, ...]:
    told_by = told.by({name: name for name in told.names})
    amounts: dict[str, list[strategy.Line]] = {leg.underlying: [] for leg in legs if leg.quantity != 0.0}
    for line in found.lines:
        amounts[line.underlying].append(line)
    lacking: dict[str, list[str]] = {}
    for leg in legs if found.unknown else ():
        if leg.quantity != 0.0 and leg.problem:
            lacking.setdefault(leg.underlying, []).append(leg.problem)
    return tuple(
        UnderlyingMargin(
            name,
            None if name in lacking else math.fsum(line.amount for line in lines),
            told_by.get(name),
            "; ".join(lacking.get(name) or [line.words for line in lines]),
        )
        for name, lines in amounts.items()
    )


def _by_group(found: portfolio_margin.Requirement, told: _Told) -> tuple[UnderlyingMargin, ...]:
    told_by = told.by({name: class_group_of(name) for name in told.names})
    return tuple(
        UnderlyingMargin(
            group.name,
            None if math.isnan(group.amount) else group.amount,
            told_by.get(group.name),
            group.words,
        )
        for group in found.groups
    )


def _futures(told: _Told, legs: Sequence[Leg]) -> tuple[float | None, tuple[UnderlyingMargin, ...]]:
    """The broker's figure for `legs` (0 when there are none), by product, or in one sum where it reports no more."""
    if not legs:
        return 0.0, ()
    products = tuple(dict.fromkeys(product_root(leg.underlying) for leg in legs))
    told_by = told.by({name: product_root(name) for name in told.names})
    amounts = {name: told_by.get(name) for name in products}
    words = "the broker's last figure, kept constant: the futures exchange's rule is not estimated"
    if told.commodities is not None and None in amounts.values():
        together = ", ".join(products)
        return told.commodities, (UnderlyingMargin(together, told.commodities, told.commodities, words, products),)
    parts = tuple(
        UnderlyingMargin(
            name,
            amount,
            amount,
            words if amount is not None else f"{name}: the broker reports no margin for it alone",
            (name,),
        )
        for name, amount in amounts.items()
    )
    known = [amount for amount in amounts.values() if amount is not None]
    return (math.fsum(known) if len(known) == len(amounts) else None), parts

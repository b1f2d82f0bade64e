"""What trades make of the sums of the book, in plain floats: microseconds, however large the book is.

For what is asked again and again (a slider, many candidates): it adds what the contracts of each leg are worth to the
sums of the cycle, and holds the result against the limits that follow from them. The verdict is always that of
`projection.project`, which also has stress, margin and expiry; a test holds one against the other. The gate does not
ask it: legs are valued one by one here, and there by each other's quotes too; `quantity` has its own sums.

NaN is not known: a sum of which any part is missing or only bounded is NaN, and no limit on it is cleared or proven.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import NamedTuple

from guardrails.checks.greeks import NEAR_EXPIRY_DAYS
from guardrails.exposures import Exposures, measure_exposures
from guardrails.findings import Finding, Level
from guardrails.gate.new_legs import opened, valued
from guardrails.gate.numeric_shares import Shares, judge_shares, known_of, shares_of
from guardrails.gate.projection import Prepared
from guardrails.instruments import Instrument
from guardrails.products import VOLATILITY_GROUP
from guardrails.values import AccountId

_ROUNDING = 1e-9
"""as in `guardrails.limits`: a use equal to its limit is no breach"""


class Sums(NamedTuple):
    """Totals in dollars; NaN is not known."""

    delta: float
    beta_delta: float
    gamma: float
    """beta-weighted, for a 1 % move"""
    near_gamma: float
    """of that what expires within seven days"""
    vega: float
    """volatility products count when short only"""
    vega_30d: float
    theta: float


class NumericLeg(NamedTuple):
    """`quantity` of one instrument; the figures are of one contract, NaN is not known."""

    key: str
    group: str
    counted: bool
    """whether it is an option or a future"""
    volatile: bool
    """whether it is a volatility product"""
    delta: float
    beta_delta: float
    gamma: float
    near_gamma: float
    vega: float
    vega_30d: float
    theta: float
    own: float
    """what the account holds of it"""
    others: float
    """what all others hold, long and short added up: accounts are not netted when contracts are counted"""
    quantity: float = 0.0

    def times(self, quantity: float) -> NumericLeg:
        """The same in another quantity."""
        return self._replace(quantity=quantity)


class Breaches(NamedTuple):
    """What the limits that are linear say of trades, by check and, where there are several, subject."""

    worse: tuple[str, ...]
    """newly broken, or broken by more than before"""
    unknown: tuple[str, ...]
    """set, but not to be judged for want of data"""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The sums and limits of one cycle."""

    now: Sums
    ordinary: tuple[float, float]
    """vega and 30-day vega without volatility products"""
    special: tuple[float, float]
    """those of volatility products"""
    bounds: tuple[tuple[str, int, float, float], ...]
    """check, place in `Sums`, sign of the use (0: either way), largest use; NaN where it is set and not known"""
    shares: tuple[Shares, Shares]
    """of 30-day vega and of delta"""
    most_contracts: float
    """NaN when it is not set"""

    @classmethod
    def of(cls, prepared: Prepared) -> Numbers:
        """Once per cycle."""
        portfolio, limits = prepared.portfolio, prepared.limits
        exposures = portfolio.exposures
        volatile = exposures.is_volatility
        vegas = (exposures.vega, exposures.vega_30d)
        told = {finding.check: finding for finding in prepared.findings}
        keys, nav = limits.keys, portfolio.net_liquidation or 0.0
        exempt = frozenset(limits.matrix.exempt_groups)
        return cls(
            now=_sums(exposures),
            ordinary=(known_of(vegas[0].total(~volatile)), known_of(vegas[1].total(~volatile))),
            special=(known_of(vegas[0].total(volatile)), known_of(vegas[1].total(volatile))),
            bounds=tuple(
                (check, place, sign, bound)
                for check, place, sign in _LINEAR
                if (bound := _bound(told.get(check))) is not None
            ),
            shares=(
                shares_of("vega", exposures.vega_30d, exposures, keys.max_single_underlying_vega_pct, nav, exempt),
                shares_of("delta", exposures.delta, exposures, keys.max_single_underlying_delta_pct, nav, exempt),
            ),
            most_contracts=math.nan if keys.max_position_contracts is None else float(keys.max_position_contracts),
        )

    def after(self, legs: Sequence[NumericLeg]) -> Sums:
        """The sums with `legs`."""
        delta, beta_delta, gamma, near_gamma, _, _, theta = self.now
        vega, vega_30d = self.ordinary
        special, special_30d = self.special
        for _, _, _, volatile, d, b, g, n, v, w, t, _, _, quantity in legs:  # unpacked: faster than by name
            delta += quantity * d
            beta_delta += quantity * b
            gamma += quantity * g
            near_gamma += quantity * n
            theta += quantity * t
            if volatile:
                special += quantity * v
                special_30d += quantity * w
            else:
                vega += quantity * v
                vega_30d += quantity * w
        # min(NaN, 0) would be either: what is not known must stay so
        vega += special if not special > 0.0 else 0.0
        vega_30d += special_30d if not special_30d > 0.0 else 0.0
        return Sums(delta, beta_delta, gamma, near_gamma, vega, vega_30d, theta)

    def breaches(self, legs: Sequence[NumericLeg]) -> Breaches:
        """Which linear limits `legs` newly break or break by more, and which cannot be judged."""
        after, now = self.after(legs), self.now
        worse: list[str] = []
        unknown: list[str] = []
        for check, place, sign, bound in self.bounds:
            then = after[place] * sign if sign else abs(after[place])
            if not then <= bound * (1.0 + _ROUNDING):
                before = now[place] * sign if sign else abs(now[place])
                if isnan(then) or isnan(bound):
                    if not then <= 0.0:
                        unknown.append(check)
                elif then > before + _ROUNDING * abs(before):
                    worse.append(check)
        vegas, deltas = self.shares
        groups = [leg.group for leg in legs]
        if not isnan(vegas.limit):
            judge_shares(vegas, [leg.quantity * leg.vega_30d for leg in legs], groups, worse, unknown)
        if not isnan(deltas.limit):
            judge_shares(deltas, [leg.quantity * leg.delta for leg in legs], groups, worse, unknown)
        if not isnan(self.most_contracts):
            self._count(legs, worse, unknown)
        return Breaches(tuple(worse), tuple(unknown))

    def _count(self, legs: Sequence[NumericLeg], worse: list[str], unknown: list[str]) -> None:
        """Contracts of one line, added over accounts without netting."""
        for leg in legs:
            if leg.counted:
                before = leg.others + abs(leg.own)
                then = leg.others + abs(leg.own + leg.quantity)
                if isnan(then):
                    unknown.append(f"position_contracts {leg.key}")
                elif then > before and then > self.most_contracts * (1.0 + _ROUNDING):
                    worse.append(f"position_contracts {leg.key}")


def leg_of(
    prepared: Prepared, account: AccountId, instrument: Instrument, quantity: float = 0.0, price: float | None = None
) -> NumericLeg:
    """One leg, valued once as `project` values it; ask for other quantities by `NumericLeg.times`."""
    portfolio = prepared.portfolio
    owners = prepared.held.get(instrument.key, {})
    rows = [portfolio.positions[places[0]] for places in owners.values()]
    own = [portfolio.positions[place] for place in owners.get(account, ())]
    if own or rows:
        position = replace((own or rows)[0], quantity=1.0)
    else:
        position = valued([opened(portfolio, account, instrument, 1.0, price)], portfolio, prepared.limits)[0]
    exposures = measure_exposures([position], portfolio.market, portfolio.time)
    held = {
        owner: sum(_quantity(portfolio.positions[place].quantity) for place in places)
        for owner, places in owners.items()
    }
    sums = _sums(exposures)
    return NumericLeg(
        key=instrument.key,
        group=exposures.groups[0],
        counted=bool(exposures.columns.is_contract[0]),
        volatile=VOLATILITY_GROUP in exposures.groups,
        delta=sums.delta,
        beta_delta=sums.beta_delta,
        gamma=sums.gamma,
        near_gamma=sums.near_gamma,
        vega=known_of(exposures.vega.total()),
        vega_30d=known_of(exposures.vega_30d.total()),
        theta=sums.theta,
        own=held.pop(account, 0.0),
        others=sum(map(abs, held.values())),
        quantity=quantity,
    )


_LINEAR = (
    ("beta_delta", 1, 0.0), ("gamma", 2, -1.0), ("near_expiry_gamma", 3, -1.0), ("short_vega", 5, -1.0),
    ("theta_cap", 6, 1.0),
)  # fmt: skip
"""checks by the place of their measure in `Sums`, and the side on which they limit it"""


def _bound(finding: Finding | None) -> float | None:
    """The largest use that a check allows, as its finding says; None when none is set, NaN when it is not known."""
    if finding is None:
        return math.nan
    if finding.limit is not None:
        return abs(finding.limit)
    return None if finding.level is Level.NOT_APPLICABLE else math.nan


def _sums(exposures: Exposures) -> Sums:
    columns = exposures.columns
    undated = (columns.dte < 0) & (columns.is_option | columns.is_unmodelled)
    near = ((columns.dte >= 0) & (columns.dte <= NEAR_EXPIRY_DAYS)) | undated
    return Sums(
        delta=known_of(exposures.delta.total()),
        beta_delta=known_of(exposures.beta_delta().total()),
        gamma=known_of(exposures.beta_gamma().total()),
        near_gamma=known_of(exposures.beta_gamma(near).total()),
        vega=known_of(exposures.total_vega(exposures.vega)),
        vega_30d=known_of(exposures.total_vega(exposures.vega_30d)),
        theta=known_of(exposures.theta.total()),
    )


def _quantity(value: float | None) -> float:
    return math.nan if value is None else value

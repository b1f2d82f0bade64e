"""The book after trades, judged by the very checks that the next cycle will run: what every simulation rests on.

    Portfolio -> trades applied row by row -> exposures -> stress -> checks.run -> findings after

Prices, Greeks, history and gaps are those of the Portfolio; net liquidation stays, as nothing is won or lost by trading
at the price; cash pays the price. A finding after is what the next cycle would say of that book in the same market
(test_projection holds one against the other). Two things only the broker knows: the margin after, without which no
verdict on margin clears anything (see `projected_margin`), and day P&L of what is closed, which goes with its row.

What is held keeps the Greeks it has, also where the quote of a new leg could tell its volatility, or the volatility of
a closed one told it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from guardrails import checks
from guardrails.exposures import exposures_of
from guardrails.findings import Finding
from guardrails.gate.new_legs import owner_of
from guardrails.gate.projected_book import (
    Change,
    Places,
    Rows,
    accounts_after,
    changes_of,
    columns_after,
    has_figures,
    places_of,
    rows_after,
)
from guardrails.gate.projected_margin import is_told, unasked, uncleared, with_margin
from guardrails.gate.projection_stress import Before, stress_after
from guardrails.gate.values import MarginChange, Measures
from guardrails.limits import Limits
from guardrails.orders import Trade
from guardrails.portfolio import Portfolio, total_net_liquidation
from guardrails.stress.standing import Standing
from guardrails.summary.totals import totals_of
from guardrails.values import AccountId, Greeks

MOST_WORLDS = 32
"""books that one cycle remembers; a few working orders have sixteen"""
_MADE_BY_CHECKS = frozenset(check.__name__ for check in checks.CHECKS)


@dataclass(frozen=True, slots=True)
class Prepared:
    """One cycle, ready to be asked what trades would make of it."""

    portfolio: Portfolio
    limits: Limits
    findings: tuple[Finding, ...]
    """of the cycle, those about the program itself included"""
    held: Places
    """rows of each instrument by key and account"""
    before: Before = field(compare=False)
    """what the stress of this cycle has computed already"""
    worlds: dict[tuple[Trade, ...], Projected] = field(default_factory=dict, compare=False, repr=False)
    """books after trades that are asked about again and again: what working orders would make of the book"""


@dataclass(frozen=True, slots=True)
class Projected:
    """A book after trades."""

    portfolio: Portfolio
    findings: tuple[Finding, ...]
    """worst first"""
    stress: Standing | str
    measures: Measures
    unknown: tuple[str, ...]
    """what is not known of the traded legs, in words with their names; the findings they touch are not OK"""
    touched: tuple[int, ...] = ()
    """rows of `portfolio` that the trades changed or opened"""
    margin_unknown: tuple[AccountId, ...] = ()
    """accounts whose margin after is not known"""


def prepare(portfolio: Portfolio, limits: Limits, findings: Sequence[Finding]) -> Prepared:
    """Once per cycle; costs a pass over the positions, everything else is made when it is first asked for."""
    return Prepared(portfolio, limits, tuple(findings), places_of(portfolio), Before(portfolio, limits))


def project(
    prepared: Prepared,
    trades: Sequence[Trade],
    *,
    prices: Mapping[str, float] | None = None,
    margin: MarginChange | None = None,
    account: AccountId | None = None,
) -> Projected:
    """The book of `prepared` after `trades`.

    `prices` are unit prices of now by `Instrument.key`: what is paid, and the price of a leg that nobody quotes; where
    there is none, the middle of the quote or the mark counts. `margin` is the broker's what-if of all the trades in
    `account`.
    """
    plain = not prices and margin is None and account is None
    if plain and (known := prepared.worlds.get(tuple(trades))) is not None:
        return known
    found = _project(prepared, trades, prices or {}, margin, account)
    if plain and len(prepared.worlds) < MOST_WORLDS:
        if not isinstance(found.stress, str):
            found.stress.book.priced.clear()
            found.stress.book.known.clear()  # the checks have asked; what nobody asks again need not be held
        prepared.worlds[tuple(trades)] = found
    return found


def _project(
    prepared: Prepared,
    trades: Sequence[Trade],
    given: Mapping[str, float],
    margin: MarginChange | None,
    account: AccountId | None,
) -> Projected:
    portfolio, limits = prepared.portfolio, prepared.limits
    changes = changes_of(portfolio, trades, prepared.held)
    if not changes:
        return _unchanged(prepared, account)
    rows = rows_after(portfolio, limits, changes, given)
    told = account if is_told(margin) else None
    after = _with_rows(prepared, rows, given)
    if told is not None and margin is not None:
        after = _with_margin(after, changes, told, margin)
    after = replace(after, stress=stress_after(prepared.before, after, rows))
    blind = unasked(portfolio, changes, told)
    own = [finding for finding in prepared.findings if finding.check not in _MADE_BY_CHECKS]
    found = [*own, *uncleared(checks.run(after, limits), blind)]
    return Projected(
        portfolio=after,
        findings=tuple(sorted(found, key=lambda finding: -finding.level.rank)),
        stress=after.stress,
        measures=measures_of(after, account),
        unknown=tuple(_unknown(portfolio, after, changes, rows)),
        touched=rows.touched,
        margin_unknown=blind,
    )


def measures_of(portfolio: Portfolio, account: AccountId | None = None) -> Measures:
    """The totals of a book, with the cash of `account`."""
    totals = totals_of(portfolio)
    owner = None if account is None else owner_of(portfolio.accounts, account)
    return Measures(
        net_liquidation=totals.net_liquidation,
        delta_dollars=totals.delta_dollars,
        beta_delta_dollars=totals.beta_delta_dollars,
        gamma_1pct_dollars=totals.gamma_1pct_dollars,
        vega_per_point=totals.vega_per_point,
        vega_30d_per_point=totals.vega_30d_per_point,
        theta_per_day=totals.theta_per_day,
        cash=None if owner is None else owner.cash,
    )


def _unchanged(prepared: Prepared, account: AccountId | None) -> Projected:
    portfolio = prepared.portfolio
    return Projected(portfolio, prepared.findings, portfolio.stress, measures_of(portfolio, account), ())


def _with_rows(prepared: Prepared, rows: Rows, prices: Mapping[str, float]) -> Portfolio:
    portfolio = prepared.portfolio
    accounts = accounts_after(portfolio, rows, prices)
    ages = [_age(rows.positions[row].greeks, portfolio.time) for row in rows.touched]
    known = [age for age in (portfolio.data_age_seconds, *ages) if age is not None]
    absent = len(accounts) > len(portfolio.accounts)
    return replace(
        portfolio,
        accounts=accounts,
        positions=rows.positions,
        exposures=exposures_of(columns_after(portfolio, rows, prepared.held), portfolio.market),
        net_liquidation=total_net_liquidation(accounts, portfolio.market) if absent else portfolio.net_liquidation,
        data_age_seconds=max(known, default=None),
    )


def _with_margin(after: Portfolio, changes: Sequence[Change], account: AccountId, told: MarginChange) -> Portfolio:
    traded = [change.instrument for change in changes if change.account == account]
    accounts = tuple(with_margin(one, told, traded) if one.id == account else one for one in after.accounts)
    return replace(after, accounts=accounts)


def _age(greeks: Greeks | None, now: datetime) -> float | None:
    return None if greeks is None else max((now - greeks.time).total_seconds(), 0.0)


def _unknown(before: Portfolio, after: Portfolio, changes: Sequence[Change], rows: Rows) -> Iterator[str]:
    """What is not known of each leg that is held after, and who trades without having been read."""
    for account in dict.fromkeys(change.account for change in changes):
        if not has_figures(before, account):
            yield f"{account} has not been read: neither its money nor its positions are known"
    blind = after.exposures.columns.without_greeks
    for row in rows.touched:
        position = after.positions[row]
        found = [*position.reasons, *after.lacks(row)]
        if position.quantity is None:
            found.append("its quantity is not known")
        if blind[row]:
            found.append("it has no Greeks")
        if found:
            yield f"{position.instrument.label} ({position.account}): {'; '.join(dict.fromkeys(found))}"

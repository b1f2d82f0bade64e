"""One cycle as a pure function: what the sources say, the matrix and the memory in; Snapshot and next memory out.

    views -> merge -> value -> exposures -> remember -> regime -> checks -> Snapshot

No clock, no file, no network: the same arguments give the same Snapshot, which is how replays work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from guardrails import calendar, checks
from guardrails.checks.loss import loss_of
from guardrails.checks.recorded_stress import checks_by
from guardrails.exposures import measure_exposures
from guardrails.findings import Finding, Level, worst
from guardrails.intake import accounts_of, gaps_of
from guardrails.limits import Limits
from guardrails.matrix import RiskMatrix
from guardrails.memory import Memory, account_key, remember
from guardrails.portfolio import AccountHistory, Portfolio, merge_markets, total_net_liquidation
from guardrails.regime import MarketReadings, RegimeChange, RegimeState, step
from guardrails.snapshot import Snapshot
from guardrails.stress import COMPILING
from guardrails.stress.recorded import Recorded
from guardrails.stress.standing import standing_of
from guardrails.summary import summarise
from guardrails.valuation import value_positions
from guardrails.values import Market, View

_RECENT_CHANGE = timedelta(days=1)
"""a breach later than this after a change of regime is the book's own"""


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a cycle is made of but the matrix; the arguments of `assess`."""

    views: tuple[View, ...]
    memory: Memory
    """before the cycle"""
    now: datetime
    extra: tuple[Finding, ...] = ()
    trading: str = "read-only"
    compiling: bool = False
    """the pricing kernels are not there yet, so nothing is revalued"""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What one cycle yields."""

    snapshot: Snapshot
    memory: Memory
    portfolio: Portfolio
    limits: Limits
    changes: tuple[RegimeChange, ...]
    """regime changes of this cycle"""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one cycle finds, before it is made a Snapshot."""

    findings: tuple[Finding, ...]
    """worst first"""
    memory: Memory
    """after the cycle"""
    portfolio: Portfolio
    limits: Limits
    regime: RegimeState
    changes: tuple[RegimeChange, ...]
    revalued: bool = True
    """whether what the book would lose was measured, not taken from what was recorded"""

    @property
    def level(self) -> Level:
        """The worst level of all findings."""
        return worst(finding.level for finding in self.findings)


def assess(
    views: Sequence[View],
    matrix: RiskMatrix,
    memory: Memory,
    now: datetime,
    extra: Sequence[Finding] = (),
    trading: str = "read-only",
    *,
    compiling: bool = False,
) -> Assessment:
    """The Snapshot at `now`, and what to remember; `extra` are findings about the program itself."""
    found = judge(views, matrix, memory, now, extra, compiling=compiling)
    snapshot = summarise(found.portfolio, found.limits, found.regime, found.findings, found.level, trading)
    return Assessment(snapshot, found.memory, found.portfolio, found.limits, found.changes)


def judge(
    views: Sequence[View],
    matrix: RiskMatrix,
    memory: Memory,
    now: datetime,
    extra: Sequence[Finding] = (),
    *,
    compiling: bool = False,
    recorded: Recorded | str | None = None,
) -> Judgement:
    """All of `assess` but the Snapshot, whose rows are most of its work and which a replay does not need.

    While the kernels are `compiling` nothing is revalued, so that nobody waits for them. Nor where what the book would
    lose was `recorded` and answers all that the limits ask: then the findings are good for their levels alone.
    """
    market = merge_markets(views)
    readings = readings_of(market, now)
    state, changes = step(memory.regime, readings, matrix, now)
    limits = _limits(state, matrix)
    portfolio = build_portfolio(views, market, limits, memory, now, market_open=readings.market_open)
    portfolio, memory = _remembered(portfolio, memory, limits, now)
    revalued = not compiling and not _is_answered(recorded, portfolio, limits)
    if isinstance(recorded, Recorded) and not (revalued or compiling):
        findings = checks.run(portfolio, limits, checks_by(recorded))
    else:
        told = recorded if isinstance(recorded, str) else COMPILING
        portfolio = replace(portfolio, stress=standing_of(portfolio, limits) if revalued else told)
        findings = _with_causes(checks.run(portfolio, limits), portfolio, limits, state, matrix)
    findings = sorted([*extra, *findings], key=lambda finding: -finding.level.rank)
    return Judgement(tuple(findings), replace(memory, regime=state), portfolio, limits, state, changes, revalued)


def _is_answered(recorded: Recorded | str | None, portfolio: Portfolio, limits: Limits) -> bool:
    """Whether nothing need be revalued: the figures are at hand, or why there were none."""
    if isinstance(recorded, Recorded):
        return recorded.answers(limits.keys.stress, len(portfolio.accounts))
    return recorded is not None


def readings_of(market: Market, now: datetime) -> MarketReadings:
    """What the regime is decided by: VIX and VIX3M, and whether the market trades at `now`."""
    is_open = market.open if market.open is not None else calendar.is_open(now)
    return MarketReadings(market.vix, market.vix3m, market.vix_closes, market.vix3m_closes, is_open)


def build_portfolio(
    views: Sequence[View], market: Market, limits: Limits, memory: Memory, now: datetime, *, market_open: bool
) -> Portfolio:
    """The merged, valued book with its exposures."""
    rules = limits.matrix.data
    sources = tuple(view.source for view in views)
    accounts = accounts_of(views)
    held = [position for view in views for position in view.positions]
    positions = value_positions(held, market, sources, now, rules, market_open=market_open)
    times = [p.greeks.time if p.greeks else p.mark_time for p in positions]
    ages = [(now - time).total_seconds() for time in times if time is not None]
    return Portfolio(
        time=now,
        accounts=accounts,
        positions=positions,
        market=market,
        sources=sources,
        exposures=measure_exposures(positions, market, now),
        history=memory.history(accounts),
        market_open=market_open,
        net_liquidation=total_net_liquidation(accounts, market),
        gaps=gaps_of(views, accounts, rules, now, market_open=market_open),
        data_age_seconds=max(0.0, *ages) if ages else None,
    )


def _limits(state: RegimeState, matrix: RiskMatrix) -> Limits:
    grace = timedelta(minutes=matrix.regime_grace_minutes)
    return Limits(
        regime=state.name,
        keys=matrix.regime(state.name).limits,
        matrix=matrix,
        overlay=state.overlay,
        overlay_reason=state.term.reason,
        regime_reason=state.reason,
        grace_until=None if state.changed_at is None else state.changed_at + grace,
        regime_known=state.known,
    )


def _remembered(portfolio: Portfolio, memory: Memory, limits: Limits, now: datetime) -> tuple[Portfolio, Memory]:
    """Portfolio and memory after this cycle's account readings."""
    histories = dict(memory.accounts)
    for account in portfolio.accounts:
        key = account_key(account.id)
        before = histories.get(key, AccountHistory())
        own = loss_of(account, portfolio).own
        lost = None if own is None else -own
        histories[key] = remember(before, account, lost, limits.keys.max_daily_loss_pct, limits.matrix.data, now)
    memory = replace(memory, accounts=histories)
    return replace(portfolio, history=memory.history(portfolio.accounts)), memory


def _with_causes(
    findings: list[Finding], portfolio: Portfolio, limits: Limits, state: RegimeState, matrix: RiskMatrix
) -> list[Finding]:
    """Breaches told apart: the book moved, or only the limit did (then they may be shouted after the grace)."""
    recent = state.changed_at is not None and portfolio.time - state.changed_at <= _RECENT_CHANGE
    if state.previous is None or not recent or not any(finding.level is Level.BREACH for finding in findings):
        return findings
    before = replace(limits, regime=state.previous, keys=matrix.regime(state.previous).limits)
    old = {(f.check, f.subject): f.level for f in checks.run(portfolio, before)}
    return [_caused(finding, old, limits, state) for finding in findings]


def _caused(finding: Finding, old: dict[tuple[str, str], Level], limits: Limits, state: RegimeState) -> Finding:
    if finding.level is not Level.BREACH:
        return finding
    if old.get((finding.check, finding.subject), Level.OK) is Level.BREACH:
        return replace(finding, evidence={**finding.evidence, "cause": "book"})
    until = limits.grace_until
    evidence = {**finding.evidence, "cause": "limit", "grace_until": None if until is None else until.isoformat()}
    text = f"{finding.message} The limit moved with the regime (from {state.previous}), not the book."
    return replace(finding, evidence=evidence, message=text)

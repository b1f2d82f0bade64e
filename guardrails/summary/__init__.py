"""From a judged Portfolio to the Snapshot; one module per kind of row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from guardrails import calendar
from guardrails.exposures import BUCKETS
from guardrails.findings import Finding, Level
from guardrails.limits import Limits
from guardrails.portfolio import Portfolio
from guardrails.regime import RegimeState
from guardrails.snapshot import SCHEMA, Snapshot
from guardrails.snapshot.market import RegimeNow
from guardrails.summary.accounts import account_row
from guardrails.summary.groups import rows_by_class, rows_by_group, rows_by_underlying
from guardrails.summary.market import market_rows, metrics_rows
from guardrails.summary.positions import position_rows
from guardrails.summary.sources import source_row
from guardrails.summary.stress import stress_now
from guardrails.summary.totals import totals_of


def summarise(
    portfolio: Portfolio, limits: Limits, state: RegimeState, findings: Sequence[Finding], level: Level, trading: str
) -> Snapshot:
    """The Snapshot of `portfolio`; `findings` are already in order."""
    market, e = portfolio.market, portfolio.exposures
    by_subject: dict[str, list[Level]] = {}
    for finding in findings:
        by_subject.setdefault(finding.subject, []).append(finding.level)
    return Snapshot(
        schema=SCHEMA,
        as_of=portfolio.time,
        level=level,
        safety_state="NORMAL",
        trading=trading,
        market_open=portfolio.market_open,
        next_session_change=_next_change(portfolio),
        regime=RegimeNow(
            name=state.name,
            since=state.since,
            reason=state.reason,
            vix=None if market.vix is None else market.vix.value,
            vix3m=None if market.vix3m is None else market.vix3m.value,
            overlay=state.overlay,
            previous=state.previous,
            grace_until=limits.grace_until if limits.in_grace(portfolio.time) else None,
        ),
        totals=totals_of(portfolio),
        accounts=tuple(account_row(account, portfolio, by_subject) for account in portfolio.accounts),
        positions=position_rows(portfolio, by_subject),
        findings=tuple(findings),
        sources=tuple(source_row(source, portfolio) for source in portfolio.sources),
        groups=rows_by_group(e),
        underlyings=rows_by_underlying(e),
        buckets=rows_by_class(BUCKETS, e.bucket, e),
        account_exposures=rows_by_class([str(account) for account in e.columns.accounts], e.columns.account, e),
        market=market_rows(portfolio),
        metrics=metrics_rows(portfolio, limits),
        matrix_version=limits.matrix.version,
        stress=stress_now(portfolio, timedelta(minutes=limits.matrix.data.quiet_after_minutes)),
    )


def _next_change(portfolio: Portfolio) -> datetime | None:
    """When the exchange closes, or opens next; None for a market that keeps its own hours."""
    if portfolio.market.open is not None:
        return None
    session = calendar.session_of(portfolio.time)
    if portfolio.market_open:
        return calendar.session_bounds(session)[1]
    return calendar.session_bounds(calendar.next_session(session))[0]

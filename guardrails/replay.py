"""The past judged again, moment by moment: under the matrix then in force, or as if another one had been.

Under the matrix then in force every moment is judged with its own stored memory, and must come out as it did. Under
another matrix what was measured stays what it was (prices, balances, start of the session, cash flows, peak), and what
follows from the matrix is carried from moment to moment instead: the regime, and the readings that confirm a loss.

No moment is looked at before the one ahead of it has been handed out, and nothing is asked of the clock.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from guardrails import calendar
from guardrails.assess import Inputs, Judgement, judge, readings_of
from guardrails.errors import GuardrailsError
from guardrails.findings import Level
from guardrails.matrix import RiskMatrix
from guardrails.memory import Memory
from guardrails.portfolio import AccountHistory, Portfolio, in_usd, merge_markets
from guardrails.regime import MarketReadings, RegimeState, step
from guardrails.store.captures import Captured, unpacked
from guardrails.values import Market, View

log = logging.getLogger(__name__)

_REGIME = re.compile(rb'"regime":\{"name":"(\w+)"')
"""in the JSON of a Snapshot; within a text the quotes would be escaped"""

Matrices = Mapping[str, RiskMatrix]
"""by version"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one matrix makes of one moment."""

    level: Level
    levels: Mapping[str, Level]
    """of every finding that was judged, by check and subject with a space between, as they are stored"""
    regime: str
    """empty when it is not known"""
    matrix_version: str


@dataclass(frozen=True, slots=True)
class Judged:
    """One moment judged again, beside what was found then."""

    time: datetime
    then: Outcome
    again: Outcome
    net_liquidation: float | None = None
    """of all accounts, US dollars; None when it is not known or the book has gaps"""
    cash_flows: float | None = None
    """deposits minus withdrawals since the start of the session, US dollars, as far as they are reported"""
    deposits_known: bool = False
    """whether the broker of every account reports them"""
    problem: str = ""
    """why the moment could not be judged again, so that all of it is UNKNOWN; empty when it could"""


@dataclass(frozen=True, slots=True)
class _Chain:
    """What follows from the matrix and is carried to the next moment."""

    regime: RegimeState | None = None
    losing: Mapping[str, tuple[date | None, tuple[datetime, ...]]] = field(default_factory=dict)
    """session and times at which the loss stood over the limit, by `account_key`"""


def replay(captured: Iterable[Captured], matrix: RiskMatrix | None, matrices: Matrices) -> Iterator[Judged]:
    """Every captured moment, oldest first, judged under `matrix`; None: under the one of `matrices` then in force.

    A moment that cannot be read or judged is UNKNOWN and says why; none is left out.
    """
    chain = _Chain()
    for one in captured:
        try:
            judged, chain = _moment(one, matrix, matrices.get(one.matrix_version), chain)
        except GuardrailsError as error:
            judged = _unknown(one, matrix, str(error))
        except Exception as error:  # as in the engine: what cannot be judged is UNKNOWN, whatever went wrong
            log.exception("the moment of %s could not be judged again", one.time.isoformat())
            judged = _unknown(one, matrix, f"it could not be judged again ({type(error).__name__}); see the log.")
        yield judged


def _moment(
    captured: Captured, matrix: RiskMatrix | None, then: RiskMatrix | None, chain: _Chain
) -> tuple[Judged, _Chain]:
    """One moment judged again, and what to carry on."""
    inputs = _inputs_of(captured)
    if matrix is None:
        if then is None:
            raise GuardrailsError(
                f"the matrix then in force, {captured.matrix_version}, is not stored or cannot be read by this version "
                "of the program; name another one."
            )
        return _again(
            captured, judge(inputs.views, then, inputs.memory, inputs.now, inputs.extra, compiling=inputs.compiling)
        ), chain
    memory = _memory_under(matrix, then, inputs, chain)
    found = judge(inputs.views, matrix, memory, inputs.now, inputs.extra, compiling=inputs.compiling)
    return _again(captured, found), _chained(found)


def _inputs_of(captured: Captured) -> Inputs:
    inputs = captured.read_inputs()
    if inputs.now != captured.time:
        raise GuardrailsError(
            f"it is stored as of {captured.time.isoformat()}, but what it was made of says {inputs.now.isoformat()}."
        )
    return inputs


def _memory_under(matrix: RiskMatrix, then: RiskMatrix | None, inputs: Inputs, chain: _Chain) -> Memory:
    """What would have been remembered before this moment had `matrix` been in force.

    The stored regime is taken while its rules were the same, because it then would have been the same.
    """
    readings, stored, now = _readings(inputs), inputs.memory, inputs.now
    regime_then = "" if then is None else step(stored.regime, readings, then, now)[0].name
    if then is not None and _same_regime(then, matrix):
        before, name = stored.regime, regime_then
    else:
        before = chain.regime
        name = step(before, readings, matrix, now)[0].name
    limit, limit_then = _max_loss(matrix, name), None if then is None else _max_loss(then, regime_then)
    session = calendar.session_of(now)
    accounts = {
        key: _history_under(history, _losing(chain, key, session), limit, limit_then, session)
        for key, history in stored.accounts.items()
    }
    return Memory(accounts, before)


def _readings(inputs: Inputs) -> MarketReadings:
    """As `judge` makes them, without merging what the regime does not depend on."""
    markets = [view.market for view in inputs.views]
    bare = [Market(m.vix, m.vix3m, m.vix_closes, m.vix3m_closes, open=m.open) for m in markets]
    return readings_of(
        merge_markets([View(view.source, market=m) for view, m in zip(inputs.views, bare, strict=True)]), inputs.now
    )


def _same_regime(one: RiskMatrix, other: RiskMatrix) -> bool:
    """Whether all that the regime depends on is the same in both."""
    return one is other or (
        one.thresholds == other.thresholds
        and one.regime_rules == other.regime_rules
        and one.override == other.override
        and one.data.vix_stale_after_minutes == other.data.vix_stale_after_minutes
    )


def _max_loss(matrix: RiskMatrix, regime: str) -> float | None:
    return matrix.regime(regime).limits.max_daily_loss_pct


def _losing(chain: _Chain, key: str, session: date) -> tuple[datetime, ...]:
    of, times = chain.losing.get(key, (session, ()))
    return times if of == session else ()


def _history_under(
    history: AccountHistory, own: tuple[datetime, ...], limit: float | None, limit_then: float | None, session: date
) -> AccountHistory:
    """`history` with the readings over `limit`: `own` are those the replay saw itself.

    Between two stored moments there were others: what was over a wider limit then was over a tighter one, and the last
    reading remembered is known in full.
    """
    if history.session != session or limit == limit_then:
        return history
    times = own
    if limit is not None and limit_then is not None and limit < limit_then:
        times = tuple(sorted({*own, *history.losing}))
    last = history.last
    if last is not None and not (times and last.time <= times[-1]):
        times = (*times, last.time) if _is_over(history, last.value, limit) else ()
    return replace(history, losing=times)


def _is_over(history: AccountHistory, net_liquidation: float, limit: float | None) -> bool:
    """Whether `net_liquidation` is a loss over `limit`, as `guardrails.memory.remember` counts it."""
    start = history.start
    if limit is None or start is None or start.value <= 0:
        return False
    return start.value + history.flows - net_liquidation > limit * start.value


def _chained(found: Judgement) -> _Chain:
    losing = {key: (history.session, history.losing) for key, history in found.memory.accounts.items()}
    return _Chain(found.regime, losing)


def _again(captured: Captured, found: Judgement) -> Judged:
    levels = {  # as a capture keeps them: where two findings have one name the worse, which comes last here
        f"{finding.check} {finding.subject}": finding.level
        for finding in reversed(found.findings)
        if finding.level is not Level.NOT_APPLICABLE
    }
    again = Outcome(found.level, levels, found.regime.name, found.limits.matrix.version)
    then, problem = _then(captured)
    portfolio = found.portfolio
    known = None if portfolio.gaps else portfolio.net_liquidation
    reported = all(account.cash_flows is not None for account in portfolio.accounts)
    return Judged(captured.time, then, again, known, _flows(portfolio), reported, problem)


def _then(captured: Captured) -> tuple[Outcome, str]:
    """What was found then, and why that cannot be read."""
    levels, regime, problem = dict[str, Level](), "", ""
    try:
        levels = captured.read_levels()
    except (ValueError, AttributeError):  # no JSON, no level of that name, no mapping
        problem = "the levels stored of it cannot be read."
    try:
        regime = _regime_then(captured)
    except GuardrailsError:
        problem = problem or "the Snapshot stored of it cannot be read, so its regime is not known."
    return Outcome(captured.level, levels, regime, captured.matrix_version), problem


def _regime_then(captured: Captured) -> str:
    """The regime that was found then. To read the whole Snapshot for it would take as long as to judge the moment."""
    found = _REGIME.search(unpacked(captured.snapshot))
    return captured.read_snapshot().regime.name if found is None else found[1].decode()


def _unknown(captured: Captured, matrix: RiskMatrix | None, problem: str) -> Judged:
    then, _ = _then(captured)
    version = captured.matrix_version if matrix is None else matrix.version
    levels = dict.fromkeys(then.levels, Level.UNKNOWN)
    return Judged(captured.time, then, Outcome(Level.UNKNOWN, levels, "", version), problem=problem)


def _flows(portfolio: Portfolio) -> float | None:
    """None when a currency's rate is not known."""
    total = 0.0
    for account in portfolio.accounts:
        history = portfolio.history.get(account.id, AccountHistory())
        flows = in_usd(history.flows, account.currency, portfolio.market)
        if flows is None:
            return None
        total += flows
    return total

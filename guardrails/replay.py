"""The past judged again, moment by moment: under the matrix then in force, or as if another one had been.

Under the matrix then in force every moment is judged with its own stored memory, and must come out as it did. Under
another matrix what was measured stays what it was (prices, balances, start of the session, cash flows, peak), and what
follows from the matrix is carried from moment to moment instead: the regime, and the readings that confirm a loss.

What a book would lose under shocks was measured too, and is kept with the moment; it is measured again only where it
was not, where a matrix asks for other shocks or has other rules for data, where its regime would be known and the other
was not or the other way about, or where somebody wants it all revalued.

No moment is looked at before the one ahead of it has been handed out, and nothing is asked of the clock.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from guardrails.assess import Judgement, judge
from guardrails.carried import Carried, memory_under, readings_in, same_regime
from guardrails.errors import GuardrailsError
from guardrails.findings import Level
from guardrails.matrix import RiskMatrix
from guardrails.portfolio import AccountHistory, Portfolio, in_usd
from guardrails.regime import step
from guardrails.store.captures import Captured, Kept
from guardrails.store.packing import regime_in

log = logging.getLogger(__name__)

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
    revalued: bool = False
    """whether what it would lose under shocks was measured again"""


@dataclass(frozen=True, slots=True)
class Judging:
    """How the past is judged."""

    matrix: RiskMatrix | None
    """None: the one of `matrices` then in force"""
    matrices: Matrices
    revalue: bool = False
    """what the book would lose under shocks is measured again, also where it was kept"""


def replay(
    captured: Iterable[Captured], matrix: RiskMatrix | None, matrices: Matrices, *, revalue: bool = False
) -> Iterator[Judged]:
    """Every captured moment, oldest first, judged as `Judging` says.

    A moment that cannot be read or judged is UNKNOWN and says why; none is left out.
    """
    course = Course(Judging(matrix, matrices, revalue))
    for one in captured:
        yield course.judge(one)


class Course:
    """Judges moments in their order."""

    def __init__(self, judging: Judging, carried: Carried | None = None) -> None:
        self.judging = judging
        self.carried = carried or Carried()
        """what the next moment follows from"""

    def judge(self, one: Captured) -> Judged:
        """The next moment."""
        try:
            judged, self.carried = self._judge(one, self.judging.matrices.get(one.matrix_version))
        except GuardrailsError as error:
            return _unknown(one, self.judging.matrix, str(error))
        except Exception as error:  # as in the engine: what cannot be judged is UNKNOWN, whatever went wrong
            log.exception("the moment of %s could not be judged again", one.time.isoformat())
            problem = f"it could not be judged again ({type(error).__name__}); see the log."
            return _unknown(one, self.judging.matrix, problem)
        return judged

    def _judge(self, captured: Captured, then: RiskMatrix | None) -> tuple[Judged, Carried]:
        kept, other = _kept(captured), self.judging.matrix
        matrix = other or then
        if matrix is None:
            raise GuardrailsError(
                f"the matrix then in force, {captured.matrix_version}, is not stored or cannot be read by this version "
                "of the program; name another one."
            )
        memory, known_alike = (kept.memory, True) if other is None else memory_under(matrix, then, kept, self.carried)
        # rules for data say what is too old to be believed: under others another book is measured
        measured = not self.judging.revalue and then is not None and then.data == matrix.data and known_alike
        found = judge(
            kept.views, matrix, memory, kept.now, kept.extra, compiling=kept.compiling,
            recorded=kept.stress if measured else None,
        )  # fmt: skip
        return _again(captured, found), self.carried if other is None else _carried(found)


def ahead(moments: Sequence[Captured], judging: Judging, carried: Carried) -> Carried:
    """What `moments` carry on of the regime, told from their readings alone; those that cannot be judged will not."""
    matrix, regime = judging.matrix, carried.regime
    if matrix is None:
        return carried
    for one in moments:
        then = judging.matrices.get(one.matrix_version)
        with contextlib.suppress(GuardrailsError):
            read = one.read_glimpse()
            before = read.memory.regime if then is not None and same_regime(then, matrix) else regime
            regime = step(before, readings_in(read.views, read.now), matrix, read.now)[0]
    return Carried(regime)


def _kept(captured: Captured) -> Kept:
    kept = captured.read_kept()
    if kept.now != captured.time:
        raise GuardrailsError(
            f"it is stored as of {captured.time.isoformat()}, but what it was made of says {kept.now.isoformat()}."
        )
    return kept


def _carried(found: Judgement) -> Carried:
    losing = {key: (history.session, history.losing) for key, history in found.memory.accounts.items()}
    return Carried(found.regime, losing)


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
    return Judged(captured.time, then, again, known, _flows(portfolio), reported, problem, found.revalued)


def _then(captured: Captured) -> tuple[Outcome, str]:
    """What was found then, and why that cannot be read."""
    levels, regime, problem = dict[str, Level](), "", ""
    try:
        levels = captured.read_levels()
    except (ValueError, AttributeError):  # no JSON, no level of that name, no mapping
        problem = "the levels stored of it cannot be read."
    try:
        regime = regime_in(captured.snapshot)
    except GuardrailsError:
        problem = problem or "the Snapshot stored of it cannot be read, so its regime is not known."
    return Outcome(captured.level, levels, regime, captured.matrix_version), problem


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

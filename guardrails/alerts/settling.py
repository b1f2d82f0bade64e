"""The first stage: from what is wrong now to what each alert has become.

Something wrong is news once it was wrong for as long as its severity asks; what is right again before that leaves no
trace. An open alert counts as the worst it has been until it has been better for the calm, and is over when it has
been right for as long. How far over its limit a breach is counts in steps (`step_of`), and the highest step it has
reached is held, so that a measure which swings around a step is told once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from guardrails.alerts import course as courses
from guardrails.alerts.course import Course
from guardrails.alerts.families import DELIVERY, SAFETY_STATE
from guardrails.alerts.occasion import Case, Occasion
from guardrails.alerts.problems import CYCLE, blinds
from guardrails.alerts.state import AlertState, Silenced
from guardrails.alerts.values import Alert, Problem, Reason, Severity

_SEVERITIES = tuple(Severity)
_MOST_STEPS = 20
_OWN = ("engine", "risk_matrix", SAFETY_STATE)
"""checks of the program itself: whether they are right is seen in every cycle, whatever the sources do"""


def step_of(problem: Problem, worse_by: float) -> int:
    """How many steps a BREACH is over its limit: 1 from `worse_by` times the limit on, 2 from twice that, 3 from four
    times that, and so on; 0 below, of what is not a BREACH, and when the overshoot is not known.

    With 0.25 those are 125 %, 150 %, 200 %, 300 %, 500 % of a ceiling. Each step is as large as all before it, so that
    a measure which runs away to 100 times its limit is told 9 times on its way, and not 400 times.
    """
    if problem.severity.rank < Severity.BREACH.rank:
        return 0
    over, base = problem.overshoot, max(worse_by, 0.01)
    if not over >= base:
        return 0
    return _MOST_STEPS if math.isinf(over) else min(1 + math.floor(math.log2(over / base) + 1e-9), _MOST_STEPS)


@dataclass(frozen=True, slots=True)
class Sight:
    """What is wrong by identity, and of what else it cannot be said that it is right."""

    problems: dict[str, Problem]
    right: frozenset[str]
    """identities that are seen to be right"""
    dark: frozenset[str]
    """checks that cannot be computed at all: what they found of an account or a position before is not over"""
    blind: bool
    """not every source or account is seen"""
    stalled: bool
    """nothing is seen, for no cycle comes"""

    def hides(self, alert: Alert) -> bool:
        """Whether that this alert's problem is absent does not say that it is over."""
        problem = alert.problem
        if problem.news or problem.check == DELIVERY:
            return False
        if self.stalled or problem.check in self.dark:
            return True
        return self.blind and problem.check not in _OWN and alert.identity not in self.right


def sight_of(problems: Iterable[Problem]) -> Sight:
    """What is seen; of two problems with one identity the worse counts."""
    wrong: dict[str, Problem] = {}
    right, dark, blind, stalled = set(), set(), False, False
    for problem in problems:
        name = problem.identity
        if problem.right:
            right.add(name)
            continue
        known = wrong.get(name)
        if known is None or known.severity.rank < problem.severity.rank:
            wrong[name] = problem
        blind = blind or blinds(problem)
        stalled = stalled or (problem.check == "engine" and problem.subject == CYCLE)
        if problem.severity is Severity.UNKNOWN and problem.subject == "portfolio":
            dark.add(problem.check)
    return Sight(wrong, frozenset(right - wrong.keys()), frozenset(dark), blind, stalled)


def settle(state: AlertState, problems: Sequence[Problem], occasion: Occasion) -> list[Case]:
    """Every alert as it is now: settling, open, or over and to be told of."""
    sight = sight_of(problems)
    cases = []
    for name, alert in state.alerts.items():
        problem = sight.problems.pop(name, None)
        unseen = problem is None and sight.hides(alert)
        seen = courses.moved(state.courses[name], problem, alert.severity, occasion.now, unseen=unseen)
        if alert.fired is None:
            cases += _settling(alert, seen, problem, state.silenced.get(name), occasion)
        elif alert.problem.news:
            cases.append(_news(alert, seen, problem, occasion))
        else:
            cases.append(_open(alert, state.courses[name], seen, problem, occasion))
    for name, problem in sight.problems.items():
        new = Alert(problem, problem.severity, 0, since=occasion.now, last_wrong=occasion.now)
        begun = courses.begun(problem, occasion.now)
        cases += _settling(new, begun, problem, state.silenced.get(name), occasion)
    fired = {case.alert.identity for case in cases if case.alert.fired is not None} if state.over else set()
    cases += [
        Case(alert, Course(0, ()), over=True, say=alert.owed)
        for name, alert in state.over.items()
        if name not in fired  # it is back, so nobody needs to hear that it was over
    ]
    return cases


def _settling(
    alert: Alert, seen: Course, problem: Problem | None, known: Silenced | None, occasion: Occasion
) -> list[Case]:
    """Not yet news, news, or nothing any more."""
    if seen.height == 0:
        return []
    severity, now = _SEVERITIES[seen.height - 1], occasion.now
    if problem is not None:
        alert = replace(alert, problem=problem, severity=severity, last_wrong=now)
    if seen.settled(occasion.settle, now) < 0 and not alert.problem.news:
        return [Case(alert, seen)]
    step = step_of(alert.problem, occasion.rules.worse_by)
    fired = _remembering(replace(alert, severity=severity, step=step, fired=now), known, now)
    return [Case(fired, seen, facts=((Reason.FIRST, ""),))]


def _remembering(alert: Alert, known: Silenced | None, now: datetime) -> Alert:
    """`alert` with the silences of its life before; one that has not ended holds unless it is worse than it was."""
    if known is None:
        return alert
    silence = known.silence
    if silence is None:
        return replace(alert, past_silences=known.past)
    running = silence.until > now
    if running and alert.severity.rank <= known.severity.rank and alert.step <= known.step:
        return replace(alert, silence=silence, past_silences=known.past)
    return replace(alert, past_silences=(*known.past, silence), owed=Reason.BACK if running else None)


def _news(alert: Alert, seen: Course, problem: Problem | None, occasion: Occasion) -> Case:
    """An event is over when it was told, or somebody has it, and it is no longer brought forward."""
    if problem is not None:
        return Case(replace(alert, problem=problem, last_wrong=occasion.now), seen)
    done = alert.told or alert.acknowledgement or alert.silence
    if done:
        return Case(replace(alert, held=None, held_by="", owed=None), seen, ((Reason.RESOLVED, ""),), over=True)
    return Case(alert, replace(seen, height=max(seen.height, 1)))


def _open(alert: Alert, before: Course, seen: Course, problem: Problem | None, occasion: Occasion) -> Case:
    """An open alert after what was seen of it."""
    facts: list[tuple[Reason, str]] = []
    now, held = occasion.now, alert.severity.rank
    flaps = alert.flaps + (before.height == 0 < seen.height)
    if flaps != alert.flaps and flaps & (flaps - 1) == 0:  # 1, 2, 4, 8, ...: ten thousand flaps are 14 events
        facts.append((Reason.RETURNED, f"time {flaps}"))
    left, rank = seen.eased(held, occasion.calm, now), seen.settled(occasion.settle, now)
    if left < 0:
        return _resolved(alert, seen, facts, now)
    severity = _SEVERITIES[max(left, rank)]
    step = _step(alert, severity, problem, occasion.rules.worse_by)
    if severity.rank > held or (severity.rank == held and step > alert.step):
        facts.append((Reason.WORSENED, ""))
        # the digest it may wait for was meant for something milder
        alert = replace(alert, owed=None) if alert.owed is Reason.DIGEST else alert
    elif severity.rank < held:
        facts.append((Reason.EASED, f"from {alert.severity.value}"))
        alert = _eased(alert, severity, step)
    if _goes_dark(before, seen, severity, occasion):
        facts.append((Reason.BLIND, ""))
    alert = replace(
        alert,
        problem=alert.problem if problem is None else problem,
        severity=severity,
        step=step,
        last_wrong=alert.last_wrong if problem is None else now,
        flaps=flaps,
        escalations=0 if severity.rank > held and severity is Severity.CRITICAL else alert.escalations,
        eased_at=seen.crossed[severity.rank] if seen.height <= severity.rank else None,
    )
    return Case(alert, seen, tuple(facts))


def _step(alert: Alert, severity: Severity, problem: Problem | None, worse_by: float) -> int:
    """The highest step since it has this severity; what is not seen is as it was."""
    if severity.rank < Severity.BREACH.rank:
        return 0
    if problem is None or problem.severity.rank < Severity.BREACH.rank:
        return alert.step
    now = step_of(problem, worse_by)
    return max(now, alert.step) if severity is alert.severity else now


def _eased(alert: Alert, severity: Severity, step: int) -> Alert:
    """What was told counts as no worse than this, so that it is told when it gets worse again."""
    told = alert.told_severity
    return replace(
        alert,
        told_severity=severity if told is not None and told.rank > severity.rank else told,
        told_step=min(alert.told_step, step),
        owed=None if alert.owed is Reason.WORSENED else alert.owed,
    )


def _goes_dark(before: Course, seen: Course, severity: Severity, occasion: Occasion) -> bool:
    """Whether a BREACH or CRITICAL cannot be seen from now on; a feed that comes and goes says so once."""
    if severity.rank < Severity.BREACH.rank or seen.unseen != occasion.now:
        return False
    return before.unseen is None or occasion.now - before.unseen > occasion.calm


def _resolved(alert: Alert, seen: Course, facts: list[tuple[Reason, str]], now: datetime) -> Case:
    """It is over; whoever was told of it hears that, unless it is silenced."""
    silenced = alert.silence is not None and alert.silence.until > now
    owed = Reason.RESOLVED if alert.told is not None and not silenced else None
    done = replace(alert, held=None, held_by="", owed=owed, eased_at=seen.crossed[0])
    return Case(done, seen, (*facts, (Reason.RESOLVED, "")), over=True, say=owed)

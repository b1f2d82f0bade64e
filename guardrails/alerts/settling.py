"""The first stage: from what is wrong now to what each alert has become.

Something wrong is news once it was wrong for as long as its severity asks, without having been right for as long; what
is right again before that leaves no trace. An open alert counts as the worst it has been until it has been better for
the calm, and is over when it has been seen right for as long. How far over its limit a breach is counts in steps
(`step_of`), and the highest step it has reached within the calm is held, so that a measure which swings around a step
is told once. What was over and comes back within the hour has twice the calm each time, up to half an hour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from guardrails.alerts import course as courses
from guardrails.alerts.course import Course
from guardrails.alerts.occasion import Case, Occasion
from guardrails.alerts.sight import sight_of
from guardrails.alerts.state import SOON, AlertState, Past
from guardrails.alerts.values import Alert, Problem, Reason, Severity, altered

_SEVERITIES = tuple(Severity)
_MOST_STEPS = 20
_STEP_OF_ONE = 40
"""step of a breach of a limit of 0 by 1, in the unit of its measure"""
_LONGEST_CALM = timedelta(minutes=30)
"""of what comes back again and again, unless the rules ask for more"""


def step_of(problem: Problem, worse_by: float) -> int:
    """How many steps a BREACH is over its limit: 1 from `worse_by` times the limit on, 2 from twice that, 3 from four
    times that, and so on; 0 below, of what is not a BREACH, and when the overshoot is not known.

    With 0.25 those are 125 %, 150 %, 200 %, 300 %, 500 % of a ceiling. Each step is as large as all before it, so that
    a measure which runs away to 100 times its limit is told 9 times on its way, and not 400 times. Of a limit of 0
    nothing is a part: there a step is twice as far as the one before it.
    """
    if problem.severity.rank < Severity.BREACH.rank:
        return 0
    over, base, most = problem.overshoot, max(worse_by, 0.01), _MOST_STEPS
    if math.isinf(over) and problem.limit == 0 and problem.headroom is not None:
        over, base, most = -problem.headroom, 2.0 ** (1 - _STEP_OF_ONE), 2 * _STEP_OF_ONE
    if not over >= base:
        return 0
    return most if math.isinf(over) else min(1 + math.floor(math.log2(over / base) + 1e-9), most)


def settle(state: AlertState, problems: Sequence[Problem], occasion: Occasion) -> list[Case]:
    """Every alert as it is now: settling, open, or over and to be told of."""
    sight = sight_of(problems)
    cases = []
    for name, alert in state.alerts.items():
        problem = sight.problems.pop(name, None)
        unseen = problem is None and sight.hides(alert)
        seen = courses.moved(state.courses[name], problem, alert.severity, occasion.settle, occasion.now, unseen=unseen)
        if alert.fired is None:
            cases += _settling(alert, seen, problem, state.past.get(name), occasion)
        elif alert.problem.news:
            cases.append(_news(alert, seen, problem, occasion))
        else:
            cases.append(_open(alert, state.courses[name], seen, problem, occasion))
    for name, problem in sight.problems.items():
        new = Alert(problem, problem.severity, 0, since=occasion.now, last_wrong=occasion.now)
        begun = courses.begun(problem, occasion.now)
        cases += _settling(new, begun, problem, state.past.get(name), occasion)
    fired = {case.alert.identity for case in cases if case.alert.fired is not None} if state.over else set()
    cases += [
        Case(alert, Course(0, ()), over=True, say=alert.owed)
        for name, alert in state.over.items()
        if name not in fired  # it is back, so nobody needs to hear that it was over
    ]
    return cases


def _settling(
    alert: Alert, seen: Course, problem: Problem | None, known: Past | None, occasion: Occasion
) -> list[Case]:
    """Not yet news, news, or nothing any more."""
    now = occasion.now
    if seen.height == 0:
        return [] if seen.is_forgotten(0, occasion.settle, now) else [Case(alert, seen)]
    severity = _SEVERITIES[seen.height - 1]
    if problem is not None:
        alert = replace(alert, problem=problem, severity=severity, last_wrong=now)
    if seen.settled(_waits(alert.problem, occasion), now) < 0 and not alert.problem.news:
        return [Case(alert, seen)]
    step = step_of(alert.problem, occasion.rules.worse_by)
    fired = _remembering(replace(alert, severity=severity, step=step, fired=now), known, now)
    return [Case(fired, seen, facts=((Reason.FIRST, ""),))]


def _waits(problem: Problem, occasion: Occasion) -> tuple[timedelta, ...]:
    """How long `problem` settles, by rank of the severity; a BREACH never waits for what an UNKNOWN does."""
    if not problem.wait_seconds:
        return occasion.settle
    least = timedelta(seconds=problem.wait_seconds)
    return tuple(
        max(wait, least) if rank <= Severity.UNKNOWN.rank else wait for rank, wait in enumerate(occasion.settle)
    )


def _remembering(alert: Alert, known: Past | None, now: datetime) -> Alert:
    """`alert` with what its life before has left; a silence that has not ended holds unless it is worse than it was."""
    if known is None:
        return alert
    silence = known.silence
    if now - known.over < SOON:
        alert = replace(alert, relapses=known.relapses + 1)
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
    calm = calm_of(alert, occasion)
    left, rank = seen.eased(held, calm, now), seen.settled(_waits(problem or alert.problem, occasion), now)
    if left < 0:
        return _resolved(alert, seen, facts, now)
    severity = _SEVERITIES[max(left, rank)]
    after = _stepped(alert, severity, problem, seen, occasion)
    if severity.rank > held or (severity.rank == held and after.step > alert.step):
        facts.append((Reason.WORSENED, ""))
        # the digest it may wait for was meant for something milder
        after = replace(after, owed=None) if after.owed is Reason.DIGEST else after
    elif severity.rank < held:
        facts.append((Reason.EASED, f"from {alert.severity.value}"))
        after = replace(after, owed=None) if after.owed is Reason.WORSENED else after
    elif after.step < alert.step:
        facts.append((Reason.EASED, "less far over its limit"))
    if _goes_dark(before, seen, severity, occasion):
        facts.append((Reason.BLIND, ""))
    after = forgotten(after, now)
    turned = severity.rank > held and severity is Severity.CRITICAL and after.is_beyond_told
    after = altered(
        after,
        problem=alert.problem if problem is None else problem,
        last_wrong=alert.last_wrong if problem is None else now,
        flaps=flaps,
        escalations=0 if turned else alert.escalations,
        eased_at=seen.crossed[severity.rank] if seen.height <= severity.rank else None,
    )
    return Case(after, seen, tuple(facts))


def calm_of(alert: Alert, occasion: Occasion) -> timedelta:
    """How long it must be right, or better: twice as long each time it was back soon after it was over."""
    doubled: timedelta = occasion.calm * 2 ** min(alert.relapses, 20)
    return min(doubled, max(occasion.calm, _LONGEST_CALM))


def _stepped(alert: Alert, severity: Severity, problem: Problem | None, seen: Course, occasion: Occasion) -> Alert:
    """`alert` of this severity, with the highest step it has had within the calm; what is not seen is as it was."""
    now = occasion.now
    if severity.rank < Severity.BREACH.rank:
        return _at(alert, severity, 0)
    if problem is None or problem.severity.rank < Severity.BREACH.rank:
        return replace(alert, severity=severity, lower_since=None if seen.unseen == now else alert.lower_since)
    step = step_of(problem, occasion.rules.worse_by)
    if (problem.limit == 0) is not (alert.problem.limit == 0):  # no step of one is a step of the other
        return replace(alert, severity=severity, step=step, told_step=step, lower_since=None)
    if severity is not alert.severity or step >= alert.step:
        return _at(alert, severity, step)
    if alert.lower_since is None:
        return replace(alert, lower_since=now, lower_step=step)
    lower = max(step, alert.lower_step)
    if now - alert.lower_since < calm_of(alert, occasion):
        return replace(alert, lower_step=lower)
    return replace(alert, step=lower, lower_since=None if step == lower else now, lower_step=step)


def _at(alert: Alert, severity: Severity, step: int) -> Alert:
    """`alert` at this severity and step; itself where it is, as most are at most moments."""
    if (alert.severity, alert.step, alert.lower_since) == (severity, step, None):
        return alert
    return replace(alert, severity=severity, step=step, lower_since=None)


def forgotten(alert: Alert, now: datetime) -> Alert:
    """What was told an hour ago counts as no worse than it is now, so that it is told when it is as bad again."""
    told = alert.told_severity
    if told is None or (alert.loudest is not None and now - alert.loudest < SOON):
        return alert
    if told.rank > alert.severity.rank:
        return replace(alert, told_severity=alert.severity, told_step=alert.step)
    if told is not alert.severity or alert.told_step <= alert.step:
        return alert
    return replace(alert, told_step=alert.step)


def _goes_dark(before: Course, seen: Course, severity: Severity, occasion: Occasion) -> bool:
    """Whether a BREACH or CRITICAL cannot be seen from now on; a feed that comes and goes says so once."""
    if severity.rank < Severity.BREACH.rank or seen.unseen != occasion.now:
        return False
    return before.unseen is None or occasion.now - before.unseen > occasion.calm


def _resolved(alert: Alert, seen: Course, facts: list[tuple[Reason, str]], now: datetime) -> Case:
    """It is over; whoever was told of it hears that, unless it is silenced. So it is said of a BREACH that waited to be
    told with its family."""
    silenced = alert.silence is not None and alert.silence.until > now
    waited = alert.held is Reason.HELD_TOGETHER and alert.severity.rank >= Severity.BREACH.rank
    owed = Reason.RESOLVED if (alert.told is not None or waited) and not silenced else None
    done = replace(alert, held=None, held_by="", owed=owed, eased_at=seen.crossed[0])
    return Case(done, seen, (*facts, (Reason.RESOLVED, "")), over=True, say=owed)

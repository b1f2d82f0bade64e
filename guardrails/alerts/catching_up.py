"""What is stored of a book and is read only after its alerts have begun anew: the two are made one. Pure.

What only the store knows goes on as it was stored. Of what both know people keep what they have taken, an
acknowledgement or a silence, unless it is worse by now than when they took it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from guardrails.alerts import life
from guardrails.alerts.state import AlertState, ended
from guardrails.alerts.values import Alert, Reason


def caught_up(state: AlertState, found: Sequence[Alert], told_today: int, now: datetime) -> AlertState:
    """`state` with the open alerts that were `found` late; the next step looks at them as at all others.

    `told_today` are the stored messages of this day, those of this program among them.
    """
    stored = life.resume(found, told_today, now)
    alerts, courses = {**stored.alerts, **state.alerts}, {**stored.courses, **state.courses}
    for name, before in stored.alerts.items():
        known = state.alerts.get(name)
        if known is not None and not _is_worse(known, before):
            courses[name] = stored.courses[name]  # it may say more than what was seen since: a BREACH is now UNKNOWN
            alerts[name] = before if known.fired is None else _going_on(known, before)
        elif known is not None:
            alerts[name] = _lifted(known, before)
    families = dict(state.families)
    for name, told in stored.families.items():
        families[name] = max(families.get(name, told), told)
    return replace(
        state,
        alerts=alerts,
        courses=courses,
        families=families,
        told_today=max(state.told_today, stored.told_today),
        digest_since=state.digest_since or stored.digest_since,
    )


def _is_worse(known: Alert, before: Alert) -> bool:
    if known.fired is None:  # it is not news yet; as an open alert it gets worse when it has settled
        return False
    return (known.severity.rank, known.step) > (before.severity.rank, before.step)


def _going_on(known: Alert, before: Alert) -> Alert:
    """The stored alert as it is seen now, told by both."""
    both = _told_by_both(known, before)
    return replace(
        both,
        severity=before.severity,
        step=before.step,
        acknowledgement=known.acknowledgement or before.acknowledgement,
        silence=known.silence or before.silence,
        escalations=max(known.escalations, before.escalations),
        escalated=known.escalated or before.escalated,
        asked=before.asked or known.asked,
        owed=known.owed or (before.owed if before.owed is not Reason.DIGEST else None),
    )


def _lifted(known: Alert, before: Alert) -> Alert:
    """It is worse than what was taken, so nobody has it."""
    both = _told_by_both(known, before)
    return replace(both, past_silences=(*ended(before).past_silences, *known.past_silences))


def _told_by_both(known: Alert, before: Alert) -> Alert:
    fired = known.fired if before.fired is None else before.fired
    return replace(
        known,
        since=min(known.since, before.since),
        fired=fired,
        told=known.told or before.told,
        told_severity=max((one for one in (known.told_severity, before.told_severity) if one),
                          key=lambda one: one.rank, default=None),
        told_step=max(known.told_step, before.told_step),
        times_told=known.times_told + before.times_told,
        past_silences=(*before.past_silences, *known.past_silences),
        loudest=known.loudest or before.loudest,
        relapses=max(known.relapses, before.relapses),
        flaps=max(known.flaps, before.flaps),
        acted=known.acted or before.acted,
        reached=tuple(dict.fromkeys((*before.reached, *known.reached))),
    )  # fmt: skip

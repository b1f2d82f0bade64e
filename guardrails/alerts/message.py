"""What a message says: the same words for every channel, worst first, with nothing that must not leave the process.

A message lists at most `MOST` alerts, or `MOST_BROKEN` where they are a BREACH, and says how many more there are; no
CRITICAL is among those more. A flood must stay a handful of messages also where a service splits long ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from guardrails import titles, wording
from guardrails.alerts.values import Alert, Line, Message, Notice, Problem, Reason, Severity, State
from guardrails.redaction import redact

MOST, MOST_BROKEN = 20, 40
"""alerts told in one message; CRITICAL ones beyond are told too"""
PAGE = "/alerts"
_DAYS = "trading days"
"""a bound of these is reached, not passed"""
_VIX = "VIX points"
_LONGEST_TITLE, _LONGEST = 200, 600
"""characters; a broker's text may have any length"""
_CONTROL = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")
"""blanks, line ends, and what is not seen but turns or hides the text around it"""


def message_of(group: Sequence[Notice], key: str, now: datetime, link: str, *, demo: bool) -> Message:
    """The message about the alerts of `group` at `now`; `link` is the address of the app without a path.

    ValueError when `group` is empty.
    """
    if not group:
        raise ValueError("a message needs at least one notice: there is nothing to say about no alert")
    ordered = sorted(group, key=_order)
    told = [n for place, n in enumerate(ordered) if place < MOST or _must_be_named(n, place)]
    open_ones = [notice for notice in ordered if notice.reason is not Reason.RESOLVED]
    severity = (open_ones or ordered)[0].alert.severity
    first = _headline(ordered[0].alert.problem)
    measured = figures(ordered[0].alert.problem) if open_ones else ""
    rest = f" (and {len(ordered) - 1} more)" if len(ordered) > 1 else ""
    digest = all(notice.reason is Reason.DIGEST for notice in ordered)
    lead = ("DEMO: " if demo else "") + ("DIGEST: " if digest else "")
    word = severity.value if open_ones else "RESOLVED"
    return Message(
        key=key,
        time=now,
        severity=severity,
        resolved=not open_ones,
        title=f"{lead}{word}: {first}{f': {measured}' if measured else ''}{rest}",
        lines=tuple(_line(notice, now) for notice in told),
        more=len(ordered) - len(told),
        link=_page(link),
    )


def test_message(key: str, now: datetime, link: str) -> Message:
    """What a person sends to see whether a channel works; it says nothing about the book."""
    title = "TEST: Portfolio Guardrails reaches you here"
    return Message(key, now, Severity.WATCH, False, title, (), 0, _page(link), test=True)  # noqa: FBT003  # a value's field


def clean(text: str, most: int = _LONGEST) -> str:
    """`text` on one line of at most `most` characters, without secrets, account numbers and hidden characters."""
    line = redact(_CONTROL.sub(" ", text[: 4 * _LONGEST])).strip()
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def _must_be_named(notice: Notice, place: int) -> bool:
    severity = notice.alert.severity
    broken = severity is Severity.BREACH and place < MOST_BROKEN
    return notice.reason is not Reason.RESOLVED and (broken or severity is Severity.CRITICAL)


def _order(notice: Notice) -> tuple[bool, int, datetime, str]:
    alert = notice.alert
    return notice.reason is Reason.RESOLVED, -alert.severity.rank, alert.since, alert.identity


def _line(notice: Notice, now: datetime) -> Line:
    alert, problem = notice.alert, notice.alert.problem
    resolved = notice.reason is Reason.RESOLVED
    what = clean(problem.message if resolved else _as_it_looks(alert) + problem.message)
    return Line(
        severity=alert.severity,
        state=State.RESOLVED if resolved else alert.state,
        title=_headline(problem),
        what=what,
        figures="" if resolved else figures(problem),
        since=alert.since,
        age="" if resolved else _data_age(alert, now),
        action="" if resolved else clean(problem.next_action),
        reason=_why(notice, now),
        alert=redact(alert.identity),
        holds_figures=_holds_figures(what, problem),
    )


def _as_it_looks(alert: Alert) -> str:
    """What it is now, where that is milder than what it counts as."""
    now = alert.problem.severity
    if now.rank >= alert.severity.rank:
        return ""
    looks = "cannot be seen now" if now is Severity.UNKNOWN else f"{now.value} now"
    return f"Was {alert.severity.value}, {looks}: "


def _headline(problem: Problem) -> str:
    return clean(titles.headline(problem.check, problem.subject), _LONGEST_TITLE)


def figures(problem: Problem) -> str:
    """`14 %, limit 20 %`; `not known, limit 20 %`; nothing when there is neither value nor limit.

    A WATCH says which bound it is over, or that its limit is not reached: a cushion of 33 % is above its limit of 25 %.
    """
    limit = _bound(problem)
    value = "" if problem.value is None else _measured(problem.value, problem.unit)
    if limit and not value:
        value = "not known"
    return clean(", ".join(part for part in (value, limit) if part))


def _bound(problem: Problem) -> str:
    amount = _bound_amount(problem)
    if not amount:
        return ""
    if _is_told_by_watch(problem):
        return f"WATCH from {amount} down" if problem.unit == _DAYS else f"WATCH below {amount}"
    return f"limit {amount} (not reached)" if _is_near(problem) else f"limit {amount}"


def _bound_amount(problem: Problem) -> str:
    bound = problem.watch if _is_told_by_watch(problem) else problem.limit
    return "" if bound is None else wording.amount(bound, problem.unit)


def _is_told_by_watch(problem: Problem) -> bool:
    return problem.watch is not None and _is_near(problem)


def _is_near(problem: Problem) -> bool:
    """Whether it is within its limit; a limit that only advises may be passed by a WATCH."""
    return problem.severity is Severity.WATCH and problem.headroom is not None and problem.headroom >= 0


def _measured(value: float, unit: str) -> str:
    """A figure in its unit; one of VIX says that it is."""
    return f"VIX {wording.number(value, 2)}" if unit == _VIX else wording.amount(value, unit)


def _holds_figures(what: str, problem: Problem) -> bool:
    """Whether a sentence says value and bound as they would be said beside it."""
    if problem.value is None:
        return False
    value = _measured(problem.value, problem.unit).removeprefix("VIX ")
    said = [figure for figure in (value, _bound_amount(problem)) if figure]
    return all(re.search(rf"(?<![\d.,−]){re.escape(figure)}(?![\d.,]*\d)", what) for figure in said)


def _data_age(alert: Alert, now: datetime) -> str:
    """As of `now`: the problem tells it as of when it was last seen."""
    seconds = alert.problem.data_age_seconds
    if seconds is None:
        return ""
    return f"data {wording.age(seconds + max((now - alert.last_wrong).total_seconds(), 0.0))} old"


def _why(notice: Notice, now: datetime) -> str:
    """Why it is said now, with what a person needs to judge that."""
    alert, reason = notice.alert, notice.reason
    if reason is Reason.REPEAT:
        return f"{reason.value}: told {alert.times_told} times, nobody acknowledged it"
    asked = alert.asked or alert.fired
    if reason is Reason.ESCALATED and asked is not None:
        return f"{reason.value} for {wording.age((now - asked).total_seconds())}"
    if reason is Reason.BACK and alert.past_silences:
        silence = alert.past_silences[-1]
        return clean(f"{reason.value} by {silence.author} ({silence.reason})")
    if reason is Reason.DIGEST and alert.held is not None:
        return f"{reason.value}, {alert.held.value}"
    return reason.value


def _page(link: str) -> str:
    return redact(link.rstrip("/")) + PAGE

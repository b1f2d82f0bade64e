"""Alerts in words: what one says of itself, who has it, who is told next. No widget is drawn here.

Severity is told by sign, word and colour as the levels are. Texts of others (messages, notes, what a channel answers)
are escaped, and account numbers in them are cut.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from guardrails import wording
from guardrails.alerts.escalation import channels_of
from guardrails.alerts.values import AlertRow, Reason, Severity, Silence, State
from guardrails.findings import Level
from guardrails.matrix.alerts import AlertRules
from guardrails.redaction import redact
from guardrails.titles import headline
from pages._moment import clock, day_and_time, since_words
from pages._parts import LOOKS, Look, counted, pill, text

CRITICAL = Look("CRITICAL", "‼", "critical", ("#ffffff", "#a1160f"), ("#ffffff", "#b3261e"))
LOOK_OF = {
    Severity.CRITICAL: CRITICAL,
    Severity.BREACH: LOOKS[Level.BREACH],
    Severity.UNKNOWN: LOOKS[Level.UNKNOWN],
    Severity.WATCH: LOOKS[Level.WATCH],
}
"""worst first"""
NOBODY = (State.FIRED, State.ESCALATED)
"""states in which nobody has it"""
_SAID_BY_STATE = (Reason.HELD_SILENCE, Reason.HELD_ACKNOWLEDGED)
_OLD_SECONDS = 10.0


def said(words: object) -> str:
    """Words of others as text that cannot become markup and names no account in full."""
    return text(redact(str(words)))


def short(identity: str) -> str:
    """A short name of an alert for keys of widgets, which end in class names."""
    return hashlib.blake2s(identity.encode(), digest_size=6).hexdigest()


def title_of(identity: str) -> str:
    """The title of the alert called `identity`: its check, a space, its subject."""
    check, _, subject = identity.partition(" ")
    return headline(check, subject)


def severity_pill(severity: Severity, count: int | None = None) -> str:
    """HTML of a severity: sign, word and colour."""
    look = LOOK_OF[severity]
    number = "" if count is None else f" {count}"
    return (
        f'<span class="pg-pill pg-{look.name}"><span aria-hidden="true">{look.sign}</span> {look.word}{number}</span>'
    )


def say_severity(severity: Severity) -> str:
    """A severity in a table cell: `‼ CRITICAL`."""
    return f"{LOOK_OF[severity].sign} {LOOK_OF[severity].word}"


def past_words(time: datetime, now: datetime) -> str:
    """`15:40:12 ET (10 min ago)`; with the day when that is another one."""
    age = max((now - time).total_seconds(), 0.0)
    return f"{clock(time) if age < 12 * 3600 else day_and_time(time)} ({wording.age(age)} ago)"


def in_words(time: datetime, now: datetime) -> str:
    """`in 4 min`, `now` when it is due."""
    seconds = (time - now).total_seconds()
    return f"in {wording.age(seconds)}" if seconds > 0 else "now"


def who_has_it(row: AlertRow, now: datetime) -> str:
    """`nobody has it`, `anna has it: “rolling at the close”`, `silenced until 14:10 …`."""
    if row.silence is not None:
        return f"silenced until {until_words(row.silence, now)} by {row.silence.author} ({row.silence.reason})"
    if row.state is State.ACKNOWLEDGED:
        return f"{row.owner or 'somebody'} has it" + (f": “{row.note}”" if row.note else "")
    return "nobody has it"


def until_words(silence: Silence, now: datetime) -> str:
    """End of a silence: the time today, else day and time."""
    near = abs((silence.until - now).total_seconds()) < 12 * 3600
    return clock(silence.until) if near else day_and_time(silence.until)


def was_silenced(row: AlertRow, now: datetime) -> str:
    """`was silenced until 14:10:00 ET (known bad quote), is back`; nothing when it never was, or still is."""
    if not row.past_silences or row.silence is not None:
        return ""
    last = row.past_silences[-1]
    early = " before that time" if last.until > now else ""
    more = f", {counted(len(row.past_silences), 'silence')} so far" if len(row.past_silences) > 1 else ""
    return f"was silenced until {until_words(last, now)} ({last.reason}), is back{early}{more}"


def told_words(row: AlertRow, now: datetime) -> str:
    """`told 3 times, last 15:40:12 ET (10 min ago)`."""
    if row.told is None or not row.times_told:
        return "not told to anybody yet"
    times = "once" if row.times_told == 1 else f"{row.times_told} times, last"
    return f"told {times} {past_words(row.told, now)}"


def held_words(row: AlertRow) -> str:
    """Why it is not told now: `suppressed by its cause: Sources, ibkr`; nothing when its state says so already."""
    if row.held is None or row.held in _SAID_BY_STATE:
        return ""
    return f"{row.held.value}: {title_of(row.held_by)}" if row.held_by else row.held.value


def next_words(row: AlertRow, now: datetime, rules: AlertRules | None, channels: Sequence[str]) -> str:
    """Who is told next and when, unless somebody takes it."""
    parts = ["was escalated"] if row.state is State.ESCALATED else []
    if row.escalates is not None:
        steps = () if rules is None else rules.escalation[row.escalations : row.escalations + 1]
        to = wording.names(channels_of(steps[0], channels)) if steps else "the next people"
        parts.append(f"escalates to {to} {in_words(row.escalates, now)} unless somebody takes it")
    if row.next_told is not None:
        parts.append(f"told{' again' if row.times_told else ''} {in_words(row.next_told, now)}")
    return "; ".join(parts)


def seen_words(row: AlertRow) -> str:
    """That it looks better, or cannot be seen, while it still counts as what it was; nothing when it is as bad."""
    if row.right_since is not None:
        return ""
    now = row.problem.severity
    if now.rank >= row.severity.rank:
        return ""
    if now is Severity.UNKNOWN and row.severity.rank >= Severity.BREACH.rank:
        return f"cannot be seen now: it counts as {LOOK_OF[row.severity].word} until it is seen to be better"
    return f"{LOOK_OF[now].word} now: it counts as {LOOK_OF[row.severity].word} until that has lasted"


def right_words(row: AlertRow, now: datetime) -> str:
    """`right since 15:50:11 ET, over in 40 s if it stays so`; nothing while it is wrong."""
    if row.right_since is None:
        return ""
    over = "" if row.over_at is None else f", over {in_words(row.over_at, now)} if it stays so"
    return f"right since {clock(row.right_since)}{over}"


def sentence(row: AlertRow) -> str:
    """What is wrong; of what is right at the moment, what was."""
    return row.problem.message if row.right_since is None else f"When last wrong: {row.problem.message}"


def story(row: AlertRow, now: datetime, rules: AlertRules | None, channels: Sequence[str]) -> list[str]:
    """Everything that is known of an alert but its sentence, a few words each."""
    since = f"since {since_words(row.since, now)} ({wording.age(max((now - row.since).total_seconds(), 0.0))})"
    age = 0.0 if row.right_since is not None else row.problem.data_age_seconds or 0.0
    return [
        part
        for part in (
            since,
            right_words(row, now),
            seen_words(row),
            told_words(row, now),
            next_words(row, now, rules, channels),
            held_words(row),
            was_silenced(row, now),
            f"came and went {row.flaps} time{'' if row.flaps == 1 else 's'}" if row.flaps else "",
            "led to an action" if row.acted else "",
            f"data {wording.age(age)} old" if age >= _OLD_SECONDS else "",
        )
        if part
    ]


def card(row: AlertRow, now: datetime, rules: AlertRules | None, channels: Sequence[str] = (), mutes: str = "") -> str:
    """HTML of one open alert; `channels` are the names of those that are configured, `mutes` says what follows."""
    after = "" if row.right_since is not None else row.problem.next_action
    follows = f'<div class="pg-soft">{said(mutes)}</div>' if mutes else ""
    action = f'<div class="pg-next"><b>Next:</b> {said(after)}</div>' if after else ""
    return (
        f'<div class="pg-alert pg-of-{LOOK_OF[row.severity].name}"><div class="pg-alert-head">'
        f"{severity_pill(row.severity)}<b>{said(headline(row.check, row.subject))}</b>"
        f'<span class="pg-owner">{said(who_has_it(row, now))}</span></div><div>{said(sentence(row))}</div>'
        f'<div class="pg-soft">{said(" · ".join(story(row, now, rules, channels)))}</div>{follows}{action}</div>'
    )


def one(level: Level, words: str, more: str = "") -> str:
    """HTML of one light with its sentence; `more` is HTML already."""
    return f'<ul class="pg-list"><li>{pill(level)}<div class="pg-body">{said(words)}{more}</div></li></ul>'

"""The rules of the alerts read aloud, for `guardrails matrix` and the Alerts page."""

from __future__ import annotations

from collections.abc import Sequence

from guardrails.matrix.alerts import AlertRules, Escalation
from guardrails.titles import title_of

LOG = "log"
"""the channel that is always there, and reaches nobody who does not look"""
_MINUTE, _HOUR = 60.0, 3_600.0


def alert_sentences(rules: AlertRules, channels: Sequence[str]) -> list[str]:
    """What `rules` do, a sentence each; `channels` are the names of those that are configured."""
    return [
        _first(rules, channels),
        _settles(rules),
        _critical(rules),
        f"It is over when it has been right for {_span(rules.calm_seconds)}, longer when it comes back again and "
        "again; back before that is the same alert.",
        _repeats(rules),
        *_escalations(rules, channels),
        _worse(rules.worse_by),
        _family(rules),
        "What is UNKNOWN only because something else is wrong, such as a source that is down, is not told beside its "
        "cause; a BREACH always is.",
        _budget(rules),
        _quiet(rules),
    ]


def reaching(channels: Sequence[str]) -> list[str]:
    """The channels that reach a person."""
    return [name for name in channels if name != LOG]


def _first(rules: AlertRules, channels: Sequence[str]) -> str:
    """Who is told first, as the rules and what is configured leave it."""
    live = reaching(channels)
    if not live:
        return "No channel is configured but the log: alerts are written down, and nobody is told."
    escalated = {name for step in rules.escalation for name in step.channels}
    chosen = [name for name in rules.channels if name in live] if rules.channels else []
    missing = [name for name in rules.channels if name not in channels]
    chosen = chosen or [name for name in live if rules.channels or name not in escalated] or live
    lost = (
        f" ({_listed(missing)} of the rules {'is' if len(missing) == 1 else 'are'} not configured)" if missing else ""
    )
    return f"Told first: {_listed(chosen)}{lost}."


def _settles(rules: AlertRules) -> str:
    waits = rules.settle_seconds
    told = [
        ("CRITICAL", waits.critical), ("a BREACH", waits.breach), ("UNKNOWN", waits.unknown), ("WATCH", waits.watch)
    ]  # fmt: skip
    parts = [f"{name} {'at once' if seconds == 0 else f'after {_span(seconds)}'}" for name, seconds in told]
    return f"It is told {', '.join(parts)}; what is right again before that is no news."


def _critical(rules: AlertRules) -> str:
    named = [title_of(name) for name in rules.critical if name != "account_data"]  # whose only BREACH is a margin call
    parts = [
        "a margin call",
        "excess liquidity below zero",
        *([f"a BREACH of {_listed(named, 'or')}"] if named else []),
    ]
    over = f"any BREACH but of concentration or size that is over its limit by {_percent(rules.critical_over)} of it"
    return f"CRITICAL is {', '.join(parts)}, and {over}; no budget, quiet hour or grouping holds it back."


def _repeats(rules: AlertRules) -> str:
    every = rules.repeat_minutes
    told = [
        ("CRITICAL", every.critical), ("BREACH", every.breach), ("UNKNOWN", every.unknown), ("WATCH", every.watch)
    ]  # fmt: skip
    again = [f"{name} every {_span(minutes * _MINUTE)}" for name, minutes in told if minutes]
    never = [name for name, minutes in told if not minutes]
    if not again:
        return "What nobody has acknowledged is not told again."
    rest = f"; {_listed(never)} {'is' if len(never) == 1 else 'are'} not" if never else ""
    return f"What nobody has acknowledged is told again: {', '.join(again)}{rest}."


def _escalations(rules: AlertRules, channels: Sequence[str]) -> list[str]:
    if not rules.escalation:
        return ["When nobody acknowledges, nobody else is told: no escalation is set."]
    return [_escalation(step, channels) for step in rules.escalation]


def _escalation(step: Escalation, channels: Sequence[str]) -> str:
    what = "a CRITICAL" if step.only_critical else "a BREACH or a CRITICAL"
    known = [name for name in step.channels if name in channels]
    missing = [name for name in step.channels if name not in channels]
    who = _listed(known) or "every channel"
    lost = f" ({_listed(missing)} {'is' if len(missing) == 1 else 'are'} not configured)" if missing else ""
    after = f"within {_span(step.after_minutes * _MINUTE)}" if step.after_minutes else "at once"
    return f"If nobody acknowledges {what} {after}, {who} {'is' if len(known) == 1 or not known else 'are'} told{lost}."


def _worse(by: float) -> str:
    steps = ", ".join(_percent(by * times) for times in (1, 2, 4))
    return (
        f"An acknowledgement or a silence ends when it gets worse: a higher severity, or over its limit by {steps}, … "
        "of it. A silence needs a reason and an end."
    )


def _family(rules: AlertRules) -> str:
    if not rules.family_minutes:
        return "What belongs together (margin, Greeks, …) and goes wrong at once is one message."
    return (
        "What belongs together (margin, Greeks, …) is one message; the next about it waits "
        f"{_span(rules.family_minutes * _MINUTE)}, unless it is CRITICAL or worse than what was told."
    )


def _budget(rules: AlertRules) -> str:
    held = "WATCH, UNKNOWN, repeats and what is over"
    digest = f"a digest every {_span(rules.digest_minutes * _MINUTE)}" if rules.digest_minutes else "the next digest"
    if not rules.daily_budget:
        return f"For {held} no messages of their own are sent: they go into {digest}."
    return (
        f"At most {rules.daily_budget} messages a day, New York time, for {held}; the rest goes into {digest}. "
        "A BREACH that is new or worse does not wait for it, nor does the first word that a source is silent or that "
        "margin, a loss or an expiry cannot be judged; what is only over is not counted."
    )


def _quiet(rules: AlertRules) -> str:
    if rules.quiet_hours is None:
        return "No quiet hours are set."
    begin, end = rules.quiet_hours.begin, rules.quiet_hours.end
    return f"From {begin:%H:%M} to {end:%H:%M} New York time WATCH waits for the digest; all else is told as ever."


def _span(seconds: float) -> str:
    """`90 s` is `1.5 min`: a rule is not rounded as an age is."""
    for size, unit in ((_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds:.4g} s"


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.4g} %"


def _listed(names: Sequence[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    return f" {last} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

"""Who watches, whether alerts are made at all, and what each channel does, in words; and the badge of the header."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from guardrails import wording
from guardrails.alerts.values import AlertRow, AlertsNow, ChannelRow, Severity
from guardrails.findings import Level, worst
from guardrails.outages import is_fresh
from pages._alert_causes import folded
from pages._alerts import LOOK_OF, NOBODY, in_words, one, past_words, said, severity_pill
from pages._moment import Moment, clock, day_and_time, since_words
from pages._parts import LOOKS, counted, pill

WHAT_TO_SET = (
    "Set SLACK_WEBHOOK_URL, or SMTP_HOST with ALERT_EMAIL_FROM and ALERT_EMAIL_TO, or ALERT_URLS (Telegram, PagerDuty, "
    "ntfy, …) in the environment or .env, then restart and send a test from here."
)
NO_HEARTBEAT = (
    "No dead-man's switch: when this machine or this program dies, nobody is told. Set HEARTBEAT_URL to a check that "
    "alarms when pings stop (healthchecks.io or one of your own), then restart."
)


def not_made(alerts: AlertsNow | None, moment: Moment, refresh_seconds: float) -> str:
    """Why no alerts are made, or not known to be, at this moment; empty when they are."""
    health = moment.health
    if health is not None and not health.alive:
        return "No alerts are made: the engine of this program does not run."
    if alerts is None and health is not None and health.watched_by:
        return (
            f"Nothing is heard of the alerts of {health.watched_by}, which watches this book: whether anybody is told "
            "is not known here."
        )
    if alerts is None:
        return "No alerts are made: this program was started without them. Nobody is told of what goes wrong."
    if moment.snapshot is None:
        return "No alerts are made yet: nothing is judged before the first complete answer of the sources."
    if moment.old:
        return f"No alerts are made of what is not seen. {moment.trouble[0]}." if moment.trouble else "Nothing is seen."
    if not is_fresh(alerts.as_of, moment.now, refresh_seconds):
        age = (moment.now - alerts.as_of).total_seconds()
        return (
            f"Nothing is heard of the alerts since {clock(alerts.as_of)} ({wording.age(age)}): what goes wrong now may "
            "not be told."
        )
    return ""


def nothing_open(alerts: AlertsNow, moment: Moment) -> str:
    """HTML for when no alert is open while the watch lives: never calmer than the lights."""
    lights = Level.UNKNOWN if moment.snapshot is None else moment.snapshot.level
    level = worst([lights, *([Level.UNKNOWN] if alerts.problem else [])])
    since, last = alerts.watch.since, alerts.watch.last_cycle or alerts.as_of
    watching = "" if since is None else f"Watching since {since_words(since, moment.now)}, "
    cycle = f"last cycle {wording.age(max((moment.now - last).total_seconds(), 0.0))} ago"
    sentence = f"{watching}{cycle}"
    words = f"No alert is open. {sentence[0].upper()}{sentence[1:]}."
    if lights.rank >= Level.WATCH.rank:
        words += f" The lights say {LOOKS[lights].word}, see Risk: what is new is an alert when it has lasted."
    return one(level, words)


def watch_words(alerts: AlertsNow, now: datetime) -> str:
    """`Monitoring since … · last cycle 2 s ago · next ping in 41 s`."""
    watch = alerts.watch
    parts = []
    if watch.since is not None:
        parts.append(
            f"Monitoring since {day_and_time(watch.since)} ({wording.age((now - watch.since).total_seconds())})"
        )
    if watch.last_cycle is not None:
        parts.append(f"last cycle {wording.age(max((now - watch.last_cycle).total_seconds(), 0.0))} ago")
    if watch.heartbeat:
        parts.append(
            "no ping taken yet" if watch.last_ping is None else f"last ping {past_words(watch.last_ping, now)}"
        )
        parts.append("" if watch.next_ping is None else f"next ping {in_words(watch.next_ping, now)}")
    return " · ".join(part for part in parts if part)


def budget_words(alerts: AlertsNow, now: datetime) -> str:
    """`Told today 3 of 20 · 5 wait for the digest, due 16:00:00 ET (in 10 min)`."""
    words = f"Told today {alerts.told_today} of {alerts.budget}; CRITICAL and what is newly broken do not count"
    if not alerts.digest:
        return f"{words} · nothing waits for a digest"
    due = "" if alerts.digest_due is None else f", due {clock(alerts.digest_due)} ({in_words(alerts.digest_due, now)})"
    return f"{words} · {counted(alerts.digest, 'alert')} for the digest{due}"


def level_of_channel(row: ChannelRow) -> Level:
    """The light of a channel: UNKNOWN until it has taken something."""
    if row.problem or row.works is False:
        return Level.BREACH
    return Level.OK if row.works else Level.UNKNOWN


def channel_words(row: ChannelRow, now: datetime) -> str:
    """What a channel does, in words."""
    if row.problem:
        return f"cannot be used: {row.problem}"
    if row.works is None:
        return "not used since the start of this program"
    if row.works:
        last = "" if row.last_sent is None else f", last {past_words(row.last_sent, now)}"
        return f"works{last}" + (f": {row.last_detail}" if row.last_detail else "")
    since = "" if row.failing_since is None else f" since {past_words(row.failing_since, now)}"
    again = "" if row.next_try is None else f"; tried again {in_words(row.next_try, now)}"
    return f"does not work{since}: {row.last_detail or 'no answer'}{again}"


def channel_card(row: ChannelRow, now: datetime, answer: str = "") -> str:
    """HTML of one channel; `answer` is what came of the last test."""
    kind = f" ({row.kind})" if row.kind and row.kind.casefold() != row.name.casefold() else ""
    counts = [f"{row.sent} sent", f"{row.failures} attempts failed", f"{row.waiting} wait", f"{row.dead} given up"]
    since = "since the start: " + ", ".join(counts)
    told = f"<div><b>{said(answer)}</b></div>" if answer else ""
    return (
        f'<ul class="pg-list"><li>{pill(level_of_channel(row))}<div class="pg-body"><b>{said(row.name)}</b>'
        f'{said(kind)} {said(channel_words(row, now))}{told}<div class="pg-soft">{said(since)}</div></div></li></ul>'
    )


def broken_channels(channels: Sequence[ChannelRow]) -> list[str]:
    """Names of the channels that do not work."""
    return [row.name for row in channels if level_of_channel(row) is Level.BREACH]


def open_of(alerts: AlertsNow) -> list[AlertRow]:
    """The alerts that nobody has, without those that only follow from another."""
    return [row for row in folded(alerts.active).own if row.state in NOBODY]


def badge(alerts: AlertsNow | None) -> str:
    """HTML for the header: what nobody has, worst first, and channels that do not work; nothing when there is none.

    WATCH is not counted: it asks nobody to take it, and a badge that is always there is not seen any more.
    """
    if alerts is None:
        return ""
    found = [row for row in open_of(alerts) if row.severity is not Severity.WATCH]
    broken = broken_channels(alerts.channels)
    counts = {severity: sum(row.severity is severity for row in found) for severity in LOOK_OF}
    pills = "".join(severity_pill(severity, count) for severity, count in counts.items() if count)
    parts = [f"{pills} nobody has {'it' if len(found) == 1 else 'them'}"] if found else []
    parts += (
        [f"<b>{said(wording.names(broken, 3))}</b> {'does' if len(broken) == 1 else 'do'} not work"] if broken else []
    )
    if not parts:
        return ""
    return f'<a class="pg-alarm" href="alerts" target="_self" title="To Alerts"><b>Alerts</b> {" · ".join(parts)}</a>'

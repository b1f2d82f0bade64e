"""The values of the alerts: what is wrong, what it has become, what was said about it. All frozen, all times UTC."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any


class Severity(StrEnum):
    """How loud; CRITICAL needs an acknowledgement, nothing holds it back."""

    WATCH = "WATCH"
    UNKNOWN = "UNKNOWN"
    BREACH = "BREACH"
    CRITICAL = "CRITICAL"

    @property
    def rank(self) -> int:
        """Position in the order WATCH < UNKNOWN < BREACH < CRITICAL."""
        return _RANK[self]


_RANK = {severity: rank for rank, severity in enumerate(Severity)}


class State(StrEnum):
    """Where an alert stands in its life."""

    SETTLING = "settling"
    """wrong, but not for long enough to be news; nothing was said or stored"""
    FIRED = "fired"
    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"
    ESCALATED = "escalated"
    """nobody acknowledged it in time, so the next people were told"""
    RESOLVED = "resolved"


class Reason(StrEnum):
    """Why something was said, or why not; the words a person reads."""

    FIRST = "first notice"
    WORSENED = "worsened"
    BACK = "back after a silence"
    REPEAT = "repeat due"
    ESCALATED = "nobody acknowledged it"
    RESOLVED = "resolved"
    DIGEST = "in the digest"
    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"
    UNSILENCED = "silence ended"
    ACTED = "led to an action"
    EASED = "eased"
    RETURNED = "back before it was resolved"
    BLIND = "was broken, and cannot be seen now"
    HELD_INHIBITED = "suppressed by its cause"
    HELD_SILENCE = "suppressed by a silence"
    HELD_ACKNOWLEDGED = "suppressed by its acknowledgement"
    HELD_QUIET = "suppressed by quiet hours"
    HELD_BUDGET = "suppressed by the daily budget"
    HELD_GRACE = "suppressed by the grace after a change of regime"
    HELD_TOGETHER = "waits to be told with its family"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong at one moment."""

    check: str
    subject: str
    severity: Severity
    message: str
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    headroom: float | None = None
    """in `unit`, negative when over the limit"""
    data_age_seconds: float | None = None
    next_action: str = ""
    follows: bool = False
    """it is UNKNOWN only because of something else that is wrong, such as a source that is down"""
    grace_until: datetime | None = None
    """a breach that only the new limits of another regime cause is not shouted before"""
    news: bool = False
    """it is an event, not a state: it is told once, and its end is not news"""
    right: bool = False
    """it is seen to be right: nothing is wrong here, but what is not said to be right while not everything is seen must
    not be taken as over"""
    concerns: tuple[str, ...] = ()
    """subjects of its check that cannot be judged because of it, where it says which; empty: all of the check's"""
    wait_seconds: float = 0.0
    """what is UNKNOWN for a reason that ends by itself is no news before; at the least what the rules ask"""
    watch: float | None = None
    """the bound of WATCH, in `unit`, where the finding says it; of a measure that must not fall"""

    @property
    def identity(self) -> str:
        """The same problem has the same: check and subject."""
        return f"{self.check} {self.subject}"

    @property
    def overshoot(self) -> float:
        """By how many times its limit it is over, 0 when it is not or that is not known; of a limit of 0 any is inf."""
        if self.headroom is None or self.limit is None or not self.headroom < 0:
            return 0.0
        return -self.headroom / abs(self.limit) if self.limit else math.inf


@dataclass(frozen=True, slots=True)
class Shown:
    """What of an alert a person had before them when they took it."""

    severity: Severity
    step: int
    fired: datetime
    """which of its lives"""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody has it."""

    author: str
    time: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class Silence:
    """Somebody does not want to hear of it until then; it ends when it gets worse."""

    author: str
    time: datetime
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An open problem with its life."""

    problem: Problem
    """as it was last seen"""
    severity: Severity
    """the worst within the calm that must pass before it counts as eased"""
    step: int
    """the furthest over its limit within the calm, in the steps of `guardrails.alerts.settling`: one more is worse"""
    since: datetime
    """when it went wrong"""
    last_wrong: datetime
    """when it was last seen wrong"""
    fired: datetime | None = None
    """None while it settles"""
    told: datetime | None = None
    """when somebody was last told of it"""
    told_severity: Severity | None = None
    """the worst that people know of it: told within the last hour, or taken by somebody"""
    told_step: int = 0
    loudest: datetime | None = None
    """when `told_severity` and `told_step` were last told"""
    lower_since: datetime | None = None
    """since when it has been less far over its limit than `step`; None while it is not"""
    lower_step: int = 0
    """the furthest it was since then"""
    times_told: int = 0
    acknowledgement: Acknowledgement | None = None
    silence: Silence | None = None
    past_silences: tuple[Silence, ...] = ()
    escalations: int = 0
    """how many of the lists of channels beyond the first were told"""
    escalated: datetime | None = None
    flaps: int = 0
    """how many times it was gone and came back before it was resolved"""
    relapses: int = 0
    """how many times it was resolved and came back soon after: each doubles the calm"""
    held: Reason | None = None
    """why it is not told now"""
    held_by: str = ""
    """the identity of the alert that holds it back, when one does"""
    owed: Reason | None = None
    """what is still to be said about it, in the digest or with its family"""
    acted: bool = False
    """somebody did something about it"""
    eased_at: datetime | None = None
    """since when it has looked better than `severity`; None while it does not"""
    asked: datetime | None = None
    """since when people are asked to acknowledge it: told first, or told anew after it got worse or was silenced"""
    reached: tuple[str, ...] = ()
    """channels that were told of it"""

    @property
    def identity(self) -> str:
        """That of its problem."""
        return self.problem.identity

    @property
    def state(self) -> State:
        """Where it stands."""
        if self.fired is None:
            return State.SETTLING
        if self.silence is not None:
            return State.SILENCED
        if self.acknowledgement is not None:
            return State.ACKNOWLEDGED
        return State.ESCALATED if self.escalations else State.FIRED

    @property
    def is_beyond_told(self) -> bool:
        """Whether it is worse than people know: a higher severity, or of the same one more step over its limit."""
        if self.told_severity is None:
            return True
        return (self.severity.rank, self.step) > (self.told_severity.rank, self.told_step)


_PLACES = {one.name: place for place, one in enumerate(fields(Alert))}
_values_of = attrgetter(*_PLACES)


def altered(alert: Alert, **changes: Any) -> Alert:
    """`dataclasses.replace` in a third of the time: each open alert is altered in every cycle."""
    values = list(_values_of(alert))
    for name, value in changes.items():
        values[_PLACES[name]] = value
    return Alert(*values)


@dataclass(frozen=True, slots=True)
class Event:
    """One step in the life of an alert: a row of the timeline."""

    time: datetime
    alert: Alert
    """as it is after the step"""
    state: State
    reason: Reason
    author: str = ""
    """who did it; empty: the program"""
    words: str = ""
    """what the person wrote, or who holds it back"""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to be said about one alert."""

    alert: Alert
    reason: Reason
    channels: tuple[str, ...]
    """names; the log hears everything anyway"""


@dataclass(frozen=True, slots=True)
class Line:
    """What a message says about one alert, in words, all numbers with their unit."""

    severity: Severity
    state: State
    title: str
    """what, and of which account or underlying: `Margin cushion, IBKR •••4567`"""
    what: str
    """the finding's own sentence"""
    figures: str
    """value and limit: `14 %, limit 20 %`; empty when there are none"""
    since: datetime
    age: str
    """of the data: `data 3 s old`; empty when not known"""
    action: str
    reason: str
    """why this is said now"""
    alert: str = ""
    """the identity it tells of, redacted; for comparing, not for people"""
    holds_figures: bool = False
    """`what` says the value and the limit already"""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, the same for every channel; nothing in it names a full account number."""

    key: str
    """unique"""
    time: datetime
    severity: Severity
    """the worst of its lines; of a message that only resolves, the severity that was"""
    resolved: bool
    """it says only that something is over"""
    title: str
    lines: tuple[Line, ...]
    more: int
    """alerts beyond the lines"""
    link: str
    """of the page"""
    test: bool = False
    """sent by a person to see whether the channel works"""


class Outcome(StrEnum):
    """What came of one attempt."""

    SENT = "sent"
    """the other side said so"""
    FAILED = "failed"
    """it may work later"""
    REFUSED = "refused"
    """it will never work like this: a wrong address, password, certificate"""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a channel answered to one attempt."""

    outcome: Outcome
    detail: str
    """in words, without secrets"""
    retry_after_seconds: float | None = None
    """how long the other side asks to be left alone"""


class DeliveryState(StrEnum):
    """Where one message to one channel stands."""

    WAITING = "waiting"
    FAILED = "failed"
    """will be tried again"""
    SENT = "sent"
    DEAD = "dead"
    """given up"""
    SUPERSEDED = "superseded"
    """not sent, as a newer message to the same channel tells of the same alerts (`guardrails.alerts.superseding`)"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on its way to one channel."""

    key: str
    """unique: that of the message and the channel"""
    channel: str
    message: Message
    alerts: tuple[str, ...]
    """identities it tells of"""
    state: DeliveryState = DeliveryState.WAITING
    attempts: int = 0
    due: datetime | None = None
    """when it is tried next; None: now, or never again"""
    detail: str = ""
    created: datetime | None = None
    changed: datetime | None = None


@dataclass(frozen=True, slots=True)
class OpenAlerts:
    """What an earlier run, or the program that watched before, has left to go on with."""

    alerts: tuple[Alert, ...] = ()
    """not resolved, the oldest first"""
    deliveries: tuple[Delivery, ...] = ()
    """neither sent nor given up nor superseded, the oldest first"""
    told_today: int = 0
    """messages of this day, New York time, that count against the budget"""


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One open alert as a page shows it."""

    identity: str
    check: str
    subject: str
    family: str
    severity: Severity
    state: State
    problem: Problem
    since: datetime
    fired: datetime
    told: datetime | None
    times_told: int
    step: int = 0
    owner: str = ""
    """who acknowledged it"""
    note: str = ""
    silence: Silence | None = None
    past_silences: tuple[Silence, ...] = ()
    escalations: int = 0
    flaps: int = 0
    held: Reason | None = None
    held_by: str = ""
    next_told: datetime | None = None
    """when it will be told again if nothing changes"""
    escalates: datetime | None = None
    """when the next people are told unless somebody acknowledges it"""
    right_since: datetime | None = None
    """since when it is seen to be right, while the calm before it is over still runs"""
    over_at: datetime | None = None
    """when it is over if it stays so"""
    acted: bool = False
    asked: datetime | None = None
    """since when people are asked to acknowledge it; None while nobody was told of it"""


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One channel and how it does."""

    name: str
    kind: str
    """`Slack`, `e-mail`, `log`, `ntfy`, ..."""
    works: bool | None
    """None until something was sent"""
    last_sent: datetime | None = None
    last_detail: str = ""
    """what it answered last"""
    failing_since: datetime | None = None
    waiting: int = 0
    dead: int = 0
    """deliveries given up since the start"""
    next_try: datetime | None = None
    sent: int = 0
    """deliveries since the start"""
    failures: int = 0
    """attempts that failed since the start"""
    problem: str = ""
    """why it cannot be used at all, such as a package that is missing"""
    waiting_since: datetime | None = None
    """when the oldest of what waits was made"""
    failed_in_a_row: int = 0
    """attempts that failed since it last took something"""
    superseded: int = 0
    """deliveries since the start that were not sent, as a newer one tells of the same"""
    refused: str = ""
    """why it does not take a message about something CRITICAL, which is tried on; empty when it refuses none"""


@dataclass(frozen=True, slots=True)
class WatchRow:
    """Who watches the watcher."""

    since: datetime | None = None
    """monitoring since"""
    last_cycle: datetime | None = None
    heartbeat: bool = False
    """a dead-man's switch is configured"""
    last_ping: datetime | None = None
    """last time the monitor took one"""
    next_ping: datetime | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class AlertsNow:
    """Everything a page shows of the alerts at one moment."""

    as_of: datetime
    active: tuple[AlertRow, ...] = ()
    """worst first, then the oldest"""
    channels: tuple[ChannelRow, ...] = ()
    told_today: int = 0
    """messages that count against the budget"""
    budget: int = 0
    digest: int = 0
    """alerts that wait for the digest"""
    digest_due: datetime | None = None
    watch: WatchRow = field(default_factory=WatchRow)
    problem: str = ""
    """why alerts may not be kept or sent; empty when nothing is wrong"""
    counts: Mapping[str, Any] = field(default_factory=dict)
    """since the start: `fired`, `told`, `resolved`, `escalated`, `acted`"""

"""What is known of the alerts of one book while this program watches it, and how each step becomes rows and messages.

A step is kept and sent in this order: the events and the deliveries go to the store in one piece, then each delivery
to its channel. Whatever fails on the way, what was decided is still sent.
"""

from __future__ import annotations

import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from guardrails.alerts import life
from guardrails.alerts.catching_up import caught_up
from guardrails.alerts.families import DELIVERY
from guardrails.alerts.letters import Letters
from guardrails.alerts.life import AlertState, Step
from guardrails.alerts.message import PAGE, message_of
from guardrails.alerts.own_problems import LOG
from guardrails.alerts.sending import Sending
from guardrails.alerts.values import (
    ChannelRow,
    Delivery,
    DeliveryState,
    Event,
    Message,
    Notice,
    OpenAlerts,
    Problem,
    Reason,
    Severity,
    State,
)
from guardrails.keeper import AlertStore, Kept
from guardrails.matrix.alerts import AlertRules

log = logging.getLogger(__name__)

MOST_LOST = 1_000
"""deliveries given up that can be sent again"""
_COUNTED = {
    Reason.RESOLVED: "resolved",
    Reason.ESCALATED: "escalated",
    Reason.ACTED: "acted",
}
"""events that are counted; that an alert fired is one whatever its reason is, as the first may be held"""
COUNTS = ("fired", "told", "resolved", "escalated", "acted")


@dataclass(frozen=True, slots=True)
class Ways:
    """What every book's alerts go through."""

    sending: Sending
    store: AlertStore | None
    link: str
    """address of the app, without a path"""
    heartbeat: Callable[[], ChannelRow | None]
    """how the dead-man's switch does"""


class Ledger:
    """Belongs to the desk's thread; `end` may be called from any."""

    def __init__(self, sources: Sequence[str], scenario: str, ways: Ways, counts: dict[str, int]) -> None:
        """`counts` are those of the program, over all its books; they are counted on."""
        self.state = AlertState()
        self.ways = ways
        self.lost: OrderedDict[str, Delivery] = OrderedDict()
        """deliveries given up since this program began to watch, by key"""
        self.letters = Letters(ways.store, sources, scenario)
        self._open_critical: frozenset[str] = frozenset()
        self._under_way = set[str]()
        """keys of deliveries of which it is not known yet what becomes of them"""
        self._sources, self._scenario, self._counts = tuple(sources), scenario, counts
        self._has_ended = False

    def resume(self, found: OpenAlerts, now: datetime) -> None:
        """Go on from what another run, or another program, has left."""
        self.state = life.resume(found.alerts, found.told_today, now)
        self._note_critical()
        self.put_left(found.deliveries)

    def catch_up(self, found: OpenAlerts, now: datetime) -> None:
        """The same when that is known only after alerts had to begin anew."""
        self.state = caught_up(self.state, found.alerts, found.told_today, now)
        self._note_critical()
        self.put_left(found.deliveries)

    def put_left(self, deliveries: Sequence[Delivery]) -> None:
        """Send what another run, or another program, has left; what is known here already is not sent twice."""
        for delivery in deliveries:
            self._put(delivery, None)

    def end(self) -> None:
        """Put nothing more on its way."""
        self._has_ended = True

    def step(self, problems: Sequence[Problem], now: datetime, rules: AlertRules) -> None:
        """One more moment."""
        self.commit(life.step(self.state, problems, now, rules, self._usable()), now)

    def commit(self, step: Step, now: datetime) -> None:
        """Take what was decided: remember it, keep it, and put its messages on their way."""
        deliveries = [made for group in step.groups for made in self._deliveries(group, now)]
        self._count(step)
        self.state = step.state
        self._note_critical()
        kept = self._hand(step.events, deliveries)
        for delivery in deliveries:
            self._put(delivery, kept)

    def send(self, message: Message, channels: Sequence[str]) -> list[Delivery]:
        """Send what is no step of an alert, such as a test; what is on its way."""
        deliveries = _to(message, channels, ())
        kept = self._hand((), deliveries)
        for delivery in deliveries:
            self._put(delivery, kept)
        return deliveries

    def send_again(self, dead: Delivery, author: str, now: datetime) -> None:
        """Give a delivery that was given up another life."""
        self.lost.pop(dead.key, None)
        alive = replace(
            dead,
            state=DeliveryState.WAITING,
            attempts=0,
            due=None,
            detail=f"sent again by {author}",
            created=now,
            changed=now,
        )
        self._put(alive, self._hand((), [alive]))

    def told(self, deliveries: Sequence[Delivery]) -> None:
        """Keep what became of deliveries."""
        on_their_way = (DeliveryState.WAITING, DeliveryState.FAILED)
        self._under_way -= {one.key for one in deliveries if one.state not in on_their_way}
        for delivery in deliveries:
            if delivery.state is DeliveryState.DEAD and not delivery.message.test:
                self.lost[delivery.key] = delivery
                log.error("a message to %s was given up: %s", delivery.channel, delivery.detail)
            else:
                self.lost.pop(delivery.key, None)
        while len(self.lost) > MOST_LOST:
            self.lost.popitem(last=False)
        self._hand((), deliveries)

    @property
    def book(self) -> tuple[tuple[str, ...], str]:
        """The sources and the scenario that it is of."""
        return self._sources, self._scenario

    def is_under_way(self, delivery: Delivery) -> bool:
        """Whether it was put on its way here, and nothing final is known of it."""
        return delivery.key in self._under_way

    def keeps(self, delivery: Delivery) -> bool:
        """Whether it tells of something CRITICAL that is still open."""
        message = delivery.message
        is_open = not message.resolved and not self._open_critical.isdisjoint(delivery.alerts)
        return message.severity is Severity.CRITICAL and is_open

    def cry(self, what: str, now: datetime) -> None:
        """Tell everybody that alerts cannot be worked out, as nothing else will tell anything now."""
        title = f"CRITICAL: alerts cannot be worked out ({what}); look at the Risk page and at the log"
        self.send(_plain(secrets.token_hex(8), now, Severity.CRITICAL, title, self.ways.link), self._usable())

    def _usable(self) -> list[str]:
        return [channel.name for channel in self.ways.sending.usable]

    def _deliveries(self, group: Sequence[Notice], now: datetime) -> list[Delivery]:
        """One message about `group`, to everybody its notices name."""
        if not group:
            return []
        key, demo = secrets.token_hex(8), set(self._sources) == {"demo"}
        try:
            message = message_of(group, key, now, self.ways.link, demo=demo)
        except Exception:  # better badly said than not at all
            log.critical("a message could not be put in words", exc_info=True)
            message = _bare(group, key, now, self.ways.link)
        return _to(message, self._whom(group), tuple(notice.alert.identity for notice in group))

    def _whom(self, group: Sequence[Notice]) -> list[str]:
        """Names of channels: those of the notices and the log; all, when that is nobody or a channel is in trouble."""
        usable = {channel.name: channel.kind for channel in self.ways.sending.usable}
        named = {name for notice in group for name in notice.channels}
        whom = [name for name, kind in usable.items() if name in named or kind == LOG]
        reaches = any(usable[name] != LOG for name in whom)
        is_own = any(notice.alert.problem.check == DELIVERY for notice in group)
        return whom if reaches and not is_own else list(usable)

    def _hand(self, events: Sequence[Event], deliveries: Sequence[Delivery]) -> Kept | None:
        """Into the store; whatever it does, the messages go on."""
        store = self.ways.store
        if store is None or not (events or deliveries):
            return None
        try:
            return store.hand_alerts(self._sources, self._scenario, events, deliveries)
        except Exception:
            log.critical("what became of alerts could not be handed to the store", exc_info=True)
            return None

    def _put(self, delivery: Delivery, kept: Kept | None) -> None:
        if self._has_ended:
            return
        self._under_way.add(delivery.key)
        try:
            self.ways.sending.put(delivery, kept)
        except Exception as error:  # what it is must not cost the other channels theirs; the next start sends it
            self._under_way.discard(delivery.key)
            log.critical("a message to %s could not be put on its way", delivery.channel, exc_info=True)
            detail = f"it could not be put on its way ({type(error).__name__}); see the log"
            self.lost[delivery.key] = replace(delivery, state=DeliveryState.DEAD, due=None, detail=detail)

    def _note_critical(self) -> None:
        alerts = self.state.alerts.values()
        self._open_critical = frozenset(alert.identity for alert in alerts if alert.severity is Severity.CRITICAL)

    def _count(self, step: Step) -> None:
        """Before the step is taken: what was open before has not fired now, also at the same moment."""
        before = self.state.alerts
        open_ones = [event for event in step.events if event.state is not State.RESOLVED]
        fired = {event.alert.identity for event in open_ones if event.alert.fired == event.time}
        fired -= {name for name in fired if name in before and before[name].fired is not None}
        self._counts["fired"] += len(fired)
        for event in step.events:
            name = "resolved" if event.state is State.RESOLVED else _COUNTED.get(event.reason, "")
            if name:
                self._counts[name] += 1
        self._counts["told"] += sum(map(len, step.groups))


def _to(message: Message, channels: Sequence[str], alerts: tuple[str, ...]) -> list[Delivery]:
    made = message.time
    return [Delivery(f"{message.key}:{name}", name, message, alerts, created=made, changed=made) for name in channels]


def _bare(group: Sequence[Notice], key: str, now: datetime, link: str) -> Message:
    """What can be said without words of the usual way; nothing in it comes from a broker."""
    over = all(notice.reason is Reason.RESOLVED for notice in group)
    severity = max((notice.alert.severity for notice in group), key=lambda one: one.rank)
    checks = ", ".join(sorted({notice.alert.problem.check for notice in group}))
    title = f"{'RESOLVED' if over else severity.value}: {checks}; see the Alerts page"
    return replace(_plain(key, now, severity, title, link), resolved=over, more=len(group))


def _plain(key: str, now: datetime, severity: Severity, title: str, link: str) -> Message:
    return Message(key, now, severity, resolved=False, title=title, lines=(), more=0, link=link + PAGE)

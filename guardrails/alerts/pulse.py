"""What a dead-man's switch is told, and when: pure decisions; `guardrails.alerts.heartbeat` carries them out.

A monitor outside hears from the program that watches; when it hears nothing, it calls somebody. The manners are those
of healthchecks.io (https://healthchecks.io/docs/http_api/): START when this program begins to watch, SUCCESS while its
cycles are good, FAIL with a few words when they are not. That monitor ignores more than five pings a minute, so a
cycle that was good is told at most once in `PING_SECONDS`. FAIL is told once for each thing that is wrong: it stands
until the next SUCCESS, which another program may send meanwhile.

Seconds are those of a monotonic clock: a clock that is set back must not silence the switch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from guardrails.alerts.own_problems import LOG
from guardrails.alerts.values import AlertsNow, ChannelRow, Outcome, Receipt
from guardrails.health import Health
from guardrails.outages import late_after

PING_SECONDS = 60.0
"""between two pings that all is well"""
FIRST_SECONDS = 60.0
"""the first cycle of a watch may take so long: sources connect, kernels are compiled"""
MINUTE, MOST_A_MINUTE = 60.0, 4
"""one ping less than the monitor allows"""
TRIES, PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 3, 60.0, 900.0
"""after so many attempts in a row that failed, the next waits so long; at most so long if the monitor asks for it"""
FAILING_SECONDS = 60.0
"""a channel that has failed for so long does not work"""
Kind = Literal["start", "success", "fail"]
"""what a ping says"""


@dataclass(frozen=True, slots=True)
class Wrong:
    """Something for which the monitor should call a person."""

    what: str
    """one word; the same thing has the same"""
    words: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What this program knows of itself at one moment."""

    since: datetime | None = None
    """watching since; None while it does not watch, and then it pings nobody"""
    book: str = ""
    """names of its sources"""
    cycles: int = 0
    """good ones, since the start"""
    last_cycle: datetime | None = None
    alerts: datetime | None = None
    """when they were last looked through; None where none are made"""
    late_seconds: float = 10.0
    """after so long without a good cycle, or a look through the alerts, something is wrong"""
    wrong: tuple[Wrong, ...] = ()
    taken_over: tuple[datetime, str] | None = None
    """when the program that had watched was found dead, and which it was"""


@dataclass(frozen=True, slots=True)
class Signal:
    """One ping."""

    kind: Kind
    body: str
    wrong: tuple[str, ...] = ()
    takeover: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hand:
    """Something that must move while the program watches."""

    stands: int | datetime | None = None
    at: float = 0.0
    """when it last moved"""
    moved: bool = False
    """it has, since the watch began"""


@dataclass(frozen=True, slots=True)
class Beat:
    """What was seen so far, and what the monitor knows of it."""

    since: datetime | None = None
    """of the watch that is on"""
    cycles: Hand = Hand()
    alerts: Hand = Hand()
    started: bool = False
    """the monitor knows that the watch began"""
    takeover: datetime | None = None
    """the last one that the monitor knows"""
    told: frozenset[str] | None = None
    """what is wrong, as the monitor knows it; None: it knows neither that nor that all is well"""
    due: float = 0.0
    """the next SUCCESS"""
    not_before: float = 0.0
    """no ping at all until then, after one that failed"""
    failed: int = 0
    """attempts in a row"""
    recent: tuple[float, ...] = ()
    """pings of the last minute"""


def seen_of(health: Health, alerts: AlertsNow | None, names: Sequence[str], refresh_seconds: float) -> Seen:
    """What the state of the engine of the sources `names` and its alerts (None: it makes none) come to."""
    if health.watched_by or health.watching_since is None:
        return Seen()
    wrong = [] if health.alive else [Wrong("engine", "the engine has ended")]
    if health.store is None:
        wrong += [Wrong("store", f"nothing is kept ({said})") for said in health.problems if said.startswith("store: ")]
    elif not health.store.keeps:
        wrong.append(Wrong("store", f"nothing can be kept ({health.store.problem})"))
    if alerts is not None and alerts.problem:
        wrong.append(Wrong("alerts", f"alerts: {alerts.problem}"))
    if alerts is not None and no_channel_works(alerts):
        wrong.append(Wrong("channels", "no channel works, so alerts reach nobody"))
    return Seen(
        health.watching_since,
        ", ".join(names),
        health.cycles,
        health.last_cycle,
        None if alerts is None else alerts.as_of,
        late_after(refresh_seconds).total_seconds(),
        tuple(wrong),
        health.taken_over,
    )


def no_channel_works(alerts: AlertsNow) -> bool:
    """Whether channels beside the log are configured, and each is known not to work, by more than one bad moment."""
    real = [channel for channel in alerts.channels if channel.kind != LOG]
    return bool(real) and all(_is_broken(channel, alerts.as_of) for channel in real)


def _is_broken(channel: ChannelRow, now: datetime) -> bool:
    since = channel.failing_since
    fails = channel.works is False and (since is None or (now - since).total_seconds() >= FAILING_SECONDS)
    return bool(channel.problem) or fails


def step(beat: Beat, seen: Seen, at: float) -> tuple[Beat, Signal | None]:
    """Take what is `seen` at the second `at`: what is known then, and the ping that is due now, if any.

    When one is due and was tried, `answered` goes on from here.
    """
    recent = tuple(time for time in beat.recent if 0 <= at - time < MINUTE)
    if seen.since is None:
        return Beat(takeover=beat.takeover, recent=recent), None
    if seen.since != beat.since:
        beat = Beat(seen.since, Hand(seen.cycles, at), Hand(seen.alerts, at), takeover=beat.takeover)
    cycles, alerts = _moved(beat.cycles, seen.cycles, at), _moved(beat.alerts, seen.alerts, at)
    beat = replace(beat, cycles=cycles, alerts=alerts, recent=recent)
    if at < beat.not_before or len(recent) >= MOST_A_MINUTE:
        return beat, None
    return beat, _due(beat, seen, at)


def _due(beat: Beat, seen: Seen, at: float) -> Signal | None:
    if seen.taken_over is not None and seen.taken_over[0] != beat.takeover:
        body = f"{seen.taken_over[1]} watched the book and ended without a word. This program watches it now."
        return Signal("fail", body, takeover=seen.taken_over[0])
    if not beat.started:
        return Signal("start", f"begins to watch {seen.book}")
    wrong = [*_late(beat, seen, at), *seen.wrong]
    if wrong:
        new = {one.what for one in wrong} - (beat.told or set())
        return Signal("fail", "\n".join(o.words for o in wrong), tuple(o.what for o in wrong)) if new else None
    if not beat.cycles.moved or (beat.told == frozenset() and at < beat.due):
        return None
    return Signal("success", f"watches {seen.book}; cycle {seen.cycles} was good")


def _moved(hand: Hand, stands: int | datetime | None, at: float) -> Hand:
    return hand if hand.stands == stands else Hand(stands, at, moved=True)


def _late(beat: Beat, seen: Seen, at: float) -> Iterator[Wrong]:
    """What should have moved by now."""
    if (stood := _stands(beat.cycles, seen, at)) is not None:
        yield Wrong("cycle", f"no cycle was finished in the last {stood:.0f} s")
    if seen.alerts is not None and (stood := _stands(beat.alerts, seen, at)) is not None:
        yield Wrong("alerts", f"alerts have stood still for {stood:.0f} s")


def _stands(hand: Hand, seen: Seen, at: float) -> float | None:
    """Seconds for which `hand` has not moved, None while they are not too many."""
    stood = at - hand.at
    return stood if stood > max(seen.late_seconds, 0.0 if hand.moved else FIRST_SECONDS) else None


def answered(beat: Beat, signal: Signal, receipt: Receipt, at: float, jitter: float) -> Beat:
    """What is known after the monitor answered `signal` at the second `at`.

    An attempt that failed is made again after about 1, then 2 seconds, then after a minute, each with `jitter`, a
    number from 0 to 1; what it says then is what is due then.
    """
    beat = replace(beat, recent=(*beat.recent, at))
    if receipt.outcome is not Outcome.SENT:
        asked = min(receipt.retry_after_seconds or 0.0, LONGEST_PAUSE_SECONDS)
        failed = beat.failed + 1
        soon = failed < TRIES and receipt.outcome is Outcome.FAILED
        pause = 2.0 ** (failed - 1) * (0.5 + jitter) if soon else PAUSE_SECONDS * (0.75 + jitter / 2)
        return replace(beat, failed=failed, not_before=at + max(pause, asked))
    beat = replace(beat, failed=0, not_before=0.0)
    if signal.kind == "start":
        return replace(beat, started=True)
    if signal.kind == "success":
        return replace(beat, told=frozenset(), due=at + PING_SECONDS)
    if signal.takeover is not None:
        return replace(beat, takeover=signal.takeover)
    return replace(beat, told=(beat.told or frozenset()) | frozenset(signal.wrong))

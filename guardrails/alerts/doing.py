"""What each kind of request does to the alerts: a table, so that other kinds can stand beside them.

A function does what is asked and returns what to answer, `Later` when that is only known once a delivery is, `Reading`
when something must be read before, and raises ValueError with a sentence for the person when it cannot be done.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from guardrails.alerts import life
from guardrails.alerts.ledger import Ledger
from guardrails.alerts.letters import Letter
from guardrails.alerts.message import test_message
from guardrails.alerts.values import Delivery, Severity, Shown
from guardrails.calendar import NEW_YORK
from guardrails.requests import Kind, Request

LONGEST = 2_000
"""characters of what a person may write"""


@dataclass(frozen=True, slots=True)
class Later:
    """The answer is what comes of this delivery."""

    delivery: str
    """its key"""
    kind: str
    """of the channel, for people"""


@dataclass(frozen=True, slots=True)
class Reading:
    """It is done once `letter` is read."""

    letter: Letter
    then: Callable[[datetime], str]
    """does it at that time, and answers; ValueError as above"""


Doing = Callable[[Ledger, Request, datetime], str | Later | Reading]


def acknowledge(ledger: Ledger, request: Request, now: datetime) -> str:
    """Somebody has it."""
    alert, note = _of(request, "alert"), request.body.get("note", "")
    ledger.commit(life.acknowledge(ledger.state, alert, request.author, _short(note), now, _shown(request)), now)
    return "Acknowledged. It is told again when it gets worse."


def silence(ledger: Ledger, request: Request, now: datetime) -> str:
    """Nobody wants to hear of it for a while."""
    alert, reason, until = _of(request, "alert"), request.body.get("reason", ""), _time(_of(request, "until"))
    shown = _shown(request)
    ledger.commit(life.silence(ledger.state, alert, request.author, _short(reason), until, now, shown), now)
    return f"Silenced until {until.astimezone(NEW_YORK):%a %d %b %H:%M} New York. It is told again when it gets worse."


def unsilence(ledger: Ledger, request: Request, now: datetime) -> str:
    """Somebody wants to hear of it again."""
    ledger.commit(life.unsilence(ledger.state, _of(request, "alert"), request.author, now), now)
    return "The silence has ended."


def acted(ledger: Ledger, request: Request, now: datetime) -> str:
    """Somebody did something about it."""
    alert, note = _of(request, "alert"), request.body.get("note", "")
    ledger.commit(life.acted(ledger.state, alert, request.author, _short(note), now), now)
    return "Noted that it led to an action."


def test_channel(ledger: Ledger, request: Request, now: datetime) -> Later:
    """One message that says nothing about the book, to see whether it arrives."""
    name = _of(request, "channel")
    channels = {channel.name: channel for channel in ledger.ways.sending.channels}
    channel = channels.get(name)
    if channel is None:
        raise ValueError(f"There is no channel {name[:40]}; there are {', '.join(channels)}.")
    if channel.problem:
        raise ValueError(f"{channel.kind} cannot be used as it is configured: {channel.problem}")
    [delivery] = ledger.send(test_message(secrets.token_hex(8), now, ledger.ways.link), [name])
    return Later(delivery.key, channel.kind)


def send_again(ledger: Ledger, request: Request, now: datetime) -> str | Reading:
    """Another life for a message that was given up; one of before this program began to watch is read first."""
    key = _of(request, "delivery")
    dead = ledger.lost.get(key)
    if dead is not None:
        return _again(ledger, dead, request, now)
    letter = ledger.letters.read(key)
    return Reading(letter, lambda later: _again(ledger, letter.delivery, request, later))


def _again(ledger: Ledger, dead: Delivery, request: Request, now: datetime) -> str:
    ledger.send_again(dead, request.author, now)
    return f"It is on its way to {dead.channel} again; the deliveries say what comes of it."


DOINGS: Mapping[str, Doing] = MappingProxyType(
    {
        Kind.ACKNOWLEDGE.value: acknowledge,
        Kind.SILENCE.value: silence,
        Kind.UNSILENCE.value: unsilence,
        Kind.ACTED.value: acted,
        Kind.TEST_CHANNEL.value: test_channel,
        Kind.SEND_AGAIN.value: send_again,
    }
)


def _of(request: Request, key: str) -> str:
    told = request.body.get(key, "")
    if not told:
        raise ValueError(f"The request to {request.kind.replace('_', ' ')} names no {key}; nothing was done.")
    return told


def _shown(request: Request) -> Shown | None:
    """What the person had before them; None when an earlier version of the page asks, which does not say it."""
    told = [request.body.get(key, "") for key in ("severity", "step", "fired")]
    if not any(told):
        return None
    severity, step, fired = told
    try:
        return Shown(Severity(severity), int(step), _time(fired))
    except ValueError:
        raise ValueError("The request does not say in full what was shown of the alert; nothing was done.") from None


def _short(text: str) -> str:
    if len(text) > LONGEST:
        raise ValueError(f"The text has {len(text):,} characters, {LONGEST:,} are kept; shorten it.")
    return text


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:40]} is not a time; write for example 2026-11-18T16:00:00+00:00.") from None
    if time.tzinfo is None:
        raise ValueError(f"{text[:40]} has no time zone; write for example 2026-11-18T16:00:00+00:00.")
    return time.astimezone(UTC)

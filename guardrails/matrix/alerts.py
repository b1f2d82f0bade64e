"""Whom to tell, when, and when not: the `alerts` section of the matrix.

Unlike the limits it may be left out, as a whole and key by key: the defaults below are then in force.
"""

from __future__ import annotations

from datetime import time
from typing import Annotated

from pydantic import BeforeValidator, Field

from guardrails.matrix.ranges import Minutes, Share, Strict, refuse, within

_Count = Annotated[int, within(0, 10_000, fraction=False)]
_Wait = Annotated[float, within(0, 3_600, fraction=False)]
_Times = Annotated[float, within(0.05, 100, fraction=False)]


def _time_of_day(value: object) -> object:
    if isinstance(value, time):
        return value
    try:
        return time.fromisoformat(value) if isinstance(value, str) else refuse(f"{value!s:.40} is not a time of day")
    except ValueError:
        refuse(f'{value!s:.40} is not a time of day; write for example "22:00"')


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


TimeOfDay = Annotated[time, BeforeValidator(_time_of_day)]
Names = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(_listed)]


class Settle(Strict):
    """Seconds for which something must be wrong before it is news, by severity."""

    watch: _Wait = 60.0
    unknown: _Wait = 30.0
    breach: _Wait = 0.0
    critical: _Wait = 0.0


class Repeat(Strict):
    """Minutes after which what nobody has acknowledged is told again; 0 is never."""

    watch: Minutes = 0.0
    unknown: Minutes = 240.0
    breach: Minutes = 60.0
    critical: Minutes = 15.0


class Escalation(Strict):
    """The next people: told when nobody has acknowledged it so many minutes after it was told first."""

    after_minutes: Minutes
    channels: Names
    only_critical: bool = False


class QuietHours(Strict):
    """New York time in which WATCH is kept for the digest."""

    begin: TimeOfDay
    end: TimeOfDay


class AlertRules(Strict):
    """The `alerts` section."""

    channels: Names = ()
    """told first; empty: every one that is configured and that no escalation names"""
    escalation: Annotated[tuple[Escalation, ...], Field(strict=False), BeforeValidator(_listed)] = ()
    settle_seconds: Settle = Settle()
    calm_seconds: _Wait = 120.0
    """how long something must be right before it is resolved, or better before it has eased"""
    repeat_minutes: Repeat = Repeat()
    family_minutes: Minutes = 1.0
    """after a message about a family (margin, Greeks, ...) the next about it waits so long, unless it is CRITICAL"""
    daily_budget: _Count = 20
    """messages a day, New York time, for WATCH, UNKNOWN, repeats and what is over; beyond, they go into the digest"""
    digest_minutes: Minutes = 240.0
    """between two digests"""
    quiet_hours: QuietHours | None = None
    critical: Names = ("short_option_expiry", "account_data")
    """checks whose BREACH is CRITICAL: a short option about to be assigned, a margin call"""
    critical_over: _Times = 0.8
    """a BREACH that is over its limit by so many times the limit is CRITICAL, whatever the check: 0.8 is 180 % of a
    ceiling, or a cushion of a fifth of what it must be"""
    worse_by: Share = 0.25
    """an acknowledgement or a silence ends when the measure is over its limit by so much of the limit more"""

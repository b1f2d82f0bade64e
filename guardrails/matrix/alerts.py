"""Whom to tell, when, and when not: the `alerts` section of the matrix.

Unlike the limits it may be left out, as a whole and key by key: the defaults below are then in force.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable
from datetime import time
from itertools import pairwise
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from guardrails.alerts.families import ALERT_CHECKS, MEMBERS
from guardrails.matrix.ranges import Minutes, Share, Strict, refuse, within

CHECKS = tuple(check for checks in MEMBERS.values() for check in checks if check not in ALERT_CHECKS)
"""what may be named CRITICAL"""
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_Count = Annotated[int, within(0, 10_000, fraction=False)]
_Wait = Annotated[float, within(0, 3_600, fraction=False)]
_Times = Annotated[float, within(0.05, 20)]


def _time_of_day(value: object) -> object:
    if isinstance(value, time):
        return value
    if found := _TIME.fullmatch(value) if isinstance(value, str) else None:
        return time(int(found[1]), int(found[2]))
    return refuse(f'{value!s:.40} is not a time of day in New York; write for example "22:00"')


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a list that has the same name twice."""
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        refuse(f"{twice[0][:60]} is written twice; keep one")
    return names


def _channels(names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what is no name of a channel. An address is not repeated: it is a secret."""
    if any("://" in name for name in names):
        refuse("a channel is written by its name; its address belongs in the settings (ALERT_URLS=name=address)")
    if any(not name or name != name.strip() for name in names):
        refuse("a channel without a name; write for example [slack, email]")
    return _once(names)


TimeOfDay = Annotated[time, BeforeValidator(_time_of_day)]
_Texts = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(_listed)]
Names = Annotated[_Texts, AfterValidator(_channels)]


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

    @field_validator("channels")
    @classmethod
    def _somebody(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return value or refuse("names nobody; name a channel, or leave this step out")


class QuietHours(Strict):
    """New York time in which WATCH is kept for the digest."""

    begin: TimeOfDay
    end: TimeOfDay

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.begin == self.end:
            refuse(f"begins and ends at {self.begin:%H:%M}; write null for no quiet hours")
        return self


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
    critical: _Texts = ("short_option_expiry", "account_data")
    """checks whose BREACH is CRITICAL: a short option about to be assigned, a margin call"""
    critical_over: _Times = 0.8
    """a BREACH that is over its limit by so many times the limit is CRITICAL, but for concentration, size and limits of
    zero: 0.8 is 180 % of a ceiling, or a cushion of a fifth of what it must be"""
    worse_by: Share = 0.25
    """an acknowledgement or a silence ends when the measure is over its limit by so much of the limit more"""

    @field_validator("escalation")
    @classmethod
    def _rising(cls, value: tuple[Escalation, ...]) -> tuple[Escalation, ...]:
        for place, (before, after) in enumerate(pairwise(value), 1):
            if after.after_minutes < before.after_minutes:
                refuse(
                    f"{after.after_minutes:g} is before the {before.after_minutes:g} above it; write the steps in the "
                    "order in which people are told",
                    key=f"{place}.after_minutes",
                )
        return value

    @field_validator("critical")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in CHECKS:
                refuse(f"{name[:60]!r} is not a check{_nearest(name, CHECKS)}")
        return _once(value)


def _nearest(wrong: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else "; docs/limits.md has their names"

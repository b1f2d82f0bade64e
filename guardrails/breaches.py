"""Breaches as stretches of time, and what becomes of each under another matrix.

A breach is a run of moments at BREACH of one check and subject; a moment at UNKNOWN in between does not end it, for
nothing has cleared it. Two breaches are one when their times overlap.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from guardrails import calendar
from guardrails.replay import Judged

FALL_WITHIN = timedelta(hours=24)
"""how long after a new alarm the worst fall of net liquidation is looked for"""
FALSE_BELOW = 0.01
"""a new alarm after which net liquidation fell by less than this share is called a false one"""

Spans = Mapping[str, list["Span"]]
"""by check and subject with a space between, oldest first"""


class Kind(StrEnum):
    """What became of a breach under the other matrix, worst first."""

    MISSED = "missed"
    UNKNOWN = "not known"
    LATER = "later"
    NEW = "new alarm"
    EARLIER = "earlier"
    FALSE = "false alarm"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Span:
    """First and last moment of a breach."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Breach:
    """One breach under either matrix; None where that one has none."""

    kind: Kind
    check: str
    subject: str
    then: Span | None
    again: Span | None
    fall: float | None = None
    """of a new alarm: the worst fall of net liquidation in the 24 hours after its begin, as a share, cash flows taken
    out; None when it is not known at the begin"""
    fall_known: bool = False
    """False: the fall may have been worse, as figures are missing or end before the 24 hours do"""

    @property
    def begin(self) -> datetime:
        """When either side saw it first."""
        return min(span.begin for span in (self.then, self.again) if span is not None)


@dataclass(slots=True)
class NetLiquidation:
    """Net liquidation over time with cash flows taken out, so that a deposit hides no loss."""

    times: list[datetime] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)
    flowed: float = 0.0
    session: date | None = None
    of_session: float = 0.0

    def add(self, judged: Judged) -> None:
        """One more moment."""
        value, flows = judged.net_liquidation, judged.cash_flows
        if flows is not None:
            session = calendar.session_of(judged.time)
            self.flowed += flows - (self.of_session if session == self.session else 0.0)
            self.session, self.of_session = session, flows
        self.times.append(judged.time)
        self.values.append(None if value is None or flows is None else value - self.flowed)

    def fall(self, begin: datetime) -> tuple[float | None, bool]:
        """The worst fall after `begin` as a share, and whether nothing worse can have been."""
        first, until = bisect_left(self.times, begin), bisect_right(self.times, begin + FALL_WITHIN)
        at = self.values[first]
        if at is None or at <= 0:
            return None, False
        after = self.values[first:until]
        low = min(value for value in after if value is not None)
        return (at - low) / at, None not in after and self.times[-1] >= begin + FALL_WITHIN


def matched(
    then: Spans, again: Spans, doubtful: Set[tuple[str, datetime]], money: NetLiquidation
) -> tuple[Breach, ...]:
    """Every breach of either side, worst first, then by time.

    `doubtful` names those of `then`, by name and begin, of which the other side is UNKNOWN at some moment.
    """
    found = [
        breach
        for name in {*then, *again}
        for breach in (
            *_met(name, then.get(name, []), again.get(name, []), doubtful),
            *_new(name, then.get(name, []), again.get(name, []), money),
        )
    ]
    order = list(Kind)
    return tuple(sorted(found, key=lambda b: (order.index(b.kind), b.begin, b.check, b.subject)))


def _met(name: str, then: list[Span], again: list[Span], doubtful: Set[tuple[str, datetime]]) -> Iterator[Breach]:
    """What became of each breach there was."""
    check, _, subject = name.partition(" ")
    for span in then:
        other = next((one for one in again if _overlap(span, one)), None)
        if other is None:
            kind = Kind.UNKNOWN if (name, span.begin) in doubtful else Kind.MISSED
        elif other.begin == span.begin:
            kind = Kind.SAME
        else:
            kind = Kind.EARLIER if other.begin < span.begin else Kind.LATER
        yield Breach(kind, check, subject, span, other)


def _new(name: str, then: list[Span], again: list[Span], money: NetLiquidation) -> Iterator[Breach]:
    """The breaches that only the other matrix has."""
    check, _, subject = name.partition(" ")
    for span in again:
        if not any(_overlap(span, one) for one in then):
            fall, known = money.fall(span.begin)
            false = known and fall is not None and fall < FALSE_BELOW
            yield Breach(Kind.FALSE if false else Kind.NEW, check, subject, None, span, fall, known)


def _overlap(one: Span, other: Span) -> bool:
    return one.begin <= other.end and other.begin <= one.end

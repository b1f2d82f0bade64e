"""Breaches as stretches of time, and what becomes of each under another matrix.

A breach is a run of moments at BREACH of one check and subject; a moment at UNKNOWN in between does not end it, for
nothing has cleared it, but a time in which nobody watched does. Two breaches are one when their times overlap.

Where the range cuts one off nothing is claimed: of one that runs at its first moment nobody knows which side began
earlier, and one that begins at its last may be met just after. But one that runs at the first moment and that the other
side has nowhere is missed, or new, as that is the worst it can be. Where watching itself was broken off nothing is cut:
whoever started to watch saw both sides at once.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from guardrails import calendar
from guardrails.replay import Judged
from guardrails.watched import Watch, sessions_in

FALSE_BELOW = 0.01
"""a new alarm after which net liquidation fell by less than this share, to the close of the next session, is called a
false one"""

Spans = Mapping[str, list["Span"]]
"""by check and subject with a space between, oldest first"""


class Kind(StrEnum):
    """What became of a breach under the other matrix, worst first."""

    MISSED = "missed"
    UNKNOWN = "not known"
    CUT = "cut by the range"
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
    """of a new alarm: the worst fall of net liquidation from its begin to the close of the next session, as a share,
    cash flows taken out; None when net liquidation is not known at the begin"""
    fall_known: bool = False
    """False: the fall may have been worse, as figures are missing while the market was open, or end before that"""
    deposits_known: bool = False
    """False: a broker did not report cash flows all of that time, so a deposit may hide a loss"""

    @property
    def begin(self) -> datetime:
        """When either side saw it first."""
        return min(span.begin for span in (self.then, self.again) if span is not None)


@dataclass(slots=True)
class NetLiquidation:
    """Net liquidation over time with cash flows taken out, so that a deposit hides no loss."""

    watch: Watch
    """has the times"""
    values: list[float | None] = field(default_factory=list)
    reported: list[bool] = field(default_factory=list)
    """whether every broker reported cash flows"""
    flowed: float = 0.0
    session: date | None = None
    of_session: float = 0.0

    def add(self, judged: Judged) -> None:
        """The moment that `watch` heard last."""
        value, flows = judged.net_liquidation, judged.cash_flows
        if flows is not None:
            session = calendar.session_of(judged.time)
            self.flowed += flows - (self.of_session if session == self.session else 0.0)
            self.session, self.of_session = session, flows
        self.values.append(None if value is None or flows is None else value - self.flowed)
        self.reported.append(judged.deposits_known)

    def fall(self, begin: datetime) -> tuple[float | None, bool, bool]:
        """The worst fall from `begin` to the close of the next session as a share, whether nothing worse can have been,
        and whether deposits are known. What is missing while the market is closed the next session shows.
        """
        times = self.watch.times
        until = calendar.session_bounds(calendar.next_session(calendar.session_of(begin)))[1]
        first, end = bisect_left(times, begin), bisect_right(times, until)
        sessions = sessions_in(begin, until)
        traded = [n for n in range(first, end) if any(opened <= times[n] <= closed for opened, closed in sessions)]
        reported = all(self.reported[n] for n in (first, *traded))
        at = self.values[first]
        if at is None or at <= 0:
            return None, False, reported
        low = min(value for value in self.values[first:end] if value is not None)
        missing = any(self.values[n] is None for n in traded)
        return (at - low) / at, not missing and self.watch.is_whole(begin, until), reported


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
            *_met(name, then.get(name, []), again.get(name, []), doubtful, money.watch),
            *_new(name, then.get(name, []), again.get(name, []), money),
        )
    ]
    order = list(Kind)
    return tuple(sorted(found, key=lambda b: (order.index(b.kind), b.begin, b.check, b.subject)))


def _met(
    name: str, then: list[Span], again: list[Span], doubtful: Set[tuple[str, datetime]], watch: Watch
) -> Iterator[Breach]:
    """What became of each breach there was."""
    check, _, subject = name.partition(" ")
    for span in then:
        other = next((one for one in again if _overlap(span, one)), None)
        if other is None:
            kind = Kind.CUT if span.begin == watch.times[-1] else Kind.MISSED
            kind = Kind.UNKNOWN if (name, span.begin) in doubtful else kind
        elif watch.times[0] in (span.begin, other.begin):
            kind = Kind.CUT
        elif other.begin == span.begin:
            kind = Kind.SAME
        else:
            kind = Kind.EARLIER if other.begin < span.begin else Kind.LATER
        yield Breach(kind, check, subject, span, other)


def _new(name: str, then: list[Span], again: list[Span], money: NetLiquidation) -> Iterator[Breach]:
    """The breaches that only the other matrix has."""
    check, _, subject = name.partition(" ")
    first, last = money.watch.times[0], money.watch.times[-1]
    for span in again:
        if not any(_overlap(span, one) for one in then):
            fall, known, reported = money.fall(span.begin)
            # what runs at the first moment began before it, and net liquidation may have fallen before it
            false = known and reported and fall is not None and fall < FALSE_BELOW and span.begin != first
            kind = Kind.CUT if span.begin == last else Kind.FALSE if false else Kind.NEW
            yield Breach(kind, check, subject, None, span, fall, known, reported)


def _overlap(one: Span, other: Span) -> bool:
    return one.begin <= other.end and other.begin <= one.end

"""Which messages a newer one to the same channel makes needless while they wait, so that a channel which was down for a
night brings what is true now and not sixty repeats of it.

The newest word about an alert wins unless it is milder: whoever gets only the newer message still hears of every alert
that the older one told, and takes nothing for over, or for harmless, that was worse when nobody heard of it. RESOLVED
is the mildest word.

    what waits                 what comes                   what is sent
    A is a BREACH              A is a BREACH, repeat due    the repeat, which says since when
    A is a BREACH              A is CRITICAL                that it is CRITICAL
    A is CRITICAL              A is a BREACH                both: that it was CRITICAL, and what it is now
    A is a BREACH              A is over                    both: what it was, and that it is over
    A is over                  A is a BREACH again          that it is a BREACH
    A and B are breaches       A is a BREACH, repeat due    both: only the older one tells of B
    A and B are breaches       A is a BREACH, B is over     both: only the older one tells what B was

So of all that is said about the same alerts at most five messages wait, each milder than the one before it.
"""

from __future__ import annotations

from guardrails.alerts.values import Delivery, Line, State


def supersedes(newer: Delivery, older: Delivery) -> bool:
    """Whether `older`, to the same channel, need not be sent as `newer` will be.

    It must show each alert that `older` shows, and name those that it does not show. What was said at the same moment
    stands apart, and so does what tells of no alert, such as a test. What a person has sent again counts as said then.
    """
    said = older.message.lines
    after = newer.message.time > max(older.message.time, older.created or older.message.time)
    return (
        bool(said)
        and after
        and set(older.alerts) <= set(newer.alerts)
        and all(_is_said_no_milder(line, newer.message.lines) for line in said)
    )


def _is_said_no_milder(line: Line, by: tuple[Line, ...]) -> bool:
    """Of a line that names no alert, of a message of an earlier version, that is not known."""
    words = [_loudness(other) for other in by if other.alert == line.alert]
    return bool(line.alert and words) and min(words) >= _loudness(line)


def _loudness(line: Line) -> int:
    return -1 if line.state is State.RESOLVED else line.severity.rank

"""From what is said about each alert to messages: one per family and channels, and never more than ten of a step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from guardrails.alerts.families import family_of
from guardrails.alerts.values import Notice, Reason, Severity

MOST = 10
"""messages that one step makes at most"""
_APART = 8
"""up to so many, every family has a message of its own"""

Group = tuple[Notice, ...]


def grouped(notices: Sequence[Notice], digest: Sequence[Notice] = (), *, together: bool = False) -> tuple[Group, ...]:
    """The messages that say all of `notices` and, apart from them, of `digest`, worst first.

    With `together`, as at the start, there is one message for all of the same channels.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[Notice]] = {}
    named = [("" if together else family_of(notice.alert.problem.check), notice) for notice in notices]
    for name, notice in (*named, *(("digest", notice) for notice in digest)):
        groups.setdefault((name, notice.channels), []).append(notice)
    ordered = sorted((_ordered(group) for group in groups.values()), key=_weight)
    return tuple(ordered if len(ordered) <= _APART else _merged(ordered))


def _merged(ordered: Sequence[Group]) -> list[Group]:
    """The first as they are, the rest one message per list of channels; one to all of those when that is too many."""
    apart, rest = list(ordered[: _APART - 1]), ordered[_APART - 1 :]
    by_channels: dict[tuple[str, ...], list[Notice]] = {}
    for notice in (notice for group in rest for notice in group):
        by_channels.setdefault(notice.channels, []).append(notice)
    if len(apart) + len(by_channels) > MOST:
        everyone = tuple(dict.fromkeys(name for names in by_channels for name in names))
        everything = (notice for notices in by_channels.values() for notice in notices)
        return [*apart, _ordered(Notice(n.alert, n.reason, everyone) for n in everything)]
    return [*apart, *(_ordered(notices) for notices in by_channels.values())]


def _ordered(notices: Iterable[Notice]) -> Group:
    return tuple(sorted(notices, key=lambda n: (-_rank(n), n.alert.since, n.alert.identity)))


def _rank(notice: Notice) -> int:
    """What is over is said last."""
    return -1 if notice.reason is Reason.RESOLVED else notice.alert.severity.rank


def _weight(group: Group) -> tuple[int, int]:
    """Messages with something CRITICAL first, then the longest: what is merged are the small ones."""
    return -max(_rank(notice) == Severity.CRITICAL.rank for notice in group), -len(group)

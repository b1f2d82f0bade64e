"""Who gets a market data line when more is held than IBKR grants lines: the important always, the rest in turns.

A login has 100 lines unless it pays for more, and the watch lists of TWS count too (IBKR facts 6). An option without a
line has no fresh Greeks, so none may be left out for good: a fifth of the lines goes round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

Kind = Literal["index", "underlying", "option", "linear", "looked_at"]
"""why a quote is wanted: regime and beta weights, what held options are struck on, a held option, a held share or
future, what is only looked at"""
ROTATING_SHARE = 5
"""one line in so many goes round among those that have none of their own, at least one"""
_SHORT, _LONG, _LOOKED_AT = 2, 3, 4
_FAR = 100_000
"""days that come after all others: for an option of unknown expiry, or past it, a quote changes nothing"""


class Want(NamedTuple):
    """One contract whose quotes are wanted."""

    con_id: int
    rank: tuple[int, ...]
    """lower is more important, see `rank_of`"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now: cancel first, then subscribe, and never more lines than the budget are in use."""

    subscribe: tuple[int, ...]
    """contract ids, the most important first"""
    cancel: tuple[int, ...]
    fixed: frozenset[int]
    """those that have a line of their own"""
    rotating: frozenset[int]
    """those that take turns, whether they have a line now or wait for one"""


def rank_of(kind: Kind, *, short: bool = False, days: int | None = None) -> tuple[int, ...]:
    """Importance of a quote, lower first: indices, then underlyings, shares and futures, short options, long options,
    what is only looked at.

    `days` to expiry order the options of one side, the nearest first, and what is looked at as it was named.
    """
    if kind == "index":
        return (0, 0)
    if kind in ("underlying", "linear"):
        return (1, 0)
    if kind == "looked_at":
        return (_LOOKED_AT, days or 0)
    return (_SHORT if short else _LONG, _FAR if days is None or days < 0 else days)


def plan(
    wants: Sequence[Want],
    budget: int,
    active: Mapping[int, datetime],
    seen: Mapping[int, datetime],
    now: datetime,
    dwell: timedelta,
) -> Plan:
    """Which lines to give and to take back so that `wants` are served within `budget` lines.

    `active` says since when each line is in use, `seen` when a contract was last served; one that stands in neither has
    never been. Who was served must be in `seen` once its line is cancelled, whether or not it said anything: otherwise
    it goes to the head of the queue again and the others never get their turn.
    """
    budget = max(budget, 0)
    best: dict[int, tuple[int, ...]] = {}
    for want in wants:
        best[want.con_id] = min(want.rank, best.get(want.con_id, want.rank))
    ranked = sorted(best, key=lambda con_id: (best[con_id], con_id))
    turns = 0 if len(ranked) <= budget else min(budget, max(1, budget // ROTATING_SHARE))
    fixed, rest = ranked[: budget - turns], ranked[budget - turns :]
    chosen = [*fixed, *_in_turn(rest, turns, active, seen, now - dwell)]
    return Plan(
        subscribe=tuple(con_id for con_id in chosen if con_id not in active),
        cancel=tuple(sorted(set(active).difference(chosen))),
        fixed=frozenset(fixed),
        rotating=frozenset(rest),
    )


def _in_turn(
    ranked: Sequence[int],
    turns: int,
    active: Mapping[int, datetime],
    seen: Mapping[int, datetime],
    served_since: datetime,
) -> list[int]:
    """Who of those without a line of their own has one now, `turns` at most.

    Who has not had the full time stays; after them come those that wait, the longest first; a line nobody waits for
    stays where it is.
    """
    place = {con_id: number for number, con_id in enumerate(ranked)}
    held = sorted((con_id for con_id in ranked if con_id in active), key=lambda con_id: (active[con_id], place[con_id]))
    staying = [con_id for con_id in held if active[con_id] > served_since]
    served = [con_id for con_id in held if active[con_id] <= served_since]
    waiting = [con_id for con_id in ranked if con_id not in active]
    waiting.sort(key=lambda con_id: (con_id in seen, seen.get(con_id, served_since), place[con_id]))
    return [*staying, *waiting, *reversed(served)][:turns]

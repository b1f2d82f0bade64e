"""Which working orders might fill before the order that is judged: the worlds it has to pass in.

An unfilled hedge never counts as filled, and a resting order that adds risk always may be. Each world is one subset of
the working orders, filled; the order is compared with and without in each of them. Up to four working orders every
subset is tried. Of more, what each does by itself says which of them are adverse to which limit: for each limit those
that take headroom from it (what they do adds up), the others of it (the measure may be two-sided), all of them, and all
of each underlying.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations

from guardrails.findings import Finding
from guardrails.gate.measures import gates
from guardrails.gate.working import Resting
from guardrails.products import group_of

MOST_TRIED = 4
"""working orders of which all subsets are tried: 16 worlds, each projected twice, are about a quarter of a second"""
Subset = tuple[int, ...]
"""places among the working orders, rising"""
_Room = Mapping[tuple[str, str], float | None]


def subsets(
    rests: Sequence[Resting], alone: Callable[[int], Iterable[Finding]], now: Iterable[Finding]
) -> tuple[Subset, ...]:
    """The worlds to try, the one in which nothing fills left out; `alone` are the findings if one order filled."""
    places = range(len(rests))
    if len(rests) <= MOST_TRIED:
        return tuple(chosen for size in range(1, len(rests) + 1) for chosen in combinations(places, size))
    chosen = {tuple(places), *_by_underlying(rests)}
    before, single = _room(now), [_room(alone(place)) for place in places]
    for name in {name for room in (before, *single) for name in room}:
        taking = tuple(place for place in places if _takes(before.get(name), single[place].get(name)))
        chosen |= {taking, tuple(place for place in places if place not in taking)}
    return tuple(sorted((each for each in chosen if each), key=lambda each: (len(each), each)))


def _by_underlying(rests: Sequence[Resting]) -> set[Subset]:
    found: dict[str, list[int]] = {}
    for place, one in enumerate(rests):
        for group in {group_of(leg.instrument.underlying or leg.instrument.symbol) for leg in one.legs}:
            found.setdefault(group, []).append(place)
    return {tuple(places) for places in found.values()}


def _room(findings: Iterable[Finding]) -> _Room:
    return {(one.check, one.subject): one.headroom for one in findings if gates(one.check) and not one.advisory}


def _takes(before: float | None, after: float | None) -> bool:
    """Whether headroom shrinks, or is not known."""
    return before is None or after is None or after < before

"""The pairing of an account from one cycle to the next: searched anew only where quantities or prices have moved.

Prices are rounded before the search, to a few parts in a thousand for what is struck on and a few in a hundred for
options, so that a tick seldom changes the question and its answer can be remembered. The answer is a division like any
other: at the true prices it costs no less than the cheapest, and never more than everything uncovered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from guardrails.margin.legs import FUTURES, Leg, by_underlying
from guardrails.margin.packages import Package, Pairing
from guardrails.margin.pairing import pair

_REMEMBERED = 4096
"""underlyings of an account; a book of 10,000 positions has some hundreds"""


def steady(legs: Sequence[Leg]) -> Pairing:
    """The packages of `legs`, all of one account; as `pair`, but cheapest at rounded prices."""
    packages: list[Package] = []
    unknown: list[str] = []
    proven = True
    for rows in by_underlying(tuple(legs)).values():
        if any(legs[row].problem or legs[row].instrument.kind in FUTURES for row in rows):
            unknown += pair([legs[row] for row in rows]).unknown
            continue
        found = _searched(tuple(_rounded(legs[row]) for row in rows))
        packages += [replace(each, legs=tuple(rows[place] for place in each.legs)) for each in found.packages]
        proven = proven and found.proven
    return Pairing(tuple(packages), tuple(unknown), proven)


@lru_cache(maxsize=_REMEMBERED)
def _searched(legs: tuple[Leg, ...]) -> Pairing:
    return pair(legs)


def _rounded(leg: Leg) -> Leg:
    return replace(leg, price=_digits(leg.price, 2), spot=_digits(leg.spot, 3))


def _digits(value: float, count: int) -> float:
    return value if value == 0.0 else round(value, count - 1 - math.floor(math.log10(abs(value))))

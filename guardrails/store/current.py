"""Which figures were of their time: while a source is silent, the last good ones stand in every row that is kept.

The rows of old quarters hold no level of an account or a source, so it is told from the changes of level, for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection

from guardrails.findings import Level
from guardrails.store.history import Mask, Totals
from guardrails.store.points import Points
from guardrails.store.transitions import MOST_TRANSITIONS, transitions

ACCOUNT, SOURCE = "account_data", "source_state"
"""the checks that say whether an account's figures, and what a source told, are of now"""
_KNOWN = tuple(level.value for level in Level if level is not Level.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Current:
    """At each point of a `Totals`, whether its figures were of that time."""

    book: Mask
    """every source spoke and every account was read"""
    accounts: Mapping[str, Mask]
    """by broker and mask, as `IBKR •••4567`; an account that is not here was never judged"""


def current(connection: Connection, points: Points, at: Totals, most: int = MOST_TRANSITIONS) -> Current:
    """Which figures at the points `at`, which were read for `points`, were of their time.

    Where there are more than `most` changes of these levels, what is older is taken not to have been.
    """
    rows, complete_from = transitions(connection, points.book, points.begin, points.end, most, (ACCOUNT, SOURCE))
    untold = at.time < complete_from
    told: dict[tuple[str, str], list[tuple[int, bool]]] = {}
    for time, check, subject, level, *_ in rows:
        told.setdefault((check, subject), []).append((time, level in (None, *_KNOWN)))
    masks = {key: ~untold & _held(moves, at) for key, moves in told.items()}
    book = ~untold
    for mask in masks.values():
        book &= mask
    return Current(
        book,
        {subject.removeprefix("account:"): mask for (check, subject), mask in masks.items() if check == ACCOUNT},
    )


def _held(moves: list[tuple[int, bool]], at: Totals) -> Mask:
    """Whether it was so at each point; `moves` are the times from which it was or was not, in order."""
    times = np.array([time for time, _ in moves], dtype=np.int64)
    was = np.array([True, *(so for _, so in moves)])
    held: Mask = was[np.searchsorted(times, at.time, side="right")]
    return held

"""Accounts that came or went, on the History page: the step they make in net liquidation is no gain and no loss."""

from __future__ import annotations

from collections.abc import Iterator

from guardrails import wording
from guardrails.store.history_accounts import Coming
from guardrails.store.metadata import moment
from pages._bands import Shape, upright
from pages._folds import Axis
from pages._frame import WORTH, domain_of
from pages._history import Past
from pages._moment import day_and_time
from pages._parts import counted

MOST_LINES, MOST_NAMES, MOST_SAID = 40, 8, 6
"""of them, the newest, that have a line, a name in the picture, and a place in the sentence below it"""
_RIGHT = 0.8
"""share of the axis from which on a name stands to the left of its line"""


def lines(past: Past, axis: Axis, ink: str) -> Iterator[Shape]:
    """A line through all charts where an account came or went."""
    for place in axis.drawn([one.time for one in past.comings[-MOST_LINES:]]).tolist():
        yield from upright(place, {"width": 1.5, "dash": "longdashdot", "color": ink})


def words(past: Past, axis: Axis, ink: str, paper: str) -> list[dict[str, object]]:
    """What each of those lines is, at the foot of the first chart: `+ IBKR •••4567 14:32`."""
    x, y = domain_of(WORTH)
    named = past.comings[-MOST_NAMES:]
    places = axis.drawn([one.time for one in named]).tolist()
    return [
        {
            "text": f"<b>{'+' if one.came else '−'} {one.account}</b> {day_and_time(moment(one.time)).split()[-2]}",
            "x": place, "xref": x, "y": 0.02 + 0.11 * (nth % 3), "yref": y, "yanchor": "bottom",
            **_beside(axis, one.time), "showarrow": False, "font": {"size": 11, "color": ink}, "bgcolor": paper,
            "borderpad": 1,
        }
        for nth, (place, one) in enumerate(zip(places, named, strict=True))
    ]  # fmt: skip


def _beside(axis: Axis, time: int) -> dict[str, object]:
    right = axis.seen((axis.begin, time)) > _RIGHT * axis.length
    return {"xanchor": "right", "xshift": -3} if right else {"xanchor": "left", "xshift": 3}


def sentence(past: Past) -> str:
    """Which accounts came or went, with what; empty when none did."""
    if not past.comings:
        return ""
    told = "; ".join(_says(one) for one in past.comings[-MOST_SAID:])
    more = len(past.comings) - MOST_SAID
    before = f" and {counted(more, 'change')} before" if more > 0 else ""
    return f"The accounts of the book changed: {told}{before}. Such a step of net liquidation is no gain and no loss."


def _says(one: Coming) -> str:
    did = "came" if one.came else "went"
    return f"{one.account} {did} {day_and_time(moment(one.time))} with {wording.money(one.worth)}"

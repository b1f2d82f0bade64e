"""The sliders of the Scenarios page and what they ask.

A named scenario takes the place of the sliders: they are hidden, keep where they stood, and its own moves are said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from guardrails import wording
from guardrails.intervals import Interval
from guardrails.stress.cases import Case
from guardrails.stress.part import Axis
from guardrails.stress.scenarios import TITLES
from pages._dollars import move_words, points_words
from pages._scenarios import RISES, Bench, Question

SLIDERS = "the sliders"
NOW, PAID = "now", "what was paid"
START = -5.0
"""per cent, where the price slider begins"""
_INDEX, _NAME = (-40.0, 20.0), (-60.0, 60.0)
"""ends of the price slider, per cent"""
_WITHOUT_OPTIONS, _LONGEST = timedelta(days=30), timedelta(days=800)
_DAY_HELP = "The chosen date, at the close in New York; the first day is now."
_FOLLOW_HELP = (
    "As it did with the index since 1993. The volatility of a single name does not by any rule that could be stated."
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the controls stand at, and the answer by position."""

    question: Question
    case: Case
    named: bool
    """whether a named scenario stands in for the sliders"""
    paid: float | None
    """dollars gained since the positions were opened, when curves count from there"""

    @property
    def total(self) -> Interval:
        """P&L of what is asked, dollars, counted as the curves are."""
        paid, total = self.paid or 0.0, self.case.total
        return replace(total, low=total.low + paid, high=total.high + paid)

    @property
    def who(self) -> str:
        """What asks, in the captions of the pictures."""
        return title_of(self.case) if self.named else "the sliders"

    def is_on(self, axis: Axis) -> bool:
        """Whether what is asked is a move of `axis` and has a place in its pictures."""
        return not self.named or self.case.shock.alone == axis.group

    @property
    def since(self) -> str:
        """What the curves count from."""
        return NOW if self.paid is None else PAID


def controls(bench: Bench) -> Asked:
    """Draw the controls; return what they ask."""
    key = bench.axis.group or "index"
    named = {title_of(one): one for one in bench.cases()}
    first, second, third, fourth = st.columns([3, 4, 4, 4], gap="medium")
    choice = first.selectbox(
        "Scenario",
        [SLIDERS, *named],
        key=f"case_{key}",
        help="A named scenario moves the index and everything with it, at once; it stands in for the sliders.",
    )
    if choice in named:
        keep(key)
        with st.container(horizontal=True, vertical_alignment="center", gap="large"):
            paid = counted_from(bench)
        question = stands_in(bench, named[choice], (second, third, fourth))
        return Asked(question, named[choice], named=True, paid=paid)
    with st.container(horizontal=True, vertical_alignment="center", gap="large"):
        follow = st.toggle(
            "Volatility follows the price",
            value=bench.axis.is_broad,
            key=f"follow_{key}",
            disabled=not bench.axis.is_broad,
            help=_FOLLOW_HELP,
        )
        paid = counted_from(bench)
    follow = follow and bench.axis.is_broad
    move = price_slider(bench, second, key=f"move_{key}")
    followed = f"followed_{key}"
    if not follow and followed in st.session_state:  # volatility stays where following has brought it
        st.session_state[f"rise_{key}"] = within_slider(st.session_state.pop(followed))
    rise = bench.rise(move) if follow else rise_slider(third, key=f"rise_{key}")
    if follow:
        st.session_state[followed] = rise
        vix = "" if bench.vix is None else f"; VIX is {bench.vix:.1f}"
        third.markdown(f"Volatility  \n**{points_words(rise)}** comes with {move_words(move)}{vix}")
    question = Question(move, rise, follow, day_slider(bench, fourth))
    return Asked(question, bench.asked(question), named=False, paid=paid)


def stands_in(bench: Bench, case: Case, places: tuple[DeltaGenerator, DeltaGenerator, DeltaGenerator]) -> Question:
    """Say where the sliders would stand in `case`; return it: all at once, now."""
    shock = case.shock
    on_axis = shock.alone == bench.axis.group
    name = bench.axis.name if on_axis else shock.alone or "Index"
    price, volatility, date_of = places
    price.markdown(f"{name}  \n**{move_words(shock.index)}**")
    volatility.markdown(f"Volatility  \n**{points_words(shock.vol)}**")
    date_of.markdown("Date  \n**now**, all at once")
    return Question(shock.index if on_axis else 0.0, shock.vol, follow=False, day=bench.today)


def keep(key: str) -> None:
    """Keep where the hidden sliders of an axis stood: what a run does not draw is forgotten otherwise."""
    for name in (f"move_{key}", f"rise_{key}", f"follow_{key}", "day"):
        if name in st.session_state:
            st.session_state[name] = st.session_state[name]


def moved_by(case: Case) -> str:
    """What a named scenario moves."""
    return case.shock.alone or "the index"


def within_slider(rise: float) -> float:
    """`rise` (fraction) in points to a tenth, between the ends of the slider."""
    return min(max(round(100.0 * rise, 1), 100.0 * float(RISES[0])), 100.0 * float(RISES[-1]))


def price_slider(bench: Bench, place: DeltaGenerator, *, key: str) -> float:
    """Draw the slider of the price; return the move, fraction."""
    low, high = _NAME if bench.axis.group else _INDEX
    st.session_state.setdefault(key, START)
    moved = "Every underlying moves by its beta." if not bench.axis.group else "Nothing else moves."
    percent = place.slider(
        f"Price of {bench.axis.name}", low, high, step=0.5, format="%+.1f %%", key=key,
        help=f"Return of {bench.axis.name}. {moved}",
    )  # fmt: skip
    return float(percent) / 100.0


def rise_slider(place: DeltaGenerator, *, key: str) -> float:
    """Draw the slider of volatility; return its rise, fraction."""
    st.session_state.setdefault(key, 0.0)
    points = place.slider(
        "Volatility, points", 100.0 * float(RISES[0]), 100.0 * float(RISES[-1]), step=0.1, format="%+.1f", key=key,
        help="Rise of 30-day volatility; shorter expiries move more, longer ones less.",
    )  # fmt: skip
    return float(points) / 100.0


def day_slider(bench: Bench, place: DeltaGenerator) -> date:
    """Draw the slider of the date, from now to the last expiry; where it stood in another part of the book it stays."""
    last = bench.last_expiry() or bench.today + _WITHOUT_OPTIONS
    last = max(min(last, bench.today + _LONGEST), bench.today + timedelta(days=1))
    kept = st.session_state.get("day")
    start = min(max(kept if isinstance(kept, date) else bench.today, bench.today), last)
    st.session_state["day"] = start
    chosen = place.slider("Date", bench.today, last, format="ddd D MMM", key="day", help=_DAY_HELP)
    return chosen if isinstance(chosen, date) else start


def counted_from(bench: Bench) -> float | None:
    """Draw where curves count P&L from; return the open P&L when that is from what was paid."""
    opened = bench.opened()
    unknown = " Not known: a position does not say what was paid for it." if opened is None else ""
    choice = st.segmented_control(
        "Curves count P&L from", [NOW, PAID], default=NOW, required=True, key="counted_from", disabled=opened is None,
        label_visibility="collapsed", format_func=lambda since: f"P&L from {since}",
        help="From now: what changes from here. From what was paid: with the open P&L of now on top." + unknown,
    )  # fmt: skip
    return opened if choice == PAID else None


def title_of(case: Case) -> str:
    """What a person calls a case."""
    return TITLES.get(case.shock.name, f"Index {case.shock.name.replace('-', wording.MINUS)}")


def day_words(bench: Bench, day: date) -> str:
    """`now`, `Fri 28 Nov`."""
    return "now" if day <= bench.today else f"{day:%a} {day.day} {day:%b}"

"""The sliders of the Scenarios page and what they ask."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from guardrails import wording
from guardrails.stress.cases import Case
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
_DAY_HELP = "The chosen date, at the close in New York; the first day is now. It begins at the next expiry."
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
    disabled = choice in named
    move = price_slider(bench, second, disabled=disabled, key=f"move_{key}")
    rise = bench.rise(move) if follow else rise_slider(third, disabled=disabled, key=f"rise_{key}")
    if follow:
        vix = "" if bench.vix is None else f"; VIX is {bench.vix:.1f}"
        third.markdown(f"Volatility  \n**{points_words(rise)}** comes with {move_words(move)}{vix}")
    question = Question(move, rise, follow, day_slider(bench, fourth))
    return Asked(question, named[choice] if disabled else bench.asked(question), disabled, paid)


def price_slider(bench: Bench, place: DeltaGenerator, *, disabled: bool, key: str) -> float:
    """Draw the slider of the price; return the move, fraction."""
    low, high = _NAME if bench.axis.group else _INDEX
    moved = "Every underlying moves by its beta." if not bench.axis.group else "Nothing else moves."
    percent = place.slider(
        f"Price of {bench.axis.name}", low, high, START, 0.5, format="%+.1f %%", key=key, disabled=disabled,
        help=f"Return of {bench.axis.name}. {moved}",
    )  # fmt: skip
    return float(percent) / 100.0


def rise_slider(place: DeltaGenerator, *, disabled: bool, key: str) -> float:
    """Draw the slider of volatility; return its rise, fraction."""
    low, high = round(100 * RISES[0]), round(100 * RISES[-1])
    points = place.slider(
        "Volatility, points", low, high, 0, 1, format="%+d", key=key, disabled=disabled,
        help="Rise of 30-day volatility; shorter expiries move more, longer ones less.",
    )  # fmt: skip
    return float(points) / 100.0


def day_slider(bench: Bench, place: DeltaGenerator) -> date:
    """Draw the slider of the date, up to the last expiry; where it stood in another part of the book it stays."""
    ends = bench.first_and_last()
    start, last = (bench.today + _WITHOUT_OPTIONS,) * 2 if ends is None else ends
    last = max(min(last, bench.today + _LONGEST), bench.today + timedelta(days=1))
    kept = st.session_state.get("day")
    start = min(max(kept if isinstance(kept, date) else start, bench.today), last)
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

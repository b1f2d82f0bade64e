"""What the sliders of the Scenarios page ask of one part of the book, each answer computed once.

One bench belongs to one run of a page: its book does not change under the hand that moves a slider.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any, TypeVar, cast

import numpy as np

from guardrails import calendar
from guardrails.columns import Array, Mask
from guardrails.intervals import Interval
from guardrails.stress.book import Book
from guardrails.stress.cases import Case, case_of, gap_case, spreads_case
from guardrails.stress.near_expiry import NearExpiry, near_expiry
from guardrails.stress.part import Axis, model_against_market, part_of
from guardrails.stress.payoff import Curve, at_expiry, last_days, open_pnl
from guardrails.stress.probability import Volatility, at_the_money, carry_of, expected_move, with_report
from guardrails.stress.response import coordinated, level_of
from guardrails.stress.scenarios import index_shock, named_shocks
from guardrails.stress.shocks import Shock
from guardrails.stress.surface import Surface, revaluable, surface

INDEX_MOVES = np.array([-40, -30, -25, -20, -15, -12, -10, -8, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 5, 7, 10]) / 100.0
"""columns of the heat map when the index moves"""
NAME_MOVES = np.array([-60, -50, -40, -30, -25, -20, -15, -10, -6, -3, 0, 3, 6, 10, 15, 20, 25, 30, 40, 50, 60]) / 100.0
"""and when one underlying does"""
RISES = np.array([-10, -5, 0, 5, 10, 20, 40, 70, 135]) / 100.0
"""rows of the heat map: rises of 30-day volatility"""
LADDER = (-0.40, -0.30, -0.25, -0.20, -0.12, -0.10, -0.05, 0.05)
_POINTS = 49
_DEVIATIONS = 2.5
_NARROWEST, _WIDEST = 0.06, 0.40
_CLOSE = time(16, 0)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Question:
    """What the sliders stand at."""

    move: float
    """return of the axis"""
    rise: float
    """of 30-day volatility, fraction; what comes with the move while `follow`"""
    follow: bool
    """volatility follows the market along the curves"""
    day: date


@dataclass(slots=True)
class Bench:
    """A part of the book on its axis."""

    whole: Book
    axis: Axis
    book: Book = field(init=False)
    """what of it can be revalued"""
    valued: Mask = field(init=False)
    """which rows of the whole those are"""
    residual: float | None = field(init=False)
    """model against market"""
    _known: dict[tuple[object, ...], Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.valued = revaluable(self.whole, self.axis)
        self.book = part_of(self.whole, self.valued)
        self.residual = model_against_market(self.whole)

    @property
    def now(self) -> datetime:
        """The moment of the book."""
        return self.whole.portfolio.time

    @property
    def today(self) -> date:
        """Its exchange date."""
        return calendar.exchange_date(self.now)

    @property
    def unvalued(self) -> tuple[str, ...]:
        """Labels of the positions that cannot be revalued."""
        rows = np.flatnonzero(~self.valued)
        return tuple(self.whole.portfolio.positions[row].instrument.label for row in rows)

    @property
    def has_curves(self) -> bool:
        """Whether anything that moves can be revalued: else a curve would lie at zero, which nobody knows."""
        return bool((~self.book.columns.is_cash).any())

    @property
    def vix(self) -> float | None:
        """VIX as it stands; None where it is not known."""
        return level_of(self.whole.portfolio.market)

    def rise(self, move: float) -> float:
        """What volatility does when the axis moves."""
        return coordinated(move, self.vix)

    def days_to(self, day: date) -> float:
        """Calendar days from the book to the close of `day`; 0 today."""
        return 0.0 if day <= self.today else (calendar.at(day, _CLOSE) - self.now).total_seconds() / 86_400.0

    def last_expiry(self) -> date | None:
        """The day of the last expiry, today when that has passed; None without options."""
        held = [p.instrument.expiry for p in self.book.portfolio.positions if p.instrument.is_option]
        return max((max(day, self.today) for day in held if day is not None), default=None)

    def last_days(self) -> float | None:
        """Calendar days to the last settlement."""
        return last_days(self.book)

    def labels(self) -> list[tuple[str, float | None, str]]:
        """Name, quantity and account of every position."""

        def make() -> list[tuple[str, float | None, str]]:
            return [(p.instrument.label, p.quantity, str(p.account)) for p in self.whole.portfolio.positions]

        return self.once(("labels",), make)

    def opened(self) -> float | None:
        """Dollars gained since the positions were opened; None when that is not known of each."""
        return self.once(("opened",), lambda: open_pnl(self.whole))

    def volatility(self, days: float) -> Volatility | None:
        """What probabilities over `days` rest on."""

        def make() -> Volatility | None:
            found = at_the_money(self.whole, self.axis, days)
            return None if found is None else with_report(self.whole, self.axis, days, found)

        return self.once(("volatility", days), make)

    def carry(self) -> float:
        """Drift of the price."""
        return carry_of(self.whole, self.axis)

    def reach(self) -> tuple[float, float]:
        """Returns between which the curves are looked at: what the last expiry may bring, and a little more."""
        days = self.last_days() or 30.0
        vol = self.volatility(days)
        down, up = expected_move(0.2 if vol is None else vol.value, days * _DEVIATIONS**2)
        return -min(max(-down, _NARROWEST), _WIDEST), min(max(up, _NARROWEST), _WIDEST)

    def columns(self) -> Array:
        """Moves of the heat map."""
        return NAME_MOVES if self.axis.group else INDEX_MOVES

    def surface(self, day: date) -> Surface:
        """P&L on `day` of what can be revalued."""

        def make() -> Surface:
            moves = np.concatenate([self.columns(), np.linspace(*self.reach(), _POINTS), [-0.6, -0.5, 0.15, 0.2, 0.3]])
            return surface(self.book, self.axis, np.unique(np.round(moves, 9)), RISES, self.days_to(day))

        return self.once(("surface", day), make)

    def line(self, asked: Question, day: date) -> Curve:
        """The curve on `day` at the volatility asked for."""
        found = self.surface(day)
        if not asked.follow:
            return found.along(asked.rise)
        return found.along(np.array([self.rise(float(move)) for move in found.move]))

    def expiry(self, *, follow: bool) -> Curve | None:
        """The curve at expiry; None without options."""
        return self.once(("expiry", follow), lambda: at_expiry(self.book, self.axis, self.rise if follow else None))

    def case(self, shock: Shock) -> Case:
        """Every position under `shock`, also what can only be bounded."""
        return self.once(("case", shock), lambda: case_of(self.whole, shock))

    def asked(self, asked: Question) -> Case:
        """The case that the sliders stand at."""
        return self.case(self.axis.shock(asked.move, asked.rise, self.days_to(asked.day)))

    def cases(self) -> tuple[Case, ...]:
        """Named days, ladder, volatility and rates by themselves, spreads, and the gap of one name; worst first."""

        def make() -> tuple[Case, ...]:
            shocks = [*(index_shock(step, self.vix) for step in LADDER), *named_shocks(self.whole.portfolio.market)]
            gap = gap_case(self.whole)
            found = [*(case_of(self.whole, one) for one in shocks), spreads_case(self.whole), *([gap] if gap else [])]
            return tuple(sorted(found, key=lambda case: (not _unknown(case.total), case.total.low)))

        return self.once(("cases",), make)

    def near(self) -> NearExpiry:
        """What expires within two weeks."""
        return self.once(("near",), lambda: near_expiry(self.whole))

    def once(self, key: tuple[object, ...], make: Callable[[], _Answer]) -> _Answer:
        """What `make` gives, computed at the first time that `key` is asked for."""
        if key not in self._known:
            self._known[key] = make()
        return cast("_Answer", self._known[key])


def _unknown(total: Interval) -> bool:
    return math.isinf(total.low)

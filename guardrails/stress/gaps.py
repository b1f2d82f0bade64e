"""One name opens far from where it closed, and nothing else moves: up or down by max(15 %, 2 x implied earnings move).

Every underlying group of the book is tried, except those that stand for a whole market, volatility and bonds; the worst
counts; of names that are not all known, the one that may lose most and the one that is known to lose most. Volatilities
stay: that they collapse after a report is not counted as a gain.

The implied earnings move is what the options expect of the day of the report (one standard deviation): of the total
variance until the first expiry after it, by the at-the-money volatility of what is held there, less that of the other
days at the realised volatility of the past 30, which may explain half of it at most. Where nothing is held beyond the
report, the published 30-day implied volatility counts, if the report falls within those days.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from guardrails import calendar
from guardrails.columns import Array, Index, Mask
from guardrails.instruments import Kind
from guardrails.intervals import Interval
from guardrails.pricing import DAYS_PER_YEAR
from guardrails.products import BROAD_INDEX_GROUPS, VOLATILITY_GROUP, group_of
from guardrails.stress.book import Book
from guardrails.stress.outcome import Outcome, bounds, gathered
from guardrails.stress.scenarios import GAP
from guardrails.stress.shocks import Moves, Shock, relative
from guardrails.values import Metrics

LEAST_GAP, GREATEST_GAP, TIMES = 0.15, 0.95, 2.0
"""of the price; a gap down cannot take more than there is, a gap up can be any"""
ORDINARY = 0.5
"""of the variance at most: a turbulent month behind must not explain the report away"""
BEFORE_OPEN = "before open"
"""then options that expire on the day of the report live through it"""
WORDS = (
    "One name gaps by 15 % or twice the move its options imply for its earnings, whichever is more, "
    "its volatility and all other names unchanged; broad indices are left to the other shocks."
)


@dataclass(frozen=True, slots=True)
class Gap:
    """How far one group may gap."""

    group: str
    size: float
    """fraction of the price"""
    words: str
    """where the size comes from"""

    def falling(self) -> Gap:
        """The same downward, by what there is to lose at most."""
        if self.size <= GREATEST_GAP:
            return self
        return replace(self, size=GREATEST_GAP, words=f"{self.words}, of which {100 * GREATEST_GAP:g} % at most down")


@dataclass(frozen=True, slots=True)
class Gaps:
    """Every name of the book gapping by itself."""

    gaps: tuple[Gap, ...]
    """in the order of the groups"""
    up: tuple[Interval, ...]
    """P&L of the book, dollars"""
    down: tuple[Interval, ...]
    outcome: Outcome
    """the worst of them, as a scenario of its own: at least of what may lose most, at most of what is proven to"""
    worst: Gap | None
    """that may lose most, its size in its direction; None when there is no single name"""
    rising: bool = False
    """direction of the worst"""
    proven: Gap | None = None
    """that is known to lose most; another than the worst where that is not known well enough"""
    proven_rising: bool = False


def single_name_gaps(book: Book, remember: Callable[[Moves], None] | None = None) -> Gaps:
    """All gaps of `book` in two revaluations: all may move at once, because names do not touch each other.

    `remember` is told where the rows will stand: it may know their prices there and give them to the book.
    """
    exposures, named = book.portfolio.exposures, _of_names(book)
    held = [exposures.groups[place] for place in np.unique(exposures.group[named])]
    gaps = tuple(single_name_gap(book, group) for group in held if _is_name(group))
    sizes = {gap.group: gap.size for gap in gaps}
    size = np.where(named, np.array([sizes.get(group, 0.0) for group in exposures.groups])[exposures.group], 0.0)
    where = _gapped(book, size)
    if remember is not None:
        remember(where)
    low, high = (np.where(size[:, None] > 0, side, 0.0) for side in bounds(book, where))
    group = np.where(named, exposures.group, len(exposures.groups))
    places = [exposures.groups.index(gap.group) for gap in gaps]
    totals = [_totals(low[:, column], high[:, column], group, places) for column in (0, 1)]
    none = np.zeros((len(size), 1))
    if not gaps:
        return Gaps((), (), (), gathered(book, (Shock(GAP),), none, none), None)
    tried = [(side[place], place, column) for column, side in enumerate(totals) for place in range(len(gaps))]
    _, place, column = min(tried, key=lambda one: (one[0].low, one[0].high))
    _, sure, way = min(tried, key=lambda one: (one[0].high, one[0].low))
    most = np.where(group == places[sure], high[:, way], 0.0)[:, None]
    # no unit may end above where it begins: what is proven of one name counts at both ends
    least = np.minimum(np.where(group == places[place], low[:, column], 0.0)[:, None], most)
    outcome = gathered(book, (Shock(GAP),), least, most)
    worst, proven = (_toward(gaps[at], one) for at, one in ((place, column), (sure, way)))
    return Gaps(gaps, tuple(totals[0]), tuple(totals[1]), outcome, worst, column == 0, proven, way == 0)


def gap_shock(gap: Gap, *, rising: bool) -> Shock:
    """The one name gapping by itself."""
    return Shock(GAP, gap.size if rising else -gap.size, alone=gap.group)


def single_name_gap(book: Book, group: str) -> Gap:
    """How far `group` may gap, by its earnings if they are known."""
    metrics = next((m for name, m in book.portfolio.market.metrics.items() if group_of(name) == group), None)
    today = calendar.exchange_date(book.portfolio.time)
    if metrics is None or metrics.earnings is None or metrics.earnings < today:
        return Gap(group, LEAST_GAP, "no date of earnings is known")
    move = earnings_move(book, group, metrics, today)
    if move is None:
        return Gap(group, LEAST_GAP, f"what is implied for earnings on {metrics.earnings} is not known")
    size = max(LEAST_GAP, TIMES * move)
    words = f"{TIMES:g} × {100 * move:.1f} % implied for earnings on {metrics.earnings}"
    return Gap(group, size, words if size > LEAST_GAP else f"more than {words}")


def earnings_move(book: Book, group: str, metrics: Metrics, today: date) -> float | None:
    """One standard deviation of the day of the report, fraction of the price; None when nothing says it."""
    if metrics.earnings is None:
        return None
    early = metrics.earnings_time == BEFORE_OPEN
    found = _at_the_money(book, group, metrics.earnings - timedelta(days=1) if early else metrics.earnings)
    if found is None:
        within = metrics.earnings - today <= timedelta(days=30)
        if not within or metrics.iv_30d is None or metrics.iv_30d <= 0:
            return None
        found = metrics.iv_30d, 30.0 / DAYS_PER_YEAR
    vol, years = found
    ordinary = 0.0 if metrics.hv_30d is None else min(metrics.hv_30d**2, ORDINARY * vol**2)
    return math.sqrt(vol**2 * years - ordinary * max(years - 1.0 / DAYS_PER_YEAR, 0.0))


def _at_the_money(book: Book, group: str, day: date) -> tuple[float, float] | None:
    """Volatility and years of the held option nearest the money on the first expiry after `day`."""
    exposures, columns, o = book.portfolio.exposures, book.columns, book.options
    later = [expiry is not None and expiry > day for expiry, _ in columns.expiries]
    after = np.array(later, dtype=bool)[columns.expiry]
    usable = np.isfinite(book.vol + o.years + o.spot + o.strike) & (book.vol > 0) & (o.years > 0) & (o.spot > 0)
    rows = np.flatnonzero(usable & after & columns.is_option & (exposures.group == exposures.groups.index(group)))
    if not len(rows):
        return None
    first = rows[o.years[rows] == o.years[rows].min()]
    row = first[np.argmin(np.abs(np.log(o.strike[first] / o.spot[first])))]
    return float(book.vol[row]), float(o.years[row])


def _of_names(book: Book) -> Mask:
    """Rows that are not cash and no bonds: those of the Treasury do not gap."""
    bonds = [position.instrument.kind is Kind.BOND for position in book.portfolio.positions]
    return np.asarray(~book.columns.is_cash & ~np.array(bonds, dtype=bool), dtype=bool)


def _is_name(group: str) -> bool:
    """Whether `group` is a single underlying: no broad index and no volatility."""
    return group not in BROAD_INDEX_GROUPS and group != VOLATILITY_GROUP


def _toward(gap: Gap, column: int) -> Gap:
    return gap if column == 0 else gap.falling()


def _gapped(book: Book, size: Array) -> Moves:
    """Up, then down."""
    o, down = book.options, -np.minimum(size, GREATEST_GAP)
    spot = np.stack([relative(book.columns.spot, move) for move in (size, down)], axis=1)
    return Moves(spot, *(np.repeat(column[:, None], 2, axis=1) for column in (book.vol, o.years, o.rate)))


def _totals(low: Array, high: Array, group: Index, places: Sequence[int]) -> list[Interval]:
    """The sums of the rows of each of the groups at `places`."""
    least, most = np.bincount(group, low), np.bincount(group, high)
    ends = [(float(least[place]), float(most[place])) for place in places]
    return [Interval(first, last, not math.isfinite(first + last)) for first, last in ends]

"""The stress of a book after trades, by revaluing only what trades touch: the underlyings traded, in every account.

Everything that one row of a Book takes from another it takes within its underlying: the volatility of a neighbour, the
volatility beta, the dividends. So the rows of an underlying that is not traded keep their prices and P&L to the last
digit, and those of one that is are revalued as a book of their own. Both are put together in the order of the book
after. What looks across underlyings (gaps, doubts, shares) is made from the whole book after, as in every cycle.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from guardrails.columns import Array, Columns, Index, Mask
from guardrails.exposures import measure_exposures
from guardrails.gate.projected_book import Rows
from guardrails.gate.projected_terms import joined_terms
from guardrails.gate.projection_accounts import Parts, Required, accounts_after
from guardrails.limits import Limits
from guardrails.portfolio import Portfolio
from guardrails.stress import COMPILING
from guardrails.stress.book import Book, book_of
from guardrails.stress.gaps import gap_shock, single_name_gaps
from guardrails.stress.outcome import BLENDS, MIDDLE, Outcome, joined, outcome, picked, prices_after, vague
from guardrails.stress.response import level_of
from guardrails.stress.scenarios import named_shocks
from guardrails.stress.shocks import Moves, Shock, moves
from guardrails.stress.spreads import spreads_widened
from guardrails.stress.standing import Standing, doubts_of, share_of, standing_of
from guardrails.stress.trough import trough_of
from guardrails.terms import Terms
from guardrails.values import AccountId, Position

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Before:
    """The stress of the cycle before any trade, and what was computed of it meanwhile."""

    portfolio: Portfolio
    limits: Limits
    outcomes: dict[tuple[Shock, ...], Outcome] = field(default_factory=dict)
    """of shocks beside those of the cycle"""
    prices: dict[tuple[tuple[Shock, ...], float], tuple[Array, Array]] = field(default_factory=dict)
    """what rows are struck on and unit prices by (row, shock), by shocks and blend"""
    gaps: tuple[Moves, Array] | None = None
    required: Required = field(default_factory=Required)
    """of its accounts"""

    def outcome(self, book: Book, shocks: Sequence[Shock]) -> Outcome:
        """The book of the cycle under `shocks`, priced together as a book that has priced nothing would."""
        key = tuple(shocks)
        if key not in self.outcomes:
            self.outcomes[key] = outcome(replace(book), shocks)
        return self.outcomes[key]

    def gapped(self, book: Book) -> tuple[Moves, Array]:
        """Where the rows of the book of the cycle stand when names gap, and their unit prices there."""
        if self.gaps is None:
            told: list[Moves] = []
            single_name_gaps(book, told.append)
            self.gaps = told[0], prices_after(book, told[0])
        return self.gaps

    def priced(self, book: Book, shocks: Sequence[Shock], blend: float) -> tuple[Array, Array]:
        """What the rows of the book of the cycle are struck on and their unit prices (rows, shocks)."""
        key = (tuple(shocks), blend)
        if key not in self.prices:
            self.prices[key] = _priced(book, shocks, blend)
        return self.prices[key]


def stress_after(before: Before, after: Portfolio, rows: Rows) -> Standing | str:
    """The stress of `after`; why there is none while the kernels are compiled."""
    now = before.portfolio.stress
    if now == COMPILING:
        return COMPILING
    if isinstance(now, str):
        return standing_of(after, before.limits)
    try:
        return _Joint.of(before, now, after, rows).standing()
    except Exception:
        log.exception("the stress after trades cannot be put together: all of the book is revalued")
        return standing_of(after, before.limits)


@dataclass(frozen=True, slots=True)
class _Units:
    """The units of a book after trades."""

    account: Index
    underlying: Index
    traded: Mask
    """whether they are of an underlying that is traded"""
    place: Index
    """among the units of the traded part, or of the book before"""


@dataclass(frozen=True, slots=True)
class _Joint:
    """A book after trades, of two parts: as it was, and revalued."""

    before: Before
    now: Standing
    book: Book
    """after"""
    part: Book
    """the underlyings traded, by themselves"""
    names: frozenset[str]
    """of these underlyings"""
    mine: Mask
    """their rows in `book`"""
    origin: Index
    """row before of each row of `book`; -1 for what is new"""
    units: _Units

    @classmethod
    def of(cls, before: Before, now: Standing, after: Portfolio, rows: Rows) -> _Joint:
        """The book `after`, which `rows` made of the one before."""
        columns = after.exposures.columns
        names = frozenset(_name(position) for _, position in rows.traded)
        mine = np.array([name in names for name in columns.underlyings], dtype=bool)[columns.underlying]
        positions = tuple(after.positions[row] for row in np.flatnonzero(mine))
        exposures = measure_exposures(positions, after.market, after.time)
        part = book_of(replace(after, positions=positions, exposures=exposures, stress="a part"), before.limits)
        origin = np.full(len(after.positions), -1, dtype=np.intp)
        origin[: len(rows.kept)] = rows.kept
        book = _joined(now.book, part, after, mine, origin)
        return cls(before, now, book, part, names, mine, origin, _units(now.curve, part, columns, names))

    def standing(self) -> Standing:
        """All that a cycle would compute of the book after."""
        book, now, market = self.book, self.now, self.book.portfolio.market
        ladder = None if now.ladder is None else now.ladder.shocks
        curve_shocks, named = now.curve.shocks, named_shocks(market)
        returns = (*curve_shocks, *(shock for shock in ladder or () if shock not in curve_shocks))
        both = outcome(self.part, returns)
        curve = self.spliced(now.curve, picked(both, range(len(curve_shocks))))
        rungs = None if ladder is None else picked(both, [returns.index(shock) for shock in ladder])
        gaps, unvalued = single_name_gaps(book, self.gapped), ~book.valued
        before_named = picked(now.scenarios, range(len(named)))
        found = Standing(
            book=book,
            curve=curve,
            trough=trough_of(book, curve, level_of(market), self.revalued),
            scenarios=joined(
                self.spliced(before_named, outcome(self.part, named)), gaps.outcome, spreads_widened(book)
            ),
            gaps=gaps,
            ladder=None if now.ladder is None or rungs is None else self.spliced(now.ladder, rungs),
            accounts=accounts_after(
                now, Parts(book, self.part, self.names, self.mine, self.origin), self.before.required
            ),
            unvalued=unvalued,
            unvalued_share=share_of(book, unvalued),
            doubts=doubts_of(book),
        )
        same = not vague(book).any()  # then every blend is
        self.tell(ladder or (), MIDDLE, 0.0) if same else self.tell(ladder or (), MIDDLE)
        if not same:
            self.tell(ladder or (), 0.0)
        self.tell(now.scenarios.shocks, MIDDLE)
        if gaps.worst is not None:
            alone = gap_shock(gaps.worst, rising=gaps.rising)
            for blend in BLENDS[:1] if same else BLENDS:
                self.tell((alone,), blend)
        return found

    def revalued(self, shocks: Sequence[Shock]) -> Outcome:
        """The book after under other shocks than those of every cycle."""
        return self.spliced(self.before.outcome(self.now.book, shocks), outcome(self.part, shocks))

    def spliced(self, was: Outcome, own: Outcome) -> Outcome:
        """An outcome of the book after: of the underlyings traded `own`, of all others what it `was`."""
        units = self.units
        size = (len(units.place), len(own.shocks))
        low, high, missing = np.empty(size), np.empty(size), np.empty(size[0], dtype=bool)
        for source, mine in ((was, ~units.traded), (own, units.traded)):
            place = units.place[mine]
            low[mine], high[mine], missing[mine] = source.low[place], source.high[place], source.missing[place]
        columns = self.book.columns
        return Outcome(own.shocks, columns.accounts, columns.underlyings, units.account, units.underlying,
                       low, high, missing)  # fmt: skip

    def gapped(self, where: Moves) -> None:
        """Give the book after its unit prices when names gap, unless what is not traded gaps by more or less now."""
        was, value = self.before.gapped(self.now.book)
        kept, traded = np.flatnonzero(~self.mine), np.flatnonzero(self.mine)
        origin = self.origin[kept]
        for mine, before in zip(where.columns, was.columns, strict=True):
            if not np.array_equal(mine[kept], before[origin], equal_nan=True):
                return
        own = prices_after(self.part, Moves(*(column[traded] for column in where.columns)))
        for place in range(where.spot.shape[1]):
            found = np.empty(len(self.origin))
            found[kept], found[traded] = value[origin, place], own[:, place]
            self.book.priced[where.key(place)] = found

    def tell(self, shocks: Sequence[Shock], *blends: float) -> None:
        """Tell the book after where its rows stand and what they cost, as its checks will ask: alike at `blends`."""
        if not shocks:
            return
        both = zip(
            self.before.priced(self.now.book, shocks, blends[0]), _priced(self.part, shocks, blends[0]), strict=True
        )
        kept, size = self.origin[~self.mine], (len(self.origin), len(shocks))
        found = []
        for was, own in both:
            whole = np.empty(size)
            whole[~self.mine], whole[self.mine] = was[kept], own
            found.append(whole)
        for place, shock in enumerate(shocks):
            told = found[0][:, place], found[1][:, place]
            self.book.known.update({(shock, blend): told for blend in blends})


def _priced(book: Book, shocks: Sequence[Shock], blend: float) -> tuple[Array, Array]:
    """What the rows of `book` are struck on and their unit prices (rows, shocks)."""
    where = moves(book, shocks, blend)
    return where.spot, prices_after(book, where)


def _name(position: Position) -> str:
    return position.instrument.underlying or position.instrument.symbol


def _joined(was: Book, part: Book, after: Portfolio, mine: Mask, origin: Index) -> Book:
    """The book `after`: rows of `part` where `mine`, else those of `was` at their `origin`."""
    kept, traded = np.flatnonzero(~mine), np.flatnonzero(mine)
    place = np.empty(len(mine), dtype=np.intp)
    place[kept], place[traded] = np.arange(len(kept)), len(kept) + np.arange(len(traded))
    found: dict[str, object] = {"portfolio": after, "vix_known": part.vix_known}
    for one in fields(Book):
        old, own = getattr(was, one.name), getattr(part, one.name)
        if isinstance(old, Terms):
            found[one.name] = joined_terms(old.at(origin[kept]), own).at(place)
        elif isinstance(old, np.ndarray):
            found[one.name] = np.concatenate([old[origin[kept]], own])[place]
        elif one.init and one.name not in found:
            raise TypeError(f"books cannot be joined: they have a field {one.name} of type {type(old).__name__}")
    return Book(**found)  # type: ignore[arg-type]  # each field by its own name and type, from two books


def _units(was: Outcome, part: Book, after: Columns, names: frozenset[str]) -> _Units:
    """Where each unit of the book after is found: among those of the book before, or of the part that is traded."""
    account, underlying = _pairs(after)
    traded = np.array([name in names for name in after.underlyings], dtype=bool)[underlying]
    before = _places(was.accounts, was.underlyings, was.account, was.underlying)
    own = _places(part.columns.accounts, part.columns.underlyings, *_pairs(part.columns))
    place = [
        (own if mine else before)[after.accounts[owner], after.underlyings[name]]
        for owner, name, mine in zip(account.tolist(), underlying.tolist(), traded.tolist(), strict=True)
    ]
    return _Units(account, underlying, traded, np.array(place, dtype=np.intp))


def _pairs(columns: Columns) -> tuple[Index, Index]:
    """Account and underlying of each unit, in the order in which `outcome` has them."""
    width = max(len(columns.underlyings), 1)
    units = np.unique(columns.account * width + columns.underlying)
    return units // width, units % width


def _places(
    accounts: Sequence[AccountId], underlyings: Sequence[str], account: Index, underlying: Index
) -> Mapping[tuple[AccountId, str], int]:
    pairs = zip(account.tolist(), underlying.tolist(), strict=True)
    return {(accounts[owner], underlyings[name]): place for place, (owner, name) in enumerate(pairs)}

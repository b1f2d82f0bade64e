"""The accounts of a book after trades, ready to be margined after shocks: only what trades touch is paired anew.

Legs are margined together within an underlying, so the packages of an underlying that is not traded stay as they were,
and so does what they require, now and after a shock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import isfinite
from typing import TypeVar

import numpy as np

from guardrails.columns import Array, Index, Mask
from guardrails.margin import Leg, UnderlyingMargin
from guardrails.margin.estimate import Rule, Settled
from guardrails.margin.legs import FUTURES
from guardrails.margin.packages import Package, Pairing
from guardrails.margin.rates import class_group_of
from guardrails.margin.strategy import Line
from guardrails.stress.accounts import (
    ByUnderlying,
    Held,
    Margined,
    by_underlying,
    futures_required,
    held_of,
    margined_of,
    required_after,
)
from guardrails.stress.accounts import Required as AskRequired
from guardrails.stress.book import Book
from guardrails.stress.outcome import vague
from guardrails.stress.shocks import Shock
from guardrails.stress.standing import Standing
from guardrails.values import Account, AccountId

_PRICED_BY = ("weight", "base", "quoted", "vol")


_Asked = tuple[AccountId, str, tuple[Shock, ...], float]


@dataclass(slots=True)
class Required:
    """What the accounts of the cycle require after shocks; computed when it is first asked for."""

    whole: dict[_Asked, tuple[Array, Array]] = field(default_factory=dict)
    parts: dict[_Asked, ByUnderlying] = field(default_factory=dict)
    futures: dict[_Asked, Array] = field(default_factory=dict)

    def of(
        self, one: Margined, shocks: Sequence[Shock], blend: float, *, beside_vague: bool = False
    ) -> tuple[Array, Array]:
        """An account as it was before any trade, `beside_vague` rows in the book after."""
        asked = (one.account, one.segment, tuple(shocks), blend)
        if asked not in self.whole:
            self.whole[asked] = required_after(_as_asked(one, blend, unsure=beside_vague), shocks, blend)
        return self.whole[asked]

    def joined(self, one: Margined, trades: Traded, shocks: Sequence[Shock], blend: float) -> tuple[Array, Array]:
        """An account after trades, of what its underlyings require apart from each other.

        Under portfolio margin they offset each other, so that nothing can be added up.
        """
        if one.made.rule is not Rule.STRATEGY:
            return required_after(one, shocks, blend)
        old = _as_asked(trades.old, blend, unsure=trades.unsure)
        own = _as_asked(trades.own, blend, unsure=trades.unsure)
        asked = (old.account, old.segment, tuple(shocks), blend)
        if asked not in self.parts:
            self.parts[asked] = by_underlying(old, shocks, blend)
        was, new, none = self.parts[asked], by_underlying(own, shocks, blend), np.zeros(len(shocks))
        required, options = (
            np.sum([none, *(each for name, each in kept.items() if name not in trades.names), *added.values()], axis=0)
            for kept, added in ((was.required, new.required), (was.options, new.options))
        )
        return required + self._futures(one, trades, shocks, blend), options

    def _futures(self, one: Margined, trades: Traded, shocks: Sequence[Shock], blend: float) -> Array:
        """Of futures and their options, as before where neither they nor the broker's figures have changed."""
        parts, old = _of_futures(one), trades.old
        if not parts:
            return np.zeros(len(shocks))
        if parts != _of_futures(old) or _has_futures(trades.own.legs):
            return futures_required(one, shocks, blend)
        asked = (old.account, old.segment, tuple(shocks), blend)
        if asked not in self.futures:
            self.futures[asked] = futures_required(old, shocks, blend)
        return self.futures[asked]


@dataclass(frozen=True, slots=True)
class Traded:
    """An account that trades."""

    old: Margined
    """before"""
    own: Held
    """after, of the underlyings traded"""
    names: frozenset[str]
    """of these underlyings, whichever account trades them"""
    unsure: bool
    """whether a beta in the book after is only known within bounds"""


_Part = TypeVar("_Part", Margined, Held)


def _as_asked(one: _Part, blend: float, *, unsure: bool) -> _Part:
    """`one` as a cycle would ask it: at a beta between bounds its book remembers no prices of many shocks together."""
    return replace(one, book=replace(one.book)) if unsure and blend else one


@dataclass(frozen=True, slots=True)
class Parts:
    """A book after trades, and which of its rows were revalued."""

    book: Book
    part: Book
    """the underlyings traded, by themselves"""
    names: frozenset[str]
    """of these underlyings"""
    mine: Mask
    """their rows in `book`"""
    origin: Index
    """row before of each row of `book`; -1 for what is new"""


def accounts_after(now: Standing, parts: Parts, required: Required) -> tuple[Margined, ...]:
    """Every account of the book after; `now` is the stress of the book before, `required` what is known of it."""
    was = {one.account: one for one in now.accounts}
    told = {account.id: account for account in now.book.portfolio.accounts}
    return tuple(
        _margined(was.get(account.id), account, now.book, parts, required, same=account == told.get(account.id))
        for account in parts.book.portfolio.accounts
    )


def _margined(
    old: Margined | None, account: Account, was: Book, parts: Parts, required: Required, *, same: bool
) -> Margined:
    """One account: kept where nothing of it changed, put together where it is all known, else made anew."""
    rows, unsure = _rows_of(parts.book, account.id), bool(vague(parts.book).any())
    kept = old is not None and same and _is_same(rows, old, was, parts)
    if old is not None and kept and not parts.mine[rows].any():
        before = {each.segment: each for each in old.parts}
        moved = _moved(old, rows, parts.book)
        return _asking(moved, lambda each: partial(required.of, before[each.segment], beside_vague=unsure))
    own = held_of(parts.part, account.id) if old is not None and not old.pairing.unknown else None
    if old is None or own is None or own.pairing.unknown:
        return margined_of(held_of(parts.book, account.id), account)
    one = _moved(old, rows, parts.book) if kept else margined_of(_joined(old, own, rows, parts), account)
    trades = Traded(old, own, parts.names, unsure)
    alone = {each.segment for each in one.segments if _has_futures(each.legs)}
    return _asking(one, lambda each: None if each.segment in alone else partial(required.joined, each, trades))


def _is_same(rows: Index, old: Margined, was: Book, parts: Parts) -> bool:
    """Whether the account holds what it held, at the prices it had."""
    before = parts.origin[rows]
    return np.array_equal(before, old.rows) and all(
        np.array_equal(getattr(parts.book, name)[rows], getattr(was, name)[before], equal_nan=True)
        for name in _PRICED_BY
    )


def _moved(old: Margined, rows: Index, book: Book) -> Margined:
    """An account as it was, its rows where they stand now."""
    place = dict(zip(old.rows.tolist(), rows.tolist(), strict=True))
    segments = tuple(
        replace(one, book=book, rows=np.array([place[row] for row in one.rows.tolist()], dtype=np.intp))
        for one in old.segments
    )
    return replace(old, book=book, rows=rows, segments=segments)


def _asking(one: Margined, required: Callable[[Margined], AskRequired | None]) -> Margined:
    """`one`, the account and each segment of which requires what is `required`; None: nothing is known."""
    segments = tuple(replace(each, required=required(each)) for each in one.segments)
    return replace(one, required=required(one), segments=segments)


def _joined(old: Margined, own: Held, rows: Index, parts: Parts) -> Held:
    """What the account holds: of the underlyings traded as in `own`, of all others as in `old`."""
    traded = np.flatnonzero(parts.mine)[own.rows]
    first = {row: place for place, row in enumerate(old.rows.tolist())}
    second = {row: len(old.rows) + place for place, row in enumerate(traded.tolist())}
    chosen = [second[row] if parts.mine[row] else first[parts.origin[row]] for row in rows.tolist()]
    legs = [*old.legs, *own.legs]
    held = tuple(legs[place] for place in chosen)
    where = _securities(held, chosen)
    packages = (
        *_renumbered(old, 0, where, parts.names),
        *_renumbered(own, len(old.legs), where, frozenset()),
    )
    return Held(
        book=parts.book,
        legs=held,
        rows=rows,
        points=np.concatenate([old.points, own.points])[chosen],
        values=np.concatenate([old.values, own.values])[chosen],
        pairing=Pairing(packages, (), proven=old.pairing.proven and own.pairing.proven),
        settled=_settled(old, packages, parts.names),
    )


def _settled(old: Margined, packages: Sequence[Package], names: frozenset[str]) -> Settled | None:
    """What the estimate of `old` says of all that is not traded; its packages are the first of `packages`."""
    by_strategy, by_scenario = old.made.by_strategy, old.made.by_scenario
    if by_strategy is None or by_scenario is None:
        return None
    kept = (line for line in by_strategy.lines if line.underlying not in names)
    lines = {place: _at(line, packages[place].legs) for place, line in enumerate(kept)}
    groups = {class_group_of(name) for name in names}
    return Settled(
        lines, {one.name: one for one in by_scenario.groups if one.name not in groups and isfinite(one.amount)}
    )


def _at(line: Line, legs: tuple[int, ...]) -> Line:
    """`line`, its legs in other places; made by hand, because there are hundreds."""
    if line.legs == legs:
        return line
    return Line(line.underlying, line.kind, legs, line.amount, line.words, line.long_options, line.short_options)


def _has_futures(legs: Sequence[Leg]) -> bool:
    return any(leg.instrument.kind in FUTURES for leg in legs)


def _of_futures(one: Margined) -> tuple[UnderlyingMargin, ...]:
    """The broker's figures for futures and their options."""
    return tuple(part for part in one.made.by_underlying if part.products)


def _securities(held: tuple[Leg, ...], chosen: list[int]) -> Mapping[int, int]:
    """Place among the legs that are no futures, by place among all legs of both accounts."""
    kept = [place for leg, place in zip(held, chosen, strict=True) if leg.instrument.kind not in FUTURES]
    return {place: among for among, place in enumerate(kept)}


def _renumbered(
    one: Held | Margined, shift: int, where: Mapping[int, int], without: frozenset[str]
) -> Iterator[Package]:
    """Packages of `one`, but of the underlyings `without`, in the places of the account after."""
    legs = [place for place, leg in enumerate(one.legs) if leg.instrument.kind not in FUTURES]
    for p in one.pairing.packages:
        if one.legs[legs[p.legs[0]]].underlying not in without:
            places = tuple([where[legs[leg] + shift] for leg in p.legs])
            yield p if places == p.legs else Package(p.kind, places, p.amounts, p.units, p.most, p.worst)


def _rows_of(book: Book, account: AccountId) -> Index:
    """The rows that are legs of the account, as `margined` takes them."""
    columns = book.columns
    return np.flatnonzero(columns.of_account(account) & ~columns.is_cash & (columns.reported != 0.0))

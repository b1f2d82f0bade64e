"""The accounts of a book after trades, ready to be margined after shocks: only what trades touch is paired anew.

Legs are margined together within an underlying, so the packages of an underlying that is not traded stay as they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from guardrails.columns import Index, Mask
from guardrails.margin import Leg
from guardrails.margin.legs import FUTURES
from guardrails.margin.packages import Package, Pairing
from guardrails.stress.accounts import Held, Margined, margined, margined_of
from guardrails.stress.book import Book
from guardrails.stress.standing import Standing
from guardrails.values import Account, AccountId

_PRICED_BY = ("weight", "base", "quoted", "vol")


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


def accounts_after(now: Standing, parts: Parts) -> tuple[Margined, ...]:
    """Every account of the book after; `now` is the stress of the book before."""
    was = {one.account: one for one in now.accounts}
    told = {account.id: account for account in now.book.portfolio.accounts}
    return tuple(
        _margined(was.get(account.id), account, now.book, parts, same=account == told.get(account.id))
        for account in parts.book.portfolio.accounts
    )


def _margined(old: Margined | None, account: Account, was: Book, parts: Parts, *, same: bool) -> Margined:
    """One account: kept where nothing of it changed, put together where it is all known, else made anew."""
    rows = _rows_of(parts.book, account.id)
    if old is not None and same and _is_same(rows, old, was, parts):
        return _moved(old, rows, parts.book)
    known = old is not None and not old.pairing.unknown
    own = _alone(parts.part, account) if known else None
    if old is None or own is None or own.pairing.unknown:
        return _of_book(_alone(parts.book, account), parts.book)
    return margined_of(_joined(old, own, rows, parts), account)


def _alone(book: Book, account: Account) -> Margined:
    """Only `account` of `book`."""
    return margined(replace(book, portfolio=replace(book.portfolio, accounts=(account,))))[0]


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


def _joined(old: Margined, own: Margined, rows: Index, parts: Parts) -> Held:
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
    )


def _securities(held: tuple[Leg, ...], chosen: list[int]) -> Mapping[int, int]:
    """Place among the legs that are no futures, by place among all legs of both accounts."""
    kept = [place for leg, place in zip(held, chosen, strict=True) if leg.instrument.kind not in FUTURES]
    return {place: among for among, place in enumerate(kept)}


def _renumbered(one: Margined, shift: int, where: Mapping[int, int], without: frozenset[str]) -> Iterator[Package]:
    """Packages of `one`, but of the underlyings `without`, in the places of the account after."""
    legs = [place for place, leg in enumerate(one.legs) if leg.instrument.kind not in FUTURES]
    for p in one.pairing.packages:
        if one.legs[legs[p.legs[0]]].underlying not in without:
            places = tuple([where[legs[leg] + shift] for leg in p.legs])
            yield Package(p.kind, places, p.amounts, p.units, p.most, p.worst)


def _rows_of(book: Book, account: AccountId) -> Index:
    """The rows that are legs of the account, as `margined` takes them."""
    columns = book.columns
    return np.flatnonzero(columns.of_account(account) & ~columns.is_cash & (columns.reported != 0.0))


def _of_book(one: Margined, book: Book) -> Margined:
    return replace(one, book=book, segments=tuple(replace(segment, book=book) for segment in one.segments))

"""Fills as entries of the journal: one for each order, written again under its key whenever more of it is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import gcd

from guardrails.execution.values import FLATTEN, BookThen, JournalEntry, JournalKind, JournalLeg, OrderRecord
from guardrails.instruments import Instrument
from guardrails.journal.money import Money, underlying_of
from guardrails.memory import account_key
from guardrails.orders import Fill
from guardrails.values import AccountId

Number = float | None
Held = Mapping[str, float]
"""signed quantities by `Instrument.key` in the account before the fills; what is not held may be absent"""

FLATTENED = "Flatten Risk — user-initiated"
SOMEBODY = "outside"
"""author of what did not come through the gate"""
_CASHLESS = "future:"
"""a future is settled every day: buying one costs its fees and nothing else"""


def owner_of(account: AccountId, known: str = "") -> str:
    """The hash of an account's owner: `known` when it is; nothing for an account that is without its number."""
    return known or ("" if account == account.hidden else account_key(account))


def latest_revisions(fills: Iterable[Fill]) -> tuple[Fill, ...]:
    """Each execution once, as its highest revision has it, and of the same revision as told last; oldest first."""
    found: dict[tuple[str, str], Fill] = {}
    for fill in fills:
        key = (fill.account.broker, fill.execution)
        known = found.get(key)
        if known is None or known.revision <= fill.revision:
            found[key] = fill
    return tuple(sorted(found.values(), key=lambda fill: (fill.time, fill.execution)))


def is_ours(fill: Fill, record: OrderRecord) -> bool:
    """Whether `fill` is of that order: by the key it was sent under, else by the broker's identity of it."""
    if fill.key:
        return fill.key == record.key
    return fill.account.broker == record.order.account.broker and fill.reference in record.references


def fill_entry(
    record: OrderRecord,
    fills: Sequence[Fill],
    money: Money,
    *,
    after: BookThen | None = None,
    held: Held | None = None,
    trade: str = "",
) -> JournalEntry:
    """All executions of one order of ours so far; ValueError when none of `fills` is of it.

    Fills of other orders may be among them. `net` is None while a price, a multiplier or a fee is not known.
    """
    own = latest_revisions(fill for fill in fills if is_ours(fill, record))
    if not own:
        raise ValueError(f"no execution of the order {record.key} is among {len(fills)} fills.")
    legs = _legs(own, money, held)
    ratios = {leg.instrument.key: leg.ratio for leg in record.order.legs}
    words = record.rationale
    if (record.flatten or record.tag == FLATTEN) and FLATTENED not in words:
        words = f"{FLATTENED}: {words}" if words else FLATTENED
    return JournalEntry(
        key=f"fill:{record.key}",
        time=own[0].time,
        kind=JournalKind.FILL,
        author=record.author,
        words=words,
        tag=record.tag,
        order_key=record.key,
        account=str(record.order.account),
        underlying=_underlying([leg.instrument for leg in record.order.legs]),
        legs=legs,
        quantity=_packages(legs, ratios),
        price=_package_price(legs, ratios),
        net=net_of(legs),
        fees=_sum(leg.fees for leg in legs),
        trade=trade,
        before=record.before,
        after=after,
        owner=owner_of(record.order.account, record.owner),
    )


def outside_entries(
    fills: Sequence[Fill],
    records: Sequence[OrderRecord],
    money: Money,
    *,
    before: BookThen | None = None,
    after: BookThen | None = None,
    held: Mapping[AccountId, Held] | None = None,
) -> tuple[JournalEntry, ...]:
    """One entry for each order at the brokers that did not come through the gate, oldest first.

    The legs of a package share the broker's identity of its order and are one; what bears none is one by itself.
    """
    orders: dict[tuple[str, str], list[Fill]] = defaultdict(list)
    for fill in unguarded(fills, records):
        orders[fill.account.broker, fill.reference or fill.execution].append(fill)
    return tuple(
        _outside(reference, own, money, before, after, None if held is None else held.get(own[0].account))
        for (_, reference), own in orders.items()
    )


def unguarded(fills: Iterable[Fill], records: Sequence[OrderRecord]) -> tuple[Fill, ...]:
    """The fills of orders that are none of `records`; one that was taken back (quantity 0) is none."""
    keys = {record.key for record in records}
    references = {(record.order.account.broker, reference) for record in records for reference in record.references}
    return tuple(
        fill for fill in latest_revisions(fills)
        if fill.quantity and not (fill.key in keys if fill.key else (fill.account.broker, fill.reference) in references)
    )  # fmt: skip


def note_entry(key: str, time: datetime, author: str, words: str, about: JournalEntry | None = None) -> JournalEntry:
    """What a person wrote, of the trade that `about` belongs to or of nothing in particular."""
    if about is None:
        return JournalEntry(key, time, JournalKind.NOTE, author, words)
    return JournalEntry(
        key, time, JournalKind.NOTE, author, words, account=about.account, underlying=about.underlying,
        order_key=about.order_key, trade=about.trade or about.key, owner=about.owner,
    )  # fmt: skip


def net_of(legs: Sequence[JournalLeg]) -> Number:
    """US dollars received (positive) or paid, fees taken off; None when any part of it is not known."""
    gross, fees = gross_of(legs), _sum(leg.fees for leg in legs)
    return None if gross is None or fees is None else gross - fees


def gross_of(legs: Sequence[JournalLeg]) -> Number:
    """US dollars received (positive) or paid, before fees; None when a price or a multiplier is not known."""
    return _sum(cash_of(leg) for leg in legs)


def cash_of(leg: JournalLeg) -> Number:
    """The same of one leg. A future brings and takes none."""
    if leg.key.startswith(_CASHLESS):
        return 0.0
    if leg.price is None or leg.dollars_per_point is None:
        return None
    return -leg.quantity * leg.price * leg.dollars_per_point


def _outside(
    reference: str,
    fills: Sequence[Fill],
    money: Money,
    before: BookThen | None,
    after: BookThen | None,
    held: Held | None,
) -> JournalEntry:
    legs, account = _legs(fills, money, held), fills[0].account
    whole = [round(leg.quantity) for leg in legs]
    packages = gcd(*whole) if all(whole) and whole == [leg.quantity for leg in legs] else 0
    ratios = {leg.key: quantity // packages for leg, quantity in zip(legs, whole, strict=True)} if packages else {}
    return JournalEntry(
        key=f"outside:{account.broker}:{reference}",
        time=fills[0].time,
        kind=JournalKind.OUTSIDE,
        author=SOMEBODY,
        words="It did not come through the gate: no limit was checked before it was sent.",
        tag="",
        account=str(account),
        underlying=_underlying([fill.instrument for fill in fills]),
        legs=legs,
        quantity=float(packages),
        price=_package_price(legs, ratios) if ratios else None,
        net=net_of(legs),
        fees=_sum(leg.fees for leg in legs),
        before=before,
        after=after,
        owner=owner_of(account),
    )


def _legs(fills: Sequence[Fill], money: Money, held: Held | None) -> tuple[JournalLeg, ...]:
    """One leg per instrument, in the order of first executions; prices weighted by quantity."""
    together: dict[str, list[Fill]] = defaultdict(list)
    for fill in fills:
        together[fill.instrument.key].append(fill)
    return tuple(_leg(own, money, held) for own in together.values())


def _leg(fills: Sequence[Fill], money: Money, held: Held | None) -> JournalLeg:
    instrument, currency = fills[0].instrument, fills[0].currency
    quantity, turned = sum(fill.quantity for fill in fills), sum(abs(fill.quantity) for fill in fills)
    one_way = abs(quantity) == turned and len({fill.currency for fill in fills}) == 1
    worth = sum(fill.quantity * fill.price for fill in fills)
    return JournalLeg(
        key=instrument.key,
        label=instrument.label,
        quantity=quantity,
        price=None if not one_way else worth / quantity if turned else 0.0,  # all of it was taken back
        fees=_sum(money.fees(fill) for fill in fills),
        execution=tuple(fill.execution for fill in fills),
        dollars_per_point=money.dollars_per_point(instrument, currency),
        held=None if held is None else held.get(instrument.key, 0.0),
    )


def _packages(legs: Sequence[JournalLeg], ratios: Mapping[str, int]) -> float:
    """Packages of which every leg is filled."""
    filled = {leg.key: leg.quantity for leg in legs}
    return max(min(filled.get(key, 0.0) / ratio for key, ratio in ratios.items()), 0.0)


def _package_price(legs: Sequence[JournalLeg], ratios: Mapping[str, int]) -> Number:
    """Price of one package per unit of its largest multiplier, as an order's limit is; None until all legs are known.

    Shares beside options are quoted by the share: 100 of them and a call short cost share minus call.
    """
    known = {leg.key: leg for leg in legs}
    if set(known) != set(ratios) or any(leg.price is None or not leg.quantity for leg in legs):
        return None
    sizes = [leg.dollars_per_point for leg in legs]
    if len(set(sizes)) == 1:
        return sum(ratio * (known[key].price or 0.0) for key, ratio in ratios.items())
    told = [size for size in sizes if size is not None]
    if len(told) < len(sizes):
        return None
    worth = [ratio * (known[key].dollars_per_point or 0.0) * (known[key].price or 0.0) for key, ratio in ratios.items()]
    return sum(worth) / max(told)


def _underlying(instruments: Sequence[Instrument]) -> str:
    """What all of them are about; several names where they differ."""
    return ", ".join(dict.fromkeys(underlying_of(instrument) for instrument in instruments))


def _sum(values: Iterable[Number]) -> Number:
    """None when any is not known."""
    told = list(values)
    known = [value for value in told if value is not None]
    return sum(known) if len(known) == len(told) else None

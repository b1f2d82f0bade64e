"""Executions: each is counted once, a correction replaces what it corrects, and the legs of one order make packages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from guardrails.execution.life import Executed
from guardrails.execution.values import OrderRecord
from guardrails.instruments import Kind
from guardrails.orders import Fill, Order
from guardrails.products import future_root, standard_multiplier

_FUTURES = (Kind.FUTURE, Kind.FUTURE_OPTION)
Identity = tuple[str, str]
"""broker, execution"""


def identity_of(fill: Fill) -> Identity:
    """What an execution is counted by."""
    return fill.account.broker, fill.execution


def news_of(known: Mapping[Identity, Fill], told: Iterable[Fill]) -> tuple[Fill, ...]:
    """Those of `told` that say more than `known`: new ones, corrections, and fees that came later.

    A lower revision than the known one is old news; one without fees does not take away those that are known.
    """
    news: dict[Identity, Fill] = {}
    for fill in told:
        identity = identity_of(fill)
        held = news.get(identity) or known.get(identity)
        if held is None:
            news[identity] = fill
            continue
        if fill is held or fill == held or fill.revision < held.revision:
            continue
        joined = replace(
            fill,
            fees=held.fees if fill.fees is None else fill.fees,
            key=fill.key or held.key,
            reference=fill.reference or held.reference,
        )
        if _facts(joined) != _facts(held):
            news[identity] = joined
    return tuple(news.values())


def _facts(fill: Fill) -> tuple[object, ...]:
    """All that it says but the account, which is without a number when it was read from the store."""
    return (
        fill.revision, fill.instrument.key, fill.quantity, fill.price, fill.time,
        fill.key, fill.reference, fill.fees, fill.currency,
    )  # fmt: skip


def group_of(fill: Fill) -> str | Identity:
    """What the executions of one order share: its key, else the broker's identity of it, else only their own."""
    return fill.key or (fill.account.broker, fill.reference or fill.execution)


def groups_of(record: OrderRecord) -> tuple[str | Identity, ...]:
    """Where the executions of `record` are found, by `group_of`."""
    broker = record.order.account.broker
    return (record.key, *((broker, reference) for reference in record.references if reference))


def is_of(fill: Fill, record: OrderRecord) -> bool:
    """Whether `fill` belongs to the order: by its key, else by the broker's identity of the order."""
    if fill.key:
        return fill.key == record.key
    return bool(fill.reference) and fill.reference in record.references and (
        fill.account.broker == record.order.account.broker
    )  # fmt: skip


def executed_of(order: Order, fills: Sequence[Fill]) -> Executed:
    """What these executions of `order` come to.

    A package is filled when all its legs are; `excess` names a leg that was executed beyond the order or never was part
    of it. Fees are None while one of them is not known.
    """
    traded: dict[str, float] = {}
    for fill in fills:
        traded[fill.instrument.key] = traded.get(fill.instrument.key, 0.0) + fill.quantity
    wanted = {leg.instrument.key: leg for leg in order.legs}
    excess = [
        f"{quantity:+g} {key.partition(':')[2]} was executed"
        + (f", {wanted[key].ratio * order.quantity:+d} was ordered" if key in wanted else ", which is no leg of it")
        for key, quantity in traded.items()
        if key not in wanted or quantity / wanted[key].ratio > order.quantity + 1e-9
    ]
    packages = min((traded.get(key, 0.0) / leg.ratio for key, leg in wanted.items()), default=0.0)
    fees = [fill.fees for fill in fills]
    known = [fee for fee in fees if fee is not None]
    return Executed(
        packages=max(packages, 0.0),
        average=_average(order, fills),
        fees=sum(known) if known and len(known) == len(fees) else None,
        excess="; ".join(excess),
    )


def _average(order: Order, fills: Sequence[Fill]) -> float | None:
    """Price of one package per unit of its multiplier, as in `Order.limit`; None while a leg has none."""
    known = _weights(order)
    if not known:
        return None
    total, unit = 0.0, max(known)
    for leg, multiplier in zip(order.legs, known, strict=True):
        own = [fill for fill in fills if fill.instrument.key == leg.instrument.key]
        quantity = sum(fill.quantity for fill in own)
        if not quantity:
            return None
        total += leg.ratio * multiplier / unit * sum(fill.quantity * fill.price for fill in own) / quantity
    return total


def _weights(order: Order) -> list[float]:
    """What 1.00 of the price of each leg is worth, up to a factor they share; empty where that is not known."""
    instruments = [leg.instrument for leg in order.legs]
    known = [standard_multiplier(instrument) for instrument in instruments]
    told = [multiplier for multiplier in known if multiplier is not None]
    if len(told) == len(known):
        return told
    products = {future_root(one) if one.kind in _FUTURES else (one.kind, one.root or one.symbol) for one in instruments}
    return [1.0] * len(known) if len(products) == 1 else []  # they weigh the same, whatever that is

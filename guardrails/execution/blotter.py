"""Orders, safety and discipline as pages read them. Pure but for what the brokers last said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from guardrails import calendar
from guardrails.execution import kept_room, overrides
from guardrails.execution.accepting import standing
from guardrails.execution.desk import Desk
from guardrails.execution.values import OrderRecord, RunState
from guardrails.execution.venues import Venue
from guardrails.findings import Finding, Level
from guardrails.journal.discipline import discipline_of
from guardrails.journal.explain import CHECK
from guardrails.limits import Limits
from guardrails.orders import BrokerOrder
from guardrails.orders_now import OrdersNow, TradingRow
from guardrails.outages import about_task

_LATE_SECONDS = 60.0
"""an order may be in doubt so long before that is a breach"""


def orders_now(desk: Desk) -> OrdersNow:
    """Everything at this moment; accounts without numbers."""
    now, deeds = desk.clock(), desk.deeds
    today = calendar.exchange_date(now)
    records = [
        hidden(record)
        for record in deeds.records.values()
        if not record.state.is_over or calendar.exchange_date(record.changed) == today
    ]
    runs = [one for one in deeds.runs.values() if one.state is not RunState.DONE or _is_of(one.changed, now)]
    faults = [f"{what} {words}" for what, words in desk.faults().items()]
    problems = [desk.problem, desk.safety.problem, *faults, *(venue.unknown() for venue in desk.venues)]
    if not desk.is_open:
        problems.insert(0, "what was done before is still being read")
    return OrdersNow(
        as_of=now,
        safety=desk.safety.now,
        trading=tuple(_trading(desk)),
        records=tuple(sorted(records, key=lambda record: record.created, reverse=True)),
        others=tuple(others(desk)),
        overrides=overrides.in_force(deeds.overrides.values(), now),
        runs=tuple(sorted(runs, key=lambda run: run.time, reverse=True)),
        discipline=discipline_of(
            tuple(deeds.records.values()), tuple(deeds.fills.values()), deeds.entries.values(), calendar.session_of(now)
        ),
        problem="; ".join(filter(None, problems)),
        changes=standing(desk),
        room="" if desk.room is None else desk.room.words,
    )


def hidden(record: OrderRecord) -> OrderRecord:
    """`record` as pages read it: its account without a number."""
    return replace(record, order=replace(record.order, account=record.order.account.hidden))


def others(desk: Desk) -> Iterable[BrokerOrder]:
    """Working orders of other senders."""
    ours = desk.deeds.records
    references = {one for record in ours.values() for one in record.references}
    for venue in desk.venues:
        for order in venue.told().orders:
            is_ours = order.key in ours if order.key else order.reference in references
            if not order.state.is_over and not is_ours:
                yield replace(order, account=order.account.hidden)


def findings(desk: Desk, limits: Limits) -> list[Finding]:
    """What the book's checks must know of orders: those in doubt, brokers that do not tell theirs, positions that moved
    for no reason, and what fails here. May be asked from any thread."""
    now = desk.clock()
    found = [about_task(f"orders, {what}", words, limits.matrix) for what, words in desk.faults().items()]
    found += kept_room.findings(desk.room, limits)
    for record in desk.doubts():
        since = (now - (record.doubt_since or record.changed)).total_seconds()
        found.append(
            limits.finding(
                "order_state", f"order:{record.key}", Level.BREACH if since >= _LATE_SECONDS else Level.UNKNOWN,
                f"It is not known what became of order {record.key} in {record.order.account}. {record.detail}",
                value=since, limit=_LATE_SECONDS, unit="seconds", evidence={"detail": record.detail},
                action=f"Look at {record.order.account.broker}; if it does not live there, say so in the blotter.",
            )
        )  # fmt: skip
    if (seen := desk.seen) is not None:
        version, is_open = limits.matrix.version, seen.portfolio.market_open
        found += desk.positions.findings(now, market_open=is_open, version=version)
    if why := _why_not_known_before(desk):
        found.append(
            limits.finding(
                CHECK, "portfolio", Level.UNKNOWN,
                f"Whether a position had changed unexplained before this program began is not known: {why}.",
                action="Look at the broker's list of trades, and mend the store (guardrails doctor).",
            )
        )  # fmt: skip
    return found + [
        limits.finding(
            "orders_read", f"source:{venue.name}", Level.UNKNOWN, f"Working orders are not known: {unknown}.",
            action="Exits can still be sent; new risk waits until the broker answers.",
        )
        for venue in desk.venues
        if (unknown := venue.unknown()) and _trades(desk, venue)
    ]  # fmt: skip


def _why_not_known_before(desk: Desk) -> str:
    """Why it is not known which changes of positions stood before; empty when it is."""
    return desk.problem if desk.deeds.is_stored else "nothing is stored"


def _trading(desk: Desk) -> Iterable[TradingRow]:
    if desk.seen is None:
        return
    venues = {venue.name: venue for venue in desk.venues}
    for account in desk.seen.portfolio.accounts:
        venue = venues.get(account.source)
        if venue is None:
            yield TradingRow(str(account.id), account.source, "this source takes no orders", orders_known=False)
            continue
        yield TradingRow(
            str(account.id), venue.name, venue.broker.refusal(account.id), not venue.unknown(), venue.unknown(),
            venue.broker.is_paper(account.id),
        )  # fmt: skip


def _trades(desk: Desk, venue: Venue) -> bool:
    """Whether orders can be sent there at all: who only reads is not told what he did not ask for."""
    accounts = () if desk.seen is None else desk.seen.portfolio.accounts
    return any(one.source == venue.name and not venue.broker.refusal(one.id) for one in accounts)


def _is_of(time: datetime, now: datetime) -> bool:
    return calendar.exchange_date(time) == calendar.exchange_date(now)

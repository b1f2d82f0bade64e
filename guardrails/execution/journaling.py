"""What execution writes into the journal beside fills: what was refused, changes of safety and overrides. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from guardrails.assess import Assessment
from guardrails.execution.values import BookThen, JournalEntry, JournalKind, OrderRecord
from guardrails.findings import Level
from guardrails.gate.values import Impact, Override
from guardrails.journal.money import underlying_of
from guardrails.memory import account_key
from guardrails.orders import Fill, Order
from guardrails.safety import SafetyChange
from guardrails.values import Market

PROGRAM = "the program"


def book_then(assessment: Assessment) -> BookThen:
    """The book of one cycle, as far as a journal tells of it."""
    snapshot, market = assessment.snapshot, assessment.portfolio.market
    totals = snapshot.totals
    return BookThen(
        time=snapshot.as_of,
        regime=snapshot.regime.name,
        vix=snapshot.regime.vix,
        spx=_price(market, "SPX"),
        net_liquidation=totals.net_liquidation,
        beta_delta_dollars=totals.beta_delta_dollars,
        gamma_1pct_dollars=totals.gamma_1pct_dollars,
        vega_per_point=totals.vega_per_point,
        theta_per_day=totals.theta_per_day,
        findings={
            f"{finding.check} {finding.subject}": finding.level.value
            for finding in snapshot.findings
            if finding.level.rank >= Level.WATCH.rank
        },
    )


def _price(market: Market, symbol: str) -> float | None:
    price = market.prices.get(symbol)
    return None if price is None else price.value


def blocked_entry(key: str, order: Order, impact: Impact, author: str, rationale: str, now: datetime) -> JournalEntry:
    """An order that was refused at submit."""
    why = "; ".join(reason.message for reason in impact.reasons if reason.verdict.value == "BLOCK")
    words = f"{impact.title}: {why}" + (f" Wanted for: {rationale}" if rationale else "")
    return JournalEntry(
        key=key,
        time=now,
        kind=JournalKind.BLOCKED,
        author=author,
        words=words,
        account=str(order.account),
        underlying=_underlying(order),
        owner=account_key(order.account),
    )


def safety_entry(key: str, change: SafetyChange) -> JournalEntry:
    """A change of the safety state: who, why, how to leave."""
    new = change.new
    words = f"{change.old.value} to {new.state.value}: {new.reason}. {new.leave}".strip()
    return JournalEntry(key, change.time, JournalKind.SAFETY, new.author, words, tag="")


def override_entry(key: str, override: Override, words: str, author: str, now: datetime) -> JournalEntry:
    """An override that begins or ends."""
    of = f"{override.check} {override.subject}".strip()
    return JournalEntry(key, now, JournalKind.OVERRIDE, author, f"{of}: {words}", tag="")


def shows(
    assessment: Assessment, record: OrderRecord, before: Mapping[str, float] | None, fills: Sequence[Fill]
) -> bool:
    """Whether the book shows what `fills` did to the account of `record`.

    `before` are the account's quantities when the order was sent; without them (after a restart) the positions must
    have been told clearly after the last execution.
    """
    last = max((fill.time for fill in fills), default=record.changed)
    held = {
        position.instrument.key: position
        for position in assessment.portfolio.positions
        if position.account == record.order.account
    }
    if before is None:
        sources = [source.time for source in assessment.portfolio.sources if source.time is not None]
        return bool(sources) and (min(sources) - last).total_seconds() > 30.0
    for leg in record.order.legs:
        key = leg.instrument.key
        position = held.get(key)
        now = 0.0 if position is None else position.quantity
        moved = sum(fill.quantity for fill in fills if fill.instrument.key == key)
        if now is None or abs(now - before.get(key, 0.0) - moved) > 1e-6:
            return False
    return True


def _underlying(order: Order) -> str:
    return underlying_of(order.legs[0].instrument)

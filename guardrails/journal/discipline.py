"""How the rules were kept in one session: what was sent, against which warnings, and what passed no gate at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from guardrails import calendar, wording
from guardrails.execution.values import JournalEntry, JournalKind, OrderRecord
from guardrails.gate.values import Verdict
from guardrails.journal.entries import unguarded
from guardrails.orders import Fill, OrderState
from guardrails.orders_now import Discipline

_NOT_SENT = (OrderState.DRAFT, OrderState.APPROVED, OrderState.INTENT_SAVED)


def discipline_of(
    records: Sequence[OrderRecord], fills: Sequence[Fill], journal: Iterable[JournalEntry], session: date
) -> Discipline:
    """The counts of `session`, as `guardrails.calendar.session_of` names it.

    An order that was sent in an earlier session is known among `records` but not counted. The legs of a package share
    the broker's identity of its order and count as one.
    """
    sent = [record for record in records if record.state not in _NOT_SENT and _is_of(record, session)]
    blocked = {
        entry.key for entry in journal
        if entry.kind is JournalKind.BLOCKED and calendar.session_of(entry.time) == session
    }  # fmt: skip
    outside: dict[tuple[str, str], list[Fill]] = {}
    for fill in unguarded(fills, records):
        if calendar.session_of(fill.time) == session:
            outside.setdefault((fill.account.broker, fill.reference or fill.execution), []).append(fill)
    return Discipline(
        sent=len(sent),
        warned=sum(record.verdict == Verdict.WARN for record in sent),
        overridden=sum(bool(record.overrides) for record in sent),
        blocked=len(blocked),
        unguarded=len(outside),
        unguarded_words=tuple(_words(own) for own in outside.values()),
    )


def _is_of(record: OrderRecord, session: date) -> bool:
    return calendar.session_of(record.created) == session


def _words(fills: Sequence[Fill]) -> str:
    """`IBKR •••4567, 10:31 ET: sold 2 SPXW 18Dec26 5700P at 8.40, bought 2 SPXW 18Dec26 5600P at 5.10`."""
    told = [
        f"{'bought' if fill.quantity > 0 else 'sold'} {wording.quantity(abs(fill.quantity))} {fill.instrument.label} "
        f"at {wording.number(fill.price, 2)}"
        for fill in fills
    ]
    when = fills[0].time.astimezone(calendar.NEW_YORK)
    return f"{fills[0].account}, {when:%H:%M} ET: {wording.names(told)}"

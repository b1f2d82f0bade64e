"""A what-if for an Order: its legs found as contracts, then asked of IBKR, one at a time and before any quote."""

from __future__ import annotations

from adapters.ibkr import money, rows, whatif
from adapters.ibkr.lookup import Lookup
from adapters.ibkr.session import Session
from adapters.ibkr.view import SOURCE
from guardrails.errors import OrderError
from guardrails.orders import Order, Preview

ANSWER_SECONDS = 5.0


async def preview(session: Session, lookup: Lookup, order: Order) -> Preview:
    """IBKR's answer, or a Preview whose `unknown` says why there is none."""
    found = []
    for leg in order.legs:
        known, reason = await lookup.contract(session, leg.instrument)
        if known is None:
            return Preview(session.clock(), unknown=f"{leg.instrument.label}: {reason}; margin unknown")
        found.append(known.contract)
    try:
        contract, sent = whatif.bag(order, found)
    except OrderError as error:
        return Preview(session.clock(), unknown=f"{error} Margin unknown.")
    values = money.rows_of(session.ib.accountValues(), order.account.number)
    base = rows.to_account(values, order.account, SOURCE, session.clock()).currency
    return await whatif.ask(
        session.ib, contract, sent, lock=session.previewing, timeout=ANSWER_SECONDS, clock=session.clock,
        base_currency=base,
    )  # fmt: skip

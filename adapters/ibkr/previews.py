"""A what-if for an Order: its legs found as contracts, then asked of IBKR, one at a time and before any quote."""

from __future__ import annotations

import ib_async

from adapters.ibkr import money, rows, whatif
from adapters.ibkr.contracts import requestable, to_contract
from adapters.ibkr.directory import Directory
from adapters.ibkr.session import Refused, Session
from adapters.ibkr.view import SOURCE, instrument_of
from guardrails.calendar import exchange_date
from guardrails.errors import OrderError
from guardrails.instruments import Instrument
from guardrails.orders import Order, Preview

ANSWER_SECONDS = 5.0


async def preview(session: Session, directory: Directory, order: Order) -> Preview:
    """IBKR's answer, or a Preview whose `unknown` says why there is none."""
    found = []
    for leg in order.legs:
        contract, reason = await _contract(session, directory, leg.instrument)
        if contract is None:
            return Preview(session.clock(), unknown=f"{leg.instrument.label}: {reason}; margin unknown")
        found.append(contract)
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


async def _contract(
    session: Session, directory: Directory, instrument: Instrument
) -> tuple[ib_async.Contract | None, str]:
    """The contract of a leg: the one held, else the one IBKR knows by its terms; or why there is none."""
    today = exchange_date(session.clock())
    for row in session.rows.values():
        if instrument_of(row, directory, today) == instrument.key:
            listing = directory.listings.get(row.contract.conId)
            return (listing.contract, listing.reason) if listing is not None else (None, "not looked up yet")
    asked = to_contract(instrument)
    if asked is None:
        return None, "IBKR has no name for it"
    try:
        found = await session.details(asked)
    except Refused as refused:
        return None, f"IBKR does not know it ({refused})"
    except (TimeoutError, ConnectionError):
        return None, "IBKR did not say what it is"
    if len(found) != 1 or found[0].contract is None:
        return None, f"IBKR lists {len(found)} contracts of that name"
    ready = requestable(found[0].contract, found[0])
    return ready, "" if ready is not None else "it has no exchange"

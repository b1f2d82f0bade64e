"""The opening half of a roll: it follows when the chain of its expiry is known."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from guardrails.instruments import Right
from guardrails.orders import ChainExpiry
from pages._chain_table import Strike
from pages._ticket import Ticket, TicketLeg, put, put_next, say, ticket
from pages._ticket_legs import Roll

ROLL, FRESH, LOOKED_AT = "ticket_roll", "ticket_roll_fresh", "chain_underlying_kept"
"""keys of the session: the roll, whether its expiry is still to be chosen, the underlying that is looked at"""


def begin_roll(order: Ticket, roll: Roll) -> None:
    """Open the ticket with the closing half; the other half follows when the chain of the next expiry is known."""
    put(order)
    st.session_state[ROLL] = roll
    st.session_state[FRESH] = True
    st.session_state["ticket_chain_open"] = True
    st.session_state["chain_underlying"] = st.session_state[LOOKED_AT] = roll.underlying


def end_roll() -> None:
    """There is nothing to roll any more."""
    st.session_state.pop(ROLL, None)
    st.session_state.pop(FRESH, None)


def complete_roll(expiry: ChainExpiry, strikes: Sequence[Strike]) -> None:
    """Add what a roll opens, once the strikes of its expiry are known."""
    roll: Roll | None = st.session_state.get(ROLL)
    if roll is None or expiry.expiry <= roll.expiry or expiry.underlying != roll.underlying:
        return
    end_roll()
    opened = opening(roll, strikes)
    if isinstance(opened, str):
        say(opened)
    else:
        old = ticket()
        put_next(Ticket(old.account, (*old.legs, *opened), old.packages, tif=old.tif, rationale=old.rationale))
    st.rerun()


def opening(roll: Roll, strikes: Sequence[Strike]) -> tuple[TicketLeg, ...] | str:
    """The legs that a roll opens, at the same strikes; why it cannot when one is not listed."""
    legs = []
    listed = {one.strike: one for one in strikes}
    for side, quantity, strike, right in roll.legs:
        one_strike = listed.get(float(strike))
        row = None if one_strike is None else one_strike.call if right is Right.CALL else one_strike.put
        if row is None:
            return f"{strike.normalize():f}{right.value} is not listed there: take what you open from the chain."
        legs.append(TicketLeg(side, quantity, row.symbol))
    return tuple(legs)

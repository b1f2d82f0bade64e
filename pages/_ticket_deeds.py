"""What can be done about selected positions: close, roll, flip on the ticket, or see them under stress."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from guardrails import calendar
from guardrails.engine import Engine
from guardrails.snapshot.book import PositionRow
from pages._chain_roll import begin_roll, end_roll
from pages._ticket import put
from pages._ticket_legs import closing, flipping, rolling

_HELP = {
    "Close": "Opens the ticket with the order that closes what is selected.",
    "Roll": "Opens the ticket with the order that closes what is selected and opens it again on the next expiry.",
    "Flip": "Opens the ticket with twice the closing order: as much is held the other way round. It is new risk.",
}


def deeds(rows: Sequence[PositionRow], service: Engine) -> None:
    """Draw the buttons; disabled, with the reason, where one order cannot do it. Opening the ticket leaves the page."""
    as_of = calendar.exchange_date(service.now())
    with st.container(horizontal=True, gap="xsmall", key="deeds"):
        for name, found in (("Close", closing(rows)), ("Roll", rolling(rows, as_of)), ("Flip", flipping(rows))):
            wrong = found if isinstance(found, str) else ""
            if st.button(name, key=f"deed_{name.lower()}", disabled=bool(wrong), help=wrong or _HELP[name]):
                end_roll()
                if isinstance(found, tuple):
                    begin_roll(*found)
                elif not isinstance(found, str):
                    put(found)
                st.switch_page("ticket.py")
        groups = sorted({row.group for row in rows})
        if st.button(
            "Stress", key="deed_stress", disabled=not groups, on_click=_pick, args=(groups,),
            help="Opens Scenarios with these underlyings.",
        ):  # fmt: skip
            st.switch_page("scenarios.py")


def _pick(groups: Sequence[str]) -> None:
    """Let the filter of Scenarios stand at these underlyings."""
    st.session_state["pick_underlying"] = list(groups)

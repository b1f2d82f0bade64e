"""The script every browser runs: page list, style, the header that is on every page, then the page itself."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from guardrails.settings import Scenario
from pages._address import read_address, show_address
from pages._alert_watch import badge
from pages._band import band, body, controls, door
from pages._engine import stored, wiring
from pages._flatten import flatten_button, flatten_dialog, opening
from pages._flatten_words import running_words
from pages._header import header
from pages._moment import read
from pages._notify import notify
from pages._parts import text
from pages._past import chosen, looked_at, said, to_act
from pages._press import presses
from pages._safety import is_open, safety_dialog, stop_button
from pages._style import style_sheet

ICON = (  # drawn here: a named icon would be fetched from another host
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'%3E"
    "%3Cpath fill='%230b5cad' d='M12 1 3 5v6c0 5.5 3.8 10.7 9 12 5.2-1.3 9-6.5 9-12V5z'/%3E%3C/svg%3E"
)

NAME = "Portfolio Guardrails"
read_address()
if opening() is not None or is_open():
    to_act()
st.set_page_config(page_title=NAME if chosen() is None else f"PAST · {NAME}", page_icon=ICON, layout="wide")
page = st.navigation(
    [
        st.Page("risk.py", title="Risk", icon=":material/traffic:", default=True),
        st.Page("positions.py", title="Positions", icon=":material/table_rows:"),
        st.Page("ticket.py", title="Ticket", icon=":material/receipt_long:"),
        st.Page("scenarios.py", title="Scenarios", icon=":material/ssid_chart:"),
        st.Page("alerts.py", title="Alerts", icon=":material/notifications_active:"),
        st.Page("limits.py", title="Limits", icon=":material/rule:"),
        st.Page("history.py", title="History", icon=":material/timeline:"),
        st.Page("journal.py", title="Journal", icon=":material/menu_book:"),
        st.Page("connections.py", title="Connections", icon=":material/cable:"),
        st.Page("data.py", title="Data", icon=":material/database:"),
    ],
    position="top",
)
st.html(style_sheet(st.context.theme.type))
wired, past = wiring(), looked_at()
show_address(page.title)
presses()


@st.fragment(run_every=wired.engine.settings.refresh_seconds)
def bar() -> None:
    """Draw the state of now, and in the past how long ago that is; what was stored was read before."""
    st.html(
        header(
            read(wired.engine),
            "" if past is None else "NOW",
            running_words(wired.engine.orders) + badge(wired.engine.alerts),
        )
    )
    if past is not None:
        st.html(band(past, wired.engine.now(), wired.engine.matrix.version, page.title))
    notify(wired.engine)


def switch_scenario() -> None:
    if wired.demo is not None:
        wired.demo.switch(st.session_state.scenario, wired.engine.now())
        wired.engine.forget(wired.demo.scenario)  # another market has another history


beside: Literal["center", "top"] = "center" if past is None else "top"  # the first bar is of now, as the buttons are
with st.container(key="header", horizontal=True, vertical_alignment=beside, gap="xsmall"):
    with st.container():
        bar()
        if past is not None:
            controls(past)
        if words := said():  # here it moves no part of the page to another place, where a click would not find it
            st.html(f'<div class="pg-filter" role="status">{text(words)}</div>')
    when = "" if past is None else " now"  # they lead back to now, and act on nothing else
    flatten_button(wired.engine, when)
    stop_button(when)
    if past is None and stored() is not None:
        door(wired.engine)
    if past is None and wired.demo is not None:  # nothing of now is moved from the past
        st.session_state.scenario = wired.demo.scenario  # another tab may have switched it
        st.selectbox(
            "Demo market",
            [scenario.value for scenario in Scenario],
            key="scenario",
            format_func=lambda name: f"demo: {name}",
            label_visibility="collapsed",
            width=150,
            on_change=switch_scenario,
            help="What the simulated market does. The book is the same; only the market moves.",
        )
flatten_dialog(wired.engine)
safety_dialog(wired.engine)
with body(past, page.title):
    page.run()

"""The past moment in the address of a page, `?at=2026-11-17T15:30:00Z`: a reload or a link opens it again.

The address is changed in place: Streamlit's own way would leave an entry for every page in the browser's history.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import streamlit as st

from guardrails import calendar
from pages._past import chosen, look, say

_READ, _NAME = "address_read", "at"
_SCRIPT = """<script>(() => {
    const page = PAGE, at = AT, url = new URL(window.location.href);
    if (at) url.searchParams.set('at', at); else url.searchParams.delete('at');
    if (url.href !== window.location.href) window.history.replaceState(window.history.state, '', url);
})()</script>"""


def read_address() -> None:
    """Look at the moment that the address names, once per session; call it before a page is drawn."""
    if st.session_state.get(_READ):
        return
    st.session_state[_READ] = True
    named = st.query_params.get(_NAME, "")
    if not named:
        return
    try:
        told = datetime.fromisoformat(named)
        moment = told.astimezone(UTC)
        is_one = told.tzinfo is not None and moment.year >= calendar.FIRST_DAY.year
    except (ValueError, OverflowError):
        is_one = False
    if not is_one:
        say("The address names no moment of UTC, such as ?at=2026-11-17T15:30:00Z: this is now.")
    else:
        look(moment)


def show_address(page: str) -> None:
    """Let the address name the moment that this session looks at, or none; `page` is its title.

    A script runs again when it is another one, and the address of another page names no moment.
    """
    asked = chosen()
    named = "" if asked is None else f"{asked.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"
    with st.container(key="address"):  # out of sight
        script = _SCRIPT.replace("PAGE", json.dumps(page), 1).replace("AT", json.dumps(named), 1)
        st.html(script, unsafe_allow_javascript=True)

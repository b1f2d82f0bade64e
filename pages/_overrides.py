"""Overrides in force, on the ticket: which limit is passed, by whom, why and until when; each ended by one click."""

from __future__ import annotations

import streamlit as st

from guardrails.engine import Engine
from guardrails.findings import Level
from guardrails.orders_now import OrdersNow
from guardrails.requests import Kind
from guardrails.titles import headline
from pages._alerts import in_words, said
from pages._parts import pill
from pages._press import act
from pages._wishes import answers, pending, wish


def overrides(service: Engine, orders: OrdersNow | None) -> None:
    """Draw them; ticks. Nothing is drawn while none is in force."""
    now = service.now()
    for one in () if orders is None else orders.overrides:
        if one.ended is not None or one.until <= now:
            continue
        name = headline(one.check, one.subject)
        with st.container(horizontal=True, vertical_alignment="center", key=f"override_{one.key}"):
            who = (
                f"is overridden by {said(one.author)}: “{said(one.reason)}”; it ends {said(in_words(one.until, now))}."
            )
            st.html(f"<div>{pill(Level.WATCH)} <b>{said(name)}</b> {who}</div>", width="content")
            waits = pending(Kind.END_OVERRIDE, one.key, now)
            st.button(
                "End it now", key=f"end_override_{one.key}", disabled=waits, on_click=act,
                args=(wish, service, Kind.END_OVERRIDE, one.key, f"End the override of {name}", {"override": one.key}),
            )  # fmt: skip
    if told := answers(service, (Kind.END_OVERRIDE,)):
        st.html(told)

"""Ticket: an order on the left, what it would do on the right, the chain and the orders that work below."""

from __future__ import annotations

import streamlit as st

from guardrails import calendar
from guardrails.requests import Kind
from pages import _past
from pages._alerts import said
from pages._blotter import blotter
from pages._blotter_forms import blotter_form
from pages._chain import chain, due
from pages._changes import change_form, changes
from pages._engine import engine
from pages._moment import read as moment_of
from pages._overrides import overrides
from pages._parts import nothing_yet
from pages._ticket import accounts_of, probe, read, redraw, told
from pages._ticket_asking import ask, waiting
from pages._ticket_fields import fields, prices, rationale, wrong
from pages._ticket_panel import panel, question
from pages._ticket_send import CHECK, LIVE, PRICE, judged, quotes
from pages._ticket_standing import standing
from pages._wishes import watcher_of

QUICK_SECONDS = 0.3
"""between two looks while an answer is due"""
OPEN = "ticket_chain_open"
service = engine()


@st.fragment(run_every=service.settings.refresh_seconds)
def how_it_stands() -> None:
    moment = moment_of(service)
    st.html(standing(service.orders, moment, watcher_of(service.health().watched_by)))
    overrides(service, service.orders)
    changes(service, service.orders)
    if moment.snapshot is not None and accounts_of(moment.snapshot) != accounts:
        st.rerun()  # an account has come or gone since the fields were drawn


often = due(service.now())


@st.fragment(run_every=QUICK_SECONDS if often else service.settings.refresh_seconds)
def options() -> None:
    chain(service)
    if redraw() or due(service.now()) != often:
        st.rerun()


@st.fragment(run_every=service.settings.refresh_seconds)
def working() -> None:
    blotter(service, service.orders)


if _past.chosen() is not None:
    st.write("You look at the past, and orders are of now: go back to now to write one.")
    st.stop()
first = moment_of(service)
accounts, today = accounts_of(first.snapshot), calendar.exchange_date(service.now())
how_it_stands()
if first.snapshot is None:
    nothing_yet(first, service.names)
left, right = st.columns([5, 6], gap="large")
with left:
    if words := told():  # here it moves no part that ticks to another place, where a click would not find it
        st.html(f'<div class="pg-filter" role="status">{said(words)}</div>')
    st.subheader("Order")
    held, reading = fields(accounts, today)
    priced = read(probe(held), accounts, today)
    if reading.order is not None:
        question(service, reading)
    elif priced.order is not None:  # only the limit is missing: quotes can be told already
        ask(service, PRICE, Kind.SIMULATE, {"order": priced.text, "preview": "no"}, priced.text)
    found = judged(reading, service.now(), watcher_of(service.health().watched_by))
    prices(*quotes(found, priced))
    wrong(reading)
    rationale()
quick = waiting(service.now(), LIVE, CHECK, PRICE)


@st.fragment(run_every=QUICK_SECONDS if quick else service.settings.refresh_seconds)
def impact() -> None:
    panel(service, service.orders, reading, quick=quick)


with right:
    st.subheader("Impact")
    impact()
st.subheader("Chain")
with st.container():  # what follows keeps its place
    if st.toggle("Show the chain of an underlying", key=OPEN):
        options()
st.subheader("Orders")
working()
blotter_form(service, service.orders)
change_form(service, service.orders)

"""A flatten that runs, in its dialog: one line per order from sent to filled, and the button that stops it."""

from __future__ import annotations

import streamlit as st

from guardrails.engine import Engine
from guardrails.execution.values import FlattenRun, RunState
from guardrails.flatten.plan_json import plan_from
from guardrails.requests import Kind
from pages import _flatten_words as words
from pages._alerts import said
from pages._press import act
from pages._wishes import last, look, outcome, pending, watcher_of, wish


def watch(service: Engine, key: str) -> None:
    """One line per order from sent to filled, with the button that stops it."""

    @st.fragment(run_every=service.settings.refresh_seconds)
    def ticking() -> None:
        look(service)
        run = next((one for one in runs_of(service) if one.key == key), None)
        orders = service.orders
        if run is None or orders is None:
            st.html('<div class="pg-answers" role="status">The run is not shown yet; it goes on all the same.</div>')
            return
        try:
            plan = plan_from(run.plan)
        except ValueError:
            st.html('<div class="pg-wrong" role="alert">The plan of this run cannot be read; see the blotter.</div>')
            return
        st.html(words.standing(run, plan, orders))
        if orders.problem:
            st.html(f'<div class="pg-wrong" role="alert">This may be old: {said(orders.problem)}</div>')
        _stop(service, run)
        st.html(words.progress(run, plan, orders, service.now()))

    ticking()


def _stop(service: Engine, run: FlattenRun) -> None:
    if run.state is RunState.DONE:
        return
    waits = pending(Kind.FLATTEN_STOP, run.key, service.now()) or run.state is RunState.CANCELLING
    st.button(
        "Stop: send nothing more, cancel what works", key=f"flatten_stop_{run.key}", disabled=waits, on_click=act,
        args=(wish, service, Kind.FLATTEN_STOP, run.key, "Stop the flatten", {"run": run.key}),
    )  # fmt: skip
    if (asked := last(Kind.FLATTEN_STOP, run.key)) is not None:
        told = outcome(asked, service.now(), watcher_of(service.health().watched_by))
        st.html(f'<div class="pg-answers" role="status">Stop: {said(told)}</div>')


def runs_of(service: Engine) -> tuple[FlattenRun, ...]:
    """Those that are known, newest first."""
    orders = service.orders
    return () if orders is None else orders.runs


def running(service: Engine) -> FlattenRun | None:
    """The one that is not done."""
    return next((run for run in runs_of(service) if run.state is not RunState.DONE), None)

"""Alerts: what is open and who has it, which channels reach somebody, what was told before, and by which rules."""

from __future__ import annotations

import streamlit as st

from guardrails.matrix.explain_alerts import alert_sentences
from pages import _past
from pages._alert_forms import form
from pages._alert_rows import active, channels
from pages._alerts import said
from pages._deliveries import deliveries
from pages._engine import engine, stored
from pages._notify import panel

service = engine()
now_shown = _past.chosen() is None


@st.fragment(run_every=service.settings.refresh_seconds)
def open_alerts() -> None:
    active(service, asks=now_shown and service.alerts is not None)


@st.fragment(run_every=service.settings.refresh_seconds)
def every_channel() -> None:
    channels(service, asks=now_shown and service.alerts is not None)


def rules() -> None:
    """Draw the rules in force, in sentences."""
    alerts = service.alerts
    names = [] if alerts is None else [row.name for row in alerts.channels]
    with st.expander("The rules in plain words", key="alert_rules"):
        lines = "".join(f"<li>{said(line)}</li>" for line in alert_sentences(service.matrix.alerts, names))
        st.html(f'<ul class="pg-sentences">{lines}</ul>')
        whose = " of this program; the one that watches may have others" if service.health().watched_by else ""
        st.caption(f"The `alerts` section of the matrix, version {service.matrix.version}{whose}.")


if not now_shown:
    st.write(
        "You look at the past, and this page is of now: alerts of a past moment are in the timeline below. Go back to "
        "now to acknowledge, silence or test."
    )
open_alerts()
if now_shown:
    panel()
    form(service)
every_channel()
deliveries(service, stored(), asks=now_shown and service.alerts is not None)
rules()

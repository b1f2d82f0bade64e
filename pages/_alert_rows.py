"""The parts of the Alerts page that tick: who watches, the open alerts with what can be done, the channels.

They read one attribute and the session, nothing else. Rows have keys of their own, so that a click reaches the alert
it was meant for although the list has moved.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from guardrails.alerts.values import AlertRow, AlertsNow, ChannelRow, Severity
from guardrails.engine import Engine
from guardrails.findings import Level
from guardrails.matrix.alerts import AlertRules
from guardrails.matrix.explain_alerts import LOG, reaching
from guardrails.requests import Kind
from pages._alert_causes import counted_words, folded, mutes_words
from pages._alert_forms import buttons
from pages._alert_watch import (
    NO_HEARTBEAT,
    WHAT_TO_SET,
    budget_words,
    channel_card,
    not_made,
    nothing_open,
    watch_words,
)
from pages._alerts import NOBODY, card, one, said, short
from pages._moment import Moment, read
from pages._parts import counted
from pages._press import act, keep
from pages._wishes import answers, last, look, outcome, pending, watcher_of, wish

OF_ALERTS = (Kind.ACKNOWLEDGE, Kind.SILENCE, Kind.UNSILENCE, Kind.ACTED)
FIRST = 10
"""rows drawn with their buttons; more on request, because a thousand of them would not tick"""
_SHOWN = "alerts_shown"
_LOUD = (Severity.CRITICAL, Severity.BREACH)
"""what somebody should take"""
_LISTED = 200
"""of the rest, so many are listed without buttons"""


def active(service: Engine, *, asks: bool) -> None:
    """Draw who watches and what is open; `asks` says whether anything can be done about it here."""
    look(service)
    moment, alerts = read(service), service.alerts
    why = not_made(alerts, moment, service.settings.refresh_seconds)
    st.html(standing(alerts, moment, why) + answers(service, OF_ALERTS))
    st.subheader("Open alerts" if alerts is None else counted_words(folded(alerts.active)))
    if alerts is None:
        st.html(one(Level.UNKNOWN, "What is open is not known: see Risk for the lights."))
        return
    if not alerts.active:
        words = "None was open when alerts were last heard of; what went wrong since is not among them."
        st.html(one(Level.UNKNOWN, words) if why else nothing_open(alerts, moment))
        return
    if why:
        st.html(one(Level.UNKNOWN, "As they were when alerts were last heard of:"))
    _rows(service, alerts, moment, asks=asks)


def channels(service: Engine, *, asks: bool) -> None:
    """Draw every channel with what it does and a test; say it when nobody is reached."""
    look(service)
    alerts, now = service.alerts, service.now()
    st.subheader("Channels")
    if alerts is None:
        st.html(one(Level.UNKNOWN, "No channel is known here."))
        return
    if not reaching([row.name for row in alerts.channels]):
        words = "Nobody is reached: no channel is configured but the log."
        st.html(one(Level.WATCH, words, f'<div class="pg-next">{said(WHAT_TO_SET)}</div>'))
    for row in alerts.channels:
        left, right = st.columns([9, 1], vertical_alignment="center")
        left.html(channel_card(row, now, _tested(service, row)))
        with right:
            if asks:
                _test(service, row)


def standing(alerts: AlertsNow | None, moment: Moment, why: str) -> str:
    """HTML: who watches, since when, what is wrong with it, what was told today."""
    lines = [one(Level.UNKNOWN, why)] if why else []
    if moment.health is not None and moment.health.watched_by:
        asked = (
            f"{moment.health.watched_by} watches this book and sends; this program shows it and passes on what you ask."
        )
        lines.append(f"<div>{said(asked)}</div>")
    if alerts is not None:
        lines += [one(Level.UNKNOWN, words) for words in (alerts.problem, alerts.watch.problem) if words]
        lines.append(f"<div>{said(watch_words(alerts, moment.now))}</div>")
        lines.append(f'<div class="pg-soft">{said(budget_words(alerts, moment.now))}</div>')
        lines += [] if alerts.watch.heartbeat else [f'<div class="pg-soft">{said(NO_HEARTBEAT)}</div>']
    return f'<section class="pg-standing" aria-label="Who watches">{"".join(lines)}</section>'


def _rows(service: Engine, alerts: AlertsNow, moment: Moment, *, asks: bool) -> None:
    rules = None if moment.matrix is None else moment.matrix.alerts
    most, names = st.session_state.get(_SHOWN, FIRST), [one.name for one in alerts.channels]
    found = folded(alerts.active)
    for row in found.own[:most]:
        name, follow = short(row.identity), found.following.get(row.identity, ())
        with st.container(border=True, key=f"alert_{name}", gap="xsmall"):
            left, right = st.columns([7, 3], vertical_alignment="center")
            left.html(card(row, moment.now, rules, names, mutes_words(follow)))
            if asks:
                with right:
                    buttons(service, row, name, loud=row.state in NOBODY and row.severity in _LOUD)
            if follow:
                with st.expander(f"Show what follows from it: {len(follow)}", key=f"follows_{name}"):
                    _listed(follow, moment, rules, names)
    rest = found.own[most:]
    if not rest:
        return
    label = f"Show {min(len(rest), FIRST)} more of {len(rest)}"
    st.button(label, key="alerts_more", on_click=act, args=(keep, _SHOWN, most + FIRST))
    with st.expander(f"{counted(len(rest), 'more alert')}, in short", key="alerts_rest"):
        _listed([one for row in rest for one in (row, *found.following.get(row.identity, ()))], moment, rules, names)


def _listed(rows: Sequence[AlertRow], moment: Moment, rules: AlertRules | None, names: Sequence[str]) -> None:
    """List alerts without buttons."""
    st.html("".join(card(row, moment.now, rules, names) for row in rows[:_LISTED]))
    if len(rows) > _LISTED:
        st.caption(f"{len(rows) - _LISTED} more are not listed here.")


def _tested(service: Engine, row: ChannelRow) -> str:
    """What came of the last test of a channel, asked from this session."""
    found = last(Kind.TEST_CHANNEL, row.name)
    now = service.now()
    return "" if found is None else f"Test: {outcome(found, now, watcher_of(service.health().watched_by))}"


def _test(service: Engine, row: ChannelRow) -> None:
    waits = pending(Kind.TEST_CHANNEL, row.name, service.now())
    where = "a line into the log" if row.name == LOG else f"a test message to {row.name} only"
    st.button(
        "Send test", key=f"test_{short(row.name)}", disabled=waits, help=f"Sends {where}.", on_click=act,
        args=(wish, service, Kind.TEST_CHANNEL, row.name, f"Test of {row.name}", {"channel": row.name}),
    )  # fmt: skip

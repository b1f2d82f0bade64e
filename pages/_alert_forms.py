"""What a person does about an alert: has it, silences it, has acted. Each is one dialog, opened from what the session
remembers: the list behind it ticks on and cannot close it, and a form that was sent is not sent again.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import streamlit as st

from guardrails import calendar
from guardrails.alerts.people import LONGEST
from guardrails.alerts.values import AlertRow
from guardrails.engine import Engine
from guardrails.requests import Kind
from guardrails.titles import headline
from pages._alerts import card
from pages._moment import full_time, since_words
from pages._past import new_york
from pages._press import act, act_and_redraw, keep
from pages._wishes import called, pending, who, wish

CUSTOM = "Until …"
_ASKING, _TRIED = "alert_asking", "alert_tried"
_MOST_WORDS = 500
_HEADS = {Kind.ACKNOWLEDGE: "I have it", Kind.SILENCE: "Silence", Kind.ACTED: "I acted"}
_MEANS = {
    Kind.ACKNOWLEDGE: "Nobody else is told while it stays as it is. It is told again when it gets worse.",
    Kind.SILENCE: "Nobody is told until then, unless it gets worse. The light stays as it is.",
    Kind.ACTED: "Counts it among the alerts that led to an action. It stays open until it is right.",
}


@dataclass(frozen=True, slots=True)
class Asking:
    """The dialog that is open."""

    kind: Kind
    row: AlertRow
    """as it was at the click"""
    nonce: str
    """of this opening: what is sent under it is sent once"""


def buttons(service: Engine, row: AlertRow, name: str, *, loud: bool) -> None:
    """Draw what can be done about `row`; `name` is unique on the page, `loud` when nobody has it."""
    now = service.now()
    with st.container(horizontal=True, horizontal_alignment="right", key=f"do_{name}", gap="xsmall"):
        st.button(
            "I have it", key=f"have_{name}", type="primary" if loud else "secondary",
            on_click=act_and_redraw, args=(_open, Kind.ACKNOWLEDGE, row),
        )  # fmt: skip
        if row.silence is None:
            st.button(
                "Silence …", key=f"silence_{name}", on_click=act_and_redraw, args=(_open, Kind.SILENCE, row)
            )  # fmt: skip
        else:
            what = f"End the silence of {headline(row.check, row.subject)}"
            st.button(
                "End the silence", key=f"unsilence_{name}", disabled=pending(Kind.UNSILENCE, row.identity, now),
                on_click=act, args=(wish, service, Kind.UNSILENCE, row.identity, what, {"alert": row.identity}),
            )  # fmt: skip
        st.button(
            "I acted", key=f"acted_{name}", disabled=row.acted, help=_MEANS[Kind.ACTED],
            on_click=act_and_redraw, args=(_open, Kind.ACTED, row),
        )  # fmt: skip


def form(service: Engine) -> None:
    """Draw the dialog that is open, if one is; for the script of the page, not for a part that ticks."""
    asking: Asking | None = st.session_state.get(_ASKING)
    if asking is None:
        return
    title = f"{_HEADS[asking.kind]}: {headline(asking.row.check, asking.row.subject)}"
    st.dialog(title, on_dismiss=close)(_body)(service, asking)


def close() -> None:
    """No dialog is open any more."""
    st.session_state.pop(_ASKING, None)


def _open(kind: Kind, row: AlertRow) -> None:
    keep(_ASKING, Asking(kind, row, secrets.token_hex(4)))


def _body(service: Engine, asking: Asking) -> None:
    """The dialog: the alert as it is now, what the step means, the fields, one button."""
    kind, now = asking.kind, service.now()
    alerts = service.alerts
    active = () if alerts is None else alerts.active
    row = next((one for one in active if one.identity == asking.row.identity), None)
    if row is None:
        st.write("It is over meanwhile: nothing is left to do about it.")
        st.button("Close", key=f"close_{asking.nonce}", on_click=act_and_redraw, args=(close,))
        return
    st.html(card(row, now, None))
    st.caption(_MEANS[kind])
    _fields(asking, now)
    st.text_input("Your name", who(), key=f"author_{asking.nonce}", max_chars=60)
    if watched_by := service.health().watched_by:
        st.caption(f"{watched_by} watches this book: it is asked to do this, and answers here.")
    label = "Silence it" if kind is Kind.SILENCE else _HEADS[kind]
    st.button(
        label, key=f"send_{asking.nonce}", type="primary", on_click=act_and_redraw, args=(send, service, asking, row)
    )
    _, wrong = _filled(asking, now)
    if wrong and st.session_state.get(_TRIED) == asking.nonce:
        st.html(f'<div class="pg-wrong" role="alert">{wrong}</div>')


def send(service: Engine, asking: Asking, row: AlertRow) -> None:
    """Ask once for what was filled in about `row` as it stood before the person: a second click comes too late."""
    still: Asking | None = st.session_state.get(_ASKING)
    if still is None or still.nonce != asking.nonce:
        return
    body, wrong = _filled(asking, service.now())
    if wrong:
        keep(_TRIED, asking.nonce)
        return
    name = _field(asking, "author", who())
    told = {"alert": row.identity, **body, **({} if asking.kind is Kind.ACTED else shown(row))}
    wish(service, asking.kind, row.identity, f"{_HEADS[asking.kind]}: {headline(row.check, row.subject)}", told, name)
    called(name)
    close()


def _fields(asking: Asking, now: datetime) -> None:
    """Draw the fields."""
    if asking.kind is not Kind.SILENCE:
        label = "Note (may stay empty)" if asking.kind is Kind.ACKNOWLEDGE else "What was done"
        st.text_input(label, key=f"note_{asking.nonce}", max_chars=_MOST_WORDS)
        return
    st.text_input("Reason", key=f"reason_{asking.nonce}", max_chars=_MOST_WORDS)
    ends = ends_of(now)
    choice = st.segmented_control(
        "Until", [*ends, CUSTOM], key=f"until_{asking.nonce}", default=next(iter(ends)), required=True
    )
    if str(choice) not in ends:
        st.datetime_input(
            "Date and time in New York (ET)", _start(now), key=f"end_{asking.nonce}", step=timedelta(minutes=1),
            format="YYYY-MM-DD", required=True,
        )  # fmt: skip
    st.caption(f"Ends {full_time(_until(asking, now))}.")


def _field(asking: Asking, name: str, otherwise: str = "") -> str:
    """What a field of text holds; right also inside a callback."""
    return str(st.session_state.get(f"{name}_{asking.nonce}", otherwise) or "").strip()


def _filled(asking: Asking, now: datetime) -> tuple[dict[str, str], str]:
    """What the fields hold, and what is still missing in words."""
    nobody = "" if _field(asking, "author", who()) else "Say who you are: the others must know whom to ask."
    if asking.kind is not Kind.SILENCE:
        return {"note": _field(asking, "note")}, nobody
    reason, until = _field(asking, "reason"), _until(asking, now)
    missing = "" if reason else "Say why: a silence without a reason cannot be understood later."
    return {"reason": reason, "until": until.isoformat()}, missing or wrong_end(until, now) or nobody


def _until(asking: Asking, now: datetime) -> datetime:
    """The end that is chosen; while none is, the first that is offered."""
    ends = ends_of(now)
    choice = st.session_state.get(f"until_{asking.nonce}", next(iter(ends)))
    return ends.get(str(choice)) or new_york(st.session_state.get(f"end_{asking.nonce}") or _start(now))


def _start(now: datetime) -> datetime:
    """Where the choice of another end begins, on New York clocks."""
    return (now + timedelta(hours=2)).astimezone(calendar.NEW_YORK).replace(second=0, microsecond=0, tzinfo=None)


def shown(row: AlertRow) -> dict[str, str]:
    """What the person had before them: what is worse by now, or another life of it, is not taken."""
    return {"severity": row.severity.value, "step": str(row.step), "fired": row.fired.isoformat()}


def ends_of(now: datetime) -> dict[str, datetime]:
    """The ends of a silence that one click chooses, by label."""
    ends = {"15 min": now + timedelta(minutes=15), "1 h": now + timedelta(hours=1)}
    if calendar.is_open(now):
        ends["Rest of session"] = calendar.session_bounds(calendar.session_of(now))[1]
    else:
        following = next_open(now)
        if following - now <= LONGEST:
            ends[f"To the open, {since_words(following, now)}"] = following
    return ends


def next_open(now: datetime) -> datetime:
    """When the market opens next."""
    today = calendar.exchange_date(now)
    if calendar.is_session(today) and now < calendar.session_bounds(today)[0]:
        return calendar.session_bounds(today)[0]
    return calendar.session_bounds(calendar.next_session(today))[0]


def wrong_end(until: datetime, now: datetime) -> str:
    """Why a silence cannot end then; empty when it can."""
    if until <= now:
        return f"{full_time(until)} has passed: choose a later end."
    if until - now > LONGEST:
        return f"A silence lasts at most 7 days: choose an end before {full_time(now + LONGEST)}."
    return ""

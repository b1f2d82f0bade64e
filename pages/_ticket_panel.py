"""The right half of the ticket: what the order would do, and sending it. It ticks, and asks nothing by itself."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from guardrails import wording
from guardrails.engine import Engine
from guardrails.findings import Level
from guardrails.gate.overriding import override_name
from guardrails.gate.values import Impact, OrderKind, Reason, Verdict
from guardrails.orders_now import OrdersNow
from guardrails.requests import Kind, Said
from guardrails.safety import SafetyState
from guardrails.titles import headline
from pages._alerts import one, said
from pages._blotter import cancel_button
from pages._impact import curve, details
from pages._order_cards import asked_for, stands, state_pill
from pages._press import act, keep
from pages._ticket import Reading, redraw
from pages._ticket_asking import ask, look, newest, waiting
from pages._ticket_send import (
    CHECK,
    LIVE,
    OLD_SECONDS,
    PRICE,
    Judged,
    begun,
    countdown,
    is_begun,
    judged,
    refusal,
    sent_tokens,
    stop,
)
from pages._ticket_steps import REASON, check, first_step, not_sent, second_step, take_quantity, unsent
from pages._verdict import offer_words, only_unasked, summary
from pages._wishes import answers, last, pending, watcher_of, who, wish, wishes
from pages._wishes import look as look_for_answers

_WHY, _WHICH, _MINUTES = "ticket_override_why", "ticket_override_which", "ticket_override_minutes"
_TRIED = "ticket_override_tried"
_MOST_WORDS = 500
_SETS_FREE = (SafetyState.NORMAL, SafetyState.NO_NEW_RISK)
"""safety states in which an override counts"""


def question(service: Engine, reading: Reading, *, again: bool = False) -> None:
    """Ask what the order of `reading` would do, without a broker, unless that was asked; for the script of the page."""
    if reading.order is not None:
        ask(service, LIVE, Kind.SIMULATE, {"order": reading.text, "preview": "no"}, reading.text, again=again)


def panel(service: Engine, orders: OrdersNow | None, reading: Reading, *, quick: bool) -> None:
    """Draw Impact and sending of the order of `reading`; `quick` says that it ticks fast, because an answer is due."""
    look_for_answers(service)
    came = look(service)
    if redraw() or ((came or quick) and not waiting(service.now(), LIVE, CHECK, PRICE)):
        st.rerun()  # the fields take mid and natural from it, and the panel ticks slowly again
    now, watcher = service.now(), watcher_of(service.health().watched_by)
    found = judged(reading, now, watcher)
    used = found.impact is not None and found.token_of in sent_tokens() and not _refused(found.token_of)
    st.html('<b class="pg-soft">Sent; how the order stands is below.</b>' if used else _head(reading, found, service))
    if not used:
        _offer(reading, found)
    _sending(service, orders, reading, found)
    if used and found.impact is not None:  # a verdict of before it was sent must not stand there as one of now
        st.html(f"<details><summary>What was judged before it was sent</summary>{details(found.impact)}</details>")
    elif found.impact is not None:
        _override(service, orders, found.impact)
        st.html(details(found.impact))
        _curve(found.impact, "ticket_curve")
    elif found.before is not None:
        st.html(f'<div class="pg-stale"><b>Of the order before, not of this one:</b>{details(found.before)}</div>')


def _head(reading: Reading, found: Judged, service: Engine) -> str:
    """HTML of what is read first: the verdict; or why there is none."""
    now = service.now()
    if found.impact is not None:
        told, late = summary(found.impact, now), _late(found.impact, found.token_of, service)
        waits = '<div class="pg-soft">Asking the broker …</div>' if found.waits else ""
        verdict = f'{one(Level.UNKNOWN, late)}<div class="pg-stale">{told}</div>' if late else told
        return verdict + waits + (one(Level.UNKNOWN, found.trouble) if found.trouble else "")
    if reading.order is None:
        return one(Level.NOT_APPLICABLE, f"Nothing is judged yet. {reading.problem}")
    if found.waits:
        return one(Level.UNKNOWN, "Being judged …")
    return one(Level.UNKNOWN, found.trouble or "It has not been judged yet.")


def _late(impact: Impact, token: str, service: Engine) -> str:
    """Why the verdict that was given must not be taken for one of now; empty when it may."""
    old, orders = (service.now() - impact.time).total_seconds(), service.orders
    if token in sent_tokens() and _refused(token):
        return "It was refused after this verdict was given. Check again."
    if orders is not None and orders.safety.since is not None and orders.safety.since > impact.time:
        return f"The safety state was set to {orders.safety.state.value} since this was judged. Check again."
    if old > OLD_SECONDS:
        return f"Judged {wording.age(old)} ago: the book has moved on since. Check again before you rely on it."
    return ""


def _offer(reading: Reading, found: Judged) -> None:
    """One click takes the largest quantity that would pass."""
    impact = found.impact
    if impact is None or not offer_words(impact) or impact.max_quantity is None:
        return
    if 0 < impact.max_quantity < impact.order.quantity:
        st.button(
            f"Take {impact.max_quantity} of {impact.order.quantity}", key="ticket_offer", type="primary",
            on_click=act, args=(take_quantity, impact.max_quantity), disabled=reading.order is None,
        )  # fmt: skip


def _sending(service: Engine, orders: OrdersNow | None, reading: Reading, found: Judged) -> None:
    """Check, reason, the two steps, and what came of what was sent."""
    now, impact, text = service.now(), found.impact, reading.text
    waits = waiting(now, CHECK)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Ask the broker and check", key="ticket_check", disabled=reading.order is None or waits,
            type="secondary" if found.token_of else "primary", on_click=act, args=(check, service),
            help="Judges exactly this order with the margin the broker says it takes; only that gives leave to send.",
        )  # fmt: skip
        st.html(f'<div class="pg-soft">{said(_wait_words(waits=waits, impact=impact, service=service))}</div>')
    reason = ""
    if impact is not None and impact.verdict is Verdict.WARN and impact.kind is not OrderKind.EXIT:
        reason = str(st.text_input("Why you send it against the warning", key=REASON, max_chars=_MOST_WORDS) or "")
    why = refusal(reading, found, now, orders, reason, sent_tokens())
    title = impact.title if impact is not None else "the order, once it is judged"
    token = found.token_of
    if is_begun() and not begun(token, text):
        not_sent("The order was changed, or judged anew. Check it again.")
    elif is_begun() and why:
        not_sent(why)
    st.button(
        f"Send: {_label(title)}", key="ticket_send", type="primary", disabled=bool(why), on_click=act,
        args=(first_step, service, token, text),
    )  # fmt: skip
    if why:
        st.html(f'<div class="pg-soft" role="status">{said(why)}</div>')
    elif begun(token, text):
        with st.container(horizontal=True, gap="small", key="ticket_second_step"):
            st.button(
                "Yes, send", key="ticket_yes", type="primary", on_click=act,
                args=(second_step, service, token, text, title, reason), shortcut=None,
            )  # fmt: skip
            st.button("No, not now", key="ticket_no", on_click=act, args=(stop,))
    records = () if orders is None else orders.records
    came = answers(service, (Kind.SUBMIT, Kind.OVERRIDE), lambda wish: stands(wish, records))
    words = one(Level.WATCH, unsent()) if unsent() else ""
    st.html(f"<div>{words}{came}{_refused(token)}</div>")
    _just_sent(service, orders)


def _just_sent(service: Engine, orders: OrdersNow | None) -> None:
    """The order that was sent last from here, as it is now, with its cancel beside it, while it is not over."""
    submits = [wish for wish in wishes() if wish.kind is Kind.SUBMIT]
    record = asked_for(submits[-1], orders.records) if submits and orders is not None else None
    if record is not None and not record.state.is_over:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="ticket_sent"):
            st.html(state_pill(record.state), width="content")
            cancel_button(service, record, service.now(), "ticket_sent")


def _label(title: str) -> str:
    """A title on a button, where Markdown must not be read into it."""
    return title.replace("[", "\\[").replace("*", "\\*").replace("_", "\\_").replace("$", "\\$").replace(":", "\\:")


def _wait_words(*, waits: bool, impact: Impact | None, service: Engine) -> str:
    now = service.now()
    asked = newest(CHECK)
    if waits and asked is not None:
        return f"Asked {wording.age(max((now - asked.time).total_seconds(), 0.0))} ago …"
    used = impact is not None and impact.approval is not None and impact.approval.token in sent_tokens()
    return "" if impact is None or used else countdown(impact, now)


def _refused(token: str) -> str:
    """HTML that a submit was refused: nothing was sent, and what to do; nothing else has words of its own."""
    done = last(Kind.SUBMIT, token) if token else None
    if done is None or done.answer is None or done.answer.said is not Said.REFUSED:
        return ""
    return one(Level.BREACH, "Nothing was sent: it was refused when everything was checked again. Check it anew.")


def _curve(impact: Impact, key: str) -> None:
    figure = curve(impact)
    if figure is None:
        st.html(one(Level.UNKNOWN, "The curve is not known: what is held or traded cannot be revalued."))
        return
    st.plotly_chart(
        figure, key=key, config={"displayModeBar": False},
        alt="P&L of the book against the index, without and with the order",
    )  # fmt: skip


def overridable(service: Engine, orders: OrdersNow | None, impact: Impact) -> list[Reason]:
    """The reasons that block and that a person may override for a while."""
    if orders is None or orders.safety.state not in _SETS_FREE or only_unasked(impact):
        return []
    allowed = service.matrix.orders.overridable
    return [
        reason
        for reason in impact.reasons
        if reason.verdict is Verdict.BLOCK and not reason.overridden and override_name(reason) in allowed
    ]


def _override(service: Engine, orders: OrdersNow | None, impact: Impact) -> None:
    """The form that overrides one reason, where the matrix allows it."""
    found = overridable(service, orders, impact)
    if not found:
        return
    most = int(service.matrix.orders.override_minutes)
    with st.expander("Override a limit for a while …", key="ticket_override"):
        names = {headline(override_name(reason), reason.subject): reason for reason in found}
        picked = str(st.selectbox("Which", list(names), key=_WHICH))
        why = st.text_input("Why (it is journaled and counted)", key=_WHY, max_chars=_MOST_WORDS)
        st.number_input("For how many minutes", 1, most, min(most, 15), key=_MINUTES)
        target = _target(names.get(picked, found[0]))
        st.button(
            "Override it", key="ticket_override_do", disabled=pending(Kind.OVERRIDE, target, service.now()),
            on_click=act, args=(_override_it, service, names),
        )  # fmt: skip
        if st.session_state.get(_TRIED) == target and not str(why or "").strip():
            st.html('<div class="pg-wrong" role="alert">Say why: nothing was overridden.</div>')
        st.caption("It ends by itself. After it is in force, ask the broker and check again.")


def _target(reason: Reason) -> str:
    return f"{override_name(reason)} {reason.subject}"


def _override_it(service: Engine, names: Mapping[str, Reason]) -> None:
    """Ask for what the fields hold, some of which may come with the click, after this was drawn."""
    name = str(st.session_state.get(_WHICH))
    picked, minutes = names.get(name), st.session_state.get(_MINUTES, "")
    why = str(st.session_state.get(_WHY) or "").strip()
    if picked is None:
        return
    if not why:
        keep(_TRIED, _target(picked))
        return
    body = {
        "check": override_name(picked), "subject": picked.subject, "reason": why, "minutes": str(minutes),
    }  # fmt: skip
    wish(service, Kind.OVERRIDE, _target(picked), f"Override {name} for {minutes} min", body, who())

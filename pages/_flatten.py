"""The flatten dialog, from every page in two clicks: choose, see the plan, type its phrase, watch it to its end.

It is opened from what the session remembers, so that the page behind it ticks on and cannot close it. What a plan would
do is shown before anything is done; only the phrase, typed out, begins it, and only fresh positions end it.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import date
from typing import Any

import streamlit as st

from guardrails.engine import Engine
from guardrails.execution.values import RunState
from guardrails.flatten.plan_json import plan_from, wish_json
from guardrails.flatten.printed import as_csv, as_text
from guardrails.flatten.values import HedgeOffer, Plan, Scope, Wish
from guardrails.instruments import Kind as InstrumentKind
from guardrails.requests import Kind, Said
from guardrails.snapshot import Snapshot
from pages import _flatten_words as words
from pages._alerts import said
from pages._flatten_run import running, runs_of, watch
from pages._moment import day_and_time
from pages._press import act, act_and_redraw, keep
from pages._ticket import put
from pages._ticket_legs import ticket_of
from pages._wishes import PATIENCE, called, last, look, outcome, pending, watcher_of, who, wish

_OPENING, _TRIED = "flatten_opening", "flatten_tried"
_SCOPES = {
    Scope.SHORT_OPTIONS: "All short options",
    Scope.UNDERLYING: "One underlying",
    Scope.EXPIRY: "One expiry",
    Scope.EVERYTHING: "Everything",
}
_MEANS = {
    Scope.SHORT_OPTIONS: "Every short option is bought back; what is long stays, unless packages are kept whole.",
    Scope.UNDERLYING: "Options, shares and futures on one underlying group.",
    Scope.EXPIRY: "Everything that expires on one day.",
    Scope.EVERYTHING: "Options, shares and futures in every account chosen.",
}


@dataclass(frozen=True, slots=True)
class Opening:
    """The dialog that is open."""

    nonce: str
    """of this opening: what is asked under it is asked once"""
    plans: int = 0
    """plans asked for in it"""
    run: str = ""
    """key of the run it watches"""

    @property
    def target(self) -> str:
        """What its last plan was asked under."""
        return f"{self.nonce}-{self.plans}"


def flatten_button(service: Engine, when: str = "") -> None:
    """Draw the button that opens the dialog, for the header of every page; first of the two clicks to a plan.

    `when` stands in its label: ` now` beside a page of the past.
    """
    now_running = running(service)
    label = f"Flatten runs{when} …" if now_running is not None else f"Flatten{when} …"
    says = "Plan how to close positions; nothing is sent before you confirm."
    st.button(label, key="flatten_open", help=says, on_click=act, args=(_begin, service))


def _begin(service: Engine) -> None:
    """Open the dialog: on the run that is under way by now, also where the button was drawn before it began."""
    now_running = running(service)
    _open("" if now_running is None else now_running.key)


def _open(run: str, nonce: str = "") -> None:
    keep(_OPENING, Opening(nonce or secrets.token_hex(4), run=run))


def flatten_dialog(service: Engine) -> None:
    """Draw the dialog, if it is open; for the script of a page, not for a part that ticks."""
    if opening() is not None:
        st.dialog("Flatten", width="large", on_dismiss=close)(_body)(service)


def opening() -> Opening | None:
    """The dialog that is open, None when none is."""
    found: Opening | None = st.session_state.get(_OPENING)
    return found


def close() -> None:
    """No dialog is open any more; a run goes on."""
    st.session_state.pop(_OPENING, None)


def _body(service: Engine) -> None:
    now_open = opening()
    if now_open is None:
        return
    if watched_by := service.health().watched_by:
        st.caption(f"{watched_by} watches this book: it is asked to do this, and answers here.")
    if now_open.run:
        watch(service, now_open.run)
        return
    _last(service, now_open)
    chosen = _choice(service.latest, now_open)
    if chosen is None:
        return
    label = "Show the plan" if not now_open.plans else "Make the plan anew"
    st.button(
        label, key=f"flatten_plan_{now_open.nonce}", type="secondary" if now_open.plans else "primary",
        on_click=act_and_redraw, args=(_ask_plan, service, now_open),
    )  # fmt: skip
    if st.session_state.get(_TRIED) == now_open.nonce:
        st.html('<div class="pg-wrong" role="alert">No plan was asked for: the choice had changed. Press again.</div>')
    if now_open.plans:
        _planned(service, now_open, chosen)


def _last(service: Engine, now_open: Opening) -> None:
    """What came of the last flatten, which a page that was loaded anew has forgotten."""
    done = next((run for run in runs_of(service) if run.state is RunState.DONE), None)
    if done is None or now_open.plans:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html(f'<div class="pg-answers">The last one, {said(day_and_time(done.time))}: {said(done.words)}</div>')
        st.button(
            "Show it", key=f"flatten_last_{now_open.nonce}", on_click=act_and_redraw,
            args=(_open, done.key, now_open.nonce),
        )  # fmt: skip


def _ask_plan(service: Engine, now_open: Opening) -> None:
    """Ask for the plan of what is chosen on screen, which may be newer than what the button was drawn with."""
    if pending(Kind.FLATTEN_PLAN, now_open.target, service.now()):
        return
    chosen = _chosen(now_open.nonce)
    keep(_TRIED, now_open.nonce if chosen is None else "")
    if chosen is None:
        return
    again = Opening(now_open.nonce, now_open.plans + 1)
    wish(service, Kind.FLATTEN_PLAN, again.target, "Plan a flatten", {"wish": wish_json(chosen)})
    keep(_OPENING, again)


def _choice(snapshot: Snapshot | None, now_open: Opening) -> Wish | None:
    """What is to be closed; None while there is nothing to choose from."""
    if snapshot is None:
        st.write("There is no book yet: nothing can be planned before the first complete answer of the sources.")
        return None
    key = now_open.nonce
    scope = st.segmented_control(
        "What", list(_SCOPES), format_func=lambda one: _SCOPES[one], default=Scope.SHORT_OPTIONS, required=True,
        key=f"flatten_scope_{key}",
    )  # fmt: skip
    st.caption(_MEANS[scope or Scope.SHORT_OPTIONS])
    if scope is Scope.UNDERLYING:
        st.selectbox("Underlying", groups(snapshot), key=f"flatten_underlying_{key}")
    if scope is Scope.EXPIRY:
        st.selectbox("Expiry", expiries(snapshot), key=f"flatten_expiry_{key}")
    st.toggle(
        "Keep packages whole", value=True, key=f"flatten_whole_{key}",
        help="Legs that were opened together are closed as one order. Off: shorts first, each by itself.",
    )  # fmt: skip
    accounts = tuple(f"{row.broker} {row.account}" for row in snapshot.accounts)
    if len(accounts) > 1:
        st.multiselect("Accounts", accounts, key=f"flatten_accounts_{key}", placeholder="All accounts")
    chosen = _chosen(key)
    if chosen is None:
        st.write("Nothing of this kind is held.")
    return chosen


def _chosen(nonce: str) -> Wish | None:
    """What the fields hold, None while it is not complete; right also inside a callback."""

    def held(name: str) -> Any:
        return st.session_state.get(f"flatten_{name}_{nonce}")

    scope: Scope = held("scope") or Scope.SHORT_OPTIONS
    underlying = str(held("underlying") or "") if scope is Scope.UNDERLYING else ""
    expiry: date | None = held("expiry") if scope is Scope.EXPIRY else None
    if (scope is Scope.UNDERLYING and not underlying) or (scope is Scope.EXPIRY and expiry is None):
        return None
    return Wish(scope, underlying, expiry, held("whole") is not False, tuple(held("accounts") or ()))


def groups(snapshot: Snapshot) -> list[str]:
    """Underlying groups that something is held on."""
    return sorted({row.group for row in snapshot.positions if row.kind != InstrumentKind.CASH and row.group})


def expiries(snapshot: Snapshot) -> list[date]:
    """Days on which something held expires, nearest first."""
    return sorted({row.expiry for row in snapshot.positions if row.expiry is not None})


def _planned(service: Engine, now_open: Opening, chosen: Wish) -> None:
    """The last plan of this dialog, or that it is on its way, or why there is none."""
    look(service)
    asked = last(Kind.FLATTEN_PLAN, now_open.target)
    if asked is None:
        return
    if asked.answer is None or asked.answer.said is not Said.DONE:
        _waiting(service, Kind.FLATTEN_PLAN, now_open.target, "Plan")
        return
    try:
        plan = plan_from(asked.answer.content)
    except ValueError:
        st.html('<div class="pg-wrong" role="alert">The plan cannot be read; make it anew.</div>')
        return
    draw_plan(plan)
    _files(plan, now_open)
    if plan.wish != chosen:
        st.html('<div class="pg-wrong" role="status">This plan is of another choice: make it anew.</div>')
    elif plan.phrase and not plan.trading:
        _confirm(service, now_open, plan)


def _waiting(service: Engine, kind: Kind, target: str, name: str) -> None:
    """Say what becomes of a wish, a plan or its confirmation; the dialog is drawn anew once it is done."""

    @st.fragment(run_every=service.settings.refresh_seconds)
    def ticking() -> None:
        look(service)
        asked = last(kind, target)
        if asked is None:
            return
        if asked.answer is not None and asked.answer.said is Said.DONE:
            st.rerun()
        told = outcome(asked, service.now(), watcher_of(service.health().watched_by))
        st.html(f'<div class="pg-answers" role="status">{said(name)}: {said(told)}</div>')

    ticking()


def draw_plan(plan: Plan) -> None:
    """Draw what would be done, and what not."""
    parts = (words.problems, words.summary, words.cancels, words.closes, words.left)
    st.html("".join(part(plan) for part in parts))
    if not plan.hedges:
        return
    st.html('<h4 class="pg-soft">Against the delta meanwhile; none of it is part of the plan</h4>')
    for place, offer in enumerate(plan.hedges):
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button(
                "Put it on the ticket", key=f"flatten_hedge_{plan.key}_{place}", on_click=_offered, args=(offer,)
            ):
                st.switch_page("ticket.py")
            st.html(f"<div>{said(words.hedge_words(offer))}</div>", width="stretch")


def _offered(offer: HedgeOffer) -> None:
    """Let the ticket hold the hedge; it is judged and sent there like any other order."""
    put(ticket_of(offer.order))
    close()


def _files(plan: Plan, now_open: Opening) -> None:
    """The list to print and to enter by hand, of every plan."""
    with st.container(horizontal=True, key=f"flatten_files_{now_open.nonce}"):
        name = f"flatten_{plan.time:%Y%m%d_%H%M%S}"
        st.download_button("List to print", as_text(plan), f"{name}.txt", "text/plain", key=f"flatten_txt_{plan.key}")
        st.download_button("CSV", as_csv(plan), f"{name}.csv", "text/csv", key=f"flatten_csv_{plan.key}")


def _confirm(service: Engine, now_open: Opening, plan: Plan) -> None:
    """The phrase, and the one button that begins it."""
    begun = last(Kind.FLATTEN, plan.key)
    if begun is not None and begun.answer is not None and begun.answer.said is Said.DONE:
        st.session_state[_OPENING] = Opening(now_open.nonce, now_open.plans, json.loads(begun.answer.content)["run"])
        st.rerun()
    if begun is not None:
        _waiting(service, Kind.FLATTEN, plan.key, plan.phrase)
        if begun.answer is not None or not begun.pends(service.now(), PATIENCE):
            st.caption("Make the plan anew to try again.")
        return
    st.text_input(f"Type {plan.phrase} to confirm", key=f"flatten_phrase_{plan.key}", max_chars=40)
    st.text_input("Your name", who(), key=f"flatten_author_{plan.key}", max_chars=60)
    st.button(
        "Close them now", key=f"flatten_go_{plan.key}", type="primary", on_click=act_and_redraw,
        args=(_go, service, plan),
    )  # fmt: skip
    wrong = _wrong(plan)
    if wrong and st.session_state.get(_TRIED) == plan.key:
        st.html(f'<div class="pg-wrong" role="alert">{wrong}</div>')


def _name(plan: Plan) -> str:
    """The name typed beside the phrase; right also inside a callback."""
    return str(st.session_state.get(f"flatten_author_{plan.key}", who()) or "").strip()


def _wrong(plan: Plan) -> str:
    """Why the plan cannot be begun with what was typed; empty when it can."""
    typed = str(st.session_state.get(f"flatten_phrase_{plan.key}") or "")
    if not _name(plan):
        return "Say who you are: nothing was sent."
    return "" if " ".join(typed.split()) == plan.phrase else f"Type exactly {plan.phrase}: nothing was sent."


def _go(service: Engine, plan: Plan) -> None:
    """Ask once to begin the plan."""
    if _wrong(plan):
        keep(_TRIED, plan.key)
    elif last(Kind.FLATTEN, plan.key) is None:
        name = _name(plan)
        wish(service, Kind.FLATTEN, plan.key, plan.phrase, {"plan": plan.key, "phrase": plan.phrase}, name)
        called(name)

"""When an order may be sent from the ticket, and the two steps of sending it.

The program that watches decides again at submit whatever stands here; these rules see to it that what is sent is what
was shown: the approval must be of exactly the order on screen, must not have run out, and is used once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import streamlit as st

from guardrails import wording
from guardrails.engine import Engine
from guardrails.gate.values import Impact, OrderKind, Verdict
from guardrails.order_json import impact_of
from guardrails.orders import Order
from guardrails.orders_now import OrdersNow, TradingRow
from guardrails.requests import Kind
from pages._press import keep
from pages._ticket import Reading
from pages._ticket_asking import Question, answered, newest, trouble, waiting
from pages._wishes import wish

LIVE, CHECK, PRICE = "impact", "check", "price"
"""slots: the order as it stands without a broker, with the broker's margin, and quotes before a limit is named"""
_SENT, _CONFIRM, _READ = "ticket_tokens_sent", "ticket_confirm", "ticket_impacts"
_MOST_READ = 8
OLD_SECONDS = 60.0
"""a judgement older than this is said to be old: the book has moved on"""


@dataclass(frozen=True, slots=True)
class Judged:
    """What is known of the order on screen."""

    impact: Impact | None = None
    """of this order; None when none has come"""
    token_of: str = ""
    """the token of an approval for it; empty when there is none"""
    before: Impact | None = None
    """of the order before, while there is none of this one; never to be taken for it"""
    waits: bool = False
    trouble: str = ""
    """why there is no answer"""


def judged(reading: Reading, now: datetime, watcher: str) -> Judged:
    """What was answered about exactly the order of `reading`; an answer about another order stands in `before` only."""
    found = [one for one in (answered(CHECK, reading.text), answered(LIVE, reading.text)) if one is not None]
    waits = waiting(now, LIVE, CHECK)
    problem = "" if reading.order is None else _trouble(reading, now, watcher)
    if reading.order is not None:
        for one in found:
            impact = impact_in(one)
            if isinstance(impact, str):
                problem = problem or impact
            elif not _same(impact.order, reading.order):
                problem = problem or "The answer is about another order: nothing of it is shown. Check again."
            else:
                token = "" if impact.approval is None else impact.approval.token
                return Judged(impact, token, waits=waits, trouble=problem)
    others = [one for one in (answered(CHECK), answered(LIVE)) if one is not None]
    last = max(others, key=lambda one: one.time, default=None)
    before = None if last is None else impact_in(last)
    return Judged(before=before if isinstance(before, Impact) else None, waits=waits, trouble=problem)


def _trouble(reading: Reading, now: datetime, watcher: str) -> str:
    """Why the newest question about this order has no answer: of the check when it was asked, else of the other."""
    asked = [one for one in (newest(CHECK), newest(LIVE)) if one is not None and one.about == reading.text]
    return trouble(max(asked, key=lambda one: one.time, default=None), now, watcher)


def _same(told: Order, here: Order) -> bool:
    """Whether both are the same order; accounts are compared as they are shown."""
    rest = [
        (str(one.account), one.quantity, one.limit, one.time_in_force, one.type) for one in (told, here)
    ]  # fmt: skip
    return _legs(told) == _legs(here) and rest[0] == rest[1]


def impact_in(one: Question) -> Impact | str:
    """The Impact in an answer, read once; words when it cannot be read."""
    known: Mapping[str, Impact | str] = st.session_state.get(_READ, {})
    if one.key in known:
        return known[one.key]
    try:
        found: Impact | str = impact_of(one.content)
    except ValueError:
        found = "The answer cannot be read by this version of the program: nothing of it is shown."
    st.session_state[_READ] = dict([*known.items(), (one.key, found)][-_MOST_READ:])
    return found


def quotes(found: Judged, probe: Reading) -> tuple[float | None, float | None]:
    """Mid and natural of one package of the legs of `probe`, by the newest answer about them; None where not known."""
    asked = None if probe.order is None else answered(PRICE, probe.text)
    told = None if asked is None else impact_in(asked)
    known = [one for one in (found.impact, found.before, told) if isinstance(one, Impact)]
    same = [one for one in known if probe.order is not None and _legs(one.order) == _legs(probe.order)]
    newest_of = max(same, key=lambda one: one.time, default=None)
    return (None, None) if newest_of is None else (newest_of.mid, newest_of.natural)


def _legs(order: Order) -> list[tuple[str, int]]:
    return sorted((leg.instrument.key, leg.ratio) for leg in order.legs)


# --- may it be sent ---


def seconds_left(impact: Impact, now: datetime) -> float:
    """How long the approval holds; 0 when there is none or it has run out."""
    if impact.approval is None:
        return 0.0
    return max((impact.approval.expires_at - now).total_seconds(), 0.0)


def refusal(
    reading: Reading, found: Judged, now: datetime, orders: OrdersNow | None, reason: str, sent: Sequence[str]
) -> str:
    """Why the order on screen cannot be sent now, in words; empty when it can."""
    impact = found.impact
    if reading.order is None:
        return reading.problem
    if impact is None:
        return "It has not been judged yet." if not found.trouble else found.trouble
    if impact.verdict is Verdict.BLOCK:
        if impact.approval is None and not impact.margin.source:
            return "Ask the broker and check first."
        return "It is blocked, for the reasons shown."
    if found.token_of and found.token_of in sent:
        return "This approval has been used. To send the same again, check again."
    if not found.token_of:
        return "Ask the broker and check first: only that gives leave to send."
    if seconds_left(impact, now) <= 0:
        return "The approval has run out: check again."
    if orders is None:
        return "It is not known whether orders can be sent."
    row = trading_row(orders, str(reading.order.account))
    if row is None:
        return f"It is not known whether orders can be sent for {reading.order.account}."
    if row.refusal:
        return row.refusal
    if impact.verdict is Verdict.WARN and impact.kind is not OrderKind.EXIT and not reason.strip():
        return "It warns: say in one line why you send it all the same."
    return ""


def trading_row(orders: OrdersNow, account: str) -> TradingRow | None:
    """What is known of sending for `account`."""
    return next((row for row in orders.trading if row.account == account), None)


def countdown(impact: Impact, now: datetime) -> str:
    """`The approval holds for 24 s more.`, or that it has run out; nothing when there is none."""
    if impact.approval is None:
        return ""
    left = seconds_left(impact, now)
    return f"The approval holds for {wording.age(left)} more." if left > 0 else "The approval has run out: check again."


# --- two steps ---


def sent_tokens() -> tuple[str, ...]:
    """Tokens this session has used."""
    found: tuple[str, ...] = st.session_state.get(_SENT, ())
    return found


def begin(token: str, text: str) -> None:
    """The first step: this approval of this order is about to be used."""
    keep(_CONFIRM, (token, text))


def begun(token: str, text: str) -> bool:
    """Whether the first step was taken for exactly this."""
    return bool(token) and st.session_state.get(_CONFIRM) == (token, text)


def is_begun() -> bool:
    """Whether the first step was taken, of whatever it was."""
    return _CONFIRM in st.session_state


def stop() -> None:
    """Take the first step back."""
    st.session_state.pop(_CONFIRM, None)


def send(service: Engine, token: str, text: str, title: str, told: tuple[str, str]) -> None:
    """The second step; `told` is the reason and the rationale. A token is used once: what comes again does nothing."""
    if not begun(token, text) or token in sent_tokens():
        return
    reason, rationale = (words.strip() for words in told)
    body = {
        "order": text, "token": token, "reason": reason, "rationale": rationale, "origin": "ticket", "tag": "MANUAL",
    }  # fmt: skip
    wish(service, Kind.SUBMIT, token, f"Send: {title}", body)
    keep(_SENT, (*sent_tokens(), token))  # only now: a callback may be begun anew, see `pages._press.act`
    stop()

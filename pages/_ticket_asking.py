"""What the ticket asks without a click: what an order would do, which expiries are listed, the chain of one.

A slot holds the newest question of its kind and the last one that was answered; what is shown is always the answer to
a question whose text is known, so that an answer about another order can never stand beside this one unnoticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import streamlit as st

from guardrails import wording
from guardrails.engine import Engine
from guardrails.requests import Answer, Kind, Said
from pages._wishes import PATIENCE, who

_GIVEN_UP = timedelta(seconds=60)
"""an answer is not looked for any longer"""
_SLOTS = "ticket_questions"


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that was asked."""

    key: str
    """of the request"""
    about: str
    """what it is about: the text of the order, the name of the chain"""
    time: datetime
    answer: Answer | None = None

    def waits(self, now: datetime) -> bool:
        """Whether an answer may still be expected."""
        return self.answer is None and timedelta() <= now - self.time < PATIENCE

    @property
    def content(self) -> str:
        """JSON of the answer; empty when there is none, and when it was not done."""
        return self.answer.content if self.answer is not None and self.answer.said is Said.DONE else ""


@dataclass(frozen=True, slots=True)
class Slot:
    """What was asked of one kind."""

    newest: Question
    before: Question | None = None
    """the last one that was done"""


def ask(service: Engine, slot: str, kind: Kind, body: Mapping[str, str], about: str, *, again: bool = False) -> None:
    """Ask for it, unless the newest question of `slot` is about the same; `again` asks anew, but not while it waits."""
    old, now = _slots().get(slot), service.now()
    if old is not None and old.newest.about == about and (not again or old.newest.waits(now)):
        return
    answered = None if old is None else old.newest if old.newest.content else old.before
    key = service.ask(kind, body, who())
    st.session_state[_SLOTS] = {**_slots(), slot: Slot(Question(key, about, now), answered)}


def look(service: Engine) -> bool:
    """Take the answers that have come; whether there was one."""
    now, found = service.now(), dict(_slots())
    for name, slot in _slots().items():
        one = slot.newest
        if one.answer is None and now - one.time < _GIVEN_UP and (answer := service.answer(one.key)) is not None:
            found[name] = replace(slot, newest=replace(one, answer=answer))
    news = found != _slots()
    if news:
        st.session_state[_SLOTS] = found
    return news


def newest(slot: str) -> Question | None:
    """The newest question of `slot`."""
    found = _slots().get(slot)
    return None if found is None else found.newest


def answered(slot: str, about: str | None = None) -> Question | None:
    """The newest question of `slot` that was done; only when it is `about` that, where it is named."""
    found = _slots().get(slot)
    known = () if found is None else (found.newest, found.before)
    return next((one for one in known if one is not None and one.content and about in (None, one.about)), None)


def waiting(now: datetime, *slots: str) -> bool:
    """Whether an answer to one of `slots` may come at any moment."""
    return any(one is not None and one.waits(now) for one in map(newest, slots))


def drop(slot: str) -> None:
    """Forget what was asked there."""
    st.session_state[_SLOTS] = {name: kept for name, kept in _slots().items() if name != slot}


def trouble(one: Question | None, now: datetime, watcher: str) -> str:
    """Why there is no answer, in words; empty while it is awaited, and when it came."""
    if one is None or one.waits(now):
        return ""
    if one.answer is None:
        return f"{watcher} did not answer in {wording.age(PATIENCE.total_seconds())}: nothing is known. Ask again."
    if one.answer.said is Said.DONE:
        return "" if one.answer.content else "The answer is empty. Ask again."
    words = one.answer.words.strip().rstrip(".") or one.answer.said.value
    return f"{words[:1].upper()}{words[1:]}."


def _slots() -> Mapping[str, Slot]:
    found: Mapping[str, Slot] = st.session_state.get(_SLOTS, {})
    return found

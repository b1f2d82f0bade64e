"""What a person has asked of the program that watches, from this browser session, and what came of it.

A wish is asked once: a second click on the same button while the first is on its way changes nothing. The answer is
looked for at every tick and kept, so that it can be read later.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import streamlit as st

from guardrails import wording
from guardrails.engine import Engine
from guardrails.requests import Answer, Kind, Said
from pages._alerts import said
from pages._moment import clock
from pages._press import keep

PATIENCE = timedelta(seconds=10)
"""without an answer for so long it is said that there is none; one that comes later still counts"""
_GIVEN_UP = timedelta(seconds=60)
"""an answer is not looked for any longer"""
_KEPT = timedelta(minutes=10)
_MOST = 3
"""answers shown at once, the newest"""
_TOLD = {
    Said.DONE: "done",
    Said.REFUSED: "not done",
    Said.EXPIRED: "not done, nobody took it in time",
    Said.UNKNOWN: "it is not known whether it was done",
}
_WISHES, _AUTHOR = "alert_wishes", "alert_author"


@dataclass(frozen=True, slots=True)
class Wish:
    """One thing that was asked."""

    key: str
    """of the request"""
    kind: Kind
    target: str
    """identity of the alert, name of the channel, key of the delivery"""
    what: str
    """in words: `I have it: Margin cushion, IBKR •••4567`"""
    time: datetime
    answer: Answer | None = None

    def pends(self, now: datetime, patience: timedelta) -> bool:
        """Whether it has no answer yet and was asked no longer ago than `patience`."""
        return self.answer is None and timedelta() <= now - self.time < patience


def wishes() -> tuple[Wish, ...]:
    """What this session has asked, oldest first."""
    found: tuple[Wish, ...] = st.session_state.get(_WISHES, ())
    return found


def wish(service: Engine, kind: Kind, target: str, what: str, body: Mapping[str, str], author: str = "") -> None:
    """Ask for it, unless the same is on its way already."""
    now = service.now()
    if pending(kind, target, now):
        return
    kept, author = [one for one in wishes() if now - one.time < _KEPT], author or who()
    key = service.ask(kind, body, author)  # what is asked is kept at once, see `pages._press.act`
    keep(_WISHES, (*kept, Wish(key, kind, target, what, now)))


def pending(kind: Kind, target: str, now: datetime) -> bool:
    """Whether this was asked a moment ago and has no answer yet."""
    return any(one.kind is kind and one.target == target and one.pends(now, PATIENCE) for one in wishes())


def look(service: Engine) -> None:
    """Take the answers that have come."""
    now = service.now()
    found = tuple(
        replace(one, answer=service.answer(one.key)) if one.pends(now, _GIVEN_UP) else one for one in wishes()
    )  # fmt: skip
    if found != wishes():
        st.session_state[_WISHES] = found


def last(kind: Kind, target: str) -> Wish | None:
    """The newest wish of this kind about `target`."""
    return next((one for one in reversed(wishes()) if one.kind is kind and one.target == target), None)


def outcome(one: Wish, now: datetime, watcher: str) -> str:
    """What came of a wish: `done: …`, `refused: …`, or that nobody has answered; `watcher` is who does it."""
    if one.answer is not None:
        words = one.answer.words.strip().rstrip(".")
        told = _TOLD[one.answer.said]
        if not words or words.casefold().startswith(told):
            return f"{words or told}."
        return f"{told}: {words}."
    waited = max((now - one.time).total_seconds(), 0.0)
    if now - one.time < PATIENCE:
        return f"asked {watcher} {wording.age(waited)} ago …"
    return (
        f"{watcher} did not answer in {wording.age(PATIENCE.total_seconds())}. What is not taken soon is not done at "
        "all; look at what is shown here before you ask again."
    )


def watcher_of(watched_by: str) -> str:
    """Who does what is asked, in words; `watched_by` is the other program, if it is one."""
    return f"the watching program on {watched_by}" if watched_by else "this program"


def answers(service: Engine, kinds: tuple[Kind, ...], stands: Callable[[Wish], str] = lambda _: "") -> str:
    """HTML of what came of the newest wishes of these kinds; nothing when there is none.

    `stands` may say how it stands by now: an answer of a minute ago is of a minute ago.
    """
    now = service.now()
    watcher = watcher_of(service.health().watched_by)
    shown = [one for one in wishes() if one.kind in kinds and now - one.time < _KEPT][-_MOST:]
    lines = [
        f"<div><b>{clock(one.time)}</b> {said(one.what)}: {said(stands(one) or outcome(one, now, watcher))}</div>"
        for one in reversed(shown)
    ]
    return f'<div class="pg-answers" role="status">{"".join(lines)}</div>' if lines else ""


def who() -> str:
    """The name this session asks under: the one typed last, at first that of the user this program runs as.

    It is never empty: that would be the program itself.
    """
    return str(st.session_state.get(_AUTHOR, "")) or user() or "somebody"


def called(name: str) -> None:
    """Remember the name for the session."""
    st.session_state[_AUTHOR] = name


def user() -> str:
    """Name of the user this program runs as; nothing where the system has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""

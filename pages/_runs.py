"""Runs of a page's script, one after the other: what the last one has drawn reaches the browser before the next begins.

A page ticks, so a run is asked for every second. When that comes just as a run has ended, but before all it has drawn
was handed on, Streamlit 1.67 begins another and throws the rest away: half a page, and nothing that says so.
"""

# ruff: noqa: SLF001  # Streamlit has no setting and no hook for it

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from streamlit.runtime.app_session import AppSession, AppSessionState

log = logging.getLogger(__name__)

_BEGIN = "_create_scriptrunner"


def keep_what_was_drawn() -> None:
    """Let every session of this process hand on what was drawn before it begins another run; once is enough."""
    begin: Callable[[AppSession, Any], None] | None = getattr(AppSession, _BEGIN, None)
    if begin is None:
        log.warning("this Streamlit begins its runs in another way; a page may lose the end of what was drawn")
        return
    if begin is not _begin_in_turn:
        _original.append(begin)
        setattr(AppSession, _BEGIN, _begin_in_turn)


_original: list[Callable[[AppSession, Any], None]] = []


def _begin_in_turn(session: AppSession, asked: Any) -> None:
    """Begin a run; after what the one before has drawn, if that one has ended and is not done with."""
    if session._scriptrunner is None:
        _original[0](session, asked)
    else:  # behind what waits on the loop to be handed on
        session._event_loop.call_soon_threadsafe(_begin_or_join, session, asked)


def _begin_or_join(session: AppSession, asked: Any) -> None:
    if session._state is AppSessionState.SHUTDOWN_REQUESTED:
        return
    runner = session._scriptrunner  # by now it may be one that another request has begun
    if runner is None or not runner.request_rerun(asked):
        _original[0](session, asked)

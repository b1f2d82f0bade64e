"""Runs of a page's script, one after the other: none costs what the one before has drawn, or a press that began it.

A page ticks, so a run is asked for every second, and Streamlit 1.67 has two holes there. When a run is asked for just
as one has ended, but before all it has drawn was handed on, it throws the rest away: half a page, and nothing says so.
And when a run of the whole page is asked for just as one begins, it forgets the press that the first began with.
"""
# ruff: noqa: SLF001  # Streamlit has no setting and no hook for either

from __future__ import annotations

import logging
from typing import Any

from streamlit.runtime.app_session import AppSession, AppSessionState
from streamlit.runtime.state import SafeSessionState

log = logging.getLogger(__name__)

_BEGIN, _CALL_BACK = "_create_scriptrunner", "on_script_will_rerun"
_begin_run: Any = getattr(AppSession, _BEGIN, None)


def lose_nothing_between_runs() -> None:
    """Close both holes in every session of this process."""
    if _begin_run is None or not hasattr(SafeSessionState, _CALL_BACK):
        log.warning("this Streamlit runs its scripts in another way; part of a page or a press may be lost")
    else:
        setattr(AppSession, _BEGIN, _begin_in_turn)
        setattr(SafeSessionState, _CALL_BACK, _call_back_first)


def _begin_in_turn(session: AppSession, asked: Any) -> None:
    """Begin a run; after what the one before has drawn, if that one has ended and is not done with."""
    if session._scriptrunner is None:
        _begin_run(session, asked)
    else:  # behind what waits on the loop to be handed on
        session._event_loop.call_soon_threadsafe(_begin_or_join, session, asked)


def _begin_or_join(session: AppSession, asked: Any) -> None:
    if session._state is AppSessionState.SHUTDOWN_REQUESTED:
        return
    runner = session._scriptrunner  # by now it may be one that another request has begun
    if runner is None or not runner.request_rerun(asked):
        _begin_run(session, asked)


def _call_back_first(state: SafeSessionState, *args: Any, **more: Any) -> None:
    """Do what was pressed, and only then look whether another run is asked for."""
    with state._lock:
        state._state.on_script_will_rerun(*args, **more)

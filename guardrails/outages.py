"""How it is said that something does not work: a source, a task, the matrix on disk, the engine as a whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from guardrails.findings import Finding, Level
from guardrails.matrix import RiskMatrix
from guardrails.values import Source, SourceState, View

SPEAKING = frozenset({SourceState.LIVE, SourceState.CLOSED, SourceState.FILE})
"""states of a source that answers"""
_ACTIONS = {"store": "Run guardrails doctor; a file that was put aside stays until you remove it (docs/history.md)."}
"""what to do about a task that is not simply tried again"""


def late_after(refresh_seconds: float) -> timedelta:
    """How old the last good cycle may be: five periods, and at least 10 s."""
    return timedelta(seconds=max(5 * refresh_seconds, 10.0))


def is_fresh(last_cycle: datetime | None, now: datetime, refresh_seconds: float) -> bool:
    """Whether the last good cycle is not older than `late_after`, and not that far ahead of the clock.

    One that is ahead is another program's, by a clock that differs from ours: how old it is cannot be said.
    """
    most = late_after(refresh_seconds)
    return last_cycle is not None and -most <= now - last_cycle <= most


def unheard(name: str) -> View:
    """The view of a source that has not answered yet."""
    return View(Source(name, SourceState.CONNECTING, None, "Waiting for the first complete answer."))


def failed_view(name: str, last: View | None, said: str) -> View:
    """The last good view of a source that cannot be read now, marked DOWN; an empty one when there never was any."""
    if last is None:
        return View(Source(name, SourceState.DOWN, None, said))
    return replace(last, source=replace(last.source, state=SourceState.DOWN, detail=said))


def about_matrix(text: str, matrix: RiskMatrix) -> Finding:
    """The Finding that the file on disk is not valid."""
    return Finding(
        "risk_matrix", "matrix", Level.UNKNOWN, None, None, "", None,
        f"The risk matrix on disk is not valid, the last valid one stays in force. {text}",
        next_action="Mend the file; it is taken as soon as it is valid.", matrix_version=matrix.version,
    )  # fmt: skip


def about_task(name: str, text: str, matrix: RiskMatrix) -> Finding:
    """The Finding that a task of the engine fails."""
    action = _ACTIONS.get(name, "See the log; the task is tried again every period.")
    return Finding(
        "engine", f"task:{name}", Level.UNKNOWN, None, None, "", None, f"{name}: {text.rstrip('.')}.",
        next_action=action, matrix_version=matrix.version,
    )  # fmt: skip

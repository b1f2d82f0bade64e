"""`guardrails safety`: the safety state set from the command line, also where no page can be opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from guardrails.asking_the_watch import ask_the_watch
from guardrails.execution.safety_file import STOP_FILE
from guardrails.redaction import redact
from guardrails.requests import Answer, Kind, Said
from guardrails.safety import SafetyState
from guardrails.settings import Settings

DONE, NOT_DONE, USAGE = 0, 3, 64


def set_state(
    state: str, reason: str, settings: Settings, names: Sequence[str], clock: Callable[[], datetime]
) -> tuple[int, str]:
    """Exit code and one sentence.

    The program that watches is asked. Where nobody answers, STOPPED is laid down as the file that is obeyed at the next
    look of whoever begins to watch; any other state needs somebody who watches.
    """
    wanted = state.upper().replace("-", "_")
    if wanted not in SafetyState.__members__:
        return USAGE, f"{state!r:.40} is no safety state; write one of {', '.join(SafetyState)}."
    if not reason.strip():
        return USAGE, "--reason is empty: say why, it is kept in the journal."
    told = ask_the_watch(Kind.SAFETY, {"state": wanted, "reason": reason}, settings, names, clock)
    if isinstance(told, Answer) and told.said is Said.DONE:
        return DONE, told.words
    why = told.words if isinstance(told, Answer) else told
    if wanted == SafetyState.STOPPED:
        return _lay_down(reason, settings, why.rstrip("."))
    return NOT_DONE, why if isinstance(told, Answer) else f"Nothing was set: {why}."


def _lay_down(reason: str, settings: Settings, why: str) -> tuple[int, str]:
    try:
        settings.guardrails_data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        words = redact(" ".join(reason.split()))  # its first line is what is journaled
        (settings.guardrails_data_dir / STOP_FILE).write_text(f"{words}\n", encoding="utf-8", errors="replace")
    except OSError as error:
        return NOT_DONE, f"Not stopped: {why}, and the data folder cannot be written ({type(error).__name__})."
    return DONE, f"The file {STOP_FILE} lies in the data folder; whoever watches next is STOPPED ({why})."

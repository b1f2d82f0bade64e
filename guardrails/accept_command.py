"""`guardrails accept`: a change of a position that nothing explains is said to be right, also where no page is open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from guardrails.asking_the_watch import ask_the_watch
from guardrails.redaction import redact
from guardrails.requests import Answer, Kind, Said
from guardrails.settings import Settings

DONE, NOT_DONE, USAGE = 0, 3, 64


def accept_change(
    account: str,
    position: str,
    reason: str,
    settings: Settings,
    names: Sequence[str],
    clock: Callable[[], datetime],
) -> tuple[int, str]:
    """Exit code and one sentence. The program that watches the book of the sources `names` does it, or nobody."""
    if not reason.strip():
        return USAGE, "--reason is empty: say why it is right, it is kept in the journal."
    body = {"account": account, "position": position, "note": reason}
    told = ask_the_watch(Kind.ACCEPT_CHANGE, body, settings, names, clock)
    if isinstance(told, Answer):
        return DONE if told.said is Said.DONE else NOT_DONE, told.words
    return NOT_DONE, redact(f"{position} in {account} was not accepted (“{reason}”): {told}.")

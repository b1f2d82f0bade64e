"""What a guard is: one named reason why new risk may not be sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from guardrails.gate.case import Case
from guardrails.gate.values import Reason, Verdict

Look = Callable[[Case], Iterable[Reason]]


@dataclass(frozen=True, slots=True)
class Guard:
    """A pure function of a case, and what its reasons weigh for orders that are no new risk."""

    look: Look
    exits: Verdict | None = None
    """most that its reasons make of an exit; None: they do not concern an exit and are not told"""
    hedges: Verdict | None = None
    """the same for a hedge"""
    by_size: bool = False
    """whether a smaller order may pass it"""

    @property
    def name(self) -> str:
        """That of the function, which is also the code of its reasons."""
        return self.look.__name__


def block(
    code: str, message: str, check: str = "", subject: str = "", follows: str = "", *, unknown: bool = False
) -> Reason:
    """A reason that refuses new risk; `unknown`: because something is not known."""
    return Reason(code, Verdict.BLOCK, _sentence(message), check, subject, follows=follows, unknown=unknown)


def warn(code: str, message: str, check: str = "", subject: str = "", follows: str = "") -> Reason:
    """A reason that asks a person for a reason."""
    return Reason(code, Verdict.WARN, _sentence(message), check, subject, follows=follows)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]

"""What a connection can be in: a stable short name, its colour, the words for it, what a person should do."""

from __future__ import annotations

from dataclasses import dataclass

from guardrails.values import SourceState


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a connection."""

    name: str
    state: SourceState
    sentence: str
    action: str = ""


class Lost(Exception):  # noqa: N818  # it is a condition that ends a session, not always a fault
    """The session is over, or never began; `condition` says why."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        super().__init__(condition.name)

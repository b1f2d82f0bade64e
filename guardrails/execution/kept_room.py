"""The room that is kept for the day on which the disk is full, and how a person is told of it."""

from __future__ import annotations

from dataclasses import dataclass

from guardrails.execution import intents
from guardrails.findings import Finding, Level
from guardrails.limits import Limits
from guardrails.reserve import Room

ACTION = "Free space on the disk of the data folder; the room is taken by itself then."


@dataclass(frozen=True, slots=True)
class KeptRoom:
    """In both files of the data folder."""

    exits: Room
    """for intents of exits, which nothing else may take"""
    rows: Room | None
    """for all that must survive; None where nothing is stored"""

    @property
    def is_short(self) -> bool:
        """Whether it is less than is wanted, so that the disk has no more."""
        return self.exits.is_short or (self.rows is not None and self.rows.is_short)

    @property
    def words(self) -> str:
        """For a person."""
        rows = "" if self.rows is None else f", and {self.rows.kept / 1e6:.1f} MB for what else must survive"
        count = self.exits.kept // intents.ORDER_BYTES
        if not self.is_short:
            return f"Room is kept for {count} more exits{rows}, should the disk be full."
        return f"The disk is full, or nearly: room is kept for {count} more exits{rows}."


def findings(room: KeptRoom | None, limits: Limits) -> list[Finding]:
    """A WATCH when less is kept than is wanted; None, before it is known, is no finding."""
    if room is None or not room.is_short:
        return []
    return [
        limits.finding(
            "engine", "task:room on the disk", Level.WATCH, room.words, action=ACTION,
            value=float(room.exits.kept // intents.ORDER_BYTES), unit="exits",
        )
    ]  # fmt: skip

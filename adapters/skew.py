"""Whether the clock on the other side agrees with ours."""

from __future__ import annotations

from datetime import datetime


class Skew:
    """How far the other clock is ahead, from answers in whole seconds: each one bounds it, together they narrow it."""

    KEPT = 8

    def __init__(self) -> None:
        self._bounds: list[tuple[float, float]] = []

    def heard(self, told: datetime, sent: datetime, received: datetime) -> None:
        """Take in one answer: the true time was in [told, told + 1 s) at some moment from `sent` to `received`."""
        bound = ((told - received).total_seconds(), (told - sent).total_seconds() + 1.0)
        self._bounds = [*self._bounds[1 - self.KEPT :], bound]
        if self._low > self._high:  # a clock was set: what was heard before no longer counts
            self._bounds = [bound]

    @property
    def seconds(self) -> float | None:
        """Seconds by which the other clock is surely ahead (negative: behind), 0 when it may be right."""
        if not self._bounds:
            return None
        return self._low if self._low > 0 else self._high if self._high < 0 else 0.0

    @property
    def _low(self) -> float:
        return max(low for low, _ in self._bounds)

    @property
    def _high(self) -> float:
        return min(high for _, high in self._bounds)

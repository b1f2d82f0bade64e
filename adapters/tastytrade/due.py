"""What is to be done again after a while; a clock that is set back makes it due at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta


class Due:
    """Names of things to do, each with when it was done last and how long that holds."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._done: dict[str, tuple[datetime, timedelta]] = {}

    def __contains__(self, name: str) -> bool:
        """Whether `name` is due: never done, done too long ago, or done in what is now the future."""
        if name not in self._done:
            return True
        at, every = self._done[name]
        return not timedelta() <= self._clock() - at < every

    def done(self, name: str, every: timedelta) -> None:
        """`name` was done just now and is due again after `every`."""
        self._done[name] = (self._clock(), every)

    def again(self, name: str) -> None:
        """`name` is due now."""
        self._done.pop(name, None)

    def known(self, name: str) -> bool:
        """Whether `name` was ever done."""
        return name in self._done

"""The program at a moment of the test's choice, `python -m tests.browser.monday`, and the clock they share.

What a quote stream owes depends on the hour: at night silence is normal. So the tests choose an hour of trading.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

FILE = "CLOCK_FILE"
"""name in the environment of the file that holds the hands"""
MONDAY = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
"""11:00 in New York, a session like any other"""


class Hands:
    """A clock whose distance from the real one, in seconds, stands in a file, so that every process sees it move."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(self.path.read_text()))

    def set(self, time: datetime) -> None:
        """Make it `time` now."""
        draft = self.path.with_suffix(".new")
        draft.write_text(str((time - datetime.now(UTC)).total_seconds()))
        draft.replace(self.path)  # nobody reads half a number

    def ahead(self, seconds: float) -> None:
        """Move the hands."""
        self.set(self() + timedelta(seconds=seconds))


def stamping(clock: Hands) -> type[datetime]:
    """A datetime whose `now` is that of `clock`."""

    class Stamp(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return clock().astimezone(tz)

    return Stamp


def main() -> None:
    """Run the program as `streamlit run app.py` does, by the clock of CLOCK_FILE."""
    from ib_async import wrapper  # noqa: PLC0415  # the tests that only need the clock do without
    from streamlit.web import cli  # noqa: PLC0415  # as above

    from pages import _engine  # noqa: PLC0415  # as above

    clock = Hands(Path(os.environ[FILE]))
    _engine.clock = clock
    wrapper.datetime = stamping(clock)  # ib_async stamps what it receives
    sys.argv = ["streamlit", "run", "app.py"]
    cli.main()


if __name__ == "__main__":
    main()

"""How tests are shared out among processes: files in parts, what takes long first, and few browsers at once.

pytest-xdist by itself gives out test by test what has no group, so that what a file makes once is made in every
process; and all tests of Chromium in one group are still running when everything else has ended.
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadGroupScheduling
from xdist.workermanage import WorkerController

PART = 25
"""tests of a file that stay together"""
BROWSERS = 2
"""processes that drive a Chromium at a time: what a page shows within seconds needs a part of the machine"""
LONG = (
    "test_execution_process", "test_store_crash", "test_watch", "test_execution_walk", "test_store_takeover",
    "test_execution_crash", "test_execution_faults", "test_tastytrade_stream", "test_ibkr_faults",
    "test_gate_properties", "test_gate_projected", "test_store_archive", "test_tastytrade_accounts", "test_outcomes",
)  # fmt: skip
"""files that would be waited for if they came last: some tests of theirs take many seconds"""


def drives_browser(name: str) -> bool:
    """Whether a test, or a unit of tests, is one of Chromium."""
    return name.startswith("tests/browser/")


def turn(item: pytest.Item) -> int:
    """Which items come before which others: browsers, then long files, then the rest."""
    if drives_browser(item.nodeid):
        return 0
    return 1 if item.path.stem in LONG else 2


class InParts(LoadGroupScheduling):
    """Gives out groups whole, files of browser tests whole, and other files in parts."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        self._units: dict[str, str] = {}

    def schedule(self) -> None:
        """As the base, with the unit of each test known."""
        seen: dict[str, int] = {}
        for nodeid in next(iter(self.registered_collections.values())):
            path = nodeid.partition("::")[0]
            count = seen[path] = seen.get(path, -1) + 1
            self._units[nodeid] = path if drives_browser(path) else f"{path} {count // PART}"
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        own = super()._split_scope(nodeid)
        return own if own != nodeid and not drives_browser(nodeid) else self._units[nodeid]

    def _assign_work_unit(self, node: WorkerController) -> None:
        """The first unit that waits; no browser while others drive as many as may be, unless nothing else is left."""
        driving = sum(
            any(not all(unit.values()) for name, unit in work.items() if drives_browser(name))
            for other, work in self.assigned_work.items() if other is not node
        )  # fmt: skip
        if driving >= BROWSERS:
            quiet = next((name for name in self.workqueue if not drives_browser(name)), None)
            if quiet is not None:
                self.workqueue.move_to_end(quiet, last=False)
        super()._assign_work_unit(node)

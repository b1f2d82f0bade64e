"""The past judged by several processes: the very answer of one, whatever dies."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from guardrails import replay_processes
from guardrails.replay import Judging, replay
from guardrails.replay_processes import WORTH_IT, processes_for, replay_parts
from guardrails.store.captures import Captured
from guardrails.store.packing import packed, unpacked
from tests.books import MATRIX
from tests.healthy import edited, healthy
from tests.lived import at, lived
from tests.stored import eventually

DAY = 24 * 60.0
KNOWN = {MATRIX.version: MATRIX}
OTHER = edited({
    "regimes.neutral_volatility.vix_max": 18.0,
    "regimes.high_volatility.vix_min": 18.0,
    "regimes.*.limits.max_daily_loss_pct": 0.01,
    "regimes.*.limits.watch_daily_loss_pct": 0.008,
})  # fmt: skip
"""so that regime and losing readings have to be carried"""
DAYS = (0, 1, 2, 5, 6, 7)
"""from Wednesday on, the weekend left out"""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_processes, "LEAST", 2)
    # a page under test leaves its own script as the main one, which a new process would run
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))


def past() -> list[Captured]:
    """Three moments of each of six sessions; VIX passes 18 on the second, and money is lost on the third."""
    world = healthy().position("SPY", day_pnl=None).position("AAPL", day_pnl=None)
    words = [
        at(day * DAY + minutes, world, 18.5 if day else 17.0, net_liquidation=494_000.0 if day == 2 else 500_000.0)
        for day in DAYS
        for minutes in (0, 3, 6)
    ]
    return lived(words, MATRIX, healthy().memory, compiling=True)


def misread(one: Captured) -> Captured:
    """`one` so that its readings of VIX can be read and its accounts cannot."""
    data = json.loads(unpacked(one.inputs))
    data["views"][0]["accounts"][0]["time"] = "yesterday"
    return replace(one, inputs=packed(json.dumps(data).encode()))


def test_two_processes_find_what_one_finds() -> None:
    """Also where a regime is told ahead from moments that cannot be judged: those of the day on which VIX passed 18."""
    moments = past()
    moments[4:6] = [misread(one) for one in moments[4:6]]
    expected = list(replay(moments, OTHER, KNOWN))
    assert [bool(one.problem) for one in expected] == [nth in (4, 5) for nth in range(len(moments))]
    assert len({one.again.regime for one in expected}) > 2
    found = list(replay_parts(moments, Judging(OTHER, KNOWN), 2))
    assert repr(found) == repr(expected)
    assert not multiprocessing.active_children()


def test_processes_that_die_cost_nothing_but_time_and_none_is_left_behind() -> None:
    moments = past()
    expected = list(replay(moments, None, KNOWN))
    judged = replay_parts(moments, Judging(None, KNOWN), 2)
    found = [next(judged)]
    children = multiprocessing.active_children()
    assert children
    for child in children:
        child.kill()
    found += [next(judged) for _ in moments[2:]]
    assert repr(found) == repr(expected[:-1])
    judged.close()
    assert not multiprocessing.active_children()


ASKS = """
import multiprocessing
import time
from guardrails.replay import Judging
from guardrails.replay_processes import replay_parts
from tests.test_replay_processes import KNOWN, past
if __name__ == "__main__":
    judged = replay_parts(past(), Judging(None, KNOWN), 2)
    next(judged)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes are looked for as POSIX has them")
def test_processes_end_with_the_one_that_asked() -> None:
    with subprocess.Popen([sys.executable, "-c", ASKS], stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        children = [int(word) for word in asking.stdout.readline().split()]
        asking.kill()
    assert children
    assert eventually(lambda: not any(_lives(child) for child in children))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")  # one that ended and whose end nobody has asked for yet lives no more
    return not (status.exists() and ") Z" in status.read_text(encoding="utf-8"))


def test_few_moments_are_not_worth_a_process() -> None:
    assert processes_for(WORTH_IT - 1) == 1
    assert 1 <= processes_for(WORTH_IT) <= replay_processes.MOST

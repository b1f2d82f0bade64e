"""A year judged again: 252 sessions of 26 quarters of an hour, 200 positions, prices that move, under another matrix.

The moments are packed as the store packs them, with what the book was measured to lose; each is unpacked, judged and
compared, by as many processes as the command starts. Peers: the same in one process; and on one session, scaled, with
every book revalued, and with the whole Snapshot of every moment. All must find the same levels.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce
from pathlib import Path

from benchmarks import book
from benchmarks.timing import Row, ms
from guardrails import calendar
from guardrails.assess import Inputs, assess, judge
from guardrails.comparison import compare
from guardrails.findings import Level
from guardrails.matrix import RiskMatrix, load, parse
from guardrails.memory import Memory
from guardrails.pricing import compiled
from guardrails.replay import Judging, replay
from guardrails.replay_processes import frozen, processes_for, replay_parts
from guardrails.store.captures import PERIOD, Captured, capture_row
from guardrails.store.metadata import moment
from guardrails.stress.recorded import Recorded, recorded_of
from guardrails.summary import summarise
from guardrails.values import Account, Greeks, Observed, View

PATH = Path(__file__).resolve().parent.parent / "risk_matrix.yaml"
MATRIX: RiskMatrix = load(PATH)
_CHANGED = {"max_daily_loss_pct: 0.03": "max_daily_loss_pct: 0.025", "down_margin: 0.10": "down_margin: 0.12"}
"""so that regime and confirmed losses have to be carried from moment to moment"""
OTHER = parse(reduce(lambda text, pair: text.replace(*pair), _CHANGED.items(), PATH.read_text(encoding="utf-8")))
COUNT, QUARTERS, DAYS, GOAL_SECONDS = 200, 26, 252, 30.0


def views(days: int) -> Iterator[tuple[datetime, View]]:
    """The book of `benchmarks.book` at every quarter of an hour of `days` sessions before its own, prices moving."""
    chance = random.Random(7)  # noqa: S311  # a reproducible year, not a secret
    held, session = book.view(COUNT), calendar.session_of(book.NOW)
    sessions = calendar.sessions_between(session - timedelta(days=2 * days), session)[-days:]
    level = 1.0
    for day in sessions:
        opened, _ = calendar.session_bounds(day)
        for quarter in range(QUARTERS):
            level *= 1.0 + chance.gauss(0.0, 0.0015)
            yield _moved(held, opened + timedelta(minutes=15 * quarter), level)


def _moved(view: View, now: datetime, level: float) -> tuple[datetime, View]:
    """The same book at `now`, everything heard one second ago, underlyings at `level` of what they were."""
    heard, market = now - timedelta(seconds=1), view.market
    prices = {name: replace(p, value=p.value * level, time=heard) for name, p in market.prices.items()}
    return now, replace(
        view,
        source=replace(view.source, time=heard),
        accounts=tuple(_account(one, now, heard, level) for one in view.accounts),
        positions=tuple(
            replace(p, time=heard, mark_time=heard, quote_time=p.quote_time and heard, greeks=_aged(p.greeks, heard))
            for p in view.positions
        ),
        market=replace(
            market, prices=prices, vix=Observed(17.0 / level, heard, book.SOURCE),
            vix3m=Observed(19.0, heard, book.SOURCE),
        ),
    )  # fmt: skip


def _account(account: Account, now: datetime, heard: datetime, level: float) -> Account:
    worth = (account.net_liquidation or 0.0) * (0.9 + 0.1 * level)
    prior = Observed(worth, now - timedelta(hours=18), book.SOURCE)
    return replace(account, time=heard, net_liquidation=worth, prior_net_liquidation=prior)


def _aged(greeks: Greeks | None, heard: datetime) -> Greeks | None:
    return None if greeks is None else replace(greeks, time=heard)


def past(days: int) -> list[Captured]:
    """What the store holds of `days` sessions. Of all but the first the book is not revalued, which would take half an
    hour: what the first lost at that time of the day is recorded of them too."""
    memory, found, lost = Memory(), list[Captured](), list[Recorded | str | None]()
    for nth, (now, view) in enumerate(views(days)):
        inputs = Inputs((view,), memory, now)
        known = lost[nth % QUARTERS] if nth >= QUARTERS else None
        seen = judge(inputs.views, MATRIX, memory, now, recorded=known)
        if nth < QUARTERS:
            lost.append(recorded_of(seen.portfolio.stress))
        snapshot = summarise(seen.portfolio, seen.limits, seen.regime, seen.findings, seen.level, inputs.trading)
        row = capture_row("bench", PERIOD, inputs, snapshot, lost[nth % QUARTERS])
        found.append(Captured(moment(row[1]), row[2], Level(row[3]), *row[4:]))
        memory = seen.memory
    return found


def naive(captured: list[Captured], matrix: RiskMatrix) -> int:
    """The peer: every moment assessed with its Snapshot; how many levels there were in all."""
    found = 0
    for one in captured:
        inputs = one.read_inputs()
        snapshot = assess(inputs.views, matrix, inputs.memory, inputs.now, inputs.extra).snapshot
        found += sum(finding.level is not Level.NOT_APPLICABLE for finding in snapshot.findings)
    return found


def year(days: int = DAYS) -> list[Row]:
    """Seconds for a year under the matrix then in force and under another one, against the peers."""
    compiled.prepare()
    captured = past(days)
    few, known = captured[:QUARTERS], {MATRIX.version: MATRIX}
    _assert_the_same(few, captured, known)
    moments = len(captured)
    processes = processes_for(moments)
    then, other = Judging(None, known), Judging(OTHER, known)
    taken = {
        "then": _seconds(lambda: _judged(captured, then, processes)),
        "other": _seconds(lambda: _judged(captured, other, processes)),
    }
    scaled = {
        "one": _seconds(lambda: compare(replay(captured, OTHER, known))) / len(captured),
        "revalued": _seconds(lambda: compare(replay(few, None, known, revalue=True))) / len(few),
        "naive": _seconds(lambda: naive(few, MATRIX)) / len(few),
    }
    size = sum(len(one.inputs) for one in captured) / len(captured)
    return [
        Row(
            f"a year of quarters of an hour ({moments:,} moments, {COUNT} positions) judged again",
            f"{taken['then']:.1f} s ({processes} processes, their start included; a moment of {size / 1000.0:.0f} kB)",
            f"< {GOAL_SECONDS:.0f} s",
            taken["then"] < GOAL_SECONDS,
        ),
        Row(
            "the same under another matrix, with other rules of the regime",
            f"{taken['other']:.1f} s",
            f"< {GOAL_SECONDS:.0f} s",
            taken["other"] < GOAL_SECONDS,
        ),
        Row("the same under another matrix, in one process", _told(scaled["one"], moments)),
        Row("the same with every book revalued, in one process", _told(scaled["revalued"], moments)),
        Row("the same with the whole Snapshot of every moment", _told(scaled["naive"], moments)),
    ]


def _told(seconds: float, moments: int) -> str:
    return f"{seconds * moments:.1f} s ({ms(seconds * 1000.0)} a moment)"


def _assert_the_same(few: list[Captured], captured: list[Captured], known: dict[str, RiskMatrix]) -> None:
    """Every way to judge finds the levels that were found then."""
    again = list(replay(captured, None, known))
    assert all(one.then.levels == one.again.levels for one in again), "a moment did not come out as it was"
    assert not any(one.revalued for one in again), "a book was revalued"
    assert [one.again for one in replay(few, None, known, revalue=True)] == [one.again for one in again[: len(few)]]
    assert naive(few, MATRIX) == sum(len(one.again.levels) for one in again[: len(few)])


def _judged(captured: list[Captured], judging: Judging, processes: int) -> None:
    with closing(replay_parts(captured, judging, processes)) as judged:
        assert compare(judged).moments == len(captured)


def _seconds(run: Callable[[], object]) -> float:
    with frozen():  # as the command does
        began = time.perf_counter()
        run()
        return time.perf_counter() - began


if __name__ == "__main__":
    for row in year(int(sys.argv[1]) if len(sys.argv) > 1 else DAYS):
        print(f"{row.what}: {row.measured} {row.goal} {row.met}")

"""Two programs with one store: how soon the second shows what the first sees, and watches when the first is gone.

Each is a real engine in a process of its own. Signs of life and their bounds are those of the program. A program on
another machine is one whose machine bears another name: that its process has ended cannot be seen then.
"""

from __future__ import annotations

import os
import platform
import random
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import text

from benchmarks import book
from benchmarks.assessment import MATRIX
from benchmarks.live import ROOT
from benchmarks.store_places import Clock, Place, Told, missing, places
from benchmarks.store_program import Another, Start
from benchmarks.timing import Row
from guardrails.assess import assess
from guardrails.audit import verify_store
from guardrails.memory import Memory
from guardrails.store.inserts import columns
from guardrails.store.metadata import micros
from guardrails.store.schema import FINDING_TRANSITIONS
from guardrails.store.spool import waiting_rows
from guardrails.store.writer import Writer

POSITIONS, ROUNDS = 1_000, 50
GOAL_SECONDS, SHOWN_GOAL_SECONDS, PATIENCE_SECONDS = 30.0, 1.0, 90.0
_STORED = text("SELECT run, time, check_name, subject, new FROM finding_transitions ORDER BY id")


def two(asleep_seconds: float, kind: str) -> Iterator[Row]:
    """The rows of the table; `asleep_seconds` is how long the first program is stopped in the last part."""
    for host in ("", "elsewhere"):
        yield from _one_is_killed(kind, host)
    yield from _one_sleeps(kind, asleep_seconds)


def published(kind: str) -> Iterator[Row]:
    """From handing a Snapshot to the writer until the engine of another program shows it."""
    with places([kind]) as kinds:
        for place in kinds:
            seconds = list(_shown(place))
    worst, usual = max(seconds), statistics.median(seconds)
    how = "NOTIFY" if kind == "PostgreSQL" else "looking twice a second"
    yield Row(
        f"{kind} ({how}): {POSITIONS:,} positions handed over until a second program shows them",
        f"median {usual:.2f} s, worst {worst:.2f} s of {len(seconds)}",
        f"< {SHOWN_GOAL_SECONDS:.0f} s" if kind == "PostgreSQL" else "",
        worst < SHOWN_GOAL_SECONDS if kind == "PostgreSQL" else None,
    )


def _shown(place: Place) -> Iterator[float]:
    began, chance = time.monotonic(), random.Random(20261121)  # noqa: S311  # pauses, not a secret
    clock, matrix = Clock(began), (ROOT / "risk_matrix.yaml").read_text(encoding="utf-8")
    database = place.open(began)
    writer = Writer(database, place.folder / "spool", clock)
    writer.start()
    assert writer.part([book.SOURCE]).watches
    found = assess([book.view(POSITIONS)], MATRIX, Memory(), clock())
    with Another(_start(place, began, "second", source="bench"), place.url) as second:
        second.until(PATIENCE_SECONDS)
        for turn in range(-1, ROUNDS):
            if turn < 0:
                for _ in range(12):  # until the writer has heard of the reader
                    assert writer.part([book.SOURCE]).watches  # a program that gives no sign is taken over from
                    time.sleep(1.0)
            shown = replace(found.snapshot, as_of=clock())
            handed = time.monotonic()
            writer.keep(shown, matrix, found.portfolio, memory=found.memory)
            line = second.until(PATIENCE_SECONDS, as_of=micros(shown.as_of))
            if turn >= 0:
                yield float(line["at"]) - handed
            time.sleep(chance.uniform(0.3, 0.8))
    writer.stop()
    database.close()


def _one_is_killed(kind: str, host: str) -> Iterator[Row]:
    with ExitStack() as stack:
        place, first, second = _pair(kind, host, stack)
        time.sleep(6.0)
        lines = len(second.lines)
        killed = time.monotonic()
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        line = second.until(PATIENCE_SECONDS, lines, watched_by="")
        seen = _next_cycle(second, line["cycles"])
        time.sleep(5.0)
        os.kill(second.process.pid, signal.SIGKILL)
        second.process.wait()
        where = "on this machine" if not host else "on another machine"
        name = f"{kind}: the first program, {where}, is killed (-9)"
        taken, own = line["at"] - killed, seen - killed
        yield Row(f"{name}: until the second watches", f"{taken:.1f} s, its first own Snapshot after {own:.1f} s",
                  f"< {GOAL_SECONDS:.0f} s", own < GOAL_SECONDS)  # fmt: skip
        yield _kept(place, name, first, second)


def _one_sleeps(kind: str, seconds: float) -> Iterator[Row]:
    with ExitStack() as stack:
        place, first, second = _pair(kind, "", stack)
        time.sleep(6.0)
        lines, stopped = len(second.lines), time.monotonic()
        os.kill(first.process.pid, signal.SIGSTOP)
        line = second.until(PATIENCE_SECONDS, lines, watched_by="")
        time.sleep(max(0.0, stopped + seconds - time.monotonic()))
        lines, woken = len(first.lines), time.monotonic()
        os.kill(first.process.pid, signal.SIGCONT)
        reads = first.until(PATIENCE_SECONDS, lines, watched_by=_name(second))
        time.sleep(5.0)
        spooled = first.lines[-1]["spooled"]
        for each in (first, second):
            os.kill(each.process.pid, signal.SIGKILL)
            each.process.wait()
        name = f"{kind}: the first program is asleep for {seconds:.0f} s"
        yield Row(f"{name}: until the second watches", f"{line['at'] - stopped:.1f} s", f"< {GOAL_SECONDS:.0f} s",
                  line["at"] - stopped < GOAL_SECONDS)  # fmt: skip
        runs = [run for run, _ in groupby(row[0] for row in _rows(place))]
        told = f"after {reads['at'] - woken:.1f} s; {spooled} rows of its own wait in its spool"
        yield Row(f"{name}: woken, it reads", f"{told}; runs that wrote, in turn: {len(runs)}",
                  "it wrote nothing more", len(runs) == 2)  # fmt: skip
        yield _kept(place, name, first, second)


def _name(program: Another) -> str:
    """What others call this program."""
    return f"{program.start.host or platform.node()}, process {program.process.pid}"


def _pair(kind: str, host: str, stack: ExitStack) -> tuple[Place, Another, Another]:
    """One that watches, and one that reads what it sees."""
    place = next(stack.enter_context(places([kind])))
    began = time.monotonic()
    first = stack.enter_context(Another(_start(place, began, "first", host=host), place.url))
    first.until(PATIENCE_SECONDS, watched_by="")
    while first.lines[-1]["cycles"] < 10:
        time.sleep(0.05)
    second = stack.enter_context(Another(_start(place, began, "second"), place.url))
    second.until(PATIENCE_SECONDS, watched_by=_name(first))
    while second.lines[-1]["as_of"] is None or second.lines[-1]["cycles"] < 10:
        time.sleep(0.05)
    return place, first, second


def _next_cycle(program: Another, cycles: int) -> float:
    """When `program` first shows a Snapshot later than its `cycles`-th."""
    end = time.monotonic() + PATIENCE_SECONDS
    while program.lines[-1]["cycles"] <= cycles:
        if time.monotonic() > end:
            raise TimeoutError(f"it shows nothing of its own: {program.lines[-1]}")
        time.sleep(0.005)
    return next(float(line["at"]) for line in program.lines if line["cycles"] > cycles)


def _start(place: Place, began: float, name: str, **more: Any) -> Start:
    return Start(str(place.folder / name), str(place.folder), began, **more)


def _rows(place: Place) -> list[Any]:
    database = place.open(0.0)
    with database.reading() as connection:
        found = connection.execute(_STORED).all()
    database.close()
    return list(found)


def _kept(place: Place, name: str, first: Another, second: Another) -> Row:
    """Whether everything that either was told to be kept is stored, and the log verifies."""
    stored = [row[1:] for row in _rows(place)]
    waiting = list(_spooled(Path(first.start.home)))
    begun = second.acknowledged[0][0] if second.acknowledged else 0
    later = [told for told in second.acknowledged if told[0] > begun]  # at first it tells every level, also old ones
    wrong = missing(first.acknowledged, [*stored, *waiting]) + missing(later, stored)
    code, lines = verify_store(place.folder, SecretStr(place.url) if place.url else None)
    bad = "".join(f"; {each}" for each in [*wrong[:3], *(lines if code else [])])
    problem = second.lines[-1]["problem"]
    said = f"{len(first.acknowledged)} + {len(later)} acknowledged, {len(stored)} stored, "
    said += f"{len(waiting)} in the spool of the first, {len(wrong)} missing{bad}"
    return Row(f"{name}: nothing lost", said + (f"; it says: {problem}" if problem else ""),
               "none missing, evidence verifies", not wrong and code == 0)  # fmt: skip


def _spooled(home: Path) -> Iterator[Told]:
    """Changes that wait in the spool of a program for its next start."""
    names = ("time", "check_name", "subject", "new")
    wanted = [columns(FINDING_TRANSITIONS).index(name) for name in names]
    for name, values in waiting_rows(home / "spool"):
        if name == FINDING_TRANSITIONS.name:
            yield [values[place] for place in wanted]

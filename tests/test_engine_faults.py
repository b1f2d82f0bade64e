"""What must not end, stick or be lost in the loop, however a source, a disk or a stop misbehaves."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from guardrails import engine as engine_room
from guardrails.engine import STOP_TIMEOUT_SECONDS, Engine
from guardrails.errors import SourceError
from guardrails.instruments import Instrument
from guardrails.readings import CLOSE_SECONDS
from guardrails.recording import SNAPSHOT_FILE, STATE_FILE
from guardrails.snapshot import read_snapshot
from guardrails.values import View
from tests.test_engine import (
    HEALTHY,
    Desk,
    Feed,
    Start,
    cycles,
    engine_threads,
    first,
    shown,
    source_of,
    start,
    until,
)

__all__ = ["start"]  # a fixture


class Leaking(Desk):
    """A source in which something else was cancelled, as a library's future is when its connection is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.leaks = False

    async def view(self, now: datetime) -> View:
        said = await super().view(now)
        if self.leaks:
            raise asyncio.CancelledError
        return said


def test_a_cancellation_that_is_not_ours_does_not_end_a_task(start: Start) -> None:
    desk = Leaking()
    engine = start(desk)
    first(engine)
    desk.leaks = True
    until(lambda: engine.health().problems == ("read test: failed (CancelledFromWithinError); see the log",))
    until(lambda: source_of(shown(engine)) == ("down", "CancelledError"))
    desk.leaks = False
    until(lambda: engine.health().problems == ())
    until(lambda: source_of(shown(engine))[0] == "live")


class Stubborn(Desk):
    """A source that turns the cancellation at the stop into an error of its own, as a library's clean-up may."""

    async def view(self, now: datetime) -> View:
        try:
            return await super().view(now)
        except asyncio.CancelledError:
            raise ConnectionError("the line was closed") from None


def test_a_task_that_fails_of_being_cancelled_does_not_stop_the_stop(start: Start) -> None:
    desk = Stubborn()
    engine = start(desk)
    first(engine)
    desk.hanging.set()
    asked = desk.asked
    until(lambda: desk.asked > asked)
    engine.stop()
    assert not engine.health().alive


class Deaf(Feed):
    """A live source that cannot say that something changed, while the test wants it so."""

    def __init__(self) -> None:
        super().__init__()
        self.is_deaf = True

    async def changed(self) -> None:
        if self.is_deaf:
            raise OSError("no line")
        await super().changed()


def test_what_went_wrong_with_a_task_that_never_ends_is_right_again_when_it_goes_on(start: Start) -> None:
    feed = Deaf()
    engine = start(feed)
    until(lambda: engine.health().problems == ("hear feed: failed (OSError); see the log",))
    feed.is_deaf = False
    until(lambda: engine.health().problems == ())


class Sticking(Desk):
    """A source that cannot be let go of."""

    async def close(self) -> None:
        self.closed += 1
        await asyncio.Event().wait()


def test_sources_that_hang_while_they_are_closed_cost_the_last_words_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 2 * CLOSE_SECONDS <= STOP_TIMEOUT_SECONDS
    monkeypatch.setattr(engine_room, "STOP_TIMEOUT_SECONDS", 20.0)  # one after the other they would take thirty
    engine = start(*(Sticking(f"{number}") for number in range(12)))
    first(engine)
    files = [engine.settings.data_dir / name for name in (SNAPSHOT_FILE, STATE_FILE)]
    until(lambda: all(file.exists() for file in files))
    for file in files:
        file.unlink()
    engine.stop()
    assert all(file.exists() for file in files)
    assert not engine.health().alive


class SlowDisk:
    """A disk that keeps whoever writes beside the loop until the loop itself has written the first of its files."""

    def __init__(self) -> None:
        self.is_slow, self._own = False, 0
        self.taken, self._overtaken, self._sync = threading.Event(), threading.Event(), os.fsync

    def __call__(self, file: int) -> None:
        self._sync(file)
        if threading.current_thread().name == "engine":
            self._own += 1
            if self._own > 1:
                self._overtaken.set()
        elif self.is_slow:
            self.taken.set()
            self._overtaken.wait(1.0)


def test_the_last_words_are_not_written_over_by_what_was_on_its_way_to_the_disk(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, desk = SlowDisk(), Desk()
    monkeypatch.setattr(os, "fsync", disk)
    engine = start(desk)
    cycles(engine, 5)
    until((engine.settings.data_dir / STATE_FILE).exists)
    disk.is_slow, desk.says = True, SourceError("gone")  # a change of level is written at once
    until(disk.taken.is_set)
    desk.says = HEALTHY.view()
    until(lambda: source_of(shown(engine))[0] == "live")
    engine.stop()
    assert read_snapshot(engine.settings.data_dir / SNAPSHOT_FILE) == engine.latest


def test_what_was_heard_before_a_restart_is_not_of_now(start: Start) -> None:
    mute, desk = Desk("mute"), Desk("test")
    engine = start(mute, desk, first_words_seconds=0.1)
    first(engine)
    engine.stop()
    mute.hanging.set()
    before = engine.health().cycles
    engine.start()
    until(lambda: engine.health().cycles > before)
    assert source_of(shown(engine), "mute")[0] == "connecting"
    assert source_of(shown(engine), "test")[0] == "live"


def test_what_could_not_be_written_is_tried_again_every_period(start: Start, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, not a folder", encoding="utf-8")
    engine = start(data_dir=blocked, snapshot_seconds=600.0)
    until(lambda: not engine.health().store_writable)
    cycles(engine, 10)  # no level moves any more
    blocked.unlink()
    until(lambda: engine.health().store_writable)
    until(lambda: engine.health().problems == ())  # told on the loop, after the thread has written


class Switching(Feed):
    """A source during whose first cycle the market of the demo is exchanged."""

    def __init__(self, other: Desk) -> None:
        super().__init__()
        self.other = other
        self.engine: Engine | None = None

    def follow(self, instruments: Collection[Instrument]) -> None:
        super().follow(instruments)
        if self.engine is not None:
            self.other.hanging.set()  # nothing is known yet of the new market
            self.engine.forget("crash")
            self.engine = None


def test_a_cycle_in_which_the_market_was_exchanged_is_not_shown_as_the_new_market(start: Start) -> None:
    desk = Desk("test", HEALTHY.view())
    feed = Switching(desk)
    engine = start(feed, desk, go=False, first_words_seconds=0.2, scenario="calm")
    feed.engine = engine
    engine.start()
    assert first(engine).positions == ()
    assert engine.scenario == "crash"


class Working(Desk):
    """A source with work in a thread that cannot be told to end."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = threading.Event()

    async def view(self, now: datetime) -> View:
        if self.hanging.is_set():
            await asyncio.to_thread(self.ends.wait, 60.0)
        return await super().view(now)


def test_a_loop_that_has_not_ended_is_not_called_stopped_and_no_second_one_begins(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(engine_room, "STOP_TIMEOUT_SECONDS", 0.2)
    desk, before = Working(), engine_threads()
    engine = start(desk)
    [working] = engine_threads(before)
    first(engine)
    desk.hanging.set()
    asked = desk.asked
    cycles(engine)
    assert desk.asked <= asked + 1
    engine.stop()
    try:
        assert engine.health().alive
        assert "has not ended" in caplog.text
        engine.start()
        assert engine_threads(before) == [working]
    finally:
        desk.ends.set()
        desk.hanging.clear()
    until(lambda: not engine.health().alive)
    engine.start()
    cycles(engine)

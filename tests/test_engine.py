"""The loop: it starts once, outlives whatever a source does, writes down what must survive, and stops."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import stat
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from guardrails import engine as engine_room
from guardrails import http
from guardrails.announcements import announce
from guardrails.engine import Engine, EngineSettings
from guardrails.errors import SourceError
from guardrails.findings import Level
from guardrails.instruments import Instrument
from guardrails.matrix import MatrixFile
from guardrails.memory import read_memory
from guardrails.orders import Order, Preview
from guardrails.outages import is_fresh
from guardrails.recording import SNAPSHOT_FILE, STATE_FILE
from guardrails.snapshot import Snapshot, from_json, read_snapshot, to_json
from guardrails.values import Observed, Source, SourceState, View
from tests.books import IBKR, NOW, option
from tests.healthy import GENEROUS, SPX_PUT, edited_text, healthy, levels

QUICK = 0.02
DEADLINE = 30.0
STOP_SECONDS = 60.0
"""a disk may take longer than the five seconds of the program where much else runs"""
HEALTHY = healthy()
TEXT = edited_text({f"regimes.*.limits.{key}": value for key, value in GENEROUS.items()})


class Clock:
    """The time the engine is told."""

    def __init__(self, time: datetime = NOW) -> None:
        self.time = time

    def __call__(self) -> datetime:
        return self.time


class Desk:
    """A real source whose words, failures and silences the test decides."""

    def __init__(self, name: str = "test", view: View | None = None) -> None:
        self.name = name
        self.says: View | Exception = view or replace(HEALTHY.view(), source=Source(name, SourceState.LIVE, NOW))
        self.asked = 0
        self.closed = 0
        self.hanging = threading.Event()

    async def view(self, now: datetime) -> View:
        self.asked += 1
        if self.hanging.is_set():
            await asyncio.Event().wait()
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    async def close(self) -> None:
        self.closed += 1
        if isinstance(self.says, Exception):
            raise self.says


def until(met: Callable[[], object], what: str = "") -> None:
    """Wait until `met`, at most `DEADLINE` seconds."""
    pause, end = threading.Event(), time.monotonic() + DEADLINE
    while not met():
        assert time.monotonic() < end, what or "the deadline passed"
        pause.wait(0.005)


Start = Callable[..., Engine]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start an engine in a folder of its own; every one of them is stopped at the end, and waited for."""
    started: list[Engine] = []
    matrix = tmp_path / "risk_matrix.yaml"
    matrix.write_text(TEXT, encoding="utf-8")

    def begin(*desks: Desk, clock: Clock | None = None, go: bool = True, **settings: Any) -> Engine:
        chosen = {"data_dir": tmp_path / "data", "refresh_seconds": QUICK, "snapshot_seconds": 600.0, **settings}
        engine = Engine(desks or (Desk(),), MatrixFile.open(matrix), EngineSettings(**chosen), clock or Clock())
        started.append(engine)
        if go:
            engine.start()
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_room, "STOP_TIMEOUT_SECONDS", STOP_SECONDS)
        yield begin
        for engine in started:
            engine.stop()


def shown(engine: Engine) -> Snapshot:
    assert engine.latest is not None
    return engine.latest


def first(engine: Engine) -> Snapshot:
    """The first Snapshot of this run."""
    until(lambda: engine.latest is not None and not engine.restored)
    return shown(engine)


def cycles(engine: Engine, more: int = 2) -> Snapshot:
    """The Snapshot after some more cycles."""
    goal = engine.health().cycles + more
    until(lambda: engine.health().cycles >= goal)
    return shown(engine)


def engine_threads(but: Collection[threading.Thread] = ()) -> list[threading.Thread]:
    """Those of engines, without those that were there before."""
    return [thread for thread in threading.enumerate() if thread.name == "engine" and thread not in but]


# --- start and stop ---


def test_it_publishes_a_frozen_snapshot(start: Start) -> None:
    snapshot = first(start())
    assert snapshot.level in (Level.OK, Level.UNKNOWN)
    assert snapshot.trading == "read-only"
    with pytest.raises(AttributeError):
        snapshot.level = Level.OK  # type: ignore[misc]  # that is the point


def test_it_starts_once(start: Start) -> None:
    before = engine_threads()
    engine = start()
    engine.start()
    engine.start()
    assert len(engine_threads(before)) == 1


def test_it_stops_and_closes_its_sources_once(start: Start) -> None:
    desk = Desk()
    engine = start(desk)
    first(engine)
    engine.stop()
    engine.stop()
    assert not engine.health().alive
    assert desk.closed == 1
    asked = desk.asked
    assert read_snapshot(engine.settings.data_dir / SNAPSHOT_FILE) == engine.latest
    assert desk.asked == asked


def test_stopping_before_the_loop_has_begun_stops_it(start: Start) -> None:
    before = engine_threads()
    for _ in range(10):
        engine = start()
        engine.stop()
        assert not engine.health().alive
        assert engine_threads(before) == []


def test_stopping_what_never_started_is_nothing(start: Start) -> None:
    start(go=False).stop()


def test_it_can_be_started_again(start: Start) -> None:
    engine = start()
    first(engine)
    engine.stop()
    engine.start()
    cycles(engine)
    assert engine.health().problems == ()


def test_an_interrupt_stops_it_cleanly(start: Start) -> None:
    engine = start()
    first(engine)
    held = signal.signal(signal.SIGINT, lambda *_: engine.stop())
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, held)
    assert not engine.health().alive
    assert (engine.settings.data_dir / STATE_FILE).exists()


def test_a_source_that_cannot_be_closed_does_not_stop_the_stop(start: Start) -> None:
    bad, good = Desk("bad"), Desk("good")
    engine = start(bad, good)
    first(engine)
    bad.says = RuntimeError("refused")
    engine.stop()
    assert (bad.closed, good.closed) == (1, 1)
    assert not engine.health().alive


def test_a_source_that_hangs_does_not_stop_the_stop(start: Start) -> None:
    desk = Desk()
    engine = start(desk)
    first(engine)
    desk.hanging.set()
    asked = desk.asked
    until(lambda: desk.asked > asked)
    began = time.monotonic()
    engine.stop()
    assert time.monotonic() - began < STOP_SECONDS / 2
    assert not engine.health().alive


# --- sources that fail ---


def source_of(snapshot: Snapshot, name: str = "test") -> tuple[str, str]:
    row = next(row for row in snapshot.sources if row.name == name)
    return row.state, row.detail


def test_a_failing_source_never_ends_the_loop_and_its_last_view_stays_with_its_age(start: Start) -> None:
    desk, clock = Desk(), Clock()
    engine = start(desk, clock=clock)
    first(engine)
    desk.says = ConnectionResetError("by peer")
    clock.time += timedelta(seconds=40)
    until(lambda: source_of(shown(engine))[0] == "down")
    snapshot = cycles(engine)
    assert len(snapshot.positions) == 5
    assert snapshot.sources[0].age_seconds == 40
    assert snapshot.level is Level.UNKNOWN
    assert levels(snapshot.findings)["beta_delta"] is Level.UNKNOWN
    assert ("engine", "task:read test") in {(f.check, f.subject) for f in snapshot.findings}
    assert engine.health().problems == ("read test: failed (ConnectionResetError); see the log",)


def test_it_recovers_when_the_source_does(start: Start) -> None:
    desk = Desk()
    engine = start(desk)
    first(engine)
    good, desk.says = desk.says, OSError("gone")
    until(lambda: source_of(shown(engine))[0] == "down")
    desk.says = good
    until(lambda: source_of(shown(engine))[0] == "live")
    cycles(engine)
    assert engine.health().problems == ()
    assert "engine" not in levels(cycles(engine).findings)


def test_what_a_source_says_of_itself_is_shown(start: Start) -> None:
    desk = Desk()
    desk.says = SourceError("positions.xml has gone")
    assert source_of(first(start(desk))) == ("down", "positions.xml has gone")


def test_an_error_that_is_not_ours_is_shown_by_name_only(start: Start) -> None:
    desk = Desk()
    desk.says = RuntimeError(f"login of {IBKR.number} failed")
    assert source_of(first(start(desk))) == ("down", "RuntimeError")


def test_a_source_that_hangs_is_down_after_its_timeout(start: Start) -> None:
    desk = Desk()
    engine = start(desk, read_timeout_seconds=0.1)
    first(engine)
    desk.hanging.set()
    until(lambda: source_of(shown(engine)) == ("down", "TimeoutError"))
    desk.hanging.clear()
    until(lambda: source_of(shown(engine))[0] == "live")


def test_one_source_that_hangs_does_not_hide_the_other(start: Start) -> None:
    mute, desk = Desk("mute"), Desk("test")
    mute.hanging.set()
    engine = start(mute, desk, first_words_seconds=0.1)
    snapshot = first(engine)
    assert source_of(snapshot, "mute")[0] == "connecting"
    assert source_of(snapshot, "test")[0] == "live"
    assert snapshot.level is Level.UNKNOWN
    asked = desk.asked
    until(lambda: desk.asked > asked + 2)


def test_the_first_snapshot_waits_for_every_source(start: Start) -> None:
    assert source_of(first(start(Desk("one"), Desk("two"))), "two")[0] == "live"


def test_a_cycle_that_fails_is_a_problem_and_the_last_snapshot_stays(start: Start) -> None:
    desk = Desk()
    engine = start(desk)
    kept = first(engine).as_of
    desk.says = replace(HEALTHY.view(), positions=("not a position",))  # type: ignore[arg-type]  # a broken adapter
    until(lambda: any(problem.startswith("assess: failed") for problem in engine.health().problems))
    assert shown(engine).as_of == kept
    assert engine.health().alive
    desk.says = HEALTHY.view()
    until(lambda: engine.health().problems == ())


# --- feeds follow what the others hold ---


class Feed(Desk):
    """A source that can stream what others hold, and remembers what it was asked for and by which thread."""

    def __init__(self, name: str = "feed") -> None:
        super().__init__(name, View(Source(name, SourceState.LIVE, NOW)))
        self.followed: list[set[str]] = []
        self.threads: set[str] = set()
        self.refuses: Exception | None = None
        self.tried = 0

    def follow(self, instruments: Collection[Instrument]) -> None:
        self.tried += 1
        self.threads.add(threading.current_thread().name)
        if self.refuses is not None:
            raise self.refuses
        self.followed.append({instrument.key for instrument in instruments})

    async def changed(self) -> None:
        await asyncio.Event().wait()

    async def settle(self) -> None:
        return

    async def preview(self, order: Order) -> Preview:
        return Preview(NOW, unknown="not asked")


def held_at(desk: Desk) -> set[str]:
    assert isinstance(desk.says, View)
    return {position.instrument.key for position in desk.says.positions}


def without(view: View, key: str) -> View:
    return replace(view, positions=tuple(p for p in view.positions if p.instrument.key != key))


def test_a_feed_is_told_before_the_first_assessment_and_again_only_when_the_set_changes(start: Start) -> None:
    feed, desk = Feed(), Desk("test", HEALTHY.view())
    engine = start(feed, desk)
    first(engine)
    assert feed.followed == [held_at(desk)]
    cycles(engine, 3)
    assert feed.followed == [held_at(desk)]
    assert feed.threads == {"engine"}  # the loop that owns its connection
    before = held_at(desk)
    desk.says = without(HEALTHY.view(), "equity:SPY")
    until(lambda: len(feed.followed) == 2)
    assert feed.followed[1] == before - {"equity:SPY"}
    desk.says = replace(HEALTHY.view(), positions=())
    until(lambda: len(feed.followed) == 3)
    assert feed.followed[2] == set()


def test_quantities_that_change_are_no_other_set(start: Start) -> None:
    feed, desk = Feed(), Desk("test", HEALTHY.view())
    engine = start(feed, desk)
    first(engine)
    desk.says = HEALTHY.position("SPY", quantity=7.0).view()
    until(lambda: any(row.quantity == 7.0 for row in shown(engine).positions))
    assert feed.tried == 1


def test_what_a_source_held_when_it_was_last_heard_is_still_followed(start: Start) -> None:
    feed, desk = Feed(), Desk("test", HEALTHY.view())
    engine = start(feed, desk)
    first(engine)
    desk.says = OSError("gone")
    until(lambda: source_of(shown(engine))[0] == "down")
    cycles(engine)
    assert feed.tried == 1


def test_its_own_holdings_are_not_named_to_it_and_two_feeds_are_told_of_each_other(start: Start) -> None:
    feed, other = Feed("feed"), Feed("other")
    feed.says = replace(HEALTHY.view(), source=Source("feed", SourceState.LIVE, NOW))
    first(start(feed, other))
    assert feed.tried == 0
    assert other.followed == [held_at(feed)]


@pytest.mark.parametrize(
    ("error", "said"),
    [(RuntimeError("of no interest"), "failed (RuntimeError); see the log"), (SourceError("too many"), "too many")],
)
def test_a_feed_that_refuses_is_a_problem_and_not_the_end(start: Start, error: Exception, said: str) -> None:
    feed, good, desk = Feed(), Feed("good"), Desk("test", HEALTHY.view())
    feed.refuses = error
    engine = start(feed, good, desk)
    first(engine)
    snapshot = cycles(engine)
    assert engine.health().problems == (f"follow feed: {said}",)
    assert ("engine", "task:follow feed") in {(f.check, f.subject) for f in snapshot.findings}
    assert len(snapshot.positions) == 5
    assert good.followed == [held_at(desk)]
    assert feed.tried > 1  # it is asked again
    feed.refuses = None
    until(lambda: engine.health().problems == ())
    assert feed.followed == [held_at(desk)]


def test_an_engine_that_is_started_again_tells_its_feeds_again(start: Start) -> None:
    feed, desk = Feed(), Desk("test", HEALTHY.view())
    engine = start(feed, desk)
    first(engine)
    engine.stop()
    engine.start()
    until(lambda: len(feed.followed) == 2)
    assert feed.followed[0] == feed.followed[1] == held_at(desk)


# --- what is written down ---


def document(engine: Engine) -> Path:
    return engine.settings.data_dir / SNAPSHOT_FILE


def test_the_first_snapshot_is_written_at_once(start: Start) -> None:
    engine = start()
    first(engine)
    until(document(engine).exists)
    assert from_json(document(engine).read_bytes(), "x").schema == "guardrails.snapshot/1"
    engine.stop()
    assert not [path for path in document(engine).parent.iterdir() if path.name.startswith(".")]


def written_level(engine: Engine) -> Level | None:
    return read_snapshot(document(engine)).level if document(engine).exists() else None  # type: ignore[union-attr]  # exists


def test_a_change_of_level_is_written_at_once_and_its_end_too(start: Start) -> None:
    desk = Desk()
    engine = start(desk)
    cycles(engine, 3)
    engine.stop()
    calm = written_level(engine)
    desk.says = replace(HEALTHY.view(), positions=(*HEALTHY.view().positions, option(SPX_PUT, -60, "0 0 0 0")))
    engine.start()
    until(lambda: written_level(engine) is Level.BREACH)
    desk.says = HEALTHY.view()
    until(lambda: written_level(engine) is calm)


def test_a_finding_that_goes_away_counts_as_a_change() -> None:
    calm = HEALTHY.assess().snapshot
    loud = HEALTHY.add("many", option(SPX_PUT, -60, "0 0 0 0")).assess().snapshot
    assert announce(None, calm)
    assert not announce(calm, calm)
    assert announce(calm, loud)
    assert announce(loud, calm)


@pytest.mark.parametrize(("quantity", "level"), [(-1, logging.CRITICAL), (1, None)])
def test_an_expiry_alarm_is_logged_as_critical(
    quantity: float, level: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    calm = HEALTHY.assess().snapshot
    late = HEALTHY.add("today", option("SPXW  261118P05500000", quantity, "0 0 0 0")).assess().snapshot
    announce(calm, late)
    found = [r.levelno for r in caplog.records if "short_option_expiry" in r.getMessage()]
    assert found == ([level] if level else [])


def test_quiet_cycles_are_written_every_period(start: Start) -> None:
    clock = Clock()
    engine = start(Desk(), clock=clock, snapshot_seconds=0.1)
    first(engine)
    until(document(engine).exists)
    clock.time += timedelta(seconds=20)
    until(lambda: read_snapshot(document(engine)).as_of == clock.time)  # type: ignore[union-attr]  # it exists


def test_the_file_is_always_whole(start: Start) -> None:
    engine = start(Desk(), snapshot_seconds=0.01, refresh_seconds=0.001)
    first(engine)
    until(document(engine).exists)
    for _ in range(200):
        json.loads(document(engine).read_bytes())


def test_a_folder_that_cannot_be_written_is_a_problem_and_not_ready(start: Start, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, not a folder")
    engine = start(data_dir=blocked, snapshot_seconds=0.1)
    first(engine)
    until(lambda: any(problem.startswith("record: failed") for problem in engine.health().problems))
    assert not engine.health().store_writable
    status, _, body = http.readyz(engine)
    assert status == 503
    assert json.loads(body)["store"] == {"writable": False, "kept": False}
    assert ("engine", "task:record") in {(f.check, f.subject) for f in cycles(engine).findings}
    blocked.unlink()
    until(lambda: engine.health().store_writable)


# --- the next run ---


def test_the_last_file_is_shown_at_once_with_its_age(start: Start) -> None:
    engine = start()
    first(engine)
    engine.stop()
    later = Clock(NOW + timedelta(hours=2))
    mute = Desk()
    mute.hanging.set()
    again = start(mute, clock=later, first_words_seconds=600.0)
    assert again.restored
    assert shown(again).as_of == NOW
    assert http.readyz(again)[0] == 503
    assert b"guardrails_snapshot_restored 1.0" in http.metrics(again)[2]


def test_a_fresh_snapshot_takes_its_place(start: Start) -> None:
    engine = start()
    first(engine)
    engine.stop()
    again = start(clock=Clock(NOW + timedelta(seconds=5)))
    until(lambda: not again.restored)
    assert shown(again).as_of == NOW + timedelta(seconds=5)


def test_the_file_of_other_sources_is_not_shown(start: Start) -> None:
    demo = start(Desk("demo", replace(HEALTHY.view(), source=Source("demo", SourceState.LIVE, NOW))))
    first(demo)
    demo.stop()
    live = Desk("ibkr")
    live.hanging.set()
    engine = start(live, first_words_seconds=600.0)
    assert engine.latest is None
    assert not engine.restored


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b'{"schema": "guardrails.snapshot/99"}'])
def test_a_broken_file_is_not_shown_and_written_anew(start: Start, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / SNAPSHOT_FILE).write_bytes(content)
    engine = start()
    first(engine)
    until(lambda: written_level(engine) is not None if document(engine).read_bytes() != content else False)


def test_session_start_peak_and_regime_survive_a_restart(start: Start) -> None:
    prior = HEALTHY.accounts[IBKR].prior_net_liquidation
    engine = start(Desk("test", HEALTHY.view()))
    first(engine)
    engine.stop()
    kept = read_memory(engine.settings.data_dir / STATE_FILE, ["test"])
    assert kept.regime is not None
    # the broker no longer says what the account was worth before: it is remembered
    silent = HEALTHY.account(IBKR, prior_net_liquidation=None, time=NOW + timedelta(minutes=1)).markets(
        vix_closes=(), vix3m_closes=(), vix=Observed(17.0, NOW + timedelta(minutes=1), "test")
    )
    silent = replace(silent, source=Source("test", SourceState.LIVE, NOW + timedelta(minutes=1)))
    again = start(Desk("test", silent.view()), clock=Clock(NOW + timedelta(minutes=1)))
    snapshot = first_of_run(again)
    assert again.assessment is not None
    history = again.assessment.portfolio.history[IBKR]
    assert prior is not None
    assert history.start == prior
    assert history.peak is not None
    assert snapshot.regime.name == "neutral_volatility"
    assert snapshot.regime.since == kept.regime.since


def first_of_run(engine: Engine) -> Snapshot:
    until(lambda: engine.health().cycles > 0)
    return shown(engine)


def test_the_demo_never_seeds_a_live_book(start: Start) -> None:
    demo = start(Desk("demo"))
    first_of_run(demo)
    demo.stop()
    bare = HEALTHY.account(IBKR, prior_net_liquidation=None)
    live = start(Desk("ibkr", replace(bare.view(), source=Source("ibkr", SourceState.LIVE, NOW))))
    first_of_run(live)
    assert live.assessment is not None
    assert live.assessment.portfolio.history[IBKR].start is None


def test_the_files_are_for_their_owner_only(start: Start) -> None:
    engine = start()
    first(engine)
    engine.stop()
    for name in (SNAPSHOT_FILE, STATE_FILE):
        assert stat.S_IMODE((engine.settings.data_dir / name).stat().st_mode) == 0o600


# --- the matrix on disk ---


def test_a_valid_edit_is_taken_and_an_invalid_one_is_refused(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "risk_matrix.yaml"
    engine = start()
    old = first(engine).matrix_version
    path.write_text(TEXT.replace("watch_at: 0.8", "watch_at: 0.75"), encoding="utf-8")
    until(lambda: shown(engine).matrix_version != old)
    taken = shown(engine).matrix_version
    assert {finding.matrix_version for finding in shown(engine).findings} == {taken}
    path.write_text(TEXT.replace("watch_at", "watch_att"), encoding="utf-8")
    until(lambda: any("watch_att" in f.message for f in shown(engine).findings))  # it may be read half written first
    finding = next(f for f in shown(engine).findings if f.check == "risk_matrix")
    assert finding.level is Level.UNKNOWN
    assert "risk_matrix.yaml:" in finding.message
    assert "did you mean watch_at?" in finding.message
    assert shown(engine).matrix_version == taken
    assert engine.matrix.watch_at == 0.75
    path.unlink()
    until(lambda: any("cannot be read" in f.message for f in shown(engine).findings if f.check == "risk_matrix"))
    path.write_text(TEXT, encoding="utf-8")
    until(lambda: "risk_matrix" not in levels(shown(engine).findings))
    assert shown(engine).matrix_version == old


# --- regime changes, freshness ---


def test_a_change_of_regime_is_an_event(start: Start) -> None:
    desk, clock = Desk(), Clock()
    engine = start(desk, clock=clock)
    first(engine)
    for minutes in (0, 5):
        moment = NOW + timedelta(minutes=minutes)
        clock.time = moment
        world = HEALTHY.markets(vix=Observed(31.0, moment, "test"))
        desk.says = replace(world, source=Source("test", SourceState.LIVE, moment)).view()
        cycles(engine, 3)
    until(lambda: shown(engine).changes != ())
    change = shown(engine).changes[0]
    assert (change.old, change.new) == ("neutral_volatility", "crisis_mode")
    assert "31.00" in change.cause
    assert any("max_negative_vega" in target for target in change.targets)
    assert shown(engine).regime.name == "crisis_mode"


@pytest.mark.parametrize(("age", "refresh", "fresh"), [(10, 2, True), (11, 2, False), (50, 10, True), (51, 10, False)])
def test_freshness_both_sides(age: float, refresh: float, fresh: bool) -> None:  # noqa: FBT001  # a table's column
    assert is_fresh(NOW - timedelta(seconds=age), NOW, refresh) is fresh
    assert not is_fresh(None, NOW, refresh)


def test_health_says_what_it_does(start: Start) -> None:
    idle = start(go=False)
    assert not idle.health().alive
    engine = start()
    cycles(engine, 3)
    health = engine.health()
    assert health.alive
    assert health.store_writable
    assert health.last_cycle == NOW
    assert health.cycle_seconds is not None
    assert to_json(shown(engine))

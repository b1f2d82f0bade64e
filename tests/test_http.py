"""What the routes answer while the engine has not begun, works, is late, is blind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from guardrails import http
from guardrails.engine import Engine, EngineSettings
from guardrails.findings import Level
from guardrails.matrix import MatrixFile
from guardrails.snapshot import from_json
from guardrails.store.writer import Writer
from guardrails.values import Source, SourceState, Stream
from tests.books import NOW
from tests.healthy import GENEROUS, edited_text, healthy
from tests.stored import Lock, opened
from tests.test_engine import TEXT, Clock, Desk, cycles, until

HEALTHY = healthy()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def idle(tmp_path: Path, clock: Clock, desk: Desk) -> Iterator[Engine]:
    """An engine that has not been started."""
    path = tmp_path / "risk_matrix.yaml"
    path.write_text(edited_text({f"regimes.*.limits.{k}": v for k, v in GENEROUS.items()}), encoding="utf-8")
    settings = EngineSettings(tmp_path / "data", refresh_seconds=0.02, snapshot_seconds=0.1)
    engine = Engine([desk], MatrixFile.open(path), settings, clock)
    yield engine
    engine.stop()


@pytest.fixture
def running(idle: Engine) -> Engine:
    """The same after some cycles."""
    idle.start()
    cycles(idle, 2)
    return idle


@pytest.fixture
def full(tmp_path: Path, clock: Clock, desk: Desk) -> Iterator[Engine]:
    """One that keeps a history, but cannot write the spool."""
    path, spool = tmp_path / "risk_matrix.yaml", tmp_path / "spool"
    path.write_text(TEXT, encoding="utf-8")
    spool.touch()  # a file where the folder should be
    database = opened(tmp_path, 0.01)
    writer = Writer(database, spool, clock, every=0, retry_seconds=0.05, beat_seconds=0.05)
    settings = EngineSettings(tmp_path / "data", refresh_seconds=0.02, snapshot_seconds=600.0)
    engine = Engine([desk], MatrixFile.open(path), settings, clock, writer)
    engine.start()
    yield engine
    engine.stop()
    database.close()


def body(answer: http.Answer) -> Any:
    assert answer[1] == "application/json"
    return json.loads(answer[2])


def gauges(engine: Engine) -> dict[str, float]:
    """Every sample as `name{label}`."""
    status, media, text = http.metrics(engine)
    assert status == 200
    assert media.startswith("text/plain")
    return {
        sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_alive_is_alive_even_before_the_engine_runs(idle: Engine) -> None:
    assert http.healthz(idle)[0] == 200
    assert body(http.healthz(idle)) == {"status": "alive", "engine": "stopped"}


def test_alive_says_that_the_engine_runs(running: Engine) -> None:
    assert body(http.healthz(running))["engine"] == "running"


def test_nothing_is_ready_and_nothing_is_shown_before_the_first_cycle(idle: Engine) -> None:
    assert http.readyz(idle)[0] == 503
    assert body(http.readyz(idle))["sources"] == []
    status, _, content = http.snapshot(idle)
    assert status == 503
    assert b"no snapshot yet" in content
    assert gauges(idle)["guardrails_engine_alive"] == 0
    assert "guardrails_level" not in gauges(idle)


def test_ready(running: Engine) -> None:
    status, _, _ = answer = http.readyz(running)
    assert status == 200
    said = body(answer)
    assert said["status"] == "ready"
    assert said["engine"]["fresh"]
    assert said["engine"]["problems"] == []
    assert said["store"] == {"writable": True, "kept": False}
    assert [(source["name"], source["state"]) for source in said["sources"]] == [("test", "live")]


@pytest.mark.parametrize(("seconds", "status"), [(10, 200), (11, 503)])
def test_a_late_engine_is_not_ready(idle: Engine, clock: Clock, seconds: float, status: int) -> None:
    """Five periods, and at least 10 s; the next cycle is an hour away."""
    idle.settings = replace(idle.settings, refresh_seconds=3600.0)
    idle.start()
    cycles(idle, 1)
    idle.settings = replace(idle.settings, refresh_seconds=0.02)
    clock.time = NOW + timedelta(seconds=seconds)
    assert http.readyz(idle)[0] == status


LINKED = Source(
    "test", SourceState.DOWN, NOW, "Nothing listens on 127.0.0.1:4002.", condition="refused",
    since=NOW - timedelta(seconds=90), action="Start TWS.", retries=7, warnings=("quotes in turns",), clock_skew=-3.5,
    streams=(Stream("positions", NOW - timedelta(seconds=5)), Stream("quotes", None, works=False, detail="354")),
)  # fmt: skip


def test_readiness_tells_condition_action_and_streams(running: Engine, desk: Desk) -> None:
    desk.says = replace(HEALTHY.view(), source=LINKED)
    until(lambda: http.readyz(running)[0] == 503)
    assert body(http.readyz(running))["sources"] == [
        {
            "name": "test",
            "state": "down",
            "condition": "refused",
            "since": "2026-11-18T15:28:30+00:00",
            "age_seconds": 0.0,
            "detail": "Nothing listens on 127.0.0.1:4002.",
            "action": "Start TWS.",
            "retries": 7,
            "warnings": ["quotes in turns"],
            "clock_skew": -3.5,
            "streams": [  # nothing works while the source is down
                {"name": "positions", "works": None, "age_seconds": 5.0, "detail": ""},
                {"name": "quotes", "works": False, "age_seconds": None, "detail": "354"},
            ],
        }
    ]


def test_metrics_tell_retries_streams_and_clocks(running: Engine, desk: Desk) -> None:
    found = gauges(running)
    assert found["guardrails_source_retries{test}"] == 0
    assert "guardrails_clock_skew_seconds{test}" not in found
    desk.says = replace(HEALTHY.view(), source=replace(LINKED, state=SourceState.LIVE))
    until(lambda: "guardrails_clock_skew_seconds{test}" in gauges(running))
    found = gauges(running)
    assert found["guardrails_clock_skew_seconds{test}"] == -3.5
    assert found["guardrails_source_retries{test}"] == 7
    assert found["guardrails_source_stream_age_seconds{test}{positions}"] == 5
    assert "guardrails_source_stream_age_seconds{test}{quotes}" not in found


@pytest.mark.parametrize("state", [SourceState.STALE, SourceState.DOWN, SourceState.CONNECTING])
def test_a_blind_source_is_not_ready(running: Engine, desk: Desk, state: SourceState) -> None:
    desk.says = replace(HEALTHY.view(), source=Source("test", state, NOW, "the cable is out"))
    until(lambda: http.readyz(running)[0] == 503)
    assert body(http.readyz(running))["sources"][0]["detail"] == "the cable is out"
    assert gauges(running)["guardrails_source_up{test}"] == 0


def test_a_stopped_engine_is_not_ready(running: Engine) -> None:
    running.stop()
    assert http.readyz(running)[0] == 503
    assert gauges(running)["guardrails_engine_alive"] == 0


def test_nothing_is_ready_while_neither_database_nor_spool_takes_what_must_survive(
    full: Engine, desk: Desk, tmp_path: Path
) -> None:
    until(lambda: http.readyz(full)[0] == 200)
    good, lock = desk.says, Lock(tmp_path)
    desk.says = replace(HEALTHY.view(), source=Source("test", SourceState.LIVE, NOW), positions=())
    until(lambda: not body(http.readyz(full))["store"]["writable"])
    desk.says = good  # the engine is fresh, its source live: nothing else is wrong
    cycles(full)
    assert http.readyz(full)[0] == 503
    assert [source["state"] for source in body(http.readyz(full))["sources"]] == ["live"]
    lock.release()
    until(lambda: http.readyz(full)[0] == 200)


def test_the_snapshot_is_the_document(running: Engine) -> None:
    status, media, content = http.snapshot(running)
    assert (status, media) == (200, "application/json")
    assert from_json(content, "route").schema == "guardrails.snapshot/1"


def test_metrics_tell_levels_totals_and_ages(running: Engine) -> None:
    found = gauges(running)
    assert found["guardrails_engine_alive"] == 1
    assert found["guardrails_engine_problems"] == 0
    assert found["guardrails_engine_cycles"] >= 2
    assert found["guardrails_source_up{test}"] == 1
    assert found["guardrails_source_age_seconds{test}"] == 0
    assert found["guardrails_total{net_liquidation}"] == 1_000_000
    assert found["guardrails_total{beta_delta_dollars}"] == pytest.approx(246_000)
    assert found["guardrails_check_level{beta_delta}"] == Level.OK.rank
    assert found["guardrails_snapshot_restored"] == 0
    assert sum(value for name, value in found.items() if name.startswith("guardrails_findings")) > 20


def test_what_is_unknown_is_absent_from_the_metrics_not_zero(running: Engine, desk: Desk) -> None:
    desk.says = HEALTHY.position("AAPL", multiplier=None).view()
    until(lambda: "guardrails_total{beta_delta_dollars}" not in gauges(running))
    found = gauges(running)
    assert found["guardrails_check_level{beta_delta}"] == Level.UNKNOWN.rank
    assert found["guardrails_level"] >= Level.UNKNOWN.rank
    assert found["guardrails_total{net_liquidation}"] == 1_000_000


def test_a_failing_source_is_a_problem(running: Engine, desk: Desk) -> None:
    desk.says = OSError("gone")
    until(lambda: gauges(running)["guardrails_engine_problems"] == 1)
    until(lambda: http.readyz(running)[0] == 503)
    assert body(http.readyz(running))["engine"]["problems"] == ["read test: failed (OSError); see the log"]

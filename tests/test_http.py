"""What the routes answer while the engine has not begun, works, is late, is blind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from guardrails import http
from guardrails.alerts.values import AlertRow, AlertsNow, ChannelRow, Problem, Reason, Severity, State, WatchRow
from guardrails.engine import Engine, EngineSettings
from guardrails.findings import Level
from guardrails.matrix import MatrixFile
from guardrails.matrix.alerts import AlertRules
from guardrails.requests import Answer, Request
from guardrails.snapshot import Snapshot, from_json
from guardrails.store.writer import Writer
from guardrails.values import Source, SourceState, Stream
from tests.books import NOW, ROOT
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


# --- alerts ---


class Standing:
    """Somebody who makes alerts, and shows those of the test."""

    def __init__(self, now: AlertsNow) -> None:
        self.now = now

    def start(self) -> None: ...
    def begin(self, sources: Sequence[str], scenario: str) -> None: ...
    def see(self, snapshot: Snapshot, rules: AlertRules) -> None: ...
    def idle(self) -> None: ...
    def do(self, request: Request) -> None: ...
    def answer(self, key: str) -> Answer | None:
        return None

    def stop(self, seconds: float) -> None: ...


LOG_ROW, SLACK = ChannelRow("log", "log", works=True, sent=7), ChannelRow("slack", "Slack", works=True, sent=5)
FAILS = replace(SLACK, works=False, failing_since=NOW - timedelta(seconds=60), failures=3, waiting=2, dead=1)
WATCHING = WatchRow(
    NOW - timedelta(hours=1), NOW, heartbeat=True,
    last_ping=NOW - timedelta(seconds=20), next_ping=NOW + timedelta(seconds=40),
)  # fmt: skip


def row(severity: Severity, state: State, held: Reason | None = None) -> AlertRow:
    problem = Problem("vega", "IBKR U1234567", severity, "account U1234567 is over")
    return AlertRow(
        "vega IBKR U1234567", "vega", "IBKR U1234567", "greeks", severity, state, problem, NOW, NOW, NOW, 1, held=held
    )


@pytest.fixture
def told(tmp_path: Path, clock: Clock, desk: Desk) -> Iterator[Engine]:
    """An engine after some cycles, for whose alerts the test stands in: `told._desk.now`."""
    path = tmp_path / "risk_matrix.yaml"
    path.write_text(edited_text({f"regimes.*.limits.{k}": v for k, v in GENEROUS.items()}), encoding="utf-8")
    settings = EngineSettings(tmp_path / "data", refresh_seconds=0.02, snapshot_seconds=0.1)
    alerts = Standing(AlertsNow(NOW, channels=(LOG_ROW, SLACK), watch=WATCHING))
    engine = Engine([desk], MatrixFile.open(path), settings, clock, desk=alerts)
    engine.start()
    cycles(engine, 2)
    yield engine
    engine.stop()


def now_are(engine: Engine, **changes: Any) -> None:
    """Let the alerts be other ones."""
    standing = engine._partners.desk
    assert isinstance(standing, Standing)
    standing.now = replace(standing.now, **changes)


def test_readiness_tells_since_when_it_is_watched_and_how_alerts_go_out(told: Engine) -> None:
    status, _, _ = answer = http.readyz(told)
    assert status == 200
    assert body(answer)["alerts"] == {
        "since": "2026-11-18T14:30:00+00:00",
        "last_cycle": "2026-11-18T15:30:00+00:00",
        "heartbeat": True,
        "last_ping": "2026-11-18T15:29:40+00:00",
        "next_ping": "2026-11-18T15:30:40+00:00",
        "channels": [
            {"name": "log", "works": True, "waiting": 0, "dead": 0},
            {"name": "slack", "works": True, "waiting": 0, "dead": 0},
        ],
        "problem": "",
    }


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"problem": "steps: KeyError"}, "steps: KeyError"),
        ({"channels": (LOG_ROW, FAILS)}, "no channel but the log works"),
        ({"channels": (LOG_ROW, replace(SLACK, problem="no address"))}, "no channel but the log works"),
        ({"as_of": NOW - timedelta(seconds=11)}, "alerts were last looked through at 2026-11-18T15:29:49+00:00"),
        ({"problem": "nothing is kept of U1234567"}, "nothing is kept of •••4567"),
    ],
)
def test_nothing_is_ready_while_alerts_may_reach_nobody(told: Engine, changes: dict[str, Any], problem: str) -> None:
    now_are(told, **changes)
    status, _, _ = answer = http.readyz(told)
    assert (status, body(answer)["alerts"]["problem"]) == (503, problem)


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": (LOG_ROW,)},  # nobody is to be told
        {"channels": (LOG_ROW, FAILS, replace(SLACK, name="email", works=None))},
        {"channels": (LOG_ROW, replace(FAILS, failing_since=NOW - timedelta(seconds=59)))},
        {"as_of": NOW - timedelta(seconds=10)},
        {"watch": replace(WATCHING, problem="the monitor was not reached")},  # said, but the book is watched
    ],
)
def test_it_is_ready_while_somebody_can_be_told(told: Engine, changes: dict[str, Any]) -> None:
    now_are(told, **changes)
    assert http.readyz(told)[0] == 200


def test_a_channel_that_cannot_be_used_does_not_work_whatever_it_once_did(told: Engine) -> None:
    now_are(told, channels=(replace(SLACK, problem="no address"), replace(SLACK, name="new", works=None)))
    assert [one["works"] for one in body(http.readyz(told))["alerts"]["channels"]] == [False, None]


def test_an_engine_that_makes_no_alerts_says_so(running: Engine) -> None:
    assert body(http.readyz(running))["alerts"] is None
    assert not [name for name in gauges(running) if "alert" in name or "heartbeat" in name]


def test_who_only_reads_and_is_told_of_no_alerts_is_not_ready(told: Engine) -> None:
    told._last.watched_by = "desk-pc, process 7"  # which is of a version that makes none
    status, _, _ = answer = http.readyz(told)
    assert (status, body(answer)["alerts"]) == (503, None)


def test_metrics_tell_alerts_deliveries_and_the_watch(told: Engine) -> None:
    now_are(
        told,
        active=(
            row(Severity.CRITICAL, State.FIRED),
            row(Severity.CRITICAL, State.ACKNOWLEDGED),
            row(Severity.WATCH, State.FIRED, held=Reason.HELD_QUIET),
            row(Severity.WATCH, State.FIRED, held=Reason.HELD_QUIET),
        ),
        channels=(LOG_ROW, replace(FAILS, waiting_since=NOW - timedelta(seconds=90), superseded=7)),
        counts={"fired": 9, "told": 4},
        told_today=3,
        budget=20,
    )
    found = gauges(told)
    assert found["guardrails_alerts{CRITICAL}{fired}"] == 1
    assert found["guardrails_alerts{CRITICAL}{acknowledged}"] == 1
    assert found["guardrails_alerts{WATCH}{fired}"] == 2
    assert found["guardrails_alerts{BREACH}{fired}"] == 0
    assert found["guardrails_alerts_held{suppressed by quiet hours}"] == 2
    assert found["guardrails_alert_events_total{fired}"] == 9
    assert found["guardrails_alert_events_total{told}"] == 4
    ends = ("sent", "failed", "dead", "superseded")
    assert [found[f"guardrails_deliveries_total{{slack}}{{{end}}}"] for end in ends] == [5, 3, 1, 7]
    assert found["guardrails_deliveries_waiting{slack}"] == 2
    assert found["guardrails_delivery_waiting_seconds{slack}"] == 90
    assert found["guardrails_channel_failing_seconds{slack}"] == 60
    assert (found["guardrails_channel_works{log}"], found["guardrails_channel_works{slack}"]) == (1, 0)
    assert (found["guardrails_messages_today"], found["guardrails_message_budget"]) == (3, 20)
    assert found["guardrails_watching_since_timestamp_seconds"] == (NOW - timedelta(hours=1)).timestamp()
    assert found["guardrails_heartbeat_age_seconds"] == 20
    assert (found["guardrails_heartbeat_configured"], found["guardrails_heartbeat_failing"]) == (1, 0)
    assert (found["guardrails_alerts_age_seconds"], found["guardrails_alerts_broken"]) == (0, 0)
    assert b"4567" not in http.metrics(told)[2]
    assert b"_created" not in http.metrics(told)[2]  # it would be the time of the look


def test_what_is_not_known_of_alerts_is_absent_from_the_metrics(told: Engine) -> None:
    now_are(told, channels=(ChannelRow("slack", "Slack", works=None),), watch=WatchRow())
    found = gauges(told)
    assert not [name for name in found if "{slack}" in name and ("works" in name or "seconds" in name)]
    assert found["guardrails_heartbeat_configured"] == 0
    assert "guardrails_heartbeat_age_seconds" not in found
    assert "guardrails_heartbeat_failing" not in found
    assert "guardrails_watching_since_timestamp_seconds" not in found


def test_every_metric_that_the_documentation_names_is_told(told: Engine) -> None:
    now_are(told, active=(row(Severity.WATCH, State.FIRED, held=Reason.HELD_QUIET),), counts={"fired": 1},
            channels=(replace(FAILS, waiting_since=NOW),))  # fmt: skip
    named = set(re.findall(r"guardrails_[a-z_]+", (ROOT / "docs" / "unattended.md").read_text(encoding="utf-8")))
    metrics = http.metrics(told)[2].decode()
    assert len(named) > 20
    absent = {name for name in named if f"\n{name}" not in metrics}
    assert absent == {"guardrails_source_stream_age_seconds", "guardrails_store_waiting", "guardrails_store_dropped"}

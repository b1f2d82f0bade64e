"""`guardrails watch`, `guardrails alerts test` and what stands around them: the engine as a service, without pages."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from defusedxml.ElementTree import parse
from pydantic import SecretStr

from adapters.channels import open_channels
from adapters.channels.heartbeat import ping
from guardrails import http, watch_command
from guardrails.alerts import desk as desk_module
from guardrails.alerts import heartbeat
from guardrails.alerts.values import Severity
from guardrails.assembly import Wiring, assemble
from guardrails.health import Health
from guardrails.settings import Settings
from guardrails.values import View
from guardrails.watch_command import opening, part_words, run
from tests.books import NOW, ROOT
from tests.channels import Reply, Web, free_port
from tests.command import called
from tests.monitor import PATH, Monitor
from tests.stored import eventually, wait_for_parts
from tests.test_engine import TEXT, Clock, Desk, cycles

GUARDRAILS = str(Path(sys.executable).parent / "guardrails")
HOOK = "/services/T0PLANTED/B0PLANTED"
PATIENT = """
from guardrails.store import roles
roles.FIRST_SECONDS = 60.0
from guardrails.cli import main
main()
"""
"""the program, which waits to be told that another one watches however busy the machine is"""


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    with Monitor() as one:
        yield one


@dataclass
class Steady:
    """Seconds that pass when the test says so."""

    at: float = 1000.0

    def __call__(self) -> float:
        return self.at


class Ticking(Clock):
    """A clock that goes, from NOW on."""

    def __init__(self) -> None:
        super().__init__()
        self.began = time.monotonic()

    def __call__(self) -> datetime:
        return self.time + timedelta(seconds=time.monotonic() - self.began)


Wire = Callable[..., Wiring]


@pytest.fixture
def wire(tmp_path: Path, monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """Put together what runs on a source of the test; stopped at the end."""
    monkeypatch.setattr(heartbeat, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(desk_module, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(watch_command, "LOOK_SECONDS", 0.02)
    wait_for_parts(monkeypatch)
    path = tmp_path / "risk_matrix.yaml"
    path.write_text(TEXT, encoding="utf-8")
    made: list[Wiring] = []

    def assembled(desk: Desk, clock: Clock | None = None, steady: Steady | None = None, **more: Any) -> Wiring:
        given = {"guardrails_data_dir": tmp_path / "data", "heartbeat_url": SecretStr(monitor.address), **more}
        settings = Settings(guardrails_matrix=path, guardrails_refresh_seconds=0.2, _env_file=None, **given)
        seconds = {} if steady is None else {"steady": steady}
        made.append(assemble(settings, clock or Clock(), [desk], open_channels(settings), ping, **seconds))
        return made[-1]

    yield assembled
    for wiring in made:
        wiring.stop()


@dataclass
class Watch:
    """`run` in a thread."""

    wiring: Wiring
    said: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    codes: list[int] = field(default_factory=list)

    def begin(self, give_up_seconds: float = 60.0) -> Watch:
        def serve() -> None:
            self.codes.append(run(self.wiring, self.said.append, self.stop, give_up_seconds))

        self.thread = threading.Thread(target=serve, daemon=True)
        self.thread.start()
        return self

    def end(self) -> int:
        self.stop.set()
        self.thread.join(60)
        return self.codes[0]


def turns(monitor: Monitor, since: int = 0) -> list[str]:
    """What the monitor was told from that ping on, without what it was told again because an answer came too late."""
    kinds = monitor.kinds[since:]
    return [kind for kind, before in zip(kinds, ["", *kinds], strict=False) if kind != before]


# --- the loop ---


def test_it_says_what_it_watches_where_it_is_kept_and_who_is_told(wire: Wire, tmp_path: Path, monitor: Monitor) -> None:
    watch = Watch(wire(Desk(), smtp_host="mail.example")).begin()
    assert eventually(lambda: "watching since Wed 10:30:00 New York" in watch.said)
    assert eventually(lambda: turns(monitor) == ["start", "fail"])
    assert monitor.pings[-1][1] == "no channel works, so alerts reach nobody"  # one is wanted, and lacks an address
    cycles(watch.wiring.engine)
    assert watch.end() == 0
    version = watch.wiring.engine.matrix.version
    assert watch.said == [
        "Portfolio Guardrails, test, every 0.2 s",
        f"limits: {tmp_path / 'risk_matrix.yaml'}, version {version}",
        f"kept in: guardrails.db, data folder {tmp_path / 'data'}",
        "alerts go to: the log",
        "cannot be used: email, " + watch.wiring.channels[1].problem,
        "alerts reach nobody: set SLACK_WEBHOOK_URL, SMTP_HOST and ALERT_EMAIL_TO, or ALERT_URLS",
        "dead-man's switch: on",
        "watching since Wed 10:30:00 New York",
        "told to stop: what waits is sent and written",
    ]
    assert json.loads((tmp_path / "data" / "risk_snapshot.json").read_text())["positions"]
    assert not watch.wiring.engine.health().alive
    heard = len(monitor.pings)
    assert not eventually(lambda: len(monitor.pings) > heard, 0.3)  # silence, which the monitor will notice


def test_the_address_of_a_channel_is_not_said(wire: Wire) -> None:
    said = "\n".join(opening(wire(Desk(), slack_webhook_url=SecretStr(f"https://hooks.example{HOOK}"))))
    assert "alerts go to: the log, slack (Slack)" in said
    assert "reach nobody" not in said
    assert "T0PLANTED" not in said
    assert PATH not in said


def test_without_a_monitor_or_a_database_it_says_so_and_watches(wire: Wire, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    wiring = wire(Desk(), heartbeat_url=None, database_url=SecretStr("mysql://db/book"))
    watch = Watch(wiring).begin()
    assert eventually(lambda: wiring.engine.health().cycles > 1)
    assert watch.end() == 0
    assert any(line.startswith("kept nowhere: store: ") for line in watch.said)
    assert any(line.startswith("dead-man's switch: none") and "HEARTBEAT_URL" in line for line in watch.said)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"watching_since": NOW}, "watching since Wed 10:30:00 New York"),
        ({"watched_by": "laptop, process 7"},
         "laptop, process 7 watches this book; this program waits, and takes over when that one dies"),
    ],
)  # fmt: skip
def test_its_part_in_words(changes: dict[str, Any], words: str) -> None:
    assert part_words(replace(Health(True, None, None, 0, (), True), **changes)) == words  # noqa: FBT003  # a value's fields


def test_a_second_watch_waits_and_takes_over_when_the_first_is_told_to_stop(wire: Wire, monitor: Monitor) -> None:
    desks = Desk(), Desk()
    clock = Ticking()
    first = Watch(wire(desks[0], clock)).begin()
    assert eventually(lambda: turns(monitor) == ["start", "success"])
    second = Watch(wire(desks[1], clock)).begin()
    assert eventually(lambda: any("this program waits" in line for line in second.said))
    assert eventually(lambda: http.readyz(second.wiring.engine)[0] == 200), http.readyz(second.wiring.engine)
    said = json.loads(http.readyz(second.wiring.engine)[2])
    assert said["alerts"]["since"] == json.loads(http.readyz(first.wiring.engine)[2])["alerts"]["since"]
    assert desks[1].asked == 0
    assert first.end() == 0
    assert eventually(lambda: second.said[-1].startswith("watching since Wed 10:3"))
    assert eventually(lambda: turns(monitor) == ["start", "success", "start", "success"])  # nobody died
    assert second.end() == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # that is how it ends
def test_the_engine_ending_ends_the_program_with_3(wire: Wire, monitor: Monitor) -> None:
    class Ends(Desk):
        async def view(self, now: Any) -> View:
            raise SystemExit

    watch = Watch(wire(Ends())).begin()
    watch.thread.join(60)
    assert watch.codes == [3]


# --- a loop that hangs ---


class Hangs(Desk):
    """A source that holds the whole loop up, as a library that blocks would."""

    def __init__(self) -> None:
        super().__init__()
        self.holding, self.held, self.released = threading.Event(), threading.Event(), threading.Event()

    async def view(self, now: Any) -> View:
        if self.holding.is_set():
            self.held.set()
            self.released.wait(30)
        return await super().view(now)


@pytest.fixture
def hangs() -> Iterator[Hangs]:
    source = Hangs()
    yield source
    source.released.set()


def test_a_loop_that_hangs_is_noticed_by_everybody(wire: Wire, monitor: Monitor, hangs: Hangs) -> None:
    clock, steady = Clock(), Steady()
    wiring = wire(hangs, clock, steady)
    wiring.start()
    cycles(wiring.engine, 3)
    assert eventually(lambda: turns(monitor) == ["start", "success"])
    assert eventually(lambda: http.readyz(wiring.engine)[0] == 200), http.readyz(wiring.engine)
    hangs.holding.set()
    assert hangs.held.wait(20)
    clock.time, steady.at = NOW + timedelta(seconds=11), steady.at + 11
    assert eventually(lambda: http.readyz(wiring.engine)[0] == 503)
    assert eventually(lambda: monitor.kinds[-1] == "fail")
    assert "no cycle was finished in the last 11 s" in monitor.pings[-1][1]

    def late() -> list[tuple[str, Severity]]:
        alerts = wiring.engine.alerts
        return [] if alerts is None else [(row.subject, row.severity) for row in alerts.active if row.check == "engine"]

    assert eventually(lambda: late() == [("task:cycle", Severity.CRITICAL)]), late()
    hangs.released.set()
    assert eventually(lambda: http.readyz(wiring.engine)[0] == 200)
    assert eventually(lambda: monitor.kinds[-1] == "success")


def test_a_monitor_that_cannot_be_reached_is_an_alert(wire: Wire, monitor: Monitor) -> None:
    monitor.status = 503
    clock = Clock()
    wiring = wire(Desk(), clock)
    wiring.start()

    def is_told() -> bool:
        clock.time += timedelta(seconds=5)
        alerts = wiring.engine.alerts
        return alerts is not None and "channel:heartbeat" in [row.subject for row in alerts.active]

    assert eventually(lambda: len(monitor.pings) >= 3)  # one that fails is no news
    assert eventually(is_told)
    alerts = wiring.engine.alerts
    assert alerts is not None
    assert alerts.watch.heartbeat
    assert alerts.watch.problem.startswith("the monitor was not reached since 10:")


def test_a_loop_that_hangs_for_long_ends_the_program_to_be_started_anew(
    wire: Wire, hangs: Hangs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("guardrails.engine.STOP_TIMEOUT_SECONDS", 0.5)
    watch = Watch(wire(hangs)).begin()
    assert eventually(lambda: watch.wiring.engine.health().cycles > 1)
    assert not watch.codes
    hangs.holding.set()
    assert hangs.held.wait(20)
    began = time.monotonic()
    fast = SimpleNamespace(monotonic=lambda: began + 100 * (time.monotonic() - began))
    monkeypatch.setattr(watch_command, "time", fast)  # from now on a minute is over in less than a second
    watch.thread.join(25)
    assert watch.codes == [3]
    assert "no cycle was finished" in caplog.text


# --- as a process ---

START_SECONDS = 90.0
"""within which a program has started, on a machine that does much else"""


@contextmanager
def watching(home: Path, *program: str, **more: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """`guardrails watch` on the demo, and the file of what it says."""
    home.mkdir(exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GUARDRAILS_")}
    env = {**inherited, "GUARDRAILS_MATRIX": str(ROOT / "risk_matrix.yaml"), **more}
    log = home / f"log-{free_port()}.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*(program or (GUARDRAILS,)), "watch"], cwd=home, env=env, stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield process, log
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_first_signal_asks_and_the_second_ends(number: signal.Signals) -> None:
    names = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {name: signal.getsignal(name) for name in names}
    try:
        stop = watch_command.stopping()
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.is_set()
        assert [signal.getsignal(name) == signal.SIG_DFL for name in names] == [name == number for name in names]
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def test_what_is_ignored_stays_ignored() -> None:
    """As under nohup."""
    before = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        watch_command.stopping()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def test_the_second_of_two_watches_takes_over_when_the_first_is_killed(tmp_path: Path, monitor: Monitor) -> None:
    settings = {"GUARDRAILS_DATA_DIR": str(tmp_path / "data"), "HEARTBEAT_URL": monitor.address}
    with watching(tmp_path, **settings) as (first, log):
        assert eventually(lambda: "watching since" in log.read_text(), START_SECONDS)
        assert eventually(lambda: turns(monitor) == ["start", "success"], START_SECONDS)
        with watching(tmp_path, sys.executable, "-c", PATIENT, **settings) as (second, other):
            assert eventually(lambda: "this program waits" in other.read_text(), START_SECONDS)
            assert f"process {first.pid} watches this book" in other.read_text()
            assert turns(monitor) == ["start", "success"]  # of the first alone: the second would begin with a start
            first.kill()
            first.wait(10)
            assert eventually(lambda: "watching since" in other.read_text(), 30)  # within 30 s, as promised
            assert eventually(lambda: len(turns(monitor)) >= 5, 30)
            assert turns(monitor)[2:5] == ["fail", "start", "success"]
            failed = monitor.pings[monitor.kinds.index("fail")][1]
            assert f"process {first.pid} watched the book and ended without a word" in failed
            second.send_signal(signal.SIGTERM)
            assert second.wait(30) == 0, other.read_text()
    said = log.read_text() + other.read_text()
    assert "Portfolio Guardrails, demo (calm), every 2 s" in said
    assert "told to stop" in other.read_text()
    assert "Traceback" not in said
    assert PATH not in said
    data = tmp_path / "data"
    assert json.loads((data / "risk_snapshot.json").read_text())["positions"]
    assert sorted(path.name for path in (data / "logs").glob("*.jsonl"))  # one for each
    assert not (data / "guardrails.db-wal").exists()  # the file alone is the whole history after an orderly end


BROKEN = {
    "closed": ("exec guardrails watch >&-", {}),
    "full": ("exec guardrails watch > /dev/full", {}),
    "ascii": ("exec guardrails watch > said.txt", {"PYTHONIOENCODING": "ascii"}),
}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("kind", list(BROKEN))
def test_it_outlives_its_output(tmp_path: Path, kind: str) -> None:
    command, more = BROKEN[kind]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GUARDRAILS_")}
    own = {
        "PATH": f"{Path(GUARDRAILS).parent}:{os.environ['PATH']}",
        "GUARDRAILS_MATRIX": str(ROOT / "risk_matrix.yaml"),
        "GUARDRAILS_DATA_DIR": str(tmp_path / "dåta"),
    }
    errors = tmp_path / "errors.txt"
    with errors.open("wb") as out:
        process = subprocess.Popen(
            ["sh", "-c", command], cwd=tmp_path, env={**inherited, **own, **more}, stdin=subprocess.DEVNULL, stderr=out
        )
    try:
        assert eventually((tmp_path / "dåta" / "risk_snapshot.json").exists, START_SECONDS), errors.read_text()
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, errors.read_text()
    finally:
        process.kill()
        process.wait(10)
    assert "Traceback" not in errors.read_text()


@pytest.mark.parametrize("arguments", [("matrix",), ("alerts", "test", "--channel", "log"), ("doctor",)])
def test_a_terminal_that_cannot_say_a_sign_ends_no_command(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GUARDRAILS_")}
    own = {"GUARDRAILS_MATRIX": str(ROOT / "risk_matrix.yaml"), "GUARDRAILS_DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(
        [GUARDRAILS, *arguments], cwd=tmp_path, env={**inherited, **own, "PYTHONIOENCODING": "ascii"},
        capture_output=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert b"Unicode" not in done.stderr
    assert b"?" in done.stdout  # for what it cannot say


@pytest.mark.parametrize("error", [OSError(28, "full"), ValueError("closed"), SystemExit(1)])
def test_what_cannot_be_said_is_left_unsaid(error: BaseException) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        raise error

    watch_command.never_failing(say)("watching")
    assert said == ["watching"]


def test_wrong_settings_and_a_wrong_matrix_are_refused_with_64(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GUARDRAILS_DATADIR", "x")
    assert called(monkeypatch, capsys, "watch")[0] == 64
    monkeypatch.delenv("GUARDRAILS_DATADIR")
    (tmp_path / "bad.yaml").write_text("version: 3\n")
    with watching(tmp_path, GUARDRAILS_DATA_DIR=str(tmp_path), GUARDRAILS_MATRIX="bad.yaml") as (process, log):
        assert process.wait(START_SECONDS) == 64
    assert "bad.yaml:1: version" in log.read_text()


# --- alerts test ---


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing is set."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        (Reply(200, b"ok"), 0, "● slack (Slack): took it."),
        (Reply(500), 2, "✖ slack (Slack): did not take it; try again."),
        (Reply(404, b"no_service"), 2, "✖ slack (Slack): refused it, and will again."),
    ],
)
def test_every_channel_is_tried_and_its_answer_is_said(
    bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reply: Reply, code: int, words: str
) -> None:
    with Web() as web:
        web.replies.append(reply)
        bare.setenv("SLACK_WEBHOOK_URL", web.url(HOOK))
        got, out, err = called(bare, capsys, "alerts", "test")
    assert got == code
    lines = out.splitlines()
    assert lines[0].startswith("● log (log): took it.")
    assert lines[1].startswith(words)
    assert "TEST: " in web.requests[0].json["text"]
    assert "T0PLANTED" not in out + err


def test_a_channel_that_lacks_something_is_not_tried_and_is_no_success(
    bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bare.setenv("SMTP_HOST", "mail.example")
    code, out, _ = called(bare, capsys, "alerts", "test", "--channel", "email")
    assert code == 2
    assert out.startswith("✖ email (e-mail): cannot be used: ")
    assert "ALERT_EMAIL_TO" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing is configured but the log, so alerts reach nobody: set SLACK_WEBHOOK_URL"),
        (("--channel", "phone"), "there is no channel 'phone'; there are log"),
    ],
)
def test_nobody_to_be_told_is_wrong_usage(
    bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    code, out, _ = called(bare, capsys, "alerts", "test", *arguments)
    assert code == 64
    assert out.startswith(words)


def test_the_log_alone_can_be_tried(bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(bare, capsys, "alerts", "test", "--channel", "log")[0] == 0


def test_the_doctor_looks_at_the_channels(bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bare.setenv("SMTP_HOST", "mail.example")
    bare.setenv("COLUMNS", "200")
    code, out, _ = called(bare, capsys, "doctor")
    assert code == 3
    assert re.search(r"✖ missing +alerts to email: .*ALERT_EMAIL_TO", out)


# --- the services ---


def test_the_service_of_systemd_is_one(tmp_path: Path) -> None:
    unit = ROOT / "deploy" / "portfolio-guardrails.service"
    told = unit.read_text()
    assert "Restart=always" in told
    assert "KillSignal=SIGTERM" in told
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("there is no systemd-analyze")
    program = tmp_path / "portfolio-guardrails" / ".venv" / "bin" / "guardrails"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copied = tmp_path / unit.name
    copied.write_text(told.replace("%h", str(tmp_path)))
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        [verify, "--user", "verify", str(copied)], capture_output=True, text=True, env=env, timeout=180, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["portfolio-guardrails.plist", "portfolio-guardrails-task.xml"])
def test_the_services_of_other_systems_are_well_formed_and_start_the_watch(name: str) -> None:
    words = [(element.text or "").strip() for element in parse(ROOT / "deploy" / name).iter()]
    place = next(n for n, word in enumerate(words) if re.search(r"[/\\]guardrails(\.exe)?$", word))
    assert words[place + 1] == "watch"

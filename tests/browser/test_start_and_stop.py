"""Start, answer, stop: what a person or a monitor sees of the process, with no browser open."""

from __future__ import annotations

import json
import os
import pty
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.browser.conftest import ROOT, START_SECONDS, Server, environment, free_port, serving

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def ready(server: Server) -> tuple[int, str]:
    """The answer of /readyz, given the first cycles a moment."""
    deadline = time.monotonic() + START_SECONDS
    status, body = server.get("/readyz")
    while status != 200 and time.monotonic() < deadline:
        time.sleep(0.2)
        status, body = server.get("/readyz")
    return status, body


def test_the_four_routes_answer_before_any_browser(calm: Server) -> None:
    assert calm.get("/healthz")[0] == 200
    status, body = ready(calm)
    assert (status, json.loads(body)["status"]) == (200, "ready")
    snapshot = json.loads(calm.get("/api/snapshot")[1])
    assert snapshot["schema"].startswith("guardrails.snapshot/")
    assert len(snapshot["positions"]) > 20
    assert "guardrails_level " in calm.get("/metrics")[1]


def test_a_foreign_host_name_is_refused(calm: Server) -> None:
    ready(calm)
    assert calm.get("/api/snapshot", host="evil.example")[0] == 400
    assert calm.get("/api/snapshot", host="localhost")[0] == 200


def test_account_numbers_are_masked_on_the_wire(calm: Server) -> None:
    ready(calm)
    body = calm.get("/api/snapshot")[1] + calm.get("/metrics")[1] + calm.get("/readyz")[1]
    assert "•••" in json.loads(calm.get("/api/snapshot")[1])["accounts"][0]["account"]
    assert "U1234567" not in body
    assert "5WT0" not in body


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_and_the_state_is_written(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as server:
        ready(server)
        code, _ = server.stop(number)
    assert code == 0, server.log.read_text()
    assert json.loads((tmp_path / "data" / "risk_snapshot.json").read_text())["positions"]
    assert "Traceback" not in server.log.read_text()


def test_a_second_copy_on_the_same_port_refuses_to_start(calm: Server, tmp_path: Path) -> None:
    port = int(calm.url.rsplit(":", 1)[1])
    command = [sys.executable, "-m", "streamlit", "run", "app.py"]
    env = environment(tmp_path, port)
    second = subprocess.run(command, cwd=ROOT, env=env, timeout=START_SECONDS, capture_output=True, check=False)
    assert second.returncode != 0
    assert not (tmp_path / "data").exists()


def test_a_matrix_that_is_not_valid_is_refused_in_one_sentence(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("version: 3\n")
    env = environment(tmp_path, free_port(), GUARDRAILS_MATRIX=str(bad))
    command = [sys.executable, "-m", "streamlit", "run", "app.py"]
    refused = subprocess.run(
        command, cwd=ROOT, env=env, timeout=START_SECONDS, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 64
    assert "bad.yaml:1: version" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_first_start_at_a_terminal_asks_nothing_and_opens_the_browser(tmp_path: Path) -> None:
    opened, opener = tmp_path / "opened", tmp_path / "opener"
    opener.write_text(f'#!/bin/sh\necho "$1" >> {opened}\n')
    opener.chmod(opener.stat().st_mode | stat.S_IXUSR)
    port = free_port()
    env = environment(tmp_path, port, STREAMLIT_SERVER_HEADLESS="false", BROWSER=str(opener))
    command = [sys.executable, "-m", "streamlit", "run", "app.py"]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (opened.exists() and opened.read_text()) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        said = os.read(ours, 65536).decode()
        assert opened.read_text().splitlines() == [f"http://127.0.0.1:{port}"], said
        assert "mail" not in said.lower()
    finally:
        process.terminate()
        process.wait(20)
        os.close(ours)
        os.close(theirs)


def test_the_demo_imports_no_broker_library() -> None:
    brokers = "('ib_async', 'ibapi', 'tastytrade')"
    code = (
        "import app, sys; from adapters import open_sources; from guardrails.settings import Settings; "
        "from datetime import UTC, datetime; open_sources(('demo',), Settings(), lambda: datetime.now(UTC)); "
        f"print([name for name in sys.modules if name.split('.')[0] in {brokers}])"
    )
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=START_SECONDS, check=True)
    assert out.stdout.strip().endswith("[]")

"""The program as a person starts it, in a process and a home of its own, and a real Chromium to look at it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS, STOP_SECONDS = 90.0, 60.0
"""what is given a program on a machine that does much else; it takes a few where nothing else runs"""
expect.set_options(timeout=30_000)  # what a person waits for too, on a machine that does much else
PROGRAM = ("streamlit", "run", "app.py")
CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
"""where this process keeps its compiled kernels, so that no program started here need compile its own"""
_PORTS = count(61 * os.getpid())  # processes of tests side by side begin at different ones


@dataclass(frozen=True, slots=True)
class Server:
    """A running `streamlit run app.py`."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def get(self, path: str, host: str | None = None) -> tuple[int, str]:
        """Status and body of a GET."""
        request = urllib.request.Request(self.url + path, headers={} if host is None else {"Host": host})
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def stop(self, number: signal.Signals) -> tuple[int, float]:
        """Exit code after a signal, and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS), time.monotonic() - began


def free_port() -> int:
    """A port of no one that stays so: from 32,768 on the kernel gives them to connections of its own choice."""
    while True:
        port = 20_000 + next(_PORTS) % 12_000
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def environment(home: Path, port: int, **more: str) -> dict[str, str]:
    """A machine on which nothing was ever started, but that the kernels are compiled."""
    own_names = ("GUARDRAILS_", "STREAMLIT_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(own_names)}
    own = {"HOME": str(home), "XDG_CACHE_HOME": CACHE, "GUARDRAILS_DATA_DIR": str(home / "data")}
    served = {"STREAMLIT_SERVER_PORT": str(port), "STREAMLIT_SERVER_HEADLESS": "true"}
    return {**inherited, **own, **served, **more}


@contextmanager
def serving(home: Path, program: Sequence[str] = PROGRAM, **more: str) -> Iterator[Server]:
    """The program, a Python module with its arguments, answering; killed when the test forgot to stop it."""
    home.mkdir(parents=True, exist_ok=True)
    port, log = free_port(), home / "log.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *program], cwd=ROOT, env=environment(home, port, **more),
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    server = Server(process, f"http://127.0.0.1:{port}", log)
    try:
        wait_until_answering(server)
        yield server
    finally:
        process.kill()
        process.wait(10)


def wait_until_answering(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            if server.get("/_stcore/health")[0] == 200:
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the server did not answer within {START_SECONDS} s:\n{server.log.read_text()[-2000:]}")


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; skipped where there is none, unless REQUIRE_BROWSER=1."""
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail("REQUIRE_BROWSER=1, but there is no chromium: install Debian's package chromium")
        pytest.skip("there is no chromium")
    flags = ["--disable-gpu", "--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where screenshots go: into docs only on request, because they change with every run."""
    folder = ROOT / "docs" / "screenshots" if os.environ.get("UPDATE_SCREENSHOTS") == "1" else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def opened(chromium: Browser) -> Iterator[list[Page]]:
    """Pages to be closed."""
    pages: list[Page] = []
    yield pages
    for page in pages:
        page.close()


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One program in the demo's calm market for the tests that only look."""
    with serving(tmp_path_factory.mktemp("calm")) as server:
        yield server

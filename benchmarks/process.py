"""The program as a person runs it: seconds to painted lights, CPU and memory with one open tab, what gets imported.

A real `streamlit run app.py` with the demo source in a home of its own, and a real Chromium. File caches are warm:
"cold" is a new process, not a rebooted machine.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Error, Page, sync_playwright

from benchmarks.timing import Row

ROOT = Path(__file__).resolve().parent.parent
STARTS = 3
WATCHED_SECONDS = 30.0
SETTLING_SECONDS = 5.0
PAINT_SECONDS = 60.0
BROKER_LIBRARIES = ("ib_async", "ib_insync", "ibapi", "tastytrade")
IMPORTS = (
    "streamlit",
    "pandas",
    "numpy",
    "pydantic",
    "exchange_calendars",
    "plotly",
    "guardrails.engine",
    "guardrails.cli",
)
PROBE = """
import atexit, json, os, sys
atexit.register(lambda: open(os.environ["PROBE_FILE"] + f".{os.getpid()}", "w").write(json.dumps(sorted(sys.modules))))
"""


def server() -> list[Row]:
    """Start, watch and stop the program; rows are missing where there is no Chromium."""
    path = shutil.which("chromium")
    if path is None:
        return [Row("process with one open tab", "not measured: no chromium", "< 10 % of one core", None)]
    flags = ["--disable-gpu", "--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        painted = []
        for _ in range(STARTS):
            with started(browser) as (_, _, seconds):
                painted.append(seconds)
        rows = watched(browser)
        browser.close()
    cold = statistics.median(painted)
    return [Row("cold `streamlit run app.py` to painted lights", f"{cold:.1f} s", "< 6 s", cold < 6.0), *rows]


def watched(browser: Browser) -> list[Row]:
    """CPU, memory and imports of the process, with one tab on Risk."""
    with tempfile.TemporaryDirectory() as folder:
        with started(browser, Path(folder)) as (process, _, _):
            time.sleep(SETTLING_SECONDS)
            share = cpu(process, WATCHED_SECONDS)
            resident = process.memory_info().rss / 2**20
            process.send_signal(signal.SIGINT)
            process.wait(20)
        modules = {name for file in Path(folder).glob("modules.*") for name in json.loads(file.read_text())}
    assert "guardrails.engine" in modules, "the probe saw nothing"
    found = sorted(name for name in BROKER_LIBRARIES if name in modules)
    return [
        Row("engine and one open tab, 2 s refresh, over 30 s", f"{share:.1f} % of one core", "< 10 %", share < 10.0),
        Row("resident memory of that process", f"{resident:.0f} MB", "< 400 MB", resident < 400.0),
        Row("broker libraries imported in demo", ", ".join(found) or "none", "none", not found),
    ]


@contextmanager
def started(browser: Browser, probe: Path | None = None) -> Iterator[tuple[psutil.Process, Page, float]]:
    """The process, a tab on it, and the seconds from the start of the process until the lights were painted."""
    with tempfile.TemporaryDirectory() as home:
        port = free_port()
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        began = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py"], cwd=ROOT, env=environment(Path(home), port, probe),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            paint(page, f"http://127.0.0.1:{port}")
            yield psutil.Process(child.pid), page, time.perf_counter() - began
        finally:
            page.close()
            child.kill()
            child.wait(10)


def paint(page: Page, url: str) -> None:
    """Open the page as soon as the server answers, and wait for the header and the first light."""
    deadline = time.monotonic() + PAINT_SECONDS
    while True:
        try:
            page.goto(url)
            break
        except Error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    page.get_by_text("What needs you now").first.wait_for(timeout=PAINT_SECONDS * 1000)
    page.locator(".pg-bar").first.wait_for(timeout=PAINT_SECONDS * 1000)


def cpu(process: psutil.Process, seconds: float) -> float:
    """Percent of one core the process and its children use."""

    def used() -> float:
        times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
        return sum(t.user + t.system for t in times)

    before, began = used(), time.perf_counter()
    time.sleep(seconds)
    return (used() - before) / (time.perf_counter() - began) * 100.0


def environment(home: Path, port: int, probe: Path | None) -> dict[str, str]:
    """A machine on which nothing was ever started; with `probe` the process leaves a list of its modules there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GUARDRAILS_", "STREAMLIT_"))}
    own = {
        "HOME": str(home),
        "GUARDRAILS_DATA_DIR": str(home / "data"),
        "STREAMLIT_SERVER_PORT": str(port),
        "STREAMLIT_SERVER_HEADLESS": "true",
    }
    if probe is not None:
        (probe / "sitecustomize.py").write_text(PROBE)
        own |= {"PYTHONPATH": str(probe), "PROBE_FILE": str(probe / "modules")}
    return {**kept, **own}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def imports() -> list[Row]:
    """Median milliseconds of an import in a fresh interpreter, the interpreter's own start taken out."""
    empty = imported("sys")
    return [Row(f"import {name}", f"{imported(name) - empty:.0f} ms") for name in IMPORTS]


def imported(name: str) -> float:
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {name}"], cwd=ROOT, check=True)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000.0

"""Run every benchmark and print one table in Markdown: `python -m benchmarks [--write]`.

With `--write` the table in benchmarks/README.md is replaced. Exit code 1 when a goal is missed.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import assessment, history_size, ibkr, process, replay, screens, store, tastytrade
from benchmarks.timing import Row

README = Path(__file__).with_name("README.md")
PACKAGES = (
    "numpy", "pandas", "pydantic", "streamlit", "exchange-calendars", "ib_async", "tastytrade", "playwright",
    "SQLAlchemy", "psycopg", "pyarrow",
)  # fmt: skip
BEGIN, END = "<!-- table begins -->", "<!-- table ends -->"


def main() -> int:
    logging.disable(logging.WARNING)
    logging.getLogger("ib_async").setLevel(logging.CRITICAL)  # it words every attempt that fails as an error
    parts = {
        "Assessment against its peers": assessment.compare,
        "Whole engine cycle": assessment.cycle,
        "Pages": screens.reruns,
        "Process": process.server,
        "Store": store.store,
        "A day in the store": history_size.day,
        "A year judged again": replay.year,
        "IBKR, live, against the stand-in for TWS": ibkr.live,
        "tastytrade, live, against its stand-in": tastytrade.live,
        "Imports": process.imports,
    }
    text, missed = [machine()], False
    for title, measure in parts.items():
        print(f"{title} ...", file=sys.stderr)
        rows = measure()
        missed = missed or any(row.met is False for row in rows)
        text.append(table(title, rows))
    document = "\n\n".join(text)
    print(document)
    if "--write" in sys.argv[1:]:
        old = README.read_text(encoding="utf-8")
        new = re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n\n{document}\n\n{END}", old, flags=re.DOTALL)
        README.write_text(new, encoding="utf-8")
    return int(missed)


def machine() -> str:
    """Where and when, in one line."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    today = datetime.now(UTC).date()
    return f"{today}, {processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}."


def processor() -> str:
    """Name of the processor where the system tells it."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def table(title: str, rows: list[Row]) -> str:
    return "\n".join([f"### {title}", "", "| what | measured | goal | |", "|---|---|---|---|", *map(str, rows)])


if __name__ == "__main__":
    sys.exit(main())

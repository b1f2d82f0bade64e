"""Run every benchmark and print its table in Markdown: `python -m benchmarks [WORD ...] [--write]`.

With words only the parts whose title has one of them. With `--write` the tables in benchmarks/README.md are replaced.
Exit code 1 when a goal is missed.
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

from benchmarks import (
    alerts,
    assessment,
    flatten,
    gate,
    history_size,
    ibkr,
    margin,
    pricing_american,
    pricing_dividends,
    pricing_european,
    pricing_vollib,
    process,
    replay,
    screens,
    store,
    stress,
    tastytrade,
)
from benchmarks.timing import Row

README = Path(__file__).with_name("README.md")
PACKAGES = (
    "numpy", "pandas", "pydantic", "streamlit", "exchange-calendars", "ib_async", "tastytrade", "playwright",
    "SQLAlchemy", "psycopg", "pyarrow", "numba", "QuantLib", "scipy",
)  # fmt: skip
BEGIN, END = "<!-- table begins -->", "<!-- table ends -->"


def main() -> int:
    logging.disable(logging.WARNING)
    logging.getLogger("ib_async").setLevel(logging.CRITICAL)  # it words every attempt that fails as an error
    parts = {
        "Assessment against its peers": assessment.compare,
        "Whole engine cycle": assessment.cycle,
        "Pricing: European": pricing_european.european,
        "Pricing: implied volatility": pricing_vollib.implied,
        "Pricing: American": pricing_american.american_options,
        "Pricing: American with cash dividends": lambda: [*pricing_dividends.accuracy(), *pricing_dividends.speed()],
        "Pricing: margin estimates": margin.rows,
        "Pricing: the stress of a book": stress.stress,
        "Flatten": flatten.flatten,
        "Gate: what an order would do": gate.gate,
        "Pages": screens.reruns,
        "Process": process.server,
        "Alerts": alerts.alerts,
        "Store": store.store,
        "A day in the store": history_size.day,
        "A year judged again": replay.year,
        "IBKR, live, against the stand-in for TWS": ibkr.live,
        "tastytrade, live, against its stand-in": tastytrade.live,
        "Imports": process.imports,
    }
    words = [word.lower() for word in sys.argv[1:] if not word.startswith("-")]
    parts = {title: part for title, part in parts.items() if not words or any(word in title.lower() for word in words)}
    tables, missed = {}, False
    for title, measure in parts.items():
        print(f"{title} ...", file=sys.stderr)
        rows = measure()
        missed = missed or any(row.met is False for row in rows)
        tables[title] = table(title, rows)
    print("\n\n".join([machine(), *tables.values()]))
    if "--write" in sys.argv[1:]:
        README.write_text(written(README.read_text(encoding="utf-8"), tables, whole=not words), encoding="utf-8")
    return int(missed)


def written(readme: str, tables: dict[str, str], *, whole: bool) -> str:
    """`readme` with the tables between its marks replaced: all of it, or only those parts, with where and when."""
    if whole:
        document = "\n\n".join([machine(), *tables.values()])
        return re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n\n{document}\n\n{END}", readme, flags=re.DOTALL)
    for title, lines in tables.items():
        dated = lines.replace("\n\n", f"\n\n{machine()}\n\n", 1)
        old = re.compile(rf"### {re.escape(title)}(?=\n).*?(?=\n\n### |\n\n{END})", re.DOTALL)
        if old.search(readme) is None:
            readme = readme.replace(f"\n\n{END}", f"\n\n### {title}\n\n{END}")
        readme = old.sub(lambda _, dated=dated: dated, readme)  # type: ignore[misc]  # bound per table
    return readme


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

"""`guardrails check`: the book assessed once, on the terminal or as JSON."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from datetime import datetime

from rich.console import Console

from guardrails.assess import Assessment, assess
from guardrails.brokers import Broker
from guardrails.findings import Level
from guardrails.look import look
from guardrails.matrix import RiskMatrix
from guardrails.memory import read_memory, remembered_as
from guardrails.outages import about_task
from guardrails.recording import STATE_FILE
from guardrails.report import print_snapshot
from guardrails.settings import Settings
from guardrails.snapshot import to_json

EXIT = {Level.NOT_APPLICABLE: 0, Level.OK: 0, Level.WATCH: 1, Level.BREACH: 2, Level.UNKNOWN: 3}
Clock = Callable[[], datetime]


def answer(sources: Sequence[Broker], rules: RiskMatrix, settings: Settings, clock: Clock, *, as_json: bool) -> int:
    """Assess the sources, print the Snapshot and give the exit code of its level."""
    snapshot = assess_once(sources, rules, settings, clock).snapshot
    if as_json:
        sys.stdout.buffer.write(to_json(snapshot) + b"\n")
    else:
        print_snapshot(snapshot, Console(highlight=False))
    return EXIT[snapshot.level]


def assess_once(sources: Sequence[Broker], rules: RiskMatrix, settings: Settings, clock: Clock) -> Assessment:
    """One assessment of `sources` as of the moment at which they have answered, by `clock`; then they are closed.

    A source that cannot be read is DOWN, not an exception. What an engine of the same sources remembers is used.
    """
    views, problems = asyncio.run(look(sources, clock))
    kept_as = remembered_as((source.name for source in sources), settings.guardrails_demo_scenario)
    memory = read_memory(settings.guardrails_data_dir / STATE_FILE, kept_as)
    extra = [about_task(name, text, rules) for name, text in sorted(problems.items())]
    return assess(views, rules, memory, clock(), extra)

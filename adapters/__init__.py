"""One room per outside party. Each translates at its edge and hands inward only values of `guardrails`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from guardrails.brokers import Broker
from guardrails.settings import Scenario

STATEMENT = "statement:"


def open_sources(names: Iterable[str], scenario: Scenario = Scenario.CALM, prices: Path | None = None) -> list[Broker]:
    """The sources in GUARDRAILS_SOURCES: `demo` and `statement:PATH`; each room is imported only when it is asked for.

    All statements are one source, because tastytrade's positions and balances come in two files; `prices` is theirs.
    """
    sources: list[Broker] = []
    wanted = list(dict.fromkeys(names))
    if "demo" in wanted:
        from adapters.demo import DemoSource  # noqa: PLC0415  # rooms are imported when asked for

        sources.append(DemoSource(scenario))
    files = [Path(name.removeprefix(STATEMENT)) for name in wanted if name.startswith(STATEMENT)]
    if files:
        from adapters.statements import StatementSource  # noqa: PLC0415  # as above

        sources.append(StatementSource(files, prices))
    return sources

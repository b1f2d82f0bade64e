"""A statement as a source of the engine: read again only when a file or the day changes, never on the engine's loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from adapters.statements.decode import display_name
from adapters.statements.prices import Prices, apply_prices, read_prices
from adapters.statements.reader import read_statement
from guardrails import calendar
from guardrails.values import View

_Signature = tuple[object, ...]


class StatementSource:
    """One statement, or the files of one account read as one, with the user's prices applied to it."""

    def __init__(self, paths: Path | Sequence[Path], prices: Path | None = None) -> None:
        self._paths = (paths,) if isinstance(paths, Path) else tuple(paths)
        self._prices_path = prices
        self._view: tuple[_Signature, View] | None = None
        self._prices: tuple[_Signature, Prices] | None = None

    @property
    def name(self) -> str:
        """`statement:` and the file names, account numbers in them masked."""
        return "statement:" + "+".join(display_name(path) for path in self._paths)

    async def view(self, now: datetime) -> View:
        """What the files say, with prices; SourceError when a file gives no book at all or has gone."""
        return await asyncio.to_thread(self._read, now)

    async def close(self) -> None:
        """Nothing is held open between two readings."""

    def _read(self, now: datetime) -> View:
        signature: _Signature = (calendar.exchange_date(now), *(_state(path) for path in self._paths))
        if self._view is None or self._view[0] != signature:
            self._view = (signature, read_statement(self._paths, now))
        view = self._view[1]
        if self._prices_path is None:
            return view
        given = (_state(self._prices_path),)
        if self._prices is None or self._prices[0] != given:
            self._prices = (given, read_prices(self._prices_path, now))
        prices = self._prices[1]
        said = (*view.source.exclusions, *prices.problems, *prices.notes)
        return apply_prices(replace(view, source=replace(view.source, exclusions=said)), prices)


def _state(path: Path) -> tuple[int, int] | None:
    """Time and size of a file, None when it has gone: the reading that follows says so."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size

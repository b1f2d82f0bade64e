"""`guardrails replay`: where the moments are read from, the progress on a terminal, and how the answer is printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from guardrails import replay_words
from guardrails.comparison import Comparison, compare
from guardrails.matrix import RiskMatrix
from guardrails.pricing import compiled
from guardrails.replay_document import document
from guardrails.replay_processes import frozen, processes_for
from guardrails.settings import Settings
from guardrails.store.books import book_of
from guardrails.store.database import open_database, place_of
from guardrails.stored_replay import Reading, Seen, file_to_read, last_capture, replay_stored

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be judged again."""

    begin: datetime
    end: datetime | None
    """itself included; None: up to the last moment stored"""
    matrix: RiskMatrix | None
    """None: the one then in force"""
    database: Path | None
    """None: the one the settings name"""
    revalue: bool = False
    """measure again what the book would lose under shocks, instead of taking it as it was measured then"""


def answer(asked: Asked, settings: Settings, clock: Callable[[], datetime], *, as_json: bool) -> int:
    """Print what came of it and give the exit code; StoreError when the store cannot be read."""
    compiled.prepare()  # a year is thousands of books to revalue
    book = book_of(settings.guardrails_sources, settings.guardrails_demo_scenario).key
    with _reading(asked, settings, clock) as reading, _progress() as seen, frozen():
        found = _found(asked, reading, book, seen)
    if as_json:
        text = json.dumps(document(found), indent=1, sort_keys=True, ensure_ascii=False)
        sys.stdout.buffer.write(text.encode("utf-8") + b"\n")
    else:
        console = Console(highlight=False)
        for line in replay_words.sentences(found):
            console.print(line, markup=False, soft_wrap=True)
    return replay_words.exit_code(found)


def _found(asked: Asked, reading: Reading, book: str, seen: Seen) -> Comparison:
    end = asked.end or last_capture(reading, book)
    if end is None:
        return compare(())
    return replay_stored(
        reading, book, asked.begin, end + _INSTANT, asked.matrix, seen, revalue=asked.revalue, processes=processes_for
    )


@contextmanager
def _reading(asked: Asked, settings: Settings, clock: Callable[[], datetime]) -> Iterator[Reading]:
    """The store, to be read only: a file is not even brought up to date."""
    folder, url = settings.guardrails_data_dir, settings.database_url
    place = asked.database or place_of(folder, url)
    if isinstance(place, Path):
        with file_to_read(place) as reading:
            yield reading
        return
    with closing(open_database(folder, clock, url)) as database:
        yield database.reading


@contextmanager
def _progress() -> Iterator[Seen]:
    """A bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("judging the past"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("moments", total=None)
        yield lambda count, total: progress.update(task, completed=count, total=total)

"""`guardrails replay`: where the moments are read from, the progress on a terminal, and how the answer is printed."""

from __future__ import annotations

import gc
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
from guardrails.settings import Settings
from guardrails.store.books import book_of
from guardrails.store.database import SERVER, open_database, parsed
from guardrails.store.sqlite import FILE
from guardrails.stored_replay import Reading, Seen, file_to_read, last_capture, replay_stored

_INSTANT = timedelta(microseconds=1)
_GARBAGE = 100_000
"""objects more than there were before garbage is looked for; a moment of a thousand positions is made of fewer"""


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


def answer(asked: Asked, settings: Settings, clock: Callable[[], datetime], *, as_json: bool) -> int:
    """Print what came of it and give the exit code; StoreError when the store cannot be read."""
    compiled.prepare()  # a year is thousands of books to revalue
    book = book_of(settings.guardrails_sources, settings.guardrails_demo_scenario).key
    with _reading(asked, settings, clock) as reading, _progress() as seen, frozen():
        found = _found(asked, reading, book, seen)
    if as_json:
        text = json.dumps(replay_words.document(found), indent=1, sort_keys=True, ensure_ascii=False)
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
    return replay_stored(reading, book, asked.begin, end + _INSTANT, asked.matrix, seen)


@contextmanager
def _reading(asked: Asked, settings: Settings, clock: Callable[[], datetime]) -> Iterator[Reading]:
    """The store, to be read only: a file is not even brought up to date."""
    url = settings.database_url
    place = None if url is None or asked.database is not None else parsed(url)
    if place is not None and place.drivername == SERVER:
        with closing(open_database(settings.guardrails_data_dir, clock, url)) as database:
            yield database.reading
        return
    named = settings.guardrails_data_dir / FILE if place is None else Path(str(place.database))
    with file_to_read(asked.database or named) as reading:
        yield reading


@contextmanager
def frozen() -> Iterator[None]:
    """What is loaded now is not looked through again and again for garbage, nor every moment while it is judged, which
    leaves no cycles behind: an eighth of the time went into that.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_GARBAGE, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def _progress() -> Iterator[Seen]:
    """A bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("judging the past"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("moments", total=None)
        yield lambda count, total: progress.update(task, completed=count, total=total)

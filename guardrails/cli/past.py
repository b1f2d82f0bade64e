"""What is stored: the past judged again (`replay`), the time before this program ran filled in (`backfill`), the
evidence log verified (`audit verify`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guardrails.cli.terminal import clock, parse_range, say
from guardrails.redaction import redact
from guardrails.settings import Settings, load_settings

if TYPE_CHECKING:
    from guardrails.brokers import Broker
    from guardrails.store.books import Book
    from guardrails.store.database import Database

_NOT_ADDED = 3


def replay(
    begin: Annotated[str, typer.Option("--from", help="From this ISO time; a date means its first minute.")],
    end: Annotated[
        str | None, typer.Option("--to", help="To this ISO time; a date means its close, else its end. Default: all.")
    ] = None,
    other: Annotated[
        Path | None, typer.Option("--matrix", help="Another matrix; default is the one then in force.")
    ] = None,
    database: Annotated[Path | None, typer.Option(help="A file of the store; default is the one in use.")] = None,
    *,
    revalue: Annotated[
        bool, typer.Option("--revalue", help="Revalue every book, instead of taking its stress as measured then.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> int:
    """Judge the stored past again, under the matrix then in force or under another one; changes nothing.

    Exit 0 when every moment comes out as it was, 1 when any differs, 3 when nothing is stored or some cannot be read.
    """
    from guardrails.matrix import load
    from guardrails.replay_command import Asked, answer

    first, last = parse_range(begin, end)
    asked = Asked(first, last, None if other is None else load(other), database, revalue)
    return answer(asked, load_settings(), clock, as_json=as_json)


def backfill(
    flex: Annotated[list[Path] | None, typer.Option(help="IBKR Flex Query XML; may be repeated.")] = None,
    vix: Annotated[Path | None, typer.Option(help="Daily prices of VIX, CSV as Cboe publishes them.")] = None,
    vix3m: Annotated[Path | None, typer.Option(help="The same of VIX3M.")] = None,
    forget: Annotated[
        Path | None, typer.Option(help="Take out again what this file filled in, by its name; nothing else is done.")
    ] = None,
    *,
    tastytrade: Annotated[
        bool | None, typer.Option(help="Ask tastytrade; by default when GUARDRAILS_SOURCES names it.")
    ] = None,
) -> int:
    """Add the time before this program ran to the charts; nothing that is stored is changed, so run it again at will.

    Exit 3 when something was refused, could not be read, or contradicts what is stored.
    """
    settings = load_settings()
    files = [path for path in (*(flex or ()), vix, vix3m) if path is not None]
    asks = "tastytrade" in settings.guardrails_sources if tastytrade is None else tastytrade
    if forget is not None and (files or tastytrade):
        raise typer.BadParameter("--forget takes out and adds nothing: call it by itself, then add what is right")
    if forget is None and not files and not asks:
        message = "there is nothing to add: give --flex, --vix or --vix3m, or name tastytrade in GUARDRAILS_SOURCES"
        raise typer.BadParameter(message)
    if forget is not None:
        lines, code = _forget_past(settings, forget)
    elif "demo" in settings.guardrails_sources:
        given = ", ".join([*(redact(path.name) for path in files), *(["tastytrade"] if asks else [])])
        why = "GUARDRAILS_SOURCES has demo, whose accounts and market are invented: name your brokers there first"
        lines, code = [f"nothing was added of {given}: {why}"], _NOT_ADDED
    else:
        lines, code = _add_past(settings, flex or (), (("VIX", vix), ("VIX3M", vix3m)), asks=asks)
    for line in lines:
        say(line)
    return code


def audit_verify(
    database: Annotated[
        Path | None, typer.Option(help="A file; default is what DATABASE_URL names, or else that of the data folder.")
    ] = None,
) -> int:
    """Look for rows of the evidence log, and rows it proves, that were edited, moved, put in or taken out.

    Changes nothing. Exit 0 when every entry and row verifies, 2 when not, 3 when it cannot be read.
    """
    from guardrails.audit import verify_file, verify_store

    if database is not None:
        code, lines = verify_file(database)
    else:
        settings = load_settings()
        code, lines = verify_store(settings.guardrails_data_dir, settings.database_url)
    for line in lines:
        say(line)
    return code


def _add_past(
    settings: Settings, flex: Sequence[Path], closes: Sequence[tuple[str, Path | None]], *, asks: bool
) -> tuple[list[str], int]:
    """Read the files, ask tastytrade when it `asks`, store all of it; what to say, and the exit code."""
    from adapters import open_sources
    from adapters.statements.closes import read_closes
    from adapters.statements.equity_history import read_equity
    from guardrails.histories import past_once
    from guardrails.past import Past
    from guardrails.store.backfill import add_past, outcome

    now = clock()
    given = read_equity(flex, now)
    for symbol, path in closes:
        given += Past() if path is None else read_closes(path, symbol, now)
    sources = open_sources(settings.guardrails_sources, settings, clock)
    asked = [source for source in sources if asks and source.name == "tastytrade"]
    if asks and not asked:
        given += Past(problems=("tastytrade was not asked: GUARDRAILS_SOURCES does not name it",))
    offered = asyncio.run(past_once(asked, clock))
    only = settings.ibkr_account
    with _opened(settings, sources) as (database, book):
        done = add_past(database, book, given, offered, clock(), only.get_secret_value().strip() if only else "")
        return outcome(given + offered, done, database)


def _forget_past(settings: Settings, file: Path) -> tuple[list[str], int]:
    """Take out what `file` filled in; what to say, and the exit code."""
    from adapters import open_sources
    from adapters.statements.decode import display_name
    from guardrails.store.forgetting import forget

    sources = open_sources(settings.guardrails_sources, settings, clock)
    with _opened(settings, sources) as (database, book):
        return forget(database, book, display_name(file))


@contextmanager
def _opened(settings: Settings, sources: Sequence[Broker]) -> Iterator[tuple[Database, Book]]:
    """The database, and the book of `sources` in it."""
    from guardrails.store.books import book_of
    from guardrails.store.database import open_database

    book = book_of((source.name for source in sources), settings.guardrails_demo_scenario)
    database = open_database(settings.guardrails_data_dir, clock, settings.database_url)
    try:
        yield database, book
    finally:
        database.close()

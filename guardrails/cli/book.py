"""What is held now: the book assessed once (`check`) or watched (`watch`), and options priced by hand (`value`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guardrails.cli.terminal import clock, parse_time, say
from guardrails.errors import SourceError
from guardrails.settings import SOURCES, is_source, load_settings


def check(
    source: Annotated[list[str] | None, typer.Option(help="demo or statement:PATH; may be repeated.")] = None,
    file: Annotated[list[Path] | None, typer.Option(help="A broker statement; may be repeated.")] = None,
    prices: Annotated[Path | None, typer.Option(help="CSV with symbol, price, bid, ask, iv, beta, time.")] = None,
    at: Annotated[str | None, typer.Option(help="Assess as of this ISO time (New York when it has no zone).")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the Snapshot as JSON.")] = False,
) -> int:
    """Assess the book once; the exit code is the worst level."""
    from adapters import open_sources
    from guardrails.check_command import answer
    from guardrails.matrix import load

    if source and file:
        message = "give --source or --file, not both"
        raise typer.BadParameter(message)
    for name in source or ():
        if not is_source(name):
            message = f"--source {name!r} must be one of {', '.join(SOURCES)}"
            raise typer.BadParameter(message)
    settings = load_settings()
    if prices is not None:
        settings = settings.model_copy(update={"guardrails_prices": prices})
    names = [f"statement:{path}" for path in file or ()] or source or list(settings.guardrails_sources)
    matrix = load(settings.guardrails_matrix)
    moment = None if at is None else parse_time(at)
    return answer(open_sources(names, settings, clock), matrix, settings, lambda: moment or clock(), as_json=as_json)


def watch() -> None:
    """Watch the book without pages, as a service, and tell alerts, until SIGTERM or Ctrl-C.

    While another program watches the same book, it waits, and takes over when that one dies. Exit 0 when it was told
    to stop, 3 when it cannot go on, 64 for a wrong setting or matrix.
    """
    from adapters import open_sources
    from adapters.channels import open_channels
    from adapters.channels.heartbeat import ping
    from guardrails import logs
    from guardrails.assembly import assemble
    from guardrails.watch_command import leave, never_failing, run, stopping

    settings, stop = load_settings(), stopping()
    file = logs.install(settings.guardrails_data_dir, "watch")
    sources = open_sources(settings.guardrails_sources, settings, clock)
    wiring = assemble(settings, clock, sources, open_channels(settings), ping)
    tell = never_failing(say)
    tell(f"log: {file}")
    leave(run(wiring, tell, stop))


def value(
    file: Annotated[Path, typer.Argument(help="CSV, a row per option; its columns are named when one is missing.")],
    at: Annotated[str | None, typer.Option(help="Count expiries from this ISO time (see check).")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the values as JSON.")] = False,
) -> int:
    """Price listed options, or find the volatility their prices imply.

    Columns: style (european, american), right (C, P), underlying or forward, strike, years or expiry, rate,
    dividend_yield, volatility or price. Exit 3 when some row could not be valued; the others still are.
    """
    from guardrails.value_command import answer

    try:
        return answer(file, clock() if at is None else parse_time(at), as_json=as_json)
    except SourceError as error:
        raise typer.BadParameter(str(error)) from error

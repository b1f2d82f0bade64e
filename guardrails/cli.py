"""The `guardrails` command: one assessment, the engine without pages, the matrix in words, what is configured, the past
judged again, the evidence verified, the channels of alerts tried.

Exit codes are those of monitoring plugins: 0 OK, 1 WATCH, 2 BREACH, 3 UNKNOWN (a crash too), 64 wrong usage, setting
or matrix.
"""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from guardrails import calendar, redaction, report
from guardrails.assess import Assessment, assess
from guardrails.engine import STATE_FILE
from guardrails.errors import GuardrailsError, MatrixError, SettingsError, SourceError
from guardrails.findings import Level
from guardrails.histories import past_once
from guardrails.look import look
from guardrails.matrix import RiskMatrix, advice, explain, load
from guardrails.matrix.explain_alerts import alert_sentences
from guardrails.matrix.explain_orders import order_sentences
from guardrails.memory import read_memory, remembered_as
from guardrails.outages import about_task
from guardrails.past import Past
from guardrails.settings import SOURCES, Settings, is_source, load_settings
from guardrails.snapshot import to_json

EXIT = {Level.NOT_APPLICABLE: 0, Level.OK: 0, Level.WATCH: 1, Level.BREACH: 2, Level.UNKNOWN: 3}
EXIT_CRASH, EXIT_USAGE = 3, 64

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Risk guardrails for an options book.")
audit_app = typer.Typer(no_args_is_help=True, help="The evidence log: what was found, decided and sent.")
app.add_typer(audit_app, name="audit")
alerts_app = typer.Typer(no_args_is_help=True, help="Alerts: who is told.")
app.add_typer(alerts_app, name="alerts")
log = logging.getLogger(__name__)


@app.command()
def check(
    source: Annotated[list[str] | None, typer.Option(help="demo or statement:PATH; may be repeated.")] = None,
    file: Annotated[list[Path] | None, typer.Option(help="A broker statement; may be repeated.")] = None,
    prices: Annotated[Path | None, typer.Option(help="CSV with symbol, price, bid, ask, iv, beta, time.")] = None,
    at: Annotated[str | None, typer.Option(help="Assess as of this ISO time (New York when it has no zone).")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the Snapshot as JSON.")] = False,
) -> int:
    """Assess the book once; the exit code is the worst level."""
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
    result = assess_once(names, matrix, settings, None if at is None else parse_time(at))
    if as_json:
        sys.stdout.buffer.write(to_json(result.snapshot) + b"\n")
    else:
        report.print_snapshot(result.snapshot, Console(highlight=False))
    return EXIT[result.snapshot.level]


@app.command()
def watch() -> None:
    """Watch the book without pages, as a service, and tell alerts, until SIGTERM or Ctrl-C.

    While another program watches the same book, it waits, and takes over when that one dies. Exit 0 when it was told
    to stop, 3 when it cannot go on, 64 for a wrong setting or matrix.
    """
    from adapters import open_sources  # noqa: PLC0415  # as in assess_once
    from adapters.channels import open_channels  # noqa: PLC0415  # as above
    from adapters.channels.heartbeat import ping  # noqa: PLC0415  # as above
    from guardrails import logs  # noqa: PLC0415  # as in audit_verify
    from guardrails.assembly import assemble  # noqa: PLC0415  # as above
    from guardrails.watch_command import leave, never_failing, run, stopping  # noqa: PLC0415  # as above

    settings, console, stop = load_settings(), Console(highlight=False), stopping()
    file = logs.install(settings.guardrails_data_dir, "watch")
    sources = open_sources(settings.guardrails_sources, settings, _clock)
    wiring = assemble(settings, _clock, sources, open_channels(settings), ping)
    say = never_failing(lambda line: console.print(line, markup=False, soft_wrap=True))
    say(f"log: {file}")
    leave(run(wiring, say, stop))


@app.command("simulate")
def simulate_order(
    order: Annotated[Path, typer.Argument(help="A file with one order, JSON as docs/orders.md shows.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the Impact as JSON.")] = False,
) -> int:
    """Judge one order as the gate would, and send nothing; exit 0 ALLOW, 1 WARN, 2 BLOCK, 3 when it cannot be judged.

    The program that watches the book is asked when there is one, else every source is looked at once.
    """
    from adapters import open_sources  # noqa: PLC0415  # as in assess_once
    from guardrails.simulate_command import Asked, answer, read_text  # noqa: PLC0415  # as in audit_verify

    settings = load_settings()
    text = read_text(order)
    sources = open_sources(settings.guardrails_sources, settings, _clock)
    asked = Asked(text, settings, load(settings.guardrails_matrix), [source.name for source in sources])
    return answer(asked, sources, _clock, as_json=as_json)


@app.command()
def safety(
    state: Annotated[str, typer.Argument(help="NORMAL, NO_NEW_RISK, REDUCE_ONLY or STOPPED.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept in the journal.")],
) -> int:
    """Set the safety state of the book that is watched; exit 0 when it is set, 3 when it is not.

    When nobody watches, STOPPED still lays the file STOP into the data folder, which is obeyed at the next start.
    """
    from adapters import open_sources  # noqa: PLC0415  # as in assess_once
    from guardrails.safety_command import set_state  # noqa: PLC0415  # as in audit_verify

    settings, console = load_settings(), Console(highlight=False)
    sources = open_sources(settings.guardrails_sources, settings, _clock)
    code, line = set_state(state, reason, settings, [source.name for source in sources], _clock)
    console.print(line, markup=False, soft_wrap=True)
    return code


@app.command()
def accept(
    account: Annotated[str, typer.Argument(help="Its number, or a masked form that fits only one.")],
    position: Annotated[str, typer.Argument(help="The symbol, or as the finding names it.")],
    reason: Annotated[str, typer.Option(help="Why it is right; it is kept in the journal.")],
) -> int:
    """Accept a change of a position that no fill, assignment or expiry explains; exit 0 when it is, 3 when it is not.

    Until then it stands, also over a restart. What is said when none is meant names those that stand.
    """
    from adapters import open_sources  # noqa: PLC0415  # as in assess_once
    from guardrails.accept_command import accept_change  # noqa: PLC0415  # as in audit_verify

    settings, console = load_settings(), Console(highlight=False)
    sources = open_sources(settings.guardrails_sources, settings, _clock)
    names = [source.name for source in sources]
    code, line = accept_change(account, position, reason, settings, names, _clock)
    console.print(line, markup=False, soft_wrap=True)
    return code


@app.command()
def matrix(
    path: Annotated[Path | None, typer.Argument(help="The file; default is GUARDRAILS_MATRIX.")] = None,
) -> int:
    """Validate the risk matrix and say its limits, and whom it tells, in words."""
    from adapters.channels import open_channels  # noqa: PLC0415  # as in assess_once

    settings = load_settings()
    chosen = path or settings.guardrails_matrix
    valid = load(chosen)
    console = Console(highlight=False)
    console.print(f"{chosen.name} is valid, version {valid.version}.\n")
    for sentences in explain(valid).values():
        console.print("\n  ".join(sentences) + "\n", markup=False)
    told = alert_sentences(valid.alerts, [channel.name for channel in open_channels(settings)])
    console.print("\n  ".join(["Alerts:", *told]) + "\n", markup=False)
    console.print("\n  ".join(["Orders:", *order_sentences(valid.orders)]) + "\n", markup=False)
    for sentence in advice(valid):
        console.print(sentence, markup=False)
    return 0


@app.command()
def doctor() -> int:
    """Say what is configured, what works, what is missing and what to do; exit 3 when something is missing."""
    from adapters import open_sources  # noqa: PLC0415  # as in assess_once
    from adapters.channels import check_channels  # noqa: PLC0415  # as above
    from guardrails.doctor import examine  # noqa: PLC0415  # as in audit_verify

    found = examine(load_settings(), _clock, open_sources, check_channels)
    return report.print_doctor(found, Console(highlight=False))


@app.command()
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
    from guardrails.replay_command import Asked, answer  # noqa: PLC0415  # loads the store, which few commands need

    first, last = parse_time(begin, "--from"), None if end is None else parse_time(end, "--to")
    if end is not None and _is_date(end) and not calendar.is_session(day := datetime.fromisoformat(end).date()):
        last = calendar.at(day, time.max)  # it has no close: its last moment
    if _is_date(begin):
        first = calendar.at(datetime.fromisoformat(begin).date(), time())
    if last is not None and last < first:
        message = f"--to {end!r} is before --from {begin!r}"
        raise typer.BadParameter(message)
    asked = Asked(first, last, None if other is None else load(other), database, revalue)
    return answer(asked, load_settings(), _clock, as_json=as_json)


@app.command()
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
    settings, console = load_settings(), Console(highlight=False)
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
        given = ", ".join([*(redaction.redact(path.name) for path in files), *(["tastytrade"] if asks else [])])
        why = "GUARDRAILS_SOURCES has demo, whose accounts and market are invented: name your brokers there first"
        lines, code = [f"nothing was added of {given}: {why}"], EXIT_CRASH
    else:
        lines, code = _add_past(settings, flex or (), (("VIX", vix), ("VIX3M", vix3m)), asks=asks)
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    return code


@app.command()
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
    from guardrails.value_command import answer as answer_value  # noqa: PLC0415  # as in audit_verify

    try:
        return answer_value(file, _clock() if at is None else parse_time(at), as_json=as_json)
    except SourceError as error:
        raise typer.BadParameter(str(error)) from error


@audit_app.command("verify")
def audit_verify(
    database: Annotated[
        Path | None, typer.Option(help="A file; default is what DATABASE_URL names, or else that of the data folder.")
    ] = None,
) -> int:
    """Look for rows of the evidence log, and rows it proves, that were edited, moved, put in or taken out.

    Changes nothing. Exit 0 when every entry and row verifies, 2 when not, 3 when it cannot be read.
    """
    from guardrails.audit import verify_file, verify_store  # noqa: PLC0415  # a third of a second no other command needs

    if database is not None:
        code, lines = verify_file(database)
    else:
        settings = load_settings()
        code, lines = verify_store(settings.guardrails_data_dir, settings.database_url)
    console = Console(highlight=False)
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    return code


@alerts_app.command("test")
def alerts_test(
    channel: Annotated[
        str | None, typer.Option(help="Only this one: log, slack, email, or a name of ALERT_URLS.")
    ] = None,
) -> int:
    """Send a test message to every channel and say what each answers.

    Exit 0 when all took it, 2 when one did not, 64 when nothing is configured but the log.
    """
    from adapters.channels import open_channels  # noqa: PLC0415  # as in assess_once
    from guardrails.alerts_command import send_tests  # noqa: PLC0415  # as in audit_verify

    settings, console = load_settings(), Console(highlight=False)

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    return send_tests(open_channels(settings), channel, _clock, settings.guardrails_link, say)


def assess_once(names: Sequence[str], rules: RiskMatrix, settings: Settings, at: datetime | None = None) -> Assessment:
    """One assessment of the sources called `names` as of `at`, or of the moment at which they have answered.

    A source that cannot be read is DOWN, not an exception.
    """
    from adapters import open_sources  # noqa: PLC0415  # the command line is one of the three places that know both sides

    sources = open_sources(names, settings, _clock)
    views, problems = asyncio.run(look(sources, lambda: at or _clock()))
    kept_as = remembered_as((source.name for source in sources), settings.guardrails_demo_scenario)
    memory = read_memory(settings.guardrails_data_dir / STATE_FILE, kept_as)
    extra = [about_task(name, text, rules) for name, text in sorted(problems.items())]
    return assess(views, rules, memory, at or _clock(), extra)


def _add_past(
    settings: Settings, flex: Sequence[Path], closes: Sequence[tuple[str, Path | None]], *, asks: bool
) -> tuple[list[str], int]:
    """Read the files, ask tastytrade when it `asks`, store all of it; what to say, and the exit code."""
    from adapters import open_sources  # noqa: PLC0415  # as in assess_once
    from adapters.statements.closes import read_closes  # noqa: PLC0415  # as above
    from adapters.statements.equity_history import read_equity  # noqa: PLC0415  # as above
    from guardrails.store.backfill import add_past, outcome  # noqa: PLC0415  # as in audit_verify
    from guardrails.store.books import book_of  # noqa: PLC0415  # as above
    from guardrails.store.database import open_database  # noqa: PLC0415  # as above

    now = _clock()
    given = read_equity(flex, now)
    for symbol, path in closes:
        given += Past() if path is None else read_closes(path, symbol, now)
    sources = open_sources(settings.guardrails_sources, settings, _clock)
    asked = [source for source in sources if asks and source.name == "tastytrade"]
    if asks and not asked:
        given += Past(problems=("tastytrade was not asked: GUARDRAILS_SOURCES does not name it",))
    offered = asyncio.run(past_once(asked, _clock))
    book = book_of((source.name for source in sources), settings.guardrails_demo_scenario)
    database = open_database(settings.guardrails_data_dir, _clock, settings.database_url)
    try:
        only = settings.ibkr_account
        done = add_past(database, book, given, offered, _clock(), only.get_secret_value().strip() if only else "")
        return outcome(given + offered, done, database)
    finally:
        database.close()


def _forget_past(settings: Settings, file: Path) -> tuple[list[str], int]:
    """Take out what `file` filled in; what to say, and the exit code."""
    from adapters import open_sources  # noqa: PLC0415  # as in assess_once
    from adapters.statements.decode import display_name  # noqa: PLC0415  # as above
    from guardrails.store.books import book_of  # noqa: PLC0415  # as in audit_verify
    from guardrails.store.database import open_database  # noqa: PLC0415  # as above
    from guardrails.store.forgetting import forget  # noqa: PLC0415  # as above

    sources = open_sources(settings.guardrails_sources, settings, _clock)
    database = open_database(settings.guardrails_data_dir, _clock, settings.database_url)
    try:
        book = book_of((source.name for source in sources), settings.guardrails_demo_scenario)
        return forget(database, book, display_name(file))
    finally:
        database.close()


def _clock() -> datetime:
    return datetime.now(UTC)


def _is_date(text: str) -> bool:
    return "T" not in text and ":" not in text


def parse_time(text: str, flag: str = "--at") -> datetime:
    """An aware UTC time from ISO text; without a zone it is New York time, a bare date means that session's close."""
    try:
        moment = datetime.fromisoformat(text)
        if _is_date(text):
            return calendar.session_bounds(calendar.session_on_or_before(moment.date()))[1]
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=calendar.NEW_YORK)
        calendar.session_of(aware)
        return aware.astimezone(UTC)
    except (ValueError, OverflowError, GuardrailsError) as error:
        message = f"{flag} {text!r} is no ISO time of the trading calendar; write for example 2026-11-20T15:50-05:00"
        raise typer.BadParameter(message) from error


def main() -> None:
    """Run the command and exit with its code."""
    for stream in (sys.stdout, sys.stderr):  # a sign that the terminal cannot say must not end a command
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    redaction.install()
    try:
        code = app(standalone_mode=False)
    except typer.Exit as leaving:
        code = leaving.exit_code
    except typer.TyperException as error:
        print(f"{error.format_message()}\nSee `guardrails --help`.", file=sys.stderr)  # it is the answer
        code = EXIT_USAGE
    except (MatrixError, SettingsError) as error:
        print(error, file=sys.stderr)  # the message is the product of this command
        code = EXIT_USAGE
    except GuardrailsError as error:
        print(error, file=sys.stderr)  # as above
        code = EXIT_CRASH
    except Exception:
        log.exception("guardrails crashed")
        code = EXIT_CRASH
    sys.exit(code if isinstance(code, int) else 0)

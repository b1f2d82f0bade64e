"""Between a person at a terminal and every command: times as they are typed, lines as they are, and the clock."""

from __future__ import annotations

from datetime import UTC, datetime, time

import typer
from rich.console import Console

from guardrails import calendar
from guardrails.errors import GuardrailsError


def clock() -> datetime:
    """The time that the command line hands to everything it calls."""
    return datetime.now(UTC)


def say(line: str) -> None:
    """Print `line` as it is: nothing in it is markup, and what reads the output finds it whole."""
    Console(highlight=False).print(line, markup=False, soft_wrap=True)


def parse_time(text: str, flag: str = "--at") -> datetime:
    """An aware UTC time from ISO text; without a zone it is New York time, a bare date means that session's close.

    BadParameter naming `flag` for what is no time, or none of the trading calendar.
    """
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


def parse_range(begin: str, end: str | None) -> tuple[datetime, datetime | None]:
    """The times of --from and --to: of a bare date the first minute, and its close or, without one, its last moment.

    BadParameter as for `parse_time`, and for an end before its beginning.
    """
    first, last = parse_time(begin, "--from"), None if end is None else parse_time(end, "--to")
    if end is not None and _is_date(end) and not calendar.is_session(day := datetime.fromisoformat(end).date()):
        last = calendar.at(day, time.max)
    if _is_date(begin):
        first = calendar.at(datetime.fromisoformat(begin).date(), time())
    if last is not None and last < first:
        message = f"--to {end!r} is before --from {begin!r}"
        raise typer.BadParameter(message)
    return first, last


def _is_date(text: str) -> bool:
    return "T" not in text and ":" not in text

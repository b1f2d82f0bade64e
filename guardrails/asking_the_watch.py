"""One request of a command line to the program that watches a book, through the store they share."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from guardrails.errors import GuardrailsError
from guardrails.requests import Answer, Kind, Request, Said
from guardrails.settings import Settings
from guardrails.store.asking import Asking
from guardrails.store.books import Book, book_of
from guardrails.store.database import Database, open_database
from guardrails.store.sharing import LEASES

AUTHOR = "command line"
TAKEN_WITHIN, ANSWER_SECONDS, _LOOK_SECONDS = timedelta(seconds=6), 25.0, 0.1
NOBODY = "nobody watches this book now"
_SILENT = "the program that watched this book does not answer"
_NO_WORD = "no word came back: it may have been done. Look before you ask again."

Clock = Callable[[], datetime]


def ask_the_watch(
    kind: Kind, body: Mapping[str, str], settings: Settings, names: Sequence[str], clock: Clock
) -> Answer | str:
    """Its answer; a text when nobody who watches the book of the sources `names` took it, so that nothing was done.

    The text says why, without a full stop.
    """
    try:
        database = open_database(settings.guardrails_data_dir, clock, settings.database_url)
    except GuardrailsError as error:
        return _unknown(error)
    try:
        book, now = book_of(names, settings.guardrails_demo_scenario), clock()
        if why := _unheld(database, book):
            return why
        request = Request(secrets.token_hex(8), now, now + TAKEN_WITHIN, AUTHOR, kind, body)
        answer = _answered(Asking(database, secrets.token_hex(6), clock), request, book, clock)
        return _SILENT if answer.said is Said.EXPIRED else answer  # it died without giving the book back
    finally:
        database.close()


def _unknown(error: Exception) -> str:
    """A database that is away tells of nobody, and not that there is nobody."""
    why = str(error).rstrip(".") if isinstance(error, GuardrailsError) else "the database does not answer"
    return f"who watches this book is not known ({why})"


def _unheld(database: Database, book: Book) -> str:
    """Why nobody can be asked; empty when a program has not given the book back."""
    try:
        with database.reading() as connection:
            holder = connection.execute(select(LEASES.c.run).where(LEASES.c.book == book.key)).scalar()
    except (SQLAlchemyError, GuardrailsError) as error:
        return _unknown(error)
    return NOBODY if holder is None else ""


def _answered(asking: Asking, request: Request, book: Book, clock: Clock) -> Answer:
    asking.ask(request, book)
    end = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < end:
        try:
            asking.pass_on()
        except (SQLAlchemyError, GuardrailsError):  # it is tried again, as long as the request is valid
            time.sleep(_LOOK_SECONDS)
        if (told := asking.answered(request.key)) is not None:
            return told
        time.sleep(_LOOK_SECONDS)
    return Answer(request.key, clock(), Said.UNKNOWN, _NO_WORD)

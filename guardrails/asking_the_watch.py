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
_NO_WORD = "no word came back: it may have been done. Look before you ask again."

Clock = Callable[[], datetime]


def ask_the_watch(
    kind: Kind, body: Mapping[str, str], settings: Settings, names: Sequence[str], clock: Clock
) -> Answer | None:
    """Its answer; None when nobody watches the book of the sources `names`, so that nothing was done."""
    try:
        database = open_database(settings.guardrails_data_dir, clock, settings.database_url)
    except GuardrailsError:
        return None  # nothing is kept, so nobody can be asked
    try:
        book, now = book_of(names, settings.guardrails_demo_scenario), clock()
        if not _is_held(database, book):
            return None
        request = Request(secrets.token_hex(8), now, now + TAKEN_WITHIN, AUTHOR, kind, body)
        answer = _answered(Asking(database, secrets.token_hex(6), clock), request, book, clock)
        return None if answer.said is Said.EXPIRED else answer  # whoever held it died without giving it back
    finally:
        database.close()


def _is_held(database: Database, book: Book) -> bool:
    """Whether a program has not given the book back; a database that is away tells of nobody."""
    try:
        with database.reading() as connection:
            return connection.execute(select(LEASES.c.run).where(LEASES.c.book == book.key)).scalar() is not None
    except SQLAlchemyError:
        return False


def _answered(asking: Asking, request: Request, book: Book, clock: Clock) -> Answer:
    asking.ask(request, book)
    end = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < end:
        try:
            asking.pass_on()
        except SQLAlchemyError:  # it is tried again, as long as the request is valid
            time.sleep(_LOOK_SECONDS)
        if (told := asking.answered(request.key)) is not None:
            return told
        time.sleep(_LOOK_SECONDS)
    return Answer(request.key, clock(), Said.UNKNOWN, _NO_WORD)

"""Does the evidence log still say what was written, and do the tables still hold what it proves? Every row that was
edited, moved, copied, put in or taken out is named; the head file beside the database shows a cut end.

Not to be seen: a log written anew together with its head file, and entries added at the end with a right hash and the
rows that they prove.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from itertools import chain, groupby
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Connection, Select, func, inspect, select
from sqlalchemy.exc import DBAPIError

from guardrails.audit_chain import TRACED, Found, cut_off, traced, walk
from guardrails.audit_rows import Rows
from guardrails.calendar import NEW_YORK
from guardrails.redaction import redact
from guardrails.store.database import name_of, place_of, postgres
from guardrails.store.evidence import EVIDENCE, ZEROS, EvidenceError, Problem, Row
from guardrails.store.evidence_head import HEAD_FILE, read_head
from guardrails.store.faults import reason
from guardrails.store.metadata import StoreError, moment
from guardrails.store.read_only import exact_text, opened_file, schema_said, state_of
from guardrails.store.upgrade import HEAD

VERIFIES, PROBLEMS, UNREADABLE = 0, 2, 3
"""exit codes of `guardrails audit verify`"""
_SHOWN = 10
_AT_ONCE = 1_000
"""rows held in memory"""
_SECONDS = 120.0
"""how long a server may take for one answer"""

Head = Mapping[str, tuple[int, str]]
"""count and last hash by book"""


def verify(connection: Connection, head: Head | None, proven: Rows | None = None) -> list[Problem]:
    """Everything wrong with the log, by book and in the order of its rows, then with the rows that it proves; nothing
    when all verifies.

    `head` is what the head file said before `connection` began to read, None when there is none. Memory grows with the
    problems, not with the log. A head that is behind rows which verify is no problem, see `behind`.
    """
    found: list[Found] = []
    proven, wrong = proven or Rows(connection), list[Problem]()
    strays, unseen, empty = 0, dict(head or {}), True
    ordered = select(*EVIDENCE.c).order_by(*EVIDENCE.primary_key).execution_options(yield_per=_AT_ONCE)
    with exact_text(connection):
        for book, rows in groupby(map(Row._make, connection.execute(ordered)), key=lambda row: row.book):
            empty = False
            for problem, row in walk(book, rows, unseen.pop(book, (0, ZEROS)), proven.entry):
                strays += row is not None
                found.append((problem, row if strays <= TRACED else None))
            wrong += proven.rest(book)
        found += [(cut_off(book, 0, count), None) for book, (count, _) in sorted(unseen.items()) if count]
        if head is None and not empty:
            found.append((Problem(None, 0, 0, f"{HEAD_FILE} is missing, so a cut end of the log cannot be seen"), None))
        for book in sorted(proven.unread()):
            wrong += proven.rest(book)
        wrong += proven.nobodys()
        return [*traced(connection, found), *wrong]


def behind(connection: Connection, head: Head) -> list[str]:
    """By how much the head file is behind a log that verifies: the program ended between a commit and the file."""
    return [
        f"{HEAD_FILE} is behind book {book!r} by {count - known} entries, which verify"
        for book, count in connection.execute(_counted())
        if count > (known := head.get(book, (0, ""))[0])
    ]


def verify_store(folder: Path, url: SecretStr | None) -> tuple[int, list[str]]:
    """Exit code and lines of `guardrails audit verify` about what `url` (DATABASE_URL) names, by default the file in
    the data folder `folder`; changes nothing.
    """
    try:
        place = place_of(folder, url)
        if isinstance(place, Path):
            return verify_file(place)
        server = postgres()
        name = name_of(place)
        return _read(name, folder / HEAD_FILE, server.looking(place, _SECONDS))
    except StoreError as error:
        return UNREADABLE, [f"{error} Nothing is known about its evidence."]
    except DBAPIError as error:
        return UNREADABLE, [f"{name} cannot be read: {reason(error)}. Nothing is known about its evidence."]


def verify_file(database: Path) -> tuple[int, list[str]]:
    """Exit code and lines of `guardrails audit verify` about the SQLite file `database`; changes nothing."""
    try:
        if not database.is_file():
            return UNREADABLE, [f"There is no database at {database}{_orphan(database)}. Give --database PATH."]
        before = state_of(database)
        head = database.with_name(HEAD_FILE)
        answer = _read(str(database), head, opened_file(database, alone=not before[0]))
        if not before[0] and state_of(database) != before:  # somebody wrote meanwhile: what was read may be torn
            answer = _read(str(database), head, opened_file(database, alone=False))
    except (OSError, DBAPIError, UnicodeError) as error:  # the last for a damaged schema
        return UNREADABLE, [f"{database} cannot be read: {reason(error)}. Nothing is known about its evidence."]
    return answer


def _read(name: str, head_file: Path, opened: AbstractContextManager[Connection]) -> tuple[int, list[str]]:
    problems: list[Problem] = []
    head: Head | None = {}
    try:
        head = read_head(head_file)  # before the database, which can then only be further
    except EvidenceError as error:
        problems.append(Problem(None, 0, 0, str(error)))
    with opened as connection:
        on_server = connection.dialect.name == "postgresql"
        if not inspect(connection).has_table(EVIDENCE.name):
            return UNREADABLE, [f"{name} holds no evidence log; it is another database, or of an older version."]
        if (schema := schema_said(connection)) > HEAD:  # what its rows mean is not known here
            return UNREADABLE, [f"{name} is of schema {schema}, newer than {HEAD}; verify it with a newer version."]
        if head is None and on_server:  # every machine that writes there has a head file of its own
            missing = [
                f"Note: {HEAD_FILE} is not on this machine, which never wrote: a cut end cannot be seen from here."
            ]
            head = {}
        else:
            missing = []
        proven = Rows(connection)
        problems += verify(connection, head, proven)
        if problems:
            return PROBLEMS, _told(name, problems)
        notes = missing or [redact(f"Note: {note}.") for note in behind(connection, head or {})]
        notes += [redact(f"Note: {note}.") for note in proven.notes()]
        books = connection.execute(_counted()).all()
        last = connection.execute(select(func.max(EVIDENCE.c.time))).scalar()
    when = "" if last is None else f"; the last is of {moment(last).astimezone(NEW_YORK):%a %d %b %Y %H:%M:%S} New York"
    return VERIFIES, [f"{sum(count for _, count in books):,} entries of {len(books)} books verify{when}.", *notes]


def _told(name: str, problems: list[Problem]) -> list[str]:
    more = [f"and {len(problems) - _SHOWN:,} more"] if len(problems) > _SHOWN else []
    return [
        f"The evidence in {name} does not verify. Problems found: {len(problems):,}",
        *(f"  {line}" for line in chain((redact(str(problem)) for problem in problems[:_SHOWN]), more)),
        f"Keep this database and {HEAD_FILE} as they are and compare them with a backup.",
    ]


def _orphan(database: Path) -> str:
    """What a head file without its database says."""
    try:
        head = read_head(database.with_name(HEAD_FILE)) or {}
    except EvidenceError:
        return ""
    count = sum(count for count, _ in head.values())
    return f", but {HEAD_FILE} beside it counts {count:,} entries" if count else ""


def _counted() -> Select[str, int]:
    return select(EVIDENCE.c.book, func.count()).group_by(EVIDENCE.c.book)

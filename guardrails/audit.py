"""Does the evidence log still say what was written, and do the tables still hold what it proves? Every row that was
edited, moved, copied, put in or taken out is named; the head file beside the database shows a cut end.

Not to be seen: a log written anew together with its head file, and entries added at the end with a right hash and the
rows that they prove.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, groupby, islice
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Connection, Select, func, inspect, select
from sqlalchemy.exc import DBAPIError

from guardrails.audit_open import exact_text, opened_file, schema_said, state_of
from guardrails.audit_rows import Rows
from guardrails.calendar import NEW_YORK
from guardrails.redaction import redact
from guardrails.store.database import SERVER, parsed, postgres
from guardrails.store.evidence import EVIDENCE, HEAD_FILE, ZEROS, EvidenceError, Problem, Row, digest, read_head
from guardrails.store.faults import reason
from guardrails.store.metadata import StoreError, micros, moment
from guardrails.store.sqlite import FILE
from guardrails.store.upgrade import HEAD

VERIFIES, PROBLEMS, UNREADABLE = 0, 2, 3
"""exit codes of `guardrails audit verify`"""
_SHOWN = 10
_AT_ONCE = 1_000
"""rows held in memory"""
_SECONDS = 120.0
"""how long a server may take for one answer"""
_TRACED = 200
"""rows that are not themselves whose origin is looked for"""
_TYPES = (str, int, int, str, str, str, str)
_TIMES = range(micros(datetime.min.replace(tzinfo=UTC)), micros(datetime.max.replace(tzinfo=UTC)))

Head = Mapping[str, tuple[int, str]]
"""count and last hash by book"""
Found = tuple[Problem, Row | None]
"""with the row whose content does not give its hash"""
Told = Callable[[Row, bool], None]
"""is told each row, and whether its content gives its hash"""


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
            for problem, row in _walk(book, rows, unseen.pop(book, (0, ZEROS)), proven.entry):
                strays += row is not None
                found.append((problem, row if strays <= _TRACED else None))
            wrong += proven.rest(book)
        found += [(_cut(book, 0, count), None) for book, (count, _) in sorted(unseen.items()) if count]
        if head is None and not empty:
            found.append((Problem(None, 0, 0, f"{HEAD_FILE} is missing, so a cut end of the log cannot be seen"), None))
        for book in sorted(proven.unread()):
            wrong += proven.rest(book)
        return [*_traced(connection, found), *wrong]


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
        place = None if url is None else parsed(url)
        if place is None or place.drivername != SERVER:
            return verify_file(folder / FILE if place is None else Path(str(place.database)))
        server = postgres()
        name = server.name_of(place)
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


def _walk(book: str, rows: Iterable[Row], known: tuple[int, str], tell: Told) -> Iterator[Found]:
    """Hold each row of one book against the row before it and against the head file."""
    name = book if isinstance(book, str) else repr(book)
    last, hashes = 0, {ZEROS}  # a row that was edited may still be known by its old hash
    for row in rows:
        if not isinstance(row.seq, int):
            yield Problem(name, last, last, "is followed by a row whose seq is no integer"), None
            continue
        mistyped = _mistyped(row)
        own = row.hash if mistyped else digest(row)
        if not mistyped:
            tell(row, own == row.hash)
        if row.seq != last + 1:
            yield _misplaced(name, row.seq, last), None
        elif row.before not in hashes and not (own != row.hash and _only_before(row, hashes)):
            what = "do not belong together: one was rewritten with a new hash, or put in" if last else _BEHEADED
            yield Problem(name, last or 1, row.seq, what), None
        if mistyped:
            yield Problem(name, row.seq, row.seq, f"edited: its {mistyped}"), None
        elif own != row.hash:
            yield Problem(name, row.seq, row.seq, "edited or put in: its content does not give its hash"), row
        if row.seq == known[0] and known[1] not in (row.hash, own):
            yield Problem(name, row.seq, row.seq, f"rewritten: {HEAD_FILE} knows it with another hash"), None
        hashes = {text for text in (row.hash, own) if isinstance(text, str)} | (hashes if row.seq == last else set())
        last = max(last, row.seq)
    if known[0] > last:
        yield _cut(name, last, known[0]), None


_BEHEADED = "is not the first of a chain: it was put in, or the rows before it were cut"


def _misplaced(book: str, seq: int, last: int) -> Problem:
    if seq > last + 1:
        return Problem(book, last + 1, seq - 1, "missing")
    what = "duplicated: it stands there twice" if seq == last > 0 else f"stands where row {last + 1} should be"
    return Problem(book, seq, seq, what)


def _cut(book: str, last: int, count: int) -> Problem:
    what = f"missing: {HEAD_FILE} counts {count:,}; the end was cut, or the database exchanged for an older one"
    return Problem(book, last + 1, count, what)


def _mistyped(row: Row) -> str:
    """The first column that holds what `append` never writes there."""
    for name, value, kind in zip(row._fields, row, _TYPES, strict=True):
        if not isinstance(value, kind):
            return f"{name} is {'no integer' if kind is int else 'no text'}"
    return "" if row.time in _TIMES else "time is no moment"


def _only_before(row: Row, hashes: Iterable[str]) -> bool:
    """Whether `row` is itself but for what it says about the row before it."""
    return any(digest(row._replace(before=other)) == row.hash for other in hashes)


def _traced(connection: Connection, found: list[Found]) -> list[Problem]:
    """The problems, with the place a row came from where another place gives it its hash."""
    strays = [row for _, row in found if row is not None]
    if not strays:
        return [problem for problem, _ in found]
    hashes = [row.hash for row in strays if row.hash.isascii()]
    same = select(EVIDENCE.c.book, EVIDENCE.c.seq).where(EVIDENCE.c.hash.in_(hashes))
    copies = connection.execute(same.limit(_TRACED * 10))
    rows = ((p.book, seq) for p, _ in found if p.book is not None for seq in range(p.first, p.last + 1))
    broken = set(islice(rows, _TRACED))
    twins = {(book, seq) for book, seq in copies if isinstance(book, str) and isinstance(seq, int)}
    twins -= {(row.book, row.seq) for row in strays}  # what is left is itself, so the other one is the copy
    return [problem if row is None else _origin(problem, row, broken, twins) for problem, row in found]


def _origin(problem: Problem, row: Row, broken: set[tuple[str, int]], twins: set[tuple[str, int]]) -> Problem:
    for book, seq in (*broken, (row.book, row.seq - 1), (row.book, row.seq + 1), *twins):
        if digest(row._replace(book=book, seq=seq)) == row.hash:
            how = "duplicated: a copy of" if (book, seq) in twins else "reordered: holds what was"
            of_book = "" if book == row.book else f" of book {book!r}"
            return replace(problem, what=f"{how} row {seq}{of_book}")
    return problem


def _counted() -> Select[str, int]:
    return select(EVIDENCE.c.book, func.count()).group_by(EVIDENCE.c.book)

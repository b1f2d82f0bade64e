"""The head of the evidence log: count and hash of the last row of each book, in a small file beside the database.

It shows what the chain alone cannot: an end that was cut off, and a database exchanged for an older one. It follows
the rows, so it may be behind them after a crash, and never ahead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter
from sqlalchemy import Connection, select

from guardrails.memory import write_atomically
from guardrails.store.evidence import EVIDENCE, ZEROS, EvidenceError, Link, Problem

HEAD_FILE = "evidence-head.json"


@dataclass(frozen=True, slots=True)
class _Head:
    """One book in the head file."""

    count: int
    hash: str


@dataclass(frozen=True, slots=True)
class _HeadFile:
    """The document."""

    schema: str = "guardrails.evidence-head/1"
    books: dict[str, _Head] = field(default_factory=dict)


_FILE = TypeAdapter(_HeadFile)


def read_head(path: Path) -> dict[str, tuple[int, str]] | None:
    """Count and last hash of every book as the head file has them, None when there is no file.

    EvidenceError when it cannot be read.
    """
    try:
        file = _FILE.validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise EvidenceError(
            f"{path.name} cannot be read ({type(error).__name__}), so a cut end of the evidence cannot be seen; "
            "keep a copy, then delete it: it is written anew"
        ) from error
    return {book: (head.count, head.hash) for book, head in file.books.items()}


def keep_head(path: Path, connection: Connection, links: Iterable[Link], *, adopts: bool = False) -> list[Problem]:
    """Bring the head file up to `links`, which are committed; `connection` reads the same database.

    `adopts`: rows before its first one are no problem, as on a server to which another machine wrote them.

    A book whose rows contradict the file keeps its entry there, so that the contradiction stays visible, and is
    returned. Also call it once at start with the last link of each book: a crash may have left the file behind.
    """
    known = read_head(path) or {}
    heads, problems = dict(known), []
    for link in links:
        count, last = heads.get(link.book, (0, ZEROS))
        if count == 0 and adopts:
            heads[link.book] = (link.seq, link.hash)
            continue
        if count == 0 and link.seq > 1:
            what = f"{path.name} did not know them; what was cut before now cannot be seen"
            problems.append(Problem(link.book, 1, link.seq - 1, what))
        elif (count + 1, last) != (link.seq, link.before) and not _holds(connection, link.book, count, last):
            what = f"not the row that {path.name} knows: the log was cut, rewritten or exchanged for an older one"
            problems.append(Problem(link.book, count, count, what))
            continue
        if link.seq > count:
            heads[link.book] = (link.seq, link.hash)
    if heads != known:
        file = _HeadFile(books={book: _Head(*head) for book, head in sorted(heads.items())})
        write_atomically(path, _FILE.dump_json(file, indent=1))
    return problems


def _holds(connection: Connection, book: str, seq: int, known: str) -> bool:
    """Whether row `seq` of `book` is there and has the hash `known`."""
    of_row = select(EVIDENCE.c.hash).where(EVIDENCE.c.book == book, EVIDENCE.c.seq == seq)
    return connection.execute(of_row).scalar() == known

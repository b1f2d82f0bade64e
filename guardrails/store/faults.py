"""What a database error means: whose fault, in words, and whether the file itself is damaged."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError, ProgrammingError

from guardrails.store.metadata import StoreError

_WORDS = {
    sqlite3.SQLITE_BUSY: "it is locked by another program",
    sqlite3.SQLITE_LOCKED: "it is locked by another program",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "it may not be written",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_PERM: "it may not be opened",
    sqlite3.SQLITE_IOERR: "the disk does not read or write it",
    sqlite3.SQLITE_CORRUPT: "the file is damaged",
    sqlite3.SQLITE_NOTADB: "the file is not an SQLite database",
}
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: BaseException) -> int | None:
    """SQLite's primary result code; https://www.sqlite.org/rescode.html: the low byte of the extended one."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


def reason(error: BaseException) -> str:
    """Why the database did not do it, in words, without SQL, values or a password."""
    words = _WORDS.get(_code(error) or 0)
    if isinstance(error, StoreError):
        return str(error)
    if words is None and isinstance(error, OSError):
        words = error.strerror
    return words or type(error).__name__


def is_locked(error: BaseException) -> bool:
    """Whether another program holds the database, so that a later try can help."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_damage(error: BaseException) -> bool:
    """Whether the file is damaged, so that no further try can help."""
    return _code(error) in _DAMAGE


def is_refusal(error: BaseException) -> bool:
    """Whether the rows themselves were refused, so that they would be refused again."""
    if isinstance(error, ProgrammingError | InterfaceError):  # a wrong count of values, or a value of no known type
        return True
    if isinstance(error, DBAPIError):
        return _code(error) in (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG)
    return isinstance(error, ValueError | OverflowError | LookupError)

"""What a database error means: whose fault, in words, and whether the database itself is damaged.

Both drivers name the kinds of their errors as PEP 249 does. SQLite adds a result code, PostgreSQL an SQLSTATE.
"""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

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
_REFUSALS = (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG)

# https://www.postgresql.org/docs/current/errcodes-appendix.html; two characters stand for a whole class
_STATE_WORDS = {
    "55P03": "it is locked by another program",
    "40P01": "it is locked by another program",
    "40001": "another program changed the same rows",
    "57014": "it took too long",
    "53100": "the disk of the server is full",
    "53200": "the server is out of memory",
    "53300": "the server takes no more connections",
    "25006": "it may not be written",
    "25P03": "the server ended a transaction that took too long",
    "42501": "its user lacks a right; grant it all rights on its tables and CREATE on the schema",
    "42P01": "a table is missing",
    "3D000": "the server has no database of this name",
    "57P01": "the server is shutting down",
    "57P02": "the server is restarting after a crash",
    "57P03": "the server is starting or shutting down",
    "08": "the server cannot be reached",
    "22": "it refuses the values",
    "23": "it refuses the values",
    "28": "the server refuses the user or the password",
    "XX": "the server reports an error of its own; ask its administrator",
}
_LOCKED_STATES = ("55P03", "40P01", "40001")
_DAMAGED_STATES = ("XX001", "XX002")


def _cause(error: BaseException) -> BaseException:
    return error.orig or error if isinstance(error, DBAPIError) else error


def _code(error: BaseException) -> int | None:
    """SQLite's primary result code; https://www.sqlite.org/rescode.html: the low byte of the extended one."""
    code = getattr(_cause(error), "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


def _state(error: BaseException) -> str:
    """PostgreSQL's SQLSTATE, empty when there is none."""
    return getattr(_cause(error), "sqlstate", None) or ""


def _is_kind(error: BaseException, *names: str) -> bool:
    return any(kind.__name__ in names for kind in type(_cause(error)).__mro__)


def reason(error: BaseException) -> str:
    """Why the database did not do it, in words, without SQL, values or a password."""
    if isinstance(error, StoreError):
        return str(error)
    if isinstance(error, PoolTimeoutError):
        return "all connections to it are in use"
    state = _state(error)
    words = _WORDS.get(_code(error) or 0) or _STATE_WORDS.get(state) or _STATE_WORDS.get(state[:2])
    if words is None and isinstance(error, OSError):
        words = error.strerror
    if words is None and not isinstance(_cause(error), sqlite3.Error) and _is_kind(error, "OperationalError"):
        words = _STATE_WORDS["08"]  # a connection that broke carries no SQLSTATE
    return words or type(error).__name__


def is_locked(error: BaseException) -> bool:
    """Whether another program holds the database, so that a later try can help."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or _state(error) in _LOCKED_STATES


def is_damage(error: BaseException) -> bool:
    """Whether the database is damaged, so that no further try can help."""
    return _code(error) in _DAMAGE or _state(error) in _DAMAGED_STATES


def is_refusal(error: BaseException) -> bool:
    """Whether the rows themselves were refused, so that they would be refused again."""
    state = _state(error)
    if state:  # 42804: a value of a type that the column does not take
        return state[:2] in ("22", "23") or state == "42804"
    if _is_kind(error, "ProgrammingError", "InterfaceError", "DataError"):  # a wrong count or type of values
        return True
    return _code(error) in _REFUSALS or isinstance(error, ValueError | OverflowError | LookupError | TypeError)

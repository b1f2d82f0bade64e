"""Alerts: from a BREACH to the channel, a thousand of them in one cycle, a day of flaps, and what a log record costs.

The program is that of `alerts_program.py`. With the alerts and without take turns in one engine, whose desk watches or
is idle; the thousand are added to what the desk is handed, so that the rest of a cycle is the same.
"""

from __future__ import annotations

import gc
import json
import logging
import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psutil

from adapters.channels.slack import posts_of
from benchmarks import book
from benchmarks.alerts_program import CHANNELS, LINK, POSITIONS, Bench, is_named, running, thousand, until
from benchmarks.assessment import assessed
from benchmarks.store_hang import hanging
from benchmarks.store_places import Place
from benchmarks.timing import Row, medians, ms
from guardrails import logs, redaction
from guardrails.alerts import life
from guardrails.alerts.message import clean, message_of
from guardrails.alerts.problems import problems_of
from guardrails.alerts.values import Message
from guardrails.findings import Finding, Level
from guardrails.log_file import LogFile
from guardrails.matrix.alerts import AlertRules
from guardrails.pricing import compiled
from guardrails.titles import headline

PERIOD = 2.0
"""seconds of the engine, as it is shipped"""
TURNS, HANGS, BURSTS, CYCLES = 30, 5, 6, 3
RULES = AlertRules(critical=())
STEP, STEPS, FLAPS = timedelta(seconds=2), 43_200, 100
"""of the simulated day; flaps of each of its hundred problems"""
LATE_MS, MESSAGES, ADDED_MS, DAY_SECONDS = 1000.0, 10, 100.0, 60.0
"""goals"""


def alerts() -> list[Row]:
    """All rows of this part."""
    compiled.prepare()
    return [*latency(), *burst(), *alone(), *day(), *log()]


def latency() -> Iterator[Row]:
    """From a BREACH to the request at the server, with the database working and with it locked."""
    chance = random.Random(20261121)  # noqa: S311  # moments within a period, not a secret
    with running(PERIOD) as bench:
        calm, locked = [], []
        for _ in range(TURNS):
            time.sleep(chance.uniform(0.0, PERIOD))  # wherever the engine is in its period
            calm.append(_turned(bench))
            bench.rest()
        for _ in range(HANGS):
            with hanging(Place("SQLite", bench.folder, None, "")):
                locked.append(_turned(bench))
            bench.rest()
    names = ("Snapshot published", "the source says it", "it is so at the source")
    for name, seconds in zip(names, zip(*calm, strict=True), strict=True):
        middle, worst = statistics.median(seconds) * 1000.0, max(seconds) * 1000.0
        goal = (f"< {LATE_MS:.0f} ms", middle < LATE_MS) if name == names[0] else ()
        period = "" if name == names[0] else f", a cycle every {PERIOD:g} s"
        yield Row(f"from a BREACH until Slack's server has the request: {name}{period}",
                  f"median {ms(middle)}, worst {ms(worst)} of {TURNS}", *goal)  # fmt: skip
    published = [times[0] * 1000.0 for times in locked]
    yield Row("the same, the database locked by another program: Snapshot published",
              f"median {ms(statistics.median(published))}, worst {ms(max(published))} of {HANGS}")  # fmt: skip


def _turned(bench: Bench) -> tuple[float, float, float]:
    """Seconds until the request arrived: since the Snapshot, since the source said it, since it was so."""
    came: list[float] = []

    def arrived() -> bool:
        said = bench.server.tell("take")
        came.extend(at for path, at, body in said if path == "/slack" and "Margin cushion" in body)
        return bool(came)

    bench.source.turned = time.monotonic()
    until(lambda: bench.desk.published)
    until(arrived, pause=0.02)
    return came[0] - bench.desk.published, came[0] - bench.source.said, came[0] - bench.source.turned


def burst() -> Iterator[Row]:
    """A thousand alerts in one cycle: what arrives, and how long the cycles around it take with alerts and without."""
    findings = thousand()
    loud = [clean(headline(one.check, one.subject)) for one in findings if one.value == 2.0]
    lengths: dict[bool, list[list[float]]] = {True: [], False: []}
    steps, told, unnamed = list[float](), set[int](), set[tuple[str, str]]()
    posts: dict[str, set[int]] = {name: set() for name in CHANNELS}
    with running(PERIOD) as bench:
        for turn in range(2 * BURSTS):
            watching = turn % 2 == 0
            bench.desk.begin(bench.engine.names, "") if watching else bench.desk.idle()
            bench.cycles(CYCLES)
            before = [row.sent for row in bench.desk.now.channels]
            bench.desk.steps, bench.desk.more = [], findings
            lengths[watching].append(bench.cycles(CYCLES))
            if not watching:
                bench.rest()
                continue
            until(lambda: len(bench.desk.now.active) == 1_000 and not any(r.waiting for r in bench.desk.now.channels))
            steps.append(max(bench.desk.steps) * 1000.0)
            told |= {row.sent - sent for row, sent in zip(bench.desk.now.channels, before, strict=True)}
            said = [(path, str(json.loads(body))) for path, _, body in bench.server.tell("take")]
            for name, counts in posts.items():
                counts.add(sum(path == f"/{name}" for path, _ in said))
            unnamed |= {(name, one) for name in CHANNELS for one in loud if not is_named(said, name, one)}
            bench.rest()
    assert len(set(loud)) == 200
    yield Row("the desk, 1,000 alerts in one cycle, ten families: messages to each channel", _span(told),
              f"<= {MESSAGES}", max(told) <= MESSAGES)  # fmt: skip
    most = max(max(counts) for counts in posts.values())
    yield Row("requests those became", "; ".join(f"{name} {_span(counts)}" for name, counts in posts.items()),
              f"<= {MESSAGES}", most <= MESSAGES)  # fmt: skip
    such = f", such as {min(unnamed)}" if unnamed else ""
    yield Row("of the 200 CRITICAL, not named in what either channel received, of 400", f"{len(unnamed)}{such}", "0",
              not unnamed)  # fmt: skip
    yield Row("its step on its own thread", f"median {ms(statistics.median(steps))}, worst {ms(max(steps))}")
    yield Row("handing a cycle over on the engine's loop, worst of all", ms(max(bench.desk.handed) * 1000.0))
    middle = {name: [statistics.median(each) for each in zip(*found, strict=True)] for name, found in lengths.items()}
    pairs = list(zip(middle[True], middle[False], strict=True))
    added = max(loaded - bare for loaded, bare in pairs)
    yield Row(f"what they add to a cycle of {POSITIONS:,} positions: that one and the {CYCLES - 1} after it",
              ", ".join(f"{ms(loaded)} instead of {ms(bare)}" for loaded, bare in pairs),
              f"< {ADDED_MS:.0f} ms more", added < ADDED_MS)  # fmt: skip


def _span(counts: set[int]) -> str:
    return str(min(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"


def alone() -> Iterator[Row]:
    """The parts of that step, one at a time."""
    snapshot = replace(assessed(100).snapshot, findings=thousand())
    now = snapshot.as_of
    calm = life.step(life.AlertState(), (), now, RULES, CHANNELS).state
    problems = problems_of(snapshot, now, RULES)
    step = life.step(calm, problems, now + STEP, RULES, CHANNELS)
    messages = _messages(step, 0)
    taken = medians({
        "problems": lambda: problems_of(snapshot, now, RULES),
        "step": lambda: life.step(calm, problems, now + STEP, RULES, CHANNELS),
        "again": lambda: life.step(step.state, problems, now + 2 * STEP, RULES, CHANNELS),
        "messages": lambda: _messages(step, 0),
        "slack": lambda: [list(posts_of(message)) for message in messages],
    })  # fmt: skip
    yield Row("life.step alone, 1,000 new alerts; once they are known", f"{ms(taken['step'])}; {ms(taken['again'])}",
              f"< {ADDED_MS:.0f} ms", taken["step"] < ADDED_MS)  # fmt: skip
    yield Row(f"problems of the Snapshot; {len(messages)} messages in words; and those as Slack's blocks",
              "; ".join(ms(taken[name]) for name in ("problems", "messages", "slack")))  # fmt: skip


def _messages(step: life.Step, number: int) -> list[Message]:
    now = step.state.last or book.NOW
    return [message_of(group, f"{number}-{place}", now, LINK, demo=False) for place, group in enumerate(step.groups)]


def day() -> Iterator[Row]:
    """24 hours of cycles in which each of a hundred problems comes and goes a hundred times, by the shipped rules."""
    turns, wrong, right = _turns(), *_hundred()
    snapshot, rules, state = replace(assessed(100).snapshot, findings=tuple(right)), AlertRules(), life.AlertState()
    found, flaps, events, notices, messages = list(right), 0, 0, 0, 0
    process, early, objects, stepping = psutil.Process(), 0.0, 0, 0.0
    began = time.perf_counter()
    for number in range(STEPS):
        now = snapshot.as_of + number * STEP
        for place in turns.get(number, ()):
            goes_wrong = found[place] is right[place]
            found[place] = wrong[place] if goes_wrong else right[place]
            flaps += goes_wrong
        seen = replace(snapshot, as_of=now, findings=tuple(found))
        problems, before = problems_of(seen, now, rules), time.perf_counter()
        step = life.step(state, problems, now, rules, CHANNELS)
        stepping += time.perf_counter() - before
        state, events = step.state, events + len(step.events)
        notices, messages = notices + sum(map(len, step.groups)), messages + len(_messages(step, number))
        if number == STEPS // 24:
            gc.collect()
            early, objects = process.memory_info().rss / 2**20, len(gc.get_objects())
    seconds = time.perf_counter() - began
    gc.collect()
    grown, more = process.memory_info().rss / 2**20 - early, len(gc.get_objects()) - objects
    assert flaps == FLAPS * len(wrong) == 10_000
    yield Row("24 hours, a cycle every 2 s, 100 problems with 10,000 flaps: problems, life and words",
              f"{seconds:.1f} s, {STEPS / seconds:,.0f} steps/s; life alone {stepping:.1f} s", f"< {DAY_SECONDS:.0f} s",
              seconds < DAY_SECONDS)  # fmt: skip
    yield Row("events; alerts told, in messages", f"{events:,}; {notices:,} in {messages:,}")
    yield Row("memory from the first hour to the end", f"{grown:+.1f} MB, {more:+,} objects")


def _hundred() -> tuple[list[Finding], list[Finding]]:
    """Forty at WATCH, thirty UNKNOWN, thirty at BREACH, some of them CRITICAL; and the same when all is well."""
    levels = [*[Level.WATCH] * 4, *[Level.UNKNOWN] * 3, *[Level.BREACH] * 3]
    wrong = [
        replace(one, level=levels[place % 10], value=2.0, headroom=-1.0 if place % 10 == 9 else -0.1)
        for place, one in enumerate(thousand()[::10])
    ]
    return wrong, [replace(one, level=Level.OK, value=0.5, headroom=0.5) for one in wrong]


def _turns() -> dict[int, list[int]]:
    """Which problems come or go at which step: wrong for 2 to 400 s, once in each hundredth of the day."""
    chance, turns = random.Random(20261122), dict[int, list[int]]()  # noqa: S311  # a reproducible day, not a secret
    for place in range(100):
        for slot in range(0, STEPS, STEPS // FLAPS):
            begin = slot + chance.randrange(200)
            for step in (begin, begin + chance.randint(1, 200)):
                turns.setdefault(step, []).append(place)
    return turns


def log() -> Iterator[Row]:
    """What it costs to keep secrets out of a text, and to write a record of a cycle."""
    redaction.hide(*(secrets.token_urlsafe(24) for _ in range(6)), f"https://hooks.example.com/{secrets.token_hex(24)}")
    sentence = "Margin cushion, tastytrade 5WT00001: 14 % (look-ahead, excess $35,100), at least 20 %; it says 35,098."
    traceback = "\n".join(f'  File "/srv/guardrails/engine.py", line {n}, for 5WT{n:05}' for n in range(60))
    with tempfile.TemporaryDirectory() as name:
        file = LogFile(Path(name), "bench")

        def write() -> None:
            with logs.correlated(cycle="c-000123"):
                file.handle(logs.Record("guardrails.engine", logging.INFO, __file__, 1, "%s", (sentence,), None))

        taken = medians({
            "sentence": lambda: redaction.redact(sentence),
            "traceback": lambda: redaction.redact(traceback),
            "record": write,
        })  # fmt: skip
        written = Path(file.baseFilename).read_text(encoding="utf-8")
        file.close()
    assert ("c-000123" in written, "5WT00001" in written) == (True, False)
    yield Row(f"redact, seven secrets known: {len(sentence)} characters; a traceback of {len(traceback):,}",
              f"{ms(taken['sentence'])}; {ms(taken['traceback'])}")  # fmt: skip
    yield Row("one record of a cycle into the log file (it passes redact twice)",
              f"{ms(taken['record'])}, {taken['record'] / PERIOD / 10:.4f} % of a period")  # fmt: skip

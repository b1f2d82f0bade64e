"""The dead-man's switch: what the monitor is told and when, by hand; and over HTTP, whatever the monitor does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.channels.heartbeat import ping
from guardrails.alerts import heartbeat as module
from guardrails.alerts.heartbeat import Heartbeat
from guardrails.alerts.pulse import Beat, Seen, Wrong, answered, no_channel_works, seen_of, step
from guardrails.alerts.values import AlertsNow, ChannelRow, Outcome, Receipt
from guardrails.health import Health
from tests.books import NOW
from tests.monitor import PATH, Monitor
from tests.stored import eventually

TAKEN = Receipt(Outcome.SENT, "OK")
LOST = Receipt(Outcome.FAILED, "the connection was refused")
MONITOR_TAKES = 5
"""pings of one check a minute; more are ignored"""


class Life:
    """A program second by second, and what its monitor hears; a cycle every 2 s unless `stuck`."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.seen = Seen(NOW, "ibkr", 0, NOW)
        self.beat = Beat()
        self.heard: list[tuple[float, str]] = []
        """(seconds since the begin, kind), also of what was lost"""
        self.bodies: list[str] = []
        self.receipt = TAKEN
        self.stuck = False

    def run(self, seconds: float, jitter: float = 0.5) -> list[tuple[float, str]]:
        """What was heard in so many seconds, looked at twice a second."""
        before = len(self.heard)
        for _ in range(int(seconds * 2)):
            self.at += 0.5
            if not self.stuck and (self.at - 1000) % 2 == 0:
                self.seen = replace(self.seen, cycles=self.seen.cycles + 1)
            self.beat, signal = step(self.beat, self.seen, self.at)
            if signal is not None:
                self.heard.append((self.at - 1000, signal.kind))
                self.bodies.append(signal.body)
                self.beat = answered(self.beat, signal, self.receipt, self.at, jitter)
        return self.heard[before:]


def test_a_healthy_program_says_start_then_success_then_success_once_a_minute() -> None:
    assert Life().run(185) == [(0.5, "start"), (2, "success"), (62, "success"), (122, "success"), (182, "success")]


def test_success_waits_for_the_first_cycle_of_this_watch() -> None:
    life = Life()
    life.seen = replace(life.seen, cycles=40)  # of the program that it follows, or of an earlier watch
    life.stuck = True
    assert life.run(30) == [(0.5, "start")]
    life.stuck = False
    assert life.run(2) == [(32, "success")]


@pytest.mark.parametrize(("late", "first"), [(10.0, 12.5), (50.0, 52.5)])
def test_a_loop_that_hangs_is_a_failure_after_five_periods_told_once(late: float, first: float) -> None:
    life = Life()
    life.seen = replace(life.seen, late_seconds=late)
    life.run(2)
    life.stuck = True
    assert life.run(600) == [(first, "fail")]
    assert life.bodies[-1] == f"no cycle was finished in the last {late + 0.5:.0f} s"
    life.stuck = False
    assert life.run(2)[0][1] == "success"


def test_the_first_cycle_may_take_a_minute() -> None:
    life = Life()
    life.stuck = True
    assert life.run(120) == [(0.5, "start"), (61, "fail")]


def test_alerts_that_stand_still_are_a_failure() -> None:
    life = Life()
    life.seen = replace(life.seen, alerts=NOW)
    life.run(3)
    life.seen = replace(life.seen, alerts=NOW + timedelta(seconds=1))  # looked through once, at 3.5 s
    assert life.run(57) == [(14, "fail")]
    assert "alerts have stood still" in life.bodies[-1]


def test_a_clock_that_is_set_back_neither_silences_nor_alarms() -> None:
    life = Life()
    life.run(2)
    life.seen = replace(life.seen, last_cycle=NOW - timedelta(hours=1))
    assert life.run(60) == [(62, "success")]


def test_each_new_thing_that_is_wrong_is_told_once_and_then_that_all_is_well() -> None:
    life = Life()
    life.run(4)
    disk, mail = Wrong("store", "nothing can be kept"), Wrong("channels", "no channel works")
    life.seen = replace(life.seen, wrong=(disk,))
    assert life.run(90) == [(4.5, "fail")]
    life.seen = replace(life.seen, wrong=(disk, mail))
    assert life.run(90) == [(94.5, "fail")]
    assert life.bodies[-1] == "nothing can be kept\nno channel works"
    life.seen = replace(life.seen, wrong=(replace(mail, words="in other words"),))
    assert life.run(90) == []
    life.seen = replace(life.seen, wrong=())
    assert life.run(61) == [(274.5, "success"), (334.5, "success")]


def test_a_program_that_only_reads_pings_nobody() -> None:
    life = Life()
    life.seen = Seen()
    assert life.run(600) == []


def test_a_dead_program_is_told_once_and_then_that_this_one_watches() -> None:
    life = Life()
    life.seen = Seen()
    life.run(10)
    life.seen = Seen(NOW, cycles=7, taken_over=(NOW, "desk-pc, process 1234"))
    assert life.run(50) == [(10.5, "fail"), (11, "start"), (12, "success")]
    assert life.bodies[0].startswith("desk-pc, process 1234 watched the book and ended without a word.")
    again = NOW + timedelta(minutes=1)
    life.seen = Seen()
    life.run(60)
    life.seen = Seen(again, cycles=30, taken_over=(NOW, "desk-pc, process 1234"))  # this time it was given back
    assert [kind for _, kind in life.run(5)] == ["start", "success"]


def test_what_was_lost_is_tried_thrice_within_seconds_and_then_once_a_minute() -> None:
    life = Life()
    life.receipt = LOST
    assert life.run(70) == [(0.5, "start"), (1.5, "start"), (3.5, "start"), (63.5, "start")]
    life.receipt = TAKEN
    assert life.run(61) == [(123.5, "start"), (124, "success")]
    life.receipt = LOST
    assert life.run(56) == [(184, "success"), (185, "success"), (187, "success")]


def test_what_is_said_at_the_next_try_is_what_is_due_then() -> None:
    life = Life()
    life.run(2)
    life.receipt = LOST
    life.run(60)  # the second success is lost
    assert life.heard[-1] == (62, "success")
    life.seen = replace(life.seen, wrong=(Wrong("store", "nothing can be kept"),))
    life.receipt = TAKEN
    assert life.run(5) == [(63, "fail")]


@pytest.mark.parametrize(("asked", "again"), [(20.0, 20.5), (0.0, 1.5), (86_400.0, 900.5)])
def test_a_monitor_that_asks_for_a_pause_gets_it_up_to_a_quarter_of_an_hour(asked: float, again: float) -> None:
    life = Life()
    life.receipt = replace(LOST, retry_after_seconds=asked)
    life.run(0.5)
    life.receipt = TAKEN
    assert life.run(1000)[0] == (again, "start")


def test_an_address_that_is_refused_is_asked_once_a_minute() -> None:
    life = Life()
    life.receipt = Receipt(Outcome.REFUSED, "hc-ping.com answered 404")
    assert life.run(130) == [(0.5, "start"), (60.5, "start"), (120.5, "start")]


@given(
    st.lists(
        st.tuples(
            st.floats(0.5, 40),
            st.sampled_from([TAKEN, LOST, Receipt(Outcome.REFUSED, "404")]),
            st.booleans(),
            st.sampled_from([(), (Wrong("store", "s"),), (Wrong("store", "s"), Wrong("channels", "c"))]),
            st.sampled_from([None, NOW, NOW + timedelta(minutes=5)]),
        ),
        min_size=3,
        max_size=15,
    )
)
@settings(max_examples=60, deadline=None)
def test_never_more_a_minute_than_the_monitor_takes(
    parts: list[tuple[float, Receipt, bool, tuple[Wrong, ...], datetime | None]],
) -> None:
    life = Life()
    for seconds, receipt, stuck, wrong, since in parts:
        life.receipt, life.stuck = receipt, stuck
        life.seen = replace(life.seen, wrong=wrong, since=since)
        heard = life.run(seconds)
        assert since is not None or not heard
        assert not wrong or "success" not in [kind for _, kind in heard]
    times = [time for time, _ in life.heard]
    assert all(sum(begin <= time < begin + 60 for time in times) < MONITOR_TAKES for begin in times)


# --- what the engine and the alerts come to ---


@dataclass(frozen=True)
class Store:
    """A store as the engine sees it."""

    keeps: bool = True
    problem: str = ""
    queued: int = 0
    spooled: int = 0
    dropped: int = 0
    last_written: datetime | None = None


GOOD = Health(True, NOW, 0.01, 5, (), True, Store(), watching_since=NOW)  # noqa: FBT003  # a value's fields
SLACK, MAIL, LOG = (
    ChannelRow(name, kind, works=True) for name, kind in (("slack", "Slack"), ("email", "e-mail"), ("log", "log"))
)
DOWN = {"works": False, "failing_since": NOW - timedelta(seconds=60)}


def told(*channels: ChannelRow, problem: str = "") -> AlertsNow:
    return AlertsNow(NOW, channels=channels, problem=problem)


@pytest.mark.parametrize(
    ("health", "alerts", "wrong"),
    [
        (GOOD, told(SLACK, LOG), []),
        (GOOD, None, []),
        (replace(GOOD, store=None), None, []),
        (replace(GOOD, alive=False), None, ["engine"]),
        (replace(GOOD, store=Store(keeps=False, problem="disk full")), None, ["store"]),
        (replace(GOOD, store=None, problems=("store: no such folder",)), None, ["store"]),
        (replace(GOOD, store=None, problems=("read test: gone",)), None, []),
        (GOOD, told(LOG, problem="the thread has ended"), ["alerts"]),
        (GOOD, told(replace(SLACK, **DOWN), LOG), ["channels"]),
        (GOOD, told(replace(SLACK, **DOWN), MAIL, LOG), []),
        (GOOD, told(replace(SLACK, problem="no address"), replace(MAIL, **DOWN), LOG), ["channels"]),
        (GOOD, told(LOG), []),
    ],
)  # fmt: skip
def test_what_is_wrong(health: Health, alerts: AlertsNow | None, wrong: list[str]) -> None:
    seen = seen_of(health, alerts, ("ibkr", "demo"), 2.0)
    assert [one.what for one in seen.wrong] == wrong
    assert (seen.since, seen.late_seconds, seen.book) == (NOW, 10.0, "ibkr, demo")


@pytest.mark.parametrize(("seconds", "broken"), [(59, False), (60, True)])
def test_one_bad_moment_of_the_only_channel_is_no_failure(seconds: float, *, broken: bool) -> None:
    row = replace(SLACK, works=False, failing_since=NOW - timedelta(seconds=seconds))
    assert no_channel_works(told(row, LOG)) is broken


def test_a_reader_sees_nothing_of_its_own() -> None:
    assert seen_of(replace(GOOD, watched_by="desk-pc, process 1", watching_since=None), None, ("ibkr",), 2.0) == Seen()


# --- over HTTP ---


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    with Monitor() as one:
        yield one


Begin = Callable[..., tuple[Heartbeat, dict[str, Seen]]]
AGAIN_SECONDS = 100.0
"""within which a ping is tried again where three were lost in a row, as on a machine that does much else"""


@pytest.fixture
def begin(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Start a switch that looks fifty times a second; what it sees is under `now`."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.02)
    begun: list[Heartbeat] = []

    def start(url: str | None = None) -> tuple[Heartbeat, dict[str, Seen]]:
        shown = {"now": Seen(NOW, "ibkr", 0, NOW)}
        switch = Heartbeat(partial(ping, SecretStr(url or monitor.address)), lambda: NOW)
        switch.start(lambda: shown["now"])
        begun.append(switch)
        return switch, shown

    yield start
    for switch in begun:
        switch.stop()


def test_the_monitor_hears_it_begin_succeed_and_fail(begin: Begin, monitor: Monitor) -> None:
    switch, shown = begin()
    assert eventually(lambda: monitor.kinds == ["start"])
    shown["now"] = replace(shown["now"], cycles=1)
    assert eventually(lambda: len(monitor.pings) == 2)
    assert monitor.pings == [("start", "begins to watch ibkr"), ("success", "watches ibkr; cycle 1 was good")]
    assert eventually(lambda: switch.row().next_ping is not None)
    row = switch.row()
    assert (row.since, row.last_cycle, row.heartbeat, row.last_ping, row.problem) == (NOW, NOW, True, NOW, "")
    assert row.next_ping is not None
    assert timedelta(seconds=55) < row.next_ping - NOW <= timedelta(seconds=60)
    shown["now"] = replace(shown["now"], wrong=(Wrong("store", "account U1234567 cannot be kept"),))
    assert eventually(lambda: len(monitor.pings) == 3)
    assert monitor.pings[-1] == ("fail", "account •••4567 cannot be kept")
    assert eventually(lambda: (now := switch.channel()) is not None and now.sent == 3)  # counted once it is answered
    channel = switch.channel()
    assert channel is not None
    assert (channel.name, channel.works, channel.failures) == ("heartbeat", True, 0)


def test_a_ping_that_fails_is_a_problem_until_one_is_taken(
    begin: Begin, monitor: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    monitor.status = 503
    with caplog.at_level(logging.DEBUG):
        switch, _ = begin()
        assert eventually(lambda: switch.row().problem)
        row, channel = switch.row(), switch.channel()
        assert row.problem.startswith("the monitor was not reached since 10:30:00 ET (127.0.0.1 answered 503")
        assert channel is not None
        assert (channel.works, channel.failing_since, channel.last_sent) == (False, NOW, None)
        monitor.status = 200
        assert eventually(lambda: not switch.row().problem, AGAIN_SECONDS)
    said = caplog.text + row.problem + channel.last_detail
    assert PATH.strip("/") not in said
    assert "was not reached" in caplog.text
    assert "is reached again" in caplog.text


def test_as_a_channel_it_counts_the_attempts_that_failed_in_a_row(begin: Begin, monitor: Monitor) -> None:
    monitor.status = 503
    switch, _ = begin()
    assert eventually(lambda: (channel := switch.channel()) is not None and channel.failed_in_a_row >= 2)
    monitor.status = 200
    assert eventually(lambda: (channel := switch.channel()) is not None and channel.sent > 0, AGAIN_SECONDS)
    channel = switch.channel()
    assert channel is not None
    assert (channel.failed_in_a_row, channel.failures >= 2) == (0, True)


def test_a_monitor_that_never_answers_costs_nobody_else_anything(
    begin: Begin, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HANGING_SECONDS", 0.1)
    monitor.hanging.set()
    switch, _ = begin()
    assert eventually(lambda: switch.row().problem.startswith("the monitor has not answered for"))
    assert switch.row().since == NOW  # the page goes on
    stopping = threading.Thread(target=switch.stop, daemon=True)
    stopping.start()
    stopping.join(20)
    assert not stopping.is_alive()


def test_without_a_monitor_it_is_known_since_when_the_program_watches() -> None:
    switch = Heartbeat(None, lambda: NOW)
    switch.start(lambda: Seen(NOW, "ibkr", 1, NOW))
    row = switch.row()
    assert (row.since, row.heartbeat, row.next_ping) == (NOW, False, None)
    assert switch.channel() is None
    switch.stop()


def test_a_look_or_a_ping_that_raises_does_not_end_it(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.02)
    looks = iter([ValueError("no"), Seen(NOW, "ibkr", 0, NOW)])

    def look() -> Seen:
        one = next(looks, Seen(NOW, "ibkr", 0, NOW))
        if isinstance(one, Exception):
            raise one
        return one

    answers = iter([OSError("wire")])

    def pinged(kind: str, body: str) -> Receipt:
        for error in answers:
            raise error
        return ping(SecretStr(monitor.address), "start", body)

    with caplog.at_level(logging.CRITICAL):  # what it logs is not of interest here
        switch = Heartbeat(pinged, lambda: NOW)
        switch.start(look)
        assert eventually(lambda: monitor.kinds == ["start"])
        switch.stop()

"""Deliveries on their way: a lane worked by hand with invented seconds, then real threads with stand-in channels."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.alerts.lane import Lane
from guardrails.alerts.sending import Manner, Sending
from guardrails.alerts.values import Delivery, DeliveryState, Message, Outcome, Receipt, Severity
from tests.stored import eventually

NOW = datetime(2026, 11, 18, 15, 30, tzinfo=UTC)
SENT, FAILED = Receipt(Outcome.SENT, "ok"), Receipt(Outcome.FAILED, "503")
REFUSED = Receipt(Outcome.REFUSED, "no_service")
MESSAGE = Message("m", NOW, Severity.BREACH, resolved=False, title="BREACH: Vega", lines=(), more=0, link="")
QUICK = Manner(attempt_seconds=60.0, kept_seconds=0.2, jitter=lambda: 0.001)


def delivery(key: str, severity: Severity = Severity.BREACH, channel: str = "desk", **changes: object) -> Delivery:
    message = replace(MESSAGE, key=key, severity=severity)
    return replace(Delivery(key, channel, message, (f"vega {key}",), created=NOW), **changes)  # type: ignore[arg-type]  # any field


def critical(key: str) -> Delivery:
    return delivery(key, Severity.CRITICAL)


@dataclass
class Stand:
    """A channel that answers what it is told to and remembers the keys of what it was given."""

    name: str = "desk"
    answer: Callable[[Message], Receipt] = lambda _: SENT
    kind: str = "stand-in"
    problem: str = ""
    got: list[str] = field(default_factory=list)

    def send(self, message: Message) -> Receipt:
        self.got.append(message.key)
        return self.answer(message)


@dataclass
class Told:
    """What the sending said of its deliveries."""

    all: list[Delivery] = field(default_factory=list)

    def __call__(self, after: Delivery) -> None:
        self.all.append(after)

    def states(self, key: str) -> list[DeliveryState]:
        return [after.state for after in self.all if after.key == key]


@dataclass
class Never:
    """A store that takes nothing, and the seconds it was waited for."""

    waited: list[float] = field(default_factory=list)

    def wait(self, seconds: float) -> bool:
        self.waited.append(seconds)
        return threading.Event().wait(seconds)


@contextmanager
def sending(*channels: Stand, manner: Manner = QUICK, told: Told | None = None) -> Iterator[tuple[Sending, Told]]:
    told = told or Told()
    running = Sending(channels, lambda: NOW, told, manner=manner)
    running.start()
    try:
        yield running, told
    finally:
        running.stop(0.0)


# --- the lane, second by second


def lane(*deliveries: Delivery, at: float = 0.0, most: int = 10_000) -> Lane:
    made = Lane(Stand(), most)
    for one in deliveries:
        made.put(one, None, NOW, at)
    return made


def taken(made: Lane, at: float) -> str:
    waiting = made.take(at)
    return "" if waiting is None else waiting.delivery.key


def test_what_is_critical_goes_first_and_then_what_was_put_first() -> None:
    made, order = lane(delivery("a"), delivery("b", Severity.WATCH), critical("c"), critical("d")), []
    while key := taken(made, 1.0):
        order.append(key)
        made.finish(SENT, NOW, 1.0, 0.5, keep=False)
    assert order == ["c", "d", "a", "b"]


def test_that_something_critical_is_over_does_not_go_first() -> None:
    over = replace(critical("over"), message=replace(MESSAGE, severity=Severity.CRITICAL, resolved=True))
    made = lane(delivery("a"), over)
    assert taken(made, 1.0) == "a"


def test_while_a_channel_fails_everything_waits_for_one_pause() -> None:
    made = lane(delivery("a"), delivery("b"))
    assert taken(made, 10.0) == "a"
    made.finish(FAILED, NOW, 10.0, 0.5, keep=False)  # half of 2 s
    assert taken(made, 10.99) == ""
    assert made.seconds_to_next(10.5) == 0.5
    assert taken(made, 11.0) == "b"  # put first of those that are due, `a` is due later
    made.finish(FAILED, NOW, 11.0, 0.5, keep=False)  # half of 4 s, although it is the first failure of `b`
    assert taken(made, 12.99) == ""
    assert taken(made, 13.0) == "a"
    made.finish(SENT, NOW, 13.0, 0.5, keep=False)
    assert made.seconds_to_next(13.0) == 0.0  # nothing waits for the rest of its own pause when the channel works
    assert taken(made, 13.0) == "b"


def test_one_new_critical_goes_ahead_in_a_pause_and_the_next_one_waits() -> None:
    made = lane(delivery("a"))
    assert taken(made, 0.0) == "a"
    made.finish(replace(FAILED, retry_after_seconds=60.0), NOW, 0.0, 0.5, keep=False)
    made.put(critical("c"), None, NOW, 1.0)
    made.put(critical("d"), None, NOW, 1.0)
    assert taken(made, 1.0) == "c"
    made.finish(replace(FAILED, retry_after_seconds=60.0), NOW, 1.0, 0.5, keep=False)
    assert taken(made, 60.9) == ""
    assert taken(made, 61.0) == "d"  # has waited for longer
    made.finish(FAILED, NOW, 61.0, 0.5, keep=False)  # the third in a row: half of 8 s
    made.put(critical("e"), None, NOW, 62.0)
    assert taken(made, 62.0) == "e"  # a new pause, and something new
    made.finish(FAILED, NOW, 62.0, 0.5, keep=False)  # half of 16 s
    made.put(critical("f"), None, NOW, 63.0)
    assert (taken(made, 69.9), taken(made, 70.0)) == ("", "c")


def test_a_test_that_a_person_asked_for_never_waits_for_a_pause() -> None:
    made = lane(delivery("a"))
    taken(made, 0.0)
    made.finish(replace(FAILED, retry_after_seconds=600.0), NOW, 0.0, 0.5, keep=False)
    made.put(critical("c"), None, NOW, 1.0)
    assert taken(made, 1.0) == "c"  # the one that may go ahead
    made.finish(FAILED, NOW, 1.0, 0.5, keep=False)
    for key in ("t1", "t2"):
        made.put(delivery(key, message=replace(MESSAGE, key=key, test=True)), None, NOW, 1.0)
        assert taken(made, 1.0) == key
        after = made.finish(FAILED, NOW, 1.0, 0.5, keep=False)
        assert after is not None
        assert after.state is DeliveryState.DEAD
    assert made.row(NOW, 1.0).dead == 0  # a test that failed is not a message that was lost


def test_the_same_key_waits_once_is_sent_once_and_can_be_told_to_have_been_sent() -> None:
    made = lane(delivery("a"), delivery("a"))
    assert made.row(NOW, 0.0).waiting == 1
    assert taken(made, 0.0) == "a"
    assert made.put(delivery("a"), None, NOW, 0.0) == []
    after = made.finish(SENT, NOW, 0.0, 0.5, keep=False)
    assert made.seconds_to_next(0.0) is None
    assert made.put(delivery("a"), None, NOW, 0.0) == [after]
    assert made.seconds_to_next(0.0) is None


def test_what_comes_from_the_store_waits_for_its_due_time_but_not_for_a_clock_that_was_set_back() -> None:
    for due, seconds in ((timedelta(seconds=7), 7.0), (timedelta(hours=30), 900.0), (-timedelta(hours=1), 0.0)):
        made = lane(delivery("a", due=NOW + due, attempts=3), at=100.0)
        assert made.seconds_to_next(100.0) == seconds


def test_what_is_critical_does_not_wait_out_the_pause_of_a_program_that_ended() -> None:
    made = lane(replace(critical("c"), due=NOW + timedelta(minutes=5), attempts=9))
    assert taken(made, 0.0) == "c"


def test_what_waited_out_a_long_pause_goes_as_soon_as_the_channel_works_again() -> None:
    made = lane(critical("c"))
    assert taken(made, 0.0) == "c"
    made.finish(replace(FAILED, retry_after_seconds=600.0), NOW, 0.0, 0.5, keep=True)
    made.put(replace(delivery("t"), message=replace(MESSAGE, test=True)), None, NOW, 10.0)
    made.put(delivery("w", Severity.WATCH), None, NOW, 10.0)
    assert taken(made, 10.0) == "t"
    made.finish(SENT, NOW, 10.0, 0.5, keep=False)
    assert taken(made, 10.0) == "c"  # and before the WATCH that came meanwhile


def test_when_too_many_wait_the_oldest_are_given_up_but_never_what_is_critical() -> None:
    made = lane(critical("c1"), delivery("a"), delivery("b"), most=3)
    given_up = made.put(critical("c2"), None, NOW, 1.0)
    assert [(one.key, one.state, one.detail) for one in given_up] == [("a", DeliveryState.DEAD, "too many wait")]
    assert [one.key for one in made.put(critical("c3"), None, NOW, 1.0)] == ["b"]
    assert made.put(critical("c4"), None, NOW, 1.0) == []
    assert (made.row(NOW, 1.0).waiting, made.row(NOW, 1.0).dead) == (4, 2)


def test_what_is_forgotten_in_hand_is_told_only_when_it_was_sent_or_is_wanted_again() -> None:
    for receipt, again, told in [(FAILED, False, False), (SENT, False, True), (FAILED, True, True)]:
        made = lane(delivery("a"), delivery("b"))
        taken(made, 0.0)
        made.forget()
        assert made.row(NOW, 0.0).waiting == 1
        if again:
            made.put(delivery("a"), None, NOW, 0.0)
        assert (made.finish(receipt, NOW, 0.0, 0.5, keep=False) is not None) is told
        assert made.row(NOW, 0.0).waiting == (1 if again else 0)


def test_the_row_of_a_channel_says_how_it_does() -> None:
    made = lane(delivery("a"), delivery("b"))
    row = made.row(NOW, 0.0)
    assert (row.works, row.waiting, row.next_try, row.waiting_since) == (None, 2, None, NOW)
    taken(made, 0.0)
    made.finish(FAILED, NOW, 0.0, 0.5, keep=False)
    taken(made, 1.0)
    made.finish(FAILED, NOW + timedelta(seconds=1), 1.0, 0.5, keep=False)
    row = made.row(NOW + timedelta(seconds=2), 2.0)
    assert (row.works, row.failing_since, row.failures, row.last_detail) == (False, NOW, 2, "503")
    assert row.failed_in_a_row == 2
    assert row.next_try == NOW + timedelta(seconds=3)
    taken(made, 3.0)
    made.finish(SENT, NOW + timedelta(seconds=3), 3.0, 0.5, keep=False)
    row = made.row(NOW + timedelta(seconds=3), 3.0)
    assert (row.works, row.failing_since, row.sent, row.last_sent) == (True, None, 1, NOW + timedelta(seconds=3))
    assert (row.failures, row.failed_in_a_row) == (2, 0)
    taken(made, 3.0)
    made.finish(REFUSED, NOW + timedelta(seconds=4), 4.0, 0.5, keep=False)
    row = made.row(NOW + timedelta(seconds=4), 4.0)
    assert (row.works, row.failing_since, row.waiting, row.dead) == (False, NOW + timedelta(seconds=4), 0, 1)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "put", "try", "late"]),
            st.integers(0, 30),
            st.sampled_from([SENT, FAILED, REFUSED]),
            st.floats(0.0, 400.0),
        ),
        max_size=60,
    )
)
def test_whatever_happens_nothing_is_lost_and_nothing_is_sent_twice(
    steps: list[tuple[str, int, Receipt, float]],
) -> None:
    made, at, put, ended = Lane(Stand(), most=10), 0.0, set(), []
    for what, number, receipt, passed in steps:
        at, key = at + passed, f"k{number}"
        now = NOW + timedelta(seconds=at)
        if what == "put" and key not in put:
            put.add(key)
            ended += made.put(critical(key) if number % 3 == 0 else delivery(key), None, now, at)
        elif what == "late":
            ended += [after for after in [made.late(key, receipt, now)] if after is not None]
        elif what == "try" and made.take(at) is not None:
            after = made.finish(receipt, now, at, 0.5, keep=False)
            assert after is not None
            ended += [after] if after.state in (DeliveryState.SENT, DeliveryState.DEAD) else []
    keys = [after.key for after in ended]
    assert len(keys) == len(set(keys))
    assert len(put) == len(keys) + made.row(NOW, at).waiting
    assert not any(after.message.severity is Severity.CRITICAL for after in ended if after.detail == "too many wait")


# --- with threads


def test_a_delivery_reaches_its_channel_and_is_told_as_sent() -> None:
    desk = Stand()
    with sending(desk) as (running, told):
        running.put(delivery("a"))
        assert eventually(lambda: told.states("a") == [DeliveryState.SENT])
        assert desk.got == ["a"]
        assert told.all[0].attempts == 1
        assert [(row.name, row.works, row.sent) for row in running.rows()] == [("desk", True, 1)]


def test_a_channel_that_hangs_does_not_delay_another() -> None:
    release = threading.Event()
    stuck, good = Stand("stuck", lambda _: SENT if release.wait(20) else FAILED), Stand("good")
    with sending(stuck, good) as (running, _told):
        for number in range(20):
            running.put(delivery(f"s{number}", channel="stuck"))
            running.put(delivery(f"g{number}", channel="good"))
        assert eventually(lambda: len(good.got) == 20)
        assert eventually(lambda: stuck.got == ["s0"])
        release.set()
        assert eventually(lambda: len(stuck.got) == 20)


def test_a_channel_that_fails_is_tried_until_it_works() -> None:
    answers = iter([FAILED, FAILED, replace(FAILED, retry_after_seconds=0.01)])
    desk = Stand(answer=lambda _: next(answers, SENT))
    with sending(desk) as (running, told):
        running.put(delivery("a"))
        assert eventually(lambda: told.states("a")[-1:] == [DeliveryState.SENT])
        assert told.states("a") == [DeliveryState.FAILED] * 3 + [DeliveryState.SENT]


def test_what_is_refused_is_given_up_and_the_next_message_is_tried() -> None:
    desk = Stand(answer=lambda message: REFUSED if message.key == "a" else SENT)
    with sending(desk) as (running, told):
        running.put(delivery("a"))
        assert eventually(lambda: told.states("a") == [DeliveryState.DEAD])
        running.put(delivery("b"))
        assert eventually(lambda: told.states("b") == [DeliveryState.SENT])


def test_a_channel_that_raises_has_failed_and_is_tried_again() -> None:
    def raises(message: Message) -> Receipt:
        if len(desk.got) == 1:
            raise ConnectionError("https://hooks.example/token")
        return SENT

    desk = Stand(answer=raises)
    with sending(desk) as (running, told):
        running.put(delivery("a"))
        assert eventually(lambda: told.states("a") == [DeliveryState.FAILED, DeliveryState.SENT])
        assert told.all[0].detail == "failed (ConnectionError); see the log"


def test_a_server_that_never_answers_is_left_after_the_deadline_and_asked_three_times_at_most() -> None:
    release = threading.Event()
    desk = Stand(answer=lambda _: SENT if release.wait(20) else FAILED)
    with sending(desk, manner=replace(QUICK, attempt_seconds=0.05)) as (running, told):
        for key in "abcde":
            running.put(delivery(key))
        assert eventually(lambda: len(told.all) == 3)
        assert {after.detail for after in told.all} == {"no answer in 0.05 s"}
        assert "3 attempts have not come back" in running.rows()[0].last_detail
        assert not eventually(lambda: len(desk.got) > 3, 0.3)
        release.set()  # they come back late: what they took is sent, and the others follow
        assert eventually(lambda: all(told.states(key)[-1:] == [DeliveryState.SENT] for key in "abcde"))
        assert running.rows()[0].waiting == 0


def test_a_message_waits_for_its_row_and_no_longer_than_two_seconds() -> None:
    assert Manner().kept_seconds == 2.0
    written, desk = threading.Event(), Stand()

    class Soon:
        def wait(self, seconds: float) -> bool:
            return written.wait(seconds)

    with sending(desk, manner=replace(QUICK, kept_seconds=20.0)) as (running, told):
        running.put(delivery("a"), Soon())
        assert not eventually(lambda: bool(desk.got), 0.1)
        written.set()
        assert eventually(lambda: desk.got == ["a"])
    with sending(desk) as (running, told):
        never = Never()
        for key in "bcdefghijk":
            running.put(delivery(key), never)
        assert eventually(lambda: len(told.all) == 10)
        # all wait at the same time, not one after the other
        assert sum(never.waited) < 10 * QUICK.kept_seconds


def test_a_store_that_breaks_does_not_stop_a_message() -> None:
    class Broken:
        def wait(self, seconds: float) -> bool:
            raise OSError("disk")

    desk = Stand()
    with sending(desk) as (running, told):
        running.put(delivery("a"), Broken())
        assert eventually(lambda: told.states("a") == [DeliveryState.SENT])


def test_a_delivery_to_a_channel_that_is_gone_is_given_up_and_says_so() -> None:
    with sending(Stand()) as (running, told):
        running.put(delivery("a", channel="pager"))
        assert told.all[0].state is DeliveryState.DEAD
        assert told.all[0].detail == "there is no channel pager any more; see the settings"


def test_a_stop_sends_what_waits_the_loudest_first_and_a_start_begins_again() -> None:
    busy, release = threading.Event(), threading.Event()

    def slow(message: Message) -> Receipt:
        if message.key == "first":
            busy.set()
            release.wait(20)
        return SENT

    desk = Stand(answer=slow)
    with sending(desk) as (running, _told):
        running.put(delivery("first"))
        busy.wait(20)
        for key in ("a", "b"):
            running.put(delivery(key))
        running.put(critical("c"))
        threading.Timer(0.05, release.set).start()
        running.stop(60.0)
        assert desk.got == ["first", "c", "a", "b"]
        running.put(delivery("d"))
        assert not eventually(lambda: len(desk.got) > 4, 0.1)
        running.start()
        assert eventually(lambda: desk.got[-1] == "d")


def test_a_stop_is_bounded_and_leaves_unsent_what_a_failing_channel_does_not_take() -> None:
    release = threading.Event()
    pause = replace(FAILED, retry_after_seconds=600.0)
    failing, stuck = Stand("failing", lambda _: pause), Stand("stuck", lambda _: SENT if release.wait(60) else FAILED)
    with sending(failing) as (running, told):
        for key in "abc":
            running.put(delivery(key, channel="failing"))
        assert eventually(lambda: len(failing.got) == 1)
        running.stop(20.0)
        assert len(failing.got) == 2  # once more each channel, not each message
        assert {after.state for after in told.all} == {DeliveryState.FAILED}
    with sending(failing, stuck) as (running, told):
        running.put(delivery("s", channel="stuck"))
        assert eventually(lambda: len(stuck.got) == 1)
        began = time.monotonic()
        running.stop(0.2)
        assert time.monotonic() - began < 30.0  # the channel that is stuck would keep it for a minute
        assert told.all == []
        release.set()


def test_what_hangs_beyond_a_stop_does_not_send_beside_the_next_start() -> None:
    release = threading.Event()
    desk = Stand(answer=lambda message: SENT if message.key != "a" or release.wait(20) else FAILED)
    with sending(desk) as (running, told):
        running.put(delivery("a"))
        assert eventually(lambda: desk.got == ["a"])
        running.stop(0.0)
        running.start()
        running.put(delivery("a"))
        running.put(delivery("b"))
        assert not eventually(lambda: len(desk.got) > 1, 0.2)
        release.set()
        assert eventually(lambda: desk.got == ["a", "b"])
        assert eventually(lambda: told.states("a") == [DeliveryState.SENT])


def test_what_is_critical_and_was_refused_is_tried_on_without_holding_up_the_others() -> None:
    made = lane(critical("c"), delivery("a"))
    assert taken(made, 0.0) == "c"
    after = made.finish(REFUSED, NOW, 0.0, 0.5, keep=True)  # the channel rests for half of 2 s, the message for 5 min
    assert after is not None
    assert (after.state, after.due) == (DeliveryState.FAILED, NOW + timedelta(seconds=300))
    assert made.row(NOW, 0.0).refused == "no_service"
    assert (taken(made, 0.9), taken(made, 1.0)) == ("", "a")
    made.finish(SENT, NOW, 1.0, 0.5, keep=False)
    row = made.row(NOW, 1.0)
    assert (row.works, row.dead, row.waiting, row.refused) == (True, 0, 1, "no_service")
    assert (taken(made, 299.9), taken(made, 300.0)) == ("", "c")
    assert made.row(NOW, 300.0).refused == "no_service"  # while it is tried once more
    made.finish(SENT, NOW, 300.0, 0.5, keep=True)
    assert made.row(NOW, 300.0).refused == ""


def test_a_lane_that_has_a_fault_is_a_problem_and_goes_on_once_it_is_mended() -> None:
    desk = Stand()
    with sending(desk) as (running, _told):
        post_lane = running._posts["desk"]._lane
        take = post_lane.take

        def broken(*_: object, **__: object) -> None:
            raise MemoryError

        post_lane.take = broken  # type: ignore[method-assign,assignment]  # the fault
        running.put(delivery("a"))
        assert eventually(lambda: running.rows()[0].problem == "delivering failed (MemoryError); see the log")
        assert running.rows()[0].works is False
        post_lane.take = take  # type: ignore[method-assign]  # it is mended
        assert eventually(lambda: desk.got == ["a"])
        assert eventually(lambda: running.rows()[0].problem == "")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_that_the_thread_of_a_channel_has_ended_is_seen() -> None:
    def ends(*_: object, **__: object) -> None:
        raise SystemExit  # ends a thread without a word

    with sending(Stand()) as (running, _told):
        running._posts["desk"]._lane.take = ends  # type: ignore[method-assign,assignment]  # the fault
        running.put(delivery("a"))
        assert eventually(lambda: "its thread has ended" in running.rows()[0].problem)


def test_what_is_critical_and_still_open_is_never_given_up() -> None:
    old = NOW - timedelta(days=3)
    desk = Stand(answer=lambda _: FAILED)
    still_open = {"c1"}
    told = Told()
    manner = replace(QUICK, jitter=lambda: 0.0)
    running = Sending([desk], lambda: NOW, told, keeps=lambda one: one.key in still_open, manner=manner)
    running.start()
    for key in ("c1", "c2"):
        running.put(replace(critical(key), created=old))
    assert eventually(lambda: told.states("c2") == [DeliveryState.DEAD] and len(told.states("c1")) > 100)
    assert DeliveryState.DEAD not in told.states("c1")
    still_open.clear()
    assert eventually(lambda: told.states("c1")[-1] is DeliveryState.DEAD)
    running.stop(0.0)

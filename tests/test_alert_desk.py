"""The desk with the real decisions and messages; only channels, clocks, faults and here the store are made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from guardrails.alerts.seen import SeenQueue
from guardrails.alerts.settling import step_of
from guardrails.alerts.values import (
    Acknowledgement,
    Alert,
    ChannelRow,
    Delivery,
    DeliveryState,
    Event,
    Message,
    OpenAlerts,
    Problem,
    Reason,
    Severity,
    State,
    WatchRow,
)
from guardrails.findings import Finding, Level
from guardrails.keeper import Kept
from guardrails.matrix.alerts import AlertRules
from guardrails.requests import Kind, Said
from guardrails.store.metadata import StoreError
from tests.books import NOW
from tests.desks import (
    BOOK,
    FAILED,
    LINK,
    REFUSED,
    RULES,
    SENT,
    Clocks,
    Memory,
    Stand,
    answered,
    at_desk,
    breach,
    cycle,
    identities,
    loud,
    request,
)
from tests.stored import eventually

# --- from a cycle to a message


def test_a_breach_is_told_to_every_channel_and_shown_with_its_life() -> None:
    slack, log = Stand(), Stand("log", "log")
    with at_desk(slack, log, store=(store := Memory())) as desk:
        desk.see(cycle(breach()), RULES)
        assert eventually(lambda: [row.sent for row in desk.now.channels] == [1, 1])
        [row] = desk.now.active
        assert (row.identity, row.severity, row.state) == ("short_vega portfolio", Severity.BREACH, State.FIRED)
        assert desk.now.counts == {"fired": 1, "told": 1, "resolved": 0, "escalated": 0, "acted": 0}
        assert (desk.now.budget, desk.now.problem) == (20, "")
    assert slack.got == log.got
    assert "BREACH" in slack.got[0].title
    assert slack.got[0].link == LINK + "/alerts"
    assert store.calls[0] == (1, 2)  # the alert and both its deliveries in one call
    assert [one.state for one in store.deliveries[-2:]] == [DeliveryState.SENT] * 2


def test_the_demo_says_that_it_is_one_but_a_real_book_beside_it_does_not() -> None:
    for sources, says in [(("demo",), True), (("demo", "ibkr"), False)]:
        slack = Stand()
        with at_desk(slack, book=(sources, "calm")) as desk:
            desk.see(cycle(breach()), RULES)
            assert eventually(lambda seen=slack: bool(seen.got))  # type: ignore[misc]  # bound per case
            assert slack.titles[0].startswith("DEMO: ") is says


def test_nothing_is_told_before_this_program_watches_nor_after() -> None:
    slack, clocks = Stand(), Clocks()
    with at_desk(slack, clocks=clocks, book=None) as desk:
        desk.see(cycle(breach()), RULES)
        assert not eventually(lambda: bool(slack.got), 0.1)
        desk.begin(*BOOK)
        assert not eventually(lambda: bool(slack.got), 0.1)  # what was seen before is not of this watch
        desk.see(cycle(breach()), RULES)
        assert eventually(lambda: len(slack.got) == 1)
        desk.idle()
        desk.see(cycle(breach(), loud()), RULES)
        assert not eventually(lambda: len(slack.got) > 1, 0.1)
        assert eventually(lambda: desk.now.active == ())
        desk.begin(*BOOK)
        desk.see(cycle(breach()), RULES)
        assert eventually(lambda: len(slack.got) == 2)  # nothing is kept here, so it is told again


def test_nothing_is_worked_out_or_sent_while_it_is_not_known_whether_this_program_watches() -> None:
    slack, clocks, held, holding = Stand(answer=lambda _: FAILED), Clocks(), threading.Event(), threading.Event()

    def holds() -> bool:
        is_held = held.is_set()
        if is_held and threading.current_thread().name == "alerts":
            holding.set()
        return is_held

    with at_desk(slack, clocks=clocks, store=Memory(), holds=holds) as desk:
        desk.see(cycle(breach()), RULES)
        assert eventually(lambda: any(row.failures for row in desk.now.channels))
        held.set()
        assert holding.wait(20)  # what was begun before that is done
        clocks.pass_(45, desk)  # asleep: no cycle came, and the message is due again
        slack.got.clear()
        assert not eventually(lambda: len(desk.now.active) > 1 or len(slack.got) > 1, 0.5)
        count = len(slack.got)  # one may have been in hand
        assert not eventually(lambda: len(slack.got) > count, 0.3)
        held.clear()  # nobody confirmed that it watches: rather twice than never
        clocks.pass_(1, desk)
        assert eventually(lambda: "engine task:cycle" in identities(desk))
        assert eventually(lambda: len(slack.got) > count)


def test_a_thousand_critical_alerts_of_one_cycle_are_all_told_in_at_most_ten_messages() -> None:
    slack = Stand()
    with at_desk(slack, store=Memory()) as desk:
        desk.see(cycle(*(loud(f"position:IBKR •••4567 SPY {number}P") for number in range(1000))), RULES)
        assert eventually(lambda: len(desk.now.active) == 1000 and desk.now.channels[0].waiting == 0)
    assert 1 <= len(slack.got) <= 10
    assert sum(len(message.lines) for message in slack.got) == 1000
    assert {line.severity for message in slack.got for line in message.lines} == {Severity.CRITICAL}


def test_when_the_desk_lags_every_cycle_with_other_levels_is_kept_and_equal_ones_are_skipped() -> None:
    clocks = Clocks()
    queue = SeenQueue(clocks.wall, most=4)
    calm, wrong = cycle(), cycle(breach())
    for snapshot in (calm, calm, calm, calm, wrong, wrong, wrong, calm):
        clocks.pass_(2)
        queue.put(snapshot, RULES, 1, clocks.at)
    taken, now = queue.take()
    # of the four calm ones the first and the last, of the three wrong ones too; then the oldest gives way to the fifth
    assert [(seen.time - NOW).total_seconds() for seen in taken] == [8, 10, 14, 16]
    assert [len(seen.snapshot.findings) for seen in taken] == [0, 1, 1, 0]
    assert now == NOW + timedelta(seconds=16)
    assert queue.take()[0] == []


def test_what_was_critical_or_further_over_its_limit_for_one_cycle_is_kept_when_the_desk_lags() -> None:
    """All are BREACH by the check; of the limit of 2,000 the third is four times, the limit of 0 has no times."""
    queue = SeenQueue(Clocks().wall)
    for value in (-2_100.0, -2_100.0, -2_100.0, -8_000.0, -2_100.0, -2_100.0, -2_100.0):
        queue.put(cycle(breach(value=value)), RULES, 1, 0.0)
    assert [seen.snapshot.findings[0].value for seen in queue.take()[0]] == [-2_100.0, -2_100.0, -8_000.0] + [
        -2_100.0
    ] * 2
    for value in (-10.0, -10.0, -10.0, -100_000.0, -10.0):
        queue.put(cycle(replace(breach(value=value), limit=0.0, headroom=value)), RULES, 1, 0.0)
    assert [seen.snapshot.findings[0].value for seen in queue.take()[0]] == [-10.0, -10.0, -100_000.0, -10.0]


def test_of_too_many_cycles_one_without_anything_critical_gives_way() -> None:
    queue = SeenQueue(Clocks().wall, most=3)
    for found in (loud(), breach(), breach("account:IBKR •••4567"), breach(check="vega")):
        queue.put(cycle(found), RULES, 1, 0.0)
    assert [seen.snapshot.findings[0].check for seen in queue.take()[0]] == [
        "short_option_expiry",
        "short_vega",
        "vega",
    ]


def test_a_cycle_that_cannot_be_understood_is_kept_for_the_desk_and_costs_the_engine_nothing() -> None:
    queue, odd = SeenQueue(Clocks().wall), replace(cycle(), findings=None)  # type: ignore[arg-type]  # the fault
    for snapshot in (cycle(), odd, odd, odd):
        queue.put(snapshot, RULES, 1, 0.0)
    assert len(queue.take()[0]) == 4


def test_a_message_that_cannot_be_put_on_its_way_to_one_channel_reaches_the_others_and_is_a_problem() -> None:
    slack, phone, clocks, store = Stand(), Stand("phone", "Pushover"), Clocks(), Memory()
    with at_desk(slack, phone, clocks=clocks, store=store) as desk:
        post = desk._sending._posts["slack"]

        def broken(*_: object) -> None:
            raise RuntimeError

        post.put = broken  # type: ignore[method-assign,assignment]  # the fault
        desk.see(cycle(loud()), RULES)
        assert eventually(lambda: len(phone.got) == 1)
        assert phone.got[0].lines[0].severity is Severity.CRITICAL
        clocks.pass_(2.0)
        desk.see(cycle(loud()), RULES)
        assert eventually(lambda: "delivery channel:slack" in identities(desk))
        row = next(row for row in desk.now.active if row.check == "delivery")
        assert row.problem.severity is Severity.BREACH
        assert "could not be put on its way (RuntimeError)" in row.problem.message
        waiting = [one for one in store.deliveries if one.channel == "slack"]
        assert {one.state for one in waiting} == {DeliveryState.WAITING}  # so the next start sends it


def test_what_became_of_a_message_is_kept_in_its_own_book_also_when_another_is_watched_by_then() -> None:
    kept: list[tuple[str, str]] = []

    class Books(Memory):
        def hand_alerts(
            self, sources: Sequence[str], scenario: str, events: Sequence[Event], deliveries: Sequence[Delivery]
        ) -> Kept:
            kept.extend((scenario, one.state.value) for one in deliveries)
            return super().hand_alerts(sources, scenario, events, deliveries)

        def open_alerts(self, sources: Sequence[str], scenario: str, since: datetime | None = None) -> OpenAlerts:
            return OpenAlerts()

    gate = threading.Event()
    slack = Stand(answer=lambda _: SENT if gate.wait(20) else FAILED)
    with at_desk(slack, store=Books(), book=(("demo",), "calm")) as desk:
        desk.see(cycle(loud()), RULES)
        assert eventually(lambda: len(slack.got) == 1)
        desk.begin(("demo",), "crash")
        assert eventually(lambda: desk.now.active == ())
        gate.set()
        assert eventually(lambda: len(kept) == 2)
    assert kept == [("calm", "waiting"), ("calm", "sent")]


def test_a_delivery_of_something_critical_is_kept_for_as_long_as_that_is_open() -> None:
    clocks, store = Clocks(), Memory()
    rules = AlertRules(calm_seconds=10.0)
    with at_desk(Stand(answer=lambda _: FAILED), clocks=clocks, store=store, period_seconds=100.0) as desk:
        desk.see(cycle(loud(), breach()), rules)
        assert eventually(lambda: len(store.deliveries) >= 1)
        delivery = store.deliveries[0]
        assert desk._keeps(delivery)
        assert not desk._keeps(replace(delivery, alerts=("short_vega portfolio",)))
        assert not desk._keeps(replace(delivery, message=replace(delivery.message, resolved=True)))
        assert eventually(lambda: "short_option_expiry portfolio" in identities(desk))
        desk.see(cycle(breach()), rules)
        clocks.pass_(11.0)
        desk.see(cycle(breach()), rules)
        assert eventually(lambda: "short_option_expiry portfolio" not in identities(desk))
        assert not desk._keeps(delivery)


# --- what other runs have left


def test_what_was_kept_but_not_sent_before_the_end_is_sent_by_the_next_run_under_the_same_key() -> None:
    store, hangs = Memory(), threading.Event()
    dead = Stand(answer=lambda _: SENT if hangs.wait(20) else FAILED)
    with at_desk(dead, store=store, stop_seconds=0.2) as desk:
        desk.see(cycle(loud()), RULES)
        assert eventually(lambda: len(dead.got) == 1)
    [key] = {one.key for one in store.deliveries}
    slack = Stand()
    with at_desk(slack, store=store) as desk:
        assert eventually(lambda: len(slack.got) == 1)
        assert slack.got[0].key == dead.got[0].key
        desk.see(cycle(loud()), RULES)
        assert eventually(lambda: identities(desk) == ["short_option_expiry portfolio"])
        assert eventually(lambda: store.deliveries[-1].state is DeliveryState.SENT)
    assert store.deliveries[-1].key == key
    assert len(slack.got) == 1  # what was told before the end is not told again
    hangs.set()


def test_an_acknowledgement_of_an_earlier_run_still_holds() -> None:
    store = Memory()
    with at_desk(Stand(), store=store) as desk:
        desk.see(cycle(breach()), RULES)
        assert eventually(lambda: len(desk.now.active) == 1)
        assert answered(desk, request(Kind.ACKNOWLEDGE, alert="short_vega portfolio", note="on it")).said is Said.DONE
    clocks, slack = Clocks(), Stand()
    with at_desk(slack, store=store, clocks=clocks, period_seconds=3600.0) as desk:  # no cycle is late
        desk.see(cycle(breach()), RULES)
        assert eventually(lambda: len(desk.now.active) == 1)
        clocks.pass_(2 * 3600, desk)
        desk.see(cycle(breach()), RULES)
        assert eventually(lambda: desk.now.as_of == clocks.now)
        assert (desk.now.active[0].owner, desk.now.active[0].note) == ("Ann", "on it")
        assert slack.got == []


def test_before_the_first_cycle_nothing_that_is_open_is_over() -> None:
    store, clocks = Memory(), Clocks()
    with at_desk(Stand(), store=store) as desk:
        desk.see(cycle(breach()), RULES)
        assert eventually(lambda: len(desk.now.active) == 1)
    with at_desk(Stand(), store=store, clocks=clocks) as desk:
        assert eventually(lambda: len(desk.now.active) == 1)
        for _ in range(5):
            clocks.pass_(50, desk)
            assert eventually(lambda: desk.now.as_of == clocks.now)
        assert "short_vega portfolio" in identities(desk)
        assert "engine task:cycle" in identities(desk)


class Unreadable(Memory):
    """A store whose past cannot be read until it is mended."""

    def __init__(self, how: Callable[[], object]) -> None:
        super().__init__()
        self.how: Callable[[], object] | None = how

    def open_alerts(self, sources: Sequence[str], scenario: str, since: datetime | None = None) -> OpenAlerts:
        if self.how is not None:
            self.how()
        return super().open_alerts(sources, scenario, since)


def refuses() -> None:
    raise StoreError("guardrails.db is locked")


def test_a_store_that_cannot_be_read_is_waited_for_ten_seconds_and_then_alerts_begin_anew() -> None:
    store, clocks, slack = Unreadable(refuses), Clocks(), Stand()
    old = Message("old", NOW, Severity.BREACH, resolved=False, title="BREACH: old", lines=(), more=0, link=LINK)
    left = Delivery("old:slack", "slack", old, ())
    store.deliveries.append(left)
    with at_desk(slack, store=store, clocks=clocks) as desk:
        desk.see(cycle(breach()), RULES)
        clocks.pass_(9.5, desk)
        assert not eventually(lambda: bool(slack.got), 0.2)
        clocks.pass_(0.5, desk)
        desk.see(cycle(breach()), RULES)
        assert eventually(lambda: len(slack.got) == 1)
        assert eventually(lambda: "guardrails.db is locked" in desk.now.problem)
        store.how = None  # what had been left is sent as soon as it can be read
        assert eventually(lambda: slack.titles[1:] == ["BREACH: old"])
        assert eventually(lambda: desk.now.problem == "")


class Late(Memory):
    """A store that comes up later than the program, as after a power cut; what is read is what others have left."""

    def __init__(self, *left: Event) -> None:
        super().__init__()
        self.left, self.up = left, threading.Event()

    def open_alerts(self, sources: Sequence[str], scenario: str, since: datetime | None = None) -> OpenAlerts:
        self.up.wait(20)
        return OpenAlerts(tuple(event.alert for event in self.left))


def stored(check: str, severity: Severity, value: float, limit: float, by: str = "") -> Event:
    """An alert of five minutes before the start, which slack was told of."""
    before = NOW - timedelta(minutes=5)
    problem = Problem(check, "portfolio", severity, "as it was", value, limit, headroom=-abs(value - limit))
    taken = Acknowledgement(by, before, "on it") if by else None
    step = step_of(problem, RULES.worse_by)
    alert = Alert(problem, severity, step, since=before, last_wrong=before, fired=before, told=before,
                  told_severity=severity, told_step=step, times_told=1, acknowledgement=taken, asked=before,
                  reached=("slack",))  # fmt: skip
    return Event(before, alert, alert.state, Reason.ACKNOWLEDGED if by else Reason.FIRST)


DOWN = Finding("source_state", "source:ibkr", Level.UNKNOWN, None, None, "", None, "ibkr cannot be reached.")


def test_a_critical_that_only_a_store_knows_which_is_read_late_is_repeated_and_not_taken_for_right() -> None:
    store, clocks, slack = Late(stored("short_option_expiry", Severity.CRITICAL, 1.0, 0.0)), Clocks(), Stand()
    with at_desk(slack, store=store, clocks=clocks) as desk:
        clocks.pass_(11.0, desk)
        desk.see(cycle(DOWN), RULES)
        assert eventually(lambda: "the store does not answer" in desk.now.problem)
        store.up.set()
        assert eventually(lambda: identities(desk) == ["short_option_expiry portfolio"])
        for _ in range(3):  # it was told 5 min before the start and is told every 15
            clocks.pass_(240.0)
            desk.see(cycle(DOWN), RULES)
            assert eventually(lambda: desk.now.as_of == clocks.now)
        said = "repeat due"
        assert eventually(lambda: any(line.reason.startswith(said) for one in slack.got for line in one.lines))
        assert "short_option_expiry portfolio" in identities(desk)


def test_an_acknowledgement_that_is_read_late_holds_for_what_is_not_worse_and_is_kept_again() -> None:
    left = stored("short_vega", Severity.BREACH, -3_000.0, -2_000.0, "Ann")
    for value, owner in ((-3_000.0, "Ann"), (-9_000.0, "")):
        store, clocks, slack = Late(left), Clocks(), Stand()
        with at_desk(slack, store=store, clocks=clocks) as desk:
            clocks.pass_(11.0, desk)
            desk.see(cycle(breach(value=value)), RULES)
            assert eventually(lambda seen=slack: len(seen.got) == 1)  # type: ignore[misc]  # bound per case
            store.up.set()
            assert eventually(lambda desk=desk: desk.now.problem == "")  # type: ignore[misc]  # bound per case
            clocks.pass_(2.0)
            desk.see(cycle(breach(value=value)), RULES)
            assert eventually(lambda desk=desk, clocks=clocks: desk.now.as_of == clocks.now)  # type: ignore[misc]  # bound per case

            def kept(store: Late = store) -> str:
                held = store.events[-1].alert.acknowledgement
                return held.author if held else ""

            assert eventually(lambda owner=owner, kept=kept: kept() == owner)  # type: ignore[misc]  # bound per case
            # a restart now would not lose it again
            [row] = desk.now.active
            assert (row.owner, row.fired, row.times_told) == (owner, NOW - timedelta(minutes=5), 2)


def test_a_store_that_is_read_late_makes_no_critical_that_nothing_is_watched() -> None:
    """The first of the cycles that wait was seen at once, and is looked at after ten seconds and more."""
    store, clocks, slack = Late(), Clocks(), Stand()
    with at_desk(slack, store=store, clocks=clocks, period_seconds=2.0) as desk:
        for _ in range(6):
            desk.see(cycle(), RULES)
            clocks.pass_(2.0)
        desk.see(cycle(), RULES)
        assert eventually(lambda: "the store does not answer" in desk.now.problem)
        store.up.set()
        assert eventually(lambda: desk.now.problem == "")
    assert (identities(desk), slack.titles) == ([], [])


def test_with_a_channel_that_cannot_be_used_nothing_stored_counts_as_right_before_the_first_cycle() -> None:
    store, clocks, slack = Memory(), Clocks(), Stand()
    store.events.append(stored("short_option_expiry", Severity.CRITICAL, 1.0, 0.0))
    broken = Stand("email", "e-mail", problem="SMTP_HOST is not set")
    with at_desk(slack, broken, store=store, clocks=clocks) as desk:
        assert eventually(lambda: identities(desk) == ["short_option_expiry portfolio"])
        for _ in range(4):
            clocks.pass_(10.0, desk)
            assert eventually(lambda: desk.now.as_of == clocks.now)
        for _ in range(9):  # its source is down: people hear of it again, and never that it is over
            desk.see(cycle(DOWN), RULES)
            clocks.pass_(100.0, desk)
            assert eventually(lambda: desk.now.as_of == clocks.now)
        assert "short_option_expiry portfolio" in identities(desk)

        def reasons() -> list[str]:
            return [line.reason for one in slack.got for line in one.lines if line.severity is Severity.CRITICAL]

        assert eventually(lambda: any(reason.startswith("repeat due") for reason in reasons()))
        assert not any(message.resolved for message in slack.got)


def test_a_store_that_hangs_when_it_is_read_does_not_hold_a_critical_alert_for_more_than_ten_seconds() -> None:
    release = threading.Event()
    store, clocks, slack = Unreadable(lambda: release.wait(20)), Clocks(), Stand()
    with at_desk(slack, store=store, clocks=clocks) as desk:
        desk.see(cycle(loud()), RULES)
        clocks.pass_(10.0, desk)
        assert eventually(lambda: len(slack.got) == 1)
        assert eventually(lambda: "the store does not answer" in desk.now.problem)
        release.set()
        assert eventually(lambda: desk.now.problem == "")
        assert len(slack.got) == 1


def test_a_cycle_of_another_book_is_not_taken_for_one_of_this_one() -> None:
    release, slack = threading.Event(), Stand()
    with at_desk(slack, store=Unreadable(lambda: release.wait(20))) as desk:
        desk.see(cycle(loud()), RULES)
        desk.begin(("demo",), "calm")
        desk.see(cycle(breach()), RULES)
        release.set()
        assert eventually(lambda: len(slack.got) == 1)
        assert eventually(lambda: identities(desk) == ["short_vega portfolio"])


def test_a_store_that_takes_nothing_for_a_minute_delays_a_message_by_two_seconds_at_most() -> None:
    class Hangs(Memory):
        def wait(self, seconds: float) -> bool:
            return not threading.Event().wait(seconds)

    slack = Stand()
    with at_desk(slack, store=Hangs()) as desk:  # 0.2 s here
        desk.see(cycle(loud()), RULES)
        assert eventually(lambda: len(slack.got) == 1)


def test_a_store_that_raises_does_not_stop_a_message() -> None:
    class Raises(Memory):
        def hand_alerts(self, *_: Any) -> Kept:
            raise OSError("No space left on device")

    slack = Stand()
    with at_desk(slack, store=Raises()) as desk:
        desk.see(cycle(loud()), RULES)
        assert eventually(lambda: len(slack.got) == 1)


def test_of_two_desks_on_one_book_only_the_one_that_watches_tells() -> None:
    store, slack, other = Memory(), Stand(), Stand()
    with at_desk(slack, store=store) as desk, at_desk(other, store=store, book=None) as reader:
        for _ in range(3):
            desk.see(cycle(loud()), RULES)
            reader.see(cycle(loud()), RULES)
        assert eventually(lambda: len(slack.got) == 1)
        assert eventually(lambda: store.deliveries[-1].state is DeliveryState.SENT)  # else it would tell it again
        desk.idle()
        reader.begin(*BOOK)  # it takes over: what is open goes on and is not told again
        reader.see(cycle(loud()), RULES)
        assert eventually(lambda: identities(reader) == ["short_option_expiry portfolio"])
    assert (len(slack.got), len(other.got)) == (1, 0)


# --- the watch itself


def test_when_no_cycle_comes_any_more_that_is_critical_and_ends_with_the_next_one() -> None:
    clocks, slack = Clocks(), Stand()
    with at_desk(slack, clocks=clocks, period_seconds=2.0) as desk:
        desk.see(cycle(), RULES)
        assert eventually(lambda: desk.now.as_of == clocks.now and not desk.now.active)
        clocks.pass_(10.0, desk)
        assert not eventually(lambda: bool(slack.got), 0.2)
        clocks.pass_(2.0, desk)
        assert eventually(lambda: len(slack.got) == 1)
        [line] = slack.got[0].lines
        assert line.severity is Severity.CRITICAL
        assert line.what == "No cycle since 10:30:00 (12 s): nothing is watched."
        for _ in range(2):
            desk.see(cycle(), RULES)
            assert eventually(lambda: desk.now.as_of == clocks.now)
            clocks.pass_(121.0, desk)  # of calm; the watch is silent meanwhile, which is not calm
        clocks.pass_(-240.0, desk)


def test_the_first_cycle_may_take_a_minute() -> None:
    clocks, slack = Clocks(), Stand()
    with at_desk(slack, clocks=clocks) as desk:
        clocks.pass_(60.0, desk)
        assert not eventually(lambda: bool(slack.got), 0.2)
        clocks.pass_(1.0, desk)
        assert eventually(lambda: len(slack.got) == 1)
        assert slack.got[0].lines[0].what == "No cycle yet since the start at 10:30:00 (1 min)."
        assert eventually(lambda: [row.severity for row in desk.now.active] == [Severity.CRITICAL])


def test_a_channel_that_fails_is_told_to_the_others_and_one_that_refuses_is_a_breach() -> None:
    clocks, mail = Clocks(), Stand("email", "e-mail")
    slack = Stand(answer=lambda message: FAILED)
    rules = AlertRules(channels=("slack",))
    with at_desk(slack, mail, clocks=clocks, period_seconds=100.0) as desk:
        desk.see(cycle(breach()), rules)
        assert eventually(lambda: desk._sending.rows()[0].failed_in_a_row >= 3)
        desk.see(cycle(breach()), rules)
        assert eventually(lambda: "delivery channel:slack" in identities(desk))
        assert eventually(lambda: len(mail.got) == 1)  # the rules name slack only; of the breach mail has not heard
        assert mail.got[0].severity is Severity.BREACH  # people are told by slack
        assert [line.what for line in mail.got[0].lines] == ["Slack fails since 10:30:00: 503 Service Unavailable."]
        slack.answer = lambda _: REFUSED
        assert eventually(lambda: desk.now.channels[0].dead > 0)
        desk.see(cycle(breach()), rules)
        lost = "A message to Slack was given up: no_service."
        assert eventually(lambda: lost in [row.problem.message for row in desk.now.active])


def test_a_channel_that_cannot_be_used_gets_nothing_and_is_a_problem() -> None:
    clocks, log = Clocks(), Stand("log", "log")
    broken = Stand("ntfy", "ntfy", problem="pip install apprise")
    with at_desk(log, broken, clocks=clocks) as desk:
        desk.see(cycle(breach()), RULES)
        assert eventually(lambda: len(log.got) == 1)
        assert broken.got == []
        assert eventually(lambda: any(row.check == "delivery" for row in desk.now.active))
        what = next(row.problem for row in desk.now.active if row.check == "delivery")
        assert what.severity is Severity.BREACH  # it is the only one that reaches a person
        assert what.message == (
            "No channel works, alerts reach nobody. ntfy fails as it is configured: pip install apprise."
        )


def test_a_dead_mans_switch_that_is_not_reached_is_a_problem_and_the_page_sees_its_row() -> None:
    clocks, slack = Clocks(), Stand()
    beat = ChannelRow("heartbeat", "dead-man's switch", works=False, failing_since=NOW, failed_in_a_row=3,
                      last_detail="404")  # fmt: skip
    row = WatchRow(since=NOW, heartbeat=True)
    with at_desk(slack, clocks=clocks, heartbeat=lambda: beat, watch=lambda: row) as desk:
        desk.see(cycle(), RULES)
        assert eventually(lambda: desk.now.watch == row)
        clocks.pass_(61.0, desk)
        desk.see(cycle(), RULES)
        assert eventually(lambda: identities(desk) == ["delivery channel:heartbeat"])
        assert eventually(lambda: len(slack.got) == 1)
        assert slack.got[0].lines[0].what == "The dead-man's switch is not reached since 10:30:00: 404."


def test_a_fault_in_a_step_is_cried_out_and_does_not_end_the_desk(caplog: pytest.LogCaptureFixture) -> None:
    clocks, slack = Clocks(), Stand()
    with at_desk(slack, clocks=clocks) as desk:
        desk.see(replace(cycle(), findings=None), RULES)  # type: ignore[arg-type]  # the fault
        assert eventually(lambda: len(slack.got) == 1)
        assert slack.titles[0].startswith("CRITICAL: alerts cannot be worked out (TypeError)")
        assert eventually(lambda: desk.now.problem == "alerts cannot be worked out (TypeError); see the log")
        assert any(record.levelname == "CRITICAL" and record.exc_info for record in caplog.records)
        desk.see(replace(cycle(), findings=None), RULES)  # type: ignore[arg-type]  # once in a quarter of an hour
        desk.see(cycle(breach()), RULES)
        assert eventually(lambda: len(slack.got) == 2)
        clocks.pass_(1.0, desk)
        assert eventually(lambda: desk.now.problem == "")


def test_what_cannot_be_put_in_words_is_told_without_them() -> None:
    slack = Stand()
    with at_desk(slack) as desk:
        desk.see(cycle(replace(loud(), unit=None)), RULES)  # type: ignore[arg-type]  # the fault
        assert eventually(lambda: slack.titles == ["CRITICAL: short_option_expiry; see the Alerts page"])
        assert (slack.got[0].severity, slack.got[0].link) == (Severity.CRITICAL, LINK + "/alerts")
        assert eventually(lambda: identities(desk) == ["short_option_expiry portfolio"])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_that_the_thread_has_ended_is_seen() -> None:
    ends = threading.Event()

    def wall() -> datetime:
        if ends.is_set() and threading.current_thread().name == "alerts":
            raise SystemExit  # ends a thread without a word
        return NOW

    clocks = Clocks()
    clocks.wall = wall  # type: ignore[method-assign]  # a clock that ends its thread
    with at_desk(Stand(), clocks=clocks) as desk:
        assert desk.now.problem == ""
        ends.set()
        desk.see(cycle(), RULES)
        assert eventually(lambda: "The alerts have ended" in desk.now.problem)
        ends.clear()


def test_a_stop_tells_what_waits_and_a_start_begins_again() -> None:
    store, slack = Memory(), Stand()
    with at_desk(slack, store=store) as desk:
        assert eventually(lambda: desk.now.channels != ())
        desk.see(cycle(loud()), RULES)
        desk.stop(30.0)
        assert len(slack.got) == 1
        assert store.deliveries[-1].state is DeliveryState.SENT
        assert desk.now.problem == ""
        desk.see(cycle(breach()), RULES)
        desk.start()
        desk.begin(*BOOK)
        desk.see(cycle(loud(), breach()), RULES)
        assert eventually(lambda: len(slack.got) == 2)

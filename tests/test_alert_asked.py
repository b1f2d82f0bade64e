"""What people ask of the desk: done once, in time or not at all, and always answered."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from guardrails.alerts import asked
from guardrails.alerts.values import Delivery, DeliveryState, Message, Severity, State
from guardrails.requests import Kind, Said
from guardrails.store.metadata import StoreError
from tests.books import NOW
from tests.desks import (
    BOOK,
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
    request,
)
from tests.stored import eventually


def test_a_person_acknowledges_silences_and_tells_of_an_action() -> None:
    store, alert = Memory(), "short_vega portfolio"
    until = (NOW + timedelta(hours=2)).isoformat()
    with at_desk(Stand(), store=store) as desk:
        desk.see(cycle(breach()), RULES)
        assert eventually(lambda: len(desk.now.active) == 1)
        wishes = [
            (Kind.ACKNOWLEDGE, {"note": "mine"},
             "Acknowledged. It is told again when it gets worse.", State.ACKNOWLEDGED),
            (Kind.SILENCE, {"reason": "rolling", "until": until},
             "Silenced until Wed 18 Nov 12:30 New York. It is told again when it gets worse.", State.SILENCED),
            (Kind.UNSILENCE, {}, "The silence has ended.", None),
            (Kind.ACTED, {"note": "closed 2"}, "Noted that it led to an action.", None),
        ]  # fmt: skip
        for number, (kind, body, words, state) in enumerate(wishes):
            answer = answered(desk, request(kind, f"k{number}", alert=alert, **body))
            assert (answer.said, answer.words) == (Said.DONE, words)
            if state is not None:
                assert eventually(lambda state=state: desk.now.active[0].state is state)  # type: ignore[misc]  # bound
        assert eventually(lambda: desk.now.active[0].acted and desk.now.counts["acted"] == 1)
    assert {"Ann"} == {event.author for event in store.events if event.author}


def test_nobody_takes_a_critical_whose_page_showed_a_breach() -> None:
    """It gets worse while the click is on its way."""
    slack, alert = Stand(), "short_vega portfolio"
    with at_desk(slack) as desk:
        desk.see(cycle(breach(value=-2_100.0)), RULES)
        assert eventually(lambda: len(desk.now.active) == 1)
        row = desk.now.active[0]
        shown = {"severity": row.severity.value, "step": str(row.step), "fired": row.fired.isoformat()}
        desk.see(cycle(breach(value=-9_000.0)), RULES)
        assert eventually(lambda: desk.now.active[0].severity is Severity.CRITICAL)
        answer = answered(desk, request(Kind.ACKNOWLEDGE, "r1", alert=alert, **shown))
        assert answer.said is Said.REFUSED
        assert "BREACH then, CRITICAL now" in answer.words
        assert desk.now.active[0].owner == ""
        seen = {**shown, "severity": "CRITICAL", "step": str(desk.now.active[0].step)}
        assert answered(desk, request(Kind.ACKNOWLEDGE, "r2", alert=alert, **seen)).said is Said.DONE
        for number, wrong in enumerate(({"step": "many"}, {"severity": "LOUD"}, {"fired": "noon"}, {"step": ""})):
            answer = answered(desk, request(Kind.ACKNOWLEDGE, f"w{number}", alert=alert, **{**seen, **wrong}))
            assert answer.said is Said.REFUSED
            assert "does not say in full what was shown" in answer.words


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("acknowledge", {}, "The request to acknowledge names no alert; nothing was done."),
        ("silence", {"alert": "short_vega portfolio", "reason": "x", "until": "noon"}, "Noon is not a time"),
        ("silence", {"alert": "short_vega portfolio", "reason": "x", "until": "2026-11-18T16:00:00"}, "no time zone"),
        ("acted", {"alert": "short_vega portfolio", "note": "x" * 2001}, "The text has 2,001 characters"),
        ("test_channel", {"channel": "pager"}, "There is no channel pager; there are slack."),
        ("send_again", {"delivery": "no such"}, "was not given up since this program began to watch"),
        ("flatten", {}, "This program does not know how to flatten; update it."),
        ("unsilence", {"alert": "no_such portfolio"}, ""),
        ("silence", {"alert": "short_vega portfolio", "reason": "", "until": "2026-11-18T16:00:00+00:00"}, ""),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence(kind: str, body: dict[str, str], words: str) -> None:
    with at_desk(Stand()) as desk:
        desk.see(cycle(breach()), RULES)
        assert eventually(lambda: len(desk.now.active) == 1)
        answer = answered(desk, request(kind, **body))
        assert answer.said is Said.REFUSED
        assert words in answer.words
        assert answer.words


def test_a_request_that_nobody_took_in_time_is_never_done() -> None:
    with at_desk(Stand()) as desk:
        desk.see(cycle(breach()), RULES)
        assert eventually(lambda: len(desk.now.active) == 1)
        answer = answered(desk, request("acknowledge", valid=-1.0, alert="short_vega portfolio"))
        assert answer.said is Said.EXPIRED
        assert answer.words == "It was not taken before 10:29:59 New York and was not done."
        assert desk.now.active[0].owner == ""


def test_a_request_waits_for_the_watch_to_begin_but_not_beyond_its_time() -> None:
    clocks = Clocks()
    with at_desk(Stand(), clocks=clocks, book=None) as desk:
        desk.do(request("test_channel", channel="slack"))
        assert not eventually(lambda: desk.answer("r1") is not None, 0.1)
        desk.begin(*BOOK)
        assert eventually(lambda: desk.answer("r1") is not None)
        desk.idle()
        assert eventually(lambda: desk._watch is None)  # it may still be at what it did before
        desk.do(request("test_channel", "r2", channel="slack"))
        assert not eventually(lambda: desk.answer("r2") is not None, 0.1)
        clocks.pass_(31.0, desk)
        assert eventually(lambda: (answer := desk.answer("r2")) is not None and answer.said is Said.EXPIRED)


def test_a_test_is_sent_to_its_channel_only_and_answered_when_that_has_answered() -> None:
    slack, mail = Stand(), Stand("email", "e-mail", lambda _: REFUSED)
    with at_desk(slack, mail, store=(store := Memory())) as desk:
        good = answered(desk, request("test_channel", "a", channel="slack"))
        bad = answered(desk, request("test_channel", "b", channel="email"))
        assert good.said is Said.DONE
        assert re.fullmatch(r"Slack took it in \d+\.\d s\.", good.words)
        assert (bad.said, bad.words) == (Said.REFUSED, "e-mail did not take it: no_service.")
        assert [message.test for message in (*slack.got, *mail.got)] == [True, True]
        assert desk.now.channels[1].dead == 0
        assert eventually(lambda: store.deliveries[-1].state is DeliveryState.DEAD)
        desk.see(cycle(), RULES)
        assert not eventually(lambda: bool(desk.now.active), 0.1)


def test_the_same_request_is_done_once_and_what_other_apps_ask_is_answered_to_them() -> None:
    store, slack = Memory(), Stand()
    with at_desk(slack, store=store) as desk:
        wish = request("test_channel", channel="slack")
        assert answered(desk, wish).said is Said.DONE
        desk.do(wish)
        store.ask(request("test_channel", "r2", channel="slack"))
        desk.see(cycle(), RULES)
        assert eventually(lambda: store.answered("r2") is not None)
        assert len(slack.got) == 2
        assert [answer.key for answer in store.answers] == ["r2"]
        store.ask(request("test_channel", "r2", channel="slack"))
        desk.see(cycle(), RULES)
        assert eventually(lambda: len(store.answers) == 2)
        assert len(slack.got) == 2


def test_a_message_that_was_given_up_is_sent_again_when_a_person_asks_for_it() -> None:
    slack, log = Stand(answer=lambda _: REFUSED), Stand("log", "log")
    with at_desk(slack, log, store=(store := Memory())) as desk:
        desk.see(cycle(breach()), RULES)
        assert eventually(lambda: any(one.state is DeliveryState.DEAD for one in store.deliveries))
        key = next(one.key for one in store.deliveries if one.state is DeliveryState.DEAD)
        slack.answer = lambda _: SENT
        answer = answered(desk, request("send_again", delivery=key))
        assert (answer.said, answer.words) == (
            Said.DONE, "It is on its way to slack again; the deliveries say what comes of it."
        )  # fmt: skip
        assert eventually(lambda: [one.state for one in store.deliveries if one.key == key][-1] is DeliveryState.SENT)


EARLIER = Delivery(
    "m1:slack", "slack", Message("m1", NOW, Severity.BREACH, resolved=False, title="BREACH: Vega", lines=(), more=0,
                                 link=""),
    ("short_vega portfolio",), DeliveryState.DEAD, 9, None, "410 gone", NOW, NOW,
)  # fmt: skip


def test_a_message_that_an_earlier_run_has_given_up_is_sent_again_when_a_person_asks_for_it() -> None:
    slack, store = Stand(), Memory()
    store.deliveries.append(EARLIER)
    with at_desk(slack, store=store) as desk:
        assert desk.now.active == ()
        answer = answered(desk, request("send_again", delivery="m1:slack"))
        assert (answer.said, answer.words) == (
            Said.DONE, "It is on its way to slack again; the deliveries say what comes of it."
        )  # fmt: skip
        assert eventually(lambda: store.deliveries[-1].state is DeliveryState.SENT)
        assert [(one.state, one.attempts) for one in store.deliveries[1:]] == [
            (DeliveryState.WAITING, 0), (DeliveryState.SENT, 1)
        ]  # fmt: skip
        assert slack.got == [EARLIER.message]
        again = answered(desk, request("send_again", "r2", delivery="m1:slack"))
        assert (again.said, again.words) == (
            Said.REFUSED, "This message was not given up, or cannot be read any more; nothing was sent."
        )  # fmt: skip
        assert len(slack.got) == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (StoreError("guardrails.db does not say what was given up (disk)"),
         "Nothing was sent, as the message cannot be read: guardrails.db does not say what was given up (disk)."),
        (RuntimeError("of the driver"), "Nothing was sent, as the message cannot be read: RuntimeError."),
    ],
)  # fmt: skip
def test_a_store_that_cannot_be_read_sends_nothing_again_and_says_why(fault: Exception, words: str) -> None:
    class Broken(Memory):
        def given_up(self, sources: Sequence[str], scenario: str, key: str) -> Delivery | None:
            raise fault

    with at_desk(slack := Stand(), store=Broken()) as desk:
        answer = answered(desk, request("send_again", delivery="m1:slack"))
        assert (answer.said, answer.words) == (Said.REFUSED, words)
        assert slack.got == []


def test_a_store_that_hangs_holds_up_neither_the_desk_nor_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    class Hanging(Memory):
        def given_up(self, sources: Sequence[str], scenario: str, key: str) -> Delivery | None:
            release.wait(20)
            return EARLIER

    assert asked.READ_SECONDS == 10.0
    monkeypatch.setattr(asked, "READ_SECONDS", 0.2)
    with at_desk(slack := Stand(), store=Hanging()) as desk:
        for number in range(3):
            desk.do(request("send_again", f"r{number}", delivery=f"m{number}:slack"))
        assert answered(desk, request("test_channel", "t", channel="slack")).said is Said.DONE
        for number in range(3):
            assert eventually(lambda number=number: desk.answer(f"r{number}") is not None)  # type: ignore[misc]  # bound
            answer = desk.answer(f"r{number}")
            assert answer is not None
            assert answer.words == "The store does not answer; nothing was done. Try again once it does."
        full = answered(desk, request("send_again", "r3", delivery="m3:slack"))  # three threads hang, a fourth must not
        assert full.words == "The store does not answer; nothing was sent. Try again once it does."
        release.set()
        assert len(slack.got) == 1
        assert eventually(lambda: answered(desk, request("send_again", secrets.token_hex(4), delivery="m1:slack")).said
                          is Said.DONE)  # fmt: skip


def test_what_is_read_for_a_book_that_is_no_longer_watched_is_not_sent() -> None:
    release, reads = threading.Event(), threading.Event()

    class Slow(Memory):
        def given_up(self, sources: Sequence[str], scenario: str, key: str) -> Delivery | None:
            reads.set()
            release.wait(20)
            return EARLIER

    with at_desk(slack := Stand(), store=Slow()) as desk:
        desk.do(request("send_again", delivery="m1:slack"))
        assert reads.wait(20)
        desk.begin(("tastytrade",), "")
        assert eventually(lambda: desk.answer("r1") is not None)
        answer = desk.answer("r1")
        assert answer is not None
        assert answer.words == "This program does not watch this book any more; nothing was done."
        release.set()
        assert not eventually(lambda: bool(slack.got), 0.1)


def test_a_fault_in_a_request_is_refused_and_does_not_end_the_desk() -> None:
    with at_desk(Stand()) as desk:
        broken = replace(request("acknowledge"), body=None)  # type: ignore[arg-type]  # the fault
        answer = answered(desk, broken)
        assert (answer.said, answer.words) == (
            Said.REFUSED, "It could not be done because of a fault of the program; see the log."
        )  # fmt: skip
        assert answered(desk, request("test_channel", "r2", channel="slack")).said is Said.DONE

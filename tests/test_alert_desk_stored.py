"""The desk on the real store: what is kept survives a kill, and requests of other apps come through."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from guardrails.alerts.values import DeliveryState, Message, Outcome, Receipt
from guardrails.requests import Kind, Said
from guardrails.store.writer import Writer
from tests.books import ROOT
from tests.desks import BOOK, QUICK, RULES, SENT, Clocks, Stand, at_desk, breach, cycle, identities, loud, request
from tests.stored import Lock, ask, clock, eventually, opened

PATIENT = replace(QUICK, kept_seconds=60.0)
"""the disk of a busy machine may take its time, and here the row has to come first"""
_CODE = "from tests.test_alert_desk_stored import die_when_sending; die_when_sending({folder!r})"


@contextmanager
def writer(folder: Path, name: str = "spool", busy_seconds: float = 5.0) -> Iterator[Writer]:
    """A store that writes the book of the desks."""
    database = opened(folder, busy_seconds)
    made = Writer(database, folder / name, clock, retry_seconds=0.02, beat_seconds=0.02, dead_seconds=100.0)
    made.start()
    made.part(*BOOK)
    try:
        yield made
    finally:
        made.stop(60.0)
        database.close()


def deliveries(folder: Path) -> list[tuple[str, str, int]]:
    return [(key, state, attempt) for key, state, attempt in
            ask(folder, "SELECT delivery, state, attempt FROM deliveries ORDER BY id")]  # fmt: skip


def die_when_sending(folder: str) -> None:
    """In a process of its own: a breach is kept, and the program is killed at the moment of sending."""

    def kill(message: Message) -> Receipt:
        os.kill(os.getpid(), signal.SIGKILL)
        return Receipt(Outcome.FAILED, "not reached")

    with writer(Path(folder)) as store, at_desk(Stand(answer=kill), store=store, manner=PATIENT) as desk:
        desk.see(cycle(loud()), RULES)
        threading.Event().wait(120)


def test_kill_9_between_commit_and_send_sends_it_after_the_next_start_under_the_same_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _CODE.format(folder=str(tmp_path))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    [(key, state, attempts)] = deliveries(tmp_path)
    assert (state, attempts) == ("waiting", 0)
    slack = Stand()
    with writer(tmp_path) as store, at_desk(slack, store=store) as desk:
        assert eventually(lambda: len(slack.got) == 1)
        assert f"{slack.got[0].key}:slack" == key
        desk.see(cycle(loud()), RULES)
        assert eventually(lambda: identities(desk) == ["short_option_expiry portfolio"])
    assert len(slack.got) == 1
    assert deliveries(tmp_path) == [(key, "waiting", 0), (key, "sent", 1)]


def test_a_failed_delivery_goes_on_after_a_restart_with_its_attempts(tmp_path: Path) -> None:
    failing = Stand(answer=lambda _: Receipt(Outcome.FAILED, "503", retry_after_seconds=60.0))
    with writer(tmp_path) as store, at_desk(failing, store=store) as desk:
        desk.see(cycle(breach()), RULES)
        assert eventually(lambda: bool(desk.now.channels) and desk.now.channels[0].failures == 1)
        desk.stop(30.0)
    tried = len(failing.got)  # once more at the stop
    assert tried == 2
    slack, clocks = Stand(), Clocks()
    clocks.pass_(61.0)
    with writer(tmp_path) as store, at_desk(slack, store=store, clocks=clocks):
        assert eventually(lambda: len(slack.got) == 1)
    assert [attempt for _, _, attempt in deliveries(tmp_path)] == [0, 1, 2, 3]
    assert deliveries(tmp_path)[-1][1] == "sent"


def test_a_locked_database_holds_no_message_back_and_gets_its_rows_later(tmp_path: Path) -> None:
    slack = Stand()
    with writer(tmp_path, busy_seconds=60.0) as store, at_desk(slack, store=store) as desk:
        assert eventually(lambda: store.settled(0.0) and desk.now.problem == "")
        desk.see(cycle(), RULES)
        lock = Lock(tmp_path)
        try:
            desk.see(cycle(loud()), RULES)
            assert eventually(lambda: len(slack.got) == 1)  # the database is waited for longer
        finally:
            lock.release()
    assert [state for _, state, _ in deliveries(tmp_path)] == ["waiting", "sent"]


def test_the_program_that_takes_over_goes_on_and_does_not_tell_again(tmp_path: Path) -> None:
    slack, other = Stand(), Stand()
    with writer(tmp_path) as store, at_desk(slack, store=store) as desk:
        desk.see(cycle(loud()), RULES)
        assert eventually(lambda: deliveries(tmp_path)[-1:] != [] and deliveries(tmp_path)[-1][1] == "sent")
        since = desk.now.active[0].since
        desk.idle()
    with writer(tmp_path, "other") as store, at_desk(other, store=store) as desk:
        desk.see(cycle(loud()), RULES)
        assert eventually(lambda: identities(desk) == ["short_option_expiry portfolio"])
        assert desk.now.active[0].since == since
    assert (len(slack.got), len(other.got)) == (1, 0)


def test_what_is_asked_in_an_app_that_reads_is_done_by_the_program_that_watches(tmp_path: Path) -> None:
    slack = Stand(answer=lambda _: SENT)
    with writer(tmp_path) as store, writer(tmp_path, "reader") as reader, at_desk(slack, store=store) as desk:
        assert eventually(lambda: not reader.part(*BOOK).watches)
        desk.see(cycle(breach()), RULES)
        assert eventually(lambda: len(slack.got) == 1)
        reader.ask(request(Kind.ACKNOWLEDGE, "r1", alert="short_vega portfolio", note="from my phone"))
        reader.ask(request(Kind.TEST_CHANNEL, "r2", channel="slack"))
        assert eventually(lambda: reader.answered("r1") is not None and reader.answered("r2") is not None)
        answers = [reader.answered(key) for key in ("r1", "r2")]
        assert [answer.said for answer in answers if answer] == [Said.DONE, Said.DONE]
        assert eventually(lambda: desk.now.active[0].note == "from my phone")
    assert ask(tmp_path, "SELECT author, reason FROM alerts ORDER BY id")[-1] == ("Ann", "acknowledged")
    assert {message.test for message in slack.got} == {False, True}
    assert {state for _, state, _ in deliveries(tmp_path)} == {"waiting", DeliveryState.SENT.value}


def test_a_message_that_an_earlier_run_has_given_up_is_sent_again(tmp_path: Path) -> None:
    refusing = Stand(answer=lambda _: Receipt(Outcome.REFUSED, "no_service"))
    with writer(tmp_path) as store, at_desk(refusing, store=store) as desk:
        desk.see(cycle(breach()), RULES)
        assert eventually(lambda: [state for _, state, _ in deliveries(tmp_path)] == ["waiting", "dead"])
    [(key, _, _), _] = deliveries(tmp_path)
    slack = Stand()
    with writer(tmp_path) as store, at_desk(slack, store=store) as desk:
        wish = request(Kind.SEND_AGAIN, delivery=key)
        desk.do(wish)
        assert eventually(lambda: (answer := desk.answer(wish.key)) is not None and answer.said is Said.DONE)
        assert eventually(lambda: bool(slack.got))
    assert [message.title for message in slack.got] == [refusing.got[0].title]
    assert [state for _, state, _ in deliveries(tmp_path)] == ["waiting", "dead", "waiting", "sent"]

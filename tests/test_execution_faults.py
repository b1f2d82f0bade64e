"""What execution does when a broker keeps silent, a clock is set, or another program may have taken its place."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from guardrails.alerts.values import AlertRow, AlertsNow, Problem, Severity, State
from guardrails.execution import following, intents
from guardrails.execution.deeds import Deeds
from guardrails.execution.halts import unacknowledged
from guardrails.execution.safety_file import STOP_FILE
from guardrails.execution.values import JournalEntry, JournalKind, OpenDeeds, OrderRecord
from guardrails.findings import Level
from guardrails.matrix import parse
from guardrails.matrix.orders import Unacknowledged
from guardrails.orders import Fill, Leg, Order, OrdersRead, OrderState
from guardrails.requests import Kind, Said
from guardrails.safety import Cause, SafetyState
from guardrails.symbols import occ
from tests.books import IBKR, NOW
from tests.exchange import (
    CLOSE_PUT,
    NAME,
    OPEN,
    QUICK,
    SPX_PUT_SYMBOL,
    Plan,
    Program,
    Shelf,
    assessed,
    listed,
    typed,
)
from tests.healthy import GENEROUS, edited_text
from tests.test_execution import run

SPREAD = Order(IBKR, (Leg(occ.parse("SPXW  261218P05700000"), -1), Leg(occ.parse("SPXW  261218P05600000"), 1)), 2, -8.4)
CLOSE_ONE = typed((SPX_PUT_SYMBOL, 1))
GENEROUS_KEYS = {f"regimes.*.limits.{key}": value for key, value in GENEROUS.items()}

# --- a cancellation that is never confirmed


@pytest.mark.parametrize("said", [OrderState.WORKING, OrderState.CANCEL_REQUESTED])
def test_a_cancellation_that_nobody_confirms_says_since_when_and_then_is_in_doubt(
    tmp_path: Path, said: OrderState
) -> None:
    shelf = Shelf()

    async def story(program: Program) -> None:
        program.exchange.on_cancel = said
        await program.send(OPEN)
        answer = await program.ask(Kind.CANCEL, order=program.record().key)
        assert answer.said is Said.DONE, answer.words
        assert program.state() is OrderState.CANCEL_REQUESTED
        assert "Ann asked for its cancellation at 10:30:" in program.record().detail
        assert program.record().cancel_asked is not None
        program.clock.move(1)  # longer than the wait of these tests
        assert await program.until(lambda: any("has not confirmed its cancellation" in one for one in details(shelf)))
        if said is OrderState.CANCEL_REQUESTED:  # the broker says nothing else, and the doubt stays
            await asyncio.sleep(0.1)
            assert program.state() is OrderState.UNKNOWN
            assert await program.until(lambda: program.execution.safety.now.cause is Cause.UNRECONCILED)
            program.exchange.end(program.record().key)
            assert await program.until(lambda: program.state() is OrderState.CANCELLED)
        else:  # the broker calls it working: so it is, and that stands there
            assert await program.until(lambda: program.state() is OrderState.WORKING)
            assert "cancel it again" in program.record().detail
            program.exchange.on_cancel = None
            await program.ask(Kind.CANCEL, order=program.record().key)
            assert await program.until(lambda: program.state() is OrderState.CANCELLED)
        assert program.record().cancel_asked is None

    run(tmp_path, story, store=shelf)


def details(shelf: Shelf) -> list[str]:
    return [deed.detail for deeds in shelf.transactions for deed in deeds if isinstance(deed, OrderRecord)]


def test_a_fill_ends_the_doubt_about_a_cancellation(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        program.exchange.on_cancel = OrderState.CANCEL_REQUESTED
        await program.send(OPEN)
        key = program.record().key
        await program.ask(Kind.CANCEL, order=key)
        program.clock.move(1)
        assert await program.until(lambda: program.state() is OrderState.UNKNOWN)
        program.exchange.fill(key)
        assert await program.until(lambda: program.state() is OrderState.FILLED)

    run(tmp_path, story)


# --- a person's word that an order does not live


def test_an_order_in_doubt_cannot_be_resolved_while_the_broker_does_not_answer(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        program.exchange.plans.append(Plan.LOSE_REPLY)
        program.exchange.listeners.clear()  # nothing is heard but by asking
        token = await program.token(OPEN)
        program.exchange.hides.add("r1")
        await program.ask(Kind.SUBMIT, order=OPEN, token=token)
        key = program.record().key
        assert await program.until(lambda: program.state() is OrderState.UNKNOWN)
        program.exchange.silent = True
        answer = await program.ask(Kind.RESOLVE, order=key, note="not in TWS")
        assert answer.said is Said.REFUSED
        assert "stays in doubt until it answers" in answer.words
        assert program.state() is OrderState.UNKNOWN
        program.exchange.silent = False
        program.exchange.hides.clear()
        answer = await program.ask(Kind.RESOLVE, order=key, note="not in TWS")
        assert program.state() is OrderState.WORKING  # it lived

    run(tmp_path, story)


# --- a library that cancels what waits for its connection


def test_a_cancellation_that_is_not_ours_does_not_end_what_hears_of_orders(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        assert await program.until(lambda: program.line.listens > 0)
        program.line.is_dropped = True
        program.exchange.tell()
        assert await program.until(lambda: f"hear {NAME}" in program.execution.now.problem)
        assert f"hear {NAME} failed (CancelledFromWithinError)" in program.execution.now.problem
        program.line.is_dropped, before = False, program.line.listens
        assert await program.until(lambda: program.line.listens > before)
        await program.send(OPEN)
        assert program.state() is OrderState.WORKING

    run(tmp_path, story)


# --- a clock that is set back


def test_an_order_of_which_nothing_is_heard_is_in_doubt_although_the_clock_was_set_back(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        program.exchange.listeners.clear()  # nothing is heard but by asking
        await program.send(OPEN)
        program.exchange.silent = True
        program.clock.move(-3600)
        assert await program.until(lambda: program.state() is OrderState.UNKNOWN)

    run(tmp_path, story)


def test_an_order_that_is_not_listed_is_in_doubt_although_the_clock_was_set_back(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        await program.send(OPEN)
        program.exchange.hides.add("r1")
        program.clock.move(-3600)
        assert await program.until(lambda: program.state() is OrderState.UNKNOWN)

    run(tmp_path, story)


# --- another program


def test_a_program_that_only_reads_does_not_listen_to_brokers(tmp_path: Path) -> None:
    """Listening is a connection, and TWS takes one of each client number."""

    async def whole() -> None:
        program = Program(listed(), Shelf(), tmp_path)
        program._task = asyncio.create_task(program.execution.run())
        await asyncio.sleep(0.1)
        assert program.line.listens == 0
        program.execution.begin((NAME,), "")
        assert await program.until(lambda: program.line.listens > 0)
        program.execution.idle()
        program.exchange.tell()  # the last word it waited for
        await asyncio.sleep(0.1)
        before = program.line.listens
        program.exchange.tell()
        await asyncio.sleep(0.1)
        assert program.line.listens == before
        await program.die()

    asyncio.run(whole())


@pytest.mark.parametrize("how", ["lost", "slept"])
def test_a_program_that_may_have_lost_its_book_while_it_kept_an_order_sends_nothing(tmp_path: Path, how: str) -> None:
    shelf, asleep = Shelf(), [0.0]

    async def story(program: Program) -> None:
        for order in (OPEN, CLOSE_PUT):  # an exit neither: the other program may have sent it
            shelf.lost, asleep[0] = False, 0.0
            token = await program.token(order)
            shelf.lost, asleep[0] = how == "lost", 60.0 if how == "slept" else 0.0
            answer = await program.ask(Kind.SUBMIT, order=order, token=token)
            assert answer.said is Said.REFUSED
            assert "Nothing was sent" in answer.words
        assert program.exchange.log == []
        assert {record.state for record in program.execution.records.values()} == {OrderState.REJECTED}

    run(tmp_path, story, store=shelf, slept=lambda: asleep[0])


@pytest.mark.parametrize("how", ["lost", "slept"])
def test_nor_does_it_cancel_or_change_anything(tmp_path: Path, how: str) -> None:
    shelf, asleep = Shelf(), [0.0]

    async def story(program: Program) -> None:
        await program.send(OPEN)
        key = program.record().key
        assert await program.until(lambda: program.state() is OrderState.WORKING)
        shelf.lost, asleep[0] = how == "lost", 60.0 if how == "slept" else 0.0
        assert (await program.ask(Kind.CANCEL, order=key)).said is Said.REFUSED
        assert program.exchange.asked_to_cancel == []
        assert program.state() is OrderState.WORKING
        with pytest.raises(ValueError, match="was not changed"):
            await program.execution.reprice_order(key, 9.0)
        assert program.exchange.by_key(key).limit == 10.0

    run(tmp_path, story, store=shelf, slept=lambda: asleep[0])


# --- the file of intents


def test_intents_that_cannot_be_read_are_something_that_is_not_known(tmp_path: Path) -> None:
    (tmp_path / intents.FILE).mkdir()  # as unreadable as a broken disk makes it

    async def story(program: Program) -> None:
        assert intents.FILE in program.execution.now.problem or await program.until(
            lambda: intents.FILE in program.execution.now.problem
        )
        answer = await program.ask(Kind.SIMULATE, order=OPEN, preview="yes")
        assert "BLOCK" in answer.words
        answer = await program.send(CLOSE_PUT)  # an exit all the same
        assert answer.said is Said.DONE, answer.words

    run(tmp_path, story)


def order_record(key: str) -> OrderRecord:
    return OrderRecord(key, SPREAD, OrderState.INTENT_SAVED, NOW, NOW, "Ann", "ticket")


def test_intents_of_two_books_in_one_folder_know_nothing_of_each_other(tmp_path: Path) -> None:
    for book, key in (("a", "k1"), ("b", "k2"), ("b", "k3")):
        intents.save(tmp_path, book, order_record(key))
    assert [one.key for one in intents.read(tmp_path, "a")] == ["k1"]
    intents.settle(tmp_path, "b", ["k1", "k2"])
    assert [one.key for one in intents.read(tmp_path, "a")] == ["k1"]
    assert [one.key for one in intents.read(tmp_path, "b")] == ["k3"]
    intents.settle(tmp_path, "b", ["k3"])
    intents.settle(tmp_path, "a", ["k1"])
    assert (intents.read(tmp_path, "a"), intents.read(tmp_path, "b")) == ((), ())
    assert not (tmp_path / intents.FILE).read_bytes().strip(b"\0")


def test_half_an_intent_costs_no_other(tmp_path: Path) -> None:
    """A crash within the write: it was never acknowledged."""
    intents.save(tmp_path, "a", order_record("k1"))
    whole = (tmp_path / intents.FILE).read_bytes().strip(b"\0")
    (tmp_path / intents.FILE).write_bytes(whole + whole[: len(whole) // 2])
    assert [one.key for one in intents.read(tmp_path, "a")] == ["k1"]
    intents.save(tmp_path, "a", order_record("k2"))
    assert [one.key for one in intents.read(tmp_path, "a")] == ["k1", "k2"]
    intents.settle(tmp_path, "a", ["k1", "k2"])
    assert intents.read(tmp_path, "a") == ()


def test_the_last_word_of_an_order_counts_and_all_its_words_are_taken_out(tmp_path: Path) -> None:
    for limit in (1.0, 2.0):
        intents.save(tmp_path, "a", replace(order_record("k1"), limit=limit))
    intents.save(tmp_path, "a", order_record("k2"))
    assert [(one.key, one.limit) for one in intents.read(tmp_path, "a")] == [("k1", 2.0), ("k2", None)]
    intents.settle(tmp_path, "a", ["k1"])
    assert [one.key for one in intents.read(tmp_path, "a")] == ["k2"]


# --- what happens at the same time


def test_an_order_is_replaced_once_however_often_it_is_asked(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        await program.send(CLOSE_ONE)
        old, cancel = program.record().key, program.exchange.cancel
        program.exchange.cancel = lambda _: None  # type: ignore[method-assign]  # the venue takes its time
        asked = [program.put(Kind.REPLACE, order=old, limit=limit) for limit in ("9.5", "9.6")]
        assert await program.until(lambda: program.state(old) is OrderState.CANCEL_REQUESTED)
        cancel("r1")
        answers = [await program.answered(key) for key in asked]
        assert [one.said for one in answers] == [Said.DONE, Said.REFUSED]
        assert "being replaced already" in answers[1].words
        assert len(program.exchange.log) == 2

    exchange = listed()
    exchange.positions[IBKR][f"index_option:{SPX_PUT_SYMBOL}"] = -3.0  # two more closes would be exits too
    run(tmp_path, story, exchange, waits=replace(QUICK, cancelled=60.0))


def test_an_order_that_is_sent_while_everything_is_read_is_not_taken_for_one_that_is_missing(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        [venue], begun, over = program.execution.venues, asyncio.Event(), asyncio.Event()

        async def slow() -> OrdersRead:
            listed_then = program.exchange.read()
            begun.set()
            await over.wait()
            return listed_then

        program.line.read_orders = slow  # type: ignore[method-assign]  # it takes its time
        reading = asyncio.create_task(program.execution._following.reconcile(venue))
        await begun.wait()
        program.clock.move(5)
        await program.send(CLOSE_PUT)
        assert await program.until(lambda: program.state() is OrderState.WORKING)
        over.set()
        assert await reading
        assert program.state() is OrderState.WORKING

    shelf = Shelf()
    run(tmp_path, story, store=shelf, waits=replace(QUICK, reconcile=60.0, read=60.0))
    told = [one for deeds in shelf.transactions for one in deeds if isinstance(one, OrderRecord)]
    assert OrderState.UNKNOWN not in {one.state for one in told}


def test_an_execution_in_whole_seconds_counts_for_its_order(tmp_path: Path) -> None:
    """Brokers tell 10:30:00 of what came at 10:30:00.4, before the order by our clock."""

    async def story(program: Program) -> None:
        program.exchange.plans.append(Plan.FILL)
        fill, token = program.exchange.fill, await program.token(CLOSE_PUT)

        def whole(key: str, *more: float) -> None:
            fill(key, *more)
            program.exchange.fills = [
                replace(one, time=one.time.replace(microsecond=0)) for one in program.exchange.fills
            ]

        program.exchange.fill = whole  # type: ignore[method-assign,assignment]  # as said
        program.clock.move(0.4)
        assert (await program.send(CLOSE_PUT)).said is Said.DONE
        program.exchange.positions[IBKR][f"index_option:{SPX_PUT_SYMBOL}"] = -1.0  # not shown yet
        answer = await program.ask(Kind.SUBMIT, order=CLOSE_PUT, token=token)
        assert "approved as EXIT and is NEW_RISK now" in answer.words

    run(tmp_path, story)


def test_what_stood_behind_other_orders_too_long_is_not_sent_but_an_exit_is(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        tokens = [await program.token(order) for order in (OPEN, CLOSE_PUT)]
        async with program.execution._desk.lock(IBKR):
            asked = [
                program.put(Kind.SUBMIT, order=order, token=token)
                for order, token in zip((OPEN, CLOSE_PUT), tokens, strict=True)
            ]
            await asyncio.sleep(0.05)
            program.clock.move(45)
        answers = [await program.answered(key) for key in asked]
        assert [one.said for one in answers] == [Said.REFUSED, Said.DONE]
        assert "expired while other orders were sent" in answers[0].words

    run(tmp_path, story)


class Blocked(Shelf):
    """A store that is read only once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.lets = threading.Event()
        self.lets.set()

    def open_deeds(self, sources: Sequence[str], scenario: str, since: datetime) -> OpenDeeds:
        self.lets.wait(60.0)
        return super().open_deeds(sources, scenario, since)


def test_a_stop_that_is_asked_while_the_book_is_being_opened_counts(tmp_path: Path) -> None:
    shelf = Blocked()
    shelf.lets.clear()

    async def story() -> None:
        program = Program(listed(), shelf, tmp_path)
        program.begin()
        asked = program.put(Kind.SAFETY, state="STOPPED", reason="storm")
        await asyncio.sleep(0.05)
        shelf.lets.set()
        assert (await program.answered(asked)).said is Said.DONE
        assert await program.until(lambda: program.execution.is_open)
        assert program.execution.safety.now.state is SafetyState.STOPPED
        program.execution.idle()
        assert await program.until(lambda: "does not watch" in program.execution.now.problem)
        assert program.execution.now.safety.state is SafetyState.STOPPED, "it still stands where nobody watches"
        await program.die()

    asyncio.run(story())


def test_an_order_that_was_handed_over_while_the_watch_began_anew_is_not_said_to_be_refused(tmp_path: Path) -> None:
    shelf = Blocked()

    async def story(program: Program) -> None:
        token = await program.token(CLOSE_PUT)
        program.exchange.plans.append(Plan.HANG)
        asked = program.put(Kind.SUBMIT, order=CLOSE_PUT, token=token)
        assert await program.until(lambda: len(program.exchange.log) == 1)
        shelf.lets.clear()
        program.execution.idle()  # as after a sleep
        program.execution.begin((NAME,), "")
        assert await program.until(lambda: not program.execution.records)
        program.line.breaks.set()
        answer = await program.answered(asked)
        assert answer.said is Said.UNKNOWN
        assert "Do not send it again" in answer.words
        shelf.lets.set()
        program.see()
        assert await program.until(lambda: bool(program.execution.records) and program.state() is OrderState.WORKING)
        assert len(program.exchange.log) == 1

    run(tmp_path, story, store=shelf, waits=replace(QUICK, send=60.0))


# --- faults of our own


def test_the_guards_work_and_it_is_said_when_orders_cannot_be_followed(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        def broken(_: object) -> None:
            raise ZeroDivisionError

        program.execution._following.absorb = broken  # type: ignore[method-assign]  # a fault of ours
        (tmp_path / STOP_FILE).write_text("storm", encoding="utf-8")
        assert await program.until(lambda: program.execution.safety.now.state is SafetyState.STOPPED)
        assert await program.until(lambda: "tend failed (ZeroDivisionError)" in program.execution.now.problem)
        found = program.execution.findings(assessed(program.exchange).limits)
        assert "task:orders, tend" in [one.subject for one in found if one.level is Level.UNKNOWN]

    run(tmp_path, story)


def test_executions_that_cannot_be_journaled_are_kept_and_counted_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf()

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(following, "fill_entry", broken)

    async def story(program: Program) -> None:
        program.exchange.plans.append(Plan.FILL)
        await program.send(CLOSE_PUT)
        assert await program.until(lambda: program.state() is OrderState.FILLED)
        assert "journal of executions failed" in program.execution.now.problem or await program.until(
            lambda: "journal of executions failed" in program.execution.now.problem
        )

    run(tmp_path, story, store=shelf)
    assert len(shelf.open_deeds((), "", NOW).fills) == 1


def test_the_book_after_a_fill_stays_as_it_was_when_only_its_fees_come_later(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        program.exchange.fees_later = True
        program.exchange.plans.append(Plan.FILL)
        await program.send(CLOSE_PUT)
        program.see()
        entries = program.execution._desk.deeds.entries
        assert await program.until(lambda: any(one.after for one in entries.values()))
        [before] = entries.values()
        program.clock.move(600)
        program.see()
        program.exchange.pay()
        assert await program.until(lambda: any(one.fees for one in entries.values()))
        [after] = entries.values()
        assert after.after == before.after
        assert [leg.held for leg in after.legs] == [leg.held for leg in before.legs] == [-1.0]

    run(tmp_path, story)


def test_what_is_long_over_is_forgotten_and_what_lives_or_stands_keeps_its_executions() -> None:
    deeds, old, now = Deeds(None), NOW - timedelta(days=9), NOW
    over = replace(order_record("k1"), state=OrderState.FILLED, changed=old)
    lives = replace(order_record("k2"), state=OrderState.PARTIAL, changed=old)
    put = SPREAD.legs[0].instrument
    deeds.do(old, over, lives, *(Fill(f"e-{key}", 1, IBKR, put, 1.0, 2.0, old, key) for key in ("k1", "k2", "k0")))
    deeds.do(now, Fill("e-now", 1, IBKR, put, 1.0, 2.0, now, "k9"))
    change = JournalEntry("change:1", old, JournalKind.CHANGE, "the program", "it moved", stands=True)
    deeds.remember(change)
    deeds.remember(JournalEntry("note:1", old, JournalKind.NOTE, "Ann", "calm"))
    deeds.forget(now - timedelta(days=8))
    assert len(deeds.fills) == 4, "what stands may be explained by them"
    assert set(deeds.records) == {"k1", "k2"}
    deeds.remember(replace(change, stands=False))
    deeds.forget(now - timedelta(days=8))
    assert set(deeds.records) == {"k2"}
    assert {execution for _, execution in deeds.fills} == {"e-k2", "e-now"}
    assert deeds.entries == {}
    assert [one.execution for one in deeds.fills_of(lives)] == ["e-k2"]


def test_a_note_about_an_entry_of_long_ago_stands_with_its_trade(tmp_path: Path) -> None:
    shelf = Shelf()

    async def story(program: Program) -> None:
        assert (await program.ask(Kind.NOTE, entry="fill:G-old", words="too early")).said is Said.DONE

    run(tmp_path, story, store=shelf)
    assert [one.trade for one in shelf.entries()] == ["fill:G-old"]


# --- an alert that nobody takes


def row(**changes: Any) -> AlertRow:
    problem = Problem("vega", "portfolio", Severity.CRITICAL, "Vega of U1234567 is over.")
    given = AlertRow(
        "vega", "vega", "portfolio", "greeks", Severity.CRITICAL, State.FIRED, problem, NOW, NOW, NOW, 1, asked=NOW
    )
    return replace(given, **changes)


@pytest.mark.parametrize(
    ("changes", "late"),
    [
        ({}, True),
        ({"state": State.ESCALATED}, True),
        ({"state": State.ACKNOWLEDGED}, False),
        ({"state": State.SILENCED}, False),
        ({"severity": Severity.BREACH}, False),
        ({"asked": None}, False),
        ({"asked": NOW + timedelta(seconds=1)}, False),
        ({"right_since": NOW}, False),
        ({"check": "safety_state"}, False),
    ],
)
def test_only_a_critical_alert_that_people_know_of_and_nobody_took_counts(
    changes: dict[str, Any], *, late: bool
) -> None:
    rules, then = Unacknowledged(after_minutes=30), NOW + timedelta(minutes=30)
    words = unacknowledged(AlertsNow(NOW, (row(**changes),)), rules, then)
    assert bool(words) is late
    assert not late or words == "nobody has acknowledged a CRITICAL alert for 30 min: Vega of •••4567 is over."


def test_an_alert_that_nobody_takes_restricts_new_risk_until_it_is_taken_and_a_person_says_normal(
    tmp_path: Path,
) -> None:
    alerts, shelf = [row()], Shelf()
    matrix = parse(edited_text({**GENEROUS_KEYS, "orders.unacknowledged": {"after_minutes": 30}}))

    async def story(program: Program) -> None:
        program.clock.move(30 * 60)
        program.see()
        safety = program.execution.safety
        assert await program.until(lambda: safety.now.state is SafetyState.NO_NEW_RISK)
        assert safety.now.cause is Cause.UNACKNOWLEDGED
        assert safety.now.leave.startswith("Acknowledge the alert on the Alerts page. Exits and hedges pass.")
        assert (await program.send(CLOSE_PUT)).said is Said.DONE
        program.clock.move(31 * 60)
        refused = await program.ask(Kind.SAFETY, state="NORMAL", reason="back")
        assert "NORMAL is not open: nobody has acknowledged a CRITICAL alert" in refused.words
        alerts[:] = [row(state=State.ACKNOWLEDGED)]
        assert (await program.ask(Kind.SAFETY, state="NORMAL", reason="back")).said is Said.DONE

    run(tmp_path, story, store=shelf, matrix=matrix, alerts=lambda: AlertsNow(NOW, tuple(alerts)))
    told = [one.words for one in shelf.entries() if one.kind is JournalKind.SAFETY]
    assert "nobody has acknowledged a CRITICAL alert for 30 min" in told[0]
    assert "A person" not in told[0]
    assert "a person sets NORMAL" in told[0]

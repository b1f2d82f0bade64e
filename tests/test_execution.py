"""Execution as a whole: requests in, orders at a small exchange out, and what is known of them afterwards."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from guardrails.execution import intents
from guardrails.execution.safety_file import SafetyFile
from guardrails.execution.values import Deed, JournalKind, OpenDeeds, OrderRecord
from guardrails.matrix import parse
from guardrails.memory import remembered_as, sources_key
from guardrails.orders import BrokerOrder, Leg, OrderState
from guardrails.requests import Kind, Request, Said
from guardrails.safety import Cause, SafetyState
from guardrails.symbols import occ
from tests.books import IBKR, NOW
from tests.exchange import (
    BUY_SHARES,
    CLOSE_PUT,
    LONG_PUT_SYMBOL,
    NAME,
    OPEN,
    QUICK,
    SPX_PUT_SYMBOL,
    Exchange,
    Place,
    Plan,
    Program,
    Shelf,
    listed,
    typed,
)
from tests.healthy import GENEROUS, edited_text

Story = Callable[[Program], Awaitable[None]]
BOOK = sources_key(remembered_as((NAME,), ""))
PUT = f"index_option:{SPX_PUT_SYMBOL}"


def run(tmp_path: Path, story: Story, exchange: Exchange | None = None, store: object = None, **more: object) -> None:
    """Tell `story` of one program on one exchange."""

    async def whole() -> None:
        async with Program(exchange or listed(), store or Shelf(), tmp_path, **more) as program:  # type: ignore[arg-type]  # by name
            await story(program)

    asyncio.run(whole())


# --- the way of an order


def test_an_approved_order_is_kept_sent_once_filled_and_journaled_with_the_book_before_and_after(
    tmp_path: Path,
) -> None:
    shelf = Shelf()

    async def story(program: Program) -> None:
        answer = await program.send(OPEN, rationale="premium is rich")
        assert answer.said is Said.DONE, answer.words
        key = json.loads(answer.content)["key"]
        assert program.exchange.log == [key]
        assert program.state(key) is OrderState.WORKING
        program.exchange.fill(key, 1, [10.5])
        assert await program.until(lambda: program.state(key) is OrderState.PARTIAL)
        program.exchange.fill(key, 1, [9.5])
        assert await program.until(lambda: program.state(key) is OrderState.FILLED)
        [entry] = [one for one in shelf.entries() if one.kind is JournalKind.FILL]
        assert entry.after is None  # the book does not show it yet
        program.see()
        assert await program.until(lambda: shelf.entries()[-1].after is not None)
        [entry] = shelf.entries()
        # two bought at 10.50 and 9.50, 100 dollars a point, two fees of 0.50
        assert entry.net == pytest.approx(-100 * (10.5 + 9.5) - 1.0)
        assert entry.price == pytest.approx(10.0)
        assert (entry.quantity, entry.fees, entry.words) == (2.0, 1.0, "premium is rich")
        assert entry.before is not None
        assert entry.before.vix == 17.0

    run(tmp_path, story, store=shelf)
    assert "U0000004567" not in "".join(text for _, text in shelf.rows)


def test_the_intent_is_kept_before_the_order_reaches_the_exchange(tmp_path: Path) -> None:
    shelf, exchange = Shelf(), listed()
    kept_when_it_came: list[str] = []
    take = exchange.take

    def noting(order: object, key: str) -> Plan:
        kept_when_it_came.extend(record.state.value for record in shelf.open_deeds((), "", NOW).orders)
        return take(order, key)  # type: ignore[arg-type]  # handed on

    exchange.take = noting  # type: ignore[method-assign]  # only looks

    async def story(program: Program) -> None:
        await program.send(CLOSE_PUT)

    run(tmp_path, story, exchange, shelf)
    assert kept_when_it_came == ["INTENT_SAVED"]


def test_a_token_sends_once_whatever_is_clicked(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        token = await program.token(OPEN)
        keys = [program.put(Kind.SUBMIT, order=OPEN, token=token) for _ in range(3)]
        answers = [await program.answered(key) for key in keys]
        assert [one.said for one in answers] == [Said.DONE, Said.REFUSED, Said.REFUSED]
        assert "This approval was used: simulate the order again." in answers[1].words
        assert len(program.exchange.log) == 1

    run(tmp_path, story)


def test_two_tabs_with_approvals_of_their_own_send_the_same_order_once(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        tokens = [await program.token(OPEN), await program.token(OPEN)]
        keys = [program.put(Kind.SUBMIT, order=OPEN, token=token) for token in tokens]
        answers = [await program.answered(key) for key in keys]
        assert sorted(one.said.value for one in answers) == ["done", "refused"]
        assert len(program.exchange.log) == 1

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"order": CLOSE_PUT}, "of another order"),
        ({"token": "made-up"}, "is not known"),
        ({"token": ""}, "names no token"),
        ({"order": "{}"}, "limit_price is missing"),
        ({"order": "no json"}, "not JSON"),
    ],
)
def test_what_was_not_approved_is_not_sent(tmp_path: Path, change: dict[str, str], words: str) -> None:
    async def story(program: Program) -> None:
        body = {"order": OPEN, "token": await program.token(OPEN), **change}
        answer = await program.ask(Kind.SUBMIT, **body)
        assert answer.said is Said.REFUSED
        assert words.lower() in answer.words.lower()
        assert program.exchange.log == []

    run(tmp_path, story)


def test_an_approval_holds_for_thirty_seconds_and_not_longer(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        for seconds, said in ((29.9, Said.DONE), (30.1, Said.REFUSED)):
            order = typed((LONG_PUT_SYMBOL, 1), limit=10.0 + seconds)
            token = await program.token(order)
            program.clock.move(seconds)
            program.see()
            key = program.put(Kind.SUBMIT, order=order, token=token)
            assert (await program.answered(key)).said is said
            for one in program.exchange.log:
                program.exchange.end(one)

    run(tmp_path, story)


def test_an_order_whose_book_moved_is_not_sent_but_an_exit_goes_on(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        tokens = {order: await program.token(order) for order in (OPEN, CLOSE_PUT)}
        program.exchange.positions[IBKR]["equity:SPY"] = 50.0
        program.see()
        blocked = await program.ask(Kind.SUBMIT, order=OPEN, token=tokens[OPEN])
        assert "What was approved has changed" in blocked.words
        sent = await program.ask(Kind.SUBMIT, order=CLOSE_PUT, token=tokens[CLOSE_PUT])
        assert sent.said is Said.DONE, sent.words
        assert len(program.exchange.log) == 1

    run(tmp_path, story)


def test_a_blocked_order_answers_with_its_impact_and_is_journaled(tmp_path: Path) -> None:
    shelf = Shelf()

    async def story(program: Program) -> None:
        token = await program.token(OPEN)
        program.line.preview_hangs = True
        answer = await program.ask(Kind.SUBMIT, order=OPEN, token=token)
        assert answer.said is Said.REFUSED
        assert json.loads(answer.content)["impact"]["verdict"] == "BLOCK"
        assert program.exchange.log == []
        assert program.execution.now.discipline.blocked == 1 or await program.until(
            lambda: program.execution.now.discipline.blocked == 1
        )

    run(tmp_path, story, store=shelf)
    assert [one.kind for one in shelf.entries()] == [JournalKind.BLOCKED]


def test_a_warning_needs_a_reason(tmp_path: Path) -> None:
    order = typed((LONG_PUT_SYMBOL, 4))

    async def story(program: Program) -> None:
        assert "A reason is needed" in (await program.send(order)).words
        answer = await program.send(order, reason="I know")
        assert answer.said is Said.DONE, answer.words
        assert "I know" in program.record().rationale
        assert await program.until(lambda: program.execution.now.discipline.warned == 1)

    run(tmp_path, story)


# --- exits


def test_an_exit_waits_for_no_what_if(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        token = await program.token(CLOSE_PUT)
        program.line.preview_hangs = True
        slow = replace(QUICK, preview=60.0)
        program.execution._desk.waits = slow
        answer = await program.ask(Kind.SUBMIT, order=CLOSE_PUT, token=token)
        assert answer.said is Said.DONE, answer.words

    run(tmp_path, story)


def test_an_exit_is_sent_on_the_last_known_positions_when_the_broker_confirms_none(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        token = await program.token(CLOSE_PUT)
        program.exchange.held_silent = True
        answer = await program.ask(Kind.SUBMIT, order=CLOSE_PUT, token=token)
        assert answer.said is Said.DONE, answer.words
        assert json.loads(answer.content)["impact"]["verdict"] == "WARN"

    run(tmp_path, story)


def test_a_second_exit_does_not_turn_the_position_while_the_positions_lag_behind_the_fill(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        token = await program.token(CLOSE_PUT)
        program.exchange.plans.append(Plan.FILL)
        assert (await program.send(CLOSE_PUT)).said is Said.DONE
        program.exchange.positions[IBKR][PUT] = -1.0  # the broker's ledger does not show it yet
        program.clock.move(5)
        answer = await program.ask(Kind.SUBMIT, order=CLOSE_PUT, token=token)
        assert "approved as EXIT and is NEW_RISK now" in answer.words
        assert len(program.exchange.log) == 1

    run(tmp_path, story)


def test_an_exit_is_kept_in_a_file_when_nothing_else_takes_it_and_new_risk_is_refused(tmp_path: Path) -> None:
    shelf = Shelf()

    async def story(program: Program) -> None:
        shelf.takes = False
        refused = await program.send(OPEN)
        assert "neither the database nor the disk" in refused.words
        assert program.exchange.log == []
        sent = await program.send(CLOSE_PUT)
        assert sent.said is Said.DONE, sent.words
        [record] = intents.read(tmp_path, BOOK)
        assert program.exchange.log == [record.key]
        assert "U0000004567" not in (tmp_path / intents.FILE).read_text(encoding="utf-8")
        shelf.takes = True
        assert await program.until(lambda: intents.read(tmp_path, BOOK) == ())

    run(tmp_path, story, store=shelf)
    assert any(one.state is OrderState.WORKING for one in shelf.open_deeds((), "", NOW).orders)


def test_an_exit_that_cannot_be_kept_anywhere_is_not_sent(tmp_path: Path) -> None:
    shelf = Shelf()
    (tmp_path / intents.FILE).mkdir()

    async def story(program: Program) -> None:
        shelf.takes = False
        refused = await program.send(CLOSE_PUT)
        assert "cannot be kept anywhere" in refused.words
        assert program.exchange.log == []
        assert program.state() is OrderState.REJECTED

    run(tmp_path, story, store=shelf)


def test_stopped_sends_nothing_and_a_person_steps_to_reduce_only_at_any_time(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        token = await program.token(CLOSE_PUT)
        assert (await program.ask(Kind.SAFETY, state="STOPPED", reason="lunch")).said is Said.DONE
        refused = await program.ask(Kind.SUBMIT, order=CLOSE_PUT, token=token)
        assert "REDUCE_ONLY" in refused.words
        assert program.exchange.log == []
        assert (await program.ask(Kind.SAFETY, state="REDUCE_ONLY", reason="back")).said is Said.DONE
        assert (await program.send(CLOSE_PUT)).said is Said.DONE
        assert (await program.ask(Kind.SAFETY, state="NORMAL", reason="at once")).said is Said.REFUSED
        assert (await program.ask(Kind.SAFETY, state="SHUT", reason="x")).said is Said.REFUSED

    run(tmp_path, story)


# --- doubts


@pytest.mark.parametrize("plan", [Plan.LOSE_REPLY, Plan.HANG])
def test_a_lost_reply_is_in_doubt_until_the_broker_lists_the_order_and_nothing_is_sent_again(
    tmp_path: Path, plan: Plan
) -> None:
    async def story(program: Program) -> None:
        program.exchange.plans.append(plan)
        program.exchange.listeners.clear()  # nothing is said by itself
        token = await program.token(OPEN)
        key = program.put(Kind.SUBMIT, order=OPEN, token=token)
        await program.answered(key)
        assert await program.until(lambda: program.state() is OrderState.WORKING)
        assert len(program.exchange.log) == 1
        assert await program.until(lambda: program.execution.safety.now.state is SafetyState.NORMAL)
        program.exchange.listeners.append(program.line._hear)

    run(tmp_path, story)


@pytest.mark.parametrize("plan", [Plan.LOSE_ORDER, Plan.HANG_BEFORE])
def test_an_order_that_no_list_names_stays_in_doubt_until_a_person_says_that_it_does_not_live(
    tmp_path: Path, plan: Plan
) -> None:
    async def story(program: Program) -> None:
        program.exchange.plans.append(plan)
        answer = await program.send(OPEN)
        assert "UNKNOWN" in answer.words
        key = program.record().key
        program.clock.move(5)
        assert await program.until(lambda: "knows no such order" in program.record().detail)
        assert await program.until(lambda: program.execution.safety.now.cause is Cause.UNRECONCILED)
        assert program.execution.safety.now.state is SafetyState.NO_NEW_RISK
        seen = program.execution._desk.seen
        assert seen is not None
        [finding] = [one for one in program.execution.findings(seen.limits) if one.check == "order_state"]
        assert finding.level.value == "UNKNOWN"
        program.clock.move(56)
        [finding] = [one for one in program.execution.findings(seen.limits) if one.check == "order_state"]
        assert finding.level.value == "BREACH"
        assert program.exchange.log == []
        assert (await program.ask(Kind.RESOLVE, order=key)).said is Said.REFUSED  # without a note
        done = await program.ask(Kind.RESOLVE, order=key, note="looked in TWS")
        assert done.said is Said.DONE, done.words
        assert program.state(key) is OrderState.CANCELLED
        assert "Ann looked and says" in program.record(key).detail
        assert await program.until(lambda: program.execution.safety.now.state is SafetyState.NORMAL)

    run(tmp_path, story)


def test_an_order_in_doubt_is_not_resolved_while_one_like_it_works_under_no_key(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        program.exchange.plans.append(Plan.LOSE_ORDER)
        await program.send(OPEN)
        mine = program.record()
        like = BrokerOrder(
            IBKR, "x9", "", mine.order.legs, mine.order.quantity, 0.0, OrderState.WORKING, mine.order.limit
        )
        program.exchange.add(replace(like, limit=mine.order.limit - 0.05, reference="x8"))  # somebody else's
        program.exchange.add(like)
        program.clock.move(60)
        refused = await program.ask(Kind.RESOLVE, order=mine.key, note="gone")
        assert refused.said is Said.REFUSED
        assert "reference x9" in refused.words
        program.exchange.orders["x9"] = replace(like, state=OrderState.CANCELLED)
        done = await program.ask(Kind.RESOLVE, order=mine.key, note="gone")
        assert done.said is Said.DONE, done.words

    run(tmp_path, story)


def test_an_order_that_lives_cannot_be_resolved_away(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        await program.send(OPEN)
        answer = await program.ask(Kind.RESOLVE, order=program.record().key, note="gone")
        assert "It is known by now" in answer.words
        assert program.state() is OrderState.WORKING

    run(tmp_path, story)


def test_a_working_order_that_vanishes_is_in_doubt_and_comes_back(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        await program.send(OPEN)
        program.exchange.hides.add("r1")
        program.clock.move(10)
        assert await program.until(lambda: program.state() is OrderState.UNKNOWN)
        program.exchange.hides.clear()
        assert await program.until(lambda: program.state() is OrderState.WORKING)

    run(tmp_path, story)


def test_an_order_of_which_nothing_is_heard_is_in_doubt(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        program.exchange.listeners.clear()
        answer = await program.send(OPEN)
        assert program.state() is OrderState.SENT, answer.words
        program.exchange.silent = True
        program.clock.move(11)
        assert await program.until(lambda: program.state() is OrderState.UNKNOWN)
        assert "said nothing of it for 10 s" in program.record().detail
        program.exchange.listeners.append(program.line._hear)

    run(tmp_path, story, waits=replace(QUICK, reconcile=60.0))


def test_certainly_not_sent_is_rejected_and_three_failures_in_a_minute_let_no_new_risk_in(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        for number in range(3):
            program.exchange.plans.append(Plan.NOT_SENT if number else Plan.REJECT)
            assert program.execution.safety.now.state is SafetyState.NORMAL
            await program.send(typed((LONG_PUT_SYMBOL, 1), limit=10.0 + number))
        assert {one.state for one in program.execution.records.values()} == {OrderState.REJECTED}
        assert await program.until(lambda: program.execution.safety.now.state is SafetyState.NO_NEW_RISK)
        assert program.execution.safety.now.cause is Cause.REJECTS
        assert (await program.send(CLOSE_PUT)).said is Said.DONE

    run(tmp_path, story)


# --- cancel and replace


def test_a_cancellation_is_requested_until_it_is_confirmed(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        await program.send(OPEN)
        key, cancel = program.record().key, program.exchange.cancel
        program.exchange.cancel = lambda reference: None  # type: ignore[method-assign]  # the venue takes its time
        answer = await program.ask(Kind.CANCEL, order=key)
        assert "CANCEL_REQUESTED" in answer.words
        program.exchange.tell()  # it still works
        await asyncio.sleep(0.05)
        assert program.state(key) is OrderState.CANCEL_REQUESTED
        cancel("r1")
        assert await program.until(lambda: program.state(key) is OrderState.CANCELLED)
        assert "already" in (await program.ask(Kind.CANCEL, order=key)).words

    run(tmp_path, story)


def test_a_fill_that_beats_the_cancellation_counts(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        program.exchange.fills_on_cancel = True
        await program.send(OPEN)
        answer = await program.ask(Kind.CANCEL, order=program.record().key)
        assert "FILLED" in answer.words
        assert program.state() is OrderState.FILLED

    run(tmp_path, story)


def test_orders_of_others_are_named_and_cancelled_only_where_that_is_possible(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        leg = Leg(occ.parse(SPX_PUT_SYMBOL), 1)
        for reference, may in (("x1", True), ("x2", False)):
            program.exchange.add(
                BrokerOrder(IBKR, reference, "", (leg,), 1.0, 0.0, OrderState.WORKING, 5.0, "GTC", "TWS", may)
            )
        assert await program.until(lambda: len(program.execution.now.others) == 2)
        assert program.execution.now.others[0].account.number == "•••4567"
        done = await program.ask(Kind.CANCEL, account=IBKR.number, reference="x1")
        assert done.said is Said.DONE, done.words
        refused = await program.ask(Kind.CANCEL, account=IBKR.number, reference="x2")
        assert "belongs to TWS" in refused.words
        assert program.exchange.asked_to_cancel == ["x1"]

    run(tmp_path, story)


def test_a_replaced_order_is_cancelled_first_and_only_the_rest_is_sent(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        await program.send(OPEN)
        old = program.record().key
        program.exchange.fill(old, 1)
        answer = await program.ask(Kind.REPLACE, order=old, limit="9.5")
        assert answer.said is Said.DONE, answer.words
        new = program.record(json.loads(answer.content)["key"])
        assert program.state(old) is OrderState.CANCELLED
        assert (new.replaces, new.order.quantity, new.order.limit) == (old, 1, 9.5)
        assert program.exchange.log == [old, new.key]
        assert [one.key for one in program.exchange.orders.values() if not one.state.is_over] == [new.key]

    run(tmp_path, story)


def test_an_order_is_replaced_once_its_cancellation_is_confirmed_and_not_before(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        await program.send(OPEN)
        old, cancel = program.record().key, program.exchange.cancel
        program.exchange.cancel = lambda reference: None  # type: ignore[method-assign]  # the venue takes its time
        asked = program.put(Kind.REPLACE, order=old, limit="9.5")
        assert await program.until(lambda: program.state(old) is OrderState.CANCEL_REQUESTED)
        await asyncio.sleep(0.1)
        assert len(program.exchange.log) == 1
        cancel("r1")
        answer = await program.answered(asked)
        assert answer.said is Said.DONE, answer.words
        assert len(program.exchange.log) == 2

    run(tmp_path, story, waits=replace(QUICK, cancelled=60.0))


@pytest.mark.parametrize("how", ["never confirmed", "filled"])
def test_nothing_replaces_an_order_that_may_live_or_was_filled(tmp_path: Path, how: str) -> None:
    async def story(program: Program) -> None:
        await program.send(OPEN)
        if how == "filled":
            program.exchange.fills_on_cancel = True
        else:
            program.exchange.cancel = lambda reference: None  # type: ignore[method-assign]  # the venue is deaf
        answer = await program.ask(Kind.REPLACE, order=program.record().key, limit="9.5")
        assert "nothing else was sent" in answer.words
        assert len(program.exchange.log) == 1

    run(tmp_path, story)


# --- executions


def test_corrections_replace_and_late_fees_complete_without_counting_twice(tmp_path: Path) -> None:
    shelf = Shelf()

    async def story(program: Program) -> None:
        program.exchange.fees_later = True
        await program.send(OPEN)
        key = program.record().key
        program.exchange.fill(key, 2, [10.0])
        assert await program.until(lambda: program.state() is OrderState.FILLED)
        assert program.record().fees is None
        program.exchange.correct("e1", 9.0)
        program.exchange.pay()
        program.exchange.tell()
        assert await program.until(lambda: program.record().fees == 0.5)
        assert program.record().average == pytest.approx(9.0)
        assert program.record().filled == 2.0

    run(tmp_path, story, store=shelf)
    [entry] = shelf.entries()
    assert entry.net == pytest.approx(-2 * 9.0 * 100 - 0.5)


def test_fills_of_orders_elsewhere_are_journaled_and_counted_as_unguarded_once(tmp_path: Path) -> None:
    shelf = Shelf()

    async def story(program: Program) -> None:
        legs = (Leg(occ.parse(SPX_PUT_SYMBOL), -1), Leg(occ.parse("SPXW  261218P05500000"), 1))
        program.exchange.add(BrokerOrder(IBKR, "x1", "tws-1", legs, 1.0, 0.0, OrderState.WORKING, -2.0, sender="TWS"))
        program.exchange.fill("tws-1")
        assert await program.until(lambda: program.execution.now.discipline.unguarded == 1)

    run(tmp_path, story, store=shelf)
    [entry] = shelf.entries()
    assert (entry.kind, len(entry.legs)) == (JournalKind.OUTSIDE, 2)


def test_more_executed_than_ordered_is_a_doubt(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        await program.send(OPEN)
        order = program.exchange.by_key(program.record().key)
        program.exchange.execute(order, order.legs[0], 3.0, 10.0)
        program.exchange.tell()
        assert await program.until(lambda: program.state() is OrderState.UNKNOWN)
        assert "+2 was ordered" in program.record().detail

    run(tmp_path, story)


# --- other requests


def test_an_override_lets_one_limit_be_passed_for_a_while_and_reverts_by_itself(tmp_path: Path) -> None:
    order = typed((LONG_PUT_SYMBOL, 6))
    data = edited_text({"orders": {"overridable": ["order_size"]}})
    matrix = parse(edited_text({f"regimes.*.limits.{key}": value for key, value in GENEROUS.items()}, data))

    async def story(program: Program) -> None:
        refused = await program.ask(Kind.OVERRIDE, check="daily_loss", reason="please", minutes="5")
        assert "does not let daily_loss be overridden" in refused.words
        assert (await program.ask(Kind.OVERRIDE, check="order_size", minutes="5")).said is Said.REFUSED
        done = await program.ask(Kind.OVERRIDE, check="order_size", reason="big day", minutes="5")
        assert done.said is Said.DONE, done.words
        sent = await program.send(order)
        assert sent.said is Said.DONE, sent.words
        assert await program.until(lambda: program.execution.now.discipline.overridden == 1)
        assert len(program.execution.now.overrides) == 1
        program.clock.move(301)
        assert await program.until(lambda: program.execution.now.overrides == ())
        assert await program.until(lambda: shelf.open_deeds((), "", NOW).overrides[0].ended is not None)

    shelf = Shelf()
    run(tmp_path, story, store=shelf, matrix=matrix)
    [override] = shelf.open_deeds((), "", NOW).overrides
    assert override.ended == override.until
    assert override.used
    assert [one.kind for one in shelf.entries()].count(JournalKind.OVERRIDE) == 2


def test_a_request_that_comes_too_late_or_to_a_program_that_does_not_watch_is_not_done(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        now = program.clock()
        late = Request("late", now - timedelta(60), now - timedelta(seconds=1), "Ann", Kind.NOTE, {"words": "x"})
        told: list[str] = []
        program.execution.put(late, lambda answer: told.append(answer.words))
        assert (await program.answered("late")).said is Said.EXPIRED
        assert len(told) == 1
        assert (await program.ask(Kind("note"), words="a thought")).said is Said.DONE
        program.execution.put(Request("odd", now, now + timedelta(60), "Ann", "dance", {}))
        assert "does not know how to dance" in (await program.answered("odd")).words
        program.execution.idle()
        assert "does not watch" in (await program.ask(Kind.NOTE, words="x")).words

    run(tmp_path, story)


def test_a_chain_shows_one_expiry_and_streams_only_that(tmp_path: Path) -> None:
    near = tuple(occ.parse(f"SPXW  261218{right}0{strike}000") for strike in (5600, 5500) for right in "CP")
    far = (occ.parse("SPXW  270115P05500000"),)

    async def story(program: Program) -> None:
        program.line.listed_now = {"2026-12-18": near, "2027-01-15": far}
        dates = json.loads((await program.ask(Kind.EXPIRIES, underlying="SPX")).content)
        assert [one["expiry"] for one in dates] == ["2026-12-18", "2027-01-15"]
        chain = json.loads((await program.ask(Kind.CHAIN, underlying="SPX", expiry="2026-12-18", root="SPXW")).content)
        assert [row["strike"] for row in chain["rows"]] == [5500.0, 5600.0]
        assert chain["rows"][0]["call"]["bid"] is None  # nobody streams it yet
        assert set(program.line.looked_at[-1]) == set(near)
        await program.ask(Kind.CHAIN, underlying="SPX", expiry="2027-01-15", root="SPXW")
        assert program.line.looked_at[-1] == far
        assert program.execution.wanted() == far
        program.clock.move(200)
        assert await program.until(lambda: program.execution.wanted() == ())

    run(tmp_path, story)


def test_simulating_never_waits_behind_a_slow_submit(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        program.exchange.plans.append(Plan.HANG)
        token = await program.token(OPEN)
        slow = program.put(Kind.SUBMIT, order=OPEN, token=token)
        assert await program.until(lambda: len(program.exchange.log) == 1)
        answer = await program.ask(Kind.SIMULATE, order=BUY_SHARES, preview="no")
        assert answer.said is Said.DONE
        assert json.loads(answer.content)["approval"] is None
        assert program.execution.answer(slow) is None
        program.line.breaks.set()
        await program.answered(slow)

    run(tmp_path, story, waits=replace(QUICK, send=60.0))


def test_no_exit_waits_for_another_broker_or_a_store_that_cannot_be_read(tmp_path: Path) -> None:
    shelf = Shelf()
    shelf.reads = False

    async def story(program: Program) -> None:
        assert (await program.send(CLOSE_PUT)).said is Said.DONE
        answer = await program.ask(Kind.SIMULATE, order=OPEN)
        assert "what was done before cannot be read" in answer.words
        shelf.reads = True
        assert await program.until(lambda: program.execution._desk.problem == "")
        assert len(program.execution.records) == 1

    run(tmp_path, story, store=shelf)


def test_a_store_that_does_not_answer_keeps_no_exit_back(tmp_path: Path) -> None:
    shelf, answers = Shelf(), threading.Event()
    read = shelf.open_deeds

    def slow(*asked: object) -> OpenDeeds:
        answers.wait(60)
        return read(*asked)  # type: ignore[arg-type]  # handed on

    shelf.open_deeds = slow  # type: ignore[method-assign, assignment]  # only later

    async def story(program: Program) -> None:
        assert (await program.send(CLOSE_PUT)).said is Said.DONE
        assert "no answer in 0.3 s" in program.execution.now.problem
        answers.set()
        assert await program.until(lambda: program.execution._desk.problem == "")

    run(tmp_path, story, store=shelf, waits=replace(QUICK, read=0.3))


def test_with_trading_off_nothing_is_sent_and_the_words_are_those_of_the_settings(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        program.line.refuses = "trading is off: set IBKR_TRADING"
        answer = await program.send(CLOSE_PUT)
        assert "trading is off: set IBKR_TRADING" in answer.words
        assert program.execution.records == {}
        assert program.exchange.log == []
        assert await program.until(lambda: "trading is off" in program.execution.now.trading[0].refusal)

    run(tmp_path, story)


def test_an_exit_is_approved_without_waiting_for_the_what_if(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        program.line.preview_hangs = True
        assert await program.token(CLOSE_PUT)

    run(tmp_path, story, waits=replace(QUICK, preview=60.0))


def test_a_file_stop_in_the_data_folder_stops_everything(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        (tmp_path / "STOP").write_text("fire alarm", encoding="utf-8")
        assert await program.until(lambda: program.execution.now.safety.state is SafetyState.STOPPED)
        assert program.execution.now.safety.reason == "fire alarm"

    run(tmp_path, story)


def test_what_the_store_did_not_take_is_handed_over_again_as_it_is_by_then(tmp_path: Path) -> None:
    shelf = Shelf()

    async def story(program: Program) -> None:
        await program.send(OPEN)
        shelf.takes = False
        program.exchange.fill(program.record().key)
        assert await program.until(lambda: program.state() is OrderState.FILLED)
        assert shelf.open_deeds((), "", NOW).fills == ()
        shelf.takes = True
        program.clock.move(1)
        assert await program.until(lambda: bool(shelf.open_deeds((), "", NOW).fills))
        assert shelf.open_deeds((), "", NOW).orders[0].state is OrderState.FILLED
        assert [one.kind for one in shelf.entries()] == [JournalKind.FILL]

    run(tmp_path, story, store=shelf)


def test_a_close_in_doubt_may_live_so_a_second_one_is_no_exit(tmp_path: Path) -> None:
    async def story(program: Program) -> None:
        program.exchange.plans.append(Plan.LOSE_ORDER)
        await program.send(CLOSE_PUT)
        assert program.state() is OrderState.UNKNOWN
        impact = json.loads((await program.ask(Kind.SIMULATE, order=CLOSE_PUT, preview="no")).content)
        assert impact["kind"] == "NEW_RISK"

    run(tmp_path, story)


@pytest.mark.parametrize(("state", "order", "sent"), [
    (SafetyState.STOPPED, CLOSE_PUT, False), (SafetyState.REDUCE_ONLY, CLOSE_PUT, True),
    (SafetyState.REDUCE_ONLY, typed((LONG_PUT_SYMBOL, 1)), False),
])  # fmt: skip
def test_a_state_that_comes_while_the_intent_is_kept_counts(
    tmp_path: Path, state: SafetyState, order: str, *, sent: bool
) -> None:
    class Slow(Shelf):
        """While it takes an intent somebody sets the state."""

        safety: SafetyFile | None = None

        def hand_deeds(self, sources: Sequence[str], scenario: str, deeds: Sequence[Deed]) -> Place:
            place = super().hand_deeds(sources, scenario, deeds)
            if self.safety and any(isinstance(d, OrderRecord) and d.state is OrderState.INTENT_SAVED for d in deeds):
                file, self.safety = self.safety, None
                file.tighten(state, Cause.STOP_FILE, "risk desk", NOW, timedelta(minutes=30))
            return place

    shelf = Slow()

    async def story(program: Program) -> None:
        token = await program.token(order)
        shelf.safety = program.execution._desk.safety  # set from outside, as a file STOP does
        answer = await program.ask(Kind.SUBMIT, order=order, token=token)
        assert (answer.said is Said.DONE) is sent, answer.words
        assert len(program.exchange.log) == sent
        assert sent or f"the safety state is {state.value} now" in answer.words

    run(tmp_path, story, store=shelf)

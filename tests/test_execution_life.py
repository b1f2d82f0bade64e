"""The life of an order, its executions, and what a read of everything proves; all pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.execution import life, overrides
from guardrails.execution.approvals import Approvals
from guardrails.execution.fills import executed_of, news_of
from guardrails.execution.life import Event, Executed, IllegalTransitionError, Step
from guardrails.execution.reconcile import reconcile, told
from guardrails.execution.values import OrderRecord
from guardrails.gate.values import Override
from guardrails.orders import BrokerOrder, Fill, Leg, Order, OrdersRead, OrderState
from guardrails.symbols import parse
from guardrails.values import AccountId
from tests.books import IBKR, NOW, TASTY

S = OrderState
SHORT, LONG = parse("SPXW  261218P05700000", NOW.date()), parse("SPXW  261218P05600000", NOW.date())
SPREAD = Order(IBKR, (Leg(SHORT, -1), Leg(LONG, 1)), 5, -8.40)


def record(state: OrderState = S.WORKING, filled: float = 0.0, **more: object) -> OrderRecord:
    return replace(OrderRecord("k1", SPREAD, state, NOW, NOW, "Ann", "ticket", filled=filled), **more)  # type: ignore[arg-type]  # by name


def said(state: OrderState, filled: float = 0.0, words: str = "", key: str = "k1", reference: str = "7") -> BrokerOrder:
    return BrokerOrder(IBKR, reference, key, SPREAD.legs, 5.0, filled, state, -8.40, words=words)


def fill(
    execution: str, quantity: float, price: float, *, leg: int = 0, revision: int = 0, fees: float | None = 1.0,
    key: str = "k1", account: AccountId = IBKR,
) -> Fill:  # fmt: skip
    return Fill(execution, revision, account, (SHORT, LONG)[leg], quantity, price, NOW, key, "7", fees)


# --- states


def test_every_state_has_its_ways_and_a_final_one_leads_only_to_a_proven_fill_or_a_doubt() -> None:
    assert set(life.LEGAL) == set(OrderState)
    assert life.LEGAL[S.FILLED] == life.LEGAL[S.REJECTED] == {S.UNKNOWN}
    assert life.LEGAL[S.CANCELLED] == {S.PARTIAL, S.FILLED, S.UNKNOWN}
    back = {state for state, after in life.LEGAL.items() if after & {S.DRAFT, S.APPROVED, S.INTENT_SAVED}}
    assert back == {S.DRAFT, S.APPROVED}


def test_the_straight_way_of_an_order() -> None:
    one = record(S.DRAFT)
    for what, state in ((Step.APPROVE, S.APPROVED), (Step.SAVE, S.INTENT_SAVED), (Step.SEND, S.SENT)):
        one = life.step(one, Event(what), NOW)
        assert one.state is state
    for word, state, filled in ((S.WORKING, S.WORKING, 0.0), (S.WORKING, S.PARTIAL, 2.0), (S.FILLED, S.FILLED, 5.0)):
        one = life.step(one, said(word, filled), NOW)
        assert (one.state, one.filled, one.references) == (state, filled, ("7",))


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (S.DRAFT, Step.SAVE),
        (S.APPROVED, Step.NOT_SENT),
        (S.SENT, Step.NOT_SENT),
        (S.FILLED, Step.ASK_CANCEL),
        (S.REJECTED, Step.ASK_CANCEL),
        (S.UNKNOWN, Step.ASK_CANCEL),
        (S.WORKING, Step.RESOLVE),
        (S.CANCELLED, Step.APPROVE),
    ],
)
def test_a_step_that_is_not_possible_is_refused(state: OrderState, event: Step) -> None:
    with pytest.raises(IllegalTransitionError, match=state.value):
        life.step(record(state), Event(event), NOW)


def test_what_has_legs_filled_and_no_whole_package_is_partial_when_the_broker_says_so() -> None:
    one = life.step(record(S.SENT), said(S.PARTIAL, 0.0, "legs filled: 2 of 5 and 0 of 5"), NOW)
    assert (one.state, one.filled, one.detail) == (S.PARTIAL, 0.0, "legs filled: 2 of 5 and 0 of 5")
    assert life.step(one, said(S.WORKING), NOW).state is S.WORKING


def test_why_a_broker_cannot_say_what_became_of_an_order_is_told_and_makes_it_no_younger() -> None:
    one = life.step(record(S.SENT), said(S.UNKNOWN, words="103: Duplicate order id"), LATER)
    assert (one.state, one.detail, one.changed) == (S.SENT, "103: Duplicate order id", NOW)
    assert life.step(record(S.SENT), said(S.UNKNOWN, reference=""), LATER) == record(S.SENT)
    over = record(S.FILLED, 5.0)
    assert life.step(over, said(S.UNKNOWN, words="odd", reference=""), LATER) == over


def test_a_cancellation_is_requested_until_the_broker_confirms_it() -> None:
    asked = life.step(record(), Event(Step.ASK_CANCEL), NOW)
    assert life.step(asked, said(S.WORKING), NOW).state is S.CANCEL_REQUESTED
    assert life.step(asked, said(S.WORKING, 2.0), NOW).filled == 2.0
    assert life.step(asked, said(S.FILLED, 5.0), NOW).state is S.FILLED
    assert life.step(asked, said(S.CANCELLED), NOW).state is S.CANCELLED
    assert life.step(asked, Event(Step.CANCEL_NOT_ASKED), NOW).state is S.WORKING


def test_a_cancelled_order_that_the_broker_calls_working_is_a_contradiction_and_the_next_word_decides() -> None:
    cancelled = record(S.CANCELLED)
    with pytest.raises(IllegalTransitionError, match="it was CANCELLED, and IBKR says WORKING"):
        life.step(cancelled, said(S.WORKING), NOW)
    doubtful = told(cancelled, [said(S.WORKING)], [], NOW)
    assert doubtful.state is S.UNKNOWN
    assert told(doubtful, [said(S.WORKING)], [], NOW).state is S.WORKING


def test_only_executions_prove_that_a_fill_beat_the_cancellation() -> None:
    late = life.executed(record(S.CANCELLED), Executed(5.0, -8.4, 10.0), NOW)
    assert (late.state, late.filled, late.detail) == (
        S.FILLED, 5.0, "filled before the cancellation reached the exchange",
    )  # fmt: skip
    part = life.executed(record(S.CANCELLED), Executed(2.0), NOW)
    assert (part.state, part.filled) == (S.CANCELLED, 2.0)


def test_more_filled_than_ordered_is_in_doubt_and_stays_so() -> None:
    over = life.step(record(S.PARTIAL, 4.0), said(S.WORKING, 6.0), NOW)
    assert (over.state, over.filled, over.doubt_since) == (S.UNKNOWN, 6.0, NOW)
    assert "6 of 5 packages" in over.detail
    assert life.step(over, said(S.FILLED, 5.0), NOW).state is S.UNKNOWN


def test_what_a_person_resolves_is_cancelled_or_filled_as_far_as_it_is() -> None:
    words = Event(Step.RESOLVE, "Ann looked")
    assert life.step(record(S.UNKNOWN, 2.0), words, NOW).state is S.CANCELLED
    assert life.step(record(S.UNKNOWN, 5.0), words, NOW).state is S.FILLED


WORDS = st.builds(
    said, st.sampled_from([state for state in OrderState if state not in (S.DRAFT, S.APPROVED)]),
    st.sampled_from([0.0, 1.0, 2.0, 4.0, 5.0, 6.0, float("nan"), 1.797e308]),
)  # fmt: skip


@given(st.sampled_from([S.FILLED, S.CANCELLED, S.REJECTED]), st.floats(0, 5), st.lists(WORDS, max_size=8))
def test_no_word_of_a_broker_leads_out_of_a_final_state(
    state: OrderState, filled: float, words: list[BrokerOrder]
) -> None:
    one = record(state, 5.0 if state is S.FILLED else filled)
    for word in words:
        try:
            one = life.step(one, word, NOW)
        except IllegalTransitionError:
            continue
        assert one.state is state or (one.state is S.UNKNOWN and word.filled > 5.0)
        if one.state is S.UNKNOWN:
            return


@given(st.lists(WORDS, max_size=10), st.lists(st.floats(0, 5), max_size=4))
def test_what_is_filled_never_falls_and_what_is_said_twice_has_no_effect(
    words: list[BrokerOrder], proofs: list[float]
) -> None:
    one = record(S.SENT)
    for word in words:
        before = one
        one = told(one, [word], [], NOW)
        again = told(one, [word], [], NOW + timedelta(seconds=1))
        assert one.filled >= before.filled
        assert again == one or one.state is S.UNKNOWN
    for proof in proofs:
        before = one
        one = life.executed(one, Executed(proof), NOW)
        assert one.filled >= before.filled
        if before.state is not S.REJECTED:  # executions of it are a contradiction first, and then a proof
            assert life.executed(one, Executed(proof), NOW + timedelta(seconds=1)) is one


# --- executions


def test_an_execution_counts_once_a_correction_replaces_it_and_late_fees_complete_it() -> None:
    first = fill("e1", -5, 10.0, fees=None)
    known = {("IBKR", "e1"): first}
    assert news_of({}, [first, first]) == (first,)
    assert news_of(known, [first]) == ()
    paid = replace(first, fees=1.0)
    assert news_of(known, [paid]) == (paid,)
    assert news_of({("IBKR", "e1"): paid}, [first]) == ()  # what is known is not taken back
    corrected = fill("e1", -5, 9.0, revision=1, fees=None)
    assert news_of({("IBKR", "e1"): paid}, [first, corrected]) == (replace(corrected, fees=1.0),)
    assert news_of({("IBKR", "e1"): corrected}, [first]) == ()
    other = fill("e1", -5, 10.0, account=TASTY)
    assert news_of(known, [other]) == (other,)  # another broker's execution of the same name


def test_packages_are_filled_when_all_their_legs_are() -> None:
    fills = [fill("e1", -2, 12.0), fill("e2", -3, 13.0)]
    assert executed_of(SPREAD, fills).packages == 0.0
    assert executed_of(SPREAD, fills).average is None
    fills += [fill("e3", 4, 4.0, leg=1, fees=2.5)]
    done = executed_of(SPREAD, fills)
    # shorts sold at (2 x 12 + 3 x 13) / 5 = 12.60, longs bought at 4.00: 8.60 received
    assert (done.packages, done.fees, done.excess) == (4.0, 4.5, "")
    assert done.average == pytest.approx(-8.60)


def test_the_price_of_a_covered_call_is_that_of_one_share_and_one_share_s_part_of_the_option() -> None:
    stock, call = parse("AAPL", NOW.date()), parse("AAPL  261218C00250000", NOW.date())
    order = Order(IBKR, (Leg(stock, 100), Leg(call, -1)), 1, 245.0)
    fills = [
        Fill("e1", 0, IBKR, stock, 100, 250.0, NOW), Fill("e2", 0, IBKR, call, -1, 5.0, NOW),
    ]  # fmt: skip
    assert executed_of(order, fills).average == pytest.approx(245.0)


def test_what_was_executed_beyond_the_order_or_beside_it_is_named() -> None:
    assert "-6 SPXW" in executed_of(SPREAD, [fill("e1", -6, 1.0)]).excess
    stray = Fill("e9", 0, IBKR, parse("SPY", NOW.date()), 1, 600.0, NOW, "k1")
    assert "no leg of it" in executed_of(SPREAD, [stray]).excess
    # bought what was to be sold: fills nothing
    assert executed_of(SPREAD, [fill("e1", 1, 1.0)]).packages == 0.0


def test_legs_of_one_product_make_a_price_also_where_only_the_broker_knows_what_a_point_is_worth() -> None:
    near, far = (replace(parse("/ZCZ26", NOW.date()), symbol=symbol) for symbol in ("/ZCZ26", "/ZCH27"))
    order = Order(IBKR, (Leg(near, 1), Leg(far, -1)), 1, -5.0)
    told = [Fill("e1", 0, IBKR, near, 1, 450.0, NOW), Fill("e2", 0, IBKR, far, -1, 460.0, NOW)]
    assert executed_of(order, told).average == pytest.approx(-10.0)
    corn, shares = replace(order, legs=(Leg(near, 1), Leg(parse("SPY", NOW.date()), 1))), parse("SPY", NOW.date())
    assert executed_of(corn, [told[0], Fill("e3", 0, IBKR, shares, 1, 600.0, NOW)]).average is None


# --- a read of everything

LATER = NOW + timedelta(seconds=10)


def read(*orders: BrokerOrder, fills: tuple[Fill, ...] = (), at: datetime = LATER, missing: str = "") -> OrdersRead:
    return OrdersRead("ibkr", at, orders, fills, missing)


@pytest.mark.parametrize("state", [S.INTENT_SAVED, S.SENT, S.WORKING, S.PARTIAL, S.CANCEL_REQUESTED])
def test_an_order_that_no_list_names_is_in_doubt_and_never_over(state: OrderState) -> None:
    done = reconcile([record(state)], read(), LATER)
    assert done.records[0].state is S.UNKNOWN
    assert "IBKR knows no such order" in done.problems[0]
    again = reconcile(done.records, read(at=LATER + timedelta(hours=1)), LATER + timedelta(hours=1))
    assert again.records[0] is done.records[0]


def test_an_order_that_was_just_sent_may_not_be_listed_yet() -> None:
    fresh = record(S.SENT)
    at = NOW + timedelta(seconds=2.9)
    assert reconcile([fresh], read(at=at), at).records[0] is fresh


def test_what_is_missing_proves_no_absence() -> None:
    working, sent = record(S.WORKING), record(S.INTENT_SAVED)
    done = reconcile([working, sent], read(missing="completed orders"), LATER)
    assert done.records[0] is working
    assert done.records[1].state is S.UNKNOWN
    assert "does not tell everything (completed orders)" in done.records[1].detail


def test_a_doubt_ends_when_the_broker_names_the_order_by_key_or_by_reference() -> None:
    doubtful = record(S.UNKNOWN, doubt_since=NOW)
    found = reconcile([doubtful], read(said(S.WORKING)), LATER)
    assert (found.records[0].state, found.records[0].doubt_since, found.problems) == (S.WORKING, None, ())
    by_reference = replace(doubtful, references=("7",))
    assert reconcile([by_reference], read(said(S.CANCELLED, key="")), LATER).records[0].state is S.CANCELLED
    stranger = reconcile([doubtful], read(said(S.WORKING, key="")), LATER).records[0]
    assert stranger.state is S.UNKNOWN


def test_executions_alone_end_a_doubt_when_all_of_it_was_executed() -> None:
    legs = (fill("e1", -5, 12.0), fill("e2", 5, 4.0, leg=1))
    done = reconcile([record(S.UNKNOWN)], read(fills=legs), LATER)
    assert (done.records[0].state, done.records[0].filled) == (S.FILLED, 5.0)
    part = reconcile([record(S.UNKNOWN)], read(fills=legs[:1]), LATER)
    assert part.records[0].state is S.UNKNOWN


def test_what_is_over_is_not_sought() -> None:
    over = [record(state) for state in (S.FILLED, S.CANCELLED, S.REJECTED)]
    assert reconcile(over, read(), LATER).records == tuple(over)


# --- tokens and overrides


def test_tokens_are_unlike_and_remember_their_use_longer_than_they_last() -> None:
    approvals: Approvals[int] = Approvals()
    given = [approvals.give(SPREAD, number, NOW) for number in range(100)]
    assert len({one.token for one in given}) == 100
    assert min(len(one.token) for one in given) >= 20
    assert approvals.take(given[7].token, SPREAD, NOW + timedelta(seconds=30)) == 7
    with pytest.raises(ValueError, match="was used"):
        approvals.take(given[7].token, SPREAD, NOW + timedelta(hours=1))
    with pytest.raises(ValueError, match="expired"):
        approvals.take(given[8].token, SPREAD, NOW + timedelta(seconds=30.1))


def test_an_override_lapses_once() -> None:
    one = Override("o", "gamma", "", "Ann", "why", NOW, NOW + timedelta(minutes=5))
    assert overrides.in_force([one], NOW + timedelta(minutes=4)) == (one,)
    assert overrides.in_force([one], one.until) == ()
    [ended] = overrides.lapsed([one], one.until)
    assert overrides.lapsed([ended], one.until) == ()


def test_filled_with_fewer_packages_than_ordered_is_in_doubt_and_nothing_is_made_up() -> None:
    after = life.step(record(), said(S.FILLED, 1.0), NOW)
    assert (after.state, after.filled) == (S.UNKNOWN, 1.0)
    assert life.step(after, said(S.FILLED, 1.0), NOW) == after
    assert life.step(after, said(S.FILLED, 5.0), NOW).state is S.FILLED

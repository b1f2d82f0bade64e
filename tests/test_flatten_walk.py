"""The walk of a flatten, step by step: what is done next, what waits for what, and that no order ever goes twice."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from guardrails.execution.values import FlattenRun, OrderRecord, RunState
from guardrails.flatten import walk
from guardrails.flatten.market import holdings_of, quotes_of
from guardrails.flatten.turn import FOR_COVER, TRIES, _keeps_cover, capped
from guardrails.flatten.values import Plan, Scope, Wish
from guardrails.flatten.walking import (
    Action,
    At,
    Cancel,
    Held,
    Read,
    Reprice,
    Send,
    Told,
    WalkState,
    Withdraw,
    Working,
    answered,
    begun,
    resumed,
)
from guardrails.matrix.orders import FlattenRules
from guardrails.memory import account_key
from guardrails.orders import BrokerOrder, Leg, Order, OrderState
from guardrails.portfolio import Portfolio
from guardrails.values import AccountId
from tests.books import IBKR, NOW, TASTY
from tests.flattened import holding, is_exit, planned, put, resting
from tests.test_flatten_plan import _random_book, _random_wish

RULES = FlattenRules()
APART = Wish(Scope.EVERYTHING, whole_packages=False)
FATES = (OrderState.FILLED, OrderState.FILLED, OrderState.PARTIAL, OrderState.REJECTED, OrderState.CANCELLED,
         OrderState.UNKNOWN)  # fmt: skip
OVER = (OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED)


@dataclass
class Venue:
    """Brokers, gate and clock of a run, in a few lines: what was sent, what became of it, what is truly held."""

    portfolio: Portfolio
    run: WalkState
    held: dict[AccountId, dict[str, float]]
    resting: list[BrokerOrder] = field(default_factory=list)
    records: dict[str, OrderRecord] = field(default_factory=dict)
    now: datetime = NOW
    read: dict[AccountId, Held] = field(default_factory=dict)
    sent: list[Order] = field(default_factory=list)
    last: tuple[Action, ...] = ()
    shut: Mapping[str, str] = field(default_factory=dict)
    confirms: bool = True
    is_away: bool = False
    """whether the brokers tell nothing of orders"""

    def told(self, *, shows_doubts: bool = False) -> Told:
        ours = [
            BrokerOrder(r.order.account, r.key, r.key, r.order.legs, r.order.quantity, r.filled, r.state)
            for r in self.records.values() if shows_doubts or r.state is not OrderState.UNKNOWN
        ]  # fmt: skip
        working = {
            account: Working(self.now, tuple(o for o in (*self.resting, *ours) if o.account == account))
            for account in self.held
        }
        away = frozenset(self.held) if self.is_away else frozenset()
        return Told(self.records, {} if away else working, self.read, self.shut, away=away)

    def step(self, seconds: float = 1.0) -> tuple[Action, ...]:
        """One step; reads and sends are done at once, the rest is left to the test."""
        self.now += timedelta(seconds=seconds)
        self.run, actions = walk.step(self.run, self.told(), quotes_of(self.portfolio), self.now, RULES)
        for action in actions:
            if isinstance(action, Read):
                legs = [leg.instrument for line in self.run.lines for leg in line.order.legs]
                fresh = dict(self.held[action.account])
                lines = holdings_of(action.account, self.portfolio, fresh, legs)
                self.read[action.account] = Held(self.now, lines, self.confirms)
            elif isinstance(action, Send):
                self.take(action)
        self.last = actions
        return actions

    def take(self, action: Send) -> None:
        key = f"G-{len(self.records) + 1}"
        self.sent.append(action.order)
        order = action.order
        self.records[key] = OrderRecord(key, order, OrderState.WORKING, self.now, self.now, "Ann", "flatten",
                                        flatten="R", limit=order.limit, owner=account_key(order.account))  # fmt: skip
        self.run = answered(self.run, action.number, self.now, key)

    def refuse(self, seconds: int, why: str) -> int:
        """Let seconds pass in which nothing can be sent; how often it was tried."""
        tries = 0
        for _ in range(seconds):
            self.now += timedelta(seconds=1)
            self.run, actions = walk.step(self.run, self.told(), {}, self.now, RULES)
            for action in actions:
                if isinstance(action, Send):
                    tries += 1
                    self.run = answered(self.run, action.number, self.now, refused=why)
                elif isinstance(action, Read):
                    lines = holdings_of(action.account, self.portfolio, self.held[action.account], ())
                    self.read[action.account] = Held(self.now, lines, self.confirms)
        return tries

    def becomes(self, key: str, state: OrderState, filled: float | None = None, detail: str = "") -> None:
        record = self.records[key]
        size = filled if filled is not None else record.order.quantity if state is OrderState.FILLED else record.filled
        for leg in record.order.legs:
            held = self.held[record.order.account]
            held[leg.instrument.key] = held.get(leg.instrument.key, 0.0) + leg.ratio * (size - record.filled)
        self.records[key] = replace(record, state=state, filled=size, detail=detail, changed=self.now)

    def until_done(self, most: int = 400) -> WalkState:
        for _ in range(most):
            self.step()
            if self.run.done:
                return self.run
        raise AssertionError(self.run)


def venue(portfolio: Portfolio, wish: Wish | None = None, working: Sequence[BrokerOrder] = (), **more: object) -> Venue:
    held: dict[AccountId, dict[str, float]] = {}
    for position in portfolio.positions:
        held.setdefault(position.account, {})[position.instrument.key] = position.quantity or 0.0
    plan: Plan = planned(portfolio, wish, working)
    return Venue(portfolio, begun("R", plan, working, NOW), held, list(working), **more)  # type: ignore[arg-type]  # as named


def labels(orders: Sequence[Order]) -> list[str]:
    return ["/".join(leg.instrument.label.split()[-1] for leg in order.legs) for order in orders]


# --- order of work


def test_a_long_waits_for_the_short_that_it_covers_and_shorts_do_not_wait() -> None:
    at = venue(holding(put(5700, -1), put(5600, 1), put(5500, -1)), APART)
    for _ in range(4):
        at.step()
    assert sorted(labels(at.sent)) == ["5500P", "5700P"]
    waiting = next(line for line in at.run.lines if line.at is At.WAITING)
    assert waiting.why == FOR_COVER
    for key in list(at.records):
        at.becomes(key, OrderState.FILLED)
    for _ in range(3):
        at.step()
    assert labels(at.sent)[-1] == "5600P"
    at.becomes("G-3", OrderState.FILLED)
    done = at.until_done()
    assert done.flat
    assert done.words.startswith("Flat: fresh positions of 10:30:")


def test_a_partial_fill_of_the_short_does_not_free_its_long() -> None:
    at = venue(holding(put(5700, -2), put(5600, 2)), APART)
    at.step()
    at.step()
    at.becomes("G-1", OrderState.PARTIAL, 1.0)
    for _ in range(10):
        at.step()
    assert labels(at.sent) == ["5700P"]


def test_a_short_that_was_rejected_keeps_its_long_and_it_is_said() -> None:
    at = venue(holding(put(5700, -1), put(5600, 1)), APART)
    at.step()
    at.step()
    at.becomes("G-1", OrderState.REJECTED, detail="no permission")
    done = at.until_done()
    assert labels(at.sent) == ["5700P"]
    assert not done.flat
    assert "REJECTED: no permission" in done.words
    assert "not sent: it covers a short that stays" in done.words
    assert "−1 SPXW 18Dec26 5700P" in done.words


def test_what_rests_is_cancelled_first_and_nothing_is_sent_before_it_is_confirmed() -> None:
    short = put(5700, -1)
    at = venue(holding(short), working=[resting(short, 1)])
    assert at.step() == (Cancel(IBKR, "r1"),)
    for _ in range(10):
        at.step()
    assert at.sent == []
    at.resting = [replace(at.resting[0], state=OrderState.CANCELLED)]
    at.step()
    at.step()
    assert labels(at.sent) == ["5700P"]


def test_orders_that_are_filled_at_once_do_not_hold_up_the_next() -> None:
    """Positions are read anew after every fill, not only five seconds after the last reading."""
    at = venue(holding(*(put(5700 - 10 * place, -1) for place in range(20))), APART)
    for _ in range(70):
        at.step(0.05)
        for key, record in list(at.records.items()):
            if record.state is OrderState.WORKING:
                at.becomes(key, OrderState.FILLED)
    assert len(at.sent) == 20


def test_a_cancellation_that_did_not_arrive_is_asked_for_again_every_five_seconds() -> None:
    """A refusal for asking too often must not hold the account up for half a minute."""
    short = put(5700, -1)
    at = venue(holding(short), working=[resting(short, 1)])
    asked = [bool(at.step()) for _ in range(12)]
    assert asked == [place in (0, 5, 10) for place in range(12)]
    at.resting = [replace(at.resting[0], state=OrderState.CANCEL_REQUESTED)]
    assert not any(at.step() for _ in range(8))


def test_a_cancellation_that_is_never_confirmed_leaves_its_part_to_the_order() -> None:
    short = put(5700, -3)
    at = venue(holding(short), working=[resting(short, 1)])
    for _ in range(40):
        at.step()
    assert [order.quantity for order in at.sent] == [2]
    at.becomes("G-1", OrderState.FILLED)
    done = at.until_done()
    assert not done.flat
    assert "may still work: its cancellation is not confirmed" in done.words


def test_a_cancellation_that_ran_out_while_its_broker_was_away_is_asked_for_when_it_is_back() -> None:
    short = put(5700, -1)
    at = venue(holding(short), working=[resting(short, 1)])
    at.confirms, at.is_away = False, True
    at.step()
    at.refuse(60, "there is no connection")
    at.is_away = False
    assert Cancel(IBKR, "r1") in at.step()
    at.resting = []
    at.confirms = True
    at.step(5)
    at.step()
    assert labels(at.sent) == ["5700P"]
    at.becomes("G-1", OrderState.FILLED)
    assert at.until_done().flat


def test_what_is_left_to_an_order_that_still_works_is_not_called_closed() -> None:
    short = put(5700, -1)
    at = venue(holding(short), working=[resting(short, 1)])
    done = at.until_done()
    assert "closed elsewhere" not in done.words
    assert "not sent: an order that still works may close it" in done.words


def test_accounts_go_side_by_side() -> None:
    at = venue(holding(put(5700, -1), put(5700, -1, at=TASTY)))
    at.step()
    actions = at.step()
    assert {action.order.account for action in actions if isinstance(action, Send)} == {IBKR, TASTY}


def test_a_market_that_closes_in_between_ends_what_was_not_sent() -> None:
    at = venue(holding(put(5700, -1), put(5600, 1)), APART)
    at.step()
    at.step()
    at.shut = {line.order.legs[0].instrument.key: "market closed until Thu" for line in at.run.lines}
    at.becomes("G-1", OrderState.FILLED)
    done = at.until_done()
    assert "not sent: market closed until Thu" in done.words
    assert not done.flat


# --- prices


def test_a_limit_is_walked_in_steps_to_its_cap_and_no_further() -> None:
    at = venue(holding(put(5700, -1, "8.00 9.00")))
    at.step()
    at.step()
    assert at.sent[0].limit == 8.50
    asked = []
    for _ in range(200):
        for action in at.step():
            if isinstance(action, Reprice):
                asked.append(action.limit)
                at.records[action.key] = replace(at.records[action.key], limit=action.limit)
    assert asked == [8.70, 8.80, 8.90, 9.00]  # 8.625, 8.75 and 8.875 go up to the next dime
    assert not at.run.done


def test_a_better_market_lowers_the_first_limit_and_a_worse_one_never_moves_the_cap() -> None:
    better, worse = put(5700, -1, "7.00 8.00"), put(5700, -1, "12.00 13.00")
    for now_quoted, first in ((better, 7.50), (worse, 9.00)):
        at = venue(holding(put(5700, -1, "8.00 9.00")))
        at.portfolio = holding(now_quoted)
        at.step()
        at.step()
        assert at.sent[0].limit == first


# --- what happens meanwhile


def test_what_was_closed_elsewhere_is_not_closed_again() -> None:
    at = venue(holding(put(5700, -3), put(5500, -1)), APART)
    at.held[IBKR][put(5700, -3).instrument.key] = -1.0
    at.held[IBKR][put(5500, -1).instrument.key] = 0.0
    for _ in range(4):
        at.step()
    assert [(label, order.quantity) for label, order in zip(labels(at.sent), at.sent, strict=True)] == [("5700P", 1)]
    at.becomes("G-1", OrderState.FILLED)
    assert at.until_done().flat


def test_a_package_with_a_leg_gone_closes_its_short_alone() -> None:
    at = venue(holding(put(5700, -2), put(5600, 2)))
    at.held[IBKR][put(5600, 2).instrument.key] = 0.0
    at.step()
    at.step()
    assert labels(at.sent) == ["5700P"]
    assert at.sent[0].quantity == 2
    assert at.sent[0].legs[0].ratio == 1


def test_a_refused_order_is_tried_three_times_and_then_named() -> None:
    at = venue(holding(put(5700, -1)))
    assert at.refuse(60, "the safety state is STOPPED") == TRIES == 3
    assert at.run.done
    assert "not sent: the safety state is STOPPED" in at.run.words


def test_an_exit_waits_for_a_broker_that_is_away_and_is_sent_once_it_is_back() -> None:
    at = venue(holding(put(5700, -1)))
    at.is_away = True
    assert 0 < at.refuse(600, "there is no connection") < TRIES
    assert not at.run.done
    assert at.run.lines[0].why == "there is no connection; it is tried again when its broker answers"
    at.is_away = False
    assert at.refuse(60, "not yet") == TRIES  # as one whose broker was never away
    assert at.run.done


def test_stopped_it_sends_nothing_more_and_withdraws_what_works() -> None:
    at = venue(holding(put(5700, -1), put(5600, 1), put(5500, -1)), APART)
    at.step()
    at.step()
    at.run = walk.stopped(at.run, at.now)
    actions = at.step()
    assert [action for action in actions if isinstance(action, Withdraw)] == [Withdraw(1, "G-1")]
    for key in list(at.records):
        at.becomes(key, OrderState.CANCELLED)
    done = at.until_done()
    assert len(at.sent) == 1
    assert (done.state, done.flat) == (RunState.DONE, False)
    assert "not sent: stopped by a person" in done.words


def test_positions_that_lag_behind_the_fills_are_read_again_before_it_is_said() -> None:
    at = venue(holding(put(5700, -1)))
    at.step()
    at.step()
    key = put(5700, -1).instrument.key
    at.becomes("G-1", OrderState.FILLED)
    at.held[IBKR][key] = -1.0  # the broker still shows it
    for _ in range(6):
        at.step()
    assert not at.run.done
    at.held[IBKR][key] = 0.0
    assert at.until_done().flat


def test_all_filled_and_still_held_is_not_flat() -> None:
    at = venue(holding(put(5700, -1)))
    at.step()
    at.step()
    at.becomes("G-1", OrderState.FILLED)
    at.held[IBKR][put(5700, -1).instrument.key] = -1.0
    done = at.until_done()
    assert not done.flat
    assert "Not flat" in done.words


def test_unconfirmed_positions_let_exits_go_and_never_end_flat() -> None:
    at = venue(holding(put(5700, -1)))
    at.confirms = False
    at.step()
    at.step()
    assert labels(at.sent) == ["5700P"]
    at.becomes("G-1", OrderState.FILLED)
    done = at.until_done()
    assert not done.flat
    assert done.words.startswith("It is not known whether it is flat: IBKR •••4567 did not confirm the positions.")


# --- after a restart


def test_after_a_restart_records_are_known_by_their_legs_even_without_account_numbers() -> None:
    portfolio = holding(put(5700, -120), put(5500, -1))
    at = venue(portfolio)  # 50, 50 and 20 of one put, and one of another
    for _ in range(4):
        at.step()
    assert len(at.sent) == 3
    run = FlattenRun("R", NOW, "Ann", RunState.RUNNING, "", NOW, orders={"1": "G-1"})
    records = [replace(one, order=replace(one.order, account=IBKR.hidden)) for one in at.records.values()]
    again = resumed(run, at.run.plan, (), records)
    assert [line.key for line in again.lines if line.at is At.LIVE] == ["G-1", "G-2", "G-3"]
    assert [line.at for line in again.lines].count(At.WAITING) == 1
    assert all(line.order.account == IBKR for line in again.lines)


def test_an_order_in_doubt_is_not_sent_again_and_holds_what_depends_on_it() -> None:
    at = venue(holding(put(5700, -1), put(5600, 1)), APART)
    at.step()
    at.step()
    at.becomes("G-1", OrderState.UNKNOWN)
    for _ in range(100):
        at.step()
    assert len(at.sent) == 1
    assert not at.run.done
    assert "not known what became of it" in at.run.lines[0].why
    at.becomes("G-1", OrderState.FILLED)  # reconciled
    for _ in range(3):
        at.step()
    assert labels(at.sent) == ["5700P", "5600P"]


def test_capping_counts_what_works_on_the_same_side() -> None:
    short = put(5700, -5)
    order = Order(IBKR, (Leg(short.instrument, 1),), 5, 9.0)
    held = Held(NOW, holdings_of(IBKR, holding(short), None, ()), confirmed=True)
    assert capped(order, held, [(order.legs[0], 2.0)]) == replace(order, quantity=3)
    assert capped(order, held, [(order.legs[0], -2.0)]) == order
    assert capped(order, held, [(order.legs[0], 5.0)]) is None


# --- whatever happens


@pytest.mark.parametrize("seed", range(60))
def test_whatever_becomes_of_its_orders_each_is_an_exit_when_sent_and_none_goes_twice(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311  # seeded
    at = venue(_random_book(dice), _random_wish(dice))
    truth = {account: dict(held) for account, held in at.held.items()}
    for number in range(300):
        known = len(at.sent)
        for action in at.step(dice.choice([0.3, 1.0, 6.0])):
            if isinstance(action, Reprice):
                at.records[action.key] = replace(at.records[action.key], limit=action.limit)
            if isinstance(action, Withdraw) and dice.random() < 0.7:
                at.becomes(action.key, dice.choice([OrderState.CANCELLED, OrderState.FILLED]))
        rests = [order for account in at.told(shows_doubts=True).working.values() for order in account.orders]
        fresh = list(at.records)[known:]
        for order in at.sent[known:]:  # beside everything that rests, in doubt or not
            assert is_exit(order, _as_held(at), [one for one in rests if one.key not in fresh]) == ""
        for key, record in list(at.records.items()):
            if record.state not in OVER and dice.random() < 0.25:
                at.becomes(key, dice.choice(FATES))
        if number == 200:
            at.run = walk.stopped(at.run, at.now)
        if at.run.done:
            break
    lines = [line for line in at.run.lines if line.key]
    assert len({line.key for line in lines}) == len(lines) == len(at.records)
    for account, held in at.held.items():
        for key, size in held.items():
            assert 0 <= abs(size) <= abs(truth[account].get(key, 0.0))
            assert size * truth[account].get(key, 0.0) >= 0


def _as_held(at: Venue) -> Portfolio:
    """The book as it is truly held now."""
    positions = tuple(
        replace(one, quantity=None if one.quantity is None else at.held[one.account][one.instrument.key])
        for one in at.portfolio.positions
    )
    return replace(at.portfolio, positions=tuple(one for one in positions if one.quantity != 0))


def test_a_long_counts_as_gone_while_an_order_that_sells_it_works() -> None:
    held = Held(NOW, holdings_of(IBKR, holding(put(5600, -1), put(5700, 1), put(5800, 1)), None, ()), confirmed=True)
    order = Order(IBKR, (Leg(put(5800, 1).instrument, -1),), 1, -9.0)
    assert _keeps_cover(order, held, ())  # the other long covers as well
    assert not _keeps_cover(order, held, [(Leg(put(5700, 1).instrument, -1), -1.0)])


def test_positions_of_a_while_ago_are_read_anew_before_the_next_order() -> None:
    at = venue(holding(put(5700, -1), put(5500, -1)), APART)
    assert [type(action) for action in at.step()] == [Read]
    assert [type(action) for action in at.step()] == [Send]
    assert [type(action) for action in at.step(6.0)] == [Read]
    assert [type(action) for action in at.step()] == [Send]

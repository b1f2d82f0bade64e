"""Overrides, approvals, offered quantities and the choice of worlds, by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from guardrails import checks
from guardrails.execution.overrides import used_by
from guardrails.findings import Finding, Level
from guardrails.gate.approval import basis_of, moved
from guardrails.gate.case import Case, case_of, margin_of, scaled
from guardrails.gate.ground import Ground
from guardrails.gate.guard import Guard
from guardrails.gate.kinds import exit_of
from guardrails.gate.moves import changes_of, newly_breached, reach_of, worsened
from guardrails.gate.projection import prepare, project
from guardrails.gate.quantity import largest
from guardrails.gate.subsets import subsets
from guardrails.gate.values import OrderKind, Override, Reason, Verdict
from guardrails.gate.verdict import judged
from guardrails.gate.working import resting as resting_of
from guardrails.limits import Limits
from guardrails.orders import Figure, Preview
from guardrails.portfolio import AccountHistory
from guardrails.safety import Cause, Safety, SafetyState
from guardrails.values import Observed, Quote
from tests.books import IBKR, NOW, TASTY, account, option
from tests.gates import answer, ask, blocks, ground, limited, order, quoted, resting, with_quotes

P5700, P5600, P5500 = (f"SPXW  261218P0{strike}000" for strike in (5700, 5600, 5500))
TOLD = {P5700: (9.5, 10.5, "-0.25 0.0010 5 -1.5 0.20"), P5600: (8.5, 9.5, "-0.18 0.0008 4 -1.2 0.21")}
MARKET = with_quotes(quoted(), **TOLD)
SELL = order((P5700, -1), limit=-9.5)
LEAVE = Override(
    "o-1", "short_vega", "", "Ada", "earnings are over", NOW - timedelta(minutes=5), NOW + timedelta(minutes=5)
)


def vega_limited(most: float = 499.0, *names: str, **more: Any) -> Ground:
    return ground(at=MARKET, limits=limited({"overridable": names}, max_negative_vega=-most), **more)


def test_an_override_lets_pass_what_the_matrix_names_and_marks_it() -> None:
    found = ask(SELL, vega_limited(499.0, "short_vega", overrides=(LEAVE,)))
    assert found.verdict is Verdict.WARN
    assert [(one.code, one.overridden) for one in found.reasons] == [("limit_newly_breached", True)]
    assert "Ada" in found.reasons[0].message


@pytest.mark.parametrize(
    "leave",
    [
        replace(LEAVE, check="gamma"), replace(LEAVE, until=NOW), replace(LEAVE, ended=NOW - timedelta(minutes=1)),
        replace(LEAVE, begun=NOW + timedelta(seconds=1)), replace(LEAVE, subject="underlying:QQQ"),
    ],
)  # fmt: skip
def test_an_override_of_something_else_or_another_time_lets_nothing_pass(leave: Override) -> None:
    assert blocks(ask(SELL, vega_limited(499.0, "short_vega", overrides=(leave,)))) == {"limit_newly_breached"}


def test_an_override_that_the_matrix_does_not_name_lets_nothing_pass() -> None:
    assert blocks(ask(SELL, vega_limited(499.0, "gamma", overrides=(LEAVE,)))) == {"limit_newly_breached"}


def test_what_is_not_known_is_never_overridden() -> None:
    on = vega_limited(1e6, "short_vega", overrides=(LEAVE,))
    blind = ground(option(P5500, -1), at=MARKET, limits=on.limits, overrides=(LEAVE,))
    assert blocks(ask(SELL, blind)) == {"limit_unknown"}


def test_a_guard_that_does_not_know_is_not_overridden_by_its_name() -> None:
    """An inverted term structure and a notional too large yield; ones that nobody knows do not."""
    rules = {"overridable": ("overlay", "order_size"), "max_notional_pct_nlv": 1.0}
    leaves = tuple(replace(LEAVE, check=name) for name in rules["overridable"])
    inverted = replace(limited(rules), overlay=True)
    assert blocks(ask(SELL, ground(at=MARKET, limits=inverted, overrides=leaves))) == set()
    unknown = replace(inverted, overlay=None)
    assert blocks(ask(SELL, ground(at=MARKET, limits=unknown, overrides=leaves))) == {"overlay"}
    poor = ground(at=MARKET, limits=inverted, overrides=leaves, accounts=[account(net_liquidation=None)])
    assert blocks(ask(SELL, poor)) == {"order_notional"}


def test_a_guard_that_cannot_be_computed_is_not_overridden_by_its_name() -> None:
    def market_hours(_: Case) -> Iterator[Reason]:
        raise ZeroDivisionError

    on = ground(at=MARKET, limits=limited({"overridable": ("market_hours",)}))
    on = replace(on, overrides=(replace(LEAVE, check="market_hours"),))
    case = case_of(SELL, on, margin_of(answer(), "test"))
    assert judged(case, exit_of(SELL, on), (Guard(market_hours),)).verdict is Verdict.BLOCK


@pytest.mark.parametrize("worth", [math.nan, math.inf, 1.7976931348623157e308])
def test_a_notional_is_not_held_against_a_worth_that_is_no_number(worth: float) -> None:
    on = ground(at=MARKET, limits=limited({"max_notional_pct_nlv": 1.0}), accounts=[account(net_liquidation=worth)])
    assert blocks(ask(SELL, on)) == {"order_notional"}


def test_new_risk_beside_a_working_order_of_no_known_size_is_refused() -> None:
    told = resting((P5600, -1), quantity=3, filled=math.nan)
    assert blocks(ask(SELL, ground(at=MARKET, working=(told,)))) == {"leg_unknown"}


def test_a_fall_from_the_peak_that_is_not_known_is_no_fall_that_is_small() -> None:
    limits, begun = limited(max_drawdown_pct=0.1), NOW - timedelta(hours=1)
    peak = AccountHistory(begun, peak=Observed(1e5, begun, "test"), last=Observed(1e5, begun, "test"))
    owners = [account(), account(TASTY)]
    known = ground(at=MARKET, limits=limits, accounts=owners, history={IBKR: peak, TASTY: peak})
    assert blocks(ask(SELL, known)) == set()
    assert blocks(ask(SELL, ground(at=MARKET, limits=limits, accounts=owners, history={TASTY: peak}))) == {"drawdown"}
    assert blocks(ask(SELL, ground(at=MARKET, limits=limits, accounts=owners, history={IBKR: peak}))) == set()


def test_what_gets_worse_in_one_of_two_accounts_of_the_same_mask_is_seen() -> None:
    """One is over its limit by 90 and stays so, which says nothing of the other."""
    limits = limited(min_cushion=0.2)

    def told(level: Level, headroom: float) -> Finding:
        made = limits.finding("margin_cushion", "account:IBKR •••4567", level, "", limit=100.0, headroom=headroom)
        return replace(made, value=100.0 - headroom)

    deep, kept = told(Level.BREACH, -90.0), told(Level.OK, 40.0)
    reach = reach_of(SELL)
    broken = changes_of([deep, kept], [told(Level.BREACH, -5.0), deep])
    assert [newly_breached(one) for one in broken] == [False, True]
    worse = changes_of([told(Level.BREACH, -5.0), deep], [deep, told(Level.BREACH, -7.0)])
    assert sorted(worsened(one, reach) for one in worse) == [False, True]
    same = changes_of([kept, deep], [deep, kept])
    assert not any(newly_breached(one) or worsened(one, reach) for one in same)


def test_a_breach_that_is_held_against_no_number_counts_as_worse() -> None:
    limits = limited(min_cushion=0.2)
    before = limits.finding("gamma", "portfolio", Level.BREACH, "", value=9.0, limit=5.0, headroom=-4.0)
    for value, headroom in ((math.inf, -math.inf), (math.nan, math.nan), (9.0, math.nan)):
        (change,) = changes_of([before], [replace(before, value=value, headroom=headroom)])
        assert worsened(change, reach_of(SELL))


def test_guards_of_single_orders_are_overridden_by_their_name() -> None:
    leave = replace(LEAVE, check="order_size")
    rules = {"overridable": ("order_size",), "max_contracts": 1, "max_notional_pct_nlv": 1.0}
    on = ground(at=MARKET, limits=limited(rules), overrides=(leave,))
    found = ask(order((P5700, -1), quantity=2, limit=-9.5), on)
    assert {one.code: one.overridden for one in found.reasons} == {"order_size": True, "order_notional": True}


@pytest.mark.parametrize(
    ("safety", "passes"),
    [
        (Safety(SafetyState.NO_NEW_RISK, NOW - timedelta(minutes=9)), True),
        (Safety(SafetyState.NO_NEW_RISK, NOW - timedelta(minutes=1)), False),  # the override is older
        (Safety(SafetyState.NO_NEW_RISK, NOW - timedelta(minutes=9), Cause.DAILY_LOSS), False),
        (Safety(SafetyState.NO_NEW_RISK, NOW - timedelta(minutes=9), Cause.UNRECONCILED), False),
        (Safety(SafetyState.REDUCE_ONLY, NOW - timedelta(minutes=9)), False),
        (Safety(SafetyState.STOPPED, NOW - timedelta(minutes=9)), False),
    ],
)
def test_overrides_count_in_no_new_risk_and_never_in_a_stricter_state(safety: Safety, *, passes: bool) -> None:
    found = ask(SELL, vega_limited(499.0, "short_vega", overrides=(LEAVE,), safety=safety))
    assert (found.verdict is not Verdict.BLOCK) is passes
    quiet = ask(SELL, vega_limited(1e6, "short_vega", overrides=(LEAVE,), safety=safety))
    assert quiet.verdict is Verdict.BLOCK  # an override that the order does not need opens no state


def test_the_largest_quantity_is_one_that_passes_when_it_is_asked() -> None:
    # each takes 500 of vega at 30 days: three are 1,500, four 2,000
    on = vega_limited(1_600.0)
    found = ask(order((P5700, -1), quantity=10, limit=-9.5), on)
    assert (found.verdict, found.max_quantity) == (Verdict.BLOCK, 3)
    assert ask(order((P5700, -1), quantity=3, limit=-9.5), on).verdict is not Verdict.BLOCK
    assert ask(order((P5700, -1), quantity=4, limit=-9.5), on).verdict is Verdict.BLOCK


def test_no_quantity_is_offered_when_none_passes_or_the_order_does() -> None:
    assert ask(order((P5700, -1), quantity=10, limit=-9.5), vega_limited(400.0)).max_quantity is None
    assert ask(order((P5700, -1), quantity=10, limit=-9.5), vega_limited(1e6)).max_quantity is None
    halted = vega_limited(1_600.0, safety=Safety(SafetyState.REDUCE_ONLY))
    assert ask(order((P5700, -1), quantity=10, limit=-9.5), halted).max_quantity is None


def test_of_an_order_beyond_the_position_the_exit_is_offered() -> None:
    held = ground(option(P5700, -2, "-0.25 0.0010 5 -1.5 0.20"), at=MARKET, safety=Safety(SafetyState.REDUCE_ONLY))
    found = ask(order((P5700, 1), quantity=5, limit=10.5), held)
    assert (found.kind, found.verdict, found.max_quantity) == (OrderKind.NEW_RISK, Verdict.BLOCK, 2)


def test_margin_limits_what_is_offered_by_its_share() -> None:
    # ten take 60,000 and leave -5,000: excess was 55,000, each takes 6,000, nine leave 1,000
    told = margin_of(answer(excess=-5_000.0, takes=60_000.0), "test")
    one = order((P5700, -1), quantity=10, limit=-9.5)
    on = ground(at=MARKET)
    assert largest(one, on, told, exit_of(one, on)) == 9
    assert scaled(told, 0.9).excess_after == pytest.approx(1_000.0)
    assert scaled(replace(told, maintenance_before=None), 0.5).unknown


@pytest.mark.parametrize("told", [{}, {"maintenance_margin": Figure(None, None, 60_000.0)}])
def test_an_answer_counts_although_the_requirement_of_now_is_missing(told: dict[str, Figure]) -> None:
    """The excess after is 40,000 of 100,000, a cushion of 0.40; the least is 0.42."""
    owner = account()
    silent = replace(owner, margins=(replace(owner.margins[0], maintenance=None),))
    for one in (owner, silent):
        on = ground(at=MARKET, limits=limited(min_cushion=0.42), accounts=[one])
        assert ask(SELL, on, answer(**told)).verdict is Verdict.BLOCK


def test_an_approval_survives_a_tick_and_names_what_ended_it() -> None:
    held = option(P5600, -1, "-0.18 0.0008 4 -1.2 0.21")
    on = ground(held, at=MARKET)
    basis = basis_of(SELL, on, ask(SELL, on))
    assert moved(basis, on) == ""

    def at(bid: float) -> Ground:
        quotes = {**MARKET.quotes, option(P5700, 1).instrument.key: Quote(bid, bid + 1.0, NOW, "test")}
        return ground(held, at=replace(MARKET, quotes=quotes))

    # mid 10.00: 2 % is 0.20, five ticks of 0.05 are 0.25, which is more
    assert moved(basis, at(9.55)) == ""
    assert moved(basis, at(9.75)) == ""
    assert moved(basis, at(9.2)) == "the package moved from -10.00 to -9.70, at most 0.25"
    assert moved(basis, ground(held, at=replace(MARKET, quotes={}))) == "the package is no longer quoted"
    assert "changed from −1 to −2" in moved(basis, ground(replace(held, quantity=-2.0), at=MARKET))
    assert "changed from −1 to 0" in moved(basis, ground(at=MARKET))
    assert "position" in moved(basis, replace(on, confirmed={IBKR: {held.instrument.key: -3.0}}))
    assert moved(basis, replace(on, confirmed={IBKR: {held.instrument.key: -1.0}})) == ""
    assert "NO_NEW_RISK" in moved(basis, replace(on, safety=Safety(SafetyState.NO_NEW_RISK)))


def test_what_binary_digits_make_of_a_fraction_ends_no_approval() -> None:
    on = ground(at=MARKET, confirmed={IBKR: {"equity:AAPL": 0.1 + 0.2}})
    basis = basis_of(SELL, on, ask(SELL, on))
    assert moved(basis, replace(on, confirmed={IBKR: {"equity:AAPL": 0.3}})) == ""
    assert "AAPL" in moved(basis, replace(on, confirmed={IBKR: {"equity:AAPL": 0.3001}}))
    assert "AAPL" in moved(basis, replace(on, confirmed={IBKR: {"equity:AAPL": math.nan}}))


def with_limits_of(on: Ground, limits: Limits) -> Ground:
    return replace(on, prepared=prepare(on.portfolio, limits, checks.run(on.portfolio, limits)))


def test_another_matrix_or_regime_ends_an_approval() -> None:
    on = ground(at=MARKET)
    basis, limits = basis_of(SELL, on, ask(SELL, on)), limited()
    other = replace(limits, matrix=limits.matrix.model_copy(update={"version": "0" * 12}))
    assert moved(basis, with_limits_of(on, other)) == "the risk matrix was changed"
    assert "regime" in moved(basis, with_limits_of(on, replace(limits, regime="crisis_mode")))
    assert "short vega" in moved(basis, with_limits_of(on, replace(limits, overlay=None)))


def test_a_looser_state_ends_no_approval() -> None:
    on = ground(at=MARKET, safety=Safety(SafetyState.NO_NEW_RISK))
    basis = basis_of(SELL, on, ask(SELL, on))
    assert moved(basis, replace(on, safety=Safety())) == ""


def test_up_to_four_working_orders_every_subset_is_a_world() -> None:
    on = ground(at=MARKET, working=tuple(resting((P5700, 1), reference=str(n)) for n in range(4)))
    assert len(case_of(SELL, on, margin_of(answer(), "test")).worlds) == 16


def test_of_many_working_orders_the_adverse_ones_are_found_together() -> None:
    """Ten rest: five sell 500 of vega each, five buy. With the five shorts filled and the order 3,000 is short."""
    rests = tuple(resting((P5700, -1 if n % 2 else 1), reference=str(n), limit=1.0) for n in range(10))
    on = replace(vega_limited(2_900.0), working=rests)
    chosen = subsets(
        resting_of(on), lambda n: project(on.prepared, resting_of(on)[n].trades).findings, on.prepared.findings
    )
    assert (1, 3, 5, 7, 9) in chosen
    assert tuple(range(10)) in chosen
    assert len(chosen) < 12
    assert blocks(ask(SELL, on)) == {"limit_newly_breached"}
    assert ask(SELL, replace(on, prepared=vega_limited(3_100.0).prepared)).verdict is not Verdict.BLOCK


def test_what_cannot_be_shown_to_be_a_hedge_is_none() -> None:
    case = case_of(SELL, ground(at=MARKET), margin_of(answer(), "test"))
    broken = replace(case, price=None)  # type: ignore[arg-type]  # something that cannot be computed
    assert "cannot be computed" in judged(broken, exit_of(SELL, case.ground), ()).no_hedge


def test_a_broker_that_says_the_buying_power_and_not_the_equity_has_answered() -> None:
    told = Figure(1_000.0, 500.0, 1_500.0)
    left = Preview(NOW, told, told, currency="USD", buying_power_after=7_000.0)
    margin = margin_of(left, "tastytrade")
    assert (margin.unknown, margin.excess_after, margin.at_least) == ("", 7_000.0, True)
    # excess falls by the margin taken, not to the buying power, which is less than it anyhow
    on = ground(at=MARKET, limits=limited(min_cushion=0.2), accounts=[account(excess=50_000.0)])
    case = case_of(SELL, on, margin)
    assert case.after is not None
    assert [row.excess for row in case.after.portfolio.accounts[0].margins] == [49_500.0]
    assert margin_of(replace(left, buying_power_after=None), "tastytrade").unknown
    below = replace(left, maintenance_margin=Figure(1_000.0, -3_000.0, -2_000.0))
    assert margin_of(below, "tastytrade").unknown


def test_an_override_of_size_that_lets_a_notional_pass_is_counted_as_used() -> None:
    leave = Override("o-1", "order_size", "", "Ann", "agreed", NOW, NOW + timedelta(minutes=5))
    on = ground(
        at=MARKET, limits=limited({"max_notional_pct_nlv": 0.5, "overridable": ("order_size",)}), overrides=(leave,)
    )
    found = ask(SELL, on)
    assert [(one.code, one.overridden) for one in found.reasons] == [("order_notional", True)]
    assert used_by(found, [leave], NOW) == (leave,)


def test_what_is_offered_beside_a_resting_close_is_nothing_while_stopped() -> None:
    close, rests = order((P5700, 1), quantity=2, limit=10.5), resting((P5700, 1))
    on = ground(option(P5700, -2), at=MARKET, working=(rests,))
    assert ask(close, on).max_quantity == 1
    assert ask(close, replace(on, safety=Safety(SafetyState.STOPPED))).max_quantity is None

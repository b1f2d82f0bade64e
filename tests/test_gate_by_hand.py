"""Orders worked out by hand: the cases on which risk engines on record have failed."""

from __future__ import annotations

from dataclasses import replace

from guardrails.findings import Level
from guardrails.gate.ground import Ground
from guardrails.gate.projection import Prepared
from guardrails.gate.values import OrderKind, Verdict
from guardrails.matrix.limits import DteAlarm, ShortOptionDte
from guardrails.portfolio import AccountHistory
from guardrails.safety import Safety, SafetyState
from guardrails.values import Observed
from tests.books import IBKR, NOW, account, future, option, stock
from tests.gates import answer, ask, blocks, codes, ground, limited, order, quoted, resting, with_quotes
from tests.stressed import stress_limits

P5700, P5600, P5100, C6300, C6400 = (
    "SPXW  261218P05700000", "SPXW  261218P05600000", "SPXW  261218P05100000", "SPXW  261218C06300000",
    "SPXW  261218C06400000",
)  # fmt: skip
QUOTED = {"bid": 9.5, "ask": 10.5, "mark": 10.0, "quote_time": NOW, "mark_time": NOW}
SHORT_PUT = option(P5700, -2, "-0.25 0.0010 5 -1.5 0.20", **QUOTED)
LONG_PUT = option(P5600, 2, "-0.18 0.0008 4 -1.2 0.21", **QUOTED)
WING = option(P5100, 2, "-0.03 0.0002 1 -0.4 0.30", bid=1.0, ask=1.2, mark=1.1, quote_time=NOW, mark_time=NOW)
SHORT_CALL = option(C6300, -2, "0.15 0.0008 4 -1.0 0.14", **QUOTED)


def lost(fraction: float) -> dict[object, AccountHistory]:
    """A history in which the account of 100,000 has lost this part of its start, as three readings say."""
    start = 100_000.0 / (1.0 - fraction)
    begun = NOW.replace(hour=14, minute=30)
    losing = tuple(NOW.replace(minute=minute) for minute in (20, 22, 24))
    return {IBKR: AccountHistory(begun, NOW.date(), Observed(start, begun, "test"), losing=losing)}


def test_on_a_halt_day_a_short_is_bought_back_at_natural() -> None:
    halted = ground(SHORT_PUT, limits=limited(max_daily_loss_pct=0.03), history=lost(0.05))
    assert [f.level for f in halted.prepared.findings if f.check == "daily_loss"] == [Level.BREACH]
    for state in (SafetyState.NORMAL, SafetyState.NO_NEW_RISK, SafetyState.REDUCE_ONLY):
        found = ask(order((P5700, 1), quantity=2, limit=10.5), replace(halted, safety=Safety(state)))
        assert (found.kind, found.verdict) == (OrderKind.EXIT, Verdict.ALLOW)
    assert "daily_loss" in blocks(ask(order((P5700, -1), limit=-9.5), halted))


def test_closing_qqq_passes_though_the_share_of_the_rest_rises() -> None:
    # gross delta: AAPL 100 x 250 = 25,000 and QQQ 100 x 500 = 50,000: shares 33 % and 67 %; without QQQ AAPL has 100 %
    held = ground(
        stock("AAPL", 100, 250.0), stock("QQQ", 100, 500.0),
        at=quoted(betas={"AAPL": 1.2, "QQQ": 1.1}), limits=limited(max_single_underlying_delta_pct=0.5),
    )  # fmt: skip
    found = ask(order(("QQQ", -1), quantity=100, limit=-500.0), held)
    assert (found.kind, found.verdict) == (OrderKind.EXIT, Verdict.WARN)
    assert [(one.code, one.subject) for one in found.reasons] == [("limit_newly_breached", "underlying:AAPL")]


def test_closing_premium_passes_though_theta_falls_below_its_floor() -> None:
    # theta of the short: -2 x -1.5 x 100 = 300 a day; without it 0, below a floor of 100
    held = ground(SHORT_PUT, limits=limited(min_daily_theta=100.0))
    found = ask(order((P5700, 1), quantity=2, limit=10.5), held)
    assert (found.kind, found.verdict, codes(found)) == (OrderKind.EXIT, Verdict.ALLOW, set())  # advisory as shipped


def test_a_short_call_is_bought_back_though_delta_rises() -> None:
    # -2 calls: -2 x 0.15 x 100 x 6000 = -180,000; 100 SPY: +60,000; 1 ES: +300,000. 180,000 before, 360,000 after
    held = ground(
        SHORT_CALL, stock("SPY", 100, 600.0), future("/ESZ26", 1, 6000.0, 50.0), limits=limited(max_beta_delta=40.0)
    )
    found = ask(order((C6300, 1), quantity=2, limit=10.5), held)
    assert (found.kind, found.verdict) == (OrderKind.EXIT, Verdict.WARN)
    assert found.after.beta_delta_dollars == 360_000.0
    assert codes(found) == {"limit_newly_breached"}


def test_a_micro_future_hedges_though_it_takes_margin() -> None:
    # two naked 5700 puts lose far more than 10,000 at -20 %: breached; one MES short gains 5 x 6000 x 0.2 = 6,000 there
    limits = stress_limits(ladder=((-0.20, 0.10),), after=())
    rules = limited(stress=limits.keys.stress, min_cushion=0.2, max_margin_utilisation=0.5)
    held = ground(SHORT_PUT, limits=rules, accounts=[account(excess=52_000.0)])
    assert any(f.check == "stress_ladder" and f.level is Level.BREACH for f in held.prepared.findings)
    hedge = order(("/MESZ26", -1))
    for state in (SafetyState.NORMAL, SafetyState.NO_NEW_RISK, SafetyState.REDUCE_ONLY):
        found = ask(hedge, replace(held, safety=Safety(state)), answer(excess=49_700.0, takes=2_300.0))
        assert found.kind is OrderKind.HEDGE
        assert found.verdict is not Verdict.BLOCK
    broke = ask(hedge, held, answer(excess=-1.0, takes=53_001.0))
    assert (broke.kind, broke.verdict) == (OrderKind.NEW_RISK, Verdict.BLOCK)


def condor() -> Ground:
    """Short 5700 puts with wings 100 points and 15 % out, on a book whose stress is breached."""
    limits = stress_limits(ladder=((-0.20, 0.02),), after=())
    return ground(SHORT_PUT, WING, limits=limited(stress=limits.keys.stress))


def test_selling_the_far_wing_of_a_condor_is_new_risk_and_blocked() -> None:
    found = ask(order((P5100, -1), quantity=2, limit=-1.0), condor())
    assert (found.kind, found.verdict) == (OrderKind.NEW_RISK, Verdict.BLOCK)
    assert "limit_worsened" in blocks(found)
    assert "less covered" in found.evidence["no_exit"]
    assert found.max_quantity is None


def test_closing_the_whole_condor_is_one_exit() -> None:
    found = ask(order((P5700, 1), (P5100, -1), quantity=2, limit=9.5), condor())
    assert found.kind is OrderKind.EXIT
    assert found.verdict is not Verdict.BLOCK


def test_a_resting_profit_taker_is_offered_for_cancelling_and_does_not_make_a_close_impossible() -> None:
    rests = resting((P5700, 1), quantity=2, limit=2.0, time_in_force="GTC")
    held = ground(SHORT_PUT, working=(rests,))
    found = ask(order((P5700, 1), quantity=2, limit=10.5), held)
    assert (blocks(found), found.max_quantity) == ({"resting_close"}, None)
    assert "order 17 of TWS" in found.reasons[0].message
    assert "wait for the confirmation" in found.reasons[0].message
    part = ask(order((P5700, 1), quantity=2, limit=10.5), replace(held, working=(replace(rests, filled=1.0),)))
    assert (blocks(part), part.max_quantity) == ({"resting_close"}, 1)
    again = ask(order((P5700, 1), quantity=1, limit=10.5), replace(held, working=(replace(rests, filled=1.0),)))
    assert (again.kind, again.verdict) == (OrderKind.EXIT, Verdict.ALLOW)
    without = ask(order((P5700, 1), quantity=2, limit=10.5), replace(held, working=()))
    assert (without.kind, without.verdict) == (OrderKind.EXIT, Verdict.ALLOW)


def test_an_unfilled_hedge_bid_does_not_open_the_way_for_more_shorts() -> None:
    # vega 2 x 5 x 100 = 1,000 short (at 30 days); two more shorts make 2,000; the bid would take 8,000 off
    held = ground(SHORT_PUT, limits=limited(max_negative_vega=-1_100.0))
    bid = resting((P5600, 1), quantity=20, limit=9.0)
    on = ground(SHORT_PUT, LONG_PUT, limits=limited(max_negative_vega=-400.0), working=(bid,))
    found = ask(order((P5700, -1), quantity=2, limit=-9.5), replace(held, working=(bid,)))
    assert "limit_newly_breached" in blocks(found)
    found = ask(order((P5700, -1), quantity=1, limit=-9.5), on)
    assert "limit_newly_breached" in blocks(found)


def test_a_working_short_counts_although_it_is_not_filled() -> None:
    # 1,000 held, 500 of one more, 500 of the one that rests: 2,000 in all, more than 1,600
    limits = limited(max_negative_vega=-1_600.0)
    alone = ask(order((P5700, -1), limit=-9.5), ground(SHORT_PUT, limits=limits))
    assert alone.verdict is not Verdict.BLOCK
    rests = resting((P5700, -1), limit=-12.0)
    found = ask(order((P5700, -1), limit=-9.5), ground(SHORT_PUT, limits=limits, working=(rests,)))
    assert blocks(found) == {"limit_newly_breached"}
    assert "fills" in found.reasons[0].message
    assert "decided by" in found.working


def test_a_condor_that_breaks_vega_is_offered_in_the_quantity_that_passes() -> None:
    # a package has 100 x (4 + 1 - 5 - 4) = -400 of vega; one is held: four more make -2,000, five -2,400
    book = ground(
        option(P5700, -1, "-0.25 0.0010 5 -1.5 0.20", **QUOTED), option(P5600, 1, "-0.18 0.0008 4 -1.2 0.21", **QUOTED),
        option(C6300, -1, "0.15 0.0008 4 -1.0 0.14", **QUOTED), option(C6400, 1, "0.05 0.0003 1 -0.5 0.13", **QUOTED),
        limits=limited(max_negative_vega=-2_100.0),
    )  # fmt: skip
    legs = ((P5700, -1), (P5600, 1), (C6300, -1), (C6400, 1))
    found = ask(order(*legs, quantity=7, limit=-0.01), book)
    assert (found.verdict, found.max_quantity) == (Verdict.BLOCK, 4)
    offered = ask(order(*legs, quantity=4, limit=-0.01), book)
    assert offered.verdict is not Verdict.BLOCK
    assert ask(order(*legs, quantity=5, limit=-0.01), book).verdict is Verdict.BLOCK


def test_stopped_sends_nothing_and_names_the_way_out() -> None:
    found = ask(order((P5700, 1), limit=10.5), ground(SHORT_PUT, safety=Safety(SafetyState.STOPPED)))
    assert (found.kind, found.verdict, blocks(found)) == (OrderKind.EXIT, Verdict.BLOCK, {"stopped"})
    assert "REDUCE_ONLY" in found.reasons[0].message


def test_adding_to_a_short_that_expires_too_soon_makes_it_worse_and_buying_it_back_does_not() -> None:
    alarm = DteAlarm(watch=40, breach=30)
    rule = ShortOptionDte(physical=alarm, cash_am=alarm, cash_pm=alarm)
    held = ground(SHORT_PUT, limits=limited(short_option_dte=rule))
    more = ask(order((P5700, -1), limit=-9.5), held)
    assert [(one.code, one.check) for one in more.reasons] == [("limit_worsened", "short_option_expiry")]
    assert ask(order((P5600, 1), limit=9.0), replace(held, prepared=with_put(held, rule))).verdict is not Verdict.BLOCK
    assert ask(order((P5700, 1), limit=10.5), held).verdict is Verdict.ALLOW


def with_put(held: Ground, rule: ShortOptionDte) -> Prepared:
    """The same with a long put besides, so that buying one more is no exit."""
    return ground(*held.portfolio.positions, LONG_PUT, limits=limited(short_option_dte=rule)).prepared


def test_a_hedge_bought_far_above_its_price_is_no_hedge() -> None:
    # 5600 puts are worth about 10.00; one bought gains thousands at -20 %, but not if it costs 500.00
    limits = stress_limits(ladder=((-0.20, 0.10),), after=())
    held = ground(SHORT_PUT, LONG_PUT, limits=limited(stress=limits.keys.stress))
    fair = ask(order((P5600, 1), limit=10.5), held)
    assert (fair.kind, fair.verdict is Verdict.BLOCK) == (OrderKind.HEDGE, False)
    dear = ask(order((P5600, 1), limit=900.0), held)
    assert (dear.kind, dear.verdict) == (OrderKind.NEW_RISK, Verdict.BLOCK)
    assert "worst stress loss" in dear.evidence["no_hedge"]


def test_advice_never_refuses_an_order() -> None:
    # theta of two shorts is 300 a day; a third makes 450, over the advisory cap
    held = ground(SHORT_PUT, limits=limited(max_daily_theta=310.0))
    assert ask(order((P5700, -1), limit=-9.5), held).verdict is Verdict.ALLOW
    matrix = held.limits.matrix.model_copy(update={"advisory": ()})
    strict = replace(held.limits, matrix=matrix)
    found = ask(order((P5700, -1), limit=-9.5), ground(SHORT_PUT, limits=strict))
    assert [(one.code, one.check) for one in found.reasons] == [("limit_newly_breached", "theta_cap")]


def test_a_hedge_that_leaves_no_excess_is_no_hedge() -> None:
    limits = stress_limits(ladder=((-0.20, 0.10),), after=())
    held = ground(SHORT_PUT, limits=limited(stress=limits.keys.stress))
    assert ask(order(("/MESZ26", -1)), held, answer(excess=1.0)).kind is OrderKind.HEDGE
    found = ask(order(("/MESZ26", -1)), held, answer(excess=0.0))
    assert (found.kind, blocks(found)) == (OrderKind.NEW_RISK, {"excess_gone"})


def test_an_advisory_limit_that_is_not_known_refuses_nothing() -> None:
    blind = option("SPXW  261218P05500000", -1)
    limits = limited(max_gamma=1e9)
    sell = order((P5700, -1), limit=-9.5)
    assert blocks(ask(sell, ground(SHORT_PUT, blind, limits=limits))) == {"limit_unknown"}
    advised = replace(limits, matrix=limits.matrix.model_copy(update={"advisory": ("max_gamma",)}))
    assert ask(sell, ground(SHORT_PUT, blind, limits=advised)).verdict is Verdict.ALLOW


def test_an_order_is_not_blamed_for_what_a_working_order_would_break() -> None:
    # 1,000 short is kept at 1,050; the resting sale would make it 1,500, and with the put that is bought 1,100
    rests = resting((P5700, -1), limit=-12.0)
    held = ground(SHORT_PUT, option(P5600, 0, "-0.18 0.0008 4 -1.2 0.21", **QUOTED), working=(rests,))
    on = ground(*held.portfolio.positions, limits=limited(max_negative_vega=-1_050.0), working=(rests,))
    assert blocks(ask(order((P5600, 1), limit=10.0), on)) == set()


def test_options_sold_without_cover_are_no_hedge_however_well_they_stress() -> None:
    """Two puts bought, one of a month later sold: every shock improves; after December the later one stands alone."""
    later = "SPXW  270115P05500000"
    limits = stress_limits(ladder=((-0.20, 0.10),), after=())
    at = with_quotes(
        quoted(),
        **{
            P5600.replace(" ", "_"): (9.5, 10.5, "-0.18 0.0008 4 -1.2 0.21"),
            later.replace(" ", "_"): (8.0, 9.0, "-0.10 0.0008 4 -1.2 0.21"),
        },
    )
    rules = limited(stress=limits.keys.stress)
    held = ground(SHORT_PUT, LONG_PUT, limits=rules, at=at, safety=Safety(SafetyState.REDUCE_ONLY))
    found = ask(order((P5600, 2), (later, -1), limit=12.0), held)
    assert found.stress.worst_before is not None
    assert found.stress.worst_after is not None
    assert found.stress.worst_after > found.stress.worst_before
    assert (found.kind, found.verdict) == (OrderKind.NEW_RISK, Verdict.BLOCK)
    assert "less covered" in found.evidence["no_hedge"]
    covered = ask(order((P5600, 1), (P5100, -1), limit=9.0), ground(SHORT_PUT, WING, limits=rules, at=at))
    assert covered.kind is not OrderKind.EXIT
    alone = ask(order((P5600, 1), limit=10.5), held)
    assert alone.kind is OrderKind.HEDGE

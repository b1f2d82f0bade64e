"""The plan to close: its order, its prices, what it leaves and why; every order of it is an exit in its place."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from guardrails.flatten.plan import HELD_BACK
from guardrails.flatten.plan_json import plan_from, plan_json, wish_from, wish_json
from guardrails.flatten.pricing import rule_name
from guardrails.flatten.printed import as_csv, as_text
from guardrails.flatten.values import Plan, Scope, Wish
from guardrails.instruments import Kind
from guardrails.matrix.orders import FlattenRules
from guardrails.orders import Leg, PriceRule
from guardrails.portfolio import Portfolio
from guardrails.values import Dividend, Position
from tests.books import IBKR, NOW, TASTY, future, market, option, with_limits
from tests.flattened import after, call, holding, is_exit, planned, put, resting, shares, titles, whys
from tests.stressed import stressed

ALONE = Wish(whole_packages=False)
EVERYTHING = Wish(Scope.EVERYTHING)


# --- what is closed, in which order


def test_a_short_put_is_bought_back_from_the_middle_to_the_far_side() -> None:
    plan = planned(holding(put(5700, -2, "8.00 9.00")))
    close = plan.closes[0]
    # middle 8.50 on a tick of 0.10 (3.00 and above), natural 9.00; half of the width of 1.00 beyond the middle is 9.00
    assert close.title == "BUY 2 × SPXW 18Dec26 5700P to close, limit 8.50"
    assert (close.mid, close.natural, close.order.limit, close.cap) == (8.50, 9.00, 8.50, 9.00)
    # 2 contracts x 100 x 8.50 and 9.00
    assert (close.cost_at_mid, close.cost_at_natural, plan.cost_at_natural) == (1_700.0, 1_800.0, 1_800.0)
    assert plan.phrase == "CLOSE 1 SHORT"
    assert plan.trading == ""


def test_a_spread_is_closed_as_one_order_and_its_long_is_named() -> None:
    plan = planned(holding(put(5700, -2, "8.00 9.00"), put(5600, 2, "5.00 5.60")))
    close = plan.closes[0]
    assert titles(plan) == [
        "BUY 2 × SPXW 18Dec26 5700P + SELL 2 × SPXW 18Dec26 5600P to close as one order, limit 3.20 debit"
    ]
    # middle 8.50 - 5.30, natural 9.00 - 5.00; 0.5 of the width of 1.60 beyond the middle
    assert (close.mid, close.natural, close.cap) == (pytest.approx(3.20), pytest.approx(4.00), 4.00)
    assert "closes the long SPXW 18Dec26 5600P as well, opened together with the short" in close.why_here
    assert plan.phrase == "CLOSE 1 SHORT"
    assert plan.left == ()


def test_shorts_alone_leave_their_longs_and_name_them() -> None:
    plan = planned(holding(put(5700, -2), put(5600, 2)), ALONE)
    assert titles(plan) == ["BUY 2 × SPXW 18Dec26 5700P to close, limit 10.00"]
    assert whys(plan) == {"SPXW 18Dec26 5600P": "a long that stays when the short beside it is closed"}
    assert not plan.left[0].stuck


def test_a_condor_is_one_order_of_four_legs() -> None:
    condor = holding(put(5500, 1, "2.00 2.20"), put(5600, -1, "4.00 4.20"), call(6400, -1, "4.00 4.20"),
                     call(6500, 1, "2.00 2.20"))  # fmt: skip
    plan = planned(condor)
    assert len(plan.closes) == 1
    assert len(plan.closes[0].order.legs) == 4
    assert plan.phrase == "CLOSE 2 SHORTS"
    assert plan.closes[0].order.limit == pytest.approx(4.00)  # 4.10 + 4.10 - 2.10 - 2.10


def test_everything_closes_shorts_first_and_longs_after_the_shorts_they_cover() -> None:
    plan = planned(
        holding(put(5600, 2), put(5700, -2), shares("SPY", -100)), Wish(Scope.EVERYTHING, whole_packages=False)
    )
    assert [title.split(" to close")[0] for title in titles(plan)] == [
        "BUY 2 × SPXW 18Dec26 5700P", "BUY 100 × SPY", "SELL 2 × SPXW 18Dec26 5600P",
    ]  # fmt: skip
    assert plan.phrase == "CLOSE 3 POSITIONS"


def test_what_takes_most_stress_off_for_a_dollar_comes_first_and_what_expires_today_before_it() -> None:
    near, far = put(5900, -1, "9.95 10.05"), put(5200, -1, "8.00 12.00")
    today = put(5000, -1, "0.40 0.60", expiry="261118")
    plan = planned(stressed(far, near, today, limits=with_limits()))
    assert [close.order.legs[0].instrument.label for close in plan.closes] == [
        "SPXW 18Nov26 5000P", "SPXW 18Dec26 5900P", "SPXW 18Dec26 5200P",
    ]  # fmt: skip
    first, second, third = plan.closes
    assert first.why_here == "SPXW 18Nov26 5000P expires today"
    assert second.stress_removed
    assert second.per_dollar
    assert third.per_dollar
    assert second.stress_removed > 0
    assert second.per_dollar == pytest.approx(second.stress_removed / 5.0)  # 0.05 x 100 dollars over the middle
    assert second.per_dollar > third.per_dollar
    assert "off the worst loss for $5 over the middle" in second.why_here


def test_closing_what_protects_is_said_to_add_to_the_worst_loss() -> None:
    guard = put(5800, 1, "5.95 6.05", expiry="261218")
    plan = planned(
        stressed(put(5900, -2, "9.95 10.05"), guard, limits=with_limits()), Wish(Scope.EVERYTHING, whole_packages=False)
    )
    last = plan.closes[-1]
    assert last.order.legs[0].instrument.label == "SPXW 18Dec26 5800P"
    assert last.stress_removed
    assert last.stress_removed < 0
    assert last.why_here.startswith("adds $")


def test_a_short_whose_loss_is_not_known_is_taken_for_the_worst() -> None:
    unknown = put(5000, -1, greeks=None, mark=None, quote_time=NOW)
    plan = planned(stressed(put(5900, -1), replace(unknown, multiplier=None), limits=with_limits()))
    assert plan.closes[0].order.legs[0].instrument.label == "SPXW 18Dec26 5000P"
    assert plan.closes[0].why_here == "what it would lose is not known: taken for the worst"
    assert plan.cost_at_mid is None  # without a multiplier


def test_a_call_in_the_money_before_the_ex_date_cannot_wait() -> None:
    deep = option("AAPL  261218C00200000", -1, "0.9 0.01 0.1 -0.1 0.3", bid=54.9, ask=55.1, quote_time=NOW)
    where = market(AAPL=255.0)
    told = {"AAPL": (Dividend(date(2026, 11, 19), 0.30, "USD", "test", NOW),)}  # NOW is the 18th, the last day before
    plan = planned(holding(put(5900, -1), deep, at=replace(where, dividends=told)))
    assert plan.closes[0].why_here == "AAPL 18Dec26 200C is in the money before the ex-date 2026-11-19"
    later = {"AAPL": (Dividend(date(2026, 11, 20), 0.30, "USD", "test", NOW),)}
    plan = planned(holding(put(5900, -1), deep, at=replace(where, dividends=later)))
    assert not any("ex-date" in close.why_here for close in plan.closes)


def test_a_package_that_might_uncover_something_is_closed_leg_by_leg_as_far_as_it_can_be() -> None:
    plan = planned(holding(put(5700, -2), put(5600, 2), put(5000, None)), EVERYTHING)
    assert titles(plan) == ["BUY 2 × SPXW 18Dec26 5700P to close, limit 10.00"]
    assert whys(plan)["SPXW 18Dec26 5600P"] == HELD_BACK


def test_large_orders_are_split_and_packages_counted_by_their_largest_leg() -> None:
    plan = planned(holding(put(5700, -120)))
    assert [close.order.quantity for close in plan.closes] == [50, 50, 20]
    assert plan.phrase == "CLOSE 1 SHORT"
    ratio = planned(holding(put(5700, -60), put(5600, 30)), Wish(), rules=FlattenRules(most_at_once=20))
    assert [(close.order.quantity, max(abs(leg.ratio) for leg in close.order.legs)) for close in ratio.closes] == [
        (10, 2), (10, 2), (10, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wish", "closed"),
    [
        (Wish(Scope.UNDERLYING, underlying="SPX"), {"SPXW 18Dec26 5700P", "SPY"}),
        (Wish(Scope.EXPIRY, expiry=date(2026, 12, 18)), {"SPXW 18Dec26 5700P", "AAPL 18Dec26 200P"}),
        (Wish(accounts=("tastytrade •••0001",)), {"AAPL 18Dec26 200P"}),
    ],
)
def test_scopes_close_what_they_name(wish: Wish, closed: set[str]) -> None:
    apple = option("AAPL  261218P00200000", -1, "-0.1 0.01 0.1 -0.1 0.3", TASTY, bid=1.0, ask=1.1, quote_time=NOW)
    plan = planned(holding(put(5700, -1), shares("SPY", 100), apple, at=market(AAPL=250.0)), wish)
    assert {leg.instrument.label for close in plan.closes for leg in close.order.legs} == closed


# --- what is left


def test_a_worthless_short_is_left_to_expire_and_its_long_stays_with_it() -> None:
    plan = planned(holding(put(5000, -1, "- 0.05"), put(4900, 1, "0.10 0.15")), EVERYTHING)
    assert plan.closes == ()
    assert plan.phrase == ""
    assert whys(plan) == {
        "SPXW 18Dec26 5000P": "worth 0.05 or less without a bid: left to expire", "SPXW 18Dec26 4900P": HELD_BACK,
    }  # fmt: skip
    assert [one.stuck for one in plan.left] == [False, True]


def test_a_worthless_long_is_left_and_its_short_closed_alone() -> None:
    plan = planned(holding(put(5700, -1), put(4000, 1, "0 0.05")))
    assert titles(plan) == ["BUY 1 × SPXW 18Dec26 5700P to close, limit 10.00"]
    assert whys(plan) == {"SPXW 18Dec26 4000P": "worth 0.05 or less without a bid: left to expire"}


@pytest.mark.parametrize(
    ("position", "why"),
    [
        (put(5700, -1, "- -"), "no quote"),
        (put(5700, -1, "9.00 -"), "nobody offers it"),
        (put(5700, -1, "9.00 8.00"), "its quote is crossed (9 bid, 8 asked)"),
        (put(5700, -1, quote_time=NOW - timedelta(minutes=6)), "stale quote, 6 min old"),
        (put(5700, None, reasons=("row 7 has no quantity",)), "its quantity cannot be read: row 7 has no quantity"),
        (put(5700, -1, expiry="261117"), "it has traded for the last time (Tue 17 Nov 16:00 ET)"),
        (put(5700, -0.5), "less than one unit, which no order takes"),
        (
            option("AAPL1 261218P00200000", -1, "-0.1 0 0 0 0.3", bid=1.0, ask=1.1, quote_time=NOW),
            "an adjusted option, whose deliverable is not known: close it at the broker",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_closed_now_is_named_with_its_reason(position: Position, why: str) -> None:
    plan = planned(holding(position))
    assert plan.closes == ()
    assert [(one.why, one.stuck) for one in plan.left] == [(why, True)]


def test_doubts_about_greeks_and_marks_do_not_keep_a_short_from_being_closed() -> None:
    plan = planned(holding(put(5700, -1, greeks=None, reasons=("its mark is outside its quote",))))
    assert len(plan.closes) == 1
    assert "doubtful (its mark is outside its quote): what is held is read anew first" in plan.closes[0].why_here


@pytest.mark.parametrize(
    ("moment", "closed", "open_"),
    [
        (datetime(2026, 11, 18, 14, 29, tzinfo=UTC), "market closed until Wed 18 Nov 09:30 ET", 0),
        (datetime(2026, 11, 18, 21, 10, tzinfo=UTC), "market closed until Thu 19 Nov 09:30 ET", 1),  # index: to 16:15
        (datetime(2026, 11, 27, 18, 10, tzinfo=UTC), "market closed until Mon 30 Nov 09:30 ET", 1),  # half-day, 13:10
        (datetime(2026, 11, 27, 18, 20, tzinfo=UTC), "market closed until Mon 30 Nov 09:30 ET", 0),
        (datetime(2026, 11, 21, 15, 0, tzinfo=UTC), "market closed until Mon 23 Nov 09:30 ET", 0),
    ],
)
def test_each_product_keeps_its_hours_on_half_days_as_well(moment: datetime, closed: str, open_: int) -> None:
    apple = option("AAPL  261218P00200000", -1, "-0.1 0.01 0.1 -0.1 0.3", bid=1.0, ask=1.1, quote_time=moment)
    portfolio = holding(put(5700, -1, quote_time=moment), apple, at=market(AAPL=250.0))
    plan = planned(replace(portfolio, market_open=False), now=moment)
    assert len(plan.closes) == open_
    assert whys(plan)["AAPL 18Dec26 200P"] == closed


def test_futures_trade_in_the_night_and_rest_for_an_hour() -> None:
    night, rest = datetime(2026, 11, 19, 4, 0, tzinfo=UTC), datetime(2026, 11, 18, 22, 30, tzinfo=UTC)
    held = replace(future("/ESZ26", 2, 6_000.0, 50.0), bid=5_999.75, ask=6_000.25, quote_time=night)
    portfolio = replace(holding(held), market_open=False)
    plan = planned(portfolio, EVERYTHING, now=night)
    assert titles(plan) == ["SELL 2 × /ESZ26 to close, limit 6,000"]
    # a future is settled every day: closing costs what it is worse than the middle, 2 x 50 x 0.25
    assert (plan.cost_at_mid, plan.cost_at_natural) == (0.0, 25.0)
    assert whys(planned(portfolio, EVERYTHING, now=rest)) == {"/ESZ26": "market closed until Wed 18 Nov 18:00 ET"}


def test_a_fraction_of_a_share_stays() -> None:
    plan = planned(holding(shares("SPY", 12.5)), EVERYTHING)
    assert titles(plan) == ["SELL 12 × SPY to close, limit 600.00"]
    assert [(one.quantity, one.stuck) for one in plan.left] == [(0.5, True)]


def test_a_long_outside_the_scope_is_not_touched_and_one_inside_that_covers_a_short_outside_stays() -> None:
    calendar = holding(put(5600, -1), put(5600, 1, expiry="270115"))
    plan = planned(calendar, Wish(Scope.EXPIRY, expiry=date(2027, 1, 15)))
    assert plan.closes == ()
    assert whys(plan) == {"SPXW 15Jan27 5600P": HELD_BACK}
    near = planned(calendar, Wish(Scope.EXPIRY, expiry=date(2026, 12, 18)))
    assert titles(near) == ["BUY 1 × SPXW 18Dec26 5600P to close, limit 10.00"]


# --- working orders


def test_working_orders_on_what_is_closed_are_cancelled_first_whichever_side() -> None:
    short, long = put(5700, -2), put(5600, 2)
    apple = option("AAPL  261218P00200000", 1, "-0.1 0.01 0.1 -0.1 0.3", bid=1.0, ask=1.1, quote_time=NOW)
    orders = [resting(short, 2, "r1"), resting(long, -2, "r2"), resting(apple, 1, "r3"),
              resting(put(5000, 0), -3, "r4"), resting(short, 1, "r5", filled=1.0)]  # fmt: skip
    plan = planned(holding(short, long, apple, at=market(AAPL=250.0)), working=orders)
    assert [cancel.reference for cancel in plan.cancels] == ["r1", "r2", "r4"]  # r4 would sell a new short
    assert plan.cancels[0].words == "BUY 2 × SPXW 18Dec26 5700P at 1 GTC"
    assert plan.closes[0].order.quantity == 2


def test_an_order_of_another_program_keeps_its_part_of_what_can_be_closed() -> None:
    short = put(5700, -5)
    plan = planned(holding(short), working=[resting(short, 2, sender="client 5", cancellable=False)])
    assert [(cancel.cancellable, cancel.words) for cancel in plan.cancels] == [
        (False, "BUY 2 × SPXW 18Dec26 5700P at 1 GTC, of client 5")
    ]
    assert plan.closes[0].order.quantity == 3
    assert [(one.quantity, one.stuck) for one in plan.left] == [(-2.0, True)]


def test_what_an_order_of_another_program_closes_is_left_once_whatever_else_speaks_against_it() -> None:
    silent = holding(put(5700, -5, "- -"), shares("SPY", 12.5))
    put_back, sold = silent.positions
    theirs = [resting(put_back, 2, "r1", cancellable=False), resting(sold, -12, "r2", cancellable=False)]
    plan = planned(silent, EVERYTHING, working=theirs)
    assert plan.closes == ()
    assert [(one.quantity, one.why.partition(":")[0]) for one in plan.left] == [
        (-3.0, "no quote"), (0.5, "less than one unit, which no order takes"),
        (-2.0, "a working order of another program closes it already"),
        (12.0, "a working order of another program closes it already"),
    ]  # fmt: skip
    whole = planned(silent, EVERYTHING, working=[replace(theirs[0], quantity=5.0)])
    assert [one.quantity for one in whole.left if "SPXW" in one.label] == [-5.0]


def test_a_wing_stays_while_another_program_may_sell_the_other_one() -> None:
    short, near, far = put(5700, -1, "- -"), put(5600, 1), put(5500, 1)
    assert len(planned(holding(short, near, far), EVERYTHING).closes) == 1
    theirs = resting(far, -1, cancellable=False)
    plan = planned(holding(short, near, far), EVERYTHING, working=[theirs])
    assert plan.closes == ()
    assert whys(plan)[near.instrument.label] == HELD_BACK
    opens = resting(put(5650, 0), -1, cancellable=False)  # nothing of it is held
    book = holding(near)
    assert [is_exit(close.order, book, [opens]) for close in planned(book, EVERYTHING).closes] != [""]
    assert planned(book, EVERYTHING, working=[opens]).closes == ()


def test_a_working_order_of_no_known_size_is_cancelled_or_takes_all_of_it() -> None:
    short = put(5700, -2)
    one = resting(short, 1, filled=math.nan)
    plan = planned(holding(short), working=[one])
    assert ([cancel.reference for cancel in plan.cancels], plan.closes[0].order.quantity) == (["r1"], 2)
    kept = planned(holding(short), working=[replace(one, cancellable=False)])
    assert (kept.closes, [left.quantity for left in kept.left]) == ((), [-2.0])


def test_an_order_that_nobody_can_read_is_cancelled_as_well() -> None:
    short = put(5700, -1)
    plan = planned(holding(short), working=[replace(resting(short, 1), legs=(), unread="a conversion")])
    assert plan.cancels[0].words == "an order that cannot be read (a conversion)"


# --- prices


def test_the_venues_rule_of_prices_decides_and_a_seller_goes_down() -> None:
    long = put(5700, 3, "8.03 8.12")
    legs = (Leg(long.instrument, -1),)
    rules = {rule_name(legs, "IBKR"): PriceRule(((Decimal(0), Decimal("0.01")),))}
    cents = planned(holding(long), EVERYTHING, price_rules=rules).closes[0]
    # middle 8.075 -> received at least 8.07; natural and cap 8.03
    assert (cents.order.limit, cents.cap) == (-8.07, -8.03)
    assert cents.title == "SELL 3 × SPXW 18Dec26 5700P to close, limit 8.07"
    dimes = planned(holding(long), EVERYTHING).closes[0]
    assert (dimes.order.limit, dimes.cap) == (-8.0, -8.0)
    assert cents.cost_at_mid == pytest.approx(-2_422.5)  # 3 x 100 x 8.075 received


def test_the_cap_goes_as_far_beyond_the_middle_as_the_matrix_says() -> None:
    beyond = planned(holding(put(5700, -1, "8.00 9.00")), rules=FlattenRules(slippage_cap=1.5)).closes[0]
    assert beyond.cap == 10.0  # 8.50 + 1.5 x 1.00
    none = planned(holding(put(5700, -1, "8.00 9.00")), rules=FlattenRules(slippage_cap=0.0)).closes[0]
    assert none.cap == none.order.limit == 8.50


# --- hedges, hands, paper


def test_hedges_are_offered_in_whole_contracts_against_the_delta_of_the_book() -> None:
    where = market(**{"/ESZ26": 6_010.0, "/MESZ26": 6_010.0})
    plan = planned(holding(put(5700, -10), at=where))
    before = 10 * 0.2 * 100 * 6_000.0  # short puts of delta -0.2: long 1,200,000 dollars
    offers = {offer.order.legs[0].instrument.symbol: offer for offer in plan.hedges}
    assert {symbol: offer.order.quantity * offer.order.legs[0].ratio for symbol, offer in offers.items()} == {
        "/ESZ26": -3, "/MESZ26": -39, "SPY": -2_000,  # 1,200,000 over 300,500, 30,050 and 600
    }  # fmt: skip
    assert offers["/ESZ26"].beta_delta_before == pytest.approx(before)
    assert offers["/ESZ26"].beta_delta_after == pytest.approx(before - 3 * 300_500.0)
    assert planned(holding(call(6400, -10), at=where)).hedges[0].order.legs[0].ratio == 1


def test_no_hedge_is_offered_for_a_delta_that_is_not_known_or_without_a_price() -> None:
    assert planned(holding(put(5700, -10, greeks=None))).hedges == ()
    assert [one.order.legs[0].instrument.symbol for one in planned(holding(put(5700, -10))).hedges] == ["SPY"]


def test_with_trading_off_the_plan_is_a_list_to_enter_by_hand() -> None:
    off = "trading is off: set IBKR_TRADING"
    plan = planned(holding(put(5700, -2, "8.00 9.00"), put(5600, 2, "5.00 5.60")), trading=lambda _: off)
    assert plan.trading == f"IBKR •••4567: {off}"
    assert plan.phrase == "CLOSE 1 SHORT"
    text = as_text(plan)
    assert "[ ] 1. IBKR •••4567: BUY 2 × SPXW 18Dec26 5700P + SELL 2 × SPXW 18Dec26 5600P to close as one order" in text
    assert "limit 4.00 debit at worst" in text
    rows = as_csv(plan).splitlines()
    assert rows[1].startswith("1,close,IBKR •••4567,BUY TO CLOSE,2,SPXW  261218P05700000,SPXW 18Dec26 5700P,3.2,4,")
    assert len(rows) == 3


def test_what_one_account_may_not_send_is_marked_and_not_counted() -> None:
    apple = option("AAPL  261218P00200000", -1, "-0.1 0.01 0.1 -0.1 0.3", TASTY, bid=1.0, ask=1.1, quote_time=NOW)
    portfolio = holding(put(5700, -1), apple, at=market(AAPL=250.0))
    plan = planned(portfolio, trading=lambda who: "off" if who == TASTY else "")
    assert {close.account: close.by_hand for close in plan.closes} == {"IBKR •••4567": "", "tastytrade •••0001": "off"}
    assert (plan.trading, plan.phrase) == ("", "CLOSE 1 SHORT")


def test_a_plan_survives_json_without_a_number_of_an_account() -> None:
    plan = planned(holding(put(5700, -2), put(5600, 2), call(7000, None)))
    text = plan_json(plan)
    assert IBKR.number not in text
    assert plan_from(text, [TASTY, IBKR]).closes == plan.closes
    with pytest.raises(ValueError, match="no account of this book"):
        plan_from(text, [TASTY])
    wish = Wish(Scope.EXPIRY, expiry=date(2026, 12, 18), accounts=("IBKR •••4567",))
    assert wish_from(wish_json(wish)) == wish


def test_the_fingerprint_moves_with_positions_and_working_orders_alone() -> None:
    short = put(5700, -2)
    plan = planned(holding(short))
    assert planned(holding(replace(short, bid=9.9, mark=10.05))).fingerprint == plan.fingerprint
    assert planned(holding(replace(short, quantity=-1.0))).fingerprint != plan.fingerprint
    assert planned(holding(short), working=[resting(short, 1)]).fingerprint != plan.fingerprint


# --- every order is an exit in its place


def _random_book(dice: random.Random) -> Portfolio:
    """Up to fourteen options, shares and futures in two accounts, some without a quote, a bid or a quantity."""
    held: dict[tuple[str, str], Position] = {}
    for _ in range(dice.randint(1, 14)):
        size: float | None = dice.choice([-3, -2, -2, -1, -1, 1, 1, 2, 2, 3, 4])
        size = None if dice.random() < 0.03 else size
        quote = dice.choice(["9.80 10.20"] * 6 + ["- -", "0 0.05", "- 0.05", "0 0.40", "9 8"])
        at, strike = dice.choice([IBKR, TASTY]), dice.choice([5400, 5500, 5600, 5700, 5800])
        make = dice.choice([put, call])
        one = make(strike, size, quote, at, expiry=dice.choice(["261218", "261218", "261120", "270115"]),
                   multiplier=None if dice.random() < 0.02 else 100.0)  # fmt: skip
        if dice.random() < 0.3:
            symbol = f"AAPL  261218{dice.choice('PC')}{dice.choice([200, 250]) * 1000:08d}"
            one = option(symbol, size, "-0.1 0.01 0.1 -0.1 0.3", at, bid=1.0, ask=1.1, quote_time=NOW)
        if dice.random() < 0.1:
            one = shares("AAPL", dice.choice([-200, -100, 100, 150, 300]), "249.9 250.1", at)
        held[str(one.account), one.instrument.key] = one
    return holding(*held.values(), at=market(AAPL=250.0))


def _random_wish(dice: random.Random) -> Wish:
    return Wish(
        dice.choice(list(Scope)),
        underlying=dice.choice(["SPX", "AAPL"]),
        expiry=dice.choice([date(2026, 12, 18), date(2026, 11, 20), date(2027, 1, 15)]),
        whole_packages=dice.random() < 0.6,
    )


def _walked(portfolio: Portfolio, plan: Plan) -> Portfolio:
    """The book after all of `plan`; every order must be an exit in its place."""
    for close in plan.closes:
        assert is_exit(close.order, portfolio) == "", (close.title, titles(plan))
        portfolio = after(portfolio, close)
    return portfolio


def test_every_order_of_every_plan_is_an_exit_in_its_place() -> None:
    dice = random.Random(8)  # noqa: S311  # seeded
    closed = packages = held_back = 0
    for _ in range(700):
        portfolio, wish = _random_book(dice), _random_wish(dice)
        rules = FlattenRules(most_at_once=dice.choice([1, 2, 50]))
        plan = planned(portfolio, wish, rules=rules)
        _walked(portfolio, plan)
        closed += len(plan.closes)
        packages += sum(len(close.order.legs) > 1 for close in plan.closes)
        held_back += sum(one.why == HELD_BACK for one in plan.left)
        assert all((close.order.limit or 0.0) <= (close.cap or 0.0) for close in plan.closes)
    assert closed > 1_500  # the cases are there
    assert packages > 60
    assert held_back > 50


def test_nothing_wanted_is_lost_between_closed_and_left() -> None:
    dice = random.Random(9)  # noqa: S311  # seeded
    for _ in range(300):
        portfolio = _random_book(dice)
        plan = planned(portfolio, Wish(Scope.EVERYTHING, whole_packages=dice.random() < 0.5))
        rest = _walked(portfolio, plan)
        left: dict[tuple[str, str], float] = {}
        for one in plan.left:
            left[one.account, one.label] = left.get((one.account, one.label), 0.0) + (one.quantity or 0.0)
        still = {(str(p.account), p.instrument.label): p.quantity or 0.0 for p in rest.positions}
        assert left == still


def test_kinds_that_no_order_trades_are_named() -> None:
    bond = replace(shares("T 4 2030", 10), instrument=replace(shares("T", 10).instrument, kind=Kind.BOND))
    assert whys(planned(holding(bond), EVERYTHING)) == {
        "T": "no order of this program trades it (bond): close it at the broker"
    }

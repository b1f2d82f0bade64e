"""A book revalued under shocks: by hand, by QuantLib, and between bounds where something is not known."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813  # as everybody calls it
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.instruments import Instrument, Kind, Right, Settlement
from guardrails.portfolio import Portfolio
from guardrails.stress.book import Book, book_of
from guardrails.stress.outcome import by_position, outcome
from guardrails.stress.scenarios import index_shock, named_shocks
from guardrails.stress.shocks import Shock
from guardrails.stress.standing import CURVE, share_of
from guardrails.stress.unit_prices import NODES
from guardrails.summary.positions import position_rows
from guardrails.values import Dividend, Market, Observed, Position
from tests.books import IBKR, NOW, TASTY, account, book, future, market, option, stock
from tests.stressed import standing, stressed

CLOSE = datetime(2026, 11, 18, 21, 0, tzinfo=UTC)
"""so that times to the close of another day are whole days"""
RATE = 0.04
FALL = Shock("fall", -0.10, 0.10, parallel=True)
PUT, CALL = "XYZ   261218P00095000", "XYZ   261218C00105000"
"""30 days from CLOSE"""
LATER_PUT, LATER_CALL = "XYZ   270115P00105000", "XYZ   270115C00095000"
"""58 days"""
GREEKS = "0 0.01 0.1 -0.05"


def xyz(spot: float = 100.0, beta: float | None = 1.0, paid: tuple[tuple[str, float], ...] = (), **more: Any) -> Market:
    """XYZ, which pays nothing unless said; the VIX stands where its own volatility does, so that both move alike."""
    found = market(None if beta is None else {"XYZ": beta}, XYZ=spot, **more)
    told = tuple(Dividend(date.fromisoformat(day), amount, "USD", "test", NOW) for day, amount in paid)
    return replace(
        found,
        vix=Observed(30.0, NOW, "test"),
        risk_free=Observed(RATE, NOW, "test"),
        yields={} if told else {"XYZ": Observed(0.0, NOW, "test")},
        dividends={"XYZ": told} if told else {},
    )


def held(symbol: str, quantity: float = -1, vol: float | None = 0.30, **more: Any) -> Position:
    sign = 1 if symbol[-9] == "C" else -1
    greeks = None if vol is None else f"{0.4 * sign} 0.01 0.1 -0.05 {vol}"
    return option(symbol, quantity, greeks, **more)


def books(*positions: Position, at: Market | None = None, now: datetime = CLOSE, **more: Any) -> Book:
    return book_of(book(*positions, at=at or xyz(), now=now, **more))


def pnl(of: Book, *shocks: Shock) -> list[float]:
    """Totals, which are known."""
    found = outcome(of, shocks)
    totals = [found.total(place).known for place in range(len(shocks))]
    assert None not in totals
    return [total for total in totals if total is not None]


def quantlib(
    sign: int,
    strike: float,
    days: int,
    spot: float = 100.0,
    vol: float = 0.30,
    rate: float = RATE,
    paid: tuple[tuple[int, float], ...] = (),
) -> float:
    """American: QdFp, or finite differences where days until ex-dates and amounts are given."""
    today, count = ql.Date(18, 11, 2026), ql.Actual365Fixed()
    ql.Settings.instance().evaluationDate = today
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(spot)),
        ql.YieldTermStructureHandle(ql.FlatForward(today, 0.0, count)),
        ql.YieldTermStructureHandle(ql.FlatForward(today, rate, count)),
        ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), vol, count)),
    )
    kind = ql.Option.Call if sign > 0 else ql.Option.Put
    of = ql.VanillaOption(ql.PlainVanillaPayoff(kind, strike), ql.AmericanExercise(today, today + days))
    told = ql.DividendVector([today + day for day, _ in paid], [amount for _, amount in paid])
    of.setPricingEngine(
        ql.FdBlackScholesVanillaEngine(process, told, 400, 1200)
        if paid
        else ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.highPrecisionScheme())
    )
    return float(of.NPV())


def black(sign: int, forward: float, strike: float, years: float, vol: float, rate: float) -> float:
    """Black-76, written anew."""
    spread = vol * math.sqrt(years)
    d1 = math.log(forward / strike) / spread + spread / 2
    one, two = (0.5 * (1 + math.erf(sign * x / math.sqrt(2))) for x in (d1, d1 - spread))
    return math.exp(-rate * years) * sign * (forward * one - strike * two)


# --- by hand and by QuantLib ---


def test_shares_futures_and_cash() -> None:
    at = xyz(**{"/ESZ26": 6000.0})
    cash = Position(IBKR, Instrument(Kind.CASH, "EUR", "EUR"), 50_000.0, 1.0, "test", NOW, currency="EUR")
    # 100 shares at 100: -1,000; two short MES-like futures of 5 a point: 600 points x 5 x 2 = +6,000; cash nothing
    assert pnl(books(stock("XYZ", 100, 100.0), at=at), FALL) == pytest.approx([-1_000.0])
    assert pnl(books(future("/ESZ26", -2, 6000.0, 5.0), at=at), FALL) == pytest.approx([6_000.0])
    assert pnl(books(cash, at=at), FALL) == [0.0]
    assert pnl(books(cash, stock("XYZ", 100, 100.0), at=at), FALL) == pytest.approx([-1_000.0])


def test_a_short_put_loses_what_quantlib_says() -> None:
    expected = -100 * (quantlib(-1, 95.0, 30, 90.0, 0.40) - quantlib(-1, 95.0, 30))
    assert pnl(books(held(PUT)), FALL) == pytest.approx([expected], abs=0.02)
    assert expected < -500


def test_a_covered_call_loses_on_its_shares_and_gains_on_its_call() -> None:
    call = -100 * (quantlib(1, 105.0, 30, 90.0, 0.40) - quantlib(1, 105.0, 30))
    of = books(stock("XYZ", 100, 100.0), held(CALL))
    assert pnl(of, FALL) == pytest.approx([-1_000.0 + call], abs=0.02)
    assert 0 < call < 1_000
    # and above its strike no more than to the strike: 105 - 100 + the call's price is all there is
    up = pnl(of, Shock("up", 0.50, days=31))
    assert up == pytest.approx([100 * (5.0 + quantlib(1, 105.0, 30))], abs=0.02)


def test_where_nothing_moves_nothing_is_lost() -> None:
    paying = xyz(paid=(("2027-01-06", 2.0),))
    rows = [stock("XYZ", 100, 100.0), held(PUT), held(LATER_CALL), held("SPXW  261218P05800000")]
    for at in (xyz(), paying):
        for count in (1, NODES + 2):
            assert pnl(books(*rows, at=at), *[Shock("now")] * count) == pytest.approx([0.0] * count, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.floats(-20, 20), st.floats(-20, 20), st.sampled_from([-0.2, -0.05, 0.1]))
def test_what_is_held_twice_moves_twice_and_the_parts_are_the_whole(one: float, other: float, step: float) -> None:
    shock = Shock("any", step, 0.05)
    rows = [held(PUT, one), held(CALL, other, account=TASTY), stock("XYZ", 10, 100.0, TASTY),
            held("SPXW  261218P05800000", other)]  # fmt: skip
    of = books(*rows, accounts=[account(), account(TASTY)])
    found = outcome(of, [shock])
    parts = by_position(of, [shock])[:, 0]
    unit = by_position(books(held(PUT, 1), held(CALL, 1)), [shock])[:, 0]
    assert parts[:2] == pytest.approx(unit * [one, other], rel=1e-9, abs=1e-9)
    assert found.total(0).low == pytest.approx(parts.sum(), rel=1e-9, abs=1e-6)
    assert len(found.low) == 3  # XYZ in two accounts, SPX in one
    for split in ([found.of_account(IBKR), found.of_account(TASTY)],
                  [found.of_underlying("XYZ"), found.of_underlying("SPX")]):  # fmt: skip
        assert sum(found.total(0, units).low for units in split) == pytest.approx(found.total(0).low, abs=1e-6)
    assert found.total(0, found.of_account(IBKR)).low == pytest.approx(parts[0] + parts[3], abs=1e-6)
    assert not found.of_underlying("ABC").any()


# --- dividends, dates, interpolation ---

PAID = (("2027-01-06", 2.0),)
"""49 days from the 18th of November, by date"""


def test_a_date_after_the_ex_date_sees_no_dividend_and_one_before_sees_it_nearer() -> None:
    """The ex-date is 49 days less 16 hours off; QuantLib knows whole days, so beside it stands 1 cent of doubt."""
    of = books(held(LATER_PUT, 1), held(LATER_CALL, 1), at=xyz(paid=PAID))
    for days in (0, 20, 40, 50, 57):
        told = ((49 - days, 2.0),) if days < 49 else ()
        known = [quantlib(sign, strike, 58 - days, paid=told) for sign, strike in ((-1, 105.0), (1, 95.0))]
        start = [quantlib(sign, strike, 58, paid=((49, 2.0),)) for sign, strike in ((-1, 105.0), (1, 95.0))]
        found = by_position(of, [Shock("later", days=days)])[:, 0]
        assert found == pytest.approx([100 * (one - other) for one, other in zip(known, start, strict=True)], abs=3.0)
    # a put before its ex-date is worth nearly the whole dividend more than one after it
    before, after = by_position(of, [Shock("a", days=48)])[0, 0], by_position(of, [Shock("b", days=49)])[0, 0]
    assert before - after > 120


def test_many_shocks_say_the_same_as_each_by_itself() -> None:
    """Interpolated over volatility from a third of it to three times it: 5e-5 of the spot at worst, 1e-5 usually."""
    of = books(held(LATER_PUT, 1), held(LATER_CALL, 1), held(PUT, 1), at=xyz(paid=PAID))
    shocks = [
        Shock("", step, vol, days, rate, parallel=True)
        for step in (-0.30, -0.05, 0.0, 0.12)
        for vol in (-0.20, -0.03, 0.0, 0.08, 0.25, 0.60)
        for days, rate in ((0.0, 0.0), (7.0, 0.0), (50.0, 0.0), (0.0, 0.01), (60.0, 0.0))
    ]
    together = by_position(of, shocks)
    alone = np.concatenate([by_position(of, [shock]) for shock in shocks], axis=1)
    error = np.abs(together - alone) / (100 * 100.0)
    assert error.max() < 5e-5
    assert np.sqrt(np.mean(error**2)) < 1e-5
    assert np.ptp(alone) > 1_000


@pytest.mark.parametrize("vol", [0.12, 0.30, 0.80])
def test_the_named_days_and_the_curve_are_interpolated_closely(vol: float) -> None:
    rows = [held(name, 1, vol) for name in (LATER_PUT, LATER_CALL, "XYZ   270115P00080000", "XYZ   270115C00120000")]
    of = books(*rows, at=replace(xyz(paid=PAID), vix=Observed(17.0, NOW, "test")))
    shocks = [*named_shocks(of.portfolio.market), *(index_shock(step, 17.0) for step in CURVE)]
    assert len(shocks) > NODES
    alone = np.concatenate([by_position(of, [shock]) for shock in shocks], axis=1)
    assert np.abs(by_position(of, shocks) - alone).max() / (100 * 100.0) < 2e-5


# --- rates ---


def test_a_rate_moves_the_carry_of_shares_and_not_of_futures() -> None:
    years = 30 / 365
    thing = Instrument(
        Kind.FUTURE_OPTION, "./EW3Z26 261218C6000", "/ESZ26", "EW3", date(2026, 12, 18), Decimal(6000), Right.CALL,
        Settlement.PHYSICAL,
    )  # fmt: skip
    at = replace(xyz(**{"/ESZ26": 6000.0}), yields={})
    on_future = replace(held("SPXW  261218C06000000", 1, 0.2, multiplier=50.0), instrument=thing)
    index = held("SPXW  261218C06000000", 1, 0.2)
    rise = Shock("rate", rate=0.01)
    gain = by_position(books(on_future, index, future("/ESZ26", 1, 6000.0, 50.0), at=at), [rise])[:, 0]
    # of the future's option only the discount moves; the index's forward moves too
    assert gain[0] == pytest.approx(
        50 * (black(1, 6000, 6000, years, 0.2, 0.05) - black(1, 6000, 6000, years, 0.2, 0.04)), rel=1e-6
    )
    forward = [6000 * math.exp(rate * years) for rate in (0.04, 0.05)]
    assert gain[1] == pytest.approx(
        100 * (black(1, forward[1], 6000, years, 0.2, 0.05) - black(1, forward[0], 6000, years, 0.2, 0.04)), rel=1e-6
    )
    assert gain[0] < 0 < gain[1]
    assert gain[2] == 0.0
    # an American on a share: QuantLib
    share = by_position(books(held(CALL, 1)), [rise])[0, 0]
    assert share == pytest.approx(100 * (quantlib(1, 105.0, 30, rate=0.05) - quantlib(1, 105.0, 30)), abs=0.01)


# --- what is not known ---


@pytest.mark.parametrize(
    ("symbol", "quantity", "mark", "low", "high"),
    [  # at 90 after the fall; American: worth its intrinsic value at least
        pytest.param(PUT, -1, 4.0, -(95 - 4.0), -(5 - 4.0), id="a short put loses its strike at most"),
        pytest.param(PUT, 1, 4.0, 5 - 4.0, 95 - 4.0, id="a long put gains that"),
        pytest.param(CALL, -1, 2.0, -(90 - 2.0), 2.0, id="a short call loses the share at most"),
        pytest.param(CALL, 1, 2.0, -2.0, 90 - 2.0, id="a long call loses its value at most"),
        pytest.param(PUT, -1, None, -95.0, 95.0 - 5.0, id="without a price it may have been worth nothing or all"),
        pytest.param(CALL, 1, None, -100.0, 90.0, id="likewise a call"),
    ],
)
def test_an_option_without_volatility_is_bounded(
    symbol: str, quantity: float, mark: float | None, low: float, high: float
) -> None:
    found = outcome(books(held(symbol, quantity, None, mark=mark)), [FALL]).total(0)
    assert (found.low, found.high) == (pytest.approx(100 * low), pytest.approx(100 * high))
    assert found.known is None


def test_a_european_option_without_volatility_may_become_worthless() -> None:
    # 5,800 put at 60, SPX at 5,400: 0 to 5,800
    found = outcome(books(held("SPXW  261218P05800000", -1, None, mark=60.0)), [FALL]).total(0)
    assert (found.low, found.high) == (pytest.approx(-100 * 5_740), pytest.approx(100 * 60))


def test_the_bounds_hold_whatever_the_volatility_turns_out_to_be() -> None:
    for symbol in (PUT, CALL):
        for vol in (0.05, 0.3, 1.5):
            known = books(held(symbol, -1, vol))
            price = float(known.base[0])
            bounded = outcome(books(held(symbol, -1, None, mark=price)), [FALL]).total(0)
            assert bounded.low <= pnl(known, FALL)[0] <= bounded.high


@pytest.mark.parametrize(
    "wrong", [{"quantity": None}, {"multiplier": None}, {"currency": "SEK"}, {"reasons": ("doubted",)}]
)
def test_what_may_be_any_size_is_unbounded_and_its_account_with_it(wrong: dict[str, Any]) -> None:
    """A put sold can only lose when its price rises, whatever its size; without a quantity it may also be held."""
    rows = [replace(held(PUT), **wrong), stock("XYZ", 100, 100.0, TASTY)]
    found = outcome(books(*rows, accounts=[account(), account(TASTY)]), [FALL])
    most = math.inf if "quantity" in wrong else pytest.approx(-1_000.0)
    assert (found.total(0).low, found.total(0).high, found.total(0).missing) == (-math.inf, most, True)
    assert found.total(0, found.of_account(IBKR)).missing
    assert found.total(0, found.of_account(TASTY)).known == pytest.approx(-1_000.0)


def test_without_a_price_of_the_underlying_nothing_is_bounded() -> None:
    at = xyz()
    at = replace(at, prices={name: price for name, price in at.prices.items() if name != "XYZ"})
    of = books(held(PUT), stock("XYZ", 100, None), at=at)
    assert not of.valued.any()
    found = outcome(of, [FALL]).total(0)
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_an_unknown_beta_is_netted_before_it_is_tried() -> None:
    # 100 shares against two puts that gain: netted at each beta of 0 to 2; the worst lies between the ends
    of = books(stock("XYZ", 100, 100.0), held(PUT, 2), at=xyz(beta=None))
    found = outcome(of, [FALL]).total(0)
    tried = [
        100 * (100 * beta * -0.10)
        + 200 * (quantlib(-1, 95.0, 30, 100 * (1 - 0.1 * beta), 0.40) - quantlib(-1, 95.0, 30))
        for beta in (0.0, 0.5, 1.0, 1.5, 2.0)
    ]
    assert min(tried) < min(tried[0], tried[-1]) - 50
    assert (found.low, found.high) == (pytest.approx(min(tried), abs=0.1), pytest.approx(max(tried), abs=0.1))
    assert found.known is None
    sure = outcome(of, [replace(FALL, alone="XYZ")]).total(0)
    assert sure.known is not None  # by itself it moves by the shock, whatever its beta


def test_the_share_that_cannot_be_revalued_is_the_larger_of_two() -> None:
    rows = [stock("XYZ", 300, 100.0), held(PUT, -1, None), held(CALL), held(LATER_PUT)]
    of = books(*rows)
    # one of four; by notional 10,000 of 30,000 + 3 x 10,000
    assert share_of(of, ~of.valued) == pytest.approx(0.25)
    small = books(stock("XYZ", 1, 100.0), stock("ABC", 1, 100.0), held(PUT, -1, None), at=xyz(ABC=100.0))
    assert share_of(small, ~small.valued) == pytest.approx(10_000 / 10_200)
    cash = Position(IBKR, Instrument(Kind.CASH, "USD", "USD"), 1e6, 1.0, "test", NOW)
    with_cash = books(*rows, cash)
    assert share_of(with_cash, ~with_cash.valued) == pytest.approx(0.25)
    assert share_of(books(cash), np.ones(1, dtype=bool)) == 0.0
    assert books(cash, at=replace(xyz(), prices={})).valued.all()
    nothing = books(stock("XYZ", 100, None), at=replace(xyz(), prices={}))
    assert share_of(nothing, ~nothing.valued) == 1.0


# --- whose volatility an option without one gets ---


def vols(*positions: Position) -> tuple[list[float | None], list[bool]]:
    of = books(*positions)
    return [None if math.isnan(vol) else float(vol) for vol in of.vol], of.assumed.tolist()


def test_the_nearest_strike_of_the_expiry_lends_its_volatility() -> None:
    silent = "XYZ   261218P00100000"
    # 100 x e^0.1 = 110.5: a strike of 110 is near, one of 111 is not
    assert vols(held(silent, 1, None), held("XYZ   261218C00110000", 1, 0.4)) == ([0.4, 0.4], [True, False])
    assert vols(held(silent, 1, None), held("XYZ   261218C00111000", 1, 0.4)) == ([None, 0.4], [False, False])
    assert vols(held(silent, 1, None), held(PUT, 1, 0.5), held("XYZ   261218C00104000", 1, 0.4))[0][0] == 0.4
    assert vols(held(silent, 1, None), held(LATER_PUT, 1, 0.4))[0][0] is None
    assert vols(held(silent, 1, None), held(PUT, 1, 0.4, reasons=("doubted",)))[0][0] is None


def test_a_wing_is_not_valued_by_what_is_far_away() -> None:
    """A put sold half way down is not priced at the volatility of the money: it is not known, and says so."""
    of = books(held("XYZ   261218P00050000", -100, None, mark=0.40), held("XYZ   261218P00100000", 1, 0.3))
    assert of.valued.tolist() == [False, True]
    assert outcome(of, [FALL]).total(0).known is None


def test_what_moves_one_to_one_takes_any_strike() -> None:
    """A put at its intrinsic value has no volatility of its own, and hardly needs one."""
    deep = option("XYZ   261218P00160000", -1, "-1 0 0 0", mark=60.0)
    of = books(deep, held("XYZ   261218P00100000", 1, 0.3))
    assert of.valued.all()
    assert by_position(of, [FALL])[0, 0] == pytest.approx(-1_000.0, abs=1.0)


def test_a_doubted_volatility_moves_nobody_elses() -> None:
    # XYZ at 30 with the VIX at 30 moves point for point; the 300 % of a doubted row do not make it three for one
    assert books(held(PUT), held(CALL, -1, 3.0, reasons=("doubted",))).vol_beta[0] == pytest.approx(1.0)


def test_an_account_without_positions_hides_nobodys_stress() -> None:
    found = standing(stressed(stock("SPY", 10, 600.0), accounts=[account(), account(TASTY)]))
    assert [one.account for one in found.accounts] == [IBKR, TASTY]
    assert found.accounts[1].made.amount == 0.0
    assert isinstance(stressed(accounts=[account()]), Portfolio)


def test_a_volatility_that_contradicts_the_quote_is_not_where_a_shock_begins() -> None:
    """Told 18 % by a vendor, quoted at the price of 30 %: the book starts at the quote, the residual is still told."""
    years = (datetime(2026, 12, 18, 21, 0, tzinfo=UTC) - NOW).total_seconds() / (365 * 86_400)
    at_30 = black(-1, 6000.0, 5500.0, years, 0.30, 0.0)
    put = option("SPXW  261218P05500000", -1, "-0.1 0 0 0 0.18", mark=at_30, mark_time=NOW)
    whole = book_of(book(put))
    assert whole.base[0] == pytest.approx(at_30, rel=1e-6)
    assert whole.vol[0] == pytest.approx(0.30, rel=1e-6)
    assert whole.residual()[0] < -0.5 * at_30
    old = replace(put, mark_time=NOW - timedelta(minutes=4))  # the market moved since: the last volatility says more
    assert book_of(book(old)).vol[0] == 0.18


def test_the_row_of_a_position_tells_the_price_at_the_volatility_that_was_told() -> None:
    put = option("SPXW  261218P05500000", -1, "-0.1 0 0 0 0.18", mark=40.0, mark_time=NOW)
    portfolio = stressed(put)
    (row,) = position_rows(portfolio, {})
    years = (datetime(2026, 12, 18, 21, 0, tzinfo=UTC) - NOW).total_seconds() / (365 * 86_400)
    told = black(-1, 6000.0, 5500.0, years, 0.18, 0.0)
    assert (row.iv, row.model) == (0.18, pytest.approx(told, rel=1e-6))
    assert row.residual == pytest.approx(-100 * (told - 40.0), rel=1e-6)

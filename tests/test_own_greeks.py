"""Greeks of our own: whose word comes first, what a twin and a neighbour may tell, and inputs of ill will."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import QuantLib as ql  # noqa: N813  # as everybody calls it

from guardrails.instruments import Instrument, Kind, Right, Settlement
from guardrails.neighbour_strikes import NEAR
from guardrails.symbols import occ
from guardrails.twins import twin_of
from guardrails.valuation import value_positions
from guardrails.values import Greeks, Market, Observed, Position, Price, Quote, Source, SourceState
from tests.books import MATRIX, NOW, market, option
from tests.test_pricing import PATHS, calculated

RATE = 0.04
PUT, CALL = "SPXW  261218P06200000", "SPXW  261218C06200000"
"""in the money and out of it, with the SPX at 6,000"""
YEARS = (30 * 86_400 + 5.5 * 3_600) / (365 * 86_400)
"""from 15:30 UTC on 18 November to 21:00 on 18 December"""
OLD, QUIET = timedelta(seconds=31), timedelta(seconds=301)
"""`stale_after_seconds` is 30, `quiet_after_minutes` is 5"""
LIVE, DOWN, CLOSED, FILE = SourceState.LIVE, SourceState.DOWN, SourceState.CLOSED, SourceState.FILE


def black(
    sign: int, strike: float, vol: float, years: float = YEARS, spot: float = 6000.0, rate: float = RATE
) -> float:
    """Black-Scholes without dividends, written anew."""
    spread = vol * math.sqrt(years)
    d1 = (math.log(spot / strike) + rate * years) / spread + spread / 2
    one, two = (0.5 * (1 + math.erf(sign * x / math.sqrt(2))) for x in (d1, d1 - spread))
    return sign * (spot * one - strike * math.exp(-rate * years) * two)


def around(price: float, width: float = 0.2) -> dict[str, float]:
    return {"bid": price - width / 2, "ask": price + width / 2}


def quoted(price: float, by: timedelta = timedelta(0), source: str = "tastytrade", width: float = 0.2) -> Quote:
    return Quote(price - width / 2, price + width / 2, NOW - by, source)


def at(
    rate: float | None = RATE,
    greeks: Mapping[str, Greeks] | None = None,
    quotes: Mapping[str, Quote] | None = None,
    **more: Any,
) -> Market:
    """The market with what is streamed, by option."""
    return replace(
        market(**more),
        risk_free=None if rate is None else Observed(rate, NOW, "test"),
        greeks={occ.parse(name).key: told for name, told in (greeks or {}).items()},
        quotes={occ.parse(name).key: told for name, told in (quotes or {}).items()},
    )


def held(symbol: str = PUT, source: str = "ibkr", **more: Any) -> Position:
    """One short option; its quote, if it has one, is of now."""
    stamped = {"quote_time": NOW, **more} if "bid" in more else more
    return replace(option(symbol, -1, source=source), **stamped)


def valued(
    *positions: Position,
    where: Market | None = None,
    now: datetime = NOW,
    market_open: bool = True,
    **states: SourceState,
) -> tuple[Position, ...]:
    sources = [Source(name, state, now) for name, state in {"ibkr": LIVE, "tastytrade": LIVE, **states}.items()]
    return value_positions(positions, where or at(), sources, now, MATRIX.data, market_open=market_open)


def greeks(position: Position) -> Greeks:
    assert position.greeks is not None, (position.reasons, position.notes)
    return position.greeks


# --- the order ---

STREAM = Greeks(-0.8, 0.001, 5.0, -1.0, 0.14, "tastytrade", NOW)
BROKER = Greeks(-0.8, 0.001, 5.0, -1.0, 0.15, "ibkr", NOW)
NEIGHBOUR = held("SPXW  261218P06100000", greeks=replace(BROKER, iv=0.20))
WORDS = ["stream", "broker", "old", "twin", "quote", "mark", "neighbour"]
SAID = [
    ("tastytrade", 0.14), ("ibkr", 0.15), ("repriced", 0.16), ("model", 0.17), ("model", 0.18), ("model", 0.19),
    ("neighbour", 0.20), None,
]  # fmt: skip


@pytest.mark.parametrize("lost", range(len(SAID)))
def test_each_source_counts_when_all_before_it_are_silent(lost: int) -> None:
    told = set(WORDS[lost:])
    old = replace(BROKER, iv=0.16, time=NOW - OLD)
    own = BROKER if "broker" in told else old if "old" in told else None
    quote = around(black(-1, 6200, 0.18)) if "quote" in told else {}
    mark = {"mark": black(-1, 6200, 0.19)} if "mark" in told and "quote" not in told else {}
    where = at(
        greeks={PUT: STREAM} if "stream" in told else None,
        quotes={CALL: quoted(black(1, 6200, 0.17))} if "twin" in told else {},
    )
    beside = [NEIGHBOUR] if "neighbour" in told else []
    found = valued(held(greeks=own, **quote, **mark), *beside, where=where)[0]
    if SAID[lost] is None:
        assert found.greeks is None
        assert found.notes == ("no quote or mark to imply a volatility from",)
        return
    source, vol = SAID[lost]
    assert (greeks(found).source, greeks(found).iv) == (source, pytest.approx(vol, abs=1e-9))
    if source in ("repriced", "model", "neighbour"):
        up, down = (black(-1, 6200, vol, spot=6000 + bump) for bump in (0.5, -0.5))
        assert greeks(found).delta == pytest.approx(up - down, abs=1e-6)
        more, less = (black(-1, 6200, vol + bump) for bump in (0.005, -0.005))
        assert greeks(found).vega == pytest.approx(more - less, rel=1e-3)


def test_out_of_the_money_its_own_quote_counts_not_that_of_the_twin() -> None:
    where = at(quotes={PUT: quoted(black(-1, 6200, 0.30))})
    assert greeks(valued(held(CALL, **around(black(1, 6200, 0.18))), where=where)[0]).iv == pytest.approx(0.18)


def test_a_wide_quote_deep_in_the_money_gives_way_to_its_twin() -> None:
    """The 7,000 put is worth 976 and its quote 40 wide; the 7,000 call is worth 0.08 and says 17 %."""
    put, call = "SPXW  261218P07000000", "SPXW  261218C07000000"
    own = around(black(-1, 7000, 0.17) + 4.0, 40.0)
    alone = greeks(valued(held(put, **own))[0])
    assert alone.iv is None or abs(alone.iv - 0.17) > 0.05  # what its own middle says is far off
    found = greeks(valued(held(put, **own), where=at(quotes={call: quoted(black(1, 7000, 0.17), width=0.05)}))[0])
    assert (found.source, found.iv) == ("model", pytest.approx(0.17, abs=1e-6))
    assert found.delta == pytest.approx(-1.0, abs=0.01)


@pytest.mark.parametrize(("width", "vol"), [(0.3, 0.17), (0.5, 0.17), (0.6, 0.18), (40.0, 0.18)])
def test_of_two_quotes_of_one_moment_the_narrower_tells(width: float, vol: float) -> None:
    """The put is quoted half a dollar wide; put and call of one strike have one vega."""
    where = at(quotes={CALL: quoted(black(1, 6200, 0.17), width=width)})
    found = valued(held(**around(black(-1, 6200, 0.18), 0.5)), where=where)[0]
    assert greeks(found).iv == pytest.approx(vol, abs=1e-9)


@pytest.mark.parametrize(
    ("own", "twin", "widths", "vol"),
    [
        (0, 30, (0.4, 0.2), 0.17), (0, 31, (0.4, 0.2), 0.18), (0, 240, (0.4, 0.2), 0.18),
        (30, 0, (0.2, 0.4), 0.18), (31, 0, (0.2, 0.4), 0.17), (40, 20, (0.2, 0.4), 0.18),
    ],
)  # fmt: skip
def test_a_quote_clearly_younger_tells_whatever_its_width(
    own: int, twin: int, widths: tuple[float, float], vol: float
) -> None:
    """Seconds ago; `stale_after_seconds` is 30. Where neither is clearly younger the narrower counts."""
    where = at(quotes={CALL: quoted(black(1, 6200, 0.17), timedelta(seconds=twin), width=widths[1])})
    mine = replace(held(**around(black(-1, 6200, 0.18), widths[0])), quote_time=NOW - timedelta(seconds=own))
    found = greeks(valued(mine, where=where)[0])
    assert found.iv == pytest.approx(vol, abs=1e-9)
    assert found.time == NOW - timedelta(seconds=own if vol == 0.18 else twin)


@pytest.mark.parametrize("absurd", [Quote(0.05, 10.0, NOW, "tastytrade"), Quote(0.05, 180.0, NOW, "tastytrade")])
def test_a_twin_quoted_absurdly_wide_tells_nothing(absurd: Quote) -> None:
    where = at(quotes={CALL: absurd})
    assert greeks(valued(held(**around(black(-1, 6200, 0.18), 1.0)), where=where)[0]).iv == pytest.approx(0.18)
    assert valued(held(), where=where)[0].greeks is None


def test_a_twin_whose_price_fits_no_volatility_leaves_it_to_the_own_quote() -> None:
    where = at(quotes={CALL: quoted(6001.0)})  # a call is worth less than its underlying at 6,000
    found = valued(held(**around(black(-1, 6200, 0.18))), where=where)[0]
    assert (greeks(found).iv, found.notes) == (pytest.approx(0.18, abs=1e-9), ())


def test_an_own_quote_that_fits_no_volatility_leaves_it_to_a_wider_twin() -> None:
    where = at(quotes={CALL: quoted(black(1, 6200, 0.17), width=4.0)})
    found = valued(held(**around(150.0)), where=where)[0]  # surely worth 179.5
    assert greeks(found).iv == pytest.approx(0.17, abs=1e-9)


def test_an_american_option_about_to_be_exercised_is_told_by_a_wider_twin() -> None:
    """A put on XYZ at 100, struck at 150, is worth its 50 at any usual volatility: its vega is 0, and a cent of it says
    nothing, also where the cent above 50 fits some high volatility."""
    put, call = "XYZ   261218P00150000", "XYZ   261218C00150000"
    where = at(XYZ=100.0, quotes={call: Quote(0.05, 0.15, NOW, "tastytrade")})
    found = greeks(valued(held(put, **around(50.0, 0.02)), where=where)[0])
    assert found.iv is not None
    alone = valued(held(put, **around(50.0, 0.02)), where=at(XYZ=100.0))[0]
    assert alone.greeks is None or alone.greeks.iv is None
    above = held(put, **around(50.5, 0.02))
    by_own = greeks(valued(above, where=at(XYZ=100.0))[0]).iv
    assert by_own is not None
    assert by_own > 1.1 * found.iv
    assert greeks(valued(above, where=where)[0]).iv == pytest.approx(found.iv)


def test_an_option_in_the_money_that_nobody_quotes_is_told_by_its_twin() -> None:
    found = greeks(valued(held(), where=at(quotes={CALL: quoted(black(1, 6200, 0.17))}))[0])
    assert (found.source, found.iv) == ("model", pytest.approx(0.17, abs=1e-9))


def test_figures_are_as_old_as_the_older_of_twin_and_underlying() -> None:
    ago = timedelta(seconds=40)
    found = valued(held(), where=at(quotes={CALL: quoted(black(1, 6200, 0.17), ago)}))[0]
    assert greeks(found).time == NOW - ago


def test_each_need_of_a_book_is_answered_by_itself() -> None:
    old = held("SPXW  261218P05700000", greeks=replace(BROKER, iv=0.23, time=NOW - OLD))
    rows = [old, held("SPXW  261218P05800000", **around(black(-1, 5800, 0.21))), silent(5600), held(PUT)]
    found = valued(*rows, where=at(quotes={CALL: quoted(black(1, 6200, 0.17))}))
    assert [greeks(row).iv for row in found] == pytest.approx([0.23, 0.21, 0.23, 0.17])
    assert [greeks(row).source for row in found] == ["repriced", "model", "neighbour", "model"]


@pytest.mark.parametrize("price", [-37.0, 0.0])
def test_a_future_below_zero_is_priced_by_no_lognormal(price: float) -> None:
    thing = Instrument(
        Kind.FUTURE_OPTION, "./LOZ26 261218C5", "/CLF27", "LO", date(2026, 12, 18), Decimal(5), Right.CALL,
        Settlement.PHYSICAL,
    )  # fmt: skip
    given = replace(held(CALL, mark=1.0, multiplier=1000.0), instrument=thing)
    found = valued(given, where=at(**{"/CLF27": price}))[0]
    assert found.greeks is None
    assert found.notes == ("no price of /CLF27",)


# --- what a twin may tell ---

AM_CALL, LATER_CALL, OTHER_STRIKE = "SPX   261218C06200000", "SPXW  261221C06200000", "SPXW  261218C06205000"


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({AM_CALL: quoted(90.0)}, id="another root"),
        pytest.param({LATER_CALL: quoted(90.0)}, id="another expiry"),
        pytest.param({OTHER_STRIKE: quoted(90.0)}, id="another strike"),
        pytest.param({CALL: Quote(91.0, 90.0, NOW, "tastytrade")}, id="crossed"),
        pytest.param({CALL: Quote(None, 90.0, NOW, "tastytrade")}, id="no bid"),
        pytest.param({CALL: Quote(90.0, None, NOW, "tastytrade")}, id="no ask"),
        pytest.param({CALL: Quote(0.0, 90.0, NOW, "tastytrade")}, id="a bid of nothing"),
        pytest.param({CALL: Quote(math.nan, 90.0, NOW, "tastytrade")}, id="not a number"),
        pytest.param({CALL: Quote(90.0, math.inf, NOW, "tastytrade")}, id="infinite"),
        pytest.param({CALL: quoted(90.0, QUIET)}, id="not ticked for too long"),
        pytest.param({CALL: quoted(90.0, -timedelta(seconds=61))}, id="of the future"),
        pytest.param({CALL: quoted(90.0, source="gone")}, id="of a source that is not configured"),
        pytest.param({CALL: quoted(90.0, source="broken")}, id="of a source that is down"),
        pytest.param({CALL: quoted(90.0, source="file")}, id="of a file, in an open market"),
    ],
)
def test_a_twin_that_says_nothing_of_now_is_not_asked(wrong: dict[str, Quote]) -> None:
    found = valued(held(**around(black(-1, 6200, 0.18))), where=at(quotes=wrong), broken=DOWN, file=FILE)[0]
    assert greeks(found).iv == pytest.approx(0.18, abs=1e-9)
    bare = valued(held(), where=at(quotes=wrong), broken=DOWN, file=FILE)[0]
    assert bare.greeks is None


def test_what_is_held_beside_it_tells_too() -> None:
    beside = held(CALL, **around(black(1, 6200, 0.17)))
    assert greeks(valued(held(**around(black(-1, 6200, 0.18))), beside)[0]).iv == pytest.approx(0.17, abs=1e-9)


def test_the_younger_of_two_quotes_of_the_twin_counts() -> None:
    where = at(quotes={CALL: quoted(black(1, 6200, 0.16), timedelta(seconds=20))})
    beside = held(CALL, **around(black(1, 6200, 0.17)))
    assert greeks(valued(held(), beside, where=where)[0]).iv == pytest.approx(0.17, abs=1e-9)


@pytest.mark.parametrize("market_open", [True, False])
def test_a_statement_of_last_month_does_not_displace_a_quote_of_now(market_open: bool) -> None:  # noqa: FBT001  # a table's column
    month_ago = NOW - timedelta(days=30)
    beside = replace(held(CALL, "statement:x", **around(black(1, 6200, 0.40))), quote_time=month_ago)
    states = {"ibkr": LIVE if market_open else CLOSED, "statement:x": FILE}
    found = valued(held(**around(black(-1, 6200, 0.18))), beside, market_open=market_open, **states)
    assert greeks(found[0]).iv == pytest.approx(0.18, abs=1e-9)


def test_within_one_statement_the_twin_tells() -> None:
    rows = [held(PUT, "statement:x", **around(black(-1, 6200, 0.18), 30.0)),
            held(CALL, "statement:x", **around(black(1, 6200, 0.17)))]  # fmt: skip
    assert greeks(valued(*rows, **{"statement:x": FILE})[0]).iv == pytest.approx(0.17, abs=1e-9)


@pytest.mark.parametrize(
    "doubt",
    [
        pytest.param({"mark": 300.0}, id="its mark contradicts its quote"),
        pytest.param({"reasons": ("line 3: doubted by the adapter",)}, id="doubted by the adapter"),
        pytest.param({"quantity": None}, id="its quantity is not known"),
    ],
)
def test_a_doubted_row_is_nobodys_twin(doubt: dict[str, Any]) -> None:
    beside = replace(held(CALL, **around(black(1, 6200, 0.40))), **doubt)
    found = valued(held(**around(black(-1, 6200, 0.18))), beside)
    assert found[1].reasons
    assert greeks(found[0]).iv == pytest.approx(0.18, abs=1e-9)


def test_the_twin_is_the_other_right_of_the_same_contract() -> None:
    for one, other in ((PUT, CALL), ("C     261218P00050000", "C     261218C00050000"),
                       ("XYZ   261218P00000500", "XYZ   261218C00000500")):  # fmt: skip
        assert twin_of(occ.parse(one)) == occ.parse(other)
        assert twin_of(occ.parse(other)) == occ.parse(one)
    assert twin_of(replace(occ.parse(PUT), right=None)) is None
    assert twin_of(replace(occ.parse(PUT), symbol="nonsense")) is None


# --- what a neighbour may tell ---


def vol_put(strike: int, vol: float = 0.2, day: str = "261218", **more: Any) -> Position:
    return held(f"SPXW  {day}P{strike * 1000:08d}", greeks=replace(BROKER, iv=vol), **more)


def silent(strike: int, root: str = "SPXW", day: str = "261218") -> Position:
    return held(f"{root:<6}{day}P{strike * 1000:08d}")


def test_a_neighbour_is_a_tenth_away_at_most_either_way() -> None:
    # 5,000 x e^0.1 = 5,525.9 and 5,000 / e^0.1 = 4,524.2
    assert NEAR == 0.10
    for strike, near in ((5525, True), (5526, False), (4525, True), (4524, False)):
        assert (valued(silent(5000), vol_put(strike))[0].greeks is not None) is near


def test_the_nearest_neighbour_tells_and_is_named() -> None:
    found = greeks(valued(silent(5500), vol_put(5700, 0.2), vol_put(5600, 0.3), vol_put(5300, 0.4))[0])
    assert (found.source, found.iv) == ("neighbour", 0.3)
    up, down = (black(-1, 5500, 0.3, spot=6000 + bump) for bump in (0.5, -0.5))
    assert found.delta == pytest.approx(up - down, abs=1e-6)


def test_a_call_tells_of_a_put_of_its_strike() -> None:
    call = held("SPXW  261218C05800000", greeks=Greeks(0.7, 0.001, 5.0, -1.0, 0.23, "ibkr", NOW))
    assert greeks(valued(silent(5800), call)[0]).iv == 0.23


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(vol_put(5000, day="261221"), id="another expiry"),
        pytest.param(held("XSP   261218P00500000", greeks=BROKER), id="another underlying"),
        pytest.param(vol_put(5000, reasons=("doubted",)), id="a doubted row"),
        pytest.param(vol_put(5000, mark=10.0, bid=1.0, ask=1.2), id="a row that contradicts itself"),
        pytest.param(held("SPXW  261218P05000000", greeks=replace(BROKER, iv=None)), id="without a volatility"),
        pytest.param(vol_put(5000, math.nan), id="a volatility that is no number"),
        pytest.param(vol_put(5000, -0.2), id="a volatility below zero"),
    ],
)
def test_who_is_no_neighbour(other: Position) -> None:
    assert valued(silent(5010), other)[0].greeks is None
    assert greeks(valued(silent(5010), other, vol_put(5100, 0.25))[0]).iv == 0.25


def test_a_neighbour_of_a_neighbour_is_none() -> None:
    found = valued(vol_put(5000), silent(5400), silent(5900))
    assert [row.greeks is not None for row in found] == [True, True, False]


def test_a_price_that_fits_nothing_is_left_to_the_neighbour_and_said() -> None:
    found = valued(held(mark=100.0), vol_put(6150, 0.2))[0]  # 200 in the money, offered at 100
    assert greeks(found).source == "neighbour"
    assert found.notes == ("its price fits no volatility",)


# --- American options ---


@pytest.mark.parametrize(("sign", "strike", "held_yield"), [(-1, 110.0, 0.0), (-1, 95.0, 0.02), (1, 90.0, 0.08)])
def test_the_volatility_of_an_american_price_comes_back(sign: int, strike: float, held_yield: float) -> None:
    """QuantLib's QdFp prices 30 whole days at 35 %; its own differences are the Greeks."""
    now = datetime(2026, 11, 18, 21, 0, tzinfo=UTC)
    symbol = f"XYZ   261218{'P' if sign < 0 else 'C'}{round(strike * 1000):08d}"
    where = at(0.05, XYZ=100.0, time=now)
    where = replace(where, yields={"XYZ": Observed(held_yield, now, "test")})
    price = qdfp(sign, strike, 100.0, held_yield)
    given = replace(held(symbol, mark=price), mark_time=now)
    found = greeks(valued(given, where=where, now=now, market_open=False, ibkr=CLOSED)[0])
    assert found.iv == pytest.approx(0.35, abs=1e-5)
    up, down = (qdfp(sign, strike, 100.0 + bump, held_yield) for bump in (0.05, -0.05))
    assert found.delta == pytest.approx((up - down) / 0.1, abs=2e-4)
    assert found.gamma == pytest.approx((up + down - 2 * price) / 0.0025, rel=0.01)
    more, less = (qdfp(sign, strike, 100.0, held_yield, 0.35 + bump) for bump in (0.005, -0.005))
    assert found.vega == pytest.approx(more - less, rel=1e-3)


def qdfp(sign: int, strike: float, spot: float, held_yield: float, vol: float = 0.35) -> float:
    today, count = ql.Date(18, 11, 2026), ql.Actual365Fixed()
    ql.Settings.instance().evaluationDate = today
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(spot)),
        ql.YieldTermStructureHandle(ql.FlatForward(today, held_yield, count)),
        ql.YieldTermStructureHandle(ql.FlatForward(today, 0.05, count)),
        ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), vol, count)),
    )
    kind = ql.Option.Call if sign > 0 else ql.Option.Put
    option_ = ql.VanillaOption(ql.PlainVanillaPayoff(kind, strike), ql.AmericanExercise(today, today + 30))
    option_.setPricingEngine(ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.highPrecisionScheme()))
    return float(option_.NPV())


# --- the ends of time ---


def on_the_last_day(seconds: float, price: float, strike: int = 6000, day: str = "SPXW  261118") -> Position:
    close = datetime(2026, 11, 18, 21, 0, tzinfo=UTC)
    now = close - timedelta(seconds=seconds)
    given = replace(held(f"{day}P{strike * 1000:08d}", mark=price), mark_time=now)
    return valued(given, where=at(None, time=now), now=now)[0]


def test_the_last_minute_of_the_last_day() -> None:
    years = 60 / (365 * 86_400)
    found = greeks(on_the_last_day(60, black(-1, 6000, 0.5, years, rate=0.0)))
    assert found.iv == pytest.approx(0.5, rel=1e-6)
    assert found.delta == pytest.approx(-0.5, abs=0.001)
    spread = 0.5 * math.sqrt(years)
    assert found.gamma == pytest.approx(math.exp(-spread * spread / 8) / math.sqrt(2 * math.pi) / (6000 * spread))
    assert found.theta is not None
    assert -black(-1, 6000, 0.5, years, rate=0.0) - 1e-9 <= found.theta < 0  # it cannot lose more than it is worth


def test_a_price_that_a_minute_cannot_explain() -> None:
    found = on_the_last_day(60, 5.0, 5000)
    assert found.greeks is None
    assert found.notes == ("its price fits no volatility",)


def test_in_the_last_instant_nothing_is_left_to_price() -> None:
    found = on_the_last_day(0, 5.0)
    assert found.greeks is None
    assert "no time is left to price" in found.notes


@pytest.mark.parametrize(
    ("now", "is_known", "words"),
    [
        (datetime(2026, 11, 19, 23, 0, tzinfo=UTC), True, ""),  # it traded until 16:15, and settles at 9:30 tomorrow
        (datetime(2026, 11, 20, 14, 30, tzinfo=UTC), False, "no time is left to price"),
        (datetime(2026, 11, 20, 14, 31, tzinfo=UTC), False, "expired on 2026-11-20: what became of it is not known"),
    ],
)
def test_an_option_settled_at_the_open_after_its_last_trade(now: datetime, is_known: bool, words: str) -> None:  # noqa: FBT001  # a table's column
    years = 15.5 * 3600 / (365 * 86_400)
    price = black(-1, 5950, 0.25, years, rate=0.0)
    given = replace(held("SPX   261120P05950000", mark=price), mark_time=now)
    found = valued(given, where=at(None, time=now), now=now, market_open=False, ibkr=CLOSED)[0]
    assert (found.greeks is not None) is is_known
    if is_known:
        assert greeks(found).iv == pytest.approx(0.25, rel=1e-6)
    else:
        assert words in (*found.notes, *found.reasons)


# --- ill will ---


def test_a_strike_of_half_a_dollar() -> None:
    """A share at 0.62: the 0.50 call is in the money, so the 0.50 put tells."""
    call, put = "XYZ   261218C00000500", "XYZ   261218P00000500"
    price = black(-1, 0.5, 0.9, spot=0.62, rate=0.0)
    where = at(None, XYZ=0.62, quotes={put: Quote(price - 0.01, price + 0.01, NOW, "tastytrade")})
    found = greeks(valued(held(call, mark=0.15), where=where)[0])
    assert found.iv == pytest.approx(0.9, rel=1e-6)
    assert found.delta is not None
    assert 0.7 < found.delta < 0.9


@pytest.mark.parametrize(
    ("price", "vol", "rate"), [(black(-1, 5800, 5.0), 5.0, RATE), (black(-1, 5800, 0.2, rate=-0.01), 0.2, -0.01)]
)
def test_huge_volatilities_and_negative_rates(price: float, vol: float, rate: float) -> None:
    found = greeks(valued(held("SPXW  261218P05800000", mark=price), where=at(rate))[0])
    assert found.iv == pytest.approx(vol, rel=1e-9)


@pytest.mark.parametrize("price", [None, 0.0, -5.0, math.nan])
def test_without_a_price_of_the_underlying_nobody_can_tell(price: float | None) -> None:
    where = at(quotes={CALL: quoted(90.0)})
    prices = {name: told for name, told in where.prices.items() if name != "SPX"}
    where = replace(where, prices=prices if price is None else {**prices, "SPX": Price(price, NOW, "test")})
    for given in (held(mark=210.0), held(greeks=replace(BROKER, time=NOW - OLD)), held()):
        found = valued(given, NEIGHBOUR, where=where)[0]
        assert found.greeks is None


@pytest.mark.parametrize(
    ("quote", "vol"),
    [
        ({"bid": None, "ask": 212.0, "mark": black(-1, 6200, 0.19)}, 0.19),
        ({"bid": math.nan, "ask": 300.0, "mark": black(-1, 6200, 0.19)}, None),
        ({"bid": math.nan, "ask": math.nan, "mark": math.nan}, None),
        ({"bid": 0.0, "ask": 0.0, "mark": None}, None),
        ({"bid": -1.0, "ask": 230.0, "mark": None}, None),
        ({"bid": 230.0, "ask": 190.0, "mark": None}, None),
    ],
)
def test_half_a_quote_and_no_number(quote: dict[str, float | None], vol: float | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = valued(held(**quote))[0]
    assert (None if found.greeks is None else found.greeks.iv) == (None if vol is None else pytest.approx(vol))


def test_a_crossed_quote_beside_a_mark_is_doubted() -> None:
    found = valued(held(bid=230.0, ask=190.0, mark=210.0))[0]
    assert "crossed" in found.reasons[0]


@pytest.mark.parametrize("price", [179.0, 150.0])
def test_below_what_it_is_surely_worth_a_price_tells_no_volatility(price: float) -> None:
    assert price < 6200 * math.exp(-RATE * YEARS) - 6000  # 179.5
    found = valued(held(mark=price))[0]
    assert found.greeks is None
    assert found.notes == ("its price fits no volatility",)


# --- both ways of calculating ---


def mixed_book() -> Sequence[Position]:
    """Styles, sources and prices of every kind."""
    return [
        held(**around(black(-1, 6200, 0.18))), held(CALL, mark=black(1, 6200, 0.17)), silent(5900), vol_put(5800),
        held("XYZ   261218P00110000", mark=11.2), held("XYZ   261218C00095000", **around(7.0)),
        held("KO    270115C00060000", **around(4.0)), held("KO    270115P00060000", **around(2.5)),
        held("XYZ   261218P00150000", mark=50.0), held("XYZ   261218P00050000", mark=60.0),
    ]  # fmt: skip


def test_without_compiled_kernels_everything_is_the_same() -> None:
    told = at(XYZ=100.0, KO=61.0)
    told = replace(told, yields={"XYZ": Observed(0.02, NOW, "test"), "KO": Observed(0.0, NOW, "test")})
    found = []
    for path in PATHS:
        with calculated(path):
            found.append(valued(*mixed_book(), where=told))
    for one, other in zip(*found, strict=True):
        assert (one.reasons, one.notes) == (other.reasons, other.notes)
        assert (one.greeks is None) == (other.greeks is None)
        if one.greeks is not None and other.greeks is not None:
            assert (one.greeks.source, one.greeks.time) == (other.greeks.source, other.greeks.time)
            for name in ("delta", "gamma", "vega", "theta", "iv", "rho"):
                left, right = getattr(one.greeks, name), getattr(other.greeks, name)
                assert left == (None if right is None else pytest.approx(right, rel=1e-6, abs=1e-9))
    assert [row.greeks is not None for row in found[0]] == [True] * 9 + [False]

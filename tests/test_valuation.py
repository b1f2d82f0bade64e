"""Which Greeks an option gets: order of trust, staleness of streams, contradictions, and the price edges."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from guardrails.instruments import Instrument, Kind, Right, Settlement
from guardrails.unit_price import price_of
from guardrails.valuation import value_positions
from guardrails.values import Greeks, Market, Position, Price, Source, SourceState
from tests.books import IBKR, MATRIX, NOW, market, option, stock

PUT = "SPXW  261218P05800000"
"""30 days, 3.3 % out of the money at 6,000"""
VENDOR = "-0.21 0.0008 5.5 -1.4 0.16"
OLD, FRESH = timedelta(seconds=31), timedelta(seconds=30)
"""`stale_after_seconds` is 30"""
QUIET, TICKING = timedelta(seconds=301), timedelta(seconds=300)
"""`quiet_after_minutes` is 5"""


def valued(
    position: Position, at: Market | None = None, state: SourceState = SourceState.LIVE, *, market_open: bool = True
) -> Position:
    """One position after valuation."""
    source = Source(position.source, state, NOW)
    found = value_positions([position], at or market(), [source], NOW, MATRIX.data, market_open=market_open)
    return found[0]


def aged(position: Position, by: timedelta) -> Position:
    assert position.greeks is not None
    return replace(position, greeks=replace(position.greeks, time=NOW - by))


def greeks(position: Position) -> Greeks:
    assert position.greeks is not None, (position.reasons, position.notes)
    return position.greeks


# --- order of trust ---


def test_fresh_vendor_greeks_are_kept_as_they_are() -> None:
    held = aged(option(PUT, -1, VENDOR), FRESH)
    assert valued(held) == held


def test_a_quiet_option_is_repriced_from_its_last_volatility() -> None:
    found = greeks(valued(aged(option(PUT, -1, VENDOR), OLD)))
    assert found.source == "repriced"
    assert found.iv == 0.16
    assert found.time == NOW  # as fresh as the underlying
    # Hull, Options, ch. 19: N(d1) - 1 with d1 = (ln(S/K) + (r + s^2/2)T) / (s sqrt T), T = 30.23 days / 365, r = 0
    years = (datetime(2026, 12, 18, 21, 0, tzinfo=UTC) - NOW).total_seconds() / (365 * 86_400)
    d1 = (math.log(6000 / 5800) + 0.16**2 / 2 * years) / (0.16 * math.sqrt(years))
    assert found.delta == pytest.approx(0.5 * (1 + math.erf(d1 / math.sqrt(2))) - 1, abs=1e-9)


def test_a_quote_gives_a_volatility_where_the_vendor_gives_none() -> None:
    # Black-Scholes: a 5800 put, S 6000, 16 %, 30.23 days, r 0 is worth 36.7
    found = greeks(valued(option(PUT, -1, bid=36.0, ask=37.4, quote_time=NOW)))
    assert found.source == "model"
    assert found.iv == pytest.approx(0.16, abs=0.003)


def test_statement_volatility_is_a_model_not_a_repricing() -> None:
    held = option(PUT, -1)
    held = replace(held, greeks=Greeks(None, None, None, None, 0.16, "statement", NOW))
    assert greeks(valued(held, state=SourceState.FILE)).source == "model"


def test_incomplete_vendor_greeks_are_not_patched_but_replaced() -> None:
    held = option(PUT, -1, VENDOR)
    held = replace(held, greeks=replace(greeks(held), vega=None))
    found = greeks(valued(held))
    assert found.source == "repriced"
    assert None not in (found.delta, found.gamma, found.vega, found.theta)


def test_without_anything_there_are_no_greeks_and_the_reason_is_said() -> None:
    found = valued(option(PUT, -1))
    assert found.greeks is None
    assert found.notes == ("no quote or mark to imply a volatility from",)


def test_without_the_underlying_there_are_no_greeks() -> None:
    at = replace(market(), prices={})
    found = valued(option(PUT, -1, mark=36.0), at)
    assert found.greeks is None
    assert "no price of SPX" in found.notes[-1]


@pytest.mark.parametrize("mark", [0.0, -1.0])
def test_a_price_of_nothing_implies_nothing(mark: float) -> None:
    assert valued(option(PUT, -1, mark=mark)).greeks is None


def test_a_price_that_fits_no_volatility_gives_none() -> None:
    found = valued(option(PUT, -1, mark=5_900.0))  # above the strike
    assert found.greeks is None
    assert "fits no volatility" in found.notes[-1]


# --- staleness belongs to streams (law 14) ---


def test_a_closed_market_ages_nothing() -> None:
    held = aged(option(PUT, -1, VENDOR), timedelta(hours=15))
    assert valued(held, state=SourceState.CLOSED, market_open=False) == held
    assert valued(held, market_open=False) == held


def test_a_statement_is_as_old_as_it_is_meant_to_be() -> None:
    held = aged(option(PUT, -1, VENDOR), timedelta(hours=15))
    assert valued(held, market(time=NOW - timedelta(hours=15)), SourceState.FILE) == held


@pytest.mark.parametrize(("by", "trusted"), [(TICKING, True), (QUIET, False)])
def test_a_live_option_needs_a_live_underlying(by: timedelta, trusted: bool) -> None:  # noqa: FBT001  # a table's column
    at = market(time=NOW - by)
    for held in (option(PUT, -1, VENDOR), aged(option(PUT, -1, VENDOR), OLD)):
        found = valued(held, at)
        assert (not found.reasons and found.greeks is not None) is trusted
        assert trusted or "SPX has not ticked for 5 min" in found.reasons[0]


@pytest.mark.parametrize(("by", "trusted"), [(TICKING, True), (QUIET, False)])
def test_live_shares_need_a_live_price(by: timedelta, trusted: bool) -> None:  # noqa: FBT001  # a table's column
    assert bool(valued(stock("SPY", 1, 600.0), market(time=NOW - by)).reasons) is not trusted
    own = replace(stock("XYZ", 1, 10.0), mark_time=NOW - by)  # no price but its own mark
    assert bool(valued(own).reasons) is not trusted


@pytest.mark.parametrize(("by", "trusted"), [(TICKING, True), (QUIET, False)])
def test_an_own_price_too_old_implies_nothing(by: timedelta, trusted: bool) -> None:  # noqa: FBT001  # a table's column
    found = valued(option(PUT, -1, bid=36.0, ask=37.4, quote_time=NOW - by))
    assert (found.greeks is not None) is trusted


@pytest.mark.parametrize(("ahead", "trusted"), [(60, True), (61, False)])
def test_a_clock_may_run_ahead_by_a_minute(ahead: float, trusted: bool) -> None:  # noqa: FBT001  # a table's column
    early = aged(option(PUT, -1, VENDOR), -timedelta(seconds=ahead))
    assert (valued(early) == early) is trusted
    at = market(time=NOW + timedelta(seconds=ahead))
    assert (not valued(stock("SPY", 1, 600.0), at).reasons) is trusted


# --- contradictions ---


@pytest.mark.parametrize(
    ("mark", "trusted"),
    # 10 % of the ask of 10.1 is 1.01
    [(8.89, True), (8.88, False), (11.11, True), (11.12, False)],
)
def test_a_mark_outside_its_quote_contradicts_it(mark: float, trusted: bool) -> None:  # noqa: FBT001  # a table's column
    held = option(PUT, -1, VENDOR, mark=mark, bid=9.9, ask=10.1)
    assert (valued(held).reasons == ()) is trusted


@pytest.mark.parametrize(("mark", "trusted"), [(0.15, True), (0.16, False)])
def test_a_cheap_option_has_a_tick_of_slack(mark: float, trusted: bool) -> None:  # noqa: FBT001  # a table's column
    held = option(PUT, -1, VENDOR, mark=mark, bid=0.0, ask=0.1)
    assert (valued(held).reasons == ()) is trusted


def test_a_crossed_quote_is_named() -> None:
    assert "crossed" in valued(option(PUT, -1, VENDOR, mark=10.0, bid=10.2, ask=10.0)).reasons[0]


def test_a_price_that_contradicts_its_own_quote_is_named() -> None:
    at = market()
    at = replace(at, prices={**at.prices, "SPY": Price(60.0, NOW, "x", bid=599.9, ask=600.1)})
    assert "contradicts its quote" in valued(stock("SPY", 1, 600.0), at).reasons[0]


@pytest.mark.parametrize(
    ("text", "possible"),
    [
        ("-1.02 0.0008 5 -1", True),
        ("-1.03 0.0008 5 -1", False),
        ("0.03 0.0008 5 -1", False),
        ("0.02 0.0008 5 -1", True),
        ("-0.2 -0.03 5 -1", False),
        ("-0.2 0.001 -0.03 -1", False),
        ("-0.2 0.001 5 0.4", True),
    ],
)
def test_greeks_that_no_put_can_have_are_not_believed(text: str, possible: bool) -> None:  # noqa: FBT001  # a table's column
    held = option(PUT, -1, text)
    found = valued(held)
    assert (found.greeks == held.greeks) is possible
    assert possible or "cannot be true" in found.notes[0]


# --- rows that say themselves that they cannot be trusted ---


def test_an_expired_option_is_named() -> None:
    found = valued(option("SPXW  261117P05800000", -1, VENDOR))
    assert found.reasons == ("expired on 2026-11-17: what became of it is not known",)


@pytest.mark.parametrize(("hour", "expired"), [(20.99, False), (21.01, True)])
def test_expiry_is_the_close_of_its_day(hour: float, expired: bool) -> None:  # noqa: FBT001  # a table's column
    now = datetime(2026, 11, 18, tzinfo=UTC) + timedelta(hours=hour)
    held = [option("SPXW  261118P05800000", -1, VENDOR)]
    source = Source("test", SourceState.CLOSED, now)
    found = value_positions(held, market(time=now), [source], now, MATRIX.data, market_open=False)
    assert bool(found[0].reasons) is expired


def test_an_adjusted_option_has_no_greeks_to_trust() -> None:
    held = option("AAPL  261218P00200000", -1, VENDOR)
    held = replace(held, instrument=replace(held.instrument, adjusted=True))
    assert "adjusted" in valued(held).reasons[0]


def test_what_the_adapter_doubts_stays_doubted() -> None:
    held = option(PUT, -1, VENDOR, reasons=("line 3: quantity is not a number",))
    assert valued(held).reasons == ("line 3: quantity is not a number",)


@pytest.mark.parametrize("lost", ["expiry", "strike", "right"])
def test_an_option_without_its_terms_is_named(lost: str) -> None:
    held = option(PUT, -1, VENDOR)
    held = replace(held, instrument=replace(held.instrument, **{lost: None}))
    assert valued(held).reasons == ("an option without expiry, strike or right",)


def test_a_quantity_that_is_no_number_is_named() -> None:
    for quantity in (None, math.nan, math.inf):
        assert valued(stock("SPY", quantity, 600.0)).reasons == ("its quantity is not known",)


# --- price edges ---


def test_parity_moves_like_the_underlying() -> None:
    """A deep put at its intrinsic value carries no volatility: delta -1, nothing else (S 6000, K 7000)."""
    found = greeks(valued(option("SPXW  261218P07000000", -1, mark=1_000.0), _at_zero_rate()))
    assert (found.delta, found.gamma, found.vega, found.theta, found.iv) == (-1.0, 0.0, 0.0, 0.0, None)


def _at_zero_rate() -> Market:
    return replace(market(), risk_free=None)


def test_an_option_out_of_the_money_at_nothing_is_not_parity() -> None:
    assert valued(option("SPXW  261218P05000000", -1, mark=0.0)).greeks is None


def test_future_options_are_priced_on_the_future() -> None:
    """Black-76: no carry, so an at-the-money call has delta just above exp(-rT)/2."""
    thing = Instrument(
        Kind.FUTURE_OPTION, "./ESZ26 261218C6000", "/ESZ26", "ES", date(2026, 12, 18), Decimal(6000), Right.CALL,
        Settlement.CASH_AM,
    )  # fmt: skip
    held = replace(option(PUT, 1, mark=100.0, multiplier=50.0), instrument=thing)
    found = greeks(valued(held, market(**{"/ESZ26": 6000.0})))
    assert found.delta is not None
    assert 0.5 < found.delta < 0.53


@pytest.mark.parametrize(
    ("quote", "price"),
    [
        ({"bid": 1.0, "ask": 1.2, "mark": 9.0}, 1.1),
        ({"bid": 0.0, "ask": 1.2, "mark": 0.5}, 0.5),
        ({"bid": 1.3, "ask": 1.2, "mark": 0.5}, 0.5),
        ({"bid": None, "ask": 1.2, "mark": None}, None),
        # cheap options are quoted at many times their bid, and those quotes count
        ({"bid": 0.05, "ask": 0.15, "mark": 0.06}, 0.10),
        ({"bid": 0.05, "ask": 1.05, "mark": 0.10}, 0.55),
        ({"bid": 10.0, "ask": 50.0, "mark": 12.0}, 30.0),
        # over 5 times the bid and over 1.00 above it: nobody is there
        ({"bid": 0.05, "ask": 1.06, "mark": 0.10}, 0.10),
        ({"bid": 10.0, "ask": 50.5, "mark": 12.0}, 12.0),
        ({"bid": 0.05, "ask": 60.0, "mark": None}, None),
        ({"bid": 0.05, "ask": 60.0, "mark": 30.0}, None),  # the mark is only the middle again
        ({"bid": 1.0, "ask": math.inf, "mark": 2.0}, 2.0),
    ],
)
def test_the_price_of_one_unit(quote: dict[str, float | None], price: float | None) -> None:
    assert price_of(option(PUT, 1, **quote)) == (None if price is None else pytest.approx(price))


def test_an_absurdly_wide_quote_gives_way_to_the_mark_and_that_is_said() -> None:
    # as above, a mark of 36.7 is 16 %; the middle, 60.25, would be 23 %
    wide = option(PUT, -1, mark=36.7, bid=0.5, ask=120.0, quote_time=NOW)
    found = valued(wide)
    assert greeks(found).iv == pytest.approx(0.16, abs=0.001)
    assert found.notes == ("its quote 0.5/120 is too wide to be a price",)
    alone = valued(replace(wide, mark=None))
    assert alone.greeks is None
    assert alone.notes == (
        "its quote 0.5/120 is too wide to be a price",
        "no quote or mark to imply a volatility from",
    )


def test_a_mark_beside_a_ticking_absurd_quote_is_as_old_as_itself() -> None:
    wide = option(PUT, -1, mark=36.7, bid=0.5, ask=120.0, quote_time=NOW, mark_time=NOW - QUIET)
    found = valued(wide)
    assert found.greeks is None
    assert found.notes[-1] == "its own price is 5 min old"


def test_order_and_length_are_kept() -> None:
    held = [
        stock("SPY", 1, 600.0),
        option(PUT, -1, VENDOR),
        option("SPXW  261117P05800000", -1),
        stock("SPY", 2, 600.0),
    ]
    found = value_positions(held, market(), [], NOW, MATRIX.data, market_open=True)
    assert [p.instrument.key for p in found] == [p.instrument.key for p in held]
    assert {p.account for p in found} == {IBKR}

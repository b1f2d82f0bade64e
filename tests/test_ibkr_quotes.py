"""Tickers into quotes, prices and positions. Figures worked by hand; sentinels as IBKR facts 0.8 and 6 list them."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import ib_async
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ibkr.quotes import DELAY, DataType, Quote, apply, price_of, read_quote, to_mark, to_price
from guardrails.instruments import Right
from guardrails.symbols import contracts as canonical
from guardrails.values import AccountId, Greeks, Position

NOW = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=40)
NAN, UNSET = math.nan, 1.7976931348623157e308
PUT = canonical.option("SPXW", date(2026, 12, 18), Right.PUT, Decimal(5500))
SENT = ib_async.OptionComputation(0, 0.12598, -0.3876, 45.5, 3.17, 0.004499, 2.7588, -0.9446, 3216.19)
"""a recorded model computation of an SPX put (domain facts 1.1)"""
SENTINELS = [NAN, math.inf, -math.inf, UNSET, -UNSET, -1.0, -2.0]


def ticker(**said: object) -> ib_async.Ticker:
    """A ticker that has said this and nothing else."""
    heard = ib_async.Ticker()
    for name, value in {"time": NOW, **said}.items():
        setattr(heard, name, value)
    return heard


def read(**said: object) -> Quote:
    return read_quote(ticker(**said), None)


def position(quantity: float | None = -2.0, cost: float | None = 20.0) -> Position:
    return Position(AccountId("IBKR", "U0000001"), PUT, quantity, 100.0, "ibkr", NOW, average_price=cost)


def test_a_ticker_that_has_said_nothing_is_an_empty_quote() -> None:
    assert read_quote(ib_async.Ticker(), None) == Quote()


def test_a_two_sided_quote() -> None:
    quote = read(bid=15.4, bidSize=10, ask=15.6, askSize=3, last=15.5, close=16.0, halted=0.0, markPrice=15.52)
    assert (quote.bid, quote.ask, quote.last, quote.close, quote.mark_price) == (15.4, 15.6, 15.5, 16.0, 15.52)
    assert (quote.halted, quote.time, quote.data_type) == (0.0, NOW, DataType.LIVE)


@pytest.mark.parametrize(
    ("price", "size", "bid"),
    [(0.05, 1, 0.05), (0.0, 1, 0.0), (-0.05, 1, None), (-1, 0, None), (0.05, 0, None), (0.05, NAN, 0.05)],
)
def test_a_side_without_size_or_below_zero_is_no_quote(price: float, size: float, bid: float | None) -> None:
    assert read(bid=price, bidSize=size).bid == bid
    assert read(ask=price, askSize=size).ask == (bid or None)  # nobody sells for nothing


@pytest.mark.parametrize("unset", [*SENTINELS, 0.0])
def test_an_unset_price_is_absent(unset: float) -> None:
    quote = read(last=unset, close=unset, markPrice=unset)
    assert (quote.last, quote.close, quote.mark_price) == (None, None, None)


def test_the_level_of_an_index_has_no_size() -> None:
    assert read(last=18.25, lastSize=0).last == 18.25


def test_greeks_of_the_model() -> None:
    quote = read(modelGreeks=SENT)
    assert quote.model == Greeks(-0.3876, 0.004499, 2.7588, -0.9446, 0.12598, "ibkr", NOW)
    assert (quote.model_price, quote.underlying_price) == (45.5, 3216.19)
    assert quote.computation is SENT


@pytest.mark.parametrize("name", ["delta", "gamma", "vega", "theta"])
@pytest.mark.parametrize("unset", [-2.0, None, NAN, UNSET])
def test_an_unset_greek_is_absent_and_the_others_stay(name: str, unset: float | None) -> None:
    model = read(modelGreeks=replace(SENT, **{name: unset})).model
    assert model is not None
    assert getattr(model, name) is None
    assert sum(getattr(model, other) is None for other in ("delta", "gamma", "vega", "theta", "iv")) == 1


@pytest.mark.parametrize("figure", [-1.0, 0.0, 1.0])
def test_a_greek_of_one_or_nothing_is_a_figure(figure: float) -> None:
    """Deep in the money delta is 1 and vega 0; -1 is unset only for prices and volatility (IBKR facts 6)."""
    model = read(modelGreeks=replace(SENT, delta=figure, vega=0.0)).model
    assert model is not None
    assert (model.delta, model.vega) == (figure, 0.0)


@pytest.mark.parametrize(("volatility", "iv"), [(0.001, 0.001), (0.0, None), (-1.0, None), (NAN, None), (UNSET, None)])
def test_a_volatility_is_above_zero(volatility: float, iv: float | None) -> None:
    model = read(modelGreeks=replace(SENT, impliedVol=volatility)).model
    assert model is not None
    assert model.iv == iv


def test_a_computation_without_a_figure_is_no_greeks() -> None:
    nothing = ib_async.OptionComputation(0, None, None, -1.0, None, None, -2.0, -2.0, -1.0)
    quote = read(modelGreeks=nothing)
    assert (quote.model, quote.model_price, quote.underlying_price) == (None, None, None)


def test_greeks_that_were_not_sent_again_keep_their_age() -> None:
    first = read_quote(ticker(modelGreeks=SENT), None)
    quiet = read_quote(ticker(modelGreeks=SENT, time=LATER, bid=1.0, bidSize=1), first)
    assert quiet.model is not None
    assert (quiet.time, quiet.model.time) == (LATER, NOW)
    again = read_quote(ticker(modelGreeks=replace(SENT), time=LATER), first)  # equal, but sent anew
    assert again.model is not None
    assert again.model.time == LATER


def test_nothing_but_the_age_of_greeks_is_carried_over() -> None:
    first = read(bid=15.4, bidSize=10, last=15.5, close=16.0, modelGreeks=SENT)
    gone = read_quote(ticker(time=LATER), first)
    assert gone == Quote(time=LATER)


@pytest.mark.parametrize(
    ("number", "data_type", "age"),
    [
        (1, DataType.LIVE, 0),
        (2, DataType.FROZEN, 0),
        (3, DataType.DELAYED, 15),
        (4, DataType.DELAYED_FROZEN, 15),
        (9, DataType.DELAYED_FROZEN, 15),
    ],
)
def test_delayed_data_is_dated_back(number: int, data_type: DataType, age: int) -> None:
    quote = read(marketDataType=number, last=10.0, modelGreeks=SENT)
    assert (quote.data_type, quote.time) == (data_type, NOW - timedelta(minutes=age))
    assert quote.model is not None
    assert quote.model.time == quote.time


def test_a_time_without_zone_is_no_time() -> None:
    quote = read(time=NOW.replace(tzinfo=None), last=10.0, modelGreeks=SENT)
    assert (quote.time, quote.model, quote.last) == (None, None, 10.0)
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-5)))
    assert read(time=elsewhere).time == NOW


FULL = Quote(bid=99.0, ask=101.0, last=100.5, close=98.0, mark_price=100.2, time=NOW)


@pytest.mark.parametrize(
    ("missing", "price"),
    [((), 100.5), (("last",), 100.0), (("last", "bid"), 100.2), (("last", "ask"), 100.2),
     (("last", "bid", "mark_price"), None)],
)  # fmt: skip
def test_the_price_of_an_underlying(missing: tuple[str, ...], price: float | None) -> None:
    quote = replace(FULL, **dict.fromkeys(missing))
    assert price_of(quote) == price
    made = to_price(quote, "ibkr")
    assert (None if made is None else made.value) == price


def test_a_price_carries_its_quote_close_and_time() -> None:
    made = to_price(FULL, "ibkr")
    assert made is not None
    assert (made.bid, made.ask, made.close, made.time, made.source) == (99.0, 101.0, 98.0, NOW, "ibkr")


def test_a_close_alone_or_a_price_without_time_is_no_price() -> None:
    assert to_price(Quote(close=98.0, time=NOW), "ibkr") is None
    assert to_price(replace(FULL, time=None), "ibkr") is None


MODEL = Greeks(-0.4, 0.004, 2.7, -0.9, 0.13, "ibkr", NOW - timedelta(seconds=30))
OPTION = Quote(
    bid=15.4, ask=15.6, last=14.0, close=16.0, model=MODEL, model_price=15.7, underlying_price=5600.0, time=NOW
)


def test_the_mark_of_an_option() -> None:
    assert to_mark(OPTION) == (pytest.approx(15.5), NOW)
    assert to_mark(replace(OPTION, bid=15.6)) == (15.6, NOW)  # locked
    for one_sided in (replace(OPTION, bid=None), replace(OPTION, bid=0.0), replace(OPTION, ask=None)):
        assert to_mark(one_sided) == (15.7, MODEL.time)
    assert to_mark(replace(OPTION, bid=15.61)) == (15.7, MODEL.time)  # crossed
    assert to_mark(replace(OPTION, bid=None, model=None, model_price=None)) == (14.0, NOW)
    assert to_mark(Quote(close=16.0, time=NOW)) == (None, None)


def test_a_quote_on_a_position() -> None:
    """Two sold at 20.00, closed at 16.00, now 15.50: 100 today, 900 in all."""
    held = apply(position(), OPTION)
    assert (held.bid, held.ask, held.mark, held.greeks) == (15.4, 15.6, pytest.approx(15.5), MODEL)
    assert (held.quote_time, held.mark_time) == (NOW, NOW)
    assert (held.day_pnl, held.open_pnl) == (pytest.approx(100.0), pytest.approx(900.0))
    assert held.notes == ()


@pytest.mark.parametrize(
    ("executed", "day"),
    [
        # one carried from 16.00 makes 50, one sold today at 17.00 makes 150
        ([(-1.0, 17.0)], 200.0),
        # both opened today, at 17.00 and 15.00: 150 − 50
        ([(-1.0, 17.0), (-1.0, 15.0)], 100.0),
        # three carried, one bought back at 14.00: 100 on the two, 200 on the third
        ([(1.0, 14.0)], 300.0),
    ],
)
def test_the_day_of_a_position_that_was_traded(executed: list[tuple[float, float]], day: float) -> None:
    assert apply(position(), OPTION, executed=executed).day_pnl == pytest.approx(day)
    assert apply(position(), OPTION, traded_today=True, executed=executed).day_pnl == pytest.approx(day)


def test_the_day_is_unknown_when_it_was_traded_and_nobody_knows_how() -> None:
    assert apply(position(), OPTION, traded_today=True).day_pnl is None


def test_the_day_needs_a_close_only_for_what_was_carried() -> None:
    unclosed = replace(OPTION, close=None)
    assert apply(position(), unclosed).day_pnl is None
    assert apply(position(), unclosed, executed=[(-2.0, 17.0)]).day_pnl == pytest.approx(300.0)


@pytest.mark.parametrize("field", ["quantity", "multiplier"])
def test_profit_needs_quantity_and_multiplier(field: str) -> None:
    held = apply(replace(position(), **{field: None}), OPTION)
    assert (held.day_pnl, held.open_pnl) == (None, None)
    assert apply(position(cost=None), OPTION).open_pnl is None


@pytest.mark.parametrize(
    ("data_type", "words"),
    [
        (DataType.LIVE, None),
        (DataType.FROZEN, "last ones before the close"),
        (DataType.DELAYED, "delayed quotes (15 to 20 minutes old)"),
        (DataType.DELAYED_FROZEN, "delayed quotes (15 to 20 minutes old)"),
    ],
)
def test_data_that_is_not_live_is_said(data_type: DataType, words: str | None) -> None:
    notes = apply(position(), replace(OPTION, data_type=data_type)).notes
    assert (words is None and notes == ()) or (words is not None and len(notes) == 1 and words in notes[0])


def test_a_quote_of_unknown_age_leaves_the_figures_alone() -> None:
    held = replace(position(), mark=12.0, mark_time=NOW)
    assert apply(held, replace(OPTION, time=None)) == held


def test_the_mark_of_the_record_stays_when_the_quote_has_none() -> None:
    held = apply(replace(position(), mark=12.0, mark_time=NOW), Quote(close=16.0, time=LATER))
    assert (held.mark, held.mark_time, held.quote_time, held.greeks) == (12.0, NOW, None, None)
    assert held.day_pnl == pytest.approx(800.0)  # 12.00 against 16.00 on two short


def test_a_share_has_no_greeks_and_is_marked_at_its_last_trade() -> None:
    share = replace(position(10.0, 90.0), instrument=canonical.equity("AAPL"), multiplier=1.0)
    held = apply(share, replace(FULL, model=MODEL, model_price=1.0))
    assert (held.mark, held.greeks, held.day_pnl, held.open_pnl) == (100.5, None, 25.0, 105.0)


numbers = st.one_of(st.sampled_from([*SENTINELS, 0.0, 1.0]), st.floats(), st.floats(min_value=0, max_value=1e4))
computations = st.builds(
    ib_async.OptionComputation, st.just(0), *([st.one_of(st.none(), numbers)] * 8)
)  # fmt: skip
tickers = st.builds(
    ticker,
    time=st.sampled_from([None, NOW, LATER, NOW.replace(tzinfo=None)]),
    marketDataType=st.integers(0, 5),
    modelGreeks=st.one_of(st.none(), computations),
    **dict.fromkeys(("bid", "bidSize", "ask", "askSize", "last", "close", "markPrice", "halted"), numbers),
)  # fmt: skip


def figures(value: object) -> list[float]:
    """Every float in a value and in the values inside it."""
    if isinstance(value, float):
        return [value]
    if isinstance(value, (Quote, Greeks, Position)):
        return [
            number
            for field in fields(value)
            if field.name != "computation"
            for number in figures(getattr(value, field.name))
        ]
    return []


@given(tickers, tickers)
def test_no_sentinel_survives(first: ib_async.Ticker, second: ib_async.Ticker) -> None:
    quote = read_quote(second, read_quote(first, None))
    assert all(math.isfinite(number) and abs(number) < 1e300 for number in figures(quote))
    prices = (
        quote.bid,
        quote.ask,
        quote.last,
        quote.close,
        quote.mark_price,
        quote.model_price,
        quote.underlying_price,
    )
    assert all(price is None or price >= 0 for price in prices)
    assert quote.model is None or -2.0 not in figures(quote.model)
    made = to_price(quote, "ibkr")
    assert made is None or (made.value > 0 and math.isfinite(made.value))


@given(
    tickers,
    st.one_of(st.none(), st.floats(-1e300, 1e300)),
    st.one_of(st.none(), st.floats(0, 1e300)),
    st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(0, 1e9)), max_size=3),
)
def test_a_quote_never_makes_a_figure_that_is_none(
    heard: ib_async.Ticker, quantity: float | None, cost: float | None, executed: list[tuple[float, float]]
) -> None:
    held = apply(position(quantity, cost), read_quote(heard, None), executed=executed)
    assert all(math.isfinite(number) for number in figures(held))
    assert (held.quote_time is None) == (held.bid is None and held.ask is None)


def test_delay_is_a_quarter_of_an_hour() -> None:
    assert timedelta(minutes=15) == DELAY

"""What the stream says of a symbol: the last word, without sentinels, and never younger than it is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tastytrade.ticks import Ticks, Traded, daily
from adapters.tastytrade.view import _price
from guardrails.values import Quote

NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
PUT = ".SPY261218P590"
GREEKS = {
    "eventSymbol": PUT, "time": 0, "price": 6.057, "volatility": 0.165, "delta": -0.32818, "gamma": 0.013166,
    "theta": -0.1614, "rho": -0.1557, "vega": 0.6003,
}  # fmt: skip


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def test_greeks_are_kept_as_dxfeed_means_them() -> None:
    ticks = Ticks()
    ticks.take("Greeks", GREEKS, NOW)
    found = ticks.greeks[PUT]
    assert (found.delta, found.gamma, found.vega, found.theta, found.rho, found.iv) == (
        -0.32818, 0.013166, 0.6003, -0.1614, -0.1557, 0.165,
    )  # fmt: skip
    assert (found.source, found.time) == ("tastytrade", NOW)


def test_the_first_event_on_a_socket_is_as_old_as_it_says() -> None:
    ticks, yesterday = Ticks(), NOW - timedelta(hours=19)
    ticks.take("Greeks", {**GREEKS, "time": milliseconds(yesterday)}, NOW)
    assert ticks.greeks[PUT].time == yesterday
    later = NOW + timedelta(seconds=1)
    ticks.take("Greeks", {**GREEKS, "time": milliseconds(yesterday)}, later)
    assert ticks.greeks[PUT].time == later  # that it was sent again is news
    ticks.begin(timedelta())
    ticks.take("Greeks", {**GREEKS, "time": milliseconds(yesterday)}, later)
    assert ticks.greeks[PUT].time == yesterday


@pytest.mark.parametrize("own", [0, None, "NaN", -5, milliseconds(NOW + timedelta(minutes=5))])
def test_a_time_that_says_nothing_is_arrival(own: object) -> None:
    ticks = Ticks()
    ticks.take("Greeks", {**GREEKS, "time": own}, NOW)
    assert ticks.greeks[PUT].time == NOW


def test_a_delayed_stream_is_dated_back() -> None:
    ticks = Ticks()
    ticks.begin(timedelta(minutes=15))
    for seconds in (0, 1):
        ticks.take("Quote", {"eventSymbol": "SPY", "bidPrice": 1, "askPrice": 2}, NOW + timedelta(seconds=seconds))
    assert ticks.quotes["SPY"].time == NOW + timedelta(seconds=1) - timedelta(minutes=15)


def test_nan_takes_the_place_of_the_last_good_value() -> None:
    ticks = Ticks()
    ticks.take("Greeks", GREEKS, NOW)
    ticks.take("Greeks", {"eventSymbol": PUT, **dict.fromkeys(("delta", "gamma", "vega", "volatility"), "NaN")}, NOW)
    assert (ticks.greeks[PUT].delta, ticks.greeks[PUT].iv) == (None, None)
    ticks.take("Trade", {"eventSymbol": "SPX", "price": 6000.0}, NOW)
    ticks.take("Trade", {"eventSymbol": "SPX", "price": "NaN"}, NOW)
    assert "SPX" not in ticks.trades


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 11, 20, 0, 0, tzinfo=UTC), date(2026, 11, 20)),  # midnight UTC, the evening before in New York
        (datetime(2026, 11, 20, 5, 0, tzinfo=UTC), date(2026, 11, 20)),  # midnight in New York, winter
        (datetime(2026, 7, 20, 4, 0, tzinfo=UTC), date(2026, 7, 20)),  # summer
    ],
)
def test_a_bar_is_of_the_day_it_begins(moment: datetime, day: date) -> None:
    ticks = Ticks()
    ticks.take("Candle", {"eventSymbol": daily("VIX"), "time": milliseconds(moment), "close": 17.42}, NOW)
    assert ticks.candles[daily("VIX")] == {day: 17.42}
    ticks.take(
        "Candle", {"eventSymbol": daily("VIX"), "time": milliseconds(moment), "close": "NaN", "eventFlags": 2}, NOW
    )
    assert ticks.candles[daily("VIX")] == {}


@pytest.mark.parametrize("time", [1e290, -1e290, "NaN", None, 1e17])
def test_a_bar_of_no_day_is_counted_and_left(time: object) -> None:
    ticks = Ticks()
    ticks.take("Candle", {"eventSymbol": daily("VIX"), "time": time, "close": 17.42}, NOW)
    assert (ticks.candles, ticks.garbage) == ({}, 1)


def test_rows_of_another_length_are_counted_and_left() -> None:
    ticks = Ticks()
    ticks.take_rows("Quote", ["eventSymbol", "bidPrice", "askPrice"], ["SPY", 1.0, 2.0, "QQQ", 3.0], NOW)
    assert (ticks.quotes, ticks.garbage) == ({}, 1)
    ticks.take_rows("Quote", ["eventSymbol", "bidPrice", "askPrice"], ["SPY", 1.0, 2.0, "QQQ", 3.0, 4.0], NOW)
    assert {symbol: (quote.bid, quote.ask) for symbol, quote in ticks.quotes.items()} == {"SPY": (1, 2), "QQQ": (3, 4)}


@pytest.mark.parametrize(("symbol", "price", "kept"), [("SPX", 0.0, False), ("SPX", -1.0, False), ("SPX", 0.01, True),
                                                       ("/CLK20:XNYM", -37.63, True)])  # fmt: skip
def test_only_futures_trade_at_zero_and_below(symbol: str, price: float, *, kept: bool) -> None:
    ticks = Ticks()
    ticks.take("Trade", {"eventSymbol": symbol, "price": price}, NOW)
    assert (symbol in ticks.trades) is kept


EARLIER = NOW - timedelta(minutes=40)


@pytest.mark.parametrize(
    ("trade", "quote", "value", "time"),
    [
        ((17.2, NOW), (17.1, 17.3, EARLIER), 17.2, NOW),  # inside: both speak of it
        ((35.0, NOW), (17.1, 17.3, EARLIER), 35.0, NOW),  # the quote is of another hour
        ((35.0, EARLIER), (17.1, 17.3, NOW), 17.2, NOW),  # the trade is
        ((35.0, EARLIER), (15.0, 20.0, NOW), 35.0, EARLIER),  # too wide to be a price
        ((35.0, EARLIER), None, 35.0, EARLIER),
        (None, (17.1, 17.3, EARLIER), 17.2, EARLIER),
    ],
)
def test_a_price_is_the_younger_of_trade_and_middle_as_old_as_itself(
    trade: tuple[float, datetime] | None, quote: tuple[float, float, datetime] | None, value: float, time: datetime
) -> None:
    found = _price(None if trade is None else Traded(*trade), None if quote is None else Quote(*quote, "tastytrade"))
    assert found is not None
    assert (found.value, found.time) == (pytest.approx(value), time)
    assert found.bid is None or found.bid <= found.value <= (found.ask or 0)


def test_a_symbol_asked_for_again_begins_with_a_picture_again() -> None:
    ticks, old = Ticks(), NOW - timedelta(hours=3)
    event = {**GREEKS, "time": milliseconds(old)}
    ticks.take("Greeks", event, NOW)
    ticks.take("Greeks", event, NOW)
    assert ticks.greeks[PUT].time == NOW
    ticks.keep(set())
    ticks.take("Greeks", event, NOW)
    assert ticks.greeks[PUT].time == old
    ticks.take("Greeks", event, NOW)
    ticks.begin_kind("Greeks")
    ticks.take("Greeks", event, NOW)
    assert ticks.greeks[PUT].time == old


def test_what_is_no_longer_wanted_is_forgotten() -> None:
    ticks = Ticks()
    ticks.take("Greeks", GREEKS, NOW)
    ticks.keep({"SPY"})
    assert ticks.greeks == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


@given(
    kind=st.sampled_from(["Greeks", "Quote", "Trade", "Summary", "Candle", "Profile", ""]),
    fields=st.dictionaries(st.sampled_from([*GREEKS, "bidPrice", "askPrice", "close", "eventFlags", "bidTime"]), JSON),
    named=st.booleans(),
)
def test_no_event_whatsoever_raises_or_leaves_a_figure_that_is_none(
    kind: str, fields: dict[str, object], *, named: bool
) -> None:
    ticks = Ticks()
    ticks.take(kind, {**fields, "eventSymbol": PUT} if named else fields, NOW)
    for greeks in ticks.greeks.values():
        assert all(value is None or abs(value) < 1e300 for value in (greeks.delta, greeks.vega, greeks.iv))
        assert greeks.time <= NOW

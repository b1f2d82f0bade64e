"""The demo source: what it sends is broker-shaped, adds up to the cent, and is the same in every process."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.demo import DemoSource, ibkr_wire, reading, tastytrade_wire
from adapters.demo.market import SCENARIOS, closes, levels_at
from guardrails import calendar
from guardrails.errors import SourceError
from guardrails.instruments import Kind
from guardrails.values import Account, MarginView, Position, SourceState, View

WEDNESDAY = datetime(2026, 11, 18, 15, 0, tzinfo=UTC)  # 10:00 in New York
CLOCKS = {
    "a session": WEDNESDAY,
    "a Saturday": datetime(2026, 11, 21, 17, 0, tzinfo=UTC),
    "an expiry Friday": datetime(2026, 12, 18, 20, 30, tzinfo=UTC),
    "31 December": datetime(2026, 12, 31, 16, 0, tzinfo=UTC),
    "a half-day": datetime(2026, 11, 27, 16, 0, tzinfo=UTC),
    "before the open": datetime(2026, 11, 18, 8, 0, tzinfo=UTC),
}


def looked(source: DemoSource, now: datetime) -> View:
    return asyncio.run(source.view(now))


def viewed(scenario: str, seconds: float = 0.0, start: datetime = WEDNESDAY) -> View:
    source = DemoSource(scenario)
    looked(source, start)
    return looked(source, start + timedelta(seconds=seconds))


def contribution(position: Position, view: View) -> float:
    """Dollars a position adds to net liquidation beside cash; a future only its variation since the last settlement."""
    assert None not in (position.quantity, position.multiplier, position.mark)
    if position.instrument.kind is Kind.CASH:
        return 0.0
    owed = view.market.prices[position.instrument.symbol].close if position.instrument.kind is Kind.FUTURE else 0.0
    return position.quantity * position.multiplier * (position.mark - owed)  # type: ignore[operator]  # asserted above


def excess(account: Account, margin_view: MarginView, segment: str) -> float:
    found = next(m.excess for m in account.margins if m.view is margin_view and m.segment == segment)
    assert found is not None
    return found


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("seconds", [0.0, 7.0, 45.0, 4000.0])
def test_net_liquidation_is_cash_plus_positions_to_the_cent(scenario: str, seconds: float) -> None:
    view = viewed(scenario, seconds)
    for account in view.accounts:
        held = [p for p in view.positions if p.account == account.id]
        assert account.cash is not None
        whole = account.cash + sum(contribution(p, view) for p in held)
        assert account.net_liquidation == pytest.approx(whole, abs=0.01)


@pytest.mark.parametrize("start", CLOCKS.values(), ids=CLOCKS)
def test_the_day_adds_up_from_the_previous_close(start: datetime) -> None:
    view = viewed("selloff", 30.0, start)
    for account in view.accounts:
        day = [p.day_pnl for p in view.positions if p.account == account.id]
        assert None not in day
        assert account.net_liquidation is not None
        assert account.prior_net_liquidation is not None
        moved = account.net_liquidation - account.prior_net_liquidation.value
        assert sum(value for value in day if value is not None) == pytest.approx(moved, abs=0.02)
        assert account.prior_net_liquidation.time < start


@pytest.mark.parametrize("start", CLOCKS.values(), ids=CLOCKS)
def test_every_row_is_understood(start: datetime) -> None:
    view = viewed("calm", 2.0, start)
    assert len(view.positions) == 41
    for position in view.positions:
        assert position.reasons == ()
        assert position.notes == ()
        assert position.source == "demo"
        if position.instrument.is_option:
            assert position.greeks is not None
            assert position.greeks.source == ("ibkr" if position.account.broker == "IBKR" else "tastytrade")
            assert position.bid is not None
            assert position.ask is not None
            assert position.mark is not None
            assert 0 <= position.bid <= position.mark <= position.ask
            assert position.instrument.underlying in view.market.prices


def test_both_brokers_spell_the_same_future_option_the_same_way_in_the_end() -> None:
    view = viewed("calm")
    spelled = {p.account.broker: p.instrument for p in view.positions if p.instrument.kind is Kind.FUTURE_OPTION}
    assert spelled["IBKR"].underlying == spelled["tastytrade"].underlying == "/ESZ26"
    assert spelled["IBKR"].root == spelled["tastytrade"].root == "EW2"
    assert spelled["IBKR"].expiry == spelled["tastytrade"].expiry


def test_the_records_are_the_brokers_own() -> None:
    source = DemoSource()
    looked(source, WEDNESDAY)
    dealt = source._dealt_at(WEDNESDAY)
    tws, api = source._ibkr(dealt, WEDNESDAY), source._tastytrade(dealt, WEDNESDAY)
    monthly = next(row for row in tws.portfolio if str(row["localSymbol"]).startswith("SPX   "))
    assert str(monthly["localSymbol"])[6:12] == "261218"  # the Friday it settles
    assert monthly["lastTradeDateOrContractMonth"] == "20261217"  # the Thursday it last trades
    assert monthly["multiplier"] == "100"
    tags = {row["tag"] for row in tws.account_values}
    assert {"NetLiquidation-S", "NetLiquidation-C", "FullExcessLiquidity-C", "LookAheadNextChange"} <= tags
    assert all(isinstance(row["value"], str) for row in tws.account_values)
    index = next(row for row in tws.tickers if '"IND"' in json.dumps(row))
    assert (index["bid"], index["ask"]) == (-1.0, -1.0)
    option = next(row for row in api.positions if row["instrument-type"] == "Future Option")
    assert str(option["symbol"]).startswith("./ESZ6 EW2Z6 261211P")
    assert (option["quantity"], option["quantity-direction"], option["multiplier"]) == ("2", "Short", "50")
    assert {event["eventType"] for event in api.events} == {"Trade", "Summary", "Quote", "Greeks", "TheoPrice"}


def test_average_cost_of_an_ibkr_option_loses_its_multiplier_on_the_way_in() -> None:
    source = DemoSource()
    looked(source, WEDNESDAY)
    row = next(row for row in source._ibkr(source._dealt_at(WEDNESDAY), WEDNESDAY).portfolio if row["secType"] == "OPT")
    position = next(p for p in looked(source, WEDNESDAY).positions if p.instrument.symbol == row["localSymbol"])
    assert position.average_price == pytest.approx(float(str(row["averageCost"])) / 100.0)


def test_the_margin_views_are_ordered_and_segments_add_up() -> None:
    ibkr, tastytrade = viewed("calm", 5.0).accounts
    views = (MarginView.LOOK_AHEAD, MarginView.FULL, MarginView.CURRENT)
    for segment in ("total", "commodities"):
        ahead, full, now = (excess(ibkr, view, segment) for view in views)
        assert ahead < full < now
    parts = sum(excess(ibkr, MarginView.CURRENT, segment) for segment in ("securities", "commodities"))
    assert excess(ibkr, MarginView.CURRENT, "total") == pytest.approx(parts, abs=0.02)
    assert ibkr.next_margin_change == datetime(2026, 11, 18, 21, 0, tzinfo=UTC)  # 16:00 in New York
    assert ibkr.margin_by_underlying is None
    assert tastytrade.margin_by_underlying is not None
    asked = next(m.maintenance for m in tastytrade.margins)
    assert sum(tastytrade.margin_by_underlying.values()) == pytest.approx(asked, abs=0.1)


@pytest.mark.parametrize(
    ("clock", "change"),
    [
        ("a half-day", datetime(2026, 11, 27, 18, tzinfo=UTC)),  # 13:00 in New York
        ("a Saturday", datetime(2026, 11, 23, 21, tzinfo=UTC)),
        ("an expiry Friday", datetime(2026, 12, 18, 21, tzinfo=UTC)),
    ],
)
def test_margin_changes_at_the_next_close(clock: str, change: datetime) -> None:
    assert viewed("calm", 0.0, CLOCKS[clock]).accounts[0].next_margin_change == change


def test_the_same_seed_and_seconds_give_the_same_view() -> None:
    assert viewed("selloff", 61.5) == viewed("selloff", 61.5)


def test_another_seed_gives_another_path_from_the_same_start() -> None:
    one, other = DemoSource(seed=7), DemoSource(seed=8)
    later = WEDNESDAY + timedelta(seconds=40)
    assert looked(one, WEDNESDAY).market.prices["SPX"].value == looked(other, WEDNESDAY).market.prices["SPX"].value
    assert looked(one, later).market.prices["AAPL"].value != looked(other, later).market.prices["AAPL"].value


def test_looking_more_often_changes_nothing() -> None:
    often = DemoSource("crash")
    for seconds in range(0, 60, 2):
        looked(often, WEDNESDAY + timedelta(seconds=seconds))
    assert looked(often, WEDNESDAY + timedelta(seconds=60)) == viewed("crash", 60.0)


@settings(max_examples=200, deadline=None)
@given(st.floats(0.0, 60_000.0), st.sampled_from(["calm", "stale"]), st.integers(0, 50))
def test_a_calm_market_stays_calm(seconds: float, scenario: str, seed: int) -> None:
    levels = levels_at(SCENARIOS[scenario], seed, seconds)
    assert 13.0 < levels.vix < 15.0
    assert levels.vix < levels.vix3m
    assert levels.spots["SPX"] == pytest.approx(6800.0, rel=0.004)


@pytest.mark.parametrize(
    ("scenario", "index", "vix"), [("calm", 6800.0, 13.9), ("selloff", 6494.0, 28.0), ("crash", 6188.0, 45.0)]
)
def test_where_the_scenarios_end(scenario: str, index: float, vix: float) -> None:
    levels = levels_at(SCENARIOS[scenario], 7, 120.0)
    assert levels.spots["SPX"] == pytest.approx(index, rel=0.003)
    assert levels.vix == pytest.approx(vix, abs=0.3)


def test_quotes_widen_when_vix_rises() -> None:
    """0.8 % of the price to each side up to VIX 15, in proportion above; ticks matter little to an index put then."""

    def spread(view: View) -> float:
        put = next(p for p in view.positions if p.instrument.symbol.startswith("SPX   261218P") and p.quantity == -1.0)
        assert None not in (put.bid, put.ask, put.mark)
        return (put.ask - put.bid) / put.mark  # type: ignore[operator]  # asserted above

    assert spread(viewed("selloff", 100.0)) == pytest.approx(0.016 * 28 / 15, rel=0.15)
    assert spread(viewed("crash", 120.0)) == pytest.approx(0.016 * 45 / 15, rel=0.05)


def test_the_page_lives() -> None:
    prices = [viewed("calm", seconds).market.prices["SPX"].value for seconds in (0.0, 2.0, 4.0, 6.0)]
    assert len(set(prices)) == 4
    assert max(prices) - min(prices) < 10.0


def test_the_past_fits_the_scenario() -> None:
    before = calendar.previous_session(calendar.session_of(WEDNESDAY))
    for name, inverted in (("calm", False), ("crash", True)):
        vix, vix3m = closes(SCENARIOS[name], 7, before)
        assert len(vix) == len(vix3m) == 120
        assert vix[-1][0] == before
        assert vix[-1][1] == SCENARIOS[name].vix[0]
        assert (vix[-1][1] > vix3m[-1][1]) is inverted
    assert viewed("crash").market.vix_closes == closes(SCENARIOS["crash"], 7, before)[0]


def test_a_switch_starts_the_scenario_at_that_moment() -> None:
    source = DemoSource()
    looked(source, WEDNESDAY)
    later = WEDNESDAY + timedelta(minutes=20)
    source.switch("selloff", later)
    assert source.scenario == "selloff"
    assert looked(source, later).market.prices["SPX"].value == pytest.approx(6800.0)
    assert looked(source, later + timedelta(seconds=90)).market.prices["SPX"].value == pytest.approx(6494.0, rel=0.003)


def test_every_scenario_starts_from_the_same_book_and_money() -> None:
    views = [viewed(name) for name in SCENARIOS]
    held = [[(p.account, p.instrument, p.quantity) for p in view.positions] for view in views]
    prior = [[account.prior_net_liquidation for account in view.accounts] for view in views]
    assert all(book == held[0] for book in held)
    assert all(money == prior[0] for money in prior)


def test_an_unknown_scenario_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(SourceError, match="calm, selloff, crash, stale"):
        DemoSource("boom")
    source = DemoSource()
    with pytest.raises(SourceError, match="'boom'"):
        source.switch("boom", WEDNESDAY)
    assert source.scenario == "calm"


def test_a_new_session_deals_anew() -> None:
    source = DemoSource()
    first = looked(source, WEDNESDAY)
    evening = looked(source, WEDNESDAY + timedelta(hours=22))  # 8:00 next morning: still the same session
    morning = looked(source, WEDNESDAY + timedelta(hours=24))
    assert [p.instrument for p in first.positions] == [p.instrument for p in evening.positions]
    assert [p.instrument for p in first.positions] != [p.instrument for p in morning.positions]


def test_the_silent_feed_keeps_its_last_word_and_is_named() -> None:
    heard = WEDNESDAY + timedelta(seconds=10)
    speaking, silent = viewed("stale", 16.0), viewed("stale", 18.0)
    assert speaking.source.state is SourceState.LIVE
    assert silent.source.state is SourceState.STALE
    assert silent.source.time == heard
    assert "tastytrade feed has stopped" in silent.source.detail
    for view in (speaking, silent):
        ibkr, tastytrade = view.accounts
        assert tastytrade.time == heard
        assert ibkr.time > heard
        assert {p.time for p in view.positions if p.account == tastytrade.id} == {heard}
        assert view.market.vix is not None
        assert view.market.vix.time == heard
        assert view.market.prices["AAPL"].time == heard
        assert view.market.prices["SPX"].time > heard


def test_figures_that_are_missing_on_the_wire_are_missing_inside() -> None:
    source = DemoSource()
    looked(source, WEDNESDAY)
    dealt = source._dealt_at(WEDNESDAY)
    tws = source._ibkr(dealt, WEDNESDAY)
    unset = replace(tws, pnl={**tws.pnl, "dailyPnL": 1.7976931348623157e308})
    assert reading.read_ibkr(unset, "demo", dealt.last_close).account.prior_net_liquidation is None
    unread = replace(
        source._tastytrade(dealt, WEDNESDAY),
        margin_report={"groups": [{"code": "AAPL", "maintenance-requirement": "NaN"}]},
    )
    assert reading.read_tastytrade(unread, "demo").account.margin_by_underlying is None
    assert reading.daily_closes([*tastytrade_wire.candles("VIX", [(WEDNESDAY.date(), float("nan"))])]) == ()


def test_account_numbers_are_masked_in_what_is_printed() -> None:
    view = viewed("calm")
    assert [str(account.id) for account in view.accounts] == ["IBKR •••4567", "tastytrade •••0001"]
    assert "U7214567" not in repr(view)
    assert "5WT00001" not in repr(view)


def test_contract_numbers_are_distinct() -> None:
    source = DemoSource()
    looked(source, WEDNESDAY)
    rows: tuple[ibkr_wire.Record, ...] = source._ibkr(source._dealt_at(WEDNESDAY), WEDNESDAY).portfolio
    assert len({row["conId"] for row in rows}) == len(rows)

"""Two brokers, one book: lines, lots, totals; what stays apart (margin, accounts) and what serves both (the market)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.assess import Assessment, assess
from guardrails.findings import Finding, Level
from guardrails.instruments import Instrument, Kind
from guardrails.matrix import RiskMatrix
from guardrails.memory import Memory
from guardrails.portfolio import held_by_others, merge_markets
from guardrails.snapshot.book import Totals
from guardrails.symbols import occ
from guardrails.values import (
    Account,
    Greeks,
    Market,
    Metrics,
    Observed,
    Position,
    Quote,
    Source,
    SourceState,
    View,
)
from tests.books import IBKR, NOW, TASTY, account, day, market, option, stock
from tests.healthy import GENEROUS_MATRIX

PUT = "SPXW  261218P05800000"
KEY = occ.parse(PUT).key
GREEKS = "-0.2 0.0005 4 -1 0.18"
SUMS = ("delta_dollars", "beta_delta_dollars", "gamma_1pct_dollars", "vega_per_point", "theta_per_day")
LATER, EARLIER = NOW, NOW - timedelta(seconds=1)


def view(
    name: str,
    *positions: Position,
    at: Market | None = None,
    state: SourceState = SourceState.LIVE,
    money: Account | None = None,
) -> View:
    """What the source `name` says; everything it holds lies in its one account."""
    number = IBKR if name == "ibkr" else TASTY
    held = tuple(replace(position, account=number, source=name) for position in positions)
    owner = replace(money or account(number), id=number, source=name)
    return View(Source(name, state, NOW), (owner,), held, at or Market())


def judged(*views: View, matrix: RiskMatrix = GENEROUS_MATRIX) -> Assessment:
    return assess(views, matrix, Memory(), NOW)


def totals(*views: View) -> Totals:
    """Of the book, which is not revalued for them: that is most of the work."""
    return assess(views, GENEROUS_MATRIX, Memory(), NOW, compiling=True).snapshot.totals


def of(result: Assessment, check: str) -> dict[str, Finding]:
    """The findings of one check by subject."""
    return {finding.subject: finding for finding in result.snapshot.findings if finding.check == check}


# --- the market: the newest word by key ---


def both_ways(old: Market, new: Market) -> Iterable[Market]:
    for markets in ((old, new), (new, old)):
        yield merge_markets([view("x", at=each) for each in markets])


def test_the_newest_greeks_quotes_and_metrics_count_whoever_comes_first() -> None:
    def market_of(value: float, time: object) -> Market:
        return Market(
            greeks={KEY: Greeks(-value, value, value, -value, value, "x", time)},  # type: ignore[arg-type]  # a time
            quotes={KEY: Quote(value, value, time, "x")},  # type: ignore[arg-type]  # a time
            metrics={"SPX": Metrics("SPX", time, "x", iv_rank=value)},  # type: ignore[arg-type]  # a time
        )

    for merged in both_ways(market_of(0.1, EARLIER), market_of(0.2, LATER)):
        assert (merged.greeks[KEY].delta, merged.quotes[KEY].bid, merged.metrics["SPX"].iv_rank) == (-0.2, 0.2, 0.2)


def test_what_only_one_knows_serves_both() -> None:
    one = Market(greeks={"a": Greeks(0.1, 0.0, 0.0, 0.0, 0.1, "x", NOW)}, quotes={"a": Quote(1.0, 2.0, NOW, "x")})
    two = Market(metrics={"AAPL": Metrics("AAPL", NOW, "y", correlation=0.5)})
    for merged in both_ways(one, two):
        assert (set(merged.greeks), set(merged.quotes), set(merged.metrics)) == ({"a"}, {"a"}, {"AAPL"})


@pytest.mark.parametrize("rubbish", [math.nan, math.inf, 1.7976931348623157e308])
def test_what_is_no_number_is_dropped_and_the_older_word_stays(rubbish: float) -> None:
    old = Market(
        greeks={KEY: Greeks(-0.2, 0.1, 4.0, -1.0, 0.18, "x", EARLIER)}, quotes={KEY: Quote(1.0, 2.0, EARLIER, "x")}
    )
    wrong = Greeks(rubbish, rubbish, rubbish, rubbish, rubbish, "y", LATER, rubbish)
    new = Market(greeks={KEY: wrong}, quotes={KEY: Quote(rubbish, None, LATER, "y")})
    for merged in both_ways(old, new):
        assert (merged.greeks, merged.quotes) == (old.greeks, old.quotes)
    assert merge_markets([view("x", at=new)]).greeks == {}


def test_one_figure_that_is_no_number_is_absent_and_the_rest_counts() -> None:
    greeks = Greeks(-0.2, 0.1, math.nan, -1.0, 0.18, "x", NOW)
    metrics = Metrics("AAPL", NOW, "x", correlation=math.nan, earnings=day("2026-12-01"))
    at = Market(greeks={KEY: greeks}, quotes={KEY: Quote(math.nan, 2.0, NOW, "x")}, metrics={"AAPL": metrics})
    merged = merge_markets([view("x", at=at)])
    assert merged.greeks == {KEY: replace(greeks, vega=None)}
    assert merged.quotes == {KEY: Quote(None, 2.0, NOW, "x")}
    assert merged.metrics == {"AAPL": replace(metrics, correlation=None)}


# --- one line, two lots ---


def test_the_same_instrument_at_two_brokers_is_one_line_with_two_lots() -> None:
    result = judged(
        view("ibkr", option(PUT, -2, GREEKS), at=market()),
        view("tastytrade", option(PUT, -3, GREEKS), option("SPX   261218P05800000", -1, GREEKS)),
    )
    columns, positions = result.portfolio.exposures.columns, result.portfolio.positions
    assert columns.line.tolist() == [0, 0, 1]  # the AM-settled SPX put is another line
    assert columns.lines.tolist() == [0, 2]
    assert [(p.account, p.quantity) for p in positions] == [(IBKR, -2), (TASTY, -3), (TASTY, -1)]
    assert [(row.broker, row.quantity) for row in result.snapshot.positions[:2]] == [("IBKR", -2), ("tastytrade", -3)]


@pytest.mark.parametrize(("there", "level"), [(-20, Level.WATCH), (-21, Level.BREACH), (21, Level.BREACH)])
def test_the_size_of_a_line_counts_the_lots_of_both_without_netting(there: float, level: Level) -> None:
    """30 contracts at one broker and 20 or 21 at the other, against a limit of 50."""
    views = view("ibkr", option(PUT, -30, GREEKS), at=market()), view("tastytrade", option(PUT, there, GREEKS))
    found = of(judged(*views), "position_contracts")[f"position:{KEY}"]
    assert (found.level, found.value) == (level, 30 + abs(there))


def test_totals_by_hand() -> None:
    """SPX 6,000, SPY 600, AAPL 250 with beta 1.2."""
    at = market({"AAPL": 1.2}, AAPL=250.0)
    ibkr = view("ibkr", option(PUT, -2, GREEKS), stock("AAPL", 100, 250.0), at=at)
    tasty = view("tastytrade", option(PUT, 3, GREEKS), stock("SPY", -50, 600.0), stock("AAPL", 40, 250.0))
    totals = judged(ibkr, tasty).snapshot.totals
    # one long put in all: -0.2 x 100 x 6,000; AAPL 140 x 250; SPY -50 x 600
    assert totals.delta_dollars == pytest.approx(-120_000 + 35_000 - 30_000)
    assert totals.beta_delta_dollars == pytest.approx(-120_000 + 42_000 - 30_000)
    assert totals.gamma_1pct_dollars == pytest.approx(0.0005 * 100 * 6_000**2 * 0.01)
    assert totals.vega_per_point == pytest.approx(400)
    assert totals.theta_per_day == pytest.approx(-100)
    assert totals.net_liquidation == 200_000


@st.composite
def lot(draw: st.DrawFn) -> Position:
    """A lot of one of few instruments, so that both brokers often hold the same."""
    quantity = float(draw(st.integers(-40, 40).filter(bool)))
    if draw(st.booleans()):
        symbol, price = draw(st.sampled_from((("SPY", 600.0), ("AAPL", 250.0))))
        return stock(symbol, quantity, price)
    symbol = draw(st.sampled_from((PUT, "SPX   261218P05800000", "AAPL  261218C00260000", "AAPL  270319C00260000")))
    delta = draw(st.integers(0, 100)) / 100.0 * (-1 if "P0" in symbol else 1)
    return option(symbol, quantity, f"{delta} 0.001 0.5 -0.1 0.2")


@settings(max_examples=60, deadline=None)
@given(st.lists(lot(), max_size=6), st.lists(lot(), max_size=6), st.booleans())
def test_the_total_of_the_merged_book_is_the_sum_of_both(
    first: list[Position],
    second: list[Position],
    streamed: bool,  # noqa: FBT001  # a strategy's value
) -> None:
    at = market({"AAPL": 1.2}, AAPL=250.0)
    if streamed:
        greeks = {KEY: Greeks(-0.25, 0.002, 3.0, -0.5, 0.2, "tastytrade", NOW)}
        at = replace(at, greeks=greeks)
    ibkr, tasty = view("ibkr", *first), view("tastytrade", *second, at=at)
    alone = [totals(ibkr, replace(tasty, positions=())), totals(tasty)]
    merged = totals(ibkr, tasty)
    for name in SUMS:
        parts = [getattr(one, name) for one in alone]
        assert getattr(merged, name) == pytest.approx(sum(parts), rel=1e-9, abs=1e-6), name


# --- what stays apart ---


def test_no_account_lends_its_margin_to_another() -> None:
    poor = account(IBKR, 100_000.0, 5_000.0)
    rich = account(TASTY, 900_000.0, 890_000.0)
    result = judged(view("ibkr", stock("SPY", 1, 600.0), at=market(), money=poor), view("tastytrade", money=rich))
    cushion = of(result, "margin_cushion")
    levels = {subject: finding.level for subject, finding in cushion.items()}
    assert levels[f"account:{IBKR}"] is Level.BREACH  # 5 %, the limit is 20 %; together they would have 89.5 %
    assert levels[f"account:{TASTY}"] is Level.OK
    used = of(result, "margin_utilisation")
    assert {s: f.level for s, f in used.items()} == {f"account:{IBKR}": Level.BREACH, f"account:{TASTY}": Level.OK}


@pytest.mark.parametrize("state", [SourceState.STALE, SourceState.DOWN])
def test_positions_of_a_silent_broker_stay_and_are_marked(state: SourceState) -> None:
    views = (
        view("ibkr", option(PUT, -1, GREEKS), at=market(), state=state),
        view("tastytrade", option(PUT, -1, GREEKS), stock("SPY", 10, 600.0), at=market()),
    )
    result = judged(*views)
    silent, same_line, other = result.snapshot.positions
    assert (silent.quantity, silent.level, silent.greeks_source) == (-1, Level.UNKNOWN, "repriced")
    assert same_line.greeks_source == "test"
    assert other.level is not Level.UNKNOWN
    # it still counts: 0.2 x 100 x 6,000 and 10 x 600 speak, and nothing is cleared
    assert silent.delta_dollars is not None
    assert silent.delta_dollars > 0
    assert result.snapshot.totals.delta_dollars == pytest.approx(120_000 + 6_000 + silent.delta_dollars)
    assert of(result, "beta_delta")["portfolio"].level is Level.UNKNOWN
    assert any("ibkr" in gap for gap in result.portfolio.gaps)
    assert of(result, "position_contracts")[f"position:{KEY}"].value == 2


def test_a_proven_breach_stays_one_while_a_broker_is_silent() -> None:
    views = view("ibkr", option(PUT, -31, GREEKS), at=market()), view("tastytrade", option(PUT, -20, GREEKS))
    silent = replace(views[1], source=replace(views[1].source, state=SourceState.DOWN))
    assert of(judged(views[0], silent), "position_contracts")[f"position:{KEY}"].level is Level.BREACH


# --- what serves both ---


def test_prices_betas_rates_and_volatility_of_one_serve_the_other() -> None:
    """100 AAPL at IBKR, which gives neither price nor beta: 100 x 250 x 1.2."""
    held = replace(stock("AAPL", 100, None), mark_time=None)
    at = replace(market({"AAPL": 1.2}, AAPL=250.0), risk_free=Observed(0.04, NOW, "tastytrade"))
    alone = judged(view("ibkr", held)).snapshot
    both = judged(view("ibkr", held), view("tastytrade", at=at))
    assert alone.totals.beta_delta_dollars is None
    assert both.snapshot.totals.beta_delta_dollars == pytest.approx(30_000)
    assert both.snapshot.positions[0].beta == 1.2
    assert both.snapshot.regime.vix == 17.0
    assert of(both, "beta_coverage")["portfolio"].level is Level.OK


def test_the_stream_of_one_gives_greeks_and_quotes_to_what_the_other_holds() -> None:
    at = replace(
        market(),
        greeks={KEY: Greeks(-0.25, 0.001, 5.0, -1.5, 0.17, "tastytrade", NOW)},
        quotes={KEY: Quote(36.0, 37.0, NOW, "tastytrade")},
    )
    row = judged(view("ibkr", option(PUT, -1)), view("tastytrade", at=at)).snapshot.positions[0]
    assert (row.broker, row.delta, row.greeks_source, row.bid, row.mark) == ("IBKR", -0.25, "tastytrade", 36.0, 36.5)
    assert row.delta_dollars == pytest.approx(0.25 * 100 * 6_000)


def test_two_that_contradict_each_other_are_watched() -> None:
    at = replace(market(), greeks={KEY: Greeks(-0.3, 0.001, 5.0, -1.5, 0.18, "tastytrade", NOW)})
    found = of(judged(view("ibkr", option(PUT, -1, GREEKS), at=at), view("tastytrade")), "greeks_agreement")[
        "portfolio"
    ]
    assert found.level is Level.WATCH
    assert "SPXW 18Dec26 5800P" in found.message


# --- what a feed is asked to follow ---


def test_a_feed_follows_what_the_others_hold_once_and_no_cash() -> None:
    cash = Instrument(Kind.CASH, "EUR", "EUR")
    odd = Instrument(Kind.OTHER, "SOMETHING 4%", "SOMETHING 4%")
    ibkr = view(
        "ibkr",
        option(PUT, -1),
        stock("SPY", 1, 600.0),
        *(replace(stock("X", 1, 1.0), instrument=i) for i in (cash, odd)),
    )
    file = view("statement:a.csv", option(PUT, 5), stock("AAPL", 1, 250.0))
    tasty = view("tastytrade", stock("QQQ", 1, 500.0))
    assert {i.key for i in held_by_others([ibkr, file, tasty], "tastytrade")} == {KEY, "equity:SPY", "equity:AAPL"}
    assert {i.key for i in held_by_others([ibkr, file, tasty], "ibkr")} == {KEY, "equity:AAPL", "equity:QQQ"}
    assert held_by_others([tasty], "tastytrade") == frozenset()


def test_what_trades_abroad_is_not_asked_of_a_feed_of_us_markets() -> None:
    """SAP in Frankfurt and its receipt in New York share a symbol and not a price."""
    here, abroad = stock("SPY", 100, 600.0), replace(stock("SAP", 70, 205.5), currency="EUR")
    assert held_by_others([view("ibkr", here, abroad)], "tastytrade") == {here.instrument}

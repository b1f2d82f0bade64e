"""No input, however broken, yields green for a check whose data is missing.

`FAULTS` is the table of what each check needs: a way to break a healthy book, and the checks that can then no longer
be cleared. They may be UNKNOWN, or BREACH where what is left proves it. Documented exceptions: a missing beta is
bounded at 0 and 2, so `beta_coverage` only watches while the bounds stay inside the limit; a stale VIX keeps the
regime, so only `market_regime` is lost with it; a book without positions breaks no limit on exposure; what only
compares two figures (`day_pnl_agreement`, `beta_quality`, `greeks_agreement`) is NOT_APPLICABLE, hence not green
either, without the second.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails import checks
from guardrails.assess import assess
from guardrails.findings import Finding, Level
from guardrails.instruments import Instrument, Kind
from guardrails.limits import Limits
from guardrails.matrix import SCENARIO_NAMES
from guardrails.memory import Memory
from guardrails.portfolio import Portfolio
from guardrails.snapshot import to_json
from guardrails.values import Greeks, Metrics, Observed, Position, Source, SourceState, View
from tests.books import IBKR, NOW, TASTY, book, option, stock, with_limits
from tests.healthy import (
    AAPL_PUT,
    AAPL_SHARES,
    GENEROUS,
    NEAR_PUT,
    SPX_PUT,
    STRESSED,
    VIEWS,
    World,
    healthy,
    levels,
    limited,
)

CORRELATED = {"AAPL": Metrics("AAPL", NOW, "test", correlation=0.7)}
HEALTHY = replace(healthy(), source=Source("test", SourceState.LIVE, NOW, clock_skew=0.0)).markets(metrics=CORRELATED)
COMPARED = HEALTHY.greeks(SPX_PUT, source="ibkr").markets(
    greeks={HEALTHY.positions[SPX_PUT].instrument.key: Greeks(-0.21, 0.0005, 4.0, -1.0, 0.18, "test", NOW)}
)
"""the same book with a stream that agrees with the broker's model on the SPX put"""
CLEARED = {Level.OK, Level.WATCH, Level.NOT_APPLICABLE}

LONG_AGO, TOMORROW = NOW - timedelta(hours=3), NOW + timedelta(hours=3)

EXPOSURE = {"beta_delta", "short_vega", "gamma", "theta_floor", "theta_cap", "theta_vega_ratio"}
"""what every option needs all of its Greeks for"""
SHARES = {"vega_concentration", "delta_concentration"}
"""judged for AAPL only: the broad-index groups are exempt"""
OF_NET_LIQUIDATION = {
    "beta_delta", "short_vega", "gamma", "near_expiry_gamma", "theta_cap", "position_notional", "stress_ladder",
    "stress_scenarios",
}  # fmt: skip
"""limits that are a share of net liquidation; none of their absolute twins is broken"""
ACCOUNT = {"margin_cushion", "margin_utilisation", "stress_excess", "daily_loss", "drawdown", "account_data"}
ROW = {"beta_delta", "short_vega", "gamma", "theta_floor", "theta_cap", "theta_vega_ratio", "position_notional"}
EVERY = set(levels(HEALTHY.assess().snapshot.findings))
CHECKABLE = EVERY - {"market_regime", "beta_coverage", "clock_skew", "greeks_agreement"}
"""what a silent source takes away: the volatility index and betas do not come from its stream; whose clock is not told
needs none"""

Break = Callable[[World], World]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break the book, and the checks it blinds."""

    feed: str
    how: str
    change: Break
    blinds: set[str]

    def __str__(self) -> str:
        return f"{self.feed}: {self.how}"


def _unpriced_option(name: str, **greeks: float | None) -> Break:
    """Greeks taken away, and everything they could be computed from."""
    return lambda world: world.greeks(name, iv=None, **greeks).position(name, mark=None, bid=None, ask=None)


def _no_greeks(name: str) -> Break:
    return lambda world: world.position(name, greeks=None, mark=None, bid=None, ask=None)


def _margins(**changes: float | None) -> Break:
    """One figure of the look-ahead view changed."""

    def change(world: World) -> World:
        if IBKR not in world.accounts:
            return world
        rows = [replace(m, **changes) if m.view is VIEWS[-1] else m for m in world.accounts[IBKR].margins]
        return world.account(IBKR, margins=tuple(rows))

    return change


def _state(state: SourceState) -> Break:
    return lambda world: replace(world, source=Source("test", state, NOW))


def _row(name: str, **changes: object) -> Break:
    return lambda world: world.position(name, **changes)


def _instrument(name: str, **changes: object) -> Break:
    return lambda world: world.position(name, instrument=replace(world.positions[name].instrument, **changes))


def _account(**changes: object) -> Break:
    return lambda world: world.account(IBKR, **changes) if IBKR in world.accounts else world


def _both(**changes: object) -> Break:
    return lambda world: world.account(IBKR, **changes).account(TASTY, **changes)


def _streamed(**changes: object) -> Break:
    """The stream's Greeks of the SPX put changed."""
    return lambda world: world.markets(
        greeks={key: replace(greeks, **changes) for key, greeks in world.market.greeks.items()}
    )


def _without_account(world: World) -> World:
    return replace(world, accounts={TASTY: world.accounts[TASTY]})


def _price(symbol: str, **changes: object) -> Break:
    def change(world: World) -> World:
        held = world.market.prices.get(symbol)
        return world if held is None else world.priced(symbol, replace(held, **changes))

    return change


def _no_price(symbol: str) -> Break:
    def change(world: World) -> World:
        rows = {name: p for name, p in world.positions.items() if p.instrument.symbol == symbol}
        return reduce(lambda w, name: w.position(name, mark=None), rows, world.priced(symbol, None))

    return change


def _markets(**changes: object) -> Break:
    return lambda world: world.markets(**changes)


def _unknown_kind(quantity: float | None) -> Break:
    thing = Instrument(Kind.OTHER, "SOMETHING 4%", "SOMETHING 4%")
    held = replace(stock("XYZ", quantity, 10.0), instrument=thing, multiplier=None)
    return lambda world: world.add("other", held)


def _euro_shares(world: World) -> World:
    return world.position(AAPL_SHARES, currency="CHF")


ROW_FAULTS = (
    *(
        Fault("Greeks", f"{name} missing on an SPX put", _unpriced_option(SPX_PUT, **{name: None}), blinded)
        for name, blinded in (
            ("delta", {"beta_delta", "greeks_coverage"}),
            ("gamma", {"gamma", "greeks_coverage"}),
            ("vega", {"short_vega", "theta_vega_ratio", "greeks_coverage"}),
            ("theta", {"theta_floor", "theta_cap", "theta_vega_ratio", "greeks_coverage"}),
        )
    ),
    Fault("Greeks", "none on an SPX put", _no_greeks(SPX_PUT), EXPOSURE | {"greeks_coverage"}),
    Fault("Greeks", "none on a put near expiry", _no_greeks(NEAR_PUT), EXPOSURE | {"near_expiry_gamma"}),
    Fault("Greeks", "none on an AAPL put", _no_greeks(AAPL_PUT), EXPOSURE | SHARES | STRESSED),
    Fault("Greeks", "NaN", _unpriced_option(AAPL_PUT, delta=math.nan, gamma=math.nan, vega=math.nan, theta=math.nan),
          EXPOSURE | SHARES),
    Fault("Greeks", "stale, no volatility", lambda w: w.greeks(SPX_PUT, time=LONG_AGO, iv=None).position(
        SPX_PUT, mark=None, bid=None, ask=None), EXPOSURE | {"greeks_coverage"}),
    Fault("Greeks", "dated in the future", lambda w: w.greeks(SPX_PUT, time=TOMORROW, iv=None).position(
        SPX_PUT, mark=None, bid=None, ask=None), EXPOSURE),
    Fault("Greeks", "impossible: a put of delta +3, gamma and vega below zero", lambda w: w.greeks(
        SPX_PUT, delta=3.0, gamma=-0.1, vega=-9.0, iv=None).position(SPX_PUT, mark=None, bid=None, ask=None),
        {"beta_delta", "short_vega", "gamma"}),
    Fault("position", "multiplier missing, shares", _row(AAPL_SHARES, multiplier=None),
          {"beta_delta", "position_notional", "position_data", "delta_concentration"}),
    Fault("position", "multiplier missing, option", _row(SPX_PUT, multiplier=None),
          ROW | STRESSED | {"position_data"}),
    Fault("position", "quantity missing, shares", _row(AAPL_SHARES, quantity=None, reasons=("no quantity",)),
          {"beta_delta", "position_notional", "position_data", "delta_concentration"}),
    Fault("position", "quantity missing, option", _row(NEAR_PUT, quantity=None, reasons=("no quantity",)),
          ROW | {"position_data", "position_contracts", "short_option_expiry", "near_expiry_gamma"}),
    Fault("position", "quantity NaN, option", _row(NEAR_PUT, quantity=math.nan),
          ROW | {"position_contracts", "short_option_expiry", "near_expiry_gamma"}),
    Fault("position", "doubted", _row(AAPL_PUT, reasons=("value contradicts quantity",)),
          ROW | SHARES | {"position_data", "position_contracts", "short_option_expiry"}),
    Fault("position", "mark contradicts quote", _row(SPX_PUT, mark=20.0, bid=9.9, ask=10.1), ROW | {"position_data"}),
    Fault("position", "quote crossed", _row(SPX_PUT, mark=10.0, bid=12.0, ask=9.0), ROW | {"position_data"}),
    Fault("position", "expired yesterday, settled nobody knows how", _instrument(
        SPX_PUT, expiry=NOW.date() - timedelta(days=1), settlement=None), {"position_data", "position_notional"}),
    Fault("position", "expired yesterday", _instrument(SPX_PUT, expiry=NOW.date() - timedelta(days=1)),
          ROW | {"position_data", "short_option_expiry", "near_expiry_gamma"}),
    Fault("position", "expiry missing", _instrument(SPX_PUT, expiry=None),
          ROW | {"short_option_expiry", "near_expiry_gamma", "position_data"}),
    Fault("position", "settlement missing", _instrument(SPX_PUT, settlement=None), {"short_option_expiry"}),
    Fault("position", "adjusted", _instrument(AAPL_PUT, adjusted=True), ROW | SHARES | {"position_data"}),
    Fault("position", "unknown kind, short", _unknown_kind(-500),
          ROW | SHARES | {"position_data", "short_option_expiry", "near_expiry_gamma", "position_contracts"}),
    Fault("position", "unknown kind and quantity", _unknown_kind(None),
          ROW | SHARES | {"position_data", "short_option_expiry", "near_expiry_gamma", "position_contracts"}),
    Fault("position", "currency without a rate", _euro_shares,
          {"beta_delta", "position_notional", "position_data", "delta_concentration"}),
)  # fmt: skip

MARKET_FAULTS = (
    Fault("price", "index missing", _no_price("SPX"), {"beta_delta", "gamma", "position_notional", "position_data"}),
    Fault("price", "shares missing", _no_price("SPY"), {"beta_delta", "position_notional", "position_data"}),
    Fault("price", "index stale", _price("SPX", time=LONG_AGO), {"beta_delta", "gamma"}),
    Fault("price", "shares stale", _price("AAPL", time=LONG_AGO), {"beta_delta", "delta_concentration"}),
    Fault("price", "dated in the future", _price("AAPL", time=TOMORROW), {"beta_delta", "delta_concentration"}),
    Fault("price", "contradicts its own quote", _price("AAPL", value=25.0, bid=249.9, ask=250.1),
          {"beta_delta", "delta_concentration"}),
    Fault("price", "NaN", _price("AAPL", value=math.nan), {"beta_delta", "position_notional", "delta_concentration"}),
    Fault("rate", "NaN", lambda w: _euro_shares(w).markets(fx={"CHF": Observed(math.nan, NOW, "test")}),
          {"beta_delta", "position_notional", "delta_concentration"}),
    Fault("volatility", "VIX missing", _markets(vix=None), {"market_regime"}),
    Fault("volatility", "VIX stale", _markets(vix=Observed(17.0, LONG_AGO, "test")), {"market_regime"}),
    Fault("volatility", "VIX dated in the future", _markets(vix=Observed(17.0, TOMORROW, "test")), {"market_regime"}),
    Fault("volatility", "VIX NaN", _markets(vix=Observed(math.nan, NOW, "test")), {"market_regime"}),
    Fault("volatility", "VIX below zero", _markets(vix=Observed(-1.0, NOW, "test")), {"market_regime"}),
    Fault("volatility", "VIX3M never seen", lambda w: replace(
        w.markets(vix3m=None, vix3m_closes=()), memory=replace(w.memory, regime=None)), {"market_regime"}),
)  # fmt: skip

ACCOUNT_FAULTS = (
    Fault("account", "absent although it holds positions", _without_account, ACCOUNT | OF_NET_LIQUIDATION),
    Fault("account", "net liquidation missing", _account(net_liquidation=None),
          OF_NET_LIQUIDATION | {"daily_loss", "drawdown", "account_data"}),
    Fault("account", "net liquidation NaN", _account(net_liquidation=math.nan),
          OF_NET_LIQUIDATION | {"daily_loss", "drawdown", "account_data"}),
    Fault("account", "currency without a rate", _account(currency="CHF"), OF_NET_LIQUIDATION | {"account_data"}),
    Fault("account", "figures stale", _account(time=LONG_AGO), ACCOUNT | OF_NET_LIQUIDATION),
    Fault("account", "figures dated in the future", _account(time=TOMORROW), ACCOUNT | OF_NET_LIQUIDATION),
    Fault("account", "net liquidation jumped, unexplained", _account(net_liquidation=700_000.0),
          {"daily_loss", "drawdown"}),
    Fault("margin", "none", _account(margins=()), {"margin_cushion", "margin_utilisation", "stress_excess"}),
    Fault("margin", "a view missing", _account(margins=HEALTHY.accounts[IBKR].margins[:2]),
          {"margin_cushion", "margin_utilisation", "stress_excess"}),
    Fault("margin", "excess missing", _margins(excess=None), {"margin_cushion", "stress_excess"}),
    Fault("margin", "excess NaN", _margins(excess=math.nan), {"margin_cushion", "stress_excess"}),
    Fault("margin", "equity missing", _margins(net_liquidation=None), {"margin_cushion", "margin_utilisation"}),
    Fault("margin", "equity NaN", _margins(net_liquidation=math.nan), {"margin_cushion", "margin_utilisation"}),
    Fault("margin", "maintenance missing", _margins(maintenance=None), {"margin_utilisation", "stress_excess"}),
    Fault("margin", "maintenance NaN", _margins(maintenance=math.nan), {"margin_utilisation", "stress_excess"}),
    Fault("margin", "by underlying missing", lambda w: w.account(TASTY, margin_by_underlying=None),
          {"margin_concentration"}),
    Fault("margin", "by underlying empty", lambda w: w.account(TASTY, margin_by_underlying={}),
          {"margin_concentration"}),
    Fault("margin", "by underlying lacks what is held", lambda w: w.account(TASTY, margin_by_underlying={"SPX": 1.0}),
          {"margin_concentration"}),
    Fault("margin", "by underlying NaN", lambda w: w.account(TASTY, margin_by_underlying={"AAPL": math.nan}),
          {"margin_concentration"}),
    Fault("session", "start missing", lambda w: replace(_account(prior_net_liquidation=None)(w), memory=Memory()),
          {"daily_loss", "drawdown"}),
    Fault("session", "start a week old", lambda w: replace(_account(
        prior_net_liquidation=Observed(500_000.0, NOW - timedelta(days=7), "test"))(w), memory=Memory()),
        {"daily_loss", "drawdown"}),
    Fault("session", "no reading since its start", lambda w: replace(_account(
        prior_net_liquidation=None, time=NOW - timedelta(hours=2))(w), memory=Memory()), {"daily_loss", "drawdown"}),
)  # fmt: skip

SOURCE_FAULTS = (
    *(
        Fault("source", state.value, _state(state), CHECKABLE)
        for state in (SourceState.STALE, SourceState.DOWN, SourceState.CONNECTING)
    ),
    Fault("source", "live but not heard for hours", lambda w: replace(
        w, source=Source("test", SourceState.LIVE, LONG_AGO)),
          CHECKABLE),
    Fault("source", "live but never heard", lambda w: replace(
        w, source=Source("test", SourceState.LIVE, None)), CHECKABLE),
    Fault("source", "heard in the future", lambda w: replace(
        w, source=Source("test", SourceState.LIVE, TOMORROW)), CHECKABLE),
    Fault("source", "says closed while the market is open", _state(SourceState.CLOSED), CHECKABLE),
    Fault("source", "a statement of last week", lambda w: replace(
        w, source=Source("test", SourceState.FILE, NOW - timedelta(days=7))), CHECKABLE),
    *(
        Fault("clock", f"{seconds:+} s", lambda w, skew=seconds: replace(
            w, source=Source("test", SourceState.LIVE, NOW, clock_skew=skew)), {"clock_skew"})
        for seconds in (61.0, -61.0, math.nan)
    ),
    Fault("source", "a statement without a date", lambda w: replace(
        w, source=Source("test", SourceState.FILE, None)), CHECKABLE),
)  # fmt: skip

FAULTS = (*ROW_FAULTS, *MARKET_FAULTS, *ACCOUNT_FAULTS, *SOURCE_FAULTS)


def cleared(world: World, names: Iterable[str]) -> dict[str, str]:
    """The checks among `names` that `world` still clears, with the level they show."""
    found = levels(world.findings_of(*names))
    return {name: found[name].value for name in sorted(names) if found[name] in CLEARED}


def test_the_healthy_book_is_all_green() -> None:
    found = levels(HEALTHY.assess().snapshot.findings)
    assert found.pop("greeks_agreement") is Level.NOT_APPLICABLE  # one source, nothing to compare
    assert set(found.values()) == {Level.OK}


def test_every_check_has_a_fault_that_blinds_it() -> None:
    blinded = set().union(*(fault.blinds for fault in FAULTS))
    assert {check.__name__ for check in checks.CHECKS} - blinded == {"beta_coverage", "greeks_agreement"}


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_what_is_missing_is_never_green(fault: Fault) -> None:
    assert cleared(fault.change(HEALTHY), fault.blinds) == {}


@pytest.mark.parametrize("feed", sorted({fault.feed for fault in FAULTS}))
def test_the_whole_verdict_is_never_calm_while_a_feed_is_broken(feed: str) -> None:
    for fault in FAULTS:
        if fault.feed == feed:
            assert fault.change(HEALTHY).assess().snapshot.level.rank >= Level.UNKNOWN.rank, fault


COMBINABLE = [fault for fault in FAULTS if fault.feed not in ("session", "volatility")]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(range(len(COMBINABLE))), min_size=2, max_size=5, unique=True))
def test_no_mixture_of_faults_is_green(chosen: list[int]) -> None:
    faults = [COMBINABLE[i] for i in chosen]
    world = reduce(lambda w, fault: fault.change(w), faults, HEALTHY)
    report = world.assess()
    found = levels(report.snapshot.findings)
    # a later fault may undo an earlier one (fresh quotes, another quantity), so only the last is certain to be in force
    assert {name for name in faults[-1].blinds if found[name] in CLEARED} == set()
    json.loads(to_json(report.snapshot), parse_constant=_refuse)


def _refuse(word: str) -> float:
    message = f"{word} is not JSON"
    raise AssertionError(message)


def test_a_beta_that_is_no_number_is_missing_and_bounded() -> None:
    for broken in ({}, {"AAPL": Observed(math.nan, NOW, "test")}):
        report = HEALTHY.markets(betas=broken).assess()
        assert levels(report.snapshot.findings)["beta_coverage"] is Level.WATCH
        assert report.snapshot.totals.beta_delta_dollars is None
        # 30,000 dollars of AAPL delta: 210,000 of the index with beta 0, 60,000 more with beta 2
        assert report.snapshot.totals.bounds["beta_delta_dollars"] == pytest.approx((210_000.0, 270_000.0))
        tight = limited(max_beta_delta_pct_nlv=0.25)
        assert "beta_delta" not in cleared(replace(HEALTHY.markets(betas=broken), matrix=tight), ["beta_delta"])


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("greeks_agreement", _markets(greeks={})),
        ("greeks_agreement", _state(SourceState.DOWN)),
        *(
            ("greeks_agreement", _streamed(**{name: math.nan, other: None}))
            for name, other in (("delta", "iv"), ("iv", "delta"))
        ),
        ("greeks_agreement", _streamed(time=LONG_AGO)),
        ("greeks_agreement", _streamed(time=TOMORROW)),
        ("beta_quality", _markets(metrics={})),
        ("beta_quality", _markets(metrics={"AAPL": replace(CORRELATED["AAPL"], correlation=math.nan)})),
        ("beta_quality", _markets(metrics={"AAPL": replace(CORRELATED["AAPL"], time=NOW - timedelta(days=9))})),
        *(
            ("day_pnl_agreement", _both(**{name: broken}))
            for name in ("net_liquidation", "cash_flows", "day_pnl", "prior_net_liquidation")
            for broken in (None, Observed(math.nan, NOW, "test") if name == "prior_net_liquidation" else math.nan)
        ),
    ],
)
def test_a_comparison_without_its_second_figure_is_not_green(check: str, change: Break) -> None:
    assert levels(COMPARED.assess().snapshot.findings)[check] is Level.OK
    assert levels(change(COMPARED).assess().snapshot.findings)[check] is not Level.OK


# --- properties of the sums ---------------------------------------------------------------------------------------

SUMS = (
    "delta_dollars",
    "beta_delta_dollars",
    "gamma_1pct_dollars",
    "vega_per_point",
    "vega_30d_per_point",
    "theta_per_day",
)
EXPIRIES = ("261120", "261125", "261218", "270319", "271217")
UNDERLYINGS = {"SPXW": 6000, "AAPL": 250}

quantities = st.integers(-40, 40).filter(bool)


@st.composite
def greek_text(draw: st.DrawFn, right: str) -> str:
    delta = draw(st.integers(0, 100)) / 100.0 * (1 if right == "C" else -1)
    gamma, vega = draw(st.integers(0, 50)) / 10_000.0, draw(st.integers(0, 100)) / 10.0
    return f"{delta} {gamma} {vega} {draw(st.integers(-50, 5)) / 10.0} 0.2"


@st.composite
def held(draw: st.DrawFn, *, broken: bool = False) -> Position:
    """A share or option position with every figure known, or sometimes without some of them."""
    lost = draw(st.sampled_from(("", "greeks", "quantity", "multiplier", "reasons"))) if broken else ""
    quantity = None if lost == "quantity" else float(draw(quantities))
    more = {"reasons": ("line 7: doubted",)} if lost == "reasons" else {}
    if draw(st.booleans()):
        symbol, price = draw(st.sampled_from((("SPY", 600.0), ("AAPL", 250.0))))
        shares = stock(symbol, quantity, price, **more)
        return replace(shares, multiplier=None) if lost == "multiplier" else shares
    root, right = draw(st.sampled_from(sorted(UNDERLYINGS))), draw(st.sampled_from("CP"))
    strike = draw(st.integers(5, 15)) * UNDERLYINGS[root] * 100
    greeks = None if lost == "greeks" else draw(greek_text(right))
    symbol = f"{root:<6}{draw(st.sampled_from(EXPIRIES))}{right}{strike:08d}"
    return option(symbol, quantity, greeks, multiplier=None if lost == "multiplier" else 100.0, **more)


books = st.lists(held(), max_size=8)
broken_books = st.lists(held(broken=True), max_size=6)


def world_of(positions: Iterable[Position], where: World = HEALTHY) -> World:
    """The healthy world with another book."""
    return replace(where, positions={str(i): position for i, position in enumerate(positions)})


def close_to(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return one == pytest.approx(other, rel=1e-9, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(broken_books, st.sampled_from((2.0, 0.5, 7.0, 1000.0)))
def test_scaling_all_quantities_scales_all_sums(positions: list[Position], factor: float) -> None:
    scaled = [replace(p, quantity=None if p.quantity is None else p.quantity * factor) for p in positions]
    one, other = (world_of(held).unstressed().snapshot.totals for held in (positions, scaled))
    for name in SUMS:
        value = getattr(one, name)
        assert close_to(None if value is None else value * factor, getattr(other, name)), name
        for here, there in zip(one.bounds.get(name, ()), other.bounds.get(name, ()), strict=True):
            assert close_to(None if here is None else here * factor, there), name


@settings(max_examples=50, deadline=None)
@given(broken_books, broken_books)
def test_merging_two_brokers_equals_the_sum_of_each(first: list[Position], second: list[Position]) -> None:
    apart = [world_of(held).unstressed().snapshot.totals for held in (first, second)]
    moved = [replace(p, account=TASTY, source="other") for p in second]
    views = [
        replace(world_of(first).view(), accounts=(HEALTHY.accounts[IBKR],)),
        View(Source("other", SourceState.LIVE, NOW), (HEALTHY.accounts[TASTY],), tuple(moved), HEALTHY.market),
    ]
    merged = assess(views, HEALTHY.matrix, HEALTHY.memory, NOW, compiling=True).snapshot.totals
    assert merged.net_liquidation == 1_000_000.0
    for name in SUMS:
        values = [getattr(totals, name) for totals in apart]
        expected = None if None in values else sum(values)
        assert close_to(expected, getattr(merged, name)), name


# --- properties of the levels -------------------------------------------------------------------------------------

NEVER_NETTED = {
    "position_contracts",
    "position_notional",
    "short_option_expiry",
    "margin_cushion",
    "margin_utilisation",
}
MISSING = (
    option("SPXW  261218P05400000", None, reasons=("no quantity",)),
    option("SPXW  261218P05400000", -1),
    option("AAPL  261218C00300000", 1, multiplier=None),
    stock("AAPL", None, 250.0, reasons=("no quantity",)),
)


@settings(max_examples=40, deadline=None)
@given(books, st.sampled_from(MISSING), st.sampled_from((1.0, 50.0)))
def test_a_missing_position_clears_nothing(positions: list[Position], missing: Position, size: float) -> None:
    """A breach may become UNKNOWN, because what is missing may be its hedge; nothing becomes calmer than that."""
    large = [replace(p, quantity=(p.quantity or 0.0) * size) for p in positions]
    before = levels(world_of(large).findings())
    after = levels(world_of([*large, missing]).findings())
    for name, level in before.items():
        assert after[name].rank >= min(level.rank, Level.UNKNOWN.rank), name
        if name in NEVER_NETTED:
            assert after[name].rank >= level.rank, name


def test_a_proven_breach_stays_one_beside_a_missing_row_of_the_same_line() -> None:
    many = option(SPX_PUT, -60, "-0.2 0.0005 4 -1 0.18")
    unread = option(SPX_PUT, None, account=TASTY, reasons=("no quantity",))
    assert levels(world_of([many, unread]).assess().snapshot.findings)["position_contracts"] is Level.BREACH


# by limit key: a looser value and a stricter one
STRICTER: Mapping[str, tuple[object, object]] = {
    "max_beta_delta": (100.0, 5.0),
    "max_beta_delta_pct_nlv": (1.0, 0.05),
    "max_negative_vega": (-5_000.0, -100.0),
    "max_negative_vega_pct_nlv": (-0.01, 0.0),
    "max_gamma": (100_000.0, 1_000.0),
    "max_gamma_pct_nlv": (0.5, 0.01),
    "max_near_expiry_gamma": (100_000.0, 1_000.0),
    "max_near_expiry_gamma_pct_nlv": (0.5, 0.01),
    "min_daily_theta": (-1_000.0, 500.0),
    "max_daily_theta": (5_000.0, 100.0),
    "max_daily_theta_pct_nlv": (0.01, 0.0001),
    "theta_vega_ratio": (
        {"green_min": 0.1, "green_max": 1.0, "red_min": 0.05, "red_max": 1.5},
        {"green_min": 0.25, "green_max": 0.4, "red_min": 0.2, "red_max": 0.5},
    ),
    "max_single_underlying_vega_pct": (0.8, 0.1),
    "max_single_underlying_delta_pct": (0.8, 0.1),
    "max_single_underlying_margin_pct": (0.8, 0.1),
    "max_position_contracts": (30, 5),
    "max_position_notional_pct_nlv": (5.0, 0.5),
    "short_option_dte": (
        {name: {"watch": 1, "breach": 0} for name in ("physical", "cash_am", "cash_pm")},
        {name: {"watch": 30, "breach": 10} for name in ("physical", "cash_am", "cash_pm")},
    ),
    "min_cushion": (0.1, 0.25),
    "watch_cushion": (0.3, 0.95),
    "max_margin_utilisation": (0.5, 0.05),
    "max_daily_loss_pct": (0.05, 0.02),
    "watch_daily_loss_pct": (0.02, 0.001),
    "max_drawdown_pct": (0.2, 0.01),
    "stress": tuple(
        {
            "ladder": [{"index": index, "max_loss_pct_nlv": share} for index in (-0.2, -0.05, 0.05)],
            "stress_loss_pct_nlv": dict.fromkeys(SCENARIO_NAMES, share),
            "min_excess_after": moves,
            "max_unvalued_share": unvalued,
        }
        for share, moves, unvalued in ((0.3, [-0.05], 0.5), (0.02, [-0.2, -0.05], 0.01))
    ),
}


def test_every_limit_is_tried_both_ways() -> None:
    assert set(STRICTER) == set(type(HEALTHY.matrix.regime("crisis_mode").limits).model_fields)


@settings(max_examples=60, deadline=None)
@given(st.lists(held(broken=True), max_size=6), st.sampled_from(sorted(STRICTER)), st.integers(470_000, 500_000))
def test_a_stricter_limit_never_gives_a_calmer_level(positions: list[Position], key: str, worth: int) -> None:
    base = {**GENEROUS, **{other: pair[0] for other, pair in STRICTER.items()}}
    world = world_of(positions, HEALTHY.account(IBKR, net_liquidation=float(worth)))
    found = [levels(replace(world, matrix=limited(**{**base, key: value})).findings()) for value in STRICTER[key]]
    for name, level in found[0].items():
        assert found[1][name].rank >= level.rank, name


def test_a_check_that_raises_is_unknown() -> None:
    def shaky(portfolio: Portfolio, limits: Limits) -> list[Finding]:
        raise ZeroDivisionError

    found = checks.run(book(), with_limits(), (shaky,))
    assert [(f.check, f.level) for f in found] == [("shaky", Level.UNKNOWN)]


def test_an_empty_book_breaks_no_limit_but_its_accounts_are_still_judged() -> None:
    """The documented exception: nothing held is no exposure, whatever else is unknown."""
    empty = world_of([], HEALTHY.account(IBKR, net_liquidation=None))
    found = levels(empty.assess().snapshot.findings)
    assert {found[name] for name in ("beta_delta", "short_vega", "gamma")} == {Level.OK}
    assert {found[name] for name in ("daily_loss", "drawdown", "account_data")} == {Level.UNKNOWN}


def test_nothing_at_all_is_not_a_flat_book() -> None:
    nothing = assess([], HEALTHY.matrix, Memory(), NOW).snapshot
    assert nothing.level is Level.UNKNOWN
    green = {name for name, level in levels(nothing.findings).items() if level is Level.OK}
    assert green == set()

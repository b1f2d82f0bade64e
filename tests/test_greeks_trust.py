"""Order of trust between the stream, the broker's own model and the closed form; quiet options; two that disagree."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.checks.agreement import greeks_agreement
from guardrails.findings import Level
from guardrails.instruments import Right
from guardrails.symbols import contracts, occ
from guardrails.valuation import value_positions
from guardrails.values import Greeks, Position, Quote, Source, SourceState
from tests.books import MATRIX, NOW, book, market, option, stock, with_limits

PUT = "SPXW  261218P05800000"
"""30 days, 3.3 % out of the money at 6,000"""
KEY = occ.parse(PUT).key
IBKR_SAYS = Greeks(-0.30, 0.0009, 6.0, -1.6, 0.20, "ibkr", NOW)
STREAM_SAYS = Greeks(-0.21, 0.0008, 5.5, -1.4, 0.16, "tastytrade", NOW)
OLD, FRESH = timedelta(seconds=31), timedelta(seconds=30)
"""`stale_after_seconds` is 30"""
QUIET, TICKING = timedelta(seconds=301), timedelta(seconds=300)
"""`quiet_after_minutes` is 5"""
LIVE, DOWN, STALE = SourceState.LIVE, SourceState.DOWN, SourceState.STALE


def held(greeks: Greeks | None = IBKR_SAYS, **more: object) -> Position:
    """One short put at IBKR."""
    return replace(option(PUT, -1, source="ibkr"), greeks=greeks, **more)  # type: ignore[arg-type]  # its fields


def aged(greeks: Greeks, by: timedelta) -> Greeks:
    return replace(greeks, time=NOW - by)


def quote(bid: float | None = 36.0, ask: float | None = 37.4, by: timedelta = timedelta(0)) -> Quote:
    """A streamed quote; 36.7 is what 16 % give in Black-Scholes (S 6000, K 5800, 30.23 days, r 0)."""
    return Quote(bid, ask, NOW - by, "tastytrade")


def valued(
    position: Position,
    streamed: Greeks | None = None,
    quoted: Quote | None = None,
    *,
    ibkr: SourceState = LIVE,
    tastytrade: SourceState = LIVE,
    market_open: bool = True,
    key: str = KEY,
) -> Position:
    """`position` after valuation, with what the stream of tastytrade says under `key`."""
    at = replace(
        market(),
        greeks={} if streamed is None else {key: streamed},
        quotes={} if quoted is None else {key: quoted},
    )
    sources = [Source("ibkr", ibkr, NOW), Source("tastytrade", tastytrade, NOW)]
    return value_positions([position], at, sources, NOW, MATRIX.data, market_open=market_open)[0]


# --- order of trust ---


def test_the_stream_comes_first_and_the_broker_is_kept_beside_it() -> None:
    found = valued(held(), STREAM_SAYS)
    assert (found.greeks, found.other_greeks) == (STREAM_SAYS, IBKR_SAYS)


@pytest.mark.parametrize("iv", [54.91, 1e6, math.inf, 5.001, 0.0, -0.16])
def test_a_volatility_that_cannot_be_makes_its_greeks_impossible(iv: float) -> None:
    found = valued(held(), replace(STREAM_SAYS, iv=iv))
    assert (found.greeks, found.other_greeks) == (IBKR_SAYS, None)
    words = f"cannot be true: a volatility of {100 * iv:g} % is not above 0 % and at most 500%"
    assert found.notes == (f"Greeks of tastytrade {words}",)
    alone = valued(held(replace(IBKR_SAYS, iv=iv), bid=36.0, ask=37.4, quote_time=NOW))
    assert alone.greeks is not None
    assert (alone.greeks.source, alone.greeks.iv) == ("model", pytest.approx(0.16, abs=0.003))
    assert valued(held(replace(IBKR_SAYS, iv=iv))).greeks is None


@pytest.mark.parametrize("iv", [0.001, 5.0, None, math.nan])
def test_a_volatility_that_can_be_or_is_not_told_does_not(iv: float | None) -> None:
    said = replace(STREAM_SAYS, iv=iv)
    assert valued(held(), said).greeks is said


def test_without_a_stream_the_broker_counts_and_there_is_nothing_beside_it() -> None:
    found = valued(held())
    assert (found.greeks, found.other_greeks) == (IBKR_SAYS, None)


def test_a_position_of_the_streams_own_broker_gets_the_streams_greeks() -> None:
    found = valued(held(None, source="tastytrade"), STREAM_SAYS)
    assert (found.greeks, found.other_greeks) == (STREAM_SAYS, None)


@pytest.mark.parametrize(("by", "source"), [(FRESH, "tastytrade"), (OLD, "ibkr")])
def test_a_stale_stream_gives_way_to_the_broker(by: timedelta, source: str) -> None:
    found = valued(held(), aged(STREAM_SAYS, by))
    assert found.greeks is not None
    assert found.greeks.source == source
    assert found.greeks.time == (NOW - by if source == "tastytrade" else NOW)


@pytest.mark.parametrize(("by", "kept"), [(FRESH, True), (OLD, False)])
def test_only_what_is_fresh_is_compared(by: timedelta, kept: bool) -> None:  # noqa: FBT001  # a table's column
    assert (valued(held(aged(IBKR_SAYS, by)), STREAM_SAYS).other_greeks is not None) is kept


@pytest.mark.parametrize(("stream", "broker", "volatility"), [(40, 50, 0.16), (50, 40, 0.20)])
def test_when_both_are_stale_the_most_recent_volatility_reprices(stream: int, broker: int, volatility: float) -> None:
    streamed, own = (aged(greeks, timedelta(seconds=by)) for greeks, by in ((STREAM_SAYS, stream), (IBKR_SAYS, broker)))
    found = valued(held(own), streamed)
    assert found.greeks is not None
    assert (found.greeks.source, found.greeks.iv, found.other_greeks) == ("repriced", volatility, None)


@pytest.mark.parametrize("state", [DOWN, STALE, SourceState.CONNECTING])
@pytest.mark.parametrize("market_open", [True, False])
def test_a_source_that_does_not_speak_serves_nothing_fresh(state: SourceState, market_open: bool) -> None:  # noqa: FBT001  # a table's column
    found = valued(held(), STREAM_SAYS, tastytrade=state, market_open=market_open)
    assert (found.greeks, found.other_greeks) == (IBKR_SAYS, None)
    found = valued(held(), STREAM_SAYS, ibkr=state, market_open=market_open)
    assert (found.greeks, found.other_greeks) == (STREAM_SAYS, None)
    found = valued(held(aged(IBKR_SAYS, OLD)), STREAM_SAYS, ibkr=state, tastytrade=state, market_open=market_open)
    assert found.greeks is not None
    assert (found.greeks.source, found.greeks.iv) == ("repriced", 0.16)


def test_greeks_of_a_source_that_is_not_configured_are_not_fresh() -> None:
    assert valued(held(), replace(STREAM_SAYS, source="elsewhere")).greeks == IBKR_SAYS


@pytest.mark.parametrize(
    "wrong",
    [{"delta": 0.4}, {"delta": math.nan}, {"gamma": -0.1}, {"vega": -1.0}, {"time": NOW + timedelta(seconds=61)}],
)
def test_impossible_greeks_of_the_stream_fall_through_and_are_not_compared(wrong: dict[str, object]) -> None:
    found = valued(held(), replace(STREAM_SAYS, **wrong))  # type: ignore[arg-type]  # its fields
    assert (found.greeks, found.other_greeks) == (IBKR_SAYS, None)
    assert found.notes == ("Greeks of tastytrade cannot be true or are dated in the future",)


@pytest.mark.parametrize("name", ["delta", "gamma", "vega", "theta"])
def test_incomplete_greeks_fall_through_but_are_compared(name: str) -> None:
    partial = replace(STREAM_SAYS, **{name: None})  # type: ignore[arg-type]  # its fields
    found = valued(held(), partial)
    assert (found.greeks, found.other_greeks) == (IBKR_SAYS, partial)


def test_the_volatility_of_impossible_greeks_reprices_nothing() -> None:
    found = valued(held(None), replace(STREAM_SAYS, delta=0.4))
    assert found.greeks is None
    assert found.notes[-1] == "no quote or mark to imply a volatility from"


def test_one_source_is_not_compared_with_itself() -> None:
    own = replace(IBKR_SAYS, source="tastytrade")
    assert valued(held(own, source="tastytrade"), STREAM_SAYS).other_greeks is None


def test_in_an_open_market_a_file_is_not_compared_with_a_stream() -> None:
    own = aged(replace(IBKR_SAYS, source="statement"), timedelta(hours=15))
    found = valued(held(own), STREAM_SAYS, ibkr=SourceState.FILE)
    assert (found.greeks, found.other_greeks) == (STREAM_SAYS, None)


@pytest.mark.parametrize("state", [LIVE, SourceState.CLOSED])
def test_in_a_closed_market_figures_are_as_old_as_they_are_meant_to_be(state: SourceState) -> None:
    streamed, own = aged(STREAM_SAYS, timedelta(hours=15)), aged(IBKR_SAYS, timedelta(hours=14))
    found = valued(held(own), streamed, ibkr=state, tastytrade=state, market_open=False)
    assert (found.greeks, found.other_greeks) == (streamed, own)


# --- the whole contract is the key ---

ROOTS = ("SPX", "SPXW", "AAPL", "AAPL1", "/ES")
EXPIRIES = (date(2026, 12, 18), date(2027, 3, 19), date(2027, 4, 16))
Terms = tuple[str, date, int, Right]
terms = st.tuples(
    st.sampled_from(ROOTS), st.sampled_from(EXPIRIES), st.sampled_from((5800, 5805)), st.sampled_from(Right)
)


def contract(wanted: Terms) -> Position:
    """One long option of these terms, without a word from its broker."""
    root, expiry, strike, right = wanted
    if root == "/ES":
        thing = contracts.future_option("ES", expiry.year, expiry.month, expiry, right, Decimal(strike), "/ESM27")
    else:
        thing = occ.parse(f"{root:<6}{expiry:%y%m%d}{right.value}{strike * 1000:08d}")
    return replace(held(None, mark=300.0), instrument=thing)


@settings(max_examples=150, deadline=None)
@given(terms, terms)
def test_greeks_and_quotes_of_another_contract_are_never_used(mine: Terms, streamed: Terms) -> None:
    position, other = contract(mine), contract(streamed).instrument
    greeks = replace(STREAM_SAYS, delta=0.5 if mine[3] is Right.CALL else -0.5)
    found = valued(position, greeks, quote(299.0, 300.0), key=other.key)
    if mine[:3] == streamed[:3] and mine[3] is not streamed[3]:  # the twin tells its volatility, nothing else
        alone = valued(position)
        assert replace(found, greeks=alone.greeks) == alone
    elif mine != streamed:
        assert found == valued(position)
    elif not position.instrument.adjusted:
        assert (found.greeks, found.bid) == (greeks, 299.0)
    else:
        assert (found.greeks, found.bid) == (None, None)


# --- quiet options ---


def test_a_quiet_option_is_repriced_and_says_since_when() -> None:
    found = valued(held(aged(IBKR_SAYS, OLD)))
    assert found.greeks is not None
    assert found.greeks.source == "repriced"
    assert found.notes == ("quiet since 10:29:29 ET",)  # NOW is 10:30:00 in New York
    assert found.reasons == ()


@pytest.mark.parametrize(("by", "grey"), [(TICKING, False), (QUIET, True)])
@pytest.mark.parametrize("who", ["ibkr", "tastytrade"])
def test_an_option_that_has_not_ticked_for_too_long_is_grey(who: str, by: timedelta, grey: bool) -> None:  # noqa: FBT001  # a table's column
    found = valued(held(aged(IBKR_SAYS, by))) if who == "ibkr" else valued(held(None), aged(STREAM_SAYS, by))
    assert bool(found.reasons) is (found.greeks is None) is grey
    assert not grey or found.reasons == ("it has not ticked for 5 min: neither Greeks nor a quote",)


@pytest.mark.parametrize(
    "tick",
    [
        {"streamed": aged(STREAM_SAYS, TICKING)},
        {"quoted": quote(by=TICKING)},
        {"quoted": quote(None, 0.05, by=TICKING)},
    ],
    ids=["Greeks", "quote", "one-sided quote"],
)
def test_any_word_from_any_source_is_a_tick(tick: dict[str, Greeks | Quote]) -> None:
    position = held(aged(IBKR_SAYS, QUIET))
    assert valued(position).reasons
    assert valued(position, **tick).reasons == ()  # type: ignore[arg-type]  # one of each kind
    assert valued(replace(position, bid=36.0, ask=37.4, quote_time=NOW - TICKING)).reasons == ()


def test_a_fresh_quote_makes_an_option_with_old_greeks_no_quiet_one() -> None:
    found = valued(held(aged(IBKR_SAYS, OLD)), None, quote())
    assert not any("quiet" in note for note in found.notes)


@pytest.mark.parametrize(("by", "source", "volatility"), [(TICKING, "repriced", 0.20), (QUIET, "model", 0.16)])
def test_an_old_volatility_gives_way_to_a_young_price(by: timedelta, source: str, volatility: float) -> None:
    found = valued(held(aged(IBKR_SAYS, by)), None, quote())
    assert found.greeks is not None
    assert found.greeks.source == source
    assert found.greeks.iv == pytest.approx(volatility, abs=0.003)


def test_a_quote_that_is_no_price_leaves_the_old_volatility() -> None:
    found = valued(held(aged(IBKR_SAYS, QUIET)), None, quote(None, 0.05))
    assert found.greeks is not None
    assert (found.greeks.source, found.greeks.iv) == ("repriced", 0.20)


def test_a_quiet_option_in_a_closed_market_is_fine() -> None:
    long_ago = timedelta(hours=15)
    found = valued(held(aged(IBKR_SAYS, long_ago)), market_open=False)
    assert (found.reasons, found.notes) == ((), ())
    bare = held(None, mark=36.7, mark_time=NOW - long_ago)
    assert valued(bare, market_open=False).reasons == ()


def test_an_option_of_a_source_that_does_not_stream_is_not_called_quiet() -> None:
    assert valued(held(aged(IBKR_SAYS, QUIET)), ibkr=DOWN).reasons == ()  # its source is a gap of the whole book


# --- the stream's quotes ---

OWN = {"bid": 40.0, "ask": 42.0, "mark": 41.0, "mark_time": NOW, "quote_time": NOW, "day_pnl": 100.0, "open_pnl": -50.0}


def test_a_quote_of_ones_own_is_kept() -> None:
    position = held(**OWN)
    assert valued(position, None, quote()) == position


@pytest.mark.parametrize(("by", "moved"), [(FRESH, False), (OLD, True)])
def test_an_older_quote_gives_way_and_the_profit_moves_with_the_mark(by: timedelta, moved: bool) -> None:  # noqa: FBT001  # a table's column
    found = valued(held(**{**OWN, "quote_time": NOW - by, "mark_time": NOW - by}), None, quote())
    if not moved:
        assert (found.bid, found.mark, found.notes) == (40.0, 41.0, ())
        return
    assert (found.bid, found.ask, found.mark, found.quote_time, found.mark_time) == (36.0, 37.4, 36.7, NOW, NOW)
    # short one, 100 a point: the mark fell from 41.0 to 36.7, which earns 430
    assert (found.day_pnl, found.open_pnl) == (pytest.approx(530.0), pytest.approx(380.0))
    assert found.notes == ("its quote is of tastytrade: that of ibkr is 31 s older",)


def test_an_absent_quote_is_filled() -> None:
    found = valued(held(mark=41.0, mark_time=NOW - FRESH, day_pnl=None, open_pnl=-50.0), None, quote())
    assert (found.bid, found.mark, found.day_pnl, found.open_pnl) == (36.0, 36.7, None, pytest.approx(380.0))
    assert found.notes == ("its quote is of tastytrade: ibkr gives none",)


def test_a_profit_that_cannot_be_moved_is_not_known() -> None:
    for position in (held(day_pnl=100.0, open_pnl=1.0), held(mark=41.0, multiplier=None, day_pnl=1.0, open_pnl=1.0)):
        found = valued(position, None, quote())
        assert (found.mark, found.day_pnl, found.open_pnl) == (36.7, None, None)


def test_a_worthless_option_is_worth_the_middle_of_nothing_and_its_ask() -> None:
    assert valued(held(mark=1.0), None, quote(0.0, 0.05)).mark == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("quoted", "states"),
    [
        (quote(None, 37.4), {}),
        (quote(36.0, None), {}),
        (quote(37.4, 36.0), {}),
        (quote(0.0, 0.0), {}),
        (quote(-1.0, 36.0), {}),
        (quote(math.nan, 36.0), {}),
        (quote(by=QUIET), {}),
        (quote(by=-timedelta(seconds=61)), {}),
        (quote(), {"tastytrade": DOWN}),
        (quote(), {"tastytrade": STALE}),
        (replace(quote(), source="elsewhere"), {}),
    ],
)
def test_a_quote_that_says_nothing_of_now_is_not_used(quoted: Quote, states: dict[str, SourceState]) -> None:
    position = held(mark=41.0, mark_time=NOW - OLD)
    found = valued(position, None, quoted, **states)  # type: ignore[arg-type]  # states of sources
    assert (found.bid, found.mark) == (None, 41.0)


@pytest.mark.parametrize(("by", "used"), [(FRESH, True), (OLD, False)])
def test_a_mark_that_is_younger_than_the_quote_stays(by: timedelta, used: bool) -> None:  # noqa: FBT001  # a table's column
    found = valued(held(mark=41.0, mark_time=NOW), None, quote(by=by))
    assert (found.mark == 36.7) is used


@pytest.mark.parametrize(
    "broken",
    [
        {"reasons": ("line 3: doubted",)},
        {"quantity": None},
        {"mark": 20.0, "bid": 40.0, "ask": 42.0, "quote_time": NOW - OLD},
        {"bid": 42.0, "ask": 40.0, "mark": 41.0, "quote_time": NOW - OLD},
    ],
)
def test_a_doubted_row_is_not_mended_by_the_stream(broken: dict[str, object]) -> None:
    found = valued(held(**broken), STREAM_SAYS, quote())
    assert found.reasons
    assert found.bid == broken.get("bid")
    assert (found.greeks, found.other_greeks) == (IBKR_SAYS, None)


# --- two that disagree ---


def pair(delta: float | None = -0.21, iv: float | None = 0.16, quantity: float = -1, **more: object) -> Position:
    """A position whose stream says -0.21 at 16 % and whose broker says `delta` at `iv`."""
    return replace(held(STREAM_SAYS, quantity=quantity), other_greeks=replace(IBKR_SAYS, delta=delta, iv=iv), **more)  # type: ignore[arg-type]  # its fields


@pytest.mark.parametrize(
    ("delta", "iv", "level"),
    [
        (-0.26, 0.16, Level.OK),
        (-0.261, 0.16, Level.WATCH),
        (-0.16, 0.16, Level.OK),
        (-0.159, 0.16, Level.WATCH),
        (-0.21, 0.19, Level.OK),
        (-0.21, 0.1901, Level.WATCH),
        (-0.21, 0.13, Level.OK),
        (-0.21, 0.1299, Level.WATCH),
        (None, 0.16, Level.OK),
        (None, 0.20, Level.WATCH),
        (-0.21, None, Level.OK),
        (-0.30, None, Level.WATCH),
        (-0.30, math.nan, Level.WATCH),
        (None, None, Level.NOT_APPLICABLE),
        (math.nan, math.nan, Level.NOT_APPLICABLE),
    ],
)
def test_both_sides_of_each_tolerance(delta: float | None, iv: float | None, level: Level) -> None:
    """0.05 of delta, three points of volatility."""
    assert greeks_agreement(book(pair(delta, iv)), with_limits())[0].level is level


def test_where_nothing_is_told_twice_there_is_no_verdict() -> None:
    for held_now in ((), (held(),), (stock("SPY", 1, 600.0), held(None))):
        assert greeks_agreement(book(*held_now), with_limits())[0].level is Level.NOT_APPLICABLE


def test_the_worst_is_named_first_in_dollars() -> None:
    small = pair(-0.30, 0.20)
    large = replace(pair(-0.27, 0.16, quantity=10), instrument=occ.parse("SPXW  261218P05500000"))
    finding = greeks_agreement(book(small, pair(), large), with_limits())[0]
    # 10 x 100 x 6,000 x 0.06 = 360,000; 1 x 100 x 6,000 x 0.09 = 54,000
    assert finding.message == (
        "Two sources contradict each other on 2 of 3 positions: "
        "SPXW 18Dec26 5500P (IBKR •••4567): delta −0.21 by tastytrade, −0.27 by ibkr "
        "($360,000 of delta dollars apart), volatility 16.0 % by tastytrade, 16.0 % by ibkr; "
        "SPXW 18Dec26 5800P (IBKR •••4567): delta −0.21 by tastytrade, −0.30 by ibkr "
        "($54,000 of delta dollars apart), volatility 16.0 % by tastytrade, 20.0 % by ibkr."
    )
    assert (finding.value, finding.limit, finding.unit, finding.subject) == (2.0, 0.0, "positions", "portfolio")
    assert finding.next_action
    assert finding.evidence["compared"] == 3
    assert finding.evidence["pairs"][1] == {
        "key": KEY,
        "account": "IBKR •••4567",
        "sources": ["tastytrade", "ibkr"],
        "delta": [-0.21, -0.30],
        "iv": [0.16, 0.20],
        "delta_dollars": pytest.approx(54_000.0),
    }


def test_every_contradiction_is_in_the_evidence_and_one_of_unknown_size_comes_first() -> None:
    many = [pair(-0.30, quantity=n) for n in range(1, 8)]
    unknown = pair(-0.30, multiplier=None)
    finding = greeks_agreement(book(*many, unknown), with_limits())[0]
    sizes = [row["delta_dollars"] for row in finding.evidence["pairs"]]
    assert sizes == [None, *(pytest.approx(54_000.0 * n) for n in range(7, 0, -1))]
    assert "and 5 more" in finding.message


def test_what_valuation_finds_reaches_the_check() -> None:
    found = valued(held(), STREAM_SAYS)
    assert greeks_agreement(book(found), with_limits())[0].level is Level.WATCH
    assert greeks_agreement(book(valued(held(aged(IBKR_SAYS, OLD)), STREAM_SAYS)), with_limits())[0].level is (
        Level.NOT_APPLICABLE
    )


def test_only_the_first_in_the_order_of_trust_is_used_for_risk() -> None:
    found = book(valued(held(), STREAM_SAYS))
    # short one put of delta -0.21: +0.21 x 100 x 6,000
    assert found.exposures.delta.total().known == pytest.approx(126_000.0)

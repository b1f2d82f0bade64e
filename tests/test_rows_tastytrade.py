"""tastytrade records: signs, units, fallbacks. Figures worked by hand from the field definitions of the API."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tastytrade.money import of_balance
from adapters.tastytrade.rows import DayBasis, Reading, day_basis, is_open, priced, to_position
from guardrails.instruments import Kind
from guardrails.values import MarginView, Position, Quote

NOW = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)
READING = Reading("tastytrade", NOW, date(2026, 11, 20), date(2026, 11, 20))
SHORT_PUT = {
    "account-number": "5WT00001",
    "symbol": "SPXW  261218P05500000",
    "instrument-type": "Equity Option",
    "underlying-symbol": "SPX",
    "quantity": "2",
    "quantity-direction": "Short",
    "mark-price": "15.50",
    "mark": "3100.0",
    "multiplier": 100,
    "average-open-price": "20.0",
    "average-daily-market-close-price": "16.0",
    "realized-day-gain": "25.0",
    "realized-day-gain-effect": "Debit",
    "realized-day-gain-date": "2026-11-20",
}


def position(**changes: object) -> Position:
    return to_position({**SHORT_PUT, **{key.replace("_", "-"): value for key, value in changes.items()}}, READING)


def test_a_short_option() -> None:
    held = position()
    assert held.instrument.key == "index_option:SPXW  261218P05500000"
    assert (held.quantity, held.multiplier, held.mark, held.average_price) == (-2.0, 100.0, 15.5, 20.0)
    assert held.open_pnl == pytest.approx(-2 * 100 * (15.5 - 20.0))  # 900
    assert held.day_pnl == pytest.approx(-2 * 100 * (15.5 - 16.0) - 25.0)  # 100 open gain, 25 realized loss
    assert held.reasons == ()


def test_snake_case_and_decimals_read_the_same() -> None:
    snake = {key.replace("-", "_"): Decimal(value) if key == "quantity" else value for key, value in SHORT_PUT.items()}
    assert to_position(snake, READING) == position()


def test_what_was_realized_on_another_day_does_not_count_today() -> None:
    assert position(realized_day_gain_date="2026-11-19").day_pnl == pytest.approx(100.0)


@pytest.mark.parametrize(("direction", "expected"), [("Long", 2.0), ("Short", -2.0)])
def test_the_direction_is_the_sign(direction: str, expected: float) -> None:
    assert position(quantity_direction=direction).quantity == expected


def test_what_was_closed_today_is_held_no_more_but_keeps_its_gain() -> None:
    closed = position(quantity="0", quantity_direction="Zero", mark=None, mark_price=None)
    assert (closed.quantity, closed.reasons, is_open(closed)) == (0.0, (), False)
    assert (closed.open_pnl, closed.day_pnl) == (0.0, -25.0)
    assert is_open(position())


def test_nothing_held_of_two_is_not_believed() -> None:
    held = position(quantity_direction="Zero")
    assert held.quantity is None
    assert "contradicts its quantity-direction" in held.reasons[0]
    assert is_open(held)
    assert is_open(position(quantity=None))


@pytest.mark.parametrize("direction", ["", None, "Sideways"])
def test_without_a_direction_the_quantity_is_unknown(direction: str | None) -> None:
    held = position(quantity_direction=direction)
    assert held.quantity is None
    assert "quantity-direction" in held.reasons[0]


@pytest.mark.parametrize("text", ["NaN", "abc", "1.7976931348623157e308", "Infinity"])
def test_a_quantity_that_is_no_number_is_unknown(text: str) -> None:
    held = position(quantity=text)
    assert held.quantity is None
    assert "quantity" in held.reasons[0]


def test_the_mark_of_a_unit_comes_from_the_whole_when_it_must() -> None:
    assert position(mark_price=None).mark == 15.5


def test_the_previous_close_is_the_last_resort_and_says_so() -> None:
    held = position(mark_price=None, mark=None, close_price="14.2")
    assert held.mark == 14.2
    assert held.open_pnl is None
    assert held.day_pnl is None
    assert any("previous close" in note for note in held.notes)


def test_a_value_that_contradicts_its_price_is_not_trusted() -> None:
    assert any("contradicts" in reason for reason in position(mark="310.0").reasons)
    assert position(mark="3110.0").reasons == ()  # rounding of the unit price


def test_multiplier_comes_from_the_record_and_is_never_assumed() -> None:
    assert position(multiplier="10").multiplier == 10.0
    missing = position(multiplier=None)
    assert missing.multiplier is None
    assert missing.multiplier_source == ""
    assert any("multiplier" in reason for reason in missing.reasons)
    assert position(multiplier="0").multiplier is None


def test_a_micro_future_keeps_its_half_dollar() -> None:
    held = position(
        symbol="/MYMZ6",
        instrument_type="Future",
        multiplier="0.5",
        mark_price="46000",
        mark=None,
        quantity_direction="Long",
    )
    assert held.instrument.symbol == "/MYMZ26"
    assert held.multiplier == 0.5


def test_a_future_without_multiplier_takes_the_table() -> None:
    held = position(symbol="/ESZ6", instrument_type="Future", multiplier=None, mark_price="6750", mark=None)
    assert (held.multiplier, held.multiplier_source) == (50.0, "table")


@pytest.mark.parametrize("symbol", ["./ESZ6 EW4X6 261127P6000", "./ESZ6 EW4X6  261127P6000", "./ESZ6EW4X6 261127P6000"])
def test_a_future_option_in_all_spacings(symbol: str) -> None:
    held = position(symbol=symbol, instrument_type="Future Option", multiplier="50", mark_price="12", mark=None)
    assert held.instrument.kind is Kind.FUTURE_OPTION
    assert held.instrument.underlying == "/ESZ26"
    assert held.multiplier == 50.0


def test_a_share_has_multiplier_one_by_definition() -> None:
    share = {"symbol": "BRK/B", "instrument_type": "Equity", "mark_price": "480", "mark": None}
    assert position(**share, multiplier=None).multiplier == 1.0
    assert any("contradicts" in reason for reason in position(**share, multiplier="100").reasons)


def test_an_unknown_type_is_kept_as_unknown() -> None:
    held = position(symbol="XYZ", instrument_type="Equity Offering", multiplier="1")
    assert held.instrument.kind is Kind.OTHER
    assert held.quantity == -2.0
    assert held.reasons


def test_an_option_is_alive_on_its_last_day_and_expired_the_day_after() -> None:
    assert position(symbol="SPXW  261120P05500000").reasons == ()
    assert "expired on 2026-11-19" in position(symbol="SPXW  261119P05500000").reasons


def test_prices_below_zero() -> None:
    assert position(mark_price="-0.5", mark=None).mark is None
    crude = position(
        symbol="/CLF7",
        underlying_symbol="/CL",
        instrument_type="Future",
        multiplier="1000",
        mark_price="-37.63",
        mark=None,
        average_open_price="10",
    )
    assert crude.mark == -37.63
    assert crude.reasons == ()
    assert any("below zero" in note for note in crude.notes)


def test_balances() -> None:
    account = of_balance(
        {
            "account-number": "5WT00001",
            "net-liquidating-value": "32520.734",
            "cash-balance": "7218.997",
            "maintenance-requirement": "9692.211",
            "maintenance-excess": "22828.52392233",
            "derivative-buying-power": "22828.524",
            "maintenance-call-value": "0.0",
            "reg-t-call-value": "0.0",
            "day-trading-call-value": "0.0",
            "day-equity-call-value": "0.0",
        },
        "tastytrade",
        NOW,
    )
    assert account.net_liquidation == 32520.734
    (margin,) = account.margins
    assert (margin.view, margin.segment) == (MarginView.CURRENT, "total")
    assert (margin.excess or 0) / (account.net_liquidation or 1) == pytest.approx(0.702, abs=5e-4)  # domain facts 2.4
    assert account.margin_call is False
    assert "00001" not in str(account.id)


def test_a_margin_call_that_is_not_reported_is_unknown() -> None:
    calls = {"reg-t-call-value": "0", "day-trading-call-value": "0", "day-equity-call-value": "0"}
    found = [
        of_balance({**calls, "maintenance-call-value": call}, "tastytrade", NOW).margin_call
        for call in ("0.0", "150.0", None)
    ]
    assert found == [False, True, None]


@pytest.mark.parametrize(("symbol", "kind"), [("912797QQ3", Kind.CASH), ("91282CLW9", Kind.BOND)])
def test_bills_are_cash_and_notes_are_bonds(symbol: str, kind: Kind) -> None:
    """50,000 of face value at 98.765 are 49,382.50 dollars; the CUSIP tells a bill from a note."""
    fields = {"symbol": symbol, "instrument_type": "Bond", "quantity": "50000", "quantity_direction": "Long",
              "mark_price": "98.765", "mark": "49382.5", "multiplier": "1"}  # fmt: skip
    held = position(**fields)
    assert held.instrument.kind is kind
    assert (held.quantity, held.reasons) == (50_000.0, ())
    assert held.multiplier == pytest.approx(0.01)
    unvalued = position(**{**fields, "mark": None})
    assert unvalued.multiplier is None
    assert "price is per" in unvalued.reasons[0]


FUTURE = {"symbol": "/ESZ6", "instrument_type": "Future", "underlying_symbol": "/ES", "multiplier": "50",
          "mark_price": "6750", "mark": None}  # fmt: skip
LATE = datetime(2026, 11, 20, 19, 5, tzinfo=UTC)
QUOTE = Quote(15.0, 15.4, LATE, "tastytrade")
TODAY = READING.today


def basis(**changes: object) -> DayBasis:
    return day_basis({**SHORT_PUT, **{key.replace("_", "-"): value for key, value in changes.items()}}, TODAY)


def test_the_days_basis_is_the_close_before_with_what_was_realized() -> None:
    assert basis() == DayBasis(16.0, -25.0)
    assert basis(realized_day_gain_effect="Credit").realized == 25.0
    assert day_basis({key.replace("-", "_"): value for key, value in SHORT_PUT.items()}, TODAY) == basis()


@pytest.mark.parametrize(
    ("created", "price"),
    [
        (None, 14.2),
        ("2026-11-19T15:00:00.000+00:00", 14.2),
        ("2026-11-20T04:59:00.000+00:00", 14.2),  # 23:59 of the 19th in New York
        ("2026-11-20T15:00:00.000+00:00", 20.0),  # opened today: the close before is not its basis
    ],
)
def test_without_the_average_close_the_markets_close_stands_in(created: str | None, price: float) -> None:
    absent = {"average_daily_market_close_price": None, "close_price": "14.2", "created_at": created}
    assert basis(**absent).price == price
    held = position(**absent)
    assert held.day_pnl == pytest.approx(-2 * 100 * (15.5 - price) - 25.0)
    assert basis(average_daily_market_close_price=None, close_price=None).price is None


@pytest.mark.parametrize(
    ("fields", "realized"),
    [
        ({"realized_day_gain_date": "2026-11-19"}, 0.0),
        ({"realized_day_gain_date": "2026-11-21"}, None),
        ({"realized_day_gain_date": None}, None),
        ({"realized_day_gain_date": None, "realized_day_gain": "0.0", "realized_day_gain_effect": "None"}, 0.0),
        ({"realized_day_gain": None}, None),
        ({"realized_day_gain": "NaN"}, None),
        ({"realized_day_gain_effect": "None"}, None),
        ({"realized_day_gain": "-25.0", "realized_day_gain_effect": "Credit"}, None),
        ({"realized_day_gain": "-25.0", "realized_day_gain_effect": None}, -25.0),  # as client libraries sign it
    ],
)
def test_a_realized_gain_counts_on_its_day_alone(fields: dict[str, object], realized: float | None) -> None:
    assert basis(**fields).realized == realized
    assert position(**fields).day_pnl == (None if realized is None else pytest.approx(100.0 + realized))


def test_a_position_at_live_prices() -> None:
    """Short 2 at 15.20: 2 × 100 × (20 − 15.20) = 960 open; 2 × 100 × (16 − 15.20) = 160, less 25 realized, today."""
    held = priced(position(), basis(), QUOTE, 15.2, LATE)
    assert (held.bid, held.ask, held.quote_time, held.mark, held.mark_time) == (15.0, 15.4, LATE, 15.2, LATE)
    assert held.open_pnl == pytest.approx(960.0)
    assert held.day_pnl == pytest.approx(135.0)
    long = priced(position(quantity_direction="Long"), basis(), QUOTE, 15.2, LATE)
    assert (long.open_pnl, long.day_pnl) == (pytest.approx(-960.0), pytest.approx(-185.0))


def test_a_future_at_live_prices() -> None:
    """Long 2 /ES at 6,740.25 after a close of 6,750 and 6,700 paid: −975 today, 4,025 since it was opened."""
    fields = {**FUTURE, "quantity_direction": "Long", "average_open_price": "6700", "realized_day_gain": "0.0",
              "realized_day_gain_effect": "None", "average_daily_market_close_price": "6750"}  # fmt: skip
    held = priced(position(**fields), basis(**fields), None, 6740.25, LATE)
    assert (held.day_pnl, held.open_pnl) == (pytest.approx(-975.0), pytest.approx(4025.0))


def test_what_is_not_known_live_stays_as_the_record_says() -> None:
    record = position(bid="15.3", ask="15.7")
    assert priced(record, basis(), None, None, None) == record
    assert priced(record, basis(), None, 15.2, None) == record  # of no known age
    for nonsense in (float("nan"), float("inf"), -0.01):
        assert priced(record, basis(), None, nonsense, LATE) == record
    assert priced(record, basis(), None, 0.0, LATE).mark == 0.0
    quoted = priced(record, basis(), QUOTE, None, LATE)
    assert (quoted.bid, quoted.mark, quoted.mark_time, quoted.day_pnl) == (15.0, 15.5, NOW, record.day_pnl)


def test_a_live_mark_replaces_the_previous_close_and_its_note() -> None:
    stale = position(mark_price=None, mark=None, close_price="14.2")
    assert stale.day_pnl is None
    live = priced(stale, basis(), QUOTE, 15.2, LATE)
    assert (live.notes, live.day_pnl) == ((), pytest.approx(135.0))
    quoted = priced(stale, basis(), QUOTE, None, None)
    assert (quoted.notes, quoted.day_pnl, quoted.open_pnl) == (stale.notes, None, None)


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [
        (15.0, 15.0, (15.0, 15.0)),  # locked
        (15.1, 15.0, (None, None)),  # crossed
        (0.0, 0.05, (0.0, 0.05)),
        (-0.1, 15.0, (None, 15.0)),
        (15.0, 0.0, (15.0, None)),
        (float("nan"), None, (None, None)),
    ],
)
def test_sides_that_cannot_be_are_none(
    bid: float | None, ask: float | None, expected: tuple[float | None, float | None]
) -> None:
    held = priced(position(bid="1", ask="2"), basis(), Quote(bid, ask, LATE, "tastytrade"), None, None)
    assert (held.bid, held.ask) == expected
    assert held.quote_time == (None if expected == (None, None) else LATE)
    crude = position(**{**FUTURE, "symbol": "/CLF7", "underlying_symbol": "/CL", "multiplier": "1000"})
    below = priced(crude, basis(), Quote(-37.7, -37.6, LATE, "tastytrade"), -37.63, LATE)
    assert (below.bid, below.ask, below.mark) == (-37.7, -37.6, -37.63)


@pytest.mark.parametrize("missing", ["quantity", "multiplier", "average_price"])
def test_no_profit_without_all_its_factors(missing: str) -> None:
    held = priced(replace(position(), **{missing: None}), basis(), QUOTE, 15.2, LATE)
    assert held.open_pnl is None
    assert (held.day_pnl is None) == (missing != "average_price")
    assert priced(position(), DayBasis(None, 0.0), QUOTE, 15.2, LATE).day_pnl is None


@pytest.mark.parametrize(
    ("stamp", "expiry"),
    [
        ("2026-12-18T14:30:00.000+00:00", date(2026, 12, 18)),
        ("2026-12-19T04:59:59.000+00:00", date(2026, 12, 18)),  # 23:59:59 in New York
        ("2026-12-18T00:00:00.000+00:00", date(2026, 12, 18)),  # midnight UTC: the date as it is written
        ("2026-12-18", date(2026, 12, 18)),
        (None, None),
    ],
)
def test_a_future_expires_when_the_record_says(stamp: str | None, expiry: date | None) -> None:
    held = position(**FUTURE, expires_at=stamp)
    assert (held.instrument.symbol, held.instrument.expiry, held.reasons) == ("/ESZ26", expiry, ())


@pytest.mark.parametrize("stamp", ["2027-06-18T14:30:00.000+00:00", "2026-06-18T14:30:00.000+00:00", "soon", 7])
def test_a_future_whose_expiry_is_not_of_its_month_is_doubted(stamp: object) -> None:
    held = position(**FUTURE, expires_at=stamp)
    assert held.instrument.expiry is None
    assert len(held.reasons) == 1


def test_a_future_is_expired_the_day_after() -> None:
    november = {**FUTURE, "symbol": "/CLZ6", "underlying_symbol": "/CL", "multiplier": "1000"}
    assert position(**november, expires_at="2026-11-20T19:30:00+00:00").reasons == ()
    assert "expired on 2026-11-19" in position(**november, expires_at="2026-11-19T19:30:00+00:00").reasons


@pytest.mark.parametrize(
    ("symbol", "stamp", "agrees"),
    [
        ("SPXW  261218P05500000", "2026-12-18T21:00:00+00:00", True),
        ("SPXW  261218P05500000", "2026-12-18T00:00:00+00:00", True),
        ("SPXW  261218P05500000", "2026-12-17T21:00:00+00:00", False),  # a PM option trades on its last day
        ("SPX   261218P05500000", "2026-12-17T21:15:00+00:00", True),  # AM: last traded on Thursday
        ("SPX   261218P05500000", "2026-12-18T14:30:00+00:00", True),
        ("SPX   261218P05500000", "2026-12-16T21:15:00+00:00", False),
        ("SPX   261218P05500000", "2026-12-21T21:15:00+00:00", False),
        ("VIX   261216C00025000", "2026-12-15T21:15:00+00:00", True),
        ("SPX   260618P05500000", "2026-06-17T20:15:00+00:00", True),  # the 19th is a holiday, so the 18th settles
        ("SPXW  261218P05500000", "next month", False),
    ],
)
def test_an_option_whose_expiry_contradicts_its_symbol_is_doubted(symbol: str, stamp: str, *, agrees: bool) -> None:
    named = "VIX" if symbol.startswith("VIX") else "SPX"
    reasons = [
        it
        for it in position(symbol=symbol, underlying_symbol=named, expires_at=stamp).reasons
        if not it.startswith("expired")
    ]
    assert (reasons == []) == agrees


@pytest.mark.parametrize(
    ("fields", "stated", "agrees"),
    [
        (FUTURE, "/ES", True),
        (FUTURE, "/ESZ6", True),
        (FUTURE, "/ESZ26", True),
        (FUTURE, "/ESH7", False),
        (FUTURE, "/MES", False),
        (FUTURE, "ES", False),  # Eversource
        ({**FUTURE, "symbol": "./ESZ6 EW4X6 261127P6000", "instrument_type": "Future Option"}, "/ESZ6", True),
        ({**FUTURE, "symbol": "./ESZ6 EW4X6 261127P6000", "instrument_type": "Future Option"}, "/ES", True),
        ({**FUTURE, "symbol": "./ESZ6 EW4X6 261127P6000", "instrument_type": "Future Option"}, "/ESH7", False),
        ({"symbol": "BRK/B 270115P00400000"}, "BRK/B", True),
        ({"symbol": "BRK/B 270115P00400000"}, "BRK/A", False),
        ({"symbol": "USO1  261218P00075000"}, "XYZ", True),  # adjusted: its root says nothing
        ({"symbol": "SPXW  261218P05500000"}, "SPY", False),
        ({"symbol": "SPXW  261218P05500000"}, ["SPX"], False),
        ({"symbol": "SPXW  261218P05500000"}, None, True),
    ],
)
def test_another_underlying_than_the_symbols_is_doubted(
    fields: dict[str, object], stated: object, *, agrees: bool
) -> None:
    held = position(**{**fields, "underlying_symbol": stated})
    assert ([it for it in held.reasons if "underlying-symbol" in it] == []) == agrees


def test_what_does_not_deliver_shares_is_doubted() -> None:
    option = {"symbol": "GREE  261218C00010000", "underlying_symbol": "GREE"}
    assert position(**option, deliverable_type="Shares").reasons == ()
    assert position(**option, deliverable_type=None).reasons == ()
    assert "delivers 'AdjustedShares', not shares" in position(**option, deliverable_type="AdjustedShares").reasons[0]
    assert position(deliverable_type="Cash").reasons == ()  # an index option does


def test_what_the_broker_does_with_a_position_is_noted() -> None:
    calm = {"is_frozen": False, "is_suppressed": False, "restricted_quantity": "0.0"}
    assert position(**calm).notes == ()
    held = position(is_frozen=True, is_suppressed="true", restricted_quantity="1")
    assert held.reasons == ()
    assert held.notes == (
        "tastytrade has frozen it",
        "tastytrade suppresses it",
        "1 of it is restricted and cannot be traded now",
    )


@pytest.mark.parametrize("record", [{}, {"unreadable": ["AAPL"]}, {"symbol": None, "quantity": None}])
def test_a_row_that_says_nothing_is_a_row_with_reasons(record: dict[str, object]) -> None:
    held = to_position(record, replace(READING, place="positions line 3"))
    assert (held.instrument.kind, held.quantity, held.multiplier) == (Kind.OTHER, None, None)
    assert any("no symbol" in reason for reason in held.reasons)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=24)
    | st.sampled_from(["NaN", "1e400", "5e-324", "1e308", "Zero", "Bond", "Future", "/ESZ6", "./ESZ6 EW4X6 261127P6000",
                       "SPX   991231P05500000", "SPX   000103P05500000", "9999-12-31T23:59:59+00:00", "0001-01-01",
                       "2026-11-20"])
    | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
FIELDS = [*SHORT_PUT, "close-price", "bid", "ask", "expires-at", "deliverable-type", "created-at", "is-frozen",
          "restricted-quantity", "currency"]  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), JSON, max_size=6), st.floats())
def test_no_record_raises(rubbish: dict[str, object], mark: float) -> None:
    record = {**SHORT_PUT, **rubbish}
    held = priced(to_position(record, READING), day_basis(record, TODAY), Quote(mark, mark, NOW, "t"), mark, NOW)
    assert held.quantity is not None or held.reasons
    assert held.day_pnl is None or abs(held.day_pnl) < 1e300

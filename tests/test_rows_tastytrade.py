"""tastytrade records: signs, units, fallbacks. Figures worked by hand from the field definitions of the API."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from adapters.tastytrade.rows import Reading, to_account, to_position
from guardrails.instruments import Kind
from guardrails.values import MarginView, Position

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


@pytest.mark.parametrize(("direction", "expected"), [("Long", 2.0), ("Short", -2.0), ("Zero", 0.0)])
def test_the_direction_is_the_sign(direction: str, expected: float) -> None:
    assert position(quantity_direction=direction).quantity == expected


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
    account = to_account(
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
        to_account({**calls, "maintenance-call-value": call}, "tastytrade", NOW).margin_call
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

"""IBKR rows: contracts, multipliers in cents and dollars, account values. Figures by hand from the domain facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from adapters.ibkr.rows import AccountValue, Contract, Figures, Reading, to_account, to_position
from guardrails.instruments import Kind
from guardrails.values import AccountId, MarginView

NOW = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)
ACCOUNT = AccountId("IBKR", "U0000001")
READING = Reading(ACCOUNT, "ibkr", NOW, date(2026, 11, 20), date(2026, 11, 20), "row 1")
PUT = Contract("OPT", "SPX", "SPXW  261218P05500000", "SPXW", date(2026, 12, 18), 5500.0, "P", "USD")


def test_average_cost_of_tws_includes_the_multiplier() -> None:
    held = to_position(PUT, Figures(-2, 100, 15.5, -3100.0, 2000.0), READING)
    assert held.average_price == 20.0
    statement = Figures(-2, 100, 15.5, -3100.0, 20.0, cost_has_multiplier=False)
    assert to_position(PUT, statement, READING).average_price == 20.0


def test_the_thursday_of_an_am_settled_option_becomes_its_friday() -> None:
    thursday = replace(PUT, local_symbol="SPX   261218P05500000", trading_class="SPX", expiry=date(2026, 12, 17))
    held = to_position(thursday, Figures(1, 100, 15.5), READING)
    assert held.instrument.expiry == date(2026, 12, 18)
    assert held.reasons == ()


def test_fields_that_contradict_the_symbol_make_the_row_unknown() -> None:
    held = to_position(replace(PUT, strike=5600.0), Figures(1, 100, 15.5), READING)
    assert held.instrument.kind is Kind.OTHER
    assert "strike" in held.reasons[0]


def test_a_bond_is_worth_its_face_times_price_per_hundred() -> None:
    # 10,000 of face value at 99.00 are 9,900 dollars: 0.01 per unit of face and 1.00 of price
    held = to_position(Contract("BOND", "T 4 1/2 11/15/33", currency="USD"), Figures(10_000, 1, 99.0, 9_900.0), READING)
    assert held.instrument.kind is Kind.BOND
    assert held.multiplier == pytest.approx(0.01)
    assert held.reasons == ()
    assert to_position(Contract("BOND", "T", currency="USD"), Figures(10_000, 1, 99.0), READING).multiplier is None


def test_a_fund_is_held_like_a_share() -> None:
    held = to_position(Contract("FUND", "VFIAX", currency="USD"), Figures(5, 1, 10.0), READING)
    assert held.instrument.key == "equity:VFIAX"


@pytest.mark.parametrize(
    ("kind", "words"),
    [("IOPT", "structured"), ("WAR", "warrant"), ("CFD", "CFD"), ("XYZ", "XYZ"), ("", "no")],
)
def test_what_has_no_risk_model_is_listed_as_unknown(kind: str, words: str) -> None:
    held = to_position(Contract(kind, "THING", "THING", currency="USD"), Figures(5, 1, 10.0), READING)
    assert held.instrument.kind is Kind.OTHER
    assert held.quantity == 5
    assert words in held.reasons[0]


CORN = Contract("FUT", "ZC", "ZCZ6", "ZC", date(2026, 12, 14), currency="USD")


@pytest.mark.parametrize(
    ("price", "stated", "value"),
    [(450.25, 5000, 22512.5), (4.5025, 5000, 22512.5), (450.25, 50, 22512.5)],
    ids=["cents, multiplier per dollar", "dollars", "cents, multiplier per cent"],
)
def test_a_corn_contract_is_worth_22512_dollars_in_either_unit(price: float, stated: float, value: float) -> None:
    """5,000 bushels at 4.5025 dollars (domain facts 5); kept in the exchange's quote, 50 dollars per cent."""
    held = to_position(CORN, Figures(1, stated, price, value), READING)
    assert held.reasons == ()
    assert held.multiplier == 50.0
    assert held.mark == pytest.approx(450.25)


@pytest.mark.parametrize("value", [None, 0.0, 1000.0])
def test_a_corn_contract_without_a_telling_value_has_no_multiplier(value: float | None) -> None:
    held = to_position(CORN, Figures(1, 5000, 450.25, value), READING)
    assert held.multiplier is None
    assert held.reasons


def test_a_row_without_currency_is_unknown() -> None:
    held = to_position(replace(PUT, currency=""), Figures(1, 100, 15.5), READING)
    assert "no currency" in held.reasons


@pytest.mark.parametrize(("value", "doubts"), [(-3100.0, 0), (-3160.0, 0), (-3165.0, 1), (-310.0, 1), (3100.0, 1)])
def test_the_brokers_own_value_must_agree(value: float, doubts: int) -> None:
    """2 % of 3,100 are 62 dollars."""
    held = to_position(PUT, Figures(-2, 100, 15.5, value), READING)
    assert len(held.reasons) == doubts


VALUES = [
    AccountValue("AccountReady", "true"),
    AccountValue("NetLiquidation", "100000", "EUR"),
    AccountValue("NetLiquidation", "999999", "BASE"),
    AccountValue("TotalCashValue", "20000", "EUR"),
    AccountValue("BuyingPower", "1.7976931348623157e308", "EUR"),
    AccountValue("MaintMarginReq", "30000", "EUR"),
    AccountValue("ExcessLiquidity", "70000", "EUR"),
    AccountValue("NetLiquidation-S", "90000", "EUR"),
    AccountValue("MaintMarginReq-S", "30000", "EUR"),
    AccountValue("ExcessLiquidity-S", "60000", "EUR"),
    AccountValue("LookAheadMaintMarginReq", "45000", "EUR"),
    AccountValue("LookAheadExcessLiquidity", "55000", "EUR"),
    AccountValue("LookAheadNextChange", "1795000000"),
]


def test_account_values() -> None:
    account = to_account(VALUES, ACCOUNT, "ibkr", NOW)
    assert (account.currency, account.net_liquidation, account.cash) == ("EUR", 100000.0, 20000.0)
    assert account.buying_power is None  # an unset double
    views = {(margin.view, margin.segment): margin.excess for margin in account.margins}
    assert views == {
        (MarginView.CURRENT, "total"): 70000.0,
        (MarginView.CURRENT, "securities"): 60000.0,
        (MarginView.LOOK_AHEAD, "total"): 55000.0,
    }
    assert account.next_margin_change == datetime.fromtimestamp(1795000000, UTC)


def test_nothing_is_known_before_the_account_is_ready() -> None:
    account = to_account([AccountValue("AccountReady", "false"), *VALUES[1:]], ACCOUNT, "ibkr", NOW)
    assert account.net_liquidation is None
    assert account.margins == ()


def test_zero_means_no_margin_change_ahead() -> None:
    values = [AccountValue("NetLiquidation", "1", "USD"), AccountValue("LookAheadNextChange", "0")]
    assert to_account(values, ACCOUNT, "ibkr", NOW).next_margin_change is None


def test_an_index_abroad_that_ends_in_digits_is_not_an_adjusted_option() -> None:
    stoxx = Contract("OPT", "ESTX50", "P OESX 20261218 5600 M", "", date(2026, 12, 18), 5600.0, "P", "EUR")
    held = to_position(stoxx, Figures(-1, 10, 100.0, -1000.0), READING)
    assert (held.instrument.kind, held.instrument.underlying, held.instrument.adjusted) == (
        Kind.INDEX_OPTION,
        "ESTX50",
        False,
    )
    assert held.reasons == ()


def test_a_future_at_eurex_is_named_by_its_day() -> None:
    held = to_position(
        Contract("FUT", "ESTX50", "FESX 20261218 M", "", date(2026, 12, 18), currency="EUR"),
        Figures(1, 10, 5600.0),
        READING,
    )
    assert (held.instrument.symbol, held.multiplier, held.reasons) == ("/FESXZ26", 10.0, ())

"""What a tastytrade account is worth and may not do. Figures are from the API's own examples or worked by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tastytrade.money import (
    AccountRecords,
    Record,
    day_pnl,
    margin_by_underlying,
    net_liquidation_history,
    to_account,
)
from adapters.tastytrade.rows import Reading, to_position
from guardrails.values import Account, Observed, Restriction

NOW = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)  # a Friday, 14:00 in New York
TOLD = NOW - timedelta(seconds=3)
CLOSE = datetime(2026, 11, 19, 21, 0, tzinfo=UTC)  # Thursday 16:00 in New York
NUMBER = "5WT00000"
BALANCE: Record = {  # the documented example, with another time
    "account-number": NUMBER, "cash-balance": "7218.997", "margin-equity": "32520.734",
    "derivative-buying-power": "22828.524", "maintenance-requirement": "9692.211", "maintenance-call-value": "0.0",
    "reg-t-call-value": "0.0", "day-trading-call-value": "0.0", "day-equity-call-value": "0.0",
    "net-liquidating-value": "32520.734", "maintenance-excess": "22828.52392233", "updated-at": TOLD.isoformat(),
}  # fmt: skip
STATUS: Record = {
    "account-number": NUMBER, "is-closed": False, "is-frozen": False, "is-closing-only": False,
    "is-futures-closing-only": False, "is-cryptocurrency-closing-only": False, "is-risk-reducing-only": False,
    "is-in-margin-call": False, "is-in-day-trade-equity-maintenance-call": False,
}  # fmt: skip
REPORT: Record = {  # the documented example
    "account-number": NUMBER, "maintenance-requirement": "3559.174330645", "maintenance-requirement-effect": "Debit",
    "maintenance-excess": "499977615.203472065", "maintenance-excess-effect": "Credit",
    "groups": [
        {"code": "AAPL", "underlying-symbol": "AAPL", "maintenance-requirement": "3396.674330645",
         "maintenance-requirement-effect": "Debit"},
        {},
        {"code": "UA", "underlying-symbol": "UA", "maintenance-requirement": "162.5",
         "maintenance-requirement-effect": "Debit"},
    ],
}  # fmt: skip
END: Record = {"account-number": NUMBER, "snapshot-date": "2026-11-19", "time-of-day": "EOD",
               "net-liquidating-value": "32000.5"}  # fmt: skip
RECORDS = AccountRecords(NUMBER, NOW, BALANCE, STATUS, REPORT, END, ())


def account(**changes: object) -> Account:
    return to_account(replace(RECORDS, **changes), "tastytrade")  # type: ignore[arg-type]  # field by field


def changed(record: Record, **fields: object) -> Record:
    return {**record, **{name.replace("_", "-"): value for name, value in fields.items()}}


def without(record: Record, name: str) -> Record:
    return {key: value for key, value in record.items() if key != name}


def balance(**fields: object) -> Account:
    return account(balance=changed(BALANCE, **fields))


def moved(amount: str = "1000.0", effect: str = "Credit", **fields: object) -> Record:
    """A deposit of today, 10:00 in New York."""
    row = {"id": 1, "account-number": NUMBER, "transaction-type": "Money Movement", "transaction-sub-type": "Deposit",
           "description": "ACH DEPOSIT", "executed-at": "2026-11-20T15:00:00.000+00:00", "value": amount,
           "value-effect": effect}  # fmt: skip
    return changed(row, **fields)


def flows(*rows: Record) -> float | None:
    numbered = [{**row, "id": place} for place, row in enumerate(rows)]
    return account(transfers=tuple(numbered)).cash_flows


def test_the_figures_of_a_balance() -> None:
    told = account()
    (margin,) = told.margins
    assert told.time == TOLD
    assert (told.net_liquidation, told.cash, told.buying_power) == (32520.734, 7218.997, 22828.524)
    assert (margin.maintenance, margin.excess) == (9692.211, 22828.52392233)
    assert told.margin_call is False
    assert told.restrictions == ()
    assert told.margin_by_underlying == {"AAPL": 3396.674330645, "UA": 162.5}
    assert told.prior_net_liquidation == Observed(32000.5, CLOSE, "tastytrade")
    assert told.cash_flows == 0.0
    assert told.day_pnl is None


def test_nothing_read_is_nothing_known() -> None:
    told = to_account(AccountRecords(NUMBER, NOW, None, None, None, None, None), "tastytrade")
    assert told == Account(told.id, "tastytrade", NOW)


@pytest.mark.parametrize("stamp", [None, "", "yesterday", "2026-11-20", "2026-11-20T18:59:57", 1795201197])
def test_a_balance_of_no_known_time_has_no_figures(stamp: object) -> None:
    told = balance(updated_at=stamp)
    assert (told.time, told.net_liquidation, told.cash, told.buying_power, told.margins) == (NOW, None, None, None, ())
    assert told.margin_call is None
    assert balance(updated_at=stamp, reg_t_call_value="250.0").margin_call is True


@pytest.mark.parametrize("text", [None, "", "NaN", "Infinity", "n/a", True, [1.0], 10**400])
def test_a_figure_that_is_no_number_is_unknown(text: object) -> None:
    assert balance(net_liquidating_value=text).net_liquidation is None
    assert balance(cash_balance=text).cash is None
    assert account(last_end_of_day=changed(END, net_liquidating_value=text)).prior_net_liquidation is None


def test_what_names_another_account_is_not_ours() -> None:
    other = {"account_number": "5WT99999"}
    assert balance(**other).net_liquidation is None
    assert balance(**other).id.number == NUMBER
    assert account(status=changed(STATUS, **other)).restrictions is None
    assert account(margin=changed(REPORT, **other)).margin_by_underlying is None
    assert account(last_end_of_day=changed(END, **other)).prior_net_liquidation is None
    assert flows(moved(**other)) is None


def test_a_requirement_is_positive_whoever_sends_it() -> None:
    debit = balance(maintenance_requirement="-9692.211", maintenance_requirement_effect="Debit")
    unsigned = balance(maintenance_requirement="9692.211", maintenance_requirement_effect="Debit")
    assert [told.margins[0].maintenance for told in (debit, unsigned)] == [9692.211, 9692.211]
    credit = balance(maintenance_requirement="9692.211", maintenance_requirement_effect="Credit")
    assert credit.margins[0].maintenance is None


def test_what_the_balance_lacks_comes_from_the_margin_report() -> None:
    (margin,) = balance(maintenance_requirement=None, maintenance_excess=None).margins
    assert (margin.maintenance, margin.excess) == (3559.174330645, 499977615.203472065)
    under = changed(REPORT, maintenance_excess="812.5", maintenance_excess_effect="Debit")
    (margin,) = account(balance=without(BALANCE, "maintenance-excess"), margin=under).margins
    assert margin.excess == -812.5


def test_an_excess_above_zero_without_the_equity_for_it_contradicts_itself() -> None:
    assert balance(margin_equity="9692.21").margins[0].excess is None
    assert balance(margin_equity="9692.211").margins[0].excess == 22828.52392233
    assert balance(margin_equity="9000.0", maintenance_excess="-692.211").margins[0].excess == -692.211


CALLS = ("maintenance-call-value", "reg-t-call-value", "day-trading-call-value", "day-equity-call-value")


@pytest.mark.parametrize("call", CALLS)
def test_a_margin_call_counts_whoever_reports_it(call: str) -> None:
    said = changed(STATUS, is_in_margin_call=True)
    open_call, untold = {**BALANCE, call: "0.01"}, without(BALANCE, call)
    assert account(balance=open_call).margin_call is True
    assert account(status=said).margin_call is True
    assert account(balance=untold, status=said).margin_call is True
    assert account(balance=None, status=said).margin_call is True
    assert account(balance=untold).margin_call is None
    assert account(status=None).margin_call is None
    assert account(balance=open_call, status=None).margin_call is True
    assert account(balance={**BALANCE, call: "NaN"}).margin_call is None


FLAGS = {
    "is-closed": Restriction.CLOSED, "is-frozen": Restriction.FROZEN, "is-closing-only": Restriction.CLOSING_ONLY,
    "is-futures-closing-only": Restriction.FUTURES_CLOSING_ONLY,
    "is-cryptocurrency-closing-only": Restriction.CRYPTO_CLOSING_ONLY,
    "is-risk-reducing-only": Restriction.RISK_REDUCING_ONLY, "is-in-margin-call": Restriction.MARGIN_CALL,
    "is-in-day-trade-equity-maintenance-call": Restriction.DAY_TRADE_CALL,
}  # fmt: skip


@pytest.mark.parametrize(("name", "restriction"), FLAGS.items())
def test_a_flag_is_a_restriction_and_rubbish_in_it_is_not_known(name: str, restriction: Restriction) -> None:
    assert account(status={**STATUS, name: True}).restrictions == (restriction,)
    for rubbish in ("true", "false", 0, 1, []):
        assert account(status={**STATUS, name: rubbish}).restrictions is None
    always_sent = name not in ("is-cryptocurrency-closing-only", "is-risk-reducing-only")
    assert account(status=without(STATUS, name)).restrictions == (None if always_sent else ())


def test_restrictions_are_not_known_without_a_status() -> None:
    assert account(status=None).restrictions is None
    assert account(status={}).restrictions is None
    every = account(status={**STATUS, "is-frozen": True, "is-closing-only": True}).restrictions
    assert every == (Restriction.FROZEN, Restriction.CLOSING_ONLY)


def group(symbol: object, dollars: object, **fields: object) -> Record:
    return changed({"underlying-symbol": symbol, "maintenance-requirement": dollars,
                    "maintenance-requirement-effect": "Debit"}, **fields)  # fmt: skip


def grouped(*groups: object) -> dict[str, float] | None:
    return margin_by_underlying({"groups": list(groups)}, date(2026, 11, 20))


def test_margin_is_by_canonical_underlying() -> None:
    found = grouped(
        group("BRK/B", "100.0"), group("/ESZ6", "-9000.5"), group("/ES", "500.0"), group("SPX", "20.25"),
        group("SPX", "4.75"), {"code": "/MNQH7", "maintenance-requirement": "7"}, group("XYZ", "0.0", **NONE),
    )  # fmt: skip
    assert found == {"BRK/B": 100.0, "/ESZ26": 9000.5, "/ES": 500.0, "SPX": 25.0, "/MNQH27": 7.0, "XYZ": 0.0}


NONE = {"maintenance_requirement_effect": "None"}


@pytest.mark.parametrize(
    "bad",
    [group("UA", None), group("UA", "NaN"), group("UA", "162.5", **NONE), group(None, "162.5"),
     group("UA", "162.5", maintenance_requirement_effect="Credit"), group("Equity Offerings", "1.0"), None, "UA", [],
     {"unreadable": 7}],
)  # fmt: skip
def test_one_group_that_cannot_be_read_makes_all_unknown(bad: object) -> None:
    assert grouped(group("AAPL", "1.0"), bad) is None
    assert grouped(group("AAPL", "1.0"), {}) == {"AAPL": 1.0}


@pytest.mark.parametrize("groups", [None, "none", {}, 7])
def test_a_report_without_a_list_of_groups_is_none(groups: object) -> None:
    assert margin_by_underlying({"groups": groups}, date(2026, 11, 20)) is None
    assert margin_by_underlying({"groups": []}, date(2026, 11, 20)) == {}


@pytest.mark.parametrize(
    ("fields", "close"),
    [
        ({}, CLOSE),
        ({"snapshot_date": "2026-11-27"}, None),  # not over yet
        ({"snapshot_date": "2026-11-20"}, None),  # today: the session is on
        ({"snapshot_date": "2026-11-14"}, datetime(2026, 11, 13, 21, 0, tzinfo=UTC)),  # Saturday: as of Friday's close
        ({"snapshot_date": "2025-11-28"}, datetime(2025, 11, 28, 18, 0, tzinfo=UTC)),  # half-day: 13:00 in New York
        ({"time_of_day": "BOD"}, None),
        ({"time_of_day": None}, CLOSE),
        ({"snapshot_date": None}, None),
        ({"snapshot_date": "last Thursday"}, None),
        ({"snapshot_date": "0001-01-01"}, None),
    ],
)
def test_the_last_end_of_day_is_timed_at_the_close_of_its_session(
    fields: dict[str, object], close: datetime | None
) -> None:
    told = account(last_end_of_day=changed(END, **fields)).prior_net_liquidation
    assert (None if told is None else told.time) == close


def test_deposits_minus_withdrawals() -> None:
    """1,000 in, 250.25 out, 4,770.40 wired in but booked as a withdrawal: 5,520.15."""
    wire = moved("4770.4", transaction_sub_type="Withdrawal", description="Wire Funds Received")
    out = moved("250.25", "Debit", transaction_sub_type="Withdrawal", description="ACH DISBURSEMENT")
    assert flows(moved(), out, wire) == pytest.approx(5520.15)
    assert flows(moved("-250.25", "Debit")) == -250.25  # as client libraries sign it
    assert [flows(moved(transaction_sub_type=sub)) for sub in ("Transfer", "ACAT", "deposit")] == [1000.0] * 3
    assert flows() == 0.0
    assert account(transfers=None).cash_flows is None
    assert account(last_end_of_day=None, transfers=(moved(),)).cash_flows is None


@pytest.mark.parametrize(
    "fields",
    [{"transaction_sub_type": sub} for sub in ("Dividend", "Credit Interest", "Debit Interest", "Fee",
                                                "Mark to Market", "Futures Settlement", "Balance Adjustment",
                                                "Fully Paid Stock Lending Income")]
    + [{"description": "INTEREST ON CREDIT BALANCE"},
       {"transaction_sub_type": "Withdrawal", "description": "FROM 10/16 THRU 11/15 @ 8    %"},
       {"transaction_type": "Trade", "transaction_sub_type": "Sell to Open"},
       {"transaction_type": "Receive Deliver", "transaction_sub_type": "Assignment"}],
)  # fmt: skip
def test_what_is_earned_or_charged_is_no_flow(fields: dict[str, object]) -> None:
    assert flows(moved("300.0", **fields), moved("20.0")) == 20.0


@pytest.mark.parametrize(
    "fields",
    [
        {"transaction_sub_type": "Cash Sweep"},
        {"transaction_sub_type": None},
        {"transaction_type": None},
        {"value": None},
        {"value": "NaN"},
        {"value": "-1000.0"},  # a credit below zero
        {"value_effect": "None"},
        {"value_effect": None},
        {"value_effect": "Sideways"},
        {"executed_at": None},
        {"executed_at": "2026-11-20"},
        {"transaction_type": "Receive Deliver", "transaction_sub_type": "ACAT"},
    ],
)
def test_what_may_be_a_deposit_makes_the_sum_unknown(fields: dict[str, object]) -> None:
    assert flows(moved("20.0"), moved(**fields)) is None


@pytest.mark.parametrize(
    ("booked", "expected"),
    [
        ("2026-11-19T21:00:00+00:00", 0.0),  # at the close: in the snapshot
        ("2026-11-19T21:00:01+00:00", None),  # that evening: in the snapshot or not
        ("2026-11-20T04:59:59+00:00", None),  # 23:59:59 in New York
        ("2026-11-20T05:00:00+00:00", 1000.0),  # midnight in New York
    ],
)
def test_flows_count_from_the_end_of_that_day(booked: str, expected: float | None) -> None:
    assert flows(moved(executed_at=booked)) == expected


def test_a_transaction_listed_twice_counts_once() -> None:
    assert account(transfers=(moved(), moved())).cash_flows == 1000.0
    assert account(transfers=(moved(), moved("2000.0"))).cash_flows is None
    assert account(transfers=(moved(id=None), moved(id=None))).cash_flows == 2000.0


def test_an_unknown_kind_without_an_amount_moves_nothing() -> None:
    assert flows(moved("0.0", "None", transaction_sub_type="Cash Sweep")) == 0.0


def test_the_day_is_the_sum_over_all_positions() -> None:
    """Short 2 puts from 16.00 to 15.50 with 25 lost: 75; 100 shares from 282.48 to 280.00: -248; together -173."""
    reading = Reading("tastytrade", NOW, NOW.date(), NOW.date())
    put = {"account-number": NUMBER, "symbol": "SPXW  261218P05500000", "instrument-type": "Equity Option",
           "quantity": "2", "quantity-direction": "Short", "mark-price": "15.50", "multiplier": "100",
           "average-daily-market-close-price": "16.0", "realized-day-gain": "25.0",
           "realized-day-gain-effect": "Debit", "realized-day-gain-date": "2026-11-20"}  # fmt: skip
    share = {"account-number": NUMBER, "symbol": "AAPL", "instrument-type": "Equity", "quantity": "100",
             "quantity-direction": "Long", "mark-price": "280.0", "multiplier": "1", "realized-day-gain": "0.0",
             "average-daily-market-close-price": "282.48", "realized-day-gain-effect": "None"}  # fmt: skip
    held = [to_position(record, reading) for record in (put, share)]
    assert day_pnl(held) == pytest.approx(-173.0)
    assert day_pnl([]) == 0.0
    assert day_pnl([*held, replace(held[0], day_pnl=None)]) is None
    assert day_pnl([held[0], replace(held[1], currency="EUR")]) is None


def test_the_history_of_net_liquidation() -> None:
    rows = [
        {"total-close": "102.5", "close": "100.0", "time": "2026-11-19T21:00:00.000+00:00"},
        {"totalClose": "101.0", "time": "2026-11-18T21:00:00+00:00[UTC]"},
        {"total-close": "102.5", "time": "2026-11-19 16:00:00-05:00"},  # the first again
        {"total-close": "NaN", "time": "2026-11-17T21:00:00+00:00"},
        {"close": "99.0", "time": "2026-11-16T21:00:00+00:00"},
        {"total-close": "98.0", "time": "2026-11-13"},
        {"total-close": "97.0", "time": "2026-11-12T21:00:00+00:00"},
        {"total-close": "79.0", "time": "2026-11-12T21:00:00+00:00"},  # says otherwise
        "rubbish",
        None,
    ]
    assert [(it.time.isoformat(), it.value) for it in net_liquidation_history(rows)] == [
        ("2026-11-18T21:00:00+00:00", 101.0),
        ("2026-11-19T21:00:00+00:00", 102.5),
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.sampled_from(["NaN", "1e400", "Debit", "EOD", "2026-11-19", "9999-12-31", "0001-01-01T00:00:00+00:00"])
    | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def spoilt(record: Record) -> st.SearchStrategy[Record]:
    """`record` with any JSON in any of its fields."""
    return st.dictionaries(st.sampled_from(sorted(record)), JSON, max_size=4).map(lambda rubbish: {**record, **rubbish})


@given(spoilt(BALANCE), spoilt(STATUS), spoilt(REPORT), spoilt(END), st.lists(spoilt(moved()), max_size=3), JSON)
def test_no_record_raises(
    balance_: Record, status: Record, report: Record, end: Record, rows: list[Record], item: object
) -> None:
    told = to_account(AccountRecords(NUMBER, NOW, balance_, status, report, end, tuple(rows)), "tastytrade")
    assert told.id.number == NUMBER
    assert all(margin.maintenance is None or margin.maintenance >= 0 for margin in told.margins)
    net_liquidation_history([item, {"total-close": item, "time": item}])
    margin_by_underlying({"groups": [item, {"code": item, "maintenance-requirement": item}]}, date(2026, 11, 20))

"""TWS contracts and back. Spellings are IBKR's own (IBKR facts 5, domain facts 6); dates from the exchange calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import ib_async
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ibkr import rows
from adapters.ibkr.contracts import described, figures, requestable, to_contract, underlying_request
from guardrails.instruments import Instrument, Kind, Right
from guardrails.symbols import contracts as canonical
from guardrails.values import AccountId

NOW = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)
TODAY = date(2026, 11, 20)
READING = rows.Reading(AccountId("IBKR", "U0000001"), "ibkr", NOW, TODAY, TODAY, "row 1")
UNSET = 1.7976931348623157e308


def option(**fields: object) -> ib_async.Contract:
    """An SPX put as positions() sends it, without an exchange."""
    given: dict[str, object] = {
        "secType": "OPT", "conId": 7, "symbol": "SPX", "lastTradeDateOrContractMonth": "20261218", "strike": 5500.0,
        "right": "P", "multiplier": "100", "currency": "USD", "localSymbol": "SPXW  261218P05500000",
        "tradingClass": "SPXW",
    }  # fmt: skip
    return ib_async.Contract(**(given | fields))  # type: ignore[arg-type]


def details(contract: ib_async.Contract, **fields: str) -> ib_async.ContractDetails:
    return ib_async.ContractDetails(contract=contract, **fields)  # type: ignore[arg-type]


def held(contract: ib_async.Contract, known: ib_async.ContractDetails | None = None, future: str = "") -> Instrument:
    return rows.instrument(described(contract, known, underlying_local_symbol=future), TODAY)


def test_an_option_is_described_by_its_own_fields() -> None:
    assert described(option(), None) == rows.Contract(
        "OPT", "SPX", "SPXW  261218P05500000", "SPXW", date(2026, 12, 18), 5500.0, "P", "USD"
    )


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("20261218", date(2026, 12, 18)),
        ("20261218 08:30 US/Central", date(2026, 12, 18)),
        ("20261218-08:30:00", date(2026, 12, 18)),
        ("202612", None),
        ("", None),
        ("20261345", None),
        ("soon", None),
    ],
)
def test_only_a_whole_date_is_an_expiry(text: str, day: date | None) -> None:
    assert described(option(lastTradeDateOrContractMonth=text), None).expiry == day


@pytest.mark.parametrize("right", ["0", "?", ""])
def test_what_is_no_option_has_neither_right_nor_strike(right: str) -> None:
    share = ib_async.Contract(secType="STK", conId=1, symbol="AAPL", right=right, strike=0.0, currency="USD")
    contract = described(share, None)
    assert (contract.right, contract.strike) == ("", None)
    assert described(option(strike=UNSET), None).strike is None


@pytest.mark.parametrize("right", ["P", "PUT", "p"])
def test_a_put_is_a_put_however_it_is_written(right: str) -> None:
    assert described(option(right=right), None).right == "P"


def test_the_thursday_of_an_am_settled_option_with_its_local_symbol() -> None:
    """Seen in a recorded ticker: 20200116 stands beside 200117 (IBKR facts 5)."""
    put = option(
        lastTradeDateOrContractMonth="20200116", localSymbol="SPX   200117P03205000", tradingClass="SPX", strike=3205.0
    )
    assert held(put).expiry == date(2020, 1, 17)
    assert described(put, details(put, realExpirationDate="20200117")).expiry == date(2020, 1, 16)


@pytest.mark.parametrize(
    ("trading_class", "real", "symbol"),
    [("SPX", "20200117", "SPX   200117P03205000"), ("SPXW", "20200116", "SPXW  200116P03205000")],
    ids=["AM: last trade Thursday, settles Friday", "PM: expires on the Thursday itself"],
)
def test_without_a_local_symbol_the_real_expiration_date_decides(trading_class: str, real: str, symbol: str) -> None:
    put = option(lastTradeDateOrContractMonth="20200116", localSymbol="", tradingClass="", strike=3205.0)
    full = option(conId=7, localSymbol="", tradingClass=trading_class, strike=3205.0)
    assert held(put, details(full, realExpirationDate=real)).symbol == symbol


@pytest.mark.parametrize(
    ("real", "day"),
    [
        ("20261218", date(2026, 12, 18)),
        ("20261222", date(2026, 12, 22)),
        ("20261223", None),
        ("20261217", None),
        ("", date(2026, 12, 18)),
    ],
    ids=["same day", "four days on", "five days on", "before its last trade", "not told"],
)
def test_dates_that_cannot_both_be_true_are_no_date(real: str, day: date | None) -> None:
    bare = option(localSymbol="")
    assert described(bare, details(bare, realExpirationDate=real)).expiry == day


def test_details_of_another_contract_are_not_believed() -> None:
    bare = option(localSymbol="", tradingClass="")
    contract = described(bare, details(option(conId=8, tradingClass="SPX"), realExpirationDate="20261219"))
    assert (contract.trading_class, contract.expiry) == ("", date(2026, 12, 18))
    assert described(bare, ib_async.ContractDetails()).trading_class == ""


def test_a_future_option_is_exercised_into_the_future_that_was_looked_up() -> None:
    call = ib_async.Contract(
        secType="FOP", conId=9, symbol="ES", localSymbol="EW4N6 C6400", tradingClass="EW4", multiplier="50",
        lastTradeDateOrContractMonth="20260724", strike=6400.0, right="C", currency="USD",
    )  # fmt: skip
    assert held(call).underlying == "/ES"
    told = held(call, details(call, realExpirationDate="20260724"), "ESU6")
    assert (told.symbol, told.underlying, told.expiry) == ("./EW4N26 260724C6400", "/ESU26", date(2026, 7, 24))


@pytest.mark.parametrize(
    ("contract", "key"),
    [
        (ib_async.Contract(secType="STK", symbol="BRK B", localSymbol="BRK B", currency="USD"), "equity:BRK/B"),
        (ib_async.Contract(secType="IND", symbol="SPX", localSymbol="SPX", currency="USD"), "index:SPX"),
        (ib_async.Contract(secType="CASH", symbol="EUR", localSymbol="EUR.USD", currency="USD"), "cash:EUR"),
        (
            ib_async.Contract(
                secType="FUT", symbol="ES", localSymbol="ESZ6", lastTradeDateOrContractMonth="20261218", right="?"
            ),
            "future:/ESZ26",
        ),
        (option(symbol="XSP", localSymbol="XSP   261218P00550000", strike=550.0, tradingClass="XSP"),
         "index_option:XSP   261218P00550000"),
    ],
)  # fmt: skip
def test_every_kind_of_holding_has_its_key(contract: ib_async.Contract, key: str) -> None:
    assert held(contract).key == key


@pytest.mark.parametrize(
    ("kind", "words"), [("BAG", "combination"), ("WAR", "warrant"), ("", "no asset class"), ("XYZ", "XYZ")]
)
def test_what_has_no_risk_model_is_listed_and_unknown(kind: str, words: str) -> None:
    contract = ib_async.Contract(secType=kind, conId=28812380, symbol="SPX", localSymbol="SPX", currency="USD")
    row = ib_async.Position("U0000001", contract, -3.0, 120.0)
    position = rows.to_position(described(contract, None), figures(row), READING)
    assert (position.instrument.kind, position.quantity) == (Kind.OTHER, -3.0)
    assert words in position.reasons[0]


@pytest.mark.parametrize(
    ("text", "value"), [("100", 100.0), ("50", 50.0), ("0.1", 0.1), ("", None), ("0", None), ("x", None)]
)
def test_a_multiplier_is_text(text: str, value: float | None) -> None:
    assert figures(ib_async.Position("U0000001", option(multiplier=text), 1.0, 441.0)).multiplier == value


def test_average_cost_of_an_option_includes_the_multiplier() -> None:
    """4.41 a share cost 441 a contract (IBKR facts 3)."""
    row = ib_async.Position("U0000001", option(), -2.0, 441.0)
    position = rows.to_position(described(option(), None), figures(row, 5.0), READING)
    assert (position.quantity, position.multiplier, position.mark) == (-2.0, 100.0, 5.0)
    assert position.average_price == pytest.approx(4.41)
    assert position.reasons == ()


@given(st.sampled_from([UNSET, -UNSET, float("nan"), float("inf")]))
def test_unset_figures_are_absent(unset: float) -> None:
    told = figures(ib_async.Position("U0000001", option(), unset, unset), unset)
    assert (told.quantity, told.average_cost, told.price) == (None, None, None)
    assert rows.to_position(described(option(), None), told, READING).reasons == ("no quantity",)


def ready(contract: ib_async.Contract, known: ib_async.ContractDetails | None = None) -> str | None:
    asked = requestable(contract, known)
    return None if asked is None else asked.exchange


@pytest.mark.parametrize(
    ("contract", "exchange"),
    [
        (option(), "SMART"),
        (ib_async.Contract(secType="STK", conId=1, symbol="AAPL", exchange="NASDAQ", currency="USD"), "SMART"),
        (ib_async.Contract(secType="CASH", conId=1, symbol="EUR", currency="USD"), "IDEALPRO"),
        (ib_async.Contract(secType="FUT", conId=1, symbol="ES", exchange="CME"), "CME"),
        (ib_async.Contract(secType="FUT", conId=1, symbol="ES"), None),
        (option(conId=0), None),
        (ib_async.Contract(secType="BAG", conId=28812380, symbol="SPX", exchange="SMART"), None),
    ],
)
def test_what_can_be_asked_without_details(contract: ib_async.Contract, exchange: str | None) -> None:
    assert ready(contract) == exchange


@pytest.mark.parametrize("kind", ["FUT", "FOP", "IND", "CRYPTO"])
def test_details_fill_the_missing_exchange(kind: str) -> None:
    bare = ib_async.Contract(secType=kind, conId=1, symbol="ES")
    full = ib_async.Contract(secType=kind, conId=1, symbol="ES", exchange="CME")
    assert ready(bare, details(full)) == "CME"
    assert ready(bare, details(bare, validExchanges="CME,QBALGO")) == "CME"
    assert ready(bare, details(bare)) is None
    assert ready(bare, details(ib_async.Contract(secType=kind, conId=2, exchange="CME"))) is None


def test_an_option_that_smart_does_not_have_is_asked_at_its_exchange() -> None:
    stoxx = option(symbol="ESTX50", exchange="", currency="EUR")
    assert ready(stoxx, details(stoxx, validExchanges="EUREX")) == "EUREX"
    assert ready(stoxx, details(stoxx, validExchanges="CBOE,SMART")) == "SMART"


def test_a_request_is_a_new_contract_that_says_what_it_is() -> None:
    share = ib_async.Contract(
        secType="STK", conId=265598, symbol="AAPL", exchange="NASDAQ", primaryExchange="NASDAQ", currency="USD",
        right="?", strike=UNSET, localSymbol="AAPL", tradingClass="NMS",
    )  # fmt: skip
    asked = requestable(share)
    assert asked is not None
    assert asked is not share
    assert (asked.conId, asked.secType, asked.symbol, asked.currency) == (265598, "STK", "AAPL", "USD")
    assert (asked.primaryExchange, asked.right, asked.strike) == ("", "", 0.0)
    assert share.exchange == "NASDAQ"


@pytest.mark.parametrize(
    ("root", "kind", "symbol", "exchange"),
    [
        ("SPX", "IND", "SPX", "CBOE"),
        ("SPXW", "IND", "SPX", "CBOE"),
        ("VIX", "IND", "VIX", "CBOE"),
        ("NDXP", "IND", "NDX", "NASDAQ"),
        ("RUT", "IND", "RUT", "RUSSELL"),
        ("MRUT", "IND", "MRUT", ""),
        ("AAPL", "STK", "AAPL", "SMART"),
        ("BRKB", "STK", "BRK B", "SMART"),
    ],
)
def test_the_underlying_of_an_option(root: str, kind: str, symbol: str, exchange: str) -> None:
    put = canonical.option(root, date(2026, 12, 18), Right.PUT, Decimal(500))
    asked = underlying_request(put, "USD")
    assert asked is not None
    assert (asked.secType, asked.symbol, asked.exchange, asked.currency) == (kind, symbol, exchange, "USD")


def test_details_tell_the_underlying_of_a_future_option() -> None:
    call = canonical.future_option("EW4", 2026, 7, date(2026, 7, 24), Right.CALL, Decimal(6400), "/ESU26")
    assert underlying_request(call, "USD") is None
    assert underlying_request(canonical.cash("EUR"), "USD") is None
    assert underlying_request(Instrument(Kind.OTHER, "thing"), "USD") is None


LEGS = [
    (canonical.option("AAPL", date(2026, 12, 18), Right.CALL, Decimal("227.5")), "AAPL", "20261218"),
    (canonical.option("BRKB", date(2026, 12, 18), Right.PUT, Decimal(500)), "BRK B", "20261218"),
    (canonical.option("SPXW", date(2026, 12, 18), Right.PUT, Decimal(5500)), "SPX", "20261218"),
    # AM: the last trade is the session before; 2026-06-19 is a holiday, so June settles on the 18th
    (canonical.option("SPX", date(2026, 12, 18), Right.PUT, Decimal(5500)), "SPX", "20261217"),
    (canonical.option("SPX", date(2027, 6, 17), Right.PUT, Decimal(5500)), "SPX", "20270616"),
    (canonical.option("VIX", date(2026, 12, 16), Right.CALL, Decimal(20)), "VIX", "20261215"),
    (canonical.future_option("EW4", 2026, 7, date(2026, 7, 24), Right.CALL, Decimal(6400)), "ES", "20260724"),
    (canonical.future_option("OG", 2026, 8, date(2026, 7, 28), Right.CALL, Decimal(2755)), "GC", "20260728"),
]


@pytest.mark.parametrize(("leg", "symbol", "day"), LEGS, ids=[leg.symbol for leg, _, _ in LEGS])
def test_a_leg_that_is_not_held_is_named_as_ibkr_names_it(leg: Instrument, symbol: str, day: str) -> None:
    asked = to_contract(leg)
    assert asked is not None
    assert (asked.symbol, asked.lastTradeDateOrContractMonth, asked.tradingClass) == (symbol, day, leg.root)
    assert (asked.strike, asked.right, asked.multiplier) == (float(leg.strike or 0), str(leg.right), "")
    assert held(asked).key == leg.key  # and what IBKR will send of it is understood as the same thing


def test_where_a_leg_is_asked() -> None:
    exchanges = {leg.root: asked.exchange for leg, _, _ in LEGS if (asked := to_contract(leg)) is not None}
    assert exchanges == {
        "AAPL": "SMART", "BRKB": "SMART", "SPXW": "SMART", "SPX": "SMART", "VIX": "SMART", "EW4": "CME", "OG": "COMEX",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("root", "symbol", "exchange"),
    [("ES", "ES", "CME"), ("CL", "CL", "NYMEX"), ("6E", "EUR", "CME"), ("VX", "VIX", "CFE"), ("QQ", "QQ", "")],
)
def test_a_future_is_asked_by_month_and_class(root: str, symbol: str, exchange: str) -> None:
    asked = to_contract(canonical.future(root, 2026, 12))
    assert asked is not None
    assert (asked.secType, asked.symbol, asked.tradingClass, asked.exchange) == ("FUT", symbol, root, exchange)
    assert (asked.lastTradeDateOrContractMonth, asked.currency) == ("202612", "USD")


def test_a_share_is_asked_with_the_spelling_of_ibkr() -> None:
    asked = to_contract(canonical.equity("BRK/B"))
    assert asked is not None
    assert (asked.secType, asked.symbol, asked.exchange) == ("STK", "BRK B", "SMART")


@pytest.mark.parametrize(
    "leg",
    [
        Instrument(Kind.FUTURE, "/ES", "/ES", "/ES"),
        Instrument(Kind.OTHER, "thing"),
        Instrument(Kind.OPTION, "AAPL", "AAPL", "AAPL"),
        canonical.index("SPX"),
        canonical.cash("EUR"),
        canonical.option("ESTX50", date(2026, 12, 18), Right.PUT, Decimal(5600)),
        canonical.future_option("ZZZ", 2026, 7, date(2026, 7, 24), Right.CALL, Decimal(1)),
    ],
    ids=lambda leg: leg.symbol,
)
def test_what_cannot_be_named_is_not_asked(leg: Instrument) -> None:
    assert to_contract(leg) is None

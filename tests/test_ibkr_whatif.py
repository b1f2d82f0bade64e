"""What-if orders as TWS is sent them, and its answers as previews, over the real client and the stand-in for TWS.

Contract numbers and figures are invented; what a package changes is in `BOOK`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import ib_async
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ibkr.whatif import ask, bag, read_state
from guardrails.errors import OrderError
from guardrails.instruments import Instrument, Kind, Right
from guardrails.orders import Figure, Leg, Order, Preview, TimeInForce
from guardrails.values import AccountId
from tests.brokers.tws import Tws
from tests.brokers.tws_book import Book

NOW = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)
ACCOUNT = AccountId("IBKR", "DU1234567")
UNSET = 1.7976931348623157e308

SHARE = Instrument(Kind.EQUITY, "AAPL", "AAPL")
OTHER_SHARE = Instrument(Kind.EQUITY, "MSFT", "MSFT")
FUTURE = Instrument(Kind.FUTURE, "/ESZ26", "/ESZ26", "/ES")


def option(symbol: str, kind: Kind = Kind.INDEX_OPTION) -> Instrument:
    return Instrument(kind, symbol, "SPX", "SPXW", date(2026, 12, 18), Decimal(5500), Right.PUT)


UPPER, LOWER, LOWEST = (option(f"SPXW  261218P0{strike}000") for strike in (5500, 5450, 5400))
CALL = option("AAPL  261218C00300000", Kind.OPTION)
ES_PUT, ES_LOWER_PUT = (option(f"./ESZ26 261218P{strike}", Kind.FUTURE_OPTION) for strike in (6000, 5900))


def contract(number: int, sec_type: str, symbol: str, exchange: str = "", currency: str = "USD") -> ib_async.Contract:
    """As positions come: derivatives without an exchange."""
    return ib_async.Contract(conId=number, secType=sec_type, symbol=symbol, exchange=exchange, currency=currency)


SPXW = [contract(number, "OPT", "SPX") for number in (11, 12, 13)]
ES = [contract(21, "FOP", "ES", "CME"), contract(22, "FOP", "ES", "CME")]
ESZ = contract(23, "FUT", "ES", "CME")
AAPL, MSFT = contract(31, "STK", "AAPL", "NASDAQ"), contract(32, "STK", "MSFT")
AAPL_CALL = contract(33, "OPT", "AAPL")


def order(*legs: tuple[Instrument, int], quantity: int = 1, limit: float | None = None) -> Order:
    """Without a limit it is at market, which only one share or future may be; of all else the price is 1.00."""
    bare = len(legs) == 1 and legs[0][0].kind in (Kind.EQUITY, Kind.FUTURE)
    return Order(ACCOUNT, tuple(Leg(*leg) for leg in legs), quantity, 1.0 if limit is None and not bare else limit)


def sides(package: ib_async.Contract) -> list[tuple[int, int, str, str]]:
    return [(leg.conId, leg.ratio, leg.action, leg.exchange) for leg in package.comboLegs]


def test_a_credit_spread_is_a_bought_package_at_a_price_below_zero() -> None:
    package, sent = bag(order((UPPER, -1), (LOWER, 1), quantity=3, limit=-1.25), SPXW[:2])
    assert (package.secType, package.symbol, package.exchange, package.currency) == ("BAG", "SPX", "SMART", "USD")
    assert sides(package) == [(11, 1, "SELL", "SMART"), (12, 1, "BUY", "SMART")]
    assert (sent.action, sent.totalQuantity, sent.orderType, sent.lmtPrice) == ("BUY", 3, "LMT", -1.25)
    assert sent.smartComboRoutingParams == []


def test_three_legs_keep_their_ratios() -> None:
    package, sent = bag(order((UPPER, 1), (LOWER, -3), (LOWEST, 2), quantity=2, limit=0.0), SPXW)
    assert sides(package) == [(11, 1, "BUY", "SMART"), (12, 3, "SELL", "SMART"), (13, 2, "BUY", "SMART")]
    assert (sent.totalQuantity, sent.lmtPrice) == (2, 0.0)


def test_a_covered_call_may_leg_out() -> None:
    package, sent = bag(order((SHARE, 100), (CALL, -1), limit=255.0), [AAPL, AAPL_CALL])
    assert sides(package) == [(31, 100, "BUY", "SMART"), (33, 1, "SELL", "SMART")]
    assert (package.symbol, package.exchange, sent.lmtPrice) == ("AAPL", "SMART", 255.0)
    assert sent.smartComboRoutingParams == [ib_async.TagValue("NonGuaranteed", "1")]


def test_two_shares_may_leg_out() -> None:
    _, sent = bag(order((SHARE, 2), (OTHER_SHARE, -1)), [AAPL, MSFT])
    assert sent.smartComboRoutingParams == [ib_async.TagValue("NonGuaranteed", "1")]


def test_a_spread_of_options_on_futures_goes_to_their_exchange() -> None:
    package, sent = bag(order((ES_PUT, -1), (ES_LOWER_PUT, 1), limit=-10.5), ES)
    assert (package.symbol, package.exchange) == ("ES", "CME")
    assert sides(package) == [(21, 1, "SELL", "CME"), (22, 1, "BUY", "CME")]
    assert sent.smartComboRoutingParams == []


def test_a_future_with_its_option_goes_to_their_exchange() -> None:
    package, sent = bag(order((FUTURE, 1), (ES_PUT, 1)), [ESZ, ES[0]])
    assert package.exchange == "CME"
    assert sent.smartComboRoutingParams == []  # the parameters are those of SMART routing


@pytest.mark.parametrize(
    ("ratio", "limit", "action", "price"),
    [
        (1, 2.5, "BUY", 2.5),
        (-1, -2.5, "SELL", 2.5),  # received
        (-1, 0.0, "SELL", 0.0),
        (-1, 37.63, "SELL", -37.63),  # paid to be rid of it: CL on 2020-04-20
        (1, -37.63, "BUY", -37.63),
    ],
)
def test_one_leg_is_bought_or_sold_at_its_own_price(ratio: int, limit: float, action: str, price: float) -> None:
    single, sent = bag(order((UPPER, ratio), quantity=4, limit=limit), SPXW[:1])
    assert (single.secType, single.conId, single.exchange) == ("OPT", 11, "SMART")
    assert (sent.action, sent.totalQuantity, sent.orderType, sent.lmtPrice) == (action, 4, "LMT", price)
    assert str(sent.lmtPrice) != "-0.0"


def test_one_future_keeps_its_exchange_and_a_share_is_routed_smart() -> None:
    assert bag(order((FUTURE, 1)), [ESZ])[0].exchange == "CME"
    assert bag(order((SHARE, 1)), [AAPL])[0].exchange == "SMART"
    assert AAPL.exchange == "NASDAQ"  # what the caller holds is left as it is


def test_every_order_states_what_a_preset_would_decide() -> None:
    held, resting = (replace(order((one, 1)), time_in_force=TimeInForce.GTC) for one in (FUTURE, SHARE))
    for sent in (bag(held, [ESZ])[1], bag(resting, [AAPL])[1]):
        assert (sent.orderType, sent.tif, sent.account) == ("MKT", "GTC", "DU1234567")
        assert (sent.transmit, sent.outsideRth, sent.whatIf) == (True, False, False)
        assert sent.lmtPrice == UNSET
    assert bag(order((SHARE, 1)), [AAPL])[1].tif == "DAY"


@pytest.mark.parametrize(
    ("asked", "contracts", "words"),
    [
        (order((UPPER, 1), (LOWER, -1)), SPXW[:1], "2 legs, but 1 contracts"),
        (order((UPPER, 1)), [contract(0, "OPT", "SPX")], "SPX has no IBKR contract number"),
        (order((FUTURE, 1)), [contract(23, "FUT", "ES")], "ES has no exchange"),
        (order((ES_PUT, 1), (FUTURE, 1)), [ES[0], contract(24, "FUT", "GC", "COMEX")], "exchanges CME, COMEX"),
        (order((SHARE, 1), (OTHER_SHARE, -1)), [AAPL, contract(34, "STK", "SAP", "", "EUR")], "currencies EUR, USD"),
    ],
)
def test_what_cannot_be_one_package_is_refused(asked: Order, contracts: list[ib_async.Contract], words: str) -> None:
    with pytest.raises(OrderError, match=words):
        bag(asked, contracts)


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.lists(st.sampled_from([-1, 1]), min_size=3, max_size=3),
    st.integers(1, 50),
    st.one_of(st.none(), st.floats(-500, 500)),
)
def test_what_is_sent_trades_each_leg_in_its_own_direction(
    sizes: list[int], signs: list[int], quantity: int, limit: float | None
) -> None:
    ratios = [1 * signs[0], *(size * sign for size, sign in zip(sizes[1:], signs[1:], strict=False))]
    asked = order(*zip((UPPER, LOWER, LOWEST), ratios, strict=False), quantity=quantity, limit=limit)
    package, sent = bag(asked, SPXW[: len(ratios)])
    bought = 1 if sent.action == "BUY" else -1
    if package.secType == "BAG":
        traded = [leg.ratio * (1 if leg.action == "BUY" else -1) for leg in package.comboLegs]
    else:
        traded = [1]
    assert [bought * int(sent.totalQuantity) * ratio for ratio in traded] == [quantity * ratio for ratio in ratios]
    if limit is not None:  # money paid for the package, whichever way it is spelled
        assert bought * float(sent.lmtPrice or 0.0) == limit


STATE = ib_async.OrderState(
    status="PreSubmitted",
    initMarginBefore="20000.0", initMarginChange="5000.0", initMarginAfter="25000.0",
    maintMarginBefore="18000.0", maintMarginChange="4000.0", maintMarginAfter="22000.0",
    equityWithLoanBefore="100000.0", equityWithLoanChange="-2.6", equityWithLoanAfter="99997.4",
    commission=2.6, commissionCurrency="USD",
)  # fmt: skip


def test_a_full_answer() -> None:
    preview = read_state(STATE, NOW, "EUR")
    assert preview.initial_margin == Figure(20_000.0, 5_000.0, 25_000.0)
    assert preview.maintenance_margin == Figure(18_000.0, 4_000.0, 22_000.0)
    assert preview.equity_with_loan == Figure(100_000.0, -2.6, 99_997.4)
    assert (preview.time, preview.currency, preview.unknown, preview.warnings) == (NOW, "EUR", "", ())
    assert (preview.commission, preview.commission_range, preview.commission_currency) == (2.6, (None, None), "USD")
    assert preview.excess_after == pytest.approx(77_997.4)  # 99,997.40 less 22,000


def test_a_commission_may_be_a_range() -> None:
    preview = read_state(replace(STATE, commission=UNSET, minCommission=1.3, maxCommission=3.9), NOW, "USD")
    assert (preview.commission, preview.commission_range) == (None, (1.3, 3.9))


@pytest.mark.parametrize("absent", ["1.7976931348623157e308", "1.7976931348623157E308", "", "null", "nan", "N/A"])
@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("initMarginAfter", "initial margin after"),
        ("maintMarginAfter", "maintenance margin after"),
        ("equityWithLoanAfter", "equity with loan after"),
    ],
)
def test_a_figure_that_is_missing_makes_the_margin_unknown(field: str, words: str, absent: str) -> None:
    preview = read_state(replace(STATE, **{field: absent}), NOW, "USD")
    assert preview.unknown == f"IBKR did not say {words}: margin unknown, not none"
    assert preview.excess_after is None


@pytest.mark.parametrize("field", ["initMarginBefore", "maintMarginChange", "equityWithLoanChange"])
def test_what_is_before_and_between_is_not_needed_and_never_worked_out(field: str) -> None:
    preview = read_state(replace(STATE, **{field: "1.7976931348623157e308"}), NOW, "USD")
    assert preview.unknown == ""
    figures = (preview.initial_margin, preview.maintenance_margin, preview.equity_with_loan)
    assert sum(None in (figure.before, figure.change) for figure in figures) == 1


def test_zero_is_a_figure() -> None:
    flat = replace(STATE, initMarginAfter="0.0", maintMarginAfter="0", equityWithLoanAfter="500")
    assert read_state(flat, NOW, "USD").excess_after == 500.0


def test_the_brokers_words_are_kept_line_by_line_without_account_numbers() -> None:
    told = "Price cap 5.20 applies.\n\n  Account DU1234567 is restricted. \n"
    preview = read_state(replace(STATE, warningText=told, initMarginAfter=""), NOW, "USD")
    assert preview.warnings == ("Price cap 5.20 applies.", "Account •••4567 is restricted.")
    assert preview.unknown == (
        "IBKR did not say initial margin after: margin unknown, not none. "
        "IBKR: Price cap 5.20 applies. Account •••4567 is restricted."
    )


@given(
    st.lists(
        st.sampled_from(["1.7976931348623157e308", "", "null", "NaN", "inf", "-1e301", "12.5"]), min_size=9, max_size=9
    )
)
def test_no_sentinel_survives(texts: list[str]) -> None:
    names = [
        f"{name}{when}"
        for name in ("initMargin", "maintMargin", "equityWithLoan")
        for when in ("Before", "Change", "After")
    ]
    preview = read_state(ib_async.OrderState(**dict(zip(names, texts, strict=True))), NOW, "USD")
    for figure in (preview.initial_margin, preview.maintenance_margin, preview.equity_with_loan):
        assert {figure.before, figure.change, figure.after} <= {None, 12.5}
    assert (preview.unknown == "") == all(texts[at] == "12.5" for at in (2, 5, 8))
    assert (preview.commission, preview.commission_range) == (None, (None, None))


def row(number: int, sec_type: str, symbol: str, exchange: str, factor: str = "") -> dict[str, Any]:
    return {"conId": number, "secType": sec_type, "symbol": symbol, "exchange": exchange, "currency": "USD",
            "multiplier": factor, "localSymbol": symbol, "tradingClass": symbol}  # fmt: skip


MONEY = {"InitMarginReq": 20_000, "MaintMarginReq": 18_000, "EquityWithLoanValue": 100_000, "NetLiquidation": 100_000}
BOOK = {
    "accounts": {"DU1234567": {"values": MONEY}, "DU7654321": {"values": {**MONEY, "InitMarginReq": 0}}},
    "contracts": [
        *(row(number, "OPT", "SPX", "SMART", "100") for number in (11, 12, 13)),
        *(row(number, "FOP", "ES", "CME", "50") for number in (21, 22)),
        row(31, "STK", "AAPL", "SMART"),
        row(33, "OPT", "AAPL", "SMART", "100"),
    ],
    "what_if": {
        "per_unit": {"initMargin": 5000, "maintMargin": 4000, "equityWithLoan": -2.5, "minCommission": 1.3,
                     "maxCommission": 2.6, "commissionCurrency": "USD"},
    },
}  # fmt: skip
SPREAD = order((UPPER, -1), (LOWER, 1), quantity=2, limit=-1.25)
SECONDS = 20.0
"""long enough never to be reached by an answer that comes"""


@asynccontextmanager
async def connected(tws: Tws) -> AsyncIterator[ib_async.IB]:
    ib = ib_async.IB()
    await ib.connectAsync("127.0.0.1", tws.port, clientId=17, timeout=20, raiseSyncErrors=True)
    ib.RaiseRequestErrors = True
    try:
        yield ib
    finally:
        ib.disconnect()


async def asked(
    ib: ib_async.IB,
    told: Order = SPREAD,
    contracts: list[ib_async.Contract] = SPXW[:2],
    *,
    seconds: float = SECONDS,
    lock: asyncio.Lock | None = None,
) -> Preview:
    package, sent = bag(told, contracts)
    turn = lock or asyncio.Lock()
    return await ask(ib, package, sent, lock=turn, timeout=seconds, clock=lambda: NOW, base_currency="USD")


def over(work: Callable[[Tws, ib_async.IB], Awaitable[Any]], **how: Any) -> Any:
    """What `work` gives on a fresh line to a fresh stand-in; nothing is ever placed and no listener stays behind."""
    with Tws(Book(BOOK, date(2026, 11, 20)), **how) as tws:

        async def run() -> Any:
            async with connected(tws) as ib:
                listeners = len(ib.errorEvent)
                try:
                    return await work(tws, ib)
                finally:
                    assert len(ib.errorEvent) == listeners
                    assert "openOrder" not in vars(ib.wrapper)

        result = asyncio.run(run())
        assert tws.orders == []
        return result


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def test_a_credit_spread_is_previewed() -> None:
    """Two packages at 5,000 and 4,000 of margin and 2.50 of cost each."""

    async def work(tws: Tws, ib: ib_async.IB) -> Preview:
        preview = await asked(ib)
        (heard,) = tws.what_ifs
        assert (heard.what_if, heard.account, heard.action, heard.quantity) == (True, "DU1234567", "BUY", 2.0)
        assert (heard.order_type, heard.limit, heard.tif) == ("LMT", "-1.25", "DAY")
        assert [leg[:4] for leg in heard.legs] == [("11", "1", "SELL", "SMART"), ("12", "1", "BUY", "SMART")]
        return preview

    preview = over(work)
    assert preview.unknown == ""
    assert preview.initial_margin == Figure(20_000.0, 10_000.0, 30_000.0)
    assert preview.maintenance_margin == Figure(18_000.0, 8_000.0, 26_000.0)
    assert preview.equity_with_loan == Figure(100_000.0, -5.0, 99_995.0)
    assert preview.excess_after == 73_995.0
    assert (preview.commission, preview.commission_range, preview.commission_currency) == (None, (1.3, 2.6), "USD")
    assert (preview.time, preview.currency) == (NOW, "USD")


@pytest.mark.parametrize("version", [170, 176, 178])
@pytest.mark.parametrize(
    ("told", "contracts"),
    [
        (order((SHARE, 100), (CALL, -1), limit=255.0), [AAPL, AAPL_CALL]),
        (order((ES_PUT, -1), (ES_LOWER_PUT, 1), limit=-10.5), ES),
        (order((UPPER, 1), (LOWER, -3), (LOWEST, 2), limit=0.0), SPXW),
        (order((UPPER, -1), limit=-2.5), SPXW[:1]),
        (order((SHARE, 1)), [AAPL]),
    ],
    ids=["covered call", "futures options", "three legs", "one leg", "market order"],
)
def test_packages_of_every_kind_are_answered(told: Order, contracts: list[ib_async.Contract], version: int) -> None:
    preview = over(lambda tws, ib: asked(ib, told, contracts), version=version)
    assert preview.unknown == ""
    assert preview.initial_margin.after == 25_000.0


def test_the_account_of_the_order_decides() -> None:
    other = replace(SPREAD, account=AccountId("IBKR", "DU7654321"))
    assert over(lambda tws, ib: asked(ib, other)).initial_margin == Figure(0.0, 10_000.0, 10_000.0)


@pytest.mark.parametrize(
    ("fault", "how", "words"),
    [
        ("whatif_answer", {"kind": "rejected"}, "IBKR refused (201): Order rejected"),
        ("read_only_api", {}, "IBKR refused (321): Error validating request"),
        ("contract_unknown", {}, "IBKR refused (200): No security definition"),
    ],
)
def test_a_refusal_ends_the_wait_with_the_brokers_words(fault: str, how: dict[str, Any], words: str) -> None:
    async def work(tws: Tws, ib: ib_async.IB) -> Preview:
        tws.fault(fault, **how)
        return await asyncio.wait_for(asked(ib, seconds=60), 20)  # 321 never completes by itself

    preview = over(work)
    assert preview.unknown.startswith(words)
    assert (preview.initial_margin, preview.excess_after) == (Figure(), None)


@pytest.mark.parametrize("code", [105, 110, 321, 329, 434, 435, 492, 10349])
@pytest.mark.parametrize("raises", [True, False])
def test_every_final_word_ends_the_wait(code: int, raises: bool) -> None:  # noqa: FBT001  # a column of the table
    async def work(tws: Tws, ib: ib_async.IB) -> Preview:
        ib.RaiseRequestErrors = raises
        tws.fault("mute_whatif")
        question = asyncio.ensure_future(asked(ib, seconds=60))
        await until(lambda: len(tws.what_ifs) == 1)
        tws.say(code, "Account DU1234567 may not.", req_id=tws.what_ifs[0].order_id)
        return await asyncio.wait_for(question, 20)

    assert over(work).unknown == f"IBKR refused ({code}): Account •••4567 may not."


def deliver(ib: ib_async.IB, order_id: int, state: ib_async.OrderState) -> None:
    """An answer as the client's decoder hands it on, at a moment the test chooses."""
    ib.wrapper.openOrder(order_id, ib_async.Contract(), ib_async.Order(orderId=order_id, whatIf=True), state)


@pytest.mark.parametrize("code", [399, 404, 10167, 2100, 2109, 2199])
def test_other_words_are_kept_while_the_wait_goes_on(code: int) -> None:
    async def work(tws: Tws, ib: ib_async.IB) -> Preview:
        heard: list[int] = []

        def note(number: int, code: int, *rest: object) -> None:
            heard.append(code)

        ib.errorEvent += note
        tws.fault("mute_whatif")
        question = asyncio.ensure_future(asked(ib))
        await until(lambda: len(tws.what_ifs) == 1)
        tws.say(code, "Held until the open.", req_id=tws.what_ifs[0].order_id)
        tws.say(code, "For DU1234567.", req_id=tws.what_ifs[0].order_id)
        await until(lambda: heard.count(code) == 2)
        ib.errorEvent -= note
        deliver(ib, tws.what_ifs[0].order_id, replace(STATE, warningText="Price cap.\nFor DU1234567."))
        return await question

    preview = over(work)
    assert (preview.unknown, preview.initial_margin.after) == ("", 25_000.0)
    assert preview.warnings == ("Held until the open.", "For •••4567.", "Price cap.")


@pytest.mark.parametrize("absent", ["1.7976931348623157e308", "null"])
def test_an_answer_without_a_margin_is_heard_when_it_is_this_ones(absent: str) -> None:
    async def work(tws: Tws, ib: ib_async.IB) -> Preview:
        tws.fault("mute_whatif")
        question = asyncio.ensure_future(asked(ib, seconds=1.0))
        await until(lambda: len(tws.what_ifs) == 1)
        number = tws.what_ifs[0].order_id
        deliver(ib, number, replace(STATE, initMarginChange=absent, warningText="Price cap."))
        deliver(ib, number - 2, replace(STATE, initMarginChange=absent, warningText="Of an earlier order."))
        return await question

    preview = over(work)
    assert preview.unknown == "IBKR named no margin within 1 s: margin unknown, not none. IBKR: Price cap."
    assert preview.warnings == ("Price cap.",)


def test_words_before_silence_are_told() -> None:
    async def work(tws: Tws, ib: ib_async.IB) -> Preview:
        tws.fault("mute_whatif")
        question = asyncio.ensure_future(asked(ib, seconds=1.0))
        await until(lambda: len(tws.what_ifs) == 1)
        tws.say(399, "Held until the open.", req_id=tws.what_ifs[0].order_id)
        tws.say(321, "Of another request.", req_id=999)
        tws.say(2110, "Of no request.")
        return await question

    preview = over(work)
    assert preview.unknown == "IBKR did not answer within 1 s: margin unknown, not none. IBKR: Held until the open."
    assert preview.warnings == ("Held until the open.",)


@pytest.mark.parametrize(
    ("fault", "how", "did"),
    [
        ("mute_whatif", {}, "did not answer"),
        ("whatif_answer", {"kind": "sentinel"}, "named no margin"),
        ("whatif_answer", {"kind": "null"}, "did not answer"),  # the client cannot decode `null` for a commission
    ],
)
def test_no_answer_is_margin_unknown(fault: str, how: dict[str, Any], did: str) -> None:
    async def work(tws: Tws, ib: ib_async.IB) -> tuple[Preview, float]:
        tws.fault(fault, **how)
        for seconds in (0.3, 2.0, 10.0):  # what comes comes later where much runs
            if did in (preview := await asked(ib, seconds=seconds)).unknown:
                break
        return preview, seconds

    preview, seconds = over(work)
    assert preview.unknown == f"IBKR {did} within {seconds:g} s: margin unknown, not none"
    assert (preview.initial_margin, preview.excess_after, preview.commission) == (Figure(), None, None)


def test_an_answer_without_margins_may_come_first() -> None:
    async def work(tws: Tws, ib: ib_async.IB) -> Preview:
        tws.fault("whatif_answer", kind="warning_first")
        return await asked(ib)

    preview = over(work)
    assert (preview.unknown, preview.initial_margin.after) == ("", 30_000.0)
    assert preview.warnings == ("Your order price is capped by the exchange. Review before transmitting.",)


@pytest.mark.parametrize("lost", ["drop", "refuse and drop", "disconnect", "before"])
def test_a_lost_link_is_margin_unknown(lost: str) -> None:
    async def work(tws: Tws, ib: ib_async.IB) -> Preview:
        tws.fault("mute_whatif")
        if lost == "before":
            ib.disconnect()
        question = asyncio.ensure_future(asked(ib, seconds=60))
        if lost != "before":
            await until(lambda: len(tws.what_ifs) == 1)
            ib.disconnect() if lost == "disconnect" else tws.drop()
        return await asyncio.wait_for(question, 20)

    assert over(work).unknown == "the link to IBKR was lost: margin unknown, not none"


def test_two_previews_are_asked_one_after_the_other() -> None:
    async def work(tws: Tws, ib: ib_async.IB) -> None:
        lock = asyncio.Lock()
        tws.fault("mute_whatif", times=1)
        first = asyncio.ensure_future(asked(ib, seconds=60, lock=lock))
        second = asyncio.ensure_future(asked(ib, replace(SPREAD, quantity=1), lock=lock))
        await until(lambda: len(tws.what_ifs) == 1)
        assert not (await asyncio.wait({first, second}, timeout=0.1))[0]
        assert len(tws.what_ifs) == 1  # the second waits for its turn
        deliver(ib, tws.what_ifs[0].order_id, replace(STATE, initMarginAfter="1.0"))
        assert (await first).initial_margin.after == 1.0
        assert (await second).initial_margin.after == 25_000.0
        assert [order.quantity for order in tws.what_ifs] == [2.0, 1.0]

    over(work)


def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    async def work(tws: Tws, ib: ib_async.IB) -> Preview:
        lock = asyncio.Lock()
        package, sent = bag(SPREAD, SPXW[:2])
        tws.fault("mute_whatif")
        await ask(ib, package, sent, lock=lock, timeout=0.1, clock=lambda: NOW, base_currency="USD")
        question = asyncio.ensure_future(
            ask(ib, package, sent, lock=lock, timeout=1.0, clock=lambda: NOW, base_currency="USD")
        )
        await until(lambda: len(tws.what_ifs) == 2)
        tws.say(321, "Late.", req_id=tws.what_ifs[0].order_id)
        return await question

    assert over(work).unknown == "IBKR did not answer within 1 s: margin unknown, not none"


def test_who_stops_waiting_is_stopped_and_leaves_the_turn_to_the_next() -> None:
    async def work(tws: Tws, ib: ib_async.IB) -> Preview:
        lock = asyncio.Lock()
        tws.fault("mute_whatif", times=1)
        question = asyncio.ensure_future(asked(ib, seconds=60, lock=lock))
        await until(lambda: len(tws.what_ifs) == 1)
        question.cancel()
        with pytest.raises(asyncio.CancelledError):
            await question
        return await asked(ib, lock=lock)

    assert over(work).unknown == ""

"""Orders at tastytrade, sent with the real client library to the stand-in that trades: what goes over the wire, what is
told of it, and that nothing is ever sent twice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest

from adapters.tastytrade.access import SANDBOX, Access
from adapters.tastytrade.api import Unheard
from adapters.tastytrade.dry_run import preview
from adapters.tastytrade.source import TastytradeSource
from adapters.trading_mode import Mode, TradingMode
from guardrails.errors import NotSentError, OrderError, SourceError
from guardrails.orders import Order, OrderState
from guardrails.values import AccountId
from tests.brokers.tasty import Tasty
from tests.tasty import REFRESH, SECRET, Clock, run, settled
from tests.tasty_trading import BIG, CONDOR, SMALL, condor, exchange, of, order, state_is, told, trading

AAPL_CALL, SPX_AM, SPXW_PM = "AAPL  261218C00250000", "SPX   261218P05700000", "SPXW  261218P05700000"
BRKB_PUT, MES_PUT, ES, MES = "BRK/B 261218P00450000", "./MESZ6EX2Z6 261211P5800", "/ESZ6", "/MESZ6"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tasty(clock: Clock) -> Iterator[Tasty]:
    with exchange(clock) as server:
        yield server


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the pauses between the tries of a read."""
    monkeypatch.setattr("adapters.tastytrade.api.jitter", lambda: 0.1)
    monkeypatch.setattr("adapters.tastytrade.ledger.DOUBT_PAUSES", (0.05,))


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was shown just now counts as that, however long this machine takes for the next step."""
    monkeypatch.setattr("adapters.tastytrade.shown.JUST_NOW", timedelta(seconds=60))


# what goes over the wire


def test_a_condor_for_a_credit_is_one_order_of_four_legs(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            await source.submit(condor(), "pg-condor-1")
            assert tasty.posts == [
                {
                    "order-type": "Limit",
                    "price": "9.15",
                    "price-effect": "Credit",
                    "time-in-force": "Day",
                    "legs": [
                        {
                            "instrument-type": "Equity Option",
                            "symbol": CONDOR[0],
                            "action": "Buy to Open",
                            "quantity": 2,
                        },
                        {
                            "instrument-type": "Equity Option",
                            "symbol": CONDOR[1],
                            "action": "Sell to Open",
                            "quantity": 2,
                        },
                        {
                            "instrument-type": "Equity Option",
                            "symbol": CONDOR[2],
                            "action": "Sell to Open",
                            "quantity": 2,
                        },
                        {
                            "instrument-type": "Equity Option",
                            "symbol": CONDOR[3],
                            "action": "Buy to Open",
                            "quantity": 2,
                        },
                    ],
                    "source": "portfolio-guardrails",
                    "external-identifier": "pg-condor-1",
                }
            ]

    run(work())


@pytest.mark.parametrize(
    ("legs", "limit", "said"),
    [
        (((AAPL_CALL, 1),), 1.06, [("AAPL  261218C00250000", "Buy to Close", 2)]),
        (((AAPL_CALL, -1),), 1.02, [("AAPL  261218C00250000", "Sell to Open", 2)]),
        (((BRKB_PUT, -1),), 4.3, [("BRK/B 261218P00450000", "Sell to Open", 2)]),
        (((MES_PUT, 1),), 29.5, [("./MESZ6EX2Z6 261211P5800", "Buy to Close", 2)]),
        (((ES, -1),), 6020.25, [("/ESZ6", "Sell", 2)]),  # 1 is held: futures are netted, without a name for it
        (((MES, 1),), None, [("/MESZ6", "Buy", 2)]),
        (((AAPL_CALL, 1), (CONDOR[2], -1)), 0.5, [(AAPL_CALL, "Buy to Close", 2), (CONDOR[2], "Sell to Open", 2)]),
    ],
)
def test_each_leg_opens_or_closes_by_what_is_held(
    tasty: Tasty, clock: Clock, legs: tuple[tuple[str, int], ...], limit: float | None, said: list[tuple[str, str, int]]
) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            await source.submit(order(*legs, limit=limit, quantity=2), "key")
            (wire,) = tasty.posts
            assert [(leg["symbol"], leg["action"], leg["quantity"]) for leg in wire["legs"]] == said
            closes = any(action.endswith("Close") for _, action, _ in said)
            strict = {"strict-position-effect-validation": True}
            assert wire.get("advanced-instructions") == (strict if closes else None)
            assert wire["order-type"] == ("Market" if limit is None else "Limit")

    run(work())


def test_a_leg_that_would_cross_zero_is_not_sent(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            with pytest.raises(NotSentError, match=r"\+3 would turn the -2 that are held into \+1"):
                await source.submit(order((AAPL_CALL, 1), limit=1.06, quantity=3), "key")
            assert tasty.orders == []

    run(work())


def test_what_tastytrade_does_not_offer_is_not_sent(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            share = order(("AAPL", 1), limit=230.0)
            with pytest.raises(NotSentError, match="no orders at the close"):
                await source.submit(Order(BIG, share.legs, 10, at_close=True), "one")
            with pytest.raises(NotSentError, match="shares only in an order of their own"):
                await source.submit(order(("AAPL", 100), (AAPL_CALL, -1), limit=229.0), "two")
            with pytest.raises(OrderError):
                order((AAPL_CALL, 1), limit=None)
            with pytest.raises(NotSentError, match="no orders for a crypto"):
                await source.submit(order(("BTC/USD", 1), limit=1.0, account=SMALL), "three")
            assert tasty.orders == []

    run(work())


def test_a_price_of_zero_has_no_effect_and_a_gtc_order_says_so(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            await source.submit(order((CONDOR[0], 1), (CONDOR[1], -1), limit=0.0, gtc=True), "zero")
            (wire,) = tasty.posts
            assert (wire["price"], wire.get("price-effect"), wire["time-in-force"]) == ("0.0", None, "GTC")
            found = of(await told(source, state_is("zero", "WORKING")), "zero")
            assert (found.limit, found.time_in_force) == (0.0, "GTC")

    run(work())


# who may send


def test_off_paper_and_live_are_kept(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock, TradingMode(setting="TT_TRADING")) as source:
            assert "TT_TRADING" in source.refusal(BIG)
            with pytest.raises(NotSentError, match="off"):
                await source.submit(condor(), "key")
            with pytest.raises(SourceError, match="off"):
                await source.cancel(source.orders().orders[0])
            found = await source.preview(condor())
            assert found.unknown == ""  # a dry run trades nothing
        async with trading(tasty, clock, practice=False) as source:
            assert "no paper account" in source.refusal(BIG)
        live = TradingMode(Mode.LIVE, frozenset({BIG.number}), "TT_TRADING")
        async with trading(tasty, clock, live) as source:
            assert source.refusal(BIG) == ""
            assert "GUARDRAILS_LIVE_ACCOUNTS" in source.refusal(SMALL)
            assert "not an account at tastytrade" in source.refusal(AccountId("IBKR", "U0000004567"))
        strange = TradingMode(Mode.LIVE, frozenset({"5WT00009"}), "TT_TRADING")
        async with trading(tasty, clock, strange) as source:
            assert "not among the accounts" in source.refusal(AccountId("tastytrade", "5WT00009"))
        assert tasty.orders == []

    run(work())


def test_paper_is_the_sandbox_and_a_server_here_that_is_said_to_be_for_it() -> None:
    assert Access(base_url=SANDBOX).paper
    assert not Access().paper
    assert not Access(practice=True).paper
    assert not Access(base_url="http://127.0.0.1:8787").paper
    assert Access(base_url="http://127.0.0.1:8787", practice=True).paper


def test_a_frozen_account_takes_no_orders(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        tasty.set_status(BIG.number, is_frozen=True)
        async with trading(tasty, clock) as source:
            await settled(source, clock)
            assert "is frozen" in source.refusal(BIG)
            assert source.refusal(SMALL) == ""

    run(work())


# the margin beforehand


def test_a_dry_run_says_margin_and_fees(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            opening = await source.preview(condor())
            assert opening.unknown == ""
            # 8 contracts of 250 dollars on 41,250.00; of 73,288.25 they leave 71,288.25, less 8 x 1.13 of fees
            assert (opening.maintenance_margin.before, opening.maintenance_margin.change) == (41250.0, 2000.0)
            assert opening.maintenance_margin.after == 43250.0
            assert opening.excess_after == pytest.approx(71279.21)
            assert opening.commission == pytest.approx(9.04)
            closing = await source.preview(order((AAPL_CALL, 1), limit=1.06, quantity=2))
            assert closing.maintenance_margin.change == -500.0
            assert closing.excess_after == pytest.approx(73288.25 + 500 - 2.26)
            assert tasty.orders == []

    run(work())


def test_a_dry_run_that_does_not_add_up_is_unknown(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            for odd, words in (
                ({"new-buying-power": "99999.00"}, "do not add up"),
                ({"new-buying-power": None}, "what buying power is left"),
                ({"change-in-margin-requirement": "1.7976931348623157e308"}, "margin unknown"),
                ({"change-in-margin-requirement": "NaN"}, "how the margin requirement changes"),
                ({"change-in-margin-requirement-effect": "Sideways"}, "how the margin requirement changes"),
                (
                    {"change-in-margin-requirement": "90000", "change-in-margin-requirement-effect": "Credit"},
                    "below zero",
                ),
            ):
                tasty.fault("dry_run_odd", effect=odd, times=1)
                found = await source.preview(condor())
                assert words in found.unknown, odd
                assert found.excess_after is None
            tasty.fault("server_error", paths=["dry_run"])
            failed = (await source.preview(condor())).unknown
            assert "500" in failed
            assert "is not known" not in failed  # nothing can have come of it
            tasty.mend()
            tasty.fault("rate_limited", paths=["dry_run"], times=1)
            assert (await source.preview(condor())).unknown.startswith("tastytrade answers 429")
            refused = await source.preview(order(("AAPL  261218C00999000", 1), limit=1.0))
            assert "Instruments not found" in refused.unknown

    run(work())


def test_a_close_of_what_is_not_there_is_a_refusal_though_the_broker_only_warns(clock: Clock) -> None:
    answer = {
        "buying-power-effect": {
            "change-in-margin-requirement": "0.0", "change-in-margin-requirement-effect": "None",
            "change-in-buying-power": "10.0", "change-in-buying-power-effect": "Debit",
            "current-buying-power": "100.0", "current-buying-power-effect": "Credit",
            "new-buying-power": "90.0", "new-buying-power-effect": "Credit",
        },
        "warnings": [{"code": "closing_with_no_position", "message": "You have no position in 5WT00001 to close"}],
    }  # fmt: skip
    found = preview(answer, {"maintenance-requirement": "50.0"}, clock())
    assert "knows no position to close" in found.unknown
    assert "5WT00001" not in found.unknown + str(found.warnings)
    calm = preview({**answer, "warnings": []}, {"maintenance-requirement": "50.0"}, clock())
    assert (calm.unknown, calm.excess_after) == ("", 90.0)
    for nothing in ({}, {"buying-power-effect": None}, {"buying-power-effect": {}, "errors": [{"code": "no"}]}):
        assert preview(nothing, {"maintenance-requirement": "50.0"}, clock()).unknown
    assert preview({**answer, "warnings": []}, {}, clock()).unknown


# what becomes of an order


def test_an_order_is_told_of_from_received_to_filled_and_its_fills_once(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        tasty.fault("notices_repeat")
        async with trading(tasty, clock) as source:
            await source.submit(condor(), "pg-1")
            found = of(source.orders(), "pg-1")  # at once, from the reply
            assert (found.state, found.quantity, found.filled, found.limit) == (OrderState.WORKING, 2.0, 0.0, -9.15)
            assert [leg.ratio for leg in found.legs] == [1, -1, -1, 1]
            assert (found.sender, found.cancellable, found.unread) == ("", True, "")
            await told(source, lambda _: tasty.order("pg-1")["status"] == "Live")
            tasty.fill("pg-1", 1)
            read = await told(source, lambda read: len(read.fills) == 4)
            assert (of(read, "pg-1").state, of(read, "pg-1").filled) == (OrderState.PARTIAL, 1.0)
            tasty.fill("pg-1")
            read = await told(source, state_is("pg-1", "FILLED"))
            assert len(read.fills) == 8
            assert len({fill.execution for fill in read.fills}) == 8
            assert {fill.key for fill in read.fills} == {"pg-1"}
            sold = [fill for fill in read.fills if fill.instrument.symbol == CONDOR[1]]
            assert [fill.quantity for fill in sold] == [-1.0, -1.0]
            assert [fill.price for fill in sold] == [tasty.book.price(CONDOR[1])] * 2
            held = await source.held(BIG)
            assert held[f"index_option:{CONDOR[1]}"] == -2.0
            clock.ahead(timedelta(seconds=61))  # fees are asked for once a minute
            read = await source.read_orders()
            assert [fill.fees for fill in read.fills] == pytest.approx([1.13] * 8)
            assert len(tasty.posts) == 1

    run(work())


def test_a_package_is_filled_as_far_as_the_leg_that_lags(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        tasty.fault("notices_one_leg")
        async with trading(tasty, clock) as source:
            await source.submit(condor(4), "pg-1")
            await told(source, lambda _: tasty.order("pg-1")["status"] == "Live")
            for leg, units in ((0, 3), (1, 2), (2, 4), (3, 1)):
                tasty.fill("pg-1", units, leg=leg)
            read = await told(source, lambda read: len(read.fills) == 4)
            found = of(read, "pg-1")
            assert (found.state, found.filled, found.remaining) == (OrderState.PARTIAL, 1.0, 3.0)

    run(work())


def test_an_order_refused_at_the_door_is_rejected_with_the_words(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            tasty.fault("preflight", message="Account 5WT00001 has insufficient buying power", times=1)
            await source.submit(condor(), "pg-1")
            for read in (source.orders(), await source.read_orders()):
                found = of(read, "pg-1")
                assert found.state is OrderState.REJECTED
                assert "margin_check_failed" in found.words
                assert "insufficient buying power" in found.words
                assert "5WT00001" not in found.words
            tasty.fault("orders_rejected", reason="Limit too far away", times=1)
            await source.submit(condor(), "pg-2")
            read = await told(source, state_is("pg-2", "REJECTED"))
            assert of(read, "pg-2").words == "Limit too far away"
            assert len(tasty.posts) == 2

    run(work())


@pytest.mark.parametrize("kind", ["cut", "502", "mute"])
def test_a_lost_reply_is_never_sent_again_and_is_found_by_its_key(
    tasty: Tasty, clock: Clock, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "mute":  # which never answers
        monkeypatch.setattr("adapters.tastytrade.api.WRITE_SECONDS", 3.0)

    async def work() -> None:
        async with trading(tasty, clock) as source:
            tasty.fault("reply_lost", kind=kind, paths=["place"], times=1)
            with pytest.raises(Unheard, match="is not known"):
                await source.submit(condor(), "pg-1")
            with pytest.raises(NotSentError, match="sent before"):
                await source.submit(condor(), "pg-1")
            assert of(await source.read_orders(), "pg-1").state in (OrderState.WORKING, OrderState.PARTIAL)
            assert len(tasty.posts) == 1

    run(work())


@pytest.mark.parametrize("fault", ["cut_rest", "server_error", "html"])
def test_an_order_that_was_never_taken_is_in_doubt_and_not_found(tasty: Tasty, clock: Clock, fault: str) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            tasty.fault(fault, paths=["place"])
            with pytest.raises(Unheard):
                await source.submit(condor(), "pg-1")
            read = await source.read_orders()
            assert [each for each in read.orders if each.key] == []
            assert (tasty.asked["place"], tasty.posts) == (1, [])

    run(work())


@pytest.mark.usefixtures("unhurried")
def test_what_certainly_was_not_sent_says_so(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            tasty.fault("rate_limited", paths=["place"], times=1)
            with pytest.raises(NotSentError, match="429"):
                await source.submit(condor(), "pg-1")
            await source.held(BIG)  # so that the next order is the first request
            tasty.fault("token_killed")
            with pytest.raises(NotSentError, match="401"):
                await source.submit(condor(), "pg-1")
            await source.submit(condor(), "pg-1")  # by a person, who was told that nothing was taken
            assert len(tasty.posts) == 1
            await source.held(BIG)
            tasty.refuse()
            tasty.drop()
            with pytest.raises(SourceError):
                await source.read_orders()  # and every connection that was kept is known to be gone
            with pytest.raises(NotSentError, match="cannot be reached"):
                await source.submit(condor(), "pg-2")
            tasty.listen()
            assert len(tasty.posts) == 1

    run(work())


def test_a_position_that_turned_since_it_was_shown_stops_the_order(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            assert (await source.held(BIG))[f"option:{AAPL_CALL}"] == -2.0
            tasty.set_position(BIG.number, AAPL_CALL, 0)
            clock.ahead(timedelta(seconds=5))
            with pytest.raises(NotSentError, match=r"-2 were held when the order was checked, \+0 are now"):
                await source.submit(order((AAPL_CALL, 1), limit=1.06, quantity=2), "pg-1")
            assert tasty.orders == []

    run(work())


def test_an_exit_is_sent_by_the_last_known_positions_when_none_can_be_read_and_stays_strict(
    tasty: Tasty, clock: Clock
) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            tasty.fault("server_error", paths=["positions"])
            await source.submit(order((AAPL_CALL, 1), limit=1.06, quantity=2), "pg-1")
            [sent] = tasty.posts
            assert sent["legs"][0]["action"] == "Buy to Close"
            assert sent["advanced-instructions"] == {"strict-position-effect-validation": True}
            for opens in (order((AAPL_CALL, 1), limit=1.06, quantity=3), order((AAPL_CALL, -1), limit=1.06)):
                with pytest.raises(NotSentError, match="positions"):
                    await source.submit(opens, "pg-2")
            assert len(tasty.posts) == 1

    run(work())


@pytest.mark.usefixtures("unhurried")
def test_a_close_that_comes_too_late_is_rejected_and_never_opens(tasty: Tasty, clock: Clock) -> None:
    """Positions were shown a moment ago, and the position went away since: the strict validation holds."""

    async def work() -> None:
        async with trading(tasty, clock) as source:
            await source.held(BIG)
            tasty.set_position(BIG.number, AAPL_CALL, 0)
            await source.submit(order((AAPL_CALL, 1), limit=1.06, quantity=2), "pg-1")
            assert of(source.orders(), "pg-1").state is OrderState.REJECTED
            assert tasty.exchange.rows == {}

    run(work())


def test_positions_follow_a_fill_late_and_are_told_as_they_are(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            tasty.fault("ledger_late", seconds=3600)  # not before this test lets it follow
            tasty.fills_by_itself("marketable")
            await source.submit(order((AAPL_CALL, 1), limit=1.06, quantity=1), "pg-1")
            await told(source, state_is("pg-1", "FILLED"))
            assert (await source.held(BIG))[f"option:{AAPL_CALL}"] == -2.0
            tasty.set_position(BIG.number, AAPL_CALL, -1)
            assert (await source.held(BIG))[f"option:{AAPL_CALL}"] == -1.0

    run(work())


def test_a_whole_position_closed_is_gone_from_what_is_held(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            tasty.fills_by_itself("marketable")
            await source.submit(order((AAPL_CALL, 1), limit=1.06, quantity=2), "pg-1")
            await told(source, state_is("pg-1", "FILLED"))
            async with asyncio.timeout(20):
                while f"option:{AAPL_CALL}" in (held := await source.held(BIG)):
                    pass  # the word of the fill may come before the exchange has booked it
            assert held["future:/ESZ26"] == 1.0

    run(work())


# cancelling and another price


def test_a_cancellation_is_asked_for_and_then_confirmed(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            await source.submit(condor(), "pg-1")
            await told(source, lambda _: tasty.order("pg-1")["status"] == "Live")
            tasty.fault("cancel_slow")
            await source.cancel(of(source.orders(), "pg-1"))
            assert of(source.orders(), "pg-1").state is OrderState.CANCEL_REQUESTED
            assert of(await source.read_orders(), "pg-1").state is OrderState.CANCEL_REQUESTED
            tasty.confirm_cancel("pg-1")
            read = await told(source, state_is("pg-1", "CANCELLED"))
            with pytest.raises(SourceError, match="cannot be cancelled"):
                await source.cancel(of(read, "pg-1"))
            assert [row["method"] for row in tasty.orders] == ["POST", "DELETE", "DELETE"]

    run(work())


def test_a_fill_may_come_while_it_is_cancelled(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            await source.submit(condor(), "pg-1")
            tasty.fault("fill_on_cancel")
            await source.cancel(of(source.orders(), "pg-1"))
            read = await told(source, state_is("pg-1", "FILLED"))
            assert len(read.fills) == 4

    run(work())


def test_a_cancellation_whose_reply_is_lost_is_not_repeated(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            await source.submit(condor(), "pg-1")
            tasty.fault("reply_lost", kind="cut", paths=["cancel"])
            with pytest.raises(Unheard, match="is not known"):
                await source.cancel(of(source.orders(), "pg-1"))
            await told(source, state_is("pg-1", "CANCELLED"))
            assert tasty.asked["cancel"] == 1

    run(work())


def test_another_limit_keeps_the_key_and_what_was_filled_before(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            await source.submit(condor(4), "pg-1")
            await told(source, lambda _: tasty.order("pg-1")["status"] == "Live")
            tasty.fill("pg-1", 1)
            read = await told(source, state_is("pg-1", "PARTIAL"))
            first = of(read, "pg-1")
            await source.reprice(first, -9.0)
            wire = tasty.orders[-1]
            assert wire["method"] == "PUT"
            assert wire["body"] == {
                "order-type": "Limit", "price": "9.0", "price-effect": "Credit", "time-in-force": "Day",
                "source": "portfolio-guardrails", "external-identifier": "pg-1",
            }  # fmt: skip
            read = await told(source, lambda read: of(read, "pg-1").limit == -9.0)
            second = of(read, "pg-1")
            assert second.reference != first.reference
            assert (second.quantity, second.filled, second.state) == (4.0, 1.0, OrderState.PARTIAL)
            await told(source, lambda _: tasty.order("pg-1")["status"] == "Live")
            tasty.fill("pg-1")
            read = await told(source, state_is("pg-1", "FILLED"))
            assert (of(read, "pg-1").quantity, of(read, "pg-1").filled, len(read.fills)) == (4.0, 4.0, 8)
            assert len(tasty.posts) == 1

    run(work())


def test_a_fill_of_the_original_aborts_its_replacement(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            await source.submit(condor(), "pg-1")
            tasty.fault("replace_aborted")
            await source.reprice(of(source.orders(), "pg-1"), -9.0)
            read = await told(source, state_is("pg-1", "FILLED"))
            found = of(read, "pg-1")
            assert (found.quantity, found.filled, found.limit, len(read.fills)) == (2.0, 2.0, -9.15, 4)
            with pytest.raises(NotSentError, match="working"):
                await source.reprice(found, -8.5)

    run(work())


def test_a_new_limit_that_is_refused_changes_nothing(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            await source.submit(condor(), "pg-1")
            await told(source, lambda _: tasty.order("pg-1")["status"] == "Live")
            found = of(await source.read_orders(), "pg-1")
            tasty.fault("notices_mute")
            tasty.fill("pg-1")
            with pytest.raises(NotSentError, match="keeps the old limit"):
                await source.reprice(found, -9.0)
            await told(source, state_is("pg-1", "FILLED"))

    run(work())


# orders of others, and lists that are not whole


def test_an_order_placed_elsewhere_is_told_of_and_can_be_cancelled(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            leg = {"instrument-type": "Equity Option", "symbol": AAPL_CALL, "action": "Buy to Close", "quantity": 1}
            number = tasty.place_elsewhere(BIG.number, [leg], 0.5)
            read = await told(source, lambda read: any(each.reference == str(number) for each in read.orders))
            found = next(each for each in read.orders if each.reference == str(number))
            assert (found.key, found.sender, found.limit, found.cancellable) == ("", "tastytrade", 0.5, True)
            tasty.fill(number)
            read = await told(source, lambda read: bool(read.fills))
            assert (read.fills[0].key, read.fills[0].quantity, read.fills[0].price) == ("", 1.0, 0.5)
            other = tasty.place_elsewhere(BIG.number, [leg], 0.4)
            read = await source.read_orders()
            await source.cancel(next(each for each in read.orders if each.reference == str(other)))
            await told(source, lambda _: tasty.order(other)["status"] == "Cancelled")
            legless = next(each for each in read.orders if each.reference == "501")
            assert (legless.legs, legless.unread != "", legless.state) == ((), True, OrderState.WORKING)

    run(work())


def test_orders_that_cannot_be_read_are_missing_and_never_none(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        unread = TastytradeSource(Access(SECRET, REFRESH, tasty.url, practice=True), clock)
        assert unread.orders().missing
        await unread.close()
        async with trading(tasty, clock) as source:
            assert source.orders().missing == ""
            await source.submit(condor(), "pg-1")
            tasty.fault("server_error", paths=["orders_live"])
            with pytest.raises(SourceError, match="500") as raised:
                await source.read_orders()
            assert "5WT0" not in str(raised.value)
            assert "500" in source.orders().missing
            assert of(source.orders(), "pg-1").state is OrderState.WORKING

    run(work())


def test_an_order_that_is_left_out_of_the_list_is_asked_for_by_its_number(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            tasty.fault("orders_unlisted")
            await source.submit(condor(), "pg-1")
            await told(source, lambda _: tasty.order("pg-1")["status"] == "Live")
            tasty.fill("pg-1")
            assert of(await source.read_orders(), "pg-1").state is OrderState.FILLED
            assert tasty.asked["order"] >= 1
            await source.submit(condor(), "pg-2")
            tasty.exchange.rows.pop(tasty.order("pg-2")["id"])
            assert of(await source.read_orders(), "pg-2").state is OrderState.UNKNOWN

    run(work())


def test_held_is_all_of_it_or_an_error(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            held = await source.held(BIG)
            assert (held["future:/MESZ26"], held["equity:AAPL"], "equity:QQQ" in held) == (-2.0, 200.0, False)
            tasty.fault("one_bad_row", kind="text", field="quantity", paths=["positions"])
            odd = await source.held(BIG)
            assert odd["equity:AAPL"] != odd["equity:AAPL"]  # NaN: held, and it is not known how many
            with pytest.raises(NotSentError, match="cannot be read"):
                await source.submit(order(("AAPL", -1), limit=230.0), "pg-1")
            tasty.mend()
            tasty.fault("server_error", paths=["positions"])
            with pytest.raises(SourceError):
                await source.held(BIG)
            clock.ahead(timedelta(seconds=5))
            with pytest.raises(NotSentError, match="positions"):
                await source.submit(condor(), "pg-2")
            tasty.mend()
            tasty.remove_position(SMALL.number, "SPY")
            tasty.remove_position(SMALL.number, "spy_put")
            tasty.remove_position(SMALL.number, "BTC/USD")
            with pytest.raises(SourceError, match="fewer positions"):
                await source.held(SMALL)
            assert tasty.orders == []

    run(work())


# secrets


def test_numbers_and_tokens_are_in_no_words(tasty: Tasty, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        said = []
        async with trading(tasty, clock) as source:
            for fault, how in (
                ("preflight", {"message": "Account 5WT00001 may not"}),
                ("html", {"paths": ["place"]}),
                ("server_error", {"paths": ["positions"]}),
                ("reply_lost", {"kind": "500"}),
            ):
                tasty.fault(fault, **how)
                clock.ahead(timedelta(seconds=5))
                try:
                    await source.submit(condor(), f"key-{fault}")
                except (NotSentError, Unheard) as error:
                    said.append(str(error))
                tasty.mend()
            read = await source.read_orders()
            said += [each.words for each in read.orders] + [repr(source.orders().missing), source.refusal(SMALL)]
        own = [record.getMessage() for record in caplog.records if record.name.startswith("adapters")]
        for text in (*said, *own):
            assert not any(secret in text for secret in ("5WT00001", "5WT00002", SECRET, REFRESH, "bearer-")), text

    with caplog.at_level(logging.DEBUG):
        run(work())
